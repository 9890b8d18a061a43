"""Which role moves next: the only freedom that a run has.

A schedule is asked whenever more than one role could move. `Fair` is the plain order, in which a role runs until it
waits; `Seeded` chooses anew before every step, by a pseudo-random generator; `Scripted` follows a list of choices
and then takes the first, and remembers how many there were, which is what systematic exploration needs.
"""

from __future__ import annotations

import random
from typing import Protocol, TypeAlias

from klorpy.core.diagnostics import KlorError

#: 0 is the plain order, another integer a pseudo-random one; a text such as "s1.0.2" spells the choices out.
Seed: TypeAlias = int | str


class Schedule(Protocol):
    #: Whether the role that just moved has to ask before it moves again.
    preemptive: bool

    def choose(self, count: int) -> int:
        """Which of `count` (at least 2) ready roles moves; a negative number pauses the run."""
        ...


class Fair:
    preemptive = False

    def choose(self, count: int) -> int:
        return 0


class Seeded:
    preemptive = True

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed).random

    def choose(self, count: int) -> int:
        return int(self._random() * count)


class Scripted:
    preemptive = True

    def __init__(self, script: tuple[int, ...] = ()) -> None:
        self._script = script
        #: Each choice made, with the number of roles that there were to choose from.
        self.made: list[tuple[int, int]] = []

    def choose(self, count: int) -> int:
        step = len(self.made)
        choice = min(self._script[step], count - 1) if step < len(self._script) else 0
        self.made.append((choice, count))
        return choice

    @property
    def seed(self) -> str:
        """The seed that replays this schedule."""
        return "s" + ".".join(map(str, choices_of(self.made)))


class Sampled(Seeded):
    """As `Seeded`, but remembers its choices."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        #: As those of `Scripted`.
        self.made: list[tuple[int, int]] = []

    def choose(self, count: int) -> int:
        choice = super().choose(count)
        self.made.append((choice, count))
        return choice

    @property
    def choices(self) -> tuple[int, ...]:
        return choices_of(self.made)


def choices_of(made: list[tuple[int, int]]) -> tuple[int, ...]:
    """The choices, but for the zeros at the end, which are what is chosen after the last."""
    choices = [choice for choice, _ in made]
    while choices and choices[-1] == 0:
        choices.pop()
    return tuple(choices)


def schedule_of(seed: Seed) -> Schedule:
    """The schedule that a seed means. Raises KlorError `bad-argument` for anything else."""
    if isinstance(seed, int) and not isinstance(seed, bool):
        return Seeded(seed) if seed else Fair()
    if isinstance(seed, str) and seed.startswith("s"):
        parts = seed[1:].split(".") if len(seed) > 1 else []
        if all(part.isdecimal() for part in parts):
            return Scripted(tuple(map(int, parts)))
    raise KlorError(
        f"{seed!r} is not a seed",
        slug="bad-argument",
        help='a seed is an integer, or a text such as "s1.0.2" that explore reported',
    )
