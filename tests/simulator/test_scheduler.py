"""Host code that awaits inside a simulation: the same results, and nothing left behind."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import Iterator
from typing import Any

import anyio
import hy
import pytest

import klorpy

HELPERS = """
(import asyncio anyio anyio.lowlevel)
(setv log [])
(defn :async twice [x] (await (asyncio.sleep 0)) (print "twice" x) (* 2 x))
(defn :async any-twice [x] (await (anyio.lowlevel.checkpoint)) (* 2 x))
(defn :async boom [x] (await (asyncio.sleep 0)) (raise (ValueError x)))
(defn :async for-ever [x] (try (await (.wait (asyncio.Event))) (finally (.append log "cleaned"))))
(defn :async numbers [n] (for [i (range n)] (await (asyncio.sleep 0)) (yield i)))
"""


def namespace(text: str) -> Any:
    return klorpy.evaluate(HELPERS + text)


def define(text: str, name: str = "f") -> Any:
    return getattr(namespace(text), hy.mangle(name))


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    threads = set(threading.enumerate())
    before = sys.stdout
    yield
    assert set(threading.enumerate()) == threads
    assert sys.stdout is before
    gc.collect()  # an unawaited coroutine warns now, and a warning is an error


@pytest.mark.parametrize(
    ("body", "result"),
    [
        ("(A->B (A (await (twice x))))", 10), ("(A->B (A (+ 1 (await (twice x)))))", 11), ("(let [y (A->B x)] (B (await (twice y))))", 10),
        ("(A->B (A [(await (twice 1)) (await (any-twice 2))]))", [2, 4]), ("(A->B (A (lfor :async i (numbers 3) i)))", [0, 1, 2]),
        ("(A->B (A (lfor i [1 2] (await (twice i)))))", [2, 4]), ("(A->B (A (await ((fn :async [y] (+ 1 (await (twice y)))) x))))", 11),
        ("(A->B (A (try (await (boom x)) (except [e ValueError] (str e)))))", "5"), ("(A->B (A (await (A (twice x)))))", 10),
        ("(A->B (A (do (await (twice x)) (let [z (await (twice 1))] (+ z 1)))))", 3),
        ("(A->B (A (if (await (twice x)) (await (twice 1)) 0)))", 2), ("(A->B (A f\"{(await (twice x))}\"))", "10"),
        ("(A->B (A (with [:async l (asyncio.Lock)] (await (twice x)))))", 10),
    ],
)  # fmt: skip
@pytest.mark.parametrize("seed", [0, 1])
def test_await(body: str, result: Any, seed: int) -> None:
    simulation = klorpy.simulate_chor(define(f"(defchor f [A B] (-> A B) [x] {body})"), 5, seed=seed)
    assert simulation["B"] == result
    assert simulation.channel("A", "B") in ([result], [5])


def test_what_awaited_code_prints_belongs_to_its_role() -> None:
    chor = define(
        '(defchor f [A B] (-> A B) [x] (let [y (A->B x)] (A (await (twice x))) (B (print "b") (await (twice y)))))'
    )
    for seed in range(4):
        assert klorpy.simulate_chor(chor, 5, seed=seed).outputs == {"A": "twice 5\n", "B": "b\ntwice 5\n"}


def test_an_agreement_that_awaits() -> None:
    simulation = klorpy.simulate_chor(
        define("(defchor f [A B] (-> #{A B} #{A B}) [x] (await (twice x)))"), 5, sanitize=True
    )
    assert simulation.results == {"A": 10, "B": 10}


def test_inside_a_running_loop() -> None:
    chor = define("(defchor f [A B] (-> A B) [x] (A->B (A (await (twice x)))))")

    async def main() -> Any:
        return klorpy.simulate_chor(chor, 5)["B"]

    assert asyncio.run(main()) == 10
    assert anyio.run(main) == 10


def test_awaiting_many_times() -> None:
    chor = define(
        "(defchor f [A B] (-> A B) [n] (loop [i n] (if (A=>B (A (= i 0))) (A->B i) (recur (A (- (// (await (any-twice i)) 2) 1))))))"
    )
    assert klorpy.simulate_chor(chor, 300)["B"] == 0


def test_an_exception_in_awaited_code() -> None:
    chor = define("(defchor f [A B C] (-> A B) [x]\n  (do (C None)\n      (A->B (A (await (boom x))))))")
    with pytest.raises(klorpy.ChoreographyFailed) as caught:
        klorpy.simulate_chor(chor, 5)
    failed = caught.value
    assert failed.role == "A"
    assert isinstance(failed.__cause__, ValueError)
    assert str(failed) == "f failed at A: ValueError: 5"
    assert set(failed.simulation.blocked) == {"B"}
    assert failed.span is not None


def test_host_code_may_catch_around_the_await() -> None:
    chor = define('(defchor f [A B] (-> A B) [x] (A->B (A (try (await (boom x)) (except [ValueError] "caught")))))')
    assert klorpy.simulate_chor(chor, 5)["B"] == "caught"


@pytest.mark.parametrize(
    "body",
    [
        "(do (B (/ 1 0)) (A->B (A (await (for-ever x)))))",
        "(do (A (await (twice x))) (B (/ 1 0)) (A->B (A (await (for-ever x)))))",
    ],
)
def test_a_failure_elsewhere_cancels_what_is_awaited(body: str) -> None:
    ns = namespace(f"(defchor f [A B] (-> A B) [x] {body})")
    simulation = klorpy.simulate_chor(ns.f, 5, check=False)
    assert isinstance(simulation.failures["B"], ZeroDivisionError)
    assert simulation.verdict is not None
    assert simulation.verdict.role == "B"
    assert ns.log == ["cleaned"] or "A" in simulation.blocked
    if "A" in simulation.blocked:
        assert simulation.blocked["A"].waits_for is None
        assert "host code" in str(simulation.blocked["A"])


def test_a_deadline_cancels_what_is_awaited() -> None:
    ns = namespace("(defchor f [A B] (-> A B) [x]\n  (A->B (A (await (for-ever x)))))")
    with pytest.raises(klorpy.ChoreographyFailed) as caught:
        klorpy.simulate_chor(ns.f, 5, timeout=0.05)
    assert caught.value.slug == "timeout"
    assert ns.log == ["cleaned"]
    blocked = caught.value.simulation.blocked
    assert blocked["A"].waits_for is None
    assert blocked["B"].waits_for == "A"
    assert "A waits for host code at (await (for-ever x))" in caught.value.render()


def test_awaited_code_that_refuses_to_be_cancelled_for_a_while() -> None:
    ns = namespace(
        "(defn :async stubborn [x] (try (await (.wait (asyncio.Event))) (except [asyncio.CancelledError] (await (asyncio.sleep 0)) (.append log 1) (raise))))\n"
        "(defchor f [A B] (-> A B) [x] (do (B (/ 1 0)) (A->B (A (await (stubborn x))))))"
    )
    simulation = klorpy.simulate_chor(ns.f, 5, check=False)
    assert simulation.verdict is not None
    assert simulation.verdict.role == "B"


@pytest.mark.parametrize(
    "raised", ["(asyncio.CancelledError)", "(SystemExit 1)", "(StopAsyncIteration)", "(KeyError 1)"]
)
def test_whatever_awaited_code_raises_is_its_failure(raised: str) -> None:
    ns = namespace(
        f"(defn :async bad [x] (await (asyncio.sleep 0)) (raise {raised}))\n(defchor f [A B] (-> A B) [x] (A->B (A (await (bad x)))))"
    )
    simulation = klorpy.simulate_chor(ns.f, 5, check=False)
    assert set(simulation.failures) == {"A"}
    assert set(simulation.blocked) == {"B"}


@pytest.mark.parametrize("value", [5, None, "x", [1]])
def test_awaiting_what_cannot_be_awaited(value: Any) -> None:
    simulation = klorpy.simulate_chor(
        define("(defchor f [A B] (-> A B) [x]\n  (A->B (A (await x))))"), value, check=False
    )
    error = simulation.failures["A"]
    assert isinstance(error, klorpy.KlorError)
    assert error.slug == "cannot-await"
    assert error.span is not None
    assert error.span.line == HELPERS.count("\n") + 2


def test_a_coroutine_that_nobody_awaits_is_not_lost_in_silence() -> None:
    """The run of A ends before B's coroutine is made: none is created and dropped."""
    chor = define("(defchor f [A B] (-> A B) [x] (do (A (/ 1 0)) (let [y (A->B x)] (B (await (twice y))))))")
    simulation = klorpy.simulate_chor(chor, 5, check=False)
    assert set(simulation.failures) == {"A"}


def test_roles_that_await_each_other_s_host_code() -> None:
    """Two roles meet in host code, outside of the choreography: both wait in one loop and both go on."""
    ns = namespace(
        "(defclass Box [] (setv event None))\n"
        "(defn :async give [] (while (is Box.event None) (await (asyncio.sleep 0))) (.set Box.event) 1)\n"
        "(defn :async take [] (setv Box.event (asyncio.Event)) (await (.wait Box.event)) 2)\n"
        "(defchor f [A B] (-> [A B]) [] (pack (A (await (give))) (B (await (take)))))"
    )
    assert klorpy.simulate_chor(ns.f, timeout=20).results == {"A": (1,), "B": (2,)}
