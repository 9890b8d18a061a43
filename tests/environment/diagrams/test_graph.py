"""Role graphs: how many messages a text may send over each channel, compared with what runs do send."""

from __future__ import annotations

import importlib
import math
import warnings
from pathlib import Path
from typing import Any

import pytest

import klorpy
from klorpy.core.choreography import Choreography
from klorpy.environment.diagrams import Graph, role_graph
from klorpy.environment.diagrams.flow import flow
from klorpy.environment.diagrams.measure import cells
from klorpy.environment.present import Palette
from tests.environment.diagrams.runs import RUNS, example, texts

MANY = math.inf


def evaluated(text: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", klorpy.KlorWarning)
        return klorpy.evaluate(text)


def channels(body: str, before: str = "") -> dict[tuple[str, str], tuple[float, float]]:
    return dict(flow(evaluated(f"{before}\n(defchor f [A B C] (-> A B | C) [x] {body})").f).channels)


HELPERS = """
(defchor there-and-back [P Q] (-> P P) [x] (Q->P (P->Q x)))
(defchor down [P Q] (-> #{P Q} P) [n] (if (= n 0) (P 0) (do (P->Q (P 1)) (down [P Q] (- n 1)))))
(defchor around [P Q R] (-> P P) [x] (R->P (Q->R (P->Q x))))
"""


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("(A->B x)", {"AB": (1, 1)}), ("(C->B (B->C (A->B x)))", {"AB": (1, 1), "BC": (1, 1), "CB": (1, 1)}),
        ("(do (A->B x) (A->B x))", {"AB": (2, 2)}), ("(narrow [B] (bcast [A B C] x))", {"AB": (1, 1), "AC": (1, 1)}),
        ("(if (A=>B x) (A->B x) (B 0))", {"AB": (1, 2)}), ("(if (A=>B x) (A->B x) (A->B (A 2)))", {"AB": (2, 2)}),
        ("(lifting [A B] (case (A=>B x) 1 (A->B x) 2 (do (A->B x) (A->B x)) (B 0)))", {"AB": (1, 3)}),
        ("(lifting [A B] (case (A=>B x) 1 (A->B x)))", {"AB": (2, 2)}),  # otherwise it raises
        ("(loop [n x] (if (A=>B (A (= n 0))) (A->B n) (recur (A (- n 1)))))", {"AB": (2, MANY)}),
        ("(loop [] (do (A->B x) (recur)))", {"AB": (1, MANY)}),
        ("(do (lifting [A B] (loop [n (A=>B x)] (if (> n 0) (recur (- n 1)) None))) (A->B x))", {"AB": (2, 2)}),
        ("(do (there-and-back [A C] x) (A->B x))", {"AC": (1, 1), "CA": (1, 1), "AB": (1, 1)}),
        ("(do (there-and-back [C A] (A->C x)) (A->B x))", {"AC": (2, 2), "CA": (1, 1), "AB": (1, 1)}),
        ("(do (down [B C] (narrow [B C] (bcast [A B C] x))) (A->B x))", {"AB": (2, 2), "AC": (1, 1), "BC": (0, MANY)}),
        ("(do (around [C A B] (A->C x)) (A->B x))", {"AC": (1, 1), "CA": (1, 1), "AB": (2, 2), "BC": (1, 1)}),
        ("(let [g (chor (-> A B) [y] (A->B y))] (do (g x) (g x)))", {"AB": (2, 2)}),
        ("(let [g (inst there-and-back [A C])] (A->B (g x)))", {"AB": (1, 1), "AC": (1, 1), "CA": (1, 1)}),
        ("(do (C->B (C 1)) (B 5))", {"CB": (1, 1)}), ("(B 5)", {}),
        ("(scope step [B A] (A->B x))", {"BA": (1, 1), "AB": (1, 1)}),
        ("(scope :barrier step [B A] (A->B x))", {"BA": (1, 1), "AB": (2, 2)}),
    ],
)  # fmt: skip
def test_the_range_of_each_channel(body: str, expected: dict[str, tuple[float, float]]) -> None:
    assert channels(body, HELPERS) == {(pair[0], pair[1]): range_ for pair, range_ in expected.items()}


def test_roles_that_are_swapped_in_a_recursion() -> None:
    assert flow(example("ping_pong", "ping_pong")).channels == {("A", "B"): (1, MANY), ("B", "A"): (0, MANY)}


def test_a_long_chain_of_calls_is_counted_exactly() -> None:
    links = ["(defchor g0 [A B] (-> A B) [x] (A->B x))"]
    links += [f"(defchor g{i} [A B] (-> A B) [x] (do (g{i - 1} [A B] x) (g{i - 1} [A B] x)))" for i in range(1, 12)]
    assert flow(evaluated("\n".join(links)).g11).channels == {("A", "B"): (2048, 2048)}


def test_definitions_that_call_each_other() -> None:
    assert flow(example("mutual_recursion", "collatz")).channels == {("Even", "Odd"): (1, MANY), ("Odd", "Even"): (0, MANY)}


def test_agreements_that_are_verified_by_messages() -> None:
    text = "(with-opts {{:verify {{:agreement {}}}}} (defchor v [A B C] (-> A B C #{{A B C}}) [x y z] (agree! x y z)))"
    every = {(a, b): (1, 1) for a in "ABC" for b in "ABC" if a != b}
    assert flow(klorpy.evaluate(text.format("True")).v).channels == every
    assert flow(klorpy.evaluate(text.format("B")).v).channels == {c: r for c, r in every.items() if "B" in c}


# --- What is not known ------------------------------------------------------------------------------------------------


def test_what_is_called_as_a_value_is_not_known() -> None:
    found = flow(example("higher_order", "chained"))
    assert found.unknown == {"(first x)": ("A", "B"), "(second (first x))": ("B", "C")}
    net = role_graph(example("higher_order", "chained")).net
    assert net.unknown_pairs() == [(0, 1), (1, 2)]
    assert net.notes()[0] == "(first x) at A and B: what it sends is not known"
    assert net.alone() == []


def test_a_choreography_that_is_only_declared_is_not_known() -> None:
    ns = klorpy.evaluate(
        "(defchor later [A B] (-> A B))\n(defchor f [A B] (-> A B) [x] (later [A B] (B->A (A->B x))))"
    )
    assert flow(ns.f).unknown == {"(later [A B] (B->A (A->B x)))": ("A", "B")}
    assert flow(ns.f).channels == {("A", "B"): (1, 1), ("B", "A"): (1, 1)}


def test_a_text_that_does_not_compile_any_more() -> None:
    ns = klorpy.evaluate("(defchor g [A B] (-> A B) [x] (A->B x))\n(defchor f [A B] (-> A B) [x] (g [A B] x))")
    with pytest.warns(klorpy.KlorWarning, match="changed"):
        klorpy.evaluate("(defchor g [A B] (-> A A B) [x y] (A->B x))", module=ns)
    found = role_graph(ns.f)
    assert found.net.edges == ()
    assert found.net.notes() == ["(f …) at A and B: what it sends is not known"]


# --- Compared with runs -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in RUNS if name not in ("violated", "deadlock")])
def test_runs_stay_within_the_ranges(name: str) -> None:
    """Of runs that reach their end: failures cut a run short, and what is called as a value may send more."""
    simulation = RUNS[name]()
    found = flow(simulation.choreography)
    counts: dict[tuple[str, str], int] = {}
    for message in (*simulation.messages, *simulation.unread):
        counts[message.source, message.target] = counts.get((message.source, message.target), 0) + 1
    for channel, number in counts.items():
        unknown = any(set(channel) <= set(roles) for roles in found.unknown.values())
        assert unknown or number <= found.channels[channel][1]
    if simulation.verdict is None:
        assert all(counts.get(channel, 0) >= low for channel, (low, _) in found.channels.items())


def all_examples() -> list[Choreography]:
    folder = Path(klorpy.__file__).parent / "examples"
    found = []
    for path in sorted(folder.glob("*.hy")):
        module = importlib.import_module(f"klorpy.examples.{path.stem}")
        found += [v for v in vars(module).values() if isinstance(v, Choreography) and v.module == module.__name__]
    return found


@pytest.mark.parametrize("chor", all_examples(), ids=lambda chor: f"{chor.module}.{chor.name}")
def test_every_example_has_a_graph(chor: Choreography) -> None:
    found = role_graph(chor)
    assert found.net.roles == chor.roles
    assert found.net.edges or found.net.unknown or chor.name == "compose"
    assert all(edge.low <= edge.high and edge.high > 0 for edge in found.net.edges)


def test_a_run_is_counted() -> None:
    simulation = RUNS["scatter"]()
    found = role_graph(simulation)
    assert {(e.source, e.target): e.low for e in found.net.edges} == {
        (a, b): 1 for other in (1, 2, 3) for a, b in ((0, other), (other, 0))
    }
    assert found.net.summary == "6 messages in a run"


# --- What it looks like -----------------------------------------------------------------------------------------------


def text_of(body: str) -> str:
    return role_graph(evaluated(f"(defchor f [A B C] (-> A B | C) [x] {body})").f).text()


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("(A->B x)", "A ──▶ B  1 message"), ("(do (A->B x) (A->B x))", "A ──▶ B  2 messages"), ("(A->B x)", "C talks to nobody"),
        ("(if (A=>B x) (A->B x) (B 0))", "A ──▶ B  1 to 2 messages"),
        ("(loop [] (do (A->B x) (recur)))", "A ──▶ B  1 or more messages, repeated"),
    ],
)  # fmt: skip
def test_text(body: str, line: str) -> None:
    assert line in text_of(body).split("\n")


def graphs() -> list[Graph]:
    return [role_graph(RUNS["awkward"]()), role_graph(example("store_with_backups", "two_backups")), role_graph(texts().in_line)]


@pytest.mark.parametrize("width", [20, 30, 60])
def test_text_fits(width: int) -> None:
    for graph in graphs():
        assert max(cells(line) for line in graph.text(width).split("\n")) <= width


def test_colours() -> None:
    palette = Palette(("A", "B"), True)
    graph = role_graph(example("ping_pong", "ping_pong"))
    assert f"{palette.role('A')} ──▶ {palette.role('B')}" in graph.text(80, palette)


def test_mermaid_shows_what_may_not_happen_by_a_dotted_line() -> None:
    lines = role_graph(example("authentication", "get_token")).mermaid().split("\n")
    assert '    r1 -.->|"0–1"| r0' in lines
    assert '    r2 -->|"1"| r1' in lines


@pytest.mark.parametrize("wrong", [None, 5, "f", klorpy.simulate_chor])
def test_what_has_no_graph(wrong: object) -> None:
    with pytest.raises(klorpy.KlorError) as caught:
        role_graph(wrong)  # type: ignore[arg-type]
    assert caught.value.slug == "not-a-chor"


def test_a_declaration_has_no_graph() -> None:
    with pytest.raises(klorpy.KlorError) as caught:
        role_graph(klorpy.evaluate("(defchor f [A B] (-> A B))").f)
    assert caught.value.slug == "not-defined"


def test_title_and_repr() -> None:
    graph = role_graph(example("ping_pong", "ping_pong"), title="a game")
    assert repr(graph) == "<role graph of a game: 2 channels>"
    assert graph.text().startswith("a game: 2 channels\n")
    assert "Who talks to whom in a game" in graph.svg()
