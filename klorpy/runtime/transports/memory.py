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
from klorpy.core.verdicts import PeerLost, SessionFailed, Verdict, session_failed, transport_closed
from klorpy.runtime.copying import copied

#: The name of PeerLost before there were sessions.
PeerClosed = PeerLost


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

    def close(self, *, drop: bool = False) -> None:
        """There will be no more messages; those that nobody has received may be dropped."""

        def close() -> None:
            self.closed = True
            if drop:
                self.messages.clear()

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
                self._wake = _from_any_thread(arrived.set)
            await arrived.wait()


def _from_any_thread(function: Callable[[], object]) -> Callable[[], object]:
    """A function that has `function` called in the loop that runs now, from any thread."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # another kind of loop; trio's token does it
        soon: Callable[..., object] = anyio.lowlevel.current_token().native_token.run_sync_soon  # type: ignore[attr-defined]
    else:
        soon = loop.call_soon_threadsafe
    return partial(_call_soon, soon, function)


def _call_soon(soon: Callable[..., object], function: Callable[[], object]) -> None:
    # A loop that is closed has nobody left who waits.
    with contextlib.suppress(RuntimeError):
        soon(function)


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
        #: Why the run failed, for all roles; None while it has not.
        self.verdict: Verdict | None = None
        self._channels = {
            (source, target): _Channel() for source in self.roles for target in self.roles if source != target
        }
        self._left: set[Role] = set()
        self._lock = threading.Lock()
        self._watchers: list[tuple[Role, Callable[[], object]]] = []

    def endpoint(self, role: Role) -> MemoryTransport:
        """The transport of one role. Raises KlorError `role-not-part` for a role that the network does not have."""
        if role not in self.roles:
            raise KlorError(
                f"{role} is not a role of this network",
                slug="role-not-part",
                help=f"its roles are [{' '.join(self.roles)}]",
            )
        return MemoryTransport(self, role)

    def _fail(self, verdict: Verdict) -> None:
        """End the run everywhere with this verdict, unless there is one already."""
        with self._lock:
            if self.verdict is not None:
                return
            self.verdict = verdict
            watchers, self._watchers = self._watchers, []
        for channel in self._channels.values():
            channel.close(drop=True)
        for role, cancel in watchers:
            # Who fails is about to raise its own error.
            if role != verdict.role:
                cancel()


class MemoryTransport:
    """One role's end of a MemoryNetwork. The run has one verdict: the first failure ends it for all roles."""

    def __init__(self, network: MemoryNetwork, role: Role) -> None:
        self.network = network
        self.role = role
        #: Messages sent and received.
        self.step = 0
        self._channels = network._channels
        #: Where the role waits.
        self._at: tuple[Role, Site] | None = None

    # --- The three verbs ----------------------------------------------------------------------------------------------

    async def send(self, target: Role, value: Any, site: Site) -> None:
        channel = self._channel(self.role, target, site)
        if channel.closed:
            raise self._unable(target, site)
        channel.put(site, copied(value, site))
        self.step += 1

    async def receive(self, source: Role, site: Site) -> Any:
        channel = self._channel(source, self.role, site)
        self._at = (source, site)
        message = None if self.role in self.network._left else await channel.take()
        if message is None:
            raise self._unable(source, site)
        self._at = None
        sent_at, value = message
        self.step += 1
        if sent_at is not site:
            if "carrier" in (site.kind, sent_at.kind):
                one, other = (self.role, source) if site.kind == "carrier" else (source, self.role)
                raise KlorError(
                    site.diagnostic(
                        "protocol-mismatch", f"{one} plays in an order, with keys, and {other} without",
                        help="let all roles say an order, or none",
                    )
                )
            raise KlorError(
                site.diagnostic(
                    "protocol-mismatch",
                    f"{self.role} waits at {site}, but {source} sent a message of {sent_at}",
                    help="the roles took different ways: look for an agreement that does not hold, with sanitize=True",
                )
            )
        return value

    async def close(self) -> None:
        """Leave in good order: the others still receive what was sent."""
        self._leave()

    # --- A session ----------------------------------------------------------------------------------------------------

    def fail(self, error: BaseException, place: str = "") -> None:
        """Leave because the role failed, at `place` of the text: the run has failed, for everybody."""
        if self.role not in self.network._left:
            self.network._fail(Verdict.of(self.role, error, self.step, place))
            self._leave()

    def watch(self, cancel: Callable[[], object]) -> None:
        """Call `cancel`, in the loop that runs now, when the run fails at another role."""
        with self.network._lock:
            if self.network.verdict is None:
                self.network._watchers.append((self.role, _from_any_thread(cancel)))
                return
        cancel()

    async def settle(self) -> None:
        """Nothing is on its way: whoever fails ends the others at once."""

    def error(self) -> SessionFailed:
        """The error of a run that has failed, for this role."""
        assert self.network.verdict is not None
        peer, site = self._at or (None, None)
        return session_failed("the run", self.network.verdict, self.role, peer, site)

    # --- Leaving ------------------------------------------------------------------------------------------------------

    def _leave(self) -> None:
        with self.network._lock:
            self.network._left.add(self.role)
            self.network._watchers = [entry for entry in self.network._watchers if entry[0] != self.role]
        for pair, channel in self._channels.items():
            if self.role in pair:
                channel.close()

    def _unable(self, other: Role, site: Site) -> KlorError:
        """Why an operation with `other` cannot be done; makes it the verdict when there is none yet."""
        if self.network.verdict is None and self.role in self.network._left:
            return transport_closed(self.role, "the run", site)
        self._at = (other, site)
        self.network._fail(Verdict(other, f"it left while {self.role} still needs it", None, str(site), "peer-lost"))
        return self.error()

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
