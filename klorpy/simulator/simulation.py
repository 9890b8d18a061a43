"""What a simulation leaves: results, messages, outputs, failures, and the verdict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any

from klorpy.core.choreography import Choreography
from klorpy.core.diagnostics import Diagnostic, KlorError
from klorpy.core.events import Blocked, Event, Message
from klorpy.core.types import Role
from klorpy.core.values import show
from klorpy.simulator.schedule import Seed

if TYPE_CHECKING:
    from klorpy.simulator.clock import Timeline


@dataclass(eq=False, repr=False)
class Simulation:
    """A run of all roles of a choreography.

    `results` has a value or `noop` for each role that reached its end, `failures` the exception of each that did
    not, `blocked` those that were still waiting. `seed` replays the run.
    """

    choreography: Choreography
    seed: Seed
    results: dict[Role, Any] = field(default_factory=dict)
    failures: dict[Role, BaseException] = field(default_factory=dict)
    blocked: dict[Role, Blocked] = field(default_factory=dict)
    outputs: dict[Role, str] = field(default_factory=dict)
    #: Messages that were sent, but that nobody received.
    unread: list[Message] = field(default_factory=list)
    #: The one cause of failure; None when all went well.
    verdict: ChoreographyFailed | None = None
    _trace: list[Any] | None = field(default=None)
    #: When what happened, if the run had a clock.
    timeline: Timeline | None = None
    #: The roles that ran. (Those of `choreography` change when it is defined anew.)
    roles: tuple[Role, ...] = ()
    #: Whether messages of a channel had to arrive in the order of the program.
    in_order: bool = True

    def __post_init__(self) -> None:
        self.roles = self.roles or self.choreography.roles

    def __getitem__(self, role: Role) -> Any:
        """The result of a role. Raises KeyError for a role that has none."""
        __tracebackhide__ = True
        if str(role) not in self.results:
            raise KeyError(f"{role} has no result; there are results of: {', '.join(self.results) or 'nobody'}")
        return self.results[str(role)]

    @cached_property
    def events(self) -> list[Event]:
        """What happened, in order: deliveries, printed lines, exits and failures.

        Raises KlorError `no-trace` when the run was started with `trace=False`.
        """
        if self._trace is None:
            raise KlorError("the run kept no trace", slug="no-trace", help="run it with trace=True, the default")
        return list(_events(self._trace))

    @cached_property
    def messages(self) -> list[Message]:
        """The messages in the order of delivery."""
        return [event for event in self.events if isinstance(event, Message)]

    def channel(self, source: Role, target: Role) -> list[Any]:
        """The values that `target` received from `source`, in order. Raises KlorError `role-not-part`."""
        __tracebackhide__ = True
        source, target = str(source), str(target)
        for role in (source, target):
            if role not in self.roles:
                raise KlorError(
                    f"{role!r} is not a role of {self.choreography.name}",
                    slug="role-not-part",
                    help=f"its roles are [{' '.join(self.roles)}]",
                )
        return [m.value for m in self.messages if m.source == source and m.target == target]

    def lines(self) -> Iterator[str]:
        """The run as text, a line an event."""
        for event in self.events:
            yield str(event)
        for blocked in self.blocked.values():
            yield str(blocked)
        for message in self.unread:
            yield f"{message} was never received"

    def log(self, file: IO[str] | None = None) -> None:
        """Print the run: `A --> B: 5`, `A: what A printed`, `A exited normally`, `B exited abruptly: …`.

        A message stands where it was delivered, which may be after its sender has ended.
        """
        for line in self.lines():
            print(line, file=file)

    def __repr__(self) -> str:
        results = ", ".join(f"{role}: {show(value, 60)}" for role, value in self.results.items())
        state = "failed" if self.verdict else "ok"
        number = None if self._trace is None else len(self.messages)
        count = "" if number is None else f", {number} message{'' if number == 1 else 's'}"
        return f"<simulation of {self.choreography.name}: {state}, {{{results}}}{count}>"


def _events(trace: list[Any]) -> Iterator[Event]:
    """The scheduler notes a delivery as five entries: the source and the parts of the SEND. Others are events."""
    entries = iter(trace)
    for entry in entries:
        if isinstance(entry, str):
            _, target, value, site = next(entries), next(entries), next(entries), next(entries)
            yield Message(entry, target, value, site)
        else:
            yield entry


class ChoreographyFailed(KlorError):
    """A run ended without all results. The cause is the first failure; `simulation` holds all that is known.

    `role` is the role that failed first; None for a deadlock or when the time was over.
    """

    __module__ = "klorpy"

    default_slug = "choreography-failed"

    def __init__(self, diagnostic: Diagnostic, simulation: Simulation, role: Role | None) -> None:
        super().__init__(diagnostic)
        self.simulation = simulation
        self.role = role
