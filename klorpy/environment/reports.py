"""What `klorpy launch` and its processes tell each other: a job at the start, then lines of JSON over a socket.

    r RECORD     something happened, or host code wrote a line
    e ENDED      the role has ended; the last line
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from klorpy.core.types import Role
from klorpy.runtime.sessions import Record


@dataclass(frozen=True, slots=True)
class Job:
    """What a process has to do. `report` and `listen` are file descriptors, `peers` the addresses to connect to.

    `path` is where modules are found, as in the launcher.
    """

    file: str
    chor: str
    role: Role
    session: str
    args: tuple[str, ...]
    report: int
    path: tuple[str, ...]
    listen: int | None = None
    peers: Mapping[Role, str] | None = None
    nats: str | None = None
    tls: str | None = None
    order: str | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """How a role ended: `result` as it is shown, None when it has none; or `error`, as it is shown to the user.

    `cause` is the error in one line. `own` is whether the error is the role's own, and not that of the session; `at` is
    where the role was.
    """

    result: str | None = None
    error: str = ""
    cause: str = ""
    own: bool = False
    at: tuple[str, ...] = ()


class Report:
    """The way to the launcher. Threads of host code may write lines, too."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._lock = threading.Lock()

    def record(self, record: Record) -> None:
        self._send(b"r", record)

    def ended(self, ended: Ended) -> None:
        self._send(b"e", ended)

    def _send(self, kind: bytes, what: Record | Ended) -> None:
        with self._lock:
            try:
                self._socket.sendall(kind + msgspec.json.encode(what) + b"\n")
            except ConnectionError:
                # The launcher is gone; that is noticed where the socket is watched.
                return


def read(line: bytes) -> Record | Ended:
    """What a line that a process sent says."""
    kind: type[Record] | type[Ended] = Record if line[:1] == b"r" else Ended
    return msgspec.json.decode(line[1:], type=kind)
