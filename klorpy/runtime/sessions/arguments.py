"""What is given to sessions from outside, refused before anybody waits for what cannot come.

    names, numbers, addresses  ->  nothing, or KlorError `bad-argument` or `role-not-part`
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, Final

from klorpy.core.choreography import Choreography
from klorpy.core.diagnostics import KlorError
from klorpy.core.options import ORDERS
from klorpy.core.types import Role
from klorpy.core.values import show

#: Characters of the name of a session, which stands in every message about it.
_LONGEST: Final = 200


def check_session(name: Any) -> None:
    """Raises KlorError unless a session can have this name."""
    if not isinstance(name, str):
        raise KlorError(f"the name of a session is a str, not {show(name, 40)}", slug="bad-argument")
    if not 0 < len(name) <= _LONGEST:
        raise KlorError(
            f"the name of a session has 1 to {_LONGEST} characters, not {len(name)}", slug="bad-argument",
            help="give all roles the same name, and every run another one",
        )  # fmt: skip


def check_role(chor: Choreography, role: Role) -> None:
    """Raises KlorError `role-not-part` unless `role` is one of the choreography's."""
    roles = chor.defined().roles
    if role not in roles:
        raise KlorError(
            f"{role} is not a role of {chor.name}", slug="role-not-part", help=f"its roles are [{' '.join(roles)}]"
        )


def check_seconds(what: str, value: Any, *, zero: bool = False) -> None:
    """Raises KlorError unless `value` is a number of seconds, None, or perhaps zero."""
    if value is None:
        return
    number = not isinstance(value, bool) and isinstance(value, int | float) and not math.isnan(value)
    if not number or value < 0 or (value == 0 and not zero):
        raise KlorError(f"{what} is a number of seconds, not {show(value, 40)}", slug="bad-argument")


def check_order(order: Any) -> None:
    """Raises KlorError unless `order` is one that a role can be played in, or None."""
    if order is not None and order not in ORDERS:
        raise KlorError(
            f"there is no order {show(order, 40)}", slug="bad-argument", help=f"give one of {', '.join(ORDERS)}, as a str"
        )


def check_ways(chor: Choreography, played: Collection[Role], peers: Mapping[Role, Any], reachable: bool) -> None:
    """Raises KlorError unless there can be a way to the other roles of `chor`.

    `reachable` is whether others can come here, because this process listens or is at a server.
    """
    roles = chor.defined().roles
    for role in map(str, peers):
        if role not in roles:
            raise KlorError(
                f"there is an address of {role}, which is not a role of {chor.name}", slug="role-not-part",
                help=f"its roles are [{' '.join(roles)}]",
            )  # fmt: skip
        if role in played:
            raise KlorError(
                f"there is an address of {role}, which is played here", slug="bad-argument",
                help="give the addresses of the other roles",
            )  # fmt: skip
    missing = [role for role in roles if role not in played and role not in {*map(str, peers)}]
    if missing and not reachable:
        raise KlorError(
            f"there is no way to {' and '.join(missing)}: this process has no address, and does not listen itself",
            slug="bad-argument", help="say where to listen, or where the others are, or a NATS server where all meet",
        )  # fmt: skip
