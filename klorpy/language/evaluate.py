"""Text to a namespace: read, compile and run one form after the other.

Form by form, so that what a form defines (choreographies, functions, macros, readers) is there for the next.
"""

from __future__ import annotations

import ast
import itertools
import linecache
import os
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import hy.macros

from klorpy.core.diagnostics import Diagnostic, KlorError
from klorpy.core.spans import Source, Span
from klorpy.language.hy_adapter import (
    Form,
    KlorSyntaxError,
    String,
    compile_toplevel,
    new_reader,
    read_forms,
    shift_columns,
    span_of,
    too_deep,
)

_numbers = itertools.count(1)


def new_module(name: str, filename: str | None = None) -> types.ModuleType:
    """An empty module in which klorpy's macros are required."""
    module = types.ModuleType(name)
    module.__file__ = filename
    module.__dict__.setdefault("__builtins__", __builtins__)
    hy.macros.require("klorpy", module, assignments="ALL")
    return module


def evaluate(
    source: str, *, module: types.ModuleType | None = None, name: str | None = None, filename: str | None = None
) -> types.ModuleType:
    """Evaluate Hy text and give the namespace with its definitions.

    `module` is the namespace to evaluate in; without one a new module `name` is made, in which klorpy's macros are
    required already. `filename` is shown in errors and tracebacks. Raises KlorError for text that cannot be read or
    compiled (nothing after the guilty form is evaluated), and whatever the text itself raises when it runs.

    >>> ns = evaluate("(defchor tell [A B] (-> A B) [x] (A->B x))")
    >>> ns.tell
    <choreography tell (forall [A B] (-> A B | 0))>
    """
    __tracebackhide__ = True
    if not isinstance(source, str):
        raise KlorError(f"text is a str, not {type(source).__name__}", slug="bad-argument", help="to read a file, use load")
    given: Any = module
    if given is not None and not isinstance(given, types.ModuleType):
        kind = type(given).__name__
        raise KlorError(f"a namespace is a module, not {kind}", slug="bad-argument", help="give a module, or none")
    if filename is None:
        filename = f"<klorpy {next(_numbers)}>"
    if module is None:
        module = new_module(name or "klorpy_text", filename)
    # With no modification time, the entry stays when files are checked for changes.
    linecache.cache[filename] = (len(source), None, [line + "\n" for line in source.split("\n")], filename)
    text = Source(filename, source)
    reader = new_reader(module)
    for i, form in enumerate(read_forms(source, filename, reader)):
        if i == 0 and type(form) is String:
            module.__doc__ = str(form)
        evaluate_form(form, module, text, reader)
    return module


def evaluate_form(form: Form, module: types.ModuleType, source: Source, reader: Any = None) -> Any:
    """Compile and run one form in `module`; give its value."""
    try:
        body, value = compile_toplevel(form, module, source, reader)
        statements, expression = python_code(body, value, form, source)
    except KlorError as error:
        # The frames of Hy's compiler, and of klorpy's, say nothing to the user.
        raise error.with_traceback(None) from None
    exec(statements, module.__dict__)
    return eval(expression, module.__dict__)


def python_code(
    body: ast.Module, value: ast.Expression, form: Form, source: Source, flags: int = 0
) -> tuple[types.CodeType, types.CodeType]:
    """What Hy made of `form`, as code of Python, compiled under `flags`. Raises KlorSyntaxError for what Hy lets pass
    and Python does not: a parameter that is named twice, `break` outside of a loop, a lone surrogate."""
    shift_columns([body, value], source)
    try:
        # The future statements of this very file are not the user's: they would turn annotations into text.
        statements = compile(body, source.filename, "exec", flags, dont_inherit=True)
        return statements, compile(value, source.filename, "eval", flags, dont_inherit=True)
    except RecursionError:
        raise too_deep(source, span_of(form)) from None
    except (SyntaxError, ValueError, TypeError, OverflowError, MemoryError) as error:
        message = f"Python refuses this form: {getattr(error, 'msg', None) or error}"
        span = _guilty(error, span_of(form))
        help = "look at what Python says of its own form of this"
        raise KlorSyntaxError(Diagnostic("hy-error", message, span, help=help, source=source)) from None


def _guilty(error: Exception, form: Span) -> Span:
    """The place that Python names, if it lies inside of the form."""
    line, column = getattr(error, "lineno", None), getattr(error, "offset", None)
    if line is None or column is None or not (form.line, form.column) < (line, column) <= (form.end_line, 10**9):
        return form
    end_line, end_column = getattr(error, "end_lineno", None) or line, getattr(error, "end_offset", None) or column
    return Span(line, column, end_line, max(end_column - 1, column))


def load(path: str | os.PathLike[str]) -> types.ModuleType:
    """Evaluate a file and give the namespace with its definitions.

    The module is named after the file and its package, is not entered in `sys.modules`, and can import what stands
    beside the file.
    Raises as `evaluate` does, and KlorError `read-error` for a file that cannot be read.
    """
    try:
        path = os.fspath(path)
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except TypeError:
        raise KlorError(f"{path!r} is not a path", slug="bad-argument", help="give the path of a .hy file") from None
    except (OSError, ValueError) as error:  # also bytes that are no UTF-8, and a path with a null character
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise KlorError(f"cannot read {path}: {reason}", slug="read-error", help="give the path of a .hy file") from None
    with beside(path) as (name, package):
        module = new_module(name, os.path.abspath(path))
        module.__package__ = package
        return evaluate(text, module=module, filename=path)


@contextmanager
def beside(path: str | os.PathLike[str]) -> Iterator[tuple[str, str]]:
    """What stands beside a file can be imported meanwhile. Gives the file's module name, and its package ("" for none):
    the folders around it that have an `__init__` file."""
    folder, base = os.path.split(os.path.abspath(path))
    parts: list[str] = []
    while any(os.path.exists(os.path.join(folder, "__init__" + ending)) for ending in (".py", ".hy")):
        folder, part = os.path.split(folder)
        parts.insert(0, part)
    package = ".".join(parts)
    name = ".".join([*parts, os.path.splitext(base)[0].replace("-", "_")])
    sys.path.insert(0, folder)
    try:
        yield name, package
    finally:
        if folder in sys.path:
            sys.path.remove(folder)
