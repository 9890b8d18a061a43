"""What a NATS server carries for sessions, as records of their roles, without any input or output.

    subject, payload, id of a message    ->  the records that it makes known    Reading().read

The cast says who came, what is played, who left and why; the frames say what was sent, with the stamps of those who sent
it. No role says when it receives something, so there is no record of it.

Messages may come again, and early. What is missing between the frames of a direction is waited for until `settle`: it was
removed, because it had been read.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from klorpy.core.types import Role
from klorpy.core.values import show
from klorpy.runtime.limits import WireError
from klorpy.runtime.sessions.channel import DATA, Frame, ProtocolError
from klorpy.runtime.sessions.mail import is_control, site_name
from klorpy.runtime.sessions.peer import SHOWN, Record
from klorpy.runtime.transports.nats_names import ALL, name_of
from klorpy.runtime.transports.nats_packets import Cast, Unpacker, unpack_cast
from klorpy.runtime.wire import decode

log: Final = logging.getLogger("klorpy.nats")

#: Sessions that are remembered, so that what comes again of them is known.
_SESSIONS: Final = 100_000


@dataclass(slots=True, eq=False)
class _Direction:
    """From one role to another: the number that comes next, and the frames that came before their turn."""

    expected: int = 0
    unpacker: Unpacker = field(default_factory=Unpacker)
    early: dict[int, Frame] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class _Part:
    """A role of a session, as the process `run` plays it. `late` is set when its beginning may have been removed."""

    run: str = ""
    late: bool = False
    directions: dict[Role, _Direction] = field(default_factory=dict)
    #: Another process that wants to play it. The server takes it only when the role is free.
    other: Cast | None = None
    #: What it said when it left, and the same once it is told.
    leaves: Cast | None = None
    left: Cast | None = None


class Reading:
    """What is known of sessions by what was read.

    >>> from klorpy.runtime.transports.nats_packets import pack, pack_cast
    >>> reading = Reading()
    >>> cast = Cast(False, b"1234", ["A", "B"], "tell", 1)
    >>> [record.text for record in reading.read("klorpy.app.s1.A.=", pack_cast(cast), "s1/A/=here@31323334")]
    ['tell [A B]']
    >>> payload = pack([Frame(1, 0, 1, b"", b""), Frame(DATA, 1, 2, b"key", bytes([5]))])
    >>> for again in (False, True):
    ...     print([record.text for record in reading.read("klorpy.app.s1.A.B", payload, "s1/A/B/0@31323334")])
    ['5']
    []
    """

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, dict[Role, _Part]] = OrderedDict()
        #: Sessions of which something was read; whoever looks at them forgets them.
        self.heard: set[str] = set()
        #: Sessions and their roles that came and have not left.
        self.there: set[tuple[str, Role]] = set()
        #: The directions in which something is missing.
        self.gaps: set[tuple[str, Role, Role]] = set()

    def read(self, subject: str, payload: bytes, id: str = "") -> list[Record]:
        """The records that a message makes known."""
        *_, session, source, target = subject.split(".")
        session, role = name_of(session), name_of(source)
        self.heard.add(session)
        parts = self._sessions.setdefault(session, {})
        if len(self._sessions) > _SESSIONS:
            self._sessions.popitem(last=False)
        part = parts.setdefault(role, _Part())
        if target == ALL:
            return list(self._cast(session, role, part, payload))
        run = id.rpartition("@")[2].partition("~")[0]
        return list(self._frames(session, role, part, name_of(target), payload, run))

    def settle(self) -> list[Record]:
        """Wait no longer for what is missing; the records say how much that is."""
        found: list[Record] = []
        for session, parts in self._sessions.items():
            for role, part in parts.items():
                part.late = True
                for target, direction in part.directions.items():
                    while direction.early:
                        found.append(_skip(session, role, target, direction))
                        found += self._ready(session, role, target, direction)
                found += self._leave(session, role, part)
        return found

    def gone(self, session: str, role: Role) -> None:
        """The process of a role is not there any more: nothing more comes of it."""
        self.there.discard((session, role))

    def _cast(self, session: str, role: Role, part: _Part, payload: bytes) -> Iterable[Record]:
        cast = unpack_cast(payload)
        if cast is None:
            return
        run = _run(cast)
        if cast.left:
            if part.run in ("", run) and part.leaves is None:
                part.run, part.leaves = run, cast
                yield from self._leave(session, role, part)
        elif not part.run:
            part.run = run
            yield self._join(session, role, cast)
        elif part.run != run:
            part.other = cast

    def _frames(self, session: str, role: Role, part: _Part, target: Role, payload: bytes, run: str) -> Iterable[Record]:
        if run and run != part.run:
            yield from self._begin_again(session, role, part, run)
        direction = part.directions.setdefault(target, _Direction())
        try:
            frames = direction.unpacker.feed(payload, direction.expected)
        except ProtocolError as error:
            log.warning("session %s: what %s sent to %s is ignored: %s", session, role, target, error.message)
            return
        for frame in frames:
            if frame.number >= direction.expected:
                direction.early.setdefault(frame.number, frame)
        if part.late and direction.expected == 0 and direction.early and 0 not in direction.early:
            yield _skip(session, role, target, direction)
        yield from self._ready(session, role, target, direction)
        yield from self._leave(session, role, part)

    def _begin_again(self, session: str, role: Role, part: _Part, run: str) -> Iterable[Record]:
        """Another process plays the role: the server has let it in, since frames of it came."""
        other, known = part.other, part.run
        part.run, part.other = run, None
        if known:
            self.gaps -= {(session, role, target) for target in part.directions}
            part.directions.clear()
            part.leaves, part.late = None, False
        if other is not None and _run(other) == run:
            yield self._join(session, role, other)

    def _join(self, session: str, role: Role, cast: Cast) -> Record:
        self.there.add((session, role))
        return Record(session, role, cast.stamp, "joined", text=f"{cast.name} [{' '.join(cast.roles)}]")

    def _leave(self, session: str, role: Role, part: _Part) -> Iterable[Record]:
        """That the role has left, once all is known that it sent."""
        if part.leaves is None or part.left is part.leaves or any(d.early for d in part.directions.values()):
            return
        part.left = part.leaves
        self.there.discard((session, role))
        where, cause = part.left.failed or ("", "")
        yield Record(session, role, part.left.stamp, "left", where, text=cause)

    def _ready(self, session: str, role: Role, target: Role, direction: _Direction) -> Iterable[Record]:
        while (frame := direction.early.pop(direction.expected, None)) is not None:
            direction.expected += 1
            if frame.kind == DATA and not is_control(frame.key):
                key = site_name(frame.key)
                yield Record(session, role, frame.stamp, "sent", target, frame.number, key, _text(frame.body))
        (self.gaps.add if direction.early else self.gaps.discard)((session, role, target))


def _run(cast: Cast) -> str:
    """The process as it stands in the ids of messages."""
    return cast.identity.hex()[:8]


def _skip(session: str, role: Role, target: Role, direction: _Direction) -> Record:
    """That messages are missing: of the beginning, or in between. Goes on at the next that is there."""
    number = min(direction.early)
    before, direction.expected = direction.expected, number
    stamp = direction.early[number].stamp
    if before == 0:
        return Record(session, role, stamp, "present", target, number)
    return Record(session, role, stamp, "missed", target, number - before)


def _text(body: bytes) -> str:
    """A value as it is shown."""
    try:
        return show(decode(body), SHOWN)
    except WireError as error:
        # The classes of the choreography's file are known only to those who loaded it.
        return f"<{error.message}>"
