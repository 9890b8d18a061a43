"""The compiler, imported when something is first compiled.

A program whose choreographies come from bytecode never compiles any, and starts in two thirds of the time without it.
"""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from klorpy.core.choreography import Definition
from klorpy.language.hy_adapter import Compiler, Form

if TYPE_CHECKING:
    from klorpy.language.pipeline import Emitted


def _pipeline() -> Any:
    return importlib.import_module("klorpy.language.pipeline")


def compile_defchor(compiler: Compiler, form: Form) -> Any:
    """See `klorpy.language.pipeline.compile_defchor`."""
    return _pipeline().compile_defchor(compiler, form)


def compile_update(compiler: Compiler, form: Form) -> Any:
    """See `klorpy.language.pipeline.compile_update`."""
    return _pipeline().compile_update(compiler, form)


def compile_scope(compiler: Compiler, form: Form) -> Any:
    """See `klorpy.language.pipeline.compile_scope`."""
    return _pipeline().compile_scope(compiler, form)


def again(definition: Definition) -> AbstractContextManager[None]:
    """See `klorpy.language.pipeline.again`."""
    context: AbstractContextManager[None] = _pipeline().again(definition)
    return context


def recompile(definition: Definition) -> Emitted:
    """See `klorpy.language.pipeline.recompile`."""
    emitted: Emitted = _pipeline().recompile(definition)
    return emitted
