"""A terminal in memory: keys go in through a pipe, and what is written ends up on a screen of pyte."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyte
from prompt_toolkit.application import create_app_session
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.output.vt100 import Vt100_Output

from klorpy.environment.repl.config import Config
from klorpy.environment.repl.terminal import Terminal
from klorpy.environment.session import Session

COLUMNS, ROWS = 100, 40


class Screen(io.StringIO):
    """What was written, as a screen."""

    def __init__(self) -> None:
        super().__init__()
        self.screen = pyte.HistoryScreen(COLUMNS, ROWS, history=1000)
        self._stream = pyte.Stream(self.screen)
        self._lock = threading.Lock()
        self.written = ""
        self.changed = threading.Condition()

    def write(self, text: str) -> int:
        with self._lock:
            self.written += text
            # As a terminal driver does.
            self._stream.feed(text.replace("\r\n", "\n").replace("\n", "\r\n"))
        with self.changed:
            self.changed.notify_all()
        return len(text)

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        raise io.UnsupportedOperation

    @property
    def text(self) -> str:
        """The lines of the screen, and those that left it, without the spaces at their ends."""
        with self._lock:
            above = ["".join(line[x].data for x in range(COLUMNS)) for line in self.screen.history.top]
            lines = [line.rstrip() for line in (*above, *self.screen.display)]
        return "\n".join(lines).rstrip()

    def style_of(self, piece: str) -> pyte.screens.Char:
        """The first character of the last place on the screen that shows `piece`."""
        with self._lock:
            for y in range(ROWS - 1, -1, -1):
                x = self.screen.display[y].rfind(piece)
                if x >= 0:
                    return self.screen.buffer[y][x]
        raise AssertionError(f"{piece!r} is not on the screen:\n{self.text}")
