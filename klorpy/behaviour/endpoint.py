"""Endpoint projection of the global calculus: what one thread does.

    [C]_t = B                 raises KlorError `unmergeable` when t is not told of a choice that concerns it

In a conditional of another thread, the two behaviours of t are merged: equal operations stay, offers of one role in one
session are united, and what follows is merged; the names of sessions, variables and recursions do not matter, but the sorts
of values do, where they are known.

Sources: M. Carbone, K. Honda, N. Yoshida, "Structured communication-centred programming for web services" (2012);
M. Carbone, F. Montesi, "Deadlock-freedom-by-design" (2013).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import assert_never

from klorpy.behaviour.arguments import checked
from klorpy.behaviour.behaviours import (
    Accept,
    Again,
    Behaviour,
    Choose,
    Decide,
    Done,
    Ending,
    Input,
    Offer,
    Operation,
    Output,
    Repeat,
    Request,
    Told,
    parts,
)
from klorpy.behaviour.globalcalculus import (
    Apply,
    Call,
    Chor,
    Com,
    Cond,
    Expr,
    Interaction,
    Last,
    New,
    Nil,
    Rec,
    Sel,
    Start,
    Thread,
    Variable,
    require_depth,
    threads_of,
)
from klorpy.behaviour.sessiontyping import sort_of
from klorpy.core.diagnostics import Diagnostic, KlorError

# --- Projection -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Unaware:
    """A thread that is not told of a conditional, and what it would have to do in its branches."""

    thread: Thread
    cond: Cond = field(repr=False)
    one: str
    other: str

    def diagnostic(self, chor: Chor) -> Diagnostic:
        return Diagnostic(
            "unmergeable", f"{self.thread} is not told which branch of `if {self.cond.expr}` {self.cond.thread} takes: "
            f"it would have to {self.one} in one, and {self.other} in the other", self.cond.span,
            help=f"let a selection tell {self.thread}, with another label in each branch",
            source=chor.source if self.cond.span else None,
        )  # fmt: skip


class _NotTold(Exception):
    def __init__(self, unaware: Unaware) -> None:
        self.unaware = unaware


@checked
def endpoint(chor: Chor, thread: Thread) -> Behaviour:
    """What `thread` does. Raises KlorError `unmergeable`.

    >>> from klorpy.behaviour import parse_gc
    >>> chor = parse_gc('(start a k (u U) (c C)) (com k (u U) "secret" (c C) x)')
    >>> print(endpoint(chor, "c"))
    accept a k C; k[U→C]?x; 0
    """
    require_depth(chor)
    try:
        return _Projection(thread).body(chor)
    except _NotTold as failure:
        raise KlorError(failure.unaware.diagnostic(chor)) from None


@checked
def endpoints(chor: Chor) -> dict[Thread, Behaviour]:
    """What every thread does. Raises KlorError with all that are not told of a choice."""
    missing = unaware(chor)
    if missing:
        raise KlorError(*(m.diagnostic(chor) for m in missing))
    return {thread: endpoint(chor, thread) for thread in threads_of(chor)}


def unaware(chor: Chor) -> list[Unaware]:
    """For each thread that has no behaviour, the first conditional of which it is not told.

    >>> from klorpy.behaviour import parse_gc
    >>> lost = parse_gc("(start a k (t A) (u B)) (if (ok) t (sel k (t A) (u B) l) 0)")
    >>> [(u.thread, u.one, u.other) for u in unaware(lost)]
    [('u', "receive A's choice", 'stop')]
    """
    require_depth(chor)
    found: list[Unaware] = []
    for thread in threads_of(chor):
        try:
            _Projection(thread).body(chor)
        except _NotTold as failure:
            found.append(failure.unaware)
    return found


@dataclass(frozen=True)
class _Projection:
    thread: Thread

    def body(self, chor: Chor) -> Behaviour:
        following = self.last(chor.last)
        ops = [op for step in chor.steps if (op := self.step(step)) is not None]
        return Behaviour((*ops, *following.ops), following.last)

    def step(self, step: Interaction) -> Operation | None:
        match step:
            case Start(channel, session, players):
                if players[0].thread == self.thread:
                    return Request(channel, session, players)
                for player in players:
                    if player.thread == self.thread:
                        return Accept(channel, session, player.role, players[0].thread)
            case Com(session, sender, expr, receiver, variable):
                if sender.thread == self.thread:
                    return Output(session, sender.role, receiver.role, expr, step.sort)
                if receiver.thread == self.thread:
                    return Input(session, receiver.role, sender.role, variable, step.sort or sort_of(expr))
            case Sel(session, sender, receiver, label):
                if sender.thread == self.thread:
                    return Choose(session, sender.role, receiver.role, label)
                if receiver.thread == self.thread:
                    return Told(session, receiver.role, sender.role, label)
            case _:
                assert_never(step)
        return None

    def last(self, last: Last) -> Behaviour:
        match last:
            case Nil():
                return Behaviour()
            case Call(variable):
                return Behaviour((), Again(variable))
            case New(_, body):
                return self.body(body)
            case Rec(variable, body):
                return _repeat(variable, self.body(body))
            case Cond(expr, thread, then, otherwise):
                one, other = self.body(then), self.body(otherwise)
                if thread == self.thread:
                    return Behaviour((), Decide(expr, one, other))
                try:
                    return merged(one, other)
                except _Differ as reason:
                    raise _NotTold(Unaware(self.thread, last, *reason.args)) from None
            case _:
                assert_never(last)


def _repeat(variable: str, body: Behaviour) -> Behaviour:
    """A recursion; a thread that performs nothing before its calls is done."""
    calls = [b.last.variable for b in parts(body) if isinstance(b.last, Again)]
    if not any(b.ops or isinstance(b.last, (Offer, Decide)) for b in parts(body)):
        outer = [call for call in calls if call != variable]
        return Behaviour((), Again(outer[0])) if outer else Behaviour()
    return Behaviour((), Repeat(variable, body)) if variable in calls else body


# --- Merging ----------------------------------------------------------------------------------------------------------


class _Differ(Exception):
    """Two behaviours do not merge; the arguments are how each of them goes on."""


class _Names:
    """For the names of the second behaviour those that the first has for them, by kind: session, variable, recursion."""

    def __init__(self, known: Mapping[tuple[str, str], str | None] | None = None) -> None:
        #: None: the first behaviour has no name for it, since it uses that one for something else.
        self.known = dict(known or {})

    def copy(self) -> _Names:
        return _Names(self.known)

    def bind(self, kind: str, mine: str, theirs: str) -> None:
        """From here on `theirs` is what the first behaviour calls `mine`."""
        for key, name in self.known.items():
            if key[0] == kind and name == mine:
                self.known[key] = None
        if mine != theirs:
            self.known.setdefault((kind, mine), None)
        self.known[kind, theirs] = mine

    def of(self, kind: str, name: str) -> str:
        """What the first behaviour calls `name`; raises _Differ when it cannot name it."""
        found = self.known.get((kind, name), name)
        if found is None:
            raise _Differ(f"have another {name}", f"use {name}")
        return found

    def session(self, name: str) -> str:
        return self.of("session", name)

    def expr(self, expr: Expr) -> Expr:
        match expr:
            case Variable(name):
                return Variable(self.of("variable", name))
            case Apply(function, args):
                return Apply(function, tuple(map(self.expr, args)))
        return expr


def merged(first: Behaviour, second: Behaviour, names: _Names | None = None) -> Behaviour:
    """One behaviour for both branches; raises _Differ."""
    bound = names.copy() if names else _Names()
    same = 0
    for one, two in zip(first.ops, second.ops, strict=False):
        if not _same(one, two, bound):
            break
        same += 1
    if len(first.ops) == len(second.ops) == same:
        return Behaviour(first.ops, _merged_last(first.last, second.last, bound))
    mine, theirs = _offer(first, same), _offer(second, same)
    if mine is None or theirs is None:
        raise _Differ(*(_op_says(b.ops[same]) if len(b.ops) > same else _last_says(b.last) for b in (first, second)))
    return Behaviour(first.ops[:same], _merged_last(mine, theirs, bound))


def _offer(behaviour: Behaviour, at: int) -> Offer | None:
    """What is offered behind the first `at` operations; None when something else is done there."""
    if at == len(behaviour.ops):
        return behaviour.last if isinstance(behaviour.last, Offer) else None
    match behaviour.ops[at]:
        case Told(session, role, peer, label):
            return Offer(session, role, peer, ((label, Behaviour(behaviour.ops[at + 1 :], behaviour.last)),))
    return None


def _same(one: Operation, two: Operation, names: _Names) -> bool:
    """Whether the operations are equal up to `names`, which gets what they bind."""
    match one, two:
        case (Request() | Accept(), Request() | Accept()):
            same = replace(two, session=one.session) == one
            if same:
                names.bind("session", one.session, two.session)
            return same
        case Output(), Output():
            return replace(two, session=names.session(two.session), expr=names.expr(two.expr)) == one
        case Input(), Input():
            # Without a label to tell by, what is received has to be of one sort.
            sorts = {one.sort, two.sort} - {None}
            same = replace(two, session=names.session(two.session), variable=one.variable) == one and len(sorts) < 2
            if same:
                names.bind("variable", one.variable, two.variable)
            return same
        case (Choose(), Choose()) | (Told(), Told()):
            return replace(two, session=names.session(two.session)) == one
    return False


def _merged_last(one: Ending, two: Ending, names: _Names) -> Ending:
    match one, two:
        case Done(), Done():
            return one
        case Again(variable), Again(other) if names.of("recursion", other) == variable:
            return one
        case Repeat(variable, body), Repeat(other, body_):
            inner = names.copy()
            inner.bind("recursion", variable, other)
            return Repeat(variable, merged(body, body_, inner))
        case Decide(expr, then, otherwise), Decide(expr_, then_, otherwise_) if names.expr(expr_) == expr:
            return Decide(expr, merged(then, then_, names), merged(otherwise, otherwise_, names))
        case Offer(session, role, peer, branches), Offer(session_, role_, peer_, branches_) if (
            (session, role, peer) == (names.session(session_), role_, peer_)
        ):
            united = dict(branches)
            for label, body in branches_:
                united[label] = merged(united[label], body, names) if label in united else _in_names(body, names)
            return Offer(session, role, peer, tuple(united.items()))
    raise _Differ(_last_says(one), _last_says(two))


def _in_names(behaviour: Behaviour, names: _Names) -> Behaviour:
    """A behaviour of the second branch with the names of the first."""
    bound = names.copy()
    ops: list[Operation] = []
    for op in behaviour.ops:
        match op:
            case Request() | Accept():
                bound.bind("session", op.session, op.session)
                ops.append(op)
            case Output():
                ops.append(replace(op, session=bound.session(op.session), expr=bound.expr(op.expr)))
            case Input():
                ops.append(replace(op, session=bound.session(op.session)))
                bound.bind("variable", op.variable, op.variable)
            case Choose() | Told():
                ops.append(replace(op, session=bound.session(op.session)))
    match behaviour.last:
        case Offer(session, _, _, branches) as offer:
            last: Ending = replace(
                offer, session=bound.session(session),
                branches=tuple((label, _in_names(body, bound)) for label, body in branches),
            )  # fmt: skip
        case Decide(expr, then, otherwise):
            last = Decide(bound.expr(expr), _in_names(then, bound), _in_names(otherwise, bound))
        case Repeat(variable, body):
            bound.bind("recursion", variable, variable)
            last = Repeat(variable, _in_names(body, bound))
        case Again(variable):
            last = Again(bound.of("recursion", variable))
        case other:
            last = other
    return Behaviour(tuple(ops), last)


def _op_says(op: Operation) -> str:
    match op:
        case Request():
            return f"begin a session of {op.channel}"
        case Accept():
            return f"join a session of {op.channel}"
        case Output():
            return f"send {op.expr} to {op.peer}"
        case Input():
            return f"receive {f'<{op.sort}>' if op.sort else 'a value'} from {op.peer}"
        case Choose():
            return f"tell {op.peer} {op.label}"
        case Told():
            return f"receive {op.peer}'s choice"
        case _:
            assert_never(op)


def _last_says(last: Ending) -> str:
    match last:
        case Done():
            return "stop"
        case Offer(_, _, peer, _):
            return f"receive {peer}'s choice"
        case Decide(expr, _, _):
            return f"decide {expr}"
        case Repeat(_, body):
            return _op_says(body.ops[0]) if body.ops else _last_says(body.last)
        case Again(variable):
            return f"start {variable} again"
        case _:
            assert_never(last)
