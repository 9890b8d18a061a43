"""Stepping: one message at a time, choosing who moves, going back, and breakpoints."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

import klorpy
from klorpy.environment.session import Session, render
from klorpy.environment.step import Stepper
from tests.environment.asked import PLAIN, last, shown

PROGRAM = """(defchor inner [A B] (-> A B) [x]
  (A->B x))
(defchor outer [A B] (-> A B) [first-number]
  (let [y (A->B first-number)
        z (B->A (B (* 2 y)))]
    (B (+ 1 (inner [A B] (A (+ z 1)))))))
"""


@pytest.fixture
def ns() -> Any:
    return klorpy.evaluate(PROGRAM, filename="steps.hy")


@pytest.fixture
def stepper(ns: Any) -> Iterator[Stepper]:
    made = Stepper(ns.outer, [5])
    yield made
    made.close()


def doing(stepper: Stepper) -> dict[str, tuple[str, str]]:
    return {role: (stepper.position(role).doing, stepper.position(role).form) for role in stepper.roles}


# --- Moves ------------------------------------------------------------------------------------------------------------


def test_at_the_beginning_all_roles_stand_at_the_start(stepper: Stepper) -> None:
    assert doing(stepper) == {"A": ("starts", ""), "B": ("starts", "")}
    assert stepper.ready == ("A", "B")
    assert not stepper.ended
    assert stepper.position("A").locals == {"first-number": 5}
    assert stepper.position("B").locals == {}


def test_a_move_sends_or_receives_one_message(stepper: Stepper) -> None:
    stepper.move("A")
    a = stepper.position("A")
    assert (a.doing, a.form, str(a.span), a.filename) == ("after", "(A->B first-number)", "4:11", "steps.hy")
    assert stepper.position("B").mailbox == {"A": (5,)}
    stepper.move("B")
    b = stepper.position("B")
    assert (b.doing, b.form, b.value, b.mailbox) == ("after", "(A->B first-number)", 5, {})


def test_a_role_that_waits_says_for_whom_and_where(stepper: Stepper) -> None:
    stepper.move("A")
    stepper.move("A")
    a = stepper.position("A")
    assert (a.doing, a.waits_for, a.form, a.can_move) == ("waits", "B", "(B->A (B (* 2 y)))", False)
    assert stepper.ready == ("B",)
    with pytest.raises(klorpy.KlorError, match="A cannot move now: waits for B"):
        stepper.move("A")


def test_locals_have_the_user_s_names(stepper: Stepper) -> None:
    for role in "ABB":
        stepper.move(role)
    assert stepper.position("B").locals == {"y": 5}
    stepper.run("inner")
    stepper.run("inner")
    assert {"x": 11} in [stepper.position(role).locals for role in "AB"]


def test_calls_are_shown(stepper: Stepper) -> None:
    for role in "ABBAA":
        stepper.move(role)
    a = stepper.position("A")
    assert a.calls[0] == "outer"
    assert "inner" in stepper.position("A").calls or a.doing == "ended"
    stepper.run("(A->B x)")
    assert any(stepper.position(role).calls == ("outer", "inner") for role in "AB")


def test_the_next_role_moves_when_none_is_chosen(stepper: Stepper) -> None:
    first = stepper.ready[0]
    stepper.move()
    assert stepper.position(first).doing == "after"


def test_to_the_end(stepper: Stepper) -> None:
    assert stepper.run() == ""
    assert stepper.ended
    simulation = stepper.simulation()
    assert simulation.results == {"A": klorpy.noop, "B": 12}
    assert [m.value for m in simulation.messages] == [5, 10, 11]
    assert simulation.verdict is None
    with pytest.raises(klorpy.KlorError, match="outer has ended"):
        stepper.move()


@pytest.mark.parametrize("order", ["AB", "BA"])
def test_the_order_changes_no_result(ns: Any, order: str) -> None:
    stepper = Stepper(ns.outer, [5])
    while not stepper.ended:
        stepper.move(next(role for role in order if role in stepper.ready))
    assert stepper.simulation().results["B"] == 12


# --- Back -------------------------------------------------------------------------------------------------------------


def test_back_gives_every_earlier_position_again(stepper: Stepper) -> None:
    seen = [stepper.view().text(PLAIN)]
    while not stepper.ended:
        stepper.move()
        seen.append(stepper.view().text(PLAIN))
    for earlier in reversed(seen[:-1]):
        stepper.back()
        assert stepper.view().text(PLAIN) == earlier
    with pytest.raises(klorpy.KlorError, match="nothing to take back"):
        stepper.back()
    stepper.run()
    assert stepper.view().text(PLAIN) == seen[-1]


def test_back_by_several_moves_and_another_way_forward(stepper: Stepper) -> None:
    for role in "AAB":
        stepper.move(role)
    stepper.back(2)
    assert stepper.position("B").mailbox == {"A": (5,)}
    stepper.move("B")
    assert stepper.position("B").value == 5
    stepper.back(99)
    assert doing(stepper) == {"A": ("starts", ""), "B": ("starts", "")}


def test_arguments_are_as_they_were_at_the_beginning() -> None:
    ns = klorpy.evaluate("(defchor f [A B] (-> A B) [xs] (A->B (do (A (.append xs 1)) (A (len xs)))))")
    given = [0]
    stepper = Stepper(ns.f, [given])
    stepper.run()
    stepper.back()
    stepper.back()
    stepper.run()
    assert stepper.simulation()["B"] == 2
    assert given == [0]


# --- Breakpoints ------------------------------------------------------------------------------------------------------


def test_run_stops_at_a_line(stepper: Stepper) -> None:
    assert stepper.run(5).endswith("is at line 5")
    assert 5 in {stepper.position(role).span.line for role in "AB" if stepper.position(role).span}  # type: ignore[union-attr]


def test_run_stops_when_a_role_has_moved(stepper: Stepper) -> None:
    assert stepper.run("B") == "B has moved"
    assert stepper.run("B") == "B has moved"


def test_run_stops_at_the_beginning_of_a_choreography(stepper: Stepper) -> None:
    reason = stepper.run("inner")
    assert reason.endswith("is at inner")
    assert any(stepper.position(role).doing == "starts" for role in "AB")


def test_breakpoints_stay_until_they_are_taken_away(stepper: Stepper) -> None:
    stepper.obey(["break", "B"])
    assert stepper.run() == "B has moved"
    assert stepper.run() == "B has moved"
    stepper.obey(["break", "B"])
    assert stepper.run() == ""
    assert stepper.ended


# --- Runs that do not end well ----------------------------------------------------------------------------------------


def test_a_role_that_fails() -> None:
    ns = klorpy.evaluate("(defchor f [A B] (-> A B) [x] (A->B (A (/ x 0))))")
    stepper = Stepper(ns.f, [1])
    stepper.run()
    assert stepper.position("A").doing == "failed"
    assert isinstance(stepper.position("A").end, ZeroDivisionError)
    assert stepper.position("B").doing == "waits"
    assert stepper.ended
    text = stepper.view().text(PLAIN)
    assert "failed: ZeroDivisionError" in text
    assert "error[choreography-failed]" in text


def test_host_code_that_awaits() -> None:
    ns = klorpy.evaluate(
        "(import asyncio) (defchor f [A B] (-> A B) [x] (A->B (A (await (asyncio.sleep 0 (+ x 1))))))"
    )
    stepper = Stepper(ns.f, [1])
    stepper.move("A")
    stepper.run()
    assert stepper.simulation()["B"] == 2
    stepper.close()


def test_an_interrupted_move_is_taken_back() -> None:
    ns = klorpy.evaluate("(defchor f [A B] (-> A B) [x] (do (A->B x) (A->B (A (hook x)))))")
    calls = []

    def hook(value: int) -> int:
        calls.append(value)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return value

    ns.hook = hook
    stepper = Stepper(ns.f, [3])
    stepper.move("A")
    before = stepper.view().text(PLAIN)
    stdout = sys.stdout
    with pytest.raises(KeyboardInterrupt):
        stepper.move("A")
    assert sys.stdout is stdout
    assert stepper.view().text(PLAIN) == before
    stepper.run()
    assert stepper.simulation()["B"] == 3


def test_a_role_that_never_sends_does_not_hang_a_move() -> None:
    ns = klorpy.evaluate("(defchor f [A B] (-> A B) [x] (A->B (loop [i x] (if (A (< i 0)) i (recur (A (+ i 1)))))))")
    stepper = Stepper(ns.f, [0])
    stepper.move("A")
    assert stepper.position("A").locals["i"] > 100
    assert "A" in stepper.ready
    stepper.close()


def test_what_cannot_be_started(ns: Any) -> None:
    with pytest.raises(klorpy.KlorError) as info:
        Stepper(ns.outer, [])
    assert info.value.slug == "sim-arity"


def test_printing_does_not_end_a_move() -> None:
    ns = klorpy.evaluate('(defchor f [A B] (-> A B) [x] (do (A (print "one")) (A->B x)))')
    stepper = Stepper(ns.f, [1])
    stepper.move("A")
    assert stepper.position("B").mailbox == {"A": (1,)}
    assert stepper.simulation().outputs["A"] == "one\n"
    assert "A prints: one" in stepper.view().text(PLAIN)
    assert "A prints: one" not in stepper.view().text(PLAIN)


# --- As a command -----------------------------------------------------------------------------------------------------


@pytest.fixture
def session() -> Iterator[Session]:
    with Session() as made:
        list(made.evaluate(PROGRAM))
        yield made


def test_a_session_steps(session: Session) -> None:
    assert shown(session, ",step outer 5").splitlines() == [
        "outer after 0 moves",
        "> A  at the start of outer",
        "     first-number = 5",
        "> B  at the start of outer",
    ]
    assert shown(session, ",step").splitlines() == [
        "outer after 1 move",
        "> A  after (A->B first-number)  <input 1>:4:11",
        "     first-number = 5",
        "> B  at the start of outer",
        "     from A: 5",
    ]
    assert shown(session, ",step B").splitlines()[-1] == "> B  after (A->B first-number) = 5  <input 1>:4:11"
    assert "outer after 1 move\n" in shown(session, ",step back") + "\n"
    assert shown(session, ",step show").startswith("outer after 1 move")
    assert shown(session, ",step run").endswith("A  noop\nB  12")
    assert "A --> B: 11" in shown(session, ",trace")
    assert "outer has ended" in render(last(session, ",step"), PLAIN)
    assert shown(session, ",step stop") == "stopped"
    assert session.stepper is None


def test_another_choreography_takes_the_place_of_the_first(session: Session) -> None:
    shown(session, ",step outer 5")
    assert shown(session, ",step inner 1").startswith("inner after 0 moves")


def test_a_redefinition_does_not_change_the_run_under_way(session: Session) -> None:
    shown(session, ",step outer 5")
    last(session, "(defchor inner [A B] (-> A B) [x] (A->B (A 0)))")
    shown(session, ",step")
    assert shown(session, ",step run").endswith("B  12")


def test_nor_does_one_with_other_roles(session: Session) -> None:
    shown(session, ",step outer 5")
    shown(session, ",step")
    last(session, "(defchor outer [X] (-> X X) [x] x)")
    for command in (",step", ",step back", ",step show"):
        assert "\n> B  " in shown(session, command)
    assert shown(session, ",step run").endswith("B  12")
    for command in (",trace", ",msc", ",graph"):
        assert "B" in shown(session, command)


def test_stepping_needs_a_choreography(session: Session) -> None:
    outcome = last(session, ",step")
    assert "begin with ,step CHOR" in str(getattr(outcome.error, "help", None))


def test_the_breakpoints_of_the_command(session: Session) -> None:
    shown(session, ",step outer 5")
    assert "breakpoints: line 2, B" in shown(session, ",step break 2").replace("line 2\n", "line 2, B\n")
    assert "is at line 2" in shown(session, ",step run")
    assert "breakpoints: none" in shown(session, ",step break 2")
    assert "is not a number of moves" in render(last(session, ",step back much"), PLAIN)


def test_completion_of_what_can_be_said_while_stepping(session: Session) -> None:
    shown(session, ",step outer 5")
    assert {"A", "B", "back", "outer", "stop"} <= {c.text for c in session.complete(",step ", 6)}
