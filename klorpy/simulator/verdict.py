"""The verdict of a run: the first failure with its role and place, who waits for whom, what nobody received, or the time.

A run has one verdict, however many roles suffer from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from klorpy.core.choreography import Definition, Site
from klorpy.core.diagnostics import Diagnostic, KlorError
from klorpy.core.events import describe_error
from klorpy.core.types import Role
from klorpy.runtime.places import find_place
from klorpy.simulator.simulation import ChoreographyFailed, Simulation

_CALLS_SHOWN = 5
_DIFFERENT_WAYS = "the roles took different ways: look for an agreement that does not hold, with sanitize=True"


def judge(
    simulation: Simulation, first: Role | None, trail: Sequence[Site], timed_out: bool,
    definitions: Iterable[Definition],
) -> ChoreographyFailed | None:  # fmt: skip
    """The verdict of a run in which the role `first` failed first, if any did, in the calls of `trail`.

    None when all went well.
    """
    name = simulation.choreography.name
    waiting = tuple(str(blocked) for blocked in simulation.blocked.values())
    replay = f"seed={simulation.seed!r} replays this run"
    if first is not None:
        calls = [f"called at {site}" for site in trail[:_CALLS_SHOWN]]
        if len(trail) > _CALLS_SHOWN:
            calls.append(f"… and {len(trail) - _CALLS_SHOWN} calls around these")
        return _failure(simulation, first, (*calls, *waiting), replay, definitions)
    if timed_out:
        diagnostic = Diagnostic(
            "timeout", f"{name} did not end in time", notes=waiting,
            help="is there a loop that never ends? If it needs longer, give a longer timeout",
        )  # fmt: skip
        return ChoreographyFailed(diagnostic, simulation, None)
    if simulation.blocked:
        blocked = next(iter(simulation.blocked.values()))
        site = blocked.site
        diagnostic = Diagnostic(
            "deadlock", f"{name} is stuck: {_who_waits(simulation)}", site.span, label=f"{blocked.role} waits here",
            notes=waiting[1:], help=_DIFFERENT_WAYS, source=site.source,
        )  # fmt: skip
        return ChoreographyFailed(diagnostic, simulation, None)
    if simulation.unread:
        notes = tuple(f"{message}, sent at {message.site}" for message in simulation.unread[:10])
        sent_at = simulation.unread[0].site
        assert sent_at is not None
        diagnostic = Diagnostic(
            "unread-message", f"{name} ended, but {simulation.unread[0].target} never received what "
            f"{simulation.unread[0].source} sent", sent_at.span, label="sent here", notes=notes,
            help=_DIFFERENT_WAYS, source=sent_at.source,
        )  # fmt: skip
        return ChoreographyFailed(diagnostic, simulation, None)
    return None


def _who_waits(simulation: Simulation) -> str:
    return ", ".join(f"{b.role} waits for {b.waits_for or 'host code'}" for b in simulation.blocked.values())


def _failure(
    simulation: Simulation, first: Role, waiting: tuple[str, ...], replay: str, definitions: Iterable[Definition]
) -> ChoreographyFailed:
    error = simulation.failures[first]
    own = error if isinstance(error, KlorError) else None
    has_place = own is not None and own.span is not None
    span, source = (own.span, own.diagnostic.source) if own and has_place else find_place(error, definitions)
    verdict = ChoreographyFailed(
        Diagnostic(
            "choreography-failed", f"{simulation.choreography.name} failed at {first}: {describe_error(error)}", span,
            label=f"{first} failed here" if span else "",
            notes=(*((f"this is the error {own.slug}",) if own else ()), *waiting),
            help=own.help if own else replay, source=source,
        ),
        simulation, first,
    )  # fmt: skip
    verdict.__cause__ = error
    return verdict
