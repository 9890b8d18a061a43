"""The surface tree: what the user wrote, names resolved and macros expanded, not yet typed.

    e ::= Host | Local | Lifting | Copy | Narrow | Pack | Unpack | Agree | Chor | Inst | Apply
        | Updatable | Region | Do | Let | If | Junction | Case | Match | Loop | Recur | Await | Opaque | Bad

Every node has the span and the text of its form. `Host` is any form that an agreement operator can run: its
children are evaluated first, then `rebuild` makes the Hy form in which they stand. An `Opaque` form (a function,
a `try`, a comprehension) is left to Hy whole. `Bad` stands where an error was reported already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from klorpy.core.choreography import Choreography
from klorpy.core.endpoint import Binding
from klorpy.core.spans import Span
from klorpy.core.types import Arrow, Role, Signature, Type

if TYPE_CHECKING:
    from klorpy.language.hy_adapter import Form


#: Locals in scope: mangled name -> binding. Never changed in place.
Scope: TypeAlias = Mapping[str, Binding]
#: A binder of `unpack`: a name, None for `_`, or a vector of binders.
Binder: TypeAlias = "Binding | tuple[Binder, ...] | None"
Rebuild: TypeAlias = Callable[[list[Any]], Any]


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    span: Span = field(kw_only=True)
    form: Form = field(kw_only=True, repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Bad(Node):
    pass


@dataclass(frozen=True, slots=True, eq=False)
class Host(Node):
    """A host form: a literal (no children), a name, an operator, a collection, an attribute.

    `element` makes a wrong child a `collection-element` instead of an `agreement-op-arg`; `stable` says that the
    value is the same whenever it is read; `lazy` that children may not be evaluated at all.
    """

    children: tuple[Surface, ...]
    rebuild: Rebuild = field(repr=False)
    scope: Scope = field(repr=False)
    element: bool = False
    stable: bool = False
    callee: str | None = None
    #: Python would evaluate the children in another order than that of the text.
    reordered: bool = False
    literal: bool = False
    #: Nothing is written: the None of an empty body or of a missing branch, at the form that lacks it.
    absent: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Opaque(Node):
    """A homogeneous form: one place, compiled by Hy as it stands. `slug` names the error when it is not."""

    slug: str
    scope: Scope = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Local(Node):
    binding: Binding


@dataclass(frozen=True, slots=True, eq=False)
class Lifting(Node):
    roles: tuple[Role, ...]
    body: Surface


@dataclass(frozen=True, slots=True, eq=False)
class Copy(Node):
    source: Role
    target: Role
    body: Surface


@dataclass(frozen=True, slots=True, eq=False)
class Narrow(Node):
    roles: tuple[Role, ...]
    body: Surface


@dataclass(frozen=True, slots=True, eq=False)
class Pack(Node):
    items: tuple[Surface, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Unpack(Node):
    bindings: tuple[tuple[Binder, Surface, Span], ...]
    body: Surface


@dataclass(frozen=True, slots=True, eq=False)
class Agree(Node):
    items: tuple[Surface, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ChorType:
    """A written arrow: `aux` is None where the auxiliary part was left out."""

    params: tuple[Type, ...]
    result: Type
    aux: frozenset[Role] | None

    def arrow(self, inferred: frozenset[Role] = frozenset()) -> Arrow:
        return Arrow(self.params, self.result, inferred if self.aux is None else self.aux)


@dataclass(frozen=True, slots=True, eq=False)
class Chor(Node):
    self_name: Binding | None
    type: ChorType
    type_span: Span
    params: tuple[Binder, ...]
    param_spans: tuple[Span, ...]
    body: Surface


@dataclass(frozen=True, slots=True, eq=False)
class Callee:
    """A choreography that a name resolves to while the text is compiled, perhaps before it exists at run time."""

    name: str
    signature: Signature
    form: Form = field(repr=False)
    value: Choreography | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Inst(Node):
    callee: Callee
    roles: tuple[Role, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Apply(Node):
    """`(f arg*)` where `f` is a value: an agreement operator or a choreography, as its type will tell.

    `plain` says that the arguments are plain (no keywords, no unpacking), as a choreography needs.
    """

    head: Surface
    args: tuple[Surface, ...]
    rebuild: Rebuild = field(repr=False)
    scope: Scope = field(repr=False)
    plain: bool
    #: As in Host.
    reordered: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Updatable(Node):
    """`(scope call)`: the callee may be replaced while runs are under way.

    With `barrier`, the leader goes on when all others have said that they are done.
    """

    call: Apply
    barrier: bool


@dataclass(frozen=True, slots=True, eq=False)
class Region(Node):
    """`(scope name [R+] body*)`: a body that becomes a choreography of its own, and is called here as by Updatable.

    `roles` is None where the vector was left out. `locals` are those in reach, as they are called around the body and in it.
    """

    name: str
    name_span: Span
    roles: tuple[Role, ...] | None
    locals: tuple[tuple[Binding, Binding], ...]
    body: Surface
    barrier: bool


@dataclass(frozen=True, slots=True, eq=False)
class Do(Node):
    items: tuple[Surface, ...]


@dataclass(frozen=True, slots=True, eq=False)
class HostPattern:
    """Host destructuring: bindings in order, and a function from the value's form to the form of `#(part …)`."""

    bindings: tuple[Binding, ...]
    parts: Callable[[Any], Any] = field(repr=False)
    scope: Scope = field(repr=False)
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Let(Node):
    bindings: tuple[tuple[Binding | HostPattern, Surface], ...]
    body: Surface


@dataclass(frozen=True, slots=True, eq=False)
class If(Node):
    guard: Surface
    then: Surface
    orelse: Surface


@dataclass(frozen=True, slots=True, eq=False)
class Junction(Node):
    """`and`, `or` with two operands at least."""

    is_and: bool
    items: tuple[Surface, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Clause:
    """A clause of `case` (constants) or `match` (a pattern with its guard)."""

    constants: tuple[Surface, ...]
    pattern: Form = field(repr=False)
    guard: Surface | None
    bindings: tuple[Binding, ...]
    scope: Scope = field(repr=False)
    body: Surface
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Case(Node):
    """`default` is None when no clause was given for the rest: then nothing matching is an error."""

    subject: Surface
    clauses: tuple[Clause, ...]
    default: Surface | None
    is_match: bool
    scope: Scope = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Loop(Node):
    bindings: tuple[tuple[Binding, Surface], ...]
    body: Surface


@dataclass(frozen=True, slots=True, eq=False)
class Recur(Node):
    args: tuple[Surface, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Await(Node):
    body: Surface


Surface: TypeAlias = (
    Bad | Host | Opaque | Local | Lifting | Copy | Narrow | Pack | Unpack | Agree | Chor | Inst | Apply
    | Updatable | Region | Do | Let | If | Junction | Case | Loop | Recur | Await
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Defchor:
    """A definition as written: `body` is None for a declaration, a list of forms before analysis otherwise."""

    name: str
    roles: tuple[Role, ...]
    type: ChorType
    params: tuple[Binder, ...]
    param_spans: tuple[Span, ...]
    param_texts: tuple[str, ...]
    body: Surface | None
    span: Span
    type_span: Span
    roles_span: Span
    doc: str | None
    form: Form = field(repr=False)
