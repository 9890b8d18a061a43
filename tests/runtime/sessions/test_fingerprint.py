"""Two texts of one choreography: each side finds the place in its own from which on they differ."""

from __future__ import annotations

import itertools
import random

import pytest

import klorpy
from klorpy.core.choreography import Choreography
from klorpy.runtime.sessions.fingerprint import departure, differences, fingerprint


def chor(text: str) -> Choreography:
    # Not in the first line, where a position in the file is one in the definition.
    found = klorpy.evaluate(f"\n\n  {text}", name="<text>").main
    assert isinstance(found, Choreography)
    return found


def place(one: str, other: str) -> str:
    """What stands in `one` at the place from which on `other` differs, up to the end of the line."""
    found = departure(fingerprint(chor(one)), fingerprint(chor(other)))
    assert found is not None
    source, span = found
    line = source.line(span.line)
    assert line is not None
    return line[span.column - 1 :]


def long(words: list[str]) -> str:
    return f"(defchor main [A B] (-> A B) [x]\n  (A->B (A (max x\n    {' '.join(words)}))))"


@pytest.mark.parametrize(
    ("one", "other", "at"),
    [
        ("(defchor main [A B] (-> A B) [x] (A->B x))", "(defchor main [A B] (-> A B) [x] (A->B (A [x])))", "x))"),
        ("(defchor main [A B] (-> A B) [x]\n ; so\n  (A->B\n    (A (+ x 1))))", "(defchor main [A B] (-> A B) [x] (A->B (A (+ x 2))))", "1))))"),
        ("(defchor main [A B] (-> A B) [x] (A->B x))", "(defchor main [A B] (-> A B) [y] (A->B y))", "x] (A->B x))"),
        # The one that ends earlier, and the one that goes on.
        ("(defchor main [A B] (-> A B) [x] (A->B x))", "(defchor main [A B] (-> A B) [x] (A->B x) (A->B x))", ")"),
        ("(defchor main [A B] (-> A B) [x] (A->B x) (A->B x))", "(defchor main [A B] (-> A B) [x] (A->B x))", "(A->B x))"),
        ('(defchor main [A] (-> A A) [x]\n  (A [x "a\n b" 1]))', '(defchor main [A] (-> A A) [x] (A [x "a\n b" 2]))', "1]))"),
    ],
)
def test_the_first_word_that_differs_is_found(one: str, other: str, at: str) -> None:
    assert place(one, other) == at


@pytest.mark.parametrize("seed", range(8))
def test_in_a_long_text_the_place_is_within_a_stride(seed: int) -> None:
    source = random.Random(seed)
    count = source.randrange(100, 1000)
    words = [str(number) for number in range(count)]
    at = source.randrange(count)
    other = [*words[:at], "0.5", *words[at + 1 :], *["1"] * source.choice((0, 1, count, 3 * count))]
    stride = 1
    while 64 * stride < 5 * len(other):
        stride *= 2
    for one, two in ((words, other), (other, words)):
        rest = place(long(one), long(two))
        # The words stand in the last line, behind 22 others, which the stride may include.
        found = -22 if "x" in rest or "[" in rest else len(one) - len(rest.rstrip(")").split())
        assert at - stride <= found <= at


def test_code_between_the_messages_counts_wherever_it_stands() -> None:
    text = "(defchor main [A B] (-> A B) [x]\n  (do (A (print {}))\n    (A->B x)))"
    one, other = text.format(1), text.format(2)
    assert differences({"A": fingerprint(chor(one)), "B": fingerprint(chor(other))}) == ("the text of main differs",)
    assert place(one, other) == "1))"


def test_what_is_sent_is_bounded() -> None:
    for count in (1, 100, 10_000):
        (part,) = fingerprint(chor(long(["1"] * count))).parts.values()
        assert len(part) <= 16 + 1 + 64 * 2 + 2


def test_the_text_of_a_macro_is_told_from_the_text_itself() -> None:
    text = "(defmacro m [] '{})\n(defchor main [A B C] (-> A C) [x] (do (m) (B->C (A->B x))))"
    made = ("(A->B x)", "(B->A (A->B x))", "(A->C x)")
    marks = [fingerprint(chor(text.format(form))) for form in made]
    for one, other in itertools.combinations(marks, 2):
        assert differences({"A": one, "B": other}) == ("what macros make of main differs",)
        assert departure(one, other) is None


def test_a_callee_that_differs_is_where_the_place_is() -> None:
    text = "(defchor part [A B] (-> A B) [x]\n  (A->B {}))\n(defchor main [A B] (-> A B) [x] (part [A B] x))"
    one, other = text.format("x"), text.format("(A [x])")
    assert differences({"A": fingerprint(chor(one)), "B": fingerprint(chor(other))}) == ("the text of part differs",)
    assert place(one, other) == "x))"
    assert place(other, one) == "(A [x])))"


def test_whatever_is_told_of_the_other_text_is_borne() -> None:
    one = fingerprint(chor("(defchor main [A B] (-> A B) [x] (A->B x))"))
    source = random.Random(1)
    for size in (0, 1, 16, 17, 18, 19, 20, 200):
        for _ in range(50):
            other = klorpy.runtime.sessions.fingerprint.Fingerprint(one.name, one.signature, {"main": source.randbytes(size)})
            assert differences({"A": one, "B": other}) != ()
            departure(one, other)
