"""A signal that ends a process stops host code, also host code that begins when the signal has come already."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator

import pytest

import klorpy
from klorpy.environment.ending import Ending, ToEnd

STUCK = klorpy.evaluate("(defchor stuck [A B] (-> A B) [wait] (A->B (A (wait))))").stuck


@pytest.fixture
def alarm() -> Iterator[None]:
    """The handler of SIGALRM is what it was."""
    before = signal.getsignal(signal.SIGALRM)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("alarm")
def test_host_code_that_begins_after_the_signal_is_stopped() -> None:
    async def main() -> None:
        task = asyncio.current_task()
        assert task is not None
        ending = Ending(asyncio.get_running_loop(), task.cancel)
        ending(signal.SIGTERM, None)
        assert ending.received is signal.SIGTERM
        # Nothing is awaited before the code that never ends begins, so the loop has not heard of the signal.
        await klorpy.play_role({"role": "A", "send": print, "locators": {"B": "b"}}, STUCK, threading.Event().wait)

    with pytest.raises(ToEnd):
        asyncio.run(main())


@pytest.mark.usefixtures("alarm")
def test_a_loop_that_waits_is_cancelled() -> None:
    async def main() -> None:
        task = asyncio.current_task()
        assert task is not None
        Ending(asyncio.get_running_loop(), task.cancel)(signal.SIGINT, None)
        await asyncio.Event().wait()

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
