"""What waits for what, in words, and what looks unsound."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import klorpy
from klorpy import explain_order
from klorpy.environment import cli
from klorpy.environment.diagrams.order import order_chart
from tests.outoforder.programs import STORIES, stories

ACK = '(defchor ack [A B] (-> A A) [x] (let [y (A->B x)] (B (print y)) (B (print "b")) (B->A (B "go"))))'


def test_data_alone_orders_the_steps_of_dataflow() -> None:
    found = explain_order(stories().checkout, "Cart", "dataflow")
    assert [step.text.split("(")[0].strip() for step in found.steps] == ["receive", "total", "send"]
    assert found.before(3) == {1, 2}
    assert found.warnings == ()


@pytest.mark.parametrize(("order", "free"), [("program", False), ("effects", True), ("dataflow", True)])
def test_two_receives_are_free_out_of_order(order: str, free: bool) -> None:
    assert explain_order(stories().router, "Router", order).free(1, 2) is free


def test_effects_keep_their_order_and_say_why() -> None:
    ns = klorpy.evaluate(ACK)
    assert (2, "effect") in explain_order(ns.ack, "B", "effects").steps[2].after
    assert explain_order(ns.ack, "B", "dataflow").free(2, 3)


def test_what_stands_in_a_choice_waits_for_its_guard() -> None:
    ns = klorpy.evaluate("(defchor f [A B] (-> A B B) [x log] (if (A=>B x) (B (.append log 1)) (B None)) (B (.append log 2)))")
    found = explain_order(ns.f, "B", "dataflow")
    assert found.steps[1].after == ((1, "choice"),)
    assert found.free(2, 3)


def test_a_barrier_stands_between() -> None:
    ns = klorpy.evaluate(
        "(import klorpy [barrier]) (defchor f [A B] (-> A A) [x] (A->B x) (B (barrier)) (B->A (B 1)))"
    )
    found = explain_order(ns.f, "B", "dataflow")
    assert found.before(3) == {1, 2}


def test_warnings() -> None:
    ns = klorpy.evaluate(ACK + "(defn draw [] 4) (defchor agreed [A B] (-> #{A B}) [] (lifting [A B] (draw)))")
    unordered, acknowledgement = explain_order(ns.ack, "B", "dataflow").warnings
    assert "nothing orders the effects 2 and 3" in unordered
    assert "does not depend on 1" in acknowledgement
    (again,) = explain_order(ns.ack, "B", "effects").warnings
    assert again == acknowledgement
    assert explain_order(ns.ack, "B").warnings == ()
    (shared,) = explain_order(ns.agreed, "A", "effects").warnings
    assert "computed by several roles" in shared


def test_after_and_declared_resources_end_the_warnings() -> None:
    ns = klorpy.evaluate(
        """(import klorpy [after touches])
           (defn [(touches "log")] note [x] x) (defn [(touches "door")] knock [x] x)
           (defchor ack [A B] (-> A A) [x] (let [y (A->B x)] (B (note y)) (B (knock 1)) (B->A (B (after y "go")))))"""
    )
    assert explain_order(ns.ack, "B", "dataflow").warnings == ()


@pytest.mark.parametrize("order", ["program", "effects", "dataflow"])
def test_what_happens_instead_does_not_happen_before(order: str) -> None:
    ns = klorpy.evaluate("""
    (import klorpy [barrier])
    (defchor f [A B] (-> A B B) [x log]
      (do (if (A=>B x) (B (do (barrier) (.append log 1))) (B (.append log 2))) (B (.append log 3))))
    """)
    _, barrier, then, orelse, after = explain_order(ns.f, "B", order).steps
    assert barrier.after == ((1, "choice"),)
    assert dict(then.after) == {1: "choice", 2: "order" if order == "program" else "barrier"}
    assert orelse.after == ((1, "choice"),)
    why = {"program": "order", "effects": "effect", "dataflow": None}[order]
    assert dict(after.after) == ({2: "barrier"} if why is None else {3: why, 4: why})


def test_a_long_definition_is_explained_at_once() -> None:
    body = " ".join(f"(B (.append log {i}))" for i in range(1500))
    chor = klorpy.evaluate(f"(defchor long [A B] (-> A B B) [x log] (do (A->B x) {body} (B 0)))").long
    for order in ("program", "effects"):
        steps = explain_order(chor, "B", order).steps
        assert all(len(step.after) == 1 for step in steps[2:])


@pytest.mark.parametrize("order", ["program", "effects", "dataflow"])
def test_the_picture_has_every_step_and_every_reason(order: str, tmp_path: Path) -> None:
    found = explain_order(stories().checkout, "Cart", order)
    picture = order_chart(found)
    root = ElementTree.fromstring(picture.svg())
    texts = ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert all(step.text in texts for step in found.steps)
    titles = [title.text for title in root.iter("{http://www.w3.org/2000/svg}title")]
    for step in found.steps:
        for earlier, _ in step.after:
            assert any(title is not None and title.startswith(f"{step.number} waits for {earlier}: ") for title in titles)
    picture.save(tmp_path / "order.txt")
    assert (tmp_path / "order.txt").read_text() == f"{found}\n"


def test_the_chart_has_a_node_for_each_step_and_an_arrow_for_each_reason() -> None:
    chart = explain_order(stories().checkout, "Fx", "effects").mermaid()
    assert chart.startswith("graph TD\n")
    assert chart.count("[") == 3
    assert 's1 -->|"data"| s2' in chart


def test_wrong_arguments() -> None:
    for wrong, slug in ((("Nobody", None), "role-not-part"), (("Cs", "any"), "bad-argument")):
        with pytest.raises(klorpy.KlorError) as caught:
            explain_order(stories().router, *wrong)
        assert caught.value.slug == slug


# --- Commands ---


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "stories.hy"
    path.write_text("(require klorpy *)\n" + STORIES)
    return str(path)


def said(capsys: pytest.CaptureFixture[str], *arguments: Any) -> str:
    assert cli.main([str(argument) for argument in arguments]) == 0
    return capsys.readouterr().out


def test_the_command_explains(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chart = tmp_path / "order.mmd"
    text = said(capsys, "explain-order", file, "router", "Worker", "--order", "effects", "--chart", chart)
    assert text.startswith("Worker of router, order effects\n")
    assert chart.read_text().startswith("graph TD\n")


def test_the_command_counts(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "count-violations", file, "router", '"T"', '"C"', "--links", "fifo")
    assert text.split() == ["none", "2/4", "line", "0/4", "token", "2/4", "both", "0/4"]
    text = said(
        capsys, "count-violations", file, "router", '"T"', '"C"', "--integrity", "none", "--permute-local"
    )  # fmt: skip
    assert text.split() == ["none", "35/70"]


def test_the_command_runs_out_of_order(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "run", file, "posting", '"T"', '"C"', "--order", "dataflow", "--quiet")
    assert '["T" "C"]' in text
