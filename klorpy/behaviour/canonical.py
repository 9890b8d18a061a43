"""Canonical projection:  [[H]]t = P,  and  project(H) = the system of [[H]]t for every role t of H.

    [[a: r→s]]t  =  a! at s  if t = r;   a?  if t = s;   1  otherwise
    [[1]]t = 1      [[0]]t = 0      [[·]]t commutes with ; + | *

There is nothing to merge and nothing to refuse: projection is total, and whether it is faithful is asked afterwards, by
`klorpy.behaviour.conditions` or `klorpy.behaviour.equivalence`. 0 stays 0 at roles that take no part in it, too: nobody
goes on after it. Results are simplified by the laws of units only; `1 + P` stays, since t may have nothing to do.

Source: Lanese, Guidi, Montesi and Zavattaro, Bridging the gap between interaction- and process-oriented choreographies
(2008), section 4.
"""

from __future__ import annotations

from typing import assert_never

from klorpy.behaviour.arguments import checked
from klorpy.behaviour.terms import (
    ONE,
    ZERO,
    Alt,
    Chor,
    Com,
    Contract,
    One,
    Par,
    Recv,
    Scope,
    Send,
    Seq,
    Star,
    System,
    Tau,
    Zero,
    alt,
    par,
    roles_of,
    seq,
)


@checked
def project_role(chor: Chor, role: str) -> Contract:
    """The contract of one role.

    >>> buy = seq(Com("buyer", "seller", "order"), alt(Com("seller", "buyer", "yes"), Com("seller", "bank", "no")))
    >>> str(project_role(buy, "bank"))
    '(alt 1 (recv no))'
    """
    return _part(chor, role)


def _part(chor: Chor, role: str) -> Contract:
    match chor:
        case Com(sender, receiver, operation):
            return Send(receiver, operation) if role == sender else Recv(operation) if role == receiver else ONE
        case Seq(items):
            parts = [part for item in items if (part := _part(item, role)) != ONE]
            return ZERO if parts and parts[0] == ZERO else seq(*parts)
        case Alt(items):
            branches = [_part(item, role) for item in items]
            return ONE if branches and all(branch == ONE for branch in branches) else alt(*branches)
        case Par(items):
            return par(*(part for item in items if (part := _part(item, role)) != ONE))
        case Star(body):
            part = _part(body, role)
            return ONE if part == ONE else Star(part)
        case Scope(_, _, body):
            return _part(body, role)
        case One() | Zero() | Send() | Recv() | Tau():
            return chor
        case _:
            assert_never(chor)


@checked
def project(chor: Chor) -> System:
    """The system of all projections, the roles in the order in which they appear.

    >>> print(project(seq(Com("r", "s", "a"), Com("s", "t", "b"))))
    (sys (r (send s a)) (s (seq (recv a) (send t b))) (t (recv b)))
    """
    return System(tuple((role, _part(chor, role)) for role in roles_of(chor)))
