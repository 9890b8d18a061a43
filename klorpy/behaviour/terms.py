"""Choreographies H and contracts P, as they are written.

    H ::= a: r→s | 1 | 0 | H ; H | H + H | H | H | H* | scope X (roles …) H
    P ::= a! at s | a? | tau | 1 | 0 | P ; P | P + P | P | P | P*

Both are one kind of tree over different leaves, because all operators mean the same on both sides: that is what makes
projection total. Nodes are n-ary and keep what was written; the laws of units, of `|` and of `+` are applied by
`klorpy.behaviour.steps`, which turns trees into integers.

Trees are compared by what they are, and nested at most `MAX_DEPTH` deep, so that everything that walks over them may
recurse; a long `;` is one node, however long it is.

Source: Bravetti, Lanese and Zavattaro, Contract-driven implementation of choreographies (2008), sections 2 and 3.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias, assert_never

from klorpy.behaviour.sexpr import MAX_DEPTH
from klorpy.core.diagnostics import KlorError


@dataclass(frozen=True, slots=True)
class One:
    """`1`: successful termination."""

    def __str__(self) -> str:
        return "1"


@dataclass(frozen=True, slots=True)
class Zero:
    """`0`: unsuccessful termination."""

    def __str__(self) -> str:
        return "0"


@dataclass(frozen=True, slots=True, order=True)
class Com:
    """`a: r→s`: role `sender` invokes `operation` of role `receiver`."""

    sender: str
    receiver: str
    operation: str

    def __post_init__(self) -> None:
        if self.sender == self.receiver:
            raise KlorError(
                f"{self.sender} would communicate with itself by {self.operation}", slug="self-communication",
                help="name two different roles, or leave the interaction out",
            )  # fmt: skip

    @property
    def roles(self) -> tuple[str, str]:
        return self.sender, self.receiver

    def __str__(self) -> str:
        return f"(com {self.sender} {self.receiver} {self.operation})"


@dataclass(frozen=True, slots=True, order=True)
class Send:
    """`(send s a)`: invoke `operation` at role `receiver`."""

    receiver: str
    operation: str

    def __str__(self) -> str:
        return f"(send {self.receiver} {self.operation})"


@dataclass(frozen=True, slots=True, order=True)
class Recv:
    """`(recv a)`: be invoked on `operation`, by whomever."""

    operation: str

    def __str__(self) -> str:
        return f"(recv {self.operation})"


@dataclass(frozen=True, slots=True)
class Tau:
    """`tau`: a step that nobody else sees."""

    def __str__(self) -> str:
        return "tau"


@dataclass(frozen=True, slots=True)
class Seq:
    """One after the other; without items it is 1."""

    items: tuple[Term, ...]
    depth: int = field(init=False, compare=False, repr=False, default=0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", _depth(self.items))

    def __str__(self) -> str:
        return _group("seq", self.items)


@dataclass(frozen=True, slots=True)
class Alt:
    """One of them; without items it is 0."""

    items: tuple[Term, ...]
    depth: int = field(init=False, compare=False, repr=False, default=0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", _depth(self.items))

    def __str__(self) -> str:
        return _group("alt", self.items)


@dataclass(frozen=True, slots=True)
class Par:
    """All of them, interleaved; without items it is 1."""

    items: tuple[Term, ...]
    depth: int = field(init=False, compare=False, repr=False, default=0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", _depth(self.items))

    def __str__(self) -> str:
        return _group("par", self.items)


@dataclass(frozen=True, slots=True)
class Star:
    """The body zero or more times, one after the other."""

    body: Term
    depth: int = field(init=False, compare=False, repr=False, default=0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", _depth((self.body,)))

    def __str__(self) -> str:
        return f"(star {self.body})"


@dataclass(frozen=True, slots=True)
class Scope:
    """A region that can be updated: `name`, the roles that may take part, its leader first, and what is done now."""

    name: str
    roles: tuple[str, ...]
    body: Term
    depth: int = field(init=False, compare=False, repr=False, default=0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", _depth((self.body,)))

    def __str__(self) -> str:
        return f"(scope {self.name} (roles {' '.join(self.roles)}) {self.body})"


Term: TypeAlias = One | Zero | Com | Send | Recv | Tau | Seq | Alt | Par | Star | Scope
#: A term whose leaves are `Com`, `1` and `0`.
Chor: TypeAlias = Term
#: A term whose leaves are `Send`, `Recv`, `tau`, `1` and `0`, without scopes.
Contract: TypeAlias = Term

ONE: Final = One()
ZERO: Final = Zero()
TAU: Final = Tau()


@dataclass(frozen=True, slots=True)
class System:
    """One contract for each role.

    Raises KlorError `dup-role` when a role has two, and `self-communication` when a role would invoke itself.
    """

    contracts: tuple[tuple[str, Contract], ...]

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for role, contract in self.contracts:
            if role in seen:
                raise KlorError(f"{role} has two contracts", slug="dup-role", help="join them with par, or rename one")
            seen.add(role)
            for leaf in leaves(contract):
                if isinstance(leaf, Send) and leaf.receiver == role:
                    raise KlorError(
                        f"{role} would communicate with itself by {leaf.operation}", slug="self-communication",
                        help="send to another role, or leave the interaction out",
                    )  # fmt: skip

    @property
    def roles(self) -> tuple[str, ...]:
        return tuple(role for role, _ in self.contracts)

    def __getitem__(self, role: str) -> Contract:
        for name, contract in self.contracts:
            if name == role:
                return contract
        raise KlorError(
            f"{role} is not a role of this system", slug="unknown-role", help=f"its roles are {', '.join(self.roles)}"
        )

    def replaced(self, role: str, contract: Contract) -> System:
        """This system with another contract for a role.

        >>> str(System((("r", Send("s", "a")), ("s", Recv("a")))).replaced("s", ONE))
        '(sys (r (send s a)) (s 1))'
        """
        self[role]
        return System(tuple((name, contract if name == role else old) for name, old in self.contracts))

    def __str__(self) -> str:
        return "(sys" + "".join(f" ({role} {contract})" for role, contract in self.contracts) + ")"


def seq(*items: Term) -> Term:
    """The items one after the other.

    >>> str(seq(Com("r", "s", "a"), Com("s", "r", "b")))
    '(seq (com r s a) (com s r b))'
    """
    return items[0] if len(items) == 1 else Seq(items) if items else ONE


def alt(*items: Term) -> Term:
    """One of the items."""
    return items[0] if len(items) == 1 else Alt(items) if items else ZERO


def par(*items: Term) -> Term:
    """The items at the same time."""
    return items[0] if len(items) == 1 else Par(items) if items else ONE


def children(term: Term) -> tuple[Term, ...]:
    """The terms right below a node."""
    match term:
        case Seq(items) | Alt(items) | Par(items):
            return items
        case Star(body) | Scope(_, _, body):
            return (body,)
        case One() | Zero() | Com() | Send() | Recv() | Tau():
            return ()
        case _:
            assert_never(term)


def leaves(term: Term) -> Iterator[Term]:
    """The leaves from left to right, as often as they occur."""
    todo = [term]
    while todo:
        node = todo.pop()
        below = children(node)
        if below or isinstance(node, (Seq, Alt, Par)):
            todo.extend(reversed(below))
        else:
            yield node


def interactions(chor: Chor) -> list[Com]:
    """The interactions of a choreography from left to right."""
    return [leaf for leaf in leaves(chor) if isinstance(leaf, Com)]


def roles_of(chor: Chor) -> tuple[str, ...]:
    """The roles that take part, in the order in which they appear.

    >>> roles_of(seq(Com("r", "s", "a"), Com("t", "r", "b")))
    ('r', 's', 't')
    """
    return tuple(dict.fromkeys(role for leaf in interactions(chor) for role in leaf.roles))


def is_zero(chor: Chor) -> bool:
    """Whether a choreography is 0 by the laws of units."""
    match chor:
        case Zero():
            return True
        case One() | Com() | Send() | Recv() | Tau() | Star():
            return False
        case Seq(items):
            return is_zero(next((item for item in items if not is_one(item)), One()))
        case Alt(items):
            return all(map(is_zero, items))
        case Par(items):
            kept = [item for item in items if not is_one(item)]
            return len(kept) == 1 and is_zero(kept[0])
        case Scope(_, _, body):
            return is_zero(body)
        case _:
            assert_never(chor)


def is_one(chor: Chor) -> bool:
    """Whether a choreography is 1 by the laws of units."""
    match chor:
        case One():
            return True
        case Seq(items) | Par(items):
            return all(map(is_one, items))
        case Scope(_, _, body):
            return is_one(body)
        case Star(body):
            return is_one(body) or is_zero(body)
        case Zero() | Com() | Send() | Recv() | Tau() | Alt():
            return False
        case _:
            assert_never(chor)


def plain(chor: Chor) -> Chor:
    """The choreography with what stands in its scopes in their place."""
    match chor:
        case Scope(_, _, body):
            return plain(body)
        case Seq(items):
            return Seq(tuple(map(plain, items)))
        case Alt(items):
            return Alt(tuple(map(plain, items)))
        case Par(items):
            return Par(tuple(map(plain, items)))
        case Star(body):
            return Star(plain(body))
        case One() | Zero() | Com() | Send() | Recv() | Tau():
            return chor
        case _:
            assert_never(chor)


def _depth(items: tuple[Term, ...]) -> int:
    depth = 1 + max((item.depth if isinstance(item, _INNER) else 0 for item in items), default=0)
    if depth > MAX_DEPTH:
        raise KlorError(
            f"terms are nested more than {MAX_DEPTH} deep", slug="too-deep",
            help="; + and | take any number of operands: write (seq a b c) for (seq a (seq b c))",
        )  # fmt: skip
    return depth


_INNER: Final = (Seq, Alt, Par, Star, Scope)


def _group(word: str, items: tuple[Term, ...]) -> str:
    return f"({' '.join([word, *map(str, items)])})"
