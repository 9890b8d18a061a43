"""What notebooks show of values, without a notebook."""

from __future__ import annotations

import pytest

import klorpy
from klorpy.simulator import Progress

display = pytest.importorskip("klorpy.environment.jupyter.display", reason="klorpy[jupyter] is not installed")

NS = klorpy.evaluate("""
(defchor double [A B] (-> A A) [x] (B->A (B (* 2 (A->B x)))))
(defchor later [A B] (-> A B))
(defchor fails [A B C] (-> A B) [x] (do (C (print "<hello>")) (A->B (A (/ 1 x)))))
(defchor many [A B] (-> A B) [n] (loop [n (A=>B n)] (if (= n 0) (A->B (A 1)) (do (A->B (A (+ n 1))) (recur (- n 1))))))
(setv calls [])
(defn count [] (.append calls 1) (len calls))
(defchor differs [A B] (-> B) [] (A->B (A (count))))
""")


def test_a_failed_run() -> None:
    sim = klorpy.simulate_chor(NS.fails, 0, check=False)
    bundle = display.simulation_bundle(sim)
    assert bundle["text/plain"].startswith("A  failed\nB  waits for A\nC  noop\n")
    assert "error[choreography-failed]: fails failed at A" in bundle["text/plain"]
    html = bundle["text/html"]
    assert "failed: ZeroDivisionError" in html
    assert "waits for A" in html
    assert "&lt;hello&gt;" in html
    assert "<hello>" not in html


def test_the_printed_column_is_there_when_something_was_printed() -> None:
    assert ">printed</th>" in display.simulation_bundle(klorpy.simulate_chor(NS.fails, 1))["text/html"]
    assert ">printed</th>" not in display.simulation_bundle(klorpy.simulate_chor(NS.double, 1))["text/html"]


def test_a_long_run_has_a_folded_chart_and_a_huge_one_none(monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = (klorpy.simulate_chor(NS.many, n) for n in (3, 1000))
    svg = display.simulation_bundle(many)["text/html"]
    assert "<svg" in svg
    assert len(svg) < 200_000
    monkeypatch.setattr(display, "CHARTED", len(few.messages))
    assert "<svg" in display.simulation_bundle(few)["text/html"]
    assert "<svg" not in display.simulation_bundle(many)["text/html"]


def test_a_run_without_a_trace_is_a_table() -> None:
    bundle = display.simulation_bundle(klorpy.simulate_chor(NS.double, 21, trace=False))
    assert bundle["text/plain"] == "A  42\nB  noop"
    assert bundle["text/html"].startswith("<table")


def test_a_declaration() -> None:
    bundle = display.choreography_bundle(NS.later)
    assert bundle["text/plain"] == "later  (forall [A B] (-> A B | 0))\ndeclared, not yet defined"
    assert "declared, not yet defined" in bundle["text/html"]


def test_an_exploration_that_differs_shows_the_other_run() -> None:
    NS.calls.clear()
    bundle = display.exploration_bundle(klorpy.explore(NS.differs))
    assert bundle["text/plain"].startswith(
        "2 schedules: the last one differs\n"
        "B: result 1 in the first run, result 2 in this\n"
        'replay it with the seed 1\n'
        "\n"
        "A  noop\n"
        "B  2\n"
    )
    assert "replay it with the seed 1" in bundle["text/html"]


def test_an_exploration_of_what_always_fails_shows_the_failure() -> None:
    ns = klorpy.evaluate("(defchor fails [A B] (-> A B) [x] (A->B (A (/ x 0))))")
    found = klorpy.explore(ns.fails, 1)
    assert not found
    bundle = display.exploration_bundle(found)
    assert "no difference" in bundle["text/plain"]
    assert "ZeroDivisionError" in bundle["text/plain"]


def test_an_error_as_a_value() -> None:
    with pytest.raises(klorpy.KlorError) as caught:
        klorpy.evaluate("(defchor f [A B] (-> A B) [x] x)")
    bundle = display.error_bundle(caught.value)
    assert bundle["text/plain"].startswith("error[return-type-mismatch]: ")
    assert "                            ^ this is A\n" in bundle["text/plain"]
    assert "-&gt; A B" in bundle["text/html"]


def test_colours() -> None:
    text = "error[deadlock]: x\n  |\n1 | (f)\n  | ^^^ here\n  = help: a | ^b"
    coloured = display.coloured(text)
    assert coloured.startswith("\x1b[1;31merror[deadlock]\x1b[0m: x\n")
    assert "  | \x1b[31m^^^ here\x1b[0m\n" in coloured
    assert coloured.count("\x1b") == 4
    assert display.coloured("warning[unused-role]: x") == "\x1b[1;33mwarning[unused-role]\x1b[0m: x"


def test_progress_texts() -> None:
    assert display.progress_text(Progress(NS.double, trace=[0] * 5), 1.04) == "double: 1 message in 1.0 s"
    assert display.progress_text(Progress(NS.double, trace=[0] * 50_000), 2.36) == "double: 10,000 messages in 2.4 s"
    assert display.progress_text(Progress(NS.double), 2.0) == "double: 2.0 s"
    explored = Progress(NS.double, total=1000, done=40)
    assert display.progress_text(explored, 2.0) == "double: 40 of at most 1,000 schedules in 2.0 s"
