"""`sanitize`: the copies of every agreement are compared, without a message, and the expression is named."""

from __future__ import annotations

import random
from typing import Any

import hy
import pytest

import klorpy

RANDOM = "(import random)\n(setv n [0])\n(defn tick [] (.append n 1) (len n))\n(setv generator (random.Random 5))\n"


def define(text: str, name: str = "f") -> Any:
    return getattr(klorpy.evaluate(RANDOM + text), hy.mangle(name))


@pytest.mark.parametrize(
    ("body", "guilty"),
    [
        ("(tick)", "(tick)"), ("(.random generator)", "(.random generator)"), ("[1 (tick)]", None), ("(let [y (tick)] 5)", "(tick)"),
        ("(if (= 2 (tick)) 1 2)", None), ("(agree! (A 1) (B 2))", "(agree! (A 1) (B 2))"), ("(do (tick) 5)", "(tick)"),
        ("(A=>B (A 1))", ""), ('f"{(tick)}"', None), ("(+ (len x) (tick))", None), ("(let [g (fn [] (tick))] (g))", "(g)"),
        ("(case (tick) 2 1 1)", "(tick)"), ("(agree! (A 1) (B True))", "(agree! (A 1) (B True))"), ("(agree! (A [1]) (B [1]))", ""),
    ],
)  # fmt: skip
def test_a_disagreement_is_found_and_named(body: str, guilty: str | None) -> None:
    chor = define(f"(defchor f [A B] (-> #{{A B}} #{{A B}}) [x]\n  {body})")
    with_check = klorpy.simulate_chor(chor, [1], sanitize=True, check=False)
    if guilty == "":
        assert with_check.verdict is None
        return
    assert with_check.verdict is not None
    error = with_check.verdict.__cause__
    assert isinstance(error, klorpy.AgreementViolated)
    assert error.roles == ("A", "B")
    assert error.values[0] != error.values[1] or type(error.values[0]) is not type(error.values[1])
    if guilty is not None:
        assert error.message.startswith(f"Values of an agreement differ: {guilty}, [")
    assert error.span is not None
    assert error.span.line == RANDOM.count("\n") + 2
    assert error.help


def test_without_it_nothing_is_looked_at() -> None:
    chor = define("(defchor f [A B] (-> #{A B}) [] (tick))")
    assert klorpy.simulate_chor(chor, sanitize=False).results == {"A": 2, "B": 3}


def test_it_is_the_default_under_pytest(monkeypatch: pytest.MonkeyPatch) -> None:
    chor = define("(defchor f [A B] (-> #{A B}) [] (tick))")
    assert klorpy.simulate_chor(chor, check=False).verdict is not None
    with monkeypatch.context() as outside:
        outside.delenv("PYTEST_CURRENT_TEST")
        assert klorpy.simulate_chor(chor, check=False).verdict is None


def test_it_sends_nothing_and_changes_no_result() -> None:
    text = "(defchor f [A B C] (-> A #{A B C}) [x] (let [y (A=>C (A=>B x)) z (* 2 y)] (agree! (narrow [A] z) (narrow [B C] z))))"
    chor = define(text)
    for seed in range(6):
        plain, checked = (klorpy.simulate_chor(chor, 5, seed=seed, sanitize=s) for s in (False, True))
        assert plain.results == checked.results == dict.fromkeys("ABC", 10)
        assert len(plain.messages) == len(checked.messages) == 2


def test_the_roles_of_a_call_are_named_as_they_play() -> None:
    chor = define(
        "(defchor low [P Q] (-> #{P Q}) [] (tick))\n(defchor f [A B C] (-> #{C A}) [] (do (B None) (low [C A])))"
    )
    error = klorpy.simulate_chor(chor, sanitize=True, check=False).failures
    (found,) = {type(e) for e in error.values()}
    assert found is klorpy.AgreementViolated
    assert {e.roles for e in error.values()} == {("C", "A")}  # type: ignore[attr-defined]


@pytest.mark.parametrize("seed", range(6))
def test_rounds_of_a_loop_are_not_mixed_up(seed: int) -> None:
    """A role that is rounds ahead of another shows its copies in order."""
    chor = define(
        "(defchor f [A B] (-> #{A B} #{A B}) [n] (loop [i 0 sum 0] (if (= i n) sum (recur (+ i 1) (+ sum (* i i))))))\n"
        "(defchor g [A B] (-> #{A B} #{A B}) [n] (if (= n 0) 0 (+ n (g [A B] (- n 1)))))"
    )
    assert klorpy.simulate_chor(chor, 40, seed=seed, sanitize=True)["A"] == sum(i * i for i in range(40))
    ns_g = define("(defchor g [A B] (-> #{A B} #{A B}) [n] (if (= n 0) 0 (+ n (g [A B] (- n 1)))))", "g")
    assert klorpy.simulate_chor(ns_g, 30, seed=seed, sanitize=True)["B"] == 465


@pytest.mark.parametrize(
    "value",
    ["(float \"nan\")", "[(float \"nan\")]", "(fn [] 1)", "[(fn [] 1)]", "(threading.Event)", "(threading.Lock)", "[(threading.Lock)]",
     "#((gfor y [1] y))", "{\"k\" (threading.Lock)}", "(iter [1])", "(list (range 1000))", "(set (range 10))", "(type 5)"],
)  # fmt: skip
def test_what_agrees_or_cannot_be_compared(value: str) -> None:
    chor = define(f"(import threading)\n(defchor f [A B] (-> #{{A B}}) [] (let [v {value}] (lifting [A B] 1)))")
    assert klorpy.simulate_chor(chor, sanitize=True).results == {"A": 1, "B": 1}


def test_a_copy_that_is_changed_later_agreed_when_it_was_made() -> None:
    chor = define("(defchor f [A B] (-> #{A B}) [] (let [v (list [1])] (A (.append v 2)) 5))")
    for seed in range(8):
        assert klorpy.simulate_chor(chor, sanitize=True, seed=seed).results == {"A": 5, "B": 5}


def test_a_class_whose_equality_fails() -> None:
    chor = define(
        '(defclass Odd [] (defn __eq__ [self other] (raise (ValueError "no"))) (setv __hash__ None))\n(defchor f [A B] (-> #{A B}) [] (let [v (Odd)] 5))'
    )
    assert klorpy.simulate_chor(chor, sanitize=True)["A"] == 5


def test_random_values_that_are_shared_agree() -> None:
    chor = define("(defchor f [A B] (-> #{A B}) [] (A=>B (A (.random generator))))")
    expected = random.Random(5).random()
    assert klorpy.simulate_chor(chor, sanitize=True)["B"] == expected
