"""The REPL as somebody uses it: keys are typed, and the screen is looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from klorpy.environment.repl.config import Config
from klorpy.environment.repl.terminal import KEYS, WELCOME
from klorpy.environment.session import Completion, Session
from tests.environment.repl.screen import (
    ALT_ENTER,
    BACKSPACE,
    CTRL_A,
    CTRL_C,
    CTRL_D,
    CTRL_R,
    ENTER,
    ESCAPE,
    F4,
    LEFT,
    TAB,
    UP,
    Look,
    Screen,
    Until,
    typed,
)  # fmt: skip

GREET = '(defchor greet [A B] (-> A B) [name] (B (+ "Hello, " (A->B name))))'


def lines(screen: Screen) -> list[str]:
    return screen.text.split("\n")


def test_a_form_gives_its_value(tmp_path: Path) -> None:
    screen, _ = typed("(+ 1 2)" + ENTER, Until("\n3"), state=tmp_path)
    assert screen.text.startswith("klor> (+ 1 2)\n3\nklor>")


def test_a_form_that_is_not_complete_goes_on_indented(tmp_path: Path) -> None:
    keys = ["(defchor greet [A B] (-> A B) [name]", "(let [greeting (A->B name)", "other 1]", '(B (+ "Hi " greeting))))']
    screen, _terminal = typed(ENTER.join(keys) + ENTER, Until("<choreography"), state=tmp_path)
    assert lines(screen)[:5] == [
        "klor> (defchor greet [A B] (-> A B) [name]",
        "        (let [greeting (A->B name)",
        "              other 1]",
        '          (B (+ "Hi " greeting))))',
        "<choreography greet (forall [A B] (-> A B | 0))>",
    ]


def test_enter_above_the_last_line_begins_a_line(tmp_path: Path) -> None:
    keys = "[1" + ENTER + "3]" + UP + "  2" + ENTER + "9" + "\x1b>" + ENTER
    screen, _ = typed(keys, Until("[1 2 9 3]"), state=tmp_path)
    assert "klor> [1  2\n       9\n       3]\n[1 2 9 3]" in screen.text


def test_alt_enter_begins_a_line_in_a_complete_form(tmp_path: Path) -> None:
    screen, _ = typed("[1 2]" + ALT_ENTER + "[3]" + ENTER, Until("[3]", 2), state=tmp_path)
    assert screen.text.startswith("klor> [1 2]\n      [3]\n[1 2]\n[3]")


def test_what_is_wrong_is_given_and_underlined(tmp_path: Path) -> None:
    screen, _ = typed("(+ 1 2))" + ENTER, Until("error["), Until("klor>", 2), "(+ 2 2)" + ENTER, Until("\n4"), state=tmp_path)
    assert screen.style_of("error[read-error]").fg == "brightred"
    assert screen.style_of("^").fg == "brightred"


def test_errors_show_the_users_frames_only(tmp_path: Path) -> None:
    screen, _ = typed("(defn f [x] (/ x 0))" + ENTER + "(f 1)" + ENTER, Until("ZeroDivisionError"), state=tmp_path)
    assert "(/ x 0)" in screen.text.split("Traceback")[1]
    assert "klorpy/" not in screen.text


def test_results_are_a_table_of_roles_in_their_colours(tmp_path: Path) -> None:
    screen, _ = typed(GREET + ENTER + '(simulate-chor greet "Ada")' + ENTER, Until('B  "Hello, Ada"'), state=tmp_path)
    assert 'A  noop\nB  "Hello, Ada"' in screen.text
    assert screen.style_of("A  noop").fg == "brightblue"
    assert screen.style_of('B  "Hello').fg == "brightgreen"


def test_the_roles_of_a_text_have_the_same_colours(tmp_path: Path) -> None:
    def look(screen: Screen) -> None:
        assert screen.style_of("[A B]", 1).fg == "brightblue"
        assert screen.style_of("[A B]", 3).fg == "brightgreen"
        assert [screen.style_of("A->B", i).fg for i in range(4)] == ["brightblue", "default", "default", "brightgreen"]
        assert screen.style_of("defchor").bold
        assert screen.style_of('"Hello').fg == "green"

    typed(GREET, Until("name))))"), Look(look), state=tmp_path)


def test_without_colour_there_is_none(tmp_path: Path) -> None:
    def look(screen: Screen) -> None:
        cells = [cell for row in screen.screen.buffer.values() for cell in row.values()]
        assert {cell.fg for cell in cells} | {cell.bg for cell in cells} == {"default"}

    typed(
        GREET + ENTER + '(simulate-chor greet "Ada")' + ENTER + "(defchor bad [A B] (-> A B) [x] x)" + ENTER, Until("error["), GREET + LEFT,
        Look(look), state=tmp_path, colour=False,
    )  # fmt: skip


def test_the_bracket_that_belongs_to_the_cursor_is_marked(tmp_path: Path) -> None:
    def look(screen: Screen) -> None:
        assert [screen.style_of('(f ")" [1])', i).underscore for i in range(11)] == [i in (0, 10) for i in range(11)]

    typed('(f ")" [1])', Until("[1])"), Look(look), state=tmp_path)


def test_auto_close(tmp_path: Path) -> None:
    def look(screen: Screen) -> None:
        assert '(f "a(" [x])' in screen.text

    keys = '(f "a("' + " [x" + "{" + BACKSPACE
    typed(keys, Until("[x"), Look(look), state=tmp_path, config=Config(welcome=False, auto_close=True))
    _screen, terminal = typed(
        ",opts :auto-close True" + ENTER, Until(":auto-close True", 2), "[1 (+ 1 1) 3" + ENTER, Until("[1 2 3]"), state=tmp_path
    )
    assert terminal.prompt.auto_close


class Knowing(Session):
    """A session that completes `sim` and fails at anything else."""

    def complete(self, text: str, cursor: int) -> list[Completion]:
        start = text.rfind("(", 0, cursor) + 1
        if text[start:cursor] == "sim":
            return [
                Completion("simulate-chor", start, "function", "(simulate-chor chor #* args)", "Run all roles.\nMore."),
                Completion("simple", start, "name"),
            ]
        raise RuntimeError("a bug in the completer")


def test_completions_stand_with_kind_signature_and_doc(tmp_path: Path) -> None:
    def look(screen: Screen) -> None:
        (line,) = [line for line in lines(screen) if "Run all roles." in line]
        assert line.split() == ["simulate-chor", "function", "(simulate-chor", "chor", "#*", "args)", "Run", "all", "roles."]
        assert "More" not in screen.text

    screen, _ = typed(
        "(zzz" + TAB, CTRL_A + "\x0b", "(sim" + TAB, Until("Run all roles."), Look(look), TAB, Until("klor> (simulate-chor"),
        ENTER, ")" + ENTER, Until("TypeError"), state=tmp_path, session=Knowing(),
    )  # fmt: skip
    assert "klor> (simulate-chor)\n" in screen.text


def test_roles_are_completed(tmp_path: Path) -> None:
    typed(
        "(defchor greet [Ann Bob] (-> Ann Bob) [x] (Bo" + TAB, Until("Bob->Ann"), TAB, Until("[x] (Bob\n"),
        " (Ann->Bob x)))" + ENTER, Until("<choreography"), state=tmp_path,
    )  # fmt: skip


def test_commands_of_the_terminal_are_completed_and_explained(tmp_path: Path) -> None:
    typed(",nex" + TAB, Until("klor> ,next"), CTRL_C, ",help" + ENTER, Until("emacs or vi"), state=tmp_path)


def test_history_is_kept_and_searched(tmp_path: Path) -> None:
    typed("(setv secret 41)" + ENTER + "[1" + ENTER + "2]" + ENTER, Until("[1 2]"), state=tmp_path)
    screen, _ = typed(UP + ENTER, Until("\n[1 2]"), CTRL_R + "secr", Until("(setv secret 41)"), ENTER, ENTER,
                      "(+ secret 1)" + ENTER, Until("\n42"), state=tmp_path)  # fmt: skip
    assert "klor> [1\n       2]\n[1 2]" in screen.text


def test_the_rest_of_a_line_is_suggested(tmp_path: Path) -> None:
    typed("(setv answer 42)" + ENTER, Until("klor>", 2), state=tmp_path)

    def look(screen: Screen) -> None:
        assert screen.style_of("nswer 42").fg == "brightblack"

    typed("(setv a", Until("(setv answer 42)"), Look(look), state=tmp_path)


def test_the_toolbar_tells_module_seed_options_and_mode(tmp_path: Path) -> None:
    _screen, _ = typed(
        Until("klorpy_session · seed 0 · emacs"), ",seed 7" + ENTER, Until("seed 7 ·"),
        ",opts {:verify {:agreement True}}" + ENTER, Until("· agreement ·"), F4, Until("vi insert"),
        ESCAPE, Until("vi normal"), "i", Until("vi insert"), ",opts :editing emacs" + ENTER, Until("· emacs ·", 1),
        state=tmp_path,
    )  # fmt: skip


def test_vi_moves_and_gives_the_text(tmp_path: Path) -> None:
    config = Config(welcome=False, editing="vi")
    screen, _ = typed("(+ 1 x)", ESCAPE, Until("vi normal"), "hx", "i2", ENTER, Until("\n3"), state=tmp_path, config=config)
    assert "klor> (+ 1 2)" in screen.text


def test_ctrl_c_clears_the_line_and_ctrl_d_leaves(tmp_path: Path) -> None:
    screen, _ = typed("(half", Until("(half"), CTRL_C, Until("klor>", 2), CTRL_D, state=tmp_path, leave=False)
    assert screen.text.count("klor>") == 2


@pytest.mark.parametrize("text", [",quit", "(quit)", "(import sys) (sys.exit 3)"])
def test_leaving(tmp_path: Path, text: str) -> None:
    screen, terminal = typed(text + ENTER, state=tmp_path, leave=False)
    assert terminal.session.ended
    assert "SystemExit" not in screen.text


def test_keyboard_interrupt_ends_the_evaluation_only(tmp_path: Path) -> None:
    screen, _ = typed("(do (raise KeyboardInterrupt)) 2" + ENTER, Until("interrupted"), "(+ 1 1)" + ENTER, Until("\n2"), state=tmp_path)
    assert "Traceback" not in screen.text


def test_the_help_fits_on_a_narrow_terminal() -> None:
    assert max(map(len, [*KEYS.splitlines(), *WELCOME.splitlines()])) < 80


def test_the_welcome_has_three_lines_and_leads_to_the_tour(tmp_path: Path) -> None:
    screen, _ = typed(Until("klor>"), state=tmp_path, config=Config())
    welcome = screen.text.split("\n\n")[0].split("\n")
    assert len(welcome) == 3
    assert ",tour" in screen.text


def test_state_that_cannot_be_kept_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    _screen, terminal = typed(",tour" + ENTER, Until("1 of"), "\x15" * 3 + "(+ 1 2)" + ENTER, Until("\n3"), state=tmp_path / "file" / "x")
    (problem,) = terminal.problems
    assert problem.startswith("no history is kept")


def test_a_long_history_is_shortened(tmp_path: Path) -> None:
    history = tmp_path / "history"
    history.write_text("".join(f"\n# 2030-01-01 00:00:00\n+(f {i})\n+{i}\n" for i in range(16)))
    typed("1" + ENTER, Until("\n1"), state=tmp_path, config=Config(welcome=False, history=10))
    kept = history.read_text()
    assert "(f 5)" not in kept
    assert kept.lstrip().startswith("# 2030-01-01 00:00:00\n+(f 6)\n+6\n")
    assert kept.endswith("\n+1\n")
