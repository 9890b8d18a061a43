"""Endpoint programs to their dataflow form, when a definition first runs out of order.

Given a definition; result: a Flow for each role. The text of the definition is compiled once more, up to the endpoint
trees; its host code becomes functions over the definition's own namespace, with the positions of the text. So nothing
of this is paid for by those who run in order.
"""

from __future__ import annotations

import ast
import builtins
import re
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from weakref import WeakKeyDictionary

from klorpy.core import endpoint as e
from klorpy.core.choreography import Definition, Site
from klorpy.core.diagnostics import KlorError
from klorpy.core.endpoint import Binding
from klorpy.core.types import Role
from klorpy.language.compiler import recompile
from klorpy.outoforder import flow as f
from klorpy.outoforder.hostcode import effects_of, is_name

_flows: Final[WeakKeyDictionary[Definition, tuple[f.Flow, ...]]] = WeakKeyDictionary()


def flows(definition: Definition) -> tuple[f.Flow, ...]:
    """The dataflow form of each role, in the order of the role vector. Raises as `recompile` does."""
    found = _flows.get(definition)
    if found is None:
        found = _flows[definition] = _compile(definition)
    return found


def _compile(definition: Definition) -> tuple[f.Flow, ...]:
    emitted = recompile(definition)
    codes = list(emitted.emitter.codes)
    callees = {callee.name: callee for program in emitted.programs for callee in _callees(program.body)}
    functions, finders = _functions(definition, emitted.emitter, codes, callees)
    calls = _tails(emitted.programs)
    alias = _aliases(emitted.programs, emitted.emitter)
    made = {
        code: _host_code(definition, emitted.emitter, code, function, alias)
        for code, function in zip(codes, functions, strict=True)
    }
    return tuple(
        _Lowering(definition, made, dict(zip(callees, finders, strict=True)), calls, index).flow(program)
        for index, program in enumerate(emitted.programs)
    )


# --- Host code --------------------------------------------------------------------------------------------------------


def _functions(
    definition: Definition, emitter: Any, codes: Sequence[Any], callees: Mapping[str, Any]
) -> tuple[tuple[Callable[..., Any], ...], tuple[Callable[[], Any], ...]]:
    """Host code as functions, and for each callee a function that looks its name up."""
    body = [emitter.leaf(code) for code in codes]
    find = [emitter.finder(callee) for callee in callees.values()]
    names: list[ast.expr] = [ast.Name(function.name, ast.Load()) for function in body]
    result = ast.Tuple([ast.Tuple(names, ast.Load()), ast.Tuple(find, ast.Load())], ast.Load())
    inner = emitter.function("klorpy_flow", [], [*body, ast.Return(result)])
    # What the definition knows of a function around it becomes variables of a function around this.
    outer = emitter.function("klorpy_scope", list(definition.cells), [inner])
    module = ast.Module([outer], [])
    ast.fix_missing_locations(module)
    code = compile(module, definition.source.filename, "exec")
    scope = next(c for c in code.co_consts if isinstance(c, types.CodeType))
    made = next(c for c in scope.co_consts if isinstance(c, types.CodeType))
    closure = tuple(definition.cells[name] for name in made.co_freevars)
    globals_ = definition.namespace if isinstance(definition.namespace, dict) else dict(definition.namespace)
    functions, finders = types.FunctionType(made, globals_, "klorpy_flow", None, closure)()
    return functions, finders


def _aliases(programs: Sequence[e.Program], emitter: Any) -> dict[str, ast.expr]:
    """The locals that stand for a name of the host: the function of a call is read before its arguments."""
    return {
        emitter.names.of(statement.binding): statement.operand.code.value
        for program in programs
        for statement in e.statements(program.body)
        if isinstance(statement, e.Assign) and isinstance(statement.operand, e.Leaf) and _is_host_name(statement.operand.code)
    }


def _is_host_name(code: Any) -> bool:
    return code.value is not None and not code.captures and is_name(code.value)


def _host_code(
    definition: Definition, emitter: Any, code: Any, function: Callable[..., Any], alias: Mapping[str, ast.expr]
) -> f.HostCode:
    nodes = [code.value] if code.value is not None else list(code.body)
    local = frozenset(code.names) - frozenset(code.free) | {emitter.names.of(b) for b in code.captures}
    found = effects_of(nodes, local, _scope(definition), alias)
    text = ast.unparse(nodes[-1] if code.value is None else nodes[0])
    for name in local & alias.keys():
        text = re.sub(rf"\b{name}\b", ast.unparse(alias[name]), text)
    return f.HostCode(
        function, tuple(code.captures), None if code.is_async else found.touched, found.reads, found.unordered, found.barrier,
        _is_host_name(code),
        found.calls, " ".join(text.split()),
    )  # fmt: skip


def _scope(definition: Definition) -> Callable[[str], Any]:
    def look(name: str) -> Any:
        if name in definition.cells:
            try:
                return definition.cells[name].cell_contents
            except ValueError:
                raise NameError(name) from None
        if name in definition.namespace:
            return definition.namespace[name]
        if hasattr(builtins, name):
            return getattr(builtins, name)
        raise NameError(name)

    return look


def _callees(block: e.Block) -> list[Any]:
    found = []
    for statement in e.statements(block):
        if isinstance(statement, e.Invoke):
            found.append(statement.callee)
        for operand in e.operands(statement):
            found.extend(part.callee for part in e.parts(operand) if isinstance(part, e.Instance))
    return found


def _tails(programs: Sequence[e.Program]) -> dict[int, set[bool]]:
    """For each site of a call, whether it is in tail position, at the roles that take part."""
    found: dict[int, set[bool]] = {}
    for program in programs:
        for statement in e.statements(program.body):
            if isinstance(statement, (e.Invoke, e.Apply)):
                found.setdefault(statement.site.index, set()).add(statement.tail)
    return found


# --- Statements -------------------------------------------------------------------------------------------------------


class _Lowering:
    def __init__(
        self, definition: Definition, codes: Mapping[Any, f.HostCode], finders: Mapping[str, Callable[[], Any]],
        tails: Mapping[int, set[bool]], index: int,
    ) -> None:  # fmt: skip
        self.definition = definition
        self.codes = codes
        self.finders = finders
        self.tails = tails
        self.index = index
        self.places = {role: i for i, role in enumerate(definition.roles)}

    def flow(self, program: e.Program) -> f.Flow:
        return f.Flow(self.definition, self.index, program.params, self.block(program.body))

    def block(self, block: e.Block) -> f.Block:
        out: list[f.Op] = []
        for statement in block:
            self.statement(statement, out)
        return tuple(out)

    def site(self, site: Site) -> Site:
        """The definition's own site, which a compilation of the same text has numbered alike."""
        return self.definition.sites[site.index]

    def cast(self, roles: tuple[Role, ...]) -> tuple[int, ...]:
        return tuple(self.places[role] for role in roles)

    def statement(self, s: e.Statement, out: list[f.Op]) -> None:
        span = s.span
        match s:
            case e.Assign(binding, operand):
                self._assign(binding, operand, s, out)
            case e.Evaluate(operand):
                self.operand(operand, s, out, keep=False)
            case e.Send(site, target, operand):
                out.append(f.Send(self.site(site), self.places[target], self.operand(operand, s, out), span=span))
            case e.Receive(site, source, binding):
                out.append(f.Receive(self.site(site), self.places[source], binding, span=span))
            case e.Invoke(scope=scope, site=site) if scope:
                raise KlorError(self.site(site).diagnostic(
                    "scope-order", "a scope is entered in the order of the program, and this run has keys for another order",
                    "leave the order out, of the run and of all definitions; or call the choreography without a scope",
                ))  # fmt: skip
            case e.Invoke(site, callee, index, roles, args, binding, tail):
                given = tuple(self.operand(arg, s, out) for arg in args)
                uniform = self.tails[site.index] == {True}
                find = self.finders[callee.name]
                out.append(f.Call(self.site(site), find, index, self.cast(roles), given, binding, tail, uniform, span=span))
            case e.Apply(site, callee, args, binding, tail):
                called = self.operand(callee, s, out)
                given = tuple(self.operand(arg, s, out) for arg in args)
                out.append(f.Apply(self.site(site), called, given, binding, tail, span=span))
            case e.Await(site, operand, binding):
                out.append(f.Await(self.site(site), self.operand(operand, s, out), binding, span=span))
            case e.Check(site, operand):
                out.append(f.Check(self.site(site), self.operand(operand, s, out), span=span))
            case e.Verify(site, roles, checker, operand):
                who = None if checker is None else self.places[checker]
                out.append(f.Verify(self.site(site), self.cast(roles), who, self.operand(operand, s, out), span=span))
            case e.Branch(guard, then, orelse, binding):
                test = self.operand(guard, s, out)
                one, other = self.block(then), self.block(orelse)
                tail = _ends(one) or _ends(other)
                out.append(f.Branch(test, one, other, None if tail else binding, tail, span=span))
            case e.Select():
                self._select(s, out)
            case e.NoMatch(site, subject):
                out.append(f.NoMatch(self.site(site), self.operand(subject, s, out), span=span))
            case e.Closure(binding, params, body, self_name, _):
                out.append(f.Lambda(binding, params, self.block(body), self_name, span=span))
            case e.Repeat(site, body, binding):
                out.append(f.Repeat(self.site(site), self.block(body), binding, e.leaves(body), span=span))
            case e.Again(bindings, operands):
                out.append(f.Again(bindings, tuple(self.operand(o, s, out) for o in operands), span=span))
            case e.Leave():
                out.append(f.Leave(span=span))
            case e.Return(operand):
                out.append(f.Return(self.operand(operand, s, out), span=span))
            case e.Pause():
                pass
            case _:
                raise AssertionError(s)

    def _assign(self, binding: Binding, operand: e.Operand, s: e.Statement, out: list[f.Op]) -> None:
        if isinstance(operand, e.Leaf):
            out.append(f.Host(binding, self._code(operand), span=s.span))
        else:
            out.append(f.Move(binding, self.operand(operand, s, out), span=s.span))

    def _select(self, s: e.Select, out: list[f.Op]) -> None:
        subject = self.operand(s.subject, s, out)
        cases = []
        for choice in s.cases:
            constant = pattern = None
            if choice.constant is not None:
                assert isinstance(choice.constant, e.Leaf)
                constant = self._code(choice.constant)
            else:
                assert isinstance(choice.pattern, e.Leaf)
                pattern = self._code(choice.pattern)
            cases.append(f.Case(constant, pattern, choice.captures, self.block(choice.block)))
        default = self.block(s.default)
        tail = _ends(default) or any(_ends(case.block) for case in cases)
        out.append(f.Select(subject, tuple(cases), default, None if tail else s.binding, tail, span=s.span))

    def operand(self, operand: e.Operand, s: e.Statement, out: list[f.Op], keep: bool = True) -> e.Operand:
        """An operand without host code in it, after ops that run what there was."""
        match operand:
            case e.Leaf():
                binding = Binding("t", "t") if keep else None
                out.append(f.Host(binding, self._code(operand), span=s.span))
                return e.Noop() if binding is None else e.Value(binding)
            case e.Group(items):
                return e.Group(tuple(self.operand(item, s, out) for item in items))
            case e.Item(group, index):
                return e.Item(self.operand(group, s, out), index)
            case e.Instance(callee, index, roles, site):
                return e.Instance(self.finders[callee.name], index, roles, self.site(site))
            case _:
                return operand

    def _code(self, leaf: e.Leaf) -> f.HostCode:
        code = self.codes[leaf.code]
        if not leaf.stable:
            return code
        return f.HostCode(
            code.function, code.inputs, f.NOTHING, False, False, False, not code.inputs, code.calls, code.text
        )


def _ends(block: f.Block) -> bool:
    """Whether nothing that stands behind the block is reached."""
    if not block:
        return False
    match block[-1]:
        case f.Return() | f.Again() | f.Leave() | f.Call(tail=True) | f.Apply(tail=True) | f.Branch(tail=True) | f.Select(tail=True):
            return True
        case f.Repeat(leaves=leaves):
            return not leaves
        case _:
            return False
