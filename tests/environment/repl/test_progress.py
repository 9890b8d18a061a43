from __future__ import annotations

import io
import threading

import pytest

import klorpy
from klorpy.environment.repl import progress as module
from klorpy.environment.repl.progress import Reporter, line
from klorpy.simulator import Progress, watching

TELL = klorpy.evaluate("(defchor tell [A B] (-> A B) [x] (A->B (A (x))))").tell


class Terminal(io.StringIO):
    """A terminal that tells when it has been told of messages."""

    def __init__(self) -> None:
        super().__init__()
        self.told = threading.Event()

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        done = super().write(text)
        if "MESSAGES" in text:
            self.told.set()
        return done


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    monkeypatch.setattr(module, "INTERVAL", 0.001)


@pytest.mark.usefixtures("impatient")
def test_a_long_run_is_told_of_and_the_line_goes_away() -> None:
    file = Terminal()
    with Reporter(file, str.upper) as reporter, watching(reporter.watch):
        klorpy.simulate_chor(TELL, lambda: file.told.wait(10))
    assert "\r\x1b[KTELL: 0 MESSAGES · 0 S · CTRL-C CANCELS" in file.getvalue()
    assert file.getvalue().endswith("\r\x1b[K")


def test_a_short_run_is_not_told_of() -> None:
    file = Terminal()
    with Reporter(file, str) as reporter, watching(reporter.watch):
        klorpy.simulate_chor(TELL, int)
    assert file.getvalue() == ""


@pytest.mark.usefixtures("impatient")
def test_nothing_is_told_where_there_is_no_terminal() -> None:
    file = io.StringIO()
    with Reporter(file, str) as reporter, watching(reporter.watch):
        klorpy.explore(TELL, int)
    assert file.getvalue() == ""


@pytest.mark.parametrize(("progress", "told"), [
    (Progress(TELL, total=1000, done=7), "tell: 7 of 1,000 schedules · 12 s · Ctrl-C cancels"),
    (Progress(TELL, trace=[0] * 5000), "tell: 1,000 messages · 12 s · Ctrl-C cancels"),
    (Progress(TELL), "tell: runs · 12 s · Ctrl-C cancels"),
])  # fmt: skip
def test_lines(progress: Progress, told: str) -> None:
    assert line(progress, 12.3) == told
