"""The verdict of a run: the first failure with its role and place, who waits for whom, what nobody received, or the time.

A run has one verdict, however many roles suffer from it.
"""

from __future__ import annotations

import linecache
import types
from collections.abc import Iterable, Sequence

from klorpy.core.choreography import Definition, Site
from klorpy.core.diagnostics import Diagnostic, KlorError
from klorpy.core.events import describe_error
from klorpy.core.spans import Source, Span
from klorpy.core.types import Role
from klorpy.simulator.simulation import ChoreographyFailed, Simulation

#: How the code is called that a definition is compiled to when it runs out of order.
FLOW = "klorpy_scope."
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


def find_place(error: BaseException, definitions: Iterable[Definition]) -> tuple[Span | None, Source | None]:
    """The innermost form that an exception passed through in the files of `definitions`."""
    ours: set[types.CodeType] = set()
    filenames = set()
    for definition in definitions:
        filenames.add(definition.source.filename)
        _collect(definition.code, ours)
    found: tuple[Span | None, Source | None] = (None, None)
    tb = error.__traceback__
    while tb is not None:
        code = tb.tb_frame.f_code
        if code.co_filename in filenames:
            source = Source(code.co_filename, "".join(linecache.getlines(code.co_filename)))
            # In files that Hy's own importer compiled, columns are one too far to the right, but for klorpy's code.
            exact = code in ours or code.co_qualname.startswith(FLOW) or _is_exact(code.co_filename)
            place = _position(tb, source, 0 if exact else 1)
            if place is not None:
                found = place, source
        tb = tb.tb_next
    return found


def _is_exact(filename: str) -> bool:
    """Whether klorpy compiled the text: it then entered it in the cache of lines, with no time of a file."""
    entry = linecache.cache.get(filename)
    return entry is not None and len(entry) > 1 and entry[1] is None


def _collect(code: types.CodeType, found: set[types.CodeType]) -> None:
    found.add(code)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            _collect(constant, found)


def _position(tb: types.TracebackType, source: Source, shift: int) -> Span | None:
    for i, (line, end_line, column, end_column) in enumerate(tb.tb_frame.f_code.co_positions()):
        if i != tb.tb_lasti // 2 or line is None:
            continue
        if end_line is None or column is None or end_column is None:
            return Span(line, 1, line, 1)
        start = _characters(source.line(line), column) - shift
        return Span(line, start + 1, end_line, max(_characters(source.line(end_line), end_column), start + 1))
    return None


def _characters(line: str | None, column: int) -> int:
    """A column in characters; Python counts bytes of UTF-8."""
    return column if line is None else len(line.encode()[:column].decode(errors="ignore"))
