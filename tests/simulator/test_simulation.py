"""The verdict of a run: the first cause, its role and place, what the others were doing; and the log."""

from __future__ import annotations

import io
from typing import Any

import hy
import pytest

import klorpy

FAILING = """
(defn check [x]
  (when (= x 0)
    (raise (ValueError "x is 0"))))
(defchor fail [A B C] (-> A C) [x]
  (do (C (print "ready"))
      (B->C
        (B (do (check (A->B x))
               1)))))
"""


def define(text: str, name: str | None = None) -> Any:
    return getattr(klorpy.evaluate(text), hy.mangle(name or text.split()[1]))


def run(text: str, name: str, *args: Any, **more: Any) -> klorpy.Simulation:
    return klorpy.simulate_chor(define(text, name), *args, check=False, **more)


# --- A failure --------------------------------------------------------------------------------------------------------


def test_the_verdict_of_a_failure() -> None:
    with pytest.raises(klorpy.ChoreographyFailed) as caught:
        klorpy.simulate_chor(define(FAILING, "fail"), 0)
    failed = caught.value
    simulation = failed.simulation
    assert failed.slug == "choreography-failed"
    assert failed.role == "B"
    assert str(failed) == "fail failed at B: ValueError: x is 0"
    assert failed.__cause__ is simulation.failures["B"]
    assert simulation.verdict is failed
    assert set(simulation.failures) == {"B"}
    assert set(simulation.blocked) == {"C"}
    assert simulation.blocked["C"].waits_for == "B"
    assert simulation.results == {"A": klorpy.noop}
    assert simulation.outputs["C"] == "ready\n"
    assert simulation.channel("A", "B") == [0]


def test_the_place_of_a_failure() -> None:
    """The innermost form of the user's text, in whichever definition or function it stands."""
    failed = run(FAILING, "fail", 0).verdict
    assert failed is not None
    assert failed.span is not None
    lines = FAILING.split("\n")
    line = lines[failed.span.line - 1]
    assert line[failed.span.column - 1 : failed.span.end_column] == '(raise (ValueError "x is 0"))'
    rendered = failed.render()
    assert '(raise (ValueError "x is 0"))' in rendered
    assert "B failed here" in rendered
    assert "C waits for B at (B->C" in rendered


@pytest.mark.parametrize(
    "form", ["(/ 1 x)", "(get [] x)", "(undefined-thing x)", "(. x nope)", "(int [x])", "(assert (= x 1))"]
)
@pytest.mark.parametrize(
    "around", ["{}", '(do (print "ü") {})', "(let [y {}] y)", "[1 {} 3]", "((fn [] {}))", "(if x 1 {})"]
)
def test_the_underlined_form_is_the_one_that_failed(form: str, around: str) -> None:
    text = f"(defchor f [A B] (-> A B) [x]\n  (A->B (A {around.format(form)})))"
    failed = run(text, "f", 0).verdict
    assert failed is not None
    assert failed.span is not None
    assert failed.span.line == failed.span.end_line == 2
    found = text.split("\n")[1][failed.span.column - 1 : failed.span.end_column]
    # Python points at the very name that is missing, and at the test of an assertion.
    assert found in (
        form,
        {"(undefined-thing x)": "undefined-thing", "(. x nope)": "nope", "(assert (= x 1))": "(= x 1)"}.get(form),
    )


def test_a_failure_in_a_definition_of_another_text() -> None:
    ns = klorpy.evaluate("\n\n(defchor low [A B] (-> A B) [x]\n  (A->B (A (/ 1 x))))", filename="low.hy")
    other = klorpy.evaluate("", filename="empty.hy")
    other.low = ns.low
    klorpy.evaluate(
        "; one\n; two\n; three\n; four\n(defchor high [A B] (-> A B) [x] (low [A B] x))",
        module=other,
        filename="high.hy",
    )
    simulation = klorpy.simulate_chor(other.high, 0, check=False)
    assert simulation.verdict is not None
    assert "low.hy:4:12" in simulation.verdict.render()
    assert "(A->B (A (/ 1 x)))" in simulation.verdict.render()


def test_klorpys_own_failure_in_a_definition_of_another_text() -> None:
    ns = klorpy.evaluate("(defchor low [A B] (-> #{A B}) []\n  (agree! (A 1) (B 2)))", filename="low.hy")
    other = klorpy.evaluate("", filename="empty.hy")
    other.low = ns.low
    klorpy.evaluate("; one\n; two\n(defchor high [A B] (-> #{A B}) [] (low [A B]))", module=other, filename="high.hy")
    simulation = klorpy.simulate_chor(other.high, check=False, sanitize=True)
    assert simulation.verdict is not None
    rendered = simulation.verdict.render()
    assert "low.hy:2:3" in rendered
    assert "2 |   (agree! (A 1) (B 2)))" in rendered


def test_the_traceback_of_the_cause_shows_the_text() -> None:
    import traceback

    cause = run(FAILING, "fail", 0).failures["B"]
    shown = "".join(traceback.format_exception(cause))
    assert '(raise (ValueError "x is 0"))' in shown
    assert "(check (A->B x))" in shown


def test_the_first_failure_decides_and_the_others_are_kept() -> None:
    text = '(defchor f [A B] (-> #{A B}) [] (do (A (/ 1 0)) (B (int "x")) 1))'
    for seed in range(6):
        simulation = run(text, "f", seed=seed)
        assert simulation.verdict is not None
        assert set(simulation.failures) == {"A", "B"}
        assert isinstance(simulation.failures["A"], ZeroDivisionError)
        assert isinstance(simulation.failures["B"], ValueError)
        assert simulation.verdict.__cause__ is simulation.failures[simulation.verdict.role]
        assert simulation.results == {}


@pytest.mark.parametrize("raised", ["(SystemExit 3)", "(GeneratorExit)", "(StopIteration 5)", "(StopAsyncIteration)",
                                    "(RecursionError)", "(MemoryError)", '(KeyError "k")', "(ExceptionGroup \"g\" [(ValueError 1)])",
                                    "(asyncio.CancelledError)", "(TimeoutError)"])  # fmt: skip
def test_whatever_host_code_raises_is_its_failure(raised: str) -> None:
    text = f"(import asyncio)\n(defchor f [A B] (-> A B) [x] (do (A (raise {raised})) (A->B x)))"
    simulation = run(text, "f", 1)
    assert type(simulation.failures["A"]).__name__ == raised.strip("()").split()[0].split(".")[-1]
    assert simulation.verdict is not None
    assert simulation.verdict.role == "A"
    assert set(simulation.blocked) == {"B"}


def test_an_interruption_is_not_a_failure_of_a_role() -> None:
    with pytest.raises(KeyboardInterrupt):
        run("(defchor f [A B] (-> A B) [x] (do (A (raise KeyboardInterrupt)) (A->B x)))", "f", 1)


def test_an_exception_that_cannot_be_shown() -> None:
    text = """
(defclass Mute [Exception] (defn __str__ [self] (raise (ValueError "no"))))
(defchor f [A B] (-> A B) [x] (do (A (raise (Mute))) (A->B x)))"""
    simulation = run(text, "f", 1)
    assert simulation.verdict is not None
    assert "Mute" in str(simulation.verdict)
    simulation.log(io.StringIO())


def test_a_message_of_several_lines_is_one_line() -> None:
    simulation = run('(defchor f [A] (-> A A) [x] (A (raise (ValueError "one\\n  two"))))', "f", 1)
    assert simulation.verdict is not None
    assert "ValueError: one two" in str(simulation.verdict)


# --- Deadlock and disagreement ----------------------------------------------------------------------------------------

#: A and B each hold a copy of what is called one value; `twist` makes them differ.
DIFFER = """
(setv n [0])
(defn tick [] (.append n 1) (= (len n) {}))
(defchor f [A B] (-> #{{A B}}) []
  (if (tick)
      (A=>B (A 1))
      (B=>A (B 2))))
"""


def test_a_deadlock_names_who_waits_for_whom_and_where() -> None:
    simulation = run(DIFFER.format(3), "f", sanitize=False)
    failed = simulation.verdict
    assert failed is not None
    assert failed.slug == "deadlock"
    assert failed.role is None
    assert failed.__cause__ is None
    assert simulation.results == simulation.failures == {}
    assert {r: b.waits_for for r, b in simulation.blocked.items()} == {"A": "B", "B": "A"}
    assert failed.message == "f is stuck: A waits for B, B waits for A"
    rendered = failed.render()
    assert "B waits for A at (A=>B (A 1)) (" in rendered
    assert "7 |       (B=>A (B 2))))" in rendered
    assert "A waits here" in rendered
    assert "sanitize=True" in failed.help
    with pytest.raises(klorpy.ChoreographyFailed):
        klorpy.simulate_chor(define(DIFFER.format(3), "f"), sanitize=False)


def test_messages_that_nobody_reads_are_no_success() -> None:
    simulation = run(DIFFER.format(2), "f", sanitize=False)
    assert simulation.verdict is not None
    assert "A" in simulation.verdict.render()
    assert "(A=>B (A 1))" in simulation.verdict.render()


def test_a_message_of_another_place_is_a_mismatch() -> None:
    text = DIFFER.format(2).replace("(B=>A (B 2))", "(A=>B (A 2))")
    simulation = run(text, "f", sanitize=False)
    error = simulation.failures["B"]
    assert isinstance(error, klorpy.KlorError)
    assert error.slug == "protocol-mismatch"
    assert "(A=>B (A 1))" in error.message
    assert "(A=>B (A 2))" in error.message


def test_one_role_waits_and_the_other_has_ended() -> None:
    text = DIFFER.format(3).replace("(A=>B (A 1))", "(A=>B (A 1))").replace("(B=>A (B 2))", "5")
    simulation = run(text, "f", sanitize=False)
    assert simulation.verdict is not None
    assert simulation.verdict.slug == "deadlock"
    assert simulation.results == {"A": 5}
    assert set(simulation.blocked) == {"B"}


# --- The log ----------------------------------------------------------------------------------------------------------


def logged(simulation: klorpy.Simulation) -> list[str]:
    out = io.StringIO()
    simulation.log(out)
    return out.getvalue().splitlines()


def test_the_log_of_a_good_run() -> None:
    text = '(defchor f [A B] (-> A A) [x] (let [y (A->B x)] (B (print "got" y) (print "twice")) (B->A (B {"k" y}))))'
    assert logged(run(text, "f", 5)) == [
        "A --> B: 5", "B: got 5", "B: twice", 'B --> A: {"k" 5}', "B exited normally", "A exited normally",
    ]  # fmt: skip


def test_the_log_of_a_bad_run() -> None:
    lines = logged(run(FAILING, "fail", 0))
    assert {"C: ready", "A --> B: 0", "A exited normally", "B exited abruptly: ValueError: x is 0"} <= set(lines)
    assert lines.index("A --> B: 0") < lines.index("B exited abruptly: ValueError: x is 0")
    assert lines[-1].startswith("C waits for B at (B->C (B (do (check (A->B x)) 1))) (")
    assert len(lines) == 5


def test_the_log_goes_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    run("(defchor f [A B] (-> A B) [x] (A->B x))", "f", 5).log()
    assert "A --> B: 5\n" in capsys.readouterr().out


def test_a_long_value_is_cut_in_the_log() -> None:
    lines = logged(run("(defchor f [A B] (-> A B) [x] (A->B x))", "f", "x" * 10_000))
    assert max(map(len, lines)) < 300


def test_what_a_simulation_looks_like() -> None:
    simulation = run("(defchor f [A B] (-> A B) [x] (A->B x))", "f", 5)
    assert repr(simulation) == "<simulation of f: ok, {A: noop, B: 5}, 1 message>"
    assert "failed" in repr(run(FAILING, "fail", 0))


def test_a_message_knows_its_place() -> None:
    (message,) = run("(defchor f [A B] (-> A B) [x]\n (A->B x))", "f", 5).messages
    assert (message.source, message.target, message.value) == ("A", "B", 5)
    assert message.site is not None
    assert (message.site.text, message.site.span.line, message.site.kind) == ("(A->B x)", 2, "message")
