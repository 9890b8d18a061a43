"""Programs of a nested VM that reach the world outside through relays.

    relay(topic)       subscribers inside are subscribers outside, and messages of the topic come in
    event_relay()      the same for what the ground provides: descriptors, and requests outward

A relay appears to satisfy nothing: it watches who subscribes inside, and takes part outside for them. With `event_relay`
beside it, a program that is written for the ground runs in a nested VM as it is, its drivers included.
"""

from __future__ import annotations

from typing import Any

from klorpy.conversations.actions import (
    Absence,
    Add,
    Delete,
    Descriptor,
    Endpoint,
    Message,
    Meta,
    Presence,
    Send,
    Spawn,
    Transition,
    observe_subscribers,
    subscriber,
)
from klorpy.conversations.pattern import ANY, Topic

#: For each topic that is demanded inside: the number of the endpoint outside, and how many demand it.
_Demanded = dict[Any, tuple[int, int]]


def relay(topic: Topic, name: str = "relay") -> Spawn:
    """The action that spawns, in a nested VM, a relay of the messages of `topic`.

    >>> from klorpy.conversations import Kernel, nested_vm
    >>> kernel = Kernel(logging=True)
    >>> inside = [relay(("price", ANY)), Add(Endpoint("in", subscriber(("price", "tea"))))]
    >>> boot = kernel.start("boot", [nested_vm(inside)])
    >>> kernel.run()
    True
    >>> seller = kernel.start("seller", [Send(("price", "tea")), Send(("price", "coffee"))])
    >>> kernel.run()
    True
    >>> print(*[record for record in kernel.take_log() if "tea" in str(record)][-1:])
    vm/boot/in ! #("price" "tea")
    """
    return _relay(topic, name, lambda inner: True)


def event_relay(name: str = "event-relay") -> list[Spawn]:
    """The actions that spawn, in a nested VM, the relay of what the ground provides."""

    def out(event: Message, state: Any) -> Meta:
        return Meta(Send(event.body))

    return [
        _relay((ANY, ANY), name, lambda topic: isinstance(topic[0], Descriptor) and topic[1] is ANY),
        Spawn(lambda: None, "request-relay", endpoints=(Endpoint("out", subscriber(("ground", ANY)), on_message=out),)),
    ]


def _relay(topic: Topic, name: str, wanted: Any) -> Spawn:
    def inward(event: Message, state: Any) -> Send:
        return Send(event.body)

    def demand(event: Presence, demanded: _Demanded) -> Any:
        inner = event.role.topic
        if not wanted(inner):
            return None
        number, count = demanded.get(inner, (0, 0))
        if count:
            return Transition({**demanded, inner: (number, count + 1)})
        number = 1 + max((number for number, _ in demanded.values()), default=0)
        join = Meta(Add(Endpoint(number, subscriber(inner), on_message=inward)))
        return Transition({**demanded, inner: (number, 1)}, join)

    def gone(event: Absence, demanded: _Demanded) -> Any:
        inner = event.role.topic
        if inner not in demanded:
            return None
        number, count = demanded[inner]
        if count > 1:
            return Transition({**demanded, inner: (number, count - 1)})
        others = {key: value for key, value in demanded.items() if key != inner}
        return Transition(others, Meta(Delete(number, event.reason)))

    return Spawn(
        lambda: Transition({}), name, endpoints=(Endpoint("demand", observe_subscribers(topic), demand, gone),)
    )
