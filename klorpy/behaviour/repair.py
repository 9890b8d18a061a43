"""Amending a choreography that is not well-formed:  repair(H, c) = H'  with hidden interactions added.

Two families of violations can be mended by telling somebody something: where nothing orders e and f, the receiver of e tells
the sender of f; and in a branch that a role takes no part in, or acts in before it knows, the chooser tells it first.
The result is checked again; what stays wrong is said. Apart from the added interactions it does what was written.

Source: Lanese, Montesi and Zavattaro, Amending choreographies (2013), sections 4 and 5.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import assert_never

from klorpy.behaviour.arguments import checked
from klorpy.behaviour.conditions import Violation, connected, well_formed
from klorpy.behaviour.edges import first_of, firsts, last_of
from klorpy.behaviour.notation import infix, interaction
from klorpy.behaviour.terms import (
    Alt,
    Chor,
    Com,
    One,
    Par,
    Recv,
    Scope,
    Send,
    Seq,
    Star,
    Tau,
    Zero,
    interactions,
    roles_of,
    seq,
)

#: Rounds of mending: what tells a role of a choice may have to be connected in turn.
_ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Repair:
    """A choreography with interactions added; `remaining` is what could not be mended that way."""

    chor: Chor
    added: tuple[Com, ...]
    remaining: tuple[Violation, ...]

    def __bool__(self) -> bool:
        return not self.remaining

    def __str__(self) -> str:
        if self.remaining:
            return "\n".join(["cannot be mended by messages alone", *(f"  {violation}" for violation in self.remaining)])
        if not self.added:
            return "nothing to mend"
        return f"{infix(self.chor)}, with {', '.join(map(interaction, self.added))} added"


@checked
def repair(chor: Chor, criterion: str = "sync", buffer: str = "pair") -> Repair:
    """The choreography with interactions added until it is well-formed, as far as that helps.

    >>> from klorpy.behaviour.notation import parse_choreography
    >>> print(repair(parse_choreography("(seq (com r s a) (com t u b))")))
    a: r→s; note1: s→t; b: t→u, with note1: s→t added
    """
    amended = chor
    names = _fresh(chor)
    for _ in range(_ROUNDS):
        codes = {violation.code for violation in well_formed(amended, criterion, buffer)}
        if codes & {"choice-roles", "choice-unaware"}:
            amended = _Mender(criterion, names, choices=True).mend(amended)
        elif "sequence" in codes:
            amended = _Mender(criterion, names, choices=False).mend(amended)
        else:
            break
    own = set(interactions(chor))
    added = tuple(com for com in interactions(amended) if com not in own)
    return Repair(amended, added, well_formed(amended, criterion, buffer))


def _fresh(chor: Chor) -> Iterator[str]:
    """Names of operations that a choreography does not use."""
    used = {com.operation for com in interactions(chor)}
    return (name for n in count(1) if (name := f"note{n}") not in used)


@dataclass(frozen=True, slots=True)
class _Mender:
    criterion: str
    names: Iterator[str]
    #: Whether choices are mended, or sequences.
    choices: bool

    def mend(self, chor: Chor) -> Chor:
        match chor:
            case Seq(items):
                parts = tuple(map(self.mend, items))
                return Seq(parts if self.choices else tuple(self.linked(parts)))
            case Alt(items):
                branches = tuple(map(self.mend, items))
                return Alt(self.told(branches) if self.choices else branches)
            case Par(items):
                return Par(tuple(map(self.mend, items)))
            case Star(body):
                return Star(self.mend(body))
            case Scope(name, roles, body):
                return Scope(name, roles, self.mend(body))
            case One() | Zero() | Com() | Send() | Recv() | Tau():
                return chor
            case _:
                assert_never(chor)

    def linked(self, parts: tuple[Chor, ...]) -> Iterator[Chor]:
        """The parts, each followed by messages to those that go on without knowing that it is over."""
        for at, part in enumerate(parts):
            yield self.followed(part, list(first_of(seq(*parts[at + 1 :]))))

    def followed(self, part: Chor, heads: list[Com]) -> Chor:
        if isinstance(part, Par):
            # What ends each of several parallel parts is told where it ends.
            return Par(tuple(self.followed(item, heads) for item in part.items))
        links: dict[tuple[str, str], None] = {}
        for e in last_of(part):
            for f in heads:
                if not connected(self.criterion, e, f) and e.receiver != f.sender:
                    links[e.receiver, f.sender] = None
        return seq(part, *(Com(source, target, next(self.names)) for source, target in links)) if links else part

    def told(self, branches: tuple[Chor, ...]) -> tuple[Chor, ...]:
        """The branches, each begun by the chooser's messages to roles that would not know."""
        senders = {com.sender for branch in branches for com in first_of(branch)}
        if len(senders) != 1:
            return branches
        chooser = next(iter(senders))
        early = set[str]()
        if self.criterion in ("receiver", "sr"):
            early = {
                role for branch in branches for role in roles_of(branch)
                if role != chooser and any(label[0] == "!" for label in firsts(branch, role))
            }  # fmt: skip
        everyone = roles_of(Alt(branches))
        out = []
        for branch in branches:
            absent = [role for role in everyone if role != chooser and (role in early or role not in roles_of(branch))]
            out.append(seq(*(Com(chooser, role, next(self.names)) for role in absent), branch) if absent else branch)
        return tuple(out)
