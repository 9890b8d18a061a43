"""What a merge saves: the formulas, and runs of both choreographies that show them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from klorpy.behaviour import enact, merge, savings
from tests.behaviour import worked
from tests.behaviour.worked import CHANNELS, chor


def functions(ok: bool) -> Mapping[str, Callable[..., Any]]:
    return {"pwd": lambda: "secret", "check": lambda password: ok and password == "secret", "file": lambda: "text"}


MERGED = merge(chor(worked.W0), CHANNELS)


@pytest.mark.parametrize("rounds", [1, 2, 10, 100])
@pytest.mark.parametrize("ok", [True, False], ids=["ok", "quit"])
def test_the_counts_of_the_running_example(rounds: int, ok: bool) -> None:
    found = savings(MERGED, functions(ok), rounds=rounds)
    payload = (4 if ok else 3) * rounds
    assert (found.original.starts, found.merged.starts) == (2 * rounds, 1)
    assert (found.original.start_messages, found.merged.start_messages) == (4 * rounds, 4)
    assert (found.original.payload_messages, found.merged.payload_messages) == (payload, payload)
    assert found.starts == 2 * rounds - 1
    assert found.start_messages == 4 * rounds - 4
    assert found.ratio == (payload + 4) / (payload + 4 * rounds)


@pytest.mark.parametrize(("rounds", "ratio"), [(1, 1.0), (2, 0.75), (10, 0.55), (100, 0.505)])
def test_the_ratios_of_the_running_example(rounds: int, ratio: float) -> None:
    assert savings(MERGED, functions(True), rounds=rounds).ratio == pytest.approx(ratio)


def test_the_limits_of_the_ratio() -> None:
    assert savings(MERGED, functions(True), rounds=1000).ratio == pytest.approx(1 / 2, abs=0.001)
    assert savings(MERGED, functions(False), rounds=1000).ratio == pytest.approx(3 / 7, abs=0.001)


def test_the_critical_path_of_a_round() -> None:
    """Two starts cost two hops each; behind the start of the merged session a round is its messages.

    Rounds overlap, since sending does not wait: many rounds take less than many times one.
    """
    one, ten = (savings(MERGED, functions(True), rounds=n) for n in (1, 10))
    assert (one.original.time, one.merged.time) == (2 + 1 + 2 + 1 + 1 + 1, 2 + 4)
    assert (ten.original.time, ten.merged.time) == (62, 24)
    assert savings(MERGED, functions(True), rounds=1, delay=0.5).original.time == 4


def test_a_barrier_costs_one_message_more_for_each_guest() -> None:
    run = enact(chor(worked.W0), functions(True), rounds=10, start="barrier")
    assert run.start_messages == 10 * 2 * 3
    assert enact(MERGED.chor, functions(True), rounds=10, start="barrier").start_messages == 3 * 2


def test_notification_is_part_of_the_bill() -> None:
    told = merge(chor(worked.W7), CHANNELS, notify=True)
    flips = iter([True] * 9 + [False])
    after = enact(told.chor, {"flip": lambda: next(flips)})
    flips = iter([True] * 9 + [False])
    start_messages = 2 * 2
    assert after.start_messages == start_messages
    # Nine rounds of more, note, number, and one stop; each more and stop is passed on.
    assert after.payload_messages == 9 * 3 + 1 + 10


def test_what_the_table_shows() -> None:
    assert str(savings(MERGED, functions(True), rounds=10)) == (
        "starts           20 -> 1\n"
        "start messages   40 -> 4\n"
        "payload messages 40 -> 40\n"
        "messages         80 -> 44\n"
        "critical path    62 -> 24"
    )


@pytest.mark.parametrize("seed", range(5))
def test_the_seed_makes_no_difference_to_what_threads_do(seed: int) -> None:
    assert enact(chor(worked.W0), functions(True), rounds=5, seed=seed) == enact(chor(worked.W0), functions(True), rounds=5)
