"""The DNS forwarder: against an upstream that is a process, in virtual time; and live, with dig."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from typing import Any

import anyio
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from klorpy.conversations import ANY, Ground, Message, VirtualClock, quit, role, send, subscriber
from klorpy.conversations.drivers import Addr, Listener, Udp
from klorpy.examples.conversations import dns as forwarder
from tests.conversations.serving import process_names, serving, until

HERE = Listener(5353)
UPSTREAM = Addr("192.0.2.53", 53)


class Network:
    """A forwarder whose clients and upstream are processes of its kernel."""

    def __init__(self, upstream: Callable[[dns.message.Message], bytes | None]) -> None:
        self.clock = VirtualClock()
        self.ground = Ground(self.clock, logging=True)
        self.asked: list[tuple[float, dns.message.Message]] = []
        self.answers: list[tuple[float, int, dns.message.Message]] = []
        self.upstream = upstream
        kernel = self.ground.kernel
        kernel.start("upstream", role("in", subscriber(Udp(ANY, UPSTREAM, ANY)), on_message=self.serve))
        kernel.start("clients", role("in", subscriber(Udp(HERE, ANY, ANY)), on_message=self.heard))
        kernel.start("boot", forwarder.program(HERE, UPSTREAM, seed=b"test", driver=False))

    def serve(self, event: Message, state: Any) -> Any:
        query = dns.message.from_wire(event.body.data)
        self.asked.append((self.clock.now(), query))
        wire = self.upstream(query)
        return None if wire is None else send(Udp(UPSTREAM, event.body.source, wire))

    def heard(self, event: Message, state: Any) -> None:
        self.answers.append((self.clock.now(), event.body.destination.port, dns.message.from_wire(event.body.data)))

    def ask(self, port: int, name: str = "example.org", kind: str = "A", **more: Any) -> dns.message.Message:
        query = dns.message.make_query(name, kind, id=port, **more)
        self.packet(port, query.to_wire())
        return query

    def packet(self, port: int, wire: bytes) -> None:
        self.ground.inject(Udp(Addr("192.0.2.1", port), HERE, wire))

    def run(self, *steps: Any) -> Network:
        """Run steps at their times: pairs of a time and a function."""

        async def main() -> None:
            with anyio.fail_after(20):
                async with anyio.create_task_group() as tasks:
                    self.ground.kept_alive += 1
                    tasks.start_soon(self.ground.run)
                    for time, step in steps:
                        await self.clock.until(time)
                        step()
                    await self.clock.until(steps[-1][0] + 1000)
                    tasks.cancel_scope.cancel()

        anyio.run(main)
        return self

    def names(self) -> list[str]:
        return process_names(self.ground)


IDLE = ["ground", "upstream", "clients", "boot", "timer", "ids", "cache", "dispatcher", "back", "front"]
IDLE.remove("boot")


def answering(ttl: int = 60, text: str = "192.0.2.7") -> Callable[[dns.message.Message], bytes]:
    def upstream(query: dns.message.Message) -> bytes:
        response = dns.message.make_response(query)
        response.answer.append(dns.rrset.from_text(query.question[0].name, ttl, "IN", "A", text))
        return response.to_wire()

    return upstream


def addresses(message: dns.message.Message) -> list[str]:
    return [item.to_text() for rrset in message.answer for item in rrset]


def test_an_answer_comes_back_under_the_id_of_who_asked() -> None:
    network = Network(answering())
    network.run((0, lambda: network.ask(4001)))
    ((_, port, answer),) = network.answers
    assert (port, answer.id, addresses(answer)) == (4001, 4001, ["192.0.2.7"])
    assert network.asked[0][1].id != 4001
    assert network.names() == IDLE


def test_one_question_is_asked_once_however_many_ask_it() -> None:
    held: list[dns.message.Message] = []

    def slow(query: dns.message.Message) -> bytes | None:
        held.append(query)
        return None if len(held) == 1 else answering()(query)

    network = Network(slow)
    network.run(
        (
            0,
            lambda: [
                network.ask(port, name) for port, name in [(1, "example.org"), (2, "EXAMPLE.org"), (3, "example.org")]
            ],
        )
    )
    assert len(network.asked) == 2  # the first was lost, and sent again
    assert [(time, port, message.id) for time, port, message in network.answers] == [(2, 1, 1), (2, 2, 2), (2, 3, 3)]
    # Each gets back the question that he asked, letter by letter.
    assert network.answers[1][2].question[0].name.to_text() == "EXAMPLE.org."


def test_an_answer_is_kept_for_its_time_to_live_and_grows_older() -> None:
    network = Network(answering(ttl=60))
    network.run(*[(time, lambda time=time: network.ask(int(time) + 1)) for time in (0, 10, 59, 61)])
    assert [time for time, _ in network.asked] == [0, 61]
    assert [message.answer[0].ttl for _, _, message in network.answers] == [60, 50, 1, 60]


def test_nothing_is_kept_without_a_time_to_live() -> None:
    network = Network(answering(ttl=0))
    network.run((0, lambda: network.ask(1)), (1, lambda: network.ask(2)))
    assert len(network.asked) == 2


def test_that_there_is_nothing_is_kept_as_the_zone_says() -> None:
    def nothing(query: dns.message.Message) -> bytes:
        response = dns.message.make_response(query)
        response.set_rcode(dns.rcode.NXDOMAIN)
        soa = "ns.example. me.example. 1 2 3 4 30"
        response.authority.append(dns.rrset.from_text("example.", 300, "IN", "SOA", soa))
        return response.to_wire()

    network = Network(nothing)
    network.run(*[(time, lambda time=time: network.ask(int(time) + 1)) for time in (0, 29, 31)])
    assert len(network.asked) == 2
    assert all(message.rcode() == dns.rcode.NXDOMAIN for _, _, message in network.answers)


def test_a_silent_upstream_is_asked_again_and_then_given_up() -> None:
    network = Network(lambda query: None)
    network.run((0, lambda: network.ask(1)))
    assert [time for time, _ in network.asked] == [0, 2, 4]
    assert len({query.id for _, query in network.asked}) == 3
    ((time, _, answer),) = network.answers
    assert (time, answer.rcode()) == (6, dns.rcode.SERVFAIL)
    assert network.names() == IDLE
    assert network.ground.kernel.state_of("ids").held == frozenset()


def test_a_late_answer_under_an_old_id_is_not_taken() -> None:
    first: list[dns.message.Message] = []

    def late(query: dns.message.Message) -> bytes | None:
        first.append(query)
        # The second attempt is answered as the first one should have been.
        return None if len(first) == 1 else answering(text="192.0.2.66")(first[0] if len(first) == 2 else query)

    network = Network(late)
    network.run((0, lambda: network.ask(1)))
    assert len(network.asked) == 3
    assert network.answers[0][0] == 4


def test_a_question_that_crashes_is_a_servfail_with_its_reason() -> None:
    network = Network(lambda query: None)

    def crash() -> None:
        network.ground.kernel.enqueue("question", quit(ValueError("crashed")))
        network.ground.wake()

    network.run((0, lambda: network.ask(1)), (1, crash))
    ((time, _, answer),) = network.answers
    assert (time, answer.rcode()) == (1, dns.rcode.SERVFAIL)


WIRES = {
    "empty": b"",
    "short": bytes(5),
    "noise": b"\xff" * 40,
    "cut": dns.message.make_query("a.", "A", id=1).to_wire()[:-3],
}


@pytest.mark.parametrize("wire", WIRES.values(), ids=WIRES)
def test_what_is_no_packet_is_published_as_such(wire: bytes) -> None:
    network = Network(answering())
    network.run((0, lambda: network.packet(1, wire)), (1, lambda: network.ask(2)))
    assert [port for _, port, _ in network.answers] == [2]


def test_an_answer_too_long_for_the_client_is_cut() -> None:
    def long(query: dns.message.Message) -> bytes:
        response = dns.message.make_response(query)
        texts = [f"192.0.{n}.1" for n in range(100)]
        response.answer.append(dns.rrset.from_text_list(query.question[0].name, 60, "IN", "A", texts))
        return response.to_wire(max_size=65535)

    network = Network(long)
    network.run((0, lambda: network.ask(1)), (1, lambda: network.ask(2, use_edns=0, payload=4096)))
    (_, _, cut), (_, _, whole) = network.answers
    assert cut.flags & dns.flags.TC
    assert len(addresses(whole)) == 100


def test_the_recording_plays_again() -> None:
    network = Network(answering(ttl=60))
    network.run((0, lambda: network.ask(1)), (70, lambda: network.ask(2)))
    assert [type(descriptor).__name__ for descriptor, _ in network.ground.recording].count("Until") >= 1


# --- Live -------------------------------------------------------------------------------------------------------------

with_dig = pytest.mark.skipif(shutil.which("dig") is None, reason="dig is not installed")


async def upstream_server(udp: Any) -> None:
    async for wire, (host, port) in udp:
        await udp.sendto(answering()(dns.message.from_wire(wire)), host, port)


def dig(port: int, *words: str) -> list[str]:
    return ["dig", "+tries=1", "+time=5", "+short", "@127.0.0.1", "-p", str(port), *words]


@with_dig
def test_dig() -> None:
    async def main() -> None:
        async with await anyio.create_udp_socket(local_host="127.0.0.1") as udp, anyio.create_task_group() as tasks:
            tasks.start_soon(upstream_server, udp)
            upstream = Addr("127.0.0.1", udp.extra(anyio.abc.SocketAttribute.local_port))
            async with serving(*forwarder.program(Listener(0), upstream), logging=False) as (ground, port):
                for _ in range(2):
                    done = await anyio.run_process(dig(port, "example.org", "A"))
                    assert done.stdout == b"192.0.2.7\n"
                # A client that is killed leaves no trace.
                async with await anyio.open_process(dig(port, "other.example")) as process:
                    process.send_signal(signal.SIGKILL)
                    await process.wait()
                done = await anyio.run_process(dig(port, "third.example"))
                assert done.stdout == b"192.0.2.7\n"
                await until(
                    ground,
                    lambda: not any(n.startswith(("client", "question", "attempt")) for n in process_names(ground)),
                )
            tasks.cancel_scope.cancel()

    anyio.run(main)
