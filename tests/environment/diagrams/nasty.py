"""Hypothesis strategies: runs with names, values and lines that are meant to break out of every format."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from klorpy.core.choreography import Choreography, Site
from klorpy.core.events import Blocked, Entered, Event, Exited, Failed, Left, Message, Printed
from klorpy.core.spans import Source, Span
from klorpy.core.types import Agreement, Arrow, Signature
from klorpy.simulator import Simulation

#: The same examples every time, however slow the machine is.
relaxed = settings(
    max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)

PIECES = (
    "<", ">", "&", "&amp;", "]]>", "<!--", "</svg>", "<script>alert(1)</script>", '"', "'", "\\", "`", "%%", "%%{init", "$$",
    "#", ";", ":", "end", "END", "style x:#;", "classDef", "participant", "->>", "r0->>r1: x", "\n", "\r", "\t", "\x00", "\x1b[31m",
    "\x7f", "\x85", "\u2028", "\u202e", "\ufeff", "\ud800", "\ufffe", "\U0001f469\u200d\U0001f4bb", "e\u0301", "価格", "word", " ", "  ",
)  # fmt: skip

nasty = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=8).map("".join)
names = st.lists(st.sampled_from(PIECES) | st.text(min_size=1, max_size=4), min_size=1, max_size=4).map("".join)
values = st.integers() | nasty | st.lists(nasty, max_size=3) | st.none()


@st.composite
def simulations(draw: st.DrawFn, least: int = 0, most: int = 12) -> Simulation:
    """A run of 1 to 5 roles. Its events follow no program, which charts do not need them to."""
    roles = tuple(draw(st.lists(names, min_size=1, max_size=5, unique=True)))
    chor = Choreography(draw(names), "m", Signature(roles, Arrow((), Agreement(frozenset(roles)), frozenset())))
    source = Source(draw(names), "")
    sites = [Site(i, "message", Span(1, 1, 1, 1), draw(nasty), source) for i in range(3)]
    role, site = st.sampled_from(roles), st.sampled_from(sites)
    pair = st.lists(role, min_size=2, max_size=2, unique=True) if len(roles) > 1 else st.nothing()
    message = st.builds(lambda p, v, s: Message(p[0], p[1], v, s), pair, values, site)
    event = st.one_of(
        *([message] * 3 if len(roles) > 1 else []), st.builds(Printed, role, nasty),
        st.builds(lambda r, n, s, t: Entered(r, n, roles, s, t), role, names, site, st.booleans()), st.builds(Left, role),
    )  # fmt: skip
    events: list[Event] = []
    depths = dict.fromkeys(roles, 0)
    for one in draw(st.lists(event, min_size=least, max_size=most)):
        if isinstance(one, Left):
            if depths[one.role] == 0:
                continue
            depths[one.role] -= 1
        elif isinstance(one, Entered):
            depths[one.role] += not one.tail
        events.append(one)
    simulation = Simulation(chor, draw(st.sampled_from([0, 7, "s1.0"])), _trace=events)
    for name in roles:
        match draw(st.sampled_from(["result", "failure", "blocked", "stopped"])):
            case "result":
                simulation.results[name] = draw(values)
                events.append(Exited(name, simulation.results[name]))
            case "failure":
                simulation.failures[name] = ValueError(draw(nasty))
                events.append(Failed(name, simulation.failures[name]))
            case "blocked":
                simulation.blocked[name] = Blocked(name, draw(st.none() | role), draw(site))
    simulation.unread = draw(st.lists(message, max_size=2)) if len(roles) > 1 else []
    return simulation
