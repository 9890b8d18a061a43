"""The auditor: faithful runs pass, and what was changed in the record of a run is noticed."""

from __future__ import annotations

import contextlib
import copy
import functools
import importlib
import random
import warnings
from typing import Any

import anyio
import hy
import pytest

import klorpy
from klorpy.conversations import ANY, VirtualClock, World, subscriber
from klorpy.conversations.auditor import Auditor
from klorpy.core.automaton import Automaton
from klorpy.core.choreography import Site
from klorpy.examples.references import EXAMPLES, Example
from klorpy.language.automata import automata
from klorpy.testing import laws, program_of

#: Source, target, and site of a message.
Said = tuple[str, str, Site]

RUNS = [
    pytest.param(example, args, id=f"{example.module}:{example.choreography}-{number}")
    for example in EXAMPLES
    for number, args in enumerate(example.args)
]


class Noted:
    """A transport that notes what is said, in the order in which it is said."""

    def __init__(self, transport: Any, role: str, said: list[Said]) -> None:
        self.transport, self.role, self.said = transport, role, said

    async def send(self, target: str, value: Any, site: Site) -> None:
        self.said.append((self.role, target, site))
        await self.transport.send(target, value, site)

    async def receive(self, source: str, site: Site) -> Any:
        return await self.transport.receive(source, site)

    async def close(self) -> None:
        await self.transport.close()


def messages_of(chor: klorpy.Choreography, args: tuple[Any, ...]) -> list[Said]:
    """What the roles say in one run."""
    said: list[Said] = []

    async def play(network: klorpy.MemoryNetwork, role: str) -> None:
        params = chor.signature.arrow.params
        mine = [copy.deepcopy(arg) for arg, type_ in zip(args, params, strict=True) if role in type_.roles]
        transport = Noted(network.endpoint(role), role, said)
        with contextlib.suppress(ArithmeticError, LookupError, TypeError, ValueError, klorpy.KlorError):
            await klorpy.play_role({"role": role, "transport": transport}, chor, *mine)
        await transport.close()

    async def everyone() -> None:
        network = klorpy.MemoryNetwork(chor.roles)
        async with anyio.create_task_group() as tasks:
            for role in chor.roles:
                tasks.start_soon(play, network, role)

    anyio.run(everyone)
    return said


@functools.cache
def made(chor: klorpy.Choreography) -> dict[str, Automaton]:
    return automata(chor)


def audit(chor: klorpy.Choreography, said: list[Said], *, ended: bool = True) -> Any:
    auditor = Auditor(chor, made=made(chor))
    for message in said:
        auditor.said(*message)
    for role in chor.roles if ended else ():
        auditor.left(role)
    return auditor.deviation


def chor_of(example: Example) -> klorpy.Choreography:
    found = getattr(importlib.import_module(f"klorpy.examples.{example.module}"), hy.mangle(example.choreography))
    assert isinstance(found, klorpy.Choreography)
    return found


@pytest.mark.parametrize(("example", "args"), RUNS)
def test_a_faithful_run_passes_and_a_changed_one_does_not(example: Example, args: tuple[Any, ...]) -> None:
    chor = chor_of(example)
    said = messages_of(chor, args)
    assert audit(chor, said) is None
    rng = random.Random(0)
    for _ in range(min(3, len(said))):
        at = rng.randrange(len(said))
        source, target, site = said[at]
        # Something that nobody ever says, and something that somebody else says.
        unknown = audit(chor, [*said[:at], (source, target, None), *said[at + 1 :]], ended=False)  # type: ignore[list-item]
        assert unknown is not None
        assert unknown.role == source
        assert unknown.did == f"says something unknown to {target}"
        assert f"{site.text} to {target}" in unknown.expected
        stranger = audit(chor, [*said[:at], (target, target, site), *said[at + 1 :]], ended=False)
        assert stranger is not None
        assert stranger.role == target
    if said:
        # Who leaves before the last thing that it says has left early.
        *before, (source, target, site) = said
        auditor = Auditor(chor, made=made(chor))
        for message in before:
            auditor.said(*message)
        if (found := auditor.left(source)) is not None:
            assert found.did == "left"
            assert f"{site.text} to {target}" in found.expected


@pytest.mark.parametrize("seed", range(40))
def test_random_choreographies_are_faithful(seed: int) -> None:
    program = program_of(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", klorpy.KlorWarning)
        chor = laws.namespace(program.text).main
        said = messages_of(chor, tuple(program.args))
    assert audit(chor, said, ended=False) is None
    for at in random.Random(seed).sample(range(len(said)), min(3, len(said))):
        source, target, _ = said[at]
        assert audit(chor, [*said[:at], (source, target, None)], ended=False) is not None  # type: ignore[list-item]


STRAIGHT = klorpy.evaluate("""
(defchor three [A B C] (-> A C) [x]
  (do (A->B x) (A->C x) (B->C (B 1)) (C->A (C 2)) (A->C x)))
(defchor choose [A B] (-> A B) [x]
  (if (A=>B (A (> x 0))) (A->B (A 1)) (B 0)))
(defchor count [A B] (-> A A) [n]
  (if (A=>B (A (= n 0))) n (do (A->B n) (count [B A] (B 1)) (A 0))))
(defchor deep [A B] (-> A A) [n]
  (do (if (A=>B (A (> n 0))) (deep [A B] (A (- n 1))) (A 0)) (B->A (B 1))))
""")


def test_every_message_that_is_left_out_moved_or_doubled_is_noticed_where_no_role_chooses() -> None:
    said = messages_of(STRAIGHT.three, (1,))
    assert len(said) == 5
    assert audit(STRAIGHT.three, said) is None
    for at in range(5):
        assert audit(STRAIGHT.three, said[:at] + said[at + 1 :]) is not None
        assert audit(STRAIGHT.three, [*said[: at + 1], said[at], *said[at + 1 :]]) is not None
    # A says two things before anybody answers: in another order they are noticed, at A, who has an order.
    assert [message[:2] for message in said[:2]] == [("A", "B"), ("A", "C")]
    found = audit(STRAIGHT.three, [said[1], said[0], *said[2:]])
    assert found.role == "A"
    assert found.expected == (f"{said[0][2].text} to B",)


def test_what_depends_on_a_message_does_not_come_before_it() -> None:
    said = messages_of(STRAIGHT.three, (1,))
    answer = next(message for message in said if message[0] == "C")
    found = audit(STRAIGHT.three, [answer, *said])
    assert found.role == "C"
    first = next(message for message in said if message[1] == "C" and message[0] == "A")
    assert found.expected == (f"to hear {first[2].text} from A",)


@pytest.mark.parametrize("value", [0, 1])
def test_both_ways_of_a_choice_are_faithful(value: int) -> None:
    said = messages_of(STRAIGHT.choose, (value,))
    assert len(said) == 1 + value
    assert audit(STRAIGHT.choose, said) is None
    # Which way was taken is not seen, so both ends are possible after the choice; but not a third message.
    assert audit(STRAIGHT.choose, [*said, *messages_of(STRAIGHT.choose, (1,))]) is not None


@pytest.mark.parametrize(("checker", "messages"), [("True", 6), ("B", 4)])
def test_agreements_that_are_compared_are_followed(checker: str, messages: int) -> None:
    text = f"(with-opts {{:verify {{:agreement {checker}}}}} (defchor same [A B C] (-> #{{A B C}} #{{A B C}}) [x] x))"
    chor = klorpy.evaluate(text).same
    said = messages_of(chor, (1,))
    assert len(said) == messages
    assert audit(chor, said) is None
    for at in range(messages):
        assert audit(chor, said[:at] + said[at + 1 :]) is not None


@pytest.mark.parametrize("depth", [0, 1, 5, 40])
def test_calls_return_to_where_they_were(depth: int) -> None:
    said = messages_of(STRAIGHT.deep, (depth,))
    assert len(said) == 2 * depth + 2
    assert audit(STRAIGHT.deep, said) is None
    assert audit(STRAIGHT.deep, said[:-1]) is not None
    assert audit(STRAIGHT.deep, [*said, said[-1]]).role == "B"


@pytest.mark.parametrize("barrier", ["", ":barrier "])
@pytest.mark.parametrize("tail", [False, True])
def test_the_messages_at_the_entry_and_the_exit_of_a_scope_are_followed(tail: bool, barrier: str) -> None:
    call = f"(scope {barrier}(step [B A C] x))"
    chor = klorpy.evaluate(
        "(defchor step [Y X Z] (-> Y X | Z) [x] (do (Y->Z (Y 1)) (Y->X x)))"
        f"(defchor main [A B C] (-> B A | C) [x] {call if tail else f'(A (+ 1 {call}))'})"
    ).main
    said = messages_of(chor, (1,))
    ends = [(source, target) for source, target, _ in said]
    assert ends[:4] == [("B", "A"), ("B", "C"), ("B", "C"), ("B", "A")]
    assert sorted(ends[4:]) == ([("A", "B"), ("C", "B")] if barrier else [])
    assert audit(chor, said) is None
    for left_out in range(len(said)):
        assert audit(chor, said[:left_out] + said[left_out + 1 :]) is not None


def test_the_auditor_of_a_world_hears_a_session() -> None:
    ns = klorpy.evaluate("(defchor ask [A B] (-> A A) [x] (B->A (B (* 2 (A->B x)))))")

    async def main() -> Any:
        topic = ("msg", "ask", "s", ANY, ANY, ANY, ANY)
        async with World(VirtualClock()) as world, world.observe(subscriber(topic)) as trace:
            async with world.session(ns.ask, "s") as session:

                async def play(me: Any, *args: Any) -> Any:
                    return await klorpy.play_role({"role": me.role, "transport": me}, ns.ask, *args)

                await session.run({"A": lambda me: play(me, 1), "B": play})
                auditor = Auditor(ns.ask)
                for _ in range(2):
                    assert auditor.hear(await anext(trace)) is None
                assert (auditor.left("A"), auditor.left("B")) == (None, None)
            # B answers before it was asked.
            async with world.session(ns.ask, "s") as session:

                async def false(me: Any) -> None:
                    await me.send("A", 2, ns.ask.defined().sites[1])

                async def hears(me: Any) -> None:
                    await me.receive("B", ns.ask.defined().sites[1])

                await session.run({"A": hears, "B": false})
                return await Auditor(ns.ask).follow(trace)

    found = anyio.run(main)
    assert str(found) == "B says (B->A (B (* 2 (A->B x)))) to A; expected: to hear (A->B x) from A"
    error = found.error("session s of ask")
    assert error.slug == "protocol-mismatch"
    assert error.message == "session s of ask: B says (B->A (B (* 2 (A->B x)))) to A"


def test_a_long_run_is_followed_in_little_memory() -> None:
    ns = klorpy.evaluate("(defchor tell [A B] (-> A B) [n] (loop [i n] (if (A=>B (A (> i 0))) (recur (A (- i 1))) (B 0))))")
    said = messages_of(ns.tell, (5000,))
    auditor = Auditor(ns.tell)
    for message in said:
        assert auditor.said(*message) is None
    assert (auditor.left("A"), auditor.left("B")) == (None, None)
    assert all(len(heard) <= 1001 for heard in auditor._runs["B"]._heard)
    assert auditor.said("B", "A", said[0][2]) is not None


def test_who_leaves_without_having_heard_everything_left_early() -> None:
    said = messages_of(STRAIGHT.choose, (0,))
    auditor = Auditor(STRAIGHT.choose)
    for message in (said[0], said[0]):
        auditor.said(*message)
    assert auditor.deviation is not None
    auditor = Auditor(STRAIGHT.choose, ["B"])
    for message in (said[0], said[0]):
        auditor.said(*message)
    assert auditor.left("B") is not None


def test_one_role_can_be_followed_by_what_it_says_and_hears() -> None:
    said = messages_of(STRAIGHT.three, (1,))
    auditor = Auditor(STRAIGHT.three, ["B"])
    for message in said:
        if "B" in message[:2]:
            assert auditor.said(*message) is None
    assert auditor.left("B") is None
    assert auditor.messages == 2
    assert auditor.said(*said[2]) is not None
