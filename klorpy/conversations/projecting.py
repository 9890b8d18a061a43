"""Roles that are played elsewhere, as endpoints of a world: what a relay between processes shows of the other side.

    a role that has come           ->  an endpoint of the relay of its host             came
    a role that has left           ->  its absence, with the reason                     went
    a host that cannot be reached  ->  the absence of all roles there                   unreachable

Each host has one relay, a process of the world; `HERE` is this process itself, where each role is a process of its own.
Whoever observes the world sees no difference but the instance, `(host, number)`. A role that comes again is another
instance.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Final

from klorpy.conversations.actions import Add, Delete, Endpoint, Pid, Quit, Send, publisher
from klorpy.conversations.pattern import Sealed
from klorpy.conversations.players import DONE, role_topic
from klorpy.conversations.presence import World
from klorpy.core.choreography import Site
from klorpy.core.types import Role

#: The host of roles that are played in this process.
HERE: Final = "here"
#: The process that repeats what is said.
TRACE: Final = "trace"


@dataclass(frozen=True, slots=True)
class Shown:
    """A role that is shown: where it is played, and the process and the endpoint of the world that stand for it."""

    chor: str
    host: str
    pid: Pid
    endpoint: Any


class Projection:
    """What a world shows of roles that it does not play itself.

    >>> import anyio
    >>> from klorpy.conversations import PUB
    >>> async def main():
    ...     async with World() as world:
    ...         shown = Projection(world)
    ...         shown.came("ask", "s1", "B", "10.0.0.7:4000")
    ...         for peer, topic in world.query(PUB, role_topic("ask", "s1")):
    ...             print(topic)
    ...         shown.close()
    >>> anyio.run(main)
    ('role', 'ask', 's1', 'B', ('10.0.0.7:4000', 1))
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self._relays: dict[str, Pid] = {}
        self._roles: dict[tuple[str, Role], Shown] = {}
        self._numbers: dict[tuple[str, Role], int] = defaultdict(int)

    def came(self, chor: str, session: str, role: Role, host: str) -> None:
        """A role is played at a host; one that is shown already stays as it is."""
        if (session, role) in self._roles:
            return
        self._numbers[session, role] += 1
        instance = (host, self._numbers[session, role])
        name: Any = ("role", session, role)
        endpoint = Endpoint(name, publisher(role_topic(chor, session, role, instance)))
        if host == HERE:
            pid = self.world.start(Add(endpoint), name=f"{role} of {session}")
        else:
            if host not in self._relays:
                self._relays[host] = self.world.start(*_alive(host), name=f"relay {host}", state=())
            pid = self._relays[host]
            self.world.perform(pid, Add(endpoint))
        self._roles[session, role] = Shown(chor, host, pid, name)

    def went(self, session: str, role: Role, reason: Any) -> None:
        """A role has left."""
        shown = self._roles.pop((session, role), None)
        if shown is not None:
            action = Quit(reason) if shown.host == HERE else Delete(shown.endpoint, reason)
            self.world.perform(shown.pid, action)

    def unreachable(self, host: str) -> None:
        """There is no way to a host any more: its relay ends, and all roles there are gone at once."""
        pid = self._relays.pop(host, None)
        if pid is not None:
            self._roles = {key: shown for key, shown in self._roles.items() if shown.pid != pid}
            self.world.perform(pid, Quit(self.since(host)))

    def since(self, host: str) -> tuple[str, str, float]:
        """The reason of those whose host cannot be reached from now on."""
        return ("unreachable", host, self.world.ground.clock.now())

    def host_of(self, session: str, role: Role) -> str | None:
        """Where a role is shown to be played; None when it is not."""
        shown = self._roles.get((session, role))
        return None if shown is None else shown.host

    def said(
        self, chor: str, session: str, source: Role, target: Role, step: int, site: Site | None, text: str
    ) -> None:
        """A message that went from role to role, for whoever observes; `text` is its value as it is shown."""
        if TRACE not in self._relays:
            self._relays[TRACE] = self.world.start(*_alive(TRACE), name=TRACE, state=())
        self.world.perform(
            self._relays[TRACE], Send(("msg", chor, session, source, target, step, Sealed((site, text))))
        )

    def close(self) -> None:
        """Show nothing more."""
        for session, role in list(self._roles):
            self.went(session, role, "nobody looks there any more")
        for pid in self._relays.values():
            self.world.perform(pid, Quit(DONE))
        self._relays.clear()


def _alive(host: str) -> tuple[Add, ...]:
    """A relay is in the world while its host can be reached: a process that takes part in nothing would be collected."""
    return (Add(Endpoint("host", publisher(("host", host)))),)
