"""The benchmarks of the prompt do the work that they measure. No time is looked at."""

from __future__ import annotations

from tests.benchmarks.repl import keypress, starting, text_of


def test_the_text_has_the_lines_that_it_promises() -> None:
    assert len(text_of(200).split("\n")) == 200


def test_both_do_the_work() -> None:
    assert keypress(20, 3, repeats=1).run().subject > 0
    assert starting(repeats=1).run().subject > 0
