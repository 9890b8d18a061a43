"""Checking a text without running it."""

from __future__ import annotations

import os
import types
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from klorpy.core.diagnostics import Diagnostic, KlorError, KlorWarning
from klorpy.core.spans import Source, Span
from klorpy.core.types import Signature
from klorpy.language.evaluate import beside, new_module, python_code
from klorpy.language.hy_adapter import (
    Compiler,
    Form,
    Sequence,
    Symbol,
    compile_toplevel,
    head_name,
    hy_compiler,
    mangle,
    new_reader,
    read_forms,
    span_of,
    symbols_in,
    unmangled,
)
from klorpy.language.pipeline import Emitted, collecting, note_signature, observing


@dataclass(frozen=True, slots=True)
class Checked:
    """What the compiler says of a text: signatures by name, errors and warnings in the order of the text."""

    signatures: dict[str, Signature]
    errors: tuple[Diagnostic, ...]
    warnings: tuple[Diagnostic, ...]


def check(source: str, filename: str) -> Checked:
    """Compile a text without running it (macros run, as they always do) and report all that is wrong.

    A definition that is wrong is taken by its signature, so that only its own mistakes are reported. klorpy's macros are
    there already, as in `evaluate`; a file that does not require them is warned about.
    """
    with beside(filename) as (name, package):
        module = new_module(name, os.path.abspath(filename))
        module.__package__ = package
        return _check(source, filename, module)


def _check(source: str, filename: str, module: types.ModuleType) -> Checked:
    text = Source(filename, source)
    compiler = hy_compiler(module, text)
    reader = new_reader(module)
    errors: list[Diagnostic] = []
    found: list[Diagnostic] = []
    required = False
    lost: set[str] = set()
    free: dict[str, Span] = {}

    def note(_: str, emitted: Emitted) -> None:
        if emitted.source.filename != filename:
            return  # of a file that this one imports
        for code in emitted.emitter.codes:
            for name, span in code.free.items():
                free.setdefault(name, span)

    with warnings.catch_warnings(), collecting(found), observing(note):
        warnings.simplefilter("ignore", KlorWarning)
        try:
            for form in read_forms(source, filename, reader):
                required = required or (head_name(form) == "require" and "klorpy" in symbols_in(form))
                if head_name(form) in ("defchor", "update") and not required:
                    found.append(missing_require(span_of(form[0]), text))
                    required = True  # once is enough
                if head_name(form) == "update" and not lost.isdisjoint(mangle(str(part)) for part in form[1:2]):
                    continue  # of a scope whose definition is wrong
                try:
                    body, value = compile_toplevel(form, module, text, reader, compiler)
                    python_code(body, value, form, text)
                except KlorError as error:
                    errors.extend(error.diagnostics)
                    if head_name(form) == "defchor":
                        note_signature(Compiler(compiler), form)
                        lost.update(_scopes_in(form))
        except KlorError as error:
            errors.extend(error.diagnostics)
    seen = Compiler(compiler)
    if not seen.star_imports():
        # Only now, since a function may be defined behind the choreography that calls it.
        known = seen.known_names()
        in_order = sorted(free.items(), key=lambda item: item[1])
        found += [unknown_name(name, span, known, text) for name, span in in_order if name not in known]
    return Checked(dict(seen.compiled), tuple(errors), tuple(found))


def _scopes_in(form: Form) -> Iterator[str]:
    """The (mangled) names of the scopes with a body in a form, however deep."""
    todo = [form]
    while todo:
        current = todo.pop()
        if isinstance(current, Sequence):
            if head_name(current) == "scope":
                yield from (mangle(str(part)) for part in current[1:3] if isinstance(part, Symbol))
            todo.extend(current)


def unknown_name(name: str, span: Span, known: set[str], source: Source) -> Diagnostic:
    spelled = unmangled(name)
    close = get_close_matches(name, known, 1, 0.75)
    meant = f"did you mean {unmangled(close[0])}? " if close else ""
    return Diagnostic(
        "unknown-name",
        f"nothing in the file binds {spelled}",
        span,
        help=f"{meant}define it, or import it, unless host code binds it when it runs",
        source=source,
    )


def missing_require(span: Span, source: Source) -> Diagnostic:
    return Diagnostic(
        "missing-require",
        "the file does not require klorpy, so neither `hy` nor `import` can run it",
        span,
        help="begin it with (require klorpy *)",
        source=source,
    )
