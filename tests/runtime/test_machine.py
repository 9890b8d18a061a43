"""The interpreter's stack: calls in tail position take constant space, others as much as memory gives."""

from __future__ import annotations

import sys
import tracemalloc
from typing import Any

import anyio
import pytest

import klorpy
from klorpy.runtime import machine

ROUNDS = 200_000

#: Each counts `n` down to 0 in calls that are all in tail position; `go` starts it.
LOOPS = {
    "self": "(defchor go [A B] (-> A B) [n] (if (A=>B (A (= n 0))) (A->B n) (go [A B] (A (- n 1)))))",
    "swapped": "(defchor go [A B] (-> A #{A B}) [n] (if (A=>B (A (= n 0))) (A=>B n) (go [B A] (A->B (A (- n 1))))))",
    "mutual": """
        (defchor other [A B] (-> A B))
        (defchor go [A B] (-> A B) [n] (if (A=>B (A (= n 0))) (A->B n) (other [A B] (A (- n 1)))))
        (defchor other [A B] (-> A B) [n] (if (A=>B (A (= n 0))) (A->B n) (go [A B] (A (- n 1)))))""",
    "and": "(defchor go [A B] (-> #{A B} #{A B}) [n] (and (> n 0) (go [A B] (- n 1))))",
    "or": "(defchor go [A B] (-> #{A B} #{A B}) [n] (or (= n 0) (go [A B] (- n 1))))",
    "cond": "(defchor go [A B] (-> #{A B} #{A B}) [n] (cond (= n 0) n (> n -1) (go [A B] (- n 1)) True 5))",
    "when": "(defchor go [A B] (-> #{A B} #{A B}) [n] (when (> n 0) (go [A B] (- n 1))))",
    "case": "(defchor go [A B] (-> #{A B} #{A B}) [n] (case n 0 n (go [A B] (- n 1))))",
    "match": "(defchor go [A B] (-> #{A B} #{A B}) [n] (match n 0 n m (go [A B] (- m 1))))",
    "let": "(defchor go [A B] (-> #{A B} #{A B}) [n] (let [m (- n 1)] (if (< m 0) m (let [k m] (go [A B] k)))))",
    "do": "(defchor go [A B] (-> #{A B} #{A B}) [n] (do (A n) (if (= n 0) n (do (B n) (go [A B] (- n 1))))))",
    "unpack": "(defchor go [A B] (-> A B) [n] (unpack [[m k] (pack n (A=>B (A (= n 0))))] (if k (A->B m) (go [A B] (A (- m 1))))))",
    "chor": """
        (defchor go [A B] (-> A B) [n]
          (let [down (chor down (-> A B | 0) [m] (if (A=>B (A (= m 0))) (A->B m) (down (A (- m 1)))))] (down n)))""",
    "higher order": """
        (defchor go2 [A B] (-> A (-> A B | 0) B))
        (defchor go2 [A B] (-> A (-> A B | 0) B) [n f] (if (A=>B (A (= n 0))) (f n) (go2 [A B] (A (- n 1)) f)))
        (defchor go [A B] (-> A B) [n] (go2 [A B] n (chor (-> A B) [m] (A->B m))))""",
    "third role": "(defchor go [A B C] (-> A B | C) [n] (if (A=>C (A=>B (A (= n 0)))) (C->B (A->C n)) (go [A B C] (A (- n 1)))))",
    "recur": "(defchor go [A B] (-> A B) [n] (if (A=>B (A (= n 0))) (A->B n) (recur (A (- n 1)))))",
    "loop": "(defchor go [A B] (-> A B) [n] (loop [m n] (if (A=>B (A (= m 0))) (A->B m) (recur (A (- m 1))))))",
}


@pytest.fixture
def depths(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The largest depth of any role's stack, in a list of one."""
    largest = [0]
    program = machine.Machine.program

    def noted(self: machine.Machine, command: Any) -> Any:
        largest[0] = max(largest[0], len(self.frames))
        return program(self, command)

    monkeypatch.setattr(machine.Machine, "program", noted)
    return largest


@pytest.mark.parametrize("kind", LOOPS)
def test_a_call_in_tail_position_takes_no_space(kind: str, depths: list[int]) -> None:
    ns = klorpy.evaluate(LOOPS[kind])
    simulation = klorpy.simulate_chor(ns.go, 2_001, trace=False, sanitize=False)
    assert simulation.verdict is None
    assert depths[0] <= 2


@pytest.mark.parametrize("kind", ["self", "swapped", "mutual", "loop"])
def test_memory_does_not_grow(kind: str) -> None:
    ns = klorpy.evaluate(LOOPS[kind])
    klorpy.simulate_chor(ns.go, 100, trace=False, sanitize=False)
    tracemalloc.start()
    try:
        klorpy.simulate_chor(ns.go, 2_000, trace=False, sanitize=False)
        _, few = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        klorpy.simulate_chor(ns.go, 20_000, trace=False, sanitize=False)
        _, many = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert many < few + 100_000, "ten times the rounds, the same memory"


@pytest.mark.slow
@pytest.mark.parametrize("kind", LOOPS)
def test_many_rounds(kind: str, depths: list[int]) -> None:
    ns = klorpy.evaluate(LOOPS[kind])
    assert klorpy.simulate_chor(ns.go, ROUNDS, trace=False, sanitize=False).verdict is None
    assert depths[0] <= 2


DEEP = "(defchor sum [A B] (-> A B) [n] (if (A=>B (A (= n 0))) (A->B n) (B (+ 1 (sum [A B] (A (- n 1)))))))"


def test_deep_recursion() -> None:
    """Far beyond Python's limit, which is not touched."""
    ns = klorpy.evaluate(DEEP)
    limit = sys.getrecursionlimit()
    assert klorpy.simulate_chor(ns.sum, 20_000, trace=False)["B"] == 20_000
    assert sys.getrecursionlimit() == limit


def test_deep_recursion_through_a_value() -> None:
    ns = klorpy.evaluate(
        "(defchor go [A B] (-> A B) [n] ((chor down (-> A B | 0) [m] (if (A=>B (A (= m 0))) (A->B m) (B (+ 1 (down (A (- m 1)))))))"
        " n))"
    )
    assert klorpy.simulate_chor(ns.go, 20_000, trace=False)["B"] == 20_000


def test_a_failure_deep_down_ends_the_run() -> None:
    """And the stack is dropped without running into Python's own limit."""
    ns = klorpy.evaluate(DEEP.replace("(A->B n)", "(A->B (A (/ 1 n)))"))
    simulation = klorpy.simulate_chor(ns.sum, 20_000, trace=False, check=False)
    assert isinstance(simulation.failures["A"], ZeroDivisionError)
    assert simulation.verdict is not None
    assert simulation.verdict.span is not None


def both(chor: klorpy.Choreography, *args: Any) -> dict[str, Any]:
    """Play A, with all arguments, and B over the network in memory."""
    results = {}

    async def play(network: klorpy.MemoryNetwork, role: str, *given: Any) -> None:
        results[role] = await klorpy.play_role({"role": role, "transport": network.endpoint(role)}, chor, *given)

    async def everyone() -> None:
        network = klorpy.MemoryNetwork("AB")
        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                group.start_soon(play, network, "A", *args)
                group.start_soon(play, network, "B")

    anyio.run(everyone)
    return results


def test_the_player_has_the_same_stack(depths: list[int]) -> None:
    ns = klorpy.evaluate(DEEP)
    assert both(ns.sum, 20_000) == {"A": klorpy.noop, "B": 20_000}
    assert depths[0] > 19_000
    depths[0] = 0
    ns = klorpy.evaluate(LOOPS["self"])
    assert both(ns.go, 5_000) == {"A": klorpy.noop, "B": 0}
    assert depths[0] <= 2


def test_a_call_that_has_something_left_to_do_is_no_tail_call() -> None:
    """The result of the last call is still looked at: narrowed, packed, negated, compared."""
    ns = klorpy.evaluate(
        "(defchor t [A B] (-> A #{A B}) [x] (A=>B x))\n"
        "(defchor n [A B] (-> A B) [x] (narrow [B] (t [A B] x)))\n"
        "(defchor p [A B] (-> A [A B]) [x] (unpack [[y] (pack (t [A B] x))] (pack (narrow [A] y) (narrow [B] y))))\n"
        "(defchor m [A B] (-> A #{A B}) [x] (not (t [A B] x)))\n"
        "(defchor q [A B] (-> A #{A B}) [x] (and (t [A B] x) (not (t [A B] x))))"
    )
    assert klorpy.simulate_chor(ns.n, 1).results == {"A": klorpy.noop, "B": 1}
    assert klorpy.simulate_chor(ns.p, 1).results == {"A": (1,), "B": (1,)}
    assert klorpy.simulate_chor(ns.m, 1).results == {"A": False, "B": False}
    assert klorpy.simulate_chor(ns.q, 1).results == {"A": False, "B": False}
