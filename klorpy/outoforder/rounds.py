"""Windows: how many rounds of a loop may be under way at one role.

Given W, a role begins round i when its own rounds before i - W + 1 are complete, and so are those of every role that it
has sent to in this loop. Rounds begin in the order of the program and the oldest is never held up, so every W ≥ 1
makes progress. What counts is the receivers' progress: a role that only sends is done at once.

Roles learn of each other's progress by asking, half a window ahead: `want` names a loop and a number of rounds, and
is answered by `have` as soon as that many are complete there. (Half a window at a time: it takes two messages.) A loop is named by its place, like a message. The
source of the idea and of the figures that the tests hold it to: D. Plyukhin et al. (2024) have no bound; a
flow control that counts in program order is that of J. Postel's window, applied to rounds instead of bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from klorpy.core.keys import Key
from klorpy.core.types import Role

#: ("want", loop, rounds) asks, ("have", loop, rounds) answers, ("over", loop) takes what was asked back.
Control: TypeAlias = tuple[Any, ...]
Tell: TypeAlias = Callable[[Role, Control], None]

#: More rounds than there are: the answer of a role that has left the loop.
ALL: Final = 1 << 62


class Rounds:
    """The rounds of one loop, or of one chain of tail calls, at one role."""

    __slots__ = ("_asked", "_beyond", "_known", "_waiting", "_wanted", "current", "frontier", "loop", "over", "senders", "tell", "window")

    def __init__(self, loop: Key, window: int, tell: Tell) -> None:
        self.loop = loop
        self.window = window
        self.tell = tell
        #: The round that the walker is in, and how many rounds, from the first on, are complete.
        self.current = 0
        self.frontier = 0
        self.over = False
        self._beyond: set[int] = set()
        self._known: dict[Role, int] = {}
        self._asked: dict[Role, int] = {}
        self._wanted: dict[Role, int] = {}
        self.senders: set[Role] = set()
        self._waiting: tuple[int, Callable[[], None]] | None = None

    def sent(self, role: Role) -> None:
        """A message of this loop went to `role`, whose progress counts from now on."""
        if role not in self._known:
            self._known[role] = 0

    def admits(self, number: int) -> bool:
        """Whether round `number` may begin; asks the others in time."""
        fine = number < self.frontier + self.window
        half = self.window // 2
        for role, known in self._known.items():
            # A round can be complete at the others before it is here, so `known` may be ahead.
            if number - half > known and self._asked.get(role, 0) <= known:
                self._asked[role] = wanted = known + max(half, 1)
                self.tell(role, ("want", self.loop, wanted))
            fine = fine and number < known + self.window
        return fine

    def when_admitted(self, number: int, call: Callable[[], None]) -> None:
        self._waiting = (number, call)

    def complete(self, number: int) -> None:
        """Everything that round `number` began is done."""
        self._beyond.add(number)
        while self.frontier in self._beyond:
            self._beyond.remove(self.frontier)
            self.frontier += 1
        self._answer()
        self._look()

    def want(self, role: Role, rounds: int) -> None:
        self._wanted[role] = rounds
        self._answer()

    def have(self, role: Role, rounds: int) -> None:
        self._known[role] = max(self._known.get(role, 0), rounds)
        self._look()

    def _answer(self) -> None:
        done = ALL if self.finished else self.frontier
        for role, rounds in list(self._wanted.items()):
            if done >= rounds:
                del self._wanted[role]
                self.tell(role, ("have", self.loop, done))

    def _look(self) -> None:
        if self._waiting is None:
            return
        number, call = self._waiting
        # A walker that was held up goes on when it can take some rounds in one go, or when nothing else is left to do.
        if (number + self.window // 4 <= self.frontier + self.window or self.frontier == number) and self.admits(number):
            self._waiting = None
            call()

    @property
    def finished(self) -> bool:
        return self.over and self.frontier > self.current

    def farewell(self) -> None:
        """The loop is finished here: those who may ask are told that nothing is left."""
        for role in self.senders:
            self._wanted.pop(role, None)
            if self.current:
                self.tell(role, ("have", self.loop, ALL))
        self._answer()
        for role, asked in self._asked.items():
            if asked > self._known.get(role, 0):
                self.tell(role, ("over", self.loop))


class Scope:
    """What counts as one round: complete when all that it began is done."""

    __slots__ = ("_call", "count", "parent", "rounds")

    def __init__(self, parent: Scope | None, rounds: Rounds | None, call: Callable[[], None]) -> None:
        self.parent = parent
        self.rounds = rounds
        self._call = call
        #: What is not done: one for the walker itself.
        self.count = 1
        if parent is not None:
            parent.count += 1

    def open(self) -> None:
        self.count += 1

    def close(self) -> None:
        self.count -= 1
        if self.count == 0:
            self._call()
            if self.parent is not None:
                self.parent.close()
