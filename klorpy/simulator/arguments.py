"""Arguments of a run, given to the roles: no two roles share anything that changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from klorpy.core.choreography import Definition
from klorpy.core.diagnostics import KlorError
from klorpy.core.types import Role
from klorpy.core.values import ATOMS, NotCopyable, isolate
from klorpy.runtime.erasure import erased_params


def distribute(definition: Definition, args: tuple[Any, ...]) -> dict[Role, list[Any]]:
    """Each role's arguments. No two roles share anything that changes: the first has it, the others have copies."""
    holder: dict[int, Role] = {}
    given: dict[Role, list[Any]] = {}
    for role in definition.roles:
        mine = []
        for i in erased_params(definition, role):
            value = args[i]
            held = [holder.setdefault(part, role) for part in _parts(value)]
            if any(other != role for other in held):
                try:
                    value = isolate(value)
                except NotCopyable as error:
                    raise KlorError(
                        f"argument {i + 1} of {definition.name} is a {error.args[0]}, which cannot be copied, "
                        "but several roles need it",
                        slug="not-copyable",
                        help="give it to one role only, or give data",
                    ) from None
            mine.append(value)
        given[role] = mine
    return given


def _parts(value: Any) -> Iterator[int]:
    """The identities of `value` and of what is in it, as far as containers and attributes lead, but for atoms."""
    seen: set[int] = set()
    todo = [value]
    while todo:
        current = todo.pop()
        if type(current) in ATOMS or id(current) in seen:
            continue
        seen.add(id(current))
        yield id(current)
        if isinstance(current, dict):
            todo.extend(current)
            todo.extend(current.values())
        elif isinstance(current, (list, tuple, set, frozenset)):
            todo.extend(current)
        else:
            todo.extend(getattr(current, "__dict__", {}).values())
