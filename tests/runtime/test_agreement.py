"""Verification of agreements by messages, played and simulated; and clauses that match nothing."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import klorpy

CENTRAL, ALL = "{:verify {:agreement B}}", "{:verify {:agreement True}}"
F = "(with-opts %s (defchor f [A B C] (-> #{A B C} #{A B C}) [x] x))"
G = "(with-opts %s (defchor g [A B C] (-> A B C #{A B C}) [x y z] (agree! x y z)))"


def define(text: str, name: str) -> Any:
    return getattr(klorpy.evaluate(text), name)


@pytest.mark.parametrize(("options", "count"), [(ALL, 6), (CENTRAL, 4)])
def test_the_number_of_messages(options: str, count: int) -> None:
    for text, name, args in ((F, "f", (1,)), (G, "g", (1, 1, 1))):
        simulation = klorpy.simulate_chor(define(text % options, name), *args)
        assert len(simulation.messages) == count
        assert simulation.results == dict.fromkeys("ABC", 1)


@pytest.mark.parametrize("options", [ALL, CENTRAL])
@pytest.mark.parametrize("values", [(1, 1, 2), (1, 2, 1), (2, 1, 1), (1, True, 1), (1, 1.0, 1), ([1], [1], (1,))])
def test_a_violation_is_raised_at_every_role(options: str, values: tuple[Any, ...]) -> None:
    simulation = klorpy.simulate_chor(define(G % options, "g"), *values, check=False, sanitize=False)
    assert set(simulation.failures) == set("ABC")
    for error in simulation.failures.values():
        assert isinstance(error, klorpy.AgreementViolated)
        assert error.slug == "agreement-violated"
        assert error.roles == ("A", "B", "C")
        assert list(map(repr, error.values)) == list(map(repr, values))
        assert str(error).startswith("Values of an agreement differ: (agree! x y z), ")
        assert error.span is not None


@pytest.mark.parametrize("options", [ALL, CENTRAL])
@pytest.mark.parametrize("value", [float("nan"), [float("nan")], {"a": {1, 2}}, None])
def test_what_agrees(options: str, value: Any) -> None:
    assert klorpy.simulate_chor(define(F % options, "f"), value).verdict is None


def test_functions_are_not_compared_but_warned_about() -> None:
    chor = define(G % ALL, "g")
    with pytest.warns(klorpy.KlorWarning, match="cannot be verified") as caught:
        simulation = klorpy.simulate_chor(chor, lambda: 1, lambda: 2, lambda: 3)
    assert {w.message.slug for w in caught} == {"functions-not-compared"}  # type: ignore[union-attr]
    assert simulation.verdict is None


def test_without_the_option_nothing_is_sent() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        simulation = klorpy.simulate_chor(define(G % "{:verify {:agreement False}}", "g"), 1, 1, 1)
    assert simulation.messages == []


@pytest.mark.parametrize("form", ["(case x 1 10 2 20)", "(match x 1 10 [a] a)"])
def test_no_clause_matches(form: str) -> None:
    chor = define(f"(defchor f [A B] (-> A #{{A B}}) [y]\n  (let [x (A=>B y)]\n    {form}))", "f")
    simulation = klorpy.simulate_chor(chor, "nothing", check=False)
    error = simulation.failures["A"]
    assert isinstance(error, klorpy.NoMatch)
    assert error.slug == "no-match"
    assert '"nothing"' in error.message
    assert error.span is not None
    assert error.span.line == 3
    assert error.help
    assert klorpy.simulate_chor(chor, 1).results == {"A": 10, "B": 10}
