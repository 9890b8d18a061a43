"""Virtual time, windows and memory: exact figures."""

from __future__ import annotations

import gc
import math
from typing import Any

import pytest

import klorpy
from klorpy import Clock
from klorpy.core.keys import runs
from klorpy.outoforder.walker import WINDOW
from tests.benchmarks import order as shapes
from tests.outoforder.running import assert_quiescent, delivery, run


@pytest.fixture(scope="module")
def ns() -> Any:
    return shapes.programs()


@pytest.mark.parametrize(("skew", "d", "c"), [(20, 0.5, 5), (40, 0.5, 5), (20, 2, 5), (9, 1, 7)])
def test_skewed_producers(ns: Any, skew: float, d: float, c: float) -> None:
    """One compute slot. In program order the second worker waits for the first: S+2d+2C; out of order not: 2d+C."""
    interval = 2 * (skew + 2 * d + 2 * c)
    program, flow = (shapes.producers(ns, order, interval, skew, d, c) for order in ("program", "dataflow"))
    assert program == (skew + 2 * d + c, skew + 2 * d + 2 * c)
    assert flow[1] == 2 * d + c
    assert flow[0] == skew + 2 * d + c


def test_a_server_with_one_slot_gains_nothing_when_all_ask_at_once(ns: Any) -> None:
    for order in ("program", "dataflow"):
        assert sum(shapes.producers(ns, order, 50, 0, 0.5, 5)) == 17


def test_effects_serialise_what_nobody_says_is_independent() -> None:
    """With the role as the one resource, the first figure of the story gains nothing; declared, it gains all."""
    text = """(import klorpy [independent pure])
        (defn compute [x] x)
        (defn [pure] produce [x] x)
        (defchor main [W1 W2 S] (-> W1 W2 [W1 W2]) [x y]
          (pack (S->W1 (S {0}(compute (W1->S (W1 (produce x)))){1})) (S->W2 (S {0}(compute (W2->S y)){1}))))"""
    clock = Clock(latency=0.5, costs={"compute": 5}, delays={"produce": 20})
    plain = klorpy.evaluate(text.replace("{0}", "").replace("{1}", "")).main
    free = klorpy.evaluate(text.replace("{0}", "(independent ").replace("{1}", ")")).main
    spans = [
        klorpy.simulate_chor(chor, 1, 2, order="effects", clock=clock).timeline.makespan  # type: ignore[union-attr]
        for chor in (plain, free)
    ]
    assert spans == [31, 26]


@pytest.mark.parametrize("d", [0, 0.5, 2])
def test_senders(ns: Any, d: float) -> None:
    for a in range(10):
        for b in range(10):
            assert shapes.senders(ns, "program", a, b, d) == (4 * d + a, max(4 * d + a, 2 * d + b) + 2 * d)
            assert sorted(shapes.senders(ns, "dataflow", a, b, d)) == sorted((4 * d + a, 4 * d + b))


def test_serving_below_its_limit(ns: Any) -> None:
    for order in ("program", "dataflow"):
        assert shapes.serving(ns, order, 20, 0.5, 200)[1] == 4.5 * 20 + 65 + 5 * 0.5


@pytest.mark.parametrize("d", [0.5, 2])
def test_serving_beyond_its_limit(ns: Any, d: float) -> None:
    """In program order batches go one after the other, each B images of 2d, the last with 5d, and a prediction. Out of
    order both models work, unless it is the question whether a batch is full, 2d an image, that takes longest.
    """
    program, _ = shapes.serving(ns, "program", 2, d, 400)
    assert program == pytest.approx(10_000 / (18 * d + 65 + 5 * d), rel=0.01)
    flow, _ = shapes.serving(ns, "dataflow", 2, d, 1000)
    assert flow == pytest.approx(min(20_000 / 65, 1000 / (2 * d)), rel=0.02)


STREAM = """
(import klorpy [pure])
(defn [pure] item [i] (% (* i 7919) 20))
(defn [pure] consume [x] x)
(defchor stream [P C] (-> #{P C} #{P C}) [n]
  (loop [i 0] (if (< i n) (do (C (consume (P->C (P (item i))))) (recur (+ i 1))) i)))
(defchor forever [P C] (-> P C C) [x log] (P->C x) (forever [P C] x log))
(defchor local [P C] (-> P C C) [n log]
  (if (P=>C (P (> n 0))) (do (C (.append log (P->C n))) (local [P C] (P (- n 1)) log)) (C log)))
"""


@pytest.fixture(scope="module")
def streams() -> Any:
    return klorpy.evaluate(STREAM)


def test_a_wider_window_is_faster_and_holds_more(streams: Any) -> None:
    """Items are produced in 0 to 19, travel 5 and are consumed in 1, in program order: as in any flow control, the
    makespan falls until the window covers a round trip and the slowest item, and no more is ever stored than the window.
    """
    clock = Clock(latency=5, delays={"item": lambda i: (i * 7919) % 20}, costs={"consume": 1})
    found = []
    for window in (1, 2, 4, 8, 16, 32, 64):
        sim = klorpy.simulate_chor(streams.stream, 200, order="dataflow", window=window, clock=clock, trace=False)
        assert sim.timeline is not None
        found.append(sim.timeline.makespan)
    assert found == sorted(found, reverse=True)
    assert found[0] > 200 * (2 * 5)
    assert found[-1] < 200 * 1 + 2 * 5 + 20 + 5
    assert found[5] == found[6]


@pytest.mark.parametrize("window", [1, 2, 5, 64])
def test_a_consumer_is_never_flooded(streams: Any, window: int) -> None:
    """The producer's guard is its own and its rounds are done at once: what counts is how far the consumer is."""
    made = delivery(
        streams.local, 100, [], orders={"P": "dataflow", "C": "program"}, window=window, permute_local=False
    )
    made.run()
    assert_quiescent(made)
    assert made.walkers["C"].mailbox.high_water <= 2 * (window + 1)
    assert made.walkers["P"].most_scopes <= window


def test_an_endless_stream_begins_no_more_rounds_than_the_window(streams: Any) -> None:
    made = delivery(streams.forever, 1, [], window=8, links="fifo")
    for _ in range(2000):
        assert made.move()
    assert made.in_flight <= 9
    assert max(walker.most_scopes for walker in made.walkers.values()) <= 8


def test_the_oldest_item_may_be_slow() -> None:
    ns = klorpy.evaluate(
        """(import klorpy [pure]) (defn [pure] slow [i] i)
           (defchor main [A P C] (-> #{A P C} #{A P C}) [n]
             (loop [i 0]
               (if (< i n) (do (if (= i 0) (P->C (A->P (A (slow i)))) (P->C (P (slow (+ i 0))))) (recur (+ i 1))) i)))"""
    )
    clock = Clock(latency=1, delays={"A.slow": 1000})
    for window in (1, 2, 8):
        sim = klorpy.simulate_chor(ns.main, 60, order="dataflow", window=window, clock=clock)
        assert sim.timeline is not None
        assert sim.timeline.makespan >= 1002


def test_a_stream_of_100_000_rounds_is_flat(streams: Any) -> None:
    """Stored messages, live rounds, keys and live objects stay within their bounds."""
    made = delivery(streams.stream, 100_000, window=16, permute_local=False)
    walkers = made.walkers
    counts = []
    moves = 0
    while made.move():
        moves += 1
        if moves in (10_000, 90_000):
            counts.append(len(gc.get_objects()))
    assert_quiescent(made)
    assert abs(counts[1] - counts[0]) < 2_000
    assert walkers["C"].mailbox.high_water <= 16
    assert max(walker.most_scopes for walker in walkers.values()) <= 16
    assert walkers["C"].mailbox.longest <= 8


def test_rounds_are_told_in_the_timeline(streams: Any) -> None:
    sim = klorpy.simulate_chor(streams.stream, 3, order="dataflow", clock=Clock(costs={"consume": 1}))
    assert sim.timeline is not None
    assert [done.round for done in sim.timeline.of("consume", "C")] == [1, 2, 3]
    assert all(runs(done.token) is not None for done in sim.timeline.steps)


@pytest.mark.parametrize(
    "wrong",
    [
        {"costs": 5}, {"latency": "slow"}, {"slots": 0}, {"slots": {"A": 0}}, {"delays": [1]}, {"latency": -1},
        {"latency": math.nan}, {"latency": {"A": 3}}, {"latency": {("A", "B"): -3}}, {"costs": {"consume": -2}},
        {"times": {"item": [1]}}, {"delays": {"item": math.inf}},
    ],
)
def test_wrong_clocks_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(klorpy.KlorError) as caught:
        Clock(**wrong)
    assert caught.value.slug == "bad-argument"


@pytest.mark.parametrize("wrong", [-1, "soon", math.nan])
def test_a_function_that_gives_no_time_is_refused(streams: Any, wrong: Any) -> None:
    with pytest.raises(klorpy.KlorError, match="that the function of item gave is not a time") as caught:
        klorpy.simulate_chor(streams.stream, 2, order="dataflow", clock=Clock(delays={"item": lambda i: wrong}))
    assert caught.value.slug == "bad-argument"


@pytest.mark.parametrize("wrong", [{"links": "lossy"}, {"window": 0}, {"clock": 5}, {"order": "any"}])
def test_wrong_arguments_of_a_simulation_are_refused(streams: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(klorpy.KlorError) as caught:
        klorpy.simulate_chor(streams.stream, 1, **wrong)
    assert caught.value.slug == "bad-argument"


def test_many_calls_in_a_row_by_two_choreographies_that_call_each_other(streams: Any) -> None:
    from tests.benchmarks.programs import PING_PONG

    ns = klorpy.evaluate(PING_PONG)
    made = run(ns.ping, 3000, 0)
    assert_quiescent(made)
    assert made.walkers["A"].most_scopes <= WINDOW
