"""What the analyzer knows at a form: roles, locals, whether `recur` may stand here; and how names are resolved."""

from __future__ import annotations

import importlib
import itertools
import sys
import types
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from klorpy.core.choreography import Choreography
from klorpy.core.endpoint import Binding
from klorpy.core.spans import Span
from klorpy.core.types import Role
from klorpy.language import messages
from klorpy.language.hy_adapter import (
    DEPTH,
    Compiler,
    Expression,
    Form,
    Symbol,
    dotted_name,
    mangle,
    readable_name,
    show_form,
    span_of,
    symbol_name,
    too_deep,
)
from klorpy.language.report import Report
from klorpy.language.surface import Bad, Callee, Host, Local, Scope

if TYPE_CHECKING:
    from klorpy.language.surface import Surface

__all__ = ["Context", "Unit", "arrow_roles", "expression"]


class Unit:
    """What is shared by the analysis of one definition: the compiler, the report, and fresh names."""

    def __init__(self, compiler: Compiler, report: Report, name: str) -> None:
        self.compiler = compiler
        self.report = report
        self.name = name
        #: The scopes with a body of their own, by their mangled names.
        self.regions: dict[str, str] = {}
        self._numbers: Iterator[int] = itertools.count()
        self._expanding = 0

    @contextmanager
    def expansion(self, span: Span) -> Iterator[None]:
        """Around what a macro expanded to. Raises KlorSyntaxError `too-deep` for macros that do not come to an end."""
        self._expanding += 1
        if self._expanding > DEPTH:
            raise too_deep(self.report.source, span)
        try:
            yield
        finally:
            self._expanding -= 1

    def binding(self, name: str, base: str | None = None) -> Binding:
        binding = Binding(name, base or _identifier(name))
        binding.python = f"_klorpy_{next(self._numbers)}_{binding.base}"
        return binding


def _identifier(name: str) -> str:
    """A readable Python identifier for a Hy name; `mangle` when its characters leave no other way."""
    simple = readable_name(name).replace("-", "_").rstrip("?!*")
    if simple.isidentifier() and simple.isascii() and simple not in ("None", "True", "False"):
        return simple
    mangled: str = mangle(name)
    return mangled


@dataclass(frozen=True, slots=True)
class Context:
    """Immutable: a form's context is derived from that of the form around it."""

    unit: Unit
    roles: tuple[Role, ...]
    scope: Scope
    #: The form is the last thing that its recur block does.
    tail: bool = False
    #: There is a recur block around.
    block: bool = False
    #: The scope whose body this is, while no recur block in it is around.
    region: str = ""

    @property
    def report(self) -> Report:
        return self.unit.report

    @property
    def compiler(self) -> Compiler:
        return self.unit.compiler

    def nontail(self) -> Context:
        return replace(self, tail=False) if self.tail else self

    def bind(self, bindings: Iterable[Binding]) -> Context:
        scope = dict(self.scope)
        for binding in bindings:
            scope[mangle(binding.name)] = binding
        return replace(self, scope=scope)

    # --- Names ---

    def local(self, form: Form) -> Binding | None:
        name = symbol_name(form)
        return None if name is None else self.scope.get(mangle(name))

    def callee(self, form: Form, *, load: bool) -> Callee | None:
        """The choreography that a symbol or dotted name means. With `load`, a module that the file imports may be
        imported now, to find out."""
        name = symbol_name(form)
        path = [name] if name is not None else (dotted_name(form) or "").split(".")
        if not path[0] or mangle(path[0]) in self.scope:
            return None
        keys = [mangle(part) for part in path]
        compiled = self.compiler.compiled.get(keys[0])
        if len(keys) == 1 and compiled is not None:
            return Callee(name or keys[0], compiled, form)
        if self.compiler.is_hidden(keys[0]):
            return None
        value: Any = vars(self.compiler.module).get(keys[0], _MISSING)
        if value is _MISSING:
            value = self._imported(keys[0], load)
        for i, key in enumerate(keys[1:], 1):
            value = self._attribute(value, key, ".".join(keys[: i + 1]), load)
        if isinstance(value, Choreography):
            return Callee(".".join(path), value.signature, form, value)
        return None

    def _imported(self, key: str, load: bool) -> Any:
        place = self.compiler.imported(key)
        if place is None:
            for module_name in self.compiler.star_imports():
                value = getattr(_module(module_name, load), key, _MISSING)
                if value is not _MISSING:
                    return value
            return _MISSING
        module_name, attribute = place
        module = _module(module_name, load)
        return module if attribute is None else self._attribute(module, attribute, f"{module_name}.{attribute}", load)

    def _attribute(self, value: Any, key: str, dotted: str, load: bool) -> Any:
        """An attribute; of a package perhaps a module that is yet to be imported."""
        found = getattr(value, key, _MISSING)
        if found is _MISSING and isinstance(value, types.ModuleType):
            asked = self.compiler.imported(dotted) is not None
            name = f"{value.__name__}.{key}"
            if asked or self.compiler.imported(key) is not None:
                return _module(name, load)
        return found

    def is_role(self, name: str | None) -> bool:
        return name in self.roles

    # --- Nodes ---

    def bad(self, form: Form) -> Bad:
        return Bad(span=self.span(form), form=form)

    def span(self, form: Form) -> Span:
        return span_of(form, span_of(self.compiler.this))

    def literal(self, value: Form, at: Form, *, stable: bool = True) -> Host:
        """A host form without children that stands for itself."""
        return Host(
            (), lambda _: value, self.scope, stable=stable, literal=True, span=self.span(at), form=value
        )

    def none(self, at: Form) -> Host:
        """The None of what is not written in the form `at`; its place is the head of the form."""
        none = Symbol("None").replace(at)
        place = at[0] if isinstance(at, Expression) and at else at
        return Host(
            (), lambda _: none, self.scope, stable=True, literal=True, absent=True, span=self.span(place), form=at
        )

    def symbol(self, form: Form) -> Surface:
        """A symbol in the place of a value."""
        name = str(form)
        if self.is_role(name):
            self.report.error(messages.role_as_value(self.span(form), name))
            return self.bad(form)
        binding = self.scope.get(mangle(name))
        if binding is not None:
            return Local(binding, span=self.span(form), form=form)
        if name in ("None", "True", "False", "..."):
            return self.literal(form, form)
        if self.report_uninstantiated(form):
            return self.bad(form)
        if name in ("->", "=>"):
            self.report.error(messages.lone_arrow(self.span(form), name))
            return self.bad(form)
        pair = arrow_roles(name)
        if pair and any(self.is_role(r) for r in pair):
            self.report.error(
                messages.unsupported(
                    self.span(form),
                    f"{name} sends something and is no value",
                    f"write ({name} expr)",
                )
            )
            return self.bad(form)
        return Host((), lambda _: form, self.scope, callee=name, span=self.span(form), form=form)

    def report_uninstantiated(self, form: Form) -> bool:
        found = self.callee(form, load=False)
        if found is None:
            return False
        self.report.error(
            messages.not_instantiated(self.span(form), show_form(form), found.signature.roles, self.roles)
        )
        return True

    def check_roles(self, forms: Iterable[Form], where: str) -> tuple[Role, ...] | None:
        """The roles that `forms` name: each a known role, each once. None after reporting."""
        names: list[Role] = []
        fine = True
        for form in forms:
            name = symbol_name(form)
            if name is None:
                self.report.error(messages.bad_roles(self.span(form), f"{show_form(form)} is not a role"))
                fine = False
            elif name not in self.roles:
                self.report.error(messages.unknown_role(self.span(form), name, self.roles))
                fine = False
            elif name in names:
                self.report.error(messages.dup_role(self.span(form), name, name, where))
                fine = False
            else:
                names.append(name)
        return tuple(names) if fine else None

    def name_for(self, form: Form, help: str = "") -> Binding | None:
        """A new local of the name `form`; None after reporting that it cannot be one."""
        name = symbol_name(form)
        if name is None or name in ("None", "True", "False", "...") or not name.strip(".") or name.startswith(":"):
            self.report.error(messages.bad_param(self.span(form), f"{show_form(form)} is not a name", help))
            return None
        if any(mangle(role) == mangle(name) for role in self.roles):
            self.report.error(messages.name_is_role(self.span(form), name))
            return None
        return self.unit.binding(name)


_MISSING = object()


def _module(name: str, load: bool) -> Any:
    """A module that is imported already, or is imported now."""
    found = sys.modules.get(name, _MISSING)
    if found is _MISSING and load:
        try:
            return importlib.import_module(name)
        except ImportError:  # the file's own import form will say so, where it stands
            return _MISSING
    return found


def arrow_roles(name: str | None) -> tuple[str, str] | None:
    """The two ends of `A->B` or `A=>B`; None for any other name."""
    if name is None:
        return None
    for arrow in ("->", "=>"):
        source, found, target = name.partition(arrow)
        if found and source and target and "->" not in target and "=>" not in target:
            return source, target
    return None


def expression(items: Iterable[Form], at: Form) -> Form:
    """An expression that stands where `at` does."""
    return Expression(items).replace(at, recursive=False)
