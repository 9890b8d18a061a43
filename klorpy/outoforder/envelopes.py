"""Messages with keys over a transport that has but three verbs: the key travels with the value, in an envelope.

    message   [token, site, value]             at the carrier site of the definition
    failure   [token, site, cause, "failed"]   in the place of a value that could not be computed
    control   [value]                          what players tell each other (see `klorpy.outoforder.play`)

So any transport carries them, and a role that plays without keys is found out. A task for each other role takes what
arrives; none of them runs anything of the user.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import anyio
import anyio.abc

from klorpy.core.choreography import Choreography, Definition, Site
from klorpy.core.diagnostics import KlorError
from klorpy.core.keys import START, Token
from klorpy.core.types import Role
from klorpy.core.values import ATOMS
from klorpy.runtime.config import Transport
from klorpy.runtime.copying import copied

#: A role is done, and sends nothing any more; and the answer to that: nothing more will be sent to it.
END: Final = ["end"]
PARTING: Final = ["parting"]


@dataclass(frozen=True, slots=True)
class Failed:
    """What a role sends in the place of a value that it could not compute."""

    cause: str


class Envelopes:
    """The messages of one role with their keys; see `klorpy.runtime.config.Mail`."""

    def __init__(
        self, role: Role, definition: Definition, pinned: Mapping[Choreography, Definition], transport: Transport,
        tasks: anyio.abc.TaskGroup,
    ) -> None:  # fmt: skip
        self._role = role
        self._carrier = definition.carrier
        self._transport = transport
        self._names = _site_names(pinned)
        self._sites = {name: site for site, name in self._names.items()}
        self._outbox: deque[tuple[Role, list[Any]]] = deque()
        self._inbox: deque[tuple[Role, Any]] = deque()
        self._gone: dict[Role, BaseException] = {}
        self._event = anyio.Event()
        for other in definition.roles:
            if other != role:
                tasks.start_soon(self._receive_from, other)

    def put(self, target: Role, value: Any, site: Site, token: Token) -> bool:
        """Keep a value until the next `arrival` sends it."""
        if site is self._carrier:
            self._outbox.append((target, [value]))
        else:
            # The role may change it meanwhile.
            kept = value if type(value) in ATOMS else copied(value, site)
            self._outbox.append((target, [token, self._names[site], kept]))
        return True

    def fail(self, target: Role, cause: str, site: Site, token: Token) -> None:
        self._outbox.append((target, [token, self._names[site], cause, "failed"]))

    def taken(self) -> Iterator[tuple[Role, Any, Site, Token]]:
        """What has arrived. Raises KlorError for a value without a key."""
        while self._inbox:
            source, envelope = self._inbox.popleft()
            match envelope:
                case [bytes() as token, bytes() as name, value] if name in self._sites:
                    yield source, value, self._sites[name], token
                case [bytes() as token, bytes() as name, str() as cause, "failed"] if name in self._sites:
                    yield source, Failed(cause), self._sites[name], token
                case [value]:
                    yield source, value, self._carrier, START
                case _:
                    raise KlorError(
                        self._carrier.diagnostic(
                            "protocol-mismatch", f"{source} sent {self._role} a value without a key",
                            "let all roles say an order, or none",
                        )
                    )  # fmt: skip

    def part(self, role: Role) -> None:
        """The task that receives has ended: see `_receive_from`."""

    def gone(self, role: Role) -> bool:
        return role in self._gone

    async def arrival(self, full: Iterable[Role], needed: tuple[Role, Site] | None) -> None:
        """Send what was put, and wait until something has come or `wake` is called. Raises what a role left with."""
        await self.sent()
        if needed is not None and needed[0] in self._gone:
            raise self._gone[needed[0]]
        if not self._inbox:
            await self._event.wait()
        self._event = anyio.Event()

    async def sent(self) -> None:
        """Send what was put."""
        # What arrives meanwhile is taken by the tasks that receive, so a full window opens again.
        while self._outbox:
            target, envelope = self._outbox.popleft()
            await self._transport.send(target, envelope, self._carrier)

    def wake(self) -> None:
        self._event.set()

    async def _receive_from(self, source: Role) -> None:
        try:
            while True:
                envelope = await self._transport.receive(source, self._carrier)
                self._inbox.append((source, envelope))
                self._event.set()
                if envelope in ([END], [PARTING]):
                    return  # what comes after it is not for this run
        except KlorError as error:
            # That it left, or that the session failed: it matters when something is waited for.
            self._gone[source] = error
            self._event.set()


def _site_names(pinned: Mapping[Choreography, Definition]) -> dict[Site, bytes]:
    """For each site that a run can pass, four bytes that name it: the same in every process that plays the same text."""
    names = {}
    for number, definition in enumerate(sorted(pinned.values(), key=lambda found: found.name)):
        for site in definition.sites:
            names[site] = number.to_bytes(2, "big") + site.index.to_bytes(2, "big")
    return names
