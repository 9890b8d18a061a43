"""What host code prints belongs to its role, and standard output is what it was before, whatever happens."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator
from typing import Any

import hy
import pytest

import klorpy

HELPERS = """
(import sys threading)
(defn say [x] (print "said" x) x)
(defn from-thread [x]
  (setv t (threading.Thread :target (fn [] (print "thread" x))))
  (.start t) (.join t) x)
"""


def define(text: str, name: str = "f") -> Any:
    return getattr(klorpy.evaluate(HELPERS + text), hy.mangle(name))


@pytest.fixture(autouse=True)
def same_stdout() -> Iterator[None]:
    before = sys.stdout
    yield
    assert sys.stdout is before


def test_each_role_has_its_own_output() -> None:
    chor = define(
        '(defchor f [A B C] (-> A C) [x] (do (A (print "a1")) (B (print "b1" :end "")) (A (print "a2")) (B (print "b2")) (A->C x)))'
    )
    for seed in range(5):
        outputs = klorpy.simulate_chor(chor, 1, seed=seed).outputs
        assert outputs == {"A": "a1\na2\n", "B": "b1b2\n", "C": ""}


def test_functions_that_print() -> None:
    chor = define("(defchor f [A B] (-> A B) [x] (A->B (A (+ (say x) (len (lfor i [1 2] (say i)))))))")
    assert klorpy.simulate_chor(chor, 5).outputs["A"] == "said 5\nsaid 1\nsaid 2\n"


def test_writing_without_print(capsys: pytest.CaptureFixture[str]) -> None:
    text = '(defchor f [A] (-> A A) [x] (A (.write sys.stdout "no newline") (.flush sys.stdout) (print "x" :flush True :file sys.stderr) x))'
    simulation = klorpy.simulate_chor(define(text), 1)
    assert simulation.outputs["A"] == "no newline"
    assert [str(e) for e in simulation.events if "no newline" in str(e)] == ["A: no newline"]
    assert capsys.readouterr() == ("", "x\n")


def test_a_thread_of_the_user_prints_where_it_always_did(capsys: pytest.CaptureFixture[str]) -> None:
    simulation = klorpy.simulate_chor(define("(defchor f [A B] (-> A B) [x] (A->B (A (from-thread x))))"), 5)
    assert simulation.outputs["A"] == ""
    assert capsys.readouterr().out == "thread 5\n"


def test_an_agreement_prints_at_each_of_its_roles() -> None:
    simulation = klorpy.simulate_chor(define("(defchor f [A B] (-> #{A B} #{A B}) [x] (say x))"), 5)
    assert simulation.outputs == {"A": "said 5\n", "B": "said 5\n"}


@pytest.mark.parametrize("raised", ["(ValueError)", "KeyboardInterrupt", "(SystemExit)"])
def test_after_a_failure(raised: str, capsys: pytest.CaptureFixture[str]) -> None:
    chor = define(f'(defchor f [A B] (-> A B) [x] (do (A (print "before")) (A (raise {raised})) (A->B x)))')
    with pytest.raises((klorpy.ChoreographyFailed, KeyboardInterrupt)) as caught:
        klorpy.simulate_chor(chor, 1)
    if isinstance(caught.value, klorpy.ChoreographyFailed):
        assert caught.value.simulation.outputs["A"] == "before\n"
    print("after")
    assert capsys.readouterr().out == "after\n"


def test_output_before_a_failure_on_the_same_line_is_kept() -> None:
    chor = define('(defchor f [A] (-> A A) [x] (A (print "half" :end "") (/ 1 0)))')
    simulation = klorpy.simulate_chor(chor, 1, check=False)
    assert simulation.outputs["A"] == "half"
    assert "A: half" in [str(e) for e in simulation.events]


def test_a_generator_that_is_dropped_prints_at_no_other_role(capsys: pytest.CaptureFixture[str]) -> None:
    """Cleaning up happens when nobody runs: what it prints goes where it would have gone."""
    chor = define("(defchor f [A B] (-> A B) [x] (do (B (/ 1 0)) (A->B (A (say x)))))")
    simulation = klorpy.simulate_chor(chor, 1, check=False)
    assert simulation.outputs["B"] == ""


def test_host_code_that_redirects_its_own_output() -> None:
    chor = define(
        '(import io contextlib)\n(defn quiet [x] (with [_ (contextlib.redirect-stdout (io.StringIO))] (print "hidden")) (print "shown") x)\n'
        "(defchor f [A B] (-> A B) [x] (A->B (A (quiet x))))"
    )
    assert klorpy.simulate_chor(chor, 1).outputs["A"] == "shown\n"


def test_an_output_around_the_simulation_is_left_alone() -> None:
    chor = define('(defchor f [A] (-> A A) [x] (A (print "inside") x))')
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        klorpy.simulate_chor(chor, 1)
        print("around")
    assert out.getvalue() == "around\n"


def test_no_standard_output_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """As under pythonw, where `sys.stdout` is None."""
    chor = define('(defchor f [A] (-> A A) [x] (A (print "inside" :flush True) x))')
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", None)
        simulation = klorpy.simulate_chor(chor, 1)
    assert simulation.outputs["A"] == "inside\n"


def test_what_standard_output_can_do_it_still_can() -> None:
    chor = define(
        '(defchor f [A] (-> A A) [x] (A [(.isatty sys.stdout) (.writable sys.stdout) (. sys.stdout encoding) (.writelines sys.stdout ["a\\n" "b\\n"])]))'
    )
    simulation = klorpy.simulate_chor(chor, 1)
    assert simulation["A"][:2] == [False, True]
    assert simulation.outputs["A"] == "a\nb\n"
