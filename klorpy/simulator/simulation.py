"""What a simulation leaves: results, messages, outputs, failures, and the verdict."""

from __future__ import annotations

import linecache
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import IO, Any

from klorpy.core.choreography import Choreography
from klorpy.core.diagnostics import Diagnostic, KlorError
from klorpy.core.events import Blocked, Event, Message, describe_error
from klorpy.core.spans import Source, Span
from klorpy.core.types import Role
from klorpy.simulator.schedule import Seed


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
    #: The one cause of failure; None when all went well.
    verdict: ChoreographyFailed | None = None
    _trace: list[Any] | None = field(default=None)

    def __getitem__(self, role: Role) -> Any:
        """The result of a role. Raises KeyError for a role that has none."""
        return self.results[str(role)]

    @cached_property
    def events(self) -> list[Event]:
        """What happened, in order: deliveries, printed lines, exits and failures.

        Raises KlorError `no-trace` when the run was started with `trace=False`.
        """
        if self._trace is None:
            raise KlorError("the run kept no trace", slug="no-trace", help="run it with trace=True, the default")
        return [_event(entry) for entry in self._trace]

    @cached_property
    def messages(self) -> list[Message]:
        """The messages in the order of delivery."""
        return [event for event in self.events if isinstance(event, Message)]

    def channel(self, source: Role, target: Role) -> list[Any]:
        """The values that `target` received from `source`, in order."""
        source, target = str(source), str(target)
        return [m.value for m in self.messages if m.source == source and m.target == target]

    def lines(self) -> Iterator[str]:
        """The run as text, a line an event."""
        for event in self.events:
            yield str(event)
        for blocked in self.blocked.values():
            yield str(blocked)

    def log(self, file: IO[str] | None = None) -> None:
        """Print the run: `A --> B: 5`, `A: what A printed`, `A exited normally`, `B exited abruptly: …`."""
        for line in self.lines():
            print(line, file=file)

    def __repr__(self) -> str:
        results = ", ".join(f"{role}: {value!r}" for role, value in self.results.items())
        state = "failed" if self.verdict else "ok"
        count = "" if self._trace is None else f", {len(self.messages)} messages"
        return f"<simulation of {self.choreography.name}: {state}, {{{results}}}{count}>"


def _event(entry: Any) -> Event:
    """The scheduler notes a delivery as (source, command)."""
    if type(entry) is tuple:
        source, (_, target, value, site) = entry
        return Message(source, target, value, site)
    event: Event = entry
    return event


class ChoreographyFailed(KlorError):
    """A run ended without all results. The cause is the first failure; `simulation` holds all that is known.

    `role` is the role that failed first; None for a deadlock or when the time was over.
    """

    default_slug = "choreography-failed"

    def __init__(self, diagnostic: Diagnostic, simulation: Simulation, role: Role | None) -> None:
        super().__init__(diagnostic)
        self.simulation = simulation
        self.role = role


def judge(
    simulation: Simulation, first: Role | None, deadlock: bool, timed_out: bool, filenames: Mapping[str, Source]
) -> ChoreographyFailed | None:
    """The verdict: the first failure with its role and place, a deadlock with who waits for whom, or the time."""
    name = simulation.choreography.name
    waiting = tuple(str(blocked) for blocked in simulation.blocked.values())
    seed = f"seed={simulation.seed!r} replays this run"
    if first is not None:
        error = simulation.failures[first]
        span, source = find_place(error, filenames)
        own = error if isinstance(error, KlorError) else None
        verdict = ChoreographyFailed(
            Diagnostic(
                "choreography-failed", f"{name} failed at {first}: {describe_error(error)}", span,
                label=f"{first} failed here" if span else "",
                notes=(*((f"error [{own.slug}]",) if own else ()), *waiting),
                help=own.help if own else seed, source=source,
            ),
            simulation, first,
        )  # fmt: skip
        verdict.__cause__ = error
        return verdict
    if timed_out:
        diagnostic = Diagnostic("timeout", f"{name} did not end in time", notes=waiting, help=seed)
        return ChoreographyFailed(diagnostic, simulation, None)
    if deadlock:
        blocked = next(iter(simulation.blocked.values()))
        source = filenames.get(blocked.site.filename)
        diagnostic = Diagnostic(
            "deadlock", f"{name} is stuck: {'; '.join(waiting)}", blocked.site.span, notes=waiting, source=source,
            label=f"{blocked.role} waits here",
            help="the roles took different ways: look for an agreement that does not hold, with sanitize=True",
        )  # fmt: skip
        return ChoreographyFailed(diagnostic, simulation, None)
    return None


def find_place(error: BaseException, filenames: Mapping[str, Source]) -> tuple[Span | None, Source | None]:
    """The innermost form of the user's text that an exception passed through, in files of the choreography."""
    span = None
    source = None
    if isinstance(error, KlorError) and error.span is not None:
        return error.span, error.diagnostic.source or next(iter(filenames.values()), None)
    tb = error.__traceback__
    while tb is not None:
        filename = tb.tb_frame.f_code.co_filename
        if filename in filenames:
            place = _position(tb)
            if place is not None:
                span, source = place, filenames[filename]
        tb = tb.tb_next
    return span, source


def _position(tb: types.TracebackType) -> Span | None:
    for i, (line, end_line, column, end_column) in enumerate(tb.tb_frame.f_code.co_positions()):
        if i == tb.tb_lasti // 2 and line is not None:
            if end_line is None or column is None or end_column is None:
                return Span(line, 1, line, 1)
            return Span(line, column + 1, end_line, max(end_column, column + 1))
    return None


def source_of(filename: str) -> Source:
    return Source(filename, "".join(linecache.getlines(filename)))
