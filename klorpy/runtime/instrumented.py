"""A machine that tells an instrument of every call that it enters and leaves.

Only roles that have an instrument run on it; the others pay nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from klorpy.core.choreography import Choreography, Definition
from klorpy.core.types import Role
from klorpy.runtime.commands import TAIL_CALL, Command, Program, callee_of
from klorpy.runtime.config import Call, Instrument
from klorpy.runtime.machine import Machine


class InstrumentedMachine(Machine):
    """The stack of `role` in `session`. Whoever starts the outermost program tells of it."""

    __slots__ = ("_endings", "_instrument", "_role", "_session")

    def __init__(
        self, pinned: Mapping[Choreography, Definition], instrument: Instrument, role: Role, session: str
    ) -> None:
        super().__init__(pinned)
        self._instrument = instrument
        self._role = role
        self._session = session
        #: What is to be called when each frame ends.
        self._endings: list[Callable[[BaseException | None], object]] = []

    def start(self, program: Program) -> None:
        super().start(program)
        self._endings = [_nothing]

    def enter(self, command: Command) -> None:
        super().enter(command)
        if command[0] >= TAIL_CALL:
            # The frame was replaced: its call has ended as well.
            self._endings.pop()(None)
        name, cast = callee_of(command)
        self._endings.append(self._instrument.began(Call(name, self._role, cast, self._session, command[-1])))

    def finish(self, value: Any) -> Any:
        self._endings.pop()(None)
        return super().finish(value)

    def close(self) -> None:
        # What is still open was ended by the exception that is being handled.
        error = sys.exception()
        while self._endings:
            self._endings.pop()(error)
        super().close()


def _nothing(error: BaseException | None) -> None:
    """The outermost frame."""
