"""The plugin as its users meet it: each test writes a small project and runs pytest in it."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from hypothesis import find, settings

import klorpy
from klorpy.environment import pytest_plugin
from klorpy.environment.pytest_plugin import wish_of
from klorpy.testing.strategies import schedules

pytest_plugins = ["pytester"]

PLUGIN = pytest_plugin.__name__
#: Once klorpy is installed with its entry point, pytest finds the plugin by itself.
INSTALLED = any(point.value == PLUGIN for point in entry_points(group="pytest11"))

#: Nothing depends on speed or on chance.
CALM = settings(deadline=None, derandomize=True, database=None, max_examples=2000)

DOUBLE = """
(require klorpy *)
(import klorpy pytest)
(defchor double [A B] (-> A A) [x] (B->A (B (* 2 (A->B x)))))
"""
#: B and C write to one list, which no program can do whose roles are on different machines.
RACE = """
(require klorpy *)
(import klorpy pytest)
(setv seen [])
(defchor race [A B C] (-> A) []
  (B (.append seen "b"))
  (C (.append seen "c"))
  (C->A (C (get seen 0))))
(defn [pytest.fixture] fresh [] (.clear seen))
"""


def run(pytester: pytest.Pytester, text: str, *args: str, name: str = "test_shop.hy") -> pytest.RunResult:
    (pytester.path / name).write_text(text)
    return pytest_here(pytester, *args)


def pytest_here(pytester: pytest.Pytester, *args: str) -> pytest.RunResult:
    plugins = [] if INSTALLED else [pytest_plugin]
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", "-W", "error", *args, plugins=plugins)


def test_tests_are_collected_by_the_names_that_the_user_wrote(pytester: pytest.Pytester) -> None:
    text = DOUBLE + """
    (defn test-ok? [simulate-chor] (assert (= (get (simulate-chor double 21) "A") 42)))
    (defn helper [] (assert False))
    (defn [(pytest.mark.parametrize "x" [1 2])] test-each [x] (assert (> x 0)))
    (defclass TestBase []
      (defn test-yes! [self] (assert True)))
    (defclass TestMore [TestBase])
    (defn test_last [] (assert True))
    """
    result = run(pytester, text, "-v")
    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(
        [
            "test_shop.hy::test-ok? PASSED*",
            "test_shop.hy::test-each[[]1] PASSED*",
            "test_shop.hy::test-each[[]2] PASSED*",
            "test_shop.hy::TestBase::test-yes! PASSED*",
            "test_shop.hy::TestMore::test-yes! PASSED*",
            "test_shop.hy::test-last PASSED*",
        ]
    )
    pytest_here(pytester, "test_shop.hy::test-ok?").assert_outcomes(passed=1)
    pytest_here(pytester, "-k", "each").assert_outcomes(passed=2, deselected=4)
    pytest_here(pytester, "-o", "python_functions=test_*").assert_outcomes(passed=6)


def test_assertions_explain_themselves(pytester: pytest.Pytester) -> None:
    text = DOUBLE + "(defn test-sum []\n  (setv xs [1 2 3])\n  (assert (= xs [1 2 4])))"
    result = run(pytester, text)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([">     (assert (= xs [[]1 2 4[]])))", "E*assert [[]1, 2, 3[]] == [[]1, 2, 4[]]*"])
    result.stdout.fnmatch_lines(["E*At index 2 diff: 3 != 4*", "test_shop.hy:7: AssertionError"])
    plain = pytest_here(pytester, "--assert=plain")
    plain.assert_outcomes(failed=1)
    plain.stdout.no_fnmatch_line("*At index 2*")


def test_fixtures_setup_and_marks_work_as_in_python(pytester: pytest.Pytester) -> None:
    text = DOUBLE + """
    (setv events [])
    (defn setup-module [] (.append events "module"))
    (defn [pytest.fixture] twenty-one [] 21)
    (defn test-it [twenty-one simulate-chor tmp-path]
      (assert (= events ["module"]))
      (assert (.is-dir tmp-path))
      (assert (= (get (simulate-chor double twenty-one) "A") 42)))
    (defn [(pytest.mark.xfail :strict True)] test-wrong [] (assert False))
    (defn [(pytest.mark.skip "why")] test-not [] (assert False))
    """
    run(pytester, text).assert_outcomes(passed=1, xfailed=1, skipped=1)


def test_a_klorpy_error_in_a_file_is_shown_with_its_form_and_nothing_else(pytester: pytest.Pytester) -> None:
    result = run(pytester, "(require klorpy *)\n(defchor tell [A B] (-> A B) [x]\n  (A->C x))\n(defn test-it [])")
    result.assert_outcomes(errors=1)
    lines = result.outlines
    start = next(i for i, line in enumerate(lines) if "ERROR collecting test_shop.hy" in line)
    end = next(i for i, line in enumerate(lines) if "short test summary" in line)
    assert lines[start + 1 : end] == [
        "error[unknown-role]: C is not a role of this choreography",
        "  --> test_shop.hy:3:4",
        "  |",
        "3 |   (A->C x))",
        "  |    ^^^^",
        "  = help: its roles are A and B; add C to the role vector if it takes part",
    ]


def test_any_other_error_in_a_file_shows_the_users_frames_only(pytester: pytest.Pytester) -> None:
    result = run(pytester, "(require klorpy *)\n(defn price [x]\n  (/ x 0))\n(price 5)")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["Traceback (most recent call last):", "*test_shop.hy*line 4*", "*line 3*", "ZeroDivision*"])
    assert "klorpy/" not in result.stdout.str()
    assert "hy/" not in result.stdout.str().replace("test_shop.hy", "")


def test_unreadable_text_is_an_error_of_its_file(pytester: pytest.Pytester) -> None:
    result = run(pytester, "(require klorpy *)\n(defn test-it [] (assert (= 1 1))")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["error[[]read-error[]]*", "* --> test_shop.hy:2:1"])


def test_a_module_may_skip_itself(pytester: pytest.Pytester) -> None:
    run(pytester, DOUBLE + '(pytest.skip "not here" :allow-module-level True)').assert_outcomes(skipped=1)


@pytest.mark.parametrize(
    ("setting", "uses_klorpy", "other"), [("auto", 1, 0), ("true", 1, 1), ("false", 0, 0)], ids=lambda v: str(v)
)
def test_which_files_are_collected(pytester: pytest.Pytester, setting: str, uses_klorpy: int, other: int) -> None:
    (pytester.path / "test_plain.hy").write_text("; klorpy is only a word here\n(defn test-plain [] (assert True))")
    (pytester.path / "shop.hy").write_text(DOUBLE + "(defn test-no-test-file [] (assert False))")
    result = run(pytester, "(import os klorpy)\n(defn test-a [] (assert True))", "-o", f"klor_hy={setting}")
    result.assert_outcomes(passed=uses_klorpy + other)
    pytest_here(pytester, "-o", f"klor_hy={setting}", "test_plain.hy").assert_outcomes(passed=other)


def test_a_wrong_setting_is_refused(pytester: pytest.Pytester) -> None:
    result = run(pytester, DOUBLE, "-o", "klor_hy=yes")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*klor_hy is auto, true or false, not 'yes'*"])


def test_files_are_collected_once_although_another_plugin_collects_them_too(pytester: pytest.Pytester) -> None:
    """What pytest-hy does."""
    pytester.makeconftest(
        "import pytest\n"
        "def pytest_collect_file(parent, file_path):\n"
        "    if file_path.suffix == '.hy':\n"
        "        return pytest.Module.from_parent(parent, path=file_path)\n"
    )
    (pytester.path / "test_plain.hy").write_text("(defn test-plain [] (assert True))")
    result = run(pytester, "(require klorpy *)\n(defn test-a [] (assert True))", "-v")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["test_plain.hy::test_plain PASSED*", "test_shop.hy::test-a PASSED*"])


@pytest.mark.parametrize("mode", ["prepend", "append", "importlib"])
def test_modules_find_what_stands_beside_them(pytester: pytest.Pytester, mode: str) -> None:
    folder = pytester.path / "of_shop"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "shop.hy").write_text(DOUBLE)
    (folder / "test_shop.hy").write_text(
        "(require klorpy *)\n(import .shop [double] sys)\n"
        '(defn test-it [simulate-chor] (assert (= (get (simulate-chor double 2) "A") 4)))\n'
        '(defn test-name [] (assert (= __name__ "of_shop.test_shop")) (assert (in __name__ sys.modules)))'
    )
    if mode == "importlib":
        pytester.syspathinsert()
    pytest_here(pytester, f"--import-mode={mode}").assert_outcomes(passed=2)


def test_python_tests_use_the_fixture_too(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import klorpy

        ns = klorpy.evaluate('(defchor tell [A B] (-> #{A B} B) [x] (narrow [B] x))')

        def test_it(simulate_chor):
            assert repr(simulate_chor) == "<simulate_chor>"
            sim = simulate_chor(ns.tell, 5)
            assert sim["B"] == 5 and sim.seed == 0
        """
    )
    pytest_here(pytester).assert_outcomes(passed=1)


def test_agreements_are_compared(pytester: pytest.Pytester) -> None:
    text = DOUBLE + """
    (defchor same [A B] (-> A B #{A B}) [x y] (agree! x y))
    (defn test-compared [simulate-chor]
      (with [caught (pytest.raises klorpy.ChoreographyFailed)] (simulate-chor same 1 2))
      (assert (isinstance caught.value.__cause__ klorpy.AgreementViolated)))
    (defn test-not-compared [simulate-chor]
      (assert (= (. (simulate-chor same 1 2 :sanitize False) results) {"A" 1 "B" 2})))
    """
    run(pytester, text).assert_outcomes(passed=2)


def test_a_call_with_wrong_arguments_shows_the_users_frames_only(pytester: pytest.Pytester) -> None:
    result = run(pytester, DOUBLE + "(defn test-it [simulate-chor] (simulate-chor double 1 2))")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E   klorpy.KlorError: double takes 1 argument, not 2"])
    assert "erasure.py" not in result.stdout.str()


def test_a_long_run_is_shown_in_short(pytester: pytest.Pytester) -> None:
    text = DOUBLE + """
    (defchor count [A B] (-> A B) [x] (loop [i x] (if (A=>B (A (< i 500))) (recur (B->A (A->B (A (+ i 1))))) (A->B i))))
    (defn test-it [simulate-chor] (assert (= (. (simulate-chor count 0) results) {})))
    """
    result = run(pytester, text)
    result.assert_outcomes(failed=1)
    assert len(result.outlines) < 100


def test_an_error_in_an_imported_file_is_shown_without_its_compilation(pytester: pytest.Pytester) -> None:
    (pytester.path / "shop.hy").write_text("(require klorpy *)\n(defchor f [A B] (-> A B) [x] (B (+ x 1)))")
    result = run(pytester, "import klorpy, sys\nsys.path.insert(0, '.')\nimport shop\n", name="test_shop.py")
    result.assert_outcomes(errors=1)
    text = result.stdout.str()
    assert "^" in text
    assert "hy/" not in text
    assert "klorpy/language" not in text


# --- Schedules --------------------------------------------------------------------------------------------------------


def test_a_failing_schedule_is_reported_and_replayed(pytester: pytest.Pytester) -> None:
    text = RACE + """
    (defn [(pytest.mark.klor :schedules 50)] test-race [simulate-chor fresh]
      (simulate-chor race))
    """
    # `seen` lives on from run to run, so the first to write is the same in all; each run has to clear it.
    text = text.replace('(B (.append seen "b"))', '(A (.clear seen))\n  (A->B 1) (A->C 1)\n  (B (.append seen "b"))')
    text = text.replace("(A->B 1) (A->C 1)", "(A->B (A 1)) (A->C (A 1))")
    result = run(pytester, text)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E*race does not do the same under seed * as under 's*", "*- klorpy: race, seed *", "replay it by: pytest*"]
    )
    command = next(line for line in result.outlines if line.startswith("replay it by:"))
    assert command.startswith('replay it by: pytest "test_shop.hy::test-race" --klor-seed=')
    report = result.stdout.str()
    assert "klorpy/simulator" not in report
    assert "pytest_plugin.py" not in report
    seed = command.rpartition("=")[2]
    again = pytest_here(pytester, "test_shop.hy::test-race", f"--klor-seed={seed}")
    again.assert_outcomes(failed=1)
    again.stdout.fnmatch_lines([f"klorpy: simulations run under seed {seed}", f"*- klorpy: race, seed {seed} -*"])
    pytest_here(pytester, "--klor-seed=s").assert_outcomes(passed=1)


def test_the_marker_says_how_often_and_from_which_seed(pytester: pytest.Pytester) -> None:
    text = DOUBLE + """
    (setv runs [])
    (defchor note [A B] (-> A B) [xs] (A->B (A (do (.append runs 1) (.append xs 1) (len xs)))))
    (defn [pytest.fixture] fresh [] (.clear runs))
    (defn [(pytest.mark.klor :schedules 7 :seed 100)] test-sample [simulate-chor fresh]
      (setv xs [])
      (setv sim (simulate-chor note xs))
      (assert (= sim.seed 100))
      (assert (= (len runs) 7))
      (assert (= xs [])))
    (defn [(pytest.mark.klor :schedules 1000)] test-all [simulate-chor fresh]
      (setv sim (simulate-chor note []))
      (assert (= sim.seed "s"))
      (assert (= (get sim "B") 1))
      (assert (< 1 (len runs) 1000)))
    (defn [(pytest.mark.klor :seed 9)] test-one [simulate-chor fresh]
      (setv xs [])
      (assert (= (. (simulate-chor note xs) seed) 9))
      (assert (= xs [1])))
    (defn [(pytest.mark.klor :schedules 7)] test-explicit [simulate-chor fresh]
      (assert (= (. (simulate-chor note [] :seed 3) seed) 3))
      (assert (= (len runs) 1)))
    (defn test-plain [simulate-chor fresh]
      (assert (= (. (simulate-chor note []) seed) 0)))
    """
    run(pytester, text).assert_outcomes(passed=5)


def test_the_seed_of_the_command_line_is_the_last_word(pytester: pytest.Pytester) -> None:
    text = DOUBLE + """
    (defn test-plain [simulate-chor] (assert (= (. (simulate-chor double 1) seed) 12)))
    (defn test-own [simulate-chor] (assert (= (. (simulate-chor double 1 :seed 3) seed) 12)))
    (defn [(pytest.mark.klor :seed 3)] test-marked [simulate-chor] (assert (= (. (simulate-chor double 1) seed) 12)))
    (defn [(pytest.mark.klor :schedules 3)] test-many [simulate-chor] (assert (= (. (simulate-chor double 1) seed) 12)))
    """
    run(pytester, text, "--klor-seed=12").assert_outcomes(passed=4)


@pytest.mark.parametrize("marker", [":schedules 0", ':schedules 3 :seed "s1"', ":schedule 3", ":schedules True"])
def test_a_wrong_marker_is_refused(pytester: pytest.Pytester, marker: str) -> None:
    result = run(pytester, DOUBLE + f"(defn [(pytest.mark.klor {marker})] test-it [])")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["the marker klor(schedules=N, seed=SEED): *", "ERROR test_shop.hy::test-it*"])


def test_a_marker_that_nothing_heeds_is_refused(pytester: pytest.Pytester) -> None:
    """Or else a test that calls klorpy.simulate_chor would seem to run under many schedules."""
    result = run(pytester, DOUBLE + "(defn [(pytest.mark.klor :schedules 50)] test-it [] (klorpy.simulate-chor double 1))")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*let it have the parameter simulate_chor"])


def test_a_marker_of_a_module_may_be_for_some_of_its_tests(pytester: pytest.Pytester) -> None:
    text = DOUBLE + """
    (setv pytestmark (pytest.mark.klor :schedules 3))
    (defn test-plain [])
    (defn [(pytest.mark.klor :schedules 2)] test-asks [request]
      (assert (get ((.getfixturevalue request "simulate_chor") double 1) "A")))
    """
    run(pytester, text).assert_outcomes(passed=2)


def test_the_arguments_of_the_marker() -> None:
    assert wish_of() == (1, None)
    assert wish_of(3, 5) == (3, 5)
    with pytest.raises(ValueError, match="means one schedule"):
        wish_of(2, "s1")


@pytest.mark.parametrize("seed", ["x", "1.5", "s1..2"])
def test_a_wrong_seed_is_refused(pytester: pytest.Pytester, seed: str) -> None:
    result = run(pytester, DOUBLE, f"--klor-seed={seed}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--klor-seed: '{seed}' is not a seed (a seed is an integer, or*"])


def test_the_marker_is_known_and_the_options_are_explained(pytester: pytest.Pytester) -> None:
    pytest_here(pytester, "--markers").stdout.fnmatch_lines(["@pytest.mark.klor(schedules=N, seed=SEED):*"])
    pytest_here(pytester, "--help").stdout.fnmatch_lines(["*--klor-seed=SEED*", "*--klor-msc=DIR*", "*klor_hy (string):*"])


# --- Reports ----------------------------------------------------------------------------------------------------------


def test_a_failed_run_is_reported_with_the_form_and_the_chart(pytester: pytest.Pytester) -> None:
    text = DOUBLE + """
    (defn rate [x] (/ 100 x))
    (defchor convert [A B] (-> A A) [x] (B->A (B (rate (A->B x)))))
    (defn test-convert [simulate-chor] (simulate-chor convert 0))
    """
    result = run(pytester, text, "--klor-msc=charts")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*(rate (A->B x))*",
            "*ZeroDivisionError*",
            "E*ChoreographyFailed: convert failed at B: ZeroDivisionError: division by zero",
            "*- klorpy: convert, seed 0 -*",
            "chart: charts*test_shop.hy_test-convert.*",
            "error[[]choreography-failed[]]: convert failed at B: ZeroDivisionError: division by zero",
            "* B failed here",
        ]
    )
    assert "klorpy/simulator" not in result.stdout.str()
    assert "klorpy/runtime" not in result.stdout.str()
    (chart,) = Path("charts").iterdir()
    assert chart.name == "test_shop.hy_test-convert.svg"
    picture = chart.read_text()
    assert picture.lstrip().startswith("<svg")
    assert "ZeroDivisionError" in picture


def test_simulations_of_a_failed_assertion_are_shown(pytester: pytest.Pytester) -> None:
    text = DOUBLE + """
    (defn test-several [simulate-chor]
      (for [i (range 5)] (simulate-chor double i))
      (assert False))
    (defn test-good [simulate-chor] (simulate-chor double 77))
    """
    result = run(pytester, text, "--klor-msc=charts")
    result.assert_outcomes(failed=1, passed=1)
    assert result.stdout.str().count("- klorpy: double, seed 0 -") == 3
    assert len(list(Path("charts").iterdir())) == 3


def test_runs_without_the_fixture_are_reported_too(pytester: pytest.Pytester) -> None:
    text = DOUBLE + '(defn test-it []\n  (klorpy.simulate-chor double "x" :seed 5)\n  (klorpy.simulate-chor double None :seed 5))'
    result = run(pytester, text)
    result.stdout.fnmatch_lines(["*test_shop.hy:7: ChoreographyFailed", "*- klorpy: double, seed 5 -*"])
    assert "klorpy/" not in result.stdout.str()


def test_a_broken_chart_does_not_hide_the_failure(pytester: pytest.Pytester) -> None:
    text = DOUBLE + "(defn test-it [simulate-chor]\n  (simulate-chor double 1 :trace False)\n  (assert (= 1 2)))"
    result = run(pytester, text)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*assert 1 == 2", "*- klorpy: double, seed 0 -*", "(no chart: the run kept no trace)"])


def test_frames_are_shown_when_the_user_asks_for_all(pytester: pytest.Pytester) -> None:
    text = DOUBLE + "(defn test-it [] (klorpy.simulate-chor double None))"
    result = run(pytester, text, "--full-trace")
    assert "klorpy/simulator/run.py" in result.stdout.str()


def test_expected_failures_have_no_section(pytester: pytest.Pytester) -> None:
    text = DOUBLE + "(defn [pytest.mark.xfail] test-it [simulate-chor] (simulate-chor double None))"
    result = run(pytester, text, "-rx")
    result.assert_outcomes(xfailed=1)
    result.stdout.no_fnmatch_line("*- klorpy: double*")


# --- The import -------------------------------------------------------------------------------------------------------


def test_the_module_itself_imports_nothing_but_pytest() -> None:
    """Its package does what `import klorpy` does, but no compiler, no terminal and no notebook is loaded."""
    code = (
        "import sys, klorpy, klorpy.environment, pytest\n"
        "before = set(sys.modules)\n"
        f"import {PLUGIN}\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == [PLUGIN]


def test_klorpys_own_files_of_hy_are_not_taken_for_python(pytester: pytest.Pytester) -> None:
    """pytest rewrites the packages of plugins; `move` is a macro of a file of Hy that is imported when it is needed."""
    pytester.makepyfile(
        """
        import klorpy

        def test_it(simulate_chor):
            ns = klorpy.evaluate("(defchor tell [A B] (-> A B) [x] (move [A B] x))")
            assert simulate_chor(ns.tell, 5)["B"] == 5
        """
    )
    load = [] if INSTALLED else ["-p", PLUGIN]
    pytester.runpytest_subprocess("-p", "no:cacheprovider", *load, timeout=60).assert_outcomes(passed=1)


# --- Hypothesis -------------------------------------------------------------------------------------------------------


def racing() -> object:
    return klorpy.evaluate(
        """
        (setv seen [])
        (defchor race [A B C] (-> A) []
          (A (.clear seen)) (A->B (A 1)) (A->C (A 1))
          (B (do (.append seen "b1") None)) (B->A (B 1)) (B (do (.append seen "b2") None))
          (C (do (.append seen "c1") None)) (C->A (C 1)) (C (do (.append seen "c2") None))
          (A 0))
        """
    )


def test_interleavings_shrink() -> None:
    ns = racing()

    def order(seed: str) -> list[str]:
        klorpy.simulate_chor(ns.race, seed=seed)  # type: ignore[attr-defined]
        return list(ns.seen)  # type: ignore[attr-defined]

    usual = order("s")
    assert usual.index("b1") < usual.index("c2")
    found = find(schedules(), lambda seed: order(seed).index("c2") < order(seed).index("b1"), settings=CALM)
    choices = found[1:].split(".")
    assert 0 < len(choices) - choices.count("0") <= 3, "few deviations from the plain order"
    assert order(found).index("c2") < order(found).index("b1")


def test_every_drawn_schedule_is_a_seed_that_replays() -> None:
    ns = klorpy.evaluate("(defchor double [A B] (-> A A) [x] (B->A (B (* 2 (A->B x)))))")
    assert find(schedules(), lambda _: True, settings=CALM) == "s"
    seed = find(schedules(5), lambda seed: seed.count(".") == 4, settings=CALM)
    assert seed == "s0.0.0.0.1"
    assert list(klorpy.simulate_chor(ns.double, 1, seed=seed).lines()) == list(
        klorpy.simulate_chor(ns.double, 1, seed=seed).lines()
    )


def test_hypothesis_and_the_fixture_work_together(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import klorpy
        from hypothesis import given, settings, strategies as st
        from klorpy.testing.strategies import schedules

        ns = klorpy.evaluate('(defchor double [A B] (-> A A) [x] (B->A (B (* 2 (A->B x)))))')

        @settings(deadline=None, derandomize=True, database=None, max_examples=20)
        @given(seed=schedules(), x=st.integers())
        def test_it(simulate_chor, seed, x):
            sim = simulate_chor(ns.double, x, seed=seed)
            assert sim["A"] == 2 * x and sim.seed == seed

        @settings(deadline=None, derandomize=True, database=None, max_examples=50)
        @given(x=st.integers())
        def test_wrong(simulate_chor, x):
            assert simulate_chor(ns.double, x)["A"] < 100
        """
    )
    result = pytest_here(pytester)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*x=50*", "*- klorpy: double, seed 0 -*", "*50*", "*100*"])
    assert result.stdout.str().count("- klorpy: double") == 1


def test_asynchronous_tests_are_left_to_anyio(pytester: pytest.Pytester) -> None:
    text = DOUBLE + """
    (import anyio)
    (defn [pytest.fixture] anyio-backend [] "asyncio")
    (defn :async [pytest.mark.anyio] test-it [simulate-chor]
      (await (anyio.sleep 0))
      (assert (= (get (simulate-chor double 2) "A") 5)))
    """
    result = run(pytester, text)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*assert 4 == 5", "*- klorpy: double, seed 0 -*"])
