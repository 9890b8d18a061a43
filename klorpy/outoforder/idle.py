"""Where values end: receives and host code whose result is used for nothing but to be given back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from klorpy.core import endpoint as e
from klorpy.core.choreography import Definition
from klorpy.core.endpoint import Binding
from klorpy.outoforder import flow as f
from klorpy.outoforder.compile import flows


def idle(definitions: Iterable[Definition]) -> frozenset[Any]:
    """The sites of such receives, and such ops."""
    found: set[Any] = set()
    for definition in definitions:
        for flow in flows(definition):
            ops = list(_everywhere(flow.body))
            used = {binding for op in ops if not isinstance(op, f.Return) for binding in uses(op)}
            for op in ops:
                if isinstance(op, f.Receive) and op.target not in used:
                    found.add(op.site)
                elif isinstance(op, f.Host) and op.target not in used:
                    found.add(op)
    return frozenset(found)


def _everywhere(block: f.Block) -> Iterator[f.Op]:
    for op in f.ops(block):
        yield op
        if isinstance(op, f.Lambda):
            yield from _everywhere(op.body)


def uses(op: f.Op) -> Iterator[Binding]:
    """The locals whose values an op itself needs."""
    match op:
        case f.Host(code=code):
            yield from code.inputs
        case f.Send(operand=operand) | f.Move(operand=operand) | f.Return(operand=operand):
            yield from _named(operand)
        case f.Await(operand=operand) | f.Check(operand=operand) | f.Verify(operand=operand):
            yield from _named(operand)
        case f.Call(args=args) | f.Again(operands=args):
            for arg in args:
                yield from _named(arg)
        case f.Apply(callee=callee, args=args):
            for operand in (callee, *args):
                yield from _named(operand)
        case f.Branch(guard=operand) | f.NoMatch(subject=operand):
            yield from _named(operand)
        case f.Select(subject=operand, cases=cases):
            yield from _named(operand)
            for case in cases:
                if case.pattern is not None:
                    yield from case.pattern.inputs
        case _:
            return


def _named(operand: e.Operand) -> Iterator[Binding]:
    for part in e.parts(operand):
        if isinstance(part, e.Value):
            yield part.binding
