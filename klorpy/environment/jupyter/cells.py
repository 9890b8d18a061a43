"""Cells of klorpy in an IPython shell, by a session in the user's own namespace.

The kernel and the magics share this: how a text is evaluated, and how what comes of it is shown.
"""

from __future__ import annotations

import asyncio
import linecache
import os
import re
import sys
import sysconfig
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import hy
import IPython
from IPython.display import clear_output, display

import klorpy
from klorpy.core.diagnostics import KlorError
from klorpy.environment.jupyter.display import Line, coloured, register_formatters, showing_progress
from klorpy.environment.jupyter.interrupts import Interruptible
from klorpy.environment.outputs import Explored, Ran, Request
from klorpy.environment.present import Palette, error_text
from klorpy.environment.session import NOTHING, Outcome, Session, warning_text
from klorpy.language.hy_adapter import mangle

#: Folders whose frames say nothing to the user.
_OURS: Final = tuple(os.path.dirname(str(package.__file__)) for package in (klorpy, hy, IPython))
#: Folders of what is installed; where in there an interrupt hits is chance.
_INSTALLED: Final = (*_OURS, *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")))
#: What evaluating leaves in the namespace, besides what the user defines.
_RESULTS: Final = ("hy", *map(mangle, ("*1", "*2", "*3", "*e")))


class Cells:
    """The session of a shell. What it adds to the user's namespace is hidden from `%who`."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        before = set(shell.user_ns)
        self.session = Session(module=shell.user_module)
        self._hide(set(shell.user_ns) - before)
        register_formatters(shell)
        #: The error that was raised last, and how it is shown: later its traceback has IPython's frames, too.
        self._raised: tuple[BaseException, list[str]] | None = None

    def run(self, text: str) -> Any:
        """Evaluate a cell and give the value of its last form. Raises what the cell raises."""
        value = None
        with self._evaluating():
            for outcome in self.session.evaluate(text, filename=self._filename()):
                value = self._show(outcome)
        return value

    async def run_async(self, text: str) -> Any:
        """As `run`, but what the cell awaits is awaited on the loop that runs this, where the notebook's tasks are."""

        async def evaluated() -> Any:
            value = None
            async for outcome in self.session.evaluate_async(text, filename=self._filename()):
                value = self._show(outcome)
            return value

        with self._evaluating():
            try:
                return await Interruptible(evaluated())
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or not task.cancelling():
                    raise  # of something that the cell awaited
                task.uncancel()
                raise KeyboardInterrupt from None

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        try:
            with showing_progress():
                yield
        except BaseException as error:
            self._note(error)
            raise
        finally:
            self._hide(_RESULTS)

    def _hide(self, names: Iterable[str]) -> None:
        names_now = self.shell.user_ns
        self.shell.user_ns_hidden.update({name: names_now[name] for name in names if name in names_now})

    def _show(self, outcome: Outcome) -> Any:
        for warning in outcome.warnings:
            print(coloured(warning_text(warning)), file=sys.stderr)
        if outcome.error is not None:
            self._note(outcome.error)
            raise outcome.error
        if outcome.output is not None:
            self._show_output(outcome.output)
        return None if outcome.value is NOTHING else outcome.value

    def _show_output(self, output: Any) -> None:
        """What a command gave: as rich as the value that it holds."""
        match output:
            case Ran(value) | Explored(value):
                display(value)
            case Request("clear"):
                clear_output()
            case Request():
                self.session.ended = False
                display(Line("The front end closes a notebook: close it, or shut its kernel down."))
            case _ if hasattr(output, "_repr_mimebundle_"):
                display(output)
            case _:
                display(Line(output.text(Palette((), False))))

    def _filename(self) -> str:
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
            text = _interrupted_text(error) if isinstance(error, KeyboardInterrupt) else error_text(error)
            self._raised = (error, self._lines(text))

    def show_error(self, exc_tuple: Any) -> bool:
        """Show an error (None: the present one) in place of IPython, and say whether that was done."""
        try:
            kind, error, _ = self.shell._get_exc_info(exc_tuple)
        except ValueError:  # there is none, as IPython will say
            return False
        lines = self._lines_for(error)
        if lines is not None:
            self.shell._showtraceback(kind, error, lines)
        return lines is not None

    def _lines_for(self, error: BaseException) -> list[str] | None:
        """How an error is shown that a cell raised, or that klorpy raised in Python code; None for any other."""
        if self._raised is not None and self._raised[0] is error:
            return self._raised[1]
        if not isinstance(error, KlorError):
            return None
        frames = _frames_outside(error, _OURS)
        head = "Called from:\n" + "".join(traceback.format_list(frames)) + "\n" if len(frames) > 1 else ""
        return self._lines(head + error_text(error))

    def _lines(self, text: str) -> list[str]:
        return coloured(re.sub(r'File "([^"]+)"', self._cell, text)).splitlines()

    def _cell(self, file: re.Match[str]) -> str:
        """Files in which IPython keeps cells go by their prompts."""
        known = self.shell.compile.format_code_name(file[1])
        return f'File "{" ".join(known)}"' if known else file[0]


def _interrupted_text(error: KeyboardInterrupt) -> str:
    """Where the user's own code was when it was interrupted."""
    frames = [frame for frame in _frames_outside(error, _INSTALLED) if frame.line]
    head = "Traceback (most recent call last):\n" if frames else ""
    return f"{head}{''.join(traceback.format_list(frames))}KeyboardInterrupt"


def _frames_outside(error: BaseException, folders: tuple[str, ...]) -> list[traceback.FrameSummary]:
    return [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(folders)]
