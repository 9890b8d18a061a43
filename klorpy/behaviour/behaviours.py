"""What one thread does: the trees that choreographies of the calculus are projected to.

    B  ::= op* last
    op ::= request a k (p …)      begin a session and wait until all have joined     Request
         | accept a k p           join a session as p                                Accept
         | k[p→q]!e | k[q→p]?x    send a value, receive one                          Output, Input
         | k[p→q]!l | k[q→p]?l    tell which branch is taken, be told                Choose, Told
    last ::= 0 | k[q→p]?{l: B, …} | if e B B | rec X B | call X                      Done, Offer, Decide, Repeat, Again

Source: M. Carbone, K. Honda, N. Yoshida, "Structured communication-centred programming for web services" (2012).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias, assert_never

from klorpy.behaviour.globalcalculus import Expr, Player, Thread
from klorpy.behaviour.globaltype import Label, Sort
from klorpy.behaviour.localtype import Action, LocalChoice, LocalContinue, LocalRec, LocalType, Receive, Send
from klorpy.behaviour.sessiontyping import sort_of
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


@dataclass(frozen=True, slots=True)
class Told:
    """As `role`, be told by `peer` that a branch is taken; there is no other."""

    session: str
    role: Role
    peer: Role
    label: Label

    def __str__(self) -> str:
        return f"{self.session}[{self.peer}→{self.role}]?{self.label}"


Operation: TypeAlias = Request | Accept | Output | Input | Choose | Told


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


Ending: TypeAlias = Done | Offer | Decide | Repeat | Again

DONE: Final = Done()


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a thread does."""

    ops: tuple[Operation, ...] = ()
    last: Ending = DONE

    def __str__(self) -> str:
        return "; ".join([*map(str, self.ops), _last_text(self.last)])


def _last_text(last: Ending) -> str:
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


# --- Local types ------------------------------------------------------------------------------------------------------


def session_type(behaviour: Behaviour, session: str) -> LocalType:
    """What a behaviour does in one session, when it opens that before any recursion and no other.

    >>> from klorpy.behaviour import endpoint, parse_gc
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
            case Told() if op.session == session:
                actions.append(Receive(op.peer, op.label))
    match behaviour.last:
        case Offer(name, _, peer, branches) if name == session:
            actions.append(LocalChoice(peer, tuple(
                LocalType((Receive(peer, label), *session_type(body, session).actions)) for label, body in branches
            )))  # fmt: skip
        case Decide(_, then, otherwise):
            actions.append(LocalChoice("", (session_type(then, session), session_type(otherwise, session))))
        case Repeat(variable, body):
            actions.append(LocalRec(variable, session_type(body, session)))
        case Again(variable):
            actions.append(LocalContinue(variable))
    return LocalType(tuple(actions))
