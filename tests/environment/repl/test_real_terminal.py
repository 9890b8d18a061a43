"""The REPL as a process in a terminal: what only a real one shows, such as Ctrl-C in the middle of work."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pyte
import pytest

from tests.environment.repl.screen import BACKSPACE, CTRL_C, CTRL_D, END, ENTER, LEFT, TAB, UP

COLUMNS, ROWS = 100, 50
PATIENCE = 60
RUN = "import sys; from klorpy.environment.repl import main; sys.exit(main(sys.argv[1:]))"


class Terminal:
    """A terminal with the REPL in it. It answers as terminals do when it is asked for the cursor."""

    def __init__(self, state: Path, *files: str) -> None:
        environ = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "PYTEST_CURRENT_TEST")}
        environ |= {"XDG_CONFIG_HOME": str(state), "XDG_STATE_HOME": str(state), "TERM": "xterm-256color"}
        self.child = pexpect.spawn(
            sys.executable, ["-c", RUN, *files], env=environ, cwd=str(state), dimensions=(ROWS, COLUMNS), encoding="utf-8"
        )  # fmt: skip
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self.screen.write_process_input = self.child.send
        self._stream = pyte.Stream(self.screen)

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    def until(self, text: str, times: int = 1) -> None:
        """Read until the screen shows `text`, `times` over."""
        self.wait_for(lambda: self.text.count(text) >= times)

    def say(self, text: str) -> None:
        """Type a line, once the prompt is there, and Enter, once the line is."""
        self.until_prompt()
        self.child.send(text)
        self.wait_for(lambda: self._last().startswith(f"klor> {text}"[:COLUMNS]))
        self.child.send(ENTER)

    def until_prompt(self) -> None:
        """Read until the last line is an empty prompt."""
        self.wait_for(lambda: self._last() == "klor>")

    def _last(self) -> str:
        """The last line that begins with a prompt, if it is below all that is no toolbar or continued line."""
        shown = [line for line in self.text.split("\n") if line.strip() and " · Tab completes" not in line]
        last = next((i for i in range(len(shown) - 1, -1, -1) if shown[i].startswith("klor>")), None)
        if last is None or (shown[last] == "klor>" and last != len(shown) - 1):
            return ""
        return shown[last]

    def wait_for(self, shown: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not shown():
            assert time.monotonic() < end, self.text
            try:
                self._stream.feed(self.child.read_nonblocking(65536, timeout=0.2))
            except pexpect.TIMEOUT:
                pass
            except pexpect.EOF:
                raise AssertionError(f"it left:\n{self.text}") from None


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    (tmp_path / "klorpy").mkdir()
    (tmp_path / "klorpy" / "config.toml").write_text("[repl]\nwelcome = false\n")
    opened = Terminal(tmp_path)
    yield opened
    opened.child.close(force=True)


def test_define_run_redefine_and_recompile(terminal: Terminal) -> None:
    terminal.say('(defchor greet [A B] (-> A B) [name] (B (+ "Hello, " (A->B name))))')
    terminal.say("(defchor welcome [A B C] (-> C B) [name] (A->B (greet [C A] name)))")
    terminal.say('(simulate-chor welcome "Ada")')
    terminal.until('B  "Hello, Ada"')
    # A signature that differs in who takes part: the caller is stale, but its text still fits.
    terminal.say("(defchor greet [A B] (-> A #{A B}) [name] (A=>B name))")
    terminal.until("signature-changed")
    terminal.until("welcome")
    terminal.say('(simulate-chor welcome "Ada")')
    terminal.until("this is the error stale-dependent")
    terminal.say(",recompile")
    terminal.say('(simulate-chor welcome "Grace")')
    terminal.until('B  "Grace"')
    terminal.until_prompt()
    terminal.child.send(CTRL_D)
    terminal.child.expect(pexpect.EOF)
    terminal.child.wait()
    assert terminal.child.exitstatus == 0


@pytest.mark.parametrize("work", [
    '(do (print "be" "gun") (while True))',
    '(do (import time) (print "be" "gun") (time.sleep 1000))',
    '(do (import asyncio) (print "be" "gun") (await (asyncio.sleep 1000)))',
])  # fmt: skip
def test_ctrl_c_ends_what_is_evaluated_and_not_the_session(terminal: Terminal, work: str) -> None:
    terminal.say(work)
    terminal.until("be gun")
    terminal.child.send(CTRL_C)
    terminal.until("interrupted")
    terminal.say("(+ 40 2)")
    terminal.until("\n42")


def test_ctrl_c_again_and_again(terminal: Terminal) -> None:
    terminal.say('(do (print "be" "gun") (while True))')
    terminal.until("be gun")
    for _ in range(30):
        terminal.child.send(CTRL_C)
    terminal.until("interrupted")
    terminal.say("(+ 40 2)")
    terminal.until("\n42")


def test_an_endless_simulation_tells_of_itself_and_can_be_ended(terminal: Terminal) -> None:
    terminal.say("(defchor forever [A B] (-> A B) [x] (loop [y x] (recur (B->A (A->B y)))))")
    terminal.say("(simulate-chor forever 1)")
    terminal.until(" s · Ctrl-C cancels")
    terminal.child.send(CTRL_C)
    terminal.until("interrupted")
    terminal.say("(+ 40 2)")
    terminal.until("\n42")
    assert "Ctrl-C cancels" not in terminal.text


def test_what_others_print_stands_above_the_line_that_is_typed(terminal: Terminal, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    terminal.say("(import threading)")
    terminal.say('(.start (threading.Thread :target (fn [] (print (.read (open "pipe"))))))')
    terminal.until_prompt()
    terminal.child.send("(half a line")
    terminal.until("klor> (half a line")
    (tmp_path / "pipe").write_text("from elsewhere")
    terminal.until("from elsewhere")
    terminal.child.send(")" + ENTER)
    terminal.until("klor> (half a line)")
    shown = [line for line in terminal.text.split("\n") if line in ("from elsewhere", "klor> (half a line)")]
    assert shown == ["from elsewhere", "klor> (half a line)"]


def test_what_is_printed_without_a_newline_stays(terminal: Terminal) -> None:
    terminal.say('(print "hel" :end "") (print "lo" :end "")')
    terminal.say("(+ 1 1)")
    terminal.until("\nhello\nklor> (+ 1 1)\n2\nklor>")


def test_a_role_is_completed_and_a_form_of_several_lines_edited(terminal: Terminal) -> None:
    terminal.say("(defchor greet [Alice Bob] (-> Alice Bob) [name]")
    terminal.child.send("(Bo" + TAB)
    terminal.until("Bob->Alice")  # the menu is open
    terminal.child.send(TAB)
    terminal.until("        (Bob\n")
    terminal.child.send(' (+ "Hi, " (Alice->Bob name))))' + ENTER)
    terminal.until("<choreography greet")
    # The same again, with another word in its second line.
    terminal.until_prompt()
    terminal.child.send(UP)
    terminal.until('(+ "Hi, "', 2)
    terminal.child.send(LEFT * len(', " (Alice->Bob name))))') + BACKSPACE * 2 + "Ho" + END + ENTER)
    terminal.until("<choreography greet", 2)
    terminal.say('(simulate-chor greet "Ada")')
    terminal.until('Bob    "Ho, Ada"')


def test_files_are_loaded_first(tmp_path: Path) -> None:
    (tmp_path / "twice.hy").write_text("(require klorpy *)\n(defchor twice [A B] (-> A B) [x] (B (* 2 (A->B x))))\n")
    terminal = Terminal(tmp_path, "twice.hy")
    terminal.say("(simulate-chor twice 21)")
    terminal.until("B  42")
    terminal.child.close(force=True)
