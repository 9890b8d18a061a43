"""The typed trees of definitions, as the compiler makes them, and what is asked of them again and again.

    definition  ⊢  body, parameters, free locals of each node, places in the file

A definition is compiled once more from its text for this, in its own namespace; nothing of what it does changes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from klorpy.core.choreography import Choreography, Definition
from klorpy.core.diagnostics import Diagnostic, KlorError
from klorpy.core.endpoint import Binding
from klorpy.core.spans import Source, Span
from klorpy.core.types import Role
from klorpy.language import typed
from klorpy.language.compiler import recompile
from klorpy.language.hy_adapter import mangle, symbols_in
from klorpy.language.sites import children
from klorpy.language.surface import Callee
from klorpy.language.typed import Typed

_trees: WeakKeyDictionary[Definition, typed.Definition] = WeakKeyDictionary()


def tree_of(definition: Definition) -> typed.Definition:
    """The typed tree of a definition. Raises KlorSyntaxError when its text no longer compiles."""
    found = _trees.get(definition)
    if found is None:
        found = _trees[definition] = recompile(definition).definition
    return found


_selves: WeakKeyDictionary[Definition, Choreography] = WeakKeyDictionary()


def itself(definition: Definition) -> Choreography:
    """A choreography with this definition, whatever its name means now."""
    found = _selves.get(definition)
    if found is None:
        found = Choreography(definition.name, str(definition.namespace.get("__name__", "__main__")), definition.signature)
        found.definition = definition
        _selves[definition] = found
    return found


@dataclass(frozen=True)
class Context:
    """A definition whose role vector is played by `cast`."""

    definition: Definition
    cast: tuple[Role, ...]

    def __hash__(self) -> int:
        return hash((id(self.definition), self.cast))

    def role(self, role: Role) -> Role:
        return self.cast[self.definition.roles.index(role)]

    def roles(self, roles: frozenset[Role]) -> frozenset[Role]:
        return frozenset(map(self.role, roles))

    def callee(self, callee: Callee) -> Choreography:
        """What a name means where this definition stands.

        Raises KlorError `not-defined`, and `stale-dependent` for a scope whose body has other parameters by now.
        """
        if callee.name == self.definition.name:
            # Another definition may have the name by now, or none yet.
            return itself(self.definition)
        first, *rest = callee.name.split(".")
        value: Any = self.definition.namespace.get(mangle(first))
        for part in rest:
            value = getattr(value, mangle(part), None)
        if not isinstance(value, Choreography):
            value = next((chor for chor in self.definition.called() if chor.name == callee.name), callee.value)
        if not isinstance(value, Choreography):
            raise KlorError(f"{callee.name} is not defined yet", slug="not-defined", help=f"define {callee.name} first")
        if not value.signature.equivalent(callee.signature):
            raise KlorError(
                f"{callee.name} is {value.signature}, and {self.definition.name} was compiled against {callee.signature}",
                slug="stale-dependent", help=f"evaluate the definition of {self.definition.name} again",
            )  # fmt: skip
        return value

    def diagnostic(self, node: Typed | Span, slug: str, message: str, help: str = "", label: str = "") -> Diagnostic:
        """What is wrong at a node, at its place in the file."""
        span = node if isinstance(node, Span) else node.span
        return Diagnostic(slug, message, span, label, help=help, source=source_of(self.definition))

    def text(self, node: Typed) -> str:
        written = " ".join(source_of(self.definition).slice(node.span).split())
        return written if len(written) <= 60 else written[:59] + "…"


def source_of(definition: Definition) -> Source:
    """The text of a definition at its place in its file."""
    return definition.source.at(definition.span)


def head_of(definition: Definition) -> Span:
    """The beginning of a definition, as far as its name."""
    line = definition.source.text.split("\n")[0]
    width = len(" ".join(line.split(" ")[:2]))
    place = definition.span
    return Span(place.line, place.column, place.line, place.column + width - 1)


@dataclass
class Locals:
    """Which locals a node needs, and whether it communicates."""

    _free: dict[object, frozenset[Binding]] = field(default_factory=dict)
    _silent: dict[Typed, bool] = field(default_factory=dict)

    def free(self, node: Typed) -> frozenset[Binding]:
        """The locals that the evaluation of `node` may read; those that it binds itself may be among them."""
        found = self._free.get(node)
        if found is None:
            names = {name for child in children(node) for name in self.free(child)}
            match node:
                case typed.Local(binding=binding):
                    names.add(binding)
                case typed.Loop(bindings=pairs):
                    names.update(name for name, _ in pairs)
                case typed.Leaf(opaque=True):
                    names.update(captured(node.scope, [node.form]))
                case typed.Case(clauses=clauses):
                    for clause in clauses:
                        if clause.constant is None:
                            names.update(captured(clause.scope, clause.pattern))
            found = self._free[node] = frozenset(names)
        return found

    def free_from(self, node: typed.Do, start: int) -> frozenset[Binding]:
        """The locals that the items of a `do` from `start` on may read."""
        key = (node, start)
        found = self._free.get(key)
        if found is None:
            # From the end, so that a long `do` is gone through once.
            found = frozenset()
            for i in range(len(node.items) - 1, -1, -1):
                found |= self.free(node.items[i])
                self._free[node, i] = found
            self._free[node, len(node.items)] = frozenset()
            found = self._free[key]
        return found

    def silent(self, node: Typed) -> bool:
        """Whether nothing below `node` communicates, repeats, or is a choreography."""
        found = self._silent.get(node)
        if found is None:
            match node:
                case typed.Leaf() | typed.Local() | typed.Narrow() | typed.Do() | typed.Let() | typed.If():
                    found = all(map(self.silent, children(node)))
                case typed.Junction() | typed.Case():
                    found = all(map(self.silent, children(node)))
                case _:
                    found = False
            self._silent[node] = found
        return found


def captured(scope: Any, forms: list[Any]) -> list[Binding]:
    """The locals whose names occur in forms, in the order of the scope."""
    names = {name for form in forms for name in symbols_in(form)}
    return [binding for name, binding in scope.items() if name in names]
