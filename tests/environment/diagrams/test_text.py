"""Charts as text: every line fits, every message has its arrow, and what must stand out does."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import klorpy
from klorpy.environment.diagrams import chart
from klorpy.environment.diagrams.measure import cells
from klorpy.environment.present import Palette
from klorpy.simulator import Simulation
from tests.environment.diagrams.nasty import relaxed, simulations
from tests.environment.diagrams.runs import RUNS, run, texts

WIDTHS = st.integers(20, 160)


@relaxed
@given(simulations(), WIDTHS)
def test_no_line_is_wider_than_asked_for(simulation: Simulation, width: int) -> None:
    for line in chart(simulation).text(width).split("\n"):
        assert cells(line) <= width, line


@pytest.mark.parametrize("width", [20, 30, 40, 60, 80, 100, 200])
@pytest.mark.parametrize("name", RUNS)
def test_real_charts_fit(name: str, width: int) -> None:
    found = chart(RUNS[name]())
    assert max(cells(line) for line in found.text(width).split("\n")) <= width


def heads(text: str) -> list[str]:
    """The arrow of each line that has one."""
    return [match[0] for line in text.split("\n") if (match := re.search("▶|◀|✗(?= +│|  *$)", line))]


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("name", ["bookseller", "mergesort", "composed", "scatter", "ping-pong"])
def test_every_message_has_its_arrow(name: str, width: int) -> None:
    simulation = RUNS[name]()
    roles = simulation.choreography.roles
    expected = ["▶" if roles.index(m.source) < roles.index(m.target) else "◀" for m in simulation.messages]
    assert heads(chart(simulation).text(width)) == expected


def test_labels_that_have_room_are_whole() -> None:
    text = chart(RUNS["bookseller"]()).text(80)
    for label in ('"A Tour of Two Harbours"', "35", "◇ True", '"12 Mill Lane, Aarhus"', '"2030-01-22"'):
        assert f"─{label}─" in text


def test_more_roles_than_fit_are_a_list() -> None:
    lines = chart(RUNS["in-line"]()).text(40).split("\n")
    assert lines[2] == "A ──▶ B: 5"
    assert lines[-1] == "H = 5"
    assert len([line for line in lines if "──▶" in line]) == 7
    assert "──▶" not in chart(RUNS["in-line"]()).text(100).split("\n")[2]


def test_a_list_shows_what_went_wrong() -> None:
    ns = klorpy.evaluate(
        "(defchor f [Aaa Bbb Ccc Ddd] (-> Aaa Ddd) [x]"
        " (Ccc->Ddd (Bbb->Ccc (Bbb (do (print \"hi\") (// 1 (Aaa->Bbb x)))))))"
    )
    text = chart(run(ns.f, 0)).text(24)
    assert "Bbb: hi" in text
    assert "Bbb: ZeroDivisionError:" in text
    assert "Ccc waits" in text


def colourless(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.mark.parametrize("name", RUNS)
def test_colours_change_nothing_else(name: str) -> None:
    found = chart(RUNS[name]())
    palette = Palette(("A",), True)
    assert colourless(found.text(60, palette)) == found.text(60) == found.text(60, Palette(("A",), False))
    assert found.text(60, palette) != found.text(60)


def test_roles_have_the_colours_of_the_terminal() -> None:
    simulation = RUNS["bookseller"]()
    palette = Palette(simulation.choreography.roles, True)
    text = chart(simulation).text(60, palette)
    assert palette.role("B") in text
    assert palette.role("S") in text
    assert palette.role("B", "│") in text


@relaxed
@given(simulations())
def test_nothing_but_visible_characters(simulation: Simulation) -> None:
    text = chart(simulation).text()
    assert "\x1b" not in text
    assert "".join(text.split("\n")).isprintable() or any(c in text for c in "\u200c\u200d")
    text.encode("utf-8")


def test_a_failed_role_goes_on_faintly() -> None:
    lines = chart(RUNS["failed"]()).text(60).split("\n")
    (failure,) = [i for i, line in enumerate(lines) if "ValueError: " in line and "✗╴" in line]
    column = lines[failure].index("✗")
    assert lines[failure - 1][column] == "│" or "▶" in lines[failure - 1]
    assert lines[failure + 1][column] == "┊"


def test_lost_messages_end_before_they_arrive() -> None:
    (line,) = [line for line in chart(RUNS["unread"]()).text(60).split("\n") if "never read" in line]
    assert re.search("✗ +│$", line)


def test_the_width_has_a_least() -> None:
    assert chart(RUNS["bookseller"]()).text(1) == chart(RUNS["bookseller"]()).text(20)
    assert chart(run(texts().alone, 5)).text(1)
