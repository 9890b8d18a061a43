"""The tokens are those of Hy's reader, and the roles have their colours."""

from __future__ import annotations

import builtins
import re
from pathlib import Path

import hy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pygments import highlight
from pygments.formatters import HtmlFormatter, NullFormatter, Terminal256Formatter
from pygments.token import Comment, Error, Keyword, Name, Number, Operator, Punctuation, String, Whitespace

import klorpy
from klorpy.environment.repl.lexer import HY_FORMS, LANGUAGE_FORMS, OPERATORS, ROLES, KlorLexer, chunks, parts
from klorpy.language.analyzer.dispatch import FORMS

EXAMPLES = sorted(Path(klorpy.__file__).parent.rglob("*.hy"))


def kinds(text: str) -> list[tuple[object, str]]:
    return [(part.kind, part.text) for part in parts(text) if part.kind is not Whitespace]


def kind(text: str) -> object:
    """The kind of the only token of a text."""
    ((found, _),) = kinds(text)
    return found


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_all_of_a_text_is_in_its_tokens_and_nothing_is_an_error(path: Path) -> None:
    text = path.read_text()
    assert "".join(part.text for part in parts(text)) == text
    assert [part for part in parts(text) if part.kind in Error] == []


@given(st.text(alphabet='()[]{}#"\\;:_^*~@\'`abf1.-> \n,&!', max_size=40))
def test_any_text_is_in_its_tokens(text: str) -> None:
    assert "".join(part.text for part in parts(text)) == text


_TEXT = st.lists(
    st.sampled_from([
        "(defchor f [A B]", "(-> A B) [x]", "(A->B x)", ")", "(", "[", '"', 'f"{', "}", "#_", ";", "\n", "\n  ", " ", "#[x[", "]x]", "A", "#!", ",a",
    ]), max_size=25,
).map("".join)  # fmt: skip


@given(_TEXT, _TEXT, _TEXT, _TEXT)
def test_a_text_that_changed_in_one_place_has_the_tokens_that_it_has_anew(a: str, b: str, c: str, d: str) -> None:
    for text in (a + b + d, a + c + d, a + d, a, a + b + c + d):
        known = [token for chunk in chunks(text) for token in chunk.tokens]
        assert "".join(chunk.text for chunk in chunks(text)) == text
        fresh = KlorLexer().get_tokens_unprocessed(text)
        assert [(kind, value) for _, kind, value in known] == [(kind, value) for _, kind, value in fresh]


def test_only_what_changed_is_read_again() -> None:
    lines = [f"(f {i})\n" for i in range(100)]
    before = chunks("".join(lines))
    after = chunks("".join([*lines[:50], "(g)\n", *lines[50:]]))
    assert len(set(after) - set(before)) <= 2
    assert len(set(after) & set(before)) >= 98


def test_the_forms_are_those_that_there_are() -> None:
    words = {name for name in map(hy.unmangle, vars(builtins)["_hy_macros"]) if re.match(r"[a-z]", name)}
    assert words == HY_FORMS
    signs = {name for name in map(hy.unmangle, vars(builtins)["_hy_macros"]) if not re.match(r"[a-z]", name)}
    assert signs <= OPERATORS
    macros = {hy.unmangle(name) for name in vars(klorpy)["_hy_macros"]}
    assert macros | set(FORMS) <= LANGUAGE_FORMS | HY_FORMS
    assert macros | set(FORMS) >= LANGUAGE_FORMS


NUMBERS = ["1", "-1", "1_000", "1,000", "007", "0x1F", "0o17", "0b101", "1.5", "1e5", "-1.5e-3", ".5", "5.", "Inf", "-NaN",
           "2j", "1+2j", "-1.5e3-2J"]  # fmt: skip


@pytest.mark.parametrize("text", [*NUMBERS, "a1", "1/2", "-", "...", "_1", "1-", "Info", "j", "x-1", "1e", "e5", "0x"])
def test_a_number_is_what_the_reader_takes_for_one(text: str) -> None:
    model = hy.read(text)
    is_number = isinstance(model, (hy.models.Integer, hy.models.Float, hy.models.Complex))
    assert (kind(text) in Number) == is_number == (text in NUMBERS)


@pytest.mark.parametrize("prefix", ["", "b", "r", "f", "br", "rb", "fr", "rf", "t", "bf", "rr", "x", "bb"])
def test_a_prefix_is_what_the_reader_takes_for_one(prefix: str) -> None:
    text = f'{prefix}"a"'
    try:
        hy.read(text)
        read = True
    except hy.errors.HySyntaxError:
        read = False
    assert read == all(part.kind not in Error for part in parts(text))


@pytest.mark.parametrize(("text", "expected"), [
    ('"a;(\\"b"', String), ('#[x[ ]] " ]x]', String), ("#[[a]]", String), ("; (a", Comment), (":key", String.Symbol),
    ("None", Keyword.Constant), ("'", Operator), ("~@", Operator), ("#*", Operator), ("#**", Operator), ("#foo", Name.Decorator),
    ("a-b?!", Name), ("#!/usr/bin/env hy", Comment.Hashbang),
])  # fmt: skip
def test_kinds(text: str, expected: object) -> None:
    assert {found in expected for found, _ in kinds(text)} == {True}  # type: ignore[operator]


def test_fields_of_a_format_string_hold_forms() -> None:
    found = kinds('f"a{(g "q") !r :>{n}}{{}}{x}" y')
    assert (Name.Function.Call, "g") in found
    assert (Name, "n") in found
    assert (Name, "x") in found
    assert (String.Escape, "{{") in found
    assert found[-1] == (Name, "y")


def test_what_is_discarded_is_a_comment() -> None:
    text = '[1 #_(a "b)" [c]) 2 #_ "x y" 3 #_ #_ a b 4 #_ -5 6]'
    left = [value for found, value in kinds(text) if found not in Comment]
    assert left == ["[", "1", "2", "3", "4", "6", "]"]
    assert [part.text for part in parts(text) if part.is_bracket] == list("[([])]")


ROLE_TEXT = "(defchor f [A B-2 C] (-> #{A B-2} C | 0) [x] (A->C (B-2=>A x)) (B-2 (g [C A] Ax)) (D->A A->B))"


def test_roles_have_the_colours_of_their_places() -> None:
    roles = [(value, ROLES.index(found)) for found, value in kinds(ROLE_TEXT) if found in ROLES]
    assert set(roles) == {("A", 0), ("B-2", 1), ("C", 2)}
    assert "".join(value[0] for value, _ in roles) == "ABCABCACBABCA"
    assert (Operator, "=>") in kinds(ROLE_TEXT)


def test_roles_end_with_their_definition() -> None:
    text = "(defchor f [A B] (-> A B) [x] (A->B x)) (A B) (defchor g [B A] (-> A B) [x] (A->B x))"
    roles = [(value, ROLES.index(found)) for found, value in kinds(text) if found in ROLES]
    assert roles == [("A", 0), ("B", 1)] * 3 + [("B", 0), ("A", 1), ("A", 1), ("B", 0), ("A", 1), ("B", 0)]


def test_there_are_as_many_roles_as_one_likes() -> None:
    text = f"(defchor f [{' '.join(f'R{i}' for i in range(8))}])"
    assert [ROLES.index(found) for found, _ in kinds(text) if found in ROLES] == [0, 1, 2, 3, 4, 5, 0, 1]


def test_commands_and_names() -> None:
    assert kinds(",sim f")[0] == (Keyword.Pseudo, ",sim")
    assert kinds("(defn f [,x])")[:3] == [(Punctuation, "("), (Keyword.Reserved, "defn"), (Name.Function, "f")]


def test_formatters_of_pygments_know_the_roles() -> None:
    assert 'class="nc nc-Role1"' in highlight(ROLE_TEXT, KlorLexer(), HtmlFormatter())
    assert highlight(ROLE_TEXT, KlorLexer(), NullFormatter()).strip() == ROLE_TEXT
    assert "\x1b[" in highlight(ROLE_TEXT, KlorLexer(), Terminal256Formatter())
    assert KlorLexer.analyse_text("(update f [A])") > 0.5
    assert KlorLexer.analyse_text("(require klorpy *)\n(defchor f [A])") > 0.5 > KlorLexer.analyse_text("(defn f [])")


def test_a_protocol_has_the_colours_of_its_roles() -> None:
    tokens = [(str(part.kind).removeprefix("Token."), part.text) for part in parts("(defprotocol Login [U C] (-> U C str))")]
    kinds = {text: kind for kind, text in tokens if text.strip()}
    assert kinds["defprotocol"] == "Keyword"
    assert kinds["Login"] == "Name.Class"
    assert (kinds["U"], kinds["C"]) == ("Name.Class.Role0", "Name.Class.Role1")
    assert kinds["str"] == "Name"
