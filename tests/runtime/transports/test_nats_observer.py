"""Observing sessions over a real nats-server: the same records as over TCP, from what the server carries."""

from __future__ import annotations

import asyncio
import copy
import socket
import subprocess
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import nats
import pytest

import klorpy
from klorpy.core.values import show
from klorpy.examples.references import Example
from klorpy.runtime.sessions import Record, in_order, sites_by_key
from klorpy.runtime.sessions.channel import DATA, JOIN, Frame
from klorpy.runtime.transports import nats_observer
from klorpy.runtime.transports.nats_names import Names
from klorpy.runtime.transports.nats_observer import observe_server
from klorpy.runtime.transports.nats_packets import Cast, pack, pack_cast
from klorpy.runtime.transports.observer import Attached, Detached, Observation, Seen, observe
from klorpy.runtime.wire import encode
from tests.examples.test_examples import RUNS, channels, choreography_of
from tests.outoforder.programs import ARGUMENTS, stories
from tests.runtime.transports.nats_server import MISSING, PROGRAM, NatsServer, left_behind, shared_server
from tests.runtime.transports.test_nats import HELD, TEXT, TOO_LONG, everyone, run, started

pytestmark = pytest.mark.skipif(PROGRAM is None, reason=MISSING)

Channels = dict[tuple[str, str], list[str]]


@pytest.fixture(scope="module")
def ns() -> Any:
    return klorpy.evaluate(TEXT, name="observed_over_nats")


@pytest.fixture
def server() -> NatsServer:
    return shared_server()


async def until_attached(observation: Observation) -> list[Record]:
    """What is told of what was before."""
    records = []
    while not isinstance(sight := await observation.next(), Attached):
        assert isinstance(sight, Seen), sight
        records.append(sight.record)
    return records


async def until(observation: Observation, enough: Callable[[list[Record]], bool]) -> list[Record]:
    """What is told until it is enough."""
    records: list[Record] = []
    while not enough(records):
        sight = await observation.next()
        assert isinstance(sight, Seen), sight
        records.append(sight.record)
    return records


def have_left(*roles: str) -> Callable[[list[Record]], bool]:
    return lambda records: {record.role for record in records if record.kind == "left"} >= set(roles)


def sent(records: Iterable[Record]) -> Channels:
    """The messages of each direction."""
    found = defaultdict(list)
    for record in records:
        if record.kind == "sent":
            found[record.role, record.peer].append(record.text)
    return dict(found)


def told(records: Iterable[Record]) -> list[tuple[str, str, str, str]]:
    return [(record.role, record.kind, record.peer, record.text) for record in records]


@asynccontextmanager
async def observing(server: NatsServer, app: str, session: str = "", **options: Any) -> AsyncIterator[Observation]:
    async with observe_server(server.url, app=app, session=session, **options) as observation:
        yield observation


# --- The same as elsewhere --------------------------------------------------------------------------------------------


def mine(chor: klorpy.Choreography, role: str, args: tuple[Any, ...]) -> list[Any]:
    params = chor.signature.arrow.params
    return [copy.deepcopy(arg) for arg, type_ in zip(args, params, strict=True) if role in type_.roles]


def test_every_example_is_seen_as_it_is_simulated(server: NatsServer) -> None:
    """All in one server, several at the same time, and one observer for all."""

    async def play_example(chor: Any, args: tuple[Any, ...], session: str, limiter: anyio.CapacityLimiter) -> None:
        async with limiter:
            own = {role: tuple(mine(chor, role, args)) for role in chor.roles}
            await everyone(chor, own, server.url, session, app="observed")

    async def main() -> None:
        limiter = anyio.CapacityLimiter(8)
        chors: dict[str, Any] = {}
        expected: dict[str, Channels] = {}
        async with observing(server, "observed") as observation, anyio.create_task_group() as group:
            assert await until_attached(observation) == []
            for number, param in enumerate(RUNS):
                example, args = param.values
                assert isinstance(example, Example)
                session, chor = f"{example.choreography} {number}", choreography_of(example)
                assert isinstance(args, tuple)
                simulation = klorpy.simulate_chor(chor, *copy.deepcopy(args), timeout=TOO_LONG)
                chors[session] = chor
                expected[session] = {
                    pair: [show(value, 200) for value in values] for pair, values in channels(simulation).items()
                }
                group.start_soon(play_example, chor, args, session, limiter)
            count = sum(len(chor.roles) for chor in chors.values())
            records = await until(observation, lambda records: sum(record.kind == "left" for record in records) == count)
        for session, chor in chors.items():
            seen = [record for record in records if record.session == session]
            assert sent(seen) == expected[session], session
            assert {(r.role, r.text) for r in seen if r.kind == "joined"} == {
                (role, f"{chor.name} [{' '.join(chor.roles)}]") for role in chor.roles
            }
            assert {(r.role, r.peer, r.text) for r in seen if r.kind == "left"} == {(role, "", "") for role in chor.roles}
            for role in chor.roles:
                own = [record for record in seen if record.role == role]
                assert own[0].kind == "joined"
                assert own[-1].kind == "left"
                for target in chor.roles:
                    there = [record for record in own if record.kind == "sent" and record.peer == target]
                    assert [record.number for record in there] == list(range(1, len(there) + 1))
                stamps = [record.stamp for record in own if record.kind == "sent"]
                assert len(set(stamps)) == len(stamps), "they are of a clock that goes on with every message"

    run(main)


async def over_tcp(chor: klorpy.Choreography, args: tuple[Any, ...]) -> list[Record]:
    """The records of a run over TCP, all of whose roles are observed."""
    sockets = {role: socket.create_server(("127.0.0.1", 0)) for role in chor.roles}
    addresses = {role: f"127.0.0.1:{sock.getsockname()[1]}" for role, sock in sockets.items()}
    records: list[Record] = []
    async with AsyncExitStack() as stack:
        nodes = {
            role: await stack.enter_async_context(klorpy.host(
                listen=sockets[role], peers={other: addresses[other] for other in chor.roles if other < role}, observers=True
            ))
            for role in chor.roles
        }  # fmt: skip
        observation = await stack.enter_async_context(observe(list(addresses.values())))

        async def play(role: str) -> None:
            async with nodes[role].join(chor, role, "s") as seat:
                await klorpy.play_role({"role": role, "transport": seat}, chor, *mine(chor, role, args))

        async with anyio.create_task_group() as group:
            for role in chor.roles:
                group.start_soon(play, role)
        while not have_left(*chor.roles)(records):
            sight = await observation.next()
            if isinstance(sight, Seen):
                records.append(sight.record)
    return records


@pytest.mark.parametrize("choreography", ["buy-with-help", "guess-by-halves", "mergesort", "two-backups", "sum-of-squares"])
def test_what_is_seen_is_what_tcp_shows(server: NatsServer, choreography: str) -> None:
    """But for what is received, which nobody tells."""
    example, args = next(param.values for param in RUNS if param.values[0].choreography == choreography)  # type: ignore[union-attr]
    assert isinstance(args, tuple)
    chor = choreography_of(example)  # type: ignore[arg-type]

    async def main() -> None:
        tcp = await over_tcp(chor, args)
        async with observing(server, "compared", "s") as observation:
            assert await until_attached(observation) == []
            await everyone(chor, {role: tuple(mine(chor, role, args)) for role in chor.roles}, server.url, "s", app="compared")
            seen = await until(observation, have_left(*chor.roles))

        def by_role(records: list[Record]) -> dict[str, list[tuple[str, str, str, int, bytes]]]:
            return {
                role: [(r.kind, r.peer, r.text, r.number, r.key) for r in records if r.role == role and r.kind != "received"]
                for role in chor.roles
            }

        assert by_role(seen) == by_role(tcp)
        assert sum(record.kind == "sent" for record in seen) == sum(record.kind == "received" for record in tcp)

    run(main)


def test_the_stamps_put_causes_before_effects(server: NatsServer, ns: Any) -> None:
    """Where each message answers the one before, there is one order only."""

    async def main() -> None:
        simulation = klorpy.simulate_chor(ns.ping_pong, 40, lambda x: x)
        async with observing(server, "seen-order", "s") as observation:
            await everyone(ns.ping_pong, {"A": (40,), "B": (lambda x: x,)}, server.url, "s", app="seen-order")
            await until_attached(observation)
            records = await until(observation, have_left("A", "B"))
        expected = [(message.source, show(message.value)) for message in simulation.messages]
        assert [(record.role, record.text) for record in in_order(records) if record.kind == "sent"] == expected
        assert [(record.role, record.text) for record in records if record.kind == "sent"] == expected

    run(main)


@pytest.mark.parametrize("order", ["program", "effects", "dataflow"])
def test_roles_out_of_order_are_seen_without_what_players_tell_each_other(server: NatsServer, order: str) -> None:
    async def main() -> None:
        chor, args = stories().two_carts, ARGUMENTS["two_carts"]
        simulation = klorpy.simulate_chor(chor, *args)
        expected = {pair: sorted(map(show, values)) for pair, values in channels(simulation).items()}
        async with observing(server, f"seen-{order}", "s") as observation:
            results = await everyone(chor, {"Billing": args}, server.url, "s", app=f"seen-{order}", order=order)
            assert results == simulation.results
            await until_attached(observation)
            records = await until(observation, have_left(*chor.roles))
        assert {pair: sorted(texts) for pair, texts in sent(records).items()} == expected
        sites = set(sites_by_key(chor))
        assert {record.key for record in records if record.kind == "sent"} <= sites

    run(main)


# --- From the middle --------------------------------------------------------------------------------------------------


def test_an_observer_that_comes_late_reads_what_was(server: NatsServer, ns: Any) -> None:
    async def main() -> None:
        reached, gate = anyio.Event(), anyio.Event()

        async def value(x: str) -> str:
            return x

        async def held(x: str) -> str:
            reached.set()
            await gate.wait()
            return x

        args = {"A": (lambda: value("a"),), "B": (lambda: value("b"),), "C": (lambda: held("c"),)}
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: everyone(ns.held, args, server.url, "s", app="late"))
            await reached.wait()
            async with observing(server, "late", "s") as observation:
                before = await until_attached(observation)
                assert {r.role for r in before if r.kind == "joined"} == {"A", "B", "C"}
                assert sent(before) == {("A", "C"): ['"a"'], ("B", "C"): ['"b"']}
                gate.set()
                after = await until(observation, have_left("A", "B", "C"))
                assert sent(after) == {("C", "A"): ['"c"'], ("C", "B"): ['"c"']}
                assert {r.kind for r in after} == {"sent", "left"}
            # What was there is not there any more.
            async with observing(server, "late", "s") as observation:
                assert await until_attached(observation) == []

    run(main)


class Actor:
    """One that stores what roles would, but whenever and however often the test wants it."""

    def __init__(self, client: Any, app: str) -> None:
        self.client = client
        self.names = Names(app)
        self.letters = 0

    async def store(self, subject: str, payload: bytes, session: str = "s") -> None:
        self.letters += 1
        _, _, _, role, target = subject.split(".")
        id = f"{session}/{role}/{target}/{self.letters}@{b'1111'.hex()}"
        await self.client.jetstream().publish(subject, payload, headers={"Nats-Msg-Id": id})

    async def joins(self, role: str) -> None:
        await self.store(self.names.cast("s", role), pack_cast(Cast(False, b"1111", ["A", "B"], "ask", 1)))
        await self.store(self.names.message("s", role, "B" if role == "A" else "A"), pack([Frame(JOIN, 0, 1, b"", b"\xc0")]))

    async def says(self, number: int, stamp: int, value: Any, target: str = "B") -> None:
        await self.store(self.names.message("s", "A", target), pack([Frame(DATA, number, stamp, b"key", encode(value))]))

    async def leaves(self, role: str, stamp: int) -> None:
        await self.store(self.names.cast("s", role), pack_cast(Cast(True, b"1111", ["A", "B"], "ask", stamp)))


@asynccontextmanager
async def acting(server: NatsServer, app: str) -> AsyncIterator[Actor]:
    client = await nats.connect(server.url)
    try:
        await client.jetstream().add_stream(name=f"klorpy-{app}", subjects=[Names(app).stored()])
        yield Actor(client, app)
        await client.jetstream().delete_stream(f"klorpy-{app}")
    finally:
        await client.close()


def test_a_message_that_comes_again_is_told_once(server: NatsServer) -> None:
    """Before the observer came, while it is there, and once on each side."""

    async def main() -> None:
        async with acting(server, "seen-again") as actor:
            await actor.joins("A")
            for _ in range(2):
                await actor.says(1, 2, "one")
            async with observing(server, "seen-again", "s") as observation:
                assert told(await until_attached(observation)) == [("A", "joined", "", "ask [A B]"), ("A", "sent", "B", '"one"')]
                for number, stamp, value in ((1, 2, "one"), (2, 3, "two"), (2, 3, "two"), (1, 2, "one")):
                    await actor.says(number, stamp, value)
                await actor.leaves("A", 4)
                assert told(await until(observation, have_left("A"))) == [("A", "sent", "B", '"two"'), ("A", "left", "", "")]

    run(main)


def test_what_was_removed_before_is_known_to_be_missing(server: NatsServer) -> None:
    async def main() -> None:
        async with acting(server, "removed") as actor:
            await actor.joins("A")
            for number in range(1, 6):
                await actor.says(number, number + 1, number)
            await actor.client.jsm().purge_stream("klorpy-removed", subject=actor.names.message("s", "A", "B"), seq=6)
            async with observing(server, "removed", "s") as observation:
                joined, present, *rest = await until_attached(observation)
                assert (joined.kind, present.kind, present.peer, present.number) == ("joined", "present", "B", 4)
                assert [record.text for record in rest] == ["4", "5"]

    run(main)


def test_what_a_role_sends_to_several_is_told_in_its_order(server: NatsServer) -> None:
    """The letters of different directions are stored in any order."""

    async def main() -> None:
        async with acting(server, "several") as actor:
            await actor.joins("A")
            for number, stamp, target in ((1, 4, "B"), (2, 6, "B"), (0, 3, "C"), (1, 5, "C")):
                await actor.says(number, stamp, stamp, target)
            async with observing(server, "several", "s") as observation:
                _, *records = await until_attached(observation)
                assert [(record.peer, record.text) for record in records] == [("C", "3"), ("B", "4"), ("C", "5"), ("B", "6")]

    run(main)


def test_what_was_not_heard_is_read_or_counted(server: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nats_observer, "_MISSING", 0.05)

    async def main() -> None:
        async with acting(server, "gap") as actor:
            await actor.joins("A")
            async with observing(server, "gap", "s") as observation:
                await until_attached(observation)
                await actor.says(1, 2, 1)
                await actor.says(4, 5, 4)
                records = await until(observation, lambda records: any(record.text == "4" for record in records))
                assert [(r.kind, r.number, r.text) for r in records] == [("sent", 1, "1"), ("missed", 2, ""), ("sent", 4, "4")]

    run(main)


def test_a_process_that_is_not_let_in_is_not_seen(server: NatsServer, ns: Any) -> None:
    async def main() -> None:
        reached, gate = anyio.Event(), anyio.Event()

        async def value() -> str:
            return "x"

        async def held() -> str:
            reached.set()
            await gate.wait()
            return "c"

        args = {"A": (value,), "B": (value,), "C": (held,)}
        async with observing(server, "second", "s") as observation, anyio.create_task_group() as group:
            await until_attached(observation)
            group.start_soon(lambda: everyone(ns.held, args, server.url, "s", app="second"))
            await reached.wait()
            with pytest.raises(klorpy.SessionFailed, match="played by another process"):
                async with klorpy.connect(ns.held, "A", session="s", nats=server.url, app="second"):
                    raise AssertionError("the role is taken")
            gate.set()
            records = await until(observation, have_left("A", "B", "C"))
        assert sorted(record.role for record in records if record.kind == "joined") == ["A", "B", "C"]
        assert sent(records) == {("A", "C"): ['"x"'], ("B", "C"): ['"x"'], ("C", "A"): ['"c"'], ("C", "B"): ['"c"']}

    run(main)


def test_a_name_that_is_used_again_is_another_session(server: NatsServer, ns: Any) -> None:
    async def main() -> None:
        async with observing(server, "twice") as observation:
            await until_attached(observation)
            for x in (3, 4):
                await everyone(ns.double, {"A": (x,)}, server.url, "s", app="twice")
                records = await until(observation, have_left("A", "B"))
                assert sent(records) == {("A", "B"): [str(x)], ("B", "A"): [str(2 * x)]}
                assert sum(record.kind == "joined" for record in records) == 2

    run(main)


def test_other_sessions_and_applications_are_not_seen(server: NatsServer, ns: Any) -> None:
    async def main() -> None:
        async with observing(server, "mine", "order.7 *") as observation:
            await until_attached(observation)
            await everyone(ns.double, {"A": (1,)}, server.url, "order.7 *", app="other")
            await everyone(ns.double, {"A": (2,)}, server.url, "order", app="mine")
            await everyone(ns.double, {"A": (3,)}, server.url, "order.7 *", app="mine")
            records = await until(observation, have_left("A", "B"))
        assert {record.session for record in records} == {"order.7 *"}
        assert sent(records)["A", "B"] == ["3"]

    run(main)


# --- Failures ---------------------------------------------------------------------------------------------------------


def test_a_role_that_fails_is_seen_with_its_cause(server: NatsServer) -> None:
    chor = klorpy.evaluate("(defchor crash [A B C] (-> A C) [x] (B->C (B (/ 1 (A->B x)))))").crash

    async def main() -> None:
        async with observing(server, "seen-fails", "s") as observation, anyio.create_task_group() as group:
            await until_attached(observation)

            async def play(role: str, *args: Any) -> None:
                with pytest.raises(ZeroDivisionError if role == "B" else klorpy.SessionFailed):
                    async with klorpy.connect(chor, role, session="s", nats=server.url, app="seen-fails") as seat:
                        await klorpy.play_role({"role": role, "transport": seat}, chor, *args)
                        if role == "A":  # done before, and yet part of the session
                            await asyncio.Future()

            for role, args in {"A": (0,), "B": (), "C": ()}.items():
                group.start_soon(play, role, *args)
            records = await until(observation, have_left("B", "C"))
            group.cancel_scope.cancel()
        assert sent(records) == {("A", "B"): ["0"]}
        left = {record.role: (record.peer, record.text) for record in records if record.kind == "left"}
        assert left["B"] == left["C"] == ("B", "ZeroDivisionError: division by zero")

    run(main)


def test_roles_that_are_killed_have_left(server: NatsServer, tmp_path: Path) -> None:
    """One is lost in the words of the other; and when all are killed, the observer sees that nobody is there."""
    file = tmp_path / "shop.hy"
    file.write_text(HELD, encoding="utf-8")
    common = ["--session", "s", "--nats", server.url, "--app", "killed-seen", "--heartbeat", "1.5", "--grace", "0.5"]

    async def begun(*victims: str) -> tuple[list[Record], dict[str, subprocess.Popen[str]]]:
        played = {
            "Seller": started("play", file, "shop", "--role", "Seller", *common),
            "Buyer": started("play", file, "shop", "--role", "Buyer", *common, '"SICP"'),
        }
        records = await until(observation, lambda records: any(record.kind == "sent" for record in records))
        for role in victims:
            played[role].kill()
            played[role].communicate()
        return [*records, *await until(observation, have_left("Buyer", "Seller"))], played

    async def main() -> None:
        nonlocal observation
        async with observing(server, "killed-seen", "s", grace=0.5) as observation:
            await until_attached(observation)
            records, played = await begun("Seller")
            left = {record.role: (record.peer, record.text) for record in records if record.kind == "left"}
            gone = "its connection with the NATS server is gone"
            assert left == {"Buyer": ("Seller", f"{gone} since 0.5 s"), "Seller": ("Seller", gone)}
            await anyio.to_thread.run_sync(played["Buyer"].communicate)
            records, _ = await begun("Seller", "Buyer")
            left = {record.role: (record.peer, record.text) for record in records if record.kind == "left"}
            assert left == {"Buyer": ("Buyer", gone), "Seller": ("Seller", gone)}

    observation: Observation
    run(main)


@pytest.mark.parametrize(("removed", "text"), [(False, "its connection with the NATS server is gone"), (True, "how it ended was not heard")])
def test_roles_that_nobody_plays_have_left(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch, removed: bool, text: str
) -> None:
    """Where the stream has the session still, its processes were killed; else it is the observer that heard nothing."""
    monkeypatch.setattr(nats_observer, "_LOOK", 0.05)

    async def main() -> None:
        async with acting(server, "nobody") as actor:
            await actor.joins("A")
            await actor.joins("B")
            async with observing(server, "nobody", "s", grace=0.5) as observation:
                await until_attached(observation)
                if removed:
                    await actor.client.jsm().purge_stream("klorpy-nobody")
                records = await until(observation, have_left("A", "B"))
        assert told(records) == [(role, "left", role, text) for role in "AB"]

    run(main)


# --- The server -------------------------------------------------------------------------------------------------------


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[NatsServer]:
    started = NatsServer(tmp_path / "store")
    started.start()
    yield started
    started.kill()


def test_an_observer_outlives_a_server_that_is_killed(own_server: NatsServer) -> None:
    chor = klorpy.evaluate("""
(defchor count-down [A B] (-> A B #{A B}) [n see]
  (loop [i (A=>B n)]
    (if (> i 0) (do (A->B (A (+ i 0))) (B (await (see i))) (recur (- i 1))) "end")))
""").count_down

    async def main() -> None:
        back = anyio.Event()

        async def see(i: int) -> None:
            if i in (300, 150):
                own_server.kill()
                own_server.start()
            if i == 50:  # nobody may come back after the end
                await back.wait()

        async with observing(own_server, "survives", "s") as observation, anyio.create_task_group() as group:
            await until_attached(observation)
            group.start_soon(lambda: everyone(chor, {"A": (400,), "B": (see,)}, own_server.url, "s", app="survives"))
            records = await until(observation, lambda records: any(record.text == "50" for record in records))
            back.set()
            records += await until(observation, have_left("A", "B"))
        assert not [record for record in records if record.kind == "missed"]
        assert sent(records) == {("A", "B"): ["400", *map(str, range(400, 0, -1))]}

    run(main)


def test_a_server_that_stays_away_ends_the_observation(own_server: NatsServer) -> None:
    async def main() -> None:
        async with observing(own_server, "away", grace=0.5) as observation:
            await until_attached(observation)
            await anyio.to_thread.run_sync(own_server.kill)
            sight = await observation.next()
            assert isinstance(sight, Detached)
            assert (sight.slug, sight.reason) == ("no-server", f"the NATS server at 127.0.0.1:{own_server.port} was lost for 0.5 s")
            assert await observation.next() is None

    run(main)


def test_servers_that_cannot_be_observed(tmp_path: Path) -> None:
    bare = NatsServer(tmp_path / "bare", jetstream=False)
    bare.start()

    async def refused(url: str, slug: str, text: str) -> None:
        with pytest.raises(klorpy.KlorError, match=text) as error:
            async with observe_server(url, grace=0.5):
                raise AssertionError("nothing can be observed there")
        assert error.value.slug == slug

    async def main() -> None:
        await refused(bare.url, "no-server", "has no JetStream")
        bare.kill()
        await refused(bare.url, "no-server", "cannot be reached")
        await refused("ftp://here", "bad-argument", "is not the address of a NATS server")

    run(main)


def test_an_observer_leaves_nothing_behind(server: NatsServer) -> None:
    async def main() -> None:
        async with acting(server, "nothing") as actor:
            await actor.joins("A")
            async with observing(server, "nothing", "s") as observation:
                await until_attached(observation)
            before, consumers = await left_behind(server.url, "nothing")
            while consumers:  # it forgets those to which nobody listens
                after, consumers = await left_behind(server.url, "nothing")
                assert after == before

    run(main)


def test_who_looks_on_is_not_waited_for(server: NatsServer, ns: Any) -> None:
    """Nor does anybody of the session notice: an observer that reads nothing holds nobody up."""

    async def main() -> None:
        async with observing(server, "idle", "s") as observation:
            await everyone(ns.ping_pong, {"A": (1500,), "B": (lambda x: x,)}, server.url, "s", app="idle")
            assert await left_behind(server.url, "idle") == ({}, [])
            await until_attached(observation)
            records = await until(observation, have_left("A", "B"))
            simulation = klorpy.simulate_chor(ns.ping_pong, 1500, lambda x: x)
            assert sent(records) == {pair: [show(value) for value in values] for pair, values in channels(simulation).items()}

    run(main)
