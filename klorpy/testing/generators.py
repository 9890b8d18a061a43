"""A generator of well-typed choreographies: given a type, a lifting mask and who may take part, a term.

    generate(random) = a Program that klorpy accepts, that ends, and in which no host code fails

It reads the typing rules from the conclusion to the premises: `term(T, S)` chooses a rule whose conclusion can be T in the
scope S, and generates what the rule's premises ask for. So a rule that klorpy has and the generator lacks shows in the
test that counts forms, and a program that klorpy refuses is a defect of one of the two.

All choices are made by the `random.Random` that is given: a seeded one, or one that Hypothesis shrinks.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias, TypeVar

from klorpy.testing import terms as t
from klorpy.testing.central import OutOfFuel, evaluate
from klorpy.testing.kinds import BY_KIND, KINDS, LITERALS, OPS, PATTERNS, WIDER
from klorpy.testing.terms import Agr, Arr, Binder, Def, Program, Role, Roles, Term, Tup, Ty, rename, union

T = TypeVar("T")
Rule: TypeAlias = "Callable[[Any, Scope, int], Term | None]"

ROLE_NAMES: Final = (
    ("A", "B", "C", "D", "E"),
    ("Alice", "Bob", "Carol", "Dave", "Eve"),
    ("b", "buyer-1", "s?", "x-y", "Ä"),
)
LOCALS: Final = ("x", "y", "z", "a-b", "ok?", "v1", "f", "print-it", "result")
CHORS: Final = ("first", "second-one", "third!", "helper", "ok?")


@dataclass(frozen=True, slots=True)
class Self:
    """What may be called with a smaller counter: a definition, or a `chor` by its name. `counter` is that of the caller."""

    callee: Def | str
    type: Arr
    place: int
    counter: str


@dataclass(frozen=True, slots=True)
class Block:
    """What `recur` would repeat: its parameters, which of them counts, and all roles that may take part."""

    params: tuple[Ty, ...]
    place: int
    counter: str
    roles: Roles


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a term stands. Only `allowed` may take part in it."""

    env: Mapping[str, Ty]
    mask: Roles
    allowed: Roles
    #: The role vector of the definition.
    order: tuple[Role, ...]
    defs: tuple[Def, ...]
    #: The term is in tail position of this block.
    block: Block | None = None
    #: Counters are known to be positive here, so that a round or a call more is bounded.
    counting: bool = False
    selves: tuple[Self, ...] = ()

    def inner(self) -> Scope:
        """Not in tail position."""
        return self if self.block is None else replace(self, block=None)

    def under(self, mask: Roles) -> Scope:
        return replace(self, mask=mask)

    def bind(self, names: Mapping[str, Ty]) -> Scope:
        return replace(self, env={**self.env, **names})

    def knowing(self, roles: Roles) -> Scope:
        """A branch of a choice that `roles` make."""
        block = self.block if self.block is None or self.block.roles <= roles else None
        return replace(self, allowed=self.allowed & roles, block=block)


def generate(source: random.Random, size: int | None = None, scopes: bool = False) -> Program:
    """A program; mostly a small one, now and then a large one, unless `size` says how large (10 is small, 80 large).

    Only with `scopes` there are some in it.
    """
    while True:
        generator = Generator(source, scopes=scopes)
        program = generator.program(size)
        try:
            evaluate(program)
        except OutOfFuel:
            continue
        return program


def program_of(seed: int, size: int | None = None, scopes: bool = False) -> Program:
    """The program that a seed means.

    >>> program_of(3).text == program_of(3).text
    True
    """
    return generate(random.Random(seed), size, scopes)


@dataclass
class Generator:
    source: random.Random
    counters: int = 0
    rules: dict[str, int] = field(default_factory=dict)
    #: Whether to make scopes, and how many there are.
    scopes: bool = False
    regions: int = 0

    # --- Choices ---

    def chance(self, percent: int) -> bool:
        return self.source.randrange(100) < percent

    def below(self, n: int) -> int:
        return self.source.randrange(n)

    def choice(self, items: Sequence[T]) -> T:
        return items[0] if len(items) == 1 else items[self.source.randrange(len(items))]

    def shuffled(self, items: Sequence[T] | Roles) -> list[Any]:
        rest = sorted(items) if isinstance(items, frozenset) else list(items)
        return [rest.pop(self.source.randrange(len(rest))) if len(rest) > 1 else rest.pop() for _ in range(len(rest))]

    def some(self, roles: Roles, least: int = 1) -> Roles:
        """A subset with at least `least` roles, rather a small one."""
        count = least
        while count < len(roles) and self.chance(40):
            count += 1
        return frozenset(self.shuffled(roles)[:count])

    def above(self, roles: Roles, all_: Roles) -> Roles:
        """A set between `roles` and `all_`."""
        return roles | {role for role in self.shuffled(all_ - roles) if self.chance(40)}

    # --- Types ---

    def agr(self, roles: Roles, kind: str | None = None) -> Agr:
        chosen = self.some(roles)
        kind = kind or self.choice(("int", "int", "str", "list", *KINDS))
        return Agr(frozenset([min(chosen)]) if kind == "cell" else chosen, kind)

    def type(self, roles: Roles, arrows: bool = True, depth: int = 2) -> Ty:
        if depth and self.chance(4):
            targets = self.shuffled(self.some(roles))[:2]
            return Tup(tuple(Agr(frozenset([role]), "int") for role in targets))
        if depth and self.chance(12):
            return Tup(tuple(self.type(roles, arrows, depth - 1) for _ in range(1 + self.below(3))))
        if arrows and depth and self.chance(12):
            return self.arrow(roles, depth - 1)
        return self.agr(roles)

    def arrow(self, roles: Roles, depth: int = 1) -> Arr:
        params = tuple(self.type(roles, depth > 0, depth) for _ in range(self.below(3)))
        result = self.type(roles, depth > 0, depth)
        aux = self.above(frozenset(), roles - union((*params, result)))
        return Arr(params, result, aux)

    def name(self) -> str:
        return self.choice(LOCALS)

    def counter(self) -> str:
        self.counters += 1
        return f"n{self.counters}"

    def binder(self, type_: Ty, names: dict[str, Ty]) -> Binder:
        """A binder for a value, its names added to `names`."""
        if isinstance(type_, Tup) and self.chance(60):
            return tuple(self.binder(item, names) for item in type_.items)
        free = [name for name in LOCALS if name not in names]
        if not free or (not (isinstance(type_, Agr) and len(type_.roles) > 1) and self.chance(10)):
            return None
        name = self.choice(free)
        names[name] = type_
        return name

    def vector(self, type_: Tup, names: dict[str, Ty]) -> tuple[Binder, ...]:
        return tuple(self.binder(item, names) for item in type_.items)

    def params(
        self, types: tuple[Ty, ...], place: int | None, counter: str | None, names: dict[str, Ty]
    ) -> tuple[Binder, ...]:
        """Parameters, that at `place` with the name `counter`."""
        params: list[Binder] = []
        for i, type_ in enumerate(types):
            if i == place and counter is not None:
                names[counter] = type_
                params.append(counter)
            else:
                params.append(self.binder(type_, names))
        return tuple(params)

    # --- Programs ---

    def program(self, size: int | None = None) -> Program:
        if size is None:
            size = self.choice((2, 4, 4, 6, 6, 8, 8, 12, 20, 50))
        pool = self.choice(ROLE_NAMES) if self.chance(20) else ROLE_NAMES[0]
        names = list(CHORS)
        defs: tuple[Def, ...] = ()
        for _ in range(self.choice((0, 0, 1, 1, 1, 2))):
            kind = self.choice(("plain", "plain", "counting", "mutual"))
            if kind == "mutual":
                defs += self.mutual((names.pop(0), names.pop(0)), pool, defs, size)
            else:
                defs += (self.definition(names.pop(0), pool, defs, size, counting=kind == "counting"),)
        like = self.choice(defs) if defs and self.chance(60) else None
        main = self.definition("main", pool, defs, size, playable=True, counting=self.chance(20), like=like)
        args = tuple(self.value(type_.kind) for type_ in main.type.params if isinstance(type_, Agr))
        program = Program((*defs, main), args, {})
        return replace(program, verify=self.verify(program)) if self.chance(35) else program

    def verify(self, program: Program) -> dict[str, bool | str]:
        """Options for each definition of a program."""
        options: dict[str, bool | str] = {}
        for d in program.defs:
            options[d.name] = self.choice(d.roles) if self.chance(40) else self.chance(70)
        return options

    def value(self, kind: str) -> Any:
        values = LITERALS[self.choice(WIDER[kind])] if kind in WIDER else LITERALS[kind]
        return self.choice(values)[1]

    def signature(
        self, name: str, pool: Sequence[Role], *, counting: bool, playable: bool, like: Def | None = None
    ) -> tuple[Def, int]:
        """A definition without a body, and the place of its counter. Its result is that of `like`, which it can call."""
        if like is None:
            vector = tuple(self.shuffled(pool)[: self.choice((1, 2, 2, 2, 3, 3, 3, 4, 5))])
        else:
            others = [role for role in pool if role not in like.roles]
            vector = tuple(self.shuffled([*like.roles, *others[: self.choice((0, 0, 1))]]))
        roles = frozenset(vector)
        params: list[Ty] = []
        for _ in range(self.choice((0, 1, 1, 2, 3))):
            params.append(self.type(roles) if not playable else self.agr(roles))
            if playable and isinstance(params[-1], Agr) and params[-1].kind == "fn":
                params[-1] = Agr(params[-1].roles, "int")
        place = self.below(len(params) + 1)
        if counting:
            params.insert(place, self.agr(roles, "count"))
        result = self.type(roles) if like is None else like.type.result
        omit = self.chance(60)
        rest = roles - union((*params, result))
        aux = rest if omit else self.above(frozenset(), rest)
        return Def(name, vector, Arr(tuple(params), result, aux), (), t.Lit("None", None), omit), place

    def definition(
        self, name: str, pool: Sequence[Role], defs: tuple[Def, ...], size: int, *, counting: bool = False,
        playable: bool = False, like: Def | None = None,
    ) -> Def:  # fmt: skip
        header, place = self.signature(name, pool, counting=counting, playable=playable, like=like)
        if not counting:
            return self.defined(header, defs, size, None, ())
        counter = self.counter()
        return self.defined(header, defs, size, (place, counter), (Self(header, header.type, place, counter),))

    def mutual(self, names: tuple[str, str], pool: Sequence[Role], defs: tuple[Def, ...], size: int) -> tuple[Def, ...]:
        """Two definitions that call each other."""
        one, place = self.signature(names[0], pool, counting=True, playable=False)
        two, other = self.signature(names[1], pool, counting=True, playable=False, like=one)
        made = []
        for header, at in ((one, place), (two, other)):
            counter = self.counter()
            selves = (Self(one, one.type, place, counter), Self(two, two.type, other, counter))
            made.append(self.defined(header, defs, size, (at, counter), selves))
        return replace(made[0], ahead=self.chance(30)), replace(made[1], ahead=True)

    def defined(
        self, header: Def, defs: tuple[Def, ...], size: int, counter: tuple[int, str] | None, selves: tuple[Self, ...]
    ) -> Def:
        """`header` with its parameters and its body."""
        type_ = header.type
        names: dict[str, Ty] = {}
        place, name = counter or (None, None)
        params = self.params(type_.params, place, name, names)
        scope = Scope(names, frozenset(header.roles), type_.roles, header.roles, defs)
        if counter is None:
            body = self.term(type_.result, scope, size)
        else:
            block = Block(type_.params, counter[0], counter[1], type_.roles)
            body = self.repeated(type_.result, replace(scope, block=block), size, selves)
        return replace(header, params=params, body=body)

    # --- Terms ---

    def term(self, type_: Ty, s: Scope, size: int) -> Term:
        """A term of a type. Assumes that the roles of `type_` are allowed."""
        if s.block is not None and s.counting and self.chance(30 if size > 0 else 70):
            return self.recur(s, size)
        if size <= 0:
            return self.leaf(type_, s)
        rules = [(6, self.leaf), *self.general(s)]
        match type_:
            case Agr():
                rules += self.agreements(type_, s)
            case Tup():
                rules += [(30, self.pack), (10, self.scatter), (12, self.scatter_seq)]
            case Arr():
                rules += [(30, self.chor), (90, self.instance)]
        while rules:
            place = self.below(sum(weight for weight, _ in rules))
            for i, (weight, rule) in enumerate(rules):  # noqa: B007
                place -= weight
                if place < 0:
                    break
            found = rule(type_, s, size - 1)
            if found is not None:
                return found
            del rules[i]
        return self.leaf(type_, s)

    def general(self, s: Scope) -> list[tuple[int, Rule]]:
        """Rules for any type."""
        rules: list[tuple[int, Rule]] = [
            (9, self.do), (9, self.let), (4, self.unpack), (5, self.if_), (2, self.cond), (2, self.case), (3, self.match),
            (3, self.lift), (3, self.loop), (3, self.call_chor), (4, self.call_local),
        ]  # fmt: skip
        if self.scopes:
            rules.append((12, self.region))
        if s.defs:
            rules.append((20, self.call))
        if s.selves:
            rules.append((40, self.call_self))
        return rules

    def agreements(self, type_: Agr, s: Scope) -> list[tuple[int, Rule]]:
        rules: list[tuple[int, Rule]] = [(10, self.local), (1, self.junction)]
        if type_.kind in BY_KIND:
            rules.append((24, self.host))
        if type_.kind == "cell":
            return [*rules, (6, self.move)]
        rules += [(20, self.move), (16, self.copy), (4, self.narrow), (8, self.bcast), (8, self.agree), (3, self.junction)]
        match type_.kind:
            case "str":
                rules.append((10, self.fstring))
            case "int":
                rules += [(10, self.call_fn), (1, self.await_)]
            case "list":
                rules.append((10, self.gather))
            case "none" | "any":
                rules += [(10, self.when), (3, self.cond_without_default)]
        return rules

    def parts(self, size: int, count: int) -> list[int]:
        """`size` split among `count` subterms."""
        cuts = sorted(self.below(size + 1) for _ in range(count - 1)) if size > 0 else [0] * (count - 1)
        return [b - a for a, b in zip([0, *cuts], [*cuts, max(size, 0)], strict=True)]

    # Leaves.

    def leaf(self, type_: Ty, s: Scope, size: int = 0) -> Term:
        if self.chance(60):
            found = self.local(type_, s, 0)
            if found is not None:
                return found
        match type_:
            case Agr(roles, kind):
                if kind not in ("cell", "count") and self.chance(60):
                    # What somebody else holds comes here by messages.
                    names = [n for n, h in s.env.items() if isinstance(h, Agr) and h.kind == kind and h.roles <= s.allowed]
                    if names:
                        name = self.choice(names)
                        return self.moved(t.Name(name), s.env[name].roles, roles)
                others = s.allowed - roles
                if others and kind not in ("cell", "count") and self.chance(25):
                    one = frozenset([self.choice(sorted(others))])
                    return self.moved(self.lifted(one, s, lambda inner: self.literal(kind)), one, roles)
                return self.lifted(roles, s, lambda inner: self.told(kind))
            case Tup(items):
                return t.Pack(tuple(self.leaf(item, s.inner()) for item in items))
            case Arr():
                return self.chor(type_, s, 0)

    def told(self, kind: str) -> Term:
        """A literal, and now and then one whose evaluation shows."""
        tap = f"tap-{kind}"
        literal = self.literal(kind)
        return t.Op(tap, (literal,)) if tap in OPS and self.chance(25) else literal

    def literal(self, kind: str) -> t.Lit:
        if kind in WIDER and (kind not in LITERALS or self.chance(60)):
            kind = self.choice([k for k in WIDER[kind] if k != "cell"])
        return t.Lit(*self.choice(LITERALS[kind]))

    def lifted(self, roles: Roles, s: Scope, make: Callable[[Scope], Term]) -> Term:
        """A term made under the mask `roles`."""
        if s.mask == roles and not self.chance(15):
            return make(s)
        return t.Lift(roles, make(s.under(roles)), self.chance(80))

    def local(self, type_: Ty, s: Scope, size: int) -> Term | None:
        """A local of the type; or a wider one, narrowed."""
        exact = [name for name, have in s.env.items() if have == type_]
        if exact and not self.chance(20):
            return t.Name(self.choice(exact))
        if isinstance(type_, Agr):
            wide = [
                name
                for name, have in s.env.items()
                if isinstance(have, Agr) and have.kind == type_.kind and type_.roles <= have.roles <= s.allowed
            ]
            if wide:
                return t.Narrow(type_.roles, t.Name(self.choice(wide)))
        return t.Name(self.choice(exact)) if exact else None

    # Host code.

    def operand(self, kind: str, s: Scope, size: int) -> Term:
        """An operand under the mask: at more roles than the mask, now and then."""
        if kind in WIDER and self.chance(90):
            kind = self.choice([k for k in WIDER[kind] if k != "cell" or len(s.mask) == 1])
        roles = s.mask
        if kind != "cell":
            wide = [
                name
                for name, have in s.env.items()
                if isinstance(have, Agr) and have.kind == kind and roles <= have.roles <= s.allowed
            ]
            if wide and self.chance(40):
                return t.Name(self.choice(wide))
            if self.chance(10):
                roles = self.above(roles, s.allowed)
        if kind == "short" or kind == "digits":
            if size <= 0 or self.chance(40):
                return self.lifted(roles, s, lambda inner: self.literal(kind))
        return self.term(Agr(roles, kind), s, size)

    def host(self, type_: Agr, s: Scope, size: int) -> Term | None:
        ops = BY_KIND[type_.kind]
        if len(type_.roles) > 1:
            ops = [op for op in ops if "cell" not in OPS[op].args]
        tap = f"tap-{type_.kind}"
        op = tap if tap in OPS and self.chance(30) else self.choice(ops)

        def make(inner: Scope) -> Term:
            inner = inner.inner()
            kinds = OPS[op].args
            if OPS[op].whole:
                # What an opaque form uses is not mentioned; an operator's operands are.
                allowed = inner.allowed if op == "chained" else None
                return t.Op(op, tuple(self.pure(kind, inner, size // 2, allowed) for kind in kinds))
            parts = self.parts(size, len(kinds))
            return t.Op(op, tuple(self.operand(kind, inner, part) for kind, part in zip(kinds, parts, strict=True)))

        return self.lifted(type_.roles, s, make)

    def pure(self, kind: str, s: Scope, size: int, allowed: Roles | None) -> Term:
        """Host code in one piece, without effects. It may use locals at more roles than the mask, of `allowed` roles."""
        if kind in WIDER:
            kind = self.choice([k for k in WIDER[kind] if k != "cell"])
        names = [
            name
            for name, have in s.env.items()
            if isinstance(have, Agr) and have.kind == kind and s.mask <= have.roles
            and (allowed is None or have.roles <= allowed)
        ]  # fmt: skip
        if names and self.chance(70):
            return t.Name(self.choice(names))
        ops = [op for op in BY_KIND.get(kind, ()) if not OPS[op].effect and not {"cell", "fn"} & set(OPS[op].args)]
        ops = [op for op in ops if op not in ("finally", "for", "whole-let")]
        if size <= 0 or not ops:
            return self.literal(kind)
        op = self.choice(ops)
        kinds = OPS[op].args
        return t.Op(op, tuple(self.pure(k, s, size // 2, allowed) for k in kinds))

    def fstring(self, type_: Agr, s: Scope, size: int) -> Term:
        def make(inner: Scope) -> Term:
            parts = []
            for part in self.parts(size, 1 + self.below(2)):
                how = self.choice(("", "", " !r", " :>3", " !s :^5"))
                kind = self.choice(("int", "str")) if how == " :>3" else self.choice(("int", "str", "bool", "list"))
                parts.append((self.choice(("", "a", "b: ", "ß|")), self.operand(kind, inner.inner(), part), how))
            return t.FString(tuple(parts))

        return self.lifted(type_.roles, s, make)

    def call_fn(self, type_: Agr, s: Scope, size: int) -> Term:
        one, two = self.parts(size, 2)
        function = self.term(Agr(type_.roles, "fn"), s.inner(), one)
        wide = self.above(type_.roles, s.allowed) if self.chance(30) else type_.roles
        return t.CallFn(function, self.term(Agr(wide, "int"), s.inner(), two), type_.roles)

    def await_(self, type_: Agr, s: Scope, size: int) -> Term:
        return self.lifted(type_.roles, s, lambda inner: t.Await(self.operand("int", inner.inner(), size)))

    # Communication.

    def copy(self, type_: Agr, s: Scope, size: int) -> Term | None:
        if len(type_.roles) < 2:
            return None
        target, source, *_ = self.shuffled(type_.roles)
        body = self.term(Agr(type_.roles - {target}, type_.kind), s.inner(), size)
        return t.Copy(source, target, body, self.choice(("sugar", "sugar", "long", "macro")))

    def move(self, type_: Agr, s: Scope, size: int) -> Term | None:
        others = s.allowed - type_.roles
        if len(type_.roles) != 1 or not others:
            return None
        (target,) = type_.roles
        source = self.choice(sorted(others))
        roles = frozenset([source])
        if type_.kind != "cell" and self.chance(20):
            roles = self.above(roles, others)
        body = self.term(Agr(roles, type_.kind), s.inner(), size)
        return t.Move(source, target, body, self.choice(("sugar", "sugar", "long", "macro")))

    def narrow(self, type_: Agr, s: Scope, size: int) -> Term:
        wide = self.above(type_.roles, s.allowed)
        return t.Narrow(type_.roles, self.term(Agr(wide, type_.kind), s.inner(), size))

    def bcast(self, type_: Agr, s: Scope, size: int) -> Term | None:
        if len(type_.roles) < 2:
            return None
        source, *targets = self.shuffled(type_.roles)
        return t.Bcast(source, tuple(targets), self.term(Agr(frozenset([source]), type_.kind), s.inner(), size))

    def gather(self, type_: Agr, s: Scope, size: int) -> Term | None:
        others = s.allowed - type_.roles
        if len(type_.roles) != 1 or not others:
            return None
        (target,) = type_.roles
        sources = tuple(self.shuffled(self.some(others)))
        parts = self.parts(size, len(sources))
        # The macro makes a list at the receiver, so what is sent stands under that mask.
        inner = s.inner().under(type_.roles)
        items = [self.term(Agr(frozenset([r]), "int"), inner, part) for r, part in zip(sources, parts, strict=True)]
        return t.Gather(target, sources, tuple(items))

    def _scatters(self, type_: Tup, s: Scope) -> tuple[Role, list[Role]] | None:
        """Who sends, and who receives, when the tuple can be scattered."""
        roles = [min(item.roles) for item in type_.items if isinstance(item, Agr) and len(item.roles) == 1]
        kinds = {item.kind for item in type_.items if isinstance(item, Agr)}
        sources = s.allowed - set(roles)
        if len(roles) != len(type_.items) or len(set(roles)) != len(roles) or "cell" in kinds or not sources:
            return None
        return self.choice(sorted(sources)), roles

    def scatter(self, type_: Tup, s: Scope, size: int) -> Term | None:
        found = self._scatters(type_, s)
        if found is None:
            return None
        source, targets = found
        items = [
            self.term(Agr(frozenset([source]), item.kind), s.inner(), part)
            for item, part in zip(type_.items, self.parts(size, len(targets)), strict=True)
            if isinstance(item, Agr)
        ]
        return t.Scatter(source, tuple(targets), tuple(items))

    def scatter_seq(self, type_: Tup, s: Scope, size: int) -> Term | None:
        found = self._scatters(type_, s)
        if found is None or len(type_.items) > 2 or any(isinstance(i, Agr) and i.kind != "int" for i in type_.items):
            return None
        source, targets = found

        def make(inner: Scope) -> Term:
            items = [self.operand("int", inner.inner(), part) for part in self.parts(size, 2)]
            return t.Op("list", tuple(items))

        return t.ScatterSeq(source, tuple(targets), self.lifted(frozenset([source]), s.inner(), make))

    def agree(self, type_: Agr, s: Scope, size: int) -> Term:
        """The same host code at several groups of roles; what it uses is shared by all of them."""
        groups: list[set[Role]] = [set()]
        for role in self.shuffled(type_.roles):
            if groups[-1] and self.chance(60):
                groups.append(set())
            groups[-1].add(role)
        kind = self.choice(WIDER["any"]) if type_.kind == "any" else type_.kind
        value = self.pure(kind, s.under(type_.roles), size, s.allowed)
        items = []
        for group in groups:
            roles = frozenset(group)
            item: Term = t.Lift(roles, value, True)
            if isinstance(value, t.Name):
                item = t.Narrow(roles, value)
            items.append(item)
        return t.Agree(type_.roles, tuple(items), self.chance(80))

    # Tuples.

    def pack(self, type_: Tup, s: Scope, size: int) -> Term:
        parts = self.parts(size, len(type_.items))
        return t.Pack(tuple(self.term(i, s.inner(), n) for i, n in zip(type_.items, parts, strict=True)))

    def unpack(self, type_: Ty, s: Scope, size: int) -> Term:
        inner, bindings = s, []
        *parts, last = self.parts(size, 2 + (self.below(10) == 0))
        for part in parts:
            have = [have for have in inner.env.values() if isinstance(have, Tup) and have.roles <= s.allowed]
            tuple_ = self.choice(have) if have and self.chance(60) else Tup(
                tuple(self.type(s.allowed) for _ in range(1 + self.below(3)))
            )  # fmt: skip
            names: dict[str, Ty] = {}
            value = self.term(tuple_, inner.inner(), part)
            bindings.append((self.vector(tuple_, names), value))
            inner = inner.bind(names)
        return t.Unpack(tuple(bindings), self.term(type_, inner, last))

    # Choreographies.

    def chor(self, type_: Arr, s: Scope, size: int) -> Term:
        place = next((i for i, p in enumerate(type_.params) if isinstance(p, Agr) and p.kind == "count"), None)
        counter = None if place is None else self.counter()
        names: dict[str, Ty] = {}
        params = self.params(type_.params, place, counter, names)
        inner = replace(s.bind(names), allowed=type_.roles, block=None, counting=False, selves=())
        if place is not None and counter is not None:
            block = Block(type_.params, place, counter, type_.roles)
            self_name = f"self{self.counters}" if self.chance(60) else None
            selves = (Self(self_name, type_, place, counter),) if self_name else ()
            if self_name:
                inner = inner.bind({self_name: type_})
            body = self.repeated(type_.result, replace(inner, block=block), size, selves)
            return t.Chor(self_name, type_, params, body, False)
        body = self.term(type_.result, inner, size)
        omit = self.chance(40)
        if omit:
            # The inferred part is what the body mentions; so it has to mention all of it.
            known = sorted(type_.roles - type_.aux)
            notes = [t.Move(known[0], role, self.lifted(frozenset([known[0]]), inner, lambda _: self.literal("int")), "sugar")
                     for role in sorted(type_.aux)]  # fmt: skip
            if notes:
                body = t.Do((*notes, body))
        return t.Chor(None, type_, params, body, omit)

    def instance(self, type_: Arr, s: Scope, size: int) -> Term | None:
        """A definition whose type is the type wanted, for some choice of roles."""
        for d in self.shuffled([d for d in s.defs if d.name not in s.env]):
            roles = self.unified(d, d.type, type_, s)
            if roles is not None and rename(d.type, dict(zip(d.roles, roles, strict=True))) == type_:
                return t.Inst(d.name, roles)
        return None

    def unified(self, d: Def, have: Ty, want: Ty, s: Scope) -> tuple[Role, ...] | None:
        """Roles for the vector of `d` under which its type `have` becomes `want`, and all that take part are allowed."""
        names: dict[Role, Role] = {}
        if not self._unify(have, want, names):
            return None
        free = [role for role in self.shuffled(s.order) if role not in names.values()]
        involved = d.type.roles
        for role in d.roles:
            if role not in names:
                fit = [r for r in free if role not in involved or r in s.allowed]
                if not fit:
                    return None
                names[role] = fit[0]
                free.remove(fit[0])
        if not {names[role] for role in involved} <= s.allowed:
            return None
        return tuple(names[role] for role in d.roles)

    def _unify(self, have: Ty, want: Ty, names: dict[Role, Role]) -> bool:
        match have, want:
            case Agr(), Agr():
                return have.kind == want.kind and self._unify_roles(have.roles, want.roles, names)
            case Tup(), Tup():
                pairs = zip(have.items, want.items, strict=False)
                return len(have.items) == len(want.items) and all(self._unify(a, b, names) for a, b in pairs)
            case Arr(), Arr():
                parts = zip((*have.params, have.result), (*want.params, want.result), strict=False)
                return (
                    len(have.params) == len(want.params)
                    and all(self._unify(a, b, names) for a, b in parts)
                    and self._unify_roles(have.aux, want.aux, names)
                )
        return False

    def _unify_roles(self, have: Roles, want: Roles, names: dict[Role, Role]) -> bool:
        if len(have) != len(want):
            return False
        known = {names[role] for role in have if role in names}
        rest = self.shuffled(want - known)
        if not known <= want or any(role in names.values() for role in rest):
            return False
        names.update(zip((role for role in sorted(have) if role not in names), rest, strict=True))
        return True

    def call(self, type_: Ty, s: Scope, size: int) -> Term | None:
        """A call of a definition, inline or by its instance."""
        for d in self.shuffled([d for d in s.defs if d.name not in s.env]):
            roles = self.unified(d, d.type.result, type_, s)
            if roles is not None:
                arrow = rename(d.type, dict(zip(d.roles, roles, strict=True)))
                assert isinstance(arrow, Arr)
                return t.Apply(t.Inst(d.name, roles), self.args(arrow.params, s, size), self.chance(80))
        return None

    def args(self, params: tuple[Ty, ...], s: Scope, size: int) -> tuple[Term, ...]:
        if not params:
            return ()
        parts = self.parts(size, len(params))
        return tuple(self.term(p, s.inner(), n) for p, n in zip(params, parts, strict=True))

    def call_local(self, type_: Ty, s: Scope, size: int) -> Term | None:
        names = [
            name
            for name, have in s.env.items()
            if isinstance(have, Arr) and have.result == type_ and have.roles <= s.allowed
            and all(name != one.callee for one in s.selves) and not name.startswith("self")
        ]  # fmt: skip
        if not names:
            return None
        name = self.choice(names)
        have = s.env[name]
        assert isinstance(have, Arr)
        return t.Apply(t.Name(name), self.args(have.params, s, size))

    def call_chor(self, type_: Ty, s: Scope, size: int) -> Term:
        """A call of a `chor` on the spot; often one that counts."""
        params = [self.type(s.allowed, depth=1) for _ in range(self.below(3))]
        if self.chance(40):
            params.insert(self.below(len(params) + 1), self.agr(s.allowed, "count"))
        aux = self.above(frozenset(), s.allowed - union((*params, type_)))
        arrow = Arr(tuple(params), type_, aux)
        one, two = self.parts(size, 2)
        callee: Term = self.chor(arrow, s, one)
        if isinstance(callee, t.Chor) and self.chance(50):
            name = self.name()
            inner = s.bind({name: arrow})
            return t.Let(((name, callee),), t.Apply(t.Name(name), self.args(arrow.params, inner, two)))
        return t.Apply(callee, self.args(arrow.params, s, two))

    # Sequence, binding, choice.

    def effect(self, s: Scope, size: int) -> Term:
        if self.chance(70):
            type_ = self.agr(s.allowed, "none")
            return self.host(type_, s.inner(), size) or self.leaf(type_, s.inner())
        return self.term(self.type(s.allowed), s.inner(), size)

    def do(self, type_: Ty, s: Scope, size: int) -> Term:
        *parts, last = self.parts(size, 2 + self.below(2))
        return t.Do((*(self.effect(s, max(n, 2)) for n in parts), self.term(type_, s, last)))

    def let(self, type_: Ty, s: Scope, size: int) -> Term:
        inner = s
        bindings: list[tuple[str | t.Seq | t.Keys, Term]] = []
        *parts, last = self.parts(size, 2 + self.below(2))
        for part in parts:
            if s.mask <= s.allowed and self.chance(15):
                target, init, names = self.destructuring(inner, part)
                bindings.append((target, init))
                inner = inner.bind(names)
                continue
            have: Ty = self.type(s.allowed)
            if s.defs and self.chance(35):
                have = self.from_def(s) or have
            name = self.name()
            bindings.append((name, self.term(have, inner.inner(), part)))
            inner = inner.bind({name: have})
        return t.Let(tuple(bindings), self.term(type_, inner, last))

    def from_def(self, s: Scope) -> Ty | None:
        """The type of a definition or of its result, for some choice of roles."""
        d = self.choice(s.defs)
        if len(d.roles) > len(s.order):
            return None
        arrow = rename(d.type, dict(zip(d.roles, self.shuffled(s.order), strict=False)))
        assert isinstance(arrow, Arr)
        if not arrow.roles <= s.allowed:
            return None
        return arrow if self.chance(40) else arrow.result

    def destructuring(self, s: Scope, size: int) -> tuple[t.Seq | t.Keys, Term, dict[str, Ty]]:
        one, two = self.shuffled(LOCALS)[:2]
        kind = self.choice(("dict", "pair", "list"))
        inner = s.inner()
        roles = self.above(s.mask, s.allowed) if self.chance(20) else s.mask
        if kind == "pair":
            return t.Seq((one, two)), self.term(Agr(roles, "pair"), inner, size), {
                one: Agr(s.mask, "int"), two: Agr(s.mask, "str"),
            }  # fmt: skip
        items = [self.operand("int", inner, part) for part in self.parts(size, 2)]
        both: dict[str, Ty] = {one: Agr(s.mask, "int"), two: Agr(s.mask, "int")}
        if kind == "list":
            return t.Seq((one, two)), t.Op("list", tuple(items)), both
        return t.Keys(((one, "k"),)), t.Op("dict-1", (items[0],)), {one: both[one]}

    def guard_roles(self, type_: Ty, s: Scope) -> Roles:
        """Who knows of a choice: at least who takes part in the result."""
        if s.block is not None and s.counting and self.chance(70):
            return s.allowed
        return self.above(type_.roles, s.allowed)

    def guard(self, roles: Roles, s: Scope, size: int) -> Term:
        kind = "bool" if self.chance(60) else self.choice([k for k in KINDS if k not in ("fn", "cell")])
        return self.term(Agr(roles, kind), s.inner(), size)

    def if_(self, type_: Ty, s: Scope, size: int) -> Term:
        roles = self.guard_roles(type_, s)
        one, two, three = self.parts(size, 3)
        inner = s.knowing(roles)
        return t.If(self.guard(roles, s, one), self.term(type_, inner, two), self.term(type_, inner, three))

    def cond(self, type_: Ty, s: Scope, size: int) -> Term:
        roles = self.guard_roles(type_, s)
        inner = s.knowing(roles)
        one, two, three, four, five = self.parts(size, 5)
        # The second guard is inside the first choice.
        clauses = [(self.guard(roles, s, one), self.term(type_, inner, two))]
        if self.chance(50):
            clauses.append((self.guard(inner.allowed & roles, inner, three), self.term(type_, inner, four)))
        return t.Cond(tuple(clauses), self.term(type_, inner, five), self.chance(30))

    def when(self, type_: Agr, s: Scope, size: int) -> Term:
        def make(inner: Scope) -> Term:
            roles = self.guard_roles(type_, inner)
            one, two = self.parts(size, 2)
            return t.When(self.guard(roles, inner, one), self.term(type_, inner.knowing(roles), two))

        return self.lifted(type_.roles, s, make)

    def cond_without_default(self, type_: Agr, s: Scope, size: int) -> Term:
        def make(inner: Scope) -> Term:
            roles = self.guard_roles(type_, inner)
            one, two = self.parts(size, 2)
            return t.Cond(((self.guard(roles, inner, one), self.term(type_, inner.knowing(roles), two)),), None)

        return self.lifted(type_.roles, s, make)

    def case(self, type_: Ty, s: Scope, size: int) -> Term:
        roles = self.guard_roles(type_, s)
        kind = self.choice(("int", "str", "bool", "none"))
        one, two, three = self.parts(size, 3)

        def make(inner: Scope) -> Term:
            subject = self.term(Agr(roles, kind), inner.inner(), one)
            branch = inner.knowing(roles)
            constants = self.shuffled([c for c in LITERALS[kind] if c[0] not in ("-3",)])[: 1 + self.below(2)]
            clauses = [(t.Lit(*c), self.term(type_, branch, two // 2)) for c in constants]
            return t.Case(subject, tuple(clauses), self.term(type_, branch, three), self.chance(30))

        return self.lifted(roles, s, make)

    def match(self, type_: Ty, s: Scope, size: int) -> Term:
        roles = self.guard_roles(type_, s)
        kind = self.choice(("int", "str", "list", "dict", "pair", "any", "none"))
        one, two, three = self.parts(size, 3)
        subject = self.term(Agr(roles, kind), s.inner(), one)
        branch = s.knowing(roles)
        fit = [name for name, p in PATTERNS.items() if kind in p.kinds]
        total = self.choice(("name", "anything"))
        clauses = []
        for name in [*self.shuffled(fit)[: 1 + self.below(2)], total]:
            binds = PATTERNS[name].binds
            names = tuple(self.shuffled([n for n in LOCALS if n.isidentifier()])[: len(binds)])
            bound: dict[str, Ty] = {
                n: Agr(roles, kind if k == "*" else k) for n, k in zip(names, binds, strict=True)
            }  # fmt: skip
            clauses.append((name, names, self.term(type_, branch.bind(bound), two // 2 if name != total else three)))
        return t.Match(subject, tuple(clauses))

    def junction(self, type_: Agr, s: Scope, size: int) -> Term:
        # Any of the operands may be the value, and each but the last decides for those after it.
        parts = self.parts(size, 2 + self.below(2))
        scope = s.inner().knowing(type_.roles)
        first = self.term(type_, s.inner(), parts[0])
        return t.Junction(self.chance(50), (first, *(self.term(type_, scope, n) for n in parts[1:])))

    def lift(self, type_: Ty, s: Scope, size: int) -> Term:
        mask = self.some(frozenset(s.order))
        return t.Lift(mask, self.term(type_, s.under(mask), size), self.chance(70))

    def region(self, type_: Ty, s: Scope, size: int) -> Term:
        """A scope, in which only its roles take part and agreements are among them."""
        roles = self.above(type_.roles, s.allowed)
        env: dict[str, Ty] = {}
        for name, have in s.env.items():
            if isinstance(have, Agr) and have.roles & roles:
                env[name] = Agr(have.roles & roles, have.kind)
            elif have.roles <= roles:
                env[name] = have
        selves = tuple(one for one in s.selves if one.counter in env and (isinstance(one.callee, Def) or one.callee in env))
        self.regions += 1
        name, vector, barrier = f"region-{self.regions}", tuple(self.shuffled(roles)), self.chance(20)
        order = tuple(role for role in s.order if role in roles)
        inner = replace(s.inner(), mask=roles, allowed=roles, order=order, env=env, selves=selves)
        return t.Region(name, vector, self.term(type_, inner, size), barrier)

    # Repetition.

    def moved(self, term: Term, have: Roles, want: Roles) -> Term:
        """A term at `have`, brought to `want` by copies and a narrowing."""
        if have == want:
            return term
        if not want <= have:
            source = self.choice(sorted(have))
            missing = self.shuffled(want - have)
            if len(have) > 1 or self.chance(50):
                for role in missing:
                    term = t.Copy(source, role, term, "sugar")
            else:
                term = t.Bcast(source, tuple(missing), term)
            have = have | want
        return term if have == want else t.Narrow(want, term)

    def less(self, counter: str, s: Scope, want: Roles) -> Term:
        """The counter less one, at `want`."""
        have = s.env[counter].roles
        term = t.Lift(have, t.Op("sub", (t.Name(counter), t.Lit("1", 1))), True)
        return self.moved(term, have, want)

    def repeated(self, type_: Ty, s: Scope, size: int, selves: tuple[Self, ...]) -> Term:
        """The body of a block that counts down: something first, then the end or one round more."""
        block = s.block
        assert block is not None
        have = s.env[block.counter].roles
        one, two, three = self.parts(size, 3)
        test: Term = t.Lift(have, t.Op("less", (t.Name(block.counter), t.Lit("1", 1))), True)
        test = self.moved(test, have, s.allowed)
        lifting = self.chance(15)
        outside, s = s, s.under(s.allowed) if lifting else s
        end = self.term(type_, s.inner(), one)
        again = replace(s, counting=True, selves=selves)
        more = self.call_self(type_, again, two) if selves and self.chance(50) else None
        more = more or self.term(type_, again, max(two, 3))
        if lifting:
            body: Term = t.Lift(s.allowed, t.Case(test, ((t.Lit("True", True), end),), more), True)
        elif isinstance(type_, Agr) and type_.roles == s.allowed and type_.kind in ("bool", "any") and self.chance(40):
            body = t.Junction(False, (test, more))
        elif isinstance(type_, Agr) and type_.roles == s.mask == s.allowed and type_.kind in ("none", "any") and self.chance(40):
            body = t.When(t.Lift(s.allowed, t.Op("not", (test,)), True), more)
        elif self.chance(20):
            body = t.Cond(((test, end),), more)
        else:
            body = t.If(test, end, more)
        return t.Do((self.effect(outside, three), body)) if three > 3 else body

    def recur(self, s: Scope, size: int) -> Term:
        block = s.block
        assert block is not None
        args: list[Term] = []
        for i, (param, part) in enumerate(zip(block.params, self.parts(size // 2, len(block.params)), strict=True)):
            if i == block.place:
                args.append(self.less(block.counter, s, param.roles))
            else:
                args.append(self.term(param, s.inner(), part))
        return t.Recur(tuple(args))

    def call_self(self, type_: Ty, s: Scope, size: int) -> Term | None:
        for one in self.shuffled(s.selves):
            arrow: Ty = one.type
            callee: Term
            if isinstance(one.callee, Def):
                roles = self.unified(one.callee, one.type.result, type_, s)
                if roles is None or one.callee.name in s.env:
                    continue
                arrow = rename(arrow, dict(zip(one.callee.roles, roles, strict=True)))
                callee = t.Inst(one.callee.name, roles)
            elif one.type.result == type_ and one.type.roles <= s.allowed:
                callee = t.Name(one.callee)
            else:
                continue
            assert isinstance(arrow, Arr)
            if not s.env[one.counter].roles <= s.allowed:
                continue
            args = list(self.args(arrow.params, replace(s, selves=()), size // 2))
            args[one.place] = self.less(one.counter, s, arrow.params[one.place].roles)
            return t.Apply(callee, tuple(args), self.chance(80))
        return None

    def loop(self, type_: Ty, s: Scope, size: int) -> Term:
        roles = self.guard_roles(type_, s)
        counter = self.counter()
        one, two, three = self.parts(size, 3)
        count = self.agr(roles, "count")
        bindings = [(counter, self.lifted(count.roles, s, lambda _: t.Lit("2", 2) if self.chance(80) else t.Lit("0", 0)))]
        inner = s.bind({counter: count})
        params: list[Ty] = [count]
        for part in self.parts(one, self.below(3) + 1)[1:]:
            name = self.choice([n for n in LOCALS if n not in {b for b, _ in bindings}])
            have = self.type(roles)
            bindings.append((name, self.term(have, inner.inner(), part)))
            params.append(have)
            inner = inner.bind({name: have})
        block = Block(tuple(params), 0, counter, roles)
        inner = replace(inner, block=block, allowed=roles, counting=False)
        return t.Loop(tuple(bindings), self.repeated(type_, inner, two + three, s.selves if s.counting else ()))
