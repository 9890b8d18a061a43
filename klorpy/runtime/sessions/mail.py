"""Messages with keys: what a role has of its seat that takes messages in another order than they come in.

    key of a frame ::= name of the site                     from a role in program order, if nobody says an order
                     | name of the site, 00, token          otherwise
                     | name of the carrier, 01              what players tell each other

Nothing here waits for one message in particular. What has arrived is taken, from whomever it is; `arrival` waits for
anything that lets the role go on. The carrier is a site that no program passes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from klorpy.core.choreography import Site
from klorpy.core.diagnostics import Diagnostic, KlorError
from klorpy.core.keys import Token
from klorpy.core.types import Role
from klorpy.runtime.limits import WireError
from klorpy.runtime.sessions.channel import DATA
from klorpy.runtime.sessions.waiting import Waiter
from klorpy.runtime.wire import decode, encode

if TYPE_CHECKING:
    from klorpy.runtime.sessions.peer import Peer, Post
    from klorpy.runtime.sessions.seat import Seat

#: Bytes of the name of a site, and what is behind it.
_NAME: Final = 4
_TOKEN: Final = b"\0"
_CONTROL: Final = b"\1"


class Mail:
    """The messages of a seat, each with the token of where it is sent and received."""

    def __init__(self, seat: Seat, keys: Mapping[Site, bytes], post: Post) -> None:
        self._seat = seat
        self._keys = keys
        self._sites = {name: site for site, name in keys.items()}
        self._peers = list(seat.peers.values())
        self._post = post
        self._loop = asyncio.get_running_loop()
        self._waiter: Waiter | None = None

    def put(self, target: Role, value: Any, site: Site, token: Token) -> bool:
        """Send a value now, if there is room for it. Raises KlorError for a value that cannot be sent."""
        seat = self._seat
        peer = seat.peers.get(target) or seat.stranger(target, site)
        if seat.verdict is not None and not seat.decided:
            return False
        if seat.verdict is not None or seat.closed or peer.left:
            error = seat.unable(peer, site)
            if seat.verdict is None:
                raise error
            return False  # `arrival` says why the session has failed
        if peer.crowded is not None or not peer.outgoing.open:
            return False
        try:
            body = encode(value, seat.limits)
        except KlorError as error:
            raise at_site(error, site) from None
        seat.step += 1
        seat.clock += 1
        key = self._keys[site] + (_CONTROL if site.kind == "carrier" else _TOKEN + token)
        peer.post(peer.outgoing.push(DATA, seat.clock, key, body))
        if seat.observer is not None and not is_control(key):
            seat.report("sent", peer, peer.outgoing.next - 1, site_name(key), value)
        return True

    def fail(self, target: Role, cause: str, site: Site, token: Token) -> None:
        """Nothing need be said of a value that could not be computed: the session's verdict follows."""

    def taken(self) -> Iterator[tuple[Role, Any, Site, Token]]:
        """What has arrived, in the order of each sender; nothing once the session has failed. Raises KlorError for what has no token."""
        seat = self._seat
        for peer in list(self._peers):
            while peer.messages and peer in self._peers:
                if seat.verdict is not None:
                    return
                frame = peer.messages.popleft()
                if peer.incoming.consume(len(frame.body)):
                    self._post.confirm(peer)
                seat.step += 1
                seat.clock = max(seat.clock, frame.stamp) + 1
                site = self._sites.get(site_name(frame.key))
                if site is None or not has_token(frame.key):
                    raise keys_differ(peer.role, seat.role, site or next(iter(self._keys)))
                try:
                    value = decode(frame.body, seat.limits)
                except WireError as error:
                    raise at_site(error, site) from None
                if seat.observer is not None and not is_control(frame.key):
                    seat.report("received", peer, frame.number, site_name(frame.key), value)
                yield peer.role, value, site, frame.key[_NAME + 1 :]

    def part(self, role: Role) -> None:
        """Take nothing more from a role: what it may send later is not for this mail."""
        self._peers.remove(self._seat.peers[role])

    def gone(self, role: Role) -> bool:
        """Whether nothing more comes from a role."""
        peer = self._seat.peers[role]
        return peer.left and not peer.messages

    async def sent(self) -> None:
        """All that was put is with the seat, which sends it or has failed."""

    async def arrival(self, full: Iterable[Role], needed: tuple[Role, Site] | None) -> None:
        """Wait until something has come, there is room on the way to one of `full`, or `wake` is called.

        `needed` is what the role waits for first, if anything; the session has failed when nothing more comes from there.
        Raises SessionFailed.
        """
        seat = self._seat
        if needed is not None and self.gone(needed[0]):
            seat.unable(seat.peers[needed[0]], needed[1])
        waiter = self._waiter = Waiter(self._loop)
        for role in full:
            self._when_room(seat.peers[role], waiter)
        for peer in self._peers:
            peer.waiter = waiter
        try:
            if seat.verdict is None and not any(peer.messages for peer in self._peers):
                await waiter
        finally:
            self._waiter = None
            for peer in self._peers:
                peer.waiter = peer.room = None
        if seat.verdict is not None:
            await seat.heard()
            raise seat.error() if needed is None else seat.unable(seat.peers[needed[0]], needed[1])

    def wake(self) -> None:
        """End an `arrival`."""
        if self._waiter is not None:
            self._waiter.wake_soon()

    def _when_room(self, peer: Peer, waiter: Waiter) -> None:
        if peer.crowded is not None:
            peer.crowded.add_done_callback(waiter.set_result)
        elif peer.outgoing.open:
            waiter.wake_soon()
        else:
            peer.room = waiter


def site_name(key: bytes) -> bytes:
    """The name of the site in the key of a frame."""
    return key if _long(key) else key[:_NAME]


def has_token(key: bytes) -> bool:
    """Whether there is more in the key of a frame than the name of a site."""
    return len(key) > _NAME and not _long(key)


def is_control(key: bytes) -> bool:
    """Whether a frame has something that players tell each other, and no message of the choreography."""
    return key[_NAME : _NAME + 1] == _CONTROL and not _long(key)


def _long(key: bytes) -> bool:
    """Whether a key is a name of a site that only scopes pass: longer than others, with the first bit set, without a token."""
    return key[:1] >= b"\x80"


def keys_differ(source: Role, role: Role, site: Site) -> KlorError:
    """One of two roles tells messages apart by their keys, and the other does not."""
    return KlorError(
        site.diagnostic(
            "protocol-mismatch", f"{source} and {role} do not agree on whether messages have keys",
            "say the order where a role joins: connect(…, order=…); the others follow",
        )
    )  # fmt: skip


def at_site(error: KlorError, site: Site) -> KlorError:
    """The error with the place where it happened."""
    found = error.diagnostic
    placed = Diagnostic(found.slug, f"{site.text}: {found.message}", site.span, "", found.notes, found.help, site.source)
    return type(error)(placed)
