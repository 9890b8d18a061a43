"""One direction of two roles of one session, without any input or output: numbering, order, windows, loss.

    Outgoing:  body               ->  numbered frame, kept until the receiver has consumed it
               consumed(n)        ->  room in the window
               unconfirmed(n)     ->  the frames that a receiver who has all below n still lacks
    Incoming:  numbered frame     ->  the frames that are now in order; a duplicate gives none
               consume()          ->  what to tell the sender, when it is time to

Whatever carries the frames may lose, repeat and reorder them: what comes out is every frame once, in order. A sender
that is told that something is missing sends it again; a sender whose window is full waits, so that the memory of both
ends is bounded. (The window is what the sender may have on its way; it is the receiver's consumption that opens it,
not its reading of a socket.) Both ends use one window, which they agree on when they join: a receiver that tells the
sender after half of a larger one would wait for a sender that waits for it. A sender that does not keep to it is refused.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from klorpy.core.diagnostics import KlorError
from klorpy.runtime.limits import LIMITS

#: What the frames of a channel are about. JOIN is the first and LEAVE the last of its direction.
JOIN: Final = 1
DATA: Final = 2
LEAVE: Final = 3


class Frame(NamedTuple):
    """One numbered frame: `stamp` is the sender's Lamport clock, `key` the integrity key of the site, `body` bytes."""

    kind: int
    number: int
    stamp: int
    key: bytes
    body: bytes


#: Makes a Frame of a tuple, in half the time that its class takes.
new_frame: Final = tuple.__new__


class ProtocolError(KlorError):
    """The other side sent what the protocol does not allow."""

    __module__ = "klorpy"

    default_slug = "protocol-error"


@dataclass(frozen=True, slots=True)
class Window:
    """How much may be on its way from one role to another: messages, and bytes of their values. One is always allowed.

    >>> Window(frames=8).smaller(Window(size=1000))
    Window(frames=8, size=1000)
    """

    frames: int = 1024
    size: int = 4 << 20

    def smaller(self, other: Window) -> Window:
        """What fits into both windows."""
        return Window(min(self.frames, other.frames), min(self.size, other.size))


#: The window of a sender that does not know the receiver's yet.
CLOSED: Final = Window(0, 0)


class Outgoing:
    """The sender's end."""

    __slots__ = ("_kept", "_size", "closed", "confirmed", "next", "window")

    def __init__(self, window: Window) -> None:
        self.window = window
        self.next = 0
        #: All frames below this number were consumed.
        self.confirmed = 0
        self.closed = False
        self._kept: deque[Frame] = deque()
        self._size = 0

    @property
    def open(self) -> bool:
        """Whether the window has room for another message; one is always allowed."""
        return not self._kept or (len(self._kept) < self.window.frames and self._size < self.window.size)

    def push(self, kind: int, stamp: int, key: bytes, body: bytes) -> Frame:
        """Number a frame and keep it."""
        number = self.next
        self.next = number + 1
        frame = new_frame(Frame, (kind, number, stamp, key, body))
        self._kept.append(frame)
        self._size += len(body)
        if kind == LEAVE:
            self.closed = True
        return frame

    def consumed(self, count: int) -> None:
        """The receiver has consumed the first `count` frames. Raises ProtocolError when there are not so many."""
        if count > self.next:
            raise ProtocolError(f"{count} frames were confirmed, but only {self.next} sent")
        kept = self._kept
        while kept and kept[0].number < count:
            self._size -= len(kept.popleft().body)
        self.confirmed = max(self.confirmed, count)

    @property
    def undelivered(self) -> bool:
        """Whether a message was sent of which it is not known that the receiver has consumed it."""
        return any(frame.kind == DATA for frame in self._kept)

    @property
    def settled(self) -> bool:
        """Whether the last frame was sent, and everything was consumed."""
        return self.closed and not self._kept

    def unconfirmed(self, received: int = 0) -> Iterator[Frame]:
        """The frames that are kept, from the number `received` on."""
        return (frame for frame in self._kept if frame.number >= received)


class Incoming:
    """The receiver's end."""

    __slots__ = ("_size", "_told", "consumed", "duplicates", "early", "expected", "limit", "longest", "room", "window")

    def __init__(self, window: Window, longest: int = LIMITS.frame) -> None:
        #: All frames below this number have arrived.
        self.expected = 0
        self.consumed = 0
        self.duplicates = 0
        self._told = 0
        #: Bytes that were consumed since the sender was told.
        self._size = 0
        #: Frames that came before one that is missing, by number.
        self.early: dict[int, Frame] = {}
        self.window = window
        #: Bytes of the longest value, by which frames that come too early may exceed the window.
        self.longest = longest
        #: Bytes that the sender may still put on the way, and the largest number of a frame. JOIN and LEAVE do not count
        #: against the window.
        self.room = window.size
        self.limit = window.frames + 1

    def agree(self, window: Window) -> None:
        """Use the window that both ends have agreed on."""
        self.room += window.size - self.window.size
        self.limit += window.frames - self.window.frames
        self.window = window

    def arrived(self, frame: Frame) -> list[Frame]:
        """The frames that are in order now. Raises ProtocolError for one beyond the window."""
        number = frame.number
        if number < self.expected or number in self.early:
            self.duplicates += 1
            return []
        in_order = number == self.expected and not self.early
        if frame.kind == DATA:
            # Of frames out of order it is not known which of them made the window full.
            if number > self.limit or self.room <= (0 if in_order else -self.longest):
                raise ProtocolError(f"frame {number} is beyond the window of {self.window.frames} frames, {self.window.size} bytes")
            self.room -= len(frame.body)
        elif number > self.limit:
            raise ProtocolError(f"frame {number} is beyond the window of {self.window.frames} frames")
        if in_order:
            self.expected = number + 1
            return [frame]
        self.early[number] = frame
        ready = []
        while (following := self.early.pop(self.expected, None)) is not None:
            ready.append(following)
            self.expected += 1
        return ready

    def consume(self, size: int) -> bool:
        """Count a frame of `size` bytes as consumed; whether the sender is to be told now."""
        self.consumed += 1
        self._size += size
        return self.consumed - self._told >= self.window.frames // 2 or self._size >= self.window.size // 2

    def drop(self) -> None:
        """Count all that has arrived as consumed."""
        self.consumed = self.expected
        self._size = self.window.size - self.room

    def told(self) -> int:
        """What the sender is told: how many frames were consumed."""
        self._told = self.consumed
        self.limit = self._told + self.window.frames + 1
        self.room += self._size
        self._size = 0
        return self.consumed
