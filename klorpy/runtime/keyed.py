"""A machine that knows where it is: the token of every frame, and the key of every message.

It runs the keyed programs of a definition, which tell the rounds of their loops apart. Nothing but positions goes
into a token, so each role's machine finds the same ones; see `klorpy.core.keys`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from klorpy.core.choreography import Choreography, Definition, Projection, Site
from klorpy.core.keys import RETURNED, START, Key, Token, child, key
from klorpy.runtime.commands import ROUND, TAIL_CALL, Command, Program
from klorpy.runtime.machine import Machine


class KeyedMachine(Machine):
    """A Machine over keyed programs. Whoever drives it gives ROUND and LEAVE to `turn`, and asks for `key(site)`."""

    __slots__ = ("_loops", "_outer", "token")

    def __init__(self, pinned: Mapping[Choreography, Definition]) -> None:
        super().__init__(pinned)
        #: That of the frame that runs.
        self.token: Token = START
        #: Those of the frames around it, each with the loops that it is in.
        self._outer: list[tuple[Token, list[tuple[Site, Token]]]] = []
        #: The loops around, in this frame, each with the token that it began with.
        self._loops: list[tuple[Site, Token]] = []

    def _versions(self, definition: Definition) -> tuple[Projection, ...]:
        return definition.keyed

    def start(self, program: Program, calls: int = 0) -> None:
        """Begin with `program`: of a definition, or of a choreography that a run returned, called for the n-th time."""
        super().start(program)
        self.token = START
        for _ in range(calls):
            self.token = child(self.token, RETURNED)
        self._outer, self._loops = [], []

    def key(self, site: Site) -> Key:
        """The key of a message that is sent or received at `site` now."""
        return key(self.token, site.index)

    def turn(self, command: Command) -> None:
        """A loop begins a round, or is over."""
        word, site = command
        loops = self._loops
        if word == ROUND:
            if not loops or loops[-1][0] is not site:
                loops.append((site, self.token))
            self.token = child(self.token, site.index)
        else:
            self.token = loops.pop()[1]

    def enter(self, command: Command) -> None:
        site: Site = command[-1]
        super().enter(command)
        if command[0] < TAIL_CALL:
            self._outer.append((self.token, self._loops))
        self._loops = []
        self.token = child(self.token, site.index)

    def finish(self, value: Any) -> Any:
        if self._outer:
            self.token, self._loops = self._outer.pop()
        return super().finish(value)
