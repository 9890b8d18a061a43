"""Which roles may be updated alone, and which run would break."""

from __future__ import annotations

import pytest

import klorpy
from klorpy.behaviour import automaton, local_type, parse_protocol
from klorpy.behaviour.automatasystem import stuck


def compared(old: str, new: str) -> klorpy.behaviour.extraction.UpdateComparison:
    ns = klorpy.evaluate(f"(defchor old {old}) (defchor new {new})")
    return klorpy.compare(ns.old, ns.new)


SERVER = '[C S] (-> C C | S) [x] (loop [x x] (case (C=>S x) "add" (do (S->C (S 1)) (recur (C (f x)))) {} "quit" x))'
SUB = '"sub" (do (S->C (S 2)) (recur (C (f x))))'


def test_a_server_that_can_do_more_is_updated_first() -> None:
    found = compared(SERVER.format(""), SERVER.format(SUB))
    assert (found.of("alone"), found.of("after")) == (("S",), ("C",))
    assert found.verdict == "together"
    [client] = [role for role in found.roles if role.role == "C"]
    assert client.breaks is not None
    assert client.breaks.trace == ("C sends sub to S",)
    assert client.breaks.reason == "S receives sub from C, and waits for add or quit"


def test_a_client_that_asks_for_less_is_updated_first() -> None:
    found = compared(SERVER.format(SUB), SERVER.format(""))
    assert (found.of("alone"), found.of("after")) == (("C",), ("S",))


def test_host_code_changes_nothing() -> None:
    found = compared("[A B] (-> A B) [x] (A->B x)", "[A B] (-> A B) [x] (A->B (A (+ x 1)))")
    assert found.verdict == "same"
    assert found.of("same") == ("A", "B")


def test_another_order_needs_both() -> None:
    found = compared("[A B] (-> A B) [x] (do (A->B x) (B->A (B 1)) (B 1))", "[A B] (-> A B) [x] (do (B->A (B 1)) (A->B x))")
    assert found.of("together") == ("A",)
    assert found.of("alone") == () or found.verdict == "together"


def test_who_takes_no_part_stays() -> None:
    found = compared("[A B C] (-> A C B) [x y] (do (C->B y) (A->B x))", "[A B C] (-> A C B) [x y] (do (C->B y) (A->B x) (A->B x))")
    assert found.of("same") == ("C",)
    assert found.of("together") == ("A", "B")


def test_another_signature_changes_all() -> None:
    found = compared("[A B] (-> A B) [x] (A->B x)", "[A B] (-> A #{A B}) [x] (A=>B x)")
    assert found.of("together") == ("A", "B")


def test_without_a_protocol_it_is_unknown() -> None:
    found = compared("[A B] (-> #{A B} B) [x] (A->B (A 1))", "[A B] (-> #{A B} B) [x] (if x (A->B (A 1)) (B 1))")
    assert found.verdict == "unknown"
    assert "no message announces" in found.summary


def test_servers_that_never_end_are_compared_as_well() -> None:
    old = '[C S] (-> C C | S) [x] (loop [x x] (case (C=>S x) "a" (recur (C (f x))) {} "b" (do (C->S x) (recur (C (f x))))))'
    new = old.format('"c" (do (S->C (S 1)) (recur (C (f x))))')
    found = compared(old.format(""), new)
    assert (found.of("alone"), found.of("after")) == (("S",), ("C",))


@pytest.mark.parametrize(
    ("old", "new", "role", "reason"),
    [
        ("(-> A B x)", "(-> B A y)", "A", "at once: A waits for B and B waits for A"),
        ("(-> A B x)", "(-> A B x) (-> A B x)", "A", "B is done, and A has sent it <x>"),
        ("(-> A B (l))", "(-> A B (m))", "B", "B receives l from A, and waits for m"),
    ],
)
def test_a_system_gets_stuck(old: str, new: str, role: str, reason: str) -> None:
    before = parse_protocol(f"(defprotocol P [A B] {old})")
    after = parse_protocol(f"(defprotocol P [A B] {new})")
    system = {r: automaton(local_type(after if r == role else before, r)) for r in before.roles}
    assert reason in str(stuck(system))
    assert stuck({r: automaton(local_type(after, r)) for r in after.roles}) is None
