"""Playing one role: over functions, over a transport, in a loop and without one."""

from __future__ import annotations

import asyncio
import collections
import re
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import hy
import pytest

import klorpy
from klorpy.core.values import noop

TELL = "(defchor tell [A B] (-> A B) [x] (A->B x))"
ASK = "(defchor ask [A B] (-> A A) [x] (B->A (B (* 2 (A->B x)))))"
Point = collections.namedtuple("Point", "x y")


def define(text: str, name: str | None = None) -> Any:
    ns = klorpy.evaluate(text)
    return getattr(ns, hy.mangle(name or text.split()[1]))


def config(role: str, **more: Any) -> dict[str, Any]:
    """A configuration whose `recv` gives 42."""
    return {"role": role, "send": lambda to, value: None, "recv": lambda source: 42, "locators": dict.fromkeys("AB", "x"), **more}  # fmt: skip


def play_all(chor: klorpy.Choreography, args: dict[str, tuple[Any, ...]], network: Any = None) -> dict[str, Any]:
    """Play all roles over the network in memory; results, or the exceptions that roles ended with."""
    results: dict[str, Any] = {}

    async def play(role: str) -> None:
        transport = (network or made).endpoint(role)
        try:
            results[role] = await klorpy.play_role({"role": role, "transport": transport}, chor, *args.get(role, ()))
        except Exception as error:
            results[role] = error
            await transport.close()

    async def everyone() -> None:
        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                for role in chor.roles:
                    group.start_soon(play, role)

    made = klorpy.MemoryNetwork(chor.roles)
    anyio.run(everyone)
    return results


# --- Functions --------------------------------------------------------------------------------------------------------


def test_locators_and_values_reach_the_functions() -> None:
    calls: list[Any] = []

    def send(locator: Any, value: Any) -> str:
        calls.append(("send", locator, value))
        return "ignored"

    def receive(locator: Any) -> int:
        calls.append(("recv", locator))
        return 42

    b = object()
    assert klorpy.run_role({"role": "A", "send": send, "recv": receive, "locators": {"B": b}}, define(ASK), 21) == 42
    assert calls == [("send", b, 21), ("recv", b)]


@pytest.mark.parametrize("kind", ["sync", "async", "async callable", "awaitable", "mixed"])
def test_functions_of_any_colour(kind: str) -> None:
    sent = []

    def note(to: Any, value: Any) -> None:
        sent.append((to, value))

    async def async_note(to: Any, value: Any) -> None:
        await anyio.lowlevel.checkpoint()
        note(to, value)

    async def async_receive(source: Any) -> int:
        await anyio.lowlevel.checkpoint()
        return 42

    class Sender:
        async def __call__(self, to: Any, value: Any) -> None:
            await async_note(to, value)

    send: Callable[..., Any] = {"sync": note, "async callable": Sender(), "mixed": note}.get(kind, async_note)
    receive: Callable[..., Any] = (lambda s: 42) if kind == "sync" else async_receive
    if kind == "awaitable":
        send = lambda to, value: async_note(to, value)  # noqa: E731
    given = {"role": "A", "send": send, "recv": receive, "locators": {"B": "b"}}
    assert klorpy.run_role(given, define(ASK), 21) == 42
    assert sent == [("b", 21)]
    assert anyio.run(klorpy.play_role, given, define(ASK), 22) == 42
    assert sent[1:] == [("b", 22)]


@pytest.mark.parametrize(
    "make", [dict, lambda d: {hy.models.Keyword(k): v for k, v in d.items()}, lambda d: klorpy.RoleConfig(**d)]
)
def test_a_configuration_may_be_a_dict_a_hy_dict_or_an_object(make: Any) -> None:
    assert klorpy.run_role(make(config("A", locators={"B": 1})), define(ASK), 1) == 42


def test_a_configuration_as_hy_writes_it() -> None:
    ns = klorpy.evaluate(
        ASK + "(import klorpy [run-role])\n"
        "(setv got (run-role {:role 'A :send (fn [to value] None) :recv (fn [from] [from 1]) :locators {:B :b}} ask 1))\n"
        '(setv same (run-role {:role "A" :send (fn [to value] None) :recv (fn [from] [from 1]) :locators {\'B :b}} ask 1))'
    )
    assert ns.got == ns.same == [hy.models.Keyword("b"), 1]


# --- Erasure ----------------------------------------------------------------------------------------------------------


def test_parameters_that_do_not_mention_the_role_are_left_out() -> None:
    chor = define("(defchor f [A B] (-> A B #{A B} A) [x y z] (A [x (B->A y) z]))")
    results = play_all(chor, {"A": (1, 3), "B": (2, 3)})
    assert results == {"A": [1, 2, 3], "B": noop}


def test_tuples_lose_the_elements_of_others() -> None:
    chor = define("(defchor f [A B C] (-> A [A [#{A B} B] C]) [x] (pack x (pack (A=>B x) (B 7)) (C 8)))")
    assert play_all(chor, {"A": (1,)}) == {"A": (1, (1,)), "B": ((1, 7),), "C": (8,)}


def test_a_choreography_as_a_result() -> None:
    chor = define("(defchor f [A B] (-> A (-> A B A)) [n] (chor (-> A B A) [x y] (A [n x (B->A y)])))")

    async def main() -> list[Any]:
        network = klorpy.MemoryNetwork("AB")
        out: list[Any] = [None, None]

        async def a() -> None:
            function = await klorpy.play_role({"role": "A", "transport": network.endpoint("A")}, chor, 1)
            out[0] = [await function(2), await function(3)]

        async def b() -> None:
            function = await klorpy.play_role({"role": "B", "transport": network.endpoint("B")}, chor)
            out[1] = [await function("p"), await function("q")]

        async with anyio.create_task_group() as group:
            group.start_soon(a)
            group.start_soon(b)
        return out

    assert anyio.run(main) == [[[1, 2, "p"], [1, 3, "q"]], [noop, noop]]


def test_a_choreography_as_a_result_checks_its_arguments() -> None:
    function = klorpy.run_role(
        config("A"), define("(defchor f [A B] (-> (-> A B A)) [] (chor (-> A B A) [x y] (B->A y)))")
    )
    assert function(1) == 42
    for wrong in ((), (1, 2)):
        with pytest.raises(klorpy.KlorError) as caught:
            function(*wrong)
        assert caught.value.slug == "play-arity"


@pytest.mark.parametrize(
    "value",
    [Point(1, 2), (1, 2), (), [lambda: 1], None, noop, asyncio.sleep, {"a": (1,)}],
    ids=lambda value: type(value).__name__,
)
def test_agreements_are_given_back_as_they_are(value: Any) -> None:
    chor = define("(defchor f [A] (-> A A) [x] x)")
    assert klorpy.run_role({"role": "A"}, chor, value) is value
    pair = klorpy.run_role({"role": "A"}, define("(defchor g [A] (-> A [A]) [x] (pack x))"), value)
    assert pair[0] is value


# --- Mistakes of the caller -------------------------------------------------------------------------------------------


def fails(slug: str, given: Any, chor: Any, *args: Any) -> klorpy.KlorError:
    with pytest.raises(klorpy.KlorError) as caught:
        klorpy.run_role(given, chor, *args)
    assert caught.value.slug == slug, caught.value.render()
    assert caught.value.help
    with pytest.raises(klorpy.KlorError):
        anyio.run(klorpy.play_role, given, chor, *args)
    return caught.value


def test_role_not_part() -> None:
    chor = define(TELL)
    assert "C" in fails("role-not-part", {"role": "C"}, chor).message
    assert "Z" in fails("role-not-part", config("A", locators={"B": 1, "Z": 2}), chor, 1).message
    assert "None" in fails("role-not-part", {"role": None}, chor).message


@pytest.mark.parametrize("args", [(), (1, 2)])
def test_play_arity(args: tuple[Any, ...]) -> None:
    error = fails("play-arity", config("A"), define(TELL), *args)
    assert "1 argument" in error.message
    assert "tell" in error.message
    fails("play-arity", config("B"), define(TELL), 1)


@pytest.mark.parametrize("param", ["[A B]", "(-> A B | 0)", "[(-> A B | 0)]"])
def test_not_playable(param: str) -> None:
    error = fails("not-playable", config("A"), define(f"(defchor f [A B] (-> {param} A B) [x y] (A->B y))"), 1, 2)
    assert "f" in error.message
    with pytest.raises(klorpy.KlorError) as caught:
        klorpy.simulate_chor(define(f"(defchor f [A B] (-> {param} A B) [x y] (A->B y))"), 1, 2)
    assert caught.value.slug == "not-playable"


@pytest.mark.parametrize(("leave_out", "role", "slug"), [("send", "A", "no-send"), ("recv", "B", "no-recv")])
def test_no_way_to_communicate(leave_out: str, role: str, slug: str) -> None:
    given = config(role)
    del given[leave_out]
    args = (1,) if role == "A" else ()
    error = fails(slug, given, define(TELL), *args)
    assert error.span is not None
    assert "(A->B x)" in error.message


@pytest.mark.parametrize("role", "AB")
def test_missing_locator(role: str) -> None:
    error = fails("missing-locator", config(role, locators={}), define(TELL), *((1,) if role == "A" else ()))
    assert error.span is not None
    other = "B" if role == "A" else "A"
    assert f"for {other}" in error.message


def test_a_locator_of_a_role_that_is_never_met_may_be_missing() -> None:
    chor = define("(defchor f [A B C] (-> A C) [x] (do (B None) (A->C x)))")
    assert klorpy.run_role(config("A", locators={"C": 1}), chor, 1) is noop
    assert klorpy.run_role({"role": "B"}, chor) is noop


@pytest.mark.parametrize(
    "given",
    [None, 5, [], "A", {}, {"send": print}, {"role": "A", "sned": print}, {"role": "A", "send": 5, "locators": {"B": 1}},
     {"role": "B", "recv": 5, "locators": {"A": 1}}, {"role": "A", "locators": [1]}, {"role": "A", "locators": 5},
     {"role": "A", "transport": 5}, {"role": "A", "transport": object()}],
    ids=lambda given: re.sub(r" at 0x\w+", "", repr(given)),
)  # fmt: skip
def test_bad_configurations(given: Any) -> None:
    args = (1,) if not isinstance(given, dict) or given.get("role") == "A" else ()
    fails("bad-config", given, define(TELL), *args)


def test_a_config_is_not_changed() -> None:
    given = config("A")
    before = dict(given)
    klorpy.run_role(given, define(ASK), 1)
    assert given == before


def test_a_declared_choreography_cannot_be_played() -> None:
    fails("not-defined", config("A"), define("(defchor f [A B] (-> A B))"), 1)


# --- Failures ---------------------------------------------------------------------------------------------------------


class Lost(Exception):
    pass


def broken(*args: Any) -> Any:
    raise Lost("wire")


@pytest.mark.parametrize("kind", ["send", "recv", "host"])
def test_an_exception_is_raised_as_it_is_and_names_the_place(kind: str) -> None:
    chor = define("(defchor f [A B] (-> A A) [x]\n  (B->A (B (A->B (A (/ 1 x))))))")
    given = config("A", **({kind: broken} if kind != "host" else {}))
    with pytest.raises(ZeroDivisionError if kind == "host" else Lost) as caught:
        klorpy.run_role(given, chor, 0 if kind == "host" else 1)
    tb, lines = caught.value.__traceback__, []
    while tb is not None:
        if tb.tb_frame.f_code.co_filename.startswith("<klorpy"):
            lines.append(tb.tb_lineno)
        tb = tb.tb_next
    if kind == "host":
        assert lines == [2]


def test_stop_iteration_in_host_code_is_not_taken_for_an_end() -> None:
    chor = define("(defchor f [A B] (-> A A) [x] (do (B None) (A (next (iter []))) x))")
    assert isinstance(klorpy.simulate_chor(chor, 1, check=False).failures["A"], StopIteration)
    # A coroutine cannot raise StopIteration, says Python.
    with pytest.raises(RuntimeError) as caught:
        klorpy.run_role(config("A"), chor, 1)
    assert isinstance(caught.value.__cause__, StopIteration)


CANCELLED = """
(import asyncio)
(defn :async never [] (await (.create-future (asyncio.get-running-loop))))
(defn :async dead [] (let [task (asyncio.create-task (never))] (.cancel task) (await task)))
(defchor f [A B] (-> A B) [x] (A->B (A (do x (raise (asyncio.CancelledError))))))
(defchor g [A B] (-> A B) [x] (A->B (A (do x (await (dead))))))
"""


@pytest.mark.parametrize("name", ["f", "g"])
def test_a_cancellation_that_nobody_asked_for_is_a_failure(name: str) -> None:
    results = play_all(getattr(klorpy.evaluate(CANCELLED), name), {"A": (1,)})
    told = "CancelledError was raised, but nobody had cancelled A"
    assert isinstance(results["A"], RuntimeError)
    assert str(results["A"]) == told
    assert results["B"].message.startswith(f"the run failed: A failed at step 0 (RuntimeError: {told}, at <klorpy")


def test_a_role_that_fails_lets_the_others_know() -> None:
    chor = define("(defchor f [A B C] (-> A C) [x] (B->C (A->B (A (/ 1 x)))))")
    results = play_all(chor, {"A": (0,)})
    assert isinstance(results["A"], ZeroDivisionError)
    assert isinstance(results["B"], klorpy.PeerLost)
    assert isinstance(results["C"], klorpy.SessionFailed)
    assert results["B"].verdict == results["C"].verdict
    assert results["C"].message.startswith("the run failed: A failed at step 0 (ZeroDivisionError: division by zero, at <klorpy")
    assert results["B"].span is not None


# --- Host code that awaits --------------------------------------------------------------------------------------------

AWAITING = """
(import anyio)
(defn :async twice [x] (await (anyio.lowlevel.checkpoint)) (* 2 x))
(defn :async fail [x] (await (anyio.lowlevel.checkpoint)) (raise (ValueError x)))
(import anyio.lowlevel)
(defchor f [A B] (-> A B) [x] (A->B (A (+ 1 (await (twice x))))))
(defchor g [A B] (-> A B) [x]\n  (A->B (A (await (fail x)))))
(defchor h [A B] (-> A B) [x] (A->B (A (await x))))
(defchor l [A B] (-> A B) [x] (A->B (A (lfor y x (await (twice y))))))
(defchor m [A B] (-> A #{A B}) [x] (let [y (A=>B x)] (await (twice y))))
"""


def test_host_code_may_await() -> None:
    ns = klorpy.evaluate(AWAITING)
    assert play_all(ns.f, {"A": (5,)}) == {"A": noop, "B": 11}
    assert play_all(ns.l, {"A": ([1, 2],)}) == {"A": noop, "B": [2, 4]}
    assert play_all(ns.m, {"A": (4,)}) == {"A": 8, "B": 8}
    failed = play_all(ns.g, {"A": ("boo",)})
    assert isinstance(failed["A"], ValueError)
    assert isinstance(failed["B"], klorpy.PeerLost)


@pytest.mark.parametrize("value", [5, None, [1]])
def test_awaiting_what_cannot_be_awaited(value: Any) -> None:
    ns = klorpy.evaluate(AWAITING)
    with pytest.raises(klorpy.KlorError) as caught:
        klorpy.run_role(config("A"), ns.h, value)
    assert caught.value.slug == "cannot-await"
    assert "(await x)" in caught.value.message


# --- Loops, threads, cancellation -------------------------------------------------------------------------------------


def test_run_role_inside_a_running_loop() -> None:
    chor = define(ASK)

    async def main() -> Any:
        return klorpy.run_role(config("A"), chor, 1)

    before = threading.active_count()
    assert anyio.run(main) == 42
    assert asyncio.run(main()) == 42
    assert threading.active_count() == before


def test_play_role_on_plain_asyncio() -> None:
    assert asyncio.run(klorpy.play_role(config("A"), define(ASK), 1)) == 42


class Waiting:
    """A transport on which nothing ever arrives; says what happened."""

    def __init__(self) -> None:
        self.happened: list[str] = []
        self.waits: anyio.Event | None = None

    async def send(self, target: str, value: Any, site: Any) -> None:
        self.happened.append(f"send {target}")

    async def receive(self, source: str, site: Any) -> Any:
        self.happened.append(f"receive {source}")
        assert self.waits is not None
        self.waits.set()
        try:
            await anyio.sleep_forever()
        except BaseException as error:
            self.happened.append(type(error).__name__)
            raise

    async def close(self) -> None:
        self.happened.append("close")


def cancelled(chor: Any, wait: bool, *args: Any) -> tuple[Waiting, list[BaseException]]:
    """Play A, cancel it when it waits, and give what its code saw."""
    transport, ended = Waiting(), []

    async def play() -> None:
        try:
            await klorpy.play_role({"role": "A", "transport": transport}, chor, *args)
        except BaseException as error:
            ended.append(error)
            raise

    async def main() -> None:
        transport.waits = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(play)
            if wait:
                await transport.waits.wait()
            else:
                for _ in range(3):
                    await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        assert len(asyncio.all_tasks()) == 1

    anyio.run(main)
    return transport, ended


def test_cancellation_while_waiting() -> None:
    transport, (error,) = cancelled(define(ASK), True, 1)
    assert transport.happened == ["send B", "receive B", "CancelledError", "close"]
    assert isinstance(error, asyncio.CancelledError)


def test_a_deadline() -> None:
    async def main() -> None:
        transport = Waiting()
        transport.waits = anyio.Event()
        with anyio.fail_after(0):
            await klorpy.play_role({"role": "A", "transport": transport}, define(ASK), 1)

    with pytest.raises(TimeoutError):
        anyio.run(main)


@pytest.mark.parametrize(
    "text",
    [
        "(defchor f [A B] (-> A A) [n] (do (B None) (loop [i n] (recur (A (+ i 1))))))",
        "(defchor f [A B] (-> A A) [n] (f [A B] (A (+ n 1))))",
        "(defchor f [A B] (-> A A) [n] (do (A->B n) (f [A B] n)))",
    ],
)
def test_a_role_that_never_waits_can_be_cancelled(text: str) -> None:
    _, (error,) = cancelled(define(text), False, 1)
    assert isinstance(error, asyncio.CancelledError)


def test_cancelled_host_code_cleans_up() -> None:
    ns = klorpy.evaluate(
        "(import anyio)\n(setv log [])\n"
        '(defn :async wait [event] (.set event) (try (await (anyio.sleep-forever)) (finally (.append log "cleaned"))))\n'
        "(defchor f [A B] (-> A B) [e] (A->B (A (await (wait e)))))"
    )

    async def main() -> None:
        event = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(klorpy.play_role, config("A"), ns.f, event)
            await event.wait()
            group.cancel_scope.cancel()

    anyio.run(main)
    assert ns.log == ["cleaned"]


def test_two_sessions_of_one_choreography_at_once() -> None:
    chor = define("(defchor f [A B] (-> A A) [x] (B->A (B [(A->B x)])))")
    results: dict[int, Any] = {}

    async def session(number: int) -> None:
        network = klorpy.MemoryNetwork("AB")
        async with anyio.create_task_group() as group:
            group.start_soon(klorpy.play_role, {"role": "B", "transport": network.endpoint("B")}, chor)
            results[number] = await klorpy.play_role({"role": "A", "transport": network.endpoint("A")}, chor, number)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(session, number)

    anyio.run(main)
    assert results == {n: [n] for n in range(20)}


def test_signature_of_an_awaitable_result() -> None:
    """play_role gives a coroutine and starts nothing before it is awaited."""
    calls: list[Any] = []
    coroutine: Awaitable[Any] = klorpy.play_role(config("A", send=lambda *a: calls.append(a)), define(ASK), 1)
    assert calls == []
    coroutine.close()  # type: ignore[attr-defined]


# --- In time ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "args", "form", "help"),
    [
        (TELL, (), "(A->B x)", "does A answer? If"),
        ("(import anyio) (defchor own [A B] (-> A B) [x] (do (B (await (anyio.sleep-forever))) (A->B x)))", (), "(await (anyio.sleep-forever))", "does what it awaits"),
        ("(import time) (defchor blocks [A B] (-> A B A) [y x] (B->A (B (do (time.sleep 0.02) x))))", (1,), "", "code that takes long"),
        ("(defchor turns [A B] (-> A B A) [y x] (do (loop [n (B 0)] (recur (B (+ n 1)))) (B->A x)))", (1,), "", "is there a loop"),
    ],
)  # fmt: skip
def test_a_role_that_is_late_says_where_it_was(text: str, args: tuple[int, ...], form: str, help: str) -> None:
    chor = define(text, re.findall(r"defchor (\S+)", text)[0])

    async def late() -> klorpy.KlorError:
        with pytest.raises(klorpy.KlorError) as error:
            transport = klorpy.MemoryNetwork("AB").endpoint("B")
            await klorpy.play_role({"role": "B", "transport": transport, "timeout": 0.01}, chor, *args)
        return error.value

    error = anyio.run(late)
    assert error.slug == "timeout"
    assert error.message == f"B of {chor.name} did not end within 0.01 s"
    assert help in error.help
    source = error.diagnostic.source
    assert (source.slice(error.span) if source and error.span else "") == form
