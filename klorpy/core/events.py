"""What a run reports: typed events, for logs, traces and diagrams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from klorpy.core.choreography import Site
from klorpy.core.diagnostics import KlorError
from klorpy.core.types import Role
from klorpy.core.values import show


@dataclass(frozen=True, slots=True)
class Message:
    """A value that was delivered."""

    source: Role
    target: Role
    value: Any
    site: Site | None = None

    def __str__(self) -> str:
        return f"{self.source} --> {self.target}: {show(self.value, 200)}"


@dataclass(frozen=True, slots=True)
class Printed:
    """A line that host code wrote at a role, without its newline."""

    role: Role
    text: str

    def __str__(self) -> str:
        return f"{self.role}: {self.text}".rstrip(" ")


@dataclass(frozen=True, slots=True)
class Exited:
    """A role reached its end."""

    role: Role
    result: Any

    def __str__(self) -> str:
        return f"{self.role} exited normally"


@dataclass(frozen=True, slots=True)
class Failed:
    """A role ended with an exception."""

    role: Role
    error: BaseException

    def __str__(self) -> str:
        return f"{self.role} exited abruptly: {describe_error(self.error)}"


@dataclass(frozen=True, slots=True)
class Blocked:
    """A role was still waiting when the run ended: for a message from `waits_for`, or (None) for host code."""

    role: Role
    waits_for: Role | None
    site: Site

    def __str__(self) -> str:
        what = self.waits_for if self.waits_for is not None else "host code"
        return f"{self.role} waits for {what} at {self.site}"


@dataclass(frozen=True, slots=True)
class Entered:
    """A role began a call: `cast` plays the roles of the choreography `name`, () when nobody knows it but the callee.

    A call in tail position takes the place of the one that it ends (`tail`), and that one is not left.
    """

    role: Role
    name: str
    cast: tuple[Role, ...]
    site: Site
    tail: bool = False

    def __str__(self) -> str:
        cast = f" [{' '.join(self.cast)}]" if self.cast else ""
        return f"{self.role} enters {self.name}{cast}"


@dataclass(frozen=True, slots=True)
class Left:
    """A role came back from the innermost call that it had begun."""

    role: Role

    def __str__(self) -> str:
        return f"{self.role} returns"


Event: TypeAlias = Message | Printed | Exited | Failed | Blocked | Entered | Left


def describe_error(error: BaseException) -> str:
    """An exception on one line: its type and message; klorpy's own by the message alone."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # an exception whose own __str__ fails must not hide that it was raised
        text = ""
    if isinstance(error, KlorError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__

