"""A picture of a world of conversations: processes in their VMs, their endpoints, and who sees whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from klorpy.conversations import Ground, Kernel, World
from klorpy.conversations.snapshot import EndpointView, ProcessView, Snapshot, snapshot
from klorpy.core.diagnostics import KlorError
from klorpy.environment.diagrams.drawing import Drawing
from klorpy.environment.diagrams.measure import plain, shorten
from klorpy.environment.diagrams.mermaid import escape
from klorpy.environment.diagrams.model import count
from klorpy.environment.diagrams.sheet import Sheet, mono_width, number, role_class, sans_width
from klorpy.environment.diagrams.text import NARROWEST, WIDTH
from klorpy.environment.present import Palette

_MARGIN: Final = 24
_LINE: Final = 20
_HEAD: Final = 26
_GAP: Final = 12
_INDENT: Final = 14
#: How far apart the lines of presence are, at the right of the boxes.
_LANE: Final = 9
_TOPIC: Final = 44


def world_of(value: Any) -> Snapshot:
    """The snapshot of a World, a Ground or a Kernel. Raises KlorError `bad-argument` for anything else."""
    match value:
        case Snapshot():
            return value
        case World():
            return snapshot(value.ground.kernel)
        case Ground():
            return snapshot(value.kernel)
        case Kernel():
            return snapshot(value)
    raise KlorError(
        f"a {type(value).__name__} has no processes",
        slug="bad-argument",
        help="give a World, a Ground or a Kernel of klorpy.conversations",
    )


@dataclass(frozen=True, slots=True)
class WorldPicture(Drawing):
    """Processes, endpoints, and who sees whom, at a moment."""

    snapshot: Snapshot

    def svg(self) -> str:
        return _Picture(self.snapshot).svg()

    def text(self, width: int | None = None, palette: Palette | None = None) -> str:
        return plain_lines(self.snapshot.text(max(WIDTH if width is None else width, NARROWEST)))

    def mermaid(self) -> str:
        lines = ["flowchart LR"]
        nodes: dict[str, str] = {}
        for process in self.snapshot.processes:
            _subgraph(process, lines, nodes, "  ")
        for endpoint in _endpoints(self.snapshot):
            for other in endpoint.sees:
                if other in nodes:
                    lines.append(f"  {nodes[endpoint.id]} -.-> {nodes[other]}")
        return "\n".join(lines) + "\n"

    def __repr__(self) -> str:
        return f"<world of {_processes(self.snapshot)}>"


def world_picture(value: Any) -> WorldPicture:
    """A picture of a World, a Ground or a Kernel, as it is now.

    >>> from klorpy.conversations import role, subscriber
    >>> kernel = Kernel()
    >>> ann = kernel.start("ann", role("in", subscriber("chat")))
    >>> kernel.run()
    True
    >>> print(world_picture(kernel))
    ann
      - in  "chat"
    """
    return WorldPicture(world_of(value))


def plain_lines(text: str) -> str:
    return "\n".join(map(plain, text.split("\n"))) if not text.isascii() or not text.isprintable() else text


def _processes(world: Snapshot) -> str:
    number = len(list(world.walk()))
    return "1 process" if number == 1 else f"{number:,} processes"


def _endpoints(world: Snapshot) -> list[EndpointView]:
    return [endpoint for _, process in world.walk() for endpoint in process.endpoints]


def _subgraph(process: ProcessView, lines: list[str], nodes: dict[str, str], indent: str) -> None:
    lines.append(f'{indent}subgraph p{len(lines)}["{escape(plain(process.name))}"]')
    for endpoint in process.endpoints:
        nodes[endpoint.id] = f"e{len(nodes)}"
        label = f"{'+' if endpoint.orientation == 'pub' else '-'} {endpoint.name}: {endpoint.topic}"
        lines.append(f'{indent}  {nodes[endpoint.id]}["{escape(shorten(plain(label), 60))}"]')
    for inner in process.inside or ():
        _subgraph(inner, lines, nodes, indent + "  ")
    lines.append(f"{indent}end")


class _Picture:
    """Boxes below each other, those of a VM inside its box; lines at the right join those that see each other."""

    def __init__(self, world: Snapshot) -> None:
        self.world = world
        self.sheet = Sheet()
        self.rows: dict[str, float] = {}
        names = [(depth, endpoint) for depth, process in world.walk() for endpoint in process.endpoints]
        self.name_width = max((mono_width(shorten(plain(e.name), 20), 12) for _, e in names), default=0.0)
        topics = max((mono_width(self._topic(e), 12) for _, e in names), default=0.0)
        heads = max((2 * _INDENT * depth + sans_width(self._title(p), 13) for depth, p in world.walk()), default=0.0)
        depth = max((depth for depth, _ in world.walk()), default=0)
        self.width = max(self.name_width + topics + 60 + 2 * _INDENT * depth, heads + 60, 160)
        self.colours: dict[str, int] = {}

    def svg(self) -> str:
        y = 62.0
        for process in self.world.processes:
            y = self._box(process, _MARGIN, y, self.width) + _GAP
        right = _MARGIN + self.width
        lanes = self._lines(right)
        title = "Who is there"
        summary = f"{_processes(self.world)}, {count(len(self.rows), 'endpoint')}"
        self.sheet.text(_MARGIN, 32, title, "ink title", "start")
        self.sheet.text(_MARGIN, 49, summary, "dim", "start")
        description = " ".join(
            f"{endpoint.id} sees {', '.join(endpoint.sees)}." for endpoint in _endpoints(self.world) if endpoint.sees
        )
        return self.sheet.whole(right + lanes + _MARGIN, y + 6, title, plain(description))

    def _title(self, process: ProcessView) -> str:
        return shorten(plain(process.name), 40)

    def _topic(self, endpoint: EndpointView) -> str:
        return shorten(plain(endpoint.topic), _TOPIC)

    def _box(self, process: ProcessView, x: float, y: float, width: float) -> float:
        """Draw a process, and give where it ends."""
        height = _HEAD + _LINE * len(process.endpoints) + 6
        place = len(self.sheet.parts)
        inner = y + height
        for each in process.inside or ():
            inner = self._box(each, x + _INDENT, inner, width - 2 * _INDENT) + _GAP / 2
        bottom = inner + (_GAP / 2 if process.inside else 0)
        # The box stands behind what is in it.
        drawn, self.sheet.parts = self.sheet.parts[place:], self.sheet.parts[:place]
        css = "page" if process.inside is not None else "box"
        self.sheet.rect(x, y, width, bottom - y, css, 'fill="currentColor"', round=8)
        edge = "bad" if process.failed else "rule"
        self.sheet.rect(x, y, width, bottom - y, edge, 'fill="none" stroke="currentColor"', round=8)
        self.sheet.parts += drawn
        self.sheet.open(title=plain(process.state))
        self.sheet.text(x + 12, y + 18, self._title(process), "ink name", "start")
        if process.inside is not None:
            self.sheet.text(x + width - 12, y + 18, "VM", "dim s", "end")
        self.sheet.close()
        for row, endpoint in enumerate(process.endpoints):
            self._row(endpoint, x, y + _HEAD + _LINE * row + _LINE / 2, width)
        return bottom

    def _row(self, endpoint: EndpointView, x: float, y: float, width: float) -> None:
        self.rows[endpoint.id] = y
        colour = role_class(self.colours.setdefault(endpoint.topic.split(" ")[0], len(self.colours)))
        out = endpoint.orientation == "pub"
        left = x + 14
        shape = (
            f"M{number(left)} {number(y - 4)}l7 4l-7 4z" if out else f"M{number(left + 7)} {number(y - 4)}l-7 4l7 4z"
        )
        seen = endpoint.interest == "participant"
        paint = 'fill="currentColor"' if seen else 'fill="none" stroke="currentColor"'
        self.sheet.open(title=f"{'publishes' if out else 'subscribes to'} {plain(endpoint.topic)}, {endpoint.interest}")
        self.sheet.path(shape, colour, paint)
        self.sheet.text(left + 14, y + 4, shorten(plain(endpoint.name), 20), "ink m", "start")
        self.sheet.text(left + 24 + self.name_width, y + 4, self._topic(endpoint), f"{colour} m", "start")
        self.sheet.close()

    def _lines(self, right: float) -> float:
        """Lines of presence; each in the first lane that is free between its ends."""
        pairs: dict[frozenset[str], list[EndpointView]] = {}
        for endpoint in _endpoints(self.world):
            for other in endpoint.sees:
                if other in self.rows:
                    pairs.setdefault(frozenset((endpoint.id, other)), []).append(endpoint)
        lanes: list[list[tuple[float, float]]] = []
        for pair in sorted(pairs, key=lambda ends: self._span(ends)[1] - self._span(ends)[0]):
            top, bottom = self._span(pair)
            lane = next(
                (n for n, taken in enumerate(lanes) if all(bottom < a or top > b for a, b in taken)), len(lanes)
            )
            if lane == len(lanes):
                lanes.append([])
            lanes[lane].append((top, bottom))
            x = right + 10 + _LANE * lane
            seers = pairs[pair]
            colour = role_class(self.colours[seers[0].topic.split(" ")[0]])
            path = (
                f"M{number(right)} {number(top)}H{number(x - 4)}q4 0 4 4V{number(bottom - 4)}q0 4 -4 4H{number(right)}"
            )
            if top == bottom:
                path = f"M{number(right)} {number(top - 3)}H{number(x)}v6H{number(right)}"
            ends = " and ".join(sorted(plain(end) for end in pair))
            self.sheet.open(title=f"{ends}: {' and '.join(plain(seer.id) for seer in seers)} sees the other")
            self.sheet.path(path, colour)
            for seer in seers:
                y = self.rows[seer.id]
                self.sheet.path(
                    f"M{number(right - 3)} {number(y)}a3 3 0 1 0 6 0a3 3 0 1 0 -6 0z", colour, 'fill="currentColor"'
                )
            self.sheet.close()
        return 16 + _LANE * len(lanes)

    def _span(self, pair: frozenset[str]) -> tuple[float, float]:
        ys = [self.rows[end] for end in pair]
        return min(ys), max(ys)
