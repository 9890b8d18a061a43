"""Which forms a generated program contains, so that a generator cannot lose one without being noticed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from klorpy.testing import terms as t
from klorpy.testing.kinds import OPS, PATTERNS
from klorpy.testing.terms import Arr, Binder, Program, Term, Tup

_NAMES: Final = (
    "literal|local|shadowed|fstring|call of a function|call of fn|await|role|lifting one|lifting more|"
    "copy sugar|copy long|copy macro|move sugar|move long|move macro|narrow|bcast|scatter|scatter-seq|gather|"
    "pack|unpack|unpack nested|unpack _|unpack two|agree!|agree|agree! at one|"
    "chor anonymous|chor named|chor aux inferred|chor aux written|chor unpacks|chor of chor|chor gives chor|chor gives tuple|"
    "inst as value|call inline|call by inst|call of local|call of chor|call permuted|call of self|call of self by name|"
    "call forward|mutual|do|let|let list|let dict|if|when|cond default|cond :else|cond without default|case|case else|"
    "match|and|or|loop|recur in loop|recur in chor|recur in defchor|"
    "def aux inferred|def aux written|def with none|def unpacks|def takes chor|def gives chor|def gives tuple|"
    "def declared ahead|roles 1|roles 2|roles 3|roles 4|roles 5|verify off|verify decentralised|verify centralised|"
    "verify outside"
)
#: All that `forms_of` can find.
FORMS: Final = frozenset(
    (*(f"operation {name}" for name in OPS), *(f"pattern {name}" for name in PATTERNS), *_NAMES.split("|"))
)


def forms_of(program: Program) -> set[str]:
    """The names, among `FORMS`, of what occurs in a program."""
    found: set[str] = set()
    ahead = {d.name for d in program.defs if d.ahead}
    defined: set[str] = set()
    calls: dict[str, set[str]] = {}
    for d in program.defs:
        found.add(f"roles {len(d.roles)}")
        found.add("def aux inferred" if d.omit else "def aux written" if d.type.aux else "def with none")
        found |= {f"def {name}" for name in _about(d.type, d.params)}
        if d.ahead:
            found.add("def declared ahead")
        how = program.verify.get(d.name, False)
        found.add("verify off" if not how else "verify decentralised" if how is True else "verify centralised")
        for term in t.walk(d.body):
            if isinstance(how, str) and isinstance(term, t.Agree) and len(term.roles) > 1 and how not in term.roles:
                found.add("verify outside")
            if isinstance(term, t.Inst):
                calls.setdefault(d.name, set()).add(term.name)
                if term.name == d.name:
                    found.add("call of self")
                elif term.name not in defined and term.name in ahead:
                    found.add("call forward")
                callee = next(one for one in program.defs if one.name == term.name)
                if set(term.roles) == set(callee.roles) and term.roles != callee.roles:
                    found.add("call permuted")
        names = set(_names(d.params))
        for owner, term in _owned(d.body, "defchor"):
            found |= set(_labels(term, owner))
            bound = set(_bound(term))
            if bound & names:
                found.add("shadowed")
            names |= bound
        defined.add(d.name)
    if any(b != a and a in calls.get(b, ()) for a in calls for b in calls[a]):
        found.add("mutual")
    return found


def _about(type_: Arr, params: tuple[Binder, ...]) -> Iterator[str]:
    if any(isinstance(p, tuple) for p in params):
        yield "unpacks"
    if any(isinstance(p, Arr) for p in type_.params):
        yield "takes chor"
    if isinstance(type_.result, Arr):
        yield "gives chor"
    if isinstance(type_.result, Tup):
        yield "gives tuple"


def _labels(term: Term, owner: str) -> Iterator[str]:
    match term:
        case t.Lit():
            yield "literal"
        case t.Name():
            yield "local"
        case t.Op(op):
            yield f"operation {op}"
        case t.FString():
            yield "fstring"
        case t.CallFn(function):
            yield "call of a function"
            if isinstance(function, t.Op):
                yield "call of fn"
        case t.Lift(roles, _, sugar):
            yield "role" if sugar and len(roles) == 1 else "lifting one" if len(roles) == 1 else "lifting more"
        case t.Copy(style=style):
            yield f"copy {style}"
        case t.Move(style=style):
            yield f"move {style}"
        case t.ScatterSeq():
            yield "scatter-seq"
        case t.Unpack(bindings):
            yield "unpack"
            if len(bindings) > 1:
                yield "unpack two"
            for binder, _ in bindings:
                if any(isinstance(part, tuple) for part in binder):
                    yield "unpack nested"
                if None in binder:
                    yield "unpack _"
        case t.Agree(roles, _, sugar):
            yield "agree! at one" if len(roles) == 1 else "agree!" if sugar else "agree"
        case t.Chor(name, type_, params, _, omit):
            yield "chor named" if name else "chor anonymous"
            yield "chor aux inferred" if omit else "chor aux written"
            for label in _about(type_, params):
                yield {"takes chor": "chor of chor"}.get(label, f"chor {label}")
        case t.Apply(callee, _, sugar):
            match callee:
                case t.Inst():
                    yield "call inline" if sugar else "call by inst"
                case t.Name(name):
                    yield "call of self by name" if name.startswith("self") else "call of local"
                case t.Chor():
                    yield "call of chor"
        case t.Let(bindings):
            for target, init in bindings:
                yield {t.Seq: "let list", t.Keys: "let dict"}.get(type(target), "let")
                if isinstance(init, t.Inst):
                    yield "inst as value"
        case t.Cond(_, default, keyword):
            yield "cond without default" if default is None else "cond :else" if keyword else "cond default"
        case t.Case(keyword=keyword):
            yield "case else" if keyword else "case"
        case t.Match(_, clauses):
            yield "match"
            for pattern, _, _ in clauses:
                yield f"pattern {pattern}"
        case t.Junction(is_and):
            yield "and" if is_and else "or"
        case t.Inst():
            return
        case t.Recur():
            yield f"recur in {owner}"
        case _:
            yield type(term).__name__.lower()


def _owned(term: Term, owner: str) -> Iterator[tuple[str, Term]]:
    """All terms inside `term`, each with the kind of its recur block."""
    yield owner, term
    inner = "loop" if isinstance(term, t.Loop) else "chor" if isinstance(term, t.Chor) else owner
    for child in t.children(term):
        yield from _owned(child, inner)


def _bound(term: Term) -> Iterator[str]:
    match term:
        case t.Let(bindings) | t.Loop(bindings):
            for target, _ in bindings:
                if isinstance(target, str):
                    yield target
        case t.Unpack(bindings):
            for binder, _ in bindings:
                yield from _names(binder)
        case t.Chor(_, _, params, _):
            yield from _names(params)
        case _:
            return


def _names(binder: Binder) -> Iterator[str]:
    if isinstance(binder, tuple):
        for part in binder:
            yield from _names(part)
    elif binder is not None:
        yield binder
