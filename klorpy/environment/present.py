"""Errors, warnings and runs as text for a terminal: the user's own frames, forms underlined, a colour for each role."""

from __future__ import annotations

import asyncio
import os
import re
import traceback
from collections.abc import Sequence
from itertools import dropwhile
from typing import IO

import anyio
import hy
from pygments.console import colorize

import klorpy
from klorpy.core.diagnostics import KlorError
from klorpy.core.events import Event, Exited, Failed, Message, Printed
from klorpy.core.types import Role
from klorpy.core.values import show
from klorpy.language.hy_adapter import unmangled
from klorpy.simulator import ChoreographyFailed, Exploration, Simulation

COLOURS = ("brightblue", "brightgreen", "brightmagenta", "brightcyan", "brightyellow", "brightred")
#: Frames of files below the first folders are no frames of the user's; below the others, not before the first of those.
_OURS, _LOOPS = (
    tuple(os.path.dirname(os.path.abspath(str(module.__file__))) for module in modules)
    for modules in ((klorpy, hy), (anyio, asyncio))
)


def wants_colour(file: IO[str] | None) -> bool:
    """Whether to colour what is written to `file`: a terminal, and the user did not ask for none (NO_COLOR)."""
    return file is not None and file.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class Palette:
    """A colour for each role, in the order of the role vector; none at all when `on` is false."""

    def __init__(self, roles: Sequence[Role], on: bool) -> None:
        self._colours = {role: COLOURS[i % len(COLOURS)] for i, role in enumerate(roles)}
        self.on = on

    def role(self, role: Role, text: str | None = None) -> str:
        text = role if text is None else text
        return colorize(self._colours[role], text) if self.on else text

    def strong(self, text: str) -> str:
        return colorize("bold", text) if self.on else text

    def error(self, text: str) -> str:
        return colorize("brightred", text) if self.on else text


def error_text(error: BaseException) -> str:
    """An error as the user should see it: klorpy's own with the form underlined, any other by the user's frames."""
    if isinstance(error, KlorError):
        text = error.render()
        cause = error.__cause__
        if isinstance(error, ChoreographyFailed) and cause is not None and not isinstance(cause, KlorError):
            text += "\n\n" + exception_text(cause)
        return text
    return exception_text(error)


def exception_text(error: BaseException) -> str:
    """A traceback with the frames of the user's own files only, and with names as Hy spells them."""
    shown = traceback.TracebackException.from_exception(error)
    pending = [shown]
    while pending:
        current = pending.pop()
        frames = list(dropwhile(_is_of_a_loop, (f for f in current.stack if not _is_ours(f.filename))))
        current.stack = traceback.StackSummary.from_list(frames)
        pending += [part for part in (current.__cause__, current.__context__) if part is not None]
    return re.sub(r"\bhyx_\w+", lambda found: unmangled(found[0]), "".join(shown.format()).rstrip())


def _is_of_a_loop(frame: traceback.FrameSummary) -> bool:
    return any(frame.filename.startswith(folder + os.sep) for folder in _LOOPS)


def _is_ours(filename: str) -> bool:
    if filename.startswith("<frozen"):
        return True
    path = os.path.abspath(filename)
    if path.endswith(".hy") and path.startswith(os.path.join(_OURS[0], "examples")):
        return False
    return any(path.startswith(folder + os.sep) for folder in _OURS)


def event_lines(events: Sequence[Event], palette: Palette) -> list[str]:
    """A run as lines: messages, what was printed, how roles ended."""
    lines = []
    for event in events:
        match event:
            case Message(source, target, value):
                lines.append(f"{palette.role(source)} --> {palette.role(target)}: {show(value, 200)}")
            case Printed(role, text):
                lines.append(f"{palette.role(role)}: {text}")
            case Exited(role):
                lines.append(f"{palette.role(role)} exited normally")
            case Failed():
                lines.append(palette.error(str(event)))
            case _:
                lines.append(str(event))
    return lines


def exploration_lines(exploration: Exploration, replay: str) -> list[str]:
    """How many schedules there were, and what differs, if anything does; `replay` is how to give the seed to a run."""
    count = f"{exploration.schedules:,} schedule{'' if exploration.schedules == 1 else 's'}"
    if exploration.different is None:
        return [f"{count}, {'all there are' if exploration.complete else 'not all there are'}: no difference"]
    return [f"{count}: the last one differs", exploration.difference, f"replay it with {replay}"]


def result_lines(simulation: Simulation, palette: Palette) -> list[str]:
    """A line for each role: its result, or why it has none."""
    width = max(len(role) for role in simulation.roles)
    lines = []
    for role in simulation.roles:
        if role in simulation.results:
            what = show(simulation.results[role], 500)
        elif role in simulation.failures:
            what = palette.error("failed")
        elif role in simulation.blocked:
            waits_for = simulation.blocked[role].waits_for
            what = palette.error(f"waits for {waits_for}" if waits_for else "waits for host code")
        else:
            what = palette.error("was stopped")
        lines.append(f"{palette.role(role, role.ljust(width))}  {what}")
    return lines
