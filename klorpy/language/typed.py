"""The typed tree: every node with its type and the roles that it mentions; places are no longer written, they are types.

    t ::= Leaf | Local | Copy | Narrow | Pack | Unpack | Agree | Chor | Inst | Call
        | Do | Let | If | Junction | Case | Loop | Recur | Await

`mentions` is ρ of the judgement, but for what a `recur` inside adds: that is all roles of its block, which are not
known before the block ends. `recurs` says that there is such a `recur`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from klorpy.core.endpoint import Binding
from klorpy.core.spans import Span
from klorpy.core.types import Arrow, Role, Roles, Type
from klorpy.language.surface import Binder, Callee, HostPattern, Rebuild, Scope

if TYPE_CHECKING:
    from klorpy.language.hy_adapter import Form


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    type: Type
    mentions: Roles
    recurs: bool = field(kw_only=True, default=False)
    span: Span = field(kw_only=True)
    form: Form = field(kw_only=True, repr=False)

    def involves(self, role: Role) -> bool:
        """Whether `role` has anything to do here, given that it has in the block around."""
        return self.recurs or role in self.mentions


@dataclass(frozen=True, slots=True, eq=False)
class Leaf(Node):
    """Host code at the roles of its type: children first, then the form that `rebuild` makes with them."""

    children: tuple[Typed, ...]
    rebuild: Rebuild = field(repr=False)
    scope: Scope = field(repr=False)
    #: Left to Hy whole: the names in it are resolved by Hy, under the locals of `scope`.
    opaque: bool = False
    #: Reading it early or late makes no difference.
    stable: bool = False
    #: The first child is a function that is called with the others.
    is_call: bool = False
    #: Python would evaluate the children in another order than that of the text.
    reordered: bool = False
    #: The kind of form, for messages about what is found inside when it is compiled.
    slug: str = "homogeneous-form"


@dataclass(frozen=True, slots=True, eq=False)
class Local(Node):
    binding: Binding


@dataclass(frozen=True, slots=True, eq=False)
class Copy(Node):
    source: Role
    target: Role
    body: Typed


@dataclass(frozen=True, slots=True, eq=False)
class Narrow(Node):
    body: Typed


@dataclass(frozen=True, slots=True, eq=False)
class Pack(Node):
    items: tuple[Typed, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Unpack(Node):
    bindings: tuple[tuple[Binder, Typed], ...]
    body: Typed
    locals: Mapping[Binding, Type] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Agree(Node):
    items: tuple[Typed, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Chor(Node):
    """`arrow` is the type; `repeats` says that the body is a recur block that is repeated."""

    arrow: Arrow
    self_name: Binding | None
    params: tuple[Binder, ...]
    body: Typed
    locals: Mapping[Binding, Type] = field(repr=False)
    repeats: bool


@dataclass(frozen=True, slots=True, eq=False)
class Inst(Node):
    callee: Callee
    roles: tuple[Role, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Call(Node):
    arrow: Arrow
    callee: Typed
    args: tuple[Typed, ...]
    #: The entry of a scope: the callee, an instance, is looked up anew.
    updatable: bool = False
    #: … and its leader goes on when all others are done.
    barrier: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Do(Node):
    items: tuple[Typed, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Let(Node):
    bindings: tuple[tuple[Binding | HostPattern, Typed], ...]
    body: Typed
    locals: Mapping[Binding, Type] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class If(Node):
    guard: Typed
    then: Typed
    orelse: Typed


@dataclass(frozen=True, slots=True, eq=False)
class Junction(Node):
    is_and: bool
    items: tuple[Typed, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Clause:
    """`constants` of a case, or a `pattern` of a match: a leaf that gives a tuple of the captures, or None."""

    constant: Typed | None
    pattern: list[Form] = field(repr=False)
    bindings: tuple[Binding, ...]
    scope: Scope = field(repr=False)
    body: Typed
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Case(Node):
    subject: Typed
    clauses: tuple[Clause, ...]
    default: Typed | None


@dataclass(frozen=True, slots=True, eq=False)
class Loop(Node):
    bindings: tuple[tuple[Binding, Typed], ...]
    body: Typed
    locals: Mapping[Binding, Type] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Recur(Node):
    args: tuple[Typed, ...]
    params: tuple[Binder, ...]
    param_types: tuple[Type, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Await(Node):
    body: Typed


Typed: TypeAlias = (
    Leaf | Local | Copy | Narrow | Pack | Unpack | Agree | Chor | Inst | Call
    | Do | Let | If | Junction | Case | Loop | Recur | Await
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Definition:
    """A checked definition: its signature's arrow, all roles inferred, and its body."""

    arrow: Arrow
    params: tuple[Binder, ...]
    locals: Mapping[Binding, Type]
    body: Typed
    repeats: bool
