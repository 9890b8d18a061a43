"""The meaning of a generated program as *one* program: no roles run, nothing is projected, nothing is sent.

    evaluate(program) = ⟨value, what each role prints, what each channel carries, the checks that verification makes⟩

Every expression has one value: an agreement one Python value, a tuple a Python tuple, a choreography a closure. A role is
only a name, for whom a line is printed or between whom a value passes. This is the centralised reading of a choreography
(F. Montesi, "Introduction to Choreographies", 2023, chapter 2), which projection has to agree with, role by role.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from klorpy.testing import terms as t
from klorpy.testing.kinds import OPS, PATTERNS, Say
from klorpy.testing.terms import Agr, Binder, Def, Program, Role, Roles, Term, Tup, Ty

#: Steps after which a program is taken not to end.
FUEL: Final = 3000

Env: TypeAlias = Mapping[str, Any]


class OutOfFuel(Exception):
    """The program takes too many steps."""


@dataclass
class Outcome:
    """What a program does. `checks` are the numbers of roles of each check, and whether one role collects."""

    value: Any = None
    outputs: dict[Role, list[str]] = field(default_factory=dict)
    channels: dict[tuple[Role, Role], list[Any]] = field(default_factory=dict)
    checks: list[tuple[int, bool]] = field(default_factory=list)

    @property
    def messages(self) -> int:
        return sum(map(len, self.channels.values()))


@dataclass(frozen=True, slots=True)
class Frame:
    """Where an expression stands: its definition, who plays the definition's roles, and the lifting mask."""

    definition: Def
    cast: Mapping[Role, Role]
    mask: Roles

    def under(self, mask: Roles) -> Frame:
        return Frame(self.definition, self.cast, mask)


@dataclass(frozen=True, slots=True)
class Instance:
    definition: Def
    cast: Mapping[Role, Role]


@dataclass(frozen=True, slots=True)
class Closure:
    chor: t.Chor
    env: Env
    frame: Frame


@dataclass(frozen=True, slots=True)
class _Again:
    args: list[Any]


def evaluate(program: Program, fuel: int = FUEL) -> Outcome:
    """Run `program`. Raises OutOfFuel when it takes more than `fuel` steps."""
    run = _Run(program, fuel)
    main = program.main
    outcome = run.outcome
    outcome.outputs = {role: [] for role in main.roles}
    args = [copy.deepcopy(arg) for arg in program.args]
    outcome.value = run.call(Instance(main, {role: role for role in main.roles}), args)
    return outcome


def erased(type_: Ty, value: Any, role: Role, noop: Any) -> Any:
    """What `role` has of a value: `noop`, an agreement's value, or the elements of a tuple that mention it."""
    if role not in type_.roles:
        return noop
    if isinstance(type_, Tup):
        pairs = zip(type_.items, value, strict=True)
        return tuple(erased(item, part, role, noop) for item, part in pairs if role in item.roles)
    return value


def canonical(value: Any) -> Any:
    """A value with its types, comparable by `==`; all functions and choreographies are alike.

    >>> canonical([1, True]), canonical({2: (3,)})
    (('list', ('int', '1'), ('bool', 'True')), ('dict', (('int', '2'), ('tuple', ('int', '3')))))
    """
    match value:
        case list() | tuple():
            return (type(value).__name__, *map(canonical, value))
        case set():
            return ("set", *sorted(map(canonical, value)))
        case dict():
            return ("dict", *sorted((canonical(k), canonical(v)) for k, v in value.items()))
        case Instance() | Closure():
            return "function"
        case _ if callable(value) and type(value).__module__ != "hy.models":
            return "function"
    return (type(value).__name__, repr(value))


class _Run:
    def __init__(self, program: Program, fuel: int) -> None:
        self.defs = {d.name: d for d in program.defs}
        self.verify = program.verify
        self.fuel = fuel
        self.outcome = Outcome()

    # --- Effects ---

    def say(self, roles: Roles, frame: Frame) -> Say:
        names = [frame.cast[role] for role in roles]

        def say(line: str) -> None:
            for name in names:
                self.outcome.outputs[name].append(line)

        return say

    def send(self, source: Role, target: Role, value: Any) -> None:
        self.outcome.channels.setdefault((source, target), []).append(canonical(value))

    def check(self, roles: Roles, value: Any, frame: Frame) -> None:
        """What verification adds at an agreement of two roles or more, when it is on where the agreement stands."""
        how = self.verify.get(frame.definition.name, False)
        if not how or len(roles) < 2:
            return
        names = [frame.cast[role] for role in roles]
        central = how in roles
        self.outcome.checks.append((len(roles), central))
        if central:
            collector = frame.cast[str(how)]
            for name in names:
                if name != collector:
                    self.send(name, collector, value)
                    self.send(collector, name, True)
        else:
            for source in names:
                for target in names:
                    if source != target:
                        self.send(source, target, value)

    # --- Choreographies ---

    def call(self, callee: Instance | Closure, args: list[Any]) -> Any:
        if isinstance(callee, Closure):
            env = dict(callee.env)
            if callee.chor.self_name:
                env[callee.chor.self_name] = callee
            return self.block(callee.chor.params, args, callee.chor.body, env, callee.frame)
        d = callee.definition
        frame = Frame(d, callee.cast, frozenset(d.roles))
        for binder, type_, arg in zip(d.params, d.type.params, args, strict=True):
            if isinstance(binder, str) and isinstance(type_, Agr):
                self.check(type_.roles, arg, frame)
        return self.block(d.params, args, d.body, {}, frame)

    def block(self, binders: tuple[Binder, ...], args: list[Any], body: Term, env: Env, frame: Frame) -> Any:
        """What `recur` repeats."""
        while True:
            inner = dict(env)
            for binder, arg in zip(binders, args, strict=True):
                _bind(binder, arg, inner)
            value = self.eval(body, inner, frame)
            if not isinstance(value, _Again):
                return value
            args = value.args

    # --- Expressions ---

    def all(self, items: tuple[Term, ...], env: Env, frame: Frame) -> list[Any]:
        return [self.eval(item, env, frame) for item in items]

    def eval(self, term: Term, env: Env, frame: Frame) -> Any:
        self.fuel -= 1
        if self.fuel < 0:
            raise OutOfFuel
        match term:
            case t.Lit(_, value):
                return copy.deepcopy(value)
            case t.Name(name):
                return env[name]
            case t.Op(op, args):
                return OPS[op].run(self.say(frame.mask, frame), *self.all(args, env, frame))
            case t.FString(parts):
                return "".join(text + _formatted(self.eval(e, env, frame), how) for text, e, how in parts)
            case t.CallFn(function, arg, roles):
                callee = self.eval(function, env, frame)
                return callee(self.say(roles, frame), self.eval(arg, env, frame))
            case t.Lift(roles, body):
                return self.eval(body, env, frame.under(roles))
            case t.Region(_, roles, body):
                return self.eval(body, env, frame.under(frozenset(roles)))
            case t.Await(body) | t.Narrow(_, body):
                return self.eval(body, env, frame)
            case t.Copy() | t.Move() | t.Bcast() | t.Scatter() | t.ScatterSeq() | t.Gather():
                return self.communicate(term, env, frame)
            case t.Pack(items):
                return tuple(self.all(items, env, frame))
            case t.Agree(roles, items):
                value, *others = self.all(items, env, frame)
                assert all(canonical(value) == canonical(other) for other in others)
                self.check(roles, value, frame)
                return value
            case t.Chor():
                return Closure(term, dict(env), frame)
            case t.Inst(name, roles):
                d = self.defs[name]
                actual = [frame.cast[role] for role in roles]
                return Instance(d, dict(zip(d.roles, actual, strict=True)))
            case t.Apply(callee, args):
                closure = self.eval(callee, env, frame)
                return self.call(closure, self.all(args, env, frame))
            case t.Do(items):
                return self.all(items, env, frame)[-1]
            case t.Loop(bindings, body):
                inner, values = dict(env), []
                for name, init in bindings:
                    inner[name] = self.eval(init, inner, frame)
                    values.append(inner[name])
                return self.block(tuple(name for name, _ in bindings), values, body, env, frame)
            case t.Recur(args):
                return _Again(self.all(args, env, frame))
            case t.Let() | t.Unpack():
                return self.bind(term, env, frame)
            case _:
                return self.choose(term, env, frame)

    def communicate(self, term: Term, env: Env, frame: Frame) -> Any:
        cast = frame.cast
        match term:
            case t.Copy(source, target, body):
                value = self.eval(body, env, frame)
                self.send(cast[source], cast[target], value)
                return value
            case t.Move(source, target, body):
                value = self.eval(body, env, frame)
                self.send(cast[source], cast[target], value)
                return copy.deepcopy(value)
            case t.Bcast(source, targets, body):
                value = self.eval(body, env, frame)
                for target in targets:
                    self.send(cast[source], cast[target], value)
                return value
            case t.Scatter(source, targets, items):
                return tuple(
                    self.communicate(t.Move(source, target, item, ""), env, frame)
                    for target, item in zip(targets, items, strict=True)
                )
            case t.ScatterSeq(source, targets, body):
                whole = self.eval(body, env, frame)
                for i, target in enumerate(targets):
                    self.send(cast[source], cast[target], whole[i])
                return tuple(whole[: len(targets)])
            case t.Gather(target, sources, items):
                return [
                    self.communicate(t.Move(source, target, item, ""), env, frame.under(frozenset([target])))
                    for source, item in zip(sources, items, strict=True)
                ]
            case _:
                raise AssertionError(term)

    def bind(self, term: t.Let | t.Unpack, env: Env, frame: Frame) -> Any:
        inner = dict(env)
        for target, init in term.bindings:
            value = self.eval(init, inner, frame)
            match target:
                case t.Seq(names):
                    inner.update(zip(names, value, strict=True))
                case t.Keys(names):
                    inner.update((name, value[key]) for name, key in names)
                case _:
                    _bind(target, value, inner)
        return self.eval(term.body, inner, frame)

    def choose(self, term: Term, env: Env, frame: Frame) -> Any:
        match term:
            case t.If(guard, then, orelse):
                return self.eval(then if self.eval(guard, env, frame) else orelse, env, frame)
            case t.When(guard, body):
                return self.eval(body, env, frame) if self.eval(guard, env, frame) else None
            case t.Cond(clauses, default):
                for guard, result in clauses:
                    if self.eval(guard, env, frame):
                        return self.eval(result, env, frame)
                return None if default is None else self.eval(default, env, frame)
            case t.Case(subject, constants, default):
                value = self.eval(subject, env, frame)
                return self.eval(next((e for c, e in constants if c.value == value), default), env, frame)
            case t.Match(subject, patterns):
                value = self.eval(subject, env, frame)
                for pattern, names, result in patterns:
                    captured = PATTERNS[pattern].captured(value)
                    if captured is not None:
                        return self.eval(result, {**env, **dict(zip(names, captured, strict=True))}, frame)
                raise AssertionError("no pattern fits")
            case t.Junction(is_and, items):
                for item in items[:-1]:
                    value = self.eval(item, env, frame)
                    if bool(value) is not is_and:
                        return value
                return self.eval(items[-1], env, frame)
            case _:
                raise AssertionError(term)


def _bind(binder: Binder, value: Any, env: dict[str, Any]) -> None:
    if isinstance(binder, tuple):
        for part, item in zip(binder, value, strict=True):
            _bind(part, item, env)
    elif binder is not None:
        env[binder] = value


_CONVERSIONS: Final[dict[str, Callable[[Any], str]]] = {
    "": lambda v: format(v, ""),
    " !r": repr,
    " :>3": lambda v: format(v, ">3"),
    " !s :^5": lambda v: format(str(v), "^5"),
}


def _formatted(value: Any, how: str) -> str:
    return _CONVERSIONS[how](value)
