"""The benchmarks are honest: both sides do the work that they are measured for. No time is looked at."""

from __future__ import annotations

import pytest

from klorpy import evaluate, simulate_chor
from tests.benchmarks import by_hand, programs
from tests.benchmarks.cases import BENCHMARKS, TINY, import_times, measure_peak, ping_pong_module
from tests.benchmarks.measure import Contest, Outcome, Run, table
from tests.runtime.transports.nats_server import MISSING, PROGRAM


@pytest.mark.parametrize("name", BENCHMARKS)
def test_both_sides_do_the_work(name: str) -> None:
    if name == "nats" and PROGRAM is None:
        pytest.skip(MISSING)
    contests = BENCHMARKS[name](TINY)
    outcomes = [contest.run() for contest in contests]  # raises when a side computed something else
    assert all(outcome.subject > 0 and outcome.baseline > 0 for outcome in outcomes)
    assert len(table(outcomes).splitlines()) == len(contests) + 2


@pytest.mark.parametrize("rounds", [0, 1, 7])
def test_by_hand_is_the_same_protocol(rounds: int) -> None:
    sim = simulate_chor(ping_pong_module().by_loop, rounds)
    assert sim["A"] == by_hand.requesting(rounds) == by_hand.with_mailboxes(rounds) == by_hand.with_asyncio(rounds)
    # A sends the odd numbers and B the even ones, in turn.
    assert [(m.source, m.value) for m in sim.messages] == [("AB"[i % 2], i + 1) for i in range(2 * rounds)]


@pytest.mark.parametrize(("name", "args", "messages"), [
    ("by_self", (5, 0), 10), ("by_swap", (10, 0), 11), ("ping", (10, 0), 11), ("deep", (3, 5, []), 12),
])  # fmt: skip
def test_the_variants_send_what_they_are_counted_for(name: str, args: tuple[object, ...], messages: int) -> None:
    sim = simulate_chor(getattr(ping_pong_module(), name), *args)
    assert sim["A"] == (13 if name == "deep" else 10)
    assert len(sim.messages) == messages


def test_the_large_choreography_has_the_forms_that_it_promises() -> None:
    text, messages = programs.large(40, 7)
    forms = text.splitlines()[1:-1]
    assert len(forms) == 40
    assert sum("->" in form for form in forms) == 22
    assert sum(form.startswith("  (bcast") for form in forms) == 3
    assert messages == 22 + 3 * 6
    sim = simulate_chor(evaluate(text).large, 1)
    assert len(sim.messages) == messages
    assert {m.source for m in sim.messages} == {m.target for m in sim.messages} == {f"R{i}" for i in range(7)}


def test_memory_is_that_of_the_run_and_not_of_the_process_that_starts_it() -> None:
    large = bytearray(b"x") * (128 << 20)
    _, flat = measure_peak("by_loop", (100_000,))
    _, traced = measure_peak("by_loop", (100_000,), trace=True)
    assert flat < len(large)
    # A trace keeps every message, so this is what memory that is not flat looks like.
    assert traced > 1.2 * flat


def test_a_run_that_does_not_do_its_work_is_refused() -> None:
    lazy = Run("lazy", lambda: (0.0, 41), 1, 42)
    with pytest.raises(ValueError, match="lazy computed 41, not 42"):
        lazy.cost()


def test_the_table_says_what_missed_its_target() -> None:
    side = Run("by hand", lambda: (2.0, None), 4, None)
    assert side.cost() == 0.5
    outcome = [Outcome(Contest(name, side, side, limit, "s", 1), 3.0, 2.0)
               for name, limit in [("a", 1.5), ("b", 1.4), ("c", None)]]  # fmt: skip
    assert [line.split()[-1] for line in table(outcome).splitlines()[2:]] == ["ok", "MISS", "1.50"]


def test_import_times_names_the_modules() -> None:
    lines = import_times(5).splitlines()
    assert "self" in lines[0]
    assert len(lines) == 6
