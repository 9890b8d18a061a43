"""The tour holds what it promises: every form runs, in order, and shows what the text says."""

from __future__ import annotations

from pathlib import Path

import pytest

import klorpy
from klorpy.environment.present import Palette
from klorpy.environment.session import Session, Status, render
from klorpy.environment.tour import END, STEPS, Tour, tour
from tests.environment.repl.screen import CTRL_C, ENTER, Until, typed

PLAIN = Palette((), False)


def test_all_forms_run_in_order() -> None:
    shown = []
    with Session() as session:
        for step in STEPS:
            assert session.status(step.form) is Status.COMPLETE
            outcomes = list(session.evaluate(step.form))
            assert [outcome.error is not None for outcome in outcomes] == [step.goes_wrong], step.title
            shown.append(render(outcomes[0], PLAIN))
    by_title = {step.title: text for step, text in zip(STEPS, shown, strict=True)}
    assert by_title["Run it"].splitlines() == ["A  noop", 'B  "Hello, Ada"']
    assert '"Ada"' in by_title["See the message"]
    assert "RECEIVE" in by_title["What B does"]
    assert "help: send it first: (A->B name)" in by_title["Make a mistake"].splitlines()[-1]
    assert "welcome" in by_title["Change it while it lives"]
    assert "stale" in by_title["Change it while it lives"]
    assert "welcome" in by_title["Mend what depends on it"]
    assert "Hello, Ada" in by_title["Every order"]


@pytest.mark.parametrize("text", [*(step.text for step in STEPS), END])
def test_texts_are_short(text: str) -> None:
    lines = text.splitlines()
    assert len(lines) <= 4
    assert max(map(len, lines)) <= 88


def test_the_last_word_names_what_there_is() -> None:
    with Session() as session:
        for step in STEPS:
            list(session.evaluate(step.form))
        (outcome,) = session.evaluate(',step welcome "Ada"')
        assert outcome.error is None
    assert (Path(klorpy.__file__).parent / "examples").is_dir()


def test_moving() -> None:
    assert Tour().moved(-1) == Tour(0)
    assert Tour().moved(100).step is None
    assert Tour(2).heading() == f"3 of {len(STEPS)} · {STEPS[2].title}"


def test_without_a_prompt_the_form_is_shown() -> None:
    text = tour(None, "2").text(PLAIN)
    assert STEPS[1].form in text
    assert ",tour 3" in text
    assert "The end" in tour(None, str(len(STEPS) + 1)).text(PLAIN)
    with pytest.raises(klorpy.KlorError, match="has no step"):
        tour(None, "99")


def test_enter_leads_through_all_of_it(tmp_path: Path) -> None:
    steps: list[str | Until] = [",tour" + ENTER]
    for number, step in enumerate(STEPS, 1):
        last = step.form.splitlines()[-1].strip()
        steps += [Until(f"{number} of {len(STEPS)} · {step.title}"), Until(last), ENTER, Until("klor> ,next", number), ENTER]
    steps += [Until("The end")]
    screen, _ = typed(*steps, state=tmp_path)
    assert (tmp_path / "tour").read_text() == f"{len(STEPS)}\n"
    # Having come to the end, one begins anew.
    screen, _ = typed(",tour" + ENTER, Until("1 of"), state=tmp_path)
    assert STEPS[0].title in screen.text


def test_leading_around(tmp_path: Path) -> None:
    clear = CTRL_C
    typed(
        ",tour" + ENTER, Until("1 of"), clear, ",next" + ENTER, Until("2 of"), clear, ",next" + ENTER, Until("3 of"), clear,
        ",back" + ENTER, Until("2 of", 2), clear, ",quit-tour" + ENTER, Until("goes on from here"), "(+ 20 3)" + ENTER, Until("\n23"),
        ",quit-tour" + ENTER, Until("not in the tour"), state=tmp_path,
    )  # fmt: skip
    typed(",tour" + ENTER, Until("2 of"), state=tmp_path)


def test_what_was_left_out_is_done_all_the_same(tmp_path: Path) -> None:
    number = [step.title for step in STEPS].index("See the message") + 1
    screen, _ = typed(f",tour {number}" + ENTER, Until(",msc"), ENTER, Until("klor> ,next"), state=tmp_path)
    assert '"Ada"' in screen.text


def test_who_went_astray_is_led_back(tmp_path: Path) -> None:
    screen, _ = typed(
        ",tour" + ENTER, Until("A->B name))))"), CTRL_C, "(zzz)" + ENTER, Until(",tour shows the step again"),
        ",tour" + ENTER, Until("A->B name))))", 2), state=tmp_path,
    )  # fmt: skip
    assert screen.text.count("1 of") == 2


@pytest.mark.parametrize("command", [",next", ",back", ",quit-tour"])
def test_who_is_not_in_the_tour_is_not_led_into_it(tmp_path: Path, command: str) -> None:
    typed(command + ENTER, Until("not in the tour"), "(+ 20 3)" + ENTER, Until("\n23"), state=tmp_path)
