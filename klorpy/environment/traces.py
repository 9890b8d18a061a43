"""What roles in different processes report, as the events of one run.

    record of a merged stream  ->  events             Story.tell
    records of a session       ->  a run to draw      run_of

Values are known as text only: that is what observers are sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from klorpy.core.choreography import Choreography, Site
from klorpy.core.diagnostics import Diagnostic, KlorError
from klorpy.core.events import Event, Exited, Failed, Message, Printed
from klorpy.core.types import Agreement, Arrow, Role, Signature
from klorpy.core.values import noop
from klorpy.runtime.sessions import Record, in_order, sites_by_key
from klorpy.simulator import ChoreographyFailed, Simulation


@dataclass(frozen=True, slots=True)
class Shown:
    """A value of which only its text is known."""

    text: str

    def __repr__(self) -> str:
        return self.text


class Story:
    """The events of one session, told from its merged records.

    A message is an event when it is received; when its receiver is not among the `observed` roles, when it is sent. A
    role fails when it, or another, says that it did, since whoever was killed says nothing. When the records are
    `complete`, all roles are observed, and what others say of one does not count. Without `receipts` nobody says what is
    received, and a message is an event when it is sent. `sites` are the choreography's.

    >>> story = Story()
    >>> for record in [Record("s", "B", 4, "left", "A", text="the connection was closed"), Record("s", "C", 4, "left")]:
    ...     print(*story.tell(record))
    A exited abruptly: the connection was closed
    C exited normally
    """

    def __init__(
        self, sites: Mapping[bytes, Site] | None = None, complete: bool = False, observed: Iterable[Role] = (),
        receipts: bool = True,
    ) -> None:  # fmt: skip
        self.complete = complete
        self.receipts = receipts
        #: Who joined under our eyes, and the messages to others that were told.
        self.observed = set(observed)
        self._told: set[tuple[Role, Role, int]] = set()
        self.sites = sites or {}
        #: The choreography's name and roles, once somebody has joined.
        self.name = ""
        self.roles: tuple[Role, ...] = ()
        #: Roles by how they left, and those of whom others say that they failed.
        self.left: dict[Role, str] = {}
        self.failed: dict[Role, str] = {}

    def tell(self, record: Record) -> list[Event]:
        match record.kind:
            case "joined":
                self.name, _, roles = record.text.removesuffix("]").rpartition(" [")
                self.roles = tuple(roles.split())
                self.observed.add(record.role)
            case "sent" if not self.receipts or (not self.complete and record.peer not in self.observed):
                self._told.add((record.role, record.peer, record.number))
                return [self._message(record, record.role, record.peer)]
            case "received" if (record.peer, record.role, record.number) not in self._told:
                return [self._message(record, record.peer, record.role)]
            case "printed":
                return [Printed(record.role, record.text)]
            case "left":
                return self._left(record)
        return []

    def _message(self, record: Record, source: Role, target: Role) -> Message:
        return Message(source, target, Shown(record.text), self.sites.get(record.key))

    def _left(self, record: Record) -> list[Event]:
        self.left[record.role] = record.peer
        if not record.peer:
            return [Exited(record.role, noop)]
        if record.peer in self.failed or (self.complete and record.peer != record.role):
            return []
        self.failed[record.peer] = record.text
        return [Failed(record.peer, _cause(record.text))]

    @property
    def over(self) -> bool:
        """Whether all roles have left."""
        return bool(self.roles) and all(role in self.left for role in self.roles)


def _cause(text: str) -> KlorError:
    # As an event, an error is its message.
    return KlorError(text, slug="session-failed")


def sites_of(chor: Choreography) -> dict[bytes, Site]:
    """The sites of a choreography by the keys that records have."""
    return sites_by_key(chor)


def run_of(
    records: Iterable[Record], chor: Choreography | None = None, results: Mapping[Role, Any] | None = None,
    complete: bool = False, receipts: bool = True,
) -> Simulation:  # fmt: skip
    """The run of a session as far as its records tell it, in the one order that they have; for charts and tables.

    `results` are those of the roles that have one to show; for `complete` and `receipts` see Story.
    """
    ordered = in_order(records)
    observed = {record.role for record in ordered}
    story = Story(sites_of(chor) if chor is not None else None, complete, observed, receipts)
    events: list[Event] = []
    pending: dict[tuple[Role, Role, int], Message] = {}
    for record in ordered:
        events += story.tell(record)
        if record.kind == "sent" and receipts and record.peer in observed:
            message = Message(record.role, record.peer, Shown(record.text), story.sites.get(record.key))
            pending[record.role, record.peer, record.number] = message
        elif record.kind == "received":
            pending.pop((record.peer, record.role, record.number), None)
    roles = story.roles or (chor.roles if chor is not None else ())
    found = chor if chor is not None else _named(story.name, roles)
    run = Simulation(found, 0, _trace=events, roles=roles)
    run.results = {role: (results or {}).get(role, noop) for role, why in story.left.items() if not why}
    if observed and not story.failed and all(role in story.left for role in observed):
        # Those that nobody observed have ended as well, as far as the others are concerned.
        run.results.update((role, noop) for role in roles if role not in observed)
    run.failures = {role: _cause(text) for role, text in story.failed.items()}
    # What is on its way to a role that is still there is not lost.
    run.unread = [message for message in pending.values() if message.target in story.left]
    if story.failed:
        role, text = next(iter(story.failed.items()))
        diagnostic = Diagnostic("choreography-failed", f"{found.name} failed at {role}: {text}")
        run.verdict = ChoreographyFailed(diagnostic, run, role)
    return run


def _named(name: str, roles: tuple[Role, ...]) -> Choreography:
    """A choreography of which nothing else is known."""
    return Choreography(name, "", Signature(roles, Arrow((), Agreement(frozenset(roles)), frozenset())))
