"""The kernel, as a front end sees it."""

from __future__ import annotations

import re

import pytest

from .conftest import Kernel, Ran

DOUBLE = '(defchor double [A B] (-> A A) "Twice what A has." [x] (B->A (B (* 2 (A->B x)))))'


@pytest.fixture(scope="module", autouse=True)
def _double(kernel: Kernel) -> None:
    assert kernel.run(DOUBLE).status == "ok"


# --- Values -----------------------------------------------------------------------------------------------------------


def test_the_value_of_the_last_form_is_the_output(kernel: Kernel) -> None:
    ran = kernel.run("(setv a 20)\n(+ a 1)\n(+ a 2)")
    assert (ran.status, ran.text) == ("ok", "22")


def test_no_value_is_no_output(kernel: Kernel) -> None:
    assert kernel.run("(+ 1 1)\n(setv b 1)").value == {}
    assert kernel.run("; a comment").value == {}
    assert kernel.run("").status == "ok"


def test_values_are_shown_as_hy_writes_them(kernel: Kernel) -> None:
    assert kernel.run('[1 #(2 3) {"a" :b} \'c]').text == '[1 #(2 3) {"a" :b} \'c]'


def test_values_that_are_long_or_cannot_be_shown(kernel: Kernel) -> None:
    assert len(kernel.run("(list (range 100000))").text) < 11_000
    ran = kernel.run("(defclass Shy [] (defn __repr__ [self] (/ 1 0)))\n[(Shy)]")
    assert ran.status == "ok"
    assert ran.text == "<list>"


def test_ipythons_names_for_values(kernel: Kernel) -> None:
    kernel.run("(+ 40 2)")
    assert kernel.run("_").text == "42"


def test_what_is_printed_goes_to_the_front_end(kernel: Kernel) -> None:
    assert kernel.run('(print "hello")').stdout == "hello\n"


def test_silent_execution_shows_nothing(kernel: Kernel) -> None:
    ran = kernel.run("(setv silent 5)\nsilent", silent=True)
    assert (ran.status, ran.value) == ("ok", {})
    assert kernel.run("silent").text == "5"


def test_a_choreography_shows_its_type_and_documentation(kernel: Kernel) -> None:
    shown = kernel.run("double").value
    assert shown["text/plain"] == "double  (forall [A B] (-> A A | B))\nTwice what A has."
    assert "<b>double</b>" in shown["text/html"]
    assert "(-&gt; A A | B)" in shown["text/html"]


def test_a_simulation_shows_a_table_and_a_chart(kernel: Kernel) -> None:
    shown = kernel.run("(simulate-chor double 21)").value
    assert shown["text/plain"].startswith("A  42\nB  noop\n")
    html = shown["text/html"]
    assert html.index("<table") < html.index("<code>42</code>") < html.index("<svg")


def test_a_simulation_without_a_trace_shows_the_table(kernel: Kernel) -> None:
    shown = kernel.run("(simulate-chor double 21 :trace False)").value
    assert shown["text/plain"] == "A  42\nB  noop"
    assert "<svg" not in shown["text/html"]


def test_an_exploration_says_how_many_schedules_agree(kernel: Kernel) -> None:
    shown = kernel.run("(explore double 21)").value
    assert shown["text/plain"].startswith("12 schedules, all there are: no difference\n\nA  42")
    assert "no difference" in shown["text/html"]


def test_html_is_escaped(kernel: Kernel) -> None:
    shown = kernel.run(
        '(defchor tell [A B] (-> A B) [x] (do (A (print "<i>")) (A->B x)))\n(simulate-chor tell "<b>")'
    ).value
    assert "&lt;b&gt;" in shown["text/html"]
    assert "&lt;i&gt;" in shown["text/html"]
    assert "<i>" not in shown["text/html"]


def test_python_objects_show_themselves(kernel: Kernel) -> None:
    shown = kernel.run('(defclass Rich [] (defn _repr-html_ [self] "<b>rich</b>"))\n(Rich)').value
    assert shown["text/html"] == "<b>rich</b>"


# --- Errors and warnings ----------------------------------------------------------------------------------------------


def test_a_mistake_is_underlined(kernel: Kernel) -> None:
    ran = kernel.run("(defchor bad [A B] (-> A A) [x]\n  (B->A (B (* 2 x))))")
    assert (ran.status, ran.kind) == ("error", "KlorSyntaxError")
    lines = ran.error.splitlines()
    assert lines[0] == "error[agreement-op-arg]: this argument is A, but the operator runs at B"
    assert re.fullmatch(r"  --> Cell In\[\d+\]:2:17", lines[1])
    assert lines[3:] == [
        "2 |   (B->A (B (* 2 x))))",
        "  |                 ^ not at B",
        "  = help: send it first: (A->B x)",
    ]


def test_forms_before_a_mistake_have_taken_effect_and_those_after_it_have_not(kernel: Kernel) -> None:
    assert kernel.run("(setv before 1)\n(no-such-thing)\n(setv after 2)").status == "error"
    assert kernel.run('[before (in "after" (globals))]').text == "[1 False]"


def test_only_the_users_frames_are_shown(kernel: Kernel) -> None:
    ran = kernel.run("(defn inverse [x] (/ 1 x))\n(inverse 0)")
    assert ran.kind == "ZeroDivisionError"
    files = [line for line in ran.error.splitlines() if line.startswith("  File")]
    assert [line.rpartition(", line ")[2] for line in files] == ["2, in <module>", "1, in inverse"]
    assert all('File "Cell In[' in line for line in files)


def test_a_failure_in_a_simulation_has_its_place(kernel: Kernel) -> None:
    ran = kernel.run("(defchor fails [A B] (-> A B) [x] (A->B (A (/ 1 x))))\n(simulate-chor fails 0)")
    assert ran.kind == "ChoreographyFailed"
    assert "fails failed at A: ZeroDivisionError: division by zero" in ran.error
    assert "^^^^^^^ A failed here" in ran.error
    assert "klorpy/" not in ran.error


def test_a_changed_signature_warns(kernel: Kernel) -> None:
    kernel.run("(defchor other [A B] (-> A A) [x] (B->A (A->B x)))")
    kernel.run("(defchor uses [A B] (-> A A) [x] (other [A B] x))")
    ran = kernel.run("(defchor other [A B] (-> A B) [x] (A->B x))")
    assert ran.status == "ok"
    assert "was (forall [A B] (-> A A | B))" in ran.stderr
    assert "is  (forall [A B] (-> A B | 0))" in ran.stderr
    assert "uses" in ran.stderr
    stale = kernel.run("(simulate-chor uses 1)")
    assert stale.status == "error"
    assert "other" in stale.error


def test_text_that_cannot_be_read_is_an_error(kernel: Kernel) -> None:
    assert "this bracket is not closed" in kernel.run("(+ 1").error
    assert kernel.run(")").kind == "KlorSyntaxError"
    assert kernel.run("(+ 1 1)").text == "2"


def test_an_unhandled_exit_does_not_end_the_kernel(kernel: Kernel) -> None:
    assert kernel.run("(raise (SystemExit 1))").status == "error"
    assert kernel.run("(+ 1 1)").text == "2"


# --- IPython's own ----------------------------------------------------------------------------------------------------


def test_magics(kernel: Kernel) -> None:
    kernel.run("(setv m 6)")
    timed = kernel.run("%time (* m 7)")
    assert timed.text == "42"
    assert "Wall time" in timed.stdout
    assert kernel.run("%%capture out\n(print m)").stdout == ""
    assert kernel.run("(str out)").text == '"6\\n"'
    assert kernel.run("%precision 2\n(* m 8)").text == "48"
    assert kernel.run("!echo shell").stdout.strip() == "shell"


def test_who_shows_what_the_user_defined(kernel: Kernel) -> None:
    kernel.run("(setv mine 1)\n(+ mine 1)")
    names = kernel.run("%who").stdout.split()
    assert "mine" in names
    assert not {"simulate_chor", "hy", "hyx_XasteriskX1"} & set(names)


def test_reset_leaves_a_session_that_works(kernel: Kernel) -> None:
    kernel.run("%reset -f")
    assert kernel.run("double").kind == "NameError"
    assert kernel.run(DOUBLE + '(get (simulate-chor double 4) "A")').text == "8"


def test_commands_work_in_cells(kernel: Kernel) -> None:
    ran = kernel.run(",help")
    assert ran.status == "ok"
    assert ",project" in ran.displays[0]["text/plain"]
    assert "yield" in kernel.run(",project double A").displays[0]["text/plain"]
    assert kernel.run(",no-such-command").status == "error"


def test_question_marks_ask_for_documentation(kernel: Kernel) -> None:
    assert "Twice what A has." in kernel.run("double?").displays[0]["text/plain"]
    assert "Twice what A has." in kernel.run("?double").displays[0]["text/plain"]
    assert "(A->B x)" in kernel.run("double??").displays[0]["text/plain"]
    kernel.run("(defn small? [x] (< x 5))")
    assert kernel.run("small?").text.startswith("<function")


# --- Completeness, completion, inspection -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("(+ 1 2)", "complete"), ("", "complete"), ("(defchor f [A B]", "incomplete"), ('"abc', "incomplete"),
        ("(+ 1 2))", "invalid"), ("%time (f)", "complete"), (",help", "complete"),
    ],
)  # fmt: skip
def test_completeness(kernel: Kernel, code: str, status: str) -> None:
    assert kernel.ask("is_complete", code)["status"] == status


def test_completion_replaces_the_name_at_the_cursor(kernel: Kernel) -> None:
    code = "(simulate-chor dou 1)"
    reply = kernel.ask("complete", code, code.index(" 1"))
    assert "double" in reply["matches"]
    assert code[reply["cursor_start"] : reply["cursor_end"]] == "dou"
    details = {item["text"]: item for item in reply["metadata"]["_jupyter_types_experimental"]}
    assert "(-> A A | B)" in details["double"]["signature"]


def test_completion_of_macros_roles_commands_and_magics(kernel: Kernel) -> None:
    assert "defchor" in kernel.ask("complete", "(defc", 5)["matches"]
    assert "Seller" in kernel.ask("complete", "(defchor f [Buyer Seller] (-> Buyer Sel", 39)["matches"]
    assert any("project" in match for match in kernel.ask("complete", ",proj", 5)["matches"])
    assert "%time" in kernel.ask("complete", "%tim", 4)["matches"]


def test_nothing_to_complete(kernel: Kernel) -> None:
    reply = kernel.ask("complete", "(xyzzy-no-such", 14)
    assert (reply["status"], reply["matches"]) == ("ok", [])


def test_inspection(kernel: Kernel) -> None:
    kernel.run('(defn area [w h] "Of a rectangle." (* w h))')
    for code, cursor in (("double", 3), ("(simulate-chor double 1)", 17)):
        found = kernel.ask("inspect", code, cursor)
        assert found["found"]
        assert "(forall [A B] (-> A A | B))\nTwice what A has." in found["data"]["text/plain"]
    assert "Of a rectangle." in kernel.ask("inspect", "(area 1 2)", 7)["data"]["text/plain"]
    assert kernel.ask("inspect", "(defchor", 5)["data"]["text/plain"]
    assert not kernel.ask("inspect", "xyzzy", 2)["found"]


def test_kernel_info(kernel: Kernel) -> None:
    info = kernel.ask("kernel_info")
    assert info["implementation"] == "klorpy"
    language = info["language_info"]
    assert (language["name"], language["file_extension"]) == ("klor", ".hy")
    assert (language["pygments_lexer"], language["codemirror_mode"]) == ("klor", "clojure")


# --- Waiting and interrupting -----------------------------------------------------------------------------------------


def test_top_level_await(kernel: Kernel) -> None:
    assert kernel.run('(import asyncio)\n(await (asyncio.sleep 0 "slept"))').text == '"slept"'
    assert kernel.run("(+ (await (asyncio.sleep 0 1)) (await (asyncio.sleep 0 2)))").text == "3"
    failed = kernel.run("(defn :async boom [] (/ 1 0))\n(await (boom))")
    assert failed.kind == "ZeroDivisionError"
    assert "klorpy/" not in failed.error


def test_tasks_live_on_the_loop_of_the_notebook(kernel: Kernel) -> None:
    """A task of one cell goes on, and can be awaited in another."""
    kernel.run("""
        (import asyncio)
        (defn :async later [] (await (.wait go)) 42)
        (setv go (asyncio.Event)  task (asyncio.create-task (later)))""")
    assert kernel.run("(.done task)").text == "False"
    assert kernel.run("(.set go)\n(await task)").text == "42"


def test_a_task_that_was_cancelled_is_no_interrupt(kernel: Kernel) -> None:
    ran = kernel.run(
        "(import asyncio)\n(setv task (asyncio.create-task (asyncio.sleep 60)))\n(.cancel task)\n(await task)"
    )
    assert (ran.status, ran.kind) == ("error", "CancelledError")


def test_await_where_ipython_cannot_wait(kernel: Kernel) -> None:
    kernel.run("(import asyncio)")
    assert kernel.run("%time (await (asyncio.sleep 0 7))").text == "7"
    assert kernel.run('"await"').text == '"await"'


#: Something is displayed, by another thread, when the text calls `(.set begun)`; it never ends.
ENDLESS = {
    "simulation": """
        (defchor for-ever [A B] (-> A B) [x]
          (do (A (.set begun)) (loop [x x] (recur (B->A (A->B x))))))
        (simulate-chor for-ever 1)""",
    "host loop": """
        (.set begun)
        (while True)""",
    "host loop of a role": """
        (defn spin [] (.set begun) (while True))
        (defchor spinning [A B] (-> A B) [x] (A->B (A (spin))))
        (simulate-chor spinning 1)""",
    "host loop after an await": """
        (await (asyncio.sleep 0))
        (.set begun)
        (while True)""",
    "host loop inside of an await": """
        (defn :async spin [] (.set begun) (while True))
        (await (spin))""",
    "await": """
        (setv cleaned [])
        (defn :async wait []
          (try (.set begun) (await (asyncio.Future)) (finally (.append cleaned True))))
        (await (wait))""",
}


def interrupted(kernel: Kernel, what: str) -> Ran:
    kernel.run("""
        (import asyncio threading IPython.display [display])
        (setv begun (threading.Event)
              teller (threading.Thread :target (fn [] (.wait begun) (display "begun")) :daemon True))""")
    return kernel.run("(.start teller)" + ENDLESS[what], on_display=kernel.interrupt)


@pytest.mark.parametrize("what", ENDLESS)
def test_interrupt(kernel: Kernel, what: str) -> None:
    ran = interrupted(kernel, what)
    assert (ran.status, ran.kind) == ("error", "KeyboardInterrupt")
    files = re.findall(r'File "(.*?)"', ran.error)
    assert all(file.startswith("Cell In[") for file in files)
    assert kernel.run("(+ 1 1)").text == "2"


def test_an_interrupted_await_is_cleaned_up(kernel: Kernel) -> None:
    interrupted(kernel, "await")
    assert kernel.run("cleaned").text == "[True]"


# --- Progress ---------------------------------------------------------------------------------------------------------


def test_a_long_run_shows_how_far_it_is(kernel: Kernel) -> None:
    """With the patience of a second taken away; the run itself waits until progress was shown."""
    ran = kernel.run("""
        (import klorpy.environment.jupyter.display :as shown  threading)
        (setv shown.PATIENCE 0  shown.INTERVAL 0.001  updated (threading.Event)  real shown.progress-text)
        (defn noting [progress seconds] (when progress.messages (.set updated)) (real progress seconds))
        (setv shown.progress-text noting)
        (defchor slow [A B] (-> A B) [x]
          (let [y (A->B x)] (B (do (.wait updated) y))))
        (setv result (simulate-chor slow 1))
        (setv shown.PATIENCE 1.0  shown.progress-text real)""")
    assert (ran.status, ran.error) == ("ok", "")
    first = ran.displays[0]["text/plain"]
    assert first.startswith("slow: ")
    assert first.endswith(" s")
    assert ran.updates[-1]["text/plain"].startswith("slow: 1 message")
