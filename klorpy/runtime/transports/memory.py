"""Roles in one process, over queues in memory: each message is copied, as over any wire."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel

from klorpy.core.choreography import Site
from klorpy.core.diagnostics import KlorError
from klorpy.core.types import Role
from klorpy.runtime.copying import copied


class _Channel:
    """Messages from one role to one other, in order. One task at a time receives; the roles may be in several threads,
    each with an event loop of its own."""

    def __init__(self) -> None:
        self.messages: deque[tuple[Site, Any]] = deque()
        self.closed = False
        self._lock = threading.Lock()
        #: Wakes the task that waits, from any thread; None when there is none.
        self._wake: Callable[[], object] | None = None

    def put(self, site: Site, value: Any) -> None:
        self._change(lambda: self.messages.append((site, value)))

    def close(self) -> None:
        def close() -> None:
            self.closed = True

        self._change(close)

    def _change(self, change: Callable[[], object]) -> None:
        with self._lock:
            change()
            wake, self._wake = self._wake, None
        if wake is not None:
            wake()

    async def take(self) -> tuple[Site, Any] | None:
        """The next message; None when there will be no more."""
        while True:
            with self._lock:
                if self.messages:
                    return self.messages.popleft()
                if self.closed:
                    return None
                arrived = anyio.Event()
                self._wake = _waker(arrived)
            await arrived.wait()


def _waker(event: anyio.Event) -> Callable[[], object]:
    """A function that sets `event` from any thread. To be called in the event's own loop."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # another kind of loop; trio's token does it
        return partial(anyio.lowlevel.current_token().native_token.run_sync_soon, event.set)  # type: ignore[attr-defined]
    return partial(_set_soon, loop, event)


def _set_soon(loop: asyncio.AbstractEventLoop, event: anyio.Event) -> None:
    # A loop that is closed has nobody left who waits.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(event.set)


class MemoryNetwork:
    """A network for the roles of one run; every role gets its `endpoint`.

    >>> import anyio
    >>> from klorpy import evaluate, play_role
    >>> ns = evaluate("(defchor tell [A B] (-> A B) [x] (A->B x))")
    >>> async def both():
    ...     network, results = MemoryNetwork("AB"), {}
    ...     async def play(role, *args):
    ...         config = {"role": role, "transport": network.endpoint(role)}
    ...         results[role] = await play_role(config, ns.tell, *args)
    ...     async with anyio.create_task_group() as group:
    ...         group.start_soon(play, "A", 5)
    ...         group.start_soon(play, "B")
    ...     return results["B"]
    >>> anyio.run(both)
    5
    """

    def __init__(self, roles: Iterable[Role]) -> None:
        if not isinstance(roles, Iterable):
            raise KlorError(
                f"a network is made for roles, not for {roles!r}", slug="bad-argument",
                help="give the roles of the choreography: MemoryNetwork(chor.roles)",
            )  # fmt: skip
        self.roles = tuple(roles)
        self._channels = {
            (source, target): _Channel() for source in self.roles for target in self.roles if source != target
        }

    def endpoint(self, role: Role) -> MemoryTransport:
        """The transport of one role. Raises KlorError `role-not-part` for a role that the network does not have."""
        if role not in self.roles:
            raise KlorError(
                f"{role} is not a role of this network",
                slug="role-not-part",
                help=f"its roles are [{' '.join(self.roles)}]",
            )
        return MemoryTransport(self, role)


class PeerClosed(KlorError):
    """The other role has closed its end, and everything that it sent was received."""

    __module__ = "klorpy"

    default_slug = "peer-closed"


class MemoryTransport:
    """One role's end of a MemoryNetwork."""

    def __init__(self, network: MemoryNetwork, role: Role) -> None:
        self._channels = network._channels
        self.role = role

    async def send(self, target: Role, value: Any, site: Site) -> None:
        channel = self._channel(self.role, target, site)
        if channel.closed:
            raise self._gone(target, site)
        channel.put(site, copied(value, site))

    async def receive(self, source: Role, site: Site) -> Any:
        message = await self._channel(source, self.role, site).take()
        if message is None:
            raise self._gone(source, site)
        sent_at, value = message
        if sent_at is not site:
            raise KlorError(
                site.diagnostic(
                    "protocol-mismatch",
                    f"{self.role} waits at {site}, but {source} sent a message of {sent_at}",
                    help="the roles took different ways: look for an agreement that does not hold, with sanitize=True",
                )
            )
        return value

    async def close(self) -> None:
        for pair, channel in self._channels.items():
            if self.role in pair:
                channel.close()

    def _channel(self, source: Role, target: Role, site: Site) -> _Channel:
        channel = self._channels.get((source, target))
        if channel is None:
            other = target if source == self.role else source
            raise KlorError(
                site.diagnostic(
                    "role-not-part",
                    f"{self.role} meets {other} at {site}, but the network has no such role",
                    help="make the network for all roles of the choreography: MemoryNetwork(chor.roles)",
                )
            )
        return channel

    def _gone(self, role: Role, site: Site) -> PeerClosed:
        return PeerClosed(
            site.diagnostic(
                "peer-closed",
                f"{role} has left, but {self.role} still needs it at {site}",
                "look at how the other role ended: it may have failed",
            )
        )
