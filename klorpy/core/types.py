"""Agreement types and the signatures of choreographies.

    T ::= R | #{R+} | [T+] | (-> T* T | 0) | (-> T* T | R+)

An agreement `#{A B}` is a value that A and B both hold, equal at both; `A` is sugar for `#{A}`. A tuple
groups choreographic values. An arrow is a choreography; behind the bar stand its auxiliary roles, which take
part without appearing in the parameters or the result. Types are compared structurally; the order in which
roles are shown is the order of the role vector that the reader gives to `render`.

Source: L. Cruz-Filipe, E. Graversen, L. Lugovic, F. Montesi, M. Peressotti, "Functional choreographic
programming" (2022), for the judgement; Klor's language reference for agreements and auxiliary roles.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

Role: TypeAlias = str
Roles: TypeAlias = frozenset[str]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Every role of `roles` holds the same value."""

    roles: Roles


@dataclass(frozen=True)
class Tuple:
    """A group of choreographic values; each role holds the elements that mention it."""

    items: tuple[Type, ...]

    @cached_property
    def roles(self) -> Roles:
        return union(item.roles for item in self.items)


@dataclass(frozen=True)
class Arrow:
    """A choreography from `params` to `result`; `aux` are the further roles that take part."""

    params: tuple[Type, ...]
    result: Type
    aux: Roles

    @cached_property
    def roles(self) -> Roles:
        return union(p.roles for p in self.params) | self.result.roles | self.aux


Type: TypeAlias = Agreement | Tuple | Arrow


def union(sets: Iterable[Roles]) -> Roles:
    """The union of role sets; the empty set for none."""
    return frozenset().union(*sets)


@dataclass(frozen=True)
class Signature:
    """The type of a definition: an arrow that is abstract in the roles of a role vector.

    Two signatures are equivalent when they are equal up to the names of their roles.

    >>> f, g = parse_signature("(forall [A B] (-> A B | 0))"), parse_signature("(forall [P Q] (-> P Q | 0))")
    >>> f == g, f.equivalent(g)
    (False, True)
    """

    roles: tuple[Role, ...]
    arrow: Arrow

    @cached_property
    def text(self) -> str:
        return f"(forall [{' '.join(self.roles)}] {render(self.arrow, self.roles)})"

    def __str__(self) -> str:
        return self.text

    def instantiate(self, roles: Sequence[Role]) -> Arrow:
        """The arrow with `roles` (as many as the vector has) in the place of the role vector."""
        arrow = substitute(self.arrow, dict(zip(self.roles, roles, strict=True)))
        assert isinstance(arrow, Arrow)
        return arrow

    def equivalent(self, other: Signature) -> bool:
        return self is other or self.text == other.text or self._renames(other)

    def _renames(self, other: Signature) -> bool:
        return len(self.roles) == len(other.roles) and other.instantiate(self.roles) == self.arrow


def substitute(type_: Type, names: Mapping[Role, Role]) -> Type:
    """`type_` with every role renamed by `names`."""
    match type_:
        case Agreement(roles):
            return Agreement(frozenset(names[r] for r in roles))
        case Tuple(items):
            return Tuple(tuple(substitute(item, names) for item in items))
        case Arrow(params, result, aux):
            return Arrow(
                tuple(substitute(p, names) for p in params),
                substitute(result, names),
                frozenset(names[r] for r in aux),
            )


def in_order(roles: Iterable[Role], order: Sequence[Role] = ()) -> list[Role]:
    """Roles in the order of `order`; those that it does not name come last, by name."""
    place = {role: i for i, role in enumerate(order)}
    return sorted(roles, key=lambda r: (place.get(r, len(place)), r))


def render(type_: Type, order: Sequence[Role] = ()) -> str:
    """A type as the user writes it, roles in the order of `order`; the auxiliary part is always shown.

    >>> render(Arrow((Agreement(frozenset("A")),), Agreement(frozenset("BA")), frozenset()), "AB")
    '(-> A #{A B} | 0)'
    """
    match type_:
        case Agreement(roles):
            names = in_order(roles, order)
            return names[0] if len(names) == 1 else f"#{{{' '.join(names)}}}"
        case Tuple(items):
            return f"[{' '.join(render(item, order) for item in items)}]"
        case Arrow(params, result, aux):
            parts = " ".join(render(part, order) for part in (*params, result))
            return f"(-> {parts} | {' '.join(in_order(aux, order)) or '0'})"


_TOKEN = re.compile(r"#\{|[\[\](){}|]|[^\s\[\](){}|]+")


def parse_signature(text: str) -> Signature:
    """The signature that `Signature.text` shows; the inverse of rendering.

    Raises ValueError for a text that no signature is shown as.
    """
    tokens = _TOKEN.findall(text)[::-1]

    def take(expected: str | None = None) -> str:
        token = tokens.pop() if tokens else ""
        if not token or (expected is not None and token != expected):
            raise ValueError(f"not a signature: {text!r}")
        return token

    def names(end: str) -> tuple[str, ...]:
        found = []
        while (token := take()) != end:
            found.append(token)
        return tuple(found)

    def type_() -> Type:
        match take():
            case "#{":
                return Agreement(frozenset(names("}")))
            case "[":
                items = []
                while tokens and tokens[-1] != "]":
                    items.append(type_())
                take("]")
                return Tuple(tuple(items))
            case "(":
                return arrow()
            case role:
                return Agreement(frozenset([role]))

    def arrow() -> Arrow:
        take("->")
        parts = []
        while tokens and tokens[-1] != "|":
            parts.append(type_())
        take("|")
        aux = names(")")
        if not parts:
            raise ValueError(f"not a signature: {text!r}")
        return Arrow(tuple(parts[:-1]), parts[-1], frozenset() if aux == ("0",) else frozenset(aux))

    take("(")
    take("forall")
    take("[")
    roles = names("]")
    take("(")
    result = Signature(roles, arrow())
    take(")")
    if tokens:
        raise ValueError(f"not a signature: {text!r}")
    return result
