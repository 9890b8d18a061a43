"""Observing sessions: what is seen of them; and over TCP, connections to nodes that let themselves be observed.

    addresses, session, identity  ->  what the nodes tell, as it comes      observe

Over NATS it is the server that is observed (`nats_observer`).
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec

from klorpy.core.diagnostics import KlorError
from klorpy.runtime.sessions.channel import ProtocolError
from klorpy.runtime.sessions.peer import Record
from klorpy.runtime.transports.address import Address
from klorpy.runtime.transports.observing import OBSERVE, TRACE
from klorpy.runtime.transports.tcp import TcpOptions
from klorpy.runtime.transports.tcp_link import BYE, BYE_TOO, HELLO, PING, REFUSE, VERSION
from klorpy.runtime.transports.tls import Identity

#: Seconds between two attempts to connect to a node.
_PAUSE: Final = 0.1

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_record: Final = msgspec.msgpack.Decoder(Record).decode
_decode_refusal: Final = msgspec.msgpack.Decoder(tuple[str, str, msgspec.Raw]).decode
_decode_hello: Final = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_decode_version: Final = msgspec.msgpack.Decoder(int).decode


#: Where something is seen: at a node, or at the servers of that name.
Place: TypeAlias = Address | str


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nobody listens at an address yet; the observer goes on trying."""

    address: Place
    reason: str


@dataclass(frozen=True, slots=True)
class Attached:
    """A node has told what was before, and will tell what happens."""

    address: Place


@dataclass(frozen=True, slots=True)
class Seen:
    """What a node has told."""

    address: Place
    record: Record


@dataclass(frozen=True, slots=True)
class Detached:
    """A node tells nothing more: it has ended (`reason` is empty), the connection broke, or the observer is refused."""

    address: Place
    reason: str = ""
    slug: str = ""


Sight: TypeAlias = Waiting | Attached | Seen | Detached


class Observation:
    """What the nodes tell, in the order in which it comes."""

    def __init__(self, addresses: Sequence[Place]) -> None:
        #: Those that have not ended.
        self.left = set(addresses)
        #: Those that have told what was before.
        self.attached: set[Place] = set()
        # What is not read yet is bounded: the nodes then notice that this observer does not keep up.
        self.sights: asyncio.Queue[Sight] = asyncio.Queue(1000)

    async def next(self) -> Sight | None:
        """What comes next; None when all nodes have ended."""
        if not self.left:
            return None
        sight = await self.sights.get()
        if isinstance(sight, Attached):
            self.attached.add(sight.address)
        elif isinstance(sight, Detached):
            self.left.discard(sight.address)
        return sight


@asynccontextmanager
async def observe(
    addresses: Sequence[str | Address], *, session: str = "", identity: Identity | None = None
) -> AsyncIterator[Observation]:
    """Observe the nodes at `addresses`: `session`, or "" for all.

    A node that does not listen yet is waited for. Raises KlorError `bad-argument` for what is no address.
    """
    found = list(dict.fromkeys(Address.parse(address) for address in addresses))
    observation = Observation(found)
    tasks = [asyncio.create_task(_follow(address, session, identity, observation.sights)) for address in found]
    try:
        yield observation
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _follow(address: Address, session: str, identity: Identity | None, sights: asyncio.Queue[Sight]) -> None:
    reader, writer = await _connect(address, identity, sights)
    try:
        await _listen(address, session, reader, writer, sights)
    except KlorError as error:
        await sights.put(Detached(address, error.message, error.slug))
    except (OSError, asyncio.IncompleteReadError) as error:
        what = "the connection was closed" if isinstance(error, asyncio.IncompleteReadError) else str(error)
        await sights.put(Detached(address, what, "peer-lost"))
    except msgspec.DecodeError as error:
        await sights.put(Detached(address, f"it sent what is not allowed: {error}", "protocol-error"))
    finally:
        if not writer.is_closing():
            _write(writer, BYE)
        writer.close()
        try:
            async with asyncio.timeout(_PAUSE):
                await writer.wait_closed()
        except (OSError, TimeoutError):
            pass  # the other side is gone already, or does not say farewell
        finally:
            writer.transport.abort()


async def _connect(
    address: Address, identity: Identity | None, sights: asyncio.Queue[Sight]
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    told = False
    while True:
        try:
            context = identity.client() if identity else None
            return await asyncio.open_connection(
                address.host, address.port, ssl=context, server_hostname="" if context else None
            )
        except OSError as error:
            if not told:
                told = True
                await sights.put(Waiting(address, os.strerror(error.errno) if error.errno else str(error)))
        await asyncio.sleep(_PAUSE)


async def _listen(
    address: Address, session: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sights: asyncio.Queue[Sight]
) -> None:
    """Introduce ourselves, and take what comes until the node ends. Raises KlorError when it refuses."""
    _write(writer, HELLO, _encode((VERSION, secrets.token_bytes(16))))
    introduced = False
    while True:
        kind, body = await _read(reader)
        if kind == HELLO and not introduced:
            introduced = True
            if _decode_version(_decode_hello(body)[0]) != VERSION:
                raise ProtocolError(f"it speaks another version of the protocol than {VERSION}")
            _write(writer, OBSERVE, _encode(session))
        elif kind == PING:
            # The node gives up who is silent, after a time that only it knows.
            _write(writer, PING)
        elif kind == TRACE:
            await sights.put(Seen(address, _decode_record(body)))
        elif kind == OBSERVE:
            await sights.put(Attached(address))
        elif kind == REFUSE:
            slug, reason, _ = _decode_refusal(body[4:])
            raise KlorError(f"{address} refuses: {reason}", slug=slug)
        elif kind == BYE:
            _write(writer, BYE_TOO)
            await sights.put(Detached(address))
            return


async def _read(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    size = int.from_bytes(await reader.readexactly(4), "big")
    if not 1 <= size <= TcpOptions().frame:
        raise ProtocolError(f"a frame of {size} bytes")
    body = await reader.readexactly(size)
    return body[0], body[1:]


def _write(writer: asyncio.StreamWriter, kind: int, body: bytes = b"") -> None:
    writer.write((1 + len(body)).to_bytes(4, "big") + bytes((kind,)) + body)
