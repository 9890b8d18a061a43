"""A connection with a NATS server that is kept.

    request(subject, payload)       the server's answer
    listen(subject, callback)       what is published under a subject
    outbox                          what goes out (`nats_outbox`)

The client library connects again when the connection breaks. What this adds: what the server does not allow is an error
with its reason, and a server that stays away for the grace period is reported.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import logging
import os
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, urlsplit

from anyio.abc import TaskGroup

from klorpy.core.diagnostics import KlorError
from klorpy.runtime.transports.nats_names import replies
from klorpy.runtime.transports.nats_outbox import MESSAGE_ID, PATIENCE, PAUSE, Outbox, ServerError, nobody
from klorpy.runtime.transports.tls import Identity

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

log: Final = logging.getLogger("klorpy.nats")

_VIOLATION: Final = re.compile(r'permissions violation for (publish|subscription) to "([^"]+)"')

#: What a server says of itself that does not demand TLS.
_IN_THE_CLEAR: Final = "it does not demand TLS"


class Unanswered(Exception):
    """Nobody listens to a subject: for the subjects of JetStream, that it is not enabled."""


class Link:
    """A connection with the servers of `url`, several separated by commas.

    `lost` is called when it broke, `back` when it is there again, and `gone` when it did not come back within `grace`
    seconds. All may be called more than once. Raises KlorError `bad-argument` for what is no address.
    """

    def __init__(
        self, url: str, identity: Identity | None, *, heartbeat: float, grace: float, lost: Callable[[], Awaitable[None]],
        back: Callable[[], None], gone: Callable[[KlorError], None],
    ) -> None:  # fmt: skip
        self.servers = [server.strip() for server in url.split(",")]
        parts = [_split(server) for server in self.servers]
        #: The servers, without user and password.
        self.name = ", ".join(f"{server.hostname}:{server.port or 4222}" for server in parts)
        self.grace = grace
        self.connected = False
        #: Done while the server stays away for too long.
        self.away: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        #: The largest payload that the server takes.
        self.largest = 1 << 20
        self._identity = identity
        #: Whether all that is said has to be encrypted.
        self._private = identity is not None or any(server.scheme == "tls" for server in parts)
        self._heartbeat = heartbeat
        self._lost, self._back, self._gone = lost, back, gone
        self._user = next((server.username for server in parts if server.username), None)
        self._client: Client
        self._error: type[Exception] = Exception
        self._problem: Exception | None = None
        self._closing = False
        #: Why there will be no connection any more.
        self._ended: KlorError | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._inbox = ""
        self._tokens = 0
        #: What is done with an answer, by the last part of its subject.
        self._answers: dict[str, Callable[[Msg], object]] = {}
        #: The same for a subject that we may not publish under.
        self._asked: dict[str, tuple[str, asyncio.Future[Msg]]] = {}
        self.outbox = Outbox(self._publish, lambda error: self.no_server("does not store a message", error))
        #: Subjects that we may not listen to, in small letters.
        self.denied: set[str] = set()

    # --- The connection -----------------------------------------------------------------------------------------------

    async def open(self, tasks: TaskGroup) -> None:
        """Connect. Raises KlorError `no-server`, `not-permitted` or `bad-argument`."""
        module = _library()
        self._client, self._error = module.Client(), module.errors.Error
        if self._private:
            # The library speaks TLS only when the server demands it. This is asked for before a password is sent, and each
            # time when a connection is made again.
            client: Any = self._client
            client._connect_command = partial(self._first_words, client._connect_command)
        try:
            async with asyncio.timeout(self.grace):
                await self._connect()
        except TimeoutError:
            await self._client.close()
            raise self.no_server("cannot be reached", self._problem) from None
        except (OSError, self._error) as error:
            await self._client.close()
            raise self._refusal(error) from None
        self.connected = True
        self.largest = self._client.max_payload
        # The library's streams answer the end of a TLS connection in a way that asyncio remarks on, without consequence.
        logging.getLogger("asyncio").addFilter(self._unremarkable)
        self._inbox = self._client.new_inbox()
        await self.listen(self.answers, self._answer)
        self.outbox.resume()
        tasks.start_soon(self.outbox.write)
        tasks.start_soon(self.outbox.tend)

    async def _connect(self) -> None:
        options: dict[str, Any] = {}
        if self._identity is not None:
            # A role's certificate names no host: so nobody who only plays a role can pass for the server.
            options["tls"] = context = self._identity.client()
            context.check_hostname = True
        # The library takes fractions of seconds, whatever its annotations say.
        options |= {"reconnect_time_wait": PAUSE, "ping_interval": max(self._heartbeat / 3, 0.1)}
        await self._until_refused(
            self._client.connect(
                self.servers, error_cb=self._failed, disconnected_cb=self._broke, reconnected_cb=self._returned,
                closed_cb=self._closed, max_reconnect_attempts=-1, connect_timeout=max(2, int(self.grace)),
                inbox_prefix=replies(self._user), **options,
            )
        )  # fmt: skip

    def _first_words(self, command: Callable[[], bytes]) -> bytes:
        """What the library says first. Raises its error where that would not be encrypted."""
        client: Any = self._client
        if not client._server_info.get("tls_required"):
            client._transport.close()  # the library does not, when it connects again
            raise self._error(_IN_THE_CLEAR)
        return command()

    async def _until_refused(self, connecting: Awaitable[None]) -> None:
        """Wait for a connection; raise what shows that there will never be one."""
        task = asyncio.ensure_future(connecting)
        self._refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait((task, self._refused), return_when=asyncio.FIRST_COMPLETED)
            await (self._refused if self._refused.done() else task)
        finally:
            if not task.done():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, self._error, OSError):
                    await task
            self._refused.cancel()

    async def _failed(self, error: Exception) -> None:
        """The library reports an error; most are followed by another attempt."""
        self._problem = error
        text = str(error)
        if violation := _VIOLATION.search(text.lower()):
            self._violated(*violation.groups())
        elif not self.connected and not self._refused.done() and _hopeless(error):
            self._refused.set_exception(error)
        else:
            log.info("NATS at %s: %s", self.name, text)

    async def _broke(self) -> None:
        if self._closing or not self.connected:
            return
        self.connected = False
        self._problem = None
        self.outbox.pause()
        log.info("the connection with NATS at %s broke; waiting %g s for it to come back", self.name, self.grace)
        self._expiry = asyncio.get_running_loop().call_later(self.grace, self._give_up)
        await self._lost()

    def _give_up(self) -> None:
        self.away.set_result(None)
        told = self._problem if self._problem is not None and _hopeless(self._problem) else None
        self._gone(self.no_server(f"was lost for {self.grace:g} s", told))

    async def _returned(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
        if self.away.done():
            self.away = asyncio.get_running_loop().create_future()
        self.connected = True
        self.outbox.resume()
        self._back()

    async def _closed(self) -> None:
        """The library has given up: the server does not want us any more."""
        if not self._closing:
            self.connected = False
            self._ended = self.no_server("has ended the connection", self._client.last_error)
            if self._expiry is not None:
                self._expiry.cancel()
            if not self.away.done():
                self.away.set_result(None)
            self._gone(self._ended)

    async def close(self) -> None:
        self._closing = True
        self.connected = False
        if self._expiry is not None:
            self._expiry.cancel()
        try:
            await self._client.close()
        except OSError:
            # The server ended the connection while the library was still writing; it then leaves its own tasks behind.
            left: Any = self._client
            for subscription in list(left._subs.values()):
                if subscription._wait_for_msgs_task is not None:
                    subscription._wait_for_msgs_task.cancel()
            if left._transport is not None:
                left._transport.close()
            await asyncio.sleep(0)
        logging.getLogger("asyncio").removeFilter(self._unremarkable)

    def _unremarkable(self, record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("returning true from eof_received() has no effect")

    # --- Requests -----------------------------------------------------------------------------------------------------

    async def request(self, subject: str, payload: bytes, headers: dict[str, str] | None = None) -> Msg:
        """The server's answer. Raises Unanswered, TimeoutError when there is none, and KlorError: `not-permitted`, or
        `no-server` when there will be none."""
        if self._ended is not None:
            raise self._ended
        answer: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()

        def answered(message: Msg) -> None:
            if not answer.done():
                answer.set_result(message)

        token = self.token(answered)
        self._asked[token] = subject, answer
        try:
            async with asyncio.timeout(PATIENCE):
                await self._publish(subject, payload, token, headers)
                message = await answer
        finally:
            del self._asked[token]
            self.forget(token)
        if nobody(message):
            raise Unanswered
        return message

    async def api(self, what: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """JetStream's answer. Raises ServerError and what `request` raises."""
        return await self.confirmed(f"$JS.API.{what}", json.dumps(arguments).encode())

    async def confirmed(self, subject: str, payload: bytes, id: str = "", **headers: str) -> dict[str, Any]:
        """Store something under a subject, or ask for something; raises as `api`."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if id:
            given[MESSAGE_ID] = id
        answer: dict[str, Any] = json.loads((await self.request(subject, payload, given or None)).data)
        if "error" in answer:
            raise ServerError(answer["error"])
        return answer

    def token(self, answered: Callable[[Msg], object]) -> str:
        """The last part of a subject for answers, and what is done with them."""
        self._tokens += 1
        token = f"r{self._tokens}"
        self._answers[token] = answered
        return token

    def forget(self, token: str) -> None:
        self._answers.pop(token, None)

    async def _answer(self, message: Msg) -> None:
        token = message.subject.rpartition(".")[2]
        if not self.outbox.answered(token, message) and (answered := self._answers.get(token)) is not None:
            answered(message)

    def _violated(self, kind: str, subject: str) -> None:
        """The server does not let us. It tells the subject only, in small letters."""
        error = self.not_permitted(f"to {'publish' if kind == 'publish' else 'listen'} at {subject}")
        if kind == "subscription":
            self.denied.add(subject)
            log.warning("%s", error.message)
            return
        asking = [answer for asked, answer in self._asked.values() if asked.lower() == subject and not answer.done()]
        for answer in asking:
            answer.set_exception(error)
        if not asking:  # who asks is told, and may not mind
            log.warning("%s", error.message)
        self.outbox.denied(subject, error)

    # --- Listening --------------------------------------------------------------------------------------------

    async def listen(self, subject: str, callback: Callable[[Msg], Awaitable[None]], room: int = 0) -> Subscription:
        """Call back for what is published under a subject.

        Beyond `room` bytes that wait, it is lost; with 0 nothing is, where its amount is bounded by what is asked for.
        """
        return await self._client.subscribe(subject, cb=callback, pending_msgs_limit=0, pending_bytes_limit=room)

    @property
    def answers(self) -> str:
        """Where the answers to requests come."""
        return f"{self._inbox}.*"

    def new_inbox(self) -> str:
        """A subject of our own, which nobody can guess."""
        return self._client.new_inbox()

    def check_heard(self, subject: str) -> None:
        """Raises KlorError `not-permitted` when the server has said, by now, that we may not listen to a subject."""
        if subject.lower() in self.denied:
            raise self.not_permitted(f"to listen at {subject}")

    async def deaf(self, subscription: Subscription) -> None:
        """Listen no more."""
        if not self._client.is_closed:
            await subscription.unsubscribe()

    async def _publish(self, subject: str, payload: bytes, token: str, headers: dict[str, str] | None) -> None:
        # What fails here was not sent: the connection is about to be made again, and so is the attempt.
        with contextlib.suppress(self._error, OSError):
            await self._client.publish(subject, payload, f"{self._inbox}.{token}" if token else "", headers)

    # --- Errors -------------------------------------------------------------------------------------------------------

    def no_server(self, what: str, problem: Exception | None) -> KlorError:
        """The error of a server that `what`."""
        return KlorError(
            f"the NATS server at {self.name} {what}{_because(problem)}",
            slug="no-server", help="is it running, with JetStream? Start one with: nats-server -js",
        )  # fmt: skip

    def not_permitted(self, what: str) -> KlorError:
        """The error of a server that does not allow `what`."""
        return KlorError(
            f"the NATS server at {self.name} does not allow {self._user or 'a client without a name'} {what}", slug="not-permitted",
            help="each role needs the permissions that `klorpy nats permissions FILE CHOR` prints, and the password of its user",
        )  # fmt: skip

    def _refusal(self, error: Exception) -> KlorError:
        if "uthorization" in str(error) or "uthentication" in str(error):
            return self.not_permitted("to connect")
        if str(error) == _IN_THE_CLEAR:
            return KlorError(
                f"the NATS server at {self.name} does not demand TLS, so nothing would be encrypted", slug="no-server",
                help="give the server a certificate, with `tls { … }` in its configuration; or leave out the certificates and tls://",
            )  # fmt: skip
        return self.no_server("cannot be used", error)


def _library() -> Any:
    try:
        return importlib.import_module("nats.aio.client")
    except ImportError:
        raise KlorError(
            "the package nats-py is not installed", slug="bad-argument", help="install klorpy with its extra nats"
        ) from None


def _hopeless(error: Exception) -> bool:
    """Whether another attempt to connect would end alike."""
    text = str(error).lower()
    return any(word in text for word in ("authorization", "authentication", "certificate", _IN_THE_CLEAR.lower()))


def place(message: Msg) -> tuple[int, int] | None:
    """The number of a message in its stream, and how many the consumer has after it; None when no consumer brings it."""
    # $JS.ACK.<stream>.<consumer>.<times>.<number>.<count>.<time>.<after>; newer servers put two names before the stream.
    parts = message.reply.split(".")
    if parts[:2] != ["$JS", "ACK"] or len(parts) < 9:
        return None
    shift = 0 if len(parts) == 9 else 2
    return int(parts[5 + shift]), int(parts[8 + shift])


def _because(problem: Exception | None) -> str:
    """Why, as it stands behind what happened; nothing when that is not known."""
    if isinstance(problem, ssl.SSLCertVerificationError):
        return f": its certificate is refused, {problem.verify_message}"
    if isinstance(problem, OSError) and not isinstance(problem, ssl.SSLError) and problem.errno is not None and problem.errno > 0:
        return f": {os.strerror(problem.errno)}"
    text = str(problem or "").removeprefix("nats: ")
    if isinstance(problem, socket.gaierror) and problem.strerror:
        text = problem.strerror
    return f": {text}" if text else ""


def _split(server: str) -> SplitResult:
    """The parts of an address. Raises KlorError `bad-argument`."""
    try:
        parts = urlsplit(server if "://" in server else f"nats://{server}")
        if parts.scheme in ("nats", "tls") and parts.hostname and parts.port != 0:
            return parts
    except ValueError:
        pass
    raise KlorError(
        f"{server!r} is not the address of a NATS server", slug="bad-argument",
        help="write nats://host:port, for example nats://127.0.0.1:4222",
    )  # fmt: skip
