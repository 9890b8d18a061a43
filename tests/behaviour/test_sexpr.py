"""Reading s-expressions: positions, strings, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klorpy import KlorError
from klorpy.behaviour.sexpr import MAX_DEPTH, Atom, Group, Quoted, read_one
from klorpy.core.spans import Span

WORDS = st.text("abz:->019*<>", min_size=1, max_size=4)


def texts() -> st.SearchStrategy[str]:
    leaves = WORDS | st.text(max_size=5).map(lambda s: str(Quoted(s, span=Span(1, 1, 1, 1), source=None)))  # type: ignore[arg-type]
    return st.recursive(leaves, lambda inner: st.lists(inner, max_size=4).map(lambda items: f"({' '.join(items)})"))


@given(texts())
def test_what_was_printed_reads_as_the_same_form(text: str) -> None:
    form = read_one(text)
    assert read_one(str(form)) == form
    assert form.source.slice(form.span) == text


def test_positions_count_from_one_and_end_inclusively() -> None:
    group = read_one('; a comment\n  (com r\n   "x\\n")')
    assert isinstance(group, Group)
    assert (group.span, group.word) == (Span(2, 3, 3, 9), "com")
    word, _, string = group.items
    assert isinstance(word, Atom)
    assert isinstance(string, Quoted)
    assert (word.span, string.value) == (Span(2, 4, 2, 6), "x\n")


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("(a", "1:1", "this ( is never closed"),
        ("a)", "1:2", "nothing is open that ) could close"),
        ("(a]", "1:3", "] does not close the ( of 1:1"),
        ('(a "b)', "1:4", "this string is never closed"),
        ('"\\q"', "1:2", "a string has no escape \\q"),
        ("a\nb", "2:1", "one form is expected, and here begins a second"),
        (" ; nothing", "1:1", "a form is expected, but there is none"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(text: str, place: str, message: str) -> None:
    with pytest.raises(KlorError) as caught:
        read_one(text)
    assert (caught.value.slug, str(caught.value.span), caught.value.message) == ("read-error", place, message)


def test_too_many_brackets_are_refused() -> None:
    deep = "(" * MAX_DEPTH + ")" * MAX_DEPTH
    assert str(read_one(deep)) == deep
    with pytest.raises(KlorError) as caught:
        read_one(f"({deep})")
    assert caught.value.slug == "too-deep"


@pytest.mark.parametrize("what", [None, 5, b"x"])
def test_only_texts_are_read(what: object) -> None:
    with pytest.raises(KlorError) as caught:
        read_one(what)  # type: ignore[arg-type]
    assert caught.value.slug == "bad-argument"
