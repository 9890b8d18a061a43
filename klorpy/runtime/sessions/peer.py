"""The other roles as a seat sees them, what carries its frames, and what it tells observers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from klorpy.core.types import Role
from klorpy.core.verdicts import Verdict
from klorpy.runtime.sessions.channel import CLOSED, Frame, Incoming, Outgoing, Window
from klorpy.runtime.sessions.waiting import Waiter

if TYPE_CHECKING:
    from klorpy.runtime.sessions.seat import Seat

#: Characters of a value that observers see.
SHOWN: Final = 200


class ChannelName(NamedTuple):
    """A direction of two roles of a session."""

    session: str
    source: Role
    target: Role

    @property
    def reverse(self) -> ChannelName:
        return ChannelName(self.session, self.target, self.source)


class Post(Protocol):
    """What carries the frames of seats; the frames themselves go to `Peer.post`."""

    @property
    def meeting(self) -> str:
        """What is to be seen to, that roles can meet."""

    @property
    def ending(self) -> bool:
        """Whether the process leaves all its sessions."""

    @property
    def turned_away(self) -> tuple[str, ...]:
        """Who was refused by this process, in sentences: one of them may be a role that is missing."""

    def confirm(self, peer: Peer) -> None:
        """Tell the peer how much of what it sent was consumed."""

    def wake(self, waiter: Waiter) -> None:
        """Wake the task of a role for which a message has arrived."""

    def closed(self, seat: Seat) -> None:
        """The seat has sent its last frame; or, again, it knows its verdict better."""

    def came(self, seat: Seat, role: Role) -> None:
        """The seat has learnt that `role`, perhaps its own, is played."""

    def went(self, seat: Seat, role: Role, verdict: Verdict | None, lost: bool = False) -> None:
        """The seat has learnt that `role` has left, with the verdict, or in good order; or that there is no way to it."""


@dataclass(frozen=True, slots=True)
class Record:
    """Something that happened at a role, for whoever observes the session.

    `kind` says what `peer`, `number` and `text` are; `stamp` is the role's Lamport clock, `key` names the site.

        joined      text: the choreography and its roles, as `ask [A B]`
        present     to peer, the messages from the number on are reported: somebody began to observe later
        sent        to peer, the message of that number of the direction; text: the value as it is shown
        received    from peer, likewise
        printed     text: a line that host code wrote
        left        text: why the session failed, at the role peer; both "" in good order
        missed      so many records are missing here, since the observer did not keep up
    """

    session: str
    role: Role
    stamp: int
    kind: str
    peer: Role = ""
    number: int = 0
    key: bytes = b""
    text: str = ""


class Peer:
    """Another role, as a seat sees it."""

    __slots__ = (
        "crowded", "incoming", "joined", "keyed", "left", "messages", "name", "outgoing", "post", "role", "room", "route", "seat",
        "waiter",
    )  # fmt: skip

    def __init__(self, seat: Seat, role: Role, window: Window) -> None:
        self.seat = seat
        self.role = role
        #: The direction in which the seat sends.
        self.name = ChannelName(seat.session, seat.role, role)
        #: What arrived and was not received yet.
        self.messages: deque[Frame] = deque()
        self.joined = False
        self.left = False
        #: Whether it has said an order when it joined.
        self.keyed = False
        #: Who waits for a message, unless it is done; and who for room in the window.
        self.waiter: Waiter | None = None
        self.room: asyncio.Future[None] | Waiter | None = None
        self.start_again(window)

    def start_again(self, window: Window) -> None:
        """Nothing has been sent, and there is no way to the peer."""
        self.outgoing = Outgoing(CLOSED)
        self.incoming = Incoming(window, self.seat.limits.frame)
        #: The carrier's own: how to reach the peer; and what sends a frame there, at least once. While there is no way, the
        #: frames are kept, and sent when there is one.
        self.route: Any = None
        self.post: Callable[[Frame], object] = keep
        #: What senders wait for while too much is on its way to the peer's process.
        self.crowded: asyncio.Future[None] | None = None

    @property
    def away(self) -> bool:
        """Whether there is no way to the peer at the moment."""
        return self.post is keep

    def agree(self, window: Window) -> None:
        """Use the window that both ends have agreed on."""
        self.outgoing.window = window
        self.incoming.agree(window)
        wake(self.room)


def keep(frame: Frame) -> None:
    """There is no way to the peer: what is kept goes out when there is one."""


def wake(waiter: asyncio.Future[None] | Waiter | None) -> bool:
    """Wake who waits, if somebody does; whether somebody did."""
    if waiter is None or waiter.done():
        return False
    waiter.set_result(None)
    return True
