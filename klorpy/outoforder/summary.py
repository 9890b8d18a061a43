"""What a part of a program may touch: before it is known how it goes on, its place among the effects is kept.

Given a block; result: the resources that it may touch at its role, calls included, and whether there is a barrier in
it. A call of a choreography that is a value may touch everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from klorpy.core.choreography import Choreography, Definition
from klorpy.outoforder import flow as f
from klorpy.outoforder.compile import flows

#: What is touched, and whether there is a barrier.
Summary: TypeAlias = tuple[f.Touched, bool]


@dataclass(frozen=True, slots=True)
class _Local:
    touched: f.Touched
    fenced: bool
    calls: tuple[f.Call, ...]


class Summaries:
    """Of the definitions that a run can reach."""

    def __init__(self, pinned: Mapping[Choreography, Definition]) -> None:
        self._pinned = pinned
        self._locals: dict[int, _Local] = {}
        self._found: dict[int, Summary] = {}

    def of(self, block: f.Block) -> Summary:
        """The summary of a block, with all that it may call."""
        known = self._found.get(id(block))
        if known is not None:
            return known
        touched, fenced = f.NOTHING, False
        todo, seen = [block], {id(block)}
        while todo:
            local = self._local(todo.pop())
            touched, fenced = f.union(touched, local.touched), fenced or local.fenced
            for call in local.calls:
                body = self._body(call)
                if body is None:
                    touched = None
                elif id(body) not in seen:
                    seen.add(id(body))
                    todo.append(body)
        self._found[id(block)] = (touched, fenced)
        return touched, fenced

    def all(self, blocks: Iterable[f.Block]) -> Summary:
        touched, fenced = f.NOTHING, False
        for block in blocks:
            one = self.of(block)
            touched, fenced = f.union(touched, one[0]), fenced or one[1]
        return touched, fenced

    def _body(self, call: f.Call) -> f.Block | None:
        try:
            definition = self._pinned.get(call.find())
        except (NameError, AttributeError):  # bound later: nothing is known
            return None
        return None if definition is None else flows(definition)[call.index].body

    def _local(self, block: f.Block) -> _Local:
        known = self._locals.get(id(block))
        if known is None:
            touched, fenced = f.NOTHING, False
            calls: list[f.Call] = []
            for op in f.ops(block):
                match op:
                    case f.Host(code=code):
                        touched, fenced = f.union(touched, code.touched), fenced or code.barrier
                    case f.Apply() | f.Await():
                        touched = None
                    case f.Call():
                        calls.append(op)
                    case _:
                        pass
            known = self._locals[id(block)] = _Local(touched, fenced, tuple(calls))
        return known
