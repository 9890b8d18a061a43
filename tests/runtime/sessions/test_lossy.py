"""Whole choreographies over a carrier that loses, repeats and reorders: everything still arrives once and in order."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import AsyncIterator, Iterable
from typing import Any

import anyio
import pytest

import klorpy
from klorpy.runtime.sessions import Node, Window
from klorpy.testing import conformance
from klorpy.testing.lossy import Losses, LossyNetwork

SEEDS = range(8)


def meeting(network: LossyNetwork, window: Window | None = None) -> Any:
    @contextlib.asynccontextmanager
    async def nodes_of(roles: Iterable[str]) -> AsyncIterator[dict[str, Node]]:
        async with contextlib.AsyncExitStack() as stack:
            yield {role: await stack.enter_async_context(network.node(window=window)) for role in roles}

    return nodes_of


def seated(network: LossyNetwork, window: Window | None = None) -> Any:
    count = iter(range(10**6))

    @contextlib.asynccontextmanager
    async def factory(chor: klorpy.Choreography) -> AsyncIterator[Any]:
        async with (
            meeting(network, window)(chor.roles) as nodes,
            conformance.seated(nodes, chor, f"run {next(count)}") as transports,
        ):
            yield transports

    return factory


@pytest.mark.parametrize("check", conformance.VERBS + conformance.VERDICTS, ids=conformance.name)
def test_sessions_over_a_lossy_carrier_conform(check: conformance.Check) -> None:
    network = LossyNetwork(seed=1)
    conformance.run(check, seated(network))
    assert network.lost > 0


@pytest.mark.parametrize("check", conformance.RENDEZVOUS, ids=conformance.name)
def test_roles_meet_over_a_lossy_carrier(check: conformance.Check) -> None:
    conformance.run(check, meeting(LossyNetwork(seed=2)))


@pytest.mark.parametrize("losses", [Losses(0.7, 0.1, 3), Losses(0, 0.8, 50), Losses(0.4, 0.4, 100)], ids=str)
@pytest.mark.parametrize("window", [None, Window(1, 1), Window(3, 64)], ids=str)
def test_the_worst_carriers(losses: Losses, window: Window | None) -> None:
    chor = klorpy.evaluate(
        "(defchor count [A B] (-> #{A B} A B) [n x] (loop [n n x x] (if (> n 0) (recur (- n 1) (do (A->B x) x)) (A->B x))))"
    ).count
    for seed in SEEDS:
        network = LossyNetwork(seed, losses)
        anyio.run(conformance.plays, seated(network, window), chor, 60, "x")


def test_equal_seeds_carry_equally() -> None:
    chor = klorpy.evaluate("(defchor echo [A B] (-> A A) [x] (B->A (A->B x)))").echo

    def figures(seed: int) -> tuple[int, int, int]:
        network = LossyNetwork(seed)
        anyio.run(conformance.plays, seated(network), chor, copy.deepcopy([1, 2]))
        return network.carried, network.lost, network.repeated

    assert figures(3) == figures(3)
    assert len({figures(seed) for seed in range(6)}) > 1
