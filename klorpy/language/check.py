"""Checking a text without running it."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass

from klorpy.core.diagnostics import Diagnostic, KlorError, KlorWarning
from klorpy.core.spans import Source
from klorpy.core.types import Signature
from klorpy.language.evaluate import check_required, new_module, python_code
from klorpy.language.hy_adapter import Compiler, compile_toplevel, head_name, hy_compiler, new_reader, read_forms
from klorpy.language.pipeline import collecting, note_signature


@dataclass(frozen=True, slots=True)
class Checked:
    """What the compiler says of a text: signatures by name, errors and warnings in the order of the text."""

    signatures: dict[str, Signature]
    errors: tuple[Diagnostic, ...]
    warnings: tuple[Diagnostic, ...]


def check(source: str, filename: str, *, macros: bool = False) -> Checked:
    """Compile a text without running it (macros run, as they always do) and report all that is wrong.

    A definition that is wrong is taken by its signature, so that only its own mistakes are reported. With `macros`,
    klorpy's macros are required already, as `evaluate` does.
    """
    text = Source(filename, source)
    name = os.path.splitext(os.path.basename(filename))[0].replace("-", "_")
    module = new_module(name, os.path.abspath(filename), macros=macros)
    compiler = hy_compiler(module, text)
    reader = new_reader(module)
    errors: list[Diagnostic] = []
    found: list[Diagnostic] = []
    with warnings.catch_warnings(), collecting(found):
        warnings.simplefilter("ignore", KlorWarning)
        try:
            for form in read_forms(source, filename, reader):
                try:
                    check_required(form, module, text)
                    body, value = compile_toplevel(form, module, text, reader, compiler)
                    python_code(body, value, form, text)
                except KlorError as error:
                    errors.extend(error.diagnostics)
                    if head_name(form) == "defchor":
                        note_signature(Compiler(compiler), form)
        except KlorError as error:
            errors.extend(error.diagnostics)
    return Checked(dict(Compiler(compiler).compiled), tuple(errors), tuple(found))
