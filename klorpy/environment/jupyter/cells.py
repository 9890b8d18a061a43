"""Cells of klorpy in an IPython shell, by a session in the user's own namespace.

The kernel and the magics share this: how a text is evaluated, and how what comes of it is shown.
"""

from __future__ import annotations

import linecache
import sys
import time
from types import TracebackType
from typing import Any

from IPython.display import display

from klorpy.core.diagnostics import KlorError
from klorpy.environment.jupyter.display import Line, coloured, progress_text, register_formatters
from klorpy.environment.present import Palette, error_text
from klorpy.environment.session import NOTHING, Outcome, Session, warning_text

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


class Cells:
    """The session of a shell. What it adds to the user's namespace is hidden from `%who`."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        before = set(shell.user_ns)
        self.session = Session(module=shell.user_module)
        self.session.progress = self._progress
        shell.user_ns_hidden.update({name: shell.user_ns[name] for name in set(shell.user_ns) - before})
        register_formatters(shell)
        self._progress_shown: _ProgressLine | None = None
        #: The error that was raised last, and how it is shown: later its traceback has IPython's frames, too.
        self._raised: tuple[BaseException, list[str]] | None = None

    def run(self, text: str) -> Any:
        """Evaluate a cell and give the value of its last form. Raises what the cell raises."""
        value = None
        try:
            for outcome in self.session.evaluate(text, filename=self._filename(text)):
                value = self._show(outcome)
        except BaseException as error:
            self._note(error)
            raise
        finally:
            self._end_progress()
        return value

    def _show(self, outcome: Outcome) -> Any:
        for warning in outcome.warnings:
            print(coloured(warning_text(warning)), file=sys.stderr)
        if outcome.error is not None:
            self._note(outcome.error)
            raise outcome.error
        if outcome.output is not None:
            if hasattr(outcome.output, "_repr_mimebundle_"):
                display(outcome.output)
            else:
                display(Line(outcome.output.text(Palette((), False))))
        return None if outcome.value is NOTHING else outcome.value

    def _filename(self, text: str) -> str:
        """Under which name frames know the text: the prompt, with a number for all but the first text there."""
        result = getattr(self.shell.displayhook, "exec_result", None)
        count = self.shell.execution_count if result is None else result.execution_count
        name, number = f"Cell In[{count}]", 1
        while name in linecache.cache:
            number += 1
            name = f"Cell In[{count}], text {number}"
        return name

    # --- Errors ---

    def _note(self, error: BaseException) -> None:
        if self._raised is None or self._raised[0] is not error:
            self._raised = (error, lines_of(error))

    def lines_for(self, error: BaseException) -> list[str] | None:
        """How an error is shown that a cell raised, or that klorpy raised in Python code; None for any other."""
        if self._raised is not None and self._raised[0] is error:
            return self._raised[1]
        return lines_of(error) if isinstance(error, KlorError) else None

    # --- Progress ---

    def _progress(self, done: int, total: int | None) -> None:
        if self._progress_shown is None:
            self._progress_shown = _ProgressLine()
        self._progress_shown.update(done, total)

    def _end_progress(self) -> None:
        if self._progress_shown is not None:
            self._progress_shown.end()
            self._progress_shown = None


def lines_of(error: BaseException) -> list[str]:
    """An error as lines: klorpy's own with the form underlined, any other by the user's frames."""
    return coloured(error_text(error)).splitlines()


class _ProgressLine:
    """A line of output that says how far a run is, from its second second on."""

    #: Seconds after which something is shown, and between two changes of it.
    PATIENCE = 1.0
    INTERVAL = 0.2

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._next = self._start + self.PATIENCE
        self._last: tuple[int, int | None] = (0, None)
        self._handle: Any = None

    def update(self, done: int, total: int | None) -> None:
        self._last = (done, total)
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + self.INTERVAL
        self._draw(now)

    def end(self) -> None:
        if self._handle is not None:
            self._draw(time.monotonic())

    def _draw(self, now: float) -> None:
        line = Line(progress_text(*self._last, now - self._start))
        if self._handle is None:
            self._handle = display(line, display_id=True)
        else:
            self._handle.update(line)
