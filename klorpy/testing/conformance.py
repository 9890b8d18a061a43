"""What a transport promises, as checks for the authors of transports.

    checks of a transport              VERBS, and VERDICTS when it is a session too
    checks of what roles meet through  RENDEZVOUS

A check is a coroutine function that takes a *factory* and raises AssertionError where a promise is broken. The factory
of VERBS and VERDICTS is given a choreography and gives, as an asynchronous context manager, a transport for each of its
roles, all of one new run. The factory of RENDEZVOUS is given roles and gives for each of them something to join sessions
with, as a node does. With pytest this is a whole suite:

    @pytest.mark.parametrize("check", conformance.VERBS + conformance.VERDICTS, ids=conformance.name)
    def test_my_transport_conforms(check):
        conformance.run(check, my_transports)

`plays` compares a whole run with the simulator's, for any choreography.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from types import ModuleType
from typing import Any, Final, Protocol, TypeAlias, TypeVar

import anyio
import anyio.lowlevel

import klorpy
from klorpy.core.choreography import Choreography, Site
from klorpy.core.types import Role
from klorpy.core.values import same_value
from klorpy.runtime import Transport
from klorpy.runtime.config import Session
from klorpy.runtime.wire import encode
from klorpy.testing import laws
from klorpy.testing.generators import program_of

Transports: TypeAlias = Mapping[Role, Transport]
Factory: TypeAlias = Callable[[Choreography], AbstractAsyncContextManager[Transports]]


class Joins(Protocol):
    """Something to join sessions with; a node is one."""

    def join(
        self, chor: Choreography, role: Role, session: str, *, deadline: float | None = ...
    ) -> AbstractAsyncContextManager[Transport]: ...


Meeting: TypeAlias = Callable[[Iterable[Role]], AbstractAsyncContextManager[Mapping[Role, Joins]]]
Check: TypeAlias = Callable[[Any], Awaitable[None]]
_T = TypeVar("_T")

#: Seconds after which a check is taken to hang. All take far less.
TOO_LONG: Final = 60.0

#: Values that arrive as they were sent, their types included.
VALUES: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 2**64, -(2**200), 0.0, -0.5, float("inf"), "", "ä\n\0😀", b"", b"\0\xff", [], [1, [2, [3]]],
    (), (1,), (1, (2,)), {}, {"k": [1], 2: None, (3, 4): {}}, {1, 2}, frozenset({3}), 3j, klorpy.noop, list(range(1000)),
)  # fmt: skip

_TEXT: Final = """
(import anyio)
(defchor tell [A B] (-> A B) [x] (A->B x))
(defchor echo [A B] (-> A A) [x] (B->A (A->B x)))
(defchor repeat [A B] (-> A #{A B} A) [x n]
  (loop [x x n n] (if (> n 0) (recur (B->A (A->B x)) (- n 1)) x)))
(defchor relay [A B C] (-> A C) [x] (B->C (A->B x)))
(defchor gossip [A B C] (-> A #{A B C}) [x] (B=>C (A=>B x)))
(defchor fail-first [A B C] (-> A C) [x] (B->C (A->B (A (/ 1 x)))))
(defchor fail-late [A B C] (-> A C) [x] (do (C (await (anyio.sleep-forever))) (B->C (A->B (A (/ 1 x))))))
(defchor fail-last [A B C] (-> A B) [x]
  (do (B->C (A->B x)) (A->B (C->A (C (/ 1 0))))))
(defchor leaves [A B C] (-> A B C) [x y] (do (A->B x) (B->C y)))
"""


def name(check: Check) -> str:
    """The name of a check, for `pytest.mark.parametrize(…, ids=name)`."""
    return str(getattr(check, "__name__", check))


def run(check: Check, factory: Any, *, backend: str = "asyncio") -> None:
    """Run a check on a loop of its own. Raises what the check raises, and AssertionError when it hangs."""

    async def limited() -> None:
        with anyio.move_on_after(TOO_LONG) as scope:
            await check(factory)
        assert not scope.cancelled_caught, f"{name(check)} hangs"

    anyio.run(limited, backend=backend)


@contextlib.asynccontextmanager
async def seated(
    nodes: Mapping[Role, Joins], chor: Choreography, session: str = "conformance"
) -> AsyncIterator[Transports]:
    """The transports of all roles of `chor`, each joined through its own of `nodes`: what a Factory gives.

    Roles that still are in the session leave it at the end.
    """
    transports: dict[Role, Transport] = {}
    complete, over = anyio.Event(), anyio.Event()

    async def stay(role: Role) -> None:
        async with nodes[role].join(chor, role, session, deadline=TOO_LONG) as transport:
            transports[role] = transport
            if len(transports) == len(chor.roles):
                complete.set()
            await over.wait()

    failed: BaseException | None = None
    async with anyio.create_task_group() as tasks:
        for role in chor.roles:
            tasks.start_soon(stay, role)
        await complete.wait()
        try:
            yield transports
        except BaseException as error:
            failed = error  # raised below, so that it is in no group
        over.set()
    if failed is not None:
        raise failed


async def plays(factory: Factory, chor: Choreography, *args: Any) -> None:
    """Play `chor` with every role over its own transport; results and channels are those of the simulator."""
    simulation = klorpy.simulate_chor(chor, *copy.deepcopy(args), timeout=TOO_LONG)
    async with factory(chor) as transports:
        spies = {role: _Spy(transport, role) for role, transport in transports.items()}
        results = await _play(chor, spies, _arguments(chor, args))
    assert same_value(results, simulation.results), f"results are {results}, not {simulation.results}"
    expected: dict[tuple[Role, Role], list[Any]] = {}
    for message in simulation.messages:
        expected.setdefault((message.source, message.target), []).append(message.value)
    received = {channel: values for spy in spies.values() for channel, values in spy.received.items()}
    assert same_value(received, expected), f"what arrived is {received}, not {expected}"


# --- The three verbs --------------------------------------------------------------------------------------------------


async def messages_of_a_channel_arrive_in_order(factory: Factory) -> None:
    chor, site = _chor("tell")
    async with factory(chor) as at:
        got = await _together(
            _send_all(at["A"], "B", range(500), site), _receive_all(at["B"], "A", 500, site)
        )
    assert got[1] == list(range(500)), got[1]


async def channels_are_apart(factory: Factory) -> None:
    """Who waits for one role does not get, and does not wait for, what others sent."""
    chor, site = _chor("relay")
    async with factory(chor) as at:

        async def receive() -> list[Any]:
            from_b = [await at["C"].receive("B", site) for _ in range(50)]
            return from_b + [await at["C"].receive("A", site) for _ in range(50)]

        got = await _together(
            _send_all(at["A"], "C", ("A", *range(49)), site), _send_all(at["B"], "C", ("B", *range(49)), site), receive()
        )
    assert got[2] == ["B", *range(49), "A", *range(49)], got[2]


async def values_arrive_as_they_were_sent(factory: Factory, values: Iterable[Any] = VALUES) -> None:
    """Equal and of the same type. Give `values` if the transport promises less than VALUES."""
    chor, site = _chor("tell")
    sent = tuple(values)
    async with factory(chor) as at:
        got = await _together(
            _send_all(at["A"], "B", copy.deepcopy(sent), site), _receive_all(at["B"], "A", len(sent), site)
        )
    for value, arrived in zip(sent, got[1], strict=True):
        assert same_value(arrived, value), f"{value!r} arrived as {arrived!r}"


async def values_are_isolated(factory: Factory) -> None:
    """What the sender, or the receiver, does with a value later is nobody else's affair."""
    chor, site = _chor("echo")
    value = [1, {"k": [2]}]
    async with factory(chor) as at:
        _, first = await _together(at["A"].send("B", value, site), at["B"].receive("A", site))
        value.append(3)
        _, second = await _together(at["A"].send("B", value, site), at["B"].receive("A", site))
    assert first == [1, {"k": [2]}], first
    first[1]["k"].append(9)
    assert second == value == [1, {"k": [2]}, 3], (second, value)


async def big_values_arrive(factory: Factory) -> None:
    """Some megabytes one after the other: more than any buffer below holds."""
    chor, site = _chor("tell")
    values = [bytes([i]) * (1 << 20) for i in range(12)] + ["ü" * (5 << 20), list(range(50_000))]
    async with factory(chor) as at:
        got = await _together(
            _send_all(at["A"], "B", values, site), _receive_all(at["B"], "A", len(values), site)
        )
    assert got[1] == values


async def a_receiver_that_is_cancelled_loses_nothing(factory: Factory) -> None:
    chor, site = _chor("tell")
    async with factory(chor) as at:
        got: list[Any] = []

        async def impatient() -> None:
            while len(got) < 20:
                with anyio.CancelScope() as scope:
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(_cancel_soon, scope, len(got) % 4)
                        got.append(await at["B"].receive("A", site))

        await _together(_send_all(at["A"], "B", range(20), site), impatient())
    assert got == list(range(20)), got


async def many_roles_talk_at_once(factory: Factory) -> None:
    """Twelve roles, each of which sends to every other and then receives from every other."""
    roles = [f"R{i}" for i in range(12)]
    body = "x"
    for source, target in itertools.pairwise(roles):
        body = f"({source}->{target} {body})"
    chor = _define(f"(defchor crowd [{' '.join(roles)}] (-> R0 R11) [x] {body})")
    site = chor.defined().sites[0]
    async with factory(chor) as at:

        async def talk(me: Role) -> None:
            others = [role for role in roles if role != me]
            await _together(
                *(at[me].send(other, (me, other), site) for other in others),
                *(_expect(at[me], other, (other, me), site) for other in others),
            )

        await _together(*map(talk, roles))


async def what_was_sent_before_closing_arrives(factory: Factory) -> None:
    """And then the receiver gets an error; it does not wait for ever."""
    chor, site = _chor("tell")
    async with factory(chor) as at:

        async def leave() -> None:
            await _send_all(at["A"], "B", range(20), site)
            await at["A"].close()
            await at["A"].close()

        got = await _together(leave(), _receive_all(at["B"], "A", 20, site))
        assert got[1] == list(range(20)), got[1]
        await _fails(at["B"].receive("A", site))


async def closing_wakes_who_waits(factory: Factory) -> None:
    chor, site = _chor("tell")
    async with factory(chor) as at:
        await _together(_fails(at["B"].receive("A", site)), _after_a_while(at["A"].close))


async def choreographies_do_what_they_do_when_simulated(factory: Factory) -> None:
    for chor, args in _programs():
        await plays(factory, chor, *args)


async def a_long_run_keeps_its_order(factory: Factory) -> None:
    chor, _ = _chor("repeat")
    await plays(factory, chor, [1, "x"], 1000)


async def generated_choreographies_do_what_they_do_when_simulated(factory: Factory) -> None:
    for chor, args in _generated(25):
        await plays(factory, chor, *args)


VERBS: Final[tuple[Check, ...]] = (
    messages_of_a_channel_arrive_in_order,
    channels_are_apart,
    values_arrive_as_they_were_sent,
    values_are_isolated,
    big_values_arrive,
    a_receiver_that_is_cancelled_loses_nothing,
    many_roles_talk_at_once,
    what_was_sent_before_closing_arrives,
    closing_wakes_who_waits,
    choreographies_do_what_they_do_when_simulated,
    a_long_run_keeps_its_order,
    generated_choreographies_do_what_they_do_when_simulated,
)


# --- Verdicts ---------------------------------------------------------------------------------------------------------


async def transports_are_sessions(factory: Factory) -> None:
    chor, _ = _chor("tell")
    async with factory(chor) as at:
        for transport in at.values():
            assert isinstance(transport, Session), f"{type(transport).__name__} lacks fail, watch, error or settle"


async def a_failure_is_one_verdict_for_every_role(factory: Factory) -> None:
    await _one_verdict(factory, "fail-first", "A", "ZeroDivisionError: division by zero", 0, "<conformance>:9:")


async def a_failure_ends_a_role_that_does_something_else(factory: Factory) -> None:
    """C waits for something of its own that never comes."""
    await _one_verdict(factory, "fail-late", "A", "ZeroDivisionError: division by zero", 0, "<conformance>:10:")


async def the_verdict_says_after_how_many_messages(factory: Factory) -> None:
    await _one_verdict(factory, "fail-last", "C", "ZeroDivisionError: division by zero", 1, "<conformance>:12:")


async def only_who_waits_for_the_failed_role_has_lost_its_peer(factory: Factory) -> None:
    """PeerLost is what SessionFailed is called where the peer itself has failed."""
    chor, _ = _chor("fail-first")
    async with factory(chor) as at:
        ended = await _play(chor, at, _arguments(chor, (0,)))
    assert type(ended["B"]) is klorpy.PeerLost, ended["B"]
    assert type(ended["C"]) is klorpy.SessionFailed, ended["C"]
    assert "C was at" in "".join(ended["C"].notes), ended["C"].notes


async def a_role_that_is_cancelled_fails(factory: Factory) -> None:
    chor, _ = _chor("relay")
    async with factory(chor) as at:
        ended: dict[Role, Any] = {}

        async def cancelled() -> None:
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(_cancel_soon, scope, 3)
                    await _play_one(chor, "B", at["B"], (), ended)

        await _together(cancelled(), _play_one(chor, "C", at["C"], (), ended))
    assert isinstance(ended["C"], klorpy.PeerLost), ended["C"]
    verdict = ended["C"].verdict
    assert verdict is not None
    assert verdict.role == "B", verdict


async def who_leaves_while_it_is_needed_is_lost(factory: Factory) -> None:
    """First comes what it sent; then the others fail with one verdict."""
    chor, site = _chor("relay")
    async with factory(chor) as at:
        await at["A"].send("B", 1, site)
        await at["A"].close()
        assert await at["B"].receive("A", site) == 1
        error = await _fails(at["B"].receive("A", site))
        assert isinstance(error, klorpy.PeerLost), error
        assert (error.slug, error.verdict and error.verdict.role) == ("peer-lost", "A"), error
        third = await _fails(at["C"].receive("B", site))
        assert isinstance(third, klorpy.SessionFailed), third
        assert third.verdict == error.verdict, (third.verdict, error.verdict)


async def who_has_done_its_part_may_leave(factory: Factory) -> None:
    chor, _ = _chor("leaves")
    async with factory(chor) as at:
        ended: dict[Role, Any] = {}

        async def play(role: Role, *args: Any) -> None:
            await _play_one(chor, role, at[role], args, ended)
            await at[role].close()

        await _together(play("A", 1), _after_a_while(lambda: play("B", 2)), _after_a_while(lambda: play("C")))
    assert ended == {"A": klorpy.noop, "B": klorpy.noop, "C": 2}, ended


async def a_transport_that_was_closed_says_so(factory: Factory) -> None:
    chor, site = _chor("tell")
    async with factory(chor) as at:
        await at["A"].close()
        error = await _fails(at["A"].send("B", 1, site))
        assert isinstance(error, klorpy.KlorError), error
        assert error.slug == "transport-closed", error


async def the_first_failure_is_the_verdict(factory: Factory) -> None:
    chor, site = _chor("relay")
    async with factory(chor) as at:
        first = at["A"]
        assert isinstance(first, Session)
        first.fail(ValueError("first"))
        error = await _fails(at["B"].receive("A", site))
        second = at["B"]
        assert isinstance(second, Session)
        second.fail(ValueError("second"))
        third = await _fails(at["C"].receive("B", site))
        for found in (error, third):
            assert isinstance(found, klorpy.SessionFailed), found
            assert "A failed at step 0 (ValueError: first)" in found.message, found.message


VERDICTS: Final[tuple[Check, ...]] = (
    transports_are_sessions,
    a_failure_is_one_verdict_for_every_role,
    a_failure_ends_a_role_that_does_something_else,
    the_verdict_says_after_how_many_messages,
    only_who_waits_for_the_failed_role_has_lost_its_peer,
    a_role_that_is_cancelled_fails,
    who_leaves_while_it_is_needed_is_lost,
    who_has_done_its_part_may_leave,
    a_transport_that_was_closed_says_so,
    the_first_failure_is_the_verdict,
)


# --- Rendezvous -------------------------------------------------------------------------------------------------------


async def roles_come_in_any_order(meeting: Meeting) -> None:
    chor, _ = _chor("relay")
    async with meeting(chor.roles) as nodes:
        for number, order in enumerate(itertools.permutations(chor.roles)):
            ended: dict[Role, Any] = {}

            async def play(role: Role, turns: int, session: str, ended: dict[Role, Any] = ended) -> None:
                for _ in range(turns):
                    await anyio.lowlevel.checkpoint()
                async with nodes[role].join(chor, role, session, deadline=TOO_LONG) as transport:
                    await _play_one(chor, role, transport, (5,) if role == "A" else (), ended)

            await _together(*(play(role, 20 * turn, f"order {number}") for turn, role in enumerate(order)))
            assert ended == {"A": klorpy.noop, "B": klorpy.noop, "C": 5}, (order, ended)


async def sessions_do_not_disturb_each_other(meeting: Meeting) -> None:
    """Thirty at once, every third of which fails: the others end as if they were alone."""
    chor, _ = _chor("fail-first")
    ended: dict[int, dict[Role, Any]] = {number: {} for number in range(30)}
    async with meeting(chor.roles) as nodes:

        async def play(number: int, role: Role) -> None:
            args = (number % 3,) if role == "A" else ()
            try:
                async with nodes[role].join(chor, role, f"many {number}", deadline=TOO_LONG) as transport:
                    config = {"role": role, "transport": transport}
                    ended[number][role] = await klorpy.play_role(config, chor, *args)
            except (klorpy.SessionFailed, ZeroDivisionError) as error:
                ended[number][role] = error

        await _together(*(play(number, role) for number in ended for role in chor.roles))
    for number, results in ended.items():
        if number % 3:
            assert results == {"A": klorpy.noop, "B": klorpy.noop, "C": 1 / (number % 3)}, results
        else:
            verdicts = {role: error.verdict for role, error in results.items() if role != "A"}
            assert len({*verdicts.values()}) == 1, verdicts
            assert verdicts["C"].role == "A", verdicts


async def who_does_not_come_is_named(meeting: Meeting) -> None:
    """Everybody who waits is told, with one verdict."""
    chor, _ = _chor("relay")
    async with meeting(chor.roles) as nodes:

        async def wait(role: Role, deadline: float) -> klorpy.SessionFailed:
            try:
                async with nodes[role].join(chor, role, "incomplete", deadline=deadline):
                    raise AssertionError(f"{role} began without its cast")
            except klorpy.SessionFailed as error:
                return error

        first, second = await _together(wait("A", 0.5), wait("B", TOO_LONG))
    assert isinstance(first, klorpy.RolesMissing), first
    assert first.missing == ("C",), first.missing
    assert "C did not come" in first.message, first.message
    assert isinstance(second, klorpy.SessionFailed), second
    assert second.verdict is not None
    assert (second.verdict.role, second.verdict.slug) == ("A", "roles-missing"), second.verdict


async def two_texts_are_refused(meeting: Meeting) -> None:
    """Both sides are told what differs, in the same words."""
    one, site = _chor("tell")
    other = _define("(defchor tell [A B] (-> A B) [x] (A->B (A (do x))))")
    async with meeting(one.roles) as nodes:

        async def refused(role: Role, chor: Choreography) -> klorpy.SessionFailed:
            try:
                async with nodes[role].join(chor, role, "different", deadline=TOO_LONG) as transport:
                    await transport.receive("B" if role == "A" else "A", site)
            except klorpy.SessionFailed as error:
                return error
            raise AssertionError(f"{role} does not notice that the other plays another text")

        errors = await _together(refused("A", one), refused("B", other))
    for error in errors:
        assert error.slug == "different-choreography", error.slug
        assert "the text of tell differs" in error.message, error.message
    assert errors[0].verdict == errors[1].verdict


async def a_role_is_played_once(meeting: Meeting) -> None:
    chor, _ = _chor("tell")
    async with meeting(chor.roles) as nodes, seated(nodes, chor, "once") as at:
        error = await _fails(nodes["A"].join(chor, "A", "once", deadline=TOO_LONG).__aenter__())
        assert isinstance(error, klorpy.KlorError), error
        assert error.slug == "role-taken", error
        site = chor.defined().sites[0]
        await _together(at["A"].send("B", 1, site), _expect(at["B"], "A", 1, site))


async def an_error_inside_the_context_fails_the_session(meeting: Meeting) -> None:
    """Whether the other role has begun by then or not."""
    chor, site = _chor("tell")
    async with meeting(chor.roles) as nodes:

        async def fail() -> None:
            with contextlib.suppress(LookupError):
                async with nodes["A"].join(chor, "A", "inside", deadline=TOO_LONG):
                    raise LookupError("not here")

        async def suffer() -> klorpy.SessionFailed:
            try:
                async with nodes["B"].join(chor, "B", "inside", deadline=TOO_LONG) as transport:
                    await transport.receive("A", site)
            except klorpy.SessionFailed as error:
                return error
            raise AssertionError("the session did not fail")

        _, error = await _together(fail(), suffer())
    assert "A failed at step 0 (LookupError: not here)" in error.message, error.message


RENDEZVOUS: Final[tuple[Check, ...]] = (
    roles_come_in_any_order,
    sessions_do_not_disturb_each_other,
    who_does_not_come_is_named,
    two_texts_are_refused,
    a_role_is_played_once,
    an_error_inside_the_context_fails_the_session,
)


# --- Playing ----------------------------------------------------------------------------------------------------------


class _Spy:
    """A transport that notes what it receives."""

    def __init__(self, transport: Transport, role: Role) -> None:
        self.transport, self.role = transport, role
        self.received: dict[tuple[Role, Role], list[Any]] = {}

    async def send(self, target: Role, value: Any, site: Site) -> None:
        await self.transport.send(target, value, site)

    async def receive(self, source: Role, site: Site) -> Any:
        value = await self.transport.receive(source, site)
        self.received.setdefault((source, self.role), []).append(copy.deepcopy(value))
        return value

    async def close(self) -> None:
        await self.transport.close()


async def _one_verdict(factory: Factory, name: str, role: Role, cause: str, step: int, place: str) -> None:
    """The choreography fails at `role`, and every other role reports that."""
    chor, _ = _chor(name)
    async with factory(chor) as at:
        ended = await _play(chor, at, _arguments(chor, (0, 0)[: len(chor.signature.arrow.params)]))
    own = ended.pop(role)
    assert isinstance(own, ZeroDivisionError), own
    verdicts = []
    for other, error in ended.items():
        assert isinstance(error, klorpy.SessionFailed), f"{other} ended with {error!r}"
        verdicts.append(error.verdict)
    assert len(set(verdicts)) == 1, verdicts
    (verdict,) = set(verdicts)
    assert verdict is not None
    assert (verdict.role, verdict.cause, verdict.step) == (role, cause, step), verdict
    assert verdict.place.startswith(place), verdict


async def _play(chor: Choreography, at: Mapping[Role, Transport], args: Mapping[Role, tuple[Any, ...]]) -> dict[Role, Any]:
    """Play all roles; their results, or the errors that they ended with."""
    ended: dict[Role, Any] = {}
    await _together(*(_play_one(chor, role, at[role], args[role], ended) for role in chor.roles))
    return ended


async def _play_one(
    chor: Choreography, role: Role, transport: Transport, args: tuple[Any, ...], ended: dict[Role, Any]
) -> None:
    try:
        ended[role] = await klorpy.play_role({"role": role, "transport": transport}, chor, *args)
    except Exception as error:
        ended[role] = error


def _arguments(chor: Choreography, args: tuple[Any, ...]) -> dict[Role, tuple[Any, ...]]:
    """The arguments of each role: those of the parameters that mention it."""
    params = chor.signature.arrow.params
    return {
        role: tuple(copy.deepcopy(arg) for arg, type_ in zip(args, params, strict=True) if role in type_.roles)
        for role in chor.roles
    }


def _define(text: str) -> Choreography:
    return next(
        value for value in vars(klorpy.evaluate(text, filename="<conformance>")).values() if isinstance(value, Choreography)
    )


def _chor(name: str) -> tuple[Choreography, Site]:
    """A choreography of `_TEXT`, and its first site."""
    chor = vars(_namespace())[name.replace("-", "_")]
    return chor, chor.defined().sites[0]


@functools.cache
def _namespace() -> ModuleType:
    return klorpy.evaluate(_TEXT, filename="<conformance>")


@functools.cache
def _generated(count: int) -> list[tuple[Choreography, tuple[Any, ...]]]:
    """Generated choreographies with arguments, of those that send values only: functions do not leave a process."""
    found = []
    for seed in itertools.count():
        program = program_of(seed)
        chor = laws.compiled(program).main
        simulation = klorpy.simulate_chor(chor, *copy.deepcopy(program.args))
        with contextlib.suppress(klorpy.KlorError):
            for message in simulation.messages:
                encode(message.value)
            found.append((chor, program.args))
        if len(found) == count:
            break
    return found


def _programs() -> list[tuple[Choreography, tuple[Any, ...]]]:
    return [(_chor("tell")[0], (1,)), (_chor("echo")[0], ([1, 2],)), (_chor("relay")[0], ("x",)), (_chor("gossip")[0], ((1,),))]


# --- Tasks ------------------------------------------------------------------------------------------------------------


async def _together(*awaitables: Awaitable[Any]) -> list[Any]:
    """Await all at once; their results in order."""
    results: list[Any] = [None] * len(awaitables)

    async def one(number: int, awaitable: Awaitable[Any]) -> None:
        results[number] = await awaitable

    async with anyio.create_task_group() as tasks:
        for number, awaitable in enumerate(awaitables):
            tasks.start_soon(one, number, awaitable)
    return results


async def _send_all(transport: Transport, target: Role, values: Iterable[Any], site: Site) -> None:
    for value in values:
        await transport.send(target, value, site)


async def _receive_all(transport: Transport, source: Role, count: int, site: Site) -> list[Any]:
    return [await transport.receive(source, site) for _ in range(count)]


async def _expect(transport: Transport, source: Role, value: Any, site: Site) -> None:
    got = await transport.receive(source, site)
    assert got == value, f"{got!r} came from {source}, not {value!r}"


async def _fails(awaitable: Awaitable[Any]) -> Exception:
    """The error of an operation that cannot be done."""
    try:
        value = await awaitable
    except Exception as error:
        return error
    raise AssertionError(f"there is no error, but {value!r}")


async def _after_a_while(function: Callable[[], Awaitable[_T]]) -> _T:
    """Call the function when others have had some turns of the loop."""
    for _ in range(20):
        await anyio.lowlevel.checkpoint()
    return await function()


async def _cancel_soon(scope: anyio.CancelScope, turns: int) -> None:
    for _ in range(turns):
        await anyio.lowlevel.checkpoint()
    scope.cancel()
