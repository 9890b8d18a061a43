"""What happens between two processes when the connection between them, or one of them, does not do what it should."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import tracemalloc
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import klorpy
from klorpy.runtime.sessions import Node, Window
from tests.runtime.sessions.nodes import address, tcp
from tests.runtime.sessions.processes import free_port
from tests.runtime.sessions.proxy import Proxy, proxy_to

NS = klorpy.evaluate("""
(defchor tell [A B] (-> A B) [x] (A->B x))
(defchor rally [A B] (-> #{A B} A A) [n x]
  (loop [n n x x] (if (> n 0) (recur (- n 1) (B->A (A->B x))) x)))
(defchor ask [Client Server] (-> Client Client) [x] (Server->Client (Server (/ 100 (Client->Server x)))))
""")
SITE = NS.tell.defined().sites[0]
TOO_LONG = 60


def run(function: Callable[[], Any]) -> Any:
    """Run a coroutine function; nothing may be left behind or complained about."""
    complaints: list[dict[str, Any]] = []

    async def limited() -> Any:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        with anyio.fail_after(TOO_LONG):
            result = await function()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert not others, others
        return result

    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        result = anyio.run(limited)
        gc.collect()
    assert not complaints, complaints
    return result


@asynccontextmanager
async def through_a_proxy(window: Window | None = None, **options: Any) -> AsyncIterator[tuple[Node, Node, Proxy]]:
    """A, which reaches B through a proxy."""
    async with (
        klorpy.host(listen="127.0.0.1:0", window=window, **options) as b, proxy_to(tcp(b).ports[0]) as proxy,
        klorpy.host(peers={"B": f"127.0.0.1:{proxy.port}"}, window=window, **options) as a,
    ):
        yield a, b, proxy


async def play(node: Node, chor: Any, role: str, *args: Any, session: str = "s", deadline: float = TOO_LONG) -> Any:
    async with node.join(chor, role, session, deadline=deadline) as transport:
        return await klorpy.play_role({"role": role, "transport": transport}, chor, *args)


async def both(one: Any, other: Any) -> list[Any]:
    """The results of two roles, or their errors."""
    return list(await asyncio.gather(one, other, return_exceptions=True))


# --- Connections ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_a_connection_that_is_cut_in_the_middle_of_a_frame_comes_back_without_loss(seed: int) -> None:
    async def main() -> None:
        source = random.Random(seed)
        async with through_a_proxy(grace=TOO_LONG) as (a, b, proxy):
            proxy.cuts = [source.randrange(200, 4000) for _ in range(12)]
            value = ["ball", bytes(100)]
            got = await both(play(a, NS.rally, "A", 150, value), play(b, NS.rally, "B", 150))
            assert got == [value, klorpy.noop]
            assert proxy.connections > 5

    run(main)


def test_a_connection_that_is_cut_again_and_again_while_much_is_on_its_way() -> None:
    """The windows are full, and the sender waits for room, when the connection breaks."""

    async def main() -> None:
        async with through_a_proxy(grace=TOO_LONG, window=Window(16, 2000)) as (a, b, proxy):
            proxy.cuts = [random.Random(number).randrange(500, 3000) for number in range(30)]

            async def send() -> None:
                async with a.join(NS.tell, "A", "s") as transport:
                    for number in range(300):
                        await transport.send("B", [number, "x" * 90], SITE)

            async def receive() -> list[int]:
                async with b.join(NS.tell, "B", "s") as transport:
                    return [(await transport.receive("A", SITE))[0] for _ in range(300)]

            got = await both(send(), receive())
            assert got == [None, list(range(300))]
            assert proxy.connections > 8

    run(main)


def test_a_connection_that_does_not_come_back_is_a_lost_peer_on_both_sides() -> None:
    async def main() -> None:
        async with through_a_proxy(grace=0.2) as (a, b, proxy):

            async def cut() -> None:
                while proxy.carried < 3000:
                    await anyio.lowlevel.checkpoint()
                proxy.open = False
                proxy.cut()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(cut)
                errors = await both(play(a, NS.rally, "A", 10**9, 1), play(b, NS.rally, "B", 10**9))
            for error, other in zip(errors, "BA", strict=True):
                assert isinstance(error, klorpy.PeerLost), error
                assert error.verdict is not None
                assert str(error.verdict) == f"{other} was lost (the connection broke, and did not come back within 0.2 s)"

    run(main)


async def sent_last(proxy: Proxy, a: Node, *, then: Callable[[], None]) -> None:
    """A sends its last message after the connection has broken; `then` is called while it waits for what becomes of that."""
    async with a.join(NS.tell, "A", "s", deadline=TOO_LONG) as transport:
        proxy.open = False
        proxy.cut()
        while not transport.peers["B"].away:
            await anyio.lowlevel.checkpoint()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(klorpy.play_role, {"role": "A", "transport": transport}, NS.tell, 7)
            while transport.step == 0:
                await anyio.lowlevel.checkpoint()
            then()


def test_a_role_ends_well_when_the_connection_comes_back_for_its_last_message() -> None:
    async def main() -> None:
        async with through_a_proxy(grace=TOO_LONG) as (a, b, proxy):

            def back() -> None:
                proxy.open = True

            assert await both(sent_last(proxy, a, then=back), play(b, NS.tell, "B")) == [None, 7]

    run(main)


def test_a_role_fails_when_the_connection_does_not_come_back_for_its_last_message() -> None:
    async def main() -> None:
        async with through_a_proxy(grace=0.2) as (a, b, proxy):
            errors = await both(sent_last(proxy, a, then=lambda: None), play(b, NS.tell, "B"))
            (of_a,) = errors[0].exceptions
            for error, other in ((of_a, "B"), (errors[1], "A")):
                assert isinstance(error, klorpy.PeerLost | klorpy.SessionFailed), error
                assert str(error.verdict) == f"{other} was lost (the connection broke, and did not come back within 0.2 s)"

    run(main)


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_process_that_ends_sees_that_its_last_message_arrives_over_a_broken_connection(comes_back: bool) -> None:
    """The connection breaks when the role has left already."""

    async def main() -> None:
        grace = TOO_LONG if comes_back else 0.2
        async with klorpy.host(listen="127.0.0.1:0", grace=grace) as b, proxy_to(tcp(b).ports[0]) as proxy:
            there = {"B": f"127.0.0.1:{proxy.port}"}

            async def tell() -> None:
                async with klorpy.connect(NS.tell, "A", session="s", peers=there, grace=grace) as seat:
                    proxy.flows.clear()
                    await seat.send("B", 7, SITE)
                    asyncio.get_running_loop().call_soon(cut)

            def cut() -> None:
                proxy.open = comes_back
                proxy.cut()
                proxy.flows.set()

            told, heard = await both(tell(), play(b, NS.tell, "B"))
            if comes_back:
                assert (told, heard) == (None, 7)
            else:
                assert isinstance(told, klorpy.SessionFailed), told
                assert "A had done its part, but what it sent last has not arrived" in told.notes
                assert isinstance(heard, klorpy.PeerLost), heard

    run(main)


def test_a_peer_that_falls_silent_is_lost() -> None:
    """The connection stands, but nothing comes through it any more."""

    async def main() -> None:
        async with through_a_proxy(heartbeat=0.3, grace=0.1) as (a, b, proxy):

            async def stall() -> None:
                while proxy.carried < 3000:
                    await anyio.lowlevel.checkpoint()
                proxy.flows.clear()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(stall)
                errors = await both(play(a, NS.rally, "A", 10**9, 1), play(b, NS.rally, "B", 10**9))
            for error in errors:
                assert isinstance(error, klorpy.PeerLost), error
            assert any("it was silent for 0.3 s" in error.message for error in errors)

    run(main)


def test_a_peer_that_is_slow_but_alive_is_not_lost() -> None:
    """Roles that compute for longer than the limit of silence say nothing; their processes do."""

    async def main() -> None:
        async with through_a_proxy(heartbeat=0.3, grace=0) as (a, b, _):

            async def slow() -> Any:
                async with b.join(NS.tell, "B", "s") as transport:
                    with anyio.move_on_after(1):
                        await anyio.sleep_forever()
                    return await transport.receive("A", SITE)

            assert await both(play(a, NS.tell, "A", 5), slow()) == [klorpy.noop, 5]

    run(main)


def test_what_was_lost_on_one_side_only_is_told_to_the_other() -> None:
    """A gives B up, B does not notice until it speaks again: then it gets A's verdict instead of waiting for ever."""

    async def main() -> None:
        async with (
            klorpy.host(listen="127.0.0.1:0", grace=0.1) as b, proxy_to(tcp(b).ports[0]) as proxy,
            klorpy.host(peers={"B": f"127.0.0.1:{proxy.port}"}, grace=TOO_LONG) as a,
        ):
            at_a, at_b = a.seat(NS.rally, "A", "s"), b.seat(NS.rally, "B", "s")
            await both(at_a.assembled(TOO_LONG), at_b.assembled(TOO_LONG))
            site = NS.rally.defined().sites[0]
            proxy.open = False
            proxy.cut()
            with pytest.raises(klorpy.PeerLost) as lost:
                await at_b.receive("A", site)
            proxy.open = True
            with pytest.raises(klorpy.SessionFailed) as told:
                await at_a.receive("B", site)
            assert told.value.verdict == lost.value.verdict

    run(main)


def test_two_processes_that_connect_to_each_other_keep_one_connection() -> None:
    async def main() -> None:
        port = free_port()
        async with (
            klorpy.host(listen="127.0.0.1:0", peers={"A": f"127.0.0.1:{port}"}) as b,
            klorpy.host(listen=f"127.0.0.1:{port}", peers={"B": address(b)}) as a,
        ):
            for number in range(20):
                session = f"s{number}"
                got = await both(
                    play(a, NS.tell, "A", number, session=session), play(b, NS.tell, "B", session=session)
                )
                assert got == [klorpy.noop, number]
            assert len(tcp(a).remotes) == len(tcp(b).remotes) == 1

    run(main)


def test_a_process_that_vanishes_before_its_role_has_joined_may_come_again() -> None:
    async def main() -> None:
        async with klorpy.host(listen="127.0.0.1:0", grace=0) as b:

            async def wait() -> Any:
                return await play(b, NS.tell, "B")

            async with anyio.create_task_group() as tasks:
                result: list[Any] = []

                async def note() -> None:
                    result.append(await wait())

                tasks.start_soon(note)
                async with klorpy.host(peers={"B": address(b)}) as stranger:
                    while not tcp(stranger).remotes:
                        await anyio.lowlevel.checkpoint()
                async with klorpy.host(peers={"B": address(b)}) as a:
                    await play(a, NS.tell, "A", 7)
            assert result == [7]

    run(main)


# --- Bounds -----------------------------------------------------------------------------------------------------------


def test_a_slow_reader_does_not_fill_anybodys_memory() -> None:
    """60 MB go to a reader that takes them one by one: neither end holds more than the window and the socket do."""

    async def main() -> int:
        async with through_a_proxy(window=Window(1024, 1 << 20)) as (a, b, _):

            async def send() -> None:
                async with a.join(NS.tell, "A", "s") as transport:
                    for _ in range(60):
                        await transport.send("B", bytes(1 << 20), SITE)

            async def receive() -> int:
                async with b.join(NS.tell, "B", "s") as transport:
                    peak = 0
                    for _ in range(60):
                        for _ in range(20):
                            await anyio.lowlevel.checkpoint()
                        await transport.receive("A", SITE)
                        peak = max(peak, tracemalloc.get_traced_memory()[1])
                    return peak

            tracemalloc.start()
            try:
                _, peak = await both(send(), receive())
            finally:
                tracemalloc.stop()
            return int(peak)

    assert run(main) < 32 << 20


def test_a_thousand_sessions_at_once_over_one_server() -> None:
    """Every seventh fails; no session disturbs another, no more are played at once than the limit, and nothing is left."""
    most = [0]

    async def main() -> None:
        running = [0]
        async with (
            klorpy.host(listen="127.0.0.1:0") as server,
            klorpy.host(peers={"Server": address(server)}) as client, anyio.create_task_group() as tasks,
        ):

            async def serve(seat: Any) -> None:
                running[0] += 1
                most[0] = max(most[0], running[0])
                try:
                    await klorpy.play_role({"role": "Server", "transport": seat}, NS.ask)
                finally:
                    running[0] -= 1

            async def ask(number: int) -> Any:
                return await play(client, NS.ask, "Client", number % 7, session=f"s{number}")

            async def serving() -> None:
                await server.serve(NS.ask, "Server", serve, limit=50)

            tasks.start_soon(serving)
            answers = await asyncio.gather(*map(ask, range(1000)), return_exceptions=True)
            for number, answer in enumerate(answers):
                if number % 7:
                    assert answer == 100 / (number % 7)
                else:
                    assert isinstance(answer, klorpy.PeerLost), answer
                    assert "ZeroDivisionError" in answer.message
            while server.seats or any(left(tcp(node)) for node in (server, client)):
                await anyio.lowlevel.checkpoint()
            assert not client.seats
            tasks.cancel_scope.cancel()

    logging.disable(logging.CRITICAL)
    try:
        run(main)
    finally:
        logging.disable(logging.NOTSET)
    assert 1 < most[0] <= 50


def left(carrier: Any) -> list[Any]:
    """What a carrier still holds of sessions."""
    return [held for remote in carrier.remotes.values() for held in (remote.ways, remote.inbound, remote.parked) if held]


def test_a_server_plays_sessions_that_were_begun_before_it_served() -> None:
    async def main() -> None:
        async with (
            klorpy.host(listen="127.0.0.1:0") as server,
            klorpy.host(peers={"Server": address(server)}) as client, anyio.create_task_group() as tasks,
        ):
            answers: list[Any] = []

            async def ask() -> None:
                answers.append(await play(client, NS.ask, "Client", 5))

            async def serve(seat: Any) -> None:
                await klorpy.play_role({"role": "Server", "transport": seat}, NS.ask)

            tasks.start_soon(ask)
            while not any(remote.parked for remote in tcp(server).remotes.values()):
                await anyio.lowlevel.checkpoint()
            tasks.start_soon(server.serve, NS.ask, "Server", serve)
            while not answers:
                await anyio.lowlevel.checkpoint()
            assert answers == [20]
            tasks.cancel_scope.cancel()

    run(main)
