"""The timer driver: it turns time, which only the ground knows, into messages.

    SetTimer(label, seconds)          → TimerExpired(label, now), once, so many seconds later
    SetTimer(label, time, ABSOLUTE)   → the same at a time of the clock
    CancelTimer(label)                → nothing
    ReadClock(label)                  → ClockRead(label, now), at once

A label is set once at a time: to set it again is to replace it. The driver waits for one moment only, the next.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite
from typing import Any, Final

from klorpy.conversations.actions import (
    Add,
    Delete,
    Endpoint,
    Message,
    Meta,
    Replace,
    Send,
    Spawn,
    Transition,
    subscriber,
)
from klorpy.conversations.ground import Now, Until
from klorpy.conversations.pattern import ANY
from klorpy.conversations.tasks import Token
from klorpy.core.diagnostics import KlorError

RELATIVE: Final = "relative"
ABSOLUTE: Final = "absolute"


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Raises KlorError `bad-argument` for a time that never comes, or a kind that is none."""

    label: Any
    time: Any
    kind: Any = RELATIVE

    def __post_init__(self) -> None:
        if self.time is not ANY and not (isinstance(self.time, (int, float)) and isfinite(self.time)):
            raise KlorError(
                f"a timer cannot be set to {self.time!r}", slug="bad-argument", help="give a number of seconds"
            )
        if self.kind is not ANY and self.kind not in (RELATIVE, ABSOLUTE):
            raise KlorError(
                f"{self.kind!r} is not a kind of timer", slug="bad-argument", help="choose RELATIVE or ABSOLUTE"
            )


@dataclass(frozen=True, slots=True)
class CancelTimer:
    label: Any


@dataclass(frozen=True, slots=True)
class TimerExpired:
    label: Any
    now: Any


@dataclass(frozen=True, slots=True)
class ReadClock:
    label: Any


@dataclass(frozen=True, slots=True)
class ClockRead:
    label: Any
    now: Any


@dataclass(frozen=True, slots=True)
class _Timers:
    """`pending` are sorted by time, then by age; `asked` are requests that wait to learn what time it is."""

    pending: tuple[tuple[float, int, Any], ...] = ()
    asked: tuple[tuple[int, SetTimer | ReadClock], ...] = ()
    count: int = 0
    waiting: bool = False


def timer_driver() -> Spawn:
    """The action that spawns the timer driver.

    >>> from klorpy.conversations import Quit, VirtualClock, ground_vm
    >>> def expired(event, state):
    ...     print(event.body)
    ...     return Quit()
    >>> ground = ground_vm([
    ...     timer_driver(),
    ...     Add(Endpoint("in", subscriber(TimerExpired("tea", ANY)), on_message=expired)),
    ...     Send(SetTimer("tea", 180)),
    ... ], VirtualClock())
    TimerExpired(label='tea', now=180)
    """
    return Spawn(lambda: Transition(_Timers()), "timer", endpoints=(
        Endpoint("set", subscriber(SetTimer(ANY, ANY, ANY)), on_message=_ask),
        Endpoint("read", subscriber(ReadClock(ANY)), on_message=_ask),
        Endpoint("cancel", subscriber(CancelTimer(ANY)), on_message=_cancel),
    ))  # fmt: skip


def _ask(event: Message, timers: _Timers) -> Transition:
    request = event.body
    if isinstance(request, SetTimer) and request.kind == ABSOLUTE:
        return _set(timers, request.label, request.time)
    number = timers.count
    asked = replace(timers, asked=(*timers.asked, (number, request)), count=number + 1)
    return Transition(asked, Add(Endpoint(("now", number), subscriber((Now(number), ANY)), on_message=_told)))


def _told(event: Message, timers: _Timers) -> Transition:
    descriptor, now = event.body
    request = dict(timers.asked)[descriptor.number]
    left = replace(timers, asked=tuple(item for item in timers.asked if item[0] != descriptor.number))
    done = Delete(("now", descriptor.number))
    if isinstance(request, ReadClock):
        return Transition(left, done, Send(ClockRead(request.label, now)))
    answer = _set(left, request.label, now + request.time)
    return Transition(answer.state, done, *answer.actions)


def _set(timers: _Timers, label: Any, time: float) -> Transition:
    others = [item for item in timers.pending if item[2] != label]
    pending = sorted([*others, (time, timers.count, label)], key=lambda item: item[:2])
    return _wait(timers, replace(timers, pending=tuple(pending), count=timers.count + 1))


def _cancel(event: Message, timers: _Timers) -> Transition:
    label = event.body.label
    asked = tuple(item for item in timers.asked if isinstance(item[1], ReadClock) or item[1].label != label)
    gone = [Delete(("now", number)) for number, _ in timers.asked if number not in dict(asked)]
    left = replace(timers, pending=tuple(item for item in timers.pending if item[2] != label), asked=asked)
    answer = _wait(timers, left)
    return Transition(answer.state, *gone, *answer.actions)


def _expired(event: Message, timers: _Timers) -> Transition:
    now = event.body[1]
    due = [item for item in timers.pending if item[0] <= now]
    answer = _wait(timers, replace(timers, pending=timers.pending[len(due) :]))
    return Transition(answer.state, *[Send(TimerExpired(label, now)) for _, _, label in due], *answer.actions)


def _wait(before: _Timers, after: _Timers) -> Transition:
    """Wait for the next moment, which may be another one now."""
    if not after.pending:
        return Transition(replace(after, waiting=False), Delete("until") if before.waiting else None)
    topic = (Until(after.pending[0][0]), ANY)
    after = replace(after, waiting=True)
    if before.waiting:
        return Transition(after, Replace("until", topic))
    return Transition(after, Add(Endpoint("until", subscriber(topic), on_message=_expired)))


# --- In a nested VM ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Relayed:
    """The labels inside by the numbers that they have outside."""

    labels: tuple[tuple[int, Any], ...] = ()
    count: int = 0


def timer_relay(name: str = "timer-relay") -> Spawn:
    """The action that spawns, in a nested VM, a relay to the timer driver of its container.

    Outside, a timer is called by this relay and a number, so labels of different VMs do not meet; who takes part inside uses
    the driver's messages as they are.
    """
    relay = Token()

    def outside(label: Any) -> tuple[Any, ...]:
        return ("relayed", relay, label)

    def set_timer(event: Message, state: _Relayed) -> Transition:
        request: SetTimer = event.body
        known = [number for number, label in state.labels if label == request.label]
        number = known[0] if known else state.count
        labels = state.labels if known else (*state.labels, (number, request.label))
        after = _Relayed(labels, state.count + (not known))
        return Transition(after, Meta(Send(SetTimer(outside(number), request.time, request.kind))))

    def cancel(event: Message, state: _Relayed) -> Transition:
        gone = [number for number, label in state.labels if label == event.body.label]
        left = tuple(item for item in state.labels if item[0] not in gone)
        return Transition(replace(state, labels=left), [Meta(Send(CancelTimer(outside(number)))) for number in gone])

    def expired(event: Message, state: _Relayed) -> Any:
        number = event.body.label[2]
        for known, label in state.labels:
            if known == number:
                left = tuple(item for item in state.labels if item[0] != number)
                return Transition(replace(state, labels=left), Send(TimerExpired(label, event.body.now)))
        return None

    def read(event: Message, state: _Relayed) -> Meta:
        return Meta(Send(ReadClock(outside(event.body.label))))

    def told(event: Message, state: _Relayed) -> Send:
        return Send(ClockRead(event.body.label[2], event.body.now))

    def boot() -> Transition:
        return Transition(
            _Relayed(),
            Meta(Add(Endpoint("expired", subscriber(TimerExpired(outside(ANY), ANY)), on_message=expired))),
            Meta(Add(Endpoint("clock", subscriber(ClockRead(outside(ANY), ANY)), on_message=told))),
        )

    return Spawn(boot, name, endpoints=(
        Endpoint("set", subscriber(SetTimer(ANY, ANY, ANY)), on_message=set_timer),
        Endpoint("cancel", subscriber(CancelTimer(ANY)), on_message=cancel),
        Endpoint("read", subscriber(ReadClock(ANY)), on_message=read),
    ))  # fmt: skip
