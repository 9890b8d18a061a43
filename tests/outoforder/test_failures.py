"""Failures, cancellation and deadlocks out of order end with the one verdict that they have in program order."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import anyio
import pytest

import klorpy
from klorpy import MemoryNetwork, play_role
from klorpy.outoforder.deferred import Deferred
from klorpy.outoforder.mailbox import KeyDiscipline, Letter, Mailbox, Waiter
from klorpy.runtime.erasure import erased_params
from tests.outoforder.programs import stories

FAILING = """
(import asyncio)
(defn boom [x] (raise (ValueError "boom")))
(defn [klorpy.pure] pick [x] x)
(defn :async slow [x] (await (asyncio.sleep 0)) x)
(defchor feeds-a-send [A B C] (-> A C | B) [x] (let [y (A->B (A (boom x)))] (B->C (B (pick y)))))
(defchor in-a-guard [A B] (-> A B) [x] (if (A=>B (A (boom x))) (B 1) (B 2)))
(defchor later [A B] (-> A B A) [x y] (let [p (B->A (B (pick y)))] (A (boom p))))
(defchor no-clause [A B] (-> A B) [x] (case (A=>B x) 1 (B 1)))
(defchor feeds [A B] (-> A B) [x] (A->B (A (boom x))))
(defchor in-a-call [A B] (-> A B) [x] (let [y (feeds [A B] x)] (B (pick y))))
(defchor awaiting [A B] (-> A B) [x] (A->B (A (await (slow x)))))
(defchor never [A B] (-> A B) [x] (A->B (A (await (asyncio.sleep 3600)))))
"""
@pytest.fixture(scope="module")
def ns() -> Any:
    return klorpy.evaluate("(import klorpy)" + FAILING)


def arguments(name: str) -> tuple[Any, ...]:
    return (1, 2) if name == "later" else (2,)


@pytest.mark.parametrize("name", ["feeds_a_send", "in_a_guard", "later", "in_a_call"])
@pytest.mark.parametrize("order", ["program", "effects", "dataflow"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_verdict_is_that_of_program_order(ns: Any, name: str, order: str, seed: int) -> None:
    chor = getattr(ns, name)
    plain = klorpy.simulate_chor(chor, *arguments(name), check=False)
    found = klorpy.simulate_chor(chor, *arguments(name), check=False, order=order, seed=seed, links="unordered")
    assert plain.verdict is not None
    assert found.verdict is not None
    assert found.verdict.slug == plain.verdict.slug == "choreography-failed"
    assert found.verdict.message == plain.verdict.message
    assert found.verdict.role == plain.verdict.role
    assert found.verdict.span == plain.verdict.span
    assert found.failures.keys() == plain.failures.keys()
    assert type(found.verdict.__cause__) is type(plain.verdict.__cause__)


@pytest.mark.parametrize("order", ["program", "effects", "dataflow"])
def test_a_failure_in_the_body_is_shown_where_it_stands(order: str) -> None:
    """Host code is compiled once more for an order, and keeps the places that it has in the file."""
    text = """
(defn same [x]
  x)
(do (defchor divide [A B] (-> A B) [x]
  (let [y (A->B (A (+ x 1)))]
    (B (/ y
          0)))))  (defchor at-once [A B] (-> A B) [x] (A->B (A (/ x 0))))"""
    ns = klorpy.evaluate(text)
    places = {}
    for chor in (ns.divide, ns.at_once):
        verdict = klorpy.simulate_chor(chor, 1, check=False, order=order).verdict
        assert verdict is not None
        places[chor.name] = str(verdict.span)
    assert places == {"divide": "6:8", "at-once": "7:64"}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_choice_without_a_clause_fails_at_every_role(ns: Any, seed: int) -> None:
    found = klorpy.simulate_chor(ns.no_clause, 2, check=False, order="dataflow", seed=seed)
    assert {type(error) for error in found.failures.values()} == {klorpy.NoMatch}
    assert found.failures.keys() == {"A", "B"}


def test_a_failure_in_a_call_says_where_it_was_called(ns: Any) -> None:
    found = klorpy.simulate_chor(ns.in_a_call, 1, check=False, order="dataflow")
    assert found.verdict is not None
    assert any("called at (feeds [A B] x)" in note for note in found.verdict.notes)


@pytest.mark.parametrize("order", ["program", "effects", "dataflow"])
def test_host_code_that_awaits(ns: Any, order: str) -> None:
    assert klorpy.simulate_chor(ns.awaiting, 7, order=order)["B"] == 7


def test_a_run_that_does_not_end_is_ended_by_its_timeout(ns: Any) -> None:
    found = klorpy.simulate_chor(ns.never, 7, order="dataflow", timeout=0.05, check=False)
    assert found.verdict is not None
    assert found.verdict.slug == "timeout"


def test_roles_that_take_different_ways_are_told_who_waits() -> None:
    ns = klorpy.evaluate(
        "(defchor main [A B] (-> #{A B} A B) [go x] (if go (A->B x) (B 0)))"
    )
    class Odd:
        count = 0

        def __bool__(self) -> bool:
            Odd.count += 1
            return Odd.count % 2 == 0

        def __deepcopy__(self, memo: object) -> Odd:
            return self

    found = klorpy.simulate_chor(ns.main, Odd(), 1, order="dataflow", check=False, sanitize=False)
    assert found.verdict is not None
    assert found.verdict.slug in ("deadlock", "unread-message")


def test_copies_of_an_agreement_are_compared() -> None:
    ns = klorpy.evaluate(
        "(import itertools) (setv numbers (itertools.count))"
        "(defchor main [A B] (-> #{A B}) [] (lifting [A B] (next numbers)))"
    )
    with pytest.raises(klorpy.ChoreographyFailed) as caught:
        klorpy.simulate_chor(ns.main, order="dataflow", sanitize=True)
    assert isinstance(caught.value.__cause__, klorpy.AgreementViolated)


def test_a_choreography_that_a_run_returns_can_be_called() -> None:
    ns = klorpy.evaluate("(defchor main [A] (-> A (-> A A)) [x] (chor (-> A A) [y] (A (+ x y))))")
    found = klorpy.simulate_chor(ns.main, 3, order="dataflow")
    assert found["A"](4) == 7


# --- The parts ---


def letter(key: int = 0, value: Any = "v", token: bytes = b"") -> Letter:
    site = stories().router.definition.sites[key]
    return Letter("A", "B", token, site, value)


def test_a_key_is_never_registered_twice() -> None:
    box = Mailbox()
    site = stories().router.definition.sites[0]
    assert isinstance(box.receive("A", b"", site), Waiter)
    with pytest.raises(KeyDiscipline, match="two receives"):
        box.receive("A", b"", site)
    other = Mailbox()
    other.deliver(letter())
    with pytest.raises(KeyDiscipline, match="two messages"):
        other.deliver(letter())


def test_who_waits_for_a_value_does_not_take_it_from_the_others() -> None:
    value, seen = Deferred(), []
    value.then(lambda: seen.append(1))
    value.then(lambda: seen.append(2))
    value.settle("x")
    value.then(lambda: seen.append(3))
    assert seen == [1, 2, 3]
    with pytest.raises(AssertionError, match="settled twice"):
        value.settle("y")


def test_a_chain_of_values_is_settled_without_recursion() -> None:
    first = last = Deferred()
    for _ in range(100_000):
        following = Deferred()
        following.settle(last)
        last = following
    first.settle("end")
    assert last.value == "end"


# --- Over a transport ---


def play(chor: Any, args: tuple[Any, ...], orders: dict[str, str | None], **options: Any) -> dict[str, Any]:
    """Every role over a memory network; the result of each, or what it raised."""
    found: dict[str, Any] = {}

    async def one(network: MemoryNetwork, role: str) -> None:
        config = {"role": role, "transport": network.endpoint(role), "order": orders[role], "timeout": 20, **options}
        given = [args[i] for i in erased_params(chor.defined(), role)]
        try:
            found[role] = await play_role(config, chor, *given)
        except Exception as error:
            found[role] = error

    async def everybody() -> None:
        network = MemoryNetwork(chor.roles)
        async with anyio.create_task_group() as group:
            for role in chor.roles:
                group.start_soon(one, network, role)

    anyio.run(everybody)
    return found


@pytest.mark.parametrize("name", ["two_carts", "one_cart", "routers", "buyers"])
@pytest.mark.parametrize("order", ["program", "effects", "dataflow"])
def test_roles_play_in_each_order(name: str, order: str) -> None:
    from tests.outoforder.programs import ARGUMENTS

    chor, args = getattr(stories(), name), ARGUMENTS[name]
    assert play(chor, args, dict.fromkeys(chor.roles, order)) == klorpy.simulate_chor(chor, *args).results


@pytest.mark.parametrize("first", ["program", "effects", "dataflow"])
@pytest.mark.parametrize("second", ["program", "effects", "dataflow"])
def test_roles_of_different_orders_play_together(first: str, second: str) -> None:
    assert play(stories().stream, (150,), {"P": first, "C": second}, window=4)["C"] == "done"


@pytest.mark.parametrize("order", ["effects", "dataflow"])
def test_a_failure_ends_every_role(ns: Any, order: str) -> None:
    found = play(ns.feeds_a_send, (1,), dict.fromkeys("ABC", order))
    assert isinstance(found["A"], ValueError)
    assert isinstance(found["B"], klorpy.SessionFailed)
    assert isinstance(found["C"], klorpy.SessionFailed)


@pytest.mark.parametrize("order", ["program", "dataflow"])
def test_host_code_is_awaited(ns: Any, order: str) -> None:
    assert play(ns.awaiting, (7,), dict.fromkeys("AB", order))["B"] == 7


def test_a_role_is_cancelled_by_its_time(ns: Any) -> None:
    found: dict[str, BaseException] = {}

    async def one(network: MemoryNetwork, role: str, timeout: float | None, *args: Any) -> None:
        config = {"role": role, "transport": network.endpoint(role), "order": "dataflow", "timeout": timeout}
        try:
            await play_role(config, ns.never, *args)
        except Exception as error:
            found[role] = error

    async def both() -> None:
        network = MemoryNetwork("AB")
        async with anyio.create_task_group() as group:
            group.start_soon(one, network, "A", 0.01, 1)
            group.start_soon(one, network, "B", None)

    anyio.run(both)
    assert isinstance(found["A"], klorpy.KlorError)
    assert found["A"].slug == "timeout"
    assert isinstance(found["B"], klorpy.SessionFailed)


def test_a_role_without_keys_is_found_out() -> None:
    found = play(stories().stream, (3,), {"P": None, "C": "dataflow"})
    assert isinstance(found["C"], klorpy.KlorError)
    assert found["C"].slug == "protocol-mismatch"


def test_wrong_orders_and_windows_are_refused() -> None:
    for wrong in ({"order": "any"}, {"window": 0}, {"window": True}):
        with pytest.raises(klorpy.KlorError) as caught:
            asyncio.run(play_role({"role": "P", **wrong}, stories().stream, 1))  # type: ignore[arg-type]
        assert caught.value.slug == "bad-config"


@pytest.mark.parametrize("orders", [("dataflow", "effects"), ("program", "dataflow"), ("effects", "program")])
def test_roles_of_different_orders_play_together_between_processes(orders: tuple[str, str]) -> None:
    """Two nodes over TCP: windows ask and answer until the end, and nobody leaves while somebody may still ask."""
    chor = stories().stream
    found: dict[str, Any] = {}

    async def one(node: klorpy.Node, role: str, order: str) -> None:
        async with node.join(chor, role, "s") as seat:
            given = (150,)
            config = {"role": role, "transport": seat, "order": order, "window": 3, "timeout": 30}
            found[role] = await play_role(config, chor, *given)

    async def both() -> None:
        port = free_port()
        async with (
            klorpy.host(listen=f"127.0.0.1:{port}") as here,
            klorpy.host(peers={"P": f"127.0.0.1:{port}"}) as there,
            anyio.create_task_group() as group,
        ):
            group.start_soon(one, here, "P", orders[0])
            group.start_soon(one, there, "C", orders[1])

    anyio.run(both)
    assert found["C"] == "done"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize("orders", [("dataflow", None), (None, "effects")])
def test_a_role_that_says_no_order_over_memory_is_told(ns: Any, orders: tuple[str | None, ...]) -> None:
    found = play(ns.no_clause, (1,), dict(zip("AB", orders, strict=True)))
    ordered = "A" if orders[0] else "B"
    told = [error for error in found.values() if isinstance(error, klorpy.KlorError) and error.slug == "protocol-mismatch"]
    assert told
    assert f"{ordered} plays in an order, with keys" in str(told[0])


def test_a_function_that_does_not_await_cannot_receive_in_an_order(ns: Any) -> None:
    """It would keep the role from everything else, also from looking at what it gave."""
    config = {"role": "B", "locators": {"A": "a"}, "send": lambda to, value: None, "recv": lambda source: 42}
    with pytest.raises(klorpy.KlorError, match="does not await") as caught:
        klorpy.run_role({**config, "order": "dataflow"}, ns.feeds)
    assert caught.value.slug == "bad-config"
    assert klorpy.run_role(config, ns.feeds) == 42
