"""Time, as the ground sees it: real, or virtual.

Processes see time only as `Until(t)`, which they wait for like for any other event. A virtual clock stands still while
anybody can do anything, and then jumps to the next moment that somebody waits for: hours pass in no time, and equal
programs see equal times.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from typing import Protocol

import anyio
import anyio.lowlevel


class Clock(Protocol):
    """What a ground needs of a clock. Times are seconds, from any moment on."""

    def now(self) -> float: ...

    async def until(self, time: float) -> None: ...


class RealClock:
    """The clock of the event loop."""

    def now(self) -> float:
        return anyio.current_time()

    async def until(self, time: float) -> None:
        await anyio.sleep_until(time)


#: How often other tasks may run before the virtual clock asks the event loop whether they are all blocked, which may
#: take longer than they do.
_PATIENCE = 25


class VirtualClock:
    """A clock that jumps.

    >>> clock = VirtualClock()
    >>> async def day():
    ...     async with anyio.create_task_group() as tasks:
    ...         tasks.start_soon(clock.run_until_quiet)
    ...         await clock.until(86400)
    >>> anyio.run(day)
    >>> clock.now()
    86400
    """

    def __init__(self, start: float = 0) -> None:
        self._now = start
        self._order = count()
        self._waiting: list[tuple[float, int, anyio.Event]] = []
        #: Called when there is something new to wait for.
        self.on_change: Callable[[], object] = lambda: None

    def now(self) -> float:
        return self._now

    async def until(self, time: float) -> None:
        if time <= self._now:
            await anyio.lowlevel.checkpoint()
            return
        entry = (time, next(self._order), anyio.Event())
        heapq.heappush(self._waiting, entry)
        self.on_change()
        try:
            await entry[2].wait()
        finally:
            if entry in self._waiting:
                self._waiting.remove(entry)
                heapq.heapify(self._waiting)

    async def sleep(self, seconds: float) -> None:
        await self.until(self._now + seconds)

    def jump(self) -> bool:
        """Go to the next moment that somebody waits for, and wake those; False when nobody waits."""
        if not self._waiting:
            return False
        self._now = self._waiting[0][0]
        while self._waiting and self._waiting[0][0] <= self._now:
            heapq.heappop(self._waiting)[2].set()
        return True

    async def run_until_quiet(self) -> None:
        """Jump whenever all tasks of the event loop are blocked, until nobody waits for the clock."""
        await all_blocked()
        while self.jump():
            await all_blocked()


async def all_blocked(stop: Callable[[], bool] = lambda: False) -> None:
    """Wait until no other task of the event loop can do anything, or `stop()` is true."""
    for _ in range(_PATIENCE):
        await anyio.lowlevel.checkpoint()
        if stop():
            return
    await anyio.wait_all_tasks_blocked()
