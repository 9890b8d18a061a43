"""What a choreography, or a role of it, can do first and last.

    nullable(H)              ✓H
    first_of(H), last_of(H)  the interactions at its two ends: `init` and `fin`
    firsts(H, r)             the labels with which the projection on r can begin

Source: Lanese, Guidi, Montesi and Zavattaro (2008), section 5, for init and fin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias, assert_never

from klorpy.behaviour.terms import Alt, Chor, Com, One, Par, Recv, Scope, Send, Seq, Star, Tau, Zero, is_zero

#: What comes after a term, the next thing first.
Continuation: TypeAlias = "tuple[Chor, Continuation] | None"

#: ("?", operation) or ("!", operation, receiver)
First: TypeAlias = tuple[str, ...]


def nullable(chor: Chor, role: str | None = None) -> bool:
    """✓ of a choreography, or of its projection on a role."""
    match chor:
        case One() | Star():
            return True
        case Zero() | Send() | Recv() | Tau():
            return False
        case Com():
            return role is not None and role not in chor.roles
        case Alt(items):
            return any(nullable(item, role) for item in items)
        case Seq(items) | Par(items):
            return all(nullable(item, role) for item in items)
        case Scope(_, _, body):
            return nullable(body, role)
        case _:
            assert_never(chor)


def first_of(chor: Chor) -> dict[Com, None]:
    """The interactions that can come first, in the order of the text."""
    return _edge(chor, lambda items: items)


def last_of(chor: Chor) -> dict[Com, None]:
    """The interactions that can come last."""
    return _edge(chor, lambda items: items[::-1])


def _edge(chor: Chor, direction: Callable[[tuple[Chor, ...]], tuple[Chor, ...]]) -> dict[Com, None]:
    match chor:
        case Com():
            return {chor: None}
        case One() | Zero() | Send() | Recv() | Tau():
            return {}
        case Seq(items):
            out: dict[Com, None] = {}
            for item in direction(items):
                out.update(_edge(item, direction))
                if not nullable(item):
                    break
            return out
        case Alt(items) | Par(items):
            return {com: None for item in items for com in _edge(item, direction)}
        case Star(body) | Scope(_, _, body):
            return _edge(body, direction)
        case _:
            assert_never(chor)


def firsts(chor: Chor, role: str) -> dict[First, Com]:
    """What the projection on a role can do first, with an interaction that it comes from."""
    match chor:
        case Com(sender, receiver, operation):
            if role == sender:
                return {("!", operation, receiver): chor}
            return {("?", operation): chor} if role == receiver else {}
        case One() | Zero() | Send() | Recv() | Tau():
            return {}
        case Seq(items):
            out: dict[First, Com] = {}
            for item in items:
                out = {**firsts(item, role), **out}
                if not nullable(item, role):
                    break
            return out
        case Alt(items) | Par(items):
            return {label: com for item in items for label, com in firsts(item, role).items()}
        case Star(body) | Scope(_, _, body):
            return firsts(body, role)
        case _:
            assert_never(chor)


def terms_of(after: Continuation) -> Iterator[Chor]:
    """The terms of a continuation."""
    while after is not None:
        yield after[0]
        after = after[1]


def first_after(after: Continuation) -> dict[Com, None]:
    out: dict[Com, None] = {}
    for term in terms_of(after):
        out.update(first_of(term))
        if not nullable(term):
            break
    return out


def firsts_after(after: Continuation, role: str) -> dict[First, Com]:
    out: dict[First, Com] = {}
    for term in terms_of(after):
        out = {**firsts(term, role), **out}
        if not nullable(term, role):
            break
    return out


def has_dead_end(chor: Chor) -> bool:
    """Whether 0 can be come to: 0 as a branch of a choice is no branch."""
    match chor:
        case Zero():
            return True
        case Seq(items) | Par(items):
            return any(map(has_dead_end, items))
        case Alt(items):
            return is_zero(chor) or any(has_dead_end(item) for item in items if not is_zero(item))
        case Star(body):
            return not is_zero(body) and has_dead_end(body)
        case Scope(_, _, body):
            return has_dead_end(body)
        case One() | Com() | Send() | Recv() | Tau():
            return False
        case _:
            assert_never(chor)


def stars(chor: Chor) -> Iterator[Star]:
    """The loops of a choreography, outer ones first."""
    match chor:
        case Seq(items) | Alt(items) | Par(items):
            for item in items:
                yield from stars(item)
        case Star(body):
            yield chor
            yield from stars(body)
        case Scope(_, _, body):
            yield from stars(body)
        case One() | Zero() | Com() | Send() | Recv() | Tau():
            return
        case _:
            assert_never(chor)


def has_loop(chor: Chor) -> bool:
    return any(True for _ in stars(chor))
