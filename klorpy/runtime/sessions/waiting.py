"""Waiting for a message on asyncio, without a turn of the loop between its arrival and the role that waits.

A `Future` wakes its task in the next turn of the event loop: another look at all sockets, which is a third of what a
message costs. A `Waiter` can also wake its task at once, from a callback of the loop in which no task runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextvars import Context
from typing import Any


class Waiter:
    """Something that one task awaits, once. It keeps to the protocol that asyncio has for futures that are not its own."""

    __slots__ = ("_asyncio_future_blocking", "_callback", "_cancelled", "_context", "_done", "_loop", "_message")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._asyncio_future_blocking = False
        self._loop = loop
        self._callback: Callable[[Any], object] | None = None
        self._context: Context | None = None
        self._done = False
        self._cancelled = False
        self._message: Any = None

    def wake(self) -> None:
        """Wake the task at once. Only from a callback of the loop: no task may be running."""
        if not self._done:
            self._done = True
            callback, self._callback = self._callback, None
            if callback is not None:
                assert self._context is not None
                self._context.run(callback, self)

    def wake_soon(self) -> None:
        """Wake the task in the next turn of the loop."""
        if not self._done:
            self._done = True
            self._schedule()

    def again(self) -> bool:
        """Wait once more; whether that can be done, as nobody has cancelled it."""
        self._done = self._cancelled
        return not self._cancelled

    def set_result(self, _: Any) -> None:
        """As a future is told that what it stands for has happened."""
        self.wake_soon()

    def _schedule(self) -> None:
        callback, self._callback = self._callback, None
        if callback is not None:
            self._loop.call_soon(callback, self, context=self._context)

    # --- What asyncio's tasks ask for ---------------------------------------------------------------------------------

    def __await__(self) -> Generator[Waiter, None, None]:
        if not self._done:
            self._asyncio_future_blocking = True
            yield self
        if self._cancelled:
            self.result()

    def add_done_callback(self, callback: Callable[[Any], object], *, context: Context | None = None) -> None:
        self._callback, self._context = callback, context
        if self._done:
            self._schedule()

    def cancel(self, msg: Any = None) -> bool:
        if self._done:
            return False
        self._done = self._cancelled = True
        self._message = msg
        self._schedule()
        return True

    def cancelled(self) -> bool:
        return self._cancelled

    def done(self) -> bool:
        return self._done

    def result(self) -> None:
        if self._cancelled:
            raise asyncio.CancelledError(*(() if self._message is None else (self._message,)))

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop
