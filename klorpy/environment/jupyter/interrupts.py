"""Interrupting asynchronous cells.

While an asynchronous cell runs, ipykernel takes Ctrl-C to mean that the cell's task is to be cancelled when the loop
runs next. That is never, if the cell computes without an end; and it may be long, because the loop is not woken.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Coroutine, Generator
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Interruptible(Generic[T]):
    """Awaits a coroutine. Ctrl-C raises KeyboardInterrupt in it while it computes, and cancels the task while it waits.

    Only the main thread is interrupted; elsewhere it is awaited as it is.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, T]:
        if threading.current_thread() is not threading.main_thread():
            return (yield from self._coroutine.__await__())
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        before = signal.getsignal(signal.SIGINT)
        resume = partial(self._coroutine.send, None)
        try:
            while True:
                signal.signal(signal.SIGINT, signal.default_int_handler)
                try:
                    awaited = resume()
                except StopIteration as stop:
                    value: T = stop.value
                    return value
                _cancel_by_signal(loop, task)
                try:
                    resume = partial(self._coroutine.send, (yield awaited))
                except BaseException as error:
                    resume = partial(self._coroutine.throw, error)
        finally:
            with suppress(NotImplementedError):
                loop.remove_signal_handler(signal.SIGINT)
            signal.signal(signal.SIGINT, before)
            self._coroutine.close()


def _cancel_by_signal(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
    """Let Ctrl-C cancel `task`, and wake the loop up for it."""
    try:
        loop.add_signal_handler(signal.SIGINT, task.cancel)
    except NotImplementedError:  # Windows
        signal.signal(signal.SIGINT, lambda *_: loop.call_soon_threadsafe(task.cancel))
