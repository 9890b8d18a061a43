"""A choreography run message by message, forwards and back.

A *move* lets one role go on until it has sent or received a message, or can go no further. Moves are recorded; to go
back, the run is begun again and all but the last are repeated. So host code runs again, and what it does outside of
the choreography is not undone.
"""

from __future__ import annotations

import inspect
import os
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from klorpy.core.choreography import Choreography, Definition, reachable
from klorpy.core.diagnostics import KlorError
from klorpy.core.events import Exited, Failed, Printed, describe_error
from klorpy.core.spans import Span
from klorpy.core.types import Role
from klorpy.core.values import NotCopyable, isolate, noop, show
from klorpy.environment.outputs import Ran
from klorpy.environment.present import Palette
from klorpy.environment.registry import placed
from klorpy.language.compiler import recompile
from klorpy.runtime.commands import AWAIT, RECEIVE
from klorpy.runtime.erasure import check_count, check_playable
from klorpy.simulator import Simulation
from klorpy.simulator.run import conclude, prepare
from klorpy.simulator.scheduler import Scheduler, Task

#: Commands that a move carries out at most, for roles that go on without a message for ever.
_PATIENCE: Final = 10_000
_EVENTS: Final = (Printed, Exited, Failed)


class Guide:
    """The schedule of a run that is stepped: the role that was chosen does one thing, then the run pauses."""

    preemptive = True

    def __init__(self) -> None:
        self.choice: int | None = None

    def choose(self, count: int) -> int:
        choice, self.choice = self.choice, None
        return -1 if choice is None else choice


@dataclass(frozen=True)
class Position:
    """Where a role is: `form` is the last form that it met others at, or waits at, and `doing` what it does there:
    "starts", "after", "waits", "awaits" (host code), "ended" or "failed"."""

    role: Role
    doing: str
    #: The choreography that it is in, and the place of the form; "" and None before the start and after the end.
    name: str = ""
    form: str = ""
    filename: str = ""
    span: Span | None = None
    #: What the form gave, as far as it has a value here.
    value: Any = noop
    waits_for: Role | None = None
    #: The locals that it has, as the user names them.
    locals: Mapping[str, Any] = field(default_factory=dict)
    #: What was sent to it and not received yet, by sender.
    mailbox: Mapping[Role, tuple[Any, ...]] = field(default_factory=dict)
    #: What it ended with: the result or the exception.
    end: Any = None
    can_move: bool = False
    #: The choreographies that it is in the middle of, the outermost first.
    calls: tuple[str, ...] = ()


@dataclass(frozen=True)
class View:
    """Where all roles are."""

    choreography: Choreography
    moves: int
    positions: tuple[Position, ...]
    #: How the run ended; None as long as it goes on.
    simulation: Simulation | None = None
    note: str = ""
    #: What roles have printed since the view before.
    printed: tuple[Printed, ...] = ()

    def text(self, palette: Palette) -> str:
        own = Palette(tuple(position.role for position in self.positions), palette.on)
        width = max(len(position.role) for position in self.positions)
        out = [f"{palette.strong(self.choreography.name)} after {self.moves} move{'' if self.moves == 1 else 's'}"]
        if self.note:
            out.append(self.note)
        out += [f"{own.role(line.role)} prints: {line.text}" for line in self.printed]
        for position in self.positions:
            mark = ">" if position.can_move else " "
            out.append(f"{mark} {own.role(position.role, position.role.ljust(width))}  {_where(position)}")
            inner = " " * (width + 4)
            if position.locals:
                out.append(inner + "  ".join(f"{name} = {show(value, 60)}" for name, value in position.locals.items()))
            for source, values in position.mailbox.items():
                shown = ", ".join(show(value, 60) for value in values[:5])
                more = f", and {len(values) - 5} more" if len(values) > 5 else ""
                out.append(f"{inner}from {own.role(source)}: {shown}{more}")
        if self.simulation is not None:
            out += ["ended:", Ran(self.simulation).text(palette)]
        return "\n".join(out)


def _where(position: Position) -> str:
    if position.doing == "ended":
        return f"ended with {show(position.end, 60)}"
    if position.doing == "failed":
        return f"failed: {describe_error(position.end)}"
    if position.doing == "starts":
        return f"at the start of {position.name}"
    place = f"{os.path.basename(position.filename)}:{position.span}"
    form = position.form if len(position.form) <= 60 else position.form[:59] + "…"
    inside = f" in {' > '.join(position.calls)}" if len(position.calls) > 1 else ""
    if position.doing == "waits":
        return f"waits for {position.waits_for} at {form}  {place}{inside}"
    if position.doing == "awaits":
        return f"waits for host code at {form}  {place}{inside}"
    gave = "" if position.value is noop else f" = {show(position.value, 60)}"
    return f"after {form}{gave}  {place}{inside}"


class Stepper:
    """A run of `chor` that stands still between moves. Raises KlorError for what cannot be started."""

    def __init__(self, chor: Choreography, args: list[Any], *, sanitize: bool = False) -> None:
        self.choreography = chor
        self._definition = check_playable(chor)
        self._pinned = reachable(chor)
        check_count(self._definition, tuple(args))
        self._args = args
        self._sanitize = sanitize
        self._names: dict[Definition, dict[str, str]] = {}
        #: The moves that led here: the role, and how many commands it carried out.
        self._moves: list[tuple[Role, int]] = []
        #: Roles, lines and texts of forms at which `run` stops.
        self.breakpoints: list[Role | int | str] = []
        self._scheduler: Scheduler
        self._begin()

    # --- The run ---

    def _begin(self) -> None:
        self._guide = Guide()
        # Each run gets copies of the arguments, so that it can be repeated.
        args = tuple(_copied(arg) for arg in self._args)
        self._scheduler = prepare(
            self.choreography, self._definition, args, self._guide, [], sanitize=self._sanitize, pausing=True,
            pinned=self._pinned,
        )
        #: How much of the trace was looked at, and what of it belongs to messages.
        self._looked = self._noted = self._shown = 0
        self._code = dict(_code_of(self._scheduler.pinned.values()))

    @property
    def roles(self) -> tuple[Role, ...]:
        return self._definition.roles

    @property
    def ready(self) -> tuple[Role, ...]:
        """The roles that can move, the one that comes next first."""
        return tuple(task.role for task in self._scheduler.ready)

    @property
    def ended(self) -> bool:
        """Whether no role can move any more, nor will be able to when host code is done."""
        return not self._scheduler.ready and not any(_awaits(task) for task in self._scheduler.tasks.values())

    def close(self) -> None:
        """Drop the run."""
        self._scheduler.close()

    def move(self, role: Role | None = None) -> None:
        """Let a role move; left out, the one that comes next. Raises KlorError when it cannot."""
        self._move(role, ())

    def _move(self, role: Role | None, stops: tuple[int | str, ...]) -> bool:
        """One move, which ends early at `stops`; gives whether it did."""
        if not self.ready and not self.ended:
            self._advance(None)  # host code has to end first
        if role is None:
            if not self.ready:
                raise _cannot(f"{self.choreography.name} has ended", "take moves back with ,step back")
            role = self.ready[0]
        if role not in self.ready:
            able = ", ".join(self.ready) or "nobody"
            raise _cannot(f"{role} cannot move now: {_where(self.position(role))}", f"who can: {able}")
        before = self._messages()
        done = 0
        stopped = False
        try:
            while role in self.ready and done < _PATIENCE:
                self._advance(role)
                done += 1
                stopped = bool(stops) and self._is_at(role, stops)
                if stopped or self._messages() != before:
                    break
        except BaseException:
            # Interrupted in the middle of a step: go back to where this move began.
            self._repeat(self._moves)
            raise
        self._moves.append((role, done))
        return stopped

    def _advance(self, role: Role | None) -> None:
        self._guide.choice = None if role is None else self.ready.index(role)
        with self._scheduler.capture:
            self._scheduler.advance()

    def _messages(self) -> tuple[int, int]:
        """What changes with every message that is sent or received."""
        tasks = self._scheduler.tasks.values()
        trace = self._scheduler.trace or []
        # A message is noted by its parts, everything else as an event.
        self._noted += sum(not isinstance(entry, _EVENTS) for entry in trace[self._looked :])
        self._looked = len(trace)
        return sum(len(box) for task in tasks for box in task.inbox.values()), self._noted

    def back(self, count: int = 1) -> None:
        """Take back the last moves."""
        if not self._moves:
            raise _cannot("there is nothing to take back", "this is the beginning")
        self._repeat(self._moves[: max(len(self._moves) - count, 0)])

    def _repeat(self, moves: list[tuple[Role, int]]) -> None:
        self.close()
        self._moves = []
        self._begin()
        for role, count in moves:
            for _ in range(count):
                if role not in self.ready and not self.ended:
                    self._advance(None)
                if role in self.ready:
                    self._advance(role)
            self._moves.append((role, count))
        self._shown = len(self._scheduler.trace or [])

    def run(self, until: Role | int | str | None = None) -> str:
        """Move on until the end, a breakpoint, or `until`; give why it stopped."""
        targets = (*self.breakpoints, *((until,) if until is not None else ()))
        roles = {target for target in targets if target in self.roles}
        places = tuple(target for target in targets if target not in self.roles)
        while not self.ended:
            stopped = self._move(None, places)
            role = self._moves[-1][0]
            if stopped:
                return f"{role} is at {_place_text(next(p for p in places if self._is_at(role, (p,))))}"
            if role in roles:
                return f"{role} has moved"
        return ""

    def _is_at(self, role: Role, places: tuple[int | str, ...]) -> bool:
        position = self.position(role)
        line = position.span.line if position.span else None
        begun = position.name if position.doing == "starts" else None
        return any(
            place == line if isinstance(place, int) else place == begun or place in position.form for place in places
        )

    def simulation(self) -> Simulation:
        """What the run has done so far."""
        return conclude(self.choreography, self._definition, self._scheduler, 0)

    # --- Looking ---

    def view(self, note: str = "") -> View:
        """Where all roles are now."""
        trace = self._scheduler.trace or []
        printed = tuple(entry for entry in trace[self._shown :] if isinstance(entry, Printed))
        self._shown = len(trace)
        return View(
            self.choreography,
            len(self._moves),
            tuple(self.position(role) for role in self.roles),
            self.simulation() if self.ended else None,
            note,
            printed,
        )

    def position(self, role: Role) -> Position:
        """Where a role is."""
        task = self._scheduler.tasks[role]
        mailbox = {source: tuple(command[2] for command in box) for source, box in task.inbox.items() if box}
        if task.done:
            return Position(role, "ended", mailbox=mailbox, end=task.result)
        if task.error is not None:
            return Position(role, "failed", mailbox=mailbox, end=task.error)
        frames: list[tuple[Any, Definition | None]] = [
            (frame, self._code.get(frame.gi_code)) for frame in cast("list[Any]", task.machine.frames)
        ]
        known = [(frame, definition) for frame, definition in frames if definition is not None]
        calls = tuple(definition.name for _, definition in known)
        frame, definition = known[-1]
        common: dict[str, Any] = {
            "name": definition.name, "filename": definition.source.filename, "calls": calls, "mailbox": mailbox,
            "can_move": task in self._scheduler.ready, "locals": self._locals(frame, definition),
        }  # fmt: skip
        if task.waiting is not None and task.command is not None:
            site = task.command[2]
            doing = "awaits" if task.command[0] == AWAIT else "waits"
            waits_for = task.command[1] if task.command[0] == RECEIVE else None
            place = {"form": site.text, "span": site.span, "filename": site.source.filename}
            return Position(role, doing, **{**common, **place}, waits_for=waits_for)
        span = _span(frame)
        if inspect.getgeneratorstate(frame) == inspect.GEN_CREATED or span is None:
            return Position(role, "starts", **common)
        source, _ = placed(definition)
        form = " ".join(source.slice(span).split())
        value = noop if task.value is None else task.value
        return Position(role, "after", **common, form=form, span=span, value=value)

    def _locals(self, frame: Any, definition: Definition) -> dict[str, Any]:
        names = self._names.get(definition)
        if names is None:
            names = self._names[definition] = _user_names(definition)
        return {names[name]: value for name, value in frame.gi_frame.f_locals.items() if name in names}

    # --- Words ---

    @property
    def words(self) -> tuple[str, ...]:
        """What `obey` understands."""
        return (*self.roles, "back", "run", "break", "show", "stop")

    def obey(self, words: list[str]) -> View | None:
        """Do what the words behind `,step` say, and give where all are then; None when the run is given up."""
        word, *rest = words or ["", ""]
        argument = " ".join(rest)
        note = ""
        if word == "stop":
            self.close()
            return None
        if word == "back":
            if argument and not argument.isdecimal():
                raise _cannot(f"{argument} is not a number of moves", "write ,step back 3")
            self.back(int(argument or 1))
        elif word == "run":
            note = self.run(self._target(argument) if argument else None)
        elif word == "break":
            note = self._toggle(argument)
        elif word != "show":
            self.move(word or None)
        return self.view(note)

    def _target(self, text: str) -> Role | int | str:
        return int(text) if text.isdecimal() and text not in self.roles else text

    def _toggle(self, text: str) -> str:
        if text:
            target = self._target(text)
            if target in self.breakpoints:
                self.breakpoints.remove(target)
            else:
                self.breakpoints.append(target)
        shown = ", ".join(map(_place_text, self.breakpoints))
        return f"breakpoints: {shown or 'none'}"


def _copied(value: Any) -> Any:
    try:
        return isolate(value)
    except NotCopyable:
        return value


def _place_text(place: int | str) -> str:
    return f"line {place}" if isinstance(place, int) else place


def _awaits(task: Task) -> bool:
    return task.waiting is not None and task.command is not None and task.command[0] == AWAIT


def _cannot(message: str, help: str) -> KlorError:
    return KlorError(message, slug="bad-argument", help=help)


def _code_of(definitions: Any) -> Iterator[tuple[types.CodeType, Definition]]:
    """All code of definitions, with the definition that it belongs to."""
    for definition in definitions:
        todo = [definition.code]
        while todo:
            code = todo.pop()
            yield code, definition
            todo += [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]


def _span(generator: Any) -> Span | None:
    """The form that a suspended generator stands at."""
    frame = generator.gi_frame
    if frame is None or frame.f_lasti < 0:
        return None
    for i, (line, end_line, column, end_column) in enumerate(frame.f_code.co_positions()):
        if i == frame.f_lasti // 2:
            if line is None or end_line is None or column is None or end_column is None:
                return None
            return Span(line, column + 1, end_line, end_column)
    return None


def _user_names(definition: Definition) -> dict[str, str]:
    """The user's names of locals, by those that they have in the program; without those that the user did not name."""
    written = set(_words(definition.source.text))
    try:
        names = recompile(definition).emitter.names.spelled()
    except KlorError:  # the text no longer compiles; most names are those of the program
        return {word.replace("-", "_"): word for word in written - {*definition.roles, "cast"}}
    return {python: name for python, name in names.items() if name in written}


def _words(text: str) -> list[str]:
    for bracket in "()[]{}\"'#`~":
        text = text.replace(bracket, " ")
    return text.split()
