"""Whether a system always can end:  S compliant  iff  every state that S reaches can reach a successful one.

And whether it implements a choreography:  S implements H  iff  S is compliant and every completed conversation of S is
one of H.

Output: a verdict, with a shortest way into the states from which success is out of reach. Loops are fine as long as
leaving them stays possible: termination under fairness.

The exploration is on the fly. Roles that never communicate with each other are explored apart. A state in which a role by
itself cannot succeed any more is not explored further. When the whole is large, not all interleavings are: it is
enough to move a *closed* set of roles, which can only move with each other before one of them has moved, and one of which
is not done yet. Success needs them to move, and whatever the others do does not hinder them, so that both what is reachable
and what is out of reach stay; a set is used only if that leads to a state that is new, so that no cycle postpones the
others for ever.

Sources: Bravetti and Zavattaro, Towards a unifying theory for choreography conformance and contract compliance (2007),
definitions 4 to 6; Valmari, Stubborn sets for reduced state space generation (1989), for closed sets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, TypeAlias

from klorpy.behaviour.arguments import checked
from klorpy.behaviour.composition import Buffer, Composition, Mode, Received, Row, Sent
from klorpy.behaviour.equivalence import Subsets
from klorpy.behaviour.lts import LIMIT, TAU, Edge, Labels, Lts, reaching, too_many
from klorpy.behaviour.notation import interaction
from klorpy.behaviour.steps import lts_of
from klorpy.behaviour.terms import ONE, Chor, Com, Contract, Send, System, leaves
from klorpy.core.diagnostics import KlorError

#: What a trace shows: an interaction, or the two halves of it.
Event: TypeAlias = Com | Sent | Received

#: A system with at most so many combinations of its roles' states is explored whole.
_WHOLE: Final = 20_000


def event(label: Event) -> str:
    """An event as text.

    >>> event(Sent(Com("r", "s", "a")))
    'r sends a to s'
    """
    match label:
        case Com():
            return interaction(label)
        case Sent(com):
            return f"{com.sender} sends {com.operation} to {com.receiver}"
        case Received(com):
            return f"{com.receiver} receives {com.operation} from {com.sender}"


@dataclass(frozen=True, slots=True)
class Dead:
    """A way to a state from which success is out of reach, and what each role has left to do there."""

    trace: tuple[Event, ...]
    situation: dict[str, str]
    waiting: tuple[Com, ...] = ()
    #: Whether no way with fewer communications leads to such a state.
    shortest: bool = True

    def __str__(self) -> str:
        way = "at the start" if not self.trace else f"after {', '.join(map(event, self.trace))}"
        left = ", ".join(f"{role} has {rest}" for role, rest in self.situation.items() if rest != "1")
        lost = f"; on their way are {', '.join(map(interaction, self.waiting))}" if self.waiting else ""
        more = "" if self.shortest else " (there may be a shorter way)"
        return f"{way}, success is out of reach: {left or 'all are done'}{lost}{more}"


@dataclass(frozen=True, slots=True)
class Compliance:
    """Whether a system is compliant; see `compliant`."""

    holds: bool
    mode: Mode
    buffer: Buffer | None
    bound: int | None
    #: Whether the bound kept messages out of the buffers, so that a positive verdict holds up to the bound only.
    bounded: bool
    states: int
    counterexample: Dead | None = None

    def __bool__(self) -> bool:
        return self.holds

    def __str__(self) -> str:
        how = f"{self.mode}, {self.buffer} buffers" if self.buffer else self.mode
        if self.counterexample is not None:
            return f"not compliant ({how}): {self.counterexample}"
        bound = f", with at most {self.bound} messages for each pair of roles" if self.bounded else ""
        return f"compliant ({how}{bound}): {self.states} states"


@checked
def compliant(
    system: System, mode: Mode = "committed", *, buffer: Buffer = "pair", bound: int = 2, limit: int = LIMIT,
    open: bool = False,
) -> Compliance:  # fmt: skip
    """Whether every state that a system reaches can reach success.

    `mode` says how outputs are read: "committed" (once decided they stay), "patient" (they can be passed over), or "async"
    (they go into buffers). A send to a role that is not there is an error, unless the system is `open`: then it stays
    undelivered. Raises KlorError `unknown-role`, or `state-limit` beyond `limit` states.

    >>> from klorpy.behaviour.notation import parse_system
    >>> print(compliant(parse_system("(sys (r (recv a)) (s (alt (send r a) (send r b))))")))
    not compliant (committed): at the start, success is out of reach: r has (recv a), s has <(send r b)>
    """
    system = completed(system) if open else closed(system)
    used = buffer if mode == "async" else None
    states, bounded = 0, False
    worst: Dead | None = None
    for part in parts(system):
        labels = Labels()
        composition = Composition(part, labels, mode=mode, buffer=buffer, bound=bound, limit=limit)
        search = Search(composition, limit)
        dead = search.run()
        states += len(search.order)
        bounded = bounded or composition.bounded
        if dead is not None and (worst is None or len(dead.trace) < len(worst.trace)):
            worst = dead
    return Compliance(worst is None, mode, used, bound if used else None, bounded, states, worst)


def closed(system: System) -> System:
    """The system itself. Raises KlorError `unknown-role` when a contract sends to a role that is not there."""
    for role, leaf in _astray(system):
        raise KlorError(
            f"{role} sends {leaf.operation} to {leaf.receiver}, which is not a role of the system", slug="unknown-role",
            help=f"its roles are {', '.join(system.roles)}",
        )
    return system


def completed(system: System) -> System:
    """The system with a role that does nothing for each that is sent to and is not there."""
    missing = dict.fromkeys(leaf.receiver for _, leaf in _astray(system))
    return System((*system.contracts, *((role, ONE) for role in missing)))


def _astray(system: System) -> Iterator[tuple[str, Send]]:
    """The sends to roles that are not there, with who sends."""
    for role, contract in system.contracts:
        for leaf in leaves(contract):
            if isinstance(leaf, Send) and leaf.receiver not in system.roles:
                yield role, leaf


def parts(system: System) -> list[System]:
    """The system in parts that never communicate with each other."""
    home = {role: role for role in system.roles}

    def find(role: str) -> str:
        while home[role] != role:
            role = home[role]
        return role

    for role, contract in system.contracts:
        for leaf in leaves(contract):
            if isinstance(leaf, Send) and leaf.receiver in home:
                home[find(leaf.receiver)] = find(role)
    groups: dict[str, list[tuple[str, Contract]]] = {}
    for role, contract in system.contracts:
        groups.setdefault(find(role), []).append((role, contract))
    return [System(tuple(group)) for group in groups.values()]


class Search:
    """The search for states from which success is out of reach, nearest states first."""

    def __init__(self, composition: Composition, limit: int) -> None:
        self.composition = composition
        self.limit = limit
        self.order: list[int] = []
        self.numbers: dict[int, int] = {}
        self.before: list[list[int]] = []
        self.parent: list[int] = []
        self.visited: list[int] = []
        self.doomed: list[int] = []
        self.good: list[int] = []
        self.reducing = self.reduced = False
        self.tried = self.used = 0

    def run(self) -> Dead | None:
        """The nearest dead state, None if there is none."""
        combinations = 1
        for rows in self.composition.rows:
            combinations *= len(rows)
        large = combinations > _WHOLE or self.composition.asynchronous
        if large:
            # A small look first: whole, if that is soon done; else only what has to be.
            try:
                return self.explore(reducing=False, limit=min(self.limit, _WHOLE))
            except KlorError:
                reduced = self.explore(reducing=True, limit=self.limit)
            if reduced is None:
                return None
            try:
                return self.explore(reducing=False, limit=self.limit)
            except KlorError:
                return Dead(reduced.trace, reduced.situation, reduced.waiting, shortest=False)
        return self.explore(reducing=False, limit=self.limit)

    def explore(self, *, reducing: bool, limit: int) -> Dead | None:
        """Visit states by the number of communications that lead to them. Raises KlorError `state-limit`."""
        composition = self.composition
        self.reducing = self.reduced = reducing
        self.tried = self.used = 0
        self.order, self.numbers = [composition.initial], {composition.initial: 0}
        self.before, self.parent = [[]], [-1]
        self.visited, self.doomed, self.good = [], [], []
        numbers, order, before, parent = self.numbers, self.order, self.before, self.parent
        done = bytearray(1)
        # States that hidden steps lead to belong to the same round.
        current, following = [0], list[int]()
        while current or following:
            if not current:
                current, following = following[::-1], []
                continue
            number = current.pop()
            if done[number]:
                continue
            done[number] = 1
            self.visited.append(number)
            hidden, visible = self.steps(number)
            for target in hidden:
                known = numbers.get(target)
                if known is None:
                    known = numbers[target] = len(order)
                    order.append(target)
                    before.append([number])
                    parent.append(number)
                    done.append(0)
                    current.append(known)
                else:
                    before[known].append(number)
                    if not done[known]:
                        # It was found by a communication of this round, and a hidden step is nearer.
                        parent[known] = number
                        current.append(known)
            for target in visible:
                known = numbers.get(target)
                if known is None:
                    numbers[target] = known = len(order)
                    order.append(target)
                    before.append([number])
                    parent.append(number)
                    done.append(0)
                    following.append(known)
                else:
                    before[known].append(number)
            if len(order) > limit:
                raise too_many("the system", limit)
        return self.verdict()

    def steps(self, number: int) -> tuple[list[int], list[int]]:
        """Where the hidden and the other steps lead that are to be followed."""
        composition = self.composition
        state = self.order[number]
        here = composition.here(state)
        ok = True
        for row in here:
            if not row.ok:
                ok = False
                if not row.alive:
                    self.doomed.append(number)
                    return [], []
        if ok and state >> composition.base == 0:
            self.good.append(number)
        elif self.reducing:
            some = self.certain(state, here) if composition.asynchronous else self.closed_set(number, state, here)
            self.tried += 1
            if some is not None:
                self.used += 1
                return split(some)
            # Where roles are entangled, looking for such sets is a waste.
            self.reducing = self.tried < 2_000 or self.used * 20 > self.tried
        return split(composition.successors(state)) if composition.asynchronous else composition.targets(state, here)

    def certain(self, state: int, here: list[Row]) -> list[Edge] | None:
        """One step that commutes with all others and leads to a new state, if there is one."""
        for i, row in enumerate(here):
            step = self.composition.certain(state, i, row, True, True)
            if step is not None and step[1] not in self.numbers:
                return [step]
        return None

    def closed_set(self, number: int, state: int, here: list[Row]) -> list[Edge] | None:
        """The steps of a closed set of roles, if some such set is smaller than all and leads to a new state."""
        partners = partners_of(here, self.composition.sends)
        everyone = len(here)
        tried: set[int] = set()
        for i, row in enumerate(here):
            if row.ok:
                continue
            members = closure(i, partners)
            if members in tried or members.bit_count() == everyone:
                continue
            tried.add(members)
            roles = [j for j in range(everyone) if members >> j & 1]
            steps = self.composition.together(state, here, roles)
            if not steps:
                # They wait for each other for ever, and one of them is not done.
                self.doomed.append(number)
                return []
            if any(target not in self.numbers for _, target in steps):
                return steps
        return None

    def verdict(self) -> Dead | None:
        safe = reaching(self.before, self.good)
        doomed = set(self.doomed)
        # Visited in the order of distance.
        return next((self.dead(number) for number in self.visited if number in doomed or not safe[number]), None)

    def dead(self, number: int) -> Dead:
        composition = self.composition
        path = [number]
        while self.parent[path[-1]] >= 0:
            path.append(self.parent[path[-1]])
        path.reverse()
        trace: list[Event] = []
        for source, target in pairwise(path):
            found = [label for label, end in composition.successors(self.order[source]) if end == self.order[target]]
            # A hidden step is the nearer one.
            known = composition.labels.known[min(found)]
            if isinstance(known, (Com, Sent, Received)):
                trace.append(known)
        state = self.order[number]
        return Dead(tuple(trace), composition.situation(state), tuple(composition.waiting(state)), not self.reduced)


def split(steps: list[Edge]) -> tuple[list[int], list[int]]:
    return [target for label, target in steps if label == TAU], [target for label, target in steps if label != TAU]


def partners_of(here: list[Row], sends: dict[tuple[int, str], int]) -> list[int]:
    """For each role, as bits, those that it may communicate with before it moves."""
    partners = []
    for i, row in enumerate(here):
        bits = 0
        for j, *_ in row.outs:
            bits |= 1 << j
        for operation in row.ins:
            number = sends.get((i, operation))
            if number is not None:
                for k, other in enumerate(here):
                    if other.future >> number & 1:
                        bits |= 1 << k
        partners.append(bits)
    return partners


def closure(start: int, partners: list[int]) -> int:
    """The least set of roles, as bits, that has a role and the partners of all its members."""
    members, todo = 1 << start, partners[start]
    while todo & ~members:
        bit = (todo & ~members) & -(todo & ~members)
        members |= bit
        todo |= partners[bit.bit_length() - 1]
    return members


# --- Conformance ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Conformance:
    """Whether a system implements a choreography; see `implements`. `foreign` is a conversation that is none of it."""

    holds: bool
    compliance: Compliance
    foreign: tuple[Com, ...] | None = field(default=None)

    def __bool__(self) -> bool:
        return self.holds

    def __str__(self) -> str:
        if not self.compliance:
            return f"does not implement the choreography: {self.compliance}"
        if self.foreign is not None:
            talk = ", ".join(map(interaction, self.foreign)) or "nothing at all"
            return f"does not implement the choreography, whose conversations do not include: {talk}"
        return f"implements the choreography; {self.compliance}"


@checked
def implements(
    system: System, chor: Chor, mode: Mode = "committed", *, buffer: Buffer = "pair", bound: int = 2, limit: int = LIMIT,
    open: bool = False,
) -> Conformance:  # fmt: skip
    """Whether a system is compliant, and all its completed conversations are those of a choreography.

    Fewer are enough: an implementation may never use some branch. `open` is as for `compliant`. Asynchronous conversations are read by their sends
    and by their receives, and have to be right both ways.

    >>> from klorpy.behaviour.notation import parse_choreography, parse_system
    >>> either = parse_choreography("(alt (com r s a) (com r s b))")
    >>> print(implements(parse_system("(sys (r (send s c)) (s (alt (recv a) (recv c))))"), either))
    does not implement the choreography, whose conversations do not include: c: r→s
    """
    system = completed(system) if open else system
    compliance = compliant(system, mode, buffer=buffer, bound=bound, limit=limit)
    if not compliance:
        return Conformance(False, compliance)
    for view in ("sender", "receiver") if mode == "async" else ("events",):
        labels = Labels()
        specification = Subsets(lts_of(chor, labels, limit=limit))
        composition = Composition(
            system, labels, mode=mode, buffer=buffer, bound=bound, view=view, settle=mode == "async", limit=limit
        )
        foreign = uncovered(composition.explore(limit), specification, labels)
        if foreign is not None:
            return Conformance(False, compliance, foreign)
    return Conformance(True, compliance)


def uncovered(lts: Lts, specification: Subsets, labels: Labels) -> tuple[Com, ...] | None:
    """A shortest completed trace of a system that is none of the specification."""
    system = Subsets(lts)
    start = (system.closed({0: None}), specification.closed({0: None}))
    parents: dict[tuple[frozenset[int], frozenset[int]], tuple[tuple[frozenset[int], frozenset[int]], int] | None]
    parents = {start: None}
    order = [start]
    for pair in order:
        mine, theirs = pair
        if system.may_end(mine) and not specification.may_end(theirs):
            trace = []
            step = parents[pair]
            while step is not None:
                pair, label = step
                trace.append(label)
                step = parents[pair]
            return tuple(com for label in reversed(trace) if isinstance(com := labels.known[label], Com))
        allowed = specification.after(theirs)
        for label, targets in sorted(system.after(mine).items()):
            following = (targets, allowed.get(label, frozenset()))
            if following not in parents:
                parents[following] = (pair, label)
                order.append(following)
    return None
