"""What commands give: data with `.text(palette)`."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from klorpy.core.choreography import Choreography
from klorpy.core.events import Entered, Left
from klorpy.core.types import Role
from klorpy.core.values import show
from klorpy.environment.present import Palette, error_text, event_lines, exploration_lines, result_lines
from klorpy.environment.registry import Recompiled, Registry, StaleCall, callees, place, stale_calls
from klorpy.simulator import Exploration, Simulation


@dataclass(frozen=True)
class Text:
    """Lines as they stand."""

    lines: tuple[str, ...]

    def text(self, palette: Palette) -> str:
        return "\n".join(self.lines)


def lines(*parts: str) -> Text:
    return Text(parts)


@dataclass(frozen=True)
class Table:
    """Rows of cells, the first of each row emphasised; `title` stands above, `notes` below."""

    rows: tuple[tuple[str, ...], ...]
    title: str = ""
    notes: tuple[str, ...] = ()

    def text(self, palette: Palette) -> str:
        widths = [max((len(cell) for cell in column), default=0) for column in zip(*self.rows, strict=True)]
        out = [self.title] if self.title else []
        for row in self.rows:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
            cells[0] = palette.strong(cells[0])
            out.append("  ".join(cells).rstrip())
        return "\n".join([*out, *self.notes])


@dataclass(frozen=True)
class Programs:
    """The program of each role of a choreography."""

    choreography: Choreography
    programs: dict[Role, str]

    def text(self, palette: Palette) -> str:
        own = Palette(self.choreography.roles, palette.on)
        return "\n\n".join(f"{own.role(role, f'# role {role}')}\n{text}" for role, text in self.programs.items())


@dataclass(frozen=True)
class Ran:
    """A simulation: a line for each role, and why it failed."""

    simulation: Simulation

    def text(self, palette: Palette) -> str:
        own = Palette(self.simulation.roles, palette.on)
        out = result_lines(self.simulation, own)
        if self.simulation.verdict is not None:
            out += ["", error_text(self.simulation.verdict)]
        return "\n".join(out)


@dataclass(frozen=True)
class Trace:
    """What happened in a simulation, in order."""

    simulation: Simulation

    def text(self, palette: Palette) -> str:
        own = Palette(self.simulation.roles, palette.on)
        # When a role enters a choreography, and comes back, is for charts.
        events = [event for event in self.simulation.events if not isinstance(event, (Entered, Left))]
        out = event_lines(events, own)
        out += [str(blocked) for blocked in self.simulation.blocked.values()]
        out += [f"{message} was never received" for message in self.simulation.unread]
        return "\n".join(out) or "nothing happened"


@dataclass(frozen=True)
class Explored:
    exploration: Exploration

    def text(self, palette: Palette) -> str:
        found = self.exploration
        told = "\n  ".join(exploration_lines(found, f":seed {show(found.seed)}"))
        return told if found.different is not None else f"{told}\n{Ran(found.first).text(palette)}"


@dataclass(frozen=True)
class Picture:
    """A diagram; in a notebook it is drawn."""

    drawing: Any

    def text(self, palette: Palette) -> str:
        return str(self.drawing.text(shutil.get_terminal_size((100, 24)).columns))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        return self.drawing._repr_mimebundle_(include, exclude)


@dataclass(frozen=True)
class Recompilation:
    """What `,recompile` did."""

    done: tuple[Recompiled, ...]
    still_stale: tuple[StaleCall, ...]

    def text(self, palette: Palette) -> str:
        if not self.done:
            return "nothing is stale"
        out = []
        for each in self.done:
            name = palette.strong(each.choreography.name)
            if each.error is not None:
                out.append(f"{name}: {palette.error('does not compile any more')}\n{error_text(each.error)}")
            elif each.was.equivalent(each.now):
                out.append(f"{name}: recompiled, {each.now}")
            else:
                out.append(f"{name}: recompiled, its signature changed:\n  was {each.was},\n  is  {each.now}")
        if self.still_stale:
            names = ", ".join(dict.fromkeys(call.caller.name for call in self.still_stale))
            out.append(f"still stale: {names}")
        return "\n".join(out)


@dataclass(frozen=True)
class Dependencies:
    """Who calls a choreography, and whom it calls, at any distance."""

    choreography: Choreography
    callers: tuple[str, ...]
    callees: tuple[str, ...]

    def text(self, palette: Palette) -> str:
        out = [f"{palette.strong(self.choreography.name)}  {self.choreography.signature}{stale_mark(self.choreography)}"]
        out += ["called by:", *self.callers] if self.callers else ["called by nobody"]
        out += ["calls:", *self.callees] if self.callees else ["calls nobody"]
        return "\n".join(out)


def dependencies(registry: Registry, choreography: Choreography) -> Dependencies:
    return Dependencies(
        choreography,
        tuple(_tree(choreography, registry.callers)),
        tuple(_tree(choreography, lambda c: [other for other in callees(c) if other is not c])),
    )


def _tree(root: Choreography, following: Callable[[Choreography], Sequence[Choreography]]) -> list[str]:
    """An indented line for each choreography that is reached; one that stands above already is not followed again."""
    out: list[str] = []
    shown = {root}
    todo = [(other, 1) for other in reversed(following(root))]
    while todo:
        current, depth = todo.pop()
        again = current in shown
        mark = "  (see above)" if again else stale_mark(current)
        out.append(f"{'  ' * depth}{current.name}  {place(current)}{mark}")
        if not again:
            shown.add(current)
            todo += [(other, depth + 1) for other in reversed(following(current))]
    return out


def stale_mark(choreography: Choreography) -> str:
    stale = list(dict.fromkeys(call.callee.name for call in stale_calls(choreography)))
    return f"  stale: {', '.join(stale)} changed" if stale else ""


@dataclass(frozen=True)
class Request:
    """Something that only whoever shows the session can do: `what` is "clear" or "quit"."""

    what: str

    def text(self, palette: Palette) -> str:
        return ""
