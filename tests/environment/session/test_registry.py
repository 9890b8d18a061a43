"""Live redefinition: who calls whom, what a changed signature makes stale, and evaluating it again."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest

import klorpy
from klorpy.environment.session import Session, render
from tests.environment.asked import PLAIN, last

#: main calls middle, which calls leaf.
CHAIN = """(defchor leaf [A B] (-> A B) [x]
  (A->B x))
(defchor middle [A B] (-> A B) [x]
  (leaf [A B] x))
(defchor main [A B] (-> A B) [x]
  (middle [A B] x))"""
#: A signature to which callers with one argument do not fit.
WIDER = "(defchor leaf [A B] (-> A B B) [x y] (B (+ (A->B x) y)))"


@pytest.fixture
def session() -> Iterator[Session]:
    with Session() as made:
        yield made


def value(session: Session, text: str) -> Any:
    outcome = last(session, text)
    assert outcome.error is None, render(outcome, PLAIN)
    return outcome.value


def test_a_redefinition_takes_effect_at_the_next_call_everywhere(session: Session) -> None:
    value(session, CHAIN)
    main = session.module.main
    outcome = last(session, "(defchor leaf [A B] (-> A B) [x] (A->B (A (* 10 x))))")
    assert outcome.warnings == ()
    assert outcome.defined == ("leaf",)
    assert session.module.main is main
    assert value(session, "(simulate-chor main 4)")["B"] == 40


def test_a_run_under_way_keeps_what_it_started_with(session: Session) -> None:
    text = """(defchor leaf [A B] (-> A B) [x] (A->B x))
        (defn again [x] (hy.eval '(defchor leaf [A B] (-> A B) [x] (A->B (A 0))) :module klorpy-module) x)
        (defchor main [A B] (-> A B) [x] (leaf [A B] (A (again x))))"""
    vars(session.module)["klorpy_module"] = session.module
    value(session, text)
    assert value(session, "(simulate-chor main 4)")["B"] == 4
    assert value(session, "(simulate-chor main 4)")["B"] == 0


def test_a_changed_signature_warns_with_names_and_places_of_what_is_stale(session: Session) -> None:
    value(session, CHAIN)
    outcome = last(session, WIDER)
    (warning,) = outcome.warnings
    assert isinstance(warning, klorpy.KlorWarning)
    assert warning.slug == "signature-changed"
    assert render(outcome, PLAIN).splitlines()[:4] == [
        "warning[signature-changed]: Signature of leaf changed:",
        "  was (forall [A B] (-> A B | 0)),",
        "  is  (forall [A B] (-> A B B | 0))",
        "  = note: middle (<input 1>:3:1) is stale: it was compiled against the old one",
    ]


def test_a_changed_signature_without_dependents_is_told_as_well(session: Session) -> None:
    value(session, "(defchor leaf [A B] (-> A B) [x] (A->B x))")
    outcome = last(session, WIDER)
    assert [w.slug for w in outcome.warnings] == ["signature-changed"]  # type: ignore[attr-defined]
    assert "stale" not in render(outcome, PLAIN)


def test_other_names_of_roles_are_the_same_signature(session: Session) -> None:
    value(session, CHAIN)
    assert last(session, "(defchor leaf [P Q] (-> P Q) [x] (P->Q x))").warnings == ()
    assert session.registry.stale() == []


@pytest.mark.parametrize("chor", ["middle", "main"])
def test_a_stale_dependent_refuses_to_run(session: Session, chor: str) -> None:
    value(session, CHAIN)
    last(session, WIDER)
    outcome = last(session, f"(simulate-chor {chor} 1)")
    assert isinstance(outcome.error, klorpy.ChoreographyFailed)
    cause = outcome.error.__cause__
    assert isinstance(cause, klorpy.KlorError)
    assert cause.slug == "stale-dependent"
    shown = render(outcome, PLAIN)
    assert "<input 1>:4:3" in shown
    assert "was (forall [A B] (-> A B | 0))" in shown


def test_what_is_not_called_does_not_fail(session: Session) -> None:
    value(session, "(defchor leaf [A B] (-> A B) [x] (A->B x))")
    text = "(defchor main [A B] (-> #{A B} A B) [ok x] (if ok (leaf [A B] x) (A->B (A -1))))"
    value(session, text)
    last(session, WIDER)
    assert value(session, "(simulate-chor main False 1)")["B"] == -1
    assert last(session, "(simulate-chor main True 1)").error is not None


def test_defining_the_old_signature_again_heals(session: Session) -> None:
    value(session, CHAIN)
    last(session, WIDER)
    last(session, "(defchor leaf [A B] (-> A B) [x] (A->B (A (+ x 1))))")
    assert session.registry.stale() == []
    assert value(session, "(simulate-chor main 1)")["B"] == 2


def test_recompiling_what_no_longer_compiles_says_why_and_changes_nothing(session: Session) -> None:
    value(session, CHAIN)
    last(session, WIDER)
    before = session.module.middle.definition
    outcome = last(session, ",recompile")
    shown = render(outcome, PLAIN)
    assert "middle: does not compile any more" in shown
    assert "error[arity]" in shown
    assert "<input 1>:4:3" in shown
    assert shown.endswith("still stale: middle")
    assert session.module.middle.definition is before


def test_recompiling_makes_what_still_compiles_fit(session: Session) -> None:
    # B's result becomes an agreement, which middle narrows to B either way.
    value(session, "(defchor leaf [A B] (-> A B) [x] (A->B x))")
    value(session, "(defchor middle [A B] (-> A B) [x] (narrow [B] (leaf [A B] x)))")
    value(session, "(defchor main [A B] (-> A B) [x] (middle [A B] x))")
    last(session, "(defchor leaf [A B] (-> A #{A B}) [x] (A=>B x))")
    assert last(session, "(simulate-chor main 3)").error is not None
    middle = session.module.middle
    outcome = last(session, ",recompile")
    assert render(outcome, PLAIN) == "middle: recompiled, (forall [A B] (-> A B | 0))"
    assert session.module.middle is middle
    assert outcome.defined == ("middle",)
    assert session.registry.stale() == []
    assert value(session, "(simulate-chor main 3)")["B"] == 3
    assert render(last(session, ",recompile"), PLAIN) == "nothing is stale"


def test_recompiling_goes_from_callees_to_callers(session: Session) -> None:
    # The macro decides the signature of middle, so that main is stale once middle was recompiled.
    value(session, "(setv both False)")
    value(session, "(defchor leaf [A B] (-> A B) [x] (A->B x))")
    value(session, """(defmacro define-middle []
        (if both `(defchor middle [A B] (-> A #{A B}) [x] (leaf [A B] x))
                 `(defchor middle [A B] (-> A B) [x] (leaf [A B] x))))""")
    value(session, "(define-middle)")
    value(session, "(defchor main [A B] (-> A B) [x] (narrow [B] (middle [A B] x)))")
    last(session, "(setv both True)")
    last(session, "(defchor leaf [A B] (-> A #{A B}) [x] (A=>B x))")
    outcome = last(session, ",recompile")
    shown = render(outcome, PLAIN)
    assert [each.choreography.name for each in outcome.output.done] == ["middle", "main"], shown
    assert "middle: recompiled, its signature changed:" in shown
    assert "main: recompiled, (forall" in shown
    assert value(session, "(simulate-chor main 3)")["B"] == 3


def test_recompiling_by_name_uses_macros_as_they_are_now(session: Session) -> None:
    value(session, "(defmacro factor [] 2) (defchor f [A B] (-> A B) [x] (A->B (A (* (factor) x))))")
    value(session, "(defmacro factor [] 3)")
    # As in Python: what was expanded stays.
    assert value(session, "(simulate-chor f 10)")["B"] == 20
    last(session, ",recompile f")
    assert value(session, "(simulate-chor f 10)")["B"] == 30


def test_a_host_function_is_found_when_it_is_called(session: Session) -> None:
    value(session, "(defn price [x] 1) (defchor f [A B] (-> A B) [x] (A->B (A (price x))))")
    value(session, "(defn price [x] 2)")
    assert value(session, "(simulate-chor f 0)")["B"] == 2


def test_recompiling_keeps_the_options_of_the_definition(session: Session) -> None:
    value(session, "(with-opts {:verify {:agreement True}} (defchor f [A B] (-> #{A B} A) [x] (narrow [A] x)))")
    last(session, ",recompile f")
    assert session.module.f.definition.options["verify"]["agreement"] is True
    value(session, "(defchor g [A B] (-> #{A B} A) [x] (narrow [A] x))")
    assert session.module.g.definition.options["verify"]["agreement"] is False


def test_places_stay_after_recompiling(session: Session) -> None:
    value(session, "(setv a 1)\n\n  " + CHAIN)
    last(session, ",recompile main")
    assert str(session.module.main.definition.span) == "7:1"
    assert str(session.module.main.definition.sites[0].span) == "8:3"
    assert session.module.main.definition.source.text == CHAIN[CHAIN.index("(defchor main") :]


def test_what_a_function_defines_cannot_be_recompiled_by_name_and_says_so(session: Session) -> None:
    value(session, "(defchor leaf [A B] (-> A B) [x] (A->B x))")
    value(session, "(defn make [] (defchor inner [A B] (-> A B) [x] (leaf [A B] x)) inner)")
    value(session, "(setv made (make))")
    outcome = last(session, WIDER)
    assert "inner" in render(outcome, PLAIN)
    assert "not defined at the top" in render(last(session, ",recompile"), PLAIN)


def test_what_no_name_means_any_more_is_forgotten(session: Session) -> None:
    value(session, CHAIN)
    # Its last value, and the last three values, still are what `main` was.
    last(session, "(setv main 5) 1 2 3")
    gc.collect()
    assert "main" not in render(last(session, ",roles"), PLAIN)
    shown = render(last(session, ",deps main"), PLAIN)
    assert "main is not a choreography" in shown
    assert "did you mean main" not in shown


def test_mutual_recursion(session: Session) -> None:
    value(session, "(defchor even [A B] (-> #{A B} A))")
    value(session, "(defchor odd [A B] (-> #{A B} A) [n] (if (= n 0) (A False) (even [A B] (- n 1))))")
    value(session, "(defchor even [A B] (-> #{A B} A) [n] (if (= n 0) (A True) (odd [A B] (- n 1))))")
    assert value(session, "(simulate-chor even 4)")["A"] is True
    shown = render(last(session, ",deps even"), PLAIN)
    assert "odd" in shown
    assert "(see above)" in shown
    last(session, "(defchor even [A B] (-> #{A B} B) [n] (if (= n 0) (B True) (A->B (odd [A B] (- n 1)))))")
    assert [str(call.caller.name) for call in session.registry.stale()] == ["odd"]
    outcome = last(session, ",recompile")
    assert [each.choreography.name for each in outcome.output.done] == ["odd"]


def test_deps_shows_callers_and_callees_at_any_distance(session: Session) -> None:
    value(session, CHAIN)
    assert render(last(session, ",deps middle"), PLAIN).splitlines() == [
        "middle  (forall [A B] (-> A B | 0))",
        "called by:",
        "  main  <input 1>:5:1",
        "calls:",
        "  leaf  <input 1>:1:1",
    ]
    assert "called by:\n  middle  <input 1>:3:1\n    main  <input 1>:5:1\n" in render(last(session, ",deps leaf"), PLAIN)


def test_deps_marks_what_is_stale(session: Session) -> None:
    value(session, CHAIN)
    last(session, WIDER)
    assert "middle  <input 1>:3:1  stale: leaf changed" in render(last(session, ",deps main"), PLAIN)
    assert "stale: leaf changed" in render(last(session, ",type middle"), PLAIN)


def test_a_declaration_counts(session: Session) -> None:
    value(session, "(defchor leaf [A B] (-> A B))")
    value(session, "(defchor main [A B] (-> A B) [x] (leaf [A B] x))")
    outcome = last(session, WIDER)
    assert "main (<input 2>:1:1) is stale" in render(outcome, PLAIN)


def test_choreographies_of_imported_modules_are_known(
    session: Session, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "registry_shop.hy").write_text("(require klorpy *)\n" + CHAIN, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    outcome = last(session, "(import registry-shop)")
    assert outcome.defined == ()
    assert "main" in render(last(session, ",deps registry-shop.leaf"), PLAIN)
    assert value(session, ",sim registry-shop.main 3") is not None
    assert session.simulation is not None
    assert session.simulation["B"] == 3
