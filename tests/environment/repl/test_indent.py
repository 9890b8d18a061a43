from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import klorpy
from klorpy.environment.repl.indent import (
    indentation,
    inside_text,
    is_open,
    next_form,
    partner,
    previous_form,
    reindented,
)  # fmt: skip

FOLDER = Path(klorpy.__file__).parent
#: Texts whose authors indent clauses of `cond` and `match` further, or nothing at all.
BY_HAND = {"rock_paper_scissors.hy", "mergesort.hy", "guessing.hy"}
FILES = sorted(path for path in FOLDER.rglob("*.hy") if path.name not in BY_HAND)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_examples_are_indented_as_the_prompt_would(path: Path) -> None:
    text = path.read_text().rstrip("\n")
    flat = "\n".join(line.lstrip() if not inside_text(text, text.index(line)) else line for line in text.split("\n"))
    assert reindented(text) == text
    assert flat != text


@pytest.mark.parametrize(("text", "column"), [
    ("", 0), ("(f)\n", 0), ("(f x\n", 3), ("(f\n", 1), ("(f x y\n", 3), ("(\n", 1), ("((f x)\n", 1), ("[1\n", 1), ("#{1\n", 2),
    ("#(1\n", 2), ("{:a 1\n", 1), ("(defn f [x]\n", 2), ("(defchor f [A]\n", 2), ("(update f [A]\n", 2), ("(scope s [A]\n", 2), ("(with [f x]\n", 2), ("(let [x 1\n", 6),
    ("(if x\n", 2), ("(chor (-> A B) [x]\n", 2), ("(foo (bar x\n", 10), ("(foo (bar x)\n", 5), ("(f 'x\n", 3), ("(f x ; (\n", 3),
    ('(f "(" x\n', 3), ("(f #_(a) x\n", 9), ("(f (g x\n      y)\n", 3), ("  (f x\n", 5), ('"(f x\n', 0), ("(lfor x y\n", 6),
    ("(defchor f [A B] (-> A B) [x]\n  (A\n", 4), ("(defchor f [A B] (-> A B) [x]\n  (A->B x\n", 4),
    ("(defchor f [A B] (-> A B) [x]\n  (A->B\n", 4), ("(defchor f [A B] (-> A B) [x]\n  (g [B A] x\n", 4), ("(g [1 2] x\n", 3),
    ("(f 'abc\n", 3), ("(->> x\n", 5), ("(f x))\n", 0),
])  # fmt: skip
def test_indentation(text: str, column: int) -> None:
    assert indentation(text, len(text)) == column


def test_only_what_stands_before_counts() -> None:
    text = "(f x\n)(g (("
    assert indentation(text, 5) == 3


def test_brackets_have_partners() -> None:
    text = '(f ")" #{[1] #_(a)} ; )\n)'
    assert partner(text, 0) == len(text) - 1
    assert partner(text, len(text) - 1) == 0
    assert partner(text, text.index("{")) == text.index("}")
    assert partner(text, text.index("#")) == text.index("}")
    assert partner(text, 4) is None
    assert partner("(]", 0) is None


def test_is_open() -> None:
    assert is_open("(f [1 2]")
    assert not is_open("(f [1 2])")
    assert not is_open('"("')
    assert not is_open(")")


@pytest.mark.parametrize(("text", "inside"), [
    ('"a', True), ('"a"', False), ("; a", True), ("; a\n", False), ('"\\"', True), ("#[x[a]", True), ("#[x[a]x]", False), ("(f ", False),
    ('f"{', True),
])  # fmt: skip
def test_inside_text(text: str, inside: bool) -> None:
    assert inside_text(text + " )", len(text)) == inside


def test_motion_by_forms() -> None:
    text = "(f [1 2] x) y"
    assert [next_form(text, i) for i in (0, 1, 3, 11, 13)] == [11, 2, 8, 13, 13]
    assert [previous_form(text, i) for i in (13, 12, 11, 8, 2, 0)] == [12, 0, 0, 3, 1, 0]


@given(st.text(alphabet='()[]{}#"\\;_ab \n', max_size=60))
def test_indenting_changes_spaces_only_and_once_is_enough(text: str) -> None:
    done = reindented(text)
    assert "".join(done.split()) == "".join(text.split())
    assert reindented(done) == done
    for position in range(len(text) + 1):
        assert indentation(text, position) >= 0
        assert position <= next_form(text, position) <= len(text)
        assert 0 <= previous_form(text, position) <= position
