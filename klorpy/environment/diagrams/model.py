"""What diagrams show, before they are drawn. A chart has lifelines, and rows from the top to the bottom:

    row ::= Arrow       a message, in the order of delivery; lost when nobody received it
          | Note        a step at one role: a printed line, its failure, or what it waits for
          | Gap         steps that are left out

Every row knows the frames that it is in: the calls that its role had begun, the outermost first. Columns and frames
are numbers: places in `lifelines`, keys of `frames`. All texts are plain (see `measure`), and nothing refers to the run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Literal, TypeAlias

#: How a role ended: with a result, with none, with an exception, waiting, or because the run was stopped.
Ending: TypeAlias = Literal["result", "end", "failed", "blocked", "stopped"]


@dataclass(frozen=True, slots=True)
class Lifeline:
    """A role and how it ended; `text` is its result, or why it has none."""

    role: str
    ending: Ending
    text: str


@dataclass(frozen=True, slots=True)
class Frame:
    """A call: the choreography's name and who plays its roles (nobody knows for a choreography without a name)."""

    name: str
    cast: tuple[str, ...]

    @property
    def label(self) -> str:
        return f"{self.name} [{' '.join(self.cast)}]" if self.cast else self.name


@dataclass(frozen=True, slots=True)
class Arrow:
    """A message. `form` is the form that sends it, `guard` what it decides when roles branch by it."""

    number: int
    source: int
    target: int
    text: str
    form: str = ""
    place: str = ""
    guard: str | None = None
    lost: bool = False
    frames: tuple[int, ...] = ()

    @property
    def columns(self) -> tuple[int, ...]:
        return (self.source, self.target)


@dataclass(frozen=True, slots=True)
class Note:
    """Something at one role. `form` is what it waits for, when it does."""

    number: int
    column: int
    kind: Literal["printed", "failed", "waits"]
    text: str
    form: str = ""
    frames: tuple[int, ...] = ()

    @property
    def columns(self) -> tuple[int, ...]:
        return (self.column,)


@dataclass(frozen=True, slots=True)
class Gap:
    """The steps from `first` to `last` are left out, `messages` of them messages; `more` says how to see them."""

    first: int
    last: int
    messages: int
    more: str
    frames: tuple[int, ...] = ()

    @property
    def columns(self) -> tuple[int, ...]:
        return ()

    @property
    def text(self) -> str:
        what = "step" if self.first == self.last else "steps"
        which = f"{self.first:,}" if self.first == self.last else f"{self.first:,} to {self.last:,}"
        return f"{what} {which}: {count(self.messages, 'message')} not shown"


Row: TypeAlias = Arrow | Note | Gap


@dataclass(frozen=True, slots=True)
class Model:
    """A chart. `trouble` is the verdict of a run that failed, or empty; `numbered` asks for the steps' numbers."""

    title: str
    summary: str
    trouble: str
    lifelines: tuple[Lifeline, ...]
    rows: tuple[Row, ...]
    frames: Mapping[int, Frame] = field(default_factory=dict)
    numbered: bool = False

    def described(self) -> str:
        """The chart in words, for those who cannot see it; a long one by its beginning."""
        roles = ", ".join(line.role for line in self.lifelines)
        parts = [f"Roles: {roles}."]
        for row in self.rows[:40]:
            match row:
                case Arrow(source=source, target=target, text=text, lost=lost):
                    end = ", which is never received" if lost else ""
                    parts.append(f"{self.lifelines[source].role} to {self.lifelines[target].role}: {text[:80]}{end}.")
                case Note(column=column, kind=kind, text=text):
                    verb = {"printed": "prints", "failed": "fails:", "waits": ""}[kind]
                    parts.append(" ".join(f"{self.lifelines[column].role} {verb} {text[:80]}.".split()))
                case Gap():
                    parts.append(f"Here are {row.text}.")
        if len(self.rows) > 40:
            parts.append(f"And {count(len(self.rows) - 40, 'row')} more.")
        return " ".join(parts)


@dataclass(frozen=True, slots=True)
class Opened:
    """A frame begins, or goes on after rows that do not belong to it.

    It spans the `columns` from the first to the last, and there are `height` frames inside one another in it.
    """

    frame: Frame
    continued: bool
    columns: tuple[int, int]
    height: int


@dataclass(frozen=True, slots=True)
class Closed:
    """The frame that was opened last ends, for now or for good."""


def framed(model: Model) -> list[Row | Opened | Closed]:
    """The rows with the frames around them, properly nested; roles that are in different calls at once split frames."""
    places = {line.role: column for column, line in enumerate(model.lifelines)}
    items: list[Row | Opened | Closed] = []
    stack: list[_Open] = []
    seen: set[int] = set()

    def close() -> None:
        done = stack.pop()
        items.append(Closed())
        span = (min(done.columns), max(done.columns))
        items[done.item] = Opened(model.frames[done.frame], done.continued, span, done.height)
        if stack:
            stack[-1].columns.update(done.columns)
            stack[-1].height = max(stack[-1].height, done.height + 1)

    for row in model.rows:
        same = 0
        while same < min(len(stack), len(row.frames)) and stack[same].frame == row.frames[same]:
            same += 1
        while len(stack) > same:
            close()
        for frame in row.frames[same:]:
            columns = {places[role] for role in model.frames[frame].cast if role in places}
            stack.append(_Open(frame, frame in seen, len(items), columns))
            items.append(Closed())  # until it is known what is in it
            seen.add(frame)
        items.append(row)
        if stack:
            stack[-1].columns.update(row.columns)
    while stack:
        close()
    return items


@dataclass(slots=True)
class _Open:
    frame: int
    continued: bool
    item: int
    columns: set[int]
    height: int = 0


def count(number: int, what: str) -> str:
    """
    >>> count(1, "message"), count(10000, "message")
    ('1 message', '10,000 messages')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"


# --- Role graphs ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Edge:
    """A channel, and between how few and how many messages it carries; `math.inf` for a loop or a recursion."""

    source: int
    target: int
    low: float
    high: float

    @property
    def label(self) -> str:
        if math.isinf(self.high):
            return f"{self.low:,.0f}+ repeated"
        return f"{self.low:,.0f}" if self.low == self.high else f"{self.low:,.0f}–{self.high:,.0f}"

    @property
    def words(self) -> str:
        if math.isinf(self.high):
            return "any number of messages" if self.low == 0 else f"{self.low:,.0f} or more messages, repeated"
        if self.low == self.high:
            return count(int(self.low), "message")
        return f"{self.low:,.0f} to {count(int(self.high), 'message')}"


@dataclass(frozen=True, slots=True)
class Unknown:
    """A form that calls a choreography which is a value, and who takes part."""

    form: str
    columns: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Net:
    """A role graph."""

    title: str
    summary: str
    roles: tuple[str, ...]
    edges: tuple[Edge, ...]
    unknown: tuple[Unknown, ...] = ()

    def alone(self) -> list[int]:
        """The roles without any channel."""
        busy = {c for edge in self.edges for c in (edge.source, edge.target)}
        busy.update(c for unknown in self.unknown for c in unknown.columns)
        return [column for column in range(len(self.roles)) if column not in busy]

    def unknown_pairs(self) -> list[tuple[int, int]]:
        """Who may talk to whom in calls of which nothing is known."""
        pairs = {pair for unknown in self.unknown for pair in combinations(sorted(unknown.columns), 2)}
        return sorted(pairs)

    def notes(self) -> list[str]:
        """A sentence for each call of which nothing is known."""
        found = []
        for unknown in self.unknown:
            names = [self.roles[column] for column in unknown.columns]
            who = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
            found.append(f"{unknown.form} at {who}: what it sends is not known")
        return found

    def described(self) -> str:
        """The graph in words."""
        lines = [f"{self.roles[e.source]} to {self.roles[e.target]}: {e.words}." for e in self.edges]
        lines += [f"{self.roles[column]} talks to nobody." for column in self.alone()]
        return " ".join([*lines, *(f"{note}." for note in self.notes())])
