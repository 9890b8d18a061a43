"""Sessions between processes as presence: nodes over TCP on loopback, each with a world of its own."""

from __future__ import annotations

import contextlib
import copy
import random
import warnings
from collections.abc import AsyncIterator, Callable, Iterable
from itertools import permutations
from typing import Any

import anyio
import pytest

import klorpy
from klorpy import KlorError
from klorpy.conversations import ANY, PUB, Absence, Presence, World, observe_publishers, observer, publisher, subscriber
from klorpy.conversations.auditor import Auditor
from klorpy.conversations.bridge import Bridge, Onlooker
from klorpy.conversations.players import Minutes
from klorpy.conversations.projecting import Projection
from klorpy.core.verdicts import PeerLost, RolesMissing, SessionFailed
from klorpy.runtime.sessions import Node
from klorpy.runtime.transports.observer import observe
from klorpy.testing import laws, program_of
from tests.conversations.test_presence import Crash, Crashing
from tests.runtime.sessions.nodes import address, tcp

NS = klorpy.evaluate("""
(defchor relay [A B C] (-> A C) [x] (B->C (B (+ 1 (A->B x)))))
(defchor around [A B C] (-> A A) [x] (C->A (B->C (A->B x))))
(defchor wait [A B C] (-> A C) [x] (B->C (B (+ 1 (A->B (A (await (x))))))))
""")
THREE = ("A", "B", "C")


@contextlib.asynccontextmanager
async def bridged(role: str, peers: dict[str, str], **options: Any) -> AsyncIterator[Bridge]:
    """A process of its own, as far as the others can see."""
    async with (
        World() as world,
        klorpy.host(**{"listen": "127.0.0.1:0", "peers": peers, "grace": 0, **options}) as node,
        Bridge(world, node) as bridge,
    ):
        yield bridge


@contextlib.asynccontextmanager
async def cast(roles: Iterable[str] = THREE, **options: Any) -> AsyncIterator[dict[str, Bridge]]:
    """A bridge for each role, each connected to those before it; nothing of any is left in its world."""
    async with contextlib.AsyncExitStack() as stack:
        found: dict[str, Bridge] = {}
        for role in roles:
            peers = {other: address(bridge.node) for other, bridge in found.items()}
            found[role] = await stack.enter_async_context(bridged(role, peers, **options))
        yield found
    for bridge in found.values():
        assert [str(p.pid) for p in bridge.world.ground.kernel.processes.values()] == ["ground"]
        assert bridge.world.ground.resources == {}


def run(main: Callable[[], Any]) -> Any:
    async def bounded() -> Any:
        with anyio.fail_after(10):
            return await main()

    return anyio.run(bounded)


async def play(session: Any, role: str, *args: Any, chor: Any = NS.relay) -> Any:
    async with session.role(role, timeout=20) as me:
        return await klorpy.play_role({"role": role, "transport": me}, chor, *args)


def vanish(node: Node) -> None:
    """Cut the connections of a node, and make no new ones, as if the process had been killed."""
    carrier = tcp(node)
    carrier._stopping = True
    if carrier._server is not None:
        carrier._server.close()
    for link in list(carrier._links):
        link._transport.abort()


async def until(condition: Callable[[], Any]) -> None:
    while not condition():
        await anyio.lowlevel.checkpoint()


# --- Rendezvous -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", list(permutations(THREE)))
def test_roles_find_each_other_in_any_order(order: tuple[str, ...]) -> None:
    results: dict[str, Any] = {}

    async def main() -> None:
        async with cast(order) as bridges, contextlib.AsyncExitStack() as stack:
            sessions = {
                role: await stack.enter_async_context(bridge.session(NS.relay, "s")) for role, bridge in bridges.items()
            }

            async def one(role: str) -> None:
                results[role] = await play(sessions[role], role, *([41] if role == "A" else []))

            async with anyio.create_task_group() as tasks:
                for role in order:
                    tasks.start_soon(one, role)
                    await anyio.wait_all_tasks_blocked()
                    assert (results == {}) == (role != order[-1])
            assert [session.verdict for session in sessions.values()] == [None] * 3

    run(main)
    assert results == {"A": klorpy.noop, "B": klorpy.noop, "C": 42}


def test_every_world_sees_who_plays_what_where() -> None:
    async def main() -> None:
        async with cast() as bridges, anyio.create_task_group() as tasks:
            seen: dict[str, Any] = {}
            ready = anyio.Event()

            async def one(role: str, bridge: Bridge) -> None:
                async with bridge.session(NS.relay, "s") as session, session.role(role):
                    seen[role] = session.where()
                    assert session.population() == THREE
                    assert len(bridge.world.query(PUB, ("role", "relay", "s", ANY, ANY))) == 3
                    if len(seen) == 3:
                        ready.set()
                    await ready.wait()

            for role, bridge in bridges.items():
                tasks.start_soon(one, role, bridge)
        # A connects to nobody and is found where it listens.
        assert {role: where[role] for role, where in seen.items()} == dict.fromkeys(THREE, "here")
        assert seen["C"]["A"] == address(bridges["A"].node)
        assert seen["C"]["B"] == address(bridges["B"].node)
        assert seen["A"]["C"].startswith("127.0.0.1:")

    run(main)


def test_two_roles_in_one_process_are_played_here() -> None:
    async def main() -> Any:
        async with contextlib.AsyncExitStack() as stack:
            first = await stack.enter_async_context(bridged("A", {}))
            place = address(first.node)
            second = await stack.enter_async_context(bridged("C", {"A": place, "B": place}))
            one = await stack.enter_async_context(first.session(NS.relay, "s"))
            other = await stack.enter_async_context(second.session(NS.relay, "s"))
            result: dict[str, Any] = {}

            async def here() -> None:
                result.update(
                    await one.run({"A": lambda me: drive(me, "A", 1), "B": lambda me: drive(me, "B")}, timeout=20)
                )

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(here)
                result["C"] = await play(other, "C")
            return result

    async def drive(me: Any, role: str, *args: Any) -> Any:
        return await klorpy.play_role({"role": role, "transport": me}, NS.relay, *args)

    assert run(main) == {"A": klorpy.noop, "B": klorpy.noop, "C": 2}


def test_who_is_missing_is_told_in_time() -> None:
    async def main() -> None:
        async with cast(["A"]) as bridges, bridges["A"].session(NS.relay, "s") as session:
            with pytest.raises(RolesMissing) as caught:
                async with session.role("A", timeout=0.02):
                    pytest.fail("began without a cast")
            assert caught.value.missing == ("B", "C")
            assert session.verdict is not None
            assert session.verdict.slug == "roles-missing"
            assert session.minutes.verdict == session.verdict

    run(main)


def test_a_name_is_that_of_one_session_at_a_time() -> None:
    async def main() -> None:
        async with cast(["A"]) as bridges, bridges["A"].session(NS.relay, "s"):
            with pytest.raises(KlorError, match="already"):
                async with bridges["A"].session(NS.relay, "s"):
                    pytest.fail("two sessions")

    run(main)


# --- One verdict ------------------------------------------------------------------------------------------------------


def test_a_failure_is_the_same_everywhere() -> None:
    async def main() -> None:
        async with cast() as bridges, contextlib.AsyncExitStack() as stack:
            sessions = {
                role: await stack.enter_async_context(bridge.session(NS.relay, "s")) for role, bridge in bridges.items()
            }
            errors: dict[str, BaseException] = {}

            async def one(role: str, *args: Any) -> None:
                try:
                    await play(sessions[role], role, *args)
                except Exception as error:
                    errors[role] = error

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(one, "A", "not a number")
                tasks.start_soon(one, "B")
                tasks.start_soon(one, "C")
            assert isinstance(errors["B"], TypeError)
            assert isinstance(errors["C"], PeerLost)
            # A has done its part before the failure, or not: that is the only thing it may not know.
            verdicts = {role: session.verdict for role, session in sessions.items()}
            assert verdicts["B"] is not None
            assert verdicts["B"] == verdicts["C"] == errors["C"].verdict
            assert verdicts["B"].role == "B"
            assert verdicts["A"] in (None, verdicts["B"])
            for role in ("B", "C"):
                assert sessions[role].minutes.verdict == verdicts["B"]

    run(main)


def test_who_vanishes_is_gone_everywhere_with_the_reason() -> None:
    async def main() -> None:
        async with cast() as bridges, contextlib.AsyncExitStack() as stack:
            sessions = {
                role: await stack.enter_async_context(bridge.session(NS.wait, "s")) for role, bridge in bridges.items()
            }
            errors: dict[str, BaseException] = {}
            asked = anyio.Event()

            async def never() -> None:
                asked.set()
                await anyio.sleep_forever()

            async def one(role: str, *args: Any) -> None:
                try:
                    await play(sessions[role], role, *args, chor=NS.wait)
                except Exception as error:
                    errors[role] = error

            async with (
                bridges["C"].world.observe(observe_publishers(("role", "wait", "s", ANY, ANY))) as roster,
                anyio.create_task_group() as tasks,
            ):
                tasks.start_soon(one, "A", never)
                tasks.start_soon(one, "B")
                tasks.start_soon(one, "C")
                await asked.wait()
                where = sessions["C"].where()["A"]
                vanish(bridges["A"].node)
                async for event in roster:
                    if isinstance(event, Absence):
                        break
                assert event.role.topic[3:] == ("A", (where, 1))
                assert event.reason[:2] == ("unreachable", where)
                assert event.reason[2] <= anyio.current_time()
                await until(lambda: len(errors) == 3)
            assert sessions["B"].verdict == sessions["C"].verdict
            verdict = sessions["C"].verdict
            assert verdict is not None
            assert (verdict.role, verdict.slug) == ("A", "peer-lost")
            assert isinstance(errors["B"], PeerLost)
            # C waits for B, and says nevertheless who it was that failed.
            assert isinstance(errors["C"], SessionFailed)
            assert errors["C"].verdict == verdict
            # What the minutes know without a role in the session says the same in their words.
            minutes: Minutes = sessions["C"].minutes
            assert minutes.verdict is not None
            assert (minutes.verdict.role, minutes.verdict.slug) == ("A", "peer-lost")

    run(main)


def test_a_role_that_comes_again_is_another_instance() -> None:
    async def main() -> None:
        instances = []
        async with cast(["A"]) as bridges:
            here = bridges["A"]
            async with here.world.observe(observe_publishers(("role", "relay", "s", "B", ANY))) as roster:
                shown = Projection(here.world)
                for _ in range(2):
                    shown.came("relay", "s", "B", "far:1")
                    shown.came("relay", "s", "B", "far:1")
                    shown.unreachable("far:1")
                shown.close()
                for _ in range(4):
                    event = await anext(roster)
                    instances.append(("+" if isinstance(event, Presence) else "-", event.role.topic[4]))
        assert instances == [("+", ("far:1", 1)), ("-", ("far:1", 1)), ("+", ("far:1", 2)), ("-", ("far:1", 2))]

    run(main)


def test_a_bridge_shows_what_was_there_before_it() -> None:
    async def main() -> None:
        async with World() as world, klorpy.host() as node, anyio.create_task_group() as tasks:
            began = anyio.Event()

            async def one(role: str) -> None:
                async with node.join(NS.relay, role, "s"):
                    began.set()
                    await anyio.sleep_forever()

            for role in THREE:
                tasks.start_soon(one, role)
            await began.wait()
            async with Bridge(world, node):
                found = world.query(PUB, ("role", "relay", "s", ANY, ANY))
                assert sorted(topic[3:] for _, topic in found) == [(role, ("here", 1)) for role in THREE]
            assert world.query(PUB, ("role", "relay", "s", ANY, ANY)) == ()
            tasks.cancel_scope.cancel()

    run(main)


class CrashingSeat(Crashing):
    """A seat that fails at one of its messages, and tells the session."""

    def fail(self, error: BaseException, place: str = "") -> None:
        self.player.fail(error, place)

    def watch(self, cancel: Callable[[], object]) -> None:
        self.player.watch(cancel)

    def error(self) -> BaseException:
        return self.player.error()

    async def settle(self) -> None:
        await self.player.settle()


@pytest.mark.parametrize("seed", range(8))
def test_session(seed: int) -> None:
    """Every role of a random choreography ends, whoever crashes, and whoever has not left before says the same."""
    program = program_of(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", klorpy.KlorWarning)
        chor = laws.namespace(program.text).main
    rng = random.Random(seed)
    victim, at = rng.choice(chor.roles), rng.randrange(3)
    errors: dict[str, BaseException] = {}

    async def main() -> None:
        async with cast(chor.roles) as bridges, contextlib.AsyncExitStack() as stack:
            sessions = {
                role: await stack.enter_async_context(bridge.session(chor, "s")) for role, bridge in bridges.items()
            }

            async def one(role: str) -> None:
                args = [copy.deepcopy(arg) for arg, type_ in zip(program.args, program.main.type.params, strict=True)
                        if role in type_.roles]  # fmt: skip
                try:
                    async with sessions[role].role(role) as me:
                        transport: Any = CrashingSeat(me, at) if role == victim else me
                        await klorpy.play_role({"role": role, "transport": transport}, chor, *args)
                except (Crash, SessionFailed) as error:
                    errors[role] = error

            async with anyio.create_task_group() as tasks:
                for role in rng.sample(chor.roles, len(chor.roles)):
                    tasks.start_soon(one, role)
            verdicts = {session.verdict for session in sessions.values()} - {None}
            if isinstance(errors.get(victim), Crash):
                (verdict,) = verdicts
                assert verdict is not None
                assert (verdict.role, verdict.cause) == (victim, "Crash: here")
                for role in errors.keys() - {victim}:
                    assert errors[role].verdict == verdict  # type: ignore[attr-defined]
            else:
                assert errors == {}
                assert verdicts == set()

    run(main)


# --- Observers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("interest", [subscriber, observer])
def test_messages_are_shown_while_somebody_asks(interest: Any) -> None:
    topic = ("msg", "relay", ANY, ANY, ANY, ANY, ANY)
    watcher = subscriber(topic) if interest is subscriber else observer(publisher(topic))

    async def main() -> None:
        async with cast() as bridges:
            world = bridges["B"].world
            assert bridges["B"].node.observers == []

            async def everybody(name: str) -> None:
                async with contextlib.AsyncExitStack() as stack, anyio.create_task_group() as tasks:
                    for role, bridge in bridges.items():
                        session = await stack.enter_async_context(bridge.session(NS.relay, name))
                        tasks.start_soon(play, session, role, *([41] if role == "A" else []))

            async with world.observe(watcher) as trace:
                assert len(bridges["B"].node.observers) == 1
                await everybody("s1")
                heard = [(await anext(trace)).body for _ in range(2)]
            assert [body[:5] for body in heard] == [
                ("msg", "relay", "s1", "A", "B"), ("msg", "relay", "s1", "B", "C"),
            ]  # fmt: skip
            assert heard[0][5] < heard[1][5]
            assert [(site.text, text) for site, text in (body[6].value for body in heard)] == [
                ("(A->B x)", "41"), ("(B->C (B (+ 1 (A->B x))))", "42"),
            ]  # fmt: skip
            assert bridges["B"].node.observers == []
            await everybody("s2")

    run(main)


def test_an_onlooker_sees_sessions_of_others() -> None:
    async def main() -> None:
        async with World() as world, anyio.create_task_group() as watching:
            roster: list[Any] = []
            said: list[Any] = []
            over = anyio.Event()
            async with (
                world.observe(observe_publishers(("role", ANY, ANY, ANY, ANY))) as roles,
                world.observe(subscriber(("msg", "around", "s", ANY, ANY, ANY, ANY))) as trace,
            ):

                async def watch(addresses: list[str], attached: anyio.Event) -> None:
                    async with observe(addresses) as observation:
                        attached.set()
                        await Onlooker(world, [NS.around]).follow(observation)
                    over.set()

                async with cast(observers=True) as bridges, contextlib.AsyncExitStack() as stack:
                    attached = anyio.Event()
                    places = {role: address(bridge.node) for role, bridge in bridges.items()}
                    watching.start_soon(watch, list(places.values()), attached)
                    await attached.wait()
                    async with anyio.create_task_group() as tasks:
                        for role, bridge in bridges.items():
                            session = await stack.enter_async_context(bridge.session(NS.around, "s"))
                            args = ["ball"] if role == "A" else []

                            async def one(session: Any = session, role: str = role, args: Any = args) -> None:
                                await play(session, role, *args, chor=NS.around)

                            tasks.start_soon(one)
                await over.wait()
                for _ in range(6):
                    event = await anext(roles)
                    roster.append(("+" if isinstance(event, Presence) else "-", *event.role.topic[3:]))
                    if isinstance(event, Absence):
                        assert event.reason == "done"
                said = [(await anext(trace)).body for _ in range(3)]
            assert sorted(roster) == sorted(
                (sign, role, (place, 1)) for sign in "+-" for role, place in places.items()
            )
            assert [(*body[3:5], body[6].value[1]) for body in said] == [
                ("A", "B", '"ball"'), ("B", "C", '"ball"'), ("C", "A", '"ball"'),
            ]  # fmt: skip
            auditor = Auditor(NS.around)
            for source, target, site in ((*body[3:5], body[6].value[0]) for body in said):
                assert site is not None
                assert auditor.said(source, target, site) is None
            assert [auditor.left(role) for role in THREE] == [None] * 3

    run(main)


# --- Supervision ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failures", [2, 3, 4])
def test_a_session_is_demanded_again_and_supplied_again(failures: int) -> None:
    """A demands; B and C serve. B fails in the first sessions."""
    names: list[str] = []

    async def main() -> None:
        # Who demands connects to those who supply.
        async with cast(("C", "B", "A")) as bridges, anyio.create_task_group() as tasks:

            async def b(seat: Any) -> None:
                if len(names) <= failures:
                    raise ValueError("again")
                await klorpy.play_role({"role": "B", "transport": seat}, NS.around)

            async def c(seat: Any) -> None:
                await klorpy.play_role({"role": "C", "transport": seat}, NS.around)

            tasks.start_soon(bridges["B"].node.serve, NS.around, "B", b)
            tasks.start_soon(bridges["C"].node.serve, NS.around, "C", c)

            async def attempt(session: Any) -> Any:
                names.append(session.name)
                return await play(session, "A", "ball", chor=NS.around)

            if failures > 3:
                with pytest.raises(SessionFailed, match="ValueError: again"):
                    await bridges["A"].restarting(NS.around, "s", attempt, max_restarts=3)
            else:
                assert await bridges["A"].restarting(NS.around, "s", attempt, max_restarts=3) == "ball"
            tasks.cancel_scope.cancel()

    run(main)
    assert names == [f"s/{n + 1}" for n in range(min(failures, 3) + 1)]


def test_another_process_takes_the_place_of_one_that_vanished() -> None:
    """The new session finds whoever supplies the role now: a role moves from process to process between sessions."""

    async def main() -> Any:
        async with (
            bridged("B", {}) as first,
            bridged("A", {"B": address(first.node)}) as here,
            anyio.create_task_group() as tasks,
        ):
            place = address(first.node)

            async def supply(seat: Any) -> Any:
                return await klorpy.play_role({"role": "B", "transport": seat}, PAIR.ask)

            async def fragile(seat: Any) -> None:
                vanish(first.node)
                await anyio.sleep_forever()

            async def successor() -> None:
                async with bridged("B", {}, listen=place) as second:
                    await second.node.serve(PAIR.ask, "B", supply)

            async def attempt(session: Any) -> Any:
                names.append(session.name)
                if len(names) == 2:
                    tasks.start_soon(successor)
                return await play(session, "A", 21, chor=PAIR.ask)

            names: list[str] = []
            tasks.start_soon(first.node.serve, PAIR.ask, "B", fragile)
            result = await here.restarting(PAIR.ask, "s", attempt)
            tasks.cancel_scope.cancel()
            return names, result
        raise AssertionError("cancelled before it had a result")

    assert run(main) == (["s/1", "s/2"], 42)


PAIR = klorpy.evaluate("(defchor ask [A B] (-> A A) [x] (B->A (B (* 2 (A->B x)))))")
