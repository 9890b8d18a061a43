"""Semantics of the global calculus, with symbolic expressions.

    in_order(C)       = {(α, C') | C -α-> C'}     one step of what stands first
    out_of_order(C)   = {(α, C') | C -α-> C'}     also of what can be brought to the front by swaps

A conditional goes either way. `new` and unfolding are part of every step: a state is a choreography up to them, which
`state` makes unique. Steps of different threads swap, also with a conditional of another thread, and conditionals of
different threads with each other; a start involves all its threads, so nothing of theirs moves across it.

    (start a k …) C -> (new k C)        (com k …) C -> C        (sel k …) C -> C        (if e t C1 C2) -> C1 | C2

Sources: M. Carbone, F. Montesi, "Merging multiparty protocols in multiparty choreographies" (2012), section 2.1; the same,
"Deadlock-freedom-by-design" (2013), for the swaps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias, assert_never

from klorpy.behaviour.globalcalculus import (
    Call,
    Chor,
    Com,
    Cond,
    Expr,
    Interaction,
    New,
    Nil,
    Rec,
    Sel,
    Start,
    Thread,
    before,
    free_sessions,
    unfold,
)
from klorpy.behaviour.globaltype import MAX_DEPTH
from klorpy.core.diagnostics import KlorError


@dataclass(frozen=True, slots=True)
class Branched:
    """`thread` evaluates `expr`, and it is `value`."""

    expr: Expr
    thread: Thread
    value: bool

    @property
    def threads(self) -> frozenset[Thread]:
        return frozenset((self.thread,))


#: What happens in a step.
Act: TypeAlias = Interaction | Branched

#: What remains of a step when sessions and roles are forgotten.
Erased: TypeAlias = tuple[object, ...]


def erase(act: Act) -> Erased:
    """A step without its session and its roles.

    >>> from klorpy.behaviour import parse_gc
    >>> erase(parse_gc("(sel k (t A) (u B) ok)").steps[0])
    ('sel', 't', 'u', 'ok')
    """
    match act:
        case Start():
            return "start", act.channel, tuple(player.thread for player in act.players)
        case Com():
            return "com", act.sender.thread, act.expr, act.receiver.thread, act.variable
        case Sel():
            return "sel", act.sender.thread, act.receiver.thread, act.label
        case Branched(expr, thread, value):
            return "if", thread, expr, value
        case _:
            assert_never(act)


def state(chor: Chor) -> Chor:
    """The choreography that stands for all that are equal up to unfolding and restriction: no `new`, no `rec` in front.

    Raises KlorError `unguarded-recursion` for a recursion that does nothing.
    """
    for _ in range(2 * MAX_DEPTH):
        if chor.steps:
            return chor
        match chor.last:
            case New(_, body):
                chor = body
            case Rec() as rec:
                chor = unfold(rec)
            case _:
                return chor
    raise KlorError("a recursion starts again before anything is sent", slug="unguarded-recursion",
                    help="let something be sent between the rec and the call")  # fmt: skip


def in_order(chor: Chor) -> list[tuple[Act, Chor]]:
    """The steps of what stands first; none at the end.

    >>> from klorpy.behaviour import parse_gc
    >>> [(erase(act), str(after)) for act, after in in_order(parse_gc("(start a k (t A) (u B)) (sel k (t A) (u B) ok)"))]
    [(('start', 'a', ('t', 'u')), '(new k\\n  (sel k (t A) (u B) ok))')]
    """
    chor = state(chor)
    if chor.steps:
        step, rest = chor.steps[0], replace(chor, steps=chor.steps[1:])
        return [(step, _opened(step, rest))]
    match chor.last:
        case Cond(expr, thread, then, otherwise):
            return [(Branched(expr, thread, True), then), (Branched(expr, thread, False), otherwise)]
        case Nil():
            return []
        case Call(variable):
            raise ValueError(f"nothing binds {variable}")
    raise AssertionError(chor)


def _opened(step: Interaction, rest: Chor) -> Chor:
    if isinstance(step, Start) and step.session in free_sessions(rest):
        return Chor((), New(step.session, rest), source=rest.source)
    return rest


def out_of_order(chor: Chor) -> list[tuple[Act, Chor]]:
    """The steps of all that can be brought to the front.

    >>> from klorpy.behaviour import parse_gc
    >>> two = parse_gc("(sel k (t A) (u B) l) (sel h (v A) (w B) r)")
    >>> [erase(act)[1] for act, _ in out_of_order(two)]
    ['t', 'v']
    """
    return list(_enabled(chor, frozenset(), frozenset()))


def _enabled(
    chor: Chor, blocked: frozenset[Thread], unfolded: frozenset[tuple[Chor, frozenset[Thread]]]
) -> Iterator[tuple[Act, Chor]]:
    """The steps that involve none of the blocked threads, which stand in front of what is looked at."""
    for i, step in enumerate(chor.steps):
        if not step.threads & blocked:
            rest = replace(chor, steps=chor.steps[i + 1 :])
            yield step, before(chor.steps[:i], _opened(step, rest))
        blocked |= step.threads
    steps = chor.steps
    match chor.last:
        case New(_, body):
            for act, after in _enabled(body, blocked, unfolded):
                yield act, before(steps, after)
        case Rec() as rec:
            key = (Chor((), rec), blocked)
            # With the same threads blocked, one more round shows nothing new.
            if key not in unfolded:
                for act, after in _enabled(unfold(rec), blocked, unfolded | {key}):
                    yield act, before(steps, after)
        case Cond(expr, thread, then, otherwise) as cond:
            if thread not in blocked:
                yield Branched(expr, thread, True), before(steps, then)
                yield Branched(expr, thread, False), before(steps, otherwise)
            inner = blocked | {thread}
            others = list(_enabled(otherwise, inner, unfolded))
            for act, after in _enabled(then, inner, unfolded):
                for act_, after_ in others:
                    if act == act_:
                        yield act, before(steps, Chor((), replace(cond, then=after, otherwise=after_)))
                        break


def reachable(chor: Chor, limit: int = 10_000) -> list[Chor]:
    """The states that `chor` can come to in order, itself first; raises ValueError when there are more than `limit`.

    >>> from klorpy.behaviour import parse_gc
    >>> len(reachable(parse_gc("(rec X (com k (t A) 1 (u B) x) (if (more x) u (call X) 0))")))
    3
    """
    first = state(chor)
    found = {first: None}
    todo = [first]
    while todo:
        for _, after in in_order(todo.pop()):
            after = state(after)
            if after not in found:
                if len(found) == limit:
                    raise ValueError(f"more than {limit} states")
                found[after] = None
                todo.append(after)
    return list(found)
