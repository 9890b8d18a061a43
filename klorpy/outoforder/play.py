"""Playing one role over a transport in an order of its own: a walker between tasks that send and receive.

    message   [0, token, site, value]            a value with its key
    failure   [1, token, site, text]             what stands in the place of a value that could not be computed
    control   [2, word, …]                       windows (see `rounds`)
    end       [3]                                this role is done, and sends nothing any more
    parting   [4]                                the answer to that: nothing more will be sent to it

All travel as values at the *carrier* site of the definition, so any transport carries them and a role that plays
without keys is found out. A task for each other role takes what has arrived; none of them runs anything of the user.

Windows ask and answer whenever they like, so a role that is done does not leave before all others have heard of it and
said that they have. That takes a round trip, not their end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Mapping
from typing import Any, Final

import anyio
import anyio.lowlevel

from klorpy.core.choreography import Choreography, Definition, Site
from klorpy.core.diagnostics import KlorError
from klorpy.core.events import describe_error
from klorpy.core.keys import Token
from klorpy.core.types import Role
from klorpy.core.values import ATOMS
from klorpy.core.verdicts import PeerLost
from klorpy.outoforder.compile import flows
from klorpy.outoforder.deferred import Deferred, pending, settled
from klorpy.outoforder.mailbox import Letter
from klorpy.outoforder.rounds import Control
from klorpy.outoforder.walker import WINDOW, Walker
from klorpy.runtime.config import Transport
from klorpy.runtime.copying import copied

_MESSAGE: Final = 0
_FAILURE: Final = 1
_CONTROL: Final = 2
_END: Final = 3
_PARTING: Final = 4
#: Steps after which other tasks of the loop have their turn.
_BREATH: Final = 100


async def drive(
    definition: Definition, pinned: Mapping[Choreography, Definition], role: Role, args: tuple[Any, ...],
    transport: Transport, order: str | None, window: int | None,
) -> Any:  # fmt: skip
    """Play `role` to its end; give what its program returned. Raises the role's failure, or the transport's."""
    player = _Player(definition, pinned, role, transport, order, window)
    flow = flows(definition)[definition.roles.index(role)]
    player.walker.start(flow, definition.roles, args)
    try:
        return await player.run()
    except BaseExceptionGroup as group:
        # The tasks of one role: the first failure is the role's.
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None


class _Player:
    """What surrounds the walker: an outbox, and an inbox that a task for each other role fills."""

    def __init__(
        self, definition: Definition, pinned: Mapping[Choreography, Definition], role: Role, transport: Transport,
        order: str | None, window: int | None,
    ) -> None:  # fmt: skip
        self.role = role
        self.transport = transport
        self.carrier = definition.carrier
        self.others = [other for other in definition.roles if other != role]
        self.names: dict[Site, bytes] = site_names(pinned)
        self.sites = {name: site for site, name in self.names.items()}
        self.walker = Walker(role, pinned, order, self, window=window or WINDOW)
        self.outbox: deque[tuple[Role, list[Any]]] = deque()
        self.inbox: deque[tuple[Role, list[Any]]] = deque()
        self.settled: deque[tuple[Deferred, Any, BaseException | None]] = deque()
        self.gone: dict[Role, BaseException] = {}
        self.wake = anyio.Event()
        self.awaited: deque[tuple[Any, Site, Deferred]] = deque()
        self.ending = False
        #: The roles to which nothing is sent any more, and from which nothing comes.
        self.parted: set[Role] = set()

    # --- For the walker ---

    def send(self, letter: Letter) -> None:
        name = self.names[letter.site]
        if letter.error is not None:
            text = f"{letter.source}: {describe_error(letter.error)}"
            self._post(letter.target, [_FAILURE, letter.token, name, text])
        else:
            # It leaves later, and the role may change it meanwhile.
            value = letter.value if type(letter.value) in ATOMS else copied(letter.value, letter.site)
            self._post(letter.target, [_MESSAGE, letter.token, name, value])

    def tell(self, source: Role, target: Role, control: Control) -> None:
        if target not in self.parted:
            self._post(target, [_CONTROL, *control])

    def wait(self, role: Role, awaitable: Any, site: Site, result: Deferred) -> None:
        self.awaited.append((awaitable, site, result))

    def check(self, role: Role, value: Any, cast: tuple[Role, ...], site: Site, token: Token) -> None:
        """One process does not see the others' copies."""

    def _post(self, target: Role, envelope: list[Any]) -> None:
        self.outbox.append((target, envelope))

    # --- Tasks ---

    async def run(self) -> Any:
        async with anyio.create_task_group() as group:
            for other in self.others:
                group.start_soon(self._receive_from, other)
            result = await self._walk(group)
            group.cancel_scope.cancel()
        return result

    async def _walk(self, group: Any) -> Any:
        walker = self.walker
        while True:
            walker.advance()
            taken = 0
            while walker.ready:
                walker.perform(walker.take())
                taken += 1
                if taken % _BREATH == 0:
                    await anyio.lowlevel.checkpoint()
            while self.awaited:
                group.start_soon(self._await, *self.awaited.popleft())
            if walker.error is not None:
                raise walker.error
            if walker.suffered is not None:
                raise walker.suffered[0]
            done = walker.done and not pending(walker.result)
            if done and not self.ending:
                self.ending = True
                for other in self.others:
                    if other not in self.parted:
                        self._post(other, [_END])
            # What arrives meanwhile is taken by the tasks that receive, so a full window opens again.
            while self.outbox:
                target, envelope = self.outbox.popleft()
                await self.transport.send(target, envelope, self.carrier)
            if done and self.parted.union(self.gone).issuperset(self.others):
                return settled(walker.result)
            if not (self.inbox or self.settled):
                if not done:
                    self._needs_the_living()
                self.wake = anyio.Event()
                await self.wake.wait()
            while self.settled:
                result, value, error = self.settled.popleft()
                if error is not None:
                    result.fail(error)
                else:
                    result.settle(value)
            while self.inbox:
                self._arrived(*self.inbox.popleft())

    def _needs_the_living(self) -> None:
        """Raises what a role left with that this one still waits for."""
        for waiters in self.walker.mailbox.waiting.values():
            for waiter in waiters:
                if waiter.source in self.gone:
                    raise self.gone[waiter.source]

    def _arrived(self, source: Role, envelope: Any) -> None:
        match envelope:
            case [kind, bytes() as token, bytes() as name, value] if kind in (_MESSAGE, _FAILURE) and name in self.sites:
                site = self.sites[name]
                error = None
                if kind == _FAILURE:
                    what = f"{self.role} needs a value here that {source} could not compute: {value}"
                    error = PeerLost(site.diagnostic("peer-lost", what, "look at how that role failed"))
                self.walker.deliver(Letter(source, self.role, token, site, value, error))
            case [kind, *control] if kind == _CONTROL and control:
                self.walker.hear(source, tuple(control))
            case [kind] if kind in (_END, _PARTING):
                if kind == _END and not self.ending:
                    self._post(source, [_PARTING])
                self.parted.add(source)
            case _:
                raise KlorError(
                    self.carrier.diagnostic(
                        "protocol-mismatch", f"{source} sent {self.role} a value without a key",
                        "let all roles say an order, or none",
                    )
                )  # fmt: skip

    async def _receive_from(self, source: Role) -> None:
        try:
            while True:
                envelope = await self.transport.receive(source, self.carrier)
                self.inbox.append((source, envelope))
                self.wake.set()
                if envelope in ([_END], [_PARTING]):
                    return
        except KlorError as error:
            # That it left, or that the session failed: it matters when something is waited for.
            self.gone[source] = error
            self.wake.set()

    async def _await(self, awaitable: Any, site: Site, result: Deferred) -> None:
        value = error = None
        try:
            if not isinstance(awaitable, Awaitable):
                raise KlorError(
                    site.diagnostic(
                        "cannot-await",
                        f"{site.text} awaits a {type(awaitable).__name__}, which cannot be awaited",
                        help="await what a coroutine function returns",
                    )
                )
            value = await awaitable
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as raised:
            if isinstance(raised, KeyboardInterrupt):
                raise
            error = raised
        self.settled.append((result, value, error))
        self.wake.set()


def site_names(pinned: Mapping[Choreography, Definition]) -> dict[Site, bytes]:
    """For each site that a run can pass, four bytes that name it: the same in every process that plays the same text."""
    names = {}
    for number, definition in enumerate(sorted(pinned.values(), key=lambda found: found.name)):
        for site in definition.sites:
            names[site] = number.to_bytes(2, "big") + site.index.to_bytes(2, "big")
    return names


__all__ = ["drive", "site_names"]
