"""The order that effects keep: for each resource a chain, in the order of the program.

An effect waits for the last one before it on each resource that it touches. One that touches everything waits for
all, and all wait for it. Whoever is held up (a choice whose guard is not there, a call that waits for its turn) has
its place kept: what follows waits for a reservation on all that the part held up may touch.

Operators and Python's own functions touch nothing, but what they look at may be changed: a list that an effect appends
to, of whatever resource. So code that is not declared pure and looks at an object that can change reads it: it waits
for all effects before it, and those behind wait for it. Of a value that is not there yet only effects on itself count.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from klorpy.core.values import ATOMS
from klorpy.outoforder.deferred import Deferred, plain
from klorpy.outoforder.flow import Touched

#: Values that are remembered, at least, before those that have come are forgotten.
_MANY: Final = 64


class Lanes:
    """The ends of the chains, as seen from one place of the program."""

    __slots__ = ("_all", "_ends", "_many", "_reads", "_writes")

    def __init__(self) -> None:
        #: The last effect that touched everything, and for each resource the last since then.
        self._all: Deferred | None = None
        self._ends: dict[str, Deferred] = {}
        #: Reads, since the last effect that touched everything.
        self._reads: list[Deferred] = []
        #: By values that were not there: the value itself, and the effects and reads that have it as an input.
        self._writes: dict[int, tuple[Deferred, list[Deferred]]] = {}
        self._many = _MANY

    def reading(self, inputs: Iterable[Any]) -> list[Deferred]:
        """What code that only looks at `inputs` has to wait for."""
        found = [*self._ends.values(), self._all] if any(map(_changes, inputs)) else []
        return [end for end in (*found, *self._on(inputs)) if end is not None and not end.done]

    def read(self, inputs: Iterable[Any], end: Deferred) -> None:
        """Let effects that follow wait for code that looks at `inputs`."""
        if any(map(_changes, inputs)):
            self._reads = [read for read in self._reads if not read.done]
            self._reads.append(end)
        self._note(inputs, end)

    def writing(self, inputs: Iterable[Any]) -> list[Deferred]:
        """What an effect that touches everything waits for besides `before`, since it may change its inputs."""
        return [end for end in self._on(inputs) if not end.done]

    def _on(self, inputs: Iterable[Any]) -> list[Deferred]:
        ends: list[Deferred] = []
        for value in inputs:
            if type(value) is Deferred and id(value) in self._writes:
                ends += self._writes[id(value)][1]
        return ends

    def _note(self, inputs: Iterable[Any], end: Deferred) -> None:
        for value in inputs:
            if type(value) is Deferred and not value.done:
                if len(self._writes) > self._many:
                    self._writes = {key: entry for key, entry in self._writes.items() if not entry[0].done}
                    self._many = max(_MANY, 2 * len(self._writes))
                entry = self._writes.get(id(value))
                if entry is None:
                    self._writes[id(value)] = (value, [end])
                else:
                    entry[1].append(end)

    def before(self, touched: Touched) -> list[Deferred]:
        """What an effect on `touched` has to wait for."""
        if touched is None:
            ends = [*self._ends.values(), self._all, *self._reads]
        elif len(touched) == 1 and not self._reads:
            (resource,) = touched
            end = self._ends.get(resource, self._all)
            return [] if end is None or end.done else [end]
        elif touched:
            ends = [*(self._ends.get(resource, self._all) for resource in touched), *self._reads]
        else:
            return []
        return list({id(end): end for end in ends if end is not None and not end.done}.values())

    def put(self, touched: Touched, end: Deferred, inputs: Iterable[Any] = ()) -> None:
        """Let what follows wait for `end`, an effect on `touched` or a reservation for some."""
        if touched is None:
            self._all, self._ends, self._reads = end, {}, []
            self._note(inputs, end)
        else:
            for resource in touched:
                self._ends[resource] = end
            if touched:
                self._note(inputs, end)

    def fork(self) -> Lanes:
        """The same ends, for a part of the program that is walked apart from here on."""
        other = Lanes()
        other._all, other._ends, other._reads = self._all, dict(self._ends), list(self._reads)
        other._writes = {key: (value, list(ends)) for key, (value, ends) in self._writes.items()}
        return other

    def open(self) -> list[Deferred]:
        """All that is not done yet."""
        return self.before(None)


def _changes(value: Any) -> bool:
    """Whether a value that is there may be changed by somebody."""
    value = plain(value)
    if type(value) is tuple:
        return any(type(part) not in ATOMS for part in value)
    return type(value) is not Deferred and type(value) not in ATOMS
