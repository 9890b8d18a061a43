"""The REPL as somebody uses it: keys are typed, and the screen is looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from klorpy.environment.repl.config import Config
from klorpy.environment.session import Session
from tests.environment.repl.screen import (
    ALT_ENTER, BACKSPACE, CTRL_A, CTRL_C, CTRL_D, CTRL_R, DOWN, ENTER, ESCAPE, F4, HOME, LEFT, TAB, UP, Look, Screen,
    Until, typed,
)  # fmt: skip

QUIET = Config(welcome=False)
GREET = '(defchor greet [A B] (-> A B) [name] (B (+ "Hello, " (A->B name))))'


def test_a_form_gives_its_value(tmp_path: Path) -> None:
    screen, _ = typed("(+ 1 2)" + ENTER, Until("\n3"), state=tmp_path)
    assert screen.text.startswith("klor> (+ 1 2)\n3\nklor>")
