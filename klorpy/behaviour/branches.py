"""The branches of a wide choice: what one does, and what all behind it do together.

`H₁ + … + Hₙ` is H₁ + (H₂ + …), so that every branch is compared with the choice of all behind it. What the conditions ask of
that choice is looked up here, by the last place at which it holds, and not computed once more for every branch: n
branches take about n steps and not n².

    Part(H)                 a term as `names` looks at it: what is received in it, and its runs
    Branches(H₁ … Hₙ)       the branches of a choice
    Behind(branches, i)     Hᵢ₊₁ + … + Hₙ, a Part
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from typing import TypeAlias

from klorpy.behaviour.canonical import project_role
from klorpy.behaviour.edges import First, first_of, firsts, has_dead_end, nullable
from klorpy.behaviour.runs import CAP, Run, TooManyRuns, count_runs, runs
from klorpy.behaviour.steps import Terms
from klorpy.behaviour.terms import Alt, Chor, Com, interactions, is_zero, roles_of

#: What a role can receive first: for each operation an interaction that it comes from.
Starts: TypeAlias = "Mapping[str, Com] | _StartsBehind"


class Part:
    """A term: what is received in it, and its runs. Raises TooManyRuns."""

    def __init__(self, chor: Chor) -> None:
        self.chor = chor

    @cached_property
    def coms(self) -> list[Com]:
        return interactions(self.chor)

    @cached_property
    def received(self) -> dict[str, set[str]]:
        """For each role the operations that it receives."""
        found: dict[str, set[str]] = {}
        for com in self.coms:
            found.setdefault(com.receiver, set()).add(com.operation)
        return found

    def meets(self, starts: Starts, role: str) -> bool:
        """Whether the role receives one of these operations."""
        return any(operation in starts for operation in self.received.get(role, ()))

    def runs(self, rounds: int) -> list[Run]:
        return runs(self.chor, rounds)

    def some(self) -> tuple[Com, ...]:
        """Two interactions, for reports."""
        return tuple(self.coms[:2])


class Branches:
    """The branches of a choice; `terms` numbers projections."""

    def __init__(self, items: tuple[Chor, ...], terms: Terms) -> None:
        self.items = items
        self.terms = terms
        self.parts = [Part(item) for item in items]
        self.first = [tuple(first_of(item)) for item in items]
        self.roles = [roles_of(item) for item in items]
        self.zero = [is_zero(item) for item in items]
        self._last_nullable = max((at for at, item in enumerate(items) if nullable(item)), default=-1)
        #: For each place the first interaction behind it, and the first one of another sender than that.
        self.heads: list[tuple[Com, ...]] = []
        #: How many runs the branches behind a place have, at most CAP + 1.
        self._counts: list[int] = []
        heads: tuple[Com, ...] = ()
        count = 0
        for at in reversed(range(len(items))):
            self.heads.append(heads)
            self._counts.append(count)
            for com in reversed(self.first[at]):
                heads = (com, *[other for other in heads if other.sender != com.sender][:1])
            count = min(count + (0 if self.zero[at] else count_runs(items[at], 1)), CAP + 1)
        self.heads.reverse()
        self._counts.reverse()
        #: The places of the branches in which a role takes part, and the last ones at which it receives an operation.
        self.places: dict[str, list[int]] = {}
        self._last_received: dict[tuple[str, str], int] = {}
        for at, roles in enumerate(self.roles):
            for role in roles:
                self.places.setdefault(role, []).append(at)
            for com in self.parts[at].coms:
                self._last_received[com.receiver, com.operation] = at
        self._firsts: dict[tuple[int, str], dict[First, Com]] = {}
        self._last_first: dict[str, dict[First, tuple[int, Com]]] = {}
        self._last_output: dict[str, int] = {}
        self._normals: dict[str, tuple[list[frozenset[int]], dict[int, int], list[int]]] = {}
        self._without: dict[int, frozenset[int]] = {}

    def behind(self, at: int) -> Part:
        """What is behind a place."""
        return self.parts[-1] if at + 2 == len(self.items) else Behind(self, at)

    def nullable_from(self, at: int) -> bool:
        return self._last_nullable >= at

    def dead_end_behind(self, at: int) -> bool:
        """Whether the choice of the branches behind a place can end in 0, and not at once."""
        talking, alive, dead = self._last_ends
        return talking > at and (dead > at or alive <= at)

    @cached_property
    def _last_ends(self) -> tuple[int, int, int]:
        """The last places with an interaction, of a branch that is not 0, and of one that is not and can end in it."""
        places = range(len(self.items))
        talking = (at for at in places if self.parts[at].coms)
        alive = [at for at in places if not self.zero[at]]
        dead = (at for at in alive if has_dead_end(self.items[at]))
        return max(talking, default=-1), max(alive, default=-1), max(dead, default=-1)

    def roles_from(self, at: int) -> list[str]:
        """The roles of a branch and of those behind it, in the order in which they appear."""
        found = []
        for role, places in self.places.items():
            index = bisect_right(places, at - 1)
            if index < len(places):
                found.append((places[index], self.roles[places[index]].index(role), role))
        return [role for _, _, role in sorted(found)]

    def takes_part_behind(self, role: str, at: int) -> Com | None:
        """The first interaction of a role behind a place."""
        places = self.places.get(role, [])
        index = bisect_right(places, at)
        return None if index == len(places) else next(com for com in self.parts[places[index]].coms if role in com.roles)

    # --- What a role does first ---

    def firsts(self, at: int, role: str) -> dict[First, Com]:
        """What a role can do first in a branch."""
        key = (at, role)
        if key not in self._firsts:
            self._firsts[key] = firsts(self.items[at], role)
        return self._firsts[key]

    def first_behind(self, at: int, role: str, label: First) -> Com | None:
        """An interaction behind a place that a role can begin with so, if there is one."""
        place, com = self._last(role).get(label, (-1, None))
        return com if place > at else None

    def outputs_behind(self, at: int, role: str) -> Iterator[Com]:
        """What a role can do first behind a place, where that is to send."""
        if role not in self._last_output:
            self._last_output[role] = max((place for label, (place, _) in self._last(role).items() if label[0] == "!"), default=-1)
        places = self.places.get(role, []) if self._last_output[role] > at else []
        for place in places[bisect_right(places, at) :]:
            yield from outputs_of(self.firsts(place, role))

    def _last(self, role: str) -> dict[First, tuple[int, Com]]:
        """For each label that a role can begin with, the last place where it can."""
        if role not in self._last_first:
            found = {label: (place, com) for place in self.places.get(role, ()) for label, com in self.firsts(place, role).items()}
            self._last_first[role] = found
        return self._last_first[role]

    def received_behind(self, at: int, role: str, operation: str) -> bool:
        return self._last_received.get((role, operation), -1) > at

    # --- Projections ---

    def alike(self, at: int, role: str) -> bool:
        """Whether the projections of a branch and of what is behind it are equal by the laws of `+`."""
        if role not in self._normals:
            self._normals[role] = self._normal(role)
        normals, last, distinct = self._normals[role]
        return len(normals[at]) == distinct[at] and all(last[part] > at for part in normals[at])

    def _normal(self, role: str) -> tuple[list[frozenset[int]], dict[int, int], list[int]]:
        """For each branch the parts that its projection is a choice of; where each part is last; how many are behind."""
        inside = set(self.places.get(role, ()))
        normals = [self._summands(at, role) if at in inside else self._silent(at) for at in range(len(self.items))]
        last: dict[int, int] = {}
        distinct: list[int] = []
        for at in reversed(range(len(normals))):
            distinct.append(len(last))
            for part in normals[at]:
                last.setdefault(part, at)
        return normals, last, distinct[::-1]

    def _summands(self, at: int, role: str) -> frozenset[int]:
        return self.terms.summands(self.terms.number(project_role(self.items[at], role)))

    def _silent(self, at: int) -> frozenset[int]:
        """What a branch is for a role that takes no part in it."""
        if at not in self._without:
            self._without[at] = self._summands(at, "")
        return self._without[at]

    # --- Runs ---

    def runs_behind(self, at: int, rounds: int) -> list[Run]:
        if self._counts[at] > CAP:
            raise TooManyRuns
        kept = [place for place in range(at + 1, len(self.items)) if not self.zero[place]]
        if not kept:
            return runs(Alt(()), rounds)
        return list(dict.fromkeys(chain.from_iterable(runs(self.items[place], rounds) for place in kept)))


class Behind(Part):
    """The choice of the branches behind a place."""

    def __init__(self, branches: Branches, at: int) -> None:
        self.branches = branches
        self.at = at

    def meets(self, starts: Starts, role: str) -> bool:
        assert not isinstance(starts, _StartsBehind)
        return any(self.branches.received_behind(self.at, role, operation) for operation in starts)

    def runs(self, rounds: int) -> list[Run]:
        return self.branches.runs_behind(self.at, rounds)

    def some(self) -> tuple[Com, ...]:
        parts = self.branches.parts[self.at + 1 :]
        return tuple(islice(chain.from_iterable(part.coms for part in parts), 2))


@dataclass(frozen=True, slots=True)
class _StartsBehind:
    """What a role can receive first in the branches behind a place."""

    branches: Branches
    at: int
    role: str

    def __contains__(self, operation: str) -> bool:
        return self.branches.first_behind(self.at, self.role, ("?", operation)) is not None

    def __getitem__(self, operation: str) -> Com:
        com = self.branches.first_behind(self.at, self.role, ("?", operation))
        assert com is not None
        return com


def starts_of(labels: Mapping[First, Com]) -> dict[str, Com]:
    """The operations among first labels that are received."""
    return {label[1]: com for label, com in labels.items() if label[0] == "?"}


def outputs_of(labels: Mapping[First, Com]) -> list[Com]:
    """The interactions among first labels that are sent."""
    return [com for label, com in labels.items() if label[0] == "!"]


def starts_behind(branches: Branches, at: int, role: str) -> Starts:
    return _StartsBehind(branches, at, role)
