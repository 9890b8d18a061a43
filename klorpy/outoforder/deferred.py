"""A value that is not there yet.

Not a future of an event loop: it is settled and looked at by one role alone, several may wait for it, and none of
them can cancel it for the others.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final

#: Calls that are due, in each thread.
_calls: Final = threading.local()


class Deferred:
    """Pending, then settled once: with a value, or with the error that stands in its place."""

    __slots__ = ("_waiting", "done", "error", "value")

    def __init__(self) -> None:
        self.done = False
        self.value: Any = None
        self.error: BaseException | None = None
        self._waiting: list[Callable[[], None]] = []

    def then(self, call: Callable[[], None]) -> None:
        """Call `call` when it is settled; at once if it is."""
        if self.done:
            call()
        else:
            self._waiting.append(call)

    def settle(self, value: Any) -> None:
        """Settle with `value`, or with what it will be if that is not there yet either."""
        if type(value) is Deferred:
            value.then(lambda: self._end(value.value, value.error))
        else:
            self._end(value, None)

    def fail(self, error: BaseException) -> None:
        self._end(None, error)

    def _end(self, value: Any, error: BaseException | None) -> None:
        assert not self.done, "settled twice"
        self.done, self.value, self.error = True, value, error
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        # One after the other and never one inside another: a chain of values may be longer than Python's stack.
        queue: deque[Callable[[], None]] | None = getattr(_calls, "queue", None)
        if queue is not None:
            queue.extend(waiting)
            return
        _calls.queue = queue = deque(waiting)
        try:
            while queue:
                queue.popleft()()
        finally:
            _calls.queue = None


class Pack(tuple[Any, ...]):
    """A tuple of choreographic values, some of which may not be there yet. (Host code never sees one.)"""

    __slots__ = ()


def plain(value: Any) -> Any:
    """What a deferred value has become, or itself while it is pending or failed."""
    while type(value) is Deferred and value.done and value.error is None:
        value = value.value
    return value


def pending(value: Any) -> list[Deferred]:
    """What has to be settled before `value` is all there."""
    value = plain(value)
    if type(value) is Deferred:
        return [] if value.done else [value]
    if type(value) is Pack:
        return [found for part in value for found in pending(part)]
    return []


def settled(value: Any) -> Any:
    """`value` with what its deferred parts have become. Raises the error that stands in the place of one."""
    value = plain(value)
    if type(value) is Deferred:
        assert value.error is not None
        raise value.error
    if type(value) is Pack:
        return tuple(settled(part) for part in value)
    return value
