"""Host leaves: maximal pieces of host code, compiled once by Hy and shared by all roles.

Given a typed leaf, a *unit* is as much of it as can run in one piece at its roles: children that are host code at
the same roles, with nothing that communicates inside, stay where they are. Every other child becomes a *hole*: it
is evaluated before, in source order, and the unit names its result. A child that has an effect and stands before a
hole becomes a hole itself, so that the order of effects is that of the source.

The result of compiling is either an expression, or a function of the locals that it captures: whatever assigns a
name, or makes a closure, gets a scope of its own.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from klorpy.core.endpoint import Binding
from klorpy.core.spans import Span
from klorpy.core.types import Agreement, Role, Roles, Type, render
from klorpy.language import messages, typed
from klorpy.language.analyzer.context import Unit as AnalysisUnit
from klorpy.language.analyzer.context import arrow_roles, expression
from klorpy.language.hy_adapter import (
    Expression,
    Form,
    Keyword,
    Symbol,
    Tuple,
    as_klor_error,
    head_name,
    shift_columns,
    show_form,
    unmangled,
)
from klorpy.language.sites import walk
from klorpy.language.surface import HostPattern, Scope
from klorpy.language.typed import Typed


@dataclass(eq=False, slots=True)
class Code:
    """Compiled host code.

    An expression `value`; or, when `body` is given, a function (a coroutine function when `is_async`) to be called
    with the values of `captures`. `names` are all identifiers that the code uses.
    """

    value: ast.expr | None
    body: list[ast.stmt] | None
    captures: tuple[Binding, ...]
    names: frozenset[str]
    is_async: bool
    span: Span
    #: Occurrences of locals in `value` or `body`, to be given their emitted names.
    occurrences: dict[Binding, list[ast.Name]] = field(default_factory=dict)
    function: Binding | None = None
    #: Names that the code expects to be bound around it, and where it says them first.
    free: dict[str, Span] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unit:
    """A leaf ready for projection: the holes in order, then the code."""

    code: Code
    holes: tuple[tuple[Binding, Typed], ...]


class Leaves:
    """Compiles the leaves of one definition; each typed node once. Errors go to the report."""

    def __init__(self, unit: AnalysisUnit, order: tuple[Role, ...]) -> None:
        self.unit = unit
        self.order = order
        #: The types of all locals, None where they could not be judged; filled by the checker.
        self.types: dict[Binding, Type | None] = {}
        self.roles = frozenset(order)
        self.codes: list[Code] = []
        self._units: dict[Typed, Unit] = {}
        self._codes: dict[object, Code] = {}
        self._names: dict[object, Binding] = {}
        self._by_python: dict[str, Binding] = {}

    def another(self) -> Leaves:
        """Those of a definition inside of this one, with the same locals."""
        made = Leaves(self.unit, self.order)
        made.types = self.types
        return made

    def of(self, node: Typed) -> Unit:
        """The unit of a leaf, or of a choice that can run as host code whole (see `is_pure`)."""
        unit = self._units.get(node)
        if unit is None:
            holes: list[tuple[Binding, Typed]] = []
            form = self._form(node, holes)
            scope, slug = (node.scope, node.slug) if isinstance(node, typed.Leaf) else ({}, "homogeneous-form")
            opaque = isinstance(node, typed.Leaf) and node.opaque
            code = self.compile(form, scope if opaque else {}, node.type, node.span, slug, self._spellings(node))
            unit = self._units[node] = Unit(code, tuple(holes))
        return unit

    def is_sound(self, leaf: typed.Leaf) -> bool:
        """Compile an opaque leaf now; whether nothing had to be reported."""
        before = len(self.unit.report.errors)
        self.of(leaf)
        return len(self.unit.report.errors) == before

    # Names and code that all roles share, but that only some of them need.

    def name_of(self, owner: object, base: str) -> Binding:
        """A local of its own for the construct `owner`."""
        binding = self._names.get(owner)
        if binding is None:
            binding = self._names[owner] = self.unit.binding(base)
            self._by_python[binding.python] = binding
        return binding

    def pattern(self, clause: typed.Clause, subject: Binding, type_: Type) -> Code:
        """The code of a `match` clause: a tuple of what the pattern captures, or None."""
        if clause in self._codes:
            return self._codes[clause]
        names = Tuple([Symbol(b.name) for b in clause.bindings]).replace(clause.pattern[0])
        form = Expression([Symbol("match"), Symbol(subject.python), *clause.pattern, names])
        form = form.replace(clause.pattern[0], recursive=False)
        code = self._codes[clause] = self.compile(form, clause.scope, type_, clause.span, "homogeneous-form", "match")
        return code

    def destructuring(self, pattern: HostPattern, value: Binding, type_: Type) -> Code:
        """The code that takes the value of a `let` apart into a tuple."""
        if pattern in self._codes:
            return self._codes[pattern]
        form = pattern.parts(Symbol(value.python))
        code = self._codes[pattern] = self.compile(form, pattern.scope, type_, pattern.span, "homogeneous-form", "let")
        return code

    # --- Units ---

    def _form(self, node: Typed, holes: list[tuple[Binding, Typed]]) -> Form:
        """The Hy form of a unit, in which symbols stand for the holes that are appended."""
        match node:
            case typed.Local(binding=binding):
                return self._symbol(binding, node.form)
            case typed.Leaf(children=children):
                return node.rebuild(self._operands(node, children, holes))
            case typed.If(guard=guard, then=then, orelse=orelse):
                parts = [self._form(part, holes) for part in (guard, then, orelse)]
                return Expression([Symbol("if"), *parts]).replace(node.form, recursive=False)
            case typed.Junction(items=items):
                parts = [self._form(item, holes) for item in items]
                head = Symbol("and" if node.is_and else "or")
                return Expression([head, *parts]).replace(node.form, recursive=False)
            case _:
                raise AssertionError(f"not host code: {show_form(node.form)}")

    def _operands(
        self, node: typed.Leaf, children: tuple[Typed, ...], holes: list[tuple[Binding, Typed]]
    ) -> list[Form]:
        inlined = [self._inlines(child, node.type) for child in children]
        # Whatever runs before a hole and may be noticed becomes a hole too.
        if node.reordered:
            inlined = [fine and is_stable(child) for fine, child in zip(inlined, children, strict=True)]
        last_hole = max((i for i, child in enumerate(children) if not inlined[i] or self._has_holes(child)), default=-1)
        forms = []
        for i, child in enumerate(children):
            early = i >= last_hole or is_stable(child) or (i == 0 and self._is_settled(node, children))
            if inlined[i] and early:
                form = self._form(child, holes)
                # In a call, a bare keyword would name the argument after it.
                forms.append(expression([Symbol("do"), form], form) if isinstance(form, Keyword) else form)
            else:
                hole = self.unit.binding("t")
                holes.append((hole, child))
                forms.append(self._symbol(hole, child.form))
        return forms

    def _is_settled(self, node: typed.Leaf, children: tuple[Typed, ...]) -> bool:
        """Whether the function that a call names cannot change while the arguments are evaluated."""
        if not (node.is_call and _is_name(children[0])):
            return False
        return all(
            self._inlines(child, node.type) or not _runs_host_code(child, node.type.roles) for child in children[1:]
        )

    def _inlines(self, child: Typed, type_: Type) -> bool:
        if isinstance(child, typed.Local):
            return True
        if isinstance(child, typed.Leaf):
            return child.type == type_ and not child.opaque
        return child.type == type_ and is_pure(child)

    def _has_holes(self, node: Typed) -> bool:
        return isinstance(node, typed.Leaf) and any(
            not self._inlines(child, node.type) or self._has_holes(child) for child in node.children
        )

    def _symbol(self, binding: Binding, at: Form) -> Form:
        self._by_python[binding.python] = binding
        return Symbol(binding.python).replace(at)

    def _spellings(self, node: Typed) -> str:
        return head_name(node.form) or show_form(node.form)

    # --- Compiling ---

    def compile(self, form: Form, scope: Scope, type_: Type, span: Span, slug: str, spelling: str = "") -> Code:
        assert isinstance(type_, Agreement)
        for binding in scope.values():
            self._by_python[binding.python] = binding
        names = {name: binding.python for name, binding in scope.items()}
        report = self.unit.report
        try:
            body, value = self.unit.compiler.compile(form, names, True)
        except Exception as error:  # Hy's errors, and whatever a user's macro inside the form raises
            for diagnostic in as_klor_error(error, report.source, span).diagnostics:
                report.error(diagnostic)
            return Code(ast.Constant(None), None, (), frozenset(), False, span)
        shift_columns([*body, value], report.source)
        scan = _Scan(self._by_python)
        scan.visit_all([*body, value])
        self._report(scan, type_.roles, span, slug, spelling)
        captures = tuple(scan.occurrences)
        needs_scope = bool(body) or scan.stores or scan.is_async or (scan.closes and bool(captures))
        code = Code(
            value if not needs_scope else None,
            [*body, ast.copy_location(ast.Return(value), value)] if needs_scope else None,
            captures,
            frozenset(scan.names),
            scan.is_async,
            span,
            scan.occurrences,
        )
        if needs_scope:
            code.function = self.unit.binding("leaf")
        code.free = {
            name: _place(node, span) for name, node in scan.names.items() if name not in scan.bound
        }
        self.codes.append(code)
        return code

    def _report(self, scan: _Scan, roles: Roles, span: Span, slug: str, spelling: str) -> None:
        report = self.unit.report
        for binding, nodes in scan.occurrences.items():
            type_ = self.types.get(binding)
            if type_ is not None and not (isinstance(type_, Agreement) and type_.roles >= roles):
                needed = render(Agreement(roles), self.order)
                report.error(messages.homogeneous_capture(
                    slug, _place(nodes[0], span), spelling, binding.name, render(type_, self.order), needed
                ))  # fmt: skip
        for name, node in scan.assigned:
            report.error(messages.unsupported(
                _place(node, span), f"{name} is a local of the choreography and cannot be changed",
                "a local is bound by let, and repeated with other values by loop",
            ))  # fmt: skip
        for escape, node in scan.escapes:
            report.error(messages.unsupported(
                _place(node, span), f"`{escape}` would leave the choreography", "keep it inside a function: (fn [] …)"
            ))  # fmt: skip
        for name in sorted(scan.names):
            spelled = unmangled(name)
            pair = arrow_roles(spelled)
            if spelled in self.roles:
                report.error(messages.role_as_value(_place(scan.names[name], span), spelled))
            elif pair and any(role in self.roles for role in pair):
                report.error(messages.homogeneous(
                    slug, _place(scan.names[name], span), spelling, f"{spelled} cannot stand",
                    "communicate before it, and use the result inside",
                ))  # fmt: skip


def _place(node: ast.AST, around: Span) -> Span:
    """Where compiled code stands in the text, if that is inside of the form that it was compiled from."""
    line, column = getattr(node, "lineno", None), getattr(node, "col_offset", None)
    end_line, end_column = getattr(node, "end_lineno", None), getattr(node, "end_col_offset", None)
    if line is None or column is None or end_line is None or end_column is None:
        return around
    place = Span(line, column + 1, end_line, max(end_column, column + 1))
    start, end = (around.line, around.column), (around.end_line, around.end_column)
    inside = start <= (place.line, place.column) and (place.end_line, place.end_column) <= end
    return place if inside else around


def is_stable(node: Typed) -> bool:
    """Whether it makes no difference when, or whether, the node is evaluated."""
    return isinstance(node, typed.Local) or (isinstance(node, typed.Leaf) and node.stable and not node.children)


def _is_name(node: Typed) -> bool:
    """Whether the node is a name of the host: which function is called is settled before its arguments run."""
    return isinstance(node, typed.Leaf) and not node.children and not node.opaque


def _runs_host_code(node: Typed, roles: Roles) -> bool:
    """Whether evaluating a node may run host code at one of `roles`; communication alone does not."""
    return any(
        isinstance(part, (typed.Call, typed.Await))
        or (isinstance(part, typed.Leaf) and part.type.roles & roles and not is_stable(part) and not _is_name(part))
        for part in walk(node)
    )


def is_pure(node: Typed) -> bool:
    """Whether a node is host code at the roles of its type and nothing else, all the way down."""
    match node:
        case typed.Local():
            return True
        case typed.Leaf(children=children):
            return all(_inside(child, node.type) for child in children)
        case typed.If() | typed.Junction() if not isinstance(node.type, Agreement):
            # Of locals that are tuples or choreographies, say.
            return False
        case typed.If(guard=guard, then=then, orelse=orelse):
            return all(_inside(part, node.type) and not _opaque(part) for part in (guard, then, orelse))
        case typed.Junction(items=items):
            return all(_inside(item, node.type) and not _opaque(item) for item in items)
        case _:
            return False


def _inside(node: Typed, type_: Type) -> bool:
    return isinstance(node, typed.Local) or (node.type == type_ and is_pure(node) and not _opaque(node))


def _opaque(node: Typed) -> bool:
    return isinstance(node, typed.Leaf) and node.opaque


class _Scan:
    """What compiled host code does with names.

    At the code's own level it looks for what would leave the generated function (`return`, `yield`, `break`) and
    for `await`; at any level for names.
    """

    def __init__(self, by_python: Mapping[str, Binding]) -> None:
        self.by_python = by_python
        self.occurrences: dict[Binding, list[ast.Name]] = {}
        #: Names of the host, each with the node that names it first.
        self.names: dict[str, ast.AST] = {}
        self.assigned: list[tuple[str, ast.AST]] = []
        self.escapes: list[tuple[str, ast.AST]] = []
        #: Names that the code binds itself, at any level.
        self.bound: set[str] = set()
        self.stores = False
        self.is_async = False
        self.closes = False

    def visit_all(self, nodes: Iterable[ast.AST]) -> None:
        seen: set[int] = set()
        # Each entry: a node, whether it is at the code's own level, whether a loop is around it at that level.
        todo: list[tuple[ast.AST, bool, bool]] = [(node, True, False) for node in nodes]
        while todo:
            node, own, looping = todo.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            self._visit(node, own, looping)
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
                own = False
            elif isinstance(node, (ast.For, ast.While, ast.AsyncFor)):
                looping = True
            todo.extend((child, own, looping) for child in ast.iter_child_nodes(node))

    def _visit(self, node: ast.AST, own: bool, looping: bool) -> None:
        match node:
            case ast.Name(id=name):
                binding = self.by_python.get(name)
                if binding is None:
                    self.names.setdefault(name, node)
                    if not isinstance(node.ctx, ast.Load):
                        self.bound.add(name)
                        self.stores = self.stores or own
                else:
                    self.occurrences.setdefault(binding, []).append(node)
                    if not isinstance(node.ctx, ast.Load):
                        self.assigned.append((binding.name, node))
            case ast.arg(arg=name):
                self._bind(name, node)
            case ast.Slice():
                # Hy writes x[1:None:None] for (cut x 1 None).
                for part in ("lower", "upper", "step"):
                    bound = getattr(node, part)
                    if isinstance(bound, ast.Constant) and bound.value is None:
                        setattr(node, part, None)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                self._bind(name, node)
                self.closes = self.stores = True
            case ast.Lambda() | ast.GeneratorExp():
                self.closes = True
            case ast.Return() | ast.Yield() | ast.YieldFrom() | ast.Global() | ast.Nonlocal() if own:
                self.escapes.append((_ESCAPES[type(node)], node))
            case ast.Break() | ast.Continue() if own and not looping:
                self.escapes.append((_ESCAPES[type(node)], node))
            case ast.Await() | ast.AsyncFor() | ast.AsyncWith() if own:
                self.is_async = True
            case ast.comprehension(is_async=1) if own:
                self.is_async = True
            case ast.MatchAs(name=name) | ast.MatchStar(name=name) if name:
                self._bind(name, node)
                self.stores = True
            case ast.MatchMapping(rest=rest) if rest:
                self._bind(rest, node)
                self.stores = True
            case ast.ExceptHandler(name=name) if name:
                self._bind(name, node)
            case ast.alias(name=name, asname=asname):
                self._bind(asname or name.split(".")[0], node)
            case _:
                pass

    def _bind(self, name: str, node: ast.AST) -> None:
        self.names.setdefault(name, node)
        self.bound.add(name)


_ESCAPES = {
    ast.Return: "return", ast.Yield: "yield", ast.YieldFrom: "yield", ast.Global: "global", ast.Nonlocal: "nonlocal",
    ast.Break: "break", ast.Continue: "continue",
}  # fmt: skip
