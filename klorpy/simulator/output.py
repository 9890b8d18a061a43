"""What host code prints, by role.

While a simulation runs, `sys.stdout` is a `Capture`: text goes to the role that is running. Text of other threads, and
of code that no role runs, goes where it would have gone.
"""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from klorpy.core.types import Role

#: The role that awaited host code belongs to; set by the loop that runs it.
awaiting: ContextVar[tuple[Capture, Role] | None] = ContextVar("klorpy-awaiting", default=None)


class Capture(io.TextIOBase):
    """Stands for `sys.stdout` between `__enter__` and `__exit__`. `current` is the running role, set by the scheduler."""

    #: A slot of its own, since it is set at every step: the dict that TextIOBase brings is slow to write to.
    __slots__ = ("current",)

    def __init__(self, roles: tuple[Role, ...], line: Callable[[Role, str], None]) -> None:
        self.current: Role | None = None
        self.text: dict[Role, list[str]] = {role: [] for role in roles}
        self._partial: dict[Role, str] = dict.fromkeys(roles, "")
        self._line = line
        self._thread = threading.get_ident()
        self._before: Any = None

    def __enter__(self) -> Capture:
        self._before, sys.stdout = sys.stdout, self
        return self

    def __exit__(self, *exc: object) -> None:
        if sys.stdout is self:
            sys.stdout = self._before
        for role in self._partial:
            self.end_line(role)

    def end_line(self, role: Role) -> None:
        """Report what a role wrote since its last newline: it has ended."""
        rest, self._partial[role] = self._partial[role], ""
        if rest:
            self._line(role, rest)

    def write(self, text: str) -> int:
        role = self._role()
        if role is None:
            return int(self._before.write(text))
        self.text[role].append(text)
        *lines, self._partial[role] = (self._partial[role] + text).split("\n")
        for line in lines:
            self._line(role, line)
        return len(text)

    def _role(self) -> Role | None:
        found = awaiting.get()
        if found is not None and found[0] is self:
            return found[1]
        return self.current if threading.get_ident() == self._thread else None

    def flush(self) -> None:
        if self._before is not None:
            self._before.flush()

    def close(self) -> None:
        """Nothing: what it stands for is not its own. (Python closes it when it is collected.)"""

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self._before, "encoding", None) or "utf-8"

    def fileno(self) -> int:
        return int(self._before.fileno())

    def isatty(self) -> bool:
        return False

    def outputs(self) -> dict[Role, str]:
        return {role: "".join(parts) for role, parts in self.text.items()}
