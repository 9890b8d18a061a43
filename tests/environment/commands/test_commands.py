"""Commands: finding them, their arguments, and what each shows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import klorpy
from klorpy.core.diagnostics import TITLES
from klorpy.environment import commands
from klorpy.environment.outputs import Request
from klorpy.environment.present import Palette
from klorpy.environment.session import Session, render
from tests.environment.asked import PLAIN, last, refused, shown

TELL = '(defchor tell [A B] (-> A B)\n  "Tell it."\n  [x]\n  (A->B x))'


@pytest.fixture
def session() -> Iterator[Session]:
    with Session() as made:
        list(made.evaluate(TELL))
        yield made


# --- Finding ----------------------------------------------------------------------------------------------------------


def test_every_command_has_help(session: Session) -> None:
    table = shown(session, ",help")
    for name, command in commands.COMMANDS.items():
        assert f",{name}" in table
        assert command.summary
        text = shown(session, f",help {name}")
        assert text.startswith(command.usage)
        assert command.summary in text


def test_all_commands_that_were_promised() -> None:
    promised = (
        "help type project expand sim step trace msc graph world explore doc source opts seed time save load reload "
        "recompile deps roles errors tour clear quit protocol update"
    )
    assert set(commands.COMMANDS) == set(promised.split())


def test_a_command_may_be_abbreviated(session: Session) -> None:
    assert shown(session, ",ty tell") == shown(session, ",type tell")
    assert shown(session, ",  type   tell ") == shown(session, ",type tell")


def test_an_ambiguous_abbreviation_says_what_it_could_be(session: Session) -> None:
    assert ",re could be ,recompile or ,reload" in refused(session, ",re")


def test_a_mistyped_command_suggests(session: Session) -> None:
    assert "did you mean ,project?" in refused(session, ",porject tell B")
    assert "type ,help" in refused(session, ",xyzzy")


@pytest.mark.parametrize("name", ["sim", "explore", "project", "type", "expand", "doc", "source", "deps", "load", "save", "time"])
def test_what_needs_arguments_says_which(session: Session, name: str) -> None:
    assert f"write {commands.COMMANDS[name].usage}" in refused(session, f",{name}")


def test_nothing_is_printed(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (",help", ",type tell", ",sim tell 1", ",trace", ",explore tell 1", ",project tell", ",roles", ",step tell 1"):
        shown(session, command)
    assert capsys.readouterr() == ("", "")


# --- Running ----------------------------------------------------------------------------------------------------------


def test_sim_shows_each_role_s_result(session: Session) -> None:
    assert shown(session, ",sim tell (+ 1 2)") == "A  noop\nB  3"
    assert session.simulation is not None
    assert session.simulation["B"] == 3


def test_sim_takes_names_of_the_session_and_options(session: Session) -> None:
    list(session.evaluate("(setv answer 42)"))
    shown(session, ",sim tell answer :seed 9 :sanitize True")
    assert session.simulation is not None
    assert (session.simulation["B"], session.simulation.seed) == (42, 9)
    assert "no option 'sed'" in refused(session, ",sim tell 1 :sed 2")


def test_sim_uses_the_session_s_seed(session: Session) -> None:
    shown(session, ",seed 5")
    shown(session, ",sim tell 1")
    assert session.simulation is not None
    assert session.simulation.seed == 5


def test_sim_over_several_lines(session: Session) -> None:
    assert shown(session, ",sim tell\n  [1\n   2]") == "A  noop\nB  [1 2]"


def test_sim_of_a_failing_choreography_shows_where(session: Session) -> None:
    list(session.evaluate("(defchor bad [A B] (-> A B) [x] (A->B (A (/ x 0))))"))
    text = shown(session, ",sim bad 1")
    assert "A  failed" in text
    assert "ZeroDivisionError" in text
    assert session.simulation is not None
    assert session.simulation.verdict is not None
    assert shown(session, ",trace").splitlines()[0].startswith("A exited abruptly")


def test_sim_names_what_there_is_instead(session: Session) -> None:
    assert "did you mean tell?" in refused(session, ",sim tel 1")
    assert "the choreographies here are: tell" in refused(session, ",sim xyzzy 1")
    assert "error[sim-arity]" in refused(session, ",sim tell")


def test_an_error_in_an_argument_is_shown_in_the_command(session: Session) -> None:
    text = refused(session, ",sim tell (/ 1 0)")
    assert "    ,sim tell (/ 1 0)" in text
    assert text.count("File ") == 1
    text = refused(session, ",sim tell [1")
    assert "1 | ,sim tell [1" in text
    assert text.splitlines()[4].index("^") == "1 | ,sim tell [1".index("[")


def test_trace_shows_the_messages_of_the_last_run(session: Session) -> None:
    assert "nothing has been simulated" in refused(session, ",trace")
    list(session.evaluate("(simulate-chor tell 7)"))
    assert "A --> B: 7" in shown(session, ",trace")


def test_msc_and_graph_draw(session: Session, tmp_path: Path) -> None:
    assert "nothing has been simulated" in refused(session, ",msc")
    shown(session, ",sim tell 7")
    outcome = last(session, ",msc")
    assert "7" in render(outcome, PLAIN)
    assert "image/svg+xml" in str(outcome.output._repr_mimebundle_())
    assert "A" in shown(session, ",graph tell")
    assert shown(session, f",msc {tmp_path / 'run.svg'}") == f"written to {tmp_path / 'run.svg'}"
    assert "<svg" in (tmp_path / "run.svg").read_text(encoding="utf-8")
    shown(session, f",msc {tmp_path / 'run.mmd'}")
    assert "sequenceDiagram" in (tmp_path / "run.mmd").read_text(encoding="utf-8")
    assert "let it end in .svg" in refused(session, f",msc {tmp_path / 'run.png'}")
    assert not (tmp_path / "run.png").exists()


@pytest.mark.parametrize("command", [",msc", ",graph spare", ",project spare A", ",step spare 1", ",type (spare [A B C] (A 1))"])
def test_what_looks_at_a_definition_does_not_repeat_its_warnings(session: Session, command: str) -> None:
    assert last(session, "(defchor spare [A B C] (-> A B) [x] (if (A=>B (A True)) (A->B x) (B 0)))").warnings
    shown(session, ",sim spare 1")
    assert last(session, command).warnings == ()


@pytest.mark.parametrize("columns", [30, 60])
def test_a_chart_fits_the_terminal(session: Session, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    roles = "Alice Bartholomew-The-Third Christopher Dorothea"
    shown(session, f"(defchor wide [{roles}] (-> Alice Dorothea) [x] (Alice->Dorothea x))")
    shown(session, ",sim wide 3")
    monkeypatch.setenv("COLUMNS", str(columns))
    assert max(map(len, shown(session, ",msc").splitlines())) <= columns


def test_explore_compares_schedules(session: Session) -> None:
    assert "all there are: no difference\nA  noop\nB  1" in shown(session, ",explore tell 1")
    list(session.evaluate("(setv n [0]) (defn next [x] (setv (get n 0) (+ (get n 0) 1)) (get n 0))"))
    list(session.evaluate("(defchor odd [A B] (-> A B) [x] (A->B (A (next x))))"))
    text = shown(session, ",explore odd 1 :schedules 3")
    assert "2 schedules: the last one differs" in text
    assert "replay it with :seed" in text


def test_seed(session: Session) -> None:
    assert shown(session, ",seed") == "seed 0"
    assert shown(session, ",seed -3") == "seed -3"
    assert shown(session, ",seed s1.0.2") == "seed s1.0.2"
    assert "is not a seed" in refused(session, ",seed tomorrow")
    assert session.seed == "s1.0.2"


def test_time(session: Session) -> None:
    value, duration = shown(session, ",time (+ 1 2)").splitlines()
    assert value == "3"
    assert duration.endswith(("ms", " s"))
    assert "ZeroDivisionError" in refused(session, ",time (/ 1 0)")


# --- Asking -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("tell", "tell  (forall [A B] (-> A B | 0))"),
        ("[A B] (A->B (A 1))", "B"),
        ("[A B] (A=>B (A 1))", "#{A B}"),
        ("[A B] (pack (A 1) (B 2))", "[A B]"),
        ("[A B C] (chor (-> A B | C) [x] (C->B (A->C x)))", "(-> A B | C)"),
        ("[P Q] (tell [Q P] (Q 1))", "P"),
        ("[A B] 1 (A 2)", "A"),
        ("1", "int"),
        ("len", "builtin_function_or_method"),
        ('(+ "a" "b")', "str"),
        ("klorpy.core.values", "module"),
    ],
)
def test_type(session: Session, asked: str, expected: str) -> None:
    list(session.evaluate("(import klorpy.core.values)"))
    assert shown(session, f",type {asked}") == expected


def test_type_of_what_is_wrong_underlines_it(session: Session) -> None:
    text = refused(session, ",type [A B] (A->B (B 1))")
    assert "error[copy-missing-src]" in text or "error[copy-dst-present]" in text
    assert "1 | ,type [A B] (A->B (B 1))" in text
    assert "did you mean tell?" in refused(session, ",type tel")
    assert "error[unknown-role]" in refused(session, ",type [A B] (A->C (A 1))")


def test_type_evaluates_nothing(session: Session) -> None:
    list(session.evaluate("(setv seen []) (defn note [x] (.append seen x) x)"))
    assert shown(session, ",type [A B] (A->B (A (note 1)))") == "B"
    assert session.module.seen == []


def test_project(session: Session) -> None:
    assert shown(session, ",project tell") == (
        f"# role A\n{klorpy.project(session.module.tell, 'A')}\n\n# role B\n{klorpy.project(session.module.tell, 'B')}"
    )
    assert shown(session, ",project tell B") == f"# role B\n{klorpy.project(session.module.tell, 'B')}"
    assert "is not a role of tell" in refused(session, ",project tell C")


def test_expand(session: Session) -> None:
    assert shown(session, ",expand (bcast [A B C] x)").splitlines() == [
        "(bcast [A B C] x)",
        "  => (copy [A C] (copy [A B] x))",
    ]
    list(session.evaluate("(defmacro one [x] `(two ~x)) (defmacro two [x] `(+ ~x ~x))"))
    assert shown(session, ",expand (one 3)").splitlines()[1:] == ["  => (two 3)", "  => (+ 3 3)"]
    assert "nothing to expand" in shown(session, ",expand (+ 1 1)")
    assert "nothing to expand" in shown(session, ",expand (defchor f [A] (-> A A) [x] x)")
    list(session.evaluate("(defmacro bad [] (/ 1 0)) (defmacro for-ever [] '(for-ever))"))
    assert "error[macro-error]" in refused(session, ",expand (bad)")
    assert shown(session, ",expand (for-ever)").count("=>") == 100


def test_doc(session: Session) -> None:
    assert shown(session, ",doc tell") == "tell  (forall [A B] (-> A B | 0))\n\nTell it."
    assert shown(session, ",doc narrow").startswith("(narrow [Role …] expr)")
    assert shown(session, ",doc A=>B") == "(A=>B expr)\nB receives A's value; the result is at A and B"
    assert "a macro" in shown(session, ",doc bcast")
    assert shown(session, ",doc len").startswith("len(obj, /)")
    assert "schedule" in shown(session, ",doc explore")
    assert shown(session, ",doc ,sim") == shown(session, ",help sim")
    assert "did you mean tell?" in refused(session, ",doc tel")


def test_source(session: Session) -> None:
    assert shown(session, ",source tell") == f"; <input 1>:1:1\n{TELL}"
    list(session.evaluate("(defn twice [x]\n  (* 2 x))"))
    assert shown(session, ",source twice") == "; <input 2>\n(defn twice [x]\n  (* 2 x))"
    list(session.evaluate("(import textwrap [dedent])"))
    assert "def dedent(text):" in shown(session, ",source dedent")
    assert "nothing is known of the text" in refused(session, ",source noop")


def test_roles(session: Session) -> None:
    list(session.evaluate("(defchor relay [A B C] (-> A C) [x] (B->C (A->B x)))"))
    assert shown(session, ",roles").splitlines() == ["A  tell, relay", "B  tell, relay", "C  relay"]


def test_what_takes_no_arguments_says_so(session: Session) -> None:
    assert "takes no arguments" in refused(session, ",reload chors.hy")


def test_words_of_the_language_are_explained(session: Session) -> None:
    assert "condition" in shown(session, ",doc if")
    assert "result" in shown(session, ",doc ->")
    assert "nothing is known of the text" in refused(session, ",source print")


def test_errors(session: Session) -> None:
    table = shown(session, ",errors")
    assert all(slug in table for slug in TITLES)
    assert shown(session, ",errors no-match").startswith(f"error[no-match]: {TITLES['no-match']}\n")
    assert shown(session, ",errors unused-role").startswith("warning[")
    assert "did you mean no-match?" in refused(session, ",errors no-mach")


def test_opts(session: Session) -> None:
    assert shown(session, ",opts").splitlines()[0] == "{:verify {:agreement False}}"
    shown(session, ",opts {:verify {:agreement True}}")
    assert session.options["verify"]["agreement"] is True
    assert shown(session, ",opts").splitlines()[0] == "{:verify {:agreement True}}"
    assert "error[bad-option]" in refused(session, ",opts {:verify 3}")
    assert "error[bad-option]" in refused(session, ",opts (f)")
    assert session.options["verify"]["agreement"] is True


def test_the_tour_can_be_read(session: Session) -> None:
    assert "defchor" in shown(session, ",tour")


def test_requests_to_whoever_shows_the_session(session: Session) -> None:
    assert last(session, ",clear").output == Request("clear")
    assert not session.ended
    assert last(session, ",quit").output == Request("quit")
    assert session.ended


def test_colour_is_a_matter_of_the_palette(session: Session) -> None:
    outcome = last(session, ",sim tell 1")
    assert "\x1b[" in render(outcome, Palette((), True))
    assert "\x1b[" not in render(outcome, PLAIN)


def test_commands_are_not_part_of_the_history(session: Session) -> None:
    before = len(session.history)
    shown(session, ",type tell")
    shown(session, ",sim tell 1")
    assert len(session.history) == before


def test_world_shows_who_is_there(session: Session, tmp_path: Path) -> None:
    assert "write ,world NAME" in refused(session, ",world")
    assert "has no processes" in refused(session, ",world 3")
    shown(session, '(import klorpy.conversations [Kernel role subscriber publisher])')
    shown(session, '(do (setv kernel (Kernel)) (.start kernel "ann" (role "in" (subscriber "chat"))) None)')
    assert shown(session, ",world kernel") == "ann (1 queued)"
    shown(session, '(do (.start kernel "bob" (role "out" (publisher "chat"))) (.run kernel) None)')
    # It is live: the command shows what is there when it is given.
    assert shown(session, ",world kernel").splitlines()[1] == '  - in   "chat"  sees bob/out'
    path = tmp_path / "world.svg"
    assert shown(session, f",world kernel {path}") == f"written to {path}"
    assert "<svg" in path.read_text(encoding="utf-8")


# --- Protocols and updates --------------------------------------------------------------------------------------------

LOOP = '(defchor ask [C S] (-> C C | S) [x] (loop [x x] (case (C=>S x) "a" (do (S->C (S 1)) (recur (C (f x)))) {} "z" x)))'


def test_protocol_shows_what_is_communicated(session: Session, tmp_path: Path) -> None:
    list(session.evaluate(LOOP.format("")))
    assert "(branch C S (a (-> S C any) t) (z end))" in shown(session, ",protocol ask")
    list(session.evaluate("(defprotocol P [C S] (mu t (branch C S (a (-> S C int) t) (z)))) (defprotocol Q [C S] (-> C S int))"))
    assert shown(session, ",protocol ask P") == "ask keeps to P"
    assert "Q has" in shown(session, ",protocol ask Q")
    assert "the protocols here are: P, Q" in refused(session, ",protocol ask R")
    for suffix, text in ((".svg", "<svg"), (".txt", "C: "), (".mmd", "stateDiagram-v2")):
        shown(session, f",protocol ask {tmp_path / ('ask' + suffix)}")
        assert (tmp_path / f"ask{suffix}").read_text(encoding="utf-8").startswith(text)


def test_update_tells_who_may_go_first(session: Session) -> None:
    list(session.evaluate(LOOP.format("")))
    assert "was not redefined" in refused(session, ",update ask")
    [outcome] = session.evaluate(LOOP.format('"b" (recur (C (f x)))'))
    assert outcome.notes == ("ask communicates differently: S may be updated alone; C only after that (,update ask says why)",)
    assert "after C sends b to S: S receives b from C, and waits for a or z" in shown(session, ",update ask")
    # Host code alone is no news.
    [outcome] = session.evaluate(LOOP.format('"b" (recur (C (g x)))'))
    assert outcome.notes == ()
    assert shown(session, ",update off") == "notes about updates are off"
    [outcome] = session.evaluate(LOOP.format(""))
    assert outcome.notes == ()
    assert "C may be updated alone" in shown(session, ",update ask")
