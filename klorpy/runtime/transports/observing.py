"""Those who observe a node: connections that play no role and are told what happens.

    OBSERVE      session, or "" for all     from the observer; and back, when what was before has been told
    TRACE        record                     to the observer

An observer may come late: a node that can be observed remembers its latest records, and tells them first. It never waits
for one: to an observer that does not keep up, records are missing, and it is told how many.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final, Protocol

import msgspec

from klorpy.core.types import Role
from klorpy.runtime.sessions.node import Node
from klorpy.runtime.sessions.peer import Record

OBSERVE: Final = 13
TRACE: Final = 14

#: The role that a certificate has to name, where certificates are shown.
OBSERVER: Final[Role] = "observer"
#: Records that a node remembers for observers that come late.
_REMEMBERED: Final = 10_000
#: Bytes on their way to an observer from which on it is told no more.
_ROOM: Final = 4 << 20
#: Seconds that a node waits at its end for an observer that may just be coming.
_COMING: Final = 0.5

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_session: Final = msgspec.msgpack.Decoder(str).decode


class Line(Protocol):
    """A connection with an observer."""

    def body(self, kind: int, body: bytes) -> None: ...

    def crowded(self, limit: int) -> bool:
        """Whether more than `limit` bytes are on their way."""


class Observers:
    """Those who observe a node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._lines: dict[Line, str] = {}
        self._missed: Counter[Line] = Counter()
        self._latest: deque[Record] = deque(maxlen=_REMEMBERED)
        self._came = asyncio.Event()
        self._end = node.observe(self._record)

    def add(self, line: Line, body: bytes) -> None:
        """A connection asks to observe the session that `body` names. Raises msgspec's DecodeError."""
        session = _decode_session(body)
        remembered = [record for record in self._latest if session in ("", record.session)]
        for record in (*self._before(session, remembered), *remembered):
            line.body(TRACE, _encode(record))
        line.body(OBSERVE, _encode(session))
        self._lines[line] = session
        self._came.set()

    def _before(self, session: str, remembered: Sequence[Record]) -> list[Record]:
        """Where the roles were before what is remembered, if that is not all."""
        if len(self._latest) < _REMEMBERED:
            return []
        sent = Counter((record.session, record.role, record.peer) for record in remembered if record.kind == "sent")
        return [
            replace(record, number=record.number - sent[record.session, record.role, record.peer])
            for seat in self._node.seats.values()
            if session in ("", seat.session)
            for record in seat.present()
        ]

    def remove(self, line: Line) -> None:
        self._lines.pop(line, None)
        self._missed.pop(line, None)

    def __contains__(self, line: Line) -> bool:
        return line in self._lines

    async def wait(self) -> None:
        """At the end of a node: let an observer come, if none has."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_COMING):
                await self._came.wait()
        self._end()

    def _record(self, record: Record) -> None:
        self._latest.append(record)
        if not self._lines:
            return
        body = _encode(record)
        for line, session in self._lines.items():
            if session not in ("", record.session):
                continue
            if line.crowded(_ROOM):
                self._missed[line] += 1
                continue
            if missed := self._missed.pop(line, 0):
                line.body(TRACE, _encode(Record(record.session, record.role, 0, "missed", number=missed)))
            line.body(TRACE, body)
