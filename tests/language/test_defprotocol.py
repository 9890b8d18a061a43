"""`defprotocol`: what it binds, and that its errors are at the user's form."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import klorpy
from klorpy.environment.present import Palette
from klorpy.environment.session import Session, render


def test_a_protocol_is_a_value_of_its_module() -> None:
    ns = klorpy.evaluate("(defprotocol Log-in [user site] (-> user site (password str)) (branch site user (ok) (no)))")
    assert isinstance(ns.Log_in, klorpy.Protocol)
    assert ns.Log_in.roles == ("user", "site")
    assert repr(ns.Log_in) == "(defprotocol Log-in [user site] (-> user site (password str)) (branch site user (ok end) (no end)))"


def test_protocols_of_the_module_can_be_used() -> None:
    ns = klorpy.evaluate("(defprotocol One [A B] (-> A B int))\n(defprotocol Two [A B] (do One A B) (do One B A))")
    assert list(ns.Two.library) == ["One"]


@pytest.mark.parametrize(
    ("text", "slug", "place"),
    [
        ("(setv x 1)\n(defprotocol P [A B]\n  (-> A B int)\n  (-> A C int))", "unbound-role", "4:3"),
        ("(do\n  (defprotocol P [A B] (-> A A int)))", "self-message", "2:24"),
        ("(defprotocol P [A B] (foo))", "bad-protocol", "1:22"),
        ("(defprotocol P)", "bad-protocol", "1:1"),
        ("(defprotocol 5 [A B])", "bad-protocol", "1:1"),
        ("(defprotocol P [A B] (do Q A B))", "undefined-protocol", "1:22"),
        ("(defprotocol P [A A])", "dup-role", "1:19"),
    ],
)
def test_errors_are_at_the_users_form(text: str, slug: str, place: str) -> None:
    with pytest.raises(klorpy.KlorError) as caught:
        klorpy.evaluate(text, filename="shop.hy")
    assert caught.value.slug == slug
    assert str(caught.value.span) == place
    assert f"shop.hy:{place}" in caught.value.render()


def test_a_protocol_made_by_a_macro() -> None:
    ns = klorpy.evaluate("""
        (defmacro sending [name sort] `(defprotocol ~name [A B] (-> A B ~sort)))
        (sending Numbers int)
        (sending Words str)""")
    assert (str(ns.Numbers), str(ns.Words)) == ("Numbers[A, B] = A->B:<int>; end", "Words[A, B] = A->B:<str>; end")


def test_the_theory_is_loaded_when_a_protocol_is_declared() -> None:
    code = (
        "import sys, klorpy\n"
        "assert 'klorpy.behaviour' not in sys.modules\n"
        "klorpy.evaluate('(defchor f [A B] (-> A B) [x] (A->B x))')\n"
        "assert 'klorpy.behaviour' not in sys.modules\n"
        "klorpy.evaluate('(defprotocol P [A B] (-> A B int))')\n"
        "assert 'klorpy.behaviour' in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_module_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "declared.hy").write_text("(require klorpy *)\n(defprotocol P [A B] (-> A B int))\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    code = "import klorpy, declared; print(declared.P)"
    for _ in range(2):  # compiled, and from bytecode
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.stdout == "P[A, B] = A->B:<int>; end\n", done.stderr


def test_at_the_prompt_a_protocol_shows_itself() -> None:
    session = Session()
    [outcome] = session.evaluate("(defprotocol P [A B] (-> A B int))")
    assert render(outcome, Palette((), False)) == "(defprotocol P [A B] (-> A B int))"
