"""The network in memory: order, isolation, closing, and what it notices."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import klorpy
from klorpy.core.choreography import Site
from klorpy.core.spans import Source, Span

SOURCE = Source("x.hy", "(A->B x)\n(A->B y)")
HERE = Site(0, "message", Span(1, 1, 1, 8), "(A->B x)", SOURCE)
THERE = Site(1, "message", Span(2, 1, 2, 8), "(A->B y)", SOURCE)


def run(function: Any) -> Any:
    async def limited() -> Any:
        with anyio.fail_after(10):
            return await function()

    return anyio.run(limited)


def pair() -> tuple[Any, Any]:
    network = klorpy.MemoryNetwork("AB")
    return network.endpoint("A"), network.endpoint("B")


def test_messages_arrive_in_order_before_and_after_somebody_waits() -> None:
    async def main() -> list[Any]:
        a, b = pair()
        for i in range(3):
            await a.send("B", i, HERE)
        got = [await b.receive("A", HERE) for _ in range(3)]
        async with anyio.create_task_group() as group:

            async def later() -> None:
                got.extend([await b.receive("A", HERE), await b.receive("A", HERE)])

            group.start_soon(later)
            await anyio.lowlevel.checkpoint()
            await a.send("B", 3, HERE)
            await anyio.lowlevel.checkpoint()
            await a.send("B", 4, HERE)
        return got

    assert run(main) == [0, 1, 2, 3, 4]


def test_channels_are_apart() -> None:
    async def main() -> list[Any]:
        network = klorpy.MemoryNetwork("ABC")
        a, b, c = map(network.endpoint, "ABC")
        await a.send("C", "from A", HERE)
        await b.send("C", "from B", HERE)
        await c.send("A", "from C", HERE)
        return [await c.receive("B", HERE), await c.receive("A", HERE), await a.receive("C", HERE)]

    assert run(main) == ["from B", "from A", "from C"]


def test_a_message_is_a_copy() -> None:
    async def main() -> None:
        a, b = pair()
        value = [1, {"k": [2]}]
        await a.send("B", value, HERE)
        value.append(3)
        await a.send("B", value, HERE)
        first, second = await b.receive("A", HERE), await b.receive("A", HERE)
        assert first == [1, {"k": [2]}]
        assert second == [1, {"k": [2]}, 3]
        first[1]["k"].append(9)
        assert second[1] == value[1] == {"k": [2]}

    run(main)


def test_what_cannot_be_copied() -> None:
    async def main() -> None:
        a, _ = pair()
        with pytest.raises(klorpy.KlorError) as caught:
            await a.send("B", threading.Lock(), HERE)
        assert caught.value.slug == "not-copyable"
        assert caught.value.span == HERE.span
        assert "(A->B x)" in caught.value.message

    run(main)


def test_what_was_sent_before_closing_still_arrives() -> None:
    async def main() -> None:
        a, b = pair()
        await a.send("B", 1, HERE)
        await a.close()
        assert await b.receive("A", HERE) == 1
        with pytest.raises(klorpy.PeerLost) as caught:
            await b.receive("A", HERE)
        assert caught.value.slug == "peer-lost"
        assert "A was lost (it left while B still needs it" in caught.value.message
        assert "(A->B x)" in caught.value.message
        with pytest.raises(klorpy.PeerLost):
            await b.send("A", 1, HERE)

    run(main)


def test_closing_wakes_who_waits() -> None:
    async def main() -> None:
        a, b = pair()
        async with anyio.create_task_group() as group:

            async def wait() -> None:
                with pytest.raises(klorpy.PeerLost):
                    await b.receive("A", HERE)

            group.start_soon(wait)
            await anyio.lowlevel.checkpoint()
            await a.close()
            await a.close()  # a second time does no harm

    run(main)


def test_closing_one_end_leaves_the_others_alone() -> None:
    async def main() -> None:
        network = klorpy.MemoryNetwork("ABC")
        a, b, c = map(network.endpoint, "ABC")
        await a.close()
        await b.send("C", 1, HERE)
        assert await c.receive("B", HERE) == 1

    run(main)


def test_a_cancelled_receiver_loses_no_message() -> None:
    async def main() -> None:
        a, b = pair()
        for _ in range(3):
            with anyio.move_on_after(0):
                await b.receive("A", HERE)
        task = asyncio.ensure_future(b.receive("A", HERE))
        await anyio.lowlevel.checkpoint()
        await a.send("B", 1, HERE)
        task.cancel()  # after the message has arrived, before the receiver has looked
        await asyncio.wait([task])
        if task.cancelled():
            assert await b.receive("A", HERE) == 1
        else:
            assert task.result() == 1

    run(main)


def test_two_roles_that_took_different_ways() -> None:
    async def main() -> None:
        a, b = pair()
        await a.send("B", 1, THERE)
        with pytest.raises(klorpy.KlorError) as caught:
            await b.receive("A", HERE)
        assert caught.value.slug == "protocol-mismatch"
        assert "(A->B x)" in caught.value.message
        assert "(A->B y)" in caught.value.message

    run(main)


def test_roles_that_the_network_does_not_have() -> None:
    network = klorpy.MemoryNetwork("AB")
    with pytest.raises(klorpy.KlorError) as caught:
        network.endpoint("C")
    assert caught.value.slug == "role-not-part"

    async def main() -> None:
        a = network.endpoint("A")
        for use in (a.send("C", 1, HERE), a.receive("C", HERE)):
            with pytest.raises(klorpy.KlorError) as caught:
                await use
            assert caught.value.slug == "role-not-part"
            assert caught.value.span == HERE.span

    run(main)
