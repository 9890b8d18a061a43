"""The endpoint tree: one role's program, in A-normal form.

    program ::= block
    block   ::= statement*
    x       ::= Noop | Value(binding) | Leaf(code) | Group(x*) | Item(x, i) | Instance(callee, …)      operands
    s       ::= Assign(binding, x) | Evaluate(x)                                            local steps
              | Send(site, role, x) | Receive(site, role, binding)                          messages
              | Invoke(site, …) | Apply(site, x, x*) | Await(site, x)                       calls
              | Check(site, x) | Verify(site, …)                                            agreement
              | Branch(x, block, block) | Select(…) | NoMatch | Closure(binding, …)         choice, values
              | Repeat(site, block) | Again(binding*, x*) | Leave | Pause                         repetition
              | Return(x)                                                                   the end

Whatever meets another role is a statement of its own, so the order of statements is the order in which the role
sends and receives. Operands run nothing but host code at this role.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from klorpy.core.choreography import Site
from klorpy.core.spans import Span
from klorpy.core.types import Role


class Binding:
    """A local name: compared by identity, so that shadowing needs no further thought."""

    __slots__ = ("base", "name", "python")

    def __init__(self, name: str, base: str) -> None:
        self.name = name  #: as the user writes it
        self.base = base  #: a Python identifier to build the emitted name from
        self.python = ""  #: the name under which Hy compiles host code; the emitter may shorten it

    def __repr__(self) -> str:
        return f"Binding({self.name})"


# --- Operands ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Noop:
    """No value at this role."""


@dataclass(frozen=True, slots=True)
class Value:
    binding: Binding


@dataclass(frozen=True, slots=True)
class Leaf:
    """Host code, compiled once and shared by all roles; `stable` when it may be read early or late, or not at all."""

    code: Any = field(repr=False)
    stable: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """A tuple of those elements that mention the role."""

    items: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Item:
    group: Operand
    index: int


@dataclass(frozen=True, slots=True)
class Instance:
    """A choreography with its roles, as a value: the role plays number `index` of its role vector."""

    callee: Any = field(repr=False)
    index: int = field()
    roles: tuple[Role, ...] = field()
    site: Site = field(repr=False)


Operand: TypeAlias = Noop | Value | Leaf | Group | Item | Instance


# --- Statements -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Statement:
    span: Span = field(kw_only=True, compare=False)


@dataclass(frozen=True, slots=True)
class Assign(Statement):
    binding: Binding
    operand: Operand


@dataclass(frozen=True, slots=True)
class Evaluate(Statement):
    operand: Operand


@dataclass(frozen=True, slots=True)
class Send(Statement):
    site: Site
    target: Role
    operand: Operand


@dataclass(frozen=True, slots=True)
class Receive(Statement):
    site: Site
    source: Role
    binding: Binding | None


@dataclass(frozen=True, slots=True)
class Invoke(Statement):
    """Call a definition by name; `tail` when nothing is left to do after it.

    `scope` are the roles that take part when the call is the entry of a scope, the leader first; with `barrier`, the others
    tell the leader when they are done.
    """

    site: Site
    callee: Any = field(repr=False)
    index: int = field()
    roles: tuple[Role, ...] = field()
    args: tuple[Operand, ...] = field()
    binding: Binding | None = field()
    tail: bool = False
    scope: tuple[Role, ...] = ()
    barrier: bool = False


@dataclass(frozen=True, slots=True)
class Apply(Statement):
    """Call a choreography that is a value."""

    site: Site
    callee: Operand
    args: tuple[Operand, ...]
    binding: Binding | None
    tail: bool = False


@dataclass(frozen=True, slots=True)
class Await(Statement):
    site: Site
    operand: Operand
    binding: Binding | None


@dataclass(frozen=True, slots=True)
class Check(Statement):
    """Under `sanitize`: show this role's copy of an agreement to whoever sees all roles."""

    site: Site
    operand: Operand


@dataclass(frozen=True, slots=True)
class Verify(Statement):
    """Compare the copies of an agreement by messages among `roles`; `checker` None lets all pairs exchange."""

    site: Site
    roles: tuple[Role, ...]
    checker: Role | None
    operand: Operand


@dataclass(frozen=True, slots=True)
class Branch(Statement):
    """Where something follows it, the arms may bind `binding`, and nothing else that they bind is seen there."""

    guard: Operand
    then: Block
    orelse: Block
    binding: Binding | None = None


@dataclass(frozen=True, slots=True)
class Select(Statement):
    """The first case whose test holds: a constant that equals `subject`, or a pattern that gives its captures.

    `binding` as in Branch.
    """

    subject: Operand
    cases: tuple[Choice, ...]
    default: Block
    binding: Binding | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """`constant` for a case; for a match `pattern` is a leaf that gives a tuple of the `captures`, or None."""

    constant: Operand | None
    pattern: Operand | None
    captured: Binding | None
    captures: tuple[Binding, ...]
    block: Block


@dataclass(frozen=True, slots=True)
class NoMatch(Statement):
    site: Site
    subject: Operand


@dataclass(frozen=True, slots=True)
class Closure(Statement):
    """A choreography made here: its program at this role.

    Inside a Repeat, where locals get new values, `captures` are the locals that it keeps as they are now.
    """

    binding: Binding
    params: tuple[Binding, ...]
    body: Block
    self_name: Binding | None
    captures: tuple[Binding, ...] | None


@dataclass(frozen=True, slots=True)
class Repeat(Statement):
    """A loop; its site is what tells the messages of its rounds apart. Its value is bound to `binding`."""

    site: Site
    body: Block
    binding: Binding | None = None


@dataclass(frozen=True, slots=True)
class Again(Statement):
    bindings: tuple[Binding, ...]
    operands: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Leave(Statement):
    """Go on behind the Repeat around."""


@dataclass(frozen=True, slots=True)
class Pause(Statement):
    """Let the interpreter look around."""


@dataclass(frozen=True, slots=True)
class Return(Statement):
    operand: Operand


Block: TypeAlias = tuple[Statement, ...]


def leaves(block: Block) -> bool:
    """Whether a repeated block can be left, so that what stands behind the loop is reached."""
    for statement in block:
        match statement:
            case Leave():
                return True
            case Branch(then=then, orelse=orelse):
                if leaves(then) or leaves(orelse):
                    return True
            case Select(cases=cases, default=default):
                if any(leaves(case.block) for case in cases) or leaves(default):
                    return True
            case _:
                pass
    return False


@dataclass(frozen=True, slots=True)
class Program:
    """One role's program: its parameters (those that mention the role) and what it does."""

    role: Role
    params: tuple[Binding, ...]
    body: Block


def statements(block: Block) -> Iterator[Statement]:
    """The statements of a block and of all blocks in it, in the order of the text."""
    for statement in block:
        yield statement
        match statement:
            case Branch(then=then, orelse=orelse):
                yield from statements(then)
                yield from statements(orelse)
            case Select(cases=cases, default=default):
                for case in cases:
                    yield from statements(case.block)
                yield from statements(default)
            case Repeat(body=body) | Closure(body=body):
                yield from statements(body)
            case _:
                pass


def operands(statement: Statement) -> tuple[Operand, ...]:
    """The operands of a statement itself."""
    match statement:
        case Assign(operand=operand) | Evaluate(operand=operand) | Send(operand=operand) | Await(operand=operand):
            return (operand,)
        case Check(operand=operand) | Verify(operand=operand) | Return(operand=operand):
            return (operand,)
        case Invoke(args=args):
            return args
        case Apply(callee=callee, args=args):
            return (callee, *args)
        case Branch(guard=guard):
            return (guard,)
        case Select(subject=subject) | NoMatch(subject=subject):
            return (subject,)
        case Again(operands=given):
            return given
        case _:
            return ()


def parts(operand: Operand) -> Iterator[Operand]:
    """An operand and what is in it."""
    yield operand
    match operand:
        case Group(items=items):
            for item in items:
                yield from parts(item)
        case Item(group=group):
            yield from parts(group)
        case _:
            return
