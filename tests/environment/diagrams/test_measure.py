"""Texts for pictures: whatever goes in, a line of visible characters of a known width comes out."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klorpy.environment.diagrams.measure import LONGEST, cells, plain, shorten, wrap
from tests.environment.diagrams.nasty import nasty, relaxed


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"), ("two\nlines", "two ⏎ lines"), ("dos\r\nlines", "dos ⏎ lines"), ("\x00", "\\x00"), ("\x1b[31m", "\\x1b[31m"),
        ("\ud800", "\\ud800"), ("\u202eabc", "\\u202eabc"), ("\ufeff", "\\ufeff"), ("a\u2028b", "a\\u2028b"), ("a\u00a0b", "a b"),
        ("\U000e0001", "\\U000e0001"), ("\U0001f469\u200d\U0001f4bb", "\U0001f469\u200d\U0001f4bb"), ("価格", "価格"),
    ],
)  # fmt: skip
def test_plain(text: str, shown: str) -> None:
    assert plain(text) == shown


@relaxed
@given(nasty | st.text())
def test_plain_texts_can_be_seen_and_stay_so(text: str) -> None:
    shown = plain(text)
    assert plain(shown) == shown or len(shown) > LONGEST
    assert not [char for char in shown if unicodedata.category(char) in ("Cc", "Cs", "Co", "Cn", "Zl", "Zp")]
    shown.encode("utf-8")


def test_a_huge_text_is_cut() -> None:
    assert len(plain("x" * 10**6)) == LONGEST
    assert plain("x" * 10**6).endswith("x…")


@pytest.mark.parametrize(
    ("text", "width"), [("", 0), ("abc", 3), ("価格", 4), ("e\u0301", 1), ("\u200b", 0), ("❤\ufe0f", 2), ("\U0001f600", 2)]
)
def test_cells(text: str, width: int) -> None:
    assert cells(text) == width


@relaxed
@given(nasty, st.integers(1, 30))
def test_shortened_texts_fit(text: str, limit: int) -> None:
    short = shorten(plain(text), limit)
    assert cells(short) <= limit
    assert short == plain(text) or short.endswith("…")


@relaxed
@given(nasty, st.integers(2, 30), st.integers(1, 4))
def test_wrapped_texts_fit_and_lose_no_word_in_the_middle(text: str, limit: int, lines: int) -> None:
    parts = wrap(plain(text), limit, lines)
    assert 1 <= len(parts) <= lines
    assert all(cells(part) <= limit for part in parts)
    if not parts[-1].endswith("…"):
        assert "".join(parts).replace(" ", "") == plain(text).replace(" ", "")


@pytest.mark.parametrize(
    ("text", "limit", "parts"),
    [
        ("Customer-Relationship-Manager", 18, ("Customer-", "Relationship-Mana…")), ("no break at all", 40, ("no break at all",)),
        ("aaaaaaaaaa", 4, ("aaaa", "aaa…")), ("one two three", 7, ("one two", "three")),
    ],
)  # fmt: skip
def test_wrap(text: str, limit: int, parts: tuple[str, ...]) -> None:
    assert wrap(text, limit, 2) == parts
