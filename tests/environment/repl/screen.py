"""A terminal in memory: keys go in through a pipe, and what is written ends up on a screen of pyte."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyte
from prompt_toolkit.application import create_app_session
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output.vt100 import Vt100_Output

from klorpy.environment.repl.config import Config
from klorpy.environment.repl.terminal import Terminal
from klorpy.environment.session import Session

COLUMNS, ROWS = 100, 40
#: Seconds after which a text that does not appear is given up; nothing waits so long when all is well.
PATIENCE = 60

UP, DOWN, LEFT, RIGHT, HOME, END = "\x1b[A", "\x1b[B", "\x1b[D", "\x1b[C", "\x1b[H", "\x1b[F"
ENTER, TAB, BACKSPACE, ESCAPE = "\r", "\t", "\x7f", "\x1b"
CTRL_A, CTRL_C, CTRL_D, CTRL_R = "\x01", "\x03", "\x04", "\x12"
ALT_ENTER, F4 = "\x1b\r", "\x1bOS"


class Screen(io.StringIO):
    """What was written, as a terminal shows it. `answer` gets what a terminal answers to questions."""

    def __init__(self, answer: Callable[[str], None] = lambda text: None) -> None:
        super().__init__()
        self.screen = pyte.HistoryScreen(COLUMNS, ROWS, history=1000)
        self.screen.write_process_input = answer
        self._stream = pyte.Stream(self.screen)
        self._changed = threading.Condition()

    def write(self, text: str) -> int:
        with self._changed:
            # As a terminal driver does.
            self._stream.feed(text.replace("\r\n", "\n").replace("\n", "\r\n"))
            self._changed.notify_all()
        return len(text)

    def isatty(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    def wait_for(self, shown: Callable[[str], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: shown(self._text()), PATIENCE), self._text()

    @property
    def text(self) -> str:
        """The lines of the screen, and those that left it, without the spaces at their ends."""
        with self._changed:
            return self._text()

    def _text(self) -> str:
        above = ["".join(line[x].data for x in range(COLUMNS)) for line in self.screen.history.top]
        return "\n".join(line.rstrip() for line in (*above, *self.screen.display)).rstrip()

    def style_of(self, piece: str, offset: int = 0) -> pyte.screens.Char:
        """A character of the last place on the screen that shows `piece`."""
        with self._changed:
            for y in range(ROWS - 1, -1, -1):
                x = self.screen.display[y].rfind(piece)
                if x >= 0:
                    return self.screen.buffer[y][x + offset]
            raise AssertionError(f"{piece!r} is not on the screen:\n{self._text()}")


QUIET = Config(welcome=False)


@dataclass(frozen=True)
class Until:
    """A step that waits until the screen shows `text`, `times` over."""

    text: str
    times: int = 1


@dataclass(frozen=True)
class Look:
    """A step that looks at the screen while the prompt is open."""

    at: Callable[[Screen], None]


def typed(
    *steps: str | Until | Look, state: Path, config: Config = QUIET, session: Session | None = None,
    colour: bool = True, leave: bool = True,
) -> tuple[Screen, Terminal]:  # fmt: skip
    """Open the REPL, do the steps (a text is typed), leave with Ctrl-D. Raises what a step raised."""
    failures: list[BaseException] = []
    with create_pipe_input() as pipe:
        screen = Screen(pipe.send_text)
        output = Vt100_Output(screen, lambda: Size(rows=ROWS, columns=COLUMNS), term="xterm-256color")
        with create_app_session(input=pipe, output=output), session or Session() as running:
            terminal = Terminal(
                running, config, state=state, colour=colour, input=pipe, output=output, stdout=screen
            )  # fmt: skip

            def feed() -> None:
                try:
                    for step in steps:
                        if isinstance(step, str):
                            pipe.send_text(step)
                        elif isinstance(step, Until):
                            wanted = step
                            screen.wait_for(lambda text: text.count(wanted.text) >= wanted.times)  # noqa: B023
                        else:
                            step.at(screen)
                except BaseException as error:
                    failures.append(error)
                    pipe.send_text(CTRL_C)
                    pipe.send_text(CTRL_D)
                else:
                    if leave:
                        pipe.send_text(CTRL_C + CTRL_D)

            feeder = threading.Thread(target=feed)
            feeder.start()
            terminal.run()
            feeder.join()
    for failure in failures:
        raise failure
    return screen, terminal
