"""Role graphs as SVG: roles on a circle, an arrow for each channel, bent where there is one in each direction."""

from __future__ import annotations

import math
from typing import Final, TypeAlias

from klorpy.environment.diagrams.measure import shorten, wrap
from klorpy.environment.diagrams.model import Edge, Net
from klorpy.environment.diagrams.sheet import Sheet, mono_width, number, role_class, sans_width

_Point: TypeAlias = tuple[float, float]
#: Left, top, right, bottom.
_Area: TypeAlias = tuple[float, float, float, float]

_MARGIN: Final = 24
_HEIGHT: Final = 30
#: Where labels are tried on an arrow, nearer to the sender, since arrows cross in the middle.
_PLACES: Final = (0.4, 0.5, 0.32, 0.58, 0.26, 0.66, 0.2, 0.74, 0.8)
#: How far labels stay apart.
_APART: Final = 7
_FORM: Final = 60


def render(net: Net) -> str:
    """The graph as one SVG element."""
    return _Picture(net).svg()


class _Picture:
    def __init__(self, net: Net) -> None:
        self.net = net
        self.names = [shorten(role, 24) for role in net.roles]
        self.half = [max(sans_width(name) + 26, 48) / 2 for name in self.names]
        self.sheet = Sheet()
        self.taken: list[_Area] = []
        self.centres = self._circle()
        #: Between whom there are lines; of those of which nothing is known, nobody knows the direction.
        self.channels = {(edge.source, edge.target) for edge in net.edges}
        self.channels |= {pair for a, b in net.unknown_pairs() for pair in ((a, b), (b, a))}

    def _circle(self) -> list[_Point]:
        """The roles around (0, 0), the first above; two of them side by side."""
        count = len(self.names)
        label = max((mono_width(edge.label, 11.5) for edge in self.net.edges), default=0.0)
        widest = max(self.half)
        if count == 1:
            return [(0.0, 0.0)]
        if count == 2:
            reach = (label + 90 + 2 * widest) / 2
            return [(-reach, 0.0), (reach, 0.0)]
        ry = max(88.0 + 12 * max(label - 40, 0) / 20, 22.0 * count)
        rx = max(ry * 1.3, (2 * widest + label + 60) / 2, (2 * widest + 24) * count / 6)
        angles = [2 * math.pi * i / count - math.pi / 2 for i in range(count)]
        return [(rx * math.cos(a), ry * math.sin(a)) for a in angles]

    def svg(self) -> str:
        xs = [x for x, _ in self.centres]
        ys = [y for _, y in self.centres]
        bend = 34.0 if len(xs) == 2 else 20.0
        left = min(x - half for (x, _), half in zip(self.centres, self.half, strict=True))
        right = max(x + half for (x, _), half in zip(self.centres, self.half, strict=True))
        notes = self._notes()
        wide = [sans_width(shorten(self.net.title, 60), 15), sans_width(self.net.summary, 12)]
        wide += [sans_width(line, 12) for line in notes]
        width = max(right - left + (20 if len(xs) > 2 else 0), *wide) + 2 * _MARGIN
        top = 58.0
        height = max(ys) - min(ys) + _HEIGHT + 2 * bend * (len(xs) > 1)
        dx, dy = width / 2 - (left + right) / 2, top + height / 2 - (max(ys) + min(ys)) / 2
        self.centres = [(x + dx, y + dy) for x, y in self.centres]
        for column in range(len(xs)):
            self.taken.append(self._node(column, 6))
        curves = [(edge, *self._curve(edge)) for edge in self.net.edges]
        for edge, start, control, end in curves:
            self._arrow(edge, start, control, end)
        for edge, start, control, end in curves:
            self._place(edge.label, "ink m", self._hover(edge), start, control, end)
        for a, b in self.net.unknown_pairs():
            self._unknown(a, b)
        for column in range(len(xs)):
            self._role(column)
        bottom = top + height + 8
        for i, line in enumerate(notes):
            self.sheet.text(_MARGIN, bottom + 10 + 17 * i, line, "dim", "start")
        self.sheet.text(_MARGIN, 28, shorten(self.net.title, 60), "ink title", "start")
        self.sheet.text(_MARGIN, 45, self.net.summary, "dim", "start")
        title = f"Who talks to whom in {self.net.title}"
        return self.sheet.whole(width, bottom + 17 * len(notes) + 12, title, self.net.described())

    def _notes(self) -> list[str]:
        return [line for note in self.net.notes() for line in wrap(f"? {note}", _FORM, 3)]

    # --- Parts ---

    def _node(self, column: int, margin: float = 0) -> _Area:
        (x, y), half = self.centres[column], self.half[column]
        return x - half - margin, y - _HEIGHT / 2 - margin, x + half + margin, y + _HEIGHT / 2 + margin

    def _role(self, column: int) -> None:
        x, y = self.centres[column]
        self.sheet.open(title=self.net.roles[column])
        self.sheet.rect(
            x - self.half[column], y - _HEIGHT / 2, 2 * self.half[column], _HEIGHT, role_class(column),
            'fill="currentColor"', round=_HEIGHT / 2,
        )  # fmt: skip
        self.sheet.text(x, y + 4.5, self.names[column], "on name")
        self.sheet.close()

    def _curve(self, edge: Edge) -> tuple[_Point, _Point, _Point]:
        """Start, control point and end of an arrow, from border to border."""
        (ax, ay), (bx, by) = self.centres[edge.source], self.centres[edge.target]
        length = math.hypot(bx - ax, by - ay) or 1.0
        both = (edge.target, edge.source) in self.channels
        bend = min(length * 0.22, 46.0) if both else 0.0
        control = ((ax + bx) / 2 + (by - ay) / length * bend, (ay + by) / 2 - (bx - ax) / length * bend)
        return self._border(edge.source, control, 3), control, self._border(edge.target, control, 5)

    def _border(self, column: int, towards: _Point, margin: float) -> _Point:
        """Where the line from a role's centre to a point leaves the role."""
        x, y = self.centres[column]
        dx, dy = towards[0] - x, towards[1] - y
        half_x, half_y = self.half[column] + margin, _HEIGHT / 2 + margin
        scale = min(half_x / abs(dx) if dx else math.inf, half_y / abs(dy) if dy else math.inf)
        return x + dx * scale, y + dy * scale

    def _arrow(self, edge: Edge, start: _Point, control: _Point, end: _Point) -> None:
        sheet = self.sheet
        dx, dy = end[0] - control[0], end[1] - control[1]
        length = math.hypot(dx, dy) or 1.0
        dx, dy = dx / length, dy / length
        neck = end[0] - 8 * dx, end[1] - 8 * dy
        dashes = ' stroke-dasharray="5 4"' if edge.low == 0 else ""
        sheet.open(role_class(edge.source), self._hover(edge))
        sheet.path(
            f"M{_at(start)}Q{_at(control)} {_at(neck)}", extra=f'fill="none" stroke="currentColor" stroke-width="1.7"{dashes}'
        )
        left, right = (neck[0] - 4.5 * dy, neck[1] + 4.5 * dx), (neck[0] + 4.5 * dy, neck[1] - 4.5 * dx)
        sheet.path(f"M{_at(end)}L{_at(left)}L{_at(right)}z", extra='fill="currentColor"')
        sheet.close()

    def _place(self, text: str, css: str, hover: str, start: _Point, control: _Point, end: _Point) -> None:
        """A label on a line, where it is on no other label and on no role, if there is such a place."""
        width = mono_width(text, 11.5) + 8
        found: tuple[float, _Point] | None = None
        for t in _PLACES if len(self.names) > 3 else (0.5, *_PLACES):
            x, y = _on_curve(start, control, end, t)
            area = (x - width / 2 - _APART, y - 9 - _APART, x + width / 2 + _APART, y + 9 + _APART)
            overlap = sum(_overlap(area, other) for other in self.taken)
            if found is None or overlap < found[0]:
                found = overlap, (x, y)
            if overlap == 0:
                break
        assert found is not None
        x, y = found[1]
        self.taken.append((x - width / 2, y - 9, x + width / 2, y + 9))
        self.sheet.open(title=hover)
        self.sheet.rect(x - width / 2, y - 9, width, 18, "page", 'fill="currentColor"', round=4)
        self.sheet.text(x, y + 4, text, css)
        self.sheet.close()

    def _unknown(self, a: int, b: int) -> None:
        start, end = self._border(a, self.centres[b], 3), self._border(b, self.centres[a], 3)
        self.sheet.path(
            f"M{_at(start)}L{_at(end)}", "dim", 'fill="none" stroke="currentColor" stroke-width="1.5" stroke-dasharray="1 5"'
        )
        self._place("?", "dim m", "", start, ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2), end)

    def _hover(self, edge: Edge) -> str:
        return f"{self.net.roles[edge.source]} → {self.net.roles[edge.target]}: {edge.words}"


def _at(point: _Point) -> str:
    return f"{number(point[0])} {number(point[1])}"


def _on_curve(start: _Point, control: _Point, end: _Point, t: float) -> _Point:
    a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t * t
    return a * start[0] + b * control[0] + c * end[0], a * start[1] + b * control[1] + c * end[1]


def _overlap(a: _Area, b: _Area) -> float:
    return max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)
