"""`%load_ext klorpy` in a Python notebook."""

from __future__ import annotations

import re

import pytest

from .conftest import Kernel

DOUBLE = '%%klor\n(defchor double [A B] (-> A A) "Twice what A has." [x] (B->A (B (* 2 (A->B x)))))'


@pytest.fixture(scope="module", autouse=True)
def _double(python: Kernel) -> None:
    assert python.run(DOUBLE).status == "ok"


def test_variables_are_shared_both_ways(python: Kernel) -> None:
    python.run("n = 20")
    assert python.run("%%klor\n(setv my-sum (+ n 1))\n(* 2 my-sum)").text == "42"
    assert python.run("my_sum, _").text == "(21, 42)"
    assert python.run("double").value["text/plain"].startswith("double  (forall")


def test_choreographies_run_from_python(python: Kernel) -> None:
    shown = python.run("import klorpy\nklorpy.simulate_chor(double, 21)").value
    assert shown["text/plain"].startswith("A  42\nB  noop")
    assert "<table" in shown["text/html"]
    assert python.run("simulate_chor(double, 4)['A']").text == "8"


def test_a_line_is_an_expression(python: Kernel) -> None:
    assert python.run('v = %klor {"a" [1 #(2 3)]}\nv').text == "{'a': [1, (2, 3)]}"
    assert python.run("%klor (+ 1 2)").text == "3"


def test_a_mistake_is_underlined_and_fails_the_cell(python: Kernel) -> None:
    ran = python.run("%%klor\n(defchor bad [A B] (-> A A) [x]\n  (B->A (B (* 2 x))))")
    assert (ran.status, ran.kind) == ("error", "KlorSyntaxError")
    lines = ran.error.splitlines()
    assert lines[0] == "error[agreement-op-arg]: this argument is A, but the operator runs at B"
    # The line of the magic is the first, as the front end counts.
    assert re.fullmatch(r"  --> Cell In\[\d+\]:3:17", lines[1])
    assert len(lines) == 6


def test_only_the_users_frames_through_both_languages(python: Kernel) -> None:
    python.run("def inverse(x):\n    return 1 / x")
    ran = python.run("%%klor\n(defn g [x] (inverse x))\n(g 0)")
    assert ran.kind == "ZeroDivisionError"
    files = [line for line in ran.error.splitlines() if line.startswith("  File")]
    assert [re.sub(r"\d+\]", "n]", line) for line in files] == [
        '  File "Cell In[n]", line 3, in <module>',
        '  File "Cell In[n]", line 2, in g',
        '  File "Cell In[n]", line 2, in inverse',
    ]


def test_klorpys_errors_in_python_cells(python: Kernel) -> None:
    ran = python.run("def caller():\n    return klorpy.simulate_chor(double)\ncaller()")
    assert (ran.status, ran.kind) == ("error", "KlorError")
    assert "error[sim-arity]: double takes 1 argument, not 0" in ran.error
    assert "line 3, in <module>" in ran.error
    assert "line 2, in caller" in ran.error
    assert "klorpy/" not in ran.error
    underlined = python.run('klorpy.evaluate("(defchor f [A B] (-> A B) [x] x)")')
    assert "                            ^ this is A\n" in underlined.error


def test_other_errors_in_python_cells_are_ipythons(python: Kernel) -> None:
    assert "----> 1 1/0" in python.run("1/0").error


def test_warnings_are_shown(python: Kernel) -> None:
    python.run("%%klor\n(defchor other [A B] (-> A A) [x] (B->A (A->B x)))")
    ran = python.run("%%klor\n(defchor other [A B] (-> A B) [x] (A->B x))")
    assert ran.status == "ok"
    assert "was (forall [A B] (-> A A | B))" in ran.stderr


def test_top_level_await(python: Kernel) -> None:
    assert python.run('%%klor\n(import asyncio)\n(await (asyncio.sleep 0 "slept"))').text == "'slept'"
    assert python.run("import asyncio\nawait asyncio.sleep(0, 'too')").text == "'too'"


def test_commands(python: Kernel) -> None:
    assert "yield" in python.run("%klor ,project double A").displays[0]["text/plain"]


def test_completion_inside_of_a_cell(python: Kernel) -> None:
    code = "%%klor\n(simulate-chor dou"
    reply = python.ask("complete", code, len(code))
    assert reply["matches"] == ["double"]
    assert code[reply["cursor_start"] : reply["cursor_end"]] == "dou"
    reply = python.ask("complete", "%%klor\n(defc", 12)
    assert "defchor" in reply["matches"]


def test_completion_elsewhere_is_pythons(python: Kernel) -> None:
    assert "print" in python.ask("complete", "prin", 4)["matches"]


def test_interrupt(python: Kernel) -> None:
    ran = python.run(
        "%%klor\n(import IPython.display [display] threading)\n"
        "(setv begun (threading.Event))\n"
        '(.start (threading.Thread :target (fn [] (.wait begun) (display "begun")) :daemon True))\n'
        "(defchor for-ever [A B] (-> A B) [x] (do (A (.set begun)) (loop [x x] (recur (B->A (A->B x))))))\n"
        "(simulate-chor for-ever 1)",
        on_display=python.interrupt,
    )
    assert (ran.status, ran.kind) == ("error", "KeyboardInterrupt")
    assert "klorpy/" not in ran.error
    assert python.run("1 + 1").text == "2"


def test_unloading_takes_everything_back(python: Kernel) -> None:
    assert python.run("%unload_ext klorpy").status == "ok"
    assert "UsageError" in python.run("%klor 1").stderr
    assert "KlorError" in python.run("klorpy.simulate_chor(double)").error
    assert "<choreography double" in python.run("double").text
    assert python.run("%load_ext klorpy").status == "ok"
    assert python.run('%klor (get (simulate-chor double 4) "A")').text == "8"
