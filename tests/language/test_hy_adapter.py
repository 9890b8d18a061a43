"""Facts about Hy that klorpy leans on. When a new Hy breaks one, this file says which, and `hy_adapter` is to mend."""

from __future__ import annotations

import ast
import builtins
import inspect
import types
from typing import Any

import hy
import hy.macros
import pytest
from hy.compiler import HyASTCompiler, Result
from hy.models import Dict, Expression, FString, Integer, Keyword, List, Set, String, Symbol, Tuple

import klorpy
from klorpy.core.diagnostics import KlorError
from klorpy.core.spans import Source, Span
from klorpy.language import hy_adapter as hya
from klorpy.language.hy_adapter import Compiler, as_data, compile_toplevel, dotted_name, read_forms, show_form, span_of


def compiler_for(text: str = "", name: str = "probe") -> tuple[Compiler, types.ModuleType]:
    module = types.ModuleType(name)
    return Compiler(HyASTCompiler(module, filename="probe.hy", source=text)), module


def probe(module: types.ModuleType, text: str) -> Any:
    """What the macro `(probe form …)` sees, called at the place of `text` where it stands."""
    seen: list[tuple[Compiler, Any]] = []

    def macro(_hy_compiler: HyASTCompiler, *forms: Any) -> Any:
        seen.append((Compiler(_hy_compiler), forms))
        found.append(look(seen[-1][0], forms))
        return Symbol("None")

    look = module.__dict__.pop("look")
    found: list[Any] = []
    module.__dict__.setdefault("_hy_macros", {})["probe"] = macro
    hy.eval(hy.read_many(text, filename="probe.hy"), module=module)
    return found[0] if len(found) == 1 else found


# --- Positions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("x", (1, 1, 1, 1)), ("  foo", (1, 3, 1, 5)), ("(f\n  x)", (1, 1, 2, 4)), ('"a\nb"', (1, 1, 2, 2)),
        ("[1 2]", (1, 1, 1, 5)), ("#{1}", (1, 1, 1, 4)), ("#(1 2)", (1, 1, 1, 6)), ("{}", (1, 1, 1, 2)), (":kw", (1, 1, 1, 3)),
        ("'x", (1, 1, 1, 2)), ('f"{x}"', (1, 1, 1, 6)), ("a.b", (1, 1, 1, 3)), ("A->B", (1, 1, 1, 4)),
        ("; c\n\n (ü)", (3, 2, 3, 4)), ("\t(f)", (1, 2, 1, 4)), ("#_ skipped x", (1, 12, 1, 12)),
    ],
)  # fmt: skip
def test_positions_count_from_one_and_include_the_end(text: str, span: tuple[int, int, int, int]) -> None:
    assert span_of(hy.read(text)) == Span(*span)


def test_each_part_has_its_own_position() -> None:
    form = hy.read("(f [a\n (b)] :k {x 1})")
    assert [span_of(part) for part in form] == [
        Span(1, 2, 1, 2), Span(1, 4, 2, 5), Span(2, 7, 2, 8), Span(2, 10, 2, 14)
    ]  # fmt: skip
    assert span_of(form[1][1]) == Span(2, 2, 2, 4)


def test_a_form_made_by_a_program_has_the_position_that_it_is_given() -> None:
    assert span_of(Symbol("x")) == Span(1, 1, 1, 1)
    assert span_of(Symbol("x"), Span(3, 4, 5, 6)) == Span(3, 4, 5, 6)
    placed = Expression([Symbol("x")]).replace(hy.read("\n  y"))
    assert span_of(placed) == Span(2, 3, 2, 3)
    assert span_of(placed[0]) == Span(2, 3, 2, 3)


def test_columns_of_compiled_code_become_those_of_python() -> None:
    """Hy gives columns from 1 in characters; Python wants them from 0 in bytes of UTF-8."""
    text = '(print "ü"  (+ é 1))'
    source = Source("x.hy", text)
    body, value = hy.compiler.hy_compile(hy.read(text), types.ModuleType("m"), get_expr=True)  # type: ignore[attr-defined]
    before = [n.col_offset for n in ast.walk(value) if isinstance(n, ast.BinOp)]
    assert before == [text.index("(+") + 1]
    hya.shift_columns([body, value], source)
    (node,) = (n for n in ast.walk(value) if isinstance(n, ast.BinOp))
    assert text.encode()[node.col_offset : node.end_col_offset].decode() == "(+ é 1)"


@pytest.mark.parametrize("end", ["\x0c", "\u2028", "\x85"], ids=ascii)
def test_columns_after_a_character_that_ends_no_line(end: str) -> None:
    text = f'(print "ü{end}"\n "é" (+ é 1))'
    body, value = hy.compiler.hy_compile(hy.read(text), types.ModuleType("m"), get_expr=True)  # type: ignore[attr-defined]
    hya.shift_columns([body, value], Source("x.hy", text))
    (node,) = (n for n in ast.walk(value) if isinstance(n, ast.BinOp))
    line = text.split("\n")[node.lineno - 1].encode()
    assert line[node.col_offset : node.end_col_offset].decode() == "(+ é 1)"


# --- Names ------------------------------------------------------------------------------------------------------------


def test_arrows_and_roles_are_single_symbols() -> None:
    for text in ("A->B", "A=>B", "agree!", "Ana-Maria->Bo", "->", "|"):
        assert hy.read(text) == Symbol(text)
    assert hy.read("0") == Integer(0)


def test_names_that_become_the_same_python_name() -> None:
    assert hy.mangle("front-end") == hy.mangle("front_end") == "front_end"
    assert hy.mangle("agree!") == "hyx_agreeXexclamation_markX"


@pytest.mark.parametrize(
    ("text", "name"),
    [("a.b", "a.b"), ("a.b-c.d", "a.b-c.d"), ("(. a b)", "a.b"), ("a", None), (".b", None), ("(. a [0])", None),
     ("(. (f) b)", None), ("(.b a)", None), ("5", None), ("()", None)],
)  # fmt: skip
def test_dotted_name(text: str, name: str | None) -> None:
    assert dotted_name(hy.read(text)) == name


def test_a_method_head_is_read_with_none() -> None:
    assert hy.read("(.m x)") == Expression([Expression([Symbol("."), Symbol("None"), Symbol("m")]), Symbol("x")])


def test_a_form_is_shown_as_it_is_written() -> None:
    for text in ('(f [x #(1 2)] {a 1} #{b} :k "s" \'q)', "A->B", 'f"{x} {y !r}"', "(.m x)", "a.b", "-1", "#* xs"):
        assert hy.read(show_form(hy.read(text))) == hy.read(text)
        assert "\n" not in show_form(hy.read(text))


def test_all_symbols_of_a_form() -> None:
    found = set(hya.symbols_in(hy.read('(f a-b [c {d (e)}] :k "s" x.y (.m z) f"{q}")')))
    assert found >= {"f", "a_b", "c", "d", "e", "x", "y", "m", "z", "q"}
    assert not found & {"k", "s", "."}


# --- Literals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [("{:a {:b True}}", {"a": {"b": True}}), ("False", False), ("None", None), ("Bank", "Bank"), (":x", "x"), ('"s"', "s"),
     ("'A", "A"), ("{}", {}), ("{:verify {:agreement 'A}}", {"verify": {"agreement": "A"}})],
)  # fmt: skip
def test_literals_as_data(text: str, value: Any) -> None:
    assert as_data(hy.read(text)) == value


@pytest.mark.parametrize("text", ["(f)", "{:a}", "[1]", "{:a (f)}", 'f"{x}"', "`x"])
def test_no_literal(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        as_data(hy.read(text))


# --- Reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("(f\n  [x", (2, 3), "ends before"), ('(f "abc', (1, 4), "ends before"), ("\n {1 (2 ", (2, 5), "ends before"),
        ("(f ; (\n", (1, 1), "ends before"), ('(f "(" [', (1, 8), "ends before"), ("(f)\n )", (2, 2), ""), ("(f]", (1, 3), ""),
        ("(f) (g", (1, 5), "ends before"), ("'", (1, 1), "ends before"), ("(f #foo x)", (1, 4), ""), ('"\\N{no}"', (1, 1), ""),
    ],
)  # fmt: skip
def test_text_that_cannot_be_read(text: str, place: tuple[int, int], message: str) -> None:
    with pytest.raises(KlorError) as caught:
        list(read_forms(text, "x.hy"))
    assert caught.value.slug == "read-error"
    assert message in caught.value.message
    span = caught.value.span
    assert span is not None
    assert span.line == place[0]
    assert caught.value.diagnostic.source == Source("x.hy", text)
    if message:
        assert (span.line, span.column) == place
        assert caught.value.help


def test_forms_before_the_mistake_are_given() -> None:
    forms = read_forms("1 2 (", "x.hy")
    assert [next(forms), next(forms)] == [Integer(1), Integer(2)]
    with pytest.raises(KlorError):
        next(forms)


@pytest.mark.parametrize("text", ["(" * 5000, "(" * 5000 + ")" * 5000, "'" * 100_000], ids=["open", "deep", "quotes"])
def test_text_that_is_too_much(text: str) -> None:
    with pytest.raises(KlorError) as caught:
        klorpy.evaluate(text)
    assert caught.value.slug in ("too-deep", "read-error", "hy-error", "macro-error")


def test_a_shebang_is_skipped_and_lines_still_count() -> None:
    (form,) = read_forms("#!/usr/bin/env hy\n(f)", "x.hy")
    assert span_of(form).line == 2


# --- What a macro gets ------------------------------------------------------------------------------------------------


def test_a_macro_gets_the_compiler_by_the_name_of_its_first_parameter() -> None:
    for macro in (klorpy._hy_macros["defchor"], klorpy._hy_macros["with_opts"]):  # type: ignore[attr-defined]
        assert (
            inspect.getfullargspec(macro).args[:1] == ["_hy_compiler"] or "_hy_compiler" in macro.__code__.co_varnames
        )
    module = types.ModuleType("m")
    module.look = lambda compiler, forms: (compiler.this, compiler.module, compiler.source)  # type: ignore[attr-defined]
    this, where, source = probe(module, "(setv x 1)\n(probe a [b])")
    assert this == hy.read("(probe a [b])")
    assert span_of(this) == Span(2, 1, 2, 13)
    assert where is module
    assert source.filename


def test_a_macro_may_return_a_result() -> None:
    module = types.ModuleType("m")

    def two(_hy_compiler: HyASTCompiler) -> Result:
        assign = ast.Assign([ast.Name("a", ast.Store())], ast.Constant(1))
        value = ast.Name("a", ast.Load())
        for node in (assign, value):
            for inner in ast.walk(node):
                if "lineno" in inner._attributes:
                    inner.lineno = inner.end_lineno = 1  # type: ignore[attr-defined]
                    inner.col_offset = inner.end_col_offset = 0  # type: ignore[attr-defined]
        return Result(stmts=[assign], expr=value)

    module._hy_macros = {"two": two}  # type: ignore[attr-defined]
    assert hy.eval(hy.read("(+ 1 (two))"), module=module) == 2
    assert module.a == 1  # type: ignore[attr-defined]


def test_a_failure_of_klorpy_passes_through_macro_expansion_as_it_is() -> None:
    with pytest.raises(KlorError) as caught:
        hy.eval(hy.read_many("(require klorpy *) (defchor f)"), module=types.ModuleType("m"))
    assert type(caught.value) is klorpy.KlorSyntaxError
    assert caught.value.slug == "arity"


@pytest.mark.parametrize(
    ("text", "name", "known", "hidden"),
    [
        ("(setv x 1) (probe)", "x", True, False), ("(probe)", "print", True, False), ("(probe)", "nope", False, False),
        ("(defn f [x] (probe))", "x", True, True), ("(let [x 1] (probe))", "x", True, True),
        ("(fn [] (setv x 1) (probe))", "x", True, True), ("(defn x [] 1) (probe)", "x", True, False),
        ("(import os [path :as x]) (probe)", "x", True, False), ("(let [y 1] (probe))", "x", False, False),
    ],
)  # fmt: skip
def test_what_is_bound_around_a_macro_call(text: str, name: str, known: bool, hidden: bool) -> None:
    module = types.ModuleType("m")
    module.look = lambda compiler, forms: (compiler.knows(name), compiler.is_hidden(name))  # type: ignore[attr-defined]
    assert probe(module, text) == (known, hidden)


# --- Compiling host code ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "python"),
    [
        ("(+ x 1)", "local + 1"), ("(let [x 2] x)", None), ("(fn [x] x)", "lambda x: x"), ("(fn [] x)", "lambda: local"),
        ("(fn [[x 1]] x)", "lambda x=1: x"), ("(lfor x [1] x)", "[x for x in [1]]"), ("(lfor y x y)", "[y for y in local]"),
        ("(.x y)", "y.x()"), ("(f :x 1)", "f(x=1)"), ("'x", None), ("y.x", "y.x"), ("x.y", "local.y"),
    ],
)  # fmt: skip
def test_a_local_is_renamed_where_it_is_meant_and_only_there(text: str, python: str | None) -> None:
    compiler, _ = compiler_for()
    body, value = compiler.compile(hy.read(text), {"x": "local"}, False)
    if python is not None:
        assert not body
        assert ast.unparse(value) == python
    else:
        assert "local" not in {n.id for s in (*body, value) for n in ast.walk(s) if isinstance(n, ast.Name)}


def test_compiling_host_code_leaves_no_trace_in_the_scope() -> None:
    compiler, _ = compiler_for()
    compiler.compile(hy.read("(do (setv y 1) (import os) x)"), {"x": "local"}, False)
    assert not compiler.knows("y")
    assert not compiler.knows("x")


@pytest.mark.parametrize(
    ("pattern", "names"),
    [("[a b]", ["a", "b"]), ("[a #* rest]", ["a", "rest"]), ('{"k" v}', ["v"]), ("_", []), ("5", []), ("(| 1 2)", []),
     ("[a [b-c d]] :as whole", ["a", "b-c", "d", "whole"]), ("x :if (> x limit)", ["x"])],
)  # fmt: skip
def test_the_names_of_a_pattern(pattern: str, names: list[str]) -> None:
    compiler, _ = compiler_for()
    forms = list(hy.read_many(pattern))
    found = compiler.pattern_names(forms, compiler.source, Span(1, 1, 1, 1))
    assert isinstance(found, list)
    assert sorted(found) == sorted(names)


def test_a_pattern_that_is_none() -> None:
    compiler, _ = compiler_for()
    found = compiler.pattern_names([hy.read("(1 x)")], compiler.source, Span(1, 1, 1, 5))
    assert isinstance(found, KlorError)


# --- Macros -----------------------------------------------------------------------------------------------------------


MACROS = "(defmacro twice [x] `(do ~x ~x)) (defmacro more [x] `(twice ~x))"


def expand(text: str, before: str = MACROS) -> Any:
    module = types.ModuleType("m")
    hy.eval(hy.read_many(before), module=module)
    compiler = Compiler(HyASTCompiler(module, filename="probe.hy", source=text))
    return compiler.expand_once(hy.read(text))


def test_a_macro_of_the_user_is_expanded_once() -> None:
    assert expand("(twice a)") == hy.read("(do a a)")
    assert expand("(more a)") == hy.read("(twice a)")


@pytest.mark.parametrize(
    "text",
    ["(when 1 2)", "(cond 1 2)", "(if 1 2 3)", "(let [x 1] x)", "(f 1)", "x", "5", "()", "(. x y)", "(.m x)", "(x.y 1)",
     "((f) 1)", "[twice a]", "(.. x)", "(... 1)"],
)  # fmt: skip
def test_what_is_no_macro_of_the_user_is_left_alone(text: str) -> None:
    """Core macros too: expanding one compiles all that is inside."""
    assert expand(text) is None


def test_an_expansion_has_the_place_of_the_call() -> None:
    module = types.ModuleType("m")
    hy.eval(hy.read_many(MACROS), module=module)
    text = "\n  (twice (f\n x))"
    compiler = Compiler(HyASTCompiler(module, filename="probe.hy", source=text))
    form = compiler.expand_once(hy.read(text))
    assert span_of(form).line == 2
    assert span_of(form[1]) == Span(2, 10, 3, 3)


def test_core_macros_are_known_by_name() -> None:
    compiler, _ = compiler_for()
    for name in ("if", "let", "fn", "setv", "try", "lfor", "defn", "import", "not-in"):
        assert compiler.is_core_macro(name)
        assert hy.mangle(name) in builtins._hy_macros  # type: ignore[attr-defined]
    assert not compiler.is_core_macro("defchor")


# --- Imports that a file will make ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name", "place"),
    [
        ("(import shop [buy])", "buy", ("shop", "buy")),
        ("(import shop [sell buy-book :as purchase])", "purchase", ("shop", "buy_book")),
        ("(import shop [buy :as purchase])", "buy", None),
        ("(import shop)", "shop", ("shop", None)),
        ("(import shop :as s)", "s", ("shop", None)),
        ("(import os shop [buy] sys)", "buy", ("shop", "buy")),
        ("(import os shop [buy] sys)", "sys", ("sys", None)),
        ("(import my-shop [buy])", "buy", ("my_shop", "buy")),
        ("(import a.b [buy])", "buy", ("a.b", "buy")),
        ("(import a.b :as s)", "s", ("a.b", None)),
        ("(import .shop [buy])", "buy", ("top.sub.shop", "buy")),
        ("(import ..shop [buy])", "buy", ("top.shop", "buy")),
        ("(import . [shop])", "shop", ("top.sub", "shop")),
        ("(do (import shop [buy]))", "buy", ("shop", "buy")),
        ("; (import shop [buy])", "buy", None),
        ('"(import shop [buy])"', "buy", None),
        ("(defn f [] (import shop [buy]))", "buy", None),
        ("'(import shop [buy])", "buy", None),
    ],
)
def test_imports_are_read_before_they_run(text: str, name: str, place: tuple[str, str | None] | None) -> None:
    compiler, module = compiler_for(text)
    module.__package__ = "top.sub"
    assert compiler.imported(name) == place


# --- What the table of models is --------------------------------------------------------------------------------------


def test_the_models_of_the_reader() -> None:
    kinds = {
        "{1 2}": Dict,
        "[1]": List,
        "#{1}": Set,
        "#(1)": Tuple,
        "(f)": Expression,
        ":k": Keyword,
        '"s"': String,
        'f"{x}"': FString,
    }
    for text, kind in kinds.items():
        assert type(hy.read(text)) is kind


def test_a_form_is_compiled_to_statements_and_a_value() -> None:
    source = Source("x.hy", "(setv a 1) (+ a 1)")
    module = types.ModuleType("m")
    body, value = compile_toplevel(hy.read("(do (setv a 1) (+ a 1))"), module, source)
    exec(compile(body, "x.hy", "exec"), module.__dict__)
    assert eval(compile(value, "x.hy", "eval"), module.__dict__) == 2


@pytest.mark.parametrize(
    "text",
    ["(if 1)", "(let [x] 1)", "(setv 5 1)", "(defn)", "(fn [x x] 1)", "(import 5)", "(require nope-nope [x])", "(return", "(yield)",
     "(break)", "(undefined-macro", "(. )", "(defclass 5)", "(except)", "(f #* )", "(py \"x y\")"],
)  # fmt: skip
def test_what_hy_or_python_refuses_is_a_mistake_of_the_user(text: str) -> None:
    with pytest.raises(KlorError) as caught:
        klorpy.evaluate("(setv before 1)\n" + text)
    assert caught.value.slug in ("hy-error", "read-error", "macro-error")
    assert caught.value.span is not None
    assert caught.value.span.line == 2
    assert "\n" not in caught.value.message
    assert caught.value.render()
