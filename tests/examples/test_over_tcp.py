"""Every example with a node for each role, over TCP: the results and the messages are those of the simulator."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

import klorpy
from klorpy.core.values import show
from klorpy.examples import bookseller, mergesort
from klorpy.examples.references import DATA, Example, data
from klorpy.runtime.wire import encode
from klorpy.testing import conformance
from tests.examples.test_examples import FOLDER, RUNS, choreography_of
from tests.runtime.sessions.nodes import nodes_of
from tests.runtime.sessions.processes import cast


@contextlib.asynccontextmanager
async def over_tcp(chor: klorpy.Choreography) -> AsyncIterator[Any]:
    async with nodes_of(chor.roles) as nodes, conformance.seated(nodes, chor) as transports:
        yield transports


@pytest.mark.parametrize(("example", "args"), RUNS)
def test_an_example_over_tcp_does_what_it_does_when_simulated(example: Example, args: tuple[Any, ...]) -> None:
    chor = choreography_of(example)
    for message in klorpy.simulate_chor(chor, *copy.deepcopy(args)).messages:
        encode(message.value)
    anyio.run(conformance.plays, over_tcp, chor, *args)


def test_the_bookseller_in_processes_of_its_own(tmp_path: Path) -> None:
    texts = {"S": [f"@{DATA / 'catalogue.json'}"], "B": [f"@{DATA / 'order.json'}"]}
    with cast(tmp_path, FOLDER / "bookseller.hy", "buy-book", texts) as roles:
        assert [role.status() for role in roles.values()] == [0, 0], [role.errors for role in roles.values()]
        # Both see the same messages, and what the example is about.
        seen = [[line for line in role.output.splitlines() if " --> " in line] for role in roles.values()]
        simulation = klorpy.simulate_chor(bookseller.buy_book, data("order"), data("catalogue"))
        assert seen[0] == seen[1] == [f"{m.source} --> {m.target}: {show(m.value)}" for m in simulation.messages]
        assert f"The book arrives on {simulation['B']}" in roles["B"].output


def test_mergesort_in_processes_of_its_own(tmp_path: Path) -> None:
    values = [3, 1, 2, 5, 4]
    chor = mergesort.mergesort
    texts = {role: [repr(values)] if role in chor.signature.arrow.params[0].roles else [] for role in chor.roles}
    simulation = klorpy.simulate_chor(chor, values)
    with cast(tmp_path, FOLDER / "mergesort.hy", "mergesort", texts, everywhere=["--quiet"]) as roles:
        for role, process in roles.items():
            assert process.status() == 0, process.errors
            assert process.output == f"{role}: {show(simulation[role], 10_000)}\n"
