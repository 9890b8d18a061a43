"""What a choreography's text tells without running it: who may send how many messages to whom, and what decides.

    role's program ⊢ channel ↦ [low, high]

for every role of a definition, from the endpoint programs that the compiler makes of its text, through all calls of
choreographies by name (roles substituted). The range holds every run, but need not be tight. What is called as a value (a parameter, a result) sends what nobody knows; `unknown` has the forms.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

from klorpy.core import endpoint as e
from klorpy.core.choreography import Choreography, Definition, Site
from klorpy.core.types import Role
from klorpy.language.compiler import recompile
from klorpy.language.hy_adapter import mangle

#: The fewest and the most messages, `math.inf` for any number.
Range: TypeAlias = tuple[float, float]
#: For each role that is sent to, as a place of the role vector.
Sends: TypeAlias = dict[int, Range]

_ZERO: Range = (0, 0)

_programs: WeakKeyDictionary[Definition, tuple[e.Program, ...]] = WeakKeyDictionary()


def programs(definition: Definition) -> tuple[e.Program, ...] | None:
    """The roles' programs; None when the text does not compile any more (a callee has changed)."""
    if definition not in _programs:
        try:
            _programs[definition] = recompile(definition).programs
        except Exception:  # whatever the user's macros raise; the diagram does with less
            return None
    return _programs[definition]


# --- Decisions --------------------------------------------------------------------------------------------------------


def guards(definition: Definition) -> frozenset[int]:
    """The numbers of the sites whose message is the guard of a branch at its receiver."""
    found: set[int] = set()
    for program in programs(definition) or ():
        _guards(program.body, {}, found)
    return frozenset(found)


def _guards(block: e.Block, sites: dict[e.Binding, int], found: set[int]) -> None:
    for statement in block:
        guard: e.Operand | None = None
        match statement:
            case e.Receive(site=site, binding=binding) if binding is not None:
                sites[binding] = site.index
            case e.Assign(binding=binding, operand=e.Value(other)) if other in sites:
                sites[binding] = sites[other]
            case e.Branch(guard=guard):
                pass
            case e.Select(subject=guard):
                pass
        if isinstance(guard, e.Value) and guard.binding in sites:
            found.add(sites[guard.binding])
        for inner in _blocks(statement):
            _guards(inner, sites, found)


def _blocks(statement: e.Statement) -> Iterator[e.Block]:
    match statement:
        case e.Branch(then=then, orelse=orelse):
            yield then
            yield orelse
        case e.Select(cases=cases, default=default):
            yield from (case.block for case in cases)
            yield default
        case e.Closure(body=body) | e.Repeat(body=body):
            yield body


# --- Messages ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Flow:
    """What a choreography may send: a range for each channel, and the forms that call what nobody knows, with who does."""

    channels: Mapping[tuple[Role, Role], Range]
    unknown: Mapping[str, tuple[Role, ...]]


def flow(chor: Choreography) -> Flow:
    """What one run of `chor` may send. Raises KlorError `not-defined` for a mere declaration."""
    definition = chor.defined()
    analysis = _Analysis()
    roles = definition.roles
    wanted = [(definition, index) for index in range(len(roles))]
    analysis.run(wanted)
    channels = {
        (roles[index], roles[target]): range_
        for (_, index) in wanted
        for target, range_ in sorted(analysis.known[definition, index].items())
        if range_[1] > 0
    }
    unknown: dict[str, list[Role]] = {}
    for index, role in enumerate(roles):
        for form in analysis.unknown_of(definition, index):
            unknown.setdefault(form, []).append(role)
    return Flow(channels, {form: tuple(who) for form, who in unknown.items()})


#: How a block can end, with the messages of the paths that end so.
_Paths: TypeAlias = dict[str, Sends]


@dataclass
class _Analysis:
    #: What each role of each definition sends, as far as is known: found by repetition, from nothing.
    known: dict[tuple[Definition, int], Sends] = field(default_factory=dict)
    unknown: dict[tuple[Definition, int], dict[str, None]] = field(default_factory=dict)
    calls: dict[tuple[Definition, int], dict[tuple[Definition, int], None]] = field(default_factory=dict)

    def run(self, wanted: Iterable[tuple[Definition, int]]) -> None:
        self.known.update((key, {}) for key in wanted)
        changed, rounds = True, 0
        while changed:
            changed, rounds = False, rounds + 1
            for key in list(self.known):
                before, number = self.known[key], len(self.known)
                after = _Reader(self, *key).summary()
                if rounds > 2 * number + 2:  # longer than any chain of calls: they call each other in a circle
                    after = _widened(before, after)
                self.known[key] = after
                changed |= after != before or len(self.known) != number

    def unknown_of(self, definition: Definition, index: int) -> list[str]:
        found: dict[str, None] = {}
        todo, seen = [(definition, index)], set()
        while todo:
            key = todo.pop()
            if key in seen:
                continue
            seen.add(key)
            found.update(self.unknown.get(key, {}))
            todo.extend(self.calls.get(key, {}))
        return list(found)


class _Reader:
    """One role's program of one definition."""

    def __init__(self, analysis: _Analysis, definition: Definition, index: int) -> None:
        self.analysis = analysis
        self.definition = definition
        self.key = (definition, index)
        self.places = {role: place for place, role in enumerate(definition.roles)}
        self.closures: dict[e.Binding, e.Operand | e.Closure] = {}
        self.inside: set[e.Binding] = set()
        analysis.unknown[self.key] = {}

    def summary(self) -> Sends:
        found = programs(self.definition)
        if found is None:
            self._unknown(f"({self.definition.name} …)")
            return {}
        return _join(self.block(found[self.key[1]].body).values())

    def block(self, block: e.Block) -> _Paths:
        paths: _Paths = {"next": {}}
        for statement in block:
            before = paths.pop("next", None)
            if before is None:
                return paths
            for end, sends in self.statement(statement, before).items():
                paths[end] = _either(paths[end], sends) if end in paths else sends
        return paths

    def statement(self, statement: e.Statement, before: Sends) -> _Paths:
        """How it goes on from here; `before` is what was sent since the beginning of the block."""
        match statement:
            case e.Send(target=target):
                return {"next": _both(before, {self.places[target]: (1, 1)})}
            case e.Verify(roles=roles, checker=checker):
                return {"next": _both(before, self._verify(roles, checker))}
            case e.Assign(binding=binding, operand=operand):
                if isinstance(operand, e.Instance):
                    self.closures[binding] = operand
                elif isinstance(operand, e.Value) and operand.binding in self.closures:
                    self.closures[binding] = self.closures[operand.binding]
                return {"next": before}
            case e.Closure(binding=binding, self_name=self_name):
                self.closures[binding] = statement
                if self_name is not None:
                    self.closures[self_name] = statement
                return {"next": before}
            case e.Invoke(callee=callee, index=index, roles=roles, site=site, tail=tail, scope=scope, barrier=barrier):
                sends = self._invoked(callee, index, roles, site)
                if scope and scope[0] == self.definition.roles[self.key[1]]:
                    # The leader of a scope tells the others which version it is.
                    sends = _both({self.places[role]: (1, 1) for role in scope[1:]}, sends)
                elif barrier:
                    sends = _both(sends, {self.places[scope[0]]: (1, 1)})
                return {"return" if tail else "next": _both(before, sends)}
            case e.Apply(callee=callee, site=site, tail=tail):
                return {"return" if tail else "next": _both(before, self._applied(callee, site))}
            case e.Branch(then=then, orelse=orelse):
                return self._choice(before, [then, orelse])
            case e.Select(cases=cases, default=default):
                return self._choice(before, [*(case.block for case in cases), default])
            case e.Repeat(body=body):
                return self._repeat(before, self.block(body))
            case e.Again():
                return {"again": before}
            case e.Leave():
                return {"leave": before}
            case e.Return():
                return {"return": before}
            case e.NoMatch():
                return {}  # raises
            case _:
                return {"next": before}

    def _choice(self, before: Sends, blocks: list[e.Block]) -> _Paths:
        result: _Paths = {}
        for block in blocks:
            for end, sends in self.block(block).items():
                whole = _both(before, sends)
                result[end] = _either(result[end], whole) if end in result else whole
        return result

    def _repeat(self, before: Sends, paths: _Paths) -> _Paths:
        again = paths.pop("again", {})
        if not paths:  # it never ends: one round at least
            return {"return": _both(before, {target: (low, math.inf) for target, (low, _) in again.items()})}
        rounds: Sends = {target: (0, math.inf) for target, (_, high) in again.items() if high > 0}
        start = _both(before, rounds)
        result: _Paths = {}
        for end, sends in paths.items():
            end = "next" if end == "leave" else end
            result[end] = _both(start, sends)
        return result

    def _verify(self, roles: tuple[Role, ...], checker: Role | None) -> Sends:
        me = self.definition.roles[self.key[1]]
        if checker is None or checker == me:
            return {self.places[role]: (1, 1) for role in roles if role != me}
        return {self.places[checker]: (1, 1)}

    # --- Calls ---

    def _invoked(self, callee: Any, index: int, roles: tuple[Role, ...], site: Site) -> Sends:
        chor = self._find(callee.name)
        if chor is None or chor.definition is None:
            self._unknown(site.text)
            return {}
        key = (chor.definition, index)
        self.analysis.calls.setdefault(self.key, {})[key] = None
        sends = self.analysis.known.setdefault(key, {})
        cast = [self.places[role] for role in roles]
        return {cast[target]: range_ for target, range_ in sends.items()}

    def _applied(self, callee: e.Operand, site: Site) -> Sends:
        found = self.closures.get(callee.binding) if isinstance(callee, e.Value) else callee
        if isinstance(found, e.Instance):
            return self._invoked(found.callee, found.index, found.roles, site)
        if not isinstance(found, e.Closure):
            self._unknown(site.text)
            return {}
        if found.binding in self.inside:  # it calls itself
            return self._any_number(found.body)
        self.inside.add(found.binding)
        paths = self.block(found.body)
        self.inside.discard(found.binding)
        return self._any_number(found.body) if "again" in paths else _join(paths.values())

    def _any_number(self, block: e.Block) -> Sends:
        return dict.fromkeys(self._targets(block), (0, math.inf))

    def _targets(self, block: e.Block) -> set[int]:
        found = {self.places[s.target] for s in block if isinstance(s, e.Send)}
        return found.union(*(self._targets(inner) for s in block for inner in _blocks(s)))

    def _find(self, name: str) -> Choreography | None:
        first, *rest = name.split(".")
        value = self.definition.namespace.get(mangle(first))
        for part in rest:
            value = getattr(value, mangle(part), None)
        if isinstance(value, Choreography):
            return value
        return next((chor for chor in self.definition.called() if chor.name == name), None)

    def _unknown(self, form: str) -> None:
        self.analysis.unknown[self.key][form] = None


def _both(first: Sends, second: Sends) -> Sends:
    """One after the other."""
    result = dict(first)
    for target, (low, high) in second.items():
        before = result.get(target, _ZERO)
        result[target] = (before[0] + low, before[1] + high)
    return result


def _either(first: Sends, second: Sends) -> Sends:
    """One or the other."""
    result: Sends = {}
    for target in {**first, **second}:
        a, b = first.get(target, _ZERO), second.get(target, _ZERO)
        result[target] = (min(a[0], b[0]), max(a[1], b[1]))
    return result


def _join(paths: Iterable[Sends]) -> Sends:
    found = list(paths)
    return functools.reduce(_either, found) if found else {}


def _widened(before: Sends, after: Sends) -> Sends:
    """What still grows has no bound above, and below the one that it had."""
    result: Sends = {}
    for target, (low, high) in after.items():
        old = before.get(target, _ZERO)
        result[target] = (min(low, old[0]), math.inf if high > old[1] else high)
    return result
