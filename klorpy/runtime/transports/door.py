"""Where others come in: under TLS, only who has shown a certificate becomes a connection; and who was turned away.

asyncio tells nobody of a handshake that fails at the side that listens. Here it is done by hand, so that it can be told:
once in the log for an address and a reason, and to whoever waits for roles that do not come (`Door.turned_away`).
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import Counter
from collections.abc import Callable
from typing import Final, cast

from anyio.abc import TaskGroup

from klorpy.runtime.transports.address import Address
from klorpy.runtime.transports.tls import handshake_failure

log: Final = logging.getLogger("klorpy.tcp")

#: Addresses and reasons that are logged, and reasons that are counted.
_LOGGED: Final = 1000
_COUNTED: Final = 100
#: How many reasons are told.
_TOLD: Final = 3


class Door:
    """Makes the protocols of connections that come in: `link()`, under TLS after the handshake."""

    def __init__(self, link: Callable[[], asyncio.BufferedProtocol], context: ssl.SSLContext | None, tasks: TaskGroup) -> None:
        self.link = link
        self.context = context
        self.tasks = tasks
        self._logged: set[tuple[str, str]] = set()
        self._reasons: Counter[str] = Counter()

    def __call__(self) -> asyncio.BaseProtocol:
        return self.link() if self.context is None else _Entrant(self)

    def turn_away(self, host: str, reason: str, *, logged: bool = False) -> None:
        """Remember that somebody at `host` was refused; tell it, unless it is `logged` already."""
        if reason in self._reasons or len(self._reasons) < _COUNTED:
            self._reasons[reason] += 1
        if not logged and (host, reason) not in self._logged and len(self._logged) < _LOGGED:
            self._logged.add((host, reason))
            log.warning("a connection from %s is refused: %s", host, reason)

    @property
    def turned_away(self) -> tuple[str, ...]:
        """How many were refused, and why, in sentences."""
        return tuple(
            f"{count} connection{' to this process was' if count == 1 else 's to this process were'} refused: {reason}"
            for reason, count in self._reasons.most_common(_TOLD)
        )


class _Entrant(asyncio.Protocol):
    """A connection before its handshake, and what comes right behind that, until the link has it."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._early = bytearray()
        self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)
        transport.pause_reading()  # TLS reads the first byte
        self._door.tasks.start_soon(self._shake_hands, transport)

    def data_received(self, data: bytes) -> None:
        self._early += data

    def connection_lost(self, error: Exception | None) -> None:
        self._lost = True

    async def _shake_hands(self, transport: asyncio.Transport) -> None:
        peer = transport.get_extra_info("peername")
        host = Address(*peer[:2]).host if isinstance(peer, tuple) else "an unknown address"
        loop = asyncio.get_running_loop()
        assert self._door.context is not None
        try:
            secured = await loop.start_tls(transport, self, self._door.context, server_side=True)
        except OSError as error:
            self._door.turn_away(host, handshake_failure(error))
            return
        if secured is None or self._lost:
            return
        link = self._door.link()
        secured.set_protocol(link)
        link.connection_made(secured)
        while self._early and not secured.is_closing():
            buffer = memoryview(link.get_buffer(len(self._early)))
            part = self._early[: len(buffer)]
            del self._early[: len(part)]
            buffer[: len(part)] = part
            link.buffer_updated(len(part))
