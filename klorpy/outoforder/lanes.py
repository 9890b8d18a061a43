"""The order that effects keep: for each resource a chain, in the order of the program.

An effect waits for the last one before it on each resource that it touches. One that touches everything waits for
all, and all wait for it. Whoever is held up (a choice whose guard is not there, a call that waits for its turn) has
its place kept: what follows waits for a reservation on all that the part held up may touch.
"""

from __future__ import annotations

from klorpy.outoforder.deferred import Deferred
from klorpy.outoforder.flow import Touched


class Lanes:
    """The ends of the chains, as seen from one place of the program."""

    __slots__ = ("_all", "_ends")

    def __init__(self) -> None:
        #: The last effect that touched everything, and for each resource the last since then.
        self._all: Deferred | None = None
        self._ends: dict[str, Deferred] = {}

    def before(self, touched: Touched) -> list[Deferred]:
        """What an effect on `touched` has to wait for."""
        if touched is None:
            ends = [*self._ends.values(), self._all]
        elif touched:
            ends = [self._ends.get(resource, self._all) for resource in touched]
        else:
            return []
        return list({id(end): end for end in ends if end is not None and not end.done}.values())

    def put(self, touched: Touched, end: Deferred) -> None:
        """Let what follows wait for `end`, an effect on `touched` or a reservation for some."""
        if touched is None:
            self._all, self._ends = end, {}
        else:
            for resource in touched:
                self._ends[resource] = end

    def fork(self) -> Lanes:
        """The same ends, for a part of the program that is walked apart from here on."""
        other = Lanes()
        other._all, other._ends = self._all, dict(self._ends)
        return other

    def open(self) -> list[Deferred]:
        """All that is not done yet."""
        return self.before(None)
