"""Definitions are live: late binding, pinning by runs under way, warnings about changed signatures."""

from __future__ import annotations

import importlib
import sys
import types
import warnings
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import klorpy
from klorpy.core.choreography import reachable

TELL = "(defchor tell [A B] (-> A B) [x] (A->B x))"
USE = "(defchor use [A B] (-> A B) [x] (tell [A B] x))"


def namespace(*texts: str) -> types.ModuleType:
    ns = klorpy.evaluate("")
    for text in texts:
        klorpy.evaluate(text, module=ns)
    return ns


def again(ns: types.ModuleType, text: str) -> list[str]:
    """Evaluate in a namespace; the texts of klorpy's warnings about signatures."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        klorpy.evaluate(text, module=ns)
    return [str(w.message) for w in caught if getattr(w.message, "slug", "") == "signature-changed"]


def b_of(chor: Any, *args: Any) -> Any:
    return klorpy.simulate_chor(chor, *args)["B"]


# --- Late binding -----------------------------------------------------------------------------------------------------


def test_a_redefinition_is_seen_by_callers_at_the_next_run() -> None:
    ns = namespace(TELL, USE)
    assert b_of(ns.use, 1) == 1
    tell = ns.tell
    assert again(ns, "(defchor tell [A B] (-> A B) [x] (A->B (A [x])))") == []
    assert ns.tell is tell
    assert b_of(ns.use, 1) == [1]
    assert b_of(tell, 1) == [1]


def test_whoever_holds_the_choreography_sees_the_new_definition() -> None:
    ns = namespace(TELL)
    other = namespace("")
    other.tell = ns.tell
    klorpy.evaluate(USE + "(defchor app [A B] (-> (-> A B | 0) A B) [f x] (f x)) (defchor v [A B] (-> A B) [x] (app [A B] (inst tell [A B]) x))", module=other)  # fmt: skip
    again(ns, "(defchor tell [A B] (-> A B) [x] (A->B (A [x])))")
    assert b_of(other.use, 1) == [1]
    assert b_of(other.v, 1) == [1]


def test_importers_see_the_new_definition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "live_shop.hy").write_text("(require klorpy *)\n" + TELL)
    (tmp_path / "live_use.hy").write_text("(require klorpy *)\n(import live-shop [tell])\n" + USE)
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        use, shop = importlib.import_module("live_use"), importlib.import_module("live_shop")
        again(shop, "(defchor tell [A B] (-> A B) [x] (A->B (A [x])))")
        assert use.tell is shop.tell
        assert b_of(use.use, 1) == [1]
        tell = shop.tell
        assert importlib.reload(shop).tell is tell
        assert b_of(use.use, 1) == 1
    finally:
        for name in ("live_use", "live_shop"):
            sys.modules.pop(name, None)


def test_a_forward_declaration_is_fulfilled_in_place() -> None:
    ns = namespace("(defchor tell [A B] (-> A B))", USE)
    tell = ns.tell
    with pytest.raises(klorpy.ChoreographyFailed) as failed:
        klorpy.simulate_chor(ns.use, 1)
    assert isinstance(failed.value.__cause__, klorpy.KlorError)
    assert failed.value.__cause__.slug == "not-defined"
    assert "tell" in str(failed.value)
    with pytest.raises(klorpy.KlorError) as caught:
        klorpy.simulate_chor(tell, 1)
    assert caught.value.slug == "not-defined"
    assert again(ns, TELL) == []
    assert ns.tell is tell
    assert b_of(ns.use, 1) == 1


def test_declaring_again_leaves_the_definition() -> None:
    ns = namespace(TELL, "(defchor tell [A B] (-> A B))")
    assert b_of(ns.tell, 1) == 1


def test_a_declaration_with_another_signature_is_no_definition() -> None:
    """Callers are compiled against what is declared; the definition that comes last decides, and says that it differs."""
    ns = namespace("(defchor tell [A B] (-> A B))", USE)
    messages = again(ns, "(defchor tell [A B] (-> A A) [x] (do (A->B x) x))")
    assert len(messages) == 1
    assert "was (forall [A B] (-> A B | 0))" in messages[0]
    assert messages[0].endswith("recompile the choreographies that call it: use")


def test_a_failing_redefinition_leaves_the_old_one() -> None:
    ns = namespace(TELL, USE)
    for text in ("(defchor tell [A B] (-> A B) [x] x)", "(defchor tell [A B] (-> A", "(defchor tell [A A] (-> A A) [x] x)",
                 "(defchor tell [A B] (-> A B) [x] (A->B (A (if x))))"):  # fmt: skip
        with pytest.raises(klorpy.KlorError):
            klorpy.evaluate(text, module=ns)
        assert klorpy.signature(ns.tell) == "(forall [A B] (-> A B | 0))"
        assert b_of(ns.use, 1) == 1
        assert b_of(ns.tell, 2) == 2


def test_a_failing_redefinition_does_not_mislead_the_compiler() -> None:
    """What follows is compiled against the definition that holds, not against the one that failed."""
    ns = namespace(TELL)
    with pytest.raises(klorpy.KlorError):
        klorpy.evaluate("(defchor tell [A B] (-> A A) [x] (A->C x))", module=ns)
    klorpy.evaluate(USE, module=ns)
    assert b_of(ns.use, 1) == 1


def test_a_function_may_take_the_name() -> None:
    ns = namespace(TELL, USE, "(defn tell [x] x)")
    failed = klorpy.simulate_chor(ns.use, 1, check=False)
    assert all(isinstance(e, klorpy.KlorError) and e.slug == "not-a-chor" for e in failed.failures.values())
    assert failed.failures


# --- Runs under way ---------------------------------------------------------------------------------------------------


REDEFINING = """
(import klorpy)
(setv module None)
(defn redefine [x]
  (klorpy.evaluate "(defchor step [A B] (-> A B) [x] (A->B (A [\\"new\\" x])))" :module module)
  x)
(defchor step [A B] (-> A B) [x] (A->B (A ["old" x])))
(defchor run [A B] (-> A [B B]) [x]
  (let [first (step [A B] x)]
    (A (redefine x))
    (pack first (step [A B] x))))
"""


def test_a_run_under_way_keeps_its_definitions() -> None:
    ns = namespace(REDEFINING)
    ns.module = ns
    assert b_of(ns.run, 1) == (["old", 1], ["old", 1])
    assert b_of(ns.run, 1) == (["new", 1], ["new", 1])


@pytest.mark.parametrize("seed", range(8))
def test_a_run_under_way_keeps_its_definitions_in_any_schedule(seed: int) -> None:
    ns = namespace(REDEFINING)
    ns.module = ns
    assert klorpy.simulate_chor(ns.run, 1, seed=seed)["B"] == (["old", 1], ["old", 1])


def test_a_recursive_run_under_way_keeps_its_definition() -> None:
    ns = namespace(
        """
(import klorpy)
(setv module None)
(defn redefine [n] (when (= n 3) (klorpy.evaluate "(defchor down [A B] (-> A B) [n] (A->B (A \\"new\\")))" :module module)) n)
(defchor down [A B] (-> A B) [n] (if (A=>B (A (= 0 (redefine n)))) (A->B (A "old")) (down [A B] (A (- n 1)))))"""
    )
    ns.module = ns
    assert b_of(ns.down, 5) == "old"
    assert b_of(ns.down, 5) == "new"


def test_a_played_role_keeps_its_definitions() -> None:
    ns = namespace(REDEFINING)
    ns.module = ns
    results = {}

    async def everyone() -> None:
        network = klorpy.MemoryNetwork("AB")

        async def play(role: str, *args: Any) -> None:
            results[role] = await klorpy.play_role({"role": role, "transport": network.endpoint(role)}, ns.run, *args)

        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                group.start_soon(play, "B")  # B has started, and waits, when A redefines
                await anyio.lowlevel.checkpoint()
                group.start_soon(play, "A", 1)

    anyio.run(everyone)
    assert results["B"] == (["old", 1], ["old", 1])


# --- Changed signatures -----------------------------------------------------------------------------------------------


def test_the_warning_about_a_changed_signature() -> None:
    ns = namespace(
        "(defchor auth [C A] (-> C #{C A}) [x] (C=>A x))",
        "(defchor get-token [C A] (-> C #{C A}) [x] (auth [C A] x))",
        "(defchor main-part [C A] (-> C #{C A}) [x] (auth [C A] (C x)))",
        "(defchor unrelated [C A] (-> C #{C A}) [x] (get-token [C A] x))",
    )
    messages = again(ns, "(defchor auth [C S A] (-> C #{C S A}) [x] (C=>S (C=>A x)))")
    assert messages == [
        "Signature of auth changed:\n"
        "  was (forall [C A] (-> C #{C A} | 0)),\n"
        "  is  (forall [C S A] (-> C #{C S A} | 0));\n"
        "recompile the choreographies that call it: get-token, main-part"
    ]


def test_the_warning_names_the_place_of_the_new_definition() -> None:
    ns = namespace(TELL)
    with pytest.warns(klorpy.KlorWarning, match="Signature of tell changed") as caught:
        klorpy.evaluate("\n\n(defchor tell [A B] (-> A #{A B}) [x] (A=>B x))", module=ns, filename="new.hy")
    assert (caught[0].filename, caught[0].lineno) == ("new.hy", 3)
    assert "recompile" not in str(caught[0].message)


def test_each_change_is_warned_about_also_the_same_one_again() -> None:
    """Python shows a warning once for each place; going to and fro has to be said each time."""
    ns = namespace(TELL)
    other = "(defchor tell [A B] (-> A #{A B}) [x] (A=>B x))"
    for text in (other, TELL, other, TELL):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            klorpy.evaluate(text, module=ns, filename="same.hy")
        assert len(caught) == 1


@pytest.mark.parametrize(
    "text",
    ["(defchor tell [P Q] (-> P Q) [y] (P->Q (P [y])))", "(defchor tell [B A] (-> B A) [x] (B->A x))",
     "(defchor tell [A B] (-> A B | 0) [x] (A->B x))"],
)  # fmt: skip
def test_names_of_roles_and_parameters_do_not_matter(text: str) -> None:
    ns = namespace(TELL, USE)
    assert again(ns, text) == []
    assert klorpy.simulate_chor(ns.use, 1).verdict is None


@pytest.mark.parametrize(
    "text",
    ["(defchor tell [A B] (-> B A) [x] (B->A x))", "(defchor tell [A B C] (-> A B) [x] (C->B (A->C x)))",
     "(defchor tell [A B] (-> A #{A B}) [x] (A=>B x))", "(defchor tell [A B] (-> A A B) [x y] (A->B x))",
     "(defchor tell [A B] (-> A [B]) [x] (pack (A->B x)))"],
)  # fmt: skip
def test_any_other_change_matters(text: str) -> None:
    ns = namespace(TELL, USE)
    (message,) = again(ns, text)
    assert message.endswith("recompile the choreographies that call it: use")


def test_dependents_are_those_of_the_current_definitions() -> None:
    ns = namespace(TELL, USE, "(defchor use2 [A B] (-> A B) [x] (tell [A B] x))")
    again(ns, "(defchor use [A B] (-> A B) [x] (A->B x))")
    (message,) = again(ns, "(defchor tell [A B] (-> A #{A B}) [x] (A=>B x))")
    assert message.endswith("call it: use2")


def test_dependents_of_other_modules_and_as_values_count() -> None:
    ns = namespace(TELL)
    other = namespace("")
    other.tell = ns.tell
    klorpy.evaluate("(defchor app [A B] (-> (-> A B | 0) A B) [f x] (f x)) (defchor far [A B] (-> A B) [x] (app [A B] (inst tell [A B]) x))", module=other)  # fmt: skip
    (message,) = again(ns, "(defchor tell [A B] (-> A #{A B}) [x] (A=>B x))")
    assert message.endswith("call it: far")


def test_a_recursive_choreography_is_not_its_own_dependent() -> None:
    ns = namespace("(defchor f [A B] (-> A B) [x] (if (A=>B x) (A->B x) (f [A B] (A 1))))")
    (message,) = again(ns, "(defchor f [A B] (-> A A) [x] (if (A=>B x) x (f [A B] (A 1))))")
    assert "recompile" not in message


def test_a_stale_call_under_verification() -> None:
    ns = namespace(TELL, "(with-opts {:verify {:signature True}} " + USE + ")")
    again(ns, "(defchor tell [A B] (-> A #{A B}) [x] (A=>B x))")
    simulation = klorpy.simulate_chor(ns.use, 1, check=False)
    assert set(simulation.failures) == {"A", "B"}
    for error in simulation.failures.values():
        assert isinstance(error, klorpy.KlorError)
        assert error.slug == "stale-dependent"
        assert "was (forall [A B] (-> A B | 0))" in error.message
        assert "is  (forall [A B] (-> A #{A B} | 0))" in error.message
    again(ns, "(with-opts {:verify {:signature True}} (defchor use [A B] (-> A #{A B}) [x] (tell [A B] x)))")
    assert klorpy.simulate_chor(ns.use, 1).results == {"A": 1, "B": 1}


# --- The registry -----------------------------------------------------------------------------------------------------


def test_what_a_run_can_reach() -> None:
    ns = namespace(
        TELL, USE, "(defchor far [A B] (-> A B) [x] (use [A B] x))", "(defchor other [A B] (-> A B) [x] (A->B x))"
    )
    assert {c.name for c in reachable(ns.far)} == {"far", "use", "tell"}
    assert {c.name for c in reachable(ns.other)} == {"other"}


def test_a_definition_knows_its_source() -> None:
    ns = klorpy.evaluate(f"; ü\n  {TELL} ; end", filename="shop.hy")
    definition = ns.tell.defined()
    assert definition.source.text == TELL
    assert definition.source.filename == "shop.hy"
    assert (definition.span.line, definition.span.column) == (2, 3)
    assert [site.kind for site in definition.sites] == ["message"]


def test_an_old_caller_does_not_keep_what_it_called() -> None:
    ns = namespace(TELL, USE)
    assert [c.name for c in ns.tell.callers] == ["use"]
    again(ns, "(defchor use [A B] (-> A B) [x] (A->B x))")
    assert list(ns.tell.callers) == []
