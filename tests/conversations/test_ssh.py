"""The SSH front door, with a real client."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import asyncssh
import pytest

from klorpy.conversations.drivers import Listener
from klorpy.examples.conversations import ssh
from tests.conversations.serving import process_names, serving, until

pytestmark = pytest.mark.skipif(shutil.which("ssh") is None, reason="ssh is not installed")


class Keys:
    """The keys of a server, and those of its only client."""

    def __init__(self, folder: Path) -> None:
        self.host = asyncssh.generate_private_key("ssh-ed25519")
        self.path = folder / "key"
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(str(self.path))
        self.path.chmod(0o600)
        self.allowed = folder / "allowed"
        key.write_public_key(str(self.allowed))

    def options(self) -> dict[str, Any]:
        return {"server_host_keys": [self.host], "authorized_client_keys": str(self.allowed)}

    def command(self, port: int, user: str, *words: str) -> list[str]:
        return [
            "ssh", "-F", "none", "-i", str(self.path), "-p", str(port), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
            "-o", "LogLevel=ERROR", "-o", "IdentitiesOnly=yes", f"{user}@127.0.0.1", *words,
        ]  # fmt: skip


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


def run(keys: Keys, main: Callable[[Any, int], Any]) -> None:
    async def everything() -> None:
        async with serving(*ssh.program(Listener(0), keys.options)) as (ground, port):
            await main(ground, port)
            await until(ground, lambda: not any(" of " in name for name in process_names(ground)))
            assert process_names(ground) == ["ground", "test", "chat", "shell", "door"]

    anyio.run(everything)


async def line(process: Any) -> str:
    buffer = b""
    while not buffer.endswith(b"\n"):
        buffer += await process.stdout.receive(1)
    return buffer.decode().rstrip("\n")


def test_a_room_and_its_visitors(keys: Keys) -> None:
    async def main(ground: Any, port: int) -> None:
        async with (
            await anyio.open_process(keys.command(port, "ann", "chat")) as ann,
            await anyio.open_process(keys.command(port, "bob", "chat")) as bob,
        ):
            assert await line(ann) == "Hello, ann."
            assert await line(bob) == "Hello, bob."
            assert {await line(ann), await line(bob)} == {"bob is here.", "ann is here."}
            assert ann.stdin is not None
            assert bob.stdin is not None
            await bob.stdin.send(b"hello\n")
            assert await line(ann) == "bob: hello"
            bob.send_signal(signal.SIGKILL)
            assert await line(ann) == "bob has left."
            await ann.stdin.send(b"/quit\n")
            assert await ann.wait() == 0

    run(keys, main)


def test_a_prompt(keys: Keys) -> None:
    async def main(ground: Any, port: int) -> None:
        lines = (
            b'(+ 1 2)\n(defchor ask [A B] (-> A B) [x] (A->B x))\n(get (simulate-chor ask 5) "B")\n(/ 1 0)\n(quit)\n'
        )
        done = await anyio.run_process(keys.command(port, "ann", "shell"), input=lines)
        out = done.stdout.decode()
        assert out.startswith("=> 3\n=> ")
        assert "\n=> 5\n" in out
        assert "ZeroDivisionError: division by zero" in out

    run(keys, main)


def test_what_is_not_there_cannot_be_opened(keys: Keys) -> None:
    async def main(ground: Any, port: int) -> None:
        done = await anyio.run_process(keys.command(port, "ann", "x11"), check=False)
        assert (done.returncode, done.stdout) == (1, b"There is no x11 here.\n")

    run(keys, main)


def test_a_failure_is_told_and_is_the_exit_status(keys: Keys) -> None:
    async def main(ground: Any, port: int) -> None:
        done = await anyio.run_process(keys.command(port, "ann", "chat"), input=b"/crash\n", check=False)
        assert (done.returncode, done.stdout) == (1, b"Hello, ann.\nThe session failed: you asked for it\n")

    run(keys, main)


def test_who_has_no_key_stays_outside(keys: Keys, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    stranger = Keys(tmp_path / "other")

    async def main(ground: Any, port: int) -> None:
        done = await anyio.run_process([*stranger.command(port, "ann", "chat")], check=False)
        assert done.returncode == 255

    run(keys, main)
