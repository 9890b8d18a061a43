"""What a signal that ends a process does to the role that it plays: host code is left where it is, and the role leaves."""

from __future__ import annotations

import asyncio
import signal
import types
from collections.abc import Callable
from typing import Final

from klorpy.runtime.play import play_role

#: The module that calls the code of roles.
PLAYER: Final = play_role.__module__
#: Seconds until it is looked again whether host code runs.
_LOOK: Final = 0.05
_TIMER: Final = hasattr(signal, "setitimer")  # not every system has it


class ToEnd(KeyboardInterrupt):
    """The process is to end, while host code keeps it busy."""


class Ending:
    """A handler of signals, for the main thread: `cancel` is called in the loop, and host code that keeps it busy gets ToEnd.

    Anywhere else an error would take away what is needed to leave. So a signal that comes just before host code begins,
    perhaps code that never ends, is remembered until the loop has heard of it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, cancel: Callable[[], object]) -> None:
        self._loop = loop
        self._cancel = cancel
        #: The last signal that has come.
        self.received: signal.Signals | None = None

    def __call__(self, number: int, frame: types.FrameType | None) -> None:
        self.received = signal.Signals(number)
        self._loop.call_soon_threadsafe(self._heard)
        if is_host_code(frame):
            raise ToEnd
        if _TIMER:
            signal.signal(signal.SIGALRM, self._look)
            _look_every(_LOOK)

    def _look(self, number: int, frame: types.FrameType | None) -> None:
        if is_host_code(frame):
            _look_every(0)
            raise ToEnd

    def _heard(self) -> None:
        _look_every(0)
        self._cancel()


def _look_every(seconds: float) -> None:
    if _TIMER:
        signal.setitimer(signal.ITIMER_REAL, seconds, seconds)


def is_host_code(frame: types.FrameType | None) -> bool:
    """Whether what runs is the code of a role, which may be stopped anywhere, rather than that of a loop."""
    innermost = frame
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] not in ("klorpy", "anyio", "asyncio"):
        frame = frame.f_back
    return frame is not None and frame is not innermost and frame.f_globals.get("__name__") == PLAYER
