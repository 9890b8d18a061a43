"""Types: rendering, parsing, substitution, equivalence, and which roles they mention."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klorpy.core.types import (
    Agreement,
    Arrow,
    Signature,
    Tuple,
    Type,
    in_order,
    parse_signature,
    render,
    substitute,
    union,
)

A, B, C = (Agreement(frozenset(r)) for r in "ABC")
AB = Agreement(frozenset("AB"))
NONE: frozenset[str] = frozenset()

ROLES = ("A", "B", "Bank", "front-end", "Ünï", "x?", "D")
roles = st.frozensets(st.sampled_from(ROLES), min_size=1)
agreements = st.builds(Agreement, roles)


def arrows(inner: st.SearchStrategy[Type]) -> st.SearchStrategy[Arrow]:
    def normal(params: list[Type], result: Type, aux: frozenset[str]) -> Arrow:
        return Arrow(tuple(params), result, aux - union(t.roles for t in (*params, result)))

    return st.builds(normal, st.lists(inner, max_size=3), inner, st.frozensets(st.sampled_from(ROLES)))


types: st.SearchStrategy[Type] = st.recursive(
    agreements, lambda inner: st.lists(inner, min_size=1, max_size=3).map(lambda i: Tuple(tuple(i))) | arrows(inner),
    max_leaves=8,
)  # fmt: skip
signatures = st.builds(Signature, st.permutations(ROLES).map(tuple), arrows(types))


@pytest.mark.parametrize(
    ("type_", "order", "text"),
    [
        (A, "AB", "A"),
        (AB, "AB", "#{A B}"),
        (AB, "BA", "#{B A}"),
        (AB, "", "#{A B}"),
        (Agreement(frozenset("ABC")), "C", "#{C A B}"),
        (Tuple((A, Tuple((AB, B)))), "AB", "[A [#{A B} B]]"),
        (Arrow((), A, NONE), "A", "(-> A | 0)"),
        (Arrow((A, AB), B, frozenset("CD")), "DCBA", "(-> A #{B A} B | D C)"),
        (Arrow((Arrow((A,), B, frozenset("C")),), Tuple((A,)), NONE), "ABC", "(-> (-> A B | C) [A] | 0)"),
    ],
)
def test_render(type_: Type, order: str, text: str) -> None:
    assert render(type_, tuple(order)) == text


@given(signatures)
def test_parse_is_the_inverse_of_render(signature: Signature) -> None:
    assert parse_signature(signature.text) == signature
    assert parse_signature(f"  {signature.text}\n") == signature


@given(signatures, st.data())
def test_any_other_text_is_refused(signature: Signature, data: st.DataObject) -> None:
    """A cut text is never taken for a signature, nor does it raise anything but ValueError."""
    text = signature.text
    end = data.draw(st.integers(0, len(text) - 1))
    with pytest.raises(ValueError, match="not a signature"):
        parse_signature(text[:end])


@pytest.mark.parametrize(
    "text",
    ["", "(", "A", "(-> A A | 0)", "(forall [A] (-> A A | 0)) x", "(forall [A] (-> | 0))", "(forall [A] [A])",
     "(forall [A] (-> A A | 0)", "(forall [A] (A A | 0))", "(forall [A] (-> A A)"],
)  # fmt: skip
def test_no_signature(text: str) -> None:
    with pytest.raises(ValueError, match="not a signature"):
        parse_signature(text)


@given(types)
def test_roles_are_those_that_the_text_names(type_: Type) -> None:
    words = set(render(type_).replace("#{", " ").translate(str.maketrans("()[]{}|", "       ")).split())
    assert type_.roles == words - {"->", "0"}


@given(types)
def test_renaming_there_and_back(type_: Type) -> None:
    there = {role: f"{role}2" for role in ROLES}
    back = {new: old for old, new in there.items()}
    renamed = substitute(type_, there)
    assert renamed.roles == {there[role] for role in type_.roles}
    assert substitute(renamed, back) == type_
    assert substitute(type_, {role: role for role in ROLES}) == type_


def test_renaming_is_simultaneous() -> None:
    assert substitute(Arrow((A,), B, NONE), {"A": "B", "B": "A"}) == Arrow((B,), A, NONE)


def test_renaming_two_roles_to_one_joins_them() -> None:
    assert substitute(AB, {"A": "C", "B": "C"}) == C


@given(signatures)
def test_a_signature_is_equivalent_to_itself_with_other_role_names(signature: Signature) -> None:
    names = {role: f"R{i}" for i, role in enumerate(signature.roles)}
    arrow = substitute(signature.arrow, names)
    assert isinstance(arrow, Arrow)
    other = Signature(tuple(names.values()), arrow)
    assert signature.equivalent(other)
    assert other.equivalent(signature)
    assert signature != other


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("(forall [A B] (-> A B | 0))", "(forall [B A] (-> B A | 0))", True),
        ("(forall [A B] (-> A B | 0))", "(forall [B A] (-> A B | 0))", False),
        ("(forall [A B] (-> A #{A B} | 0))", "(forall [A B] (-> A #{B A} | 0))", True),
        ("(forall [A B C] (-> A B | C))", "(forall [A C B] (-> A C | B))", True),
        ("(forall [A B C] (-> A B | C))", "(forall [A B] (-> A B | 0))", False),
        ("(forall [A B C] (-> A B | C))", "(forall [A B C] (-> A B | 0))", False),
        ("(forall [A B] (-> [A B] B | 0))", "(forall [A B] (-> [B A] B | 0))", False),
        ("(forall [A B] (-> (-> A B | 0) B | 0))", "(forall [X Y] (-> (-> X Y | 0) Y | 0))", True),
        ("(forall [A] (-> A A | 0))", "(forall [A] (-> A A A | 0))", False),
    ],
)
def test_equivalence(left: str, right: str, same: bool) -> None:
    assert parse_signature(left).equivalent(parse_signature(right)) is same
    assert parse_signature(right).equivalent(parse_signature(left)) is same


def test_instantiate_puts_roles_in_the_order_of_the_vector() -> None:
    signature = parse_signature("(forall [A B C] (-> A #{B C} [A B] | 0))")
    assert render(signature.instantiate(("Q", "P", "R")), ("Q", "P", "R")) == "(-> Q #{P R} [Q P] | 0)"
    with pytest.raises(ValueError, match="zip"):
        signature.instantiate(("Q", "P"))


def test_agreements_have_no_order_and_tuples_do() -> None:
    assert Agreement(frozenset("AB")) == Agreement(frozenset("BA"))
    assert hash(Agreement(frozenset("AB"))) == hash(Agreement(frozenset("BA")))
    assert Tuple((A, B)) != Tuple((B, A))
    assert Tuple((A,)) != A
    assert Arrow((), A, NONE) != Arrow((), A, frozenset("B"))


def test_in_order() -> None:
    assert in_order("cab", "bc") == ["b", "c", "a"]
    assert in_order({"z", "y"}) == ["y", "z"]
    assert in_order(()) == []


def test_union_of_nothing() -> None:
    assert union([]) == NONE
