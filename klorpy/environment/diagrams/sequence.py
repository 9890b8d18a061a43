"""Message sequence charts of runs: what every role did, from the top to the bottom, in the order of delivery."""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from klorpy.core.choreography import Choreography, Site, reachable
from klorpy.core.diagnostics import KlorError
from klorpy.core.events import Blocked, Entered, Event, Exited, Failed, Left, Message, Printed, describe_error
from klorpy.core.types import Role
from klorpy.core.values import noop, show
from klorpy.environment.diagrams import mermaid, svg, text
from klorpy.environment.diagrams.drawing import Drawing
from klorpy.environment.diagrams.flow import guards
from klorpy.environment.diagrams.measure import LONGEST, plain
from klorpy.environment.diagrams.model import Arrow, Ending, Frame, Gap, Lifeline, Model, Note, Row, count
from klorpy.environment.present import Palette
from klorpy.simulator import Simulation

#: How many steps a chart shows unless it is asked for more; this many of them are the last ones.
STEPS, LAST_STEPS = 200, 60


@dataclass(frozen=True, slots=True)
class Chart(Drawing):
    """A message sequence chart."""

    model: Model

    def svg(self) -> str:
        return svg.render(self.model)

    def text(self, width: int | None = None, palette: Palette | None = None) -> str:
        return text.render(self.model, width, palette)

    def mermaid(self) -> str:
        return mermaid.render(self.model)

    def __repr__(self) -> str:
        return f"<chart of {self.model.title}: {self.model.summary}>"


def chart(
    simulation: Simulation,
    *,
    title: str | None = None,
    first: int | None = None,
    last: int | None = None,
    steps: int | None = STEPS,
) -> Chart:
    """The chart of a run, however it ended. A step is a message, a printed line or a failure, numbered from 1.

    Of more than `steps` steps, the middle is left out; `first` and `last` choose others (`steps=None` shows them
    all). Frames for the choreographies that are called need a run with `detail=True`. Raises KlorError `no-trace` for
    a run with `trace=False`, `bad-argument` for what are no numbers of steps.

    >>> from klorpy import evaluate, simulate_chor
    >>> ns = evaluate("(defchor double [A B] (-> A A) [x] (B->A (B (* 2 (A->B x)))))")
    >>> print(chart(simulate_chor(ns.double, 21)))
    double: 2 messages
    <BLANKLINE>
     A             B
     │             │
     │─────21─────▶│
     │◀────42──────│
     ┴             ┴
    42
    """
    for number in (first, last, steps):
        if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < 1):
            raise KlorError(f"{number!r} is not the number of a step", slug="bad-argument", help="steps count from 1")
    return Chart(_Builder(simulation, first, last, steps).model(title))


@dataclass
class _Builder:
    """Reads the events once; shows values only of the steps that are drawn."""

    simulation: Simulation
    first: int | None
    last: int | None
    steps: int | None
    frames: dict[int, Frame] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.roles = self.simulation.roles
        self.columns = {role: column for column, role in enumerate(self.roles)}
        #: The number of the last step that is an event; what is left over when the run ends comes after it.
        self.events = sum(1 for e in self.simulation.events if isinstance(e, (Message, Printed, Failed)))

    def model(self, title: str | None) -> Model:
        total = self.events + len(self.simulation.unread) + len(self.simulation.blocked)
        ranges = self._ranges(total)
        shown = [step for step in self._steps() if any(step[0] in range_ for range_ in ranges)]
        deciding = _deciding(self.simulation.choreography, [e.site for _, e, _ in shown if isinstance(e, Message)])
        rows: list[Row] = []
        after = 1
        for number, event, frames in shown:
            if number > after:
                rows.append(self._gap(after, number - 1))
            rows.append(self._row(number, event, frames, deciding))
            after = number + 1
        if after <= total:
            rows.append(self._gap(after, total))
        return Model(
            title=plain(title if title is not None else self.simulation.choreography.name),
            summary=self._summary(),
            trouble=self._trouble(),
            lifelines=tuple(self._lifeline(role) for role in self.roles),
            rows=tuple(rows),
            frames={frame: self.frames[frame] for row in rows for frame in row.frames},
            numbered=len(shown) < total,
        )

    # --- Which steps ---

    def _steps(self) -> Iterator[tuple[int, Event, tuple[int, ...]]]:
        """All steps with their numbers and frames; then what was sent and not received, and who still waits."""
        calls = _Calls(self.frames, self.roles)
        number = 0
        for event in self.simulation.events:
            match event:
                case Message() | Printed() | Failed():
                    number += 1
                    role = event.target if isinstance(event, Message) else event.role
                    yield number, event, calls.of(role)
            calls.follow(event)
        for message in self.simulation.unread:
            number += 1
            yield number, message, ()
        for blocked in self.simulation.blocked.values():
            number += 1
            yield number, blocked, calls.of(blocked.role)

    def _ranges(self, total: int) -> list[range]:
        first = min(self.first or 1, total + 1)
        last = min(self.last if self.last is not None else total, total)
        if self.first is not None and self.last is not None and self.last < self.first:
            raise KlorError(f"step {self.last} is before step {self.first}", slug="bad-argument", help="swap the two")
        limit = self.steps
        if limit is None or last - first < limit:
            return [range(first, last + 1)]
        tail = min(LAST_STEPS, limit // 3)
        return [range(first, first + limit - tail), range(last - tail + 1, last + 1)]

    def _gap(self, first: int, last: int) -> Gap:
        messages = sum(1 for n, event, _ in self._steps() if first <= n <= last and isinstance(event, Message))
        end = min(last, first + STEPS - 1)
        return Gap(first, last, messages, f"chart(sim, first={first}, last={end})")

    # --- Rows ---

    def _row(self, number: int, event: Event, frames: tuple[int, ...], deciding: frozenset[Site]) -> Row:
        match event:
            case Message(source, target, value, site):
                form = plain(site.text) if site is not None else ""
                return Arrow(
                    number, self.columns[source], self.columns[target], plain(show(value, LONGEST)), form, _place(site),
                    guard=_decision(form) if site in deciding else None,
                    lost=number > self.events, frames=frames,
                )  # fmt: skip
            case Printed(role, line):
                return Note(number, self.columns[role], "printed", plain(line), frames=frames)
            case Failed(role, error):
                return Note(number, self.columns[role], "failed", plain(describe_error(error)), frames=frames)
            case Blocked(role, waits_for, site):
                what = plain(f"waits for {waits_for if waits_for is not None else 'host code'}")
                return Note(number, self.columns[role], "waits", what, plain(site.text), frames)
        raise AssertionError(event)

    def _lifeline(self, role: Role) -> Lifeline:
        simulation = self.simulation
        ending: Ending
        if role in simulation.results:
            value = simulation.results[role]
            ending, text = ("end", "") if value is noop else ("result", show(value, LONGEST))
        elif role in simulation.failures:
            ending, text = "failed", "failed"
        elif role in simulation.blocked:
            ending, text = "blocked", "waits"
        else:
            ending, text = "stopped", "stopped"
        return Lifeline(plain(role), ending, plain(text))

    def _summary(self) -> str:
        parts = [count(len(self.simulation.messages), "message")]
        if self.simulation.unread:
            parts.append(f"{len(self.simulation.unread):,} never received")
        if self.simulation.seed != 0:
            parts.append(f"seed {plain(str(self.simulation.seed))}")
        return ", ".join(parts)

    def _trouble(self) -> str:
        verdict = self.simulation.verdict
        return plain(verdict.diagnostic.message) if verdict is not None else ""


class _Calls:
    """Which calls each role is in. The same call has the same number at every role that takes part.

    A call is known by the call that made it, its site and how many calls were made there before; these are the same
    at all its roles, since they follow the same text. A call in tail position is shown beside the one that it ends.
    """

    def __init__(self, frames: dict[int, Frame], roles: Iterable[Role]) -> None:
        self.frames = frames
        self.numbers: dict[tuple[int, int, int], int] = {}
        self.counts: dict[tuple[Role, int, int], int] = {}
        #: For each role the calls from the outermost; -1 is the run itself.
        self.stacks: dict[Role, list[int]] = {role: [-1] for role in roles}

    def of(self, role: Role) -> tuple[int, ...]:
        return tuple(frame for frame in self.stacks[role] if frame >= 0)

    def follow(self, event: Event) -> None:
        match event:
            case Entered(role, name, cast, site, tail):
                stack = self.stacks[role]
                caller = stack[-1]
                place = (role, caller, id(site))
                nth = self.counts[place] = self.counts.get(place, 0) + 1
                number = self.numbers.setdefault((caller, id(site), nth), len(self.numbers))
                if number not in self.frames:
                    self.frames[number] = Frame(plain(_name(name)), tuple(map(plain, cast)))
                if tail:
                    stack[-1] = number
                else:
                    stack.append(number)
            case Left(role):
                self.stacks[role].pop()
            case Exited(role):
                self.stacks[role] = [-1]


def _name(name: str) -> str:
    """A choreography without a name is compiled to a function with a number."""
    return "chor" if re.fullmatch(r"chor(_\d+)?", name) else name


def _place(site: Site | None) -> str:
    return "" if site is None else plain(f"{os.path.basename(site.filename)}:{site.span}")


def _decision(form: str) -> str:
    """What a message decides.

    >>> _decision("(A=>B (A (< x 1)))"), _decision("(bcast [A B C] (A (not x)))"), _decision("(A=>B ok)")
    ('(< x 1)', '(not x)', 'ok')
    """
    shared = re.match(r"\((?:([^\s()=]+)=>[^\s()]+|bcast \[([^\s\]]+)[^\]]*\]) (.*)\)$", form)
    if not shared:
        return form
    text = shared[3]
    local = re.match(rf"\({re.escape(shared[1] or shared[2])} (\(.*\)|\S+)\)$", text)
    return local[1] if local and _one_form(local[1]) else text


def _one_form(text: str) -> bool:
    """Whether the brackets of `text` close at its end only; brackets in strings count, and are rarely alone."""
    depth = 0
    for i, char in enumerate(text):
        depth += (char in "([{") - (char in ")]}")
        if depth == 0 and i < len(text) - 1 and text[0] == "(":
            return False
    return depth == 0


def _deciding(chor: Choreography, sites: Iterable[Site | None]) -> frozenset[Site]:
    """Those of `sites` whose message is the guard of a branch, as far as their definitions are still the ones that ran."""
    wanted = {site for site in sites if site is not None}
    found: set[Site] = set()
    for definition in reachable(chor).values():
        mine = wanted.intersection(definition.sites)
        if mine:
            numbers = guards(definition)
            found.update(site for site in mine if site.index in numbers)
    return frozenset(found)
