"""Files of a session: load, reload what changed, and save what was defined."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import klorpy
from klorpy.environment.session import Session, render
from tests.environment.asked import PLAIN, last, shown

LEAF = "(defchor leaf [A B] (-> A B) [x] (A->B x))"
MAIN = "(defchor main [A B] (-> A B) [x] (leaf [A B] x))"


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.chdir(tmp_path)
    with Session() as made:
        yield made


def value(session: Session, text: str) -> Any:
    shown(session, text)
    return last(session, text).value


def write(path: str, *forms: str) -> None:
    Path(path).write_text("\n".join(forms) + "\n", encoding="utf-8")


# --- Load -------------------------------------------------------------------------------------------------------------


def test_load_defines_in_the_session(session: Session) -> None:
    write("shop.hy", "(require klorpy *)", LEAF, MAIN)
    outcome = last(session, ",load shop.hy")
    assert render(outcome, PLAIN) == "shop.hy: leaf, main"
    assert outcome.defined == ("leaf", "main")
    assert value(session, "(simulate-chor main 3)")["B"] == 3


def test_load_takes_a_name_with_spaces(session: Session) -> None:
    write("my shop.hy", LEAF)
    assert "leaf" in shown(session, ",load my shop.hy")
    assert "leaf" in shown(session, ',load "my shop.hy"')


def test_a_file_finds_the_modules_beside_it(session: Session, tmp_path: Path) -> None:
    (tmp_path / "shops").mkdir()
    write("shops/prices_beside.py", "price = 7")
    write("shops/shop.hy", "(import prices-beside [price])")
    shown(session, ",load shops/shop.hy")
    assert session.module.price == 7


def test_what_is_wrong_in_a_file_is_shown_in_the_file(session: Session) -> None:
    write("shop.hy", "(setv first 1)", "(defchor f [A B] (-> A B) [x]", "  (A->C x))")
    outcome = last(session, ",load shop.hy")
    assert isinstance(outcome.error, klorpy.KlorError)
    assert "shop.hy:3:4" in render(outcome, PLAIN)
    assert session.module.first == 1


def test_a_file_that_cannot_be_read(session: Session) -> None:
    assert "cannot read" in render(last(session, ",load nowhere.hy"), PLAIN)


def test_warnings_of_a_file_are_told(session: Session) -> None:
    write("shop.hy", "(defchor f [A B] (-> A A) [x] x)")
    outcome = last(session, ",load shop.hy")
    assert [w.slug for w in outcome.warnings] == ["unused-role"]  # type: ignore[attr-defined]
    assert "shop.hy:1:" in render(outcome, PLAIN)


# --- Reload -----------------------------------------------------------------------------------------------------------


def test_reload_evaluates_files_that_changed_only(session: Session) -> None:
    write("a.hy", "(setv a (+ 1 (if (in \"a\" (globals)) a 0)))")
    write("b.hy", LEAF)
    shown(session, ",load a.hy")
    shown(session, ",load b.hy")
    assert shown(session, ",reload") == "no file has changed"
    write("b.hy", LEAF.replace("(A->B x)", "(A->B (A (* 2 x)))"))
    outcome = last(session, ",reload")
    assert render(outcome, PLAIN) == "b.hy: leaf"
    assert outcome.defined == ("leaf",)
    assert session.module.a == 1
    assert value(session, "(simulate-chor leaf 3)")["B"] == 6
    assert shown(session, ",reload") == "no file has changed"


def test_content_counts_and_not_the_time(session: Session, tmp_path: Path) -> None:
    import os

    write("b.hy", LEAF)
    shown(session, ",load b.hy")
    os.utime("b.hy", (1, 1))
    assert shown(session, ",reload") == "no file has changed"
    stamp = os.stat("b.hy")
    write("b.hy", LEAF.replace("(A->B x)", "(A->B (A 1))"))
    os.utime("b.hy", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert shown(session, ",reload") == "b.hy: leaf"


def test_reload_tells_of_changed_signatures_with_places(session: Session, tmp_path: Path) -> None:
    write("b.hy", "; a comment", LEAF)
    shown(session, ",load b.hy")
    shown(session, MAIN)
    write("b.hy", "(defchor leaf [A B] (-> A #{A B}) [x] (A=>B x))")
    text = shown(session, ",reload")
    assert "Signature of leaf changed" in text
    assert "main (<input" in text


def test_a_file_that_is_wrong_now_is_tried_again(session: Session) -> None:
    write("b.hy", LEAF)
    shown(session, ",load b.hy")
    write("b.hy", LEAF.replace("A->B", "A->C"))
    assert last(session, ",reload").error is not None
    assert last(session, ",reload").error is not None
    assert value(session, "(simulate-chor leaf 3)")["B"] == 3
    write("b.hy", LEAF)
    assert shown(session, ",reload") == "no file has changed"


def test_imported_modules_are_reloaded_too(session: Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    write("reload_store.hy", "(require klorpy *)", LEAF)
    write("reload_shop.hy", "(require klorpy *)", "(import reload-store [leaf])", MAIN)
    shown(session, "(import reload-shop)")
    assert shown(session, ",reload") == "no file has changed"
    write("reload_store.hy", "(require klorpy *)", LEAF.replace("(A->B x)", "(A->B (A (* 2 x)))"))
    assert shown(session, ",reload") == "reload_store.hy: leaf"
    assert value(session, "(simulate-chor reload-shop.main 3)")["B"] == 6


def test_modules_are_reloaded_in_the_order_in_which_they_use_each_other(
    session: Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    write("order_store.hy", "(require klorpy *)", LEAF)
    write("order_shop.hy", "(require klorpy *)", "(import order-store [leaf])", MAIN)
    shown(session, "(import order-shop)")
    write("order_store.hy", "(require klorpy *)", "(defchor leaf [A B] (-> A B B) [x y] (B (+ (A->B x) y)))")
    write(
        "order_shop.hy", "(require klorpy *)", "(import order-store [leaf])",
        "(defchor main [A B] (-> A B) [x] (leaf [A B] x (B 10)))",
    )  # fmt: skip
    text = shown(session, ",reload")
    assert text.endswith("order_store.hy: leaf\norder_shop.hy: main")
    assert value(session, "(simulate-chor order-shop.main 3)")["B"] == 13
    assert session.registry.stale() == []


def test_stale_choreographies_of_modules_are_recompiled(
    session: Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    write("stale_store.hy", "(require klorpy *)", LEAF)
    write(
        "stale_shop.hy", "(require klorpy *)", "(import stale-store [leaf])",
        "(defchor main [A B] (-> A B) [x] (narrow [B] (leaf [A B] x)))",
    )  # fmt: skip
    shown(session, "(import stale-shop)")
    write("stale_store.hy", "(require klorpy *)", "(defchor leaf [A B] (-> A #{A B}) [x] (A=>B x))")
    assert "stale_shop.hy:3:1) is stale" in shown(session, ",reload")
    failure = last(session, "(simulate-chor stale-shop.main 3)").error
    assert failure is not None
    assert getattr(failure.__cause__, "slug", None) == "stale-dependent"
    assert "main: recompiled" in shown(session, ",recompile")
    assert value(session, "(simulate-chor stale-shop.main 3)")["B"] == 3


def test_a_file_that_is_gone_is_left_alone(session: Session) -> None:
    write("a.hy", LEAF)
    write("b.hy", MAIN)
    shown(session, ",load a.hy")
    shown(session, ",load b.hy")
    Path("a.hy").unlink()
    write("b.hy", MAIN, "(setv more 1)")
    assert shown(session, ",reload") == "b.hy: main"
    assert value(session, "(simulate-chor main 3)")["B"] == 3


# --- Save -------------------------------------------------------------------------------------------------------------


def test_save_writes_definitions_that_can_be_loaded(session: Session) -> None:
    for text in (LEAF, MAIN, "(setv price 5)", "(defn twice [x] (* 2 x))", "(twice price)", "(simulate-chor main 1)"):
        shown(session, text)
    assert shown(session, ",save mine.hy") == "4 forms saved in mine.hy"
    text = Path("mine.hy").read_text(encoding="utf-8")
    assert "(twice price)" not in text
    with Session() as other:
        shown(other, ",load mine.hy")
        assert value(other, "(. (simulate-chor main (twice price)) results)")["B"] == 10
    ns = klorpy.load("mine.hy")
    assert klorpy.simulate_chor(ns.main, 3)["B"] == 3


def test_the_last_version_stands_where_the_first_stood(session: Session) -> None:
    for text in (LEAF, MAIN, LEAF.replace("(A->B x)", "(A->B (A (* 2 x)))")):
        shown(session, text)
    assert shown(session, ",save mine.hy") == "2 forms saved in mine.hy"
    forms = Path("mine.hy").read_text(encoding="utf-8")
    assert forms.index("(* 2 x)") < forms.index("defchor main")
    assert klorpy.simulate_chor(klorpy.load("mine.hy").main, 3)["B"] == 6


def test_an_update_is_saved_behind_its_definition(session: Session) -> None:
    update = LEAF.replace("defchor", "update").replace("(A->B x)", "(A->B (A (* 2 x)))")
    for text in (LEAF, MAIN, update):
        shown(session, text)
    assert shown(session, ",save mine.hy") == "3 forms saved in mine.hy"
    assert klorpy.simulate_chor(klorpy.load("mine.hy").main, 3)["B"] == 6
    shown(session, LEAF.replace("(A->B x)", "(A->B (A (* 5 x)))"))
    shown(session, ",save mine.hy")
    assert klorpy.simulate_chor(klorpy.load("mine.hy").main, 3)["B"] == 15


def test_an_update_of_a_scope_is_saved_between_the_definitions_that_it_stands_in(session: Session) -> None:
    around = "(defchor send [A B] (-> A B) [x] (scope say (A->B (A (* 2 x)))))"
    shown(session, around)
    shown(session, "(update say (A->B (A (* 3 x))))")
    shown(session, ",save mine.hy")
    assert klorpy.simulate_chor(klorpy.load("mine.hy").send, 1)["B"] == 3
    shown(session, around.replace("2", "5"))
    shown(session, ",save mine.hy")
    assert klorpy.simulate_chor(klorpy.load("mine.hy").send, 1)["B"] == 5


def test_a_version_that_uses_what_came_later_stays_behind_it(session: Session) -> None:
    for text in (LEAF, MAIN, "(defn twice [x] (* 2 x))", LEAF.replace("(A->B x)", "(A->B (A (twice x)))")):
        shown(session, text)
    assert shown(session, ",save mine.hy") == "4 forms saved in mine.hy"
    assert klorpy.simulate_chor(klorpy.load("mine.hy").main, 3)["B"] == 6


def test_mutual_recursion_is_saved_in_order(session: Session) -> None:
    for text in (
        "(defchor even [A B] (-> #{A B} A))",
        "(defchor odd [A B] (-> #{A B} A) [n] (if (= n 0) (A False) (even [A B] (- n 1))))",
        "(defchor even [A B] (-> #{A B} A) [n] (if (= n 0) (A True) (odd [A B] (- n 1))))",
    ):
        shown(session, text)
    shown(session, ",save mine.hy")
    assert klorpy.simulate_chor(klorpy.load("mine.hy").even, 4)["A"] is True


def test_what_no_longer_compiles_is_saved_as_a_comment(session: Session) -> None:
    for text in (LEAF, MAIN, "(defchor leaf [A B] (-> A B B) [x y] (B (+ (A->B x) y)))"):
        last(session, text)
    text = shown(session, ",save mine.hy")
    assert "commented out" in text
    assert "main" in text
    ns = klorpy.load("mine.hy")
    assert klorpy.simulate_chor(ns.leaf, 1, 2)["B"] == 3
    assert not hasattr(ns, "main")


def test_macros_options_and_imports_are_saved(session: Session) -> None:
    for text in (
        "(import math [floor])",
        "(defmacro double [x] `(* 2 ~x))",
        "(defreader five 5)",
        "(with-opts {:verify {:agreement True}} (defchor f [A B] (-> #{A B} A) [x] (A (+ x (double (floor 1.5)) #five))))",
    ):
        shown(session, text)
    shown(session, ",save mine.hy")
    ns = klorpy.load("mine.hy")
    assert klorpy.simulate_chor(ns.f, 1)["A"] == 8
    assert ns.f.definition.options["verify"]["agreement"] is True


def test_a_path_that_cannot_be_written(session: Session) -> None:
    assert "cannot write" in render(last(session, ",save no/such/folder/mine.hy"), PLAIN)
