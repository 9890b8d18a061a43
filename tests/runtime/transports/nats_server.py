"""A nats-server of our own for tests, on a port that is free."""

from __future__ import annotations

import atexit
import functools
import re
import shutil
import signal
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import IO, Any, Final

import nats

PROGRAM: Final = shutil.which("nats-server")
MISSING: Final = "needs the program nats-server (Debian: apt install nats-server)"

_PORT: Final = re.compile(r"Listening for client connections on .*:(\d+)")


class NatsServer:
    """A server with JetStream that stores in `folder`; `config` are lines of its configuration file."""

    def __init__(self, folder: Path, config: str = "", *, jetstream: bool = True) -> None:
        self.folder = folder
        self.port = -1
        self._config = config
        self._jetstream = jetstream
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def of(self, user: str, password: str) -> str:
        return f"nats://{user}:{password}@127.0.0.1:{self.port}"

    def start(self, env: dict[str, str] | None = None) -> None:
        """Start it, or start it again at the same port with what it stored, and wait until it is ready."""
        assert PROGRAM is not None
        self.folder.mkdir(exist_ok=True)
        storage = f'jetstream {{ store_dir: "{self.folder}" }}\n' if self._jetstream else ""
        config = self.folder / "server.conf"
        config.write_text(f"listen: 127.0.0.1:{self.port}\n{storage}{self._config}\n")
        self._process = subprocess.Popen(
            [PROGRAM, "-c", str(config)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=env
        )
        assert self._process.stderr is not None
        said = []
        for line in self._process.stderr:
            said.append(line)
            if found := _PORT.search(line):
                self.port = int(found[1])
            if "Server is ready" in line:
                break
        else:
            raise RuntimeError("".join(said))
        threading.Thread(target=_drain, args=[self._process.stderr], daemon=True).start()

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)


@functools.cache
def shared_server() -> NatsServer:
    """One server for all tests of a process that do nothing to it; it ends with the process."""
    folder = tempfile.TemporaryDirectory()
    server = NatsServer(Path(folder.name) / "store")
    server.start()

    def end() -> None:
        server.kill()
        folder.cleanup()

    atexit.register(end)
    return server


def _drain(stream: IO[str]) -> None:
    with stream:
        for _ in stream:
            pass


async def left_behind(url: str, app: str) -> tuple[dict[str, int], list[str]]:
    """How many messages of each subject, and which consumers, an application has at the server."""
    client = await nats.connect(url)
    try:
        manager = client.jsm()
        info: Any = await manager.stream_info(f"klorpy-{app}", subjects_filter=">")
        consumers = await manager.consumers_info(f"klorpy-{app}")
        return info.state.subjects or {}, [consumer.name for consumer in consumers]
    finally:
        await client.close()
