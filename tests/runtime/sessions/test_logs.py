"""What sessions log: enough to follow them, at levels that mean something."""

from __future__ import annotations

import logging
import socket
from typing import Any

import anyio
import pytest

import klorpy
from klorpy.runtime.sessions import Seat

NS = klorpy.evaluate("(defchor ask [A B] (-> A A) [x] (B->A (B (/ 2 (A->B x)))))")


def serve_and_ask(x: int) -> None:
    """A over a connection of its own; B is served."""

    async def main() -> None:
        sock = socket.create_server(("127.0.0.1", 0))
        async with klorpy.host(listen=sock) as server, anyio.create_task_group() as group:

            async def play(seat: Seat) -> Any:
                return await klorpy.play_role({"role": "B", "transport": seat}, NS.ask)

            group.start_soon(server.serve, NS.ask, "B", play)
            peers = {"B": f"127.0.0.1:{sock.getsockname()[1]}"}
            try:
                async with klorpy.connect(NS.ask, "A", session="s1", peers=peers) as seat:
                    await klorpy.play_role({"role": "A", "transport": seat}, NS.ask, x)
            except klorpy.SessionFailed:
                pass
            group.cancel_scope.cancel()

    anyio.run(main)


def lines(caplog: pytest.LogCaptureFixture, logger: str, level: int = logging.INFO) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == logger and r.levelno == level]


def test_a_session_can_be_followed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "klorpy")
    serve_and_ask(2)
    found = lines(caplog, "klorpy.session")
    for role in "AB":
        assert [line for line in found if f": {role} " in line] == [
            f"session s1: {role} joins, to play ask", f"session s1: {role} begins", f"session s1: {role} leaves",
        ]  # fmt: skip
    made = [line for line in lines(caplog, "klorpy.tcp") if line.endswith(" is made")]
    assert len(made) == 2
    assert all(line.startswith("the connection with 127.0.0.1:") for line in made)
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


def test_what_nobody_else_is_told_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "klorpy")
    serve_and_ask(0)
    assert [line for line in lines(caplog, "klorpy.session") if "A fails" in line] != []
    (warning,) = lines(caplog, "klorpy.session", logging.WARNING)
    assert warning == "session s1: B ended: ZeroDivisionError: division by zero"
