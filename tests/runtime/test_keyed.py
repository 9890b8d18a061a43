"""The machine that knows where it is: roles find the same keys, and none twice."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest

import klorpy
from klorpy.core.choreography import Choreography, reachable
from klorpy.core.keys import Key, show_key
from klorpy.runtime.commands import CALLS, LEAVE, RECEIVE, ROUND, SEND
from klorpy.runtime.erasure import erased_params
from klorpy.runtime.keyed import KeyedMachine
from klorpy.runtime.machine import DONE
from tests.benchmarks.programs import PING_PONG


def play(chor: Choreography, *args: Any) -> tuple[dict[str, Any], list[tuple[str, str, Key]]]:
    """All roles in turn, over a network that knows messages by their keys alone; the results, and what was sent."""
    definition = chor.defined()
    pinned = reachable(chor)
    machines, values, waiting = {}, {}, {}
    for index, role in enumerate(definition.roles):
        machine = machines[role] = KeyedMachine(pinned)
        given = [args[i] for i in erased_params(definition, role)]
        machine.start(definition.keyed[index](definition.roles, *given))
        values[role] = None
    network: dict[tuple[str, str, Key], Any] = {}
    sent: list[tuple[str, str, Key]] = []
    results: dict[str, Any] = {}
    ready = deque(definition.roles)
    while ready:
        role = ready.popleft()
        machine = machines[role]
        value = values[role]
        if role in waiting:
            place = waiting[role]
            if place not in network:
                ready.append(role)
                continue
            value = network.pop(waiting.pop(role))
        while True:
            try:
                command = machine.send(value)
            except StopIteration as stop:
                value = machine.finish(stop.value)
                if value is DONE:
                    results[role] = machine.result
                    break
                continue
            value, word = None, command[0]
            if word == SEND:
                place = (role, command[1], machine.key(command[3]))
                assert place not in sent
                sent.append(place)
                network[place] = command[2]
            elif word == RECEIVE:
                waiting[role] = (command[1], role, machine.key(command[2]))
                ready.append(role)
                break
            elif word in (ROUND, LEAVE):
                machine.turn(command)
            elif word in CALLS:
                machine.enter(command)
    assert not network
    return results, sent


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
