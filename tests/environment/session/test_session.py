"""One input, what came of it: values, errors, warnings, `*1 *2 *3 *e`, await, interruption, completeness of a text."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import types
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

import klorpy
from klorpy.environment.present import Palette, exception_text
from klorpy.environment.registry import Note
from klorpy.environment.session import NOTHING, Outcome, Session, Status, render
from klorpy.simulator import Simulation

PLAIN = Palette((), False)
TELL = "(defchor tell [A B] (-> A B) [x] (A->B x))"


@pytest.fixture
def session() -> Iterator[Session]:
    with Session() as made:
        yield made


def all_of(session: Session, text: str) -> list[Outcome]:
    return list(session.evaluate(text))


def value(session: Session, text: str) -> Any:
    """The value of the last form of `text`, none of which fails."""
    outcomes = all_of(session, text)
    for outcome in outcomes:
        assert outcome.error is None, render(outcome, PLAIN)
    return outcomes[-1].value


def error(session: Session, text: str) -> BaseException:
    last = all_of(session, text)[-1]
    assert last.error is not None
    return last.error


# --- Values -----------------------------------------------------------------------------------------------------------


def test_every_form_gives_an_outcome_with_its_own_text(session: Session) -> None:
    outcomes = all_of(session, "(+ 1 2)  ; three\n(setv x\n  5) x")
    assert [(o.text, o.value) for o in outcomes] == [("(+ 1 2)", 3), ("(setv x\n  5)", NOTHING), ("x", 5)]


def test_forms_are_evaluated_one_at_a_time(session: Session) -> None:
    outcomes = session.evaluate("(setv n 1) (setv n 2)")
    next(outcomes)
    assert session.module.n == 1
    next(outcomes)
    assert session.module.n == 2


def test_none_is_nothing_to_show(session: Session) -> None:
    (outcome,) = all_of(session, "None")
    assert outcome.value is NOTHING
    assert render(outcome, PLAIN) == ""


def test_an_empty_text_gives_nothing(session: Session) -> None:
    assert all_of(session, "  ; only a comment") == []


def test_what_one_form_defines_the_next_one_has(session: Session) -> None:
    text = "(defmacro twice [x] `(* 2 ~x)) (defreader five 5) (setv six (+ 1 #five)) (twice six)"
    assert value(session, text) == 12


def test_reader_macros_stay(session: Session) -> None:
    all_of(session, "(defreader seven 7)")
    assert value(session, "#seven") == 7
    assert session.status("#seven") is Status.COMPLETE


def test_the_last_values_are_kept(session: Session) -> None:
    all_of(session, "10 20 None 30")
    assert value(session, "[*1 *2 *3]") == [30, 20, 10]


def test_a_choreography_is_defined_and_run(session: Session) -> None:
    defined, simulation = all_of(session, TELL + " (simulate-chor tell 5)")
    assert defined.defined == ("tell",)
    assert isinstance(simulation.value, Simulation)
    assert simulation.value["B"] == 5
    assert session.simulation is simulation.value


def test_a_simulation_is_shown_as_a_table_of_roles(session: Session) -> None:
    outcome = all_of(session, TELL + ' (simulate-chor tell "hi")')[-1]
    assert render(outcome, PLAIN) == 'A  noop\nB  "hi"'


def test_a_simulation_that_failed_says_why(session: Session) -> None:
    text = "(defchor f [A B] (-> A B) [x] (A->B (A (/ x 0)))) (simulate-chor f 1 :check False)"
    shown = render(all_of(session, text)[-1], PLAIN)
    assert shown.startswith("A  failed")
    assert "error[choreography-failed]" in shown


def test_an_exploration_is_shown_by_what_it_found(session: Session) -> None:
    shown = render(all_of(session, TELL + " (explore tell 5)")[-1], PLAIN)
    assert "no difference" in shown
    assert shown.endswith("B  5")
    assert session.simulation is not None


def test_values_are_shown_as_hy_writes_them(session: Session) -> None:
    assert render(all_of(session, '{"a" [1 None]}')[0], PLAIN) == '{"a" [1 None]}'


def test_a_value_that_cannot_be_shown_is_no_failure(session: Session) -> None:
    text = "(defclass Odd [] (defn __repr__ [self] (/ 1 0))) (Odd)"
    assert "Odd" in render(all_of(session, text)[-1], PLAIN)


def test_names_are_shown_as_they_were_written(session: Session) -> None:
    assert "name 'paid?!' is not defined" in exception_text(error(session, "(paid?! 3)"))


def test_the_session_s_seed_is_used_unless_one_is_given(session: Session) -> None:
    all_of(session, TELL)
    session.seed = 7
    assert value(session, "(. (simulate-chor tell 1) seed)") == 7
    assert value(session, "(. (simulate-chor tell 1 :seed 2) seed)") == 2
    list(session.evaluate("(import klorpy [simulate-chor])"))  # as the files do that ,save writes
    assert value(session, "(. (simulate-chor tell 1) seed)") == 7


def test_a_namespace_can_be_given() -> None:
    module = types.ModuleType("shared")
    vars(module)["x"] = 20
    with Session(module=module) as session:
        assert value(session, "(setv y (+ x 1)) y") == 21
        assert module.y == 21  # type: ignore[attr-defined]


def test_sessions_do_not_share_options_or_names() -> None:
    with Session() as one, Session() as other:
        all_of(one, "(alter-opts! {:verify {:agreement True}}) (setv x 1)")
        assert one.options["verify"]["agreement"] is True
        assert other.options["verify"]["agreement"] is False
        assert isinstance(error(other, "x"), NameError)
        before = klorpy.alter_opts({})
        assert before["verify"]["agreement"] is False


def test_options_hold_for_the_forms_that_follow(session: Session) -> None:
    all_of(session, "(alter-opts! {:verify {:agreement True}})")
    chor = value(session, "(defchor f [A B] (-> #{A B} A) [x] (narrow [A] x))")
    assert chor.definition.options == {"verify": {"agreement": True, "signature": True}}


# --- Errors -----------------------------------------------------------------------------------------------------------


def test_after_an_error_no_further_form_is_evaluated(session: Session) -> None:
    outcomes = all_of(session, "(setv a 1) (/ 1 0) (setv b 2)")
    assert [type(o.error) for o in outcomes] == [type(None), ZeroDivisionError]
    assert session.module.a == 1
    assert not hasattr(session.module, "b")


def test_the_last_error_is_kept(session: Session) -> None:
    failure = error(session, "(/ 1 0)")
    assert value(session, "*e") is failure


def test_an_error_shows_the_user_s_own_frames_only(session: Session) -> None:
    outcome = all_of(session, "(defn g [x]\n  (/ x 0))\n(g 1)")[-1]
    shown = render(outcome, PLAIN)
    assert shown.count("File ") == 2
    assert shown.count('File "<input 1>"') == 2
    assert shown.endswith("ZeroDivisionError: division by zero")


@pytest.mark.parametrize(
    "text",
    ["(", ")", '"', "(foo", "#nope 1", "(defchor", "(defchor f [A] 3)", "(let)", "(if)", "(break)", "\ud800", "(( " * 200,
     "(raise (SystemExit 3))", "(raise GeneratorExit)", "(raise (asyncio.CancelledError))", "(return 1)", "(defmacro m [] (/ 1 0)) (m)",
     ",", ",nope", ",sim", ",sim nope", ",type", ",type [", ",step", ",project", ",load", ",load /nowhere", ",save /nowhere/x",
     ",opts 3", ",seed x", ",deps nope", ",expand", ",expand (", ",doc", ",doc nope", ",source nope", ",recompile nope",
     ",errors nope", ",time (/ 1 0)", ",msc", ",trace", ",graph nope", ", ", ",help nope"],
)  # fmt: skip
def test_bad_input_never_ends_a_session(session: Session, text: str) -> None:
    all_of(session, "(import asyncio)")
    assert error(session, text)
    assert value(session, "(+ 1 1)") == 2
    assert value(session, TELL + " (. (simulate-chor tell 3) results)")["B"] == 3


def test_a_wrong_definition_changes_nothing(session: Session) -> None:
    all_of(session, TELL)
    before = session.module.tell.definition
    outcome = all_of(session, "(defchor tell [A B] (-> A B) [x] (A->C x))")[-1]
    assert isinstance(outcome.error, klorpy.KlorSyntaxError)
    assert outcome.defined == ()
    assert session.module.tell.definition is before


def test_a_choreography_that_fails_is_the_last_simulation(session: Session) -> None:
    failure = error(session, "(defchor f [A B] (-> A B) [x] (A->B (A (/ x 0)))) (simulate-chor f 1)")
    assert isinstance(failure, klorpy.ChoreographyFailed)
    assert session.simulation is failure.simulation


def test_leaving_is_noted(session: Session) -> None:
    assert isinstance(error(session, "(raise SystemExit)"), SystemExit)
    assert session.ended


def test_options_and_output_are_restored_after_an_error(session: Session) -> None:
    stdout, before = sys.stdout, klorpy.alter_opts({})
    klorpy.alter_opts(before)
    error(session, "(defchor f [A B] (-> A B) [x] (A->B (A (/ x 0)))) (simulate-chor f 1)")
    assert sys.stdout is stdout
    assert klorpy.alter_opts(before) == before


# --- Warnings ---------------------------------------------------------------------------------------------------------


def test_a_warning_of_the_compiler_has_its_place(session: Session) -> None:
    (outcome,) = all_of(session, "(defchor f [A B] (-> A A) [x] x)")
    (warning,) = outcome.warnings
    assert isinstance(warning, Note)
    assert warning.slug == "unused-role"
    assert "<input 1>:1:" in render(outcome, PLAIN)


def test_other_warnings_are_collected_too(session: Session) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        (_, outcome) = all_of(session, '(import warnings) (do (warnings.warn "watch out") 3)')
    assert outcome.value == 3
    assert [str(w) for w in outcome.warnings] == ["watch out"]


# --- Await ------------------------------------------------------------------------------------------------------------


def test_await_at_the_top(session: Session) -> None:
    assert value(session, '(import asyncio) (await (asyncio.sleep 0 "woken"))') == "woken"


def test_await_inside_of_statements(session: Session) -> None:
    text = """(import asyncio)
        (defn :async ticks [] (for [i (range 3)] (await (asyncio.sleep 0)) (yield i)))
        (setv seen [])
        (for [:async t (ticks)] (.append seen t))
        [seen (lfor :async t (ticks) (* t t))]"""
    assert value(session, text) == [[0, 1, 2], [0, 1, 4]]


def test_an_error_in_what_is_awaited_shows_the_user_s_frames_only(session: Session) -> None:
    outcome = all_of(session, "(defn :async g []\n  (/ 1 0))\n(await (g))")[-1]
    shown = render(outcome, PLAIN)
    assert isinstance(outcome.error, ZeroDivisionError)
    assert shown.count("File ") == 2


def test_what_is_awaited_can_be_run_by_whoever_owns_the_session() -> None:
    loop = asyncio.new_event_loop()
    try:
        with Session(await_=loop.run_until_complete) as session:
            running = "(import asyncio) (defn :async g [] (asyncio.get-running-loop)) (await (g))"
            assert value(session, running) is loop
    finally:
        loop.close()


def test_close_ends_the_thread_and_the_session_can_go_on() -> None:
    session = Session()
    before = threading.active_count()
    assert value(session, "(import asyncio) (await (asyncio.sleep 0 1))") == 1
    assert threading.active_count() == before + 1
    session.close()
    assert threading.active_count() == before
    assert value(session, "(await (asyncio.sleep 0 2))") == 2
    session.close()


# --- Interruption -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "(interrupt)",
        "(await (waiting))",
        "(simulate-chor nosy 1)",
        "(eval-when-compile (interrupt))",
        ",sim nosy 1",
        ",step nosy 1",
        ",time (interrupt)",
    ],
)
def test_an_interruption_passes_through_and_leaves_the_session_usable(session: Session, text: str) -> None:
    def interrupt(value: Any = None) -> Any:
        raise KeyboardInterrupt

    async def waiting() -> None:
        raise KeyboardInterrupt

    vars(session.module).update(interrupt=interrupt, waiting=waiting)
    all_of(session, TELL + "(defchor nosy [A B] (-> A B) [x] (A->B (A (interrupt x))))")
    options = dict(session.options)
    with pytest.raises(KeyboardInterrupt):
        for outcome in session.evaluate(text):
            # ,step stops before the first move; the interruption comes with it.
            assert outcome.error is None, render(outcome, PLAIN)
            list(session.evaluate(",step A"))
    assert session.options == options
    assert value(session, "(. (simulate-chor tell 3) results)")["B"] == 3
    assert value(session, '(import asyncio) (await (asyncio.sleep 0 "woken"))') == "woken"


def test_ctrl_c_cancels_what_is_awaited(session: Session) -> None:
    ended = threading.Event()
    main = threading.get_ident()

    async def for_ever() -> None:
        signal.pthread_kill(main, signal.SIGINT)
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    vars(session.module)["for_ever"] = for_ever
    with pytest.raises(KeyboardInterrupt):
        all_of(session, "(await (for-ever))")
    assert ended.wait(5)
    assert value(session, "(+ 1 1)") == 2


@pytest.mark.parametrize("text", ["(do (interrupt) (while True))", "(simulate-chor spin 1)", "(do (interrupt) (time.sleep 3600))"])
def test_ctrl_c_stops_what_never_ends(session: Session, text: str) -> None:
    main = threading.get_ident()
    vars(session.module)["interrupt"] = lambda: signal.pthread_kill(main, signal.SIGINT)
    all_of(session, "(import time) (defn start [x] (interrupt) x)")
    all_of(session, "(defchor again [A B] (-> A B) [x] (again [A B] (B->A (A->B x))))")
    all_of(session, "(defchor spin [A B] (-> A B) [x] (again [A B] (A (start x))))")
    with pytest.raises(KeyboardInterrupt):
        all_of(session, text)
    assert value(session, TELL + " (. (simulate-chor tell 3) results)")["B"] == 3


# --- Is a text complete? ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["", "  ", "; comment", "1", "(f x)", "(f) (g)", 'f"{x}"', '"a\nb"', "#[[text]]", ",quit", ",help (", ",sim f 1", "#_ x"],
)
def test_complete(session: Session, text: str) -> None:
    assert session.status(text) is Status.COMPLETE


@pytest.mark.parametrize(
    "text",
    ["(", "(f", "[1 2", "{", "#{", "#(", '"abc', '(f "', "#[[text", "'", "`", "~", "#_", "#*", "#^", "(f) (",
     'f"{', 'f"{x', 'f"{x !r', 'f"{x :>', 'f"a {(g "b', ",sim f [1", ",type [A B] (A->B", ",time (do"],
)  # fmt: skip
def test_incomplete(session: Session, text: str) -> None:
    assert session.status(text) is Status.INCOMPLETE


@pytest.mark.parametrize("text", [")", "(f]", "f)", "#nope x", 'f"}"', 'f"{x y}"', "a..b", '"\\x"', "(" * 101, "\ud800", ",sim f )"])
def test_wrong(session: Session, text: str) -> None:
    assert session.status(text) is Status.WRONG


def test_looking_at_a_text_changes_nothing(session: Session) -> None:
    session.status("(defreader x 1) #x")
    session.status('(setv y 1) "')
    assert isinstance(error(session, "y"), NameError)
    assert value(session, "[1 2]") == [1, 2]


def test_every_text_that_is_cut_off_is_incomplete(session: Session) -> None:
    text = '(defchor f [A B] (-> A B)\n  "Doc (with) [brackets" [x] ; comment )\n  (A->B (A f"{x} {(g "a") :>{w}}")))'
    for end in range(1, len(text)):
        assert session.status(text[:end]) is Status.INCOMPLETE, text[:end]
    assert session.status(text) is Status.COMPLETE


# --- Completion -------------------------------------------------------------------------------------------------------


def test_names_with_signatures_and_documentation(session: Session) -> None:
    all_of(session, '(defchor tell-it [A B] (-> A B) "Tell it.\n\nMore." [x] (A->B x)) (defn tell-all [x] "All." x)')
    chor, function = session.complete("(tell", 5)
    assert (chor.text, chor.start, chor.kind, chor.doc) == ("tell-it", 1, "choreography", "Tell it.")
    assert chor.signature == "(forall [A B] (-> A B | 0))"
    assert (function.text, function.kind, function.signature, function.doc) == ("tell-all", "function", "(x)", "All.")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(defch", "defchor"),
        ("(upd", "update"),
        ("(update f [Ana Bob] (-> Ana Bob) [x] (An", "Ana->Bob"),
        ("(sim", "simulate-chor"),
        ("(simulate_", "simulate-chor"),
        ("(lif", "lifting"),
        ("(lfo", "lfor"),
        ("(enum", "enumerate"),
        ("(os.pat", "os.path"),
        ("(defchor f [Ana Bob] (-> Ana Bob) [x] (An", "Ana->Bob"),
        ("(defchor f [Ana Bob] (-> Ana Bob) [x] (Ana=", "Ana=>Bob"),
        ("(defchor f [Ana Bob] (-> An", "Ana"),
        ("(defchor f [Ana Bob] (-> Ana Bob) [catalogue] (Ana->Bob cat", "catalogue"),
        ("(defchor f [A B] (-> A B) [x] (let [price 3] (A->B pri", "price"),
        ("(update say (Ana-", "Ana->Bob"),
        ("(update say (Ana cou", "count"),
        (",type [A B] (A-", "A->B"),
        (",pro", ",project"),
        (",sim te", "tell"),
        (",project tell ", "B"),
        (",help rec", "recompile"),
        (",errors no-m", "no-match"),
        ("(simulate-chor tell 1 :se", ":seed"),
        (",sim tell 1 :tim", ":timeout"),
        ("(alter-opts! {:ver", ":verify"),
    ],
)
def test_completions(session: Session, text: str, expected: str) -> None:
    all_of(session, TELL + "(import os) (defchor send [Ana Bob] (-> Ana Bob) [count] (scope say (Ana->Bob count)))")
    found = session.complete(text, len(text))
    assert expected in [c.text for c in found]
    for completion in found:
        assert text[completion.start :] == completion.text[: len(text) - completion.start] or "_" in text


def test_completions_of_files(session: Session, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.hy").touch()
    (tmp_path / "shops").mkdir()
    assert [c.text for c in session.complete(",load sh", 8)] == ["shop.hy", "shops/"]
    assert [c.text for c in session.complete('(open "./sh', 11)] == ["./shop.hy", "./shops/"]


def test_nothing_is_run_while_somebody_types(session: Session) -> None:
    text = "(defclass C [] (defn [property] trap [self] (/ 1 0)) (setv train 1)) (setv c (C))"
    all_of(session, text)
    assert [c.text for c in session.complete("(c.tra", 6)] == ["c.train", "c.trap"]


@pytest.mark.parametrize("text", ["; te", "(f ; te", '(f "te', '"'])
def test_nothing_is_offered_in_comments_and_strings(session: Session, text: str) -> None:
    all_of(session, TELL)
    assert session.complete(text, len(text)) == []


def test_completion_copes_with_any_text(session: Session) -> None:
    text = '(defchor f [A B] (-> A B) "doc" [x] ; c\n (A->B (A f"{x}") #[[a]] \'b `(~c) :k {:a 1} (os.x "y'
    for cursor in range(len(text) + 1):
        for completion in session.complete(text, cursor):
            assert completion.start <= cursor


# --- On a loop that runs already ----------------------------------------------------------------------------------------


def on_a_loop(session: Session, *texts: str) -> list[Outcome]:
    async def main() -> list[Outcome]:
        return [outcome for text in texts async for outcome in session.evaluate_async(text)]

    return asyncio.run(main())


def test_tasks_of_the_loop_are_awaited_on_it(session: Session) -> None:
    text = "(import asyncio) (setv task (asyncio.create-task (asyncio.sleep 0 5)))"
    outcomes = on_a_loop(session, text, "(await task)", "(* 2 *1)")
    assert [o.value for o in outcomes] == [NOTHING, NOTHING, 5, 10]


def test_the_same_outcomes_as_without_a_loop(session: Session) -> None:
    texts = (TELL, "(simulate-chor tell 3)", ",sim tell 3", "(/ 1 0) 5", "(", "(await (asyncio.sleep 0 1))", ",nope")
    with Session() as other:
        for text in ("(import asyncio)", *texts):
            here, there = on_a_loop(session, text), all_of(other, text)
            assert [render(o, PLAIN) for o in here] == [render(o, PLAIN) for o in there]
            assert [o.defined for o in here] == [o.defined for o in there]


def test_what_is_cancelled_is_an_outcome_and_who_is_cancelled_is_not(session: Session) -> None:
    text = "(import asyncio) (setv t (asyncio.create-task (asyncio.sleep 100))) (.cancel t) (await t)"
    assert isinstance(on_a_loop(session, text)[-1].error, asyncio.CancelledError)
    options = session.options

    async def cancelled() -> None:
        async for outcome in session.evaluate_async("(await (asyncio.sleep 100))"):
            raise AssertionError(outcome)

    async def main() -> None:
        task = asyncio.create_task(cancelled())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert session.options == options
    assert value(session, "(+ 1 1)") == 2
