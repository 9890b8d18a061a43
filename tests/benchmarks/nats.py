"""A small dict over NATS, to and fro and one way, by klorpy and by the client library's JetStream alone.

Both sides do the same: messages have ids and are stored until the server confirms each (many at a time), consumers bring
them in order, and values are bytes of the same codec. Each side is two clients in one process.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from typing import Any

import nats
from nats.js import api

import klorpy
from klorpy.runtime.wire import decode, encode
from tests.benchmarks.measure import Contest, Run
from tests.benchmarks.tcp import PING_PONG, VALUE
from tests.runtime.transports.nats_server import shared_server

ONE_WAY = """
(defchor one-way [A B] (-> #{A B} A B) [count value]
  (loop [i count got (B None)]
    (if (> i 0)
      (recur (- i 1) (A->B value))
      got)))
"""

_NUMBERS = itertools.count()


def contests(messages: int, repeats: int) -> list[Contest]:
    """klorpy against the library alone."""
    pairs: list[tuple[str, Callable[[int], Awaitable[Any]], Callable[[int], Awaitable[Any]], float]] = [
        ("NATS, to and fro", _klorpy(PING_PONG, "ping_pong"), _bare_ping_pong, 1.3),
        ("NATS, one way", _klorpy(ONE_WAY, "one_way"), _bare_one_way, 1.3),
    ]
    return [
        Contest(name, _run("klorpy", mine, messages), _run("nats-py", theirs, messages), limit, "µs/msg", 1e6, repeats)
        for name, mine, theirs, limit in pairs
    ]


def _run(label: str, play: Callable[[int], Awaitable[Any]], messages: int) -> Run:
    return Run(label, lambda: asyncio.run(play(messages)), messages, VALUE)


def _klorpy(text: str, name: str) -> Callable[[int], Awaitable[Any]]:
    chor = getattr(klorpy.evaluate(text), name)
    rounds = 2 if name == "ping_pong" else 1

    async def play(messages: int) -> tuple[float, Any]:
        session = f"benchmark {next(_NUMBERS)}"
        took, results = [], []

        async def role(name: str, *args: Any) -> None:
            async with klorpy.connect(chor, name, session=session, nats=shared_server().url) as seat:
                start = time.perf_counter()
                results.append(await klorpy.play_role({"role": name, "transport": seat}, chor, messages // rounds, *args))
                took.append(time.perf_counter() - start)

        await asyncio.gather(role("A", VALUE), role("B"))
        return max(took), next(result for result in results if result is not klorpy.noop)

    return play


class _Bare:
    """A client of the library that sends to one subject and receives from another."""

    def __init__(self, sends: str) -> None:
        self.sends = sends
        self.arrived: asyncio.Queue[bytes] = asyncio.Queue()

    async def connect(self, receives: str) -> None:
        self.client = await nats.connect(shared_server().url)
        self.stream = self.client.jetstream()
        config = api.ConsumerConfig(ack_policy=api.AckPolicy.NONE)
        await self.stream.subscribe(receives, durable=receives.replace(".", "-"), cb=self._take, config=config)

    async def _take(self, message: Any) -> None:
        self.arrived.put_nowait(message.data)

    async def send(self, number: int, value: Any) -> None:
        await self.stream.publish_async(self.sends, encode(value), headers={"Nats-Msg-Id": f"{self.sends}/{number}"})

    async def receive(self) -> Any:
        return decode(await self.arrived.get())

    async def close(self) -> None:
        await self.stream.publish_async_completed()
        await self.client.close()


async def _bare(play: Callable[[_Bare, _Bare], Awaitable[Any]]) -> tuple[float, Any]:
    name = f"bare{next(_NUMBERS)}"
    one, other = _Bare(f"{name}.A.B"), _Bare(f"{name}.B.A")
    manager = await nats.connect(shared_server().url)
    await manager.jsm().add_stream(name=name, subjects=[f"{name}.*.*"])
    try:
        await one.connect(other.sends)
        await other.connect(one.sends)
        start = time.perf_counter()
        value = await play(one, other)
        took = time.perf_counter() - start
        await one.close()
        await other.close()
        return took, value
    finally:
        await manager.jsm().delete_stream(name)
        await manager.close()


async def _bare_ping_pong(messages: int) -> tuple[float, Any]:
    async def first(bare: _Bare) -> Any:
        value: Any = VALUE
        for number in range(messages // 2):
            await bare.send(number, value)
            value = await bare.receive()
        return value

    async def second(bare: _Bare) -> None:
        for number in range(messages // 2):
            await bare.send(number, await bare.receive())

    async def both(one: _Bare, other: _Bare) -> Any:
        value, _ = await asyncio.gather(first(one), second(other))
        return value

    return await _bare(both)


async def _bare_one_way(messages: int) -> tuple[float, Any]:
    async def send(bare: _Bare) -> None:
        for number in range(messages):
            await bare.send(number, VALUE)

    async def receive(bare: _Bare) -> Any:
        value = None
        for _ in range(messages):
            value = await bare.receive()
        return value

    async def both(one: _Bare, other: _Bare) -> Any:
        _, value = await asyncio.gather(send(one), receive(other))
        return value

    return await _bare(both)
