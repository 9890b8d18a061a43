"""One direction of two roles, under every way in which what carries its frames may lose, repeat and reorder them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from klorpy.runtime.sessions import ProtocolError, Window
from klorpy.runtime.sessions.channel import CLOSED, DATA, JOIN, LEAVE, Frame, Incoming, Outgoing

windows = st.builds(Window, frames=st.integers(1, 8), size=st.integers(1, 40))
#: What happens next: the sender sends, the carrier delivers, repeats or loses one of what is on its way, the receiver
#: consumes, the sender hears how far the receiver is and sends again what it lacks.
steps = st.lists(st.tuples(st.sampled_from(["send", "deliver", "repeat", "lose", "consume", "ask"]), st.integers(0, 50)), max_size=120)


class Pair:
    """The two ends, a carrier that does anything, and what has to hold of them at all times."""

    def __init__(self, window: Window, sizes: list[int]) -> None:
        self.out, self.into = Outgoing(window), Incoming(window)
        self.window = window
        self.bodies = [bytes([n]) * size for n, size in enumerate(sizes)]
        self.sent = 0
        self.frames: list[Frame] = []
        self.told: list[int] = []
        self.waiting: list[Frame] = []
        self.received: list[Frame] = []
        self.post(JOIN, b"hello")

    def post(self, kind: int, body: bytes) -> None:
        self.frames.append(self.out.push(kind, 0, b"", body))

    @property
    def done(self) -> bool:
        return len(self.received) == len(self.bodies) + 2 and self.out.settled

    def step(self, what: str, choice: int) -> None:
        if what == "send":
            if self.sent < len(self.bodies) and self.out.open:
                self.post(DATA, self.bodies[self.sent])
                self.sent += 1
            elif self.sent == len(self.bodies) and not self.out.closed:
                self.post(LEAVE, b"bye")
        elif what in ("deliver", "repeat", "lose") and self.frames:
            at = choice % len(self.frames)
            frame = self.frames[at] if what == "repeat" else self.frames.pop(at)
            if what != "lose":
                self.waiting += self.into.arrived(frame)
        elif what == "consume" and self.waiting:
            frame = self.waiting.pop(0)
            self.received.append(frame)
            if self.into.consume(len(frame.body) if frame.kind == DATA else 0) or frame.kind != DATA:
                self.told.append(self.into.told())
        elif what == "ask":
            self.ask()
        elif self.told:
            count = self.told.pop(choice % len(self.told))
            if what != "lose":
                self.out.consumed(count)
        self.check()

    def ask(self) -> None:
        """The carrier's last resort: the sender asks, the receiver says how far it is, the sender sends what it lacks."""
        self.out.consumed(self.into.told())
        self.frames += self.out.unconfirmed(self.into.expected)

    def check(self) -> None:
        numbers = [frame.number for frame in (*self.received, *self.waiting)]
        assert numbers == list(range(len(numbers)))
        kept = list(self.out.unconfirmed())
        data = [frame for frame in kept if frame.kind == DATA]
        longest = max(map(len, self.bodies), default=0)
        assert len(data) <= max(1, self.window.frames)
        assert sum(len(frame.body) for frame in data) < self.window.size + longest
        held = [frame for frame in (*self.waiting, *self.into.early.values()) if frame.kind == DATA]
        assert len(held) <= max(1, self.window.frames)
        assert sum(len(frame.body) for frame in held) < self.window.size + longest


@settings(max_examples=400, deadline=None, derandomize=True)
@given(windows, st.lists(st.integers(0, 30), max_size=25), steps)
def test_every_frame_comes_once_and_in_order_and_nothing_waits_for_ever(
    window: Window, sizes: list[int], schedule: list[tuple[str, int]]
) -> None:
    pair = Pair(window, sizes)
    for what, choice in schedule:
        pair.step(what, choice)
    # From here the carrier loses nothing new, but it may have lost the last frame: asking is what repairs that.
    for _ in range(4 * (len(sizes) + 4)):
        if pair.done:
            break
        pair.ask()
        for what in ("send", *["deliver"] * len(pair.frames), *["consume"] * (len(pair.waiting) + len(pair.frames))):
            pair.step(what, 0)
    assert pair.done
    assert [frame.body for frame in pair.received[1:-1]] == pair.bodies


@settings(max_examples=300, deadline=None, derandomize=True)
@given(windows, st.lists(st.integers(0, 60), max_size=40))
def test_a_carrier_that_loses_nothing_needs_no_asking(window: Window, sizes: list[int]) -> None:
    """The receiver tells the sender early enough: neither waits for the other, however small the window."""
    pair = Pair(window, sizes)
    while not pair.done:
        before = (pair.sent, len(pair.frames), len(pair.waiting), len(pair.received), len(pair.told), pair.out.settled)
        for what in ("send", "deliver", "consume"):
            pair.step(what, 0)
        while pair.told and not pair.frames:
            pair.out.consumed(pair.told.pop(0))
        after = (pair.sent, len(pair.frames), len(pair.waiting), len(pair.received), len(pair.told), pair.out.settled)
        assert before != after, "both ends wait"
    assert [frame.body for frame in pair.received[1:-1]] == pair.bodies


@pytest.mark.parametrize("window", [Window(4, 100), Window(1, 1)])
def test_a_sender_that_does_not_keep_to_the_window_is_refused(window: Window) -> None:
    into = Incoming(window)
    into.arrived(Frame(JOIN, 0, 0, b"", b""))
    with pytest.raises(ProtocolError, match="beyond the window"):
        for number in range(1, 100):
            into.arrived(Frame(DATA, number, 0, b"", b"x"))
    assert into.expected <= window.frames + 2
    with pytest.raises(ProtocolError, match="beyond the window"):
        Incoming(window).arrived(Frame(LEAVE, window.frames + 2, 0, b"", b""))


def test_a_sender_that_does_not_keep_to_the_bytes_of_the_window_is_refused() -> None:
    into = Incoming(Window(100, 1000))
    into.arrived(Frame(DATA, 0, 0, b"", bytes(5000)))  # one is always allowed
    with pytest.raises(ProtocolError, match="beyond the window"):
        into.arrived(Frame(DATA, 1, 0, b"", b"x"))


def test_what_was_not_sent_cannot_be_confirmed() -> None:
    out = Outgoing(Window())
    out.push(JOIN, 0, b"", b"")
    with pytest.raises(ProtocolError, match="only 1 sent"):
        out.consumed(2)


def test_a_sender_waits_until_it_knows_the_window() -> None:
    out = Outgoing(CLOSED)
    out.push(JOIN, 0, b"", b"")
    assert not out.open
    out.window = Window()
    assert out.open


def test_both_ends_use_the_smaller_window() -> None:
    into = Incoming(Window(1000, 1000))
    into.agree(Window(2, 10))
    into.arrived(Frame(JOIN, 0, 0, b"", b""))
    assert not into.consume(0) or into.window.frames == 2
    into.arrived(Frame(DATA, 1, 0, b"", bytes(10)))
    with pytest.raises(ProtocolError):
        into.arrived(Frame(DATA, 2, 0, b"", b"x"))
