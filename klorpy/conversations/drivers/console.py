"""The console driver: two tiny processes, one for each direction.

ConsoleOut(text)   a message that is printed
ConsoleIn(line)    a line that was typed; read only while somebody subscribes to it
ConsoleIn(None)    there will be no more
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anyio.to_thread

from klorpy.conversations.actions import (
    Absence,
    Add,
    Delete,
    Endpoint,
    Message,
    Presence,
    Send,
    Spawn,
    Transition,
    observe_subscribers,
    subscriber,
)
from klorpy.conversations.ground import Ground, Request, Source
from klorpy.conversations.pattern import ANY


@dataclass(frozen=True, slots=True)
class ConsoleOut:
    text: Any


@dataclass(frozen=True, slots=True)
class ConsoleIn:
    line: Any


class Console:
    """Standard input and output, or what stands for them. A line that nobody has taken yet is kept."""

    def __init__(
        self,
        read: Callable[[], str] = lambda: sys.stdin.readline(),
        write: Callable[[str], Any] = lambda text: print(text),
    ) -> None:
        self.read = read
        self.write = write
        self.line: str | None = None

    async def aclose(self) -> None:
        """The console belongs to others."""


@dataclass(frozen=True, slots=True)
class Print(Request):
    text: str

    def perform(self, ground: Ground) -> None:
        _console(ground).write(self.text)


@dataclass(frozen=True, slots=True)
class ReadConsole(Source):
    """A line that was typed, without its end; None at the end."""

    async def ready(self, ground: Ground) -> None:
        console = _console(ground)
        if console.line is None:
            # The thread cannot be interrupted: a line that it reads later is there for the next who asks.
            console.line = await anyio.to_thread.run_sync(console.read, abandon_on_cancel=True)

    def take(self, ground: Ground) -> str | None:
        console = _console(ground)
        line, console.line = console.line, None
        return line.rstrip("\r\n") if line else None


def _console(ground: Ground) -> Console:
    found = ground.resources.setdefault("console", Console())
    assert isinstance(found, Console)
    return found


def console_driver() -> list[Spawn]:
    """The actions that spawn the console driver."""
    return [
        Spawn(lambda: None, "console-out", endpoints=(
            Endpoint("out", subscriber(ConsoleOut(ANY)), on_message=lambda event, state: Send(("ground", Print(event.body.text)))),
        )),
        Spawn(lambda: Transition(frozenset()), "console-in", endpoints=(
            Endpoint("demand", observe_subscribers(ConsoleIn(ANY)), _wanted, _unwanted),
        )),
    ]  # fmt: skip


def _wanted(event: Presence, readers: Any) -> Transition:
    read = Add(Endpoint("read", subscriber((ReadConsole(), ANY)), on_message=_typed))
    return Transition(readers | {event.peer}, None if readers else read)


def _unwanted(event: Absence, readers: Any) -> Transition:
    left = readers - {event.peer}
    return Transition(left, None if left else Delete("read"))


def _typed(event: Message, readers: Any) -> list[Any]:
    line = event.body[1]
    over = Delete("read") if not isinstance(line, str) else None
    return [over, Send(ConsoleIn(line if isinstance(line, str) else None))]
