"""Both directions between a seat and a role elsewhere, over NATS: letters out, and how far each side is.

`doubt` is called when the other side is not heard: what it said last may lie at the server, its departure for example.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from klorpy.core.diagnostics import KlorError
from klorpy.runtime.sessions.channel import Frame
from klorpy.runtime.sessions.peer import Peer
from klorpy.runtime.transports.nats_link import Link
from klorpy.runtime.transports.nats_names import NOW, Names
from klorpy.runtime.transports.nats_outbox import PATIENCE, Letter
from klorpy.runtime.transports.nats_packets import OVERHEAD, State, Unpacker, pack, pack_parts, pack_state

#: Bytes of frames that go into one letter, if they are there at the same time.
_LETTER: Final = 64 << 10
#: What the subject and headers of a letter take, at most.
_ENVELOPE: Final = 4 << 10


class Way:
    """The ways from the seat of `peer` to the peer and back. `incarnation` tells this run of the session from others."""

    __slots__ = (
        "_doubt", "_expiry", "_frames", "_id", "_idle", "_in_flight", "_lacks", "_largest", "_link", "_missing", "_now", "_offered",
        "_parts", "_patience", "_subject", "_tries", "absent", "heard", "peer", "silence", "token", "unpacker",
    )  # fmt: skip

    def __init__(
        self, peer: Peer, link: Link, names: Names, incarnation: str, patience: float, doubt: Callable[[], None]
    ) -> None:
        self.peer = peer
        self.unpacker = Unpacker(peer.seat.limits.frame)
        #: Whether something came since the last look, and for how many seconds nothing did.
        self.heard = True
        self.silence = 0.0
        #: When the server first said that nobody listens there, since something was heard.
        self.absent: float | None = None
        self.token = link.token(lambda message: self._nobody())
        self._link = link
        self._subject = names.message(*peer.name)
        self._now = names.said(*peer.name, NOW)
        self._id = f"{'/'.join(self._subject.split('.')[2:])}/", f"@{incarnation}"
        self._largest = max(link.largest - _ENVELOPE - OVERHEAD, 1 << 10)
        self._frames: deque[Frame] = deque()
        self._parts: deque[Letter] = deque()
        self._offered = False
        self._in_flight = 0
        self._tries = 0
        self._patience = min(PATIENCE, patience)
        self._doubt = doubt
        self._idle: asyncio.Future[None] | None = None
        self._expiry: asyncio.TimerHandle | None = None
        #: What the peer had sent that was not here yet, and what it did not have yet of ours; and since when.
        self._missing: tuple[int, float] | None = None
        self._lacks: tuple[int, float] | None = None

    # --- Out ----------------------------------------------------------------------------------------------------------

    def post(self, frame: Frame) -> None:
        """Send a frame."""
        self._frames.append(frame)
        if not self._offered:
            self._offered = True
            self._link.outbox.offer(self)

    def take(self) -> Letter | None:
        if not self._parts and not self._frames:
            self._offered = False
            return None
        self._in_flight += 1
        if self._parts:
            return self._parts.popleft()
        first = self._frames.popleft()
        size = len(first.body)
        if size > self._largest:
            payloads = pack_parts(first, self._largest)
            self._parts.extend(self._letter(f"{first.number}.{index}", part) for index, part in enumerate(payloads))
            return self._parts.popleft()
        batch = [first]
        while self._frames and (size := size + OVERHEAD + len(self._frames[0].body)) < min(_LETTER, self._largest):
            batch.append(self._frames.popleft())
        return self._letter(str(first.number), pack(batch))

    def _letter(self, number: str, payload: bytes) -> Letter:
        before, after = self._id
        again = f"~{self._tries}" if self._tries else ""
        return Letter(self, self._subject, f"{before}{number}{after}{again}", payload)

    def stored(self, letter: Letter) -> None:
        self._in_flight -= 1
        if self._idle is not None and not self.busy and not self._idle.done():
            self._idle.set_result(None)

    def refused(self, letter: Letter, error: KlorError) -> None:
        seat = self.peer.seat
        if not seat.closed:
            seat.refused(self.peer, error.slug, error.message)
        self.stored(letter)

    @property
    def busy(self) -> bool:
        """Whether the server does not have everything."""
        return bool(self._in_flight or self._frames or self._parts)

    async def idle(self) -> None:
        """Wait until the server has everything."""
        if self.busy:
            self._idle = asyncio.get_running_loop().create_future()
            await self._idle

    # --- How far both are ---------------------------------------------------------------------------------------------

    @property
    def needed(self) -> bool:
        """Whether the two have to do with each other, or will have."""
        return not self.peer.left and not self.peer.seat.closed and self.peer.route is self

    def tell(self, asks: bool = False) -> None:
        """Say how far this side is."""
        outgoing, incoming = self.peer.outgoing, self.peer.incoming
        state = State(outgoing.next, incoming.expected, incoming.told(), asks)
        self._link.outbox.say(self._now, pack_state(state), self.token)

    def told(self, state: State) -> bool:
        """The other side says how far it is. Whether what it sent is to be read again."""
        self.here()
        peer, now = self.peer, asyncio.get_running_loop().time()
        peer.seat.consumed(peer, state.consumed)
        if state.asks and self.needed:
            self.tell()
        expected = peer.incoming.expected
        behind, self._missing = self._overdue(self._missing, expected, state.sent > expected, now)
        lacks = state.received < peer.outgoing.next and not self.busy
        lacking, self._lacks = self._overdue(self._lacks, state.received, lacks, now)
        if lacking:
            # The server has lost what it had confirmed; new ids, since it may remember the old ones.
            self._tries += 1
            for frame in list(peer.outgoing.unconfirmed(state.received)):
                self.post(frame)
        return behind

    def _overdue(
        self, before: tuple[int, float] | None, at: int, waiting: bool, now: float
    ) -> tuple[bool, tuple[int, float] | None]:
        """Whether one waits at the same place for long, and since when."""
        if not waiting:
            return False, None
        if before is None or before[0] != at:
            return False, (at, now)
        return (True, (at, now)) if now - before[1] > self._patience else (False, before)

    # --- Presence -----------------------------------------------------------------------------------------------------

    def here(self) -> None:
        """Something of the other side has come."""
        self.heard = True
        self.absent = None
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None

    def again(self) -> None:
        """The connection was broken, and is there again: what was not heard says nothing."""
        self.here()
        self.silence = 0.0
        self._missing = self._lacks = None

    def _nobody(self) -> None:
        """Nobody listens where the other side should: its process has no connection with the server."""
        if self.absent is None and self.needed and self.peer.joined:
            loop = asyncio.get_running_loop()
            self.absent = loop.time()
            self._expiry = loop.call_later(self._link.grace, self._gone)
            self._doubt()

    def _gone(self) -> None:
        if self.needed and self._link.connected:
            self.peer.seat.lost(self.peer, gone(self._link.grace))

    def listen(self, period: float, limit: float) -> None:
        """Look, every `period` seconds, whether the other side is there; it is lost when nothing came for `limit`."""
        joined = self.peer.joined
        self.silence = 0.0 if self.heard else self.silence + period
        self.heard = False
        if self.silence >= limit:
            self.silence = 0.0
            if joined:
                self.peer.seat.lost(self.peer, f"nothing was heard of it for {limit:g} s")
                return
            self._doubt()
        elif self.silence == period and joined:
            self._doubt()
        self.tell()

    def close(self) -> None:
        """There will be nothing more."""
        self._link.forget(self.token)
        if self._expiry is not None:
            self._expiry.cancel()


def gone(seconds: float) -> str:
    """Why a role is lost whose process has not come back to the server for so long."""
    return f"its connection with the NATS server is gone since {seconds:g} s"
