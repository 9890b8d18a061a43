"""An event loop in a thread of its own, for host code that awaits in a run without one.

anyio's own portal waits without a way out when Ctrl-C arrives while it starts. This one can be interrupted at any
time: its thread is a daemon, and whoever closes it does not wait for long.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

import anyio
from anyio.from_thread import BlockingPortal

_T = TypeVar("_T")

#: Seconds that `close` waits for what is cancelled to come to its end.
_PATIENCE: Final = 5.0


class LoopThread:
    """Runs coroutine functions for other threads. Close it when it is no longer needed."""

    def __init__(self) -> None:
        self._portal: Future[BlockingPortal] = Future()
        self._thread = threading.Thread(target=self._run, name="klorpy loop", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            anyio.run(self._main)
        except BaseException as error:
            if not self._portal.done():
                self._portal.set_exception(error)

    async def _main(self) -> None:
        async with BlockingPortal() as portal:
            self._portal.set_result(portal)
            await portal.sleep_until_stopped()

    def start(self, function: Callable[..., Awaitable[_T]], *args: Any) -> Future[_T]:
        """Start a coroutine function on the loop; give its future."""
        return self._portal.result().start_task_soon(function, *args)

    def close(self) -> None:
        """Cancel what runs and end the loop."""
        portal = self._portal.result(_PATIENCE)
        portal.start_task_soon(portal.stop, True)
        self._thread.join(_PATIENCE)
