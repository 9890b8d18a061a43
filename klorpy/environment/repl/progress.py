"""A line that tells of simulations and explorations that take longer than a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TextIO

from klorpy.simulator import Progress

#: Seconds before something is told, and between one time and the next.
PATIENCE: Final = 1.0
INTERVAL: Final = 0.25


class Reporter:
    """Tells, on the last line of `file`, what is under way; as a context, the line is gone afterwards.

    One thread looks after all runs, and only when there is one. Nothing is written when `file` is no terminal.
    """

    def __init__(self, file: TextIO, dim: Callable[[str], str]) -> None:
        self._file = file
        self._dim = dim
        #: What is under way, and since when.
        self._current: tuple[Progress, float] | None = None
        self._shown = False
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._on = file.isatty()

    def __enter__(self) -> Reporter:
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self.clear()

    @contextmanager
    def watch(self, progress: Progress) -> Iterator[None]:
        """Tell of `progress` as long as the context lasts."""
        if not self._on:
            yield
            return
        before, self._current = self._current, (progress, time.monotonic())
        if self._thread is None:
            self._thread = threading.Thread(target=self._tell, daemon=True)
            self._thread.start()
        try:
            yield
        finally:
            self._current = before
            self.clear()

    def clear(self) -> None:
        """Take the line away, if there is one."""
        with self._lock:
            if self._shown:
                self._shown = False
                self._file.write("\r\x1b[K")
                self._file.flush()

    def _tell(self) -> None:
        while not self._over.wait(INTERVAL):
            current = self._current
            if current is None or time.monotonic() - current[1] < PATIENCE:
                continue
            progress, begin = current
            with self._lock:
                if self._current is current and not self._over.is_set():
                    self._shown = True
                    self._file.write("\r\x1b[K" + self._dim(line(progress, time.monotonic() - begin)))
                    self._file.flush()


def line(progress: Progress, seconds: float) -> str:
    """What is under way, in one line.

    >>> from klorpy import evaluate
    >>> ns = evaluate("(defchor tell [A B] (-> A B) [x] (A->B x))")
    >>> line(Progress(ns.tell, total=100, done=42), 3.2)
    'tell: 42 of 100 schedules · 3 s · Ctrl-C cancels'
    """
    told = [f"{progress.choreography.name}:"]
    if progress.total is not None:
        told.append(f"{progress.done:,} of {progress.total:,} schedules")
    elif progress.messages is not None:
        told.append(f"{progress.messages:,} messages")
    else:
        told.append("runs")
    return " ".join(told) + f" · {seconds:.0f} s · Ctrl-C cancels"
