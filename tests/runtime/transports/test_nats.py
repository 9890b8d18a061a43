"""Sessions over a real nats-server."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import nats
import nats.errors
import pytest
import trustme

import klorpy
from klorpy.core.values import same_value, show
from klorpy.environment.cli import main as klorpy_command
from klorpy.examples.references import DATA, Example
from klorpy.runtime.sessions import Record
from klorpy.runtime.sessions.channel import Frame, ProtocolError
from klorpy.runtime.transports.nats import make_stream, prepare
from klorpy.runtime.transports.nats_names import OBSERVER, SETUP, Names, name_of, token
from klorpy.runtime.transports.nats_observer import observe_server
from klorpy.runtime.transports.nats_outbox import ServerError
from klorpy.runtime.transports.nats_packets import (
    Cast,
    Unpacker,
    pack,
    pack_cast,
    pack_parts,
    unpack_cast,
    unpack_state,
)
from klorpy.runtime.transports.observer import Attached, Seen
from tests.examples.test_examples import RUNS, Recorded, channels, choreography_of
from tests.runtime.transports.nats_server import MISSING, PROGRAM, NatsServer, left_behind, shared_server

needs_server = pytest.mark.skipif(PROGRAM is None, reason=MISSING)

#: Seconds after which a run is taken to be one that does not end.
TOO_LONG = 120

TEXT = """
(defchor double [A B] (-> A A) [x]
  (B->A (B (* 2 (A->B x)))))

(defchor ping-pong [A B] (-> A B #{A B}) [n see]
  (loop [i (A=>B n)]
    (if (> i 0)
      (do (B->A (B (see (A->B (A (+ i 0)))))) (recur (- i 1)))
      "end")))

(defchor one-way [A B] (-> A B B) [n see]
  (loop [i (A=>B n) got (B [])]
    (if (> i 0)
      (let [x (A->B (A (- n i)))]
        (recur (- i 1) (B (do (see x) (.append got x) got))))
      got)))

(defchor around [A B C] (-> A A) [x]
  (C->A (B->C (A->B x))))

(defchor held [A B C] (-> A B C #{A B C}) [at-a at-b at-c]
  (A->C (A (await (at-a)))) (B->C (B (await (at-b)))) (C=>A (C=>B (C (await (at-c))))))
"""


@pytest.fixture(scope="module")
def ns() -> Any:
    return klorpy.evaluate(TEXT, name="over_nats")


@pytest.fixture
def server() -> NatsServer:
    """One server for all tests that do not do anything to it."""
    return shared_server()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[NatsServer]:
    """A server that the test may kill."""
    started = NatsServer(tmp_path / "store")
    started.start()
    yield started
    started.kill()


def run(main: Callable[[], Awaitable[None]]) -> None:
    """Run on asyncio, and see that nothing is left running."""

    async def watched() -> None:
        with anyio.fail_after(TOO_LONG):
            await main()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    anyio.run(watched)


async def everyone(
    chor: klorpy.Choreography, args: dict[str, tuple[Any, ...]], url: str, session: str, **options: Any
) -> dict[str, Any]:
    """Play all roles, each at a node of its own; their results, or what they raise."""
    results: dict[str, Any] = {}

    async def play(role: str) -> None:
        try:
            async with klorpy.connect(chor, role, session=session, nats=url, **options) as seat:
                results[role] = await klorpy.play_role({"role": role, "transport": seat}, chor, *args.get(role, ()))
        except klorpy.KlorError as error:
            results[role] = error

    async with anyio.create_task_group() as group:
        for role in chor.roles:
            group.start_soon(play, role)
    return results


# --- Every example ----------------------------------------------------------------------------------------------------


@needs_server
def test_every_example_does_over_nats_what_it_does_when_simulated(server: NatsServer) -> None:
    """All in one server, several at the same time, each role at a node of its own."""

    async def play_example(example: Example, args: tuple[Any, ...], session: str, limiter: anyio.CapacityLimiter) -> None:
        chor = choreography_of(example)
        simulation = klorpy.simulate_chor(chor, *copy.deepcopy(args), sanitize=True, timeout=TOO_LONG)
        results: dict[str, Any] = {}
        messages: dict[tuple[str, str], list[Any]] = {}

        async def play(role: str) -> None:
            params = chor.signature.arrow.params
            mine = [copy.deepcopy(arg) for arg, type_ in zip(args, params, strict=True) if role in type_.roles]
            async with klorpy.connect(chor, role, session=session, nats=server.url, app="examples") as seat:
                transport = Recorded(seat, role, messages)
                results[role] = await klorpy.play_role({"role": role, "transport": transport}, chor, *mine)

        async with limiter, anyio.create_task_group() as group:
            for role in chor.roles:
                group.start_soon(play, role)
        assert same_value(results, simulation.results), session
        assert same_value(messages, channels(simulation)), session

    async def all_examples() -> None:
        limiter = anyio.CapacityLimiter(4)
        async with anyio.create_task_group() as group:
            for run in RUNS:
                group.start_soon(play_example, *run.values, str(run.id), limiter)

    async def main() -> None:
        await all_examples()
        assert await left_behind(server.url, "examples") == ({}, [])

    run(main)


@needs_server
def test_an_update_is_taken_while_a_session_is_under_way(server: NatsServer) -> None:
    """Each role has a module of its own. The client has the update from the beginning, the leader since the third round."""
    text = """
    (defchor serve [C S] (-> #{C S} #{C S}) [n]
      (loop [n n i 0]
        (if (< i 4)
          (do (S (at-server i)) (recur (scope :barrier step [S C] (S=>C (S (+ 1 (C->S (C (+ n 0))))))) (+ i 1)))
          n)))"""
    update = "(update step (S=>C (S (+ 100 (C->S (C (* n 1)))))))"
    client, leader = klorpy.evaluate(text), klorpy.evaluate(text)
    klorpy.evaluate(update, module=client)
    vars(leader)["at_server"] = lambda i: klorpy.evaluate(update, module=leader) if i == 2 else None
    results: dict[str, Any] = {}

    async def play(role: str, chor: klorpy.Choreography) -> None:
        async with klorpy.connect(chor, role, session="update", nats=server.url, app="scopes") as seat:
            results[role] = await klorpy.play_role({"role": role, "transport": seat}, chor, 0)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(play, "C", client.serve)
            group.start_soon(play, "S", leader.serve)

    run(main)
    assert results == {"C": 202, "S": 202}


# --- Coming and going -------------------------------------------------------------------------------------------------


@needs_server
@pytest.mark.parametrize("first", ["A", "B", "C"])
def test_roles_come_in_any_order_and_who_comes_late_gets_everything(server: NatsServer, ns: Any, first: str) -> None:
    async def main() -> None:
        joined = anyio.Event()
        results = {}

        async def play(role: str, *args: Any) -> None:
            async with klorpy.host(nats=server.url, app="order") as node:
                if role != first:
                    await joined.wait()
                node.observe(lambda record: joined.set())
                async with node.join(ns.around, role, f"first-{first}") as seat:
                    results[role] = await klorpy.play_role({"role": role, "transport": seat}, ns.around, *args)

        async with anyio.create_task_group() as group:
            group.start_soon(play, "A", 5)
            group.start_soon(play, "B")
            group.start_soon(play, "C")
        assert results["A"] == 5
        assert await left_behind(server.url, "order") == ({}, [])

    run(main)


@needs_server
def test_roles_of_one_node_meet_others_over_the_server(server: NatsServer, ns: Any) -> None:
    async def main() -> None:
        results = {}

        async def play(node: klorpy.Node, role: str, *args: Any) -> None:
            async with node.join(ns.around, role, "shared") as seat:
                results[role] = await klorpy.play_role({"role": role, "transport": seat}, ns.around, *args)

        async with (
            klorpy.host(nats=server.url, app="shared") as one, klorpy.host(nats=server.url, app="shared") as other,
            anyio.create_task_group() as group,
        ):  # fmt: skip
            group.start_soon(play, one, "A", "round")
            group.start_soon(play, other, "B")
            group.start_soon(play, one, "C")
        assert results["A"] == "round"
        assert await left_behind(server.url, "shared") == ({}, [])

    run(main)


@needs_server
def test_a_second_player_of_a_role_is_refused_and_disturbs_nobody(server: NatsServer, ns: Any) -> None:
    async def main() -> None:
        async with klorpy.host(nats=server.url, app="taken") as one, klorpy.host(nats=server.url, app="taken") as two:
            results = {}

            async def play_b() -> None:
                async with klorpy.connect(ns.double, "B", session="s", nats=server.url, app="taken") as seat:
                    await klorpy.play_role({"role": "B", "transport": seat}, ns.double)

            async with anyio.create_task_group() as group:
                group.start_soon(play_b)
                async with one.join(ns.double, "A", "s") as seat:
                    with pytest.raises(klorpy.SessionFailed) as refused:
                        async with two.join(ns.double, "A", "s"):
                            raise AssertionError("two play one role")
                    results["A"] = await klorpy.play_role({"role": "A", "transport": seat}, ns.double, 4)
            assert refused.value.slug == "role-taken"
            assert results == {"A": 8}
        assert await left_behind(server.url, "taken") == ({}, [])

    run(main)


@needs_server
def test_a_session_name_can_be_used_again_at_once(server: NatsServer, ns: Any) -> None:
    """The server remembers the ids of messages longer than a session: those of another run are others."""

    async def main() -> None:
        for number in range(3):
            results = await everyone(ns.double, {"A": (number,)}, server.url, "again", app="again")
            assert results["A"] == 2 * number

    run(main)


@needs_server
def test_names_may_be_anything(server: NatsServer) -> None:
    text = "(defchor say [A.b* Käufer-2] (-> A.b* Käufer-2) [x] (A.b*->Käufer-2 x))"
    chor = klorpy.evaluate(text.replace("A.b*", "A*")).say

    async def main() -> None:
        results = await everyone(chor, {"A*": ("hallo",)}, server.url, "a b.c > * ü/\\", app="x.y z")
        assert results["Käufer-2"] == "hallo"
        assert await left_behind(server.url, token("x.y z")) == ({}, [])

    run(main)


@needs_server
def test_missing_roles_are_named_and_nothing_is_left(server: NatsServer, ns: Any) -> None:
    async def main() -> None:
        with pytest.raises(klorpy.RolesMissing) as missing:
            async with klorpy.connect(ns.around, "A", session="alone", nats=server.url, deadline=0.1, app="missing"):
                raise AssertionError("the cast is not complete")
        assert missing.value.missing == ("B", "C")
        assert await left_behind(server.url, "missing") == ({}, [])

    run(main)


@needs_server
def test_different_texts_do_not_play_together(server: NatsServer, ns: Any) -> None:
    other = klorpy.evaluate("(defchor double [A B] (-> A A) [x] (B->A (B (* 3 (A->B x)))))")

    async def main() -> None:
        errors = {}

        async def play(chor: klorpy.Choreography, role: str) -> None:
            try:
                async with klorpy.connect(chor, role, session="s", nats=server.url, app="texts"):
                    raise AssertionError("the texts differ")
            except klorpy.SessionFailed as error:
                errors[role] = error.verdict.slug if error.verdict else None

        async with anyio.create_task_group() as group:
            group.start_soon(play, ns.double, "A")
            group.start_soon(play, other.double, "B")
        assert errors == {"A": "different-choreography", "B": "different-choreography"}
        assert await left_behind(server.url, "texts") == ({}, [])

    run(main)


# --- Amounts ----------------------------------------------------------------------------------------------------------


@needs_server
def test_values_longer_than_a_payload_of_the_server_arrive_whole(server: NatsServer) -> None:
    chor = klorpy.evaluate("(defchor tell [A B] (-> A B) [x] (A->B x))").tell
    value = {"a": random.Random(1).randbytes(5 << 20), "b": ["ü" * 1000] * 100}

    async def main() -> None:
        results = await everyone(chor, {"A": (value,)}, server.url, "long", app="long")
        assert results["B"] == value

    run(main)


@needs_server
def test_a_sender_waits_for_a_slow_receiver_and_the_server_keeps_little(server: NatsServer, ns: Any) -> None:
    """Ten windows of messages: the sender is never further ahead than one, and the server forgets what was read."""
    window = klorpy.runtime.sessions.Window(frames=100)

    async def main() -> None:
        stored = []
        async with (
            klorpy.host(nats=server.url, app="slow", window=window, heartbeat=3) as one,
            klorpy.host(nats=server.url, app="slow", window=window, heartbeat=3) as other,
            anyio.create_task_group() as group,
        ):  # fmt: skip

            async def play(node: klorpy.Node, role: str, *args: Any) -> Any:
                async with node.join(ns.one_way, role, "s") as seat:
                    result = await klorpy.play_role({"role": role, "transport": seat}, ns.one_way, *args)
                    if role == "B":
                        assert result == list(range(3000))
                    stored.append(await left_behind(server.url, "slow"))

            group.start_soon(play, one, "A", 3000)
            group.start_soon(play, other, "B", lambda x: None)
        assert await left_behind(server.url, "slow") == ({}, [])

    run(main)


# --- Failures ---------------------------------------------------------------------------------------------------------


@needs_server
def test_messages_survive_a_server_that_is_killed_twice(own_server: NatsServer, ns: Any) -> None:
    """2,000 messages to and fro; the server is killed by SIGKILL and started again after 500 and after 1,300."""

    async def main() -> None:
        due = [anyio.Event(), anyio.Event()]
        seen: list[int] = []

        def see(number: int) -> int:
            seen.append(number)
            if len(seen) in (250, 650):
                next(event for event in due if not event.is_set()).set()
            return number

        async def kill() -> None:
            for event in due:
                await event.wait()
                own_server.kill()
                await anyio.to_thread.run_sync(own_server.start)

        async with anyio.create_task_group() as group:
            group.start_soon(kill)
            results = await everyone(ns.ping_pong, {"A": (1000,), "B": (see,)}, own_server.url, "s")
        assert results == {"A": "end", "B": "end"}
        assert seen == list(range(1000, 0, -1))
        assert await left_behind(own_server.url, "klorpy") == ({}, [])

    run(main)


@needs_server
def test_a_stream_of_messages_survives_a_server_that_is_killed(own_server: NatsServer, ns: Any) -> None:
    async def main() -> None:
        due = {2000: anyio.Event(), 12_000: anyio.Event()}

        def see(number: int) -> None:
            if number in due:
                due[number].set()

        async def kill() -> None:
            for event in due.values():
                await event.wait()
                own_server.kill()
                await anyio.to_thread.run_sync(own_server.start)

        async with anyio.create_task_group() as group:
            group.start_soon(kill)
            results = await everyone(ns.one_way, {"A": (20_000,), "B": (see,)}, own_server.url, "s")
        assert results["B"] == list(range(20_000))

    run(main)


@needs_server
def test_a_server_that_does_not_come_back_is_the_verdict(own_server: NatsServer, ns: Any) -> None:
    async def main() -> None:
        begun = anyio.Event()

        async def wait() -> None:
            begun.set()
            await anyio.sleep_forever()

        async def kill() -> None:
            await begun.wait()
            own_server.kill()

        async with anyio.create_task_group() as group:
            group.start_soon(kill)
            args = dict.fromkeys("ABC", (wait,))
            results = await everyone(ns.held, args, own_server.url, "s", grace=0.3)
        for role, error in results.items():
            assert isinstance(error, klorpy.SessionFailed)
            assert error.verdict is not None
            assert (error.verdict.role, error.verdict.slug) == (role, "no-server")
            assert f"the NATS server at 127.0.0.1:{own_server.port} was lost for 0.3 s" in str(error)

    run(main)


@needs_server
def test_a_server_that_does_not_answer_is_the_verdict(own_server: NatsServer, ns: Any) -> None:
    """It keeps its connections, but does nothing any more."""

    async def main() -> None:
        async def stop() -> str:
            own_server.freeze()
            await anyio.sleep_forever()
            return ""

        results = await everyone(
            ns.held, dict.fromkeys("ABC", (stop,)), own_server.url, "s", grace=0.3, heartbeat=0.6
        )
        for error in results.values():
            assert isinstance(error, klorpy.SessionFailed)
            assert error.verdict is not None
            assert error.verdict.slug == "no-server"

    run(main)


@needs_server
def test_what_the_server_loses_is_sent_again(server: NatsServer, ns: Any) -> None:
    """An administrator purges the stream and deletes the consumers while the roles are at work."""

    async def main() -> None:
        async def lose() -> str:
            for consumer in await manager.consumers_info("klorpy-loses"):
                await manager.delete_consumer("klorpy-loses", consumer.name)
            return "a"

        async def purge() -> str:
            await manager.purge_stream("klorpy-loses")
            return "b"

        async def plain() -> str:
            return "c"

        args = {"A": (lose,), "B": (purge,), "C": (plain,)}
        async with await nats.connect(server.url) as client:
            manager = client.jsm()
            results = await everyone(ns.held, args, server.url, "s", app="loses", heartbeat=3)
        assert results == dict.fromkeys("ABC", "c")

    run(main)


@needs_server
def test_the_error_of_a_role_is_the_verdict_of_all_and_nothing_is_left(server: NatsServer, ns: Any) -> None:
    async def main() -> None:
        async def fail() -> None:
            raise LookupError("no shelf")

        async def wait() -> None:
            await anyio.sleep_forever()

        results: dict[str, str] = {}

        async def play(role: str, at: Any) -> None:
            try:
                async with klorpy.connect(ns.held, role, session="s", nats=server.url, app="fails") as seat:
                    await klorpy.play_role({"role": role, "transport": seat}, ns.held, at)
            except (klorpy.SessionFailed, LookupError) as error:
                results[role] = str(error)

        async with anyio.create_task_group() as group:
            for role, at in {"A": wait, "B": fail, "C": wait}.items():
                group.start_soon(play, role, at)
        assert results["B"] == "no shelf"
        for role in "AC":
            assert "B failed at step 0 (LookupError: no shelf" in results[role]
        assert await left_behind(server.url, "fails") == ({}, [])

    run(main)


@needs_server
def test_an_orderly_departure_is_no_failure(server: NatsServer) -> None:
    """A has left long before C receives what it sent."""
    chor = klorpy.evaluate("""
        (defchor leave [A B C] (-> A C #{B C}) [x held]
          (let [y (A->C x) z (C->B (C (await (held))))] (B=>C (B "end"))))""").leave

    async def main() -> None:
        left = anyio.Event()
        results = {}

        async def play(role: str, *args: Any) -> None:
            async with klorpy.connect(chor, role, session="s", nats=server.url, app="leave", heartbeat=3, grace=1) as seat:
                results[role] = await klorpy.play_role({"role": role, "transport": seat}, chor, *args)
            if role == "A":
                left.set()

        async def held() -> str:
            await left.wait()
            return "held"

        async with anyio.create_task_group() as group:
            group.start_soon(play, "A", 1)
            group.start_soon(play, "B")
            group.start_soon(play, "C", held)
        assert results["C"] == "end"
        assert await left_behind(server.url, "leave") == ({}, [])

    run(main)


# --- Serving ----------------------------------------------------------------------------------------------------------


@needs_server
def test_sessions_that_others_began_are_served_whenever_they_began(server: NatsServer, ns: Any) -> None:
    async def main() -> None:
        results = {}
        joined = anyio.Event()

        async def ask(number: int) -> None:
            async with klorpy.host(nats=server.url, app="serve") as node:
                node.observe(lambda record: joined.set())
                async with node.join(ns.double, "A", f"order {number}") as seat:
                    results[number] = await klorpy.play_role({"role": "A", "transport": seat}, ns.double, number)

        async def answer(seat: Any) -> None:
            await klorpy.play_role({"role": "B", "transport": seat}, ns.double)

        async with (
            klorpy.host(nats=server.url, app="serve") as one, klorpy.host(nats=server.url, app="serve") as two,
            anyio.create_task_group() as servers,
        ):  # fmt: skip
            async with anyio.create_task_group() as group:
                group.start_soon(ask, 1)
                await joined.wait()
                servers.start_soon(one.serve, ns.double, "B", answer)
                servers.start_soon(two.serve, ns.double, "B", answer)
                for number in range(2, 20):
                    group.start_soon(ask, number)
            servers.cancel_scope.cancel()
        assert results == {number: 2 * number for number in range(1, 20)}
        assert await left_behind(server.url, "serve") == ({}, [])

    run(main)


# --- Processes --------------------------------------------------------------------------------------------------------

HELD = """\
(require klorpy *)
(import time)
(defchor shop [Buyer Seller] (-> Buyer #{Buyer Seller}) [title]
  (Buyer->Seller title)
  (Buyer=>Seller (Seller->Buyer (Seller (do (time.sleep 600) "never")))))
"""


def started(*words: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "klorpy", *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@needs_server
def test_the_bookseller_in_processes(server: NatsServer) -> None:
    file = Path(klorpy.examples.__file__).parent / "bookseller.hy"
    common = ["--session", "order-7", "--nats", server.url, "--app", "books"]
    seller = started("play", file, "buy-book", "--role", "S", *common, f"@{DATA / 'catalogue.json'}")
    buyer = started("play", file, "buy-book", "--role", "B", *common, f"@{DATA / 'order.json'}")
    said, complaints = zip(*(process.communicate(timeout=TOO_LONG) for process in (buyer, seller)), strict=True)
    assert complaints == ("", "")
    assert [buyer.returncode, seller.returncode] == [0, 0]
    assert "B --> S: " in said[0]
    assert "S --> B: " in said[1]
    assert asyncio.run(left_behind(server.url, "books")) == ({}, [])


@needs_server
def test_a_process_that_is_killed_is_lost_and_its_session_can_be_begun_anew(server: NatsServer, tmp_path: Path) -> None:
    file = tmp_path / "shop.hy"
    file.write_text(HELD, encoding="utf-8")
    common = ["--session", "s", "--nats", server.url, "--app", "killed", "--heartbeat", "1.5", "--grace", "0.5"]
    seller = started("play", file, "shop", "--role", "Seller", *common)
    buyer = started("play", file, "shop", "--role", "Buyer", *common, '"SICP"')
    assert seller.stdout is not None
    assert "SICP" in seller.stdout.readline()
    seller.kill()
    seller.communicate()
    _, complaint = buyer.communicate(timeout=TOO_LONG)
    assert buyer.returncode == 1
    assert "Seller was lost (its connection with the NATS server is gone since 0.5 s)" in complaint
    assert "Traceback" not in complaint
    assert asyncio.run(left_behind(server.url, "killed")) == ({}, [])

    # Now the buyer is killed, too, so that nobody is there to clear up.
    seller = started("play", file, "shop", "--role", "Seller", *common)
    buyer = started("play", file, "shop", "--role", "Buyer", *common, '"SICP"')
    assert seller.stdout is not None
    assert "SICP" in seller.stdout.readline()
    for process in (seller, buyer):
        process.kill()
        process.communicate()
    assert asyncio.run(left_behind(server.url, "killed"))[0]
    chor = klorpy.evaluate("(defchor shop [Buyer Seller] (-> Buyer Seller) [title] (Buyer->Seller title))").shop

    async def main() -> None:
        results = await everyone(chor, {"Buyer": ("LiSP",)}, server.url, "s", app="killed", grace=0.5)
        assert results["Seller"] == "LiSP"
        assert await left_behind(server.url, "killed") == ({}, [])

    run(main)


@pytest.mark.parametrize("times", [1, 3, 9])
def test_a_stream_that_is_just_being_made_for_another_process_is_waited_for(times: int) -> None:
    """Then the server says that the subjects overlap, as it does for another stream that has some of them."""

    class Busy:
        grace = 60.0
        asked = 0

        async def api(self, what: str, arguments: dict[str, Any]) -> dict[str, Any]:
            self.asked += 1
            if self.asked <= times:
                raise ServerError({"code": 400, "err_code": 10065, "description": "subjects overlap with an existing stream"})
            return {}

    link = Busy()
    anyio.run(make_stream, link, Names("busy"))
    assert link.asked == times + 1


@needs_server
def test_another_stream_that_has_the_subjects_is_told_of(server: NatsServer) -> None:
    async def main() -> None:
        async with await nats.connect(server.url) as client:
            await client.jetstream().add_stream(name="another", subjects=["klorpy.overlap.>"])
            with pytest.raises(klorpy.KlorError, match="does not make a stream: subjects overlap") as caught:
                await prepare(server.url, "overlap")
            assert caught.value.slug == "no-server"
            await client.jetstream().delete_stream("another")

    run(main)


@needs_server
@pytest.mark.parametrize("late", ["Buyer", "Seller"])
def test_a_session_that_was_never_ended_is_begun_anew_by_one_after_the_other(server: NatsServer, late: str) -> None:
    """Whoever comes later finds the name of the role still taken, too, but leaves alone what is there of the new session."""
    chor = klorpy.evaluate("(defchor shop [Buyer Seller] (-> Buyer Seller) [title] (Buyer->Seller title))").shop
    names = Names("anew")

    async def main() -> None:
        results: dict[str, Any] = {}
        begun = anyio.Event()

        async def play(role: str, *args: Any) -> None:
            async with klorpy.host(nats=server.url, app="anew", grace=1 if role == late else 0.2) as node:
                if role == late:
                    await begun.wait()
                async with node.join(chor, role, "s") as seat:
                    results[role] = await klorpy.play_role({"role": role, "transport": seat}, chor, *args)

        async with await nats.connect(server.url) as client:

            async def looked(message: Any) -> None:
                if b"latest==" in message.data:
                    begun.set()

            await client.subscribe(f"$JS.EVENT.ADVISORY.CONSUMER.CREATED.{names.stream}.>", cb=looked)
            async with klorpy.host(nats=server.url, app="anew"):
                for role in chor.roles:
                    gone = Cast(False, bytes(8), list(chor.roles))
                    await client.jetstream().publish(names.cast("s", role), pack_cast(gone))
            async with anyio.create_task_group() as group:
                group.start_soon(play, "Buyer", "LiSP")
                group.start_soon(play, "Seller")
        assert results == {"Buyer": klorpy.noop, "Seller": "LiSP"}
        assert await left_behind(server.url, "anew") == ({}, [])

    run(main)


BLOCKS = """\
(require klorpy *)
(defchor hears [A B] (-> A B B) [x path]
  (let [y (A->B x)]
    (B (print "busy" :flush True))
    (B (with [pipe (open path)] (.read pipe)))
    (B->A (B y)) y))
"""


@needs_server
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_role_whose_last_message_is_lost_fails(number: signal.Signals, server: NatsServer, tmp_path: Path) -> None:
    """A is killed while B's code blocks; or B is stopped, and A gives it up. B then has only to send."""
    file, pipe = tmp_path / "hears.hy", tmp_path / "pipe"
    file.write_text(BLOCKS, encoding="utf-8")
    os.mkfifo(pipe)
    common = (
        "--session", f"last-{number.name}", "--nats", server.url, "--app", "last", "--grace", "1",
        "--heartbeat", "1" if number is signal.SIGSTOP else str(TOO_LONG),
    )  # fmt: skip
    with (
        started("play", file, "hears", "1", "--role", "A", *common) as a,
        started("play", file, "hears", f'"{pipe}"', "--role", "B", *common) as b,
    ):
        assert b.stdout is not None
        assert [b.stdout.readline(), b.stdout.readline()] == ["A --> B: 1\n", "busy\n"]
        (a if number is signal.SIGKILL else b).send_signal(number)
        _, from_a = a.communicate(timeout=TOO_LONG)
        b.send_signal(signal.SIGCONT)
        pipe.open("w").close()
        _, from_b = b.communicate(timeout=TOO_LONG)
        assert b.returncode == 1, from_b
    if number is signal.SIGKILL:
        assert "hears failed: A was lost (its connection with the NATS server is gone since 1 s)" in from_b
        assert "B had done its part, but what it sent last has not arrived" in from_b
    else:
        verdict = "hears failed: B was lost (nothing was heard of it for 1 s)"
        assert verdict in from_a
        assert verdict in from_b


# --- Permissions, passwords, certificates -----------------------------------------------------------------------------


@pytest.fixture
def guarded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[NatsServer]:
    """A server with the users that `klorpy nats permissions` prints for the bookseller with two buyers."""
    file = Path(klorpy.examples.__file__).parent / "two_buyers.hy"
    assert klorpy_command(["nats", "permissions", str(file), "buy-with-help", "--app", "books", "--observer"]) == 0
    started = NatsServer(tmp_path / "store", capsys.readouterr().out)
    chor = klorpy.load(file).buy_with_help
    passwords = {f"KLORPY_{role.upper()}": f"secret-of-{role}" for role in (*chor.roles, "setup", "observer")}
    started.start({**os.environ, **passwords})
    yield started
    started.kill()


@needs_server
def test_users_of_roles_play_but_cannot_pass_for_others_nor_read_their_mail(
    guarded: NatsServer, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    from klorpy.examples import two_buyers

    chor = two_buyers.buy_with_help
    one, other, seller = chor.roles
    example = next(values for values in (run.values for run in RUNS) if values[0].choreography == "buy-with-help")
    args = {
        role: tuple(arg for arg, type_ in zip(example[1], chor.signature.arrow.params, strict=True) if role in type_.roles)
        for role in chor.roles
    }  # fmt: skip

    def url(user: str) -> str:
        return guarded.of(user, f"secret-of-{user.removeprefix('klorpy-')}")

    # Roles may not make the stream, which the setup user does once.
    async def too_early() -> None:
        with pytest.raises(klorpy.KlorError) as refused:
            async with klorpy.host(nats=url(one), app="books"):
                raise AssertionError("there is no stream")
        assert refused.value.slug == "not-permitted"

    run(too_early)
    assert klorpy_command(["nats", "prepare", "--nats", url(SETUP), "--app", "books"]) == 0
    assert capsys.readouterr().out == "the stream klorpy-books is there\n"

    async def main() -> None:
        results = {}

        async def play(role: str) -> None:
            async with klorpy.connect(chor, role, session="s", nats=url(role), app="books") as seat:
                results[role] = await klorpy.play_role({"role": role, "transport": seat}, chor, *args[role])

        # A buyer who does what he can to speak for the seller, and to read what is said to her, while they trade.
        denied: list[str] = []

        async def complaint(error: Exception) -> None:
            denied.append(str(error))

        heard: list[Any] = []

        async def hear(message: Any) -> None:
            heard.append(message)

        names = Names("books")
        async with await nats.connect(url(one), error_cb=complaint, inbox_prefix=f"_INBOX.{one}") as cheat:
            await cheat.publish(names.message("s", seller, other), pack([Frame(3, 1, 99, b"", b"\xc0")]))
            await cheat.publish(names.cast("s", seller), b"x")
            await cheat.publish(names.said("s", seller, other, "now"), b"x")
            for subject in (names.inbox("s", seller), f"{names.prefix}.>", names.said("s", "*", seller, "*"), f"_INBOX.{seller}.>", "_INBOX.>"):
                await cheat.subscribe(subject, cb=hear)
            for name, filter_ in (("x", names.inbox("s", seller)), ("y", f"{names.prefix}.>")):
                config = {"name": name, "filter_subject": filter_, "deliver_subject": cheat.new_inbox(), "ack_policy": "none"}
                body = json.dumps({"stream_name": names.stream, "config": config}).encode()
                await cheat.publish(f"$JS.API.CONSUMER.CREATE.{names.stream}.{name}.{filter_}", body)
                await cheat.publish(f"$JS.API.CONSUMER.CREATE.{names.stream}", body)
                # The filter that is allowed, and another inside.
                with contextlib.suppress(nats.errors.Error):
                    answer = await cheat.request(
                        f"$JS.API.CONSUMER.CREATE.{names.stream}.{name}.{names.inbox('s', one)}", body, timeout=2
                    )
                    assert "error" in json.loads(answer.data)
            await cheat.publish(f"$JS.API.STREAM.MSG.GET.{names.stream}", b'{"seq":1}')
            await cheat.publish(f"$JS.API.DIRECT.GET.{names.stream}.{names.message('s', other, seller)}", b"")
            await cheat.publish(f"$JS.API.CONSUMER.MSG.NEXT.{names.stream}.{names.consumer('s', seller)}", b"1", reply=cheat.new_inbox())
            # Mail of one's own, delivered to where the seller speaks.
            config = {"name": "z", "filter_subject": names.inbox("s", one), "deliver_subject": names.message("s", seller, other), "ack_policy": "none"}
            answer = await cheat.request(
                f"$JS.API.CONSUMER.CREATE.{names.stream}.z.{names.inbox('s', one)}",
                json.dumps({"stream_name": names.stream, "config": config}).encode(), timeout=2,
            )  # fmt: skip
            assert "cycle" in answer.data.decode()
            await cheat.flush()
            async with anyio.create_task_group() as group:
                for role in chor.roles:
                    group.start_soon(play, role)
            await cheat.flush()
        assert heard == []
        assert len(denied) == 15, denied
        assert all("permissions violation" in text for text in denied)
        assert same_value(results, example[0].reference(*example[1]))

    run(main)
    # That roles may not make the stream is as it should be, when it is there.
    assert [record.message for record in caplog.records if "STREAM.CREATE" in record.message.upper()] == []


@needs_server
def test_the_user_of_an_observer_reads_everything_and_does_nothing(guarded: NatsServer) -> None:
    from klorpy.examples import two_buyers

    chor = two_buyers.buy_with_help
    one, _, seller = chor.roles
    example = next(values for values in (run.values for run in RUNS) if values[0].choreography == "buy-with-help")
    args = dict(zip(chor.roles, ([] for _ in chor.roles), strict=True))
    for arg, type_ in zip(example[1], chor.signature.arrow.params, strict=True):
        for role in type_.roles:
            args[role].append(arg)

    async def main() -> None:
        await prepare(guarded.of(SETUP, "secret-of-setup"), "books")
        observer, names = guarded.of(OBSERVER, "secret-of-observer"), Names("books")
        seen: list[Record] = []
        async with observe_server(observer, app="books", session="s") as observation, anyio.create_task_group() as group:
            assert isinstance(await observation.next(), Attached)

            async def play(role: str) -> None:
                url = guarded.of(role, f"secret-of-{role}")
                async with klorpy.connect(chor, role, session="s", nats=url, app="books") as seat:
                    await klorpy.play_role({"role": role, "transport": seat}, chor, *args[role])

            for role in chor.roles:
                group.start_soon(play, role)
            while sum(record.kind == "left" for record in seen) < len(chor.roles):
                sight = await observation.next()
                assert isinstance(sight, Seen)
                seen.append(sight.record)
        simulation = klorpy.simulate_chor(chor, *example[1])
        expected = {pair: [show(value, 200) for value in values] for pair, values in channels(simulation).items()}
        found: dict[tuple[str, str], list[str]] = {}
        for record in seen:
            if record.kind == "sent":
                found.setdefault((record.role, record.peer), []).append(record.text)
        assert found == expected

        denied: list[str] = []
        all_denied = anyio.Event()

        async def complaint(error: Exception) -> None:
            denied.append(str(error))
            if len(denied) == len(subjects):
                all_denied.set()

        async with await nats.connect(observer, error_cb=complaint, inbox_prefix=f"_INBOX.{OBSERVER}") as cheat:
            subjects = [
                names.message("s", seller, one), names.cast("s", seller), names.said("s", seller, one, "now"), f"{names.prefix}.s.=.{one}",
                f"$JS.API.CONSUMER.DELETE.{names.stream}.{names.consumer('s', one)}", f"$JS.API.STREAM.PURGE.{names.stream}",
                f"$JS.API.STREAM.DELETE.{names.stream}", f"$JS.API.STREAM.UPDATE.{names.stream}",
                f"$JS.API.CONSUMER.DURABLE.CREATE.{names.stream}.x", f"$JS.API.CONSUMER.CREATE.{names.stream}",
            ]  # fmt: skip
            for subject in subjects:
                await cheat.publish(subject, b"{}")
            await all_denied.wait()
        assert all("permissions violation for publish" in text for text in denied), denied

        with pytest.raises(klorpy.KlorError, match=f"does not allow {one} to ") as refused:
            async with observe_server(guarded.of(one, f"secret-of-{one}"), app="books"):
                raise AssertionError("the user of a role reads what is said to all")
        assert refused.value.slug == "not-permitted"
        assert "klorpy-observer" in str(refused.value.help)

    run(main)


@needs_server
def test_a_user_cannot_play_another_role(guarded: NatsServer) -> None:
    from klorpy.examples import two_buyers

    chor = two_buyers.buy_with_help
    one, other, _ = chor.roles

    async def main() -> None:
        await prepare(guarded.of(SETUP, "secret-of-setup"), "books")
        with pytest.raises(klorpy.SessionFailed) as refused:
            async with klorpy.connect(chor, other, session="s", nats=guarded.of(one, f"secret-of-{one}"), app="books"):
                raise AssertionError("a user plays a role that is not its own")
        assert refused.value.slug == "not-permitted"
        assert f"does not allow {one} to publish at" in refused.value.message

    run(main)


@needs_server
def test_a_wrong_password_is_not_tried_twice(guarded: NatsServer, ns: Any) -> None:
    async def main() -> None:
        with pytest.raises(klorpy.KlorError, match="does not allow B1 to connect") as refused:
            async with klorpy.host(nats=guarded.of("B1", "wrong")):
                raise AssertionError("the password is wrong")
        assert refused.value.slug == "not-permitted"
        assert "wrong" not in str(refused.value)

    run(main)


@pytest.fixture
def certificates(tmp_path: Path) -> klorpy.Identity:
    """Files of an authority, of a server at 127.0.0.1 and of clients."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    clients = {name: authority.issue_cert("client.example") for name in ("A", "B", "A+B", "observer")}
    for name, made in {"server": authority.issue_cert("127.0.0.1"), **clients}.items():
        made.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.pem")
        made.private_key_pem.write_to_path(tmp_path / f"{name}.key")
    return klorpy.Identity.of(tmp_path, ["A", "B"])


@pytest.fixture
def tls_server(tmp_path: Path, certificates: klorpy.Identity) -> Iterator[NatsServer]:
    """A server that demands certificates."""
    files = f'cert_file: "{tmp_path}/server.pem", key_file: "{tmp_path}/server.key", ca_file: "{tmp_path}/ca.pem"'
    started = NatsServer(tmp_path / "store", f"tls {{ {files}, verify: true }}")
    started.start()
    yield started
    started.kill()


@needs_server
def test_over_tls_with_certificates_on_both_sides(
    tls_server: NatsServer, certificates: klorpy.Identity, ns: Any, caplog: pytest.LogCaptureFixture
) -> None:
    started = tls_server

    async def main() -> None:
        results = await everyone(ns.double, {"A": (21,)}, started.url, "s", tls=certificates)
        assert results["A"] == 42
        with pytest.raises(klorpy.KlorError) as refused:
            async with klorpy.host(nats=started.url, grace=0.5):
                raise AssertionError("the server demands a certificate")
        assert refused.value.slug == "no-server"

    run(main)
    assert [record.message for record in caplog.records if record.name == "asyncio"] == []


@needs_server
def test_all_roles_at_once_and_an_observer_over_tls(
    tls_server: NatsServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "double.hy"
    file.write_text("(require klorpy *)\n(defchor double [A B] (-> A A) [x] (B->A (B (* 2 (A->B x)))))\n", encoding="utf-8")

    async def main() -> None:
        identity = klorpy.Identity.of(tmp_path, ["observer"])
        async with observe_server(tls_server.url, identity=identity) as observation:
            assert isinstance(await observation.next(), Attached)
            command = ["launch", str(file), "double", "21", "--nats", tls_server.url, "--certificates", str(tmp_path), "--quiet"]
            assert await anyio.to_thread.run_sync(klorpy_command, command) == 0
            texts = []
            while len(texts) < 2:
                sight = await observation.next()
                if isinstance(sight, Seen) and sight.record.kind == "sent":
                    texts.append(sight.record.text)
        assert texts == ["21", "42"]

    run(main)
    assert "A  42" in capsys.readouterr().out


@needs_server
def test_a_server_whose_certificate_is_for_another_host_is_refused(
    tmp_path: Path, certificates: klorpy.Identity, ns: Any
) -> None:
    """The certificate of a role is of the same authority, and still does not make a server."""
    started = NatsServer(tmp_path / "store", f'tls {{ cert_file: "{tmp_path}/A+B.pem", key_file: "{tmp_path}/A+B.key" }}')
    started.start()

    async def main() -> None:
        with pytest.raises(klorpy.KlorError, match="certificate") as refused:
            async with klorpy.host(nats=started.url, tls=certificates, grace=2):
                raise AssertionError("the certificate is of a client")
        assert refused.value.slug == "no-server"

    try:
        run(main)
    finally:
        started.kill()


@needs_server
@pytest.mark.parametrize("certified", [True, False])
def test_a_server_that_does_not_demand_tls_is_told_no_password(certificates: klorpy.Identity, certified: bool) -> None:
    """Who gives certificates, or writes tls://, wants nothing said in the clear, whatever stands at the address."""

    async def main() -> None:
        heard: list[bytes] = []

        async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b'INFO {"auth_required": true, "tls_available": true, "max_payload": 1048576}\r\n')
            heard.append(await reader.read())
            writer.close()

        async with await asyncio.start_server(plain, "127.0.0.1", 0) as listener:
            scheme, identity = ("nats", certificates) if certified else ("tls", None)
            url = f"{scheme}://A:secret@127.0.0.1:{listener.sockets[0].getsockname()[1]}"
            with pytest.raises(klorpy.KlorError, match="does not demand TLS, so nothing would be encrypted") as refused:
                async with klorpy.host(nats=url, tls=identity):
                    raise AssertionError("the server speaks in the clear")
        assert refused.value.slug == "no-server"
        assert "secret" not in str(refused.value)
        assert heard == [b""]

    run(main)


@needs_server
def test_a_server_that_comes_back_without_tls_is_not_used(
    tls_server: NatsServer, certificates: klorpy.Identity, tmp_path: Path, ns: Any
) -> None:
    in_the_clear = NatsServer(tmp_path / "clear")
    in_the_clear.port = tls_server.port

    async def main() -> None:
        async with klorpy.host(nats=tls_server.url, tls=certificates, grace=0.5) as node:
            tls_server.kill()
            in_the_clear.start()
            with pytest.raises(klorpy.SessionFailed, match=r"was lost for 0\.5 s: it does not demand TLS"):
                async with node.join(ns.double, "A", "s", deadline=10):
                    raise AssertionError("the server speaks in the clear")

    try:
        run(main)
    finally:
        in_the_clear.kill()


# --- What is wrong from the beginning ---------------------------------------------------------------------------------


def refusal(url: str, **options: Any) -> klorpy.KlorError:
    """The error of a node at `url`."""
    errors = []

    async def main() -> None:
        try:
            async with klorpy.host(nats=url, **options):
                pass
        except klorpy.KlorError as error:
            errors.append(error)

    run(main)
    (error,) = errors
    return error


@needs_server
def test_a_server_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server = NatsServer(tmp_path / "store")
    server.start()
    server.kill()
    error = refusal(server.url, grace=0.2)
    assert (error.slug, error.help) == ("no-server", "is it running, with JetStream? Start one with: nats-server -js")
    assert f"127.0.0.1:{server.port} cannot be reached" in error.message
    file = Path(klorpy.examples.__file__).parent / "simple.hy"
    assert klorpy_command(["play", str(file), "simple", "--role", "A", "--session", "s", "--grace", "0.2", "--nats", server.url, "1"]) == 1
    said = capsys.readouterr().err
    assert "error[no-server]: the NATS server at" in said
    assert "Traceback" not in said


@needs_server
def test_a_server_without_jetstream(tmp_path: Path) -> None:
    server = NatsServer(tmp_path / "store", jetstream=False)
    server.start()
    try:
        error = refusal(server.url, grace=0.5)
    finally:
        server.kill()
    assert error.slug == "no-server"
    assert "has no JetStream" in error.message


@pytest.mark.parametrize("url", ["nats://127.0.0.1:port", "nats://", "http://127.0.0.1:4222", "nats://127.0.0.1:70000"])
def test_what_is_no_address(url: str) -> None:
    error = refusal(url, grace=0.2)
    assert error.slug == "bad-argument"
    assert "nats://host:port" in error.help


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nats.aio.client", None)
    error = refusal("nats://127.0.0.1:4222")
    assert (error.slug, error.help) == ("bad-argument", "install klorpy with its extra nats")


def test_over_nats_and_over_tcp_at_once() -> None:
    error = refusal("nats://127.0.0.1:4222", listen="127.0.0.1:0")
    assert error.slug == "bad-argument"


def test_the_library_is_loaded_when_it_is_used() -> None:
    code = "import sys, klorpy; klorpy.connect; print([name for name in sys.modules if name.split('.')[0] == 'nats'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# --- Names and payloads -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["A", "A.b", "*", ">", "=", "=3D", "%41", "", "ü ~", "a/b\\c", "\n", "A" * 300])
def test_a_token_stands_for_one_name_and_breaks_no_subject(name: str) -> None:
    made = token(name)
    assert name_of(made) == name
    assert made != "="
    assert not set(made) & set(".*> \t\r\n/\\%")
    assert len(Names(name).consumer(name, name)) <= 200 or len(name) < 100


def test_damaged_payloads_are_refused_and_do_nothing_else() -> None:
    rng = random.Random(7)
    frame = Frame(2, 3, 4, b"key", bytes(range(256)))
    payloads = [pack([frame, frame]), *pack_parts(frame, 100)]
    for _ in range(3000):
        data = bytearray(rng.choice(payloads))
        for _ in range(rng.randint(1, 3)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        del data[rng.randint(0, len(data)) :]
        with contextlib.suppress(ProtocolError):
            assert all(isinstance(made, Frame) for made in Unpacker().feed(bytes(data)))
        unpack_state(bytes(data))
        unpack_cast(bytes(data))


def test_parts_come_in_any_order_and_more_than_once() -> None:
    frame = Frame(2, 3, 4, b"key", random.Random(1).randbytes(10_000))
    parts = pack_parts(frame, 500) * 2
    random.Random(2).shuffle(parts)
    unpacker, expected, whole = Unpacker(), 3, []
    for part in parts:
        for made in unpacker.feed(part, expected):
            whole.append(made)
            expected = made.number + 1
    assert whole == [frame]
