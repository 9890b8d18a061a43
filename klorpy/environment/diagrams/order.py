"""What waits for what at a role, as a picture: its steps from top to bottom, and an arc from each to what waits for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from klorpy.environment.diagrams.drawing import Drawing
from klorpy.environment.diagrams.measure import plain, shorten
from klorpy.environment.diagrams.sheet import Sheet, mono_width, number, role_class, sans_width
from klorpy.environment.present import Palette
from klorpy.outoforder.explain import Explanation

_MARGIN: Final = 28
_TOP: Final = 78
_ROW: Final = 30
_LANE: Final = 16
_LABEL: Final = 72
_SIZE: Final = 12

#: How the reasons to wait are drawn: classes of the line, its dashes, and what the legend says.
_REASONS: Final = {
    "data": ("ink", "", "uses its value"),
    "choice": ("ink", "7 3", "stands in its choice"),
    "effect": ("wait", "2 3", "keeps the order of effects"),
    "barrier": ("bad", "2 3", "stands behind a barrier"),
    "order": ("dim", "2 3", "keeps the order of the program"),
}


@dataclass(frozen=True, slots=True, repr=False)
class OrderChart(Drawing):
    """The happens-before graph of one role of a definition."""

    explanation: Explanation

    def svg(self) -> str:
        return _Picture(self.explanation).svg()

    def text(self, width: int | None = None, palette: Palette | None = None) -> str:
        return str(self.explanation)

    def mermaid(self) -> str:
        return self.explanation.mermaid()

    def __repr__(self) -> str:
        return f"<order of {self.explanation.role} in {self.explanation.choreography}: {len(self.explanation.steps)} steps>"


def order_chart(explanation: Explanation) -> OrderChart:
    """The picture of what `klorpy.explain_order` found.

    >>> from klorpy import evaluate, explain_order
    >>> ns = evaluate("(defchor f [A B] (-> A A B) [x y] (let [p (A->B x) q (A->B y)] (B (+ p q))))")
    >>> order_chart(explain_order(ns.f, "B", "effects"))
    <order of B in f: 3 steps>
    """
    return OrderChart(explanation)


class _Picture:
    def __init__(self, what: Explanation) -> None:
        self.what = what
        self.sheet = Sheet()
        self.labels = [shorten(plain(step.text), _LABEL) for step in what.steps]
        #: Pairs of places, the earlier first, with the reason; short arcs are inside of long ones.
        self.arcs = sorted(
            ((earlier - 1, step.number - 1, why) for step in what.steps for earlier, why in step.after),
            key=lambda arc: (arc[1] - arc[0], arc),
        )
        self.lanes: list[int] = []
        taken: list[list[tuple[int, int]]] = []
        for start, end, _ in self.arcs:
            lane = next((i for i, spans in enumerate(taken) if all(end <= a or b <= start for a, b in spans)), len(taken))
            if lane == len(taken):
                taken.append([])
            taken[lane].append((start, end))
            self.lanes.append(lane)
        self.left = _MARGIN + _LANE * (len(taken) + 1)

    def svg(self) -> str:
        sheet, what = self.sheet, self.what
        title = f"{plain(what.role)} of {plain(what.choreography)}, order {what.order}"
        sheet.text(_MARGIN, 34, shorten(title, 60), "ink title", "start")
        for (start, end, why), lane in zip(self.arcs, self.lanes, strict=True):
            self.arc(start, end, why, lane)
        waiting = {end for _, end, _ in self.arcs}
        for place, label in enumerate(self.labels):
            self.step(place, label, place not in waiting)
        bottom = float(_TOP + _ROW * len(self.labels))
        for why in _REASONS:
            if any(why == other for _, _, other in self.arcs):
                bottom = self.legend(why, bottom)
        widest = max((mono_width(label, _SIZE) for label in self.labels), default=0.0)
        width = max(self.left + widest + 2 * _MARGIN + 24, sans_width(shorten(title, 60), 15) + 2 * _MARGIN, 300)
        return sheet.whole(width, bottom + 6, title, str(what))

    def y(self, place: int) -> float:
        return _TOP + _ROW * place

    def step(self, place: int, label: str, at_once: bool) -> None:
        sheet, y = self.sheet, self.y(place)
        width = mono_width(label, _SIZE) + 20
        sheet.open("", "at once" if at_once else "")
        sheet.rect(self.left, y - 11, width, 22, "box", 'fill="currentColor"', round=6)
        css = role_class(0) if at_once else "rule"
        sheet.rect(self.left, y - 11, width, 22, css, 'fill="none" stroke="currentColor"', round=6)
        sheet.text(self.left + 10, y + 4, label, "ink m", "start")
        sheet.text(self.left + width + 8, y + 4, str(place + 1), "dim n", "start")
        sheet.close()

    def arc(self, start: int, end: int, why: str, lane: int) -> None:
        css, dashes, says = _REASONS[why]
        x, a, b = self.left - _LANE * (lane + 1), self.y(start) + 4, self.y(end) - 4
        self.sheet.open(css, f"{end + 1} waits for {start + 1}: {says}")
        self.sheet.path(
            f"M{number(self.left)} {number(a)}C{number(x)} {number(a)} {number(x)} {number(a)} {number(x)} {number(a + 9)}"
            f"V{number(b - 9)}C{number(x)} {number(b)} {number(x)} {number(b)} {number(self.left - 6)} {number(b)}",
            extra='fill="none" stroke="currentColor" stroke-width="1.4"' + (f' stroke-dasharray="{dashes}"' if dashes else ""),
        )
        self.sheet.path(f"M{number(self.left - 7)} {number(b - 4)}l7 4l-7 4", extra='fill="none" stroke="currentColor" stroke-width="1.4"')
        self.sheet.close()

    def legend(self, why: str, y: float) -> float:
        css, dashes, says = _REASONS[why]
        self.sheet.open(css)
        extra = 'fill="none" stroke="currentColor" stroke-width="1.4"' + (f' stroke-dasharray="{dashes}"' if dashes else "")
        self.sheet.path(f"M{number(_MARGIN)} {number(y)}h26", extra=extra)
        self.sheet.close()
        self.sheet.text(_MARGIN + 34, y + 4, f"{why}: {says}", "dim s", "start")
        return y + 18


__all__ = ["OrderChart", "order_chart"]
