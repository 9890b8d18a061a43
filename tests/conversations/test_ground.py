"""The ground VM: demand for I/O as presence, virtual time, recordings, tasks, and nothing left behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from klorpy.conversations import (
    ANY,
    Add,
    Delete,
    Descriptor,
    Endpoint,
    Exited,
    Failure,
    Ground,
    Kill,
    Message,
    Quit,
    Send,
    Source,
    Transition,
    Until,
    VirtualClock,
    Yield,
    ground_vm,
    nested_vm,
    observe_publishers,
    publisher,
    replay,
    subscriber,
    task,
)  # fmt: skip
from klorpy.conversations.drivers import (
    ABSOLUTE,
    CancelTimer,
    ClockRead,
    Console,
    ConsoleIn,
    ConsoleOut,
    ReadClock,
    SetTimer,
    TimerExpired,
    console_driver,
    timer_driver,
    timer_relay,
)  # fmt: skip
from klorpy.conversations.relay import event_relay


def on(topic: Any, handler: Any, name: Any = "in") -> Add:
    return Add(Endpoint(name, subscriber(topic), on_message=handler))


def run(*boot: Any, clock: Any = None, logging: bool = True) -> Ground:
    ground = Ground(clock or VirtualClock(), logging=logging)
    ground.kernel.start("boot", list(boot))

    async def main() -> None:
        with anyio.fail_after(20):
            await ground.run()

    anyio.run(main)
    assert ground.resources == {}
    assert ground._running == {}
    return ground


def exits(ground: Ground) -> dict[str, Any]:
    return {str(r.process[-1]): r.reason for r in ground.kernel.log or () if isinstance(r, Exited)}


def test_a_ground_without_demand_ends() -> None:
    assert exits(run(Send(("nobody",)))) == {"boot": "gc"}


def test_demand_is_presence_and_time_jumps() -> None:
    times: list[float] = []

    def at(event: Message, state: Any) -> Any:
        times.append(event.body[1])
        return Delete(event.body[0].time)

    run(*[on((Until(t), ANY), at, t) for t in (3600, 60, 86400, 60.5)])
    assert times == [60, 60.5, 3600, 86400]


def test_a_moment_that_is_demanded_no_more_does_not_come() -> None:
    seen: list[Any] = []
    run(
        on((Until(5), ANY), lambda event, state: [Delete("late"), Delete("in")]),
        on((Until(10), ANY), lambda event, state: seen.append(event), "late"),
    )
    assert seen == []


def test_a_descriptor_that_stays_demanded_happens_again() -> None:
    @dataclass(frozen=True)
    class Tick(Source):
        async def ready(self, ground: Ground) -> None:
            await ground.clock.until(ground.clock.now() + 1)

        def take(self, ground: Ground) -> float:
            return ground.clock.now()

    def tick(event: Message, state: Any) -> Any:
        return Quit() if event.body[1] == 5 else None

    ground = run(on((Tick(), ANY), tick))
    assert [value for _, value in ground.recording] == [1, 2, 3, 4, 5]


def test_what_goes_wrong_outside_is_told_to_who_waits() -> None:
    @dataclass(frozen=True)
    class Broken(Source):
        async def ready(self, ground: Ground) -> None:
            raise OSError("unplugged")

    @dataclass(frozen=True)
    class Unknown(Descriptor):
        pass

    got: list[Any] = []

    def told(event: Message, state: Any) -> Any:
        got.append(event.body[1])
        return Delete(type(event.body[0]).__name__)

    run(on((Broken(), ANY), told, "Broken"), on((Unknown(), ANY), told, "Unknown"))
    assert got[0] == Failure("OSError: unplugged")
    assert "nobody knows how to wait" in got[1].text


def test_input_is_not_lost_when_demand_goes_and_comes_back() -> None:
    """What has arrived while nobody wants it is there for the next who does."""
    queue = ["a", "b"]

    @dataclass(frozen=True)
    class Item(Source):
        async def ready(self, ground: Ground) -> None:
            while not queue:
                await anyio.sleep_forever()

        def take(self, ground: Ground) -> str:
            return queue.pop(0)

    got: list[str] = []

    def item(event: Message, state: Any) -> Any:
        got.append(event.body[1])
        return None if len(got) < 2 else Quit()

    # The demand is withdrawn again and again, at the moment when the item is ready.
    def flicker(n: int) -> Any:
        def step(state: Any) -> Any:
            if n == 0:
                return on((Item(), ANY), item)
            return [on((Item(), ANY), item), Yield(lambda state: [Delete("in"), Yield(flicker(n - 1))])]

        return step

    def timed(event: Message, state: Any) -> Any:
        return [Delete("clock"), Yield(flicker(5))]

    run(on((Until(1), ANY), timed, "clock"))
    assert got == ["a", "b"]


def test_the_world_gets_its_turn_while_the_kernel_is_busy() -> None:
    """A process that talks to itself for ever does not keep others from what happens outside."""

    def again(event: Message, state: int) -> Any:
        return Transition(state + 1, Send(("tick",)))

    @dataclass(frozen=True)
    class Soon(Source):
        async def ready(self, ground: Ground) -> None:
            await anyio.lowlevel.checkpoint()

        def take(self, ground: Ground) -> None:
            return None

    ground = Ground(VirtualClock())
    ground.kernel.start("busy", [on(("tick",), again), Send(("tick",))], 0)
    ground.kernel.start("boot", [on((Soon(), ANY), lambda event, state: [Kill("busy", "enough"), Quit()])])

    async def main() -> None:
        with anyio.fail_after(20):
            await ground.run()

    anyio.run(main)
    assert ground.kernel.find("busy") is None


def test_cancelling_the_ground_leaves_nothing() -> None:
    async def main() -> Ground:
        ground = Ground()
        ground.kernel.start("boot", [on((Until(anyio.current_time() + 1000), ANY), lambda event, state: None)])
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ground.run)
                await anyio.wait_all_tasks_blocked()
                scope.cancel()
        assert len(anyio.get_running_tasks()) == 1
        return ground

    assert anyio.run(main).resources == {}


# --- Timers -----------------------------------------------------------------------------------------------------------


def test_timers_come_in_order_and_can_be_replaced_and_cancelled() -> None:
    got: list[Any] = []

    def expired(event: Message, state: Any) -> Any:
        got.append((event.body.label, event.body.now))
        return Quit() if event.body.label == "end" else None

    ground = run(
        timer_driver(),
        on(TimerExpired(ANY, ANY), expired),
        *[Send(SetTimer(label, seconds)) for label, seconds in [("b", 2), ("a", 1), ("x", 3), ("gone", 4), ("b", 5)]],
        Send(CancelTimer("gone")),
        Send(SetTimer("absolute", 2.5, ABSOLUTE)),
        Send(SetTimer("end", 10)),
    )
    assert got == [("a", 1), ("absolute", 2.5), ("x", 3), ("b", 5), ("end", 10)]
    # At no time was more than one moment demanded, besides the questions for the time.
    assert [type(descriptor).__name__ for descriptor, _ in ground.recording].count("Until") == 5


def test_the_clock_can_be_read() -> None:
    got: list[float] = []

    def read(event: Message, state: Any) -> Any:
        got.append(event.body.now)
        return [Quit()] if len(got) == 2 else [Send(SetTimer("t", 7))]

    run(
        timer_driver(), on(ClockRead("me", ANY), read), Send(ReadClock("me")),
        on(TimerExpired("t", ANY), lambda event, state: Send(ReadClock("me")), "timer"),
    )  # fmt: skip
    assert got == [0, 7]


def test_timers_of_two_vms_do_not_meet() -> None:
    got: list[Any] = []

    def vm(name: str, seconds: float) -> Any:
        def expired(event: Message, state: Any) -> Any:
            got.append((name, event.body.label, event.body.now))
            return Send(ReadClock("now"))

        def read(event: Message, state: Any) -> Any:
            got.append((name, event.body.label, event.body.now))
            return Quit()

        return nested_vm(
            [
                timer_relay(),
                on(TimerExpired(ANY, ANY), expired, "expired"),
                on(ClockRead(ANY, ANY), read, "read"),
                Send(SetTimer("gone", 1)),
                Send(SetTimer("tea", seconds)),
                Send(CancelTimer("gone")),
            ],
            name,
        )

    run(timer_driver(), vm("left", 5), vm("right", 3))
    assert got == [("right", "tea", 3), ("right", "now", 3), ("left", "tea", 5), ("left", "now", 5)]


# --- Recordings, VMs --------------------------------------------------------------------------------------------------


def tea(got: list[Any]) -> list[Any]:
    def expired(event: Message, state: Any) -> Any:
        got.append(event.body)
        return Quit("served")

    return [timer_driver(), on(TimerExpired("tea", ANY), expired), Send(SetTimer("tea", 180))]


def test_a_recording_is_enough_to_do_it_again() -> None:
    ground = run(*tea([]))
    again: list[Any] = []
    records = replay(tea(again), ground.recording)
    assert again == [TimerExpired("tea", 180)]
    assert [str(r) for r in records if "tea" in str(r)] == [str(r) for r in ground.kernel.log or () if "tea" in str(r)]


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_ground_program_runs_unchanged_in_a_nested_vm(depth: int) -> None:
    flat: list[Any] = []
    run(*tea(flat))
    nested: list[Any] = []
    program: list[Any] = tea(nested)
    for _ in range(depth):
        program = [nested_vm([*event_relay(), *program])]
    ground = run(*program)
    assert nested == flat == [TimerExpired("tea", 180)]
    assert "served" in [r.reason for r in ground.kernel.log or () if isinstance(r, Exited)]


# --- Tasks ------------------------------------------------------------------------------------------------------------


def test_a_task_ends_with_its_process_and_its_process_with_it() -> None:
    ended: list[str] = []

    async def waits(actor: Any) -> None:
        actor.join("me", publisher(("worker", 1)))
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("cancelled")

    async def fails(actor: Any) -> None:
        actor.join("me", publisher(("worker", 2)))
        raise ValueError("broken")

    def missed(event: Any, state: Any) -> Any:
        seen.append(event.reason)
        return [Kill("waits", "not needed"), Delete("watch") if len(seen) == 2 else None]

    seen: list[Any] = []
    ground = run(
        Add(Endpoint("watch", observe_publishers(("worker", ANY)), on_absence=missed)), task(waits), task(fails),
    )  # fmt: skip
    assert isinstance(seen[0], ValueError)
    assert seen[1] == "not needed"
    assert ended == ["cancelled"]
    assert exits(ground)["waits"] == "not needed"


# --- The console ------------------------------------------------------------------------------------------------------


def test_the_console_is_read_while_somebody_wants_it() -> None:
    typed, shown = iter(["hello\n", "bye\n", ""]), []

    def line(event: Message, state: Any) -> Any:
        text = event.body.line
        return Quit() if text is None else Send(ConsoleOut(f"you said {text}"))

    ground = Ground(logging=True)
    ground.resources["console"] = Console(lambda: next(typed), shown.append)
    ground.kernel.start("boot", [*console_driver(), on(ConsoleIn(ANY), line)])
    # The drivers stay, and demand nothing once nobody reads.
    anyio.run(ground.run)
    assert shown == ["you said hello", "you said bye"]


def test_ground_vm_gives_the_ground_that_it_ran_on() -> None:
    ground = ground_vm(lambda: tea([]), VirtualClock())
    assert ground.clock.now() == 180
