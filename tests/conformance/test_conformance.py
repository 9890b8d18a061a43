"""Every transport of klorpy keeps the promises of one suite, and the suite notices transports that do not."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import pytest

import klorpy
from klorpy.testing import conformance
from tests.runtime.sessions.nodes import nodes_of


@contextlib.asynccontextmanager
async def memory(chor: klorpy.Choreography) -> AsyncIterator[Any]:
    network = klorpy.MemoryNetwork(chor.roles)
    yield {role: network.endpoint(role) for role in chor.roles}


@contextlib.asynccontextmanager
async def one_node(roles: Iterable[str]) -> AsyncIterator[Mapping[str, Any]]:
    async with klorpy.host() as node:
        yield dict.fromkeys(roles, node)


#: What roles of different processes meet through.
MEETINGS: dict[str, conformance.Meeting] = {
    "one node": one_node,
    "tcp": nodes_of,
    "tls": functools.partial(nodes_of, tls=True),
}


def seated_over(meeting: conformance.Meeting) -> conformance.Factory:
    @contextlib.asynccontextmanager
    async def factory(chor: klorpy.Choreography) -> AsyncIterator[Any]:
        async with meeting(chor.roles) as nodes, conformance.seated(nodes, chor) as transports:
            yield transports

    return factory


FACTORIES: dict[str, conformance.Factory] = {
    "memory": memory,
    **{name: seated_over(meeting) for name, meeting in MEETINGS.items()},
}


@pytest.mark.parametrize("check", conformance.VERBS + conformance.VERDICTS, ids=conformance.name)
@pytest.mark.parametrize("factory", FACTORIES.values(), ids=FACTORIES)
def test_a_transport_conforms(check: conformance.Check, factory: conformance.Factory) -> None:
    conformance.run(check, factory)


def test_the_network_in_memory_conforms_on_trio() -> None:
    pytest.importorskip("trio", reason="trio is an option of anyio")
    for check in conformance.VERBS + conformance.VERDICTS:
        conformance.run(check, memory, backend="trio")


@pytest.mark.parametrize("check", conformance.RENDEZVOUS, ids=conformance.name)
@pytest.mark.parametrize("meeting", MEETINGS.values(), ids=MEETINGS)
def test_roles_meet(check: conformance.Check, meeting: conformance.Meeting) -> None:
    conformance.run(check, meeting)
