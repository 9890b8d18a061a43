"""Role graphs: who talks to whom, of a choreography that was never run, or of a run with the numbers of messages."""

from __future__ import annotations

from dataclasses import dataclass

from klorpy.core.choreography import Choreography
from klorpy.core.diagnostics import KlorError
from klorpy.environment.diagrams import graph_svg
from klorpy.environment.diagrams.drawing import Drawing
from klorpy.environment.diagrams.flow import flow
from klorpy.environment.diagrams.measure import cells, plain, shorten
from klorpy.environment.diagrams.mermaid import escape
from klorpy.environment.diagrams.model import Edge, Net, Unknown, count
from klorpy.environment.diagrams.text import NARROWEST, WIDTH
from klorpy.environment.present import Palette
from klorpy.simulator import Simulation


@dataclass(frozen=True, slots=True)
class Graph(Drawing):
    """Roles, and the channels between them."""

    net: Net

    def svg(self) -> str:
        return graph_svg.render(self.net)

    def text(self, width: int | None = None, palette: Palette | None = None) -> str:
        return _text(self.net, max(WIDTH if width is None else width, NARROWEST), palette)

    def mermaid(self) -> str:
        return _mermaid(self.net)

    def __repr__(self) -> str:
        return f"<role graph of {self.net.title}: {self.net.summary}>"


def role_graph(what: Choreography | Simulation, *, title: str | None = None) -> Graph:
    """Who talks to whom.

    For a choreography: from its text, with the fewest and the most messages that a run sends over each channel,
    through all choreographies that it calls by name. What it calls as a value is shown as unknown. For a simulation: the
    messages that were received. Raises KlorError `not-a-chor` for anything else, `not-defined` for a mere
    declaration, `no-trace` for a run with `trace=False`.

    >>> from klorpy import evaluate
    >>> ns = evaluate("(defchor f [A B] (-> A B) [x] (if (A=>B (A (< x 1))) (A->B x) (B 0)))")
    >>> print(role_graph(ns.f))
    f: 1 channel
    <BLANKLINE>
    A ──▶ B  1 to 2 messages
    """
    if isinstance(what, Simulation):
        net = _counted(what)
    elif isinstance(what, Choreography):
        net = _possible(what)
    else:
        raise KlorError(
            f"{type(what).__name__} has no roles", slug="not-a-chor", help="give what defchor defined, or a simulation"
        )
    return Graph(net if title is None else Net(plain(title), net.summary, net.roles, net.edges, net.unknown))


def _counted(simulation: Simulation) -> Net:
    roles = simulation.roles
    columns = {role: column for column, role in enumerate(roles)}
    counts: dict[tuple[int, int], int] = {}
    for message in simulation.messages:
        channel = columns[message.source], columns[message.target]
        counts[channel] = counts.get(channel, 0) + 1
    edges = tuple(Edge(*channel, low=n, high=n) for channel, n in sorted(counts.items()))
    summary = f"{count(len(simulation.messages), 'message')} in a run"
    return Net(plain(simulation.choreography.name), summary, tuple(map(plain, roles)), edges)


def _possible(chor: Choreography) -> Net:
    found = flow(chor)
    columns = {role: column for column, role in enumerate(chor.roles)}
    edges = tuple(
        Edge(columns[source], columns[target], low, high)
        for (source, target), (low, high) in found.channels.items()
    )
    unknown = tuple(
        Unknown(plain(form), tuple(columns[role] for role in roles)) for form, roles in found.unknown.items()
    )
    return Net(plain(chor.name), count(len(edges), "channel"), tuple(map(plain, chor.roles)), edges, unknown)


# --- Text -------------------------------------------------------------------------------------------------------------


def _text(net: Net, width: int, palette: Palette | None) -> str:
    colours = Palette(net.roles, palette is not None and palette.on)
    longest = min(max(map(cells, net.roles)), max((width - 12) // 3, 1))
    lines = [shorten(f"{net.title}: {net.summary}", width), ""]
    for edge in net.edges:
        source, target = (shorten(net.roles[column], longest) for column in (edge.source, edge.target))
        room = width - 2 * longest - 7
        padded = " " * (longest - cells(source)), " " * (longest - cells(target))
        lines.append(
            f"{colours.role(net.roles[edge.source], source)}{padded[0]} ──▶ "
            f"{colours.role(net.roles[edge.target], target)}{padded[1]}  {shorten(edge.words, max(room, 1))}"
        )
    lines += [shorten(f"{net.roles[column]} talks to nobody", width) for column in net.alone()]
    lines += [shorten(f"? {text}", width) for text in net.notes()]
    return "\n".join(lines)


# --- Mermaid ----------------------------------------------------------------------------------------------------------


def _mermaid(net: Net) -> str:
    lines = ["graph LR", f"    accTitle: {escape(f'{net.title} - {net.summary}', 200)}"]
    lines += [f'    r{column}(["{escape(role)}"])' for column, role in enumerate(net.roles)]
    for edge in net.edges:
        arrow = "-->" if edge.low > 0 else "-.->"
        lines.append(f'    r{edge.source} {arrow}|"{escape(edge.label)}"| r{edge.target}')
    lines += [f'    r{a} -.-|"#63;"| r{b}' for a, b in net.unknown_pairs()]
    return "\n".join(lines) + "\n"


__all__ = ["Graph", "role_graph"]
