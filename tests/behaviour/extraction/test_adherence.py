"""Whether a choreography keeps to a protocol, and where it does not."""

from __future__ import annotations

import pytest

import klorpy

CALC = "(defprotocol P [C S] (mu t (branch C S (add (-> C S int) (-> S C int) t) (quit))))"
FETCH = "(defprotocol P [C S] (-> C S str) (branch S C (ok (-> S C file)) (missing)))"


def verdict(protocol: str, chor: str) -> klorpy.behaviour.extraction.Adherence:
    ns = klorpy.evaluate(f"{protocol}\n{chor}")
    return klorpy.conforms(ns.main, ns.P)


def rounds(body: str) -> str:
    return f'(defchor main [C S] (-> C C | S) [x] (loop [x x] (case (C=>S x) "add" (do {body} (recur (C (f x)))) "quit" x)))'


@pytest.mark.parametrize(
    ("protocol", "chor"),
    [
        (CALC, rounds("(C->S (C 1)) (S->C (S 2))")),
        # Other names of roles: by their places.
        ("(defprotocol P [X Y] (mu t (branch X Y (add (-> X Y int) (-> Y X int) t) (quit))))", rounds("(C->S (C 1)) (S->C (S 2))")),
        # It need not use all branches.
        (CALC, '(defchor main [C S] (-> C C | S) [x] (case (C=>S x) "quit" x))'),
        # True and false may be any labels: those that fit.
        (FETCH, "(defchor main [C S] (-> C C | S) [x] (do (C->S x) (if (S=>C (S (f))) (S->C (S 1)) (C 2))))"),
        (FETCH, "(defchor main [C S] (-> C C | S) [x] (do (C->S x) (if (S=>C (S (f))) (C 2) (S->C (S 1)))))"),
        # Messages of others may come in another order.
        (
            "(defprotocol P [A B C D] (-> A B int) (-> C D int) (-> A C str))",
            "(defchor main [A B C D] (-> A C C | B D) [x y] (do (C->D y) (A->B x) (A->C x)))",
        ),
    ],
)  # fmt: skip
def test_keeps_to(protocol: str, chor: str) -> None:
    found = verdict(protocol, chor)
    assert found, str(found)
    assert str(found) == "main keeps to P"
    found.check()


@pytest.mark.parametrize(
    ("protocol", "chor", "sent", "wanted"),
    [
        (CALC, rounds("(C->S (C 1))"), "sends C->S:add where P has S->C:<int>", "(-> S C int)"),
        (CALC, rounds("(S->C (S 2)) (C->S (C 1))"), "sends S->C:<any> where P has C->S:<int>", "(-> C S int)"),
        (CALC, rounds("(C->S (C 1)) (S->C (S 2))").replace("add", "sub"), "sends C->S:sub where P has C->S:add or quit", "add"),
        (FETCH, "(defchor main [C S] (-> C C | S) [x] (do (C->S x) x))", "main ends where P goes on with S->C:ok or missing", "ok"),
        (
            "(defprotocol P [A B] (-> A B int))", "(defchor main [A B] (-> A B) [x] (do (A->B x) (A->B x)))",
            "sends A->B:<any> where P has ended", "P",
        ),
        (
            "(defprotocol P [A B C] (-> A B int) (-> B C int))",
            "(defchor main [A B C] (-> A C) [x] (do (B->C (B 1)) (A->B x) (C 1)))",
            "sends B->C:<any> where P has A->B:<int>", "(-> A B int)",
        ),
    ],
)  # fmt: skip
def test_the_first_deviation_is_underlined_in_both_texts(protocol: str, chor: str, sent: str, wanted: str) -> None:
    found = verdict(protocol, chor)
    assert not found
    mine, theirs = found.deviation
    assert sent in mine.message
    assert mine.span is not None
    assert theirs.span is not None
    assert theirs.source is not None
    assert wanted in theirs.source.slice(theirs.span)
    with pytest.raises(klorpy.KlorError) as caught:
        found.check()
    assert caught.value.slug == "protocol-deviation"
    assert caught.value.render() == str(found)


def test_the_trace_leads_to_the_deviation() -> None:
    assert verdict(CALC, rounds("(C->S (C 1))")).trace == ("C->S:add", "C->S:<any>")


def test_roles_have_to_fit() -> None:
    with pytest.raises(klorpy.KlorError) as caught:
        verdict(CALC, "(defchor main [A B D] (-> A D) [x] (B->D (A->B x)))")
    assert caught.value.slug == "unbound-role"


def test_a_definition_is_held_to_its_protocol() -> None:
    ns = klorpy.evaluate(f"{CALC}\n(with-opts {{:protocol P}} {rounds('(C->S (C 1)) (S->C (S 2))')})")
    before = ns.main.definition
    with pytest.raises(klorpy.KlorError) as caught:
        klorpy.evaluate(f"(with-opts {{:protocol P}} {rounds('(C->S (C 1))')})", module=ns)
    assert caught.value.slug == "protocol-deviation"
    assert ns.main.definition is before
    assert klorpy.simulate_chor(ns.main, "quit")["C"] == "quit"


def test_a_definition_calls_itself_and_not_what_the_name_meant_before() -> None:
    ns = klorpy.evaluate(
        "(defprotocol P [A B] (mu t (branch A B (more (-> A B int) t) (stop))))\n"
        "(defchor main [A B] (-> A A | B) [x] (do (B->A (B 1)) x))"
    )
    text = "(with-opts {:protocol P} (defchor main [A B] (-> A A | B) [x] (if (A=>B x) (do (A->B x) (main [A B] x)) x)))"
    klorpy.evaluate(text, module=ns)
    assert klorpy.conforms(ns.main, ns.P)


@pytest.mark.parametrize("given", ["Nowhere", "x"])
def test_an_option_that_names_no_protocol(given: str) -> None:
    with pytest.raises(klorpy.KlorError) as caught:
        klorpy.evaluate(f"(setv x 1) (with-opts {{:protocol {given}}} (defchor main [A B] (-> A B) [x] (A->B x)))")
    assert caught.value.slug == "undefined-protocol"


def test_an_option_that_is_no_name() -> None:
    with pytest.raises(klorpy.KlorError) as caught:
        klorpy.evaluate("(with-opts {:protocol 3} (defchor main [A B] (-> A B) [x] (A->B x)))")
    assert caught.value.slug == "bad-option"
