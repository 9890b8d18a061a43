"""One verdict for all, whatever fails together and in whatever order it is heard; and for who had left already."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest

import klorpy
from klorpy.core.verdicts import Verdict
from klorpy.runtime.sessions import Node, Seat
from klorpy.runtime.sessions.channel import Frame
from klorpy.runtime.sessions.peer import Peer

NS = klorpy.evaluate("""
(defchor ring [A B C D] (-> A D) [x] (C->D (B->C (A->B x))))
(defchor tell [A B] (-> A B) [x] (A->B x))
""")
RING = {site.text[1:5]: site for site in NS.ring.defined().sites}
TELL = NS.tell.defined().sites[0]


class Held:
    """A network of one session that delivers what it is told to, when it is told to."""

    def __init__(self) -> None:
        self.seats: dict[str, Seat] = {}
        self.frames: dict[tuple[str, str], deque[Frame]] = {}
        #: Whether what was received is confirmed.
        self.confirms = True

    async def start(self, node: Node, tasks: Any) -> None:
        pass

    async def stop(self) -> None:
        pass

    def opened(self, seat: Seat) -> None:
        self.seats[seat.role] = seat
        for peer in seat.peers.values():
            frames = self.frames[seat.role, peer.role] = deque()
            peer.route, peer.post = self, frames.append

    def released(self, seat: Seat) -> None:
        pass

    def served(self, role: str) -> None:
        pass

    def confirm(self, peer: Peer) -> None:
        if self.confirms:
            other = self.seats[peer.role]
            other.consumed(other.peers[peer.seat.role], peer.incoming.told())

    def deliver(self, source: str, target: str) -> None:
        """Deliver what one role has sent to another."""
        frames, seat = self.frames[source, target], self.seats[target]
        while frames:
            seat.arrived(seat.peers[source], frames.popleft())

    def deliver_all(self, source: random.Random | None = None) -> None:
        """Deliver everything, direction by direction, in the order of a seed."""
        while waiting := [pair for pair, frames in self.frames.items() if frames]:
            self.deliver(*(source.choice(waiting) if source else waiting[0]))


@contextlib.asynccontextmanager
async def seated(chor: klorpy.Choreography) -> AsyncIterator[Held]:
    """The seats of all roles, each of a node of its own; the session has begun."""
    network = Held()
    async with contextlib.AsyncExitStack() as stack:
        for role in chor.roles:
            node = await stack.enter_async_context(Node(network))
            node.seat(chor, role, "s")
        network.deliver_all()
        yield network


def run(function: Callable[[], Any]) -> None:
    async def limited() -> None:
        with anyio.fail_after(60):
            await function()

    anyio.run(limited)


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def failure(of: Any) -> Verdict:
    with pytest.raises(klorpy.SessionFailed) as failed:
        await of
    assert failed.value.verdict is not None
    return failed.value.verdict


# --- Several failures at once -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("before", ["", "A", "B"])
def test_roles_that_fail_together_give_one_verdict_to_all_others(before: str, seed: int) -> None:
    """A and B fail before they have heard of each other; C hears of one first, D of the other.

    Who of the two had already sent something is the later one.
    """

    async def main() -> None:
        source = random.Random(seed)
        async with seated(NS.ring) as network:
            at = network.seats
            c = asyncio.ensure_future(failure(at["C"].receive("B", RING["B->C"])))
            d = asyncio.ensure_future(failure(at["D"].receive("C", RING["C->D"])))
            await turns()
            if before == "A":
                await at["A"].send("B", 1, RING["A->B"])
            elif before == "B":
                await at["B"].send("C", 1, RING["B->C"])
            at["A"].fail(ValueError("of A"))
            at["B"].fail(ValueError("of B"))
            network.deliver("A", "C")
            network.deliver("B", "D")
            network.deliver_all(source)
            verdicts = await asyncio.gather(c, d)
            assert [verdict.role for verdict in verdicts] == ["B" if before == "A" else "A"] * 2
            assert verdicts[0] == verdicts[1]

    run(main)


def test_a_role_raises_when_it_has_heard_the_others() -> None:
    async def main() -> None:
        async with seated(NS.ring) as network:
            at = network.seats
            c = asyncio.ensure_future(failure(at["C"].receive("B", RING["B->C"])))
            await turns()
            at["B"].fail(ValueError("of B"))
            network.deliver("B", "C")
            await turns()
            assert not c.done()
            # What the role tries meanwhile waits as well.
            more = asyncio.ensure_future(failure(at["C"].send("D", 1, RING["C->D"])))
            at["A"].fail(ValueError("of A"))
            network.deliver("A", "C")
            network.deliver("C", "D")
            await turns()
            assert not c.done()
            network.deliver("D", "C")
            assert (await c).role == (await more).role == "A"

    run(main)


def test_who_cannot_be_reached_is_not_waited_for() -> None:
    """A is lost; B has told that it left; D says nothing, as if it computed for ever: C goes on without it."""

    async def main() -> None:
        async with seated(NS.ring) as network:
            at = network.seats
            c = asyncio.ensure_future(failure(at["C"].receive("B", RING["B->C"])))
            await turns()
            peer = at["C"].peers["A"]
            peer.start_again(at["C"].window)
            at["C"].lost(peer, "it is gone")
            network.deliver("C", "B")
            network.deliver("B", "C")
            verdict = await c
            assert (verdict.role, verdict.cause) == ("A", "it is gone")

    run(main)


def test_a_role_that_does_something_else_is_ended_when_the_verdict_is_final() -> None:
    async def main() -> None:
        async with seated(NS.ring) as network:
            at = network.seats
            cancelled: list[str] = []
            at["C"].watch(lambda: cancelled.append("C"))
            at["B"].fail(ValueError("of B"))
            network.deliver("B", "C")
            assert not cancelled
            network.deliver_all()
            assert cancelled == ["C"]
            assert at["C"].decided

    run(main)


# --- Who has left already ---------------------------------------------------------------------------------------------


async def _sent_last(network: Held) -> Seat:
    """A, which has sent its last message and has left."""
    a = network.seats["A"]
    await a.send("B", 7, TELL)
    await a.close()
    return a


@pytest.mark.parametrize("how", ["lost", "failed", "refused"])
def test_a_role_that_has_left_learns_that_its_last_message_is_lost(how: str, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with seated(NS.tell) as network:
            a, b = await _sent_last(network), network.seats["B"]
            a.check()
            peer = a.peers["B"]
            if how == "lost":
                a.lost(peer, "it is gone")
            elif how == "failed":
                b.fail(ValueError("no"))
                network.deliver("B", "A")
            else:
                a.refused(peer, "peer-lost", "it has left", Verdict("B", "ValueError: no"))
            with pytest.raises(klorpy.SessionFailed, match=r"B (was lost|failed)") as failed:
                a.check()
            assert failed.value.notes == ("A had done its part, but what it sent last has not arrived",)

    run(main)
    assert "what A sent last is lost" in caplog.text


@pytest.mark.parametrize("how", ["lost", "failed", "left", "over"])
def test_a_role_whose_messages_have_arrived_has_ended_well(how: str, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with seated(NS.tell) as network:
            a, b = await _sent_last(network), network.seats["B"]
            if how == "over":  # B took it, and its confirmation was lost
                network.confirms = False
            network.deliver("A", "B")
            assert await b.receive("A", TELL) == 7
            if how == "lost":
                b.peers["A"].incoming.drop()
                network.confirm(b.peers["A"])
                a.lost(a.peers["B"], "it is gone")
            elif how == "failed":
                b.fail(ValueError("no"))
            else:
                await b.close()
            if how == "over":
                a.refused(a.peers["B"], "role-taken", "B has played already")
            network.deliver("B", "A")
            a.check()

    run(main)
    assert "lost" not in caplog.text


def test_the_end_of_a_program_waits_while_its_last_message_may_be_lost() -> None:
    async def main(comes_back: bool) -> None:
        async with seated(NS.tell) as network:
            a = network.seats["A"]
            await a.send("B", 7, TELL)
            peer, window = a.peers["B"], a.window
            kept, post, outgoing = a.peers["B"].route, peer.post, peer.outgoing
            peer.start_again(window)  # there is no way for now
            peer.route, peer.outgoing = kept, outgoing
            end = asyncio.ensure_future(a.settle())
            await turns()
            assert not end.done()
            if comes_back:
                peer.post = post
                a.consumed(peer, 0)
                await end
            else:
                a.lost(peer, "it is gone")
                assert (await failure(end)).cause == "it is gone"

    run(lambda: main(True))
    run(lambda: main(False))
