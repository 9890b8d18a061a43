"""Checking every agreement without a message: the simulator sees all roles.

Each role shows its copy when it has computed one. Within one instance of a choreography (a definition with a cast)
all roles of an agreement pass its sites in the same order, so the k-th copies that they show belong together.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from klorpy.core.choreography import Site
from klorpy.core.types import Role
from klorpy.core.values import NotCopyable, comparable, isolate, same_value
from klorpy.runtime.agreement import AgreementViolated


class Audit:
    def __init__(self) -> None:
        self._shown: dict[tuple[Site, tuple[Role, ...]], dict[Role, deque[Any]]] = {}

    def compare(self, role: Role, value: Any, cast: tuple[Role, ...], site: Site) -> None:
        """Note `role`'s copy. Raises AgreementViolated when it is the last of its instance and they differ.

        `site.roles` are the roles of the agreement as the definition names them; `cast` plays its role vector.
        """
        shown = self._shown.get((site, cast))
        if shown is None:
            shown = self._shown[site, cast] = {actual: deque() for actual in site.actual_roles(cast)}
        shown[role].append(_kept(value))
        if all(shown.values()):
            values = [copies.popleft() for copies in shown.values()]
            if not all(same_value(values[0], other) for other in values[1:]):
                raise AgreementViolated(site, tuple(shown), values)


def _kept(value: Any) -> Any:
    """The value as it is now. What cannot be copied cannot be compared either, and nobody changes it."""
    try:
        return isolate(value) if comparable(value) else value
    except NotCopyable:
        return value
