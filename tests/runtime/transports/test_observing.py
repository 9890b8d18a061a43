"""Observers over TCP: they see everything, also late; they must be allowed; and nobody waits for them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

import klorpy
from klorpy.environment.certificates import make_certificates
from klorpy.runtime.sessions import Record
from klorpy.runtime.transports import observing
from klorpy.runtime.transports.observer import Attached, Detached, Observation, Seen, Waiting, observe
from klorpy.runtime.transports.observing import OBSERVE, TRACE, Observers
from klorpy.runtime.transports.tcp_link import HELLO, VERSION
from klorpy.runtime.transports.tls import Identity

NS = klorpy.evaluate("""
(defchor ask [A B] (-> A A) [x] (B->A (B (* 2 (A->B x)))))
(defchor count [A B] (-> #{A B} B) [n] (loop [i n] (if (= i 0) (B 0) (do (A->B (A (+ i 0))) (recur (agree! (A (- i 1)) (B (- i 1))))))))
""")


def run(function: Any) -> Any:
    async def limited() -> Any:
        with anyio.fail_after(30):
            return await function()

    return anyio.run(limited)


def listener() -> tuple[socket.socket, str]:
    sock = socket.create_server(("127.0.0.1", 0))
    return sock, f"127.0.0.1:{sock.getsockname()[1]}"


async def play(node: Any, chor: Any, role: str, session: str, *args: Any) -> None:
    async with node.join(chor, role, session) as seat:
        await klorpy.play_role({"role": role, "transport": seat}, chor, *args)


async def play_both(node: Any, session: str, x: int = 21) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(play, node, NS.ask, "A", session, x)
        group.start_soon(play, node, NS.ask, "B", session)


async def until_attached(observation: Observation) -> list[Record]:
    """What is told of what was before."""
    records = []
    while not isinstance(sight := await observation.next(), Attached):
        assert isinstance(sight, Seen)
        records.append(sight.record)
    return records


async def rest(observation: Observation) -> tuple[list[Record], list[Detached]]:
    records, ends = [], []
    while (sight := await observation.next()) is not None:
        match sight:
            case Seen(record=record):
                records.append(record)
            case Detached():
                ends.append(sight)
    return records, ends


def test_an_observer_is_told_what_happens_and_when_the_node_ends() -> None:
    async def main() -> None:
        sock, address = listener()
        async with klorpy.host(listen=sock, observers=True) as node:
            watching = observe([address])
            observation = await watching.__aenter__()
            assert await until_attached(observation) == []
            await play_both(node, "s1")
        records, ends = await rest(observation)
        await watching.__aexit__(None, None, None)
        assert [(r.role, r.kind, r.peer, r.text) for r in records if r.role == "A"] == [
            ("A", "joined", "", "ask [A B]"), ("A", "sent", "B", "21"), ("A", "received", "B", "42"), ("A", "left", "", ""),
        ]  # fmt: skip
        assert {r.session for r in records} == {"s1"}
        assert [end.reason for end in ends] == [""]

    run(main)


def test_an_observer_that_comes_late_is_told_what_was() -> None:
    async def main() -> None:
        sock, address = listener()
        async with klorpy.host(listen=sock, observers=True) as node:
            await play_both(node, "s1")
            await play_both(node, "s2", 4)
            async with observe([address], session="s2") as observation:
                records = await until_attached(observation)
                assert {r.session for r in records} == {"s2"}
                assert [r.text for r in records if r.kind == "received"] == ["4", "8"]

    run(main)


def test_a_node_remembers_the_latest_records_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it says first from which message of a direction on it tells."""
    monkeypatch.setattr(observing, "_REMEMBERED", 10)

    async def main() -> None:
        sock, address = listener()
        async with klorpy.host(listen=sock, observers=True) as node, anyio.create_task_group() as group:
            seats = [node.seat(NS.count, role, "s1") for role in "AB"]
            group.start_soon(klorpy.play_role, {"role": "B", "transport": seats[1]}, NS.count, 50)
            await klorpy.play_role({"role": "A", "transport": seats[0]}, NS.count, 50)
            async with observe([address]) as observation:
                records = await until_attached(observation)
            present = {(r.role, r.peer): r.number for r in records if r.kind == "present"}
            sent = [r.number for r in records if r.kind == "sent" and r.role == "A"]
            assert present["A", "B"] == (sent[0] if sent else 51)
            for seat in seats:
                await seat.close()

    run(main)


def test_a_process_that_did_not_allow_it_refuses() -> None:
    async def main() -> None:
        sock, address = listener()
        async with klorpy.host(listen=sock), observe([address]) as observation:
            sight = await observation.next()
            assert isinstance(sight, Detached)
            assert sight.slug == "bad-argument"
            assert sight.reason == f"{address} refuses: this process does not let itself be observed"
            assert await observation.next() is None

    run(main)


def test_with_tls_the_certificate_is_for_the_observer(tmp_path: Path) -> None:
    assert len(list(make_certificates(tmp_path, ["A+B", "B", "observer"], days=1))) == 4

    async def main() -> None:
        sock, address = listener()
        tls = Identity.of(tmp_path, ["A", "B"])
        async with klorpy.host(listen=sock, tls=tls, observers=True) as node:
            async with observe([address], identity=Identity.of(tmp_path, ["B"])) as observation:
                sight = await observation.next()
                assert isinstance(sight, Detached)
                assert sight.slug == "not-certified"
            async with observe([address], identity=Identity.of(tmp_path, ["observer"])) as observation:
                assert await until_attached(observation) == []
                await play_both(node, "s1")
                assert isinstance(await observation.next(), Seen)

    run(main)


def test_a_node_that_does_not_listen_yet_is_waited_for() -> None:
    async def main() -> None:
        sock, address = listener()
        sock.close()
        async with observe([address]) as observation:
            assert isinstance(await observation.next(), Waiting)
            async with klorpy.host(listen=address, observers=True):
                assert await until_attached(observation) == []

    run(main)


def test_what_is_no_observable_node_is_told_of() -> None:
    async def main() -> None:
        async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        for handler, slug in ((close, "peer-lost"), (babble, "protocol-error")):
            server = await asyncio.start_server(handler, "127.0.0.1", 0)
            async with observe([f"127.0.0.1:{server.sockets[0].getsockname()[1]}"]) as observation:
                sight = await observation.next()
                assert isinstance(sight, Detached)
                assert sight.slug == slug
            server.close()

    run(main)


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x05", b"\xa1\xff"])
def test_what_is_no_request_ends_its_connection_only(body: bytes) -> None:
    async def main() -> None:
        sock, address = listener()
        async with klorpy.host(listen=sock, observers=True) as node:
            host, _, port = address.rpartition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            hello = observing.msgspec.msgpack.encode((VERSION, bytes(16)))
            for kind, content in ((HELLO, hello), (OBSERVE, body)):
                writer.write((1 + len(content)).to_bytes(4, "big") + bytes((kind,)) + content)
            while await reader.read(1000):
                pass
            writer.close()
            async with observe([address]) as observation:
                assert await until_attached(observation) == []
                await play_both(node, "s1")
                assert isinstance(await observation.next(), Seen)

    run(main)


class Line:
    """A connection with an observer that does not keep up when `full`."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.full = False

    def body(self, kind: int, body: bytes) -> None:
        if kind == TRACE:
            self.told.append(observing.msgspec.msgpack.decode(body, type=Record))
        else:
            assert kind == OBSERVE

    def crowded(self, limit: int) -> bool:
        return self.full


@asynccontextmanager
async def node_and_line() -> AsyncIterator[tuple[Any, Line]]:
    async with klorpy.host() as node:
        line = Line()
        Observers(node).add(line, observing.msgspec.msgpack.encode(""))
        yield node, line


def test_an_observer_that_does_not_keep_up_is_told_how_much_it_missed() -> None:
    async def main() -> None:
        async with node_and_line() as (node, line):
            line.full = True
            await play_both(node, "s1")
            assert line.told == []
            line.full = False
            await play_both(node, "s2")
        assert (line.told[0].kind, line.told[0].number) == ("missed", 8)
        assert line.told[1].kind == "joined"

    run(main)
