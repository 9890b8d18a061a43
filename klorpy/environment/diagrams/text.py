"""Message sequence charts as text: lifelines from left to right, a line for each row.

Columns are as far apart as their labels ask for, and closer when the width does not allow it. When there are more roles
than fit side by side, the chart is a list of steps instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from klorpy.environment.diagrams.measure import cell, cells, shorten, wrap
from klorpy.environment.diagrams.model import Arrow, Closed, Gap, Model, Note, Opened, framed
from klorpy.environment.present import Palette

WIDTH: Final = 100
NARROWEST: Final = 20

#: The longest label that makes columns move apart.
_LABEL: Final = 48
_RESULT: Final = 24
#: Two lifelines are at least so far apart; closer, and no label has room.
_CLOSEST: Final = 9
#: The deepest nesting of frames that is drawn.
_DEPTH: Final = 4
_NOTE: Final = 26

#: How a cell is shown: by a column's colour, as an error, strong, or plainly.
_Style = int | str | None


def render(model: Model, width: int | None = None, palette: Palette | None = None) -> str:
    """The chart in lines of at most `width` cells, coloured when `palette` is on."""
    limit = max(WIDTH if width is None else width, NARROWEST)
    colours = _Colours(model, palette is not None and palette.on)
    sheet = _Sheet(model, limit, colours)
    return "\n".join([*_heading(model, limit, colours), "", *(sheet.lines() if sheet.fits else _list(model, limit, colours))])


def _heading(model: Model, limit: int, colours: _Colours) -> list[str]:
    head = shorten(f"{model.title}: {model.summary}", limit)
    title = model.title if head.startswith(model.title) else head
    lines = [colours.paint(title, "strong") + head[len(title) :]]
    if model.trouble:
        lines += [colours.paint(line, "error") for line in wrap(model.trouble, limit, 3)]
    return lines


class _Colours:
    """The palette of the columns; no colours at all when `on` is false."""

    def __init__(self, model: Model, on: bool) -> None:
        self._roles = [line.role for line in model.lifelines]
        self._palette = Palette(self._roles, on)

    def paint(self, text: str, style: _Style) -> str:
        if style is None or not text.strip():
            return text
        if isinstance(style, int):
            return self._palette.role(self._roles[style], text)
        return self._palette.strong(text) if style == "strong" else self._palette.error(text)


@dataclass(frozen=True, slots=True)
class _Box:
    """A frame that is open: where its sides are."""

    left: int
    right: int


class _Sheet:
    def __init__(self, model: Model, limit: int, colours: _Colours) -> None:
        self.model = model
        self.colours = colours
        self.items = framed(model)
        self.depth = min(max((len(row.frames) for row in model.rows), default=0), _DEPTH)
        last = max((row.number for row in model.rows if not isinstance(row, Gap)), default=0)
        self.gutter = len(str(last)) + 1 if model.numbered else 0
        inset = 2 * self.depth
        half = max(cells(model.lifelines[0].role), min(cells(model.lifelines[0].text), _RESULT)) // 2
        left = self.gutter + max(half, inset)
        right = max(inset, min(self._right(), _NOTE + 3, max(limit - left - 30, 0)))
        gaps = self._gaps()
        self.fits = self._fit(gaps, limit - left - right - 1)
        self.x = [left]
        for gap in gaps:
            self.x.append(self.x[-1] + gap)
        hints = [max(cells(row.text), cells(f"see {row.more}")) for row in model.rows if isinstance(row, Gap)]
        self.width = min(max(self.x[-1] + 1 + right, self.gutter + max(hints, default=0)), limit)
        self.fallen: set[int] = set()

    # --- Columns ---

    def _right(self) -> int:
        """The room that is wanted beside the last lifeline."""
        last = len(self.model.lifelines) - 1
        line = self.model.lifelines[last]
        wanted = max(cells(line.role), min(cells(line.text), _RESULT)) // 2 + 1
        for row in self.model.rows:
            if isinstance(row, Note) and row.column == last:
                wanted = max(wanted, cells(_note(row)) + 3)
        return wanted

    def _gaps(self) -> list[int]:
        lines = self.model.lifelines
        wide = [max(cells(line.role), min(cells(line.text), _RESULT)) for line in lines]
        gaps = [max((a + b) // 2 + 3, _CLOSEST + 2 * self.depth, 14) for a, b in pairwise(wide)]
        for row in self.model.rows:
            if isinstance(row, Arrow):
                low, high = sorted(row.columns)
                missing = min(cells(_label(row)), _LABEL) + (9 if row.lost else 6) - sum(gaps[low:high])
                for i in range(low, high):
                    gaps[i] += max(-(-missing // (high - low)), 0)
        return gaps

    def _fit(self, gaps: list[int], room: int) -> bool:
        """Take cells from the widest gaps until they fit. False when they cannot."""
        while sum(gaps) > room:
            widest = max(gaps)
            if widest <= _CLOSEST:
                return False
            second = max((gap for gap in gaps if gap < widest), default=_CLOSEST)
            many = gaps.count(widest)
            less = min(widest - max(second, _CLOSEST), -(-(sum(gaps) - room) // many))
            for i, gap in enumerate(gaps):
                if gap == widest:
                    gaps[i] -= max(less, 1)
        return True

    # --- Lines ---

    def lines(self) -> list[str]:
        names = self._row([])
        for column, line in enumerate(self.model.lifelines):
            self._centred(names, column, line.role, column)
        found = [names.text(self.colours), self._lifelines([]).text(self.colours)]
        boxes: list[_Box] = []
        depth = 0
        for item in self.items:
            match item:
                case Opened():
                    depth += 1
                    if depth <= self.depth:
                        box = self._box(item, boxes)
                        found.append(self._edge(boxes, box, "╭", "╮", _continued(item)))
                        boxes.append(box)
                case Closed():
                    if depth <= self.depth:
                        box = boxes.pop()
                        found.append(self._edge(boxes, box, "╰", "╯", ""))
                    depth -= 1
                case Arrow():
                    found.append(self._arrow(item, boxes))
                case Note():
                    found += self._note(item, boxes)
                case Gap():
                    found += self._gap(item)
        return [*found, *self._ends()]

    def _row(self, boxes: Sequence[_Box]) -> _Line:
        line = _Line(self.width)
        for box in boxes:
            line.put(box.left, "╎")
            line.put(box.right, "╎")
        return line

    def _lifelines(self, boxes: Sequence[_Box], char: str = "") -> _Line:
        line = self._row(boxes)
        for column, x in enumerate(self.x):
            line.put(x, char or ("┊" if column in self.fallen else "│"), column)
        return line

    def _number(self, line: _Line, number: int) -> None:
        if self.gutter:
            line.put(0, str(number).rjust(self.gutter - 1))

    def _box(self, opened: Opened, boxes: Sequence[_Box]) -> _Box:
        inset = 2 + 2 * min(opened.height, self.depth - len(boxes) - 1)
        low, high = opened.columns
        outer = boxes[-1] if boxes else _Box(self.gutter - 1, self.width)
        return _Box(max(self.x[low] - inset, outer.left + 1), min(self.x[high] + inset, outer.right - 1))

    def _edge(self, boxes: Sequence[_Box], box: _Box, left: str, right: str, label: str) -> str:
        line = self._lifelines(boxes)
        crossed = set(self.x)
        for x in range(box.left, box.right + 1):
            line.put(x, "┼" if x in crossed else "─")
        line.put(box.left, left)
        line.put(box.right, right)
        if label:
            line.put(box.left + 1, f" {shorten(label, max(box.right - box.left - 4, 1))} ", "strong")
        return line.text(self.colours)

    def _arrow(self, row: Arrow, boxes: Sequence[_Box]) -> str:
        line = self._lifelines(boxes)
        self._number(line, row.number)
        start, end = self.x[row.source], self.x[row.target]
        low, high = min(start, end) + 1, max(start, end)
        if row.lost:  # it ends before it arrives
            low, high = (low, high - 3) if start < end else (low + 3, high)
        crossed = set(self.x)
        for x in range(low, high):
            line.put(x, "┼" if x in crossed else "╌" if row.lost else "─", row.source)
        line.put(high - 1 if start < end else low, "✗" if row.lost else "▶" if start < end else "◀", row.source)
        room = high - low - 3
        label = shorten(_label(row), max(room, 1))
        at = low + (high - low - cells(label)) // 2
        line.put(min(max(at, low + (1 if start < end else 2)), high - cells(label)), label)
        return line.text(self.colours)

    def _note(self, row: Note, boxes: Sequence[_Box]) -> list[str]:
        x = self.x[row.column]
        outer = boxes[-1] if boxes else _Box(self.gutter - 1, self.width)
        left, right = x - outer.left - 4, outer.right - x - 3
        text, style = _note(row), None if row.kind == "printed" else "error"
        to_right = right >= min(cells(text), left)
        parts = wrap(text, max(right if to_right else left, 1), 4)
        found = []
        for i, part in enumerate(parts):
            line = self._lifelines(boxes)
            if i == 0:
                self._number(line, row.number)
            if to_right:
                line.put(x + 2, part, style)
                line.put(x + 1, "╴" if i == 0 else " ")
            else:
                line.put(x - 2 - cells(part), " " + part, style)
                line.put(x - 1, "╶" if i == 0 else " ")
            if i == 0:
                line.put(x, {"failed": "✗", "waits": "?"}.get(row.kind, "├" if to_right else "┤"), style or row.column)
            found.append(line.text(self.colours))
            if row.kind == "failed":
                self.fallen.add(row.column)
        return found

    def _gap(self, row: Gap) -> list[str]:
        found = [self._lifelines([], "⋮").text(self.colours)]
        for text in (row.text, f"see {row.more}"):
            line = _Line(self.width)
            part = shorten(text, self.width)
            line.put(min(self.gutter, self.width - cells(part)), part)
            found.append(line.text(self.colours))
        return [*found, found[0]]

    def _ends(self) -> list[str]:
        last, results = self._row([]), self._row([])
        marks = {"result": "┴", "end": "┴", "failed": "✗", "blocked": "?", "stopped": "┊"}
        for column, line in enumerate(self.model.lifelines):
            bad = line.ending in ("failed", "blocked", "stopped")
            last.put(self.x[column], marks[line.ending], "error" if bad else column)
            self._centred(results, column, line.text, "error" if bad else None)
        found = [last.text(self.colours), results.text(self.colours)]
        return [line for line in found if line]

    def _centred(self, line: _Line, column: int, text: str, style: _Style) -> None:
        """`text` at a lifeline, in the room up to the middle between it and its neighbours."""
        x = self.x[column]
        before = (x - self.x[column - 1]) // 2 - 1 if column else x - self.gutter
        after = (self.x[column + 1] - x) // 2 - 1 if column + 1 < len(self.x) else self.width - x - 1
        text = shorten(text, max(min(before, after) * 2 + 1, 1))
        line.put(x - cells(text) // 2, text, style)


def _label(row: Arrow) -> str:
    return f"◇ {row.text}" if row.guard is not None else row.text


def _note(row: Note) -> str:
    return f"{row.text}: {row.form}" if row.form else row.text


def _continued(opened: Opened) -> str:
    return f"… {opened.frame.label}" if opened.continued else opened.frame.label


class _Line:
    """Cells with styles. What is put beyond the end is cut off."""

    def __init__(self, width: int) -> None:
        self.cells: list[tuple[str, _Style]] = [(" ", None)] * width

    def put(self, x: int, text: str, style: _Style = None) -> None:
        for char in text:
            wide = cell(char)
            if wide == 0:
                if 0 < x <= len(self.cells):
                    before = x - 1 if self.cells[x - 1][0] or x == 1 else x - 2
                    self.cells[before] = (self.cells[before][0] + char, self.cells[before][1])
                continue
            if x >= 0 and x + wide <= len(self.cells):
                self.cells[x] = (char, style)
                if wide == 2:
                    self.cells[x + 1] = ("", style)
            x += wide

    def text(self, colours: _Colours) -> str:
        cells = list(self.cells)
        while cells and cells[-1][0] == " ":
            cells.pop()
        found = []
        start = 0
        for i in range(1, len(cells) + 1):
            if i == len(cells) or cells[i][1] != cells[start][1]:
                part = "".join(char for char, _ in cells[start:i])
                found.append(colours.paint(part, cells[start][1]))
                start = i
        return "".join(found)


# --- As a list --------------------------------------------------------------------------------------------------------


def _list(model: Model, limit: int, colours: _Colours) -> list[str]:
    """A line for each step."""
    found: list[str] = []
    depth = 0
    roles = [line.role for line in model.lifelines]
    for item in framed(model):
        indent = "  " * min(depth, _DEPTH)
        match item:
            case Opened():
                found.append(colours.paint(shorten(f"{indent}╭ {_continued(item)}", limit), "strong"))
                depth += 1
            case Closed():
                depth -= 1
            case Arrow(source=source, target=target, lost=lost):
                text = f"{indent}{roles[source]} ──{'✗' if lost else '▶'} {roles[target]}: {_label(item)}"
                found.append(shorten(text, limit))
            case Note(column=column, kind=kind):
                text = f"{indent}{roles[column]}: {_note(item)}"
                line = shorten(text, limit)
                found.append(colours.paint(line, None if kind == "printed" else "error"))
            case Gap():
                found += [shorten(f"⋮ {item.text}", limit), shorten(f"⋮ see {item.more}", limit)]
    for end in model.lifelines:
        if end.text:
            text = shorten(f"{end.role} = {end.text}" if end.ending == "result" else f"{end.role} {end.text}", limit)
            found.append(colours.paint(text, None if end.ending == "result" else "error"))
    return found
