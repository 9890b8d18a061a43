"""Checking agreements by messages, under the option `verify`.

Decentralised: every role tells every other its value and compares all, n(n-1) messages, in the order of the role
vector. Centralised at a checker: the others send, it answers True, or False and then the list of values; 2(n-1)
messages when they agree. On violation every role raises, with the values in the order of the roles.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from klorpy.core.choreography import Site
from klorpy.core.diagnostics import KlorError, KlorWarning
from klorpy.core.types import Role
from klorpy.core.values import comparable, same_value, show
from klorpy.runtime.commands import APPLY, RECEIVE, SEND, Program


class AgreementViolated(KlorError):
    """The roles of an agreement hold different values: `values`, in the order of `roles`."""

    __module__ = "klorpy"

    default_slug = "agreement-violated"

    def __init__(self, site: Site, roles: Sequence[Role], values: Sequence[Any]) -> None:
        super().__init__(
            site.diagnostic(
                self.default_slug,
                f"Values of an agreement differ: {site.text}, {show(list(values))}",
                notes=(f"the values of {', '.join(roles)}, in this order",),
                help=f"find out which role computes it differently; or let one share its value: ({roles[0]}=>{roles[1]} …)",
            )
        )
        self.roles = tuple(roles)
        self.values = tuple(values)


def verify(me: Role, roles: tuple[Role, ...], checker: Role | None, value: Any, site: Site) -> Program:
    """One role's part of the check. Raises AgreementViolated at every role when the values differ."""
    if checker is None:
        for role in roles:
            if role != me:
                yield SEND, role, value, site
        values = []
        for role in roles:
            values.append(value if role == me else (yield RECEIVE, role, site))
        if not _agree(values, site):
            raise AgreementViolated(site, roles, values)
    elif me == checker:
        values = []
        for role in roles:
            values.append(value if role == me else (yield RECEIVE, role, site))
        agreed = _agree(values, site)
        for role in roles:
            if role != me:
                yield SEND, role, agreed, site
        if not agreed:
            yield APPLY, _tell, (me, roles, values, site), site
            raise AgreementViolated(site, roles, values)
    else:
        yield SEND, checker, value, site
        if not (yield RECEIVE, checker, site):
            raise AgreementViolated(site, roles, (yield APPLY, _hear, (checker, site), site))


# A second message at one site between the same two roles is that of a call: it needs a key of its own.


def _tell(me: Role, roles: tuple[Role, ...], values: list[Any], site: Site) -> Program:
    for role in roles:
        if role != me:
            yield SEND, role, values, site


def _hear(checker: Role, site: Site) -> Program:
    return (yield RECEIVE, checker, site)


def _agree(values: list[Any], site: Site) -> bool:
    first = values[0]
    if not comparable(first):
        warnings.warn_explicit(
            KlorWarning(
                f"{site.text} cannot be verified: {type(first).__name__} values cannot be compared",
                "functions-not-compared",
            ),
            None,
            site.filename,
            site.span.line,
        )
    return all(same_value(first, other) for other in values[1:])


class NoMatch(KlorError):
    """No clause of a `case` or `match` fits the value, and there is no default."""

    __module__ = "klorpy"

    default_slug = "no-match"


def no_match(value: Any, site: Site) -> NoMatch:
    return NoMatch(
        site.diagnostic(
            "no-match",
            f"no clause matches {show(value, 80)}",
            "add a default: a last result without a constant, or the pattern _",
        )
    )
