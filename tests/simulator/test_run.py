"""Simulating: determinism, isolation, arguments, the clock, results; and exploring schedules."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import anyio
import hy
import pytest

import klorpy
from klorpy.core.values import noop
from klorpy.simulator import run as run_module

#: Four roles with freedom: what arrives at D, in which order, is fixed; when, is not.
FREE = """
(defchor free [A B C D] (-> A B C [D #{A B}]) [x y z]
  (let [a (A->D (A [x 1])) b (B->D (B [y 2])) c (C->D (C [z 3]))
        shared (A=>B (A (len x)))]
    (D (print a b c))
    (B (print shared))
    (C (print "c"))
    (pack (D [a b c]) shared)))
"""


def define(text: str, name: str | None = None) -> Any:
    return getattr(klorpy.evaluate(text), hy.mangle(name or text.split()[1]))


def events(simulation: klorpy.Simulation) -> list[str]:
    return [str(event) for event in simulation.events]


# --- Determinism ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 2, 3, -5, 2**70, "s", "s1", "s1.0.2", "s9.9.9"])
def test_equal_seeds_give_equal_traces(seed: Any) -> None:
    chor = define(FREE)
    first, second = (klorpy.simulate_chor(chor, "x", "y", "z", seed=seed) for _ in range(2))
    assert events(first) == events(second)
    assert first.seed == second.seed == seed


def test_the_seed_chooses_the_order() -> None:
    chor = define(FREE)
    traces = {tuple(events(klorpy.simulate_chor(chor, "x", "y", "z", seed=seed))) for seed in range(30)}
    assert len(traces) > 5


def test_the_seed_does_not_change_what_is_computed() -> None:
    chor = define(FREE)
    for seed in range(30):
        simulation = klorpy.simulate_chor(chor, "x", "y", "z", seed=seed)
        assert simulation.results == {"A": (1,), "B": (1,), "C": noop, "D": ([["x", 1], ["y", 2], ["z", 3]],)}
        assert simulation.channel("A", "D") == [["x", 1]]
        assert simulation.outputs["D"] == "['x', 1] ['y', 2] ['z', 3]\n"


def test_neither_the_global_generator_nor_the_hash_seed_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    import random

    chor = define(FREE)
    random.seed(1)
    first = events(klorpy.simulate_chor(chor, "x", "y", "z", seed=7))
    state = random.getstate()
    second = events(klorpy.simulate_chor(chor, "x", "y", "z", seed=7))
    assert first == second
    assert random.getstate() == state


@pytest.mark.parametrize("seed", [1.5, None, True, "x", "", "s1.", "s-1", "s1.x", "sx", [1]])
def test_what_is_no_seed(seed: Any) -> None:
    with pytest.raises(klorpy.KlorError) as caught:
        klorpy.simulate_chor(define(FREE), 1, 2, 3, seed=seed)
    assert caught.value.slug == "bad-argument"


@pytest.mark.parametrize(
    "more", [{"order": "random"}, {"timeout": 0}, {"timeout": -1}, {"timeout": "5"}, {"timeout": float("nan")}]
)
def test_bad_arguments(more: Any) -> None:
    with pytest.raises(klorpy.KlorError) as caught:
        klorpy.simulate_chor(define(FREE), 1, 2, 3, **more)
    assert caught.value.slug == "bad-argument"
    assert caught.value.help


@pytest.mark.parametrize("args", [(), (1,), (1, 2, 3, 4)])
def test_the_number_of_arguments(args: tuple[Any, ...]) -> None:
    with pytest.raises(klorpy.KlorError) as caught:
        klorpy.simulate_chor(define(FREE), *args)
    assert caught.value.slug == "sim-arity"
    assert f"not {len(args)}" in caught.value.message


# --- Isolation --------------------------------------------------------------------------------------------------------


class Account:
    def __init__(self, balance: int) -> None:
        self.balance = balance
        self.log: list[int] = []

    def deposit(self, amount: int) -> Account:
        self.balance += amount
        self.log.append(amount)
        return self


@pytest.mark.parametrize(
    ("value", "change", "before"),
    [
        ([1], "(.append x 2)", [1]), ({"a": 1}, '(.update x {"b" 2})', {"a": 1}), ({1}, "(.add x 2)", {1}),
        (bytearray(b"a"), "(.append x 1)", bytearray(b"a")), ([[1]], "(.append (get x 0) 2)", [[1]]),
        (([1],), "(.append (get x 0) 2)", ([1],)), ({"a": {"b": [1]}}, '(.append (get x "a" "b") 2)', {"a": {"b": [1]}}),
    ],
    ids=lambda value: str(value)[:20],
)  # fmt: skip
@pytest.mark.parametrize("first", "AB")
def test_a_change_at_one_role_is_not_seen_by_another(value: Any, change: str, before: Any, first: str) -> None:
    """After a send neither side sees what the other does, whoever changes its copy; nor does the trace."""
    chor = define(
        f"(defchor f [A B] (-> A [A B]) [x] (let [y (A->B x)] ({first} (let [x {'x' if first == 'A' else 'y'}] {change})) (pack x y)))"
    )
    for seed in range(3):
        simulation = klorpy.simulate_chor(
            chor, klorpy.simulate_chor(define("(defchor c [A B] (-> A B) [x] (A->B x))"), value)["B"], seed=seed
        )
        other = "B" if first == "A" else "A"
        assert simulation[other] == (before,)
        assert simulation[first] != (before,)
        assert simulation.channel("A", "B") == [before]


def test_an_object_is_copied() -> None:
    chor = define(
        "(defchor f [A B] (-> A [A B]) [x] (let [y (A->B x)] (B (.deposit y 5)) (A (.deposit x 7)) (pack x y)))"
    )
    account = Account(1)
    simulation = klorpy.simulate_chor(chor, account)
    (a,), (b,) = simulation["A"], simulation["B"]
    assert (a.balance, a.log, b.balance, b.log) == (8, [7], 6, [5])
    assert type(b) is Account
    assert simulation.channel("A", "B")[0].log == []


def test_the_same_object_sent_twice_is_two_objects() -> None:
    chor = define("(defchor f [A B] (-> A B) [x] (let [y (A->B x) z (A->B x)] (B (do (.append y 9) [y z (is y z)]))))")
    assert klorpy.simulate_chor(chor, [1])["B"] == [[1, 9], [1], False]


def test_a_change_between_two_sends_is_sent() -> None:
    chor = define("(defchor f [A B] (-> A B) [x] (let [y (A->B x)] (A (.append x 2)) (let [z (A->B x)] (B [y z]))))")
    for seed in range(10):
        assert klorpy.simulate_chor(chor, [1], seed=seed)["B"] == [[1], [1, 2]]


def test_an_agreement_argument_is_one_object_for_each_role() -> None:
    chor = define("(defchor f [A B] (-> #{A B} [A B]) [x] (do (A (.append x 2)) (pack (narrow [A] x) (narrow [B] x))))")
    value = [1]
    assert klorpy.simulate_chor(chor, value).results == {"A": ([1, 2],), "B": ([1],)}


@pytest.mark.parametrize(
    "args", [lambda i: ([i], i), lambda i: (i, [i]), lambda i: (i, i), lambda i: ({"k": i}, [(i,)])]
)
def test_arguments_that_share_a_part(args: Any) -> None:
    chor = define(
        "(defn change [x] (cond (isinstance x dict) (change (get x \"k\")) (isinstance (get x 0) #(list tuple)) (change (get x 0)) True (.append x 99)))\n"
        "(defchor f [A B] (-> A B [A B]) [x y] (let [z (A=>B (A (change x)))] (pack x y)))", "f"
    )  # fmt: skip
    inner = [1]
    left, right = args(inner)
    simulation = klorpy.simulate_chor(chor, left, right)
    assert "99" not in repr(simulation["B"])
    assert "99" in repr(simulation["A"])


def test_a_role_gets_its_own_arguments_with_their_identity() -> None:
    """Two parameters of one role that are one object stay one."""
    chor = define("(defchor f [A] (-> A A A) [x y] (A (is x y)))")
    value = [1]
    assert klorpy.simulate_chor(chor, value, value)["A"] is True


def test_what_cannot_be_copied_to_another_role() -> None:
    chor = define("(defchor f [A B] (-> A B)\n  [x] (A->B x))")
    lock = threading.Lock()
    simulation = klorpy.simulate_chor(chor, lock, check=False)
    error = simulation.failures["A"]
    assert isinstance(error, klorpy.KlorError)
    assert error.slug == "not-copyable"
    assert "(A->B x)" in error.message
    assert error.span is not None
    assert error.span.line == 2
    shared = define("(defchor g [A B] (-> #{A B} #{A B}) [x] x)")
    with pytest.raises(klorpy.KlorError) as caught:
        klorpy.simulate_chor(shared, lock)
    assert caught.value.slug == "not-copyable"


def test_what_cannot_be_copied_may_stay_at_its_role() -> None:
    chor = define("(defchor f [A B] (-> A A) [x] (do (B None) (A (with [_ x] x))))")
    lock = threading.Lock()
    assert klorpy.simulate_chor(chor, lock)["A"] is lock


class Once:
    """A copy of it cannot be copied again."""

    def __deepcopy__(self, memo: Any) -> Any:
        return threading.Lock()


@pytest.mark.parametrize("seed", range(4))
def test_a_value_whose_copy_cannot_be_copied(seed: int) -> None:
    chor = define("(defchor f [A B] (-> A B) [x] (do (A->B x) (B 1)))")
    simulation = klorpy.simulate_chor(chor, Once(), seed=seed, check=False)
    assert simulation.verdict is None or all(isinstance(e, klorpy.KlorError) for e in simulation.failures.values())


def test_a_function_may_be_sent() -> None:
    chor = define("(defchor f [A B] (-> A B) [x] (let [g (A->B (A (fn [y] [y x])))] (B (g 2))))")
    assert klorpy.simulate_chor(chor, 1)["B"] == [2, 1]


# --- Results ----------------------------------------------------------------------------------------------------------


def test_results_by_type() -> None:
    chor = define("(defchor f [A B C] (-> A [A [#{A B} B]]) [x] (do (C None) (pack x (pack (A=>B x) (B 7)))))")
    simulation = klorpy.simulate_chor(chor, 1)
    assert simulation.results == {"A": (1, (1,)), "B": ((1, 7),), "C": noop}
    assert simulation["C"] is noop
    with pytest.raises(KeyError):
        simulation["Z"]


def test_results_that_are_choreographies() -> None:
    chor = define("(defchor f [A B] (-> A (-> A B A)) [n] (chor (-> A B A) [x y] (A [n x (B->A (B [y]))])))")
    simulation = klorpy.simulate_chor(chor, 1)
    got: dict[str, Any] = {}
    other = threading.Thread(target=lambda: got.update(B=[simulation["B"]("p"), simulation["B"]("q")]))
    other.start()
    got["A"] = [simulation["A"](2), simulation["A"](3)]
    other.join()
    assert got == {"A": [[1, 2, ["p"]], [1, 3, ["q"]]], "B": [noop, noop]}
    with pytest.raises(klorpy.KlorError) as caught:
        simulation["A"](1, 2)
    assert caught.value.slug == "play-arity"


def test_a_choreography_as_a_result_does_not_wait_for_ever() -> None:
    chor = define("(defchor f [A B] (-> (-> B A)) [] (chor (-> B A) [y] (B->A y)))")
    simulation = klorpy.simulate_chor(chor, timeout=0.05)
    with pytest.raises(klorpy.KlorError) as caught:
        simulation["A"]()
    assert caught.value.slug == "timeout"
    assert "B" in caught.value.help


def test_a_choreography_as_a_result_that_cannot_send() -> None:
    chor = define("(defchor f [A B] (-> (-> A B)) [] (chor (-> A B) [x] (A->B x)))")
    function = klorpy.simulate_chor(chor)["A"]
    with pytest.raises(klorpy.KlorError) as caught:
        function(threading.Lock())
    assert caught.value.slug == "not-copyable"


# --- Where it runs ----------------------------------------------------------------------------------------------------


def test_inside_a_running_loop() -> None:
    chor = define(FREE)

    async def main() -> Any:
        return klorpy.simulate_chor(chor, "x", "y", "z")["A"]

    assert anyio.run(main) == (1,)
    assert asyncio.run(main()) == (1,)


def test_inside_another_simulation() -> None:
    chor = define(
        "(import klorpy)\n(defchor inner [P Q] (-> P Q) [x] (do (P (print \"inner\" x)) (P->Q (P [x]))))\n"
        '(defn go [x] (print "outer") (get (klorpy.simulate-chor inner x) "Q"))\n'
        "(defchor f [A B] (-> A B) [x] (A->B (A (go x))))", "f"
    )  # fmt: skip
    simulation = klorpy.simulate_chor(chor, 1)
    assert simulation["B"] == [1]
    assert simulation.outputs == {"A": "outer\n", "B": ""}


def test_in_several_threads_at_once() -> None:
    chor = define("(defchor f [A B] (-> A B) [n] (if (A=>B (A (= n 0))) (A->B n) (f [A B] (A (- n 1)))))")
    results: list[Any] = []
    threads = [
        threading.Thread(target=lambda: results.append(klorpy.simulate_chor(chor, 300, seed=1)["B"])) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [0, 0, 0, 0]


def test_no_thread_and_no_loop_without_await(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("not here")

    monkeypatch.setattr(threading.Thread, "start", forbidden)
    monkeypatch.setattr(asyncio, "new_event_loop", forbidden)
    assert klorpy.simulate_chor(define(FREE), "x", "y", "z").verdict is None


# --- The clock --------------------------------------------------------------------------------------------------------


class Clock:
    """Goes on by a second whenever it is looked at."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 1
        return self.now


@pytest.mark.parametrize(
    "text",
    [
        "(defchor f [A B] (-> A A) [n] (do (B None) (loop [i n] (recur (A (+ i 1))))))",
        "(defchor f [A B] (-> A A) [n] (do (B None) (f [A B] (A (+ n 1)))))",
        "(defchor f [A B] (-> A A) [n] (f [A B] (B->A (A->B n))))",
        "(defchor f [A B] (-> A A) [n] (loop [i n] (do (A->B i) (recur (A (+ i 1))))))",
        "(defchor f [A B] (-> #{A B} A) [n] (loop [i n] (if (> i 0) (recur (+ i 1)) (recur (- i 1)))))",
    ],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_run_that_would_never_end(text: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "time", Clock())
    with pytest.raises(klorpy.ChoreographyFailed) as caught:
        klorpy.simulate_chor(define(text), 1, seed=seed, timeout=20, trace=False)
    assert caught.value.slug == "timeout"
    assert caught.value.role is None
    assert "did not end in time" in caught.value.message
    assert caught.value.help
    assert caught.value.simulation.seed == seed


def test_enough_time() -> None:
    assert klorpy.simulate_chor(define(FREE), "x", "y", "z", timeout=60).verdict is None


# --- Without a trace --------------------------------------------------------------------------------------------------


def test_without_a_trace() -> None:
    simulation = klorpy.simulate_chor(define(FREE), "x", "y", "z", trace=False)
    assert simulation["A"] == (1,)
    assert simulation.outputs["B"] == "1\n"
    for use in (
        lambda: simulation.messages,
        lambda: simulation.events,
        lambda: simulation.channel("A", "B"),
        simulation.log,
    ):
        with pytest.raises(klorpy.KlorError) as caught:
            use()
        assert caught.value.slug == "no-trace"
    assert "free" in repr(simulation)


# --- Exploration ------------------------------------------------------------------------------------------------------


def test_all_schedules_agree_when_roles_share_nothing() -> None:
    found = klorpy.explore(
        define("(defchor f [A B C] (-> A B C) [x y] (C (+ (A->C x) (B->C y))))"), 1, 2, schedules=1000
    )
    assert found
    assert found.complete
    assert found.seed is None
    assert 1 < found.schedules <= 1000
    assert len(set(found.seeds)) == found.schedules


def test_a_sample_when_there_are_too_many() -> None:
    found = klorpy.explore(define(FREE), "x", "y", "z", schedules=7)
    assert found
    assert not found.complete
    assert found.schedules == 7


SHARING = """
(setv shared [])
(defn note [who] (.append shared who) (len shared))
(defchor race [A B C] (-> [C C]) []
  (pack (A->C (A (note "A"))) (B->C (B (note "B")))))
"""


def test_roles_that_share_state_are_found_and_the_seed_replays_it() -> None:
    ns = klorpy.evaluate(SHARING)

    def fresh() -> None:
        ns.shared.clear()

    # The choreography clears what it shares, so that each run starts alike.
    klorpy.evaluate('(defchor race [A B C] (-> [C C]) [] (do (C->A (C (.clear shared))) (A->B (A None)) '
                    '(pack (A->C (A (note "A"))) (B->C (B (note "B"))))))', module=ns)  # fmt: skip
    found = klorpy.explore(ns.race, schedules=500)
    assert not found
    assert found.different is not None
    assert found.seed is not None
    assert "C" in found.difference or "messages" in found.difference
    assert found.first["C"] != found.different["C"]
    fresh()
    replayed = klorpy.simulate_chor(ns.race, seed=found.seed)
    assert replayed["C"] == found.different["C"]
    assert [str(e) for e in replayed.events] == [str(e) for e in found.different.events]


RACE = """
(setv log [])
(defchor race [A B C] (-> A) []
  (A (.clear log))
  (A->B (A "go"))
  (A->C (A "go"))
  (B (.append log "B"))
  (C (.append log "C"))
  (B->A (B "done"))
  (C->A (C "done"))
  (A (get log 0)))
"""


def test_more_schedules_find_what_fewer_do() -> None:
    race = klorpy.evaluate(RACE).race
    found = [bool(klorpy.explore(race, schedules=schedules)) for schedules in (2, 3, 4, 5, 7, 10, 20, 30, 50, 60, 200)]
    assert found == sorted(found, reverse=True)
    assert not found[-1]


def test_an_exploration_of_what_changes_from_run_to_run_ends() -> None:
    """The choices that led to three ways lead to two the next time, so that the tree of choices has no end."""
    tree = run_module._Tree()
    assert tree.untried() == ()
    assert tree.add((), [(0, 3)])
    assert tree.untried() == (1,)
    assert tree.add((1,), [(0, 2)])
    assert tree.untried() is None
    assert not tree.closed


def test_an_exploration_tries_every_schedule_once() -> None:
    chor = define("(defchor f [A B C] (-> A B C) [x y] (C (+ (A->C x) (B->C y))))")
    every = klorpy.explore(chor, 1, 2, schedules=1000)
    assert klorpy.explore(chor, 1, 2, schedules=every.schedules).complete
    assert not klorpy.explore(chor, 1, 2, schedules=every.schedules - 1).complete
    scripts = [klorpy.simulate_chor(chor, 1, 2, seed=seed) for seed in every.seeds]
    assert len({tuple(map(str, simulation.events)) for simulation in scripts}) > 1


def test_a_failure_that_depends_on_the_schedule_is_found() -> None:
    ns = klorpy.evaluate(
        '(setv turn [])\n(defn go [who] (.append turn who) (when (= turn ["B" "A"]) (raise (ValueError "B was first"))))\n'
        '(defchor f [A B C] (-> C) [] (do (B->A (C->B (C (.clear turn)))) (A (go "A")) (B (go "B")) (C 1)))'
    )
    found = klorpy.explore(ns.f, schedules=500)
    assert not found
    assert found.different is not None
    outcomes = {bool(found.first.verdict), bool(found.different.verdict)}
    assert outcomes == {True, False}
    with pytest.raises(klorpy.ChoreographyFailed, match="B was first"):
        klorpy.explore(ns.f, schedules=500, check=True)


def test_exploration_gives_each_run_its_own_arguments() -> None:
    found = klorpy.explore(
        define("(defchor f [A B] (-> A B) [x] (do (A (.append x 1)) (A->B (A (len x)))))"), [0], schedules=50
    )
    assert found
    assert found.first["B"] == 2


@pytest.mark.parametrize("schedules", [0, -1])
def test_exploration_wants_a_number(schedules: int) -> None:
    with pytest.raises(klorpy.KlorError) as caught:
        klorpy.explore(define(FREE), 1, 2, 3, schedules=schedules)
    assert caught.value.slug == "bad-argument"


def test_exploration_finds_values_that_do_not_agree() -> None:
    """By default each run is looked at for agreements that do not hold."""
    ns = klorpy.evaluate("(setv n [0]) (defn tick [] (.append n 1) (len n))\n(defchor f [A B] (-> #{A B}) [] (tick))")
    found = klorpy.explore(ns.f, schedules=5)
    assert isinstance(found.first.verdict, klorpy.ChoreographyFailed)
    assert isinstance(found.first.verdict.__cause__, klorpy.AgreementViolated)
