"""Scopes: a callee that is replaced while runs are under way, at the next entry, for all of its roles at once."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import anyio
import pytest

import klorpy
from klorpy.environment.session import Session
from klorpy.language.check import check
from klorpy.runtime import scopes

STEP = "(defchor step [S C] (-> #{S C} #{S C}) [x] (S=>C (S (+ (C->S (C (+ x 0))) 1))))"
#: Another body, with another number of messages.
LATER = "(defchor step [S C] (-> #{S C} #{S C}) [x] (do (S->C (S 0)) (S=>C (S (+ (C->S (C (+ x 0))) 100)))))"
SERVE = """
(defchor serve [C S] (-> #{C S} #{C S}) [n]
  (loop [n n i 0]
    (if (< i 4)
      (do (S (at-server i)) (C (at-client i)) (recur (scope (step [S C] n)) (+ i 1)))
      n)))
"""


def module(*texts: str, server: Callable[[int], Any] = lambda i: None, client: Callable[[int], Any] = lambda i: None) -> Any:
    ns: types.ModuleType = klorpy.evaluate("")
    ns.at_server, ns.at_client = server, client  # type: ignore[attr-defined]
    for text in texts:
        klorpy.evaluate(text, module=ns)
    return ns


@pytest.mark.parametrize("seed", range(12))
def test_a_run_under_way_takes_an_update_at_the_next_entry(seed: int) -> None:
    def update(i: int) -> None:
        if i == 2:
            klorpy.evaluate(LATER, module=ns)

    ns = module(STEP, SERVE, server=update)
    simulation = klorpy.simulate_chor(ns.serve, 0, seed=seed, sanitize=True)
    assert simulation.results == {"C": 202, "S": 202}
    versions = [m.value for m in simulation.messages if isinstance(m.value, str)]
    assert len(versions) == 4
    assert versions[0] == versions[1] != versions[2] == versions[3]


@pytest.mark.parametrize("seed", range(12))
def test_the_leader_decides_whoever_updates(seed: int) -> None:
    """The update comes from elsewhere, at any time: each round is the old one or the new one, at both."""

    def update(i: int) -> None:
        if i == 1:
            klorpy.evaluate(LATER, module=ns)

    ns = module(STEP, SERVE, client=update)
    simulation = klorpy.simulate_chor(ns.serve, 0, seed=seed)
    assert simulation.results["C"] == simulation.results["S"]
    assert simulation.results["C"] in (4, 103, 202, 301)


def test_a_body_that_has_begun_keeps_what_it_calls() -> None:
    texts = (
        "(defchor price [S C] (-> S C) [x] (S->C (S (* x 2))))",
        "(defchor step [S C] (-> S #{S C}) [x] (do (S->C x) (S (during)) (C=>S (price [S C] x))))",
        "(defchor main [S C] (-> S [#{S C} #{S C}]) [x] (pack (scope (step [S C] x)) (scope (step [S C] x))))",
    )
    ns = module(*texts)
    ns.during = lambda: klorpy.evaluate("(defchor price [S C] (-> S C) [x] (S->C (S (* x 50))))", module=ns)
    assert klorpy.simulate_chor(ns.main, 1)["C"] == (2, 50)


def test_without_a_scope_a_run_keeps_its_definitions() -> None:
    ns = module(STEP, SERVE.replace("(scope (step [S C] n))", "(step [S C] n)"))
    ns.at_server = lambda i: klorpy.evaluate(LATER, module=ns)
    assert klorpy.simulate_chor(ns.serve, 0)["S"] == 4


def test_an_update_with_another_signature_is_not_taken() -> None:
    ns = module(STEP, SERVE)

    def update(i: int) -> None:
        if i == 1:
            with pytest.warns(klorpy.KlorWarning, match="Signature of step changed"):
                klorpy.evaluate("(defchor step [S C] (-> #{S C} S | 0) [x] (narrow [S] x))", module=ns)

    ns.at_server = update
    assert klorpy.simulate_chor(ns.serve, 0)["S"] == 4
    with pytest.raises(klorpy.KlorError) as caught:
        klorpy.simulate_chor(module(STEP.replace("step", "other"), "(defchor step [S C] (-> S C))",
                                    "(defchor f [S C] (-> S C) [x] (scope (step [S C] x)))").f, 1)  # fmt: skip
    assert "declared" in str(caught.value)


# --- The form that updates --------------------------------------------------------------------------------------------

UPDATE = LATER.replace("defchor", "update")


@pytest.mark.parametrize("seed", range(6))
def test_a_run_under_way_takes_what_update_offers_at_the_next_entry(seed: int) -> None:
    ns = module(STEP, SERVE, server=lambda i: klorpy.evaluate(UPDATE, module=ns) if i == 2 else None)
    before = ns.step
    assert klorpy.simulate_chor(ns.serve, 0, seed=seed, sanitize=True).results == {"C": 202, "S": 202}
    assert ns.step is before


def test_a_function_that_a_role_calls_may_update() -> None:
    ns = module(STEP, SERVE, f"(defn at-server [i] (when (= i 3) {UPDATE} None))")
    assert klorpy.simulate_chor(ns.serve, 0)["C"] == 103


def test_an_update_is_typed_in_while_a_run_is_under_way() -> None:
    """The run waits in its third round; meanwhile somebody gives the update to the session that it was started from."""
    results: dict[str, Any] = {}

    async def play(session: Session, network: klorpy.MemoryNetwork, role: str) -> None:
        config = {"role": role, "transport": network.endpoint(role)}
        results[role] = await klorpy.play_role(config, session.module.serve, 0)

    async def everyone(session: Session) -> None:
        reached, released = anyio.Event(), anyio.Event()

        async def at_server(i: int) -> None:
            if i == 2:
                reached.set()
                await released.wait()

        vars(session.module).update(at_server=at_server, at_client=lambda i: None)
        network = klorpy.MemoryNetwork(("C", "S"))
        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                for role in ("C", "S"):
                    group.start_soon(play, session, network, role)
                await reached.wait()
                given = [outcome async for outcome in session.evaluate_async(UPDATE)]
                assert [outcome.error for outcome in given] == [None]
                released.set()

    with Session() as session:
        for text in (STEP, SERVE.replace("(at-server i)", "(await (at-server i))")):
            assert [outcome.error for outcome in session.evaluate(text)] == [None]
        anyio.run(everyone, session)
    assert results == {"C": 202, "S": 202}


def test_an_update_of_a_choreography_of_another_module(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is imported is updated where it is; a definition would be one of this module."""
    (tmp_path / "home_of_step.hy").write_text(f"(require klorpy *)\n{STEP}\n{SERVE}\n(defn at-server [i]) (defn at-client [i])")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    ns = klorpy.evaluate(f"(import home-of-step [serve step])\n{UPDATE}")
    assert klorpy.simulate_chor(ns.serve, 0)["C"] == 400
    assert ns.step.module == "home_of_step"


def test_an_update_may_call_itself_and_can_be_looked_at() -> None:
    ns = module(STEP, SERVE, "(update step [S C] (-> #{S C} #{S C}) [x] (if (< x 9) (step [S C] (+ x 4)) x))")
    assert klorpy.simulate_chor(ns.serve, 0)["C"] == 12
    assert "def " in klorpy.project(ns.step, "S")
    assert str(klorpy.protocol_of(module(STEP, UPDATE).step).type) == "S->C:<any>; C->S:<any>; S->C:<any>; end"


@pytest.mark.parametrize(
    "text",
    [
        UPDATE.replace("[S C]", "[C S]"), UPDATE.replace("[S C]", "[S C D]"), UPDATE.replace("[S C]", "[T C]").replace("S", "T"),
        "(update step [S C] (-> #{S C} S | 0) [x] (narrow [S] x))", "(update step [S C] (-> #{S C} #{S C}))",
        UPDATE.replace("step", "at-server"), UPDATE.replace("step", "elsewhere"),
    ],
)  # fmt: skip
def test_what_no_update_can_be_leaves_everything_as_it_is(text: str) -> None:
    ns = module(STEP, SERVE)
    before = ns.step.definition
    with pytest.raises(klorpy.KlorError) as caught:
        klorpy.evaluate(text, module=ns)
    assert caught.value.slug == "bad-update"
    assert caught.value.span is not None
    assert ns.step.definition is before
    assert klorpy.simulate_chor(ns.serve, 0)["C"] == 4


def test_an_update_with_a_mistake_is_no_update() -> None:
    ns = module(STEP, SERVE)
    with pytest.raises(klorpy.KlorError) as caught:
        klorpy.evaluate("(update step [S C] (-> #{S C} #{S C}) [x] (S->C x))", module=ns)
    assert caught.value.slug != "bad-update"
    assert klorpy.simulate_chor(ns.serve, 0)["C"] == 4


def test_a_file_is_checked_with_its_updates() -> None:
    text = f"(require klorpy *)\n{STEP}\n{UPDATE}\n(update other [S C] (-> S C) [x] (S->C x))"
    assert [error.slug for error in check(text, "program.hy").errors] == ["bad-update"]


def test_update_means_nothing_inside_of_a_choreography() -> None:
    with pytest.raises(klorpy.KlorError, match="top level"):
        klorpy.evaluate(f"{STEP} (defchor f [S C] (-> S C) [x] (do {UPDATE} (S->C x)))")


# --- What runs inside -------------------------------------------------------------------------------------------------


def test_recursion_and_choreographies_as_values_within_a_version() -> None:
    ns = module(
        "(defchor send [P Q] (-> P Q) [x] (P->Q x))",
        "(defchor each [S C] (-> (-> S C) S S) [f n] (if (S=>C (S (> n 0))) (do (f n) (each [S C] f (S (- n 1)))) n))",
        "(defchor step [S C] (-> S S | C) [n] (each [S C] (inst send [S C]) (each [S C] (chor (-> S C) [x] (S->C x)) n)))",
        "(defchor main [S C] (-> S S | C) [n] (scope (step [S C] n)))",
    )
    assert klorpy.simulate_chor(ns.main, 300)["S"] == 0


def test_an_exception_inside_has_its_place() -> None:
    ns = module(
        "(defchor step [S C] (-> S C) [x]\n  (S->C (S (/ x 0))))", "(defchor main [S C] (-> S C) [x] (scope (step [S C] x)))"
    )
    with pytest.raises(klorpy.ChoreographyFailed) as caught:
        klorpy.simulate_chor(ns.main, 1)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert "(S->C (S (/ x 0)))" in caught.value.render() or ":2:" in caught.value.render()


def test_the_protocol_tells_of_the_versions() -> None:
    ns = module(STEP, "(defchor main [C S] (-> #{C S} #{C S}) [n] (scope (step [S C] n)))")
    assert str(klorpy.protocol_of(ns.main).type) == "S->C:<any>; C->S:<any>; S->C:<any>; end"


def test_only_a_call_by_name_is_a_scope() -> None:
    with pytest.raises(klorpy.KlorError) as caught:
        klorpy.evaluate("(defchor f [A B] (-> A B) [x] (scope (A->B x)))")
    assert caught.value.slug == "bad-scope"


# --- Each role in a process of its own: here, in a module of its own --------------------------------------------------


def played(server: Any, client: Any) -> dict[str, Any]:
    results: dict[str, Any] = {}

    async def play(role: str, ns: Any, out: Any, into: Any) -> None:
        async def send(_: str, value: Any) -> None:
            await out.send(value)

        async def recv(_: str) -> Any:
            return await into.receive()

        config = {"role": role, "send": send, "recv": recv, "locators": {"S": "S", "C": "C"}}
        results[role] = await klorpy.play_role(config, ns.serve, 0)

    async def everyone() -> None:
        to_client, at_client = anyio.create_memory_object_stream[Any](100)
        to_server, at_server = anyio.create_memory_object_stream[Any](100)
        with anyio.fail_after(20), to_client, at_client, to_server, at_server:
            async with anyio.create_task_group() as group:
                group.start_soon(play, "S", server, to_client, at_server)
                group.start_soon(play, "C", client, to_server, at_client)

    anyio.run(everyone)
    return results


def test_each_process_has_been_given_the_update() -> None:
    """The client has the new text first, and runs the old one as long as the leader does."""
    client = module(STEP, SERVE)
    klorpy.evaluate(LATER, module=client)
    server = module(STEP, SERVE)
    server.at_server = lambda i: klorpy.evaluate(LATER, module=server) if i == 2 else None
    assert played(server, client) == {"C": 202, "S": 202}


def test_a_version_that_is_not_here_is_an_error_and_no_hang() -> None:
    client, server = module(STEP, SERVE), module(STEP, SERVE)
    klorpy.evaluate(LATER, module=server)
    with pytest.raises(ExceptionGroup) as caught:
        played(server, client)
    found = [error for error in caught.value.exceptions if isinstance(error, klorpy.KlorError)]
    assert any(error.slug == "update-missing" for error in found)


def test_the_same_text_has_the_same_key_everywhere() -> None:
    one, two, three = module(STEP), module(STEP), module(LATER)
    assert scopes.noted(one.step).key == scopes.noted(two.step).key != scopes.noted(three.step).key
    assert scopes.noted(one.step) is scopes.noted(one.step)
    first = scopes.noted(one.step).key
    klorpy.evaluate(LATER, module=one)
    assert list(one.step.versions) == [first]
    for number in range(40):
        klorpy.evaluate(STEP.replace("1)", f"{number})"), module=one)
    assert len(one.step.versions) <= 16


def test_the_key_does_not_tell_who_brought_the_text() -> None:
    assert scopes.noted(module(STEP, UPDATE).step).key == scopes.noted(module(LATER).step).key
