"""What holds of every program out of order, on generated ones: no violation, no deadlock, the results of program order."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

import klorpy
from klorpy.testing import canonical, laws, program_of
from tests.outoforder.running import assert_quiescent, delivery, quiet, run

CHUNK = 10


def programs(first: int, count: int) -> Iterator[tuple[int, Any, Any]]:
    for seed in range(first, first + count):
        program = program_of(seed)
        yield seed, program, laws.compiled(program)


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", klorpy.KlorWarning)
        yield


@pytest.mark.parametrize("first", range(50_000, 50_030, CHUNK))
@pytest.mark.parametrize("order", ["program", "effects", "dataflow"])
def test_every_order_gives_what_program_order_gives(first: int, order: str) -> None:
    """Results are those of program order under any delivery and any order of ready steps; so is what each role prints:
    in the same order where effects keep theirs, else the same lines.
    """
    for seed, program, module in programs(first, CHUNK):
        want = laws.simulated(module, program, 0)
        for schedule, window in ((0, None), (seed + 1, None), (seed + 2, 1)):
            found = klorpy.simulate_chor(
                module.main, *copy.deepcopy(program.args), order=order, seed=schedule, window=window,
                links="unordered", sanitize=True, timeout=laws.PATIENCE,
            )  # fmt: skip
            for role, value in want.results.items():
                if not callable(value):
                    assert canonical(found.results[role]) == canonical(value), (seed, schedule, role)
                lines, wanted = found.outputs[role].splitlines(), want.outputs[role].splitlines()
                assert sorted(lines) == sorted(wanted), (seed, schedule, role)
                assert order == "dataflow" or lines == wanted, (seed, schedule, role)


@pytest.mark.parametrize("first", range(51_000, 51_020, CHUNK))
def test_at_the_end_nothing_is_left(first: int) -> None:
    """No waiter, no stored message, no step, no round, whatever the schedule; and no message met another's receive."""
    for seed, program, module in programs(first, CHUNK):
        if "await" in program.text:
            continue
        for schedule in (0, seed + 1):
            with quiet():
                assert_quiescent(run(module.main, *program.args, seed=schedule))


@pytest.mark.parametrize("first", range(52_000, 52_010, CHUNK))
@pytest.mark.parametrize("window", [1, 2, 7])
def test_every_window_makes_progress(first: int, window: int) -> None:
    for seed, program, module in programs(first, CHUNK):
        if "await" in program.text:
            continue
        with quiet():
            assert_quiescent(run(module.main, *program.args, seed=seed, window=window))


@pytest.mark.parametrize("first", range(53_000, 53_020, CHUNK))
def test_mixed_orders_play_together(first: int) -> None:
    for seed, program, module in programs(first, CHUNK):
        if "await" in program.text:
            continue
        roles = module.main.roles
        orders = {role: ("program", "effects", "dataflow")[(i + seed) % 3] for i, role in enumerate(roles)}
        with quiet():
            assert_quiescent(run(module.main, *program.args, seed=seed, orders=orders))


@pytest.mark.parametrize("first", range(54_000, 54_010, CHUNK))
def test_equal_seeds_give_equal_runs(first: int) -> None:
    for seed, program, module in programs(first, CHUNK):
        if "await" in program.text:
            continue
        runs = []
        for _ in range(2):
            found = klorpy.simulate_chor(module.main, *copy.deepcopy(program.args), order="dataflow", seed=seed + 1)
            runs.append([repr(line) for line in found.lines()])
        assert runs[0] == runs[1]


@pytest.mark.parametrize("first", range(55_000, 55_010, CHUNK))
def test_keys_are_short_and_every_message_has_one_of_its_own(first: int) -> None:
    for _, program, module in programs(first, CHUNK):
        if "await" in program.text:
            continue
        keys: list[Any] = []
        with quiet():
            made = delivery(module.main, *program.args)
            for role, walker in made.walkers.items():
                walker.mailbox.bound = lambda letter, waiter, role=role, keys=keys: keys.append(  # type: ignore[misc]
                    (letter.source, role, letter.key, letter.site)
                )
            made.run()
        assert_quiescent(made)
        assert len(keys) == len(set(keys))
        assert all(len(key) <= 40 for _, _, key, _ in keys)
