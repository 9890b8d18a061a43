"""The automata of a choreography's roles, from their endpoint programs.

    choreography  ->  role ↦ automaton        automata(chor)

Calls by name are followed, with the roles that play there. What is called as a value is any choreography with as many
parameters that the role makes or names anywhere in the run (0-CFA by arity; Shivers 1988): more runs than there are,
never fewer. Choices are not told apart by their values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from klorpy.core import endpoint as e
from klorpy.core.automaton import Automaton, Call, End, Fork, Hear, Say, State
from klorpy.core.choreography import Choreography, Definition, Site
from klorpy.core.diagnostics import KlorError
from klorpy.core.types import Arrow, Role, Type
from klorpy.core.types import Tuple as TupleType
from klorpy.language.compiler import recompile
from klorpy.language.hy_adapter import mangle

_Cast: TypeAlias = tuple[Role, ...]


def automata(chor: Choreography) -> dict[Role, Automaton]:
    """What each role of `chor` may say and hear.

    Raises KlorError `not-defined` when it, or something that it calls, is declared only, and KlorSyntaxError when its
    text no longer compiles.

    >>> from klorpy import evaluate
    >>> ns = evaluate("(defchor tell [A B] (-> A B) [x] (A->B x))")
    >>> [type(state).__name__ for state in automata(ns.tell)["A"].states]
    ['Call', 'End', 'Fork', 'Say']
    """
    programs: dict[Definition, tuple[e.Program, ...]] = {}
    return {role: _Builder(role, programs).automaton(chor) for role in chor.roles}


class _Builder:
    """Builds the automaton of one role."""

    def __init__(self, role: Role, programs: dict[Definition, tuple[e.Program, ...]]) -> None:
        self.role = role
        self.states: list[State] = []
        self._programs = programs
        #: Where a role of a definition begins, played by these.
        self._entries: dict[tuple[Definition, int, _Cast], int] = {}
        self._todo: list[tuple[Definition, int, _Cast]] = []
        #: The choreographies that are values: how many arguments they take, and where they begin.
        self._values: list[tuple[int, int]] = []
        #: The calls of values: the state, how many arguments, and what comes after.
        self._calls: list[tuple[int, int | None, int | None]] = []
        self.end = -1

    def automaton(self, chor: Choreography) -> Automaton:
        definition = chor.defined()
        start = self.new(Fork(()))
        self.end = self.new(End())
        entry = self._entry(definition, definition.roles.index(self.role), definition.roles)
        while self._todo:
            self._define(*self._todo.pop())
        last = self.end
        if _has_arrow(definition.signature.arrow.result):
            # What is returned can be called, as often as one likes.
            again = self.new(Fork(()))
            call = self.new(Fork(()))
            self._calls.append((call, None, again))
            self.states[again] = Fork((self.end, call))
            last = again
        self.states[start] = Call((entry,), last)
        for state, arity, after in self._calls:
            entries = tuple(entry for takes, entry in self._values if arity is None or takes == arity)
            self.states[state] = Call(entries, after)
        return Automaton(self.role, tuple(self.states), start)

    def new(self, state: State) -> int:
        self.states.append(state)
        return len(self.states) - 1

    # --- Definitions --------------------------------------------------------------------------------------------------

    def _entry(self, definition: Definition, index: int, cast: _Cast) -> int:
        key = (definition, index, cast)
        if key not in self._entries:
            self._entries[key] = self.new(Fork(()))
            self._todo.append(key)
        return self._entries[key]

    def program(self, definition: Definition, index: int) -> e.Program:
        if definition not in self._programs:
            self._programs[definition] = recompile(definition).programs
        return self._programs[definition][index]

    def _define(self, definition: Definition, index: int, cast: _Cast) -> None:
        body = _Body(self, definition, cast)
        inner = body.block(self.program(definition, index).body, self.end)
        self.states[self._entries[definition, index, cast]] = Fork((inner,))

    def invoked(
        self, definition: Definition, callee: Any, index: int, cast: _Cast, site: Site
    ) -> tuple[Definition, int]:
        """Where a choreography that is called, or meant, by name begins, and its definition."""
        found = _find(definition, callee.name)
        if found is None or found.definition is None:
            raise KlorError(
                site.diagnostic(
                    "not-defined", f"{callee.name}, which {site.text} names, is not defined", "define it first"
                )
            )
        return found.definition, self._entry(found.definition, index, cast)

    def value(self, arity: int, entry: int) -> None:
        if (arity, entry) not in self._values:
            self._values.append((arity, entry))

    def call_of_value(self, arity: int, after: int | None) -> int:
        state = self.new(Fork(()))
        self._calls.append((state, arity, after))
        return state


class _Body:
    """The states of one role's program of a definition, with the roles that play there; built from the end."""

    def __init__(self, builder: _Builder, definition: Definition, cast: _Cast) -> None:
        self.builder = builder
        self.definition = definition
        self.actual: Mapping[Role, Role] = dict(zip(definition.roles, cast, strict=True))
        #: Where the innermost Repeat begins, and what is behind it.
        self.loops: list[tuple[int, int]] = []

    def _site(self, site: Site) -> Site:
        """The site of the definition: a compilation makes sites of its own."""
        return self.definition.sites[site.index]

    def block(self, block: e.Block, after: int) -> int:
        """Where a block begins that goes on at `after`."""
        for statement in reversed(block):
            after = self.statement(statement, after)
        return after

    def statement(self, statement: e.Statement, after: int) -> int:
        new = self.builder.new
        match statement:
            case e.Send(site=site, target=target, operand=operand):
                self.operand(operand)
                return new(Say(self._site(site), self.actual[target], after))
            case e.Receive(site=site, source=source):
                return new(Hear(self._site(site), self.actual[source], after))
            case e.Verify():
                return self._verify(statement, after)
            case e.Invoke(site=site, callee=callee, index=index, roles=roles, args=args, tail=tail, scope=scope, barrier=barrier):
                for arg in args:
                    self.operand(arg)
                _, entry = self.builder.invoked(self.definition, callee, index, self._cast(roles), site)
                if barrier:
                    after, tail = self._done(self._site(site), self._cast(scope), self.builder.end if tail else after), False
                return self._entered(self._site(site), self._cast(scope), new(Call((entry,), None if tail else after)))
            case e.Apply(callee=operand, args=args, tail=tail):
                for arg in (operand, *args):
                    self.operand(arg)
                return self.builder.call_of_value(len(args), None if tail else after)
            case e.Branch(then=then, orelse=orelse):
                return new(Fork((self.block(then, after), self.block(orelse, after))))
            case e.Select(cases=cases, default=default):
                blocks = (*(case.block for case in cases), default)
                return new(Fork(tuple(self.block(block, after) for block in blocks)))
            case e.Closure(params=params, body=body):
                loops, self.loops = self.loops, []
                entry = self.block(body, self.builder.end)
                self.loops = loops
                self.builder.value(len(params), entry)
                return after
            case e.Repeat(body=body):
                start = new(Fork(()))
                self.loops.append((start, after))
                self.builder.states[start] = Fork((self.block(body, start),))
                self.loops.pop()
                return start
            case e.Again(operands=operands):
                for operand in operands:
                    self.operand(operand)
                return self.loops[-1][0]
            case e.Leave():
                return self.loops[-1][1]
            case e.Return(operand=operand):
                self.operand(operand)
                return self.builder.end
            case e.NoMatch():
                return new(Fork(()))
            case e.Assign(operand=operand) | e.Evaluate(operand=operand) | e.Await(operand=operand):
                self.operand(operand)
                return after
            case _:  # a check that says nothing to anybody, a pause
                return after

    def _entered(self, site: Site, everyone: _Cast, after: int) -> int:
        """The messages at the entry of a scope; see `klorpy.runtime.scopes`."""
        if self.builder.role in everyone[1:]:
            return self.builder.new(Hear(site, everyone[0], after))
        for role in reversed(everyone[1:]):
            after = self.builder.new(Say(site, role, after))
        return after

    def _done(self, site: Site, everyone: _Cast, after: int) -> int:
        """The messages at a barrier."""
        leader, *others = everyone
        if self.builder.role != leader:
            return self.builder.new(Say(site, leader, after))
        for role in reversed(others):
            after = self.builder.new(Hear(site, role, after))
        return after

    def _cast(self, roles: _Cast) -> _Cast:
        return tuple(self.actual[role] for role in roles)

    def operand(self, operand: e.Operand) -> None:
        """Note the choreographies that an operand makes values."""
        match operand:
            case e.Instance(callee, index, roles, site):
                definition, entry = self.builder.invoked(self.definition, callee, index, self._cast(roles), site)
                self.builder.value(len(self.builder.program(definition, index).params), entry)
            case e.Group(items):
                for item in items:
                    self.operand(item)
            case e.Item(group):
                self.operand(group)
            case _:
                pass

    def _verify(self, statement: e.Verify, after: int) -> int:
        """The messages of an agreement that is compared; see `klorpy.runtime.agreement`."""
        new, site, me = self.builder.new, self._site(statement.site), self.builder.role
        everyone = self._cast(statement.roles)
        others = [role for role in everyone if role != me]
        checker = statement.checker and self.actual[statement.checker]
        nowhere = new(Fork(()))
        if checker is not None and checker != me:
            disputed = new(Hear(site, checker, nowhere))
            return new(Say(site, checker, new(Hear(site, checker, new(Fork((after, disputed)))))))
        if checker is not None:
            disputed = nowhere
            for role in reversed(others):
                after = new(Say(site, role, after))
                disputed = new(Say(site, role, new(Say(site, role, disputed))))
            after = new(Fork((after, disputed)))
        for role in reversed(others):
            after = new(Hear(site, role, after))
        if checker is None:
            for role in reversed(others):
                after = new(Say(site, role, after))
        return after


def _find(definition: Definition, name: str) -> Choreography | None:
    """The choreography that a name in a definition means."""
    first, *rest = name.split(".")
    found = definition.namespace.get(mangle(first))
    for part in rest:
        found = getattr(found, mangle(part), None)
    if isinstance(found, Choreography):
        return found
    return next((callee for callee in definition.called() if callee.name == name), None)


def _has_arrow(type_: Type) -> bool:
    match type_:
        case Arrow():
            return True
        case TupleType():
            return any(map(_has_arrow, type_.items))
        case _:
            return False
