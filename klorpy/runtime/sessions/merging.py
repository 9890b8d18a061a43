"""One causally ordered stream from what several roles of a session report.

    records of several roles, as they arrive    ->  records, every cause before its effects    Merge
    all records of a session                    ->  their one order                            in_order

Each role's records arrive in their order; the roles' among each other in any. A message is received after it was sent:
that, and the order at each role, is all that causality is here. What is emitted live depends on what arrives first, as
it must if nothing is to wait for a role that is silent; `in_order` does not. Source: Lamport, Time, clocks, and the
ordering of events in a distributed system (1978).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from klorpy.core.types import Role
from klorpy.runtime.sessions.peer import Record


class Merge:
    """The records of one session, put together while they arrive.

    A record is held back while the message that it receives is not known to have been sent. `present` records tell from
    which message of a direction on the sender is followed.

    >>> merge = Merge()
    >>> merge.add(Record("s", "B", 2, "received", "A", 1, text="5"))
    []
    >>> [record.kind for record in merge.add(Record("s", "A", 1, "sent", "B", 1, text="5"))]
    ['sent', 'received']
    """

    def __init__(self) -> None:
        self._waiting: dict[Role, deque[Record]] = {}
        #: How far each direction is known: the number after the last message that was sent.
        self._sent: dict[tuple[Role, Role], int] = {}
        #: Roles whose messages are not waited for.
        self._unknown: set[Role] = set()

    def add(self, record: Record) -> list[Record]:
        """What can be told now that `record` has arrived, the next of its role."""
        self._waiting.setdefault(record.role, deque()).append(record)
        return self._ready()

    def without(self, role: Role) -> list[Record]:
        """What can be told when nothing more comes from `role`, or never came anything."""
        self._unknown.add(role)
        return self._ready()

    @property
    def missed(self) -> frozenset[Role]:
        """The roles whose records are missing: others have received messages from them that are not known to be sent."""
        waited = frozenset(queue[0].peer for queue in self._waiting.values() if queue)
        # Who waits as well is not to blame; in a circle, which only lost records can make, everybody is.
        return frozenset(role for role in waited if not self._waiting.get(role)) or waited

    def _ready(self) -> list[Record]:
        told: list[Record] = []
        before = -1
        while len(told) > before:
            before = len(told)
            for role in sorted(self._waiting):
                queue = self._waiting[role]
                while queue and self._is_ready(queue[0]):
                    told.append(self._tell(queue.popleft()))
        return told

    def _is_ready(self, record: Record) -> bool:
        if record.kind != "received" or record.peer in self._unknown:
            return True
        return self._sent.get((record.peer, record.role), 0) > record.number

    def _tell(self, record: Record) -> Record:
        if record.kind == "sent":
            self._sent[record.role, record.peer] = record.number + 1
        elif record.kind == "present":
            self._sent[record.role, record.peer] = record.number
        return record


def in_order(records: Iterable[Record]) -> list[Record]:
    """All records of a session in the order of their stamps; roles by name where those are equal.

    `records` has each role's in their order. Causes come before their effects, also when some records are missing.
    """
    count: dict[Role, int] = {}
    keyed = []
    for record in records:
        number = count[record.role] = count.get(record.role, 0) + 1
        keyed.append((record.stamp, record.role, number, record))
    return [record for *_, record in sorted(keyed, key=lambda item: item[:3])]
