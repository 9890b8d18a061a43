"""A server that tells the date and hangs up. Try `nc 127.0.0.1 5999`.

    python -m klorpy.examples.conversations date 5999

One conversation carries the data, its acknowledgement and the end: what was written is acknowledged by feedback, and who
has nothing more to say leaves, which closes the connection. The date comes from outside, so it is a descriptor: asking
for it in a handler would make a program that cannot be played again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import anyio.lowlevel

from klorpy.conversations import ANY, Ground, Source, delete, publisher, quit, role, spawn, subscriber
from klorpy.conversations.drivers import Addr, Credit, Listener, Tcp, listen, say, tcp_driver


@dataclass(frozen=True)
class Today(Source):
    """The date and time, for whoever asks."""

    who: Addr

    async def ready(self, ground: Ground) -> None:
        await anyio.lowlevel.checkpoint()

    def take(self, ground: Ground) -> str:
        return datetime.now().isoformat(" ", "seconds")


def serve(listener: Listener) -> Any:
    def connection(remote: Addr) -> Any:
        def told(event: Any, state: Any) -> Any:
            # What stays demanded happens again.
            return [delete("today"), say(listener, remote, f"{event.body[1]}\n")]

        def acknowledged(event: Any, state: Any) -> Any:
            return quit() if isinstance(event.body.part, Credit) else None

        return spawn(
            [
                role("out", publisher(Tcp(listener, remote, ANY)), on_message=acknowledged),
                role("today", subscriber((Today(remote), ANY)), on_message=told),
            ],
            f"date {remote.port}",
        )

    return connection


def program(listener: Listener = Listener(5999)) -> list[Any]:  # noqa: B008
    return [tcp_driver(), listen(listener, serve(listener))]
