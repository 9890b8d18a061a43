"""What has arrived for a role, and what it waits for: a message meets the receive that has its key.

    class of a message = what the key mode looks at: sender and key (both), or less of it (none, line, token)

Only `both` is sound. The others exist to show, in the simulator, which messages get mixed up without: in each, the
messages of one class are served in the order in which they arrive, and the receives in the order of registration.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from klorpy.core.choreography import Site
from klorpy.core.keys import Token, key, show_key
from klorpy.core.types import Role
from klorpy.outoforder.deferred import Deferred

#: What a key mode looks at; given sender, token and site.
Matching: TypeAlias = Callable[[Role, Token, Site], Any]

MODES: Final[dict[str, Matching]] = {
    "none": lambda source, token, site: source,
    "line": lambda source, token, site: (source, site),
    "token": lambda source, token, site: (source, token),
    "both": lambda source, token, site: (source, key(token, site.index)),
}


@dataclass(slots=True, eq=False)
class Letter:
    """A message with its true key. `error` stands in the place of a value that could not be computed."""

    source: Role
    target: Role
    token: Token
    site: Site
    value: Any
    error: BaseException | None = None

    @property
    def key(self) -> bytes:
        return key(self.token, self.site.index)


@dataclass(slots=True, eq=False)
class Waiter:
    """A receive that was passed: what it waits for, and where the value goes."""

    source: Role
    token: Token
    site: Site
    value: Deferred = field(default_factory=Deferred)
    #: What it counts in, for the walker.
    scope: Any = None

    def __str__(self) -> str:
        return f"{self.source} at {self.site}, key {show_key(key(self.token, self.site.index))}"


class KeyDiscipline(AssertionError):
    """A key was used twice: a bug of klorpy, or of a transport that is not exactly-once."""


class Mailbox:
    """One role's. `violated(letter, waiter)` is told of a message that meets a receive which is not its own."""

    def __init__(self, mode: str = "both", violated: Callable[[Letter, Waiter], None] | None = None) -> None:
        self._class = MODES[mode]
        self._sound = mode == "both"
        self._violated = violated
        #: Told which message a receive got, whenever one does.
        self.bound: Callable[[Letter, Waiter], None] | None = None
        self.stored: dict[Any, deque[Letter]] = {}
        self.waiting: dict[Any, deque[Waiter]] = {}
        self._size = 0
        #: The most messages that were here at once without anybody to take them.
        self.high_water = 0
        #: The longest key that arrived, in bytes.
        self.longest = 0

    def receive(self, source: Role, token: Token, site: Site) -> Letter | Waiter:
        """The message for a receive, if it is here; else the receive is registered, to be completed by `deliver`."""
        class_ = self._class(source, token, site)
        letters = self.stored.get(class_)
        if letters:
            letter = letters.popleft()
            if not letters:
                del self.stored[class_]
            self._size -= 1
            self._meet(letter, Waiter(source, token, site))
            return letter
        waiter = Waiter(source, token, site)
        waiters = self.waiting.get(class_)
        if waiters is None:
            self.waiting[class_] = deque((waiter,))
        elif self._sound:
            raise KeyDiscipline(f"two receives wait for one message: {waiter}")
        else:
            waiters.append(waiter)
        return waiter

    def deliver(self, letter: Letter) -> Waiter | None:
        """Give the receive that waits for a message, whose value is then to be settled; or keep the message."""
        class_ = self._class(letter.source, letter.token, letter.site)
        if len(letter.token) >= self.longest:
            self.longest = max(self.longest, len(letter.key))
        waiters = self.waiting.get(class_)
        if waiters:
            waiter = waiters.popleft()
            if not waiters:
                del self.waiting[class_]
            self._meet(letter, waiter)
            return waiter
        letters = self.stored.get(class_)
        if letters is None:
            self.stored[class_] = deque((letter,))
        elif self._sound:
            raise KeyDiscipline(f"two messages have the key {show_key(letter.key)} from {letter.source}")
        else:
            letters.append(letter)
        self._size += 1
        self.high_water = max(self.high_water, self._size)
        return None

    @property
    def quiet(self) -> bool:
        """Whether nothing is here, and nobody waits."""
        return not self.stored and not self.waiting

    def _meet(self, letter: Letter, waiter: Waiter) -> None:
        if self.bound is not None:
            self.bound(letter, waiter)
        if self._violated is not None and (letter.site is not waiter.site or letter.token != waiter.token):
            self._violated(letter, waiter)
