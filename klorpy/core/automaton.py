"""What one role of a choreography may say and hear, as an automaton with a stack.

    q ::= Say(site, target, q)        say something to a role
        | Hear(site, source, q)       hear something from a role
        | Fork(q*)                    one of these: a choice that the role does not tell, or none at all
        | Call(q*, q?)                one of these to its end, then the other; without one, in the place of this
        | End                         the end of what was called, or of everything

States are numbered. Values are not part of it: it has every run of the role, and perhaps some that no values lead to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from klorpy.core.choreography import Site
from klorpy.core.types import Role


@dataclass(frozen=True, slots=True)
class Say:
    site: Site
    target: Role
    after: int


@dataclass(frozen=True, slots=True)
class Hear:
    site: Site
    source: Role
    after: int


@dataclass(frozen=True, slots=True)
class Fork:
    after: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Call:
    entries: tuple[int, ...]
    after: int | None


@dataclass(frozen=True, slots=True)
class End:
    pass


State: TypeAlias = Say | Hear | Fork | Call | End


@dataclass(frozen=True, slots=True)
class Automaton:
    """The automaton of a role: its states, and the number of the first."""

    role: Role
    states: tuple[State, ...]
    start: int
