"""An SSH front door, which opens a chat room or a prompt. It needs asyncssh: `pip install klorpy[ssh]`.

    python -m klorpy.examples.conversations ssh 2222

    ssh -p 2222 ann@127.0.0.1 chat        the room, for all who are in it
    ssh -p 2222 ann@127.0.0.1 shell       Hy, a form a line

asyncssh does the transport and who may come in. What a client asks for is a channel, and whether there is such a one is a
question to the routing table: an application that publishes `("channel", name)` can be opened by that name. Each session
is a VM of its own: what is private to it stays in there, what it says in the room is said outside. When anything in
it fails, the client learns why, and the exit status is 1.
"""

from __future__ import annotations

import contextlib
import io
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import asyncssh

import klorpy
from klorpy.conversations import (
    ANY,
    PUB,
    Failure,
    Ground,
    Request,
    Source,
    at_meta_level,
    delete,
    event_relay,
    nested_vm,
    observer,
    publisher,
    query,
    quit,
    role,
    send,
    spawn,
    subscriber,
)
from klorpy.conversations.drivers import Addr, Listener, Listening
from klorpy.conversations.drivers.tcp import not_listening

#: Lines of a client that wait to be asked for; then the client waits.
AHEAD = 16

# --- Outside ----------------------------------------------------------------------------------------------------------


class Door:
    """The server, and the sessions that wait to be let in."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.address: tuple[str, int] | None = None
        self.error = ""
        self.arrived: deque[Client] = deque()
        self.changed = anyio.Event()
        self._server: asyncssh.SSHAcceptor | None = None

    def change(self) -> None:
        self.changed.set()
        self.changed = anyio.Event()

    async def open(self, host: str, port: int) -> None:
        try:
            self._server = await asyncssh.listen(host, port, process_factory=self._serve, **self.options)
            self.address = self._server.sockets[0].getsockname()[:2]
        except (OSError, OverflowError, ValueError, asyncssh.Error) as error:
            self.error = str(error)
        self.change()

    async def _serve(self, process: Any) -> None:
        client = Client(process)
        self.arrived.append(client)
        self.change()
        await client.read()

    async def aclose(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()


class Client:
    """One session of a client: the lines that came, and where to write."""

    def __init__(self, process: Any) -> None:
        self.process = process
        self.lines: deque[str | None] = deque()
        self.changed = anyio.Event()

    def change(self) -> None:
        self.changed.set()
        self.changed = anyio.Event()

    async def read(self) -> None:
        line = "start"
        while line:
            try:
                line = await self.process.stdin.readline()
            except asyncssh.Error:
                line = ""
            self.lines.append(line.rstrip("\r\n") if line else None)
            self.change()
            while len(self.lines) >= AHEAD:
                await self.changed.wait()
        await self.process.wait_closed()

    async def aclose(self) -> None:
        self.process.close()


@dataclass(frozen=True, slots=True)
class Ssh:
    """The name of a session."""

    number: int


@dataclass(frozen=True, slots=True)
class OpenDoor(Request):
    name: Any
    listener: Listener
    options: Any

    def perform(self, ground: Ground) -> None:
        door = Door(self.options())
        ground.resources[self.name] = door
        ground.start(door.open, self.listener.host, self.listener.port)


@dataclass(frozen=True, slots=True)
class DoorOpen(Source):
    name: Any

    async def ready(self, ground: Ground) -> None:
        door: Any = ground.resources[self.name]
        while not (door.address or door.error):
            await door.changed.wait()

    def take(self, ground: Ground) -> Any:
        door: Any = ground.resources[self.name]
        return door.address or Failure(door.error)


@dataclass(frozen=True, slots=True)
class Knock(Source):
    """A session that somebody wants: its name, the user, and what is wanted."""

    name: Any

    async def ready(self, ground: Ground) -> None:
        door: Any = ground.resources[self.name]
        while not door.arrived:
            await door.changed.wait()

    def take(self, ground: Ground) -> tuple[Ssh, str, str]:
        door: Any = ground.resources[self.name]
        client = door.arrived.popleft()
        name = Ssh(ground.number("ssh"))
        ground.resources[name] = client
        process = client.process
        return name, process.get_extra_info("username"), process.command or process.subsystem or "chat"


@dataclass(frozen=True, slots=True)
class SshLine(Source):
    """A line of a client; None when there will be no more."""

    name: Ssh

    async def ready(self, ground: Ground) -> None:
        client: Any = ground.resources[self.name]
        while not client.lines:
            await client.changed.wait()

    def take(self, ground: Ground) -> str | None:
        client: Any = ground.resources[self.name]
        line: str | None = client.lines.popleft()
        client.change()
        return line


@dataclass(frozen=True, slots=True)
class SshWrite(Request):
    name: Ssh
    text: str

    def perform(self, ground: Ground) -> None:
        client: Any = ground.resources.get(self.name)
        if client is not None:
            client.process.stdout.write(self.text)


@dataclass(frozen=True, slots=True)
class SshExit(Request):
    name: Ssh
    status: int

    def perform(self, ground: Ground) -> None:
        client: Any = ground.resources.pop(self.name, None)
        if client is not None:
            client.process.exit(self.status)


# --- Inside -----------------------------------------------------------------------------------------------------------


def write(session: Ssh, text: str) -> Any:
    return send(("ground", SshWrite(session, f"{text}\n")))


def door(listener: Listener, options: Callable[[], dict[str, Any]]) -> Any:
    """Let clients in whose channel is there; `options()` are asyncssh's, keys above all."""
    name = ("door", listener)

    def opened(event: Any, state: Any) -> Any:
        outcome = event.body[1]
        if isinstance(outcome, Failure):
            return not_listening(listener, outcome.text)
        return [
            delete("opening"),
            role("address", publisher(Listening(listener, Addr(*outcome)))),
            role("knock", subscriber((Knock(name), ANY)), on_message=knock),
        ]

    def knock(event: Any, state: Any) -> Any:
        session, user, wanted = event.body[1]

        def found(answer: Any, state: Any) -> Any:
            if answer.found:
                return send(("open", wanted, session, user))
            return [write(session, f"There is no {wanted} here."), send(("ground", SshExit(session, 1)))]

        return query(PUB, ("channel", wanted), found)

    return spawn(
        [
            send(("ground", OpenDoor(name, listener, options))),
            role("opening", subscriber((DoorOpen(name), ANY)), on_message=opened),
        ],
        "door",
    )


def application(channel: str, serve: Callable[[Ssh, str], list[Any]]) -> Any:
    """What can be opened as a channel; each session is a VM, in which `serve(session, user)` are the first actions."""

    def opened(event: Any, state: Any) -> Any:
        _, _, session, user = event.body
        return nested_vm([*event_relay(), _exit(session), _session(session, user, serve)], f"{channel} of {user}")

    return spawn(
        [
            role("channel", publisher(("channel", channel))),
            role("open", subscriber(("open", channel, ANY, ANY)), on_message=opened),
        ],
        channel,
    )


def _session(session: Ssh, user: str, serve: Callable[[Ssh, str], list[Any]]) -> Any:
    return spawn(lambda: serve(session, user), "session", endpoints=[role("alive", publisher(("session", session)))])


def _exit(session: Ssh) -> Any:
    """When the session's process has ended, the client is told how."""

    def ended(event: Any, state: Any) -> Any:
        done = event.reason == "bye"
        trouble = None if done else write(session, f"The session failed: {event.reason}")
        return [trouble, send(("ground", SshExit(session, 0 if done else 1))), quit("bye")]

    return spawn(role("session", observer(publisher(("session", session))), on_absence=ended), "exit")


def chat(session: Ssh, user: str) -> list[Any]:
    """The room is outside of the session's VM; who says something is in it."""

    def typed(event: Any, state: Any) -> Any:
        line = event.body[1]
        if line is None or line == "/quit":
            return quit("bye")
        if line == "/crash":
            raise RuntimeError("you asked for it")
        return at_meta_level(send(("says", user, line)))

    def heard(event: Any, state: Any) -> Any:
        _, who, text = event.body
        return None if who == user else write(session, f"{who}: {text}")

    def came(event: Any, state: Any) -> Any:
        who = event.role.topic[1]
        return None if who == user else write(session, f"{who} is here.")

    def left(event: Any, state: Any) -> Any:
        who = event.role.topic[1]
        return None if who == user else write(session, f"{who} has left.")

    return [
        write(session, f"Hello, {user}."),
        at_meta_level(
            role("me", publisher(("says", user, ANY))),
            role("others", observer(publisher(("says", ANY, ANY))), came, left),
            role("room", subscriber(("says", ANY, ANY)), on_message=heard),
        ),
        role("typed", subscriber((SshLine(session), ANY)), on_message=typed),
    ]


def shell(session: Ssh, user: str) -> list[Any]:
    """Hy, a form a line. Who comes in may do what this process may."""
    namespace = klorpy.evaluate("(require klorpy *) (import klorpy [simulate-chor])")

    def typed(event: Any, state: Any) -> Any:
        line = event.body[1]
        if line is None or line == "(quit)":
            return quit("bye")
        return [write(session, evaluated(line)), send(("ground", SshWrite(session, "=> ")))]

    def evaluated(line: str) -> str:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            try:
                klorpy.evaluate(f"(setv _ (do {line}\n))", module=namespace)
                value = namespace._
                if value is not None:
                    print(value)
            except klorpy.KlorError as error:
                print(error.render())
            except Exception as error:
                print(f"{type(error).__name__}: {error}")
        return out.getvalue().rstrip("\n")

    return [
        send(("ground", SshWrite(session, "=> "))),
        role("typed", subscriber((SshLine(session), ANY)), on_message=typed),
    ]


def at_home() -> dict[str, Any]:
    """A new host key; who may log in here by key may come in."""
    host = asyncssh.generate_private_key("ssh-ed25519")
    return {"server_host_keys": [host], "authorized_client_keys": str(Path.home() / ".ssh" / "authorized_keys")}


def program(listener: Listener, options: Callable[[], dict[str, Any]] = at_home) -> list[Any]:
    return [application("chat", chat), application("shell", shell), door(listener, options)]
