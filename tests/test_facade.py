"""The public face: the names are a contract, and each is what it says."""

from __future__ import annotations

import copy
import importlib.metadata
import inspect
import pickle
import types
from typing import Any

import hy
import hy.macros
import pytest

import klorpy

#: What users may rely on. A name is added here when it is made public, and never leaves.
PROMISED = {
    "AgreementViolated", "Choreography", "ChoreographyFailed", "KlorError", "KlorWarning", "Message", "Protocol", "RoleConfig",
    "Signature", "Simulation", "alter_opts", "evaluate", "explore", "load", "noop", "play_role", "project", "protocol", "run_role",
    "signature", "simulate_chor",
}  # fmt: skip

TELL = "(defchor tell [A B] (-> A B) [x] (A->B x))"


def test_the_promised_names_are_there() -> None:
    assert set(klorpy.__all__) >= PROMISED
    for name in klorpy.__all__:
        assert hasattr(klorpy, name)


def test_nothing_else_looks_public() -> None:
    """What is not in `__all__` is a room or begins with an underscore."""
    rooms = {name for name, value in vars(klorpy).items() if isinstance(value, types.ModuleType)}
    public = {name for name in vars(klorpy) if not name.startswith("_")}
    # What IPython looks for in a module that is loaded as an extension.
    hooks = {"load_ipython_extension", "unload_ipython_extension"}
    # Names that the module itself needs for typing.
    typing = {"TYPE_CHECKING", "Any"}
    assert (public | set(klorpy._LATE)) - rooms - hooks - typing == set(klorpy.__all__)


def test_the_version_is_the_one_that_is_installed() -> None:
    assert klorpy.__version__ == importlib.metadata.version("klorpy")


@pytest.mark.parametrize("name", sorted(PROMISED - {"noop"}))
def test_each_name_is_documented(name: str) -> None:
    assert inspect.getdoc(getattr(klorpy, name))


def test_the_macros_of_require() -> None:
    """`(require klorpy *)` gives defchor, the options, the names of the language and the standard library."""
    names = {
        hy.unmangle(name)
        for name in klorpy._hy_macros  # type: ignore[attr-defined]
    }
    language = {"lifting", "copy", "narrow", "pack", "unpack", "agree!", "agree", "chor", "inst", "loop", "recur"}
    assert names >= {"defchor", "defprotocol", "with-opts", "alter-opts!"} | language
    assert names >= {"move", "bcast", "scatter", "scatter-seq", "gather"}


@pytest.mark.parametrize(
    "form",
    ["(lifting [A] 1)", "(copy [A B] 1)", "(narrow [A] 1)", "(pack 1)", "(unpack [[a] 1] a)", "(agree! 1)",
     "(agree 1)", "(chor (-> A) [] 1)", "(inst f [A])", "(loop [i 0] i)", "(recur 1)"],
)  # fmt: skip
def test_forms_of_the_language_outside_of_a_choreography(form: str) -> None:
    with pytest.raises(klorpy.KlorError) as caught:
        klorpy.evaluate(f"(setv x 1)\n(+ x {form})")
    assert caught.value.slug == "unsupported-form"
    assert caught.value.span is not None
    assert (caught.value.span.line, caught.value.span.column) == (2, 6)
    assert caught.value.help


def test_evaluate_signature_project_simulate() -> None:
    ns = klorpy.evaluate(TELL)
    assert isinstance(ns, types.ModuleType)
    assert isinstance(ns.tell, klorpy.Choreography)
    assert klorpy.signature(ns.tell) == "(forall [A B] (-> A B | 0))"
    assert "yield (RECEIVE, A, s0)" in klorpy.project(ns.tell, "B")
    simulation = klorpy.simulate_chor(ns.tell, 5)
    assert simulation.results == {"A": klorpy.noop, "B": 5}
    assert simulation["B"] == 5
    assert simulation.messages == [klorpy.Message("A", "B", 5, simulation.messages[0].site)]
    assert simulation.channel("A", "B") == [5]
    assert simulation.channel("B", "A") == []
    assert simulation.outputs == {"A": "", "B": ""}
    assert simulation.failures == {}


def test_the_parameters_of_the_functions() -> None:
    """Names and defaults of the parameters that the documentation names."""
    found = inspect.signature(klorpy.simulate_chor).parameters
    assert {n: found[n].default for n in ("seed", "check", "order", "timeout")} == {
        "seed": 0, "check": True, "order": None, "timeout": None,
    }  # fmt: skip
    assert all(
        found[n].kind is inspect.Parameter.KEYWORD_ONLY for n in ("seed", "check", "order", "timeout", "sanitize")
    )
    assert list(inspect.signature(klorpy.play_role).parameters)[:2] == ["config", "chor"]
    assert inspect.iscoroutinefunction(klorpy.play_role)
    assert not inspect.iscoroutinefunction(klorpy.run_role)


def test_noop() -> None:
    noop = klorpy.noop
    assert repr(noop) == str(noop) == "noop"
    assert not noop
    assert type(noop)() is noop
    assert copy.copy(noop) is noop
    assert copy.deepcopy([noop])[0] is noop
    assert pickle.loads(pickle.dumps(noop)) is noop
    assert noop != None  # noqa: E711


def test_errors_have_the_promised_attributes() -> None:
    with pytest.raises(klorpy.KlorError) as caught:
        klorpy.evaluate("(defchor f [A B] (-> A B) [x]\n  (A->C x))")
    error = caught.value
    assert error.slug == "unknown-role"
    assert error.message
    assert error.message in str(error)
    assert error.span is not None
    assert (error.span.line, error.span.column, error.span.end_line, error.span.end_column) == (2, 4, 2, 7)
    assert isinstance(error.notes, tuple)
    assert error.help
    assert isinstance(error, SyntaxError)
    assert (error.lineno, error.offset, error.text) == (2, 4, "  (A->C x))")


def test_failure_carries_the_simulation() -> None:
    ns = klorpy.evaluate("(defchor f [A B] (-> A B) [x] (A->B (A (/ 1 x))))")
    with pytest.raises(klorpy.ChoreographyFailed) as caught:
        klorpy.simulate_chor(ns.f, 0)
    failed = caught.value
    assert isinstance(failed, klorpy.KlorError)
    assert isinstance(failed.__cause__, ZeroDivisionError)
    assert failed.simulation.failures == {"A": failed.__cause__}
    assert failed.simulation.verdict is failed


@pytest.mark.parametrize("value", [None, 5, "tell", print, lambda: None, klorpy.Choreography, object()])
@pytest.mark.parametrize("use", ["signature", "simulate_chor", "explore", "project", "run_role"])
def test_what_is_no_choreography(use: str, value: Any) -> None:
    calls = {
        "signature": lambda: klorpy.signature(value),
        "simulate_chor": lambda: klorpy.simulate_chor(value),
        "explore": lambda: klorpy.explore(value),
        "project": lambda: klorpy.project(value, "A"),
        "run_role": lambda: klorpy.run_role({"role": "A"}, value),
    }
    with pytest.raises(klorpy.KlorError) as caught:
        calls[use]()
    assert caught.value.slug == "not-a-chor"
    assert caught.value.help


def test_calling_a_choreography_like_a_function_says_what_to_do() -> None:
    ns = klorpy.evaluate(TELL)
    with pytest.raises(klorpy.KlorError, match="cannot be called") as caught:
        ns.tell(5)
    assert caught.value.slug == "not-callable"
    assert "simulate-chor tell" in caught.value.help


@pytest.mark.parametrize("source", [None, 5, b"(defchor)", ["x"]])
def test_evaluate_wants_text(source: Any) -> None:
    with pytest.raises(klorpy.KlorError) as caught:
        klorpy.evaluate(source)
    assert caught.value.slug == "bad-argument"


def test_load(tmp_path: Any) -> None:
    path = tmp_path / "my-shop.hy"
    path.write_text("; übung\n" + TELL, encoding="utf-8")
    ns = klorpy.load(path)
    assert ns.__name__ == "my_shop"
    assert klorpy.simulate_chor(ns.tell, "ü")["B"] == "ü"
    assert klorpy.load(str(path)).tell is not ns.tell


@pytest.mark.parametrize("kind", ["missing", "folder", "bytes"])
def test_load_of_what_cannot_be_read(tmp_path: Any, kind: str) -> None:
    path = tmp_path / "x.hy"
    if kind == "folder":
        path.mkdir()
    elif kind == "bytes":
        path.write_bytes(b'(print "\xff\xfe")')
    with pytest.raises(klorpy.KlorError) as caught:
        klorpy.load(path)
    assert caught.value.slug == "read-error"
    assert "x.hy" in caught.value.message


def test_project_of_a_role_that_takes_no_part() -> None:
    ns = klorpy.evaluate(TELL)
    with pytest.raises(klorpy.KlorError) as caught:
        klorpy.project(ns.tell, "C")
    assert caught.value.slug == "role-not-part"


def test_the_documentation_of_a_choreography() -> None:
    ns = klorpy.evaluate('(defchor f [A] (-> A A) "What it does." [x] x) (defchor g [A] (-> A A) [x] "not this")')
    assert ns.f.__doc__ == "What it does."
    assert ns.g.__doc__ is None
    assert ns.f.__name__ == "f"
    assert "f" in repr(ns.f)
    assert klorpy.signature(ns.f) in repr(ns.f)
