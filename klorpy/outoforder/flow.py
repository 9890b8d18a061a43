"""The dataflow form of a role's program: the endpoint tree with host code as functions of the locals that they name.

    block ::= op*
    op    ::= Host(target, code)            host code: the only ops that run any
            | Move(target, operand) | Send | Receive | Call | Apply | Await | Check | Verify
            | Branch | Select | NoMatch | Lambda | Repeat | Again | Leave | Return

Operands are values, tuples of them and parts of tuples; whatever host code stood in an operand has become a Host op
with a local of its own in front of it, in the order of the text. So an op can be walked before its inputs are there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from klorpy.core.choreography import Choreography, Definition, Site
from klorpy.core.endpoint import Binding, Operand
from klorpy.core.spans import Span

#: What a piece of host code touches: these resources, or (None) everything at its role.
Touched: TypeAlias = "frozenset[str] | None"

NOTHING: Touched = frozenset()
#: Calls that say something of others; see `klorpy.core.ordering`.
_SAID: Final = ("after", "independent")


def union(one: Touched, other: Touched) -> Touched:
    return None if one is None or other is None else one | other


@dataclass(frozen=True, slots=True, eq=False)
class HostCode:
    """A function of the values of `inputs`. `unordered`: it has effects that keep no order with others."""

    function: Callable[..., Any]
    inputs: tuple[Binding, ...]
    touched: Touched
    #: It looks at what its inputs are made of, and is not declared pure.
    reads: bool
    unordered: bool
    barrier: bool
    #: It may be read early or late, or not at all, and costs nothing.
    stable: bool
    #: The functions that it calls, as the text names them.
    calls: tuple[str, ...]
    text: str

    @property
    def effectful(self) -> bool:
        return self.unordered or self.touched is None or bool(self.touched)

    @property
    def name(self) -> str:
        """What to call it in charts and clocks: the function that it calls last, or its text."""
        said = [call for call in self.calls if call not in _SAID]
        return said[-1] if said else self.text


@dataclass(frozen=True, slots=True, eq=False)
class Op:
    span: Span = field(kw_only=True)


@dataclass(frozen=True, slots=True, eq=False)
class Host(Op):
    target: Binding | None
    code: HostCode


@dataclass(frozen=True, slots=True, eq=False)
class Move(Op):
    target: Binding
    operand: Operand


@dataclass(frozen=True, slots=True, eq=False)
class Send(Op):
    site: Site
    peer: int
    operand: Operand


@dataclass(frozen=True, slots=True, eq=False)
class Receive(Op):
    site: Site
    peer: int
    target: Binding | None


@dataclass(frozen=True, slots=True, eq=False)
class Call(Op):
    """`uniform`: it is in tail position at every role that takes part, so that all count one more round of a loop."""

    site: Site
    find: Callable[[], Choreography]
    index: int
    cast: tuple[int, ...]
    args: tuple[Operand, ...]
    target: Binding | None
    tail: bool
    uniform: bool


@dataclass(frozen=True, slots=True, eq=False)
class Apply(Op):
    site: Site
    callee: Operand
    args: tuple[Operand, ...]
    target: Binding | None
    tail: bool


@dataclass(frozen=True, slots=True, eq=False)
class Await(Op):
    site: Site
    operand: Operand
    target: Binding | None


@dataclass(frozen=True, slots=True, eq=False)
class Check(Op):
    site: Site
    operand: Operand


@dataclass(frozen=True, slots=True, eq=False)
class Verify(Op):
    site: Site
    roles: tuple[int, ...]
    checker: int | None
    operand: Operand


@dataclass(frozen=True, slots=True, eq=False)
class Branch(Op):
    """`tail`: nothing follows, each arm ends the block. Else both arms may bind `target`, and nothing else is seen."""

    guard: Operand
    then: Block
    orelse: Block
    target: Binding | None
    tail: bool


@dataclass(frozen=True, slots=True, eq=False)
class Select(Op):
    """Like Branch. A case is a constant (host code without inputs), or a pattern with its captures."""

    subject: Operand
    cases: tuple[Case, ...]
    default: Block
    target: Binding | None
    tail: bool


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    constant: HostCode | None
    pattern: HostCode | None
    captures: tuple[Binding, ...]
    block: Block


@dataclass(frozen=True, slots=True, eq=False)
class NoMatch(Op):
    site: Site
    subject: Operand


@dataclass(frozen=True, slots=True, eq=False)
class Lambda(Op):
    target: Binding
    params: tuple[Binding, ...]
    body: Block
    self_name: Binding | None


@dataclass(frozen=True, slots=True, eq=False)
class Repeat(Op):
    """`leaves`: what stands behind it is reached, and sees `target`."""

    site: Site
    body: Block
    target: Binding | None
    leaves: bool


@dataclass(frozen=True, slots=True, eq=False)
class Again(Op):
    targets: tuple[Binding, ...]
    operands: tuple[Operand, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Leave(Op):
    pass


@dataclass(frozen=True, slots=True, eq=False)
class Return(Op):
    operand: Operand


Block: TypeAlias = tuple[Op, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """One role's program."""

    definition: Definition
    index: int
    params: tuple[Binding, ...]
    body: Block


def ops(block: Block) -> Iterator[Op]:
    """The ops of a block and of the blocks in it, but for those of choreographies that it makes."""
    for op in block:
        yield op
        match op:
            case Branch(then=then, orelse=orelse):
                yield from ops(then)
                yield from ops(orelse)
            case Select(cases=cases, default=default):
                for case in cases:
                    yield from ops(case.block)
                yield from ops(default)
            case Repeat(body=body):
                yield from ops(body)
            case _:
                pass
