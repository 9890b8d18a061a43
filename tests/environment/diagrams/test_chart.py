"""What charts show: every step once and in order, calls as frames, decisions, how roles ended, and what is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

import klorpy
from klorpy.core.events import Entered, Left, Message
from klorpy.core.values import show
from klorpy.environment.diagrams import Chart, chart, check_path
from klorpy.environment.diagrams.measure import plain
from klorpy.environment.diagrams.model import Arrow, Closed, Gap, Note, Opened, Row, framed
from klorpy.simulator import Simulation
from tests.environment.diagrams.nasty import relaxed, simulations
from tests.environment.diagrams.runs import RUNS, data, example, run, texts


def arrows(found: Chart) -> list[Arrow]:
    return [row for row in found.model.rows if isinstance(row, Arrow)]


def told(found: Chart) -> list[tuple[str, str, str, bool]]:
    """The messages of a chart: who, to whom, what, and whether it was lost."""
    lines = found.model.lifelines
    return [(lines[row.source].role, lines[row.target].role, row.text, row.lost) for row in arrows(found)]


def sent(simulation: Simulation) -> list[tuple[str, str, str, bool]]:
    return [
        (plain(m.source), plain(m.target), plain(show(m.value, 2000)), lost)
        for messages, lost in ((simulation.messages, False), (simulation.unread, True)) for m in messages
    ]  # fmt: skip


@pytest.mark.parametrize("name", [name for name in RUNS if name != "folded"])
def test_every_message_appears_once_and_in_order(name: str) -> None:
    simulation = RUNS[name]()
    assert told(chart(simulation)) == sent(simulation)
    assert bool(simulation.messages or simulation.unread) == (name != "alone")


@relaxed
@given(simulations())
def test_every_message_of_any_run_appears_once_and_in_order(simulation: Simulation) -> None:
    found = chart(simulation)
    assert told(found) == sent(simulation)
    numbers = [row.number for row in found.model.rows if not isinstance(row, Gap)]
    assert numbers == list(range(1, len(numbers) + 1))


def notes(found: Chart) -> list[tuple[str, str, str]]:
    lines = found.model.lifelines
    return [(lines[row.column].role, row.kind, row.text) for row in found.model.rows if isinstance(row, Note)]


def endings(found: Chart) -> dict[str, str]:
    return {line.role: line.ending for line in found.model.lifelines}


# --- How runs end -----------------------------------------------------------------------------------------------------


def test_printed_lines_are_steps_in_their_place() -> None:
    found = chart(RUNS["bookseller"]())
    assert notes(found) == [("B", "printed", "The book arrives on 2030-01-22")]
    assert isinstance(found.model.rows[-1], Note)
    assert [(line.role, line.ending, line.text) for line in found.model.lifelines] == [
        ("B", "result", '"2030-01-22"'), ("S", "end", ""),
    ]  # fmt: skip


def test_a_failure_and_who_waits_for_it() -> None:
    found = chart(RUNS["failed"]())
    (_, failed, failure), (_, waiting, what) = notes(found)
    assert (failed, waiting) == ("failed", "waits")
    assert failure.startswith("ValueError: 0 is not accepted")
    assert what == "waits for B"
    assert endings(found) == {"A": "end", "B": "failed", "C": "blocked"}
    assert found.model.trouble.startswith("divide failed at B")


def test_a_deadlock() -> None:
    found = chart(RUNS["deadlock"]())
    assert ("Bob", "waits", "waits for Carol") in notes(found)
    assert "stuck" in found.model.trouble
    waiting = [row for row in found.model.rows if isinstance(row, Note) and row.kind == "waits"]
    assert waiting[0].form == "(Carol->Bob (Carol 1))"


def test_what_nobody_received() -> None:
    found = chart(RUNS["unread"]())
    assert told(found) == [("A", "B", '"never read"', True)]
    assert found.model.summary == "0 messages, 1 never received"


def test_a_run_out_of_time() -> None:
    found = chart(run(texts().endless, timeout=0.01), steps=30)
    assert set(endings(found).values()) <= {"stopped", "blocked"}
    assert "time" in found.model.trouble


def test_a_run_without_a_trace() -> None:
    with pytest.raises(klorpy.KlorError) as caught:
        chart(klorpy.simulate_chor(texts().alone, 1, trace=False))
    assert caught.value.slug == "no-trace"


def test_the_title_and_the_seed() -> None:
    found = chart(RUNS["seeded"](), title="What\nhappened")
    assert found.model.title == "What ⏎ happened"
    assert found.model.summary == "2 messages, seed 3"
    assert repr(found) == "<chart of What ⏎ happened: 2 messages, seed 3>"


# --- Decisions --------------------------------------------------------------------------------------------------------


def guards(found: Chart) -> list[str | None]:
    return [row.guard for row in arrows(found)]


def test_what_decides_is_marked() -> None:
    decision = '(and (is-not price None) (<= price (get order "budget")))'
    assert guards(chart(RUNS["bookseller"]())) == [None, None, decision, None, None]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("(if (A=>B (A (< x 1))) (B 1) (B 2))", ["(< x 1)"]), ("(let [y (A=>B x)] (if y (A->B (A 1)) (B 2)))", ["x", None]),
        ("(case (A=>B x) 5 (B 1) 6 (B 2))", ["x"]), ("(if (bcast [A B] (A (not x))) (B 1) (B 2))", ["(not x)"]),
        ("(let [y (A=>B x)] (B (+ y 1)))", [None]), ("(A->B x)", [None]),
    ],
)  # fmt: skip
def test_guards(body: str, expected: list[str | None]) -> None:
    ns = klorpy.evaluate(f"(defchor f [A B] (-> A B) [x] {body})")
    assert guards(chart(run(ns.f, 5))) == expected


def test_a_definition_that_is_gone_has_no_guards() -> None:
    ns = klorpy.evaluate("(defchor f [A B] (-> A B) [x] (if (A=>B x) (B 1) (B 2)))")
    simulation = run(ns.f, 5)
    klorpy.evaluate("(defchor f [A B] (-> A B) [x] (A->B x))", module=ns)
    assert guards(chart(simulation)) == [None]


# --- Frames -----------------------------------------------------------------------------------------------------------


def outline(found: Chart) -> list[Any]:
    """The frames as nested lists around the messages' texts."""
    stack: list[list[Any]] = [[]]
    for item in framed(found.model):
        match item:
            case Opened():
                stack.append([("… " if item.continued else "") + item.frame.label])
            case Closed():
                done = stack.pop()
                stack[-1].append(done)
            case Arrow():
                stack[-1].append(item.text)
            case Note() | Gap():
                pass
    (whole,) = stack
    return whole


def test_calls_are_frames() -> None:
    assert outline(chart(RUNS["composed"]())) == [
        ["chor", ["tenfold [A B]", "40"]], ["tenfold [B C]", "400"], ["chor", ["tenfold [C B]", "4000"]], ["tenfold [B A]", "40000"],
    ]  # fmt: skip


def test_a_call_in_tail_position_stands_beside_the_one_that_it_ends() -> None:
    found = outline(chart(RUNS["ping-pong"]()))
    assert [row if isinstance(row, str) else row[0] for row in found] == [
        '["ping"]', "ping-pong [B A]", "ping-pong [A B]", "ping-pong [B A]",
    ]  # fmt: skip


def test_roles_in_different_calls_split_a_frame() -> None:
    labels = [item.frame.label for item in framed(chart(RUNS["mergesort"]()).model) if isinstance(item, Opened) and item.continued]
    assert labels == ["mergesort [B C A]"]


def test_without_detail_there_are_no_frames() -> None:
    simulation = run(example("higher_order", "composed"), 4)
    assert not any(isinstance(event, (Entered, Left)) for event in simulation.events)
    assert chart(simulation).model.frames == {}
    assert outline(chart(simulation)) == ["40", "400", "4000", "40000"]


@pytest.mark.parametrize("seed", range(8))
def test_the_same_call_is_one_frame_at_all_its_roles(seed: int) -> None:
    """However the roles interleave: the frames of two_buyers differ only in how often they are continued."""
    args = data("order"), data("catalogue"), 20
    found = chart(run(example("two_buyers", "buy_with_help"), *args, seed=seed, detail=True))
    assert sorted(frame.label for frame in found.model.frames.values()) == ["buy-together [Ann Bob Shop]", "chor"]


@relaxed
@given(simulations(least=4, most=20))
def test_frames_are_properly_nested_and_lose_no_row(simulation: Simulation) -> None:
    model = chart(simulation).model
    depth = 0
    rows: list[Row] = []
    for item in framed(model):
        if isinstance(item, Opened):
            depth += 1
        elif isinstance(item, Closed):
            depth -= 1
            assert depth >= 0
        else:
            rows.append(item)
            assert len(item.frames) == depth
    assert depth == 0
    assert tuple(rows) == model.rows


# --- What is left out -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def long() -> Simulation:
    """10,001 messages and 10,000 printed lines."""
    simulation = run(texts().count_down, 10_000)
    assert len(simulation.messages) == 10_001
    return simulation


def test_the_middle_of_a_long_chart_is_left_out(long: Simulation) -> None:
    model = chart(long).model
    (gap,) = [row for row in model.rows if isinstance(row, Gap)]
    assert len(model.rows) == 201
    assert (gap.first, gap.last, gap.messages) == (141, 19_941, 9_900)
    assert gap.text == "steps 141 to 19,941: 9,900 messages not shown"
    assert gap.more == "chart(sim, first=141, last=340)"
    assert model.numbered
    assert model.rows[-1] == Note(20_001, 1, "printed", "line 1")


def test_what_is_left_out_can_be_seen(long: Simulation) -> None:
    first, second, third = chart(long, first=141, last=340).model.rows[:3]
    assert isinstance(first, Gap)
    assert (first.first, first.last) == (1, 140)
    assert isinstance(second, Note)
    assert isinstance(third, Arrow)
    assert (second.number, third.number) == (141, 142)
    parts = [chart(long, first=n, last=n + 3999, steps=4000) for n in range(1, 20_002, 4000)]
    rows = [row for part in parts for row in part.model.rows if not isinstance(row, Gap)]
    assert [row.number for row in rows] == list(range(1, 20_002))


def test_all_steps(long: Simulation) -> None:
    found = chart(long, steps=None)
    assert told(found) == sent(long)
    assert not found.model.numbered


def test_a_folded_chart_stays_small(long: Simulation) -> None:
    found = chart(long)
    assert len(found.svg()) < 150_000
    assert len(found.text()) < 20_000
    assert len(found.mermaid()) < 20_000
    for form in (found.svg(), found.text(), found.mermaid()):
        assert "9,900 messages not shown" in form
        assert "line 9999" in form
        assert "line 1\n" in form or "line 1<" in form
        assert "line 5000" not in form


@pytest.mark.parametrize(
    ("first", "last", "shown"),
    [(3, None, [3, 4, 5]), (None, 2, [1, 2]), (2, 3, [2, 3]), (5, 99, [5]), (6, None, []), (1, 5, [1, 2, 3, 4, 5])],
)
def test_ranges(first: int | None, last: int | None, shown: list[int]) -> None:
    found = chart(run(texts().count_down, 2), first=first, last=last)
    numbers = [row.number for row in found.model.rows if not isinstance(row, Gap)]
    assert numbers == shown
    missing = [n for row in found.model.rows if isinstance(row, Gap) for n in range(row.first, row.last + 1)]
    assert sorted([*numbers, *missing]) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "options", [{"first": 0}, {"last": -1}, {"steps": 0}, {"first": "2"}, {"first": True}, {"steps": 2.5}, {"first": 4, "last": 2}]
)
def test_what_are_no_steps(options: dict[str, Any]) -> None:
    with pytest.raises(klorpy.KlorError) as caught:
        chart(run(texts().count_down, 2), **options)
    assert caught.value.slug == "bad-argument"


# --- Files and notebooks ----------------------------------------------------------------------------------------------


def test_a_chart_is_saved_by_the_name_of_the_file(tmp_path: Path) -> None:
    found = chart(RUNS["bookseller"]())
    for suffix, start in [(".svg", "<svg"), (".SVG", "<svg"), (".txt", "buy-book"), (".mmd", "sequenceDiagram"), (".mermaid", "seq")]:
        path = tmp_path / f"chart{suffix}"
        found.save(path)
        assert path.read_text(encoding="utf-8").startswith(start)


@pytest.mark.parametrize("name", ["chart.png", "chart", "no-such-folder/chart.svg"])
def test_what_cannot_be_saved(tmp_path: Path, name: str) -> None:
    with pytest.raises(klorpy.KlorError) as caught:
        chart(RUNS["alone"]()).save(tmp_path / name)
    assert caught.value.slug == "bad-argument"
    if not name.endswith(".svg"):
        with pytest.raises(klorpy.KlorError):
            check_path(name)


def test_a_notebook_shows_the_picture() -> None:
    found = chart(RUNS["bookseller"]())
    bundle = found._repr_mimebundle_()
    assert set(bundle) == {"image/svg+xml", "text/plain"}
    assert bundle["image/svg+xml"] == found.svg()
    assert bundle["text/plain"] == str(found) == found.text()


def test_events_of_calls() -> None:
    simulation = run(example("higher_order", "composed"), 4, detail=True)
    calls = [str(event) for event in simulation.events if isinstance(event, (Entered, Left)) and event.role == "B"]
    assert calls[:4] == ["B enters compose [A B C]", "B returns", "B enters compose [C B A]", "B returns"]
    assert [e for e in simulation.events if isinstance(e, Message)] == simulation.messages
    assert klorpy.simulate_chor(example("higher_order", "composed"), 4, detail=True, trace=False).results["C"] == (400,)
