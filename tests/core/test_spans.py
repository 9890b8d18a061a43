"""Spans count as Hy's reader does: lines end at a line feed only, columns are characters from 1."""

from __future__ import annotations

import hy
import pytest

from klorpy.core.spans import Source, Span
from klorpy.language.hy_adapter import span_of

#: Characters at which `str.splitlines` ends a line and Hy's reader does not.
NO_LINE_ENDS = ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]


def test_lines() -> None:
    source = Source("x.hy", "one\ntwo\n\nfour")
    assert [source.line(n) for n in range(6)] == [None, "one", "two", "", "four", None]


def test_no_text() -> None:
    assert Source("x.hy", "").line(2) is None
    assert Source("x.hy", "").slice(Span(1, 1, 1, 1)) == ""
    assert Source("x.hy", "a").slice(Span(5, 1, 6, 1)) == ""


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (Span(1, 1, 1, 1), "("),
        (Span(1, 2, 1, 3), "ab"),
        (Span(1, 5, 2, 3), "ü\n  d"),
        (Span(1, 1, 3, 2), "(ab ü\n  d\ne)"),
    ],
)
def test_slice(span: Span, text: str) -> None:
    assert Source("x.hy", "(ab ü\n  d\ne)").slice(span) == text


@pytest.mark.parametrize("end", NO_LINE_ENDS, ids=ascii)
@pytest.mark.parametrize("text", ["; a{}b\n(f (g x))\n(h)", '(f "a{}b"\n (g x))', "{}\n(f\n(g x))"], ids=ascii)
def test_lines_end_where_the_reader_ends_them(text: str, end: str) -> None:
    text = text.format(end)
    source = Source("x.hy", text)
    forms = [form for form in hy.read_many(text) if isinstance(form, hy.models.Expression)]
    assert forms
    for form in forms:
        for inner in (form, form[-1]):
            span = span_of(inner)
            assert hy.read(source.slice(span)) == inner
            line = source.line(span.line)
            assert line is not None
            assert line[span.column - 1] == text.split("\n")[span.line - 1][span.column - 1]


def test_spans_sort_as_they_stand() -> None:
    assert sorted([Span(2, 1, 2, 1), Span(1, 9, 1, 9), Span(1, 2, 3, 1), Span(1, 2, 1, 4)]) == [
        Span(1, 2, 1, 4), Span(1, 2, 3, 1), Span(1, 9, 1, 9), Span(2, 1, 2, 1),
    ]  # fmt: skip
    assert str(Span(3, 4, 5, 6)) == "3:4"
