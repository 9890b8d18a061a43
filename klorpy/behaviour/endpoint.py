"""Endpoint projection of the global calculus: what one thread does.

    [C]_t = B                 raises KlorError `unmergeable` when t is not told of a choice that concerns it

    B  ::= op* last
    op ::= request a k (p …)      begin a session and wait until all have joined     Request
         | accept a k p           join a session as p                                Accept
         | k[p→q]!e | k[q→p]?x    send a value, receive one                          Output, Input
         | k[p→q]!l               tell which branch is taken                         Choose
    last ::= 0 | k[q→p]?{l: B, …} | if e B B | rec X B | call X                      Done, Offer, Decide, Repeat, Again

In a conditional of another thread, the two behaviours of t are merged: equal operations stay, offers of one role in one
session are united, and what follows is merged; the names of sessions, variables and recursions do not matter.

Sources: M. Carbone, K. Honda, N. Yoshida, "Structured communication-centred programming for web services" (2012);
M. Carbone, F. Montesi, "Deadlock-freedom-by-design" (2013).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias, assert_never

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
    Player,
    Rec,
    Sel,
    Start,
    Thread,
    Variable,
    require_depth,
    threads_of,
)
from klorpy.behaviour.globaltype import Label, Sort
from klorpy.behaviour.localtype import Action, LocalChoice, LocalContinue, LocalRec, LocalType, Receive, Send
from klorpy.behaviour.sessiontyping import sort_of
from klorpy.core.diagnostics import Diagnostic, KlorError
from klorpy.core.types import Role


@dataclass(frozen=True, slots=True)
class Request:
    """Begin a session: invite the other players."""

    channel: str
    session: str
    players: tuple[Player, ...]

    def __str__(self) -> str:
        return f"request {self.channel} {self.session} ({' '.join(player.role for player in self.players)})"


@dataclass(frozen=True, slots=True)
class Accept:
    """Join the session that `initiator` begins, as `role`."""

    channel: str
    session: str
    role: Role
    initiator: Thread

    def __str__(self) -> str:
        return f"accept {self.channel} {self.session} {self.role}"


@dataclass(frozen=True, slots=True)
class Output:
    """As `role`, send a value to `peer`."""

    session: str
    role: Role
    peer: Role
    expr: Expr
    sort: Sort | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.session}[{self.role}→{self.peer}]!{self.expr}"


@dataclass(frozen=True, slots=True)
class Input:
    """As `role`, receive a value from `peer`."""

    session: str
    role: Role
    peer: Role
    variable: str
    sort: Sort | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.session}[{self.peer}→{self.role}]?{self.variable}"


@dataclass(frozen=True, slots=True)
class Choose:
    """As `role`, tell `peer` that a branch is taken."""

    session: str
    role: Role
    peer: Role
    label: Label

    def __str__(self) -> str:
        return f"{self.session}[{self.role}→{self.peer}]!{self.label}"


Operation: TypeAlias = Request | Accept | Output | Input | Choose


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing more."""


@dataclass(frozen=True, slots=True)
class Offer:
    """As `role`, go on as `peer` tells."""

    session: str
    role: Role
    peer: Role
    branches: tuple[tuple[Label, Behaviour], ...]


@dataclass(frozen=True, slots=True)
class Decide:
    """Go one way or the other."""

    expr: Expr
    then: Behaviour
    otherwise: Behaviour


@dataclass(frozen=True, slots=True)
class Repeat:
    """`body`, in which `variable` stands for all of this again."""

    variable: str
    body: Behaviour


@dataclass(frozen=True, slots=True)
class Again:
    """Back to the binder of `variable`."""

    variable: str


Final_: TypeAlias = Done | Offer | Decide | Repeat | Again

DONE: Final = Done()


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a thread does."""

    ops: tuple[Operation, ...] = ()
    last: Final_ = DONE

    def __str__(self) -> str:
        return "; ".join([*map(str, self.ops), _last_text(self.last)])


def _last_text(last: Final_) -> str:
    match last:
        case Done():
            return "0"
        case Offer(session, role, peer, branches):
            inner = ", ".join(f"{label}: {body}" for label, body in branches)
            return f"{session}[{peer}→{role}]?{{{inner}}}"
        case Decide(expr, then, otherwise):
            return f"if {expr} {{{then}}} else {{{otherwise}}}"
        case Repeat(variable, body):
            return f"rec {variable}. {body}"
        case Again(variable):
            return variable
        case _:
            assert_never(last)


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
        behaviour = self.last(chor.last)
        ops: list[Operation] = []
        for step in reversed(chor.steps):
            part = self.step(step)
            if isinstance(part, Offer):
                [(label, _)] = part.branches
                following = Behaviour((*reversed(ops), *behaviour.ops), behaviour.last)
                behaviour, ops = Behaviour((), replace(part, branches=((label, following),))), []
            elif part is not None:
                ops.append(part)
        return Behaviour((*reversed(ops), *behaviour.ops), behaviour.last)

    def step(self, step: Interaction) -> Operation | Offer | None:
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
                    return Offer(session, receiver.role, sender.role, ((label, Behaviour()),))
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


def parts(behaviour: Behaviour) -> Iterator[Behaviour]:
    """The behaviour and all behaviours in it, outer ones first."""
    todo = [behaviour]
    while todo:
        part = todo.pop()
        yield part
        match part.last:
            case Offer(_, _, _, branches):
                todo += [body for _, body in reversed(branches)]
            case Decide(_, then, otherwise):
                todo += [otherwise, then]
            case Repeat(_, body):
                todo.append(body)


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
    count = min(len(first.ops), len(second.ops))
    for one, two in zip(first.ops, second.ops, strict=False):
        if not _same(one, two, bound):
            raise _Differ(_op_says(one), _op_says(two))
    if len(first.ops) != len(second.ops):
        raise _Differ(*(
            _op_says(b.ops[count]) if len(b.ops) > count else _last_says(b.last) for b in (first, second)
        ))  # fmt: skip
    return Behaviour(first.ops, _merged_last(first.last, second.last, bound))


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
            same = replace(two, session=names.session(two.session), variable=one.variable) == one
            if same:
                names.bind("variable", one.variable, two.variable)
            return same
        case Choose(), Choose():
            return replace(two, session=names.session(two.session)) == one
    return False


def _merged_last(one: Final_, two: Final_, names: _Names) -> Final_:
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
            case Choose():
                ops.append(replace(op, session=bound.session(op.session)))
    match behaviour.last:
        case Offer(session, _, _, branches) as offer:
            last: Final_ = replace(
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
            return f"receive a value from {op.peer}"
        case Choose():
            return f"tell {op.peer} {op.label}"
        case _:
            assert_never(op)


def _last_says(last: Final_) -> str:
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


# --- Local types ------------------------------------------------------------------------------------------------------


def session_type(behaviour: Behaviour, session: str) -> LocalType:
    """What a behaviour does in one session, when it opens that before any recursion and no other.

    >>> from klorpy.behaviour import parse_gc
    >>> chor = parse_gc('(start a k (u U) (c C)) (com k (u U) "secret" (c C) x) (sel k (c C) (u U) ok)')
    >>> print(session_type(endpoint(chor, "u"), "k"))
    C!<str>; C?ok; end
    """
    actions: list[Action] = []
    for op in behaviour.ops:
        match op:
            case Output() if op.session == session:
                actions.append(Send(op.peer, None, (op.sort or sort_of(op.expr) or "any",)))
            case Input() if op.session == session:
                actions.append(Receive(op.peer, None, (op.sort or "any",)))
            case Choose() if op.session == session:
                actions.append(Send(op.peer, op.label))
    match behaviour.last:
        case Offer(name, _, peer, branches) if name == session:
            options = tuple(
                LocalType((Receive(peer, label), *session_type(body, session).actions)) for label, body in branches
            )
            actions += options[0].actions if len(options) == 1 else (LocalChoice(peer, options),)
        case Decide(_, then, otherwise):
            actions.append(LocalChoice("", (session_type(then, session), session_type(otherwise, session))))
        case Repeat(variable, body):
            actions.append(LocalRec(variable, session_type(body, session)))
        case Again(variable):
            actions.append(LocalContinue(variable))
    return LocalType(tuple(actions))
