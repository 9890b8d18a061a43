"""What cannot be done outside is told to those who asked, and to the user; it is never silent, and never a traceback."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import anyio
import asyncssh
import pytest

from klorpy import KlorError
from klorpy.conversations import (
    ANY,
    Absence,
    Failure,
    Ground,
    Request,
    Source,
    Until,
    VirtualClock,
    World,
    ground_vm,
    kill,
    observe_publishers,
    quit,
    replay,
    role,
    send,
    spawn,
    subscriber,
)
from klorpy.conversations.drivers import Addr, Listener, Listening, SetTimer, Udp, listen, tcp_driver, udp_driver
from klorpy.conversations.drivers.connections import Close, Connect, Connected
from klorpy.conversations.drivers.sockets import Bind, Bound, Listen
from klorpy.examples.conversations.__main__ import main


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody else has, for TCP and for UDP."""
    with ExitStack() as stack:
        while True:
            tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            port = tcp.getsockname()[1]
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            break
        yield port


@dataclass(frozen=True)
class Impossible(Request):
    def perform(self, ground: Ground) -> None:
        raise ZeroDivisionError("not today")


@dataclass(frozen=True)
class Slippery(Source):
    async def ready(self, ground: Ground) -> None:
        return None

    def take(self, ground: Ground) -> Any:
        raise LookupError("it was here")


# --- The ground -------------------------------------------------------------------------------------------------------


def test_a_request_that_cannot_be_performed_is_told_to_who_listens(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[Any] = []

    def boot() -> list[Any]:
        def told(event: Any, state: Any) -> Any:
            heard.append(event.body)
            return quit("told")

        return [role("in", subscriber((Impossible(), ANY)), on_message=told), send(("ground", Impossible()))]

    ground = ground_vm(boot, VirtualClock())
    assert heard == [(Impossible(), Failure("ZeroDivisionError: not today"))]
    assert ground.recording == heard
    assert caplog.records == []
    # The failure came from outside, so it is in the recording, and nothing is asked again.
    replay(boot, ground.recording)
    assert heard[1:] == heard[:1]


def test_a_request_that_fails_unheard_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "klorpy.conversations"):
        ground_vm([send(("ground", Impossible()))], VirtualClock())
    assert "ZeroDivisionError: not today" in caplog.text


def test_what_cannot_be_taken_is_told_as_a_failure() -> None:
    heard: list[Any] = []

    def told(event: Any, state: Any) -> Any:
        heard.append(event.body[1])
        return quit()

    ground_vm([role("in", subscriber((Slippery(), ANY)), on_message=told)], VirtualClock())
    assert heard == [Failure("LookupError: it was here")]


def test_when_the_first_process_fails_the_program_does() -> None:
    def fails(event: Any, state: Any) -> Any:
        raise ArithmeticError("nobody counts")

    others = spawn(role("never", subscriber(("never", ANY))), "other")
    with pytest.raises(ArithmeticError, match="nobody counts"):
        ground_vm([others, role("in", subscriber("go"), on_message=fails), send("go")], VirtualClock())


# --- Addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("port", [-1, 65536, 80000, "http", None, True, 80.0])
def test_what_is_no_port_is_refused(port: Any) -> None:
    for make in (Listener, lambda port: Addr("127.0.0.1", port)):
        with pytest.raises(KlorError, match="is not a port") as caught:
            make(port)
        assert caught.value.slug == "bad-argument"


@pytest.mark.parametrize(
    ("request_", "outcome"),
    [
        (Listen("it", "127.0.0.1", 80000), Bound("it")),
        (Bind("it", "127.0.0.1", 80000), Bound("it")),
        (Connect("it", "127.0.0.1", 80000), Connected("it")),
        (Listen("it", "a..b", 0), Bound("it")),
        (Connect("it", "a..b", 80), Connected("it")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_address_that_cannot_be_is_an_outcome(request_: Any, outcome: Any) -> None:
    heard: list[Any] = []

    def told(event: Any, state: Any) -> Any:
        heard.append(event.body[1])
        return [send(("ground", Close("it"))), quit()]

    ground_vm([send(("ground", request_)), role("in", subscriber((outcome, ANY)), on_message=told)])
    assert [type(value) for value in heard] == [Failure]


# --- A port that is taken ---------------------------------------------------------------------------------------------


def test_who_listens_at_a_port_that_is_taken_fails(taken: int) -> None:
    with pytest.raises(KlorError, match=f"cannot listen at 127.0.0.1:{taken}: .*in use") as caught:
        ground_vm([tcp_driver(), listen(Listener(taken), lambda remote: spawn(None))])
    assert caught.value.slug == "bad-argument"


@pytest.mark.parametrize("driver", [tcp_driver, udp_driver])
def test_the_absence_of_a_listener_says_why(taken: int, driver: Any) -> None:
    here = Listener(taken)
    seen: list[Any] = []

    def gone(event: Absence, state: Any) -> Any:
        seen.append(event.reason)
        return quit()

    if driver is udp_driver:
        demand: Any = role("in", subscriber(Udp(ANY, here, ANY)))
        program = [driver(), demand]
    else:
        program = [driver(), spawn(listen(here, lambda remote: spawn(None)))]
    ground_vm([*program, role("watch", observe_publishers(Listening(here, ANY)), on_absence=gone)])
    ((kind, text),) = seen
    assert kind == "cannot-listen"
    assert "in use" in text


@pytest.mark.parametrize("name", ["echo", "date", "chat", "dns", "ssh"])
def test_an_example_says_that_its_port_is_taken(
    name: str, taken: int, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".ssh").mkdir()
    asyncssh.generate_private_key("ssh-ed25519").write_public_key(tmp_path / ".ssh" / "authorized_keys")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(SystemExit) as caught:
        main(name, str(taken))
    # A text as the code is printed, and the status is 1.
    assert "in use" in str(caught.value.code)


def test_an_example_refuses_what_is_no_port() -> None:
    with pytest.raises(SystemExit, match="80000 is not a port"):
        main("echo", "80000")


# --- What nobody may do -----------------------------------------------------------------------------------------------


def test_the_ground_cannot_be_killed() -> None:
    with pytest.raises(KlorError, match="cannot kill") as caught:
        ground_vm([kill("ground", "x")], VirtualClock())
    assert caught.value.slug == "bad-action"


@pytest.mark.parametrize("time", [float("nan"), float("inf"), "3", None])
def test_a_timer_that_never_expires_is_refused(time: Any) -> None:
    with pytest.raises(KlorError, match="a timer cannot be set"):
        SetTimer("tea", time)


def test_a_timer_is_of_a_kind_and_a_moment_a_number() -> None:
    with pytest.raises(KlorError, match="not a kind of timer"):
        SetTimer("tea", 3, "soon")
    with pytest.raises(KlorError, match="cannot be nan"):
        Until(float("nan"))


def test_a_session_needs_an_open_world() -> None:
    async def session() -> None:
        async with World().session("chat", "s1", ["A", "B"]):
            pass

    with pytest.raises(KlorError, match="the world is not open"):
        anyio.run(session)
