"""Generated choreographies: their types, their terms, and how both are written in Hy.

    T ::= Agr(R+, kind) | Tup(T+) | Arr(T*, T, R*)      types; a *kind* says what host values an agreement holds
    t ::= Lit | Name | Op | FString | CallFn | Await | Lift | Copy | Move | Narrow | Bcast | Scatter | ScatterSeq | Gather
        | Pack | Unpack | Agree | Chor | Inst | Apply | Do | Let | If | When | Cond | Case | Match | Junction
        | Loop | Recur

The tree has nothing in common with the one that klorpy reads a program into: it is written out as text (`Program.text`),
and read once more from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from typing import Any, TypeAlias

from klorpy.testing.kinds import OPS, PATTERNS

Role: TypeAlias = str
Roles: TypeAlias = frozenset[str]


# --- Types ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Agr:
    """An agreement of `roles` on a host value of a `kind` (see `kinds`)."""

    roles: Roles
    kind: str


@dataclass(frozen=True, slots=True)
class Tup:
    items: tuple[Ty, ...]

    @property
    def roles(self) -> Roles:
        return union(self.items)


@dataclass(frozen=True, slots=True)
class Arr:
    params: tuple[Ty, ...]
    result: Ty
    aux: Roles

    @property
    def roles(self) -> Roles:
        return union((*self.params, self.result)) | self.aux


Ty: TypeAlias = Agr | Tup | Arr


def union(types: Iterable[Ty]) -> Roles:
    return frozenset().union(*(t.roles for t in types))


def rename(type_: Ty, names: Mapping[Role, Role]) -> Ty:
    match type_:
        case Agr(roles, kind):
            return Agr(frozenset(names[r] for r in roles), kind)
        case Tup(items):
            return Tup(tuple(rename(item, names) for item in items))
        case Arr(params, result, aux):
            return Arr(
                tuple(rename(p, names) for p in params), rename(result, names), frozenset(names[r] for r in aux)
            )


def show_type(type_: Ty, *, omit_aux: bool | None = None) -> str:
    """A type as klorpy reads it. In a nested arrow an empty auxiliary part may be left out, and sometimes is."""
    match type_:
        case Agr(roles, kind):
            return f"#{{{_names(roles)}}}" if len(roles) > 1 or kind == "pair" else min(roles)
        case Tup(items):
            return f"[{' '.join(map(show_type, items))}]"
        case Arr(params, result, aux):
            if omit_aux is None:
                omit_aux = not aux and len(params) == 1
            parts = " ".join(map(show_type, (*params, result)))
            return f"(-> {parts})" if omit_aux else f"(-> {parts} | {_names(aux) or '0'})"


def _names(roles: Iterable[Role]) -> str:
    return " ".join(sorted(roles))


# --- Terms ------------------------------------------------------------------------------------------------------------

#: A binder of `unpack`: a name, None for `_`, or a vector.
Binder: TypeAlias = "str | tuple[Binder, ...] | None"


@dataclass(frozen=True, slots=True)
class Lit:
    text: str
    value: Any


@dataclass(frozen=True, slots=True)
class Name:
    name: str


@dataclass(frozen=True, slots=True)
class Op:
    """A host form: an operator, a call of a host function, a collection, a method, or a form left to Hy whole."""

    op: str
    args: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class FString:
    """Text and expressions; each expression with its conversion and format, such as ` !r`."""

    parts: tuple[tuple[str, Term, str], ...]


@dataclass(frozen=True, slots=True)
class CallFn:
    """A call of a host function that is a value at `roles`."""

    function: Term
    arg: Term
    roles: Roles


@dataclass(frozen=True, slots=True)
class Await:
    body: Term


@dataclass(frozen=True, slots=True)
class Lift:
    roles: Roles
    body: Term
    sugar: bool


@dataclass(frozen=True, slots=True)
class Copy:
    source: Role
    target: Role
    body: Term
    style: str


@dataclass(frozen=True, slots=True)
class Move:
    source: Role
    target: Role
    body: Term
    style: str


@dataclass(frozen=True, slots=True)
class Narrow:
    roles: Roles
    body: Term


@dataclass(frozen=True, slots=True)
class Bcast:
    source: Role
    targets: tuple[Role, ...]
    body: Term


@dataclass(frozen=True, slots=True)
class Scatter:
    source: Role
    targets: tuple[Role, ...]
    items: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class ScatterSeq:
    source: Role
    targets: tuple[Role, ...]
    body: Term


@dataclass(frozen=True, slots=True)
class Gather:
    target: Role
    sources: tuple[Role, ...]
    items: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Pack:
    items: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Unpack:
    bindings: tuple[tuple[tuple[Binder, ...], Term], ...]
    body: Term


@dataclass(frozen=True, slots=True)
class Agree:
    """`roles` are all the roles of the agreement that is made."""

    roles: Roles
    items: tuple[Term, ...]
    sugar: bool


@dataclass(frozen=True, slots=True)
class Chor:
    """`omit` leaves the auxiliary part to be inferred: the body mentions exactly these roles."""

    self_name: str | None
    type: Arr
    params: tuple[Binder, ...]
    body: Term
    omit: bool


@dataclass(frozen=True, slots=True)
class Inst:
    name: str
    roles: tuple[Role, ...]


@dataclass(frozen=True, slots=True)
class Apply:
    callee: Term
    args: tuple[Term, ...]
    sugar: bool = True


@dataclass(frozen=True, slots=True)
class Region:
    """A scope with its body."""

    name: str
    roles: tuple[Role, ...]
    body: Term
    barrier: bool


@dataclass(frozen=True, slots=True)
class Do:
    items: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Seq:
    """Names bound by host destructuring of a list or a pair: `[a b]`."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Keys:
    """Names bound by host destructuring of a dict: `{a "k"}`."""

    names: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Let:
    bindings: tuple[tuple[str | Seq | Keys, Term], ...]
    body: Term


@dataclass(frozen=True, slots=True)
class If:
    guard: Term
    then: Term
    orelse: Term


@dataclass(frozen=True, slots=True)
class When:
    guard: Term
    body: Term


@dataclass(frozen=True, slots=True)
class Cond:
    """`default` None: without one, the value is None where no guard holds."""

    clauses: tuple[tuple[Term, Term], ...]
    default: Term | None
    keyword: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    subject: Term
    clauses: tuple[tuple[Lit, Term], ...]
    default: Term
    keyword: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """Each clause is the name of a pattern in `kinds.PATTERNS`, the names it binds, and the result."""

    subject: Term
    clauses: tuple[tuple[str, tuple[str, ...], Term], ...]


@dataclass(frozen=True, slots=True)
class Junction:
    is_and: bool
    items: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Loop:
    bindings: tuple[tuple[str, Term], ...]
    body: Term


@dataclass(frozen=True, slots=True)
class Recur:
    args: tuple[Term, ...]


Term: TypeAlias = (
    Lit | Name | Op | FString | CallFn | Await | Lift | Copy | Move | Narrow | Bcast | Scatter | ScatterSeq | Gather
    | Pack | Unpack | Agree | Chor | Inst | Apply | Region | Do | Let | If | When | Cond | Case | Match | Junction | Loop
    | Recur
)  # fmt: skip


def show(term: Term) -> str:
    """A term as Hy text."""
    match term:
        case Lit(text) | Name(text):
            return text
        case Op(op, args):
            return OPS[op].text.format(*map(show, args))
        case FString(parts):
            return 'f"' + "".join(f"{text}{{{show(e)}{how}}}" for text, e, how in parts) + '"'
        case CallFn(function, arg):
            return f"({show(function)} {show(arg)})"
        case Await(body):
            return f"(await (later {show(body)}))"
        case Lift(roles, body, sugar):
            head = min(roles) if sugar and len(roles) == 1 else f"lifting [{_names(roles)}]"
            return f"({head} {_body(body)})"
        case Copy(source, target, body, style):
            heads = {"sugar": f"{source}=>{target}", "long": f"copy [{source} {target}]", "macro": f"tell {source} {target}"}
            return f"({heads[style]} {show(body)})"
        case Move(source, target, body, style):
            if style == "long":
                return f"(narrow [{target}] (copy [{source} {target}] {show(body)}))"
            head = f"{source}->{target}" if style == "sugar" else f"move [{source} {target}]"
            return f"({head} {show(body)})"
        case Narrow(roles, body):
            return f"(narrow [{_names(roles)}] {show(body)})"
        case Bcast(source, targets, body):
            return f"(bcast [{' '.join((source, *targets))}] {show(body)})"
        case Scatter(source, targets, items):
            return f"(scatter [{' '.join((source, *targets))}] {_all(items)})"
        case ScatterSeq(source, targets, body):
            return f"(scatter-seq [{' '.join((source, *targets))}] {show(body)})"
        case Gather(target, sources, items):
            return f"(gather [{' '.join((target, *sources))}] {_all(items)})"
        case Pack(items):
            return f"(pack {_all(items)})"
        case Unpack(bindings, body):
            pairs = " ".join(f"{show_binder(binder)} {show(e)}" for binder, e in bindings)
            return f"(unpack [{pairs}] {_body(body)})"
        case Agree(_, items, sugar):
            return f"({'agree!' if sugar else 'agree'} {_all(items)})"
        case Chor(self_name, type_, params, body, omit):
            name = f"{self_name} " if self_name else ""
            return f"(chor {name}{show_type(type_, omit_aux=omit)} {show_binder(params)} {_body(body)})"
        case Inst(name, roles):
            return f"(inst {name} [{' '.join(roles)}])"
        case Apply(Inst(name, roles), args, True):
            return f"({' '.join((name, f'[{chr(32).join(roles)}]', *map(show, args)))})"
        case Apply(callee, args):
            return f"({' '.join(map(show, (callee, *args)))})"
        case Region(name, roles, body, barrier):
            return f"(scope {':barrier ' if barrier else ''}{name} [{' '.join(roles)}] {_body(body)})"
        case Do():
            return f"(do {_body(term)})"
        case Let(bindings, body):
            return f"(let [{' '.join(f'{_target(t)} {show(e)}' for t, e in bindings)}] {_body(body)})"
        case If(guard, then, orelse):
            return f"(if {show(guard)} {show(then)} {show(orelse)})"
        case When(guard, body):
            return f"(when {show(guard)} {_body(body)})"
        case Cond(clauses, default, keyword):
            pairs = " ".join(f"{show(g)} {show(e)}" for g, e in clauses)
            last = "" if default is None else f" {':else' if keyword else 'True'} {show(default)}"
            return f"(cond {pairs}{last})"
        case Case(subject, clauses, default, keyword):
            pairs = " ".join(f"{c.text} {show(e)}" for c, e in clauses)
            return f"(case {show(subject)} {pairs}{' else' if keyword else ''} {show(default)})"
        case Match(subject, clauses):
            results = " ".join(f"{PATTERNS[p].text.format(*names)} {show(e)}" for p, names, e in clauses)
            return f"(match {show(subject)} {results})"
        case Junction(is_and, items):
            return f"({'and' if is_and else 'or'} {_all(items)})"
        case Loop(bindings, body):
            return f"(loop [{' '.join(f'{n} {show(e)}' for n, e in bindings)}] {_body(body)})"
        case Recur(args):
            return f"({' '.join(('recur', *map(show, args)))})"


def _all(items: Iterable[Term]) -> str:
    return " ".join(map(show, items))


def _body(term: Term) -> str:
    """An implicit `do` where there may be one."""
    return _all(term.items) if isinstance(term, Do) else show(term)


def show_binder(binder: Binder) -> str:
    if isinstance(binder, tuple):
        return f"[{' '.join(map(show_binder, binder))}]"
    return "_" if binder is None else binder


def _target(target: str | Seq | Keys) -> str:
    match target:
        case Seq(names):
            return f"[{' '.join(names)}]"
        case Keys(names):
            return "{" + " ".join(f'{name} "{key}"' for name, key in names) + "}"
        case str():
            return target


# --- Programs ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Def:
    """A definition. `omit` leaves its auxiliary part to be inferred: all roles of the vector; `ahead` declares it."""

    name: str
    roles: tuple[Role, ...]
    type: Arr
    params: tuple[Binder, ...]
    body: Term
    omit: bool
    ahead: bool = False

    @property
    def header(self) -> str:
        return f"defchor {self.name} [{' '.join(self.roles)}] {show_type(self.type, omit_aux=self.omit)}"

    @property
    def text(self) -> str:
        return f"({self.header}\n  {show_binder(self.params)}\n  {_body(self.body)})"


@dataclass(frozen=True)
class Program:
    """Definitions, the last of which is run with `args`. `verify` says for which the option is on, and how."""

    defs: tuple[Def, ...]
    args: tuple[Any, ...]
    verify: Mapping[str, bool | str]

    @property
    def main(self) -> Def:
        return self.defs[-1]

    @cached_property
    def text(self) -> str:
        forms = []
        if any(isinstance(t, Copy) and t.style == "macro" for t in self.terms()):
            forms.append("(defmacro tell [source target e] `(copy [~source ~target] ~e))")
        forms += [f"({d.header})" for d in self.defs if d.ahead]
        for d in self.defs:
            how = self.verify.get(d.name, False)
            forms.append(f"(with-opts {{:verify {{:agreement {how}}}}}\n{d.text})" if how else d.text)
        return "\n\n".join(forms) + "\n"

    def terms(self) -> Iterator[Term]:
        for d in self.defs:
            yield from walk(d.body)


def children(term: Term) -> Iterator[Term]:
    """The terms directly inside a term, in the order of the text."""
    todo: list[Any] = [getattr(term, f.name) for f in reversed(fields(term))]
    while todo:
        current = todo.pop()
        if isinstance(current, tuple):
            todo.extend(reversed(current))
        elif is_dataclass(current) and not isinstance(current, (Agr, Tup, Arr, Seq, Keys)):
            yield current  # type: ignore[misc]


def walk(term: Term) -> Iterator[Term]:
    """`term` and all terms inside it."""
    yield term
    for child in children(term):
        yield from walk(child)
