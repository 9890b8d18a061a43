"""Strangers who connect: refused, told of in the log, and no harm to anybody's session."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import msgspec
import pytest

import klorpy
from klorpy.runtime.sessions import Node
from klorpy.runtime.sessions.channel import JOIN
from klorpy.runtime.transports import tcp_link as wire
from tests.runtime.sessions.fuzz_tcp import fuzz
from tests.runtime.sessions.nodes import address, identity_of, tcp

NS = klorpy.evaluate("""
(defchor tell [A B] (-> A B) [x] (A->B x))
(defchor rally [A B] (-> #{A B} A A) [n x] (loop [n n x x] (if (> n 0) (recur (- n 1) (B->A (A->B x))) x)))
""")
SITE = NS.tell.defined().sites[0]
TOO_LONG = 60
pack = msgspec.msgpack.encode


def run(function: Callable[[], Any]) -> None:
    complaints: list[Any] = []

    async def limited() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        with anyio.fail_after(TOO_LONG):
            await function()

    anyio.run(limited)
    assert not complaints, complaints


async def play(node: Node, chor: Any, role: str, *args: Any, session: str = "s") -> Any:
    async with node.join(chor, role, session, deadline=TOO_LONG) as transport:
        return await klorpy.play_role({"role": role, "transport": transport}, chor, *args)


@asynccontextmanager
async def under_way(tls: bool = False) -> AsyncIterator[tuple[Node, Callable[[], Any]]]:
    """B's node with a session of A and B, and what plays it to its end and looks at the results."""
    identity = (lambda role: identity_of(role)) if tls else (lambda role: None)
    async with (
        klorpy.host(listen="127.0.0.1:0", tls=identity("B")) as b,
        klorpy.host(peers={"B": address(b)}, tls=identity("A")) as a,
    ):
        at_a, at_b = a.seat(NS.rally, "A", "s"), b.seat(NS.rally, "B", "s")
        await asyncio.gather(at_a.assembled(TOO_LONG), at_b.assembled(TOO_LONG))

        async def finish() -> None:
            ends = await asyncio.gather(
                klorpy.play_role({"role": "A", "transport": at_a}, NS.rally, 20, [1]),
                klorpy.play_role({"role": "B", "transport": at_b}, NS.rally, 20),
            )
            assert ends == [[1], klorpy.noop]

        yield b, finish


def frame(kind: int, body: bytes) -> bytes:
    return (1 + len(body)).to_bytes(4, "big") + bytes([kind]) + body


HELLO = frame(wire.HELLO, pack((wire.VERSION, bytes(16))))
OPEN_A = frame(wire.OPEN, (1).to_bytes(4, "big") + pack(("s", "A", "B")))


async def say(node: Node, data: bytes) -> bytes:
    """Connect as a stranger, say something, and hear all that is answered until the other side hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", tcp(node).ports[0])
    heard = b""
    try:
        writer.write(data)
        writer.write_eof()
        while part := await reader.read(1 << 16):
            heard += part
    except OSError:
        pass
    finally:
        writer.close()
    return heard


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (frame(wire.HELLO, pack((99, bytes(16)))), "it speaks version 99 of the protocol, not 1"),
        (frame(wire.HELLO, pack(("1", bytes(16)))), "Expected `int`"),
        (frame(wire.HELLO, pack((1, b"short"))), "Expected `bytes` of length"),
        (b"GET / HTTP/1.1\r\n\r\n", "a frame of 1195725856 bytes"),
        (bytes(64), "a frame of 0 bytes"),
        (OPEN_A, "it did not introduce itself"),
        (HELLO + (1 << 31).to_bytes(4, "big") + b"\2", "a frame of 2147483648 bytes"),
        (HELLO + frame(77, b"1234"), "a frame of the unknown kind 77"),
        (HELLO + frame(JOIN, b"\0\0\0\7" + bytes(21)), "direction 7 was never opened"),
        (HELLO + frame(wire.RESUME, b"\x91" * 5000), ""),
        (HELLO + frame(wire.OPEN, b"\0\0\0\1\xc1"), "malformed"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_who_does_not_speak_the_protocol_is_hung_up_on(data: bytes, said: str, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with under_way() as (b, finish):
            await say(b, data)
            await finish()

    with caplog.at_level(logging.WARNING, "klorpy"):
        run(main)
    assert [record for record in caplog.records if "is given up" in record.getMessage()], caplog.text
    assert said in caplog.text
    assert not any(record.exc_info for record in caplog.records)


def test_a_second_process_that_says_it_plays_a_role_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with under_way() as (b, finish):
            heard = await say(b, HELLO + OPEN_A + frame(JOIN, (1).to_bytes(4, "big") + bytes(17)))
            assert b"role-taken" in heard
            async with klorpy.host(peers={"B": address(b)}) as thief:
                with pytest.raises(klorpy.SessionFailed) as caught:
                    await play(thief, NS.rally, "A", 1, "stolen")
            assert caught.value.slug == "role-taken"
            assert "A of session 's' is played by another process" in caught.value.message
            await finish()

    run(main)
    assert "A of session 's' is played by another process" in caplog.text


def test_with_tls_a_process_plays_the_roles_of_its_certificate_only(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with klorpy.host(listen="127.0.0.1:0", tls=identity_of("B")) as b:
            b.seat(NS.tell, "B", "s")
            async with klorpy.host(peers={"B": address(b)}, tls=identity_of("C")) as thief:
                with pytest.raises(klorpy.SessionFailed) as caught:
                    await play(thief, NS.tell, "A", 1)
                assert caught.value.slug == "not-certified"
            # The true one comes later, and nothing stands in its way.
            async with klorpy.host(peers={"B": address(b)}, tls=identity_of("A")) as a:
                at_b = b.seats["s", "B"]
                await asyncio.gather(play(a, NS.tell, "A", 5), at_b.assembled(TOO_LONG))
                assert await at_b.receive("A", SITE) == 5

    run(main)
    assert "its certificate is not for the role A" in caplog.text


def test_with_tls_a_listener_without_the_role_is_not_talked_to() -> None:
    async def main() -> None:
        async with klorpy.host(listen="127.0.0.1:0", tls=identity_of("C")) as impostor:
            impostor.seat(NS.tell, "B", "s")
            async with klorpy.host(peers={"B": address(impostor)}, tls=identity_of("A")) as a:
                seat = a.seat(NS.tell, "A", "s")
                while "certificate" not in seat.notes.get("B", ""):
                    await anyio.lowlevel.checkpoint()
                with pytest.raises(klorpy.RolesMissing) as caught:
                    await seat.assembled(0)
                assert "its certificate is not for B" in caught.value.notes[0]

    run(main)


def test_who_has_no_certificate_does_not_get_in() -> None:
    async def main() -> None:
        async with under_way(tls=True) as (b, finish):
            assert await say(b, HELLO + OPEN_A) in (b"", b"\x15\x03\x01\x00\x02\x02F", b"\x15\x03\x03\x00\x02\x02F")
            async with klorpy.host(peers={"B": address(b)}) as stranger:
                seat = stranger.seat(NS.tell, "A", "other")
                while "ended before the other side had introduced itself" not in seat.notes.get("B", ""):
                    await anyio.lowlevel.checkpoint()
            await finish()

    run(main)


def test_a_session_that_nobody_plays_is_refused() -> None:
    async def main() -> None:
        async with klorpy.host(listen="127.0.0.1:0", sessions=["s"]) as b:
            heard = await say(b, HELLO + frame(wire.OPEN, (1).to_bytes(4, "big") + pack(("t", "A", "B"))))
            assert b"unknown-session" in heard
            assert not any(remote.inbound or remote.parked for remote in tcp(b).remotes.values())

    run(main)


def test_directions_that_nobody_joins_are_bounded(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("klorpy.runtime.transports.tcp._PARKED", 20)

    async def main() -> None:
        async with under_way() as (b, finish):
            opens = [
                frame(wire.OPEN, number.to_bytes(4, "big") + pack((f"t{number}", "A", "B"))) for number in range(1, 40)
            ]
            await say(b, HELLO + b"".join(opens))
            await finish()

    run(main)
    assert "it began more than 20 sessions that nobody joined" in caplog.text


def test_a_peer_that_does_not_keep_to_the_protocol_ends_its_own_sessions_only() -> None:
    async def main() -> None:
        async with under_way() as (b, finish):
            at_b = b.seat(NS.tell, "B", "t")
            join = pack((at_b.mark.name, at_b.mark.signature, dict(at_b.mark.parts), 10, 1000, False))
            joined = frame(JOIN, (1).to_bytes(4, "big") + bytes(17) + join)
            opened = frame(wire.OPEN, (1).to_bytes(4, "big") + pack(("t", "A", "B")))
            await say(b, HELLO + opened + joined + frame(77, b"1234"))
            with pytest.raises(klorpy.SessionFailed) as caught:
                await at_b.receive("A", SITE)
            assert caught.value.slug == "protocol-error"
            assert "A failed (it sent what is not allowed: a frame of the unknown kind 77)" in caught.value.message
            await finish()

    run(main)


def test_mutated_exchanges_are_refused_and_nobody_else_is_disturbed() -> None:
    findings = anyio.run(fuzz, 600, 7)
    assert findings.complaints == []
    assert min(findings.outcomes["refused"], findings.outcomes["failed"], findings.outcomes["went on"]) > 50
    assert findings.rallies > 5
    assert findings.kilobytes < 50_000
