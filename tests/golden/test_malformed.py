"""Texts that make no sense, each with the slug that it gets and the «guilty» part, which is to be underlined.

Whatever is given to `klorpy.evaluate`, what comes back is a KlorError with a place in the text and a help line; never
another exception, and never a hang.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import hy
import pytest

import klorpy

LINES = (Path(__file__).parent / "malformed.txt").read_text(encoding="utf-8").splitlines()

#: With characters that do not fit into a line of a text file.
ODD = [
    ("arity", "(defchor f [A B] (-> A B) [x]\r\n  «(A->B x y)»)"),
    ("arity", "(defchor f [A B] (-> A B) [x]\n\f «(A->B x y)»)"),
    ("arity", "(defchor f [A B] (-> A B) [x]\n \u2028 «(A->B x y)»)"),
    ("arity", '(defchor f [A B] (-> A B) [x] (A "a\vb\u2028c")\n «(A->B x y)»)'),
]

CASES = [*((line.split()[0], line[line.index(" ") :].lstrip()) for line in LINES), *ODD]


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    """Options that a text altered are put back."""
    before = klorpy.alter_opts({})
    yield
    klorpy.alter_opts(before)
    # What a failed test leaves there must not fail the tests after it; see `test_too_deep`.
    hy.models._seen.clear()


def refused(text: str) -> klorpy.KlorError:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(klorpy.KlorError) as caught:
            klorpy.evaluate(text, filename="program.hy")
    return caught.value


@pytest.mark.parametrize(("slug", "marked"), CASES, ids=[f"{i}-{slug}" for i, (slug, _) in enumerate(CASES)])
def test_malformed(slug: str, marked: str) -> None:
    before, rest = marked.split("«")
    guilty, after = rest.split("»")
    error = refused(before + guilty + after)
    first = error.diagnostic
    assert error.slug == slug, error.render()
    assert first.span is not None
    assert first.source is not None
    assert first.source.slice(first.span) == guilty, error.render()
    lines = before.split("\n")
    assert (first.span.line, first.span.column) == (len(lines), len(lines[-1]) + 1)
    for diagnostic in error.diagnostics:
        assert diagnostic.help, error.render()


@pytest.mark.parametrize(
    "text",
    [
        "(" * 3000,
        "(defchor f [A] (-> A) [] " + "(" * 3000 + ")" * 3000 + ")",
        "(defchor f [A] (-> " + "[" * 3000 + "A" + "]" * 3000 + " A) [x] 1)",
        "(defmacro m [] '(m)) (defchor f [A] (-> A) [] (m))",
        "(defmacro m [] `(do (m) (m))) (defchor f [A] (-> A) [] (m))",
    ],
    ids=["brackets", "calls", "types", "endless macro", "growing macro"],
)
def test_too_deep(text: str) -> None:
    error = refused(text)
    assert [d.slug for d in error.diagnostics] == ["too-deep"], error.render()
    assert error.help
    # Hy notes the objects that it is about to convert, and forgets to strike them out when the stack is full. An object
    # that later gets the place of one of them in memory would be refused.
    assert not hy.models._seen
    for i in range(50):
        klorpy.evaluate(f"(defchor sound [A B] (-> A B) [x] (A->B (A (+ x {i}))))")


@pytest.mark.parametrize("kind", ["KeyboardInterrupt", "SystemExit"])
def test_an_interrupt_is_no_mistake_of_the_text(kind: str) -> None:
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        klorpy.evaluate(f"(defmacro m [] (raise {kind})) (defchor f [A] (-> A) [] (m))")


def test_a_warning_that_is_an_error_says_what_it_warns_about() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises((klorpy.KlorError, klorpy.KlorWarning)) as caught:
            klorpy.evaluate("(defchor greet [A B C] (-> A B) [name] (A->B name))")
    assert isinstance(caught.value, (klorpy.KlorError, klorpy.KlorWarning))
    assert caught.value.slug == "unused-role"
