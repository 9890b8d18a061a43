"""Endpoint programs to Python.

Given the endpoint program of each role; result: one function, the *builder*, that makes the roles' projections:

    def buy_book(audit, at, SEND, RECEIVE, …):  # the words of `klorpy.runtime.commands`
        s0, s1 = at                                 # the sites
        def leaf(x): …                              # host code that needs a scope of its own
        def buy_book_B(cast, order): …              # a generator for each role
        return buy_book_B, buy_book_S

`cast` holds who plays the role vector. Python's `ast` is emitted, never text or Hy: host code keeps the nodes that
Hy compiled, and every node keeps the position of the user's form, so that tracebacks underline the source.
"""

from __future__ import annotations

import ast
import builtins
import keyword
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar, assert_never

from klorpy.core import endpoint as e
from klorpy.core.choreography import Site
from klorpy.core.endpoint import Binding
from klorpy.core.spans import Source, Span
from klorpy.core.types import Role
from klorpy.language.hy_adapter import byte_column, mangle
from klorpy.language.leaves import Code
from klorpy.language.surface import Callee

_Node = TypeVar("_Node", bound=ast.AST)

#: What the builder is given, in this order; `klorpy.runtime.link` passes the values.
KIT: Final = (
    "SEND", "RECEIVE", "CALL", "APPLY", "AWAIT", "CHECK", "PAUSE", "TAIL_CALL", "TAIL_APPLY",
    "Instance", "noop", "verify", "no_match", "enter",
)  # fmt: skip


class Names:
    """Python names for everything in one definition: readable, and none used twice."""

    def __init__(self, roles: Sequence[Role], codes: Iterable[Code], taken: Iterable[str]) -> None:
        self._used = {name for code in codes for name in code.names} | set(taken) | set(keyword.kwlist)
        self.roles: dict[Role, str] = {role: self.fresh(_identifier(role)) for role in roles}
        self._bindings: dict[Binding, str] = {}

    def fresh(self, base: str) -> str:
        name, number = base, 1
        while name in self._used or hasattr(builtins, name):
            number += 1
            name = f"{base}_{number}"
        self._used.add(name)
        return name

    def of(self, binding: Binding) -> str:
        name = self._bindings.get(binding)
        if name is None:
            name = self._bindings[binding] = self.fresh(binding.base)
        return name

    def spelled(self) -> dict[str, str]:
        """The locals of the choreography by Python's names, as the user writes them."""
        return {name: binding.name for binding, name in self._bindings.items()}


def _identifier(role: Role) -> str:
    mangled: str = mangle(role)
    return mangled


class Emitter:
    """Emits one definition."""

    def __init__(
        self, name: str, roles: Sequence[Role], sites: int, codes: Sequence[Code], source: Source, taken: Iterable[str]
    ) -> None:
        self.names = Names(roles, codes, taken)
        self.name = name
        self.roles = tuple(roles)
        self.codes = codes
        self.lines = source.lines
        self.plain = source.text.isascii()
        self.kit = {word: self.names.fresh(word) for word in KIT}
        self.audit = self.names.fresh("audit")
        self.at = self.names.fresh("at")
        self.cast = self.names.fresh("cast")
        self.sites = [self.names.fresh(f"s{i}") for i in range(sites)]
        self.used_sites: set[int] = set()

    def builder(self, programs: Sequence[e.Program], span: Span) -> ast.FunctionDef:
        """The builder function, under the (mangled) name of the definition."""
        functions = [self._projection(program, span) for program in programs]
        for code in self.codes:
            for binding, occurrences in code.occurrences.items():
                for node in occurrences:
                    node.id = self.names.of(binding)
        leaves = [self._leaf_function(code) for code in self.codes if code.body is not None]
        sites: list[ast.stmt] = []
        if self.sites:
            target = ast.Tuple([_store(name) for name in self.sites], ast.Store())
            sites.append(ast.Assign([target], _load(self.at)))
        result = ast.Return(ast.Tuple([_load(f.name) for f in functions], ast.Load()))
        function: ast.FunctionDef = _function(
            mangle(self.name), [self.audit, self.at, *self.kit.values()], [*sites, *leaves, *functions, result]
        )
        return self.locate(function, span)

    def _projection(self, program: e.Program, span: Span) -> ast.FunctionDef:
        name = self.names.fresh(f"{_readable(self.name)}_{self.names.roles[program.role]}")
        body = _Function(self, program.role)
        statements = body.block(program.body)
        function = body.finish(name, [self.cast], program.params, statements, outermost=True)
        return self.locate(function, span)

    def _leaf_function(self, code: Code) -> ast.stmt:
        assert code.function is not None
        assert code.body is not None
        make = ast.AsyncFunctionDef if code.is_async else ast.FunctionDef
        params = [self.names.of(binding) for binding in code.captures]
        function: ast.stmt = _function(self.names.of(code.function), params, code.body, make)
        return self.locate(function, code.span)

    # For those who make another form of the endpoint programs, with the same names and positions.

    def leaf(self, code: Code) -> ast.stmt:
        """Host code as a function of the locals that it captures."""
        if code.body is not None:
            return self._leaf_function(code)
        params = [self.names.of(binding) for binding in code.captures]
        assert code.value is not None
        function: ast.stmt = _function(self.names.fresh("leaf"), params, [ast.Return(code.value)])
        return self.locate(function, code.span)

    def finder(self, callee: Callee) -> ast.expr:
        """A function that looks a choreography's name up."""
        return ast.Lambda(
            ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[]), name_expression(callee)
        )

    def function(self, name: str, params: list[str], body: list[ast.stmt]) -> ast.FunctionDef:
        function: ast.FunctionDef = _function(name, params, body)
        return function

    def locate(self, node: _Node, span: Span) -> _Node:
        """Give the position of `span` to `node` and to what is below without a position of its own."""
        start = byte_column(self.lines, self.plain, span.line, span.column - 1)
        end = byte_column(self.lines, self.plain, span.end_line, span.end_column)
        todo: list[ast.AST] = [node]
        while todo:
            current = todo.pop()
            if hasattr(current, "lineno"):
                continue
            if "lineno" in current._attributes:
                place: Any = current
                place.lineno, place.col_offset = span.line, start
                place.end_lineno, place.end_col_offset = span.end_line, end
            todo.extend(ast.iter_child_nodes(current))
        return node


class _Function:
    """Emits one generator function: a projection, or a choreography made inside one."""

    def __init__(self, emitter: Emitter, role: Role) -> None:
        self.emitter = emitter
        self.names = emitter.names
        self.kit = emitter.kit
        self.role = role
        self.yields = False
        self.peers: dict[Role, None] = {}
        self.repeating = False
        #: RECEIVE commands inside a repetition are the same every round: they are made once, before it.
        self.received: dict[tuple[Role, int], tuple[str, ast.stmt]] = {}

    def finish(
        self, name: str, before: list[str], params: Iterable[Binding], statements: list[ast.stmt], *, outermost: bool
    ) -> ast.FunctionDef:
        first: list[ast.stmt] = []
        if outermost:
            for role in self.emitter.roles:
                if role in self.peers:
                    place = ast.Subscript(
                        _load(self.emitter.cast), ast.Constant(self.emitter.roles.index(role)), ast.Load()
                    )
                    first.append(ast.Assign([_store(self.names.roles[role])], place))
        first += [statement for _, statement in self.received.values()]
        last: list[ast.stmt] = [] if self.yields else [ast.Expr(ast.Yield())]
        names = [*before, *(self.names.of(p) for p in params)]
        function: ast.FunctionDef = _function(name, names, [*first, *statements, *last])
        return function

    def block(self, block: e.Block) -> list[ast.stmt]:
        out: list[ast.stmt] = []
        for statement in block:
            for node in self.statement(statement):
                self.emitter.locate(node, statement.span)
                out.append(node)
        return out

    def statement(self, statement: e.Statement) -> list[ast.stmt]:
        match statement:
            case e.Assign(binding, operand):
                return [self._assign(binding, self.operand(operand))]
            case e.Evaluate(operand):
                return [ast.Expr(self.operand(operand))]
            case e.Send(site, target, operand):
                return [self._command(None, "SEND", self.peer(target), self.operand(operand), self.site(site))]
            case e.Receive(site, source, binding):
                if not self.repeating:
                    return [self._command(binding, "RECEIVE", self.peer(source), self.site(site))]
                return [self._yield(binding, _load(self._receive(source, site)))]
            case e.Invoke():
                return [self._invoke(statement)]
            case e.Apply(site, callee, args, binding, tail):
                parts = [self.operand(callee), self._tuple(args), self.site(site)]
                return [self._tail("TAIL_APPLY", *parts) if tail else self._command(binding, "APPLY", *parts)]
            case e.Await(site, operand, binding):
                return [self._command(binding, "AWAIT", self.operand(operand), self.site(site))]
            case e.Check(site, operand):
                self.yields = True
                command = self._words(
                    "CHECK", self.operand(operand), _load(self.emitter.cast), self.site(site)
                )
                return [ast.If(_load(self.emitter.audit), [ast.Expr(ast.Yield(command))], [])]
            case e.Verify(site, roles, checker, operand):
                everyone = ast.Tuple([self.peer(role) for role in roles], ast.Load())
                who = ast.Constant(None) if checker is None else self.peer(checker)
                given = ast.Tuple(
                    [self.peer(self.role), everyone, who, self.operand(operand), self.site(site)], ast.Load()
                )
                return [self._command(None, "APPLY", _load(self.kit["verify"]), given, self.site(site))]
            case e.Branch(guard, then, orelse, _):
                return self._branch(self.operand(guard), self.block(then), self.block(orelse))
            case e.Select():
                return self._select(statement)
            case e.NoMatch(site, subject):
                failure = ast.Call(_load(self.kit["no_match"]), [self.operand(subject), self.site(site)], [])
                return [ast.Raise(failure)]
            case e.Closure():
                return self._closure(statement)
            case e.Repeat(_, body, _):
                outer, self.repeating = self.repeating, True
                inner = self.block(body)
                self.repeating = outer
                return [ast.While(ast.Constant(True), inner, [])]
            case e.Again(bindings, operands):
                pairs = [
                    (b, o) for b, o in zip(bindings, operands, strict=True) if o != e.Value(b)
                ]
                return [*self._assign_all(pairs), ast.Continue()]
            case e.Leave():
                return [ast.Break()]
            case e.Pause():
                return [self._command(None, "PAUSE")]
            case e.Return(operand):
                return [ast.Return(self.operand(operand))]
            case _:
                raise AssertionError(statement)

    # --- Commands ---

    def _receive(self, source: Role, site: Site) -> str:
        found = self.received.get((source, site.index))
        if found is None:
            name = self.names.fresh(f"from_{self.names.roles[source]}")
            command = self._words("RECEIVE", self.peer(source), self.site(site))
            found = self.received[source, site.index] = (name, ast.Assign([_store(name)], command))
        return found[0]

    def _words(self, word: str, *parts: ast.expr) -> ast.expr:
        return ast.Tuple([_load(self.kit[word]), *parts], ast.Load())

    def _command(self, binding: Binding | None, word: str, *parts: ast.expr) -> ast.stmt:
        return self._yield(binding, self._words(word, *parts))

    def _yield(self, binding: Binding | None, command: ast.expr) -> ast.stmt:
        self.yields = True
        value = ast.Yield(command)
        return ast.Expr(value) if binding is None else self._assign(binding, value)

    def _invoke(self, s: e.Invoke) -> ast.stmt:
        args = ast.Tuple([self._cast(s.roles), *(self.operand(arg) for arg in s.args)], ast.Load())
        parts = [self._callee(s.callee), ast.Constant(s.index), args, self.site(s.site)]
        if s.scope:
            everyone = ast.Tuple([self.peer(role) for role in s.scope], ast.Load())
            flags = [_load(self.emitter.audit), ast.Constant(s.barrier)]
            entry = ast.Tuple([self.peer(self.role), everyone, *parts[:3], *flags, parts[3]], ast.Load())
            scoped = [_load(self.kit["enter"]), entry, self.site(s.site)]
            return self._tail("TAIL_APPLY", *scoped) if s.tail else self._command(s.binding, "APPLY", *scoped)
        return self._tail("TAIL_CALL", *parts) if s.tail else self._command(s.binding, "CALL", *parts)

    def _tail(self, word: str, *parts: ast.expr) -> ast.stmt:
        """The program is never resumed; `return` says so to the reader, and to whoever looks where a block ends."""
        self.yields = True
        return ast.Return(ast.Yield(self._words(word, *parts)))

    def _callee(self, callee: Callee) -> ast.expr:
        """The name of the choreography, looked up when the call runs."""
        return name_expression(callee)

    def _cast(self, roles: tuple[Role, ...]) -> ast.expr:
        if roles == self.emitter.roles:
            return _load(self.emitter.cast)
        return ast.Tuple([self.peer(role) for role in roles], ast.Load())

    def peer(self, role: Role) -> ast.expr:
        self.peers[role] = None
        return _load(self.names.roles[role])

    def site(self, site: Site) -> ast.expr:
        self.emitter.used_sites.add(site.index)
        return _load(self.emitter.sites[site.index])

    # --- Operands ---

    def operand(self, operand: e.Operand) -> ast.expr:
        match operand:
            case e.Noop():
                return _load(self.kit["noop"])
            case e.Value(binding):
                return _load(self.names.of(binding))
            case e.Leaf(code):
                return self._leaf(code)
            case e.Group(items):
                return self._tuple(items)
            case e.Item(group, index):
                return ast.Subscript(self.operand(group), ast.Constant(index), ast.Load())
            case e.Instance(callee, index, roles, site):
                parts = [self._callee(callee), ast.Constant(index), self._cast(roles), self.site(site)]
                return ast.Call(_load(self.kit["Instance"]), parts, [])
            case _:
                assert_never(operand)

    def _leaf(self, code: Code) -> ast.expr:
        if code.value is not None:
            return code.value
        assert code.function is not None
        args: list[ast.expr] = [_load(self.names.of(binding)) for binding in code.captures]
        return ast.Call(_load(self.names.of(code.function)), args, [])

    def _tuple(self, operands: tuple[e.Operand, ...]) -> ast.expr:
        return ast.Tuple([self.operand(o) for o in operands], ast.Load())

    # --- Other statements ---

    def _assign(self, binding: Binding, value: ast.expr) -> ast.stmt:
        return ast.Assign([_store(self.names.of(binding))], value)

    def _assign_all(self, pairs: list[tuple[Binding, e.Operand]]) -> list[ast.stmt]:
        """Assign at once: the operands may name the bindings."""
        if not pairs:
            return []
        if len(pairs) == 1:
            return [self._assign(pairs[0][0], self.operand(pairs[0][1]))]
        target = ast.Tuple([_store(self.names.of(binding)) for binding, _ in pairs], ast.Store())
        return [ast.Assign([target], ast.Tuple([self.operand(o) for _, o in pairs], ast.Load()))]

    def _branch(self, test: ast.expr, then: list[ast.stmt], orelse: list[ast.stmt]) -> list[ast.stmt]:
        if not then and orelse:
            return [ast.If(ast.UnaryOp(ast.Not(), test), orelse, [])]
        if then and isinstance(then[-1], (ast.Return, ast.Continue, ast.Break, ast.Raise)):
            # Nothing comes back from the first arm, so the second need not be indented.
            return [ast.If(test, then, []), *orelse]
        return [ast.If(test, then or [ast.Pass()], orelse)]

    def _select(self, s: e.Select) -> list[ast.stmt]:
        # In the order of the text, so that names are numbered as one reads.
        blocks = [self.block(case.block) for case in s.cases]
        rest = self.block(s.default)
        for case, block in zip(reversed(s.cases), reversed(blocks), strict=True):
            if case.constant is not None:
                test: ast.expr = ast.Compare(self.operand(s.subject), [ast.Eq()], [self.operand(case.constant)])
                rest = self._branch(test, block, rest)
                continue
            assert case.captured is not None
            assert case.pattern is not None
            captured = self.names.of(case.captured)
            names: list[ast.stmt] = []
            if case.captures:
                target = ast.Tuple([_store(self.names.of(b)) for b in case.captures], ast.Store())
                names.append(ast.Assign([target], _load(captured)))
            test = ast.Compare(_load(captured), [ast.IsNot()], [ast.Constant(None)])
            rest = [
                self._assign(case.captured, self.operand(case.pattern)),
                *self._branch(test, [*names, *block], rest),
            ]
        return rest

    def _closure(self, s: e.Closure) -> list[ast.stmt]:
        inner = _Function(self.emitter, self.role)
        statements = inner.block(s.body)
        name = self.names.of(s.self_name or s.binding)
        function = inner.finish(name, [], s.params, statements, outermost=False)
        self.peers.update(inner.peers)
        if s.captures is None:
            same = [] if s.self_name is None else [self._assign(s.binding, _load(name))]
            return [function, *same]
        # A function around it gives the closure variables of its own, which the next round does not change.
        maker = self.names.fresh("make_" + name)
        captures = [self.names.of(binding) for binding in s.captures]
        make = _function(maker, captures, [function, ast.Return(_load(name))])
        call = ast.Call(_load(maker), [_load(capture) for capture in captures], [])
        return [make, self._assign(s.binding, call)]


def name_expression(callee: Callee) -> ast.expr:
    """The Python expression that a choreography's (dotted) name means."""
    first, *rest = callee.name.split(".")
    node: ast.expr = _load(mangle(first))
    for part in rest:
        node = ast.Attribute(node, mangle(part), ast.Load())
    return node


def _readable(name: str) -> str:
    simple = name.replace("-", "_").rstrip("?!*")
    mangled: str = mangle(name)
    return simple if simple.isidentifier() and simple.isascii() else mangled


def _load(name: str) -> ast.Name:
    return ast.Name(name, ast.Load())


def _store(name: str) -> ast.Name:
    return ast.Name(name, ast.Store())


def _function(
    name: str, params: Iterable[str], body: list[ast.stmt],
    make: type[ast.FunctionDef] | type[ast.AsyncFunctionDef] = ast.FunctionDef,
) -> Any:  # fmt: skip
    arguments = ast.arguments(
        posonlyargs=[], args=[ast.arg(p) for p in params], kwonlyargs=[], kw_defaults=[], defaults=[]
    )
    extra: dict[str, Any] = {"type_params": []} if "type_params" in make._fields else {}
    return make(name=name, args=arguments, body=body, decorator_list=[], returns=None, **extra)


def constants(value: object) -> ast.expr:
    """Nested tuples and dicts of constants as an expression."""
    if isinstance(value, tuple):
        return ast.Tuple([constants(item) for item in value], ast.Load())
    if isinstance(value, Mapping):
        return ast.Dict([constants(k) for k in value], [constants(v) for v in value.values()])
    return ast.Constant(value)  # type: ignore[arg-type]
