"""Arguments and results at the edge: which values a role is given, and what it gives back.

In *erasure style* a role sees only what mentions it: parameters that do not are left out; an agreement is a plain
value; a tuple has only the elements that mention the role; an arrow is a function whose parameters and result are
erased likewise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from klorpy.core.choreography import Choreography, Definition
from klorpy.core.diagnostics import KlorError
from klorpy.core.types import Agreement, Arrow, Role, Tuple, Type, render
from klorpy.core.values import noop
from klorpy.runtime.commands import Closure


def check_playable(chor: object) -> Definition:
    """The definition of what is to be run from outside.

    Raises KlorError: `not-a-chor` for anything but a choreography, `not-defined` for a mere declaration,
    `not-playable` when a parameter is a tuple or a choreography, which no caller could give.
    """
    if not isinstance(chor, Choreography):
        raise KlorError(
            f"{getattr(chor, '__name__', None) or repr(chor)} is not a choreography",
            slug="not-a-chor",
            help="give what defchor defined",
        )
    definition = chor.defined()
    for type_ in definition.signature.arrow.params:
        if not isinstance(type_, Agreement):
            kind = "tuple" if isinstance(type_, Tuple) else "choreography"
            raise KlorError(
                f"{chor.name} takes a {kind}, {render(type_, chor.roles)}, and cannot be started from outside",
                slug="not-playable",
                help="wrap it: define a choreography without such parameters that makes the value and calls "
                f"({chor.name} [{' '.join(chor.roles)}] …)",
            )
    return definition


def erased_params(definition: Definition, role: Role) -> list[int]:
    """The positions of the parameters that mention `role`."""
    return [i for i, type_ in enumerate(definition.signature.arrow.params) if role in type_.roles]


def check_count(definition: Definition, given: Sequence[Any], role: Role | None = None) -> None:
    """Raises KlorError `sim-arity` (all arguments) or `play-arity` (those of `role`) for the wrong number."""
    params = definition.signature.arrow.params
    wanted = len(params) if role is None else len(erased_params(definition, role))
    if len(given) == wanted:
        return
    arguments = "argument" if wanted == 1 else "arguments"
    if role is None:
        types = " ".join(render(t, definition.roles) for t in params) or "none"
        raise KlorError(
            f"{definition.name} takes {wanted} {arguments}, not {len(given)}",
            slug="sim-arity",
            help=f"the types of its parameters are: {types}",
        )
    raise KlorError(
        f"{definition.name} takes {wanted} {arguments} at {role}, not {len(given)}",
        slug="play-arity",
        help=f"give only the parameters that mention {role}; its signature is {definition.signature}",
    )


def check_erased(arrow: Arrow, given: Sequence[Any], role: Role) -> None:
    """Raises KlorError `play-arity` when `given` are not as many as the parameters of `arrow` that mention `role`."""
    wanted = sum(role in type_.roles for type_ in arrow.params)
    if len(given) != wanted:
        raise KlorError(
            f"this choreography takes {wanted} argument{'' if wanted == 1 else 's'} at {role}, not {len(given)}",
            slug="play-arity",
            help=f"give only the parameters that mention {role}",
        )


def result_at(type_: Type, value: Any, role: Role, function: Callable[[Arrow, Closure], Any]) -> Any:
    """What the program of `role` returned, as the caller sees it. `function` makes choreographies callable."""
    if role not in type_.roles:
        return noop
    match type_:
        case Agreement():
            return value
        case Tuple(items):
            mine = [item for item in items if role in item.roles]
            return tuple(result_at(item, part, role, function) for item, part in zip(mine, value, strict=True))
        case Arrow():
            return function(type_, value)
