"""Endpoint projection: ⟦e⟧ at a role r, in A-normal form.

Given a checked, numbered definition and a role; result: the role's endpoint program. An expression that has a result
for r (r is in its type) yields an operand; one that only mentions r runs its effects and yields Noop; any other is
Noop. A copy is a send at its source and a receive at its target; a choice is projected to all roles of its guard.

Operands are not yet evaluated when they are returned. Whenever a later sibling adds statements, what stands before
it is saved in a local first (`_operands`), so that every role evaluates, sends and receives in the order of the
source. (Hy's compiler, left to itself, would hoist statements out of arguments and let two roles disagree on it.)

Source: the projection of Klor; F. Montesi, "Introduction to Choreographies" (2023), chapter 6.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias, assert_never

from klorpy.core import endpoint as e
from klorpy.core.choreography import Site
from klorpy.core.endpoint import Binding, Operand
from klorpy.core.options import Options
from klorpy.core.spans import Span
from klorpy.core.types import Role, Tuple, Type
from klorpy.language import typed
from klorpy.language.leaves import Leaves, is_pure, is_stable
from klorpy.language.sites import Sites, bound, children
from klorpy.language.surface import Binder, HostPattern
from klorpy.language.typed import Typed

Out: TypeAlias = list[e.Statement]


class _Unused:
    """Asks for the effects of an expression only."""


UNUSED: Final = _Unused()
#: What to do with a result: nothing known (None), bind it to a local, or drop it.
Want: TypeAlias = "Binding | _Unused | None"


@dataclass(frozen=True, slots=True)
class Result:
    """A tail position whose value is the result of the program."""


@dataclass(frozen=True, slots=True)
class Leave:
    """A tail position of a loop whose value goes to `binding` (None: it is not used)."""

    binding: Binding | None


Tail: TypeAlias = Result | Leave


class Projector:
    """Projects one definition to one role."""

    def __init__(
        self, role: Role, order: tuple[Role, ...], leaves: Leaves, sites: Sites, options: Options,
        fresh: Callable[[str], Binding],
    ) -> None:  # fmt: skip
        self.role = role
        self.order = order
        self.leaves = leaves
        self.sites = sites
        self.options = options
        self.fresh = fresh
        #: Inside a Repeat, locals get new values: closures have to keep the old ones.
        self.repeating = 0

    def program(self, definition: typed.Definition) -> e.Program:
        out: Out = []
        params = self._params(definition.params, definition.arrow.params, definition.body.span, out)
        for binder, type_ in zip(definition.params, definition.arrow.params, strict=True):
            if isinstance(binder, Binding):
                self._verify_param(binder, type_, out)
        self._block(definition.body, definition.repeats, out)
        return e.Program(self.role, params, tuple(out))

    def _block(self, body: Typed, repeats: bool, out: Out) -> None:
        """The body of a definition or a choreography."""
        if self.role not in body.mentions:
            out.append(e.Return(e.Noop(), span=body.span))
        elif repeats:
            self._repeat(body, self.sites.loop(body), Result(), out)
        else:
            self._tail(body, Result(), out)

    def _repeat(self, body: Typed, site: Site, tail: Tail, out: Out) -> None:
        inner: Out = []
        self.repeating += 1
        self._tail(body, tail, inner)
        self.repeating -= 1
        if _is_silent(tuple(inner)):
            # A round without a command would keep the interpreter from looking at the others, or at the clock.
            inner.insert(0, e.Pause(span=body.span))
        binding = tail.binding if isinstance(tail, Leave) else None
        out.append(e.Repeat(site, tuple(inner), binding, span=body.span))

    def _params(self, binders: tuple[Binder, ...], types: tuple[Type, ...], span: Span, out: Out) -> tuple[Binding, ...]:
        """The parameters that mention the role; those that are taken apart get a name of their own."""
        params = []
        for binder, type_ in zip(binders, types, strict=True):
            if self.role not in type_.roles:
                continue
            if isinstance(binder, Binding):
                params.append(binder)
                continue
            param = self.fresh("t")
            params.append(param)
            self._destructure(binder, type_, e.Value(param), out, span)
        return tuple(params)

    def _verify_param(self, binding: Binding, type_: Type, out: Out) -> None:
        site = self.sites.param(binding)
        if site is not None and self.role in type_.roles and self.options.verify_agreement:
            roles = site.actual_roles(self.order)
            out.append(e.Verify(site, roles, self._checker(roles), e.Value(binding), span=site.span))

    def _checker(self, roles: tuple[Role, ...]) -> Role | None:
        """Who collects the copies. A checker that has no copy could not know that it is asked: then all exchange."""
        checker = self.options.verify_agreement
        return checker if isinstance(checker, str) and checker in roles else None

    # --- Tails ---

    def _tail(self, node: Typed, tail: Tail, out: Out) -> None:
        """Statements for a node in tail position, up to the Return, Leave or Again that ends them."""
        match node:
            case typed.Do(items=items):
                for item in items[:-1]:
                    self._effect(item, out)
                self._tail(items[-1], tail, out)
            case typed.Let():
                self._let(node, out)
                self._tail(node.body, tail, out)
            case typed.Unpack():
                self._unpack(node, out)
                self._tail(node.body, tail, out)
            case typed.If(guard=guard, then=then, orelse=orelse) if not self._whole(node) and self._chooses(guard):
                test = self._operand(guard, out)
                out.append(e.Branch(test, self._arm(then, tail), self._arm(orelse, tail), span=guard.span))
            case typed.Case(subject=subject) if self._chooses(subject):
                self._select(node, out, lambda body: self._arm(body, tail))
            case typed.Junction(items=items) if not self._whole(node) and (node.recurs or self.role in node.type.roles):
                self._junction_tail(node, items, tail, out)
            case typed.Loop() if isinstance(tail, Result) and self.role in node.mentions:
                self._loop(node, Result(), out)
            case typed.Recur():
                self._recur(node, out)
            case typed.Call() if isinstance(tail, Result) and self.role in node.arrow.roles:
                self._call(node, None, out, tail=True)
            case _:
                self._finish(node, tail, out)

    def _finish(self, node: Typed, tail: Tail, out: Out) -> None:
        match tail:
            case Result():
                out.append(e.Return(self._node(node, None, out), span=node.span))
            case Leave(None):
                self._effect(node, out)
                out.append(e.Leave(span=node.span))
            case Leave(Binding() as binding):
                self._store(node, binding, out)
                out.append(e.Leave(span=node.span))

    def _arm(self, node: Typed, tail: Tail) -> e.Block:
        inner: Out = []
        self._tail(node, tail, inner)
        return tuple(inner)

    def _junction_tail(self, node: typed.Junction, items: tuple[Typed, ...], tail: Tail, out: Out) -> None:
        first, *rest = items
        if not rest:
            self._tail(first, tail, out)
            return
        value = self._saved(first, out)
        inner: Out = []
        self._junction_tail(node, tuple(rest), tail, inner)
        stop: Out = []
        match tail:
            case Result():
                stop.append(e.Return(value, span=first.span))
            case Leave(binding):
                if binding is not None:
                    stop.append(e.Assign(binding, value, span=first.span))
                stop.append(e.Leave(span=first.span))
        then, orelse = (inner, stop) if node.is_and else (stop, inner)
        out.append(e.Branch(value, tuple(then), tuple(orelse), span=first.span))

    # --- Expressions ---

    def _operand(self, node: Typed, out: Out) -> Operand:
        return self._node(node, None, out)

    def _effect(self, node: Typed, out: Out) -> None:
        """The effects of a node whose value is not used."""
        self._evaluate(self._node(node, UNUSED, out), node, out)

    def _evaluate(self, operand: Operand, node: Typed, out: Out) -> None:
        for leaf in _unstable_leaves(operand):
            out.append(e.Evaluate(leaf, span=node.span))

    def _store(self, node: Typed, binding: Binding, out: Out) -> None:
        """Bind the node's value, if it has one here."""
        operand = self._node(node, binding, out)
        if not isinstance(operand, e.Noop) and operand != e.Value(binding):
            out.append(e.Assign(binding, operand, span=node.span))

    def _saved(self, node: Typed, out: Out) -> Operand:
        """The node's value as an operand that may be used twice."""
        return self._save(self._operand(node, out), node, out)

    def _save(self, operand: Operand, node: Typed, out: Out) -> Operand:
        if _is_stable(operand):
            return operand
        binding = self.fresh("t")
        out.append(e.Assign(binding, operand, span=node.span))
        return e.Value(binding)

    def _operands(self, nodes: tuple[Typed, ...], out: Out) -> list[Operand]:
        """The values of `nodes`, evaluated in order; Noop where the role has none."""
        operands: list[Operand] = []
        for i, node in enumerate(nodes):
            mark = len(out)
            inner: Out = []
            operand = self._operand(node, inner)
            if inner:
                # What stands before must be evaluated before these statements.
                saves: Out = []
                operands = [self._save(o, n, saves) for o, n in zip(operands, nodes[:i], strict=True)]
                out[mark:mark] = saves
            out.extend(inner)
            operands.append(operand)
        return operands

    def _node(self, node: Typed, want: Want, out: Out) -> Operand:
        """Add the statements of `node` and give its value, Noop when the role has none or it is UNUSED."""
        if not node.involves(self.role):
            return e.Noop()
        here = self.role in node.type.roles
        if self._whole(node):
            return self._leaf(node, want, out)
        match node:
            case typed.Leaf():
                return self._leaf(node, want, out)
            case typed.Local(binding=binding):
                return e.Value(binding) if here else e.Noop()
            case typed.Copy():
                return self._copy(node, want, out)
            case typed.Narrow(body=body):
                if here:
                    return self._node(body, want, out)
                self._effect(body, out)
                return e.Noop()
            case typed.Pack(items=items):
                return self._pack(items, out)
            case typed.Unpack():
                self._unpack(node, out)
                return self._node(node.body, want, out)
            case typed.Agree():
                return self._agree(node, out)
            case typed.Chor():
                return self._chor(node, want, out) if self.role in node.arrow.roles else e.Noop()
            case typed.Inst(callee=callee, roles=roles):
                if not here:
                    return e.Noop()
                return e.Instance(callee, roles.index(self.role), roles, self.sites.of(node))
            case typed.Call():
                return self._call(node, want, out, tail=False)
            case typed.Do(items=items):
                for item in items[:-1]:
                    self._effect(item, out)
                return self._node(items[-1], want, out)
            case typed.Let():
                self._let(node, out)
                return self._node(node.body, want, out)
            case typed.If(guard=guard, then=then, orelse=orelse):
                return self._if(node, guard, then, orelse, want, out)
            case typed.Junction(items=items):
                return self._junction(node, items, want, out)
            case typed.Case():
                return self._case(node, want, out)
            case typed.Loop():
                return self._loop_value(node, want, out)
            case typed.Await(body=body):
                return self._await(node, body, want, out)
            case typed.Recur():
                raise AssertionError("recur outside of a tail position")
            case _:
                assert_never(node)

    def _target(self, node: Typed, want: Want) -> Binding | None:
        """The local for a result that only a statement can give; None when it is not needed here."""
        if isinstance(want, _Unused) or self.role not in node.type.roles:
            return None
        return want or self.fresh("t")

    @staticmethod
    def _result(binding: Binding | None) -> Operand:
        return e.Noop() if binding is None else e.Value(binding)

    # Host code.

    def _whole(self, node: Typed) -> bool:
        """Whether a choice runs as one piece of host code, at exactly the roles of its type."""
        return isinstance(node, (typed.If, typed.Junction)) and not node.recurs and is_pure(node)

    def _leaf(self, node: Typed, want: Want, out: Out) -> Operand:
        unit = self.leaves.of(node)
        if self.role not in node.type.roles:
            for _, child in unit.holes:
                self._effect(child, out)
            return e.Noop()
        for hole, child in unit.holes:
            self._store(child, hole, out)
        operand: Operand = e.Leaf(unit.code, is_stable(node))
        if unit.code.is_async:
            binding = self._target(node, want) or self.fresh("t")
            out.append(e.Await(self.sites.of(node), operand, binding, span=node.span))
            operand = e.Value(binding)
        if len(node.type.roles) > 1 and not is_stable(node) and not _is_host_name(node):
            operand = self._save_as(operand, want, node, out)
            out.append(e.Check(self.sites.of(node), operand, span=node.span))
        return operand

    def _save_as(self, operand: Operand, want: Want, node: Typed, out: Out) -> Operand:
        if isinstance(operand, e.Value):
            return operand
        binding = want if isinstance(want, Binding) else self.fresh("t")
        out.append(e.Assign(binding, operand, span=node.span))
        return e.Value(binding)

    def _await(self, node: typed.Await, body: Typed, want: Want, out: Out) -> Operand:
        if self.role not in node.type.roles:
            self._effect(body, out)
            return e.Noop()
        operand = self._operand(body, out)
        binding = self._target(node, want)
        if binding is None and len(node.type.roles) > 1:
            binding = self.fresh("t")
        site = self.sites.of(node)
        out.append(e.Await(site, operand, binding, span=node.span))
        if len(node.type.roles) > 1 and binding is not None:
            out.append(e.Check(site, e.Value(binding), span=node.span))
        return self._result(binding)

    # Communication.

    def _copy(self, node: typed.Copy, want: Want, out: Out) -> Operand:
        site = self.sites.of(node)
        if self.role == node.target:
            self._effect(node.body, out)
            binding = self._target(node, want)
            out.append(e.Receive(site, node.source, binding, span=node.span))
            return self._result(binding)
        if self.role == node.source:
            operand = self._node(node.body, want if isinstance(want, Binding) else None, out)
            if not isinstance(want, _Unused):
                operand = (
                    operand if _is_stable(operand) else self._save_as(operand, want, node, out)
                )
            out.append(e.Send(site, node.target, operand, span=node.span))
            return e.Noop() if isinstance(want, _Unused) else operand
        if isinstance(want, _Unused) or self.role not in node.type.roles:
            self._effect(node.body, out)
            return e.Noop()
        return self._node(node.body, want, out)

    def _agree(self, node: typed.Agree, out: Out) -> Operand:
        operands = self._operands(node.items, out)
        mine = [o for o, item in zip(operands, node.items, strict=True) if self.role in item.type.roles]
        if not mine:
            return e.Noop()
        value = self._save(mine[0], node, out)
        site = self.sites.of(node)
        if len(node.type.roles) > 1:
            if self.options.verify_agreement:
                roles = site.actual_roles(self.order)
                out.append(e.Verify(site, roles, self._checker(roles), value, span=node.span))
            out.append(e.Check(site, value, span=node.span))
        return value

    # Tuples.

    def _pack(self, items: tuple[Typed, ...], out: Out) -> Operand:
        operands = self._operands(items, out)
        mine = [o for o, item in zip(operands, items, strict=True) if self.role in item.type.roles]
        return e.Group(tuple(mine)) if mine else e.Noop()

    def _unpack(self, node: typed.Unpack, out: Out) -> None:
        for binder, init in node.bindings:
            if self.role not in init.type.roles:
                self._effect(init, out)
                continue
            value = self._saved(init, out)
            self._destructure(binder, init.type, value, out, node.span)

    def _destructure(self, binder: Binder, type_: Type, value: Operand, out: Out, span: Span) -> None:
        """Bind the elements of a tuple that mention the role; the tuple has no others here."""
        if binder is None or self.role not in type_.roles:
            return
        if isinstance(binder, Binding):
            out.append(e.Assign(binder, value, span=span))
            return
        assert isinstance(type_, Tuple)
        index = 0
        for part, item in zip(binder, type_.items, strict=True):
            if self.role in item.roles:
                self._destructure(part, item, e.Item(value, index), out, span)
                index += 1

    # Choreographies as values.

    def _chor(self, node: typed.Chor, want: Want, out: Out) -> Operand:
        if isinstance(want, _Unused):
            return e.Noop()
        binding = want or self.fresh("chor")
        inner: Out = []
        captures = None
        if self.repeating:
            captures = tuple(self._captured(node))
        # What a closure's own body repeats is its own affair.
        outside, self.repeating = self.repeating, 0
        params = self._params(node.params, node.arrow.params, node.span, inner)
        self._block(node.body, node.repeats, inner)
        self.repeating = outside
        out.append(e.Closure(binding, params, tuple(inner), node.self_name, captures, span=node.span))
        return e.Value(binding)

    def _captured(self, node: typed.Chor) -> Iterator[Binding]:
        """The locals from outside that the body of a choreography uses at this role."""
        inside: set[Binding] = set()
        used: dict[Binding, None] = {}
        todo: list[Typed] = [node]
        while todo:
            current = todo.pop()
            inside.update(binding for binding, _ in bound(current))
            if self.role in current.type.roles:
                used.update(dict.fromkeys(self._named(current)))
            todo.extend(children(current))
        for binding in used:
            type_ = self.leaves.types.get(binding)
            if binding not in inside and type_ is not None and self.role in type_.roles:
                yield binding

    def _named(self, node: Typed) -> tuple[Binding, ...]:
        """The locals that a node itself names."""
        match node:
            case typed.Local(binding=binding):
                return (binding,)
            case typed.Leaf(opaque=True):
                return self.leaves.of(node).code.captures
            case typed.Case():
                subject = self.leaves.name_of(node, "t")
                codes = [self.leaves.pattern(c, subject, node.subject.type) for c in node.clauses if c.constant is None]
                return tuple(binding for code in codes for binding in code.captures)
            case _:
                return ()

    def _call(self, node: typed.Call, want: Want, out: Out, *, tail: bool) -> Operand:
        takes_part = self.role in node.arrow.roles
        callee = node.callee
        if isinstance(callee, typed.Inst):
            operands = self._operands(node.args, out)
        else:
            first, *operands = self._operands((callee, *node.args), out)
        if not takes_part:
            for operand, arg in zip(operands, node.args, strict=True):
                self._evaluate(operand, arg, out)
            return e.Noop()
        args = tuple(
            operand for operand, type_ in zip(operands, node.arrow.params, strict=True) if self.role in type_.roles
        )
        binding = None if tail else self._target(node, want)
        site = self.sites.of(node)
        if isinstance(callee, typed.Inst):
            index = callee.roles.index(self.role)
            scope = tuple(role for role in callee.roles if role in node.arrow.roles) if node.updatable else ()
            out.append(e.Invoke(
                site, callee.callee, index, callee.roles, args, binding, tail=tail, scope=scope, barrier=node.barrier, span=node.span
            ))  # fmt: skip
        else:
            out.append(e.Apply(site, first, args, binding, tail=tail, span=node.span))
        return self._result(binding)

    # Binding and choice.

    def _let(self, node: typed.Let, out: Out) -> None:
        for binder, init in node.bindings:
            if isinstance(binder, Binding):
                if self.role in init.type.roles:
                    self._store(init, binder, out)
                else:
                    self._effect(init, out)
            else:
                self._destructuring(node, binder, init, out)

    def _destructuring(self, node: typed.Let, pattern: HostPattern, init: Typed, out: Out) -> None:
        types = dict(bound(node))
        type_ = types[pattern.bindings[0]] if pattern.bindings else init.type
        if self.role not in type_.roles:
            self._effect(init, out)
            return
        value = self.leaves.name_of((pattern, 0), "t")
        group = self.leaves.name_of((pattern, 1), "t")
        self._store(init, value, out)
        code = self.leaves.destructuring(pattern, value, type_)
        out.append(e.Assign(group, e.Leaf(code), span=pattern.span))
        for index, binding in enumerate(pattern.bindings):
            out.append(e.Assign(binding, e.Item(e.Value(group), index), span=pattern.span))

    def _chooses(self, guard: Typed) -> bool:
        return self.role in guard.type.roles

    def _if(self, node: Typed, guard: Typed, then: Typed, orelse: Typed, want: Want, out: Out) -> Operand:
        if not self._chooses(guard):
            self._effect(guard, out)
            return e.Noop()
        binding = self._target(node, want)
        test = self._operand(guard, out)
        arms = [self._value_arm(then, binding), self._value_arm(orelse, binding)]
        if any(arms):
            out.append(e.Branch(test, arms[0], arms[1], binding, span=guard.span))
        else:
            self._evaluate(test, guard, out)
        return self._result(binding)

    def _value_arm(self, node: Typed, binding: Binding | None) -> e.Block:
        inner: Out = []
        if binding is None:
            self._effect(node, inner)
        else:
            self._store(node, binding, inner)
        return tuple(inner)

    def _junction(
        self, node: typed.Junction, items: tuple[Typed, ...], want: Want, out: Out
    ) -> Operand:
        if not any(self.role in item.type.roles for item in items):
            for item in items:
                self._effect(item, out)
            return e.Noop()
        binding = (want if isinstance(want, Binding) else None) or self.fresh("t")
        first, *rest = items
        self._store(first, binding, out)
        block: Out = []
        for item in reversed(rest):
            inner: Out = []
            self._store(item, binding, inner)
            inner += block
            test = e.Value(binding)
            arms: tuple[e.Block, e.Block] = (tuple(inner), ()) if node.is_and else ((), tuple(inner))
            block = [e.Branch(test, *arms, binding, span=item.span)]
        out.extend(block)
        return e.Value(binding)

    def _case(self, node: typed.Case, want: Want, out: Out) -> Operand:
        if not self._chooses(node.subject):
            self._effect(node.subject, out)
            return e.Noop()
        binding = self._target(node, want)
        self._select(node, out, lambda body: self._value_arm(body, binding), binding)
        return self._result(binding)

    def _select(
        self, node: typed.Case, out: Out, arm: Callable[[Typed], e.Block], binding: Binding | None = None
    ) -> None:
        subject_name = self.leaves.name_of(node, "t")
        self._store(node.subject, subject_name, out)
        subject = e.Value(subject_name)
        cases = []
        for clause in node.clauses:
            if clause.constant is not None:
                constant = e.Leaf(self.leaves.of(clause.constant).code, True)
                cases.append(e.Choice(constant, None, None, (), arm(clause.body)))
            else:
                captured = self.leaves.name_of(clause, "t")
                code = self.leaves.pattern(clause, subject_name, node.subject.type)
                cases.append(e.Choice(None, e.Leaf(code), captured, clause.bindings, arm(clause.body)))
        if node.default is None:
            default: e.Block = (e.NoMatch(self.sites.of(node), subject, span=node.span),)
        else:
            default = arm(node.default)
        out.append(e.Select(subject, tuple(cases), default, binding, span=node.span))

    # Repetition.

    def _loop_value(self, node: typed.Loop, want: Want, out: Out) -> Operand:
        binding = self._target(node, want)
        self._loop(node, Leave(binding), out)
        return self._result(binding)

    def _loop(self, node: typed.Loop, tail: Tail, out: Out) -> None:
        for binding, init in node.bindings:
            if self.role in init.type.roles:
                self._store(init, binding, out)
            else:
                self._effect(init, out)
        if self.role in node.body.mentions:
            self._repeat(node.body, self.sites.loop(node.body), tail, out)
        elif isinstance(tail, Result):
            out.append(e.Return(e.Noop(), span=node.span))

    def _recur(self, node: typed.Recur, out: Out) -> None:
        operands = self._operands(node.args, out)
        names: list[Binding] = []
        values: list[Operand] = []
        for binder, type_, operand in zip(node.params, node.param_types, operands, strict=True):
            if self.role in type_.roles:
                self._rebind(binder, type_, operand, names, values, node, out)
        out.append(e.Again(tuple(names), tuple(values), span=node.span))

    def _rebind(
        self, binder: Binder, type_: Type, operand: Operand, names: list[Binding], values: list[Operand],
        node: Typed, out: Out,
    ) -> None:  # fmt: skip
        if isinstance(binder, Binding):
            names.append(binder)
            values.append(operand)
        elif binder is not None:
            assert isinstance(type_, Tuple)
            group = self._save(operand, node, out)
            index = 0
            for part, item in zip(binder, type_.items, strict=True):
                if self.role in item.roles:
                    self._rebind(part, item, e.Item(group, index), names, values, node, out)
                    index += 1
        else:
            self._evaluate(operand, node, out)


def _is_silent(block: e.Block) -> bool:
    """Whether some way through a repeated block leads back to its start without a command."""
    for statement in block:
        match statement:
            case e.Again():
                return True
            case e.Return() | e.Leave():
                return False
            case e.Send() | e.Receive() | e.Invoke() | e.Apply() | e.Await() | e.Verify():
                return False
            case e.Branch(then=then, orelse=orelse):
                if _is_silent(then) or _is_silent(orelse):
                    return True
            case e.Select(cases=cases, default=default):
                if any(_is_silent(case.block) for case in cases) or _is_silent(default):
                    return True
            case _:
                pass
    return False


def _is_host_name(node: Typed) -> bool:
    """A name of the host: comparing what it means at different roles would be about programs, not about values."""
    return isinstance(node, typed.Leaf) and not node.children and not node.opaque


def _is_stable(operand: Operand) -> bool:
    match operand:
        case e.Noop() | e.Value() | e.Instance():
            return True
        case e.Leaf(stable=stable):
            return stable
        case e.Group(items=items):
            return all(_is_stable(item) for item in items)
        case e.Item(group=group):
            return _is_stable(group)


def _unstable_leaves(operand: Operand) -> Iterator[Operand]:
    match operand:
        case e.Leaf(stable=False):
            yield operand
        case e.Group(items=items):
            for item in items:
                yield from _unstable_leaves(item)
        case e.Item(group=group):
            yield from _unstable_leaves(group)
        case _:
            return
