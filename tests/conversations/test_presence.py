"""Presence for choreographies: rendezvous, one verdict, nested sessions, observers, handover, and supervision."""

from __future__ import annotations

import copy
import random
import warnings
from collections.abc import Callable
from itertools import permutations
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

import klorpy
from klorpy import KlorError
from klorpy.conversations import (
    ANY,
    PUB,
    SUB,
    Absence,
    Ground,
    Kernel,
    Presence,
    Quit,
    Until,
    VirtualClock,
    Yield,
    observe_publishers,
    publisher,
    role,
    spawn,
    subscriber,
)  # fmt: skip
from klorpy.conversations.player import Player
from klorpy.conversations.presence import World
from klorpy.conversations.supervise import Supervision, supervisor
from klorpy.core.verdicts import PeerLost, RolesMissing, SessionFailed
from klorpy.testing import laws, program_of
from tests.conversations.scripts import examples

ASK = klorpy.evaluate("(defchor ask [A B] (-> A A) [x] (B->A (B (* 2 (A->B x)))))").ask
THREE = ("A", "B", "C")


def run(main: Callable[[World], Any], clock: Any = None) -> Any:
    """Run a test in a world of virtual time; nothing is left of it."""
    kept: list[World] = []

    async def everything() -> Any:
        with anyio.fail_after(20):
            async with World(clock or VirtualClock()) as world:
                kept.append(world)
                result = await main(world)
                assert [str(p.pid) for p in world.ground.kernel.processes.values()] == ["ground"]
                assert world.ground.resources == {}
        assert len(anyio.get_running_tasks()) == 1
        return result

    return anyio.run(everything)


def leaves(group: BaseExceptionGroup[Any]) -> list[BaseException]:
    return list(group.exceptions)


# --- Rendezvous -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", list(permutations(THREE)))
def test_roles_find_each_other_in_any_order(order: tuple[str, ...]) -> None:
    began: list[str] = []

    async def main(world: World) -> None:
        async with world.session("meet", "s", THREE) as session, anyio.create_task_group() as tasks:
            for name in order:
                tasks.start_soon(play, session, name)
                await anyio.wait_all_tasks_blocked()
                assert began == [] if name != order[-1] else sorted(began) == list(THREE)

    async def play(session: Any, name: str) -> None:
        async with session.role(name):
            began.append(name)

    run(main)


def test_a_choreography_is_played() -> None:
    async def main(world: World) -> Any:
        async def play(me: Player, *args: Any) -> Any:
            return await klorpy.play_role({"role": me.role, "transport": me}, ASK, *args)

        async with world.session(ASK, "s") as session:
            return await session.run({"A": lambda me: play(me, 21), "B": play})

    assert run(main) == {"A": 42, "B": klorpy.noop}


def test_who_is_missing_is_told_in_time() -> None:
    clock = VirtualClock()

    async def main(world: World) -> None:
        async with world.session("meet", "s", THREE) as session:
            with pytest.raises(RolesMissing, match="A and C did not come within 5 s") as caught:
                async with session.role("B", timeout=5):
                    pytest.fail("began without a cast")
            assert caught.value.missing == ("A", "C")
            assert clock.now() == 5
            assert session.verdict is not None
            assert session.verdict.slug == "roles-missing"

    run(main, clock)


def test_a_cast_can_be_any_that_is_enough() -> None:
    async def main(world: World) -> Any:
        async with world.session("vote", "s", THREE, complete=lambda roles: len(roles) >= 2) as session:

            async def count(me: Player) -> int:
                return len(session.population())

            return await session.run({"A": count, "C": count})

    assert run(main)["C"] == 2


def test_time_does_not_run_out_for_a_cast_that_is_complete() -> None:
    clock = VirtualClock()

    async def main(world: World) -> None:
        async def play(me: Player) -> None:
            await clock.sleep(100)

        async with world.session("meet", "s", ("A", "B")) as session:
            await session.run({"A": play, "B": play}, timeout=5)

    run(main, clock)
    assert clock.now() == 100


@pytest.mark.parametrize("name", ["X", "A"])
def test_a_role_is_one_of_the_cast_and_is_played_once(name: str) -> None:
    async def main(world: World) -> None:
        async with world.session("meet", "s", ("A",)) as session, session.role("A"):
            with pytest.raises(KlorError) as caught:
                async with session.role(name):
                    pytest.fail("played")
            assert caught.value.slug == {"X": "role-not-part", "A": "role-taken"}[name]

    run(main)


# --- One verdict ------------------------------------------------------------------------------------------------------


def test_everybody_reports_the_first_failure() -> None:
    async def fails(me: Player) -> None:
        await me.send("A", "to A")
        raise ValueError("no money")

    async def waits(me: Player) -> None:
        await me.recv("C")

    async def drains(me: Player) -> None:
        assert await me.recv("B") == "to A"
        await me.recv("C")

    async def idles(me: Player) -> None:
        await anyio.sleep_forever()

    async def main(world: World) -> None:
        async with world.session("two-buyer", "c1", (*THREE, "D")) as session:
            with pytest.raises(ExceptionGroup) as caught:
                await session.run({"A": drains, "B": fails, "C": waits, "D": idles})
            first, *others = leaves(caught.value)
            assert isinstance(first, ValueError)
            assert len(others) == 3
            for error in others:
                assert isinstance(error, SessionFailed)
                assert error.message == "session c1 of two-buyer failed: B failed at step 1 (ValueError: no money)"
                assert error.verdict == session.verdict
            assert not any(isinstance(error, PeerLost) for error in others[:2])

    run(main)


def test_what_was_sent_before_a_failure_is_received_before_it() -> None:
    got: list[Any] = []

    async def speaks(me: Player) -> None:
        for n in range(3):
            await me.send("B", n)
        raise OSError("line cut")

    async def hears(me: Player) -> None:
        await me.session.world.ground.clock.until(1)
        while True:
            got.append(await me.recv("A"))

    async def main(world: World) -> None:
        async with world.session("talk", "s", ("A", "B")) as session:
            with pytest.raises(ExceptionGroup) as caught:
                await session.run({"A": speaks, "B": hears})
            assert isinstance(leaves(caught.value)[1], SessionFailed)

    run(main)
    # B was doing something else when A failed, so it was stopped; what it waits for is delivered in order first.
    assert got in ([], [0, 1, 2])


def test_pending_messages_come_before_the_failure_for_who_catches_it() -> None:
    async def main(world: World) -> None:
        async with world.session("talk", "s", ("A", "B")) as session, anyio.create_task_group() as tasks:

            async def speaks() -> None:
                with pytest.raises(OSError, match="cut"):
                    async with session.role("A") as me:
                        await me.send("B", 1)
                        await me.send("B", 2)
                        await me.recv("B")
                        raise OSError("cut")

            tasks.start_soon(speaks)
            with pytest.raises(PeerLost, match="OSError: cut"):
                async with session.role("B") as me:
                    await me.send("A", "go")
                    assert [await me.recv("A"), await me.recv("A")] == [1, 2]
                    await me.recv("A")

    run(main)


def test_who_leaves_before_his_part_is_done_fails_the_session() -> None:
    async def early(me: Player) -> None:
        return None

    async def expects(me: Player) -> None:
        await me.recv("A")

    async def main(world: World) -> None:
        async with world.session("talk", "s", ("A", "B")) as session:
            with pytest.raises(ExceptionGroup) as caught:
                await session.run({"A": early, "B": expects})
            (error,) = leaves(caught.value)
            assert isinstance(error, PeerLost)
            assert session.verdict is not None
            assert session.verdict.role == "A"

    run(main)


def test_who_is_done_may_leave() -> None:
    async def main(world: World) -> Any:
        async def short(me: Player) -> None:
            await me.send("B", "all")

        async def long(me: Player) -> Any:
            await me.session.world.ground.clock.until(10)
            return await me.recv("A")

        async with world.session("talk", "s", ("A", "B")) as session:
            result = await session.run({"A": short, "B": long})
            assert session.verdict is None
            assert session.minutes.done == ("A", "B")
            return result

    assert run(main)["B"] == "all"


def test_a_cancelled_role_is_a_failure_of_the_session() -> None:
    async def main(world: World) -> None:
        async with world.session("talk", "s", ("A", "B")) as session, anyio.create_task_group() as tasks:
            scope = anyio.CancelScope()

            async def cancelled() -> None:
                with scope:
                    async with session.role("A"):
                        await anyio.sleep_forever()

            tasks.start_soon(cancelled)
            with pytest.raises(PeerLost, match="cancelled"):
                async with session.role("B") as me:
                    scope.cancel()
                    await me.recv("A")

    run(main)


def test_who_comes_to_a_session_that_has_failed_learns_why() -> None:
    async def main(world: World) -> None:
        async with world.session("talk", "s", ("A", "B")) as session:
            with pytest.raises(ValueError, match="bad"):
                async with session._player("A"):
                    raise ValueError("bad")
            with pytest.raises(SessionFailed, match="ValueError: bad"):
                async with session.role("B"):
                    pytest.fail("began")

    run(main)


def test_leaving_a_session_withdraws_everything() -> None:
    async def main(world: World) -> None:
        async with anyio.create_task_group() as tasks, world.session("talk", "s", ("A", "B")) as session:

            async def waits() -> None:
                with pytest.raises(KlorError) as caught:
                    async with session.role("A"):
                        pytest.fail("began")
                assert caught.value.slug == "session-failed"

            tasks.start_soon(waits)
            await anyio.wait_all_tasks_blocked()

    run(main)


def test_values_are_copied_and_sites_compared() -> None:
    async def main(world: World) -> Any:
        value = {"list": [1]}

        async def a(me: Player) -> None:
            await me.send("B", value)
            with pytest.raises(KlorError) as caught:
                await me.send("B", (n for n in ()))
            assert caught.value.slug == "not-copyable"

        async def b(me: Player) -> Any:
            return await me.recv("A")

        async with world.session("talk", "s", ("A", "B")) as session:
            got = (await session.run({"A": a, "B": b}))["B"]
        assert got == value
        assert got["list"] is not value["list"]

    run(main)


# --- Many sessions ----------------------------------------------------------------------------------------------------


def test_sessions_do_not_disturb_each_other() -> None:
    async def main(world: World) -> Any:
        async def fails(me: Player) -> None:
            raise ValueError("only here")

        async def a(me: Player) -> Any:
            await me.send("B", me.session.name)
            return await me.recv("B")

        async def b(me: Player) -> None:
            await me.send("A", await me.recv("A"))

        results = {}

        async def good(n: int) -> None:
            async with world.session("talk", n, ("A", "B")) as session:
                results[n] = (await session.run({"A": a, "B": b}))["A"]

        async def bad() -> None:
            async with world.session("talk", "bad", ("A", "B")) as session:
                with pytest.raises(ExceptionGroup):
                    await session.run({"A": fails, "B": b})

        async with anyio.create_task_group() as tasks:
            for n in range(20):
                tasks.start_soon(good, n)
                if n == 10:
                    tasks.start_soon(bad)
        return results

    assert run(main) == {n: n for n in range(20)}


def test_a_name_is_that_of_one_session_at_a_time() -> None:
    async def main(world: World) -> None:
        async with world.session("talk", "s", ("A",)):
            with pytest.raises(KlorError, match="already"):
                async with world.session("talk", "s", ("A",)):
                    pytest.fail("two sessions")
        async with world.session("talk", "s", ("A",)):
            pass

    run(main)


def test_a_nested_session_is_seen_by_its_result_only() -> None:
    async def main(world: World) -> Any:
        async def ends(me: Player) -> str:
            return "inner"

        async def fails(me: Player) -> None:
            raise ValueError("inside")

        async def outer(me: Player) -> Any:
            async with me.session.session("inner", "call 1", ("A",)) as inner:
                first = await inner.run({"A": ends})
            async with me.session.session("inner", "call 2", ("A",)) as inner:
                with pytest.raises(ExceptionGroup, match="call 2"):
                    await inner.run({"A": fails})
            return first["A"]

        async with world.session("outer", "s", ("A",)) as session:
            result = await session.run({"A": outer})
            assert session.verdict is None
            return result

    assert run(main) == {"A": "inner"}


# --- Observers, handover ----------------------------------------------------------------------------------------------


def test_observers_see_who_plays_and_what_is_said_and_are_not_noticed() -> None:
    async def main(world: World) -> Any:
        async def a(me: Player) -> None:
            await me.send("B", "hello")

        async def b(me: Player) -> None:
            await me.recv("A")

        roster: list[Any] = []
        async with (
            world.observe(observe_publishers(("role", ANY, ANY, ANY, ANY))) as roles,
            world.observe(subscriber(("msg", "talk", "s", ANY, ANY, ANY, ANY))) as trace,
        ):
            async with world.session("talk", "s", ("A", "B")) as session:
                await session.run({"A": a, "B": b})
            async for event in roles:
                roster.append(("+" if isinstance(event, Presence) else "-", event.role.topic[3]))
                if len(roster) == 4:
                    break
            message = await anext(trace)
            # An `everything` endpoint can list who listens.
            assert len(world.query(PUB, ("role", ANY, ANY, ANY, ANY))) == 0
        assert message.body[3:6] == ("A", "B", 1)
        assert message.body[6].value == (None, "hello")
        return roster

    assert run(main) == [("+", "A"), ("+", "B"), ("-", "A"), ("-", "B")]


def test_a_role_is_handed_over_and_never_missed() -> None:
    async def main(world: World) -> Any:
        events: list[str] = []
        async with world.observe(observe_publishers(("role", "talk", "s", "A", ANY))) as seen:

            async def first(me: Player) -> Any:
                await me.send("B", 1)
                async with me.hand_over() as successor:
                    assert await successor.recv("B") == "early"
                    await successor.send("B", 2)
                    return await successor.recv("B")

            async def other(me: Player) -> Any:
                await me.send("A", "early")
                got = [await me.recv("A"), await me.recv("A")]
                await me.send("A", "late")
                return got

            async with world.session("talk", "s", ("A", "B")) as session:
                results = await session.run({"A": first, "B": other})
                assert session.verdict is None
            async for event in seen:
                events.append(f"{'+' if isinstance(event, Presence) else '-'}{event.role.topic[4]}")
                if len(events) == 4:
                    break
        assert events == ["+1", "+2", "-1", "-2"]
        return results

    assert run(main) == {"A": "late", "B": [1, 2]}


# --- P-session: random choreographies, random crashes ---------------------------------------------------------------


class Crash(Exception):
    """The failure that a test injects."""


class Crashing:
    """A player that fails at one of its messages."""

    def __init__(self, player: Player, at: int) -> None:
        self.player = player
        self.left = at

    async def step(self) -> None:
        if self.left == 0:
            raise Crash("here")
        self.left -= 1

    async def send(self, target: str, value: Any, site: Any) -> None:
        await self.step()
        await self.player.send(target, value, site)

    async def receive(self, source: str, site: Any) -> Any:
        await self.step()
        return await self.player.receive(source, site)

    async def close(self) -> None:
        await self.player.close()


@pytest.mark.parametrize("seed", range(30))
def test_session(seed: int) -> None:
    """Every role of a random choreography ends, whoever crashes wherever, and all report the same verdict."""
    program = program_of(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", klorpy.KlorWarning)
        chor = laws.namespace(program.text).main
    rng = random.Random(seed)
    victim, at = rng.choice(chor.roles), rng.randrange(4)
    crashed: list[str] = []
    clock = VirtualClock()

    async def main(world: World) -> None:
        errors: dict[str, BaseException] = {}

        async def play(session: Any, name: str) -> None:
            args = [copy.deepcopy(arg) for arg, type_ in zip(program.args, program.main.type.params, strict=True)
                    if name in type_.roles]  # fmt: skip
            try:
                async with session.role(name, timeout=60) as me:
                    transport: Any = Crashing(me, at) if name == victim else me
                    await klorpy.play_role({"role": name, "transport": transport}, chor, *args)
            except Crash as error:
                crashed.append(name)
                errors[name] = error
            except KlorError as error:
                errors[name] = error

        async with world.session(chor, seed) as session:
            async with anyio.create_task_group() as tasks:
                for name in rng.sample(chor.roles, len(chor.roles)):
                    tasks.start_soon(play, session, name)
            verdict = session.verdict
            if crashed:
                assert verdict is not None
                assert verdict.role == victim
                assert verdict.cause == "Crash: here"
                for name, error in errors.items():
                    if name != victim:
                        assert isinstance(error, SessionFailed)
                        assert error.verdict == verdict
            else:
                assert errors == {}
                assert verdict is None
        assert clock.now() == 0

    run(main, clock)


# --- P-demand ---------------------------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.sampled_from(["rise", "fall", "crash", "run"]), st.integers(0, 3)), max_size=25),
    st.integers(0, 3),
)
@examples(150)
def test_demand(script: list[tuple[str, int]], delay: int) -> None:
    """However demand rises and falls, and children crash and come late: finally supply is demand, never two suppliers."""
    kernel = Kernel(logging=True)

    def child(topic: Any) -> Any:
        def later(n: int) -> Any:
            return role("s", publisher(topic)) if n == 0 else Yield(lambda state: later(n - 1))

        return spawn(lambda: later(delay), "child")

    tellers = supervisor(subscriber(("teller", ANY)), publisher(("teller", ANY)), child, max_restarts=1000)
    kernel.start("boot", tellers)
    clients: dict[int, Any] = {}
    for word, n in script:
        topic = ("teller", n % 2)
        if word == "rise" and n not in clients:
            clients[n] = kernel.start("client", role("c", subscriber(topic)))
        elif word == "fall" and n in clients:
            kernel.enqueue(clients.pop(n), Quit())
        elif word == "crash":
            kernel.enqueue("child", Quit("crashed"))
        else:
            kernel.run(n)
        for task in (0, 1):
            assert len(kernel.query(PUB, ("teller", task))) <= 1
    kernel.run()
    for task in (0, 1):
        assert len(kernel.query(PUB, ("teller", task))) == bool(kernel.query(SUB, ("teller", task)))
    state: Supervision = kernel.state_of("supervisor")
    assert all(task.demand for task in state.tasks.values())


def test_restarts_are_limited() -> None:
    kernel = Kernel(logging=True)
    started: list[Any] = []

    def child(topic: Any) -> Any:
        def boot() -> Any:
            started.append(topic)
            return [role("s", publisher(topic)), Quit("crashed")]

        return spawn(boot, "child")

    kernel.start("boot", supervisor(subscriber(("t", ANY)), publisher(("t", ANY)), child, max_restarts=3))
    kernel.start("watch", role("w", subscriber(("given-up", ANY))))
    client = kernel.start("client", role("c", subscriber(("t", 1))))
    kernel.run()
    assert len(started) == 4
    assert any("given-up" in str(record) for record in kernel.take_log())
    kernel.enqueue(client, Quit())
    kernel.start("client", role("c", subscriber(("t", 1))))
    kernel.run()
    assert len(started) == 8


def test_restarts_are_forgotten_in_time() -> None:
    clock = VirtualClock()
    ground = Ground(clock)
    started: list[float] = []

    def child(topic: Any) -> Any:
        def boot() -> Any:
            started.append(clock.now())
            moment = clock.now() + 4
            return [
                role("s", publisher(topic)),
                role("t", subscriber((Until(moment), ANY)), on_message=lambda e, s: Quit("crashed")),
            ]

        return spawn(boot, "child")

    def given_up(event: Any, state: Any) -> Any:
        raise AssertionError("given up")

    def enough(event: Any, state: Any) -> Any:
        return Quit()

    ground.kernel.start(
        "boot", supervisor(subscriber(("t", ANY)), publisher(("t", ANY)), child, max_restarts=3, within=10)
    )
    ground.kernel.start("watch", role("w", subscriber(("given-up", ANY)), on_message=given_up))
    ground.kernel.start(
        "client", [role("c", subscriber(("t", 1))), role("end", subscriber((Until(30), ANY)), on_message=enough)]
    )

    async def main() -> None:
        with anyio.fail_after(20):
            await ground.run()

    anyio.run(main)
    assert started == [0, 4, 8, 12, 16, 20, 24, 28]
    assert ground.kernel.find("watch") is not None


def test_a_child_whose_boot_fails_is_started_again() -> None:
    kernel = Kernel()
    tries: list[int] = []

    def child(topic: Any) -> Any:
        def boot() -> Any:
            tries.append(len(tries))
            if len(tries) < 3:
                raise OSError("not yet")
            return role("s", publisher(topic))

        return spawn(boot, "child")

    kernel.start("boot", supervisor(subscriber(("t", ANY)), publisher(("t", ANY)), child))
    kernel.start("client", role("c", subscriber(("t", 1))))
    kernel.run()
    assert tries == [0, 1, 2]
    assert len(kernel.query(PUB, ("t", 1))) == 1


def test_absences_are_events_too() -> None:
    async def main(world: World) -> Any:
        async with world.session("talk", "s", ("A",)) as session, session.events() as events:

            async def play(me: Player) -> None:
                await anyio.lowlevel.checkpoint()

            await session.run({"A": play})
            return [type(await anext(events)) for _ in range(2)]

    assert run(main) == [Presence, Absence]


# --- Supervision of sessions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failures", [2, 3, 4])
def test_a_session_is_restarted_as_a_whole_and_so_often(failures: int) -> None:
    names: list[Any] = []

    async def main(world: World) -> Any:
        async def a(me: Player) -> None:
            await me.recv("B")

        async def b(me: Player) -> None:
            if len(names) <= failures:
                raise ValueError("again")
            await me.send("A", "at last")

        async def play(session: Any) -> str:
            names.append(session.name)
            await session.run({"A": a, "B": b})
            return "done"

        return await world.restarting("talk", "s", play, roles=("A", "B"), max_restarts=3)

    if failures > 3:
        with pytest.raises(ExceptionGroup, match="B failed"):
            run(main)
    else:
        assert run(main) == "done"
    assert names == [("s", n + 1) for n in range(min(failures, 3) + 1)]


def test_a_world_supervises_demand() -> None:
    async def main(world: World) -> None:
        def teller(topic: Any) -> Any:
            return spawn(role("t", publisher(topic)), "teller")

        pid = world.supervise(subscriber(("teller", ANY)), publisher(("teller", ANY)), teller)
        ann = world.start(role("c", subscriber(("teller", "ann"))), name="ann")
        assert len(world.query(PUB, ("teller", ANY))) == 1
        world.perform(ann, Quit())
        assert len(world.query(PUB, ("teller", ANY))) == 0
        world.perform(pid, Quit())

    run(main)
