"""Message sequence charts as SVG.

Lifelines are as far apart as what is written between them asks for; every text has a row of its own between its
lifelines, so that no two overlap and no arrow crosses one. Texts are shortened; whole ones appear where the pointer rests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from klorpy.environment.diagrams.measure import shorten, wrap
from klorpy.environment.diagrams.model import Arrow, Closed, Gap, Model, Note, Opened, Row, framed
from klorpy.environment.diagrams.sheet import Sheet, mono_width, number, role_class, sans_width

#: How long texts may be, in cells, before they are shortened.
_LABEL, _GUARD, _NOTE, _RESULT, _NAME = 40, 26, 30, 24, 18
_MARGIN: Final = 24
#: How far the sides of a frame are from its first and its last lifeline.
_INSET: Final = 26
_CLOSEST: Final = 104
#: With more rows than this the roles are named once more below.
_LONG: Final = 25


def render(model: Model) -> str:
    """The chart as one SVG element."""
    return _Picture(model).svg()


@dataclass(slots=True)
class _Box:
    """A frame: where it is, and what it is called."""

    opened: Opened
    top: float
    left: float
    right: float
    bottom: float = 0

    def hold(self, left: float, right: float) -> None:
        """Be wide enough for what is in it."""
        self.left, self.right = min(self.left, left - 9), max(self.right, right + 9)


@dataclass(frozen=True, slots=True)
class _Placed:
    row: Row
    y: float


class _Picture:
    def __init__(self, model: Model) -> None:
        self.model = model
        self.items = framed(model)
        self.names = [wrap(line.role, _NAME, 3) for line in model.lifelines]
        self.x = self._columns()
        self.sheet = Sheet()
        self.boxes: list[_Box] = []
        self.placed: list[_Placed] = []

    # --- Columns ---

    def _name_width(self, column: int) -> float:
        return max(max(sans_width(part) for part in self.names[column]) + 24, 44)

    def _result(self, column: int) -> str:
        return shorten(self.model.lifelines[column].text, _RESULT)

    def _columns(self) -> list[float]:
        """Where the lifelines are, from 0."""
        count = len(self.model.lifelines)
        wide = [max(self._name_width(i), mono_width(self._result(i)) + 16) for i in range(count)]
        gaps = [max((a + b) / 2 + 20, _CLOSEST) for a, b in pairwise(wide)]
        for row in self.model.rows:
            match row:
                case Note(column=column):
                    half = _note_width(row) / 2 + 14
                    for i in (column - 1, column):
                        if 0 <= i < len(gaps):
                            gaps[i] = max(gaps[i], half)
                case Arrow():
                    low, high = sorted(row.columns)
                    label, guard = mono_width(_label(row)) + 44, mono_width(shorten(row.guard or "", _GUARD), 11) + 30
                    missing = max(label + 36 * row.lost, guard) - sum(gaps[low:high])
                    for i in range(low, high):
                        gaps[i] += max(missing / (high - low), 0)
        x = [0.0]
        for gap in gaps:
            x.append(x[-1] + gap)
        return x

    # --- Layout ---

    def svg(self) -> str:
        header = 16.0 * max(map(len, self.names)) + 14
        left, right = self._sides()
        width = max(right - left, self._least_width())
        trouble = self._trouble_lines(width)
        top = 58.0 + 17 * len(trouble)
        shift = _MARGIN - left + (width - (right - left)) / 2
        self.x = [x + shift for x in self.x]
        width += 2 * _MARGIN
        start = top + header
        end = self._place(start + 14)
        for box in self.boxes:
            self._frame(box)
        for column in range(len(self.x)):
            self._lifeline(column, start, end)
        for box in self.boxes:
            self._tab(box)
        for placed in self.placed:
            self._row(placed, width)
        for column in range(len(self.x)):
            self._name(column, top, header)
            self._end(column, end)
        bottom = end + 34
        if len(self.model.rows) > _LONG:
            for column in range(len(self.x)):
                self._name(column, bottom, header)
            bottom += header
        self._heading(width, trouble)
        return self.sheet.whole(
            width, bottom + 18, f"{self.model.title}: {self.model.summary}",
            " ".join(part for part in (self.model.trouble, self.model.described()) if part),
        )  # fmt: skip

    def _least_width(self) -> float:
        gaps = [sans_width(row.text, 12) + 24 for row in self.model.rows if isinstance(row, Gap)]
        gaps += [mono_width(f"see {row.more}", 11) + 24 for row in self.model.rows if isinstance(row, Gap)]
        title = sans_width(shorten(self.model.title, 60), 15)
        return max([title, sans_width(self.model.summary, 12), 340.0 if self.model.trouble else 0.0, *gaps])

    def _trouble_lines(self, width: float) -> tuple[str, ...]:
        if not self.model.trouble:
            return ()
        return wrap(self.model.trouble, max(int(width / 6.7), 20), 4)

    def _sides(self) -> tuple[float, float]:
        """How far to the left and to the right anything reaches."""
        left, right = [0.0], [self.x[-1]]
        for column, x in enumerate(self.x):
            half = max(self._name_width(column), mono_width(self._result(column)) + 16) / 2
            left.append(x - half)
            right.append(x + half)
        for row in self.model.rows:
            if isinstance(row, Note):
                left.append(self.x[row.column] - _note_width(row) / 2)
                right.append(self.x[row.column] + _note_width(row) / 2)
        self._place(0)
        for box in self.boxes:
            left.append(box.left)
            right.append(box.right)
        numbers = 10 + 7 * len(str(max((row.number for row in self.model.rows if not isinstance(row, Gap)), default=0)))
        return min(left) - (numbers if self.model.numbered else 0), max(right)

    def _place(self, y: float) -> float:
        """Give every row and every frame its place, from `y` on; the place where the lifelines end."""
        self.boxes, self.placed = [], []
        stack: list[_Box] = []
        for item in self.items:
            match item:
                case Opened(columns=(low, high)):
                    left = self.x[low] - _INSET
                    right = max(self.x[high] + _INSET, left + sans_width(_continued(item), 11) + 24)
                    stack.append(_Box(item, y + 4, left, right))
                    self.boxes.append(stack[-1])
                    y += 30
                case Closed():
                    box = stack.pop()
                    box.bottom = y + 6
                    if stack:
                        stack[-1].hold(box.left, box.right)
                    y += 14
                case _:
                    if isinstance(item, Note) and stack:
                        half = _note_width(item) / 2
                        stack[-1].hold(self.x[item.column] - half, self.x[item.column] + half)
                    self.placed.append(_Placed(item, y))
                    y += _height(item)
        return y + 10

    # --- Painting ---

    def _heading(self, width: float, trouble: Sequence[str]) -> None:
        self.sheet.text(_MARGIN, 28, shorten(self.model.title, 60), "ink title", "start")
        self.sheet.text(_MARGIN, 45, self.model.summary, "dim", "start")
        for i, line in enumerate(trouble):
            self.sheet.text(_MARGIN, 62 + 17 * i, line, "bad", "start")

    def _name(self, column: int, y: float, height: float) -> None:
        parts, width, x = self.names[column], self._name_width(column), self.x[column]
        self.sheet.open(title=self.model.lifelines[column].role)
        self.sheet.rect(x - width / 2, y, width, height, role_class(column), 'fill="currentColor"', round=8)
        first = y + height / 2 + 4.5 - 8 * (len(parts) - 1)
        for i, part in enumerate(parts):
            self.sheet.text(x, first + 16 * i, part, "on name")
        self.sheet.close()

    def _lifeline(self, column: int, start: float, end: float) -> None:
        """A line, dotted where steps are left out, and faint after the role has failed."""
        x, css = number(self.x[column]), role_class(column)
        y = start
        failed = False

        def part(to: float, extra: str) -> None:
            if to > y:
                self.sheet.path(f"M{x} {number(y)}V{number(to)}", css, f'fill="none" stroke="currentColor" {extra}')

        for placed in self.placed:
            row = placed.row
            kind = 'stroke-opacity=".5" stroke-dasharray="1 5"' if failed else 'stroke-opacity=".55" stroke-width="1.5"'
            if isinstance(row, Gap):
                part(placed.y, kind)
                y = placed.y
                part(placed.y + _height(row), 'stroke-opacity=".5" stroke-dasharray="1 5"')
                y = placed.y + _height(row)
            elif isinstance(row, Note) and row.column == column and row.kind == "failed":
                part(placed.y, kind)
                y = placed.y + _height(row) - 10
                failed = True
        kind = 'stroke-opacity=".5" stroke-dasharray="1 5"' if failed else 'stroke-opacity=".55" stroke-width="1.5"'
        part(end, kind)

    def _row(self, placed: _Placed, width: float) -> None:
        match placed.row:
            case Arrow():
                self._arrow(placed.row, placed.y)
            case Note():
                self._note(placed.row, placed.y)
            case Gap():
                self._gap(placed.row, placed.y, width)

    def _arrow(self, row: Arrow, y: float) -> None:
        sheet, lines = self.sheet, self.model.lifelines
        start, end = self.x[row.source], self.x[row.target]
        sign = 1 if end > start else -1
        line = y + 23
        what = "was never received" if row.lost else "decides" if row.guard is not None else ""
        hover = [f"{row.number}. {lines[row.source].role} → {lines[row.target].role}: {row.text}"]
        hover += [part for part in (what, row.form, row.place) if part]
        sheet.open(role_class(row.source), "\n".join(hover))
        left, right = min(start, end), max(start, end)
        sheet.rect(left, y + 4, right - left, 26, extra='fill="none" pointer-events="all"')
        tip = end - sign * 4 if not row.lost else end - sign * 30
        dashes = ' stroke-dasharray="5 4"' if row.lost else ""
        sheet.path(
            f"M{number(start)} {number(line)}H{number(tip - sign * (0 if row.lost else 7))}",
            extra=f'fill="none" stroke="currentColor" stroke-width="1.6"{dashes}',
        )
        label = _label(row)
        middle = (start + tip - 8 * sign) / 2 if row.lost else (start + end) / 2
        if row.lost:
            cross = f"M{number(tip - 5)} {number(line - 5)}l10 10m0 -10l-10 10"
            sheet.path(cross, "bad", 'fill="none" stroke="currentColor" stroke-width="2"')
        else:
            sheet.path(f"M{number(tip)} {number(line)}l{-9 * sign} -4.5v9z", extra='fill="currentColor"')
        if abs(row.source - row.target) > 1:
            self._halo(middle, y + 5, mono_width(label))
        if row.guard is not None:
            self._decision(row, label, middle, y, left, right)
        else:
            sheet.text(middle, y + 17, label, "ink m")
        if row.lost:
            if abs(row.source - row.target) > 1:
                self._halo(middle, line + 4, sans_width("never received", 11))
            sheet.text(middle, line + 15, "never received", "bad s")
        sheet.close()
        self._number(row.number, line)

    def _decision(self, row: Arrow, label: str, middle: float, y: float, left: float, right: float) -> None:
        """A diamond at the value that decides, and below what was asked."""
        x = middle - mono_width(label) / 2 - 8
        self.sheet.path(f"M{number(x)} {number(y + 7)}l5.5 5.5l-5.5 5.5l-5.5 -5.5z", extra='fill="currentColor"')
        self.sheet.text(middle + 4, y + 17, label, "ink m")
        room = int((right - left - 24) / (11 * 0.61))
        if room >= 8 and row.guard is not None:
            guard = shorten(row.guard, room)
            if abs(row.source - row.target) > 1:
                self._halo(middle, y + 27, mono_width(guard, 11))
            self.sheet.text(middle, y + 37, guard, "dim m s")

    def _halo(self, middle: float, y: float, width: float) -> None:
        """The page behind a text that lies across other lifelines."""
        self.sheet.rect(middle - width / 2 - 5, y, width + 10, 15, "page", 'fill="currentColor"')

    def _note(self, row: Note, y: float) -> None:
        sheet, x, parts = self.sheet, self.x[row.column], _note_lines(row)
        width, height = _note_width(row), 16.0 * len(parts) + 8
        role = self.model.lifelines[row.column].role
        verb = {"printed": "prints", "failed": "fails", "waits": "is stuck"}[row.kind]
        hover = [f"{row.number}. {role} {verb}: {row.text}", *([row.form] if row.form else [])]
        css = {"printed": "rule", "failed": "bad", "waits": "wait"}[row.kind]
        sheet.open(title="\n".join(hover))
        sheet.rect(x - width / 2, y + 4, width, height, "box", 'fill="currentColor"', round=5)
        dashes = ' stroke-dasharray="4 3"' if row.kind == "waits" else ""
        sheet.rect(x - width / 2, y + 4, width, height, css, f'fill="none" stroke="currentColor"{dashes}', round=5)
        if row.kind == "printed":
            sheet.rect(x - width / 2, y + 4, 3.5, height, role_class(row.column), 'fill="currentColor"', round=1.5)
        for i, (part, text_css) in enumerate(parts):
            sheet.text(x, y + 19.5 + 16 * i, part, text_css)
        sheet.close()
        if row.kind == "failed":
            cross = f"M{number(x - 6)} {number(y + height + 9)}l12 12m0 -12l-12 12"
            sheet.path(cross, "bad", 'fill="none" stroke="currentColor" stroke-width="2.5" stroke-linecap="round"')
        self._number(row.number, y + 4 + height / 2)

    def _gap(self, row: Gap, y: float, width: float) -> None:
        sheet = self.sheet
        wide = max(sans_width(row.text, 12), mono_width(f"see {row.more}", 11)) + 20
        middle = min(max((self.x[0] + self.x[-1]) / 2, wide / 2 + 8), width - wide / 2 - 8)
        sheet.rect(middle - wide / 2, y + 16, wide, 42, "page", 'fill="currentColor"')
        sheet.text(middle, y + 34, row.text, "ink")
        sheet.text(middle, y + 51, f"see {row.more}", "dim m s")

    def _number(self, value: int, y: float) -> None:
        if self.model.numbered:
            self.sheet.text(_MARGIN - 12, y + 3.5, str(value), "dim n", "start")

    def _frame(self, box: _Box) -> None:
        self.sheet.rect(
            box.left, box.top, box.right - box.left, box.bottom - box.top, "dim",
            'fill="none" stroke="currentColor" stroke-opacity=".7"', round=4,
        )  # fmt: skip

    def _tab(self, box: _Box) -> None:
        """The name of a frame in its corner, above the lifelines."""
        sheet = self.sheet
        label = _continued(box.opened)
        width = sans_width(label, 11) + 12
        x, y = number(box.left), number(box.top)
        corner = f"M{x} {y}h{number(width)}v13l-6 6h-{number(width - 6)}z"
        sheet.path(corner, "box", 'fill="currentColor"')
        sheet.path(corner, "dim", 'fill="none" stroke="currentColor" stroke-opacity=".7"')
        sheet.text(box.left + 6, box.top + 13.5, label, "ink s", "start")

    def _end(self, column: int, y: float) -> None:
        line, x = self.model.lifelines[column], self.x[column]
        if line.ending == "end":
            self.sheet.path(f"M{number(x - 9)} {number(y)}h18", role_class(column), 'stroke="currentColor" stroke-width="3"')
            return
        text = self._result(column)
        width = max(mono_width(text) + 16, 30)
        css = {"result": role_class(column), "failed": "bad"}.get(line.ending, "wait")
        self.sheet.open(title=f"{line.role}: {line.text}")
        self.sheet.rect(x - width / 2, y, width, 24, "page", 'fill="currentColor"', round=6)
        dashes = "" if line.ending == "result" else ' stroke-dasharray="4 3"'
        self.sheet.rect(
            x - width / 2, y, width, 24, css, f'fill="none" stroke="currentColor" stroke-width="1.4"{dashes}', round=6
        )
        self.sheet.text(x, y + 16.5, text, "ink m" if line.ending == "result" else f"{css} m")
        self.sheet.close()


def _label(row: Arrow) -> str:
    return shorten(row.text, _LABEL)


def _continued(opened: Opened) -> str:
    label = shorten(opened.frame.label, 48)
    return f"{label} (continued)" if opened.continued else label


def _note_lines(row: Note) -> list[tuple[str, str]]:
    """The lines of a note with their classes."""
    css = {"printed": "ink m s", "failed": "bad m s", "waits": "wait m s"}[row.kind]
    lines = [(part, css) for part in wrap(row.text, _NOTE, 4)]
    return [*lines, *((part, "dim m s") for part in wrap(row.form, _NOTE, 2))] if row.form else lines


def _note_width(row: Note) -> float:
    return max(max(mono_width(part, 11) for part, _ in _note_lines(row)) + 18, 36)


def _height(row: Row) -> float:
    match row:
        case Arrow():
            return 44 if row.guard is not None or row.lost else 32
        case Note():
            return 16.0 * len(_note_lines(row)) + (30 if row.kind == "failed" else 16)
        case Gap():
            return 74
