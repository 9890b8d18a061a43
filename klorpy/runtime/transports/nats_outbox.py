"""What goes out over a connection with a NATS server: letters, which are stored at last, and what is said once.

    offer(source)                   letters of the source are published, many at a time, until the server has stored each
    say(subject, payload, token)    published once, not stored
    answered(token, message)        what the server says of a letter
    resume(), pause()               the connection is there, or not

A letter keeps its id, and goes out again when the server has not said that it is stored: after every break of the
connection, and when nothing was heard of it. The server knows the id, so that the letter is stored once.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import anyio

from klorpy.core.diagnostics import KlorError

if TYPE_CHECKING:
    from nats.aio.msg import Msg

#: Letters that are published and not stored yet, at most.
_IN_FLIGHT: Final = 256
#: Seconds after which a letter that nothing was heard of goes out again, and one that the server cannot store now.
PATIENCE: Final = 2.0
PAUSE: Final = 0.1

MESSAGE_ID: Final = "Nats-Msg-Id"

#: Publishes a payload under a subject: with a last part of the subject for an answer, "" for none, and headers.
Publish: TypeAlias = Callable[[str, bytes, str, dict[str, str] | None], Awaitable[None]]


class ServerError(Exception):
    """The server's answer is that it does not do it: its number for the reason, and the reason."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(error.get("description", "an unknown error"))
        self.code: int = error.get("code", 0)
        self.number: int = error.get("err_code", 0)


@dataclass(slots=True, eq=False)
class Letter:
    """Something that is to be stored, once."""

    source: Source
    subject: str
    id: str
    payload: bytes
    token: str = ""
    #: When it was published last.
    sent: float = 0.0


class Source(Protocol):
    """Who has letters."""

    def take(self) -> Letter | None:
        """The next letter, None when there is none for now."""

    def stored(self, letter: Letter) -> None:
        """The server has it."""

    def refused(self, letter: Letter, error: KlorError) -> None:
        """The server will never have it."""


class Outbox:
    """What goes out by `publish`; `refusal` makes the error of a letter that the server does not store."""

    def __init__(self, publish: Publish, refusal: Callable[[ServerError], KlorError]) -> None:
        self._publish = publish
        self._refusal = refusal
        self._connected = False
        self._said: deque[tuple[str, bytes, str]] = deque()
        self._sources: deque[Source] = deque()
        self._in_flight: dict[str, Letter] = {}
        self._again: deque[Letter] = deque()
        self._letters = 0
        self._work = asyncio.Event()

    def say(self, subject: str, payload: bytes, token: str = "") -> None:
        if self._connected:
            self._said.append((subject, payload, token))
            self._work.set()

    def offer(self, source: Source) -> None:
        self._sources.append(source)
        self._work.set()

    def resume(self) -> None:
        self._connected = True
        self._again.clear()
        self._again.extend(self._in_flight.values())
        self._work.set()

    def pause(self) -> None:
        self._connected = False
        self._said.clear()

    def answered(self, token: str, message: Msg) -> bool:
        """Whether an answer is about a letter."""
        letter = self._in_flight.get(token)
        if letter is None:
            return False
        error = _error(message)
        if error is None:
            self._drop(letter)
            letter.source.stored(letter)
        elif error.code == 503:  # the server has just been started
            asyncio.get_running_loop().call_later(PAUSE, self._repeat, letter)
        else:
            self._drop(letter)
            letter.source.refused(letter, self._refusal(error))
        return True

    def denied(self, subject: str, error: KlorError) -> None:
        """The server does not let us publish under a subject, which it names in small letters."""
        for letter in [letter for letter in self._in_flight.values() if letter.subject.lower() == subject]:
            self._drop(letter)
            letter.source.refused(letter, error)

    async def write(self) -> None:
        """Publish, for ever."""
        while True:
            await self._work.wait()
            self._work.clear()
            while self._connected:
                if self._said:
                    await self._publish(*self._said.popleft(), None)
                elif self._again:
                    letter = self._again.popleft()
                    if letter.token in self._in_flight:
                        await self._send(letter)
                elif self._sources and len(self._in_flight) < _IN_FLIGHT:
                    await self._next()
                else:
                    break

    async def _next(self) -> None:
        """Send a letter of the next source."""
        letter = self._sources[0].take()
        if letter is None:
            self._sources.popleft()
            return
        self._sources.rotate(-1)
        self._letters += 1
        letter.token = f"m{self._letters}"
        self._in_flight[letter.token] = letter
        await self._send(letter)

    async def _send(self, letter: Letter) -> None:
        letter.sent = asyncio.get_running_loop().time()
        await self._publish(letter.subject, letter.payload, letter.token, {MESSAGE_ID: letter.id})

    def _repeat(self, letter: Letter) -> None:
        self._again.append(letter)
        self._work.set()

    def _drop(self, letter: Letter) -> None:
        del self._in_flight[letter.token]
        if self._sources:
            self._work.set()

    async def tend(self) -> None:
        """Publish again what nothing was heard of, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await anyio.sleep(PATIENCE / 2)
            late = loop.time() - PATIENCE
            if self._connected and not self._again:
                self._again.extend(letter for letter in self._in_flight.values() if letter.sent < late)
                self._work.set()


def nobody(message: Msg) -> bool:
    """Whether the server says that nobody listens."""
    return not message.data and message.headers is not None and message.headers.get("Status") == "503"


def _error(message: Msg) -> ServerError | None:
    if nobody(message):
        return ServerError({"code": 503})
    return ServerError(json.loads(message.data).get("error", {})) if b'"error"' in message.data else None
