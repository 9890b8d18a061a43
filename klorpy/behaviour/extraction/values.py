"""What a choreography's values are to the one who extracts its protocol, and who knows them since when.

    v ::= Const | Val | Op(f, v*)                 host values: written out, somebody's, or computed from others by all who know these
        | Group(v*) | Instance | Closure | Unknown      tuples and choreographies

A host value is never computed. What matters of it is who knows it, and which message told: then a decision that depends
on it can be read off that message. *Ranks* order messages and the computations between them. A *shape* is an expression
seen from one value in it, the hole: it names a decision that a message of that value is to announce, before the run in
which the decision is taken.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from klorpy.core.types import Role, Roles


@dataclass(frozen=True, slots=True)
class Const:
    """A literal, or what literals give; `folded` says that it was computed, so that there may be no end of such values."""

    kind: str
    text: str
    value: Any = field(compare=False)
    folded: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Val:
    """A value of which nothing is known but where it was made."""

    number: int


@dataclass(frozen=True, slots=True)
class Op:
    """What `roles` compute, each for itself, from values that they know."""

    function: Hashable
    args: tuple[Expr, ...]
    roles: Roles
    text: str = field(compare=False)


@dataclass(frozen=True, slots=True)
class Group:
    items: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Unknown:
    """A choreography that somebody else gives."""

    roles: Roles


Expr: TypeAlias = Const | Val | Op
#: `Instance` and `Closure` are those of the machine.
Value: TypeAlias = Any

HOLE: Final = "the value"


@dataclass(frozen=True, slots=True)
class Carried:
    """A message, by its rank and the copy that sends it, and what it carries."""

    rank: int
    copy: Hashable
    value: Expr
    sender: Role


@dataclass(frozen=True, slots=True)
class Known:
    """Who knows a value since when, by which messages, and where it was made."""

    holders: tuple[tuple[Role, int], ...]
    messages: tuple[Carried, ...] = ()
    made: Hashable = None
    #: The local that a computed constant was given to: looked at more closely when a decision depends on it.
    folded: Any = None

    def since(self, role: Role) -> int | None:
        return next((rank for holder, rank in self.holders if holder == role), None)

    def told(self, role: Role, message: Carried) -> Known:
        if self.since(role) is not None:
            return self
        return Known((*self.holders, (role, message.rank)), (*self.messages, message), self.made, self.folded)


Knowledge: TypeAlias = Mapping[Expr, Known]


def knows(role: Role, value: Expr, knowledge: Knowledge) -> int | None:
    """The rank since which `role` knows a value; None when it does not."""
    known = knowledge.get(value)
    if known is not None and known.folded is not None:
        return 0
    direct = known.since(role) if known is not None else None
    match value:
        case Const():
            return 0
        case Op(args=args, roles=roles) if role in roles:
            ranks = [knows(role, arg, knowledge) for arg in args]
            if None not in ranks:
                own = max((rank for rank in ranks if rank is not None), default=0)
                return own if direct is None else min(own, direct)
    return direct


def parts(value: Expr) -> Iterator[Expr]:
    """An expression and all expressions in it."""
    todo = [value]
    while todo:
        current = todo.pop()
        yield current
        if isinstance(current, Op):
            todo += current.args


def announcement(value: Expr, knowledge: Knowledge) -> Carried | None:
    """The message that announces what is decided by a value: the first one that carried it, or else the first from which on
    all that it is computed from had been sent. Its sender has to know the value then; None when there is no such message.
    """
    known = knowledge.get(value)
    messages = {message.rank: message for message in known.messages} if known is not None else {}
    if isinstance(value, Op):
        told = [message.rank for arg in value.args if (message := announcement(arg, knowledge)) is not None]
        for part in parts(value) if told else ():
            entry = knowledge.get(part)
            messages |= {m.rank: m for m in (entry.messages if entry is not None else ()) if m.rank >= max(told)}
    for rank in sorted(messages):
        since = knows(messages[rank].sender, value, knowledge)
        if since is not None and since <= rank:
            return messages[rank]
    return None


def shape(value: Expr, hole: Expr, knowledge: Knowledge) -> Hashable:
    """`value` with a hole for one value in it, and where others were made in the place of them."""
    if value == hole:
        return HOLE
    match value:
        case Op(function, args, _):
            return ("op", function, *(shape(arg, hole, knowledge) for arg in args))
        case Val():
            known = knowledge.get(value)
            return ("made", known.made if known is not None else None)
    return value


def is_open(shape_: Hashable) -> bool:
    """Whether a shape depends on other values than the hole."""
    if isinstance(shape_, tuple):
        return shape_[0] == "made" or any(is_open(part) for part in shape_[2:])
    return False


def covered(value: Expr, hole: Expr) -> bool:
    """Whether a decision on `value` is one on `hole` alone."""
    if value == hole or isinstance(value, Const):
        return True
    return isinstance(value, Op) and all(covered(arg, hole) for arg in value.args)
