"""The REPL itself: a prompt, a session, and between them as little as possible.

The loop asks the prompt for a text, gives it to the session and writes what comes of it. Ctrl-C raises
KeyboardInterrupt in whatever is evaluated, which is then over; the loop goes on.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, TextIO

from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.input import Input
from prompt_toolkit.output import Output
from prompt_toolkit.patch_stdout import patch_stdout
from prompt_toolkit.utils import is_dumb_terminal
from pygments.console import colorize

import klorpy
from klorpy.environment.outputs import Request
from klorpy.environment.present import Palette, error_text
from klorpy.environment.repl.config import Config
from klorpy.environment.repl.progress import Reporter
from klorpy.environment.repl.prompt import Prompt
from klorpy.environment.session import Outcome, Session, render
from klorpy.environment.tour import END, STEPS, Tour
from klorpy.simulator import watching

WELCOME: Final = """\
{name} · programs for several roles, written as one
New here? Type ,tour and press Enter: it takes five minutes.
Tab completes, ,help lists the commands, Ctrl-C cancels, Ctrl-D leaves."""

KEYS: Final = """\
Enter      evaluates a complete form, else begins a line (Alt-Enter: always)
Tab        completes; indents an empty line (Alt-q: all lines)
Ctrl-R     searches the history; an arrow to the right takes what is suggested
Ctrl-Alt-  f and b move over forms, k deletes one
F4         emacs or vi; so does ,opts :editing vi
,opts :auto-close True closes brackets as they are opened."""

_NO_TOUR: Final = "You are not in the tour. ,tour begins it."

#: The commands of the terminal, which a session knows nothing of.
COMMANDS: Final[Mapping[str, str]] = {
    ",next": "the next step of the tour",
    ",back": "the step of the tour before",
    ",quit-tour": "leave the tour; ,tour goes on from here",
}


class Terminal:
    """A REPL on `session`. `state` is the folder for the history and for how far one is in the tour.

    `input` and `output` are the prompt's, `stdout` is where everything else is written; left out, the terminal.
    """

    def __init__(
        self,
        session: Session,
        config: Config,
        *,
        state: Path,
        colour: bool,
        input: Input | None = None,
        output: Output | None = None,
        stdout: TextIO | None = None,
    ) -> None:
        self.session = session
        self.config = config
        self.problems: list[str] = []
        self._stdout = stdout or sys.stdout
        self._state = state
        self._palette = Palette((), colour)
        self._tour: Tour | None = None
        #: The steps of the tour that were tried in this session.
        self._tried: set[int] = set()
        #: What the next prompt begins with.
        self._typed = ""
        self.prompt = Prompt(
            session, config, commands=COMMANDS, history=self._history(), colour=colour, input=input, output=output
        )
        self.problems += self.prompt.problems

    def run(self) -> None:
        """Ask, evaluate and show until the user leaves."""
        if self.config.welcome:
            first, *rest = WELCOME.format(name=f"klorpy {klorpy.__version__}").split("\n")
            self.write("\n".join([self._palette.strong(first), *rest, ""]))
        while not self.session.ended:
            try:
                if not self._round():
                    break
            except KeyboardInterrupt:  # another one, while the first is reported
                continue

    def _round(self) -> bool:
        """Ask once, and show what comes of it; says whether the user stays."""
        try:
            text = self._ask()
        except EOFError:
            return False
        except KeyboardInterrupt:
            return True
        try:
            self._answer(text)
        except KeyboardInterrupt:
            self.write(self._dim("interrupted"))
        except Exception as error:  # of ours, since the session reports the user's
            self.write(error_text(error))
        return True

    def load(self, files: Sequence[str]) -> None:
        """Load files, before the first prompt; one that is wrong does not keep the next from being loaded."""
        for file in files:
            try:
                self.evaluate(f",load {file}")
            except KeyboardInterrupt:
                self.write(self._dim("interrupted"))

    def write(self, text: str) -> None:
        """Write a line, or several."""
        self._stdout.write(text + "\n")
        self._stdout.flush()

    # --- A round ---

    def _ask(self) -> str:
        typed, self._typed = self._typed, ""
        self._begin_line()
        with patch_stdout(raw=True):
            return self.prompt.prompt(default=typed)

    def _begin_line(self) -> None:
        """Begin a line unless one begins here: the prompt would overwrite what was printed without a newline."""
        if self._stdout.isatty() and not is_dumb_terminal():
            # A line of spaces goes on to the next line only if it does not begin at the left edge.
            columns = self.prompt.app.output.get_size().columns
            self._stdout.write(" " * columns + "\r\x1b[K")
            self._stdout.flush()

    def _answer(self, text: str) -> None:
        if not text.strip():
            return
        words = text.split()
        command = self._commands.get(words[0])
        if command is not None:
            command(words[1:], text)
        else:
            good = self.evaluate(text)
            self._after_step(text, good)

    def evaluate(self, text: str) -> bool:
        """Evaluate and show; says whether all went well."""
        good = True
        with Reporter(self._stdout, self._dim) as reporter, watching(reporter.watch):
            for outcome in self.session.evaluate(text):
                good = good and outcome.error is None
                reporter.clear()
                if isinstance(outcome.output, Request) and outcome.output.what == "clear":
                    self.prompt.app.renderer.clear()
                shown = self._shown(outcome)
                if shown:
                    self.write(shown)
        return good

    def _shown(self, outcome: Outcome) -> str:
        if isinstance(outcome.error, SystemExit):
            return ""
        text = render(outcome, self._palette)
        if not self._palette.on:
            return text
        return _in_colour(text)

    # --- The terminal's own commands ---

    @property
    def _commands(self) -> Mapping[str, Callable[[list[str], str], None]]:
        return {
            ",tour": self._begin_tour, ",next": self._next, ",back": self._back, ",quit-tour": self._quit_tour,
            ",opts": self._opts, ",help": self._help,
        }  # fmt: skip

    def _opts(self, words: list[str], text: str) -> None:
        """Settings of the terminal are set here; the rest is the session's."""
        prompt = self.prompt
        match words:
            case [":editing", ("emacs" | "vi") as mode]:
                prompt.use_mode(mode)
            case [":auto-close", ("True" | "False") as value]:
                prompt.auto_close = value == "True"
            case [":editing" | ":auto-close" as name, *_]:
                values = "emacs or vi" if name == ":editing" else "True or False"
                self.write(f"{name} is {values}")
                return
            case _:
                if not self.evaluate(text) or words:
                    return
        self.write(f":editing {prompt.mode}\n:auto-close {prompt.auto_close}")

    def _help(self, words: list[str], text: str) -> None:
        if self.evaluate(text) and not words:
            self.write(f"\n{self._palette.strong('Keys')}\n{KEYS}")

    def _begin_tour(self, words: list[str], text: str) -> None:
        if words and words[0].isdecimal():
            self._tour = Tour().moved(int(words[0]) - 1)
        else:
            kept = self._kept()
            self._tour = kept if kept.step is not None else Tour()
        self._show_step()

    def _next(self, words: list[str], text: str) -> None:
        self._move(1)

    def _back(self, words: list[str], text: str) -> None:
        self._move(-1)

    def _move(self, steps: int) -> None:
        if self._tour is None:
            self.write(_NO_TOUR)
            return
        self._tour = self._tour.moved(steps)
        self._show_step()

    def _quit_tour(self, words: list[str], text: str) -> None:
        if self._tour is None:
            self.write(_NO_TOUR)
            return
        self._tour = None
        self.write(self._dim(",tour goes on from here."))

    def _show_step(self) -> None:
        assert self._tour is not None
        self._keep()
        self._catch_up(self._tour.at)
        step = self._tour.step
        heading = self._palette.strong(self._tour.heading())
        if step is None:
            self.write(f"\n{heading}\n\n{END}\n")
            self._tour = None
            return
        self.write(f"\n{heading}\n\n{step.text}\n")
        if self._tour.at == 0:
            self.write(self._dim("The form stands at your prompt: press Enter, or clear it with Ctrl-C.\n,next, ,back and ,quit-tour lead around.\n"))
        self._typed = step.form

    def _catch_up(self, at: int) -> None:
        """Do what steps before `at` do, if that was not done in this session: the next ones build on it."""
        for number in range(at):
            if number not in self._tried:
                self._tried.add(number)
                for _ in self.session.evaluate(STEPS[number].form):
                    pass

    def _after_step(self, text: str, good: bool) -> None:
        """Lead on when the step's own form was tried, or when anything went as it should."""
        if self._tour is None or self._tour.step is None:
            return
        step = self._tour.step
        if text.strip() == step.form and good is not step.goes_wrong:
            self._tried.add(self._tour.at)
            last = self._tour.at + 1 == len(STEPS)
            self.write(self._dim("\n" + ("Enter ends the tour." if last else "Enter goes on; or try something else first.")))
            self._typed = ",next"
        elif not good:
            self.write(self._dim("\n,tour shows the step again."))

    # --- What is kept ---

    def _history(self) -> History:
        try:
            self._state.mkdir(parents=True, exist_ok=True)
            file = self._state / "history"
            with open(file, "ab"):
                pass
        except OSError as error:
            self.problems.append(f"no history is kept: {error.strerror}: {self._state}")
            return InMemoryHistory()
        _shorten(file, self.config.history)
        return FileHistory(str(file))

    def _kept(self) -> Tour:
        try:
            return Tour().moved(int((self._state / "tour").read_text()))
        except (OSError, ValueError):
            return Tour()

    def _keep(self) -> None:
        assert self._tour is not None
        with suppress(OSError):  # where nothing can be kept, the tour begins anew
            (self._state / "tour").write_text(f"{self._tour.at}\n")

    def _dim(self, text: str) -> str:
        return colorize("brightblack", text) if self._palette.on else text


def _shorten(file: Path, inputs: int) -> None:
    """Keep the last `inputs` of a history, once it holds half as many again."""
    text = file.read_bytes()
    # An input begins with an empty line and a comment with the time.
    found = [match.start() for match in re.finditer(rb"^\n?# \d", text, re.MULTILINE)]
    if len(found) > inputs * 3 // 2:
        file.write_bytes(text[found[len(found) - inputs] :] if inputs else b"")


_HEADER = re.compile(r"^(error|warning)(\[[a-z-]+\]:)(.*)$", re.MULTILINE)
_UNDERLINE = re.compile(r"^( *\| +)(\^+.*)$", re.MULTILINE)


def _in_colour(text: str) -> str:
    """The errors and warnings in a text, so that the eye finds the kind and the place."""

    def header(match: re.Match[str]) -> str:
        colour = "brightred" if match[1] == "error" else "brightyellow"
        return colorize(colour, match[1] + match[2]) + colorize("bold", match[3])

    return _UNDERLINE.sub(lambda match: match[1] + colorize("brightred", match[2]), _HEADER.sub(header, text))
