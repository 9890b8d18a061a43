"""Roles of a session in different orders, over TCP: who says an order when it joins is followed by the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
import pytest

import klorpy
from klorpy.outoforder.walker import Walker
from klorpy.runtime.erasure import erased_params
from klorpy.runtime.sessions import Record, Window
from tests.outoforder.programs import ARGUMENTS, stories
from tests.runtime.sessions.nodes import nodes_of

TOO_LONG = 60

FAILING = klorpy.evaluate("""
(import klorpy [pure])
(defn [pure] inverse [x] (/ 1 x))
(defchor share [A B C] (-> A [B C]) [x] (let [y (A (inverse x))] (pack (A->B y) (A->C y))))
(import anyio [wait-all-tasks-blocked])
(defchor count [P C] (-> #{P C} C C) [n seen]
  (C (await (wait-all-tasks-blocked)))
  (loop [i 0] (if (< i n) (do (C (.append seen (P->C (P (+ i 0))))) (recur (+ i 1))) (C seen))))
(defchor flood [A B] (-> #{A B} A B) [n x]
  (loop [i 0 y (A->B x)] (if (< i n) (recur (+ i 1) (do (A->B (B->A y)))) y)))
""")


def play(
    chor: Any, args: tuple[Any, ...], joined: Mapping[str, str], played: Mapping[str, str] | None = None,
    records: list[Record] | None = None, **options: Any,
) -> dict[str, Any]:  # fmt: skip
    """Every role at a node of its own; the result of each, or what it raised. Orders are said to `join`, or to `play_role`."""
    found: dict[str, Any] = {}

    async def one(node: klorpy.Node, role: str) -> None:
        given = [args[i] for i in erased_params(chor.defined(), role)]
        try:
            async with node.join(chor, role, "s", order=joined.get(role)) as seat:
                config = {"role": role, "transport": seat, "order": (played or {}).get(role)}
                found[role] = await klorpy.play_role(config, chor, *given)
        except klorpy.KlorError as error:
            found[role] = error
        except ZeroDivisionError as error:
            found[role] = error

    async def everybody() -> None:
        with anyio.fail_after(TOO_LONG):
            async with nodes_of(chor.roles, **options) as nodes, anyio.create_task_group() as tasks:
                for role, node in nodes.items():
                    if records is not None:
                        node.observe(records.append)
                    tasks.start_soon(one, node, role)

    anyio.run(everybody)
    return found


@pytest.mark.parametrize("name", ["two_carts", "one_cart", "routers", "buyers"])
@pytest.mark.parametrize("order", ["program", "effects", "dataflow"])
def test_the_others_follow_the_one_that_says_an_order(name: str, order: str) -> None:
    chor, args = getattr(stories(), name), ARGUMENTS[name]
    expected = klorpy.simulate_chor(chor, *args).results
    for role in chor.roles:
        assert play(chor, args, {role: order}) == expected


@pytest.mark.parametrize("joined", [{"P": "dataflow"}, {"C": "effects"}, {"P": "effects", "C": "dataflow"}])
@pytest.mark.parametrize("frames", [1, 2, 64])
def test_a_narrow_channel_holds_nobody_up(joined: dict[str, str], frames: int) -> None:
    assert play(stories().stream, (150,), joined, window=Window(frames=frames))["C"] == "done"
    found = play(FAILING.flood, (40, "x" * 5000), dict.fromkeys("AB", "dataflow"), window=Window(frames, 6000))
    assert found["B"] == "x" * 5000


@pytest.mark.parametrize("orders", [("program", "program"), ("program", "dataflow"), ("dataflow", "program")])
def test_a_role_that_only_sends_keeps_to_its_window(orders: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    walkers: list[Walker] = []

    class Kept(Walker):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "window": 8})
            walkers.append(self)

    monkeypatch.setattr("klorpy.outoforder.play.Walker", Kept)
    found = play(FAILING.count, (2000, []), dict(zip("PC", orders, strict=True)))
    assert sorted(found["C"]) == list(range(2000))
    (consumer,) = (walker for walker in walkers if walker.role == "C")
    assert consumer.mailbox.high_water <= 8


def test_observers_see_values_and_not_what_players_tell_each_other() -> None:
    chor, args = stories().two_carts, ARGUMENTS["two_carts"]
    records: list[Record] = []
    play(chor, args, {"Billing": "dataflow"}, records=records)
    sent = sorted((r.role, r.peer, r.text) for r in records if r.kind == "sent")
    received = sorted((r.peer, r.role, r.text) for r in records if r.kind == "received")
    expected = sorted((m.source, m.target, repr(m.value).replace("'", '"')) for m in klorpy.simulate_chor(chor, *args).messages)
    assert sent == received == expected


@pytest.mark.parametrize("order", ["program", "effects", "dataflow"])
def test_a_failure_is_one_verdict_for_all(order: str) -> None:
    found = play(FAILING.share, (0,), {"B": order})
    assert isinstance(found["A"], ZeroDivisionError)
    assert isinstance(found["B"], klorpy.SessionFailed)
    assert isinstance(found["C"], klorpy.SessionFailed)
    assert found["B"].verdict == found["C"].verdict
    assert found["B"].verdict.role == "A"
    assert "ZeroDivisionError" in found["B"].verdict.cause


@pytest.mark.parametrize("played", [{"A": "dataflow"}, {"B": "dataflow"}])
def test_an_order_that_is_said_too_late_is_told_to_both(played: dict[str, str]) -> None:
    """To the others as well, if they have not done their part by then."""
    found = play(FAILING.flood, (5, 1), {}, played)
    for error in found.values():
        assert isinstance(error, klorpy.KlorError)
        assert "do not agree on whether messages have keys" in str(error)


def test_there_is_no_other_order() -> None:
    found = play(stories().stream, (5,), dict.fromkeys("PC", "random"))
    assert {error.slug for error in found.values()} == {"bad-argument"}
    assert "give one of program, effects, dataflow" in found["P"].help
