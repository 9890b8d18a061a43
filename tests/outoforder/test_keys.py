"""Roles find the same keys by position alone, and none twice."""

from __future__ import annotations

from typing import Any

import pytest

import klorpy
from klorpy.core.choreography import Choreography
from klorpy.core.keys import Key, show_key
from klorpy.outoforder.mailbox import Letter, Waiter
from tests.benchmarks.programs import PING_PONG
from tests.outoforder.running import assert_quiescent, delivery, results


def play(chor: Choreography, *args: Any) -> tuple[dict[str, Any], list[tuple[str, str, Key]]]:
    """All roles, over a network that knows messages by their keys alone; the results, and what was received, in order."""
    made = delivery(chor, *args, order="program", links="unordered")
    received: list[tuple[str, str, Key]] = []

    def bound(letter: Letter, waiter: Waiter) -> None:
        assert (letter.token, letter.site) == (waiter.token, waiter.site)
        received.append((letter.source, letter.target, letter.key))

    for walker in made.walkers.values():
        walker.mailbox.bound = bound
    made.run()
    for walker in made.walkers.values():
        if walker.error is not None:
            raise walker.error
    assert_quiescent(made)
    assert len(received) == len(set(received))
    return results(made), received


@pytest.fixture(scope="module")
def pings() -> Any:
    return klorpy.evaluate(PING_PONG)


@pytest.mark.parametrize("name", ["by_loop", "by_self", "by_swap", "ping"])
def test_roles_meet_by_keys_alone(pings: Any, name: str) -> None:
    args = (20,) if name == "by_loop" else (20, 0)
    chor = getattr(pings, name)
    results, sent = play(chor, *args)
    assert results == klorpy.simulate_chor(chor, *args).results
    assert len(sent) == len(klorpy.simulate_chor(chor, *args).messages)


def keys_of(text: str, *args: Any) -> list[str]:
    ns = klorpy.evaluate(text)
    return [f"{source}{target} {show_key(key)}" for source, target, key in play(ns.main, *args)[1]]


def test_rounds_of_a_loop_have_keys_of_their_own_and_what_follows_it_has_not() -> None:
    found = keys_of(
        """(defchor main [A B] (-> #{A B} A) [n]
             (A->B (A 0))
             (loop [i n] (if (> i 0) (do (A->B (narrow [A] i)) (recur (- i 1))) i))
             (B->A (B 9)))""",
        3,
    )
    assert len(set(found)) == len(found) == 5
    assert " in " not in found[0]
    assert [key.split(" in ")[1].split("×")[-1] for key in found[1:4]][1:] == ["2", "3"]
    assert " in " not in found[4]


def test_a_call_in_a_round_is_below_the_round() -> None:
    found = keys_of(
        """(defchor tell [A B] (-> A B) [x] (A->B x))
           (defchor main [A B] (-> #{A B} #{A B}) [n]
             (loop [i n] (if (> i 0) (do (tell [A B] (narrow [A] i)) (tell [A B] (narrow [A] i)) (recur (- i 1))) i)))""",
        2,
    )
    assert len(set(found)) == 4
    calls = [key.split(" in ")[1] for key in found]
    assert calls[0] == calls[2] != calls[1] == calls[3]


def test_a_loop_in_a_loop_starts_afresh_in_each_round() -> None:
    found = keys_of(
        """(defchor main [A B] (-> #{A B} #{A B}) [n]
             (loop [i n]
               (if (> i 0)
                   (do (loop [j i] (if (> j 0) (do (A->B (narrow [A] i)) (recur (- j 1))) j)) (A->B (narrow [A] i)) (recur (- i 1)))
                   i)))""",
        3,
    )
    assert len(set(found)) == 9


def test_a_choreography_that_is_a_value_gets_its_token_where_it_is_called() -> None:
    found = keys_of(
        """(defchor main [A B] (-> A B) [x]
             (let [f (chor (-> A B) [y] (A->B y))] (f x) (f x)))""",
        1,
    )
    assert len(set(found)) == 2


def test_the_second_message_of_a_check_has_a_key_of_its_own() -> None:
    ns = klorpy.evaluate(
        """(with-opts {:verify {:agreement A}} (defchor main [A B C] (-> A B C #{A B C}) [x y z] (agree! x y z)))"""
    )
    assert len(play(ns.main, 1, 1, 1)[1]) == 4
    with pytest.raises(klorpy.AgreementViolated):
        play(ns.main, 1, 1, 2)
