"""Types without `do`, and without work behind a choice or a recursion.

    expand(P) = G             what P does, the protocols that it uses written out
    distribute(G) = G'        the same as G, with what follows a choice or a recursion moved into it

A use of a protocol by itself, with the same roles, is a loop: `do P(A, B)` inside of P[A, B] goes back to the start. With
other roles the body is written out once more, as often as there are arrangements of the roles. What follows a choice is
done after each of its branches; what follows a recursion, where its body ends. Work behind a recursive call could
only be kept on a stack, and is refused (`non-tail-recursion`).

Raises KlorError `undefined-protocol`, `unbound-recursion`, `non-tail-recursion`, `too-deep`, and `too-large` when the
result has more than `MAX_ITEMS` items.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias, assert_never

from klorpy.behaviour.globaltype import (
    MAX_DEPTH,
    MAX_ITEMS,
    Choice,
    Continue,
    Do,
    GlobalType,
    Item,
    Message,
    Protocol,
    Rec,
    items_of,
    rename,
)
from klorpy.core.diagnostics import Diagnostic, KlorError
from klorpy.core.spans import Source, Span
from klorpy.core.types import Role

#: A protocol with the roles that play it.
Instance: TypeAlias = tuple[str, tuple[Role, ...]]


def expand(protocol: Protocol) -> GlobalType:
    """What a protocol does, without `do`.

    >>> from klorpy.behaviour import parse_protocol
    >>> print(expand(parse_protocol("(defprotocol Ping [A B] (-> A B (ping)) (do Ping B A))")))
    mu __Ping_A_B. A->B:ping; B->A:ping; __Ping_A_B
    """
    if not any(isinstance(item, Do) for item in items_of(protocol.type)):
        return protocol.type
    return _Expansion({**protocol.library, protocol.name: protocol}, protocol.source).instance(
        (protocol.name, protocol.roles), (), None
    )


@dataclass
class _Expansion:
    library: Mapping[str, Protocol]
    source: Source | None
    items: int = 0

    def instance(self, wanted: Instance, within: tuple[Instance, ...], do: Do | None, at: Span | None = None) -> GlobalType:
        name, roles = wanted
        protocol = self.library.get(name)
        span = do.span if do else None
        if protocol is None:
            known = ", ".join(sorted(self.library)) or "none"
            raise _error("undefined-protocol", f"there is no protocol {name}", span, self.source, f"known here: {known}")
        if len(roles) != len(protocol.roles):
            raise _error("undefined-protocol", f"{name} has {len(protocol.roles)} roles, and {len(roles)} are given",
                         span, self.source, f"give one for each of {' '.join(protocol.roles)}")  # fmt: skip
        if len(within) >= MAX_DEPTH:
            raise too_deep(span, self.source)
        body = rename(protocol.type, dict(zip(protocol.roles, roles, strict=True)))
        inner = (*within, wanted)
        # What stands in another file is shown where it is used here.
        place = span if protocol.source is not self.source else None
        done = self.body(body, inner, place or at)
        used = any(isinstance(item, Continue) and item.variable == _loop(wanted) for item in items_of(done))
        return GlobalType((Rec(_loop(wanted), done, span=span or protocol.span),), source=body.source) if used else done

    def body(self, type_: GlobalType, within: tuple[Instance, ...], at: Span | None) -> GlobalType:
        out: list[Item] = []
        for item in type_.items:
            self.items += 1
            if self.items > MAX_ITEMS:
                raise too_large(self.source)
            if at is not None:
                item = replace(item, span=at)
            match item:
                case Message() | Continue():
                    out.append(item)
                case Choice(_, branches):
                    out.append(replace(item, branches=tuple(self.body(branch, within, at) for branch in branches)))
                case Rec(_, body):
                    out.append(replace(item, body=self.body(body, within, at)))
                case Do(name, roles):
                    if (name, roles) in within:
                        out.append(Continue(_loop((name, roles)), span=item.span))
                    else:
                        out += self.instance((name, roles), within, item, at).items
                case _:
                    assert_never(item)
        return replace(type_, items=tuple(out))


def _loop(instance: Instance) -> str:
    name, roles = instance
    return "_".join(("_", name, *roles)) if name else ""


def continuation(type_: GlobalType) -> Choice | Rec | Continue | None:
    """The first item with something behind it that would have to be moved; None for a type in tail form.

    >>> from klorpy.behaviour import parse_global
    >>> continuation(parse_global("(branch A B (l) (r)) (-> A B int)")).role
    'A'
    """
    todo = [type_]
    while todo:
        body = todo.pop()
        inner: list[GlobalType] = []
        for i, item in enumerate(body.items):
            if isinstance(item, (Choice, Rec, Continue)) and i < len(body.items) - 1:
                return item
            match item:
                case Choice(_, branches):
                    inner += branches
                case Rec(_, body_):
                    inner.append(body_)
        todo += reversed(inner)
    return None


@dataclass(frozen=True, slots=True)
class _After:
    """What is still to be done behind a body, and in which scope it was written."""

    items: tuple[Item, ...]
    scope: Mapping[str, tuple[str, int]]
    next: _After | None
    height: int


def distribute(type_: GlobalType) -> GlobalType:
    """`type_` with nothing behind a choice, a recursion or a recursive call. There must be no `do`.

    >>> from klorpy.behaviour import parse_global
    >>> print(distribute(parse_global("(branch A B (l) (r (-> B A int))) (-> A B str)")))
    A->B:{l: A->B:<str>; end, r: B->A:<int>; A->B:<str>; end}
    """
    return type_ if continuation(type_) is None else _Distribution(type_.source).walk(type_, None, {}, 0)


@dataclass
class _Distribution:
    source: Source | None
    items: int = field(default=0)
    fresh: int = field(default=0)

    def walk(
        self, type_: GlobalType, after: _After | None, scope: Mapping[str, tuple[str, int]], depth: int
    ) -> GlobalType:
        """The body `type_` followed by `after`. The scope gives each variable its new name, and what followed its binder."""
        out: list[Item] = []
        items, at = type_.items, 0
        while True:
            if at == len(items):
                if after is None:
                    return GlobalType(tuple(out), source=type_.source)
                items, at, scope, after = after.items, 0, after.scope, after.next
                continue
            item, rest = items[at], items[at + 1 :]
            self.items += 1
            if self.items > MAX_ITEMS:
                raise too_large(self.source)
            match item:
                case Message():
                    out.append(item)
                    at += 1
                case Continue(variable):
                    if variable not in scope:
                        raise unbound(item, self.source)
                    name, height = scope[variable]
                    if rest or _height(after) > height:
                        raise _error(
                            "non-tail-recursion", f"there is more to do behind the recursive call of {variable}", item.span,
                            self.source, "let the recursive call be the last thing that is done",
                        )  # fmt: skip
                    return GlobalType((*out, replace(item, variable=name)), source=type_.source)
                case Choice() | Rec():
                    if rest:
                        after = _After(rest, scope, after, _height(after) + 1)
                    if depth >= MAX_DEPTH:
                        raise too_deep(item.span, self.source)
                    return GlobalType((*out, self.inner(item, after, scope, depth + 1)), source=type_.source)
                case Do():
                    raise ValueError("a type is expanded before it is distributed")
                case _:
                    assert_never(item)

    def inner(
        self, item: Choice | Rec, after: _After | None, scope: Mapping[str, tuple[str, int]], depth: int
    ) -> Choice | Rec:
        if isinstance(item, Choice):
            return replace(item, branches=tuple(self.walk(branch, after, scope, depth) for branch in item.branches))
        name = item.variable
        if after is not None and any(name == used for used, _ in scope.values()):
            # What follows may mean the outer variable of this name.
            self.fresh += 1
            name = f"{name}.{self.fresh}"
        body = self.walk(item.body, after, {**scope, item.variable: (name, _height(after))}, depth)
        return replace(item, variable=name, body=body)


def _height(after: _After | None) -> int:
    return after.height if after else 0


def unbound(item: Continue, source: Source | None) -> KlorError:
    """The error that nothing binds a variable, to be raised."""
    return _error("unbound-recursion", f"nothing binds {item.variable}", item.span, source,
                  f"put it inside a (mu {item.variable} …)")  # fmt: skip


def too_large(source: Source | None) -> KlorError:
    """The error that a type is too large, to be raised."""
    return _error("too-large", f"this protocol has more than {MAX_ITEMS:,} steps when it is written out", None, source,
                  "let branches that go on alike share what follows, or split the protocol")  # fmt: skip


def too_deep(span: Span | None, source: Source | None) -> KlorError:
    """The error that a type nests too deeply, to be raised."""
    return _error("too-deep", f"choices and recursions are nested more than {MAX_DEPTH} deep", span, source,
                  "split the protocol")  # fmt: skip


def _error(slug: str, message: str, span: Span | None, source: Source | None, help: str) -> KlorError:
    return KlorError(Diagnostic(slug, message, span, help=help, source=source if span else None))
