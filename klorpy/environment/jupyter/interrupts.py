"""Interrupting asynchronous cells.

While an asynchronous cell runs, the kernel takes Ctrl-C to mean that its task is to be cancelled, which happens when
the loop runs again: never, if the cell computes without an end instead of waiting.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Coroutine, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Interruptible(Generic[T]):
    """Awaits a coroutine. While it computes, Ctrl-C raises KeyboardInterrupt there; while it waits, all is as before."""

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, T]:
        resume = partial(self._coroutine.send, None)
        while True:
            with _raising():
                try:
                    awaited = resume()
                except StopIteration as stop:
                    value: T = stop.value
                    return value
            try:
                resume = partial(self._coroutine.send, (yield awaited))
            except BaseException as error:
                resume = partial(self._coroutine.throw, error)


@contextmanager
def _raising() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # only the main one can be interrupted
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
