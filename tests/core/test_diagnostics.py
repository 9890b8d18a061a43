"""Diagnostics as text: the guilty form underlined, whatever its line is made of."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import klorpy
from klorpy.core import diagnostics
from klorpy.core.diagnostics import TITLES, WARNINGS, Diagnostic, KlorError, KlorWarning, render
from klorpy.core.spans import Source, Span


def show(text: str, span: Span, **more: str) -> list[str]:
    return render(Diagnostic("arity", "wrong", span, source=Source("x.hy", text), **more)).splitlines()  # type: ignore[arg-type]


def test_one_line() -> None:
    assert show("(f (g x))", Span(1, 4, 1, 8), label="this", help="mend it") == [
        "error[arity]: wrong",
        "  --> x.hy:1:4",
        "  |",
        "1 | (f (g x))",
        "  |    ^^^^^ this",
        "  = help: mend it",
    ]


def test_several_lines() -> None:
    """Each line is underlined from its first character to its last, and the label stands at the end."""
    assert show("(f\n   (g\n     x)  ; c\n)", Span(2, 4, 3, 7), label="this") == [
        "error[arity]: wrong",
        "  --> x.hy:2:4",
        "  |",
        "2 |    (g",
        "  |    ^^",
        "3 |      x)  ; c",
        "  |      ^^ this",
    ]


def test_a_long_form_is_shown_by_its_first_and_last_lines() -> None:
    text = "\n".join(["(do", *(f"  (f {i})" for i in range(20)), "  last)"])
    lines = show(text, Span(1, 1, 22, 7), label="here")
    assert any("⋮" in line for line in lines)
    assert len(lines) < 18
    assert lines[-2:] == ["22 |   last)", "   |   ^^^^^ here"]
    assert " 1 | (do" in lines


@pytest.mark.parametrize("text", ["\t(f\tx)", "ü(f\tx)", "漢(f x)"])
def test_the_underline_stands_under_the_form(text: str) -> None:
    """A tab takes one column in both lines; letters outside of ASCII count as one."""
    lines = show(text, Span(1, 2, 1, 6))
    assert lines[3].index("(f") == lines[4].index("^")
    assert lines[4].count("^") == 5
    assert "\t" not in "".join(lines)


def test_the_gutter_fits_the_largest_line_number() -> None:
    text = "\n" * 98 + "(f\nx)"
    lines = show(text, Span(99, 1, 100, 2))
    assert lines[1] == "    --> x.hy:99:1"
    assert lines[3] == " 99 | (f"
    assert lines[5] == "100 | x)"


def test_notes_and_help_of_several_lines_are_indented() -> None:
    text = render(Diagnostic("arity", "wrong", notes=("one\ntwo", "three"), help="a\nb"))
    assert text.splitlines() == [
        "error[arity]: wrong",
        "  = note: one",
        "          two",
        "  = note: three",
        "  = help: a",
        "          b",
    ]


def test_a_place_without_text() -> None:
    assert show("", Span(7, 2, 7, 3))[:2] == ["error[arity]: wrong", "  --> x.hy:7:2"]
    assert render(Diagnostic("arity", "wrong", Span(7, 2, 7, 3))) == "error[arity]: wrong\n  --> 7:2"


def test_a_span_beyond_the_text_does_not_fail() -> None:
    assert show("(f)", Span(1, 2, 1, 50))[3] == "1 | (f)"
    assert show("(f)", Span(5, 1, 9, 1))[0] == "error[arity]: wrong"


def test_warnings_say_so() -> None:
    assert render(Diagnostic("unused-role", "B")).startswith("warning[unused-role]: B")
    assert set(TITLES) >= WARNINGS


def test_an_error_carries_its_diagnostic() -> None:
    first = Diagnostic("arity", "wrong", Span(1, 1, 1, 2), notes=("n",), help="h", source=Source("x.hy", "(f)"))
    second = Diagnostic("dup-name", "twice", Span(1, 1, 1, 2))
    error = KlorError(first, second)
    assert (error.slug, error.message, error.span, error.notes, error.help) == (
        "arity", "wrong", Span(1, 1, 1, 2), ("n",), "h",
    )  # fmt: skip
    assert error.diagnostics == (first, second)
    assert str(error) == "wrong"
    assert error.__notes__ == ["n", "help: h"]
    assert error.render() == render(first) + "\n\n" + render(second)


def test_an_error_from_text() -> None:
    error = KlorError("no", slug="bad-argument", help="yes")
    assert (error.slug, error.span, error.help) == ("bad-argument", None, "yes")
    assert KlorError("oops").slug == "internal"


def test_a_warning_has_a_slug() -> None:
    warning = KlorWarning("B is never used", "unused-role")
    assert (str(warning), warning.slug) == ("B is never used", "unused-role")
    assert isinstance(warning, UserWarning)


def test_each_slug_that_the_program_uses_has_a_title() -> None:
    """And each title but those of the language reference's checklist is used: none is a leftover."""
    root = Path(klorpy.__file__).parent
    text = "\n".join(
        path.read_text(encoding="utf-8") for path in root.rglob("*.py") if path != Path(diagnostics.__file__)
    )
    used = set(re.findall(r'"([a-z]+(?:-[a-z]+)+|arity|deadlock|timeout|internal|unmergeable)"', text))
    for slug in re.findall(r'slug(?:: str)? ?=\s*"([a-z-]+)"', text) + re.findall(r'Diagnostic\(\s*"([a-z-]+)"', text):
        assert slug in TITLES, f"{slug} has no title"
    assert set(TITLES) - used == {"internal"} & (set(TITLES) - used)


def test_each_title_is_one_plain_line() -> None:
    for slug, title in TITLES.items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", slug)
        assert title
        assert "\n" not in title
        assert not title.endswith(".")
