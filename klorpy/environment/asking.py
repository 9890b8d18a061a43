"""Questions about choreographies, names and text: the type of an expression, what a macro gives, what a name means."""

from __future__ import annotations

import builtins
import difflib
import inspect
import types
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from klorpy.core.choreography import Choreography
from klorpy.core.diagnostics import KlorError
from klorpy.core.spans import Source
from klorpy.core.types import render
from klorpy.environment.registry import place
from klorpy.language import macros
from klorpy.language.analyzer.context import Context, Unit
from klorpy.language.analyzer.definition import FAMILIES
from klorpy.language.analyzer.dispatch import body
from klorpy.language.analyzer.signature import read_role_vector
from klorpy.language.hy_adapter import (
    Compiler,
    Expression,
    Form,
    as_klor_error,
    head_name,
    hy_compiler,
    mangle,
    raise_interrupt,
    show_form,
    span_of,
    unmangled,
)
from klorpy.language.leaves import Leaves
from klorpy.language.report import Report
from klorpy.language.typecheck import Checker

if TYPE_CHECKING:
    from klorpy.environment.session import Session

assert FAMILIES  # importing them registers the forms of the language


def expression_type(module: types.ModuleType, source: Source, roles: Form, forms: list[Form]) -> str:
    """The type of a choreographic expression in which `roles` take part. Raises KlorSyntaxError."""
    compiler = Compiler(hy_compiler(module, source))
    report = Report(source)
    unit = Unit(compiler, report, "this expression")
    vector = read_role_vector(Context(unit, (), {}), roles)
    report.check()
    assert vector is not None
    node = body(replace(Context(unit, (), {}), roles=vector), forms, Expression(forms).replace(forms[0]))
    judged = Checker(report, vector, Leaves(unit, vector)).check(node, frozenset(vector))
    report.check()
    assert judged is not None
    return render(judged.type, vector)


#: Macros that are forms of the language: what they make is no form.
_FORMS = frozenset((*macros.FORMS, "defchor", "update", "defprotocol", "with-opts", "alter-opts!"))
_STEPS = 100


def expansions(module: types.ModuleType, source: Source, form: Form) -> list[str]:
    """The form as text, and what each step of a macro makes of it."""
    compiler = hy_compiler(module, source)
    shown = [show_form(form)]
    while len(shown) <= _STEPS and head_name(form) not in _FORMS:
        try:
            expanded = Compiler(compiler).expand_once(form)
        except Exception as error:
            raise_interrupt(error)
            raise as_klor_error(error, source, span_of(form)) from error.__cause__
        if expanded is None:
            break
        form = expanded
        shown.append(show_form(form))
    return shown


#: What ,doc says of words that are no forms of klorpy's own, but mean something of their own in a choreography.
_NOTES = {
    "->": ("(-> T … T)", "the type of a choreography: of its parameters, then of its result"),
    "if": (
        "(if condition then else)",
        "in a choreography, all roles that the branches mention have to know the condition: send it with =>, as in",
        "(if (A=>B (A (pay?))) (A->B x) (B 0))",
    ),
}


def documentation(session: Session, name: str) -> list[str]:
    """What is known of a name: its kind or signature, and its documentation. Raises KlorError."""
    try:
        value: Any = session.registry.find(name)
    except KeyError:
        value = None
        known = False
    else:
        known = True
    if isinstance(value, Choreography):
        return [f"{value.name}  {value.signature}", *_doc(value.definition.doc if value.definition else None)]
    if name in _NOTES and not known:
        return list(_NOTES[name])
    if name in macros.FORMS:
        return [macros.FORMS[name], "a form of the language, for the inside of a defchor"]
    if name.count("->") == 1 or name.count("=>") == 1:
        sender, _, receiver = name.partition("->" if "->" in name else "=>")
        if sender and receiver:
            what = f"{receiver} receives {sender}'s value"
            where = f"at {receiver}" if "->" in name else f"at {sender} and {receiver}"
            return [f"({name} expr)", f"{what}; the result is {where}"]
    macro = find_macro(session.module, name)
    if macro is not None and not known:
        return [f"{name}: a macro", *_doc(inspect.getdoc(macro))]
    if not known and hasattr(builtins, mangle(name)):
        value, known = getattr(builtins, mangle(name)), True
    if not known:
        raise unknown(session, name)
    title = f"{name}: {type(value).__name__}"
    if callable(value):
        with suppress(ValueError, TypeError):
            title = f"{name}{inspect.signature(value)}".replace("'", "")
    return [title, *_doc(inspect.getdoc(value))]


def _doc(text: str | None) -> list[str]:
    return ["", *text.strip().splitlines()] if text else []


def find_macro(module: types.ModuleType, name: str) -> Any:
    """The macro that `name` means in `module`, or None."""
    key = mangle(name) if name.strip(".") else name
    found = getattr(module, "_hy_macros", {}).get(key)
    return found if found is not None else builtins._hy_macros.get(key)  # type: ignore[attr-defined]


def source_text(session: Session, name: str) -> list[str]:
    """The text that defined a name, with its place. Raises KlorError."""
    try:
        value: Any = session.registry.find(name)
    except KeyError:
        value = None
    if isinstance(value, Choreography):
        return [f"; {place(value)}", value.defined().source.text]
    for entry in reversed(session.history):
        if entry.head in _DEFINING and entry.name == mangle(name):
            return [f"; {entry.filename}", entry.text]
    if value is None:
        value = find_macro(session.module, name) or getattr(builtins, mangle(name), None)
    if value is None:
        raise unknown(session, name)
    try:
        file = inspect.getsourcefile(value)
        text = inspect.getsource(value)
    except (TypeError, OSError):
        raise KlorError(
            f"nothing is known of the text of {name}", slug="bad-argument", help=f"see what it is with ,doc {name}"
        ) from None
    return [f"; {file}", text.rstrip()]


_DEFINING = frozenset(("defn", "defmacro", "defclass", "setv", "defreader"))


def unknown(session: Session, name: str) -> KlorError:
    close = closest(name, [unmangled(key) for key in vars(session.module)])
    hint = f"did you mean {close}?" if close else "define it first"
    return KlorError(f"{name} is not defined here", slug="bad-argument", help=hint)


def closest(word: str, words: list[str]) -> str:
    """The word most like `word`; "" when none is."""
    found = difflib.get_close_matches(word, words, 1)
    return found[0] if found else ""
