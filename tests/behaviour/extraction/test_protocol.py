"""Protocols of choreographies: what is announced by which message, and what has none."""

from __future__ import annotations

import importlib

import pytest

import klorpy
from klorpy.behaviour import local_types
from klorpy.behaviour.listing import listing


def protocol(text: str, name: str = "main") -> str:
    return str(klorpy.protocol_of(getattr(klorpy.evaluate(text), name)).type)


def refused(text: str) -> klorpy.KlorError:
    with pytest.raises(klorpy.KlorError) as caught:
        klorpy.protocol_of(klorpy.evaluate(text).main)
    assert caught.value.slug == "no-protocol"
    return caught.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(defchor main [A B] (-> A B) [x] (A->B x))", "A->B:<any>; end"),
        # A decision is announced by the message that carries it.
        (
            "(defchor main [A B] (-> A B) [x] (if (A=>B (A (> x 0))) (A->B x) (B (print 1))))",
            "A->B:{true: A->B:<any>; end, false: end}",
        ),
        # … and passed on with it, so that the third role knows.
        (
            "(defchor main [A B C] (-> A C) [x] (if (bcast [A B C] x) (do (B->C (B 1)) (C 1)) (C 2)))",
            "A->B:{true: A->C:true; B->C:<any>; end, false: A->C:false; end}",
        ),
        # What makes no difference to anybody has no label.
        ("(defchor main [A B] (-> A B) [x] (if (A=>B x) (B 1) (B 2)))", "A->B:<any>; end"),
        (
            '(defchor main [A B] (-> A B) [x] (case (A=>B x) "get" (A->B x) "put" (do (B->A (B 1)) (B 2)) "quit" (B 1)))',
            "A->B:{get: A->B:<any>; end, put: B->A:<any>; end, quit: end}",
        ),
        # Equality with a constant is a case, too.
        (
            '(defchor main [A B] (-> A B) [x] (let [y (A=>B x)] (cond (= y "get") (A->B (A 1)) (= y 7) (do (B->A (B 1)) (B 2)) True (B 2))))',
            "A->B:{get: A->B:<any>; end, 7: B->A:<any>; end, otherwise(any): end}",
        ),
        # A guard in other words.
        (
            "(defchor main [A B] (-> A B) [x] (let [y (A=>B x)] (if (> y 5) (A->B (A 1)) (B 2))))",
            'A->B:{(> y 5)(any): A->B:<any>; end, not (> y 5)(any): end}',
        ),
        # From two values: announced by the later one, whose sender knows both.
        (
            "(defchor main [A B] (-> A B B) [x y] (let [x (A=>B x) y (B=>A y)] (if (> x y) (A->B (A 1)) (B 2))))",
            "A->B:<any>; B->A:{(> x y)(any): A->B:<any>; end, not (> x y)(any): end}",
        ),
        # One role alone, and all that happens there, is nothing.
        ("(defchor main [A B] (-> A A | B) [x] (do (A->B x) (loop [n x] (if (A (> n 0)) (recur (A (- n 1))) n))))", "A->B:<any>; end"),
        # Loops, by loop and by tail calls.
        (
            "(defchor main [A B] (-> A A | B) [x] (loop [n x] (if (A=>B (A (> n 0))) (recur (A (- n 1))) n)))",
            "mu t. A->B:{true: t, false: end}",
        ),
        (
            "(defchor main [A B] (-> A A) [x] (do (A->B x) (main [B A] (B 1)) (A 1)))",
            None,
        ),
        (
            "(defchor main [A B] (-> A #{A B}) [x] (let [x (A=>B x)] (if (get x 0) x (main [B A] (B (f (A->B (A 1))))))))",
            "mu t. A->B:{(get x 0)(any): end, not (get x 0)(any): A->B:<any>; B->A:{(get x 0)(any): end, "
            "not (get x 0)(any): B->A:<any>; t}}",
        ),
        # A fixed number of rounds is written out.
        (
            "(defchor main [A B] (-> A B) [x] (loop [n 0] (if (< n 2) (do (A->B x) (recur (+ n 1))) (B 1))))",
            "A->B:<any>; A->B:<any>; end",
        ),
        # Choreographies as values.
        (
            "(defchor twice [A B] (-> (-> A B) A B) [f x] (do (f x) (f x))) "
            "(defchor main [A B] (-> A B) [x] (twice [A B] (chor (-> A B) [y] (A->B y)) x))",
            "A->B:<any>; A->B:<any>; end",
        ),
        (
            "(defchor send [P Q] (-> P Q) [x] (P->Q x)) "
            "(defchor main [A B C] (-> A C) [x] ((inst send [B C]) ((inst send [A B]) x)))",
            "A->B:<any>; B->C:<any>; end",
        ),
        # A constant that is sent says how it will be decided.
        (
            "(defchor tell [A B] (-> A B) [x] (if (A=>B x) (A->B (A 1)) (B 0))) "
            "(defchor main [A B] (-> A B) [x] (do (tell [A B] (A False)) (tell [A B] x)))",
            "A->B:false; A->B:{true: A->B:<any>; end, false: end}",
        ),
    ],
)  # fmt: skip
def test_what_is_communicated(text: str, expected: str | None) -> None:
    if expected is None:
        refused(text)
    else:
        assert protocol(text) == expected


def test_a_decision_that_nobody_announces_is_refused_at_its_guard() -> None:
    error = refused("(defchor main [A B] (-> #{A B} B) [x]\n  (if (> x 0) (A->B (A 1)) (B 0)))")
    assert "(> x 0)" in error.message
    assert error.span is not None
    assert (error.span.line, error.span.column, error.span.end_column) == (2, 7, 13)
    assert "nobody is told" in error.render()


def test_a_decision_that_nobody_announces_but_makes_no_difference_is_fine() -> None:
    text = "(defchor main [A B] (-> #{A B} B) [x] (if (> x 0) (A->B (A 1)) (A->B (A 0))))"
    assert protocol(text) == "A->B:<any>; end"


def test_recursion_that_leaves_work_behind_is_refused_at_the_call() -> None:
    error = refused(
        "(defchor main [A B] (-> A A | B) [x]\n  (if (A=>B (A (> x 0))) (do (main [A B] (A (- x 1))) (A->B x) x) x))"
    )
    assert "again and again" in error.message
    assert error.span is not None
    assert error.span.line == 2


def test_a_choreography_that_only_its_user_has_is_refused_until_it_is_given() -> None:
    ns = klorpy.evaluate(
        "(defchor main [A B] (-> (-> A B) A B) [f x] (f x)) (defchor give [P Q] (-> P Q) [x] (do (Q->P (Q 1)) (P->Q x)))"
    )
    with pytest.raises(klorpy.KlorError, match="known only when it is given"):
        klorpy.protocol_of(ns.main)
    assert str(klorpy.protocol_of(ns.main, ns.give).type) == "B->A:<any>; A->B:<any>; end"
    with pytest.raises(klorpy.KlorError) as caught:
        klorpy.protocol_of(ns.main, ns.main)
    assert caught.value.slug == "chor-arg-type"


def test_verified_agreements_are_refused() -> None:
    error = refused("(with-opts {:verify {:agreement True}} (defchor main [A B] (-> #{A B} B) [x] (A->B (A 1))))")
    assert "verified" in error.message


def test_a_definition_that_changed_is_looked_at_again() -> None:
    ns = klorpy.evaluate("(defchor step [A B] (-> A B) [x] (A->B x)) (defchor main [A B] (-> A B) [x] (step [A B] x))")
    assert str(klorpy.protocol_of(ns.main).type) == "A->B:<any>; end"
    klorpy.evaluate("(defchor step [A B] (-> A B) [x] (do (B->A (B 1)) (A->B x)))", module=ns)
    assert str(klorpy.protocol_of(ns.main).type) == "B->A:<any>; A->B:<any>; end"


def test_two_thousand_messages_one_after_the_other() -> None:
    text = f"(defchor main [A B] (-> A B) [x] (do {'(A->B x) ' * 2000} (A->B x)))"
    assert len(klorpy.protocol_of(klorpy.evaluate(text).main).type.items) == 2001


@pytest.mark.parametrize(
    ("module", "name", "expected"),
    [
        ("bookseller", "buy_book", "B->S:<any>; S->B:<any>; B->S:{true: B->S:<any>; S->B:<any>; end, false: end}"),
        (
            "authentication", "get_token",
            "mu t. C->A:<any>; A->C:{true: A->S:true; S->C:<any>; end, false: C->A:{true: t, false: A->S:false; end}}",
        ),
        (
            "guessing", "guess_number",
            "mu t. Guesser->Keeper:<any>; Keeper->Guesser:{lower: t, higher: t, otherwise(any): end}",
        ),
        ("higher_order", "composed", "A->B:<any>; B->C:<any>; C->B:<any>; B->A:<any>; end"),
    ],
)  # fmt: skip
def test_protocols_of_examples(module: str, name: str, expected: str) -> None:
    chor = getattr(importlib.import_module(f"klorpy.examples.{module}"), name)
    found = klorpy.protocol_of(chor)
    assert str(found.type) == expected
    assert set(local_types(found)) == set(chor.roles)
    assert listing(klorpy.protocol(listing(found))) == listing(found)
