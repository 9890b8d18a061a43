"""Every transport of klorpy keeps the promises of one suite, and the suite notices transports that do not."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, ClassVar

import anyio
import anyio.lowlevel
import pytest

import klorpy
from klorpy.conversations import World
from klorpy.testing import conformance
from tests.runtime.sessions.nodes import nodes_of
from tests.runtime.transports.nats_server import MISSING, PROGRAM, shared_server


@contextlib.asynccontextmanager
async def memory(chor: klorpy.Choreography) -> AsyncIterator[Any]:
    network = klorpy.MemoryNetwork(chor.roles)
    yield {role: network.endpoint(role) for role in chor.roles}


@contextlib.asynccontextmanager
async def one_node(roles: Iterable[str]) -> AsyncIterator[Mapping[str, Any]]:
    async with klorpy.host() as node:
        yield dict.fromkeys(roles, node)


@contextlib.asynccontextmanager
async def one_world(roles: Iterable[str]) -> AsyncIterator[Mapping[str, Any]]:
    async with World() as world:
        yield dict.fromkeys(roles, world)


@contextlib.asynccontextmanager
async def over_nats(roles: Iterable[str]) -> AsyncIterator[Mapping[str, Any]]:
    """A node for each role, over the server of the tests; an application of its own, for sessions of equal names."""
    app = f"conformance {next(_APPS)}"
    async with contextlib.AsyncExitStack() as stack:
        yield {
            role: await stack.enter_async_context(klorpy.host(nats=shared_server().url, app=app)) for role in roles
        }


_APPS = itertools.count()

#: What roles of different processes meet through.
MEETINGS: dict[str, conformance.Meeting] = {
    "one node": one_node,
    "one world": one_world,
    "tcp": nodes_of,
    "tls": functools.partial(nodes_of, tls=True),
    "nats": over_nats,
}


@pytest.fixture(autouse=True)
def _needs_server(request: pytest.FixtureRequest) -> None:
    if PROGRAM is None and "nats" in request.node.name:
        pytest.skip(MISSING)


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


# --- What the suite notices -------------------------------------------------------------------------------------------


class Broken:
    """A transport over another one, with a fault."""

    def __init__(self, transport: Any) -> None:
        self.transport = transport
        self.sent = 0

    async def send(self, target: str, value: Any, site: Any) -> None:
        await self.transport.send(target, value, site)

    async def receive(self, source: str, site: Any) -> Any:
        return await self.transport.receive(source, site)

    async def close(self) -> None:
        await self.transport.close()


class Sharing(Broken):
    """Hands the very object over."""

    values: ClassVar[list[Any]] = []

    async def send(self, target: str, value: Any, site: Any) -> None:
        self.values.append(value)
        await self.transport.send(target, len(self.values) - 1, site)

    async def receive(self, source: str, site: Any) -> Any:
        return self.values[await self.transport.receive(source, site)]


class Listing(Broken):
    """Makes lists of tuples, as JSON does."""

    async def receive(self, source: str, site: Any) -> Any:
        value = await self.transport.receive(source, site)
        return list(value) if isinstance(value, tuple) else value


class Repeating(Broken):
    """Sends every hundredth message twice."""

    async def send(self, target: str, value: Any, site: Any) -> None:
        self.sent += 1
        for _ in range(2 if self.sent == 100 else 1):
            await self.transport.send(target, value, site)


class Swapping(Broken):
    """Lets the second message of a role overtake the first."""

    kept: Any = None

    async def send(self, target: str, value: Any, site: Any) -> None:
        self.sent += 1
        if self.sent == 1:
            self.kept = value
            return
        await self.transport.send(target, value, site)
        if self.sent == 2:
            await self.transport.send(target, self.kept, site)


class Forgetful(Broken):
    """Loses what it had for a receiver that is cancelled."""

    async def receive(self, source: str, site: Any) -> Any:
        value = await self.transport.receive(source, site)
        await anyio.lowlevel.checkpoint()
        return value


class Abrupt(Broken):
    """Drops what it had sent when it closes."""

    def __init__(self, transport: Any) -> None:
        super().__init__(transport)
        self.queue: list[Any] = []

    async def send(self, target: str, value: Any, site: Any) -> None:
        self.queue.append((target, value, site))
        if len(self.queue) > 5:
            await self.transport.send(*self.queue.pop(0))


class Careless(Broken):
    """Tells nobody that it has closed."""

    async def close(self) -> None:
        return None


@pytest.mark.parametrize(
    ("broken", "check"),
    [
        (Sharing, conformance.values_are_isolated),
        (Listing, conformance.values_arrive_as_they_were_sent),
        (Repeating, conformance.messages_of_a_channel_arrive_in_order),
        (Swapping, conformance.messages_of_a_channel_arrive_in_order),
        (Forgetful, conformance.a_receiver_that_is_cancelled_loses_nothing),
        (Abrupt, conformance.what_was_sent_before_closing_arrives),
        (Careless, conformance.closing_wakes_who_waits),
        (Broken, conformance.transports_are_sessions),
    ],
    ids=lambda value: value.__name__,
)
def test_a_fault_is_noticed(broken: type[Broken], check: conformance.Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conformance, "TOO_LONG", 1.0)

    @contextlib.asynccontextmanager
    async def factory(chor: klorpy.Choreography) -> AsyncIterator[Any]:
        async with memory(chor) as at:
            yield {role: broken(transport) for role, transport in at.items()}

    with pytest.raises((AssertionError, ExceptionGroup)):
        conformance.run(check, factory)
