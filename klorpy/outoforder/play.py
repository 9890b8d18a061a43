"""Playing one role over a transport in an order of its own: a walker, and mail that takes messages as they come.

What players tell each other besides the messages of the choreography goes to the *carrier* site of the definition:

    ["want", …] and so on     windows (see `rounds`)
    ["end"]                   this role is done, and sends nothing any more
    ["parting"]               the answer to that: nothing more will be sent to it

Windows ask and answer whenever they like, so a role that is done does not leave before all others have heard of it and
said that they have. That takes a round trip, not their end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Mapping
from typing import Any, Final

import anyio
import anyio.abc
import anyio.lowlevel

from klorpy.core.choreography import Choreography, Definition, Site
from klorpy.core.diagnostics import KlorError
from klorpy.core.events import describe_error
from klorpy.core.keys import START, Token
from klorpy.core.types import Role
from klorpy.core.values import ATOMS, show
from klorpy.core.verdicts import PeerLost
from klorpy.outoforder.compile import flows
from klorpy.outoforder.deferred import Deferred, pending, settled
from klorpy.outoforder.envelopes import END, PARTING, Envelopes, Failed
from klorpy.outoforder.mailbox import Letter
from klorpy.outoforder.rounds import Control
from klorpy.outoforder.walker import WINDOW, Walker
from klorpy.runtime.config import Keyed, Mail, Transport
from klorpy.runtime.copying import copied

#: Steps after which other tasks of the loop have their turn.
_BREATH: Final = 100


async def drive(
    definition: Definition, pinned: Mapping[Choreography, Definition], role: Role, args: tuple[Any, ...],
    transport: Transport, order: str | None, window: int | None,
) -> Any:  # fmt: skip
    """Play `role` to its end; give what its program returned. Raises the role's failure, or the transport's."""
    try:
        async with anyio.create_task_group() as tasks:
            mail = transport.mail() if isinstance(transport, Keyed) else Envelopes(role, definition, pinned, transport, tasks)
            player = _Player(definition, pinned, role, mail, tasks, order, window)
            result = await player.run(args)
            tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        # The tasks of one role: the first failure is the role's.
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
    return result


class _Player:
    """What surrounds the walker."""

    def __init__(
        self, definition: Definition, pinned: Mapping[Choreography, Definition], role: Role, mail: Mail,
        tasks: anyio.abc.TaskGroup, order: str | None, window: int | None,
    ) -> None:  # fmt: skip
        self.role = role
        self.definition = definition
        self.mail = mail
        self.tasks = tasks
        self.carrier = definition.carrier
        self.others = [other for other in definition.roles if other != role]
        # What arrives is taken at once, so nothing but its window holds back a role that only sends, in any order.
        self.walker = Walker(role, pinned, order, self, window=window or WINDOW, bounded=True)
        #: What there was no room for: targets, values, sites and tokens.
        self.outbox: deque[tuple[Role, Any, Site, Token]] = deque()
        self.settled: deque[tuple[Deferred, Any, BaseException | None]] = deque()
        self.awaited: deque[tuple[Any, Site, Deferred]] = deque()
        self.ending = False
        #: The roles to which nothing is sent any more, and from which nothing comes.
        self.parted: set[Role] = set()

    # --- For the walker ---

    def send(self, letter: Letter) -> None:
        if letter.error is not None:
            self.mail.fail(letter.target, describe_error(letter.error), letter.site, letter.token)
        elif self.outbox or not self.mail.put(letter.target, letter.value, letter.site, letter.token):
            # It leaves later, and the role may change it meanwhile.
            value = letter.value if type(letter.value) in ATOMS else copied(letter.value, letter.site)
            self.outbox.append((letter.target, value, letter.site, letter.token))

    def tell(self, source: Role, target: Role, control: Control) -> None:
        if target not in self.parted:
            self._tell(target, list(control))

    def _tell(self, target: Role, control: list[Any]) -> None:
        if self.outbox or not self.mail.put(target, control, self.carrier, START):
            self.outbox.append((target, control, self.carrier, START))

    def wait(self, role: Role, awaitable: Any, site: Site, result: Deferred) -> None:
        self.awaited.append((awaitable, site, result))

    def check(self, role: Role, value: Any, cast: tuple[Role, ...], site: Site, token: Token) -> None:
        """One process does not see the others' copies."""

    # --- The run ---

    async def run(self, args: tuple[Any, ...]) -> Any:
        walker = self.walker
        walker.start(flows(self.definition)[self.definition.roles.index(self.role)], self.definition.roles, args)
        while True:
            walker.advance()
            taken = 0
            while walker.ready:
                walker.perform(walker.take())
                taken += 1
                if taken % _BREATH == 0:
                    await anyio.lowlevel.checkpoint()
            while self.awaited:
                self.tasks.start_soon(self._await, *self.awaited.popleft())
            if walker.error is not None:
                raise walker.error
            if walker.suffered is not None:
                raise walker.suffered[0]
            done = walker.done and not pending(walker.result)
            if done and not self.ending:
                self.ending = True
                for other in self.others:
                    if other not in self.parted:
                        self._tell(other, END)
            full = self._full()
            if done and not self.outbox and all(other in self.parted or self.mail.gone(other) for other in self.others):
                await self.mail.sent()
                return settled(walker.result)
            if not self._took():
                await self.mail.arrival(full, None if done else self._needed())

    def _took(self) -> bool:
        """Whether something had come, which the walker has now."""
        took = bool(self.settled)
        while self.settled:
            result, value, error = self.settled.popleft()
            if error is not None:
                result.fail(error)
            else:
                result.settle(value)
        for source, value, site, token in self.mail.taken():
            took = True
            if site is self.carrier:
                self._told(source, value)
            elif type(value) is Failed:
                what = f"{self.role} needs a value here that {source} could not compute: {source}: {value.cause}"
                error = PeerLost(site.diagnostic("peer-lost", what, "look at how that role failed"))
                self.walker.deliver(Letter(source, self.role, token, site, None, error))
            else:
                self.walker.deliver(Letter(source, self.role, token, site, value))
        return took

    def _full(self) -> set[Role]:
        """Send what had to stay; give the roles on the way to which there is still no room."""
        full: set[Role] = set()
        for _ in range(len(self.outbox)):
            message = self.outbox.popleft()
            if message[0] in full or not self.mail.put(*message):
                full.add(message[0])
                self.outbox.append(message)
        return full

    def _needed(self) -> tuple[Role, Site] | None:
        """What the role waits for first; if nothing more comes from some roles, first of those."""
        waiting = ((waiter.source, waiter.site) for waiters in self.walker.mailbox.waiting.values() for waiter in waiters)
        gone = set(filter(self.mail.gone, self.others))
        return min(waiting, key=lambda found: found[0] not in gone, default=None) if gone else next(waiting, None)

    def _told(self, source: Role, control: Any) -> None:
        match control:
            case ["end"] | ["parting"]:
                if control == END and not self.ending:
                    self._tell(source, PARTING)
                self.parted.add(source)
                self.mail.part(source)
            case ["want" | "have", bytes(), int()] | ["over", bytes()]:
                self.walker.hear(source, tuple(control))
            case _:
                raise KlorError(
                    self.carrier.diagnostic(
                        "protocol-mismatch", f"{source} told {self.role} what no player says: {show(control, 80)}",
                        "do all processes run the same version of klorpy?",
                    )
                )  # fmt: skip

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
        self.mail.wake()


__all__ = ["drive"]
