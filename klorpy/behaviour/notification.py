"""Telling threads of choices of which a merge left them unaware.

    notified(C, m) = C', n    C with n more selections in session m, so that more threads can be projected

Where thread v is not told of a conditional, every branch begins with the selection that announces it; right behind that,
the thread that was told tells v the same label. This is repeated until all threads can be projected or nothing helps: a
selection costs one message for each evaluation, a start 2(n-1).

Source: I. Lanese, F. Montesi, G. Zavattaro, "Amending choreographies" (2013).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from klorpy.behaviour.endpoint import Unaware, unaware
from klorpy.behaviour.globalcalculus import (
    Chor,
    Cond,
    Player,
    Rec,
    Sel,
    Start,
    Thread,
    before,
    interactions,
    unfold,
)
from klorpy.behaviour.inference import extract_tree
from klorpy.core.diagnostics import KlorError

#: How often all threads are looked at; each time every one that can be told is told of one conditional more.
MAX_ROUNDS: Final = 100


def notified(chor: Chor, session: str) -> tuple[Chor, int]:
    """The choreography with the selections that help, and how many these are in its text.

    >>> from klorpy.behaviour import parse_gc
    >>> print(notified(parse_gc('(if (ok) t ((sel m (t t) (u u) l) (com m (u u) 1 (v v) x)) (sel m (t t) (u u) r))'), "m")[0])
    (if (ok) t
        ((sel m (t t) (u u) l)
         (sel m (u u) (v v) l)
         (com m (u u) 1 (v v) x))
        ((sel m (t t) (u u) r)
         (sel m (u u) (v v) r)))
    """
    count = 0
    hopeless: set[tuple[Thread, Cond]] = set()
    for _ in range(MAX_ROUNDS):
        missing = [u for u in unaware(chor) if (u.thread, u.cond) not in hopeless]
        if not missing:
            break
        told = _told(chor, missing[0], session)
        if told is None:
            hopeless.add((missing[0].thread, missing[0].cond))
        else:
            count += sum(1 for _ in interactions(told)) - sum(1 for _ in interactions(chor))
            chor = told
    return chor, count


def _told(chor: Chor, missing: Unaware, session: str) -> Chor | None:
    """The choreography in which the thread is told of the conditional; None where that is not possible."""
    role = _role_of(chor, missing.thread, session)
    if role is None:
        return None
    told = _Telling(missing.cond, Player(missing.thread, role), session).chor(chor)
    try:
        if told is None or len(unaware(told)) > len(unaware(chor)):
            return None
        extract_tree(told, session)
    except KlorError as error:
        # Another conditional with the same label comes to the same place, and there nobody is told.
        if error.slug != "unannounced-choice":
            raise
        return None
    return told


@dataclass(frozen=True)
class _Telling:
    cond: Cond
    who: Player
    session: str

    def chor(self, chor: Chor) -> Chor | None:
        """`chor` with both branches of the conditional told; None where one cannot be."""
        match chor.last:
            case Cond(_, _, then, otherwise) as cond:
                if cond is self.cond:
                    shared = _shared(then, otherwise)
                    one, other = self.branch(then, shared), self.branch(otherwise, shared)
                else:
                    one, other = self.chor(then), self.chor(otherwise)
                if one is None or other is None:
                    return None
                return replace(chor, last=replace(cond, then=one, otherwise=other))
            case Rec(_, body) as rec:
                inner = self.chor(body)
                return None if inner is None else replace(chor, last=replace(rec, body=inner))
        return chor

    def branch(self, branch: Chor, start: int = 0) -> Chor | None:
        """`branch` with the first selection of the session, from a place on, passed on to the thread."""
        for i, step in enumerate(branch.steps):
            if i >= start and isinstance(step, Sel) and step.session == self.session:
                if self.who in (step.sender, step.receiver):
                    return None
                passed = Sel(self.session, step.receiver, self.who, step.label, span=step.span)
                return replace(branch, steps=(*branch.steps[: i + 1], passed, *branch.steps[i + 1 :]))
        match branch.last:
            case Cond(_, _, then, otherwise) as cond:
                one, other = self.branch(then), self.branch(otherwise)
                if one is None or other is None:
                    return None
                return replace(branch, last=replace(cond, then=one, otherwise=other))
            case Rec() as rec:
                # Only the first round is told of what was decided before the loop.
                return self.branch(before(branch.steps, unfold(rec)))
        return None


def _shared(one: Chor, other: Chor) -> int:
    """How many steps both branches begin with: they do not tell which one is taken."""
    count = 0
    for mine, theirs in zip(one.steps, other.steps, strict=False):
        if mine != theirs:
            break
        count += 1
    return count


def _role_of(chor: Chor, thread: Thread, session: str) -> str | None:
    for step in interactions(chor):
        if not isinstance(step, Start) and step.session == session:
            for player in (step.sender, step.receiver):
                if player.thread == thread:
                    return player.role
    return None
