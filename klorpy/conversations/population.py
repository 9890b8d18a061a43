"""Who is there, counted: a helper for handlers that do not care who it is.

The kernel tells of each peer by itself. A handler that only wants to know whether there is anybody keeps a `Population` in
its state, which tells the first arrival and the last departure from all others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from klorpy.conversations.actions import Absence, Add, Answer, Handler, Peer, Presence, Query
from klorpy.conversations.pattern import Topic


@dataclass(frozen=True, slots=True)
class Population:
    """Peers with the topics that they were seen with.

    >>> from klorpy.conversations import Pid, publisher
    >>> ann = Presence(publisher("chat"), Peer(Pid(1, "ann"), "me"))
    >>> after = Population().after(ann)
    >>> len(after), after.arose(Population()), after.fell(Population())
    (1, True, False)
    """

    present: dict[tuple[Peer, str], Topic] = field(default_factory=dict)

    def after(self, event: Presence | Absence) -> Population:
        """The population when `event` has happened."""
        key = (event.peer, repr(event.role.topic))
        if isinstance(event, Presence):
            return Population({**self.present, key: event.role.topic})
        return Population({other: topic for other, topic in self.present.items() if other != key})

    def __len__(self) -> int:
        return len(self.peers)

    @property
    def peers(self) -> frozenset[Peer]:
        return frozenset(peer for peer, _ in self.present)

    def arose(self, before: Population) -> bool:
        """Whether there is somebody now, and was nobody before."""
        return bool(self.present) and not before.present

    def fell(self, before: Population) -> bool:
        """Whether there is nobody now, and was somebody before."""
        return bool(before.present) and not self.present


def ready(joined: Add, then: Handler) -> list[Any]:
    """Take part, and learn when all who are there now have been told of: `then(count, state)` with their number.

    Presences come one by one; that there are none is told by nothing but this.

    >>> from klorpy.conversations import Kernel, role, subscriber
    >>> kernel = Kernel()
    >>> counts = []
    >>> pid = kernel.start("ann", ready(role("in", subscriber("chat")), lambda count, state: counts.append(count)))
    >>> kernel.run(), counts
    (True, [0])
    """
    plays = joined.endpoint.role

    def answered(answer: Answer, state: Any) -> Any:
        return then(len(answer.found), state)

    return [joined, Query(plays.orientation.opposite, plays.topic, answered)]
