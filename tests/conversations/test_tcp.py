"""TCP on loopback: the examples, credit, and every way in which a connection ends."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from klorpy.conversations import (
    ANY,
    Absence,
    Exited,
    Feedback,
    Ground,
    Message,
    Quit,
    Send,
    Transition,
    event_relay,
    nested_vm,
    publisher,
    quit,
    role,
    spawn,
    subscriber,
)  # fmt: skip
from klorpy.conversations.drivers import (
    EOF,
    Addr,
    Credit,
    Error,
    Handle,
    Listener,
    Mode,
    Tcp,
    lines,
    listen,
    say,
    tcp_driver,
)  # fmt: skip
from klorpy.conversations.drivers.connections import AHEAD, Connection
from klorpy.conversations.drivers.sockets import Bound, Listening
from klorpy.conversations.drivers.tcp import UNWRITTEN
from klorpy.examples.conversations import chat, date, echo
from tests.conversations.serving import LIMIT, client, process_names, serving, until

ANYWHERE = Listener(0)


def connections(ground: Any) -> list[str]:
    return [name for name in process_names(ground) if name.startswith("connection")]


def test_echo() -> None:
    async def main() -> None:
        async with serving(*echo.program(ANYWHERE)) as (ground, port):
            async with client(port) as ann, client(port) as bob:
                await ann.say("hello")
                await bob.say("hi")
                assert await bob.line() == "You said: hi"
                assert await ann.line() == "You said: hello"
            await until(ground, lambda: not connections(ground))
            assert process_names(ground) == ["ground", "test", "boot", "tcp", "listener 0"]

    anyio.run(main)


def test_lines_come_one_by_one_however_they_are_sent() -> None:
    async def main() -> None:
        async with serving(*echo.program(ANYWHERE)) as (_, port), client(port) as ann:
            await ann.stream.send(b"one\ntwo\r\nth")
            assert [await ann.line(), await ann.line()] == ["You said: one", "You said: two"]
            await ann.stream.send(b"ree\n\nunfinished")
            assert [await ann.line(), await ann.line()] == ["You said: three", "You said: "]
            await ann.stream.send_eof()
            assert await ann.end() == b"You said: unfinished\n"

    anyio.run(main)


def test_date_is_told_and_then_hung_up() -> None:
    async def main() -> None:
        async with serving(*date.program(ANYWHERE)) as (ground, port):
            async with client(port) as ann:
                text = (await ann.end()).decode()
                assert len(text) == len("2012-06-01 12:00:00\n")
            await until(ground, lambda: not connections(ground))

    anyio.run(main)


def test_chat() -> None:
    async def main() -> None:
        async with serving(*chat.program(ANYWHERE)) as (ground, port):
            async with client(port) as ann:
                assert await ann.line() == "What is your name?"
                await ann.say("ann")
                async with client(port) as bob:
                    await bob.line()
                    await bob.say("bob")
                    assert await ann.line() == "bob is here."
                    assert await bob.line() == "ann is here."
                    await bob.say("hello")
                    assert await ann.line() == "bob: hello"
                    await ann.say("hi")
                    assert await bob.line() == "ann: hi"
                assert await ann.line() == "bob has left."
            await until(ground, lambda: not connections(ground))

    anyio.run(main)


def test_a_failing_handler_closes_its_connection_and_no_other() -> None:
    def served(remote: Addr) -> Any:
        def line(text: str, state: Any) -> Any:
            if text == "crash":
                raise ValueError("crashed")
            return say(ANYWHERE, remote, f"{text}\n")

        return spawn(lines(ANYWHERE, remote, line), f"served {remote.port}")

    async def main() -> None:
        async with (
            serving(tcp_driver(), listen(ANYWHERE, served)) as (ground, port),
            client(port) as ann,
            client(port) as bob,
        ):
            await ann.say("crash")
            assert await ann.end() == b""
            await bob.say("still here")
            assert await bob.line() == "still here"
            reasons = [r.reason for r in ground.kernel.log or () if isinstance(r, Exited)]
            assert sum(isinstance(reason, ValueError) for reason in reasons) == 2  # the process and its connection

    anyio.run(main)


def test_the_server_runs_unchanged_in_a_nested_vm() -> None:
    ports: list[int] = []

    def bound(event: Message, state: Any) -> Any:
        ports.append(event.body[1][1])

    async def main() -> None:
        ground = Ground()
        # What is published inside is not seen here; what the ground delivers is.
        ground.kernel.start("test", [role("bound", subscriber((Bound(ANY), ANY)), on_message=bound)])
        ground.kernel.start("boot", [nested_vm([*event_relay(), *echo.program(ANYWHERE)], "server")])
        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ground.run)
                await until(ground, lambda: ports)
                async with client(ports[0]) as ann:
                    await ann.say("hello")
                    assert await ann.line() == "You said: hello"
                tasks.cancel_scope.cancel()
        assert ground.resources == {}

    anyio.run(main)


# --- Credit -----------------------------------------------------------------------------------------------------------


def counting(mode: str, grants: list[int], got: list[bytes]) -> Callable[[Addr], Any]:
    """Serve a connection that is given credit in portions: the next one when the last is used up."""

    def serve(remote: Addr) -> Any:
        def part(event: Message, left: int) -> Any:
            data = event.body.part
            if not isinstance(data, bytes):
                return quit("end")
            got.append(data)
            left -= 1 if mode == "lines" else len(data)
            if left or not grants:
                return Transition(left)
            amount = grants.pop(0)
            return Transition(amount, Feedback(Tcp(remote, ANYWHERE, Credit(amount))))

        first = grants.pop(0)
        return spawn(lambda: Transition(
            first, Feedback(Tcp(remote, ANYWHERE, Mode(mode))), Feedback(Tcp(remote, ANYWHERE, Credit(first))),
            role("in", subscriber(Tcp(remote, ANYWHERE, ANY)), on_message=part),
        ), "counting")  # fmt: skip

    return serve


@pytest.mark.parametrize("mode", ["lines", "bytes"])
def test_no_more_is_delivered_than_credit_was_given(mode: str) -> None:
    sent = b"".join(b"line %d\n" % n for n in range(50))
    grants = [3, 5, 2]
    total = sum(grants)
    got: list[bytes] = []

    async def main() -> None:
        async with (
            serving(tcp_driver(), listen(ANYWHERE, counting(mode, grants, got))) as (ground, port),
            client(port) as ann,
        ):
            await ann.stream.send(sent)
            await until(ground, lambda: (len(got) if mode == "lines" else len(b"".join(got))) >= total)
            await anyio.wait_all_tasks_blocked()
            if mode == "lines":
                assert got == [b"line %d" % n for n in range(total)]
            else:
                assert b"".join(got) == sent[:total]

    anyio.run(main)


def test_no_byte_is_lost_when_credit_comes_in_drops() -> None:
    """Input is demanded, used up and demanded again thousands of times."""
    sent = bytes(n % 251 for n in range(3000))
    got: list[bytes] = []

    async def main() -> None:
        grants = [1, 2, 3, 5, 7] * 200
        async with (
            serving(tcp_driver(), listen(ANYWHERE, counting("bytes", grants, got)), logging=False) as (
                ground,
                port,
            ),
            client(port) as ann,
        ):
            for start in range(0, len(sent), 11):
                await ann.stream.send(sent[start : start + 11])
            await until(ground, lambda: len(b"".join(got)) == len(sent))
        assert b"".join(got) == sent

    anyio.run(main)


def test_a_sender_waits_when_nobody_gives_credit() -> None:
    """Memory stays flat: only so much is read ahead, then the network makes the sender wait."""

    def serve(remote: Addr) -> Any:
        return spawn([role("in", subscriber(Tcp(remote, ANYWHERE, ANY)))], "silent")

    sent = 0

    async def send_all(stream: Any) -> None:
        nonlocal sent
        while True:
            await stream.send(bytes(AHEAD))
            sent += AHEAD

    async def main() -> None:
        async with (
            serving(tcp_driver(), listen(ANYWHERE, serve)) as (ground, port),
            client(port) as ann,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(send_all, ann.stream)
            await until(ground, lambda: any(isinstance(r, Connection) and r.buffer for r in ground.resources.values()))
            await anyio.wait_all_tasks_blocked()
            (connection,) = [r for r in ground.resources.values() if isinstance(r, Connection)]
            assert len(connection.buffer) == AHEAD
            # The rest is what the system keeps.
            assert sent < 200 * AHEAD
            tasks.cancel_scope.cancel()

    anyio.run(main)


def test_a_client_that_never_reads_comes_to_wait() -> None:
    """What is not written yet stays bounded, and when the client reads after all, it gets every answer."""
    size, count = 1 << 12, 64 << 8
    sent = 0

    async def ask_all(ann: Any) -> None:
        nonlocal sent
        for _ in range(count):
            await ann.say("x" * size)
            sent += 1

    async def main() -> None:
        async with (
            serving(*echo.program(ANYWHERE)) as (ground, port),
            client(port) as ann,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(ask_all, ann)
            await until(ground, lambda: any(isinstance(r, Connection) for r in ground.resources.values()))
            (connection,) = [r for r in ground.resources.values() if isinstance(r, Connection)]

            def unwritten() -> int:
                return sum(map(len, connection._outgoing))

            await until(ground, lambda: unwritten() > UNWRITTEN and len(connection.buffer) == AHEAD)
            await anyio.wait_all_tasks_blocked()
            assert unwritten() < UNWRITTEN + 2 * size
            assert sent < count
            tasks.cancel_scope.cancel()
            # What was sent in part is a line at the end.
            await ann.stream.send_eof()
            answers = (await ann.end()).splitlines()
            assert sent <= len(answers) <= sent + 1
            assert set(answers[:sent]) == {b"You said: " + b"x" * size}

    anyio.run(main)


def test_what_was_written_is_acknowledged() -> None:
    acknowledged: list[int] = []

    def serve(remote: Addr) -> Any:
        def ack(event: Message, state: Any) -> Any:
            acknowledged.append(event.body.part.amount)
            return quit("all said") if sum(acknowledged) == 11 else None

        return spawn([
            role("out", publisher(Tcp(ANYWHERE, remote, ANY)), on_message=ack), say(ANYWHERE, remote, "hello "), say(ANYWHERE, remote, "world"),
        ], "speaker")  # fmt: skip

    async def main() -> None:
        async with serving(tcp_driver(), listen(ANYWHERE, serve)) as (_, port), client(port) as ann:
            assert await ann.end() == b"hello world"

    anyio.run(main)
    assert sum(acknowledged) == 11


# --- Opening, and failing to ------------------------------------------------------------------------------------------


def test_a_connection_is_opened_by_who_takes_part_in_it() -> None:
    heard: list[Any] = []

    async def main() -> None:
        async with serving(*echo.program(ANYWHERE)) as (ground, port):
            remote, local = Addr("127.0.0.1", port), Handle("me")

            def line(text: str, state: Any) -> Any:
                heard.append(text)
                return [Send(Tcp(local, remote, EOF)), Quit("done")]

            def connected(event: Any, state: Any) -> Any:
                return [lines(local, remote, line), say(local, remote, "knock\n")]

            ground.kernel.start("client", [
                role("out", publisher(Tcp(local, remote, ANY)), on_presence=connected),
            ])  # fmt: skip
            ground.wake()
            await until(ground, lambda: heard and not connections(ground))

    anyio.run(main)
    assert heard == ["You said: knock"]


def test_failing_to_connect_is_told(free_port: int) -> None:
    heard: list[Any] = []
    remote, local = Addr("127.0.0.1", free_port), Handle("me")

    async def main() -> None:
        ground = Ground()

        def told(event: Message, state: Any) -> Any:
            heard.append(event.body.part)
            return Quit()

        ground.kernel.start("boot", [tcp_driver(), role("in", subscriber(Tcp(remote, local, ANY)), on_message=told)])
        with anyio.fail_after(20):
            await ground.run()

    anyio.run(main)
    (error,) = heard
    assert isinstance(error, Error)
    assert error.text.startswith("ConnectionRefusedError")


def test_failing_to_listen_is_told() -> None:
    heard: list[Any] = []

    async def main() -> None:
        async with serving(*echo.program(ANYWHERE)) as (ground, port):
            taken = Listener(port)

            def told(event: Message, state: Any) -> Any:
                heard.append(event.body.part)
                return Quit()

            watch = role("watch", subscriber(Tcp(ANY, taken, ANY)), on_message=told)
            ground.kernel.start("second", [watch, listen(taken, lambda remote: spawn(None))])
            ground.wake()
            await until(ground, lambda: heard)

    anyio.run(main)
    assert "in use" in heard[0].text


def test_a_listener_is_closed_when_its_last_observer_leaves() -> None:
    async def main() -> None:
        async with serving(*echo.program(ANYWHERE)) as (ground, port):
            ground.kernel.start("also", [listen(ANYWHERE, lambda remote: spawn(None))])
            ground.wake()
            await until(ground, lambda: "also" in process_names(ground))
            ground.kernel.enqueue("also", Quit())
            ground.wake()
            await until(ground, lambda: "also" not in process_names(ground))
            async with client(port) as ann:
                await ann.say("still open")
                assert await ann.line() == "You said: still open"
                ground.kernel.enqueue("boot", Quit())
                ground.wake()
                await until(ground, lambda: "listener 0" not in process_names(ground))
                # Connections that exist live on.
                await ann.say("and here")
                assert await ann.line() == "You said: and here"
            await until(ground, lambda: not any(isinstance(r, Listening) for r in ground.resources.values()))
            with pytest.raises(OSError, match="connect"):
                await anyio.connect_tcp("127.0.0.1", port)

    anyio.run(main)


# --- Real clients -----------------------------------------------------------------------------------------------------

NC = shutil.which("nc")
with_nc = pytest.mark.skipif(NC is None, reason="nc is not installed")


@with_nc
def test_nc_talks_to_the_echo_server() -> None:
    async def main() -> None:
        async with serving(*echo.program(ANYWHERE)) as (_, port):
            done = await anyio.run_process(["nc", "-N", "127.0.0.1", str(port)], input=b"one\ntwo\n")
            assert done.stdout == b"You said: one\nYou said: two\n"

    anyio.run(main)


@with_nc
def test_a_client_that_is_killed_leaves_the_room() -> None:
    async def main() -> None:
        async with serving(*chat.program(ANYWHERE)) as (ground, port), client(port) as ann:
            await ann.line()
            await ann.say("ann")
            async with await anyio.open_process(["nc", "127.0.0.1", str(port)]) as bob:
                assert bob.stdin is not None
                await bob.stdin.send(b"bob\nhello\n")
                assert await ann.line() == "bob is here."
                assert await ann.line() == "bob: hello"
                bob.send_signal(signal.SIGKILL)
                assert await ann.line() == "bob has left."
            await until(ground, lambda: len(connections(ground)) == 1)

    anyio.run(main)


def test_absence_has_the_reason_of_the_connection() -> None:
    reasons: list[Any] = []

    def serve(remote: Addr) -> Any:
        def gone(event: Absence, state: Any) -> Any:
            reasons.append(event.reason)
            return Quit()

        return spawn([role("in", subscriber(Tcp(remote, ANYWHERE, ANY)), on_absence=gone)], "patient")

    async def main() -> None:
        async with serving(tcp_driver(), listen(ANYWHERE, serve)) as (ground, port):
            async with client(port):
                await until(ground, lambda: "patient" in process_names(ground))
            await until(ground, lambda: reasons)

    anyio.run(main)
    assert reasons == [None]
