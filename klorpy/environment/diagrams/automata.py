"""The automata of a protocol's roles, as pictures: a column for each role, states from top to bottom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from klorpy.behaviour import Automaton, Protocol, automaton, local_type
from klorpy.behaviour.automaton import Action
from klorpy.core.diagnostics import KlorError
from klorpy.core.types import Role
from klorpy.environment.diagrams.drawing import Drawing
from klorpy.environment.diagrams.measure import plain, shorten
from klorpy.environment.diagrams.mermaid import escape
from klorpy.environment.diagrams.sheet import Sheet, mono_width, number, role_class, sans_width
from klorpy.environment.present import Palette

_MARGIN: Final = 28
_RADIUS: Final = 13
_ROW: Final = 66
_LABEL: Final = 28


@dataclass(frozen=True, slots=True)
class Automata(Drawing):
    """What each role of a protocol may do when; for a role that is not told of a choice, why it has no automaton."""

    name: str
    parts: Mapping[Role, Automaton | str]

    def svg(self) -> str:
        return _Picture(self).svg()

    def text(self, width: int | None = None, palette: Palette | None = None) -> str:
        blocks = []
        for role, part in self.parts.items():
            name = plain(role) if palette is None else palette.role(role, plain(role))
            blocks.append(f"{name}: {part}")
        return "\n\n".join(blocks)

    def mermaid(self) -> str:
        lines = ["stateDiagram-v2"]
        for column, (role, part) in enumerate(self.parts.items()):
            lines.append(f'    state "{escape(role)}" as r{column} {{')
            if isinstance(part, Automaton):
                lines.append(f"        [*] --> r{column}s0")
                lines += [
                    f"        r{column}s{t.source} --> r{column}s{t.target}: {escape(str(t.action), 60)}" for t in part.transitions
                ]
                lines += [f"        r{column}s{final} --> [*]" for final in sorted(part.final)]
            lines.append("    }")
        return "\n".join(lines) + "\n"

    def __repr__(self) -> str:
        return f"<automata of {self.name}: {', '.join(self.parts)}>"


def automata(protocol: Protocol) -> Automata:
    """The automaton of each role of a protocol.

    >>> from klorpy.behaviour import parse_protocol
    >>> print(automata(parse_protocol("(defprotocol Login [U C] (-> U C str))")))
    U: 2 states, start 0, final 1
    0 C!<str> 1
    <BLANKLINE>
    C: 2 states, start 0, final 1
    0 U?<str> 1
    """
    parts: dict[Role, Automaton | str] = {}
    for role in protocol.roles:
        try:
            parts[role] = automaton(local_type(protocol, role))
        except KlorError as error:
            if error.slug != "unmergeable":
                raise
            parts[role] = error.message
    return Automata(plain(protocol.name), parts)


class _Picture:
    def __init__(self, what: Automata) -> None:
        self.what = what
        self.sheet = Sheet()

    def svg(self) -> str:
        left, height = float(_MARGIN), 0.0
        for column, (role, part) in enumerate(self.what.parts.items()):
            block = _Column(self.sheet, column, role, part, left)
            block.draw()
            left += block.width + 30
            height = max(height, block.height)
        title = f"{self.what.name}: what each role does"
        self.sheet.text(_MARGIN, 28, shorten(title, 60), "ink title", "start")
        width = max(left - 30 + _MARGIN, sans_width(shorten(title, 60), 15) + 2 * _MARGIN)
        return self.sheet.whole(width, height + _MARGIN, title, self.what.text())


class _Column:
    """One role: rows of states by their distance from the start; what goes back bends around on the right."""

    def __init__(self, sheet: Sheet, column: int, role: Role, part: Automaton | str, left: float) -> None:
        self.sheet, self.column, self.role, self.part, self.left = sheet, column, role, part, left
        self.edge = left
        states = part.states if isinstance(part, Automaton) else 1
        self.rows = _rows(part) if isinstance(part, Automaton) else [0]
        self.grouped: dict[tuple[int, int], list[Action]] = {}
        for t in part.transitions if isinstance(part, Automaton) else ():
            self.grouped.setdefault((t.source, t.target), []).append(t.action)
        widest = max((self.width_of(actions) for actions in self.grouped.values()), default=20.0)
        self.step = max((widest + 14) / 0.75, 70.0)
        per_row = [self.rows.count(row) for row in range(max(self.rows) + 1)]
        self.back = [pair for pair in self.grouped if self.rows[pair[1]] <= self.rows[pair[0]]]
        room = max((self.width_of(self.grouped[pair]) for pair in self.back), default=-20.0) + 20
        inner = max(per_row) * self.step
        reach = room + 14 * len(self.back) if self.back else 0.0
        self.width = max(inner + reach, sans_width(role) + 40)
        self.height = 96.0 + _ROW * max(self.rows) + 40
        if any(self.rows[b] - self.rows[a] > 1 for a, b in self.grouped):
            # What passes rows bends around on the left.
            self.left += self.step * 0.75
            self.width += self.step * 0.75
            left = self.left
        placed = [0] * (max(self.rows) + 1)
        self.at: list[tuple[float, float]] = []
        for state in range(states):
            row = self.rows[state]
            offset = (inner - per_row[row] * self.step) / 2
            self.at.append((left + offset + (placed[row] + 0.5) * self.step, 104.0 + _ROW * row))
            placed[row] += 1
        self.right = left + inner

    def width_of(self, actions: list[Action]) -> float:
        return max(mono_width(self.label(action), 11) for action in actions)

    def label(self, action: Action) -> str:
        return shorten(plain(str(action)), _LABEL)

    def draw(self) -> None:
        sheet = self.sheet
        css = role_class(self.column)
        name = shorten(plain(self.role), 24)
        sheet.rect(self.edge, 46, sans_width(name) + 26, 26, css, 'fill="currentColor"', round=13)
        sheet.text(self.edge + (sans_width(name) + 26) / 2, 63.5, name, "on name")
        if isinstance(self.part, str):
            sheet.text(self.edge, 96, shorten(self.part, 60), "bad", "start")
            return
        for lane, pair in enumerate(self.back):
            self.arrow_back(pair, lane)
        for pair in self.grouped:
            if pair not in self.back:
                self.arrow(pair)
        for state, (x, y) in enumerate(self.at):
            self.circle(state, x, y, css)

    def circle(self, state: int, x: float, y: float, css: str) -> None:
        assert isinstance(self.part, Automaton)
        sheet, d = self.sheet, f"M{{}} {number(y)}a{{0}} {{0}} 0 1 0 {{1}} 0a{{0}} {{0}} 0 1 0 -{{1}} 0z"
        sheet.open(css, f"state {state}")
        for radius in (_RADIUS, _RADIUS - 3) if state in self.part.final else (_RADIUS,):
            path = d.replace("{}", number(x - radius)).replace("{0}", str(radius)).replace("{1}", str(2 * radius))
            sheet.path(path, extra='fill="none" stroke="currentColor" stroke-width="1.6"')
        sheet.text(x, y + 4, str(state), "ink s")
        sheet.close()
        if state == 0:
            sheet.path(f"M{number(x - 36)} {number(y)}h17m-5 -4l6 4l-6 4", "dim")

    def labels(self, pair: tuple[int, int], x: float, y: float) -> None:
        actions = self.grouped[pair]
        width, high = self.width_of(actions) + 8, 14.0 * len(actions) + 3
        self.sheet.rect(x - width / 2, y - high / 2, width, high, "page", 'fill="currentColor"', round=4)
        for i, action in enumerate(actions):
            self.sheet.text(x, y - high / 2 + 12 + 14 * i, self.label(action), "ink m s")

    def arrow(self, pair: tuple[int, int]) -> None:
        (ax, ay), (bx, by) = self.at[pair[0]], self.at[pair[1]]
        top, bottom = ay + _RADIUS, by - _RADIUS - 2
        far = self.rows[pair[1]] - self.rows[pair[0]] > 1
        bend = self.step * 1.15 if far else 0.0
        self.sheet.open(role_class(self.column))
        self.sheet.path(
            f"M{number(ax)} {number(top)}C{number(ax - bend)} {number(top + 24)} {number(bx - bend)} {number(bottom - 30)} "
            f"{number(bx)} {number(bottom - 6)}m-4 -1l4 7l4 -7", extra='fill="none" stroke="currentColor" stroke-width="1.5"',
        )  # fmt: skip
        self.sheet.close()
        self.labels(pair, ax + (bx - ax) * 0.75 - bend * 0.75, (ay + by) / 2 + 2)

    def arrow_back(self, pair: tuple[int, int], lane: int) -> None:
        (ax, ay), (bx, by) = self.at[pair[0]], self.at[pair[1]]
        x = self.right + self.width_of(self.grouped[pair]) / 2 + 14 * lane
        end = bx + _RADIUS + 2
        if pair[0] == pair[1]:
            ay, by = ay + 5, by - 5
        self.sheet.open(role_class(self.column))
        self.sheet.path(
            f"M{number(ax + _RADIUS)} {number(ay)}C{number(x)} {number(ay)} {number(x)} {number(by)} {number(end + 6)} {number(by)}"
            "m1 -4l-7 4l7 4", extra='fill="none" stroke="currentColor" stroke-width="1.5" stroke-dasharray="4 3"',
        )  # fmt: skip
        self.sheet.close()
        self.labels(pair, x - (x - max(ax, bx)) * 0.2, (ay + by) / 2)


def _rows(part: Automaton) -> list[int]:
    """How far down each state stands: below all from which a way leads to it, but for ways that return."""
    following: list[list[int]] = [[] for _ in range(part.states)]
    for t in part.transitions:
        following[t.source].append(t.target)
    order: list[int] = []
    state_of = dict.fromkeys(range(part.states), "new")
    todo = [(0, iter(following[0]))]
    state_of[0] = "open"
    forward: list[list[int]] = [[] for _ in range(part.states)]
    while todo:
        at, targets = todo[-1]
        target = next(targets, None)
        if target is None:
            todo.pop()
            state_of[at] = "done"
            order.append(at)
        elif state_of[target] != "open":
            forward[at].append(target)
            if state_of[target] == "new":
                state_of[target] = "open"
                todo.append((target, iter(following[target])))
    rows = [0] * part.states
    for at in reversed(order):
        for target in forward[at]:
            rows[target] = max(rows[target], rows[at] + 1)
    return rows


__all__ = ["Automata", "automata"]
