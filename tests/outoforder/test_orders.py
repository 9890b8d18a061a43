"""What each order lets happen, and what it does not: by the traces of all schedules of small programs."""

from __future__ import annotations

from typing import Any

import pytest

import klorpy
from tests.outoforder.programs import stories
from tests.outoforder.running import assert_quiescent, delivery, results, run, schedules

HEAD = """
(import klorpy [after barrier independent pure touches])
(defn [pure] same [x] x)
(defn [(touches "till")] ring [log x] (.append log x) x)
(defn [(touches "door")] knock [log x] (.append log x) x)
(defn note [log x] (.append log x) x)
"""


def program(body: str) -> Any:
    return klorpy.evaluate(HEAD + body).main


def traces(chor: Any, *args: Any, order: str, links: str = "unordered") -> set[tuple[str, ...]]:
    """The orders in which each schedule takes its steps and delivers its messages, as texts."""
    found = set()
    for trace in _runs(chor, args, order, links):
        found.add(tuple(trace))
    return found


def _runs(chor: Any, args: tuple[Any, ...], order: str, links: str) -> Any:
    script: list[int] = []
    while True:
        made = delivery(
            chor, *args, seed="s" + ".".join(map(str, script)), permute_local=True, order=order, links=links
        )  # fmt: skip
        trace: list[str] = []
        made.watch = lambda walker, step, trace=trace: trace.append(f"{walker.role} {step.name}")  # type: ignore[misc]
        for role, walker in made.walkers.items():
            walker.mailbox.bound = lambda letter, waiter, role=role, trace=trace: trace.append(  # type: ignore[misc]
                f"{role} receives {letter.value!r}"
            )
        made.run()
        assert_quiescent(made)
        yield trace
        choices = list(made.schedule.made)  # type: ignore[attr-defined]
        while choices and choices[-1][0] + 1 >= choices[-1][1]:
            choices.pop()
        if not choices:
            return
        script = [choice for choice, _ in choices]
        script[-1] += 1


def both_ways(found: set[tuple[str, ...]], one: str, other: str) -> set[bool]:
    """Whether `one` stands before `other`, over all traces."""
    return {
        next(i for i, step in enumerate(trace) if one in step) < next(i for i, step in enumerate(trace) if other in step)
        for trace in found
    }


PAIRS = {
    "two sends": ("(defchor main [A B] (-> A A B) [x y] (A->B x) (A->B y))", "(A->B x)", "(A->B y)"),
    "two receives": ("(defchor main [A B C] (-> A B C) [x y] (A->C x) (B->C y))", "C receives 1", "C receives 2"),
    "two computations": (
        "(defchor main [A] (-> A A A) [x y] (A (note [] x)) (A (knock [] y)))", "note", "knock",
    ),
    "what follows an undecided choice": (
        "(defchor main [A B] (-> A A B) [x y] (if (A=>B x) (B (note [] 1)) (B None)) (B (knock [] 2)))", "note", "knock",
    ),
    "two calls": (
        """(defchor sub [A B C] (-> A C) [x] (B->C (A->B x)))
           (defchor main [A B C] (-> A A C) [x y] (sub [A B C] x) (sub [A B C] y))""",
        "C receives 1", "C receives 2",
    ),
}  # fmt: skip


@pytest.mark.parametrize("pair", PAIRS)
def test_what_may_swap_does(pair: str) -> None:
    """Out of order both ways are found, in program order one."""
    text, one, other = PAIRS[pair]
    chor = program(text)
    assert both_ways(traces(chor, 1, 2, order="dataflow"), one, other) == {True, False}
    if pair != "two receives":
        assert both_ways(traces(chor, 1, 2, order="program"), one, other) == {True}


@pytest.mark.parametrize("pair", PAIRS)
def test_program_order_is_one_of_the_effect_orders_and_those_of_dataflow(pair: str) -> None:
    text, _, _ = PAIRS[pair]
    chor = program(text)
    program_, effects, dataflow = (traces(chor, 1, 2, order=order) for order in ("program", "effects", "dataflow"))
    assert program_ <= effects <= dataflow
    assert program_ < dataflow


def test_nothing_of_a_branch_happens_before_its_guard() -> None:
    """The guard is never delivered: what follows the choice happens, nothing inside it does."""
    log: list[int] = []
    chor = klorpy.evaluate(
        "(defn note [x] (.append log x)) (defchor main [A B] (-> A B) [x] (if (A=>B x) (B (note 1)) (B (note 2))) (B (note 3)) (B 0))",
        module=klorpy.evaluate("(setv log [])"),
    )
    log = chor.log
    made = delivery(chor.main, True, order="dataflow")
    made.settle()
    assert log == [3]
    assert not made.walkers["B"].done
    made.run()
    assert log == [3, 1]


def test_effects_on_one_resource_keep_their_order_and_others_do_not() -> None:
    text = """(defchor main [A B] (-> A A B B B) [x y till door]
                (B (ring till (A->B x))) (B (knock door "d")) (B (ring till (A->B y))) (B (knock door "e")) (B 0))"""
    found = traces(program(text), "x", "y", [], [], order="effects")
    assert both_ways(found, "B ring", "B knock") == {True, False}
    for done in schedules(program(text), "x", "y", [], [], order="effects"):
        frame = done.walkers["B"]
        assert frame.done
    logs = set()
    for seed in range(40):
        till: list[str] = []
        door: list[str] = []
        klorpy.simulate_chor(program(text), "x", "y", till, door, order="effects", seed=seed)
        logs.add((tuple(till), tuple(door)))
    assert logs == {(("x", "y"), ("d", "e"))}


def test_in_dataflow_some_schedule_swaps_two_effects() -> None:
    text = "(defchor main [A B] (-> A B B) [x log] (B (note log (A->B x))) (B (note log 2)) (B 0))"
    logs = set()
    for seed in range(20):
        log: list[int] = []
        klorpy.simulate_chor(program(text), 1, log, order="dataflow", seed=seed)
        logs.add(tuple(log))
    assert logs == {(1, 2), (2, 1)}


def test_effects_of_a_call_that_waits_keep_their_place() -> None:
    """A choice whose guard is under way may have effects: what follows waits for it, and for nothing else."""
    text = """(defchor sub [A B] (-> A B B) [x log] (if (A=>B x) (B (note log 1)) (B (note log 2))))
              (defchor main [A B] (-> A B B) [x log] (sub [A B] x log) (B (note log 3)) (B 0))"""
    for seed in range(20):
        log: list[int] = []
        klorpy.simulate_chor(program(text), False, log, order="effects", seed=seed)
        assert log == [2, 3]


@pytest.mark.parametrize("seed", range(12))
def test_what_looks_at_an_object_keeps_its_place_among_the_effects_on_it(seed: int) -> None:
    """Python's own functions have no effect, but see those of others."""
    text = """(defchor main [A B] (-> A B B B) [x log seen]
                (B (note log (A->B x))) (B (note seen (len log))) (B (note log 2)) (B (note seen (get log -1))) (B 0))"""
    log: list[int] = []
    seen: list[int] = []
    klorpy.simulate_chor(program(text), 1, log, seen, order="effects", seed=seed)
    assert (log, seen) == ([1, 2], [1, 2])


@pytest.mark.parametrize("seed", range(12))
def test_what_is_read_is_what_declared_effects_have_left(seed: int) -> None:
    text = """(defchor main [A B] (-> A A B B) [x y till] (B (ring till (A->B x))) (B (ring till (A->B y))) (B (list till)))"""
    assert klorpy.simulate_chor(program(text), 1, 2, [], order="effects", seed=seed)["B"] == [1, 2]


@pytest.mark.parametrize("seed", range(12))
def test_a_value_that_is_not_there_yet_is_read_and_changed_in_order(seed: int) -> None:
    text = """(defchor main [A B] (-> A B) [x]
                (let [got (A->B x) before (B (len got)) _ (B (.append got 9)) after (B (len got))] (B [before after])))"""
    assert klorpy.simulate_chor(program(text), [1], order="effects", seed=seed)["B"] == [1, 2]


def test_independent_effects_keep_no_order() -> None:
    text = "(defchor main [A B] (-> A B B) [x log] (B (independent (note log (A->B x)))) (B (note log 2)) (B 0))"
    logs = set()
    for seed in range(20):
        log: list[int] = []
        klorpy.simulate_chor(program(text), 1, log, order="effects", seed=seed)
        logs.add(tuple(log))
    assert logs == {(1, 2), (2, 1)}


def test_an_acknowledgement_waits_for_what_it_is_said_to_be_after() -> None:
    plain = program('(defchor main [A B] (-> A A) [x] (A->B x) (B->A (B "go")))')
    bound = program('(defchor main [A B] (-> A A) [x] (let [y (A->B x)] (B->A (B (after y "go")))))')
    assert both_ways(traces(plain, 1, order="dataflow"), "B receives", "A receives") == {True, False}
    assert both_ways(traces(bound, 1, order="dataflow"), "B receives", "A receives") == {True}


def test_an_acknowledgement_may_be_sent_first_in_five_of_six_interleavings() -> None:
    plain = program('(defchor main [A B] (-> A A) [x] (A->B x) (B->A (B "go")))')
    found = list(_runs(plain, (1,), "dataflow", "unordered"))
    assert len(found) == 6
    before = [t for t in found if t.index("B receives 1") < next(i for i, s in enumerate(t) if s.startswith("B send"))]
    assert len(before) == 1


@pytest.mark.parametrize("order", ["effects", "dataflow"])
def test_nothing_behind_a_barrier_begins_before_what_is_in_front_of_it_is_done(order: str) -> None:
    text = """(defchor main [A B] (-> A A B) [x y] (B (same (A->B x))) (B (barrier)) (B->A (B "behind")) (A->B y))"""
    found = traces(program(text), 1, 2, order=order)
    assert both_ways(found, "B receives 1", "B send") == {True}
    assert both_ways(found, "A send (A->B y)", "B send") == {True, False}


def test_a_barrier_in_a_call_holds_the_caller_up() -> None:
    text = """(defchor sub [A B] (-> A B) [x] (let [t (A->B x)] (B (barrier)) t))
              (defchor main [A B] (-> A A) [x] (sub [A B] x) (B->A (B "behind")))"""
    assert both_ways(traces(program(text), 1, order="dataflow"), "B receives 1", "B send") == {True}


def test_a_definition_says_its_own_order() -> None:
    text = """(defchor main [A B] (-> A A B B) [x y log] (B (note log (A->B x))) (B (note log (A->B y))) (B 0))"""
    ns = klorpy.evaluate(HEAD + f"(with-opts {{:order :dataflow}} {text})")
    assert ns.main.definition.options["order"] == "dataflow"
    logs = set()
    for seed in range(20):
        log: list[int] = []
        klorpy.simulate_chor(ns.main, 1, 2, log, seed=seed)
        logs.add(tuple(log))
    assert logs == {(1, 2), (2, 1)}
    log = []
    klorpy.simulate_chor(ns.main, 1, 2, log, seed=3, order="program")
    assert log == [1, 2]


def test_a_callee_in_program_order_is_carried_out_so_in_a_caller_that_is_not() -> None:
    text = HEAD + """
        (with-opts {:order :program}
          (defchor sub [A B] (-> A A B B) [x y log] (B (note log (A->B x))) (B (note log (A->B y)))))
        (with-opts {:order :dataflow}
          (defchor main [A B] (-> A A B B) [x y log] (sub [A B] x y log) (B (note log 3)) (B 0)))"""
    ns = klorpy.evaluate(text)
    logs = set()
    for seed in range(30):
        log: list[int] = []
        klorpy.simulate_chor(ns.main, 1, 2, log, seed=seed)
        logs.add(tuple(log))
    assert {tuple(x for x in log if x != 3) for log in logs} == {(1, 2)}
    assert len(logs) > 1


@pytest.mark.parametrize("value", [None, 0, "", b"", (), False])
@pytest.mark.parametrize("early", [True, False])
def test_values_that_are_false_arrive_before_and_after_their_receive(value: Any, early: bool) -> None:
    text = "(defchor main [A B] (-> A #{A B} B) [x wait] (if wait (A=>B (A 0)) 0) (A->B x))"
    done = run(program(text), value, early)
    assert_quiescent(done)
    assert results(done)["B"] == value


def test_a_message_for_a_call_that_its_receiver_has_not_reached_is_kept() -> None:
    text = """(defchor sub [A B] (-> A B) [x] (A->B x))
              (defchor main [A B C] (-> A C B) [x c] (if (C=>B (C=>A c)) (sub [A B] x) (B 0)))"""
    made = delivery(program(text), "early", True)
    letters: list[str] = []
    while True:
        made.settle()
        waiting = made.letters()
        if not waiting:
            break
        # What C tells B comes last of all.
        chosen = next((letter for letter in waiting if (letter.source, letter.target) != ("C", "B")), waiting[0])
        letters.append(f"{chosen.source}{chosen.target}")
        if chosen.source == "A":
            assert made.walkers["B"].mailbox.quiet or chosen.target == "B"
        made.deliver(chosen)
    assert letters == ["CA", "AB", "CB"]
    assert made.walkers["B"].mailbox.high_water == 1
    assert results(made)["B"] == "early"
    assert_quiescent(made)


def test_arguments_of_a_call_need_not_be_there() -> None:
    """A lenient call: the callee's own messages go out before the caller's argument has come."""
    text = """(defchor sub [A B] (-> B B A) [x y] (B->A y) (B->A x))
              (defchor main [A B] (-> A B A) [x y] (sub [A B] (A->B x) y))"""
    assert both_ways(traces(program(text), 1, 2, order="dataflow"), "A receives 2", "B receives 1") == {True, False}


def test_deep_recursion_out_of_order_is_limited_by_memory_alone() -> None:
    text = """(defchor main [A B] (-> #{A B} A) [n]
                (if (> n 0) (let [x (main [A B] (- n 1))] (B->A (B (same (A->B (A (+ x 1))))))) (A 0)))"""
    done = run(program(text), 3000)
    assert results(done)["A"] == 3000


# --- Exploration ---


def test_explore_tries_the_orders_of_deliveries_and_of_steps() -> None:
    ns = klorpy.evaluate("""
    (import klorpy [pure touches])
    (defn [(touches "log")] note [log x] (.append log x) x)
    (defchor both [A B C] (-> A B C C) [x y log]
      (let [p (A->C x) q (B->C y)] (C (note log p)) (C (note log q)) (C (list log))))
    """)
    assert klorpy.explore(ns.both, 1, 2, [], order="program", links="fifo")
    kept = klorpy.explore(ns.both, 1, 2, [], order="effects")
    assert kept
    assert kept.complete
    assert kept.schedules >= 2
    found = klorpy.explore(ns.both, 1, 2, [], order="dataflow", schedules=1000)
    assert not found
    assert found.different is not None
    assert found.first["C"] != found.different["C"]
    again = klorpy.simulate_chor(ns.both, 1, 2, [], order="dataflow", seed=found.seed)
    assert again["C"] == found.different["C"]


def test_explore_follows_the_orders_of_definitions() -> None:
    chor = klorpy.evaluate("""
    (with-opts {:order :dataflow}
      (defchor both [A B] (-> A A [B B]) [x y] (pack (A->B x) (A->B y))))
    """).both
    found = klorpy.explore(chor, 1, 2)
    assert found
    assert found.complete
    # Two sends and two deliveries: each message arrives after it was sent.
    assert found.schedules == 6
    plain = klorpy.explore(chor, 1, 2, order="program", links="fifo")
    assert plain.complete


@pytest.mark.parametrize("wrong", [{"order": "any"}, {"links": "lossy"}, {"window": 0}])
def test_wrong_arguments_of_explore_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(klorpy.KlorError) as caught:
        klorpy.explore(stories().router, "T", "C", **wrong)
    assert caught.value.slug == "bad-argument"
