"""A carrier that loses, repeats, delays and reorders what it carries, in one process and by a seed.

Sessions have to survive it: what the channels of two roles number, confirm and send again makes good what is lost below.
It is also the smallest example of a carrier that is no connection, and shows the two duties of one:

    what was not confirmed is asked about, again and again          `_ask`
    who is asked says how far it has received, and consumed         `_answer`; the asker then sends what lacks

The asking is what repairs the loss of a last frame, after which nothing would arrive that shows a gap. TCP needs it only
when a connection was broken, and asks then (RESUME).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from anyio.abc import TaskGroup

from klorpy.core.types import Role
from klorpy.runtime.sessions import Node, Seat, Window
from klorpy.runtime.sessions.channel import Frame
from klorpy.runtime.sessions.peer import ChannelName, Peer


@dataclass(frozen=True, slots=True)
class Losses:
    """How often a frame is lost and how often repeated, and how many other frames may overtake it."""

    lost: float = 0.2
    repeated: float = 0.2
    overtaken: int = 8


class LossyNetwork:
    """Nodes in one process whose frames reach each other badly.

    >>> import anyio, klorpy
    >>> ns = klorpy.evaluate("(defchor tell [A B] (-> A B) [x] (A->B x))")
    >>> async def both():
    ...     network = LossyNetwork(seed=1, losses=Losses(lost=0.6))
    ...     async with network.node() as a, network.node() as b, anyio.create_task_group() as group:
    ...         async def play(node, role, *args):
    ...             async with node.join(ns.tell, role, "s") as transport:
    ...                 print(role, await klorpy.play_role({"role": role, "transport": transport}, ns.tell, *args))
    ...         group.start_soon(play, a, "A", 5)
    ...         group.start_soon(play, b, "B")
    >>> anyio.run(both)
    A noop
    B 5
    """

    def __init__(self, seed: int = 0, losses: Losses | None = None) -> None:
        self.losses = losses or Losses()
        self.source = random.Random(seed)
        #: How many were given to the network, lost and repeated.
        self.carried = self.lost = self.repeated = 0
        self.carriers: list[LossyCarrier] = []
        self._on_the_way: list[Callable[[], object]] = []
        self._running = False

    @contextlib.asynccontextmanager
    async def node(self, *, window: Window | None = None) -> AsyncIterator[Node]:
        """A node that reaches the others of this network."""
        async with Node(LossyCarrier(self), window=window) as node:
            yield node

    def carry(self, deliver: Callable[[], object]) -> None:
        """Take something to be delivered, perhaps."""
        self.carried += 1
        copies = 1
        if self.source.random() < self.losses.lost:
            copies = 0
            self.lost += 1
        elif self.source.random() < self.losses.repeated:
            copies = 2
            self.repeated += 1
        self._on_the_way += [deliver] * copies
        self.wake()

    def wake(self) -> None:
        if not self._running:
            self._running = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        """Deliver one of the first that are on the way; when there is none, let everybody ask."""
        self._running = False
        if self._on_the_way:
            at = self.source.randrange(min(len(self._on_the_way), self.losses.overtaken + 1))
            self._on_the_way.pop(at)()
        else:
            for carrier in self.carriers:
                carrier.ask()
        if self._on_the_way or any(carrier.unsettled for carrier in self.carriers):
            self.wake()


class LossyCarrier:
    """One node's part of a LossyNetwork."""

    def __init__(self, network: LossyNetwork) -> None:
        self.network = network
        self.node: Node
        #: Directions in which something may be unconfirmed, by the name under which the other side knows them.
        self.unsettled: dict[ChannelName, Peer] = {}

    # --- The carrier --------------------------------------------------------------------------------------------------

    async def start(self, node: Node, tasks: TaskGroup) -> None:
        self.node = node
        self.network.carriers.append(self)

    async def stop(self) -> None:
        """Wait until the others have everything, or have gone as well."""
        while any(map(self._somewhere, self.unsettled)):
            self.network.wake()
            await asyncio.sleep(0)
        self.unsettled.clear()
        self.network.carriers.remove(self)

    def _somewhere(self, name: ChannelName) -> bool:
        """Whether there is a node that answers for the receiver of a direction."""
        return any(other.node.peer(name) is not None or other.node.over(name) for other in self._others())

    def opened(self, seat: Seat) -> None:
        for peer in seat.peers.values():
            if peer.route is None:
                peer.route = self.network
                peer.post = partial(self._post, peer)

    def released(self, seat: Seat) -> None:
        """What the seat sent last still has to arrive: `unsettled` keeps it."""

    def served(self, role: Role) -> None:
        """The frames that others send, again and again, tell of their sessions."""

    def confirm(self, peer: Peer) -> None:
        self._answer(peer.name.reverse, peer.incoming.expected, peer.incoming.told())

    # --- Sending ------------------------------------------------------------------------------------------------------

    def _post(self, peer: Peer, frame: Frame) -> None:
        self.unsettled[peer.name] = peer
        for other in self._others():
            self.network.carry(partial(other._arrived, peer.name, frame))

    def ask(self) -> None:
        """Ask the receivers of everything that was not confirmed how far they are."""
        for name, peer in list(self.unsettled.items()):
            if peer.outgoing.confirmed == peer.outgoing.next:
                del self.unsettled[name]
                continue
            for other in self._others():
                self.network.carry(partial(other._asked, name))

    def _answer(self, name: ChannelName, received: int, consumed: int) -> None:
        for other in self._others():
            self.network.carry(partial(other._answered, name, received, consumed))

    def _others(self) -> list[LossyCarrier]:
        return [carrier for carrier in self.network.carriers if carrier is not self]

    # --- What arrives -------------------------------------------------------------------------------------------------

    def _arrived(self, name: ChannelName, frame: Frame) -> None:
        """Frames for which there is no seat are dropped: their sender will ask."""
        peer = self.node.peer(name)
        if peer is not None:
            peer.seat.arrived(peer, frame)
        elif not self.node.over(name):
            self.node.awaits(name)

    def _asked(self, name: ChannelName) -> None:
        peer = self.node.peer(name)
        if peer is not None:
            self._answer(name, peer.incoming.expected, peer.incoming.told())
        elif self.node.over(name):
            self._answer(name, _EVERYTHING, _EVERYTHING)

    def _answered(self, name: ChannelName, received: int, consumed: int) -> None:
        peer = self.unsettled.get(name)
        if peer is None:
            return
        peer.seat.consumed(peer, min(consumed, peer.outgoing.next))
        for frame in list(peer.outgoing.unconfirmed(received)):
            self._post(peer, frame)


#: What a seat that has left says: it needs nothing more.
_EVERYTHING: Any = 1 << 62
