"""Roles in processes of their own, by `klorpy play`, for tests."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

#: Seconds after which a process is taken to hang.
TOO_LONG = 60.0


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class Role:
    """A process that plays a role. Its errors go to a file, its output to a pipe if somebody reads it."""

    def __init__(self, folder: Path, name: str, arguments: Sequence[str], watched: bool = False) -> None:
        self.name = name
        self._out, self._err = folder / f"{name}.out", folder / f"{name}.err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "klorpy", "play", *arguments],
                stdout=subprocess.PIPE if watched else out, stderr=err, text=watched,
                env={**os.environ, "NO_COLOR": "1", "PYTHONWARNINGS": "default::ResourceWarning", "PYTHONUNBUFFERED": "1"},
            )  # fmt: skip

    def lines(self, count: int) -> list[str]:
        """The first lines of what it prints, as soon as there are so many."""
        assert self.process.stdout is not None
        return list(itertools.islice(self.process.stdout, count))

    def drain(self) -> str:
        assert self.process.stdout is not None
        return str(self.process.stdout.read())

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def status(self) -> int:
        return self.process.wait(TOO_LONG)

    @property
    def output(self) -> str:
        return self._out.read_text(encoding="utf-8")

    @property
    def errors(self) -> str:
        return self._err.read_text(encoding="utf-8")

    @property
    def verdict(self) -> str:
        """What the error says after `failed:`."""
        found = re.search(r"^error\[[\w-]+\]: session .*? failed: (.*)$", self.errors, re.MULTILINE)
        assert found, f"{self.name} says no verdict:\n{self.errors}"
        return found[1]


@contextlib.contextmanager
def cast(
    folder: Path, file: Path | str, chor: str, arguments: dict[str, Sequence[str]], *, watched: str = "",
    options: dict[str, Sequence[str]] | None = None, everywhere: Sequence[str] = (), via: dict[str, int] | None = None,
    session: str = "test", files: dict[str, Path] | None = None,
) -> Iterator[dict[str, Role]]:  # fmt: skip
    """A process for each role; each connects to those before it, or to the port of `via` for a role."""
    ports = {role: free_port() for role in arguments}
    roles: dict[str, Role] = {}
    try:
        for number, (role, args) in enumerate(arguments.items()):
            earlier = list(arguments)[:number]
            connections = [f"--connect={other}=127.0.0.1:{(via or {}).get(other, ports[other])}" for other in earlier]
            roles[role] = Role(
                folder, role,
                [str((files or {}).get(role, Path(file))), chor, *args, "--role", role, "--session", session, f"--listen=127.0.0.1:{ports[role]}",
                 *connections, *everywhere, *(options or {}).get(role, ())],
                role == watched,
            )  # fmt: skip
        yield roles
    finally:
        for role_ in roles.values():
            if role_.process.poll() is None:
                role_.process.kill()
                role_.process.wait()
            if role_.process.stdout is not None:
                role_.process.stdout.close()


def ended_within(roles: Sequence[Role], start: float) -> float:
    """Wait for the processes to end; seconds since `start`."""
    for role in roles:
        role.status()
    return time.monotonic() - start
