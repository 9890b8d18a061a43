"""`(require klorpy *)` in a file, wherever the file is used: run, imported, imported again from bytecode, evaluated."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import types
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hy
import pytest

import klorpy

SHOP = """(require klorpy *)
(defchor buy [A B] (-> A B) [x] (A->B x))
(defchor show-all [A B] (-> A #{A B}) [x] (A=>B x))
"""

#: A file that uses `buy`: prints what B got for 5.
USE = '(require klorpy *)\n(import klorpy [simulate-chor])\n{}\n(print (get (simulate-chor use 5) "B"))\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that modules are imported from; what is imported from it is forgotten after the test."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    importlib.invalidate_caches()
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / f"{name}.hy").write_text(text, encoding="utf-8")


def environment(folder: Path, **more: str) -> dict[str, str]:
    found = {**os.environ, "PYTHONPATH": str(folder), "NO_COLOR": "1", **more}
    found.pop("PYTEST_CURRENT_TEST", None)
    return found


def python(folder: Path, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *args], cwd=folder, env=environment(folder, **env), capture_output=True, text=True, timeout=60
    )


def hy_command(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    command = Path(sys.executable).with_name("hy")
    return subprocess.run(
        [str(command), *args], cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=60
    )


# --- Ways to use a file -----------------------------------------------------------------------------------------------


def test_import_from_python(folder: Path) -> None:
    write(folder, shop=SHOP)
    shop = importlib.import_module("shop")
    assert klorpy.signature(shop.buy) == "(forall [A B] (-> A B | 0))"
    assert klorpy.simulate_chor(shop.buy, 5)["B"] == 5
    assert shop.buy.module == "shop"
    assert klorpy.project(shop.buy, "B").startswith("def buy_B(cast):")


@pytest.mark.parametrize("how", ["hy", "python -m hy", "python -m klorpy-less"])
def test_run_as_a_program(folder: Path, how: str) -> None:
    write(folder, main=USE.format("(defchor use [A B] (-> A B) [x] (A->B x))"))
    if how == "hy":
        done = hy_command(folder, "main.hy")
    elif how == "python -m hy":
        done = python(folder, "-m", "hy", "main.hy")
    else:
        # Hy alone is enough: nothing has imported klorpy when the file is read.
        done = python(folder, "-c", "import hy, runpy; runpy.run_path('main.hy', run_name='__main__')")
    assert (done.stdout, done.stderr, done.returncode) == ("5\n", "", 0)


def test_run_by_the_module_name(folder: Path) -> None:
    write(folder, main=USE.format("(defchor use [A B] (-> A B) [x] (A->B x))"))
    done = hy_command(folder, "-m", "main")
    assert (done.stdout, done.stderr) == ("5\n", "")


def test_one_line_on_the_command_line(folder: Path) -> None:
    done = hy_command(folder, "-c", USE.format("(defchor use [A B] (-> A B) [x] (A->B x))").replace("\n", " "))
    assert (done.stdout, done.stderr) == ("5\n", "")


def test_in_the_repl_of_hy(folder: Path) -> None:
    lines = "(require klorpy *)\n(defchor use [A B] (-> A B) [x]\n  (A->B x))\n(import klorpy)\n(klorpy.simulate-chor use 5)\n"
    lines += "(defchor use [A B] (-> A A) [x] (A (+ 1 x)))\n(. (klorpy.simulate-chor use 5) results)\n"
    done = subprocess.run(
        [sys.executable, "-m", "hy", "-i"], cwd=folder, env=environment(folder), input=lines, capture_output=True, text=True, timeout=60
    )  # fmt: skip
    assert "<simulation of use: ok, {A: noop, B: 5}, 1 message>" in done.stdout
    assert '"A" 6' in done.stdout
    assert "Signature of use changed" in done.stderr


@pytest.mark.parametrize("require", ["(require klorpy *)", "(require klorpy [defchor])", "(require klorpy)", "(require klorpy [defchor :as choreography])", ""])  # fmt: skip
def test_evaluate_with_any_way_to_require(require: str) -> None:
    """`evaluate` has required the macros already; doing it again does no harm."""
    name = "choreography" if ":as" in require else "klorpy.defchor" if require == "(require klorpy)" else "defchor"
    ns = klorpy.evaluate(f"{require}\n({name} buy [A B] (-> A B) [x] (A->B x))")
    assert klorpy.simulate_chor(ns.buy, 5)["B"] == 5


@pytest.mark.parametrize("form", ["(require klorpy [defchor])", "(require klorpy :as k)", "(require klorpy)"])
def test_the_names_of_the_language_need_not_be_required(form: str) -> None:
    """Inside a choreography `copy`, `pack` and the others mean the language, whatever was required."""
    name = {"(require klorpy :as k)": "k.defchor", "(require klorpy)": "klorpy.defchor"}.get(form, "defchor")
    module = types.ModuleType("m")
    text = f"{form} ({name} f [A B] (-> A [A B]) [x] (pack x (narrow [B] (copy [A B] x))))"
    hy.eval(hy.read_many(text), module=module)
    assert klorpy.simulate_chor(module.f, 5).results == {"A": (5,), "B": (5,)}


def test_hy_eval_in_a_module() -> None:
    module = types.ModuleType("m")
    value = hy.eval(hy.read_many(SHOP + "buy"), module=module)
    assert value is module.buy
    assert klorpy.simulate_chor(module.show_all, [1]).results == {"A": [1], "B": [1]}
    assert klorpy.project(module.buy, "A")


def test_hy_eval_without_require() -> None:
    module = types.ModuleType("m")
    hy.eval(hy.read("(hy.R.klorpy.defchor f [A B] (-> A B) [x] (A->B x))"), module=module)
    assert klorpy.simulate_chor(module.f, 5)["B"] == 5


def test_load(folder: Path) -> None:
    write(
        folder,
        shop=SHOP,
        main="(require klorpy *)\n(import shop [buy])\n(defchor use [A B] (-> A B) [x] (buy [A B] x))",
    )
    before = list(sys.path)
    ns = klorpy.load(folder / "main.hy")
    assert klorpy.simulate_chor(ns.use, 5)["B"] == 5
    assert sys.path == before
    assert "main" not in sys.modules


def test_a_script_with_a_shebang(folder: Path) -> None:
    write(folder, main="#!/usr/bin/env hy\n" + USE.format("(defchor use [A B] (-> A B) [x] (A->B x))"))
    assert hy_command(folder, "main.hy").stdout == "5\n"
    klorpy.load(folder / "main.hy")


# --- One file uses another --------------------------------------------------------------------------------------------


IMPORTS = {
    "name": ("(import shop [buy])", "buy"),
    "alias": ("(import shop [buy :as purchase])", "purchase"),
    "module": ("(import shop)", "shop.buy"),
    "module alias": ("(import shop :as s)", "s.buy"),
    "star": ("(import shop *)", "buy"),
    "in do": ("(do (import shop [buy]))", "buy"),
    "compile time": ("(eval-and-compile (import shop [buy]))", "buy"),
    "second": ("(import os shop [buy show-all] sys)", "buy"),
    "package": ("(import pkg.inner)", "pkg.inner.buy"),
    "package alias": ("(import pkg.inner :as i)", "i.buy"),
    "package name": ("(import pkg.inner [buy])", "buy"),
    "submodule": ("(import pkg [inner])", "inner.buy"),
    "package that imports": ("(import pkg.rel [again])", "again"),
    "facade": ("(import pkg2)", "pkg2.buy"),
}


def packages(folder: Path) -> None:
    relative = (
        "(require klorpy *)\n(import .inner [buy])\n(import . [inner :as here])\n"
        "(defchor one [A B] (-> A B) [x] (buy [A B] x))\n(defchor again [A B] (-> A B) [x] (here.buy [A B] (A x)))"
    )
    files = {
        "shop.hy": SHOP, "pkg/__init__.py": "", "pkg/inner.hy": SHOP, "pkg/rel.hy": relative,
        "pkg2/__init__.hy": "(import .inner [buy])", "pkg2/inner.hy": SHOP,
    }  # fmt: skip
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize("kind", IMPORTS)
def test_a_choreography_of_another_file(folder: Path, kind: str) -> None:
    """The whole file is compiled before its `import` forms run."""
    packages(folder)
    form, name = IMPORTS[kind]
    write(folder, main=USE.format(f"{form}\n(defchor use [A B] (-> A B) [x] ({name} [A B] x))"))
    done = hy_command(folder, "main.hy")
    assert (done.stdout, done.stderr) == ("5\n", "")


@pytest.mark.parametrize("kind", IMPORTS)
def test_a_choreography_of_another_file_form_by_form(folder: Path, kind: str) -> None:
    packages(folder)
    form, name = IMPORTS[kind]
    ns = klorpy.evaluate(f"{form}\n(defchor use [A B] (-> A B) [x] ({name} [A B] x))")
    assert klorpy.simulate_chor(ns.use, 5)["B"] == 5


def test_a_choreography_of_another_file_as_a_value(folder: Path) -> None:
    write(folder, shop=SHOP, main=USE.format(
        "(import shop)\n(defchor app [A B] (-> (-> A B | 0) A B) [f x] (f x))\n"
        "(defchor use [A B] (-> A B) [x] (app [A B] (inst shop.buy [A B]) x))"
    ))  # fmt: skip
    assert hy_command(folder, "main.hy").stdout == "5\n"


def test_an_import_that_fails_says_so_where_it_stands(folder: Path) -> None:
    write(folder, main="(require klorpy *)\n(import nowhere-shop [buy])\n(setv x 1)")
    done = hy_command(folder, "main.hy")
    assert "ModuleNotFoundError: No module named 'nowhere_shop'" in done.stderr


def test_a_mistake_in_the_other_file_is_shown_there(folder: Path) -> None:
    write(folder, shop="(require klorpy *)\n(defchor buy [A B] (-> A B) [x]\n  (A->C x))",
          main="(require klorpy *)\n(import shop [buy])\n(defchor use [A B] (-> A B) [x] (buy [A B] x))")  # fmt: skip
    with pytest.raises(klorpy.KlorError) as caught:
        importlib.import_module("main")
    assert caught.value.slug == "unknown-role"
    assert "shop.hy:3:4" in caught.value.render()


def test_a_module_of_ones_own_name_is_not_the_imported_one(folder: Path) -> None:
    """A definition replaces the imported name here, and leaves the other module alone."""
    write(
        folder, shop=SHOP, main="(require klorpy *)\n(import shop [buy])\n(defchor buy [A B] (-> A A) [x] (A->B x) x)"
    )
    text = "(import shop [buy]) (defchor buy [A B] (-> A #{A B}) [x] (A=>B x))"
    ns = klorpy.evaluate(text)
    shop = importlib.import_module("shop")
    assert ns.buy is not shop.buy
    assert klorpy.signature(shop.buy) == "(forall [A B] (-> A B | 0))"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", klorpy.KlorWarning)
        main = importlib.import_module("main")
    assert klorpy.signature(main.buy) == "(forall [A B] (-> A A | B))"
    assert klorpy.signature(shop.buy) == "(forall [A B] (-> A B | 0))"


# --- Bytecode ---------------------------------------------------------------------------------------------------------


PRINT_B = "import klorpy, main; print(klorpy.simulate_chor(main.use, 5)['B'])"


def bytecode(folder: Path) -> dict[str, int]:
    return {path.name.split(".")[0]: path.stat().st_mtime_ns for path in (folder / "__pycache__").glob("*.pyc")}


def test_the_second_import_comes_from_bytecode(folder: Path) -> None:
    write(
        folder,
        shop=SHOP,
        main="(require klorpy *)\n(import shop [buy])\n(defchor use [A B] (-> A B) [x] (buy [A B] x))",
    )
    first = python(folder, "-c", PRINT_B, PYTHONDONTWRITEBYTECODE="")
    assert (first.stdout, first.stderr) == ("5\n", "")
    written = bytecode(folder)
    assert set(written) == {"shop", "main"}
    # The second process may not compile a choreography: its compiler is broken.
    broken = (
        "import klorpy.language.pipeline as p, klorpy.language.macros as m\n"
        "def no(*args): raise SystemExit('compiled again')\n"
        "p.compile_defchor = no\n"
        "if hasattr(m, 'compile_defchor'): m.compile_defchor = no\n" + PRINT_B
    )
    second = python(folder, "-c", broken, PYTHONDONTWRITEBYTECODE="")
    assert (second.stdout, second.stderr) == ("5\n", "")
    assert bytecode(folder) == written
    projected = python(
        folder, "-c", "import klorpy, main; print(klorpy.project(main.use, 'A'))", PYTHONDONTWRITEBYTECODE=""
    )
    assert "buy" in projected.stdout


def test_options_hold_when_a_module_comes_from_bytecode(folder: Path) -> None:
    write(folder, main="(require klorpy *)\n(with-opts {:verify {:agreement True}} (defchor use [A B] (-> #{A B} B) [x] (narrow [B] x)))\n"
                       "(alter-opts! {:verify {:signature True}})")  # fmt: skip
    code = "import klorpy, main; print(len(klorpy.simulate_chor(main.use, 5).messages), klorpy.alter_opts({}))"
    outputs = {python(folder, "-c", code, PYTHONDONTWRITEBYTECODE="").stdout for _ in range(2)}
    assert outputs == {"2 {'verify': {'agreement': False, 'signature': True}}\n"}


@pytest.mark.parametrize("form", ["(import shop [buy])", "(import shop)", "(import shop :as s)"])
def test_bytecode_that_outlived_a_change_of_another_file(folder: Path, form: str) -> None:
    name = {"(import shop)": "shop.buy", "(import shop :as s)": "s.buy"}.get(form, "buy")
    write(folder, shop=SHOP, main=f"(require klorpy *)\n{form}\n(defchor use [A B] (-> A B) [x] ({name} [A B] x))")
    assert python(folder, "-c", PRINT_B, PYTHONDONTWRITEBYTECODE="").stdout == "5\n"
    write(folder, shop="(require klorpy *)\n; changed\n(defchor buy [A B] (-> A A) [x] (do (A->B x) x))")
    # A size of its own and a later time: the bytecode of shop itself is stale beyond doubt.
    os.utime(folder / "shop.hy", (4_000_000_000, 4_000_000_000))
    code = f"import klorpy\ntry:\n    {PRINT_B.replace(chr(10), ';')}\nexcept klorpy.KlorError as e: print(e.slug, e.message, e.help, sep='; ')"
    done = python(folder, "-c", code, PYTHONDONTWRITEBYTECODE="")
    slug, message, help_ = done.stdout.strip().split("; ")
    assert slug == "stale-bytecode"
    assert "use" in message
    assert "(forall [A B] (-> A B | 0))" in message
    assert "(forall [A B] (-> A A | B))" in message
    assert "main.hy" in help_
    # What the help says helps: compiled again, the mistake is shown where it is.
    os.utime(folder / "main.hy", (4_000_000_000, 4_000_000_000))
    again = python(folder, "-c", code, PYTHONDONTWRITEBYTECODE="")
    assert again.stdout.startswith("return-type-mismatch; ")


def test_bytecode_stays_when_only_the_body_of_another_file_changed(folder: Path) -> None:
    write(
        folder,
        shop=SHOP,
        main="(require klorpy *)\n(import shop [buy])\n(defchor use [A B] (-> A B) [x] (buy [A B] x))",
    )
    assert python(folder, "-c", PRINT_B, PYTHONDONTWRITEBYTECODE="").stdout == "5\n"
    written = bytecode(folder)
    write(folder, shop="(require klorpy *)\n(defchor buy [P Q] (-> P Q) [x] (P->Q (P (+ 1 x))))")
    os.utime(folder / "shop.hy", (4_000_000_000, 4_000_000_000))
    done = python(folder, "-c", PRINT_B, PYTHONDONTWRITEBYTECODE="")
    assert (done.stdout, done.stderr) == ("6\n", "")
    assert bytecode(folder)["main"] == written["main"]


# --- Inside other forms -----------------------------------------------------------------------------------------------


def b_of(ns: Any, name: str, *args: Any) -> Any:
    return klorpy.simulate_chor(getattr(ns, name), *args)["B"]


def test_inside_a_function_each_call_makes_one() -> None:
    ns = klorpy.evaluate(
        "(defn make [n] (defchor add [A B] (-> A B) [x] (A->B (A (+ x n)))) add)\n(setv one (make 1) ten (make 10))"
    )
    assert ns.one is not ns.ten
    assert (b_of(ns, "one", 5), b_of(ns, "ten", 5)) == (6, 15)
    assert not hasattr(ns, "add")


def test_inside_a_function_they_call_each_other() -> None:
    ns = klorpy.evaluate(
        """
(defn make [n]
  (defchor od [A B] (-> A B))
  (defchor ev [A B] (-> A B) [x] (if (A=>B (A (= x 0))) (A->B (A #("even" n))) (od [A B] (A (- x 1)))))
  (defchor od [A B] (-> A B) [x] (if (A=>B (A (= x 0))) (A->B (A #("odd" n))) (ev [A B] (A (- x 1)))))
  ev)
(setv one (make 1) two (make 2))"""
    )
    assert [b_of(ns, "one", 4), b_of(ns, "two", 5)] == [("even", 1), ("odd", 2)]


def test_inside_a_function_a_name_of_the_module_is_not_touched() -> None:
    ns = klorpy.evaluate(
        "(defchor f [A B] (-> A B) [x] (A->B x))\n"
        "(defn make [] (defchor f [A B] (-> A #{A B}) [x] (A=>B x)) (defchor g [A B] (-> A #{A B}) [x] (f [A B] x)) g)\n"
        "(setv g (make))"
    )
    assert klorpy.signature(ns.f) == "(forall [A B] (-> A B | 0))"
    assert b_of(ns, "g", 1) == 1


def test_a_local_declaration_is_not_the_module_s_choreography() -> None:
    ns = klorpy.evaluate(
        "(defchor f [A B] (-> A B) [x] (A->B x))\n"
        "(defn make [] (defchor f [A B] (-> A A)) (setv declared f) (defchor f [A B] (-> A A) [x] (do (A->B x) x)) #(declared f))"
    )
    declared, made = ns.make()
    assert declared is not ns.f
    assert made is not ns.f
    assert klorpy.signature(ns.f) == "(forall [A B] (-> A B | 0))"
    assert klorpy.signature(declared) == "(forall [A B] (-> A A | B))"


def test_a_local_declaration_is_fulfilled_by_the_definition() -> None:
    """Whoever got hold of the declared choreography can run it once it is defined."""
    ns = klorpy.evaluate(
        "(defn make [] (defchor f [A B] (-> A B)) (setv declared f) (defchor f [A B] (-> A B) [x] (A->B x)) #(declared f))"
    )
    declared, made = ns.make()
    assert declared is made
    assert klorpy.simulate_chor(declared, 1)["B"] == 1
    assert ns.make()[0] is not declared


def test_inside_let() -> None:
    ns = klorpy.evaluate("(let [n 5 m (+ n 1)] (defchor f [A B] (-> A B) [x] (A->B (A [x n m]))))")
    assert b_of(ns, "f", 1) == [1, 5, 6]


def test_a_let_that_hides_the_name() -> None:
    """As with defn: the definition is the module's, and the local keeps its value inside the let."""
    ns = klorpy.evaluate("(setv seen (let [f 5] (defchor f [A B] (-> A B) [x] (A->B x)) 1))")
    assert b_of(ns, "f", 3) == 3


def test_inside_a_class_and_a_branch() -> None:
    ns = klorpy.evaluate(
        "(defclass K [] (defchor f [A B] (-> A B) [x] (A->B x)))\n(when True (defchor g [A B] (-> A B) [x] (A->B x)))\n"
        "(try (defchor h [A B] (-> A B) [x] (A->B x)) (finally (setv done 1)))\n(setv f K.f)"
    )
    assert [b_of(ns, name, 1) for name in "fgh"] == [1, 1, 1]


def test_the_value_of_the_form_is_the_choreography() -> None:
    ns = klorpy.evaluate(
        "(setv it (defchor f [A B] (-> A B) [x] (A->B x)))\n(setv all [(defchor g [A B] (-> A B) [x] (A->B x)) f])"
    )
    assert ns.it is ns.f
    assert ns.all == [ns.g, ns.f]


def test_made_by_a_macro() -> None:
    ns = klorpy.evaluate(
        '(defmacro sender [name p q] `(defchor ~name [~p ~q] (-> ~p ~q) [x] (~(hy.models.Symbol (+ p "->" q)) x)))\n'
        "(sender tell Ana Bo)"
    )
    assert klorpy.signature(ns.tell) == "(forall [Ana Bo] (-> Ana Bo | 0))"
    assert klorpy.simulate_chor(ns.tell, 7)["Bo"] == 7


@pytest.mark.parametrize("reader", ["defreader", "macro"])
def test_a_definition_that_uses_a_reader_macro(reader: str) -> None:
    text = "(defreader up (.parse-one-form &reader) '5)\n" if reader == "defreader" else "(defmacro up [x] 5)\n"
    use = "#up x" if reader == "defreader" else "(up x)"
    ns = klorpy.evaluate(text + f"(defchor f [A B] (-> A B) [x] (A->B (A [{use} x])))")
    assert b_of(ns, "f", 1) == [5, 1]
    assert "(RECEIVE, A, s0)" in klorpy.project(ns.f, "B")


def test_projecting_a_definition_inside_a_function() -> None:
    """Its text alone no longer says what its names mean: the projection is shown, or the error says why not."""
    ns = klorpy.evaluate(
        "(defn make [n] (defchor g [A B] (-> A B) [x] (A->B (A [x n]))) (defchor h [A B] (-> A B) [x] (g [A B] x)) h)\n"
        "(setv h (make 1))"
    )
    try:
        text = klorpy.project(ns.h, "B")
    except klorpy.KlorError as error:
        assert error.slug != "unknown-symbol"  # noqa: PT017
        assert "function" in error.message  # noqa: PT017
    else:
        assert "CALL, g" in text


# --- Where a mistake is shown -----------------------------------------------------------------------------------------


MISTAKES = {
    "short": ("(A->C x)", "A->C", "unknown-role"),
    "argument": ("(B (+ 1 x))", "x", "agreement-op-arg"),
    "second line": ("(do (A (print 1))\n      (narrow [B] (A 2)))", "(A 2)", "narrow-missing-role"),
    "unicode": ('(do (A (print "ünï漢")) (A->C x))', "A->C", "unknown-role"),
    "several lines": ("(A->C\n      x)", "A->C", "unknown-role"),
    "in a macro's argument": ("(when True (A->C x))", "A->C", "unknown-role"),
}


@pytest.mark.parametrize("kind", MISTAKES)
@pytest.mark.parametrize("command", ["hy", "import"])
def test_the_caret_is_under_the_guilty_form(folder: Path, kind: str, command: str) -> None:
    body, guilty, slug = MISTAKES[kind]
    text = f"(require klorpy *)\n(defn first [x]\n  x)\n(defchor f [A B] (-> A B) [x]\n  {body})\n"
    write(folder, main=text)
    done = hy_command(folder, "main.hy") if command == "hy" else python(folder, "-c", "import klorpy, main")
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    caret = max(i for i, line in enumerate(lines) if line.strip() and set(line.strip()) == {"^"})
    shown, marks = lines[caret - 1], lines[caret]
    assert shown[marks.index("^") :].startswith(guilty)
    if command == "hy" or sys.version_info >= (3, 12):
        # Python 3.11 itself marks one character of a subclass of SyntaxError.
        assert marks.count("^") == len(guilty)
    number = text[: text.index(guilty if kind != "argument" else "x))")].count("\n") + 1
    assert any("main.hy" in line and f"line {number}" in line for line in lines[:caret])
    assert any(slug in line for line in lines[caret:])
    assert any(line.startswith("help: ") for line in lines[caret:])


def test_the_hy_command_hides_the_compiler(folder: Path) -> None:
    """What the user sees is the place in the file, not frames of klorpy or of Hy."""
    write(folder, main="(require klorpy *)\n(defchor f [A B] (-> A B) [x]\n  (A->C x))\n")
    shown = hy_command(folder, "main.hy").stderr
    assert "hy_adapter.py" not in shown
    assert "pipeline.py" not in shown
    assert "macros.py" not in shown


def test_a_mistake_defines_nothing() -> None:
    ns = klorpy.evaluate("(setv before 1)")
    with pytest.raises(klorpy.KlorError):
        klorpy.evaluate("(setv first 1)\n(defchor f [A B] (-> A B) [x] x)\n(setv after 1)", module=ns)
    assert hasattr(ns, "first")
    assert not hasattr(ns, "f")
    assert not hasattr(ns, "after")


def test_a_mistake_in_one_definition_does_not_hide_that_of_another() -> None:
    """All mistakes of one definition are reported together."""
    with pytest.raises(klorpy.KlorError) as caught:
        klorpy.evaluate("(defchor f [A B] (-> A B) [x]\n  (A->C x)\n  (B (+ 1 x))\n  (A->B (nope [A B] x)))")
    assert {d.slug for d in caught.value.diagnostics} == {"unknown-role", "agreement-op-arg", "unknown-symbol"}
    assert len(caught.value.diagnostics) == 3
