"""Protocols of choreographies as the tools show them."""

from __future__ import annotations

from collections.abc import Mapping

from klorpy.behaviour import Protocol, local_type, scribble
from klorpy.behaviour.listing import listing
from klorpy.core.diagnostics import KlorError
from klorpy.environment.present import Palette
from klorpy.language.hy_adapter import mangle


def protocol_lines(protocol: Protocol, palette: Palette | None = None, *, scribbled: bool = False) -> list[str]:
    """A protocol and each role's part of it; or the protocol as Scribble."""
    if scribbled:
        return scribble(protocol).splitlines()
    width = max(len(role) for role in protocol.roles)
    lines = [*listing(protocol).splitlines(), ""]
    for role in protocol.roles:
        try:
            part = str(local_type(protocol, role))
        except KlorError as error:
            if error.slug != "unmergeable":
                raise
            part = f"has no part of its own: {error.message}"
        name = role.ljust(width)
        lines.append(f"{name if palette is None else palette.role(role, name)}  {part}")
    return lines


def protocol_named(namespace: Mapping[str, object], name: str) -> Protocol:
    """The protocol that a name means. Raises KlorError `undefined-protocol`."""
    found = namespace.get(mangle(name))
    if isinstance(found, Protocol):
        return found
    known = ", ".join(sorted({value.name for value in namespace.values() if isinstance(value, Protocol)})) or "none"
    raise KlorError(f"there is no protocol {name}", slug="undefined-protocol", help=f"the protocols here are: {known}")
