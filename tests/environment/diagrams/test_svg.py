"""The pictures: well formed whatever they show, readable without seeing them, and nothing lies on anything else."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from xml.etree import ElementTree

import pytest
from hypothesis import given

from klorpy.core.types import Role
from klorpy.core.values import show
from klorpy.environment.diagrams import Drawing, chart, role_graph
from klorpy.environment.diagrams.measure import plain
from klorpy.environment.diagrams.sheet import ROLES, STYLE, mono_width, sans_width
from klorpy.simulator import Simulation
from tests.environment.diagrams.nasty import relaxed, simulations
from tests.environment.diagrams.runs import RUNS, example

NAMESPACE = "{http://www.w3.org/2000/svg}"
TAGS = {"svg", "title", "desc", "style", "g", "rect", "path", "text"}
ATTRIBUTES = {
    "class", "role", "aria-label", "width", "height", "viewBox", "x", "y", "rx", "d", "fill", "stroke", "stroke-width",
    "stroke-dasharray", "stroke-opacity", "stroke-linecap", "text-anchor", "pointer-events",
    "{http://www.w3.org/XML/1998/namespace}space",
}  # fmt: skip


def parsed(drawing: Drawing) -> ElementTree.Element:
    text = drawing.svg()
    text.encode("utf-8")
    return ElementTree.fromstring(text)


def tag(element: ElementTree.Element) -> str:
    return element.tag.removeprefix(NAMESPACE)


def elements(root: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    return root.iter(NAMESPACE + name)


@relaxed
@given(simulations())
def test_any_run_gives_a_well_formed_picture(simulation: Simulation) -> None:
    """All that the user wrote is text: no element and no attribute of a picture comes from it."""
    for drawing in (chart(simulation), role_graph(simulation)):
        root = parsed(drawing)
        for element in root.iter():
            assert tag(element) in TAGS
            assert set(element.attrib) <= ATTRIBUTES
            assert not (element.text or "").strip() or tag(element) in ("title", "desc", "style", "text")
        (style,) = elements(root, "style")
        assert style.text == STYLE
        assert "url(" not in drawing.svg().replace(plain(simulation.choreography.name), "")


def hovers(root: ElementTree.Element) -> list[str]:
    return [title.text or "" for title in elements(root, "title")]


@relaxed
@given(simulations())
def test_every_value_appears_whole_where_the_pointer_rests(simulation: Simulation) -> None:
    expected = [
        f"{plain(m.source)} → {plain(m.target)}: {plain(show(m.value, 2000))}"
        for m in (*simulation.messages, *simulation.unread)
    ]  # fmt: skip
    found = [text.split(". ", 1)[1].split("\n")[0] for text in hovers(parsed(chart(simulation))) if re.match(r"\d+\. .*→", text)]
    assert found == expected


# --- Geometry ---------------------------------------------------------------------------------------------------------

Area = tuple[float, float, float, float]


def area(text: ElementTree.Element) -> Area:
    """Where a text is, by the same estimate by which it was placed."""
    css, content = text.get("class", "").split(), text.text or ""
    size = 11.0 if "s" in css else 10.0 if "n" in css else 13.0 if "name" in css else 15.0 if "title" in css else 12.0
    width = mono_width(content, size) if "m" in css else sans_width(content, size)
    x, y = float(text.get("x", 0)), float(text.get("y", 0))
    left = x - width / 2 if text.get("text-anchor") == "middle" else x
    return left, y - 0.75 * size, left + width, y + 0.2 * size


def cross(a: Area, b: Area) -> bool:
    return min(a[2], b[2]) - max(a[0], b[0]) > 0.5 and min(a[3], b[3]) - max(a[1], b[1]) > 0.5


def arrow_areas(root: ElementTree.Element) -> list[Area]:
    found = []
    for path in elements(root, "path"):
        match = re.fullmatch(r"M([-\d.]+) ([-\d.]+)H([-\d.]+)", path.get("d", ""))
        if match:
            x, y, end = map(float, match.groups())
            found.append((min(x, end), y - 1, max(x, end), y + 1))
    return found


def check_geometry(drawing: Drawing) -> None:
    root = parsed(drawing)
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    texts = [(text.text, area(text)) for text in elements(root, "text")]
    for content, (left, top, right, bottom) in texts:
        assert left >= 0, content
        assert top >= 0, content
        assert right <= width, content
        assert bottom <= height, content
    for (one, a), (other, b) in itertools.combinations(texts, 2):
        assert not cross(a, b), f"{one!r} lies on {other!r}"
    for line in arrow_areas(root):
        for content, place in texts:
            assert not cross(line, place), f"an arrow crosses {content!r}"


@pytest.mark.parametrize("name", RUNS)
def test_no_text_lies_on_another_and_no_arrow_crosses_one(name: str) -> None:
    found = chart(RUNS[name](), steps=60)
    check_geometry(found)
    assert arrow_areas(parsed(found)) or name == "alone"


@relaxed
@given(simulations(most=8))
def test_nor_in_any_other_picture(simulation: Simulation) -> None:
    check_geometry(chart(simulation))


@pytest.mark.parametrize(
    ("module", "name"),
    [("mergesort", "mergesort"), ("two_buyers", "buy_with_help"), ("store_with_backups", "two_backups"), ("bookseller", "buy_book")],
)
def test_labels_of_graphs_keep_apart(module: str, name: str) -> None:
    check_geometry(role_graph(example(module, name)))


# --- For all readers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bookseller", "deadlock", "folded"])
def test_a_picture_can_be_read_aloud(name: str) -> None:
    found = chart(RUNS[name]())
    root = parsed(found)
    assert root.get("role") == "img"
    assert [tag(child) for child in root][:2] == ["title", "desc"]
    assert root[0].text == root.get("aria-label") == f"{found.model.title}: {found.model.summary}"
    description = root[1].text or ""
    assert description.startswith(found.model.trouble)
    assert len(description) < 4000


def test_the_description_tells_what_happened() -> None:
    description = parsed(chart(RUNS["bookseller"]()))[1].text or ""
    assert description == (
        'Roles: B, S. B to S: "A Tour of Two Harbours". S to B: 35. B to S: True. B to S: "12 Mill Lane, Aarhus". '
        'S to B: "2030-01-22". B prints The book arrives on 2030-01-22.'
    )


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(a: str, b: str) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def colours(dark: bool) -> dict[str, str]:
    light, _, rest = STYLE.partition("@media (prefers-color-scheme:dark)")
    return dict(re.findall(r"\.klorpy \.(\w+)\{color:(#\w+)\}", rest if dark else light))


@pytest.mark.parametrize("dark", [False, True])
def test_texts_stand_out(dark: bool) -> None:
    """Contrast of 4.5, as WCAG AA asks for, in light and in dark."""
    found = colours(dark)
    assert {f"r{i}" for i in range(len(ROLES))} | {"ink", "dim", "page", "box", "bad", "wait", "on"} <= set(found)
    for name in ("ink", "dim", "bad", "wait"):
        for ground in ("page", "box"):
            assert contrast(found[name], found[ground]) >= 4.5, (name, ground)
    for i in range(len(ROLES)):
        assert contrast(found["on"], found[f"r{i}"]) >= 4.5, i


def test_roles_have_their_colours() -> None:
    simulation = RUNS["in-line"]()
    root = parsed(chart(simulation))
    shown: dict[Role, str] = {}
    for group in elements(root, "g"):
        title, rect = group.find(NAMESPACE + "title"), group.find(NAMESPACE + "rect")
        if title is not None and rect is not None and title.text in simulation.choreography.roles:
            shown[title.text] = rect.get("class", "")
    assert shown == dict(zip("ABCDEFGH", ["r0", "r1", "r2", "r3", "r4", "r5", "r0", "r1"], strict=True))


def test_long_values_are_shortened_and_whole_on_hover() -> None:
    root = parsed(chart(RUNS["awkward"]()))
    value = '"a long <text> & more, with \\"quotes\\", to be cut somewhere about here"'
    texts = [text.text or "" for text in elements(root, "text")]
    assert value not in texts
    assert any(text.endswith("…") and value.startswith(text[:-1]) for text in texts)
    assert any(value in hover for hover in hovers(root))


def test_styles_stay_in_the_picture() -> None:
    rules = re.findall(r"([^{}]+)\{[^{}]*\}", STYLE.replace("@media (prefers-color-scheme:dark){", ""))
    assert rules
    assert all(rule.strip().startswith(".klorpy") for rule in rules)
    assert " id=" not in chart(RUNS["bookseller"]()).svg()
