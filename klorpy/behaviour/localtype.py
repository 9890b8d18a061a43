"""Local types: one role's part of a session.

    L ::= A*                                  one thing after the other; nothing more is `end`
    A ::= q!l(S, …)                           send q the message l                            Send
        | q?l(S, …)                           receive it from q                               Receive
        | choice at q { L … }                 q goes one of several ways                      LocalChoice
        | mu t. L | t                         recursion                                       LocalRec, LocalContinue

In a choice at the role itself every branch starts with sending (a *selection*, `q+{l: L, …}`); in a choice at another
role every branch starts with receiving from it (an *offer*, `q&{l: L, …}`). A label of None is a bare value, `q!<S>`.

`text` is the notation as s-expressions, `str` that of the papers:

    A ::= (! q S) | (! q (l S*)) | (? q S) | (? q (l S*)) | (+ q (l A*) …) | (& q (l A*) …)
        | (choice q [A*] …) | (mu t A*) | t | end

Source: K. Honda, N. Yoshida, M. Carbone, "Multiparty asynchronous session types" (2008).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias, assert_never

from klorpy.behaviour.globaltype import Content, Label, Sort, sexpr_content, word
from klorpy.core.types import Role


@dataclass(frozen=True, slots=True)
class LocalType:
    """What a role does, one after the other. No actions: `end`."""

    actions: tuple[Action, ...] = ()

    @property
    def text(self) -> str:
        """The type as s-expressions."""
        return sexpr(self)

    def __str__(self) -> str:
        return infix(self)


@dataclass(frozen=True, slots=True)
class Send:
    """Send `peer` a message."""

    peer: Role
    label: Label | None = None
    payload: tuple[Sort, ...] = ()

    @property
    def content(self) -> Content:
        return Content(self.label, self.payload)


@dataclass(frozen=True, slots=True)
class Receive:
    """Receive a message from `peer`."""

    peer: Role
    label: Label | None = None
    payload: tuple[Sort, ...] = ()

    @property
    def content(self) -> Content:
        return Content(self.label, self.payload)


@dataclass(frozen=True, slots=True)
class LocalChoice:
    """`role` chooses a branch: the role whose type this is, or one that announces it by the first message."""

    role: Role
    branches: tuple[LocalType, ...]


@dataclass(frozen=True, slots=True)
class LocalRec:
    """`body`, in which `variable` stands for all of this again."""

    variable: str
    body: LocalType


@dataclass(frozen=True, slots=True)
class LocalContinue:
    """Back to the binder of `variable`."""

    variable: str


Action: TypeAlias = Send | Receive | LocalChoice | LocalRec | LocalContinue

END: Final = LocalType()


def actions_of(type_: LocalType) -> Iterator[Action]:
    """All actions of a type, outer ones before inner ones, in the order of the text."""
    todo = list(reversed(type_.actions))
    while todo:
        action = todo.pop()
        yield action
        match action:
            case LocalChoice(_, branches):
                todo += [inner for branch in reversed(branches) for inner in reversed(branch.actions)]
            case LocalRec(_, body):
                todo += reversed(body.actions)


# --- Types as text ----------------------------------------------------------------------------------------------------


def _shared(choice: LocalChoice) -> tuple[type[Send] | type[Receive], Role] | None:
    """How every branch starts, when all start with a labelled message in the same direction and with the same peer."""
    starts: set[tuple[type[Send] | type[Receive], Role]] = set()
    for branch in choice.branches:
        match branch.actions[:1]:
            case (Send(peer, str()) | Receive(peer, str()) as first,):
                starts.add((type(first), peer))
            case _:
                return None
    return starts.pop() if len(starts) == 1 else None


def sexpr(type_: LocalType) -> str:
    """The type as s-expressions.

    >>> sexpr(LocalType((Receive("u", None, ("str",)), Send("f", "ok"))))
    '(? u str) (! f (ok))'
    """
    return " ".join(map(_sexpr_action, type_.actions)) or "end"


def _sexpr_action(action: Action) -> str:
    match action:
        case Send(peer):
            return f"(! {peer} {sexpr_content(action.content)})"
        case Receive(peer):
            return f"(? {peer} {sexpr_content(action.content)})"
        case LocalChoice(role, branches):
            shared = _shared(action)
            if shared is None:
                return f"(choice {role} {' '.join(f'[{sexpr(branch)}]' for branch in branches)})"
            kind, peer = shared
            return f"({'+' if kind is Send else '&'} {peer} {' '.join(map(_sexpr_branch, branches))})"
        case LocalRec(variable, body):
            return f"(mu {variable} {sexpr(body)})"
        case LocalContinue(variable):
            return variable
        case _:
            assert_never(action)


def _sexpr_branch(branch: LocalType) -> str:
    first, *rest = branch.actions
    assert isinstance(first, (Send, Receive))
    assert first.label is not None
    label = word(first.label) if not first.payload else sexpr_content(first.content)
    return f"({label} {sexpr(LocalType(tuple(rest)))})"


def infix(type_: LocalType) -> str:
    """The type in the notation of the papers.

    >>> infix(LocalType((LocalRec("t", LocalType((Send("c", None, ("str",)), LocalContinue("t")))),)))
    'mu t. c!<str>; t'
    """
    parts = [_infix_action(action) for action in type_.actions]
    if not parts or isinstance(type_.actions[-1], (Send, Receive)):
        parts.append("end")
    return "; ".join(parts)


def _infix_action(action: Action) -> str:
    match action:
        case Send(peer):
            return f"{peer}!{action.content}"
        case Receive(peer):
            return f"{peer}?{action.content}"
        case LocalChoice(role, branches):
            shared = _shared(action)
            if shared is None:
                return f"{role}{{{' | '.join(map(infix, branches))}}}"
            kind, peer = shared
            return f"{peer}{'+' if kind is Send else '&'}{{{', '.join(map(_infix_branch, branches))}}}"
        case LocalRec(variable, body):
            return f"mu {variable}. {infix(body)}"
        case LocalContinue(variable):
            return variable
        case _:
            assert_never(action)


def _infix_branch(branch: LocalType) -> str:
    first, *rest = branch.actions
    assert isinstance(first, (Send, Receive))
    return f"{first.content}: {infix(LocalType(tuple(rest)))}"
