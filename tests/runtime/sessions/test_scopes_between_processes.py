"""Scopes whose roles are in different processes: each is given an update by itself, and they agree on it at each entry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

import klorpy
from klorpy.runtime.sessions import Record
from klorpy.runtime.sessions.fingerprint import SiteKeys, fingerprint, sites_by_key
from tests.runtime.sessions.nodes import nodes_of
from tests.runtime.sessions.processes import cast

STEP = "(defchor step [S C] (-> #{S C} #{S C}) [n] (S=>C (S (+ 1 (C->S (C (+ n 0)))))))"
CALL = "(scope (step [S C] n))"
INLINE = "(scope :barrier step [S C] (S=>C (S (+ 1 (C->S (C (+ n 0)))))))"
SERVE = """
(defchor serve [C S] (-> #{C S} #{C S}) [n]
  (loop [n n i 0]
    (if (< i 4)
      (do (S (at-server i)) (recur SCOPE (+ i 1)))
      n)))
"""
#: Another body, which calls a choreography that the first does not know.
HELPER = "(defchor add [S C] (-> S C S) [x y] (S (+ x (C->S y))))"
LATER = "(update step (S=>C (add [S C] (S 100) (C (+ n 0)))))"
LATER_IN_FULL = "(update step [S C] (-> #{S C} #{S C}) [n] (S=>C (add [S C] (S 100) (C (+ n 0)))))"


def process(scope: str, before: str = "", at_server: Callable[[Any, int], Any] = lambda ns, i: None) -> Any:
    """What one process has: a module of its own, with the text somewhere in a file."""
    ns: Any = klorpy.evaluate("")
    ns.at_server = lambda i: at_server(ns, i)
    klorpy.evaluate(before + (STEP if scope is CALL else "") + SERVE.replace("SCOPE", scope), module=ns)
    return ns


def given(ns: Any, scope: str) -> None:
    klorpy.evaluate(HELPER, module=ns)
    klorpy.evaluate("\n" + (LATER_IN_FULL if scope is CALL else LATER), module=ns)


def played(server: Any, client: Any, observer: Callable[[Record], None] | None = None) -> dict[str, Any]:
    """The results of the roles over TCP, each at a node of its own; or what they raise."""
    results: dict[str, Any] = {}

    async def play(node: klorpy.Node, ns: Any, role: str) -> None:
        try:
            async with node.join(ns.serve, role, "scopes") as seat:
                results[role] = await klorpy.play_role({"role": role, "transport": seat}, ns.serve, 0)
        except klorpy.KlorError as error:
            results[role] = error

    async def everyone() -> None:
        with anyio.fail_after(30):
            async with nodes_of("CS") as nodes, anyio.create_task_group() as group:
                if observer is not None:
                    nodes["S"].observe(observer)
                group.start_soon(play, nodes["C"], client, "C")
                group.start_soon(play, nodes["S"], server, "S")

    anyio.run(everyone)
    return results


@pytest.mark.parametrize("scope", [CALL, INLINE], ids=["call", "inline"])
def test_an_update_is_taken_while_a_session_is_under_way(scope: str) -> None:
    """The client has it from the beginning; the leader is given it in the third round."""
    client = process(scope)
    given(client, scope)
    server = process(scope, "\n\n; elsewhere\n", lambda ns, i: given(ns, scope) if i == 2 else None)
    records: list[Record] = []
    assert played(server, client, records.append) == {"C": 202, "S": 202}
    sites = sites_by_key(server.serve)
    named = [sites[record.key] for record in records if record.kind in ("sent", "received")]
    said = [site.text for site in named]
    assert said.count("(C->S y)") == 2  # what the new version calls
    assert said.count("(C->S (C (+ n 0)))") == 2
    assert len(said) == 4 * (4 if scope is INLINE else 3)


@pytest.mark.parametrize("scope", [CALL, INLINE], ids=["call", "inline"])
def test_a_session_begins_with_an_update(scope: str) -> None:
    client, server = process(scope), process(scope)
    given(client, scope)
    given(server, scope)
    assert played(server, client) == {"C": 400, "S": 400}


@pytest.mark.parametrize("scope", [CALL, INLINE], ids=["call", "inline"])
@pytest.mark.parametrize("at", [0, 3])
def test_whoever_lacks_an_update_ends_the_session_for_all(at: int, scope: str) -> None:
    server = process(scope, at_server=lambda ns, i: given(ns, scope) if i == at else None)
    results = played(server, process(scope))
    assert results["C"].slug == "update-missing"
    assert results["S"].verdict.role == "C"
    assert "S runs a version of step that is not here" in results["S"].verdict.cause


def test_a_role_out_of_order_ends_the_session_where_it_meets_a_scope() -> None:
    """No hang: the error is the verdict for all."""
    text = "(with-opts {:order \"dataflow\"} (defchor serve [C S] (-> #{C S} #{C S}) [n] (scope step (S=>C (S (C->S (C (+ n 0))))))))"
    server, client = klorpy.evaluate(text), klorpy.evaluate(text)
    results = played(server, client)
    assert any(getattr(error, "slug", "") == "scope-order" for error in results.values())
    assert all(isinstance(error, klorpy.KlorError) for error in results.values())


def test_the_same_text_evaluated_again_is_the_same() -> None:
    """What both are bound to has new definitions at one of them: the names of its sites stay."""
    client, server = process(CALL), process(CALL)
    for ns in (client, server):
        klorpy.evaluate(HELPER + "(defchor main [S C] (-> S S | C) [x] (do (add [S C] x (C 1)) (scope (step [S C] (S=>C x))) x))", module=ns)
        given(ns, CALL)
    klorpy.evaluate(HELPER, module=client)
    keys = [SiteKeys(ns.main).find() for ns in (client, server)]
    for ns, known in zip((client, server), keys, strict=True):
        assert known[ns.add.definition.sites[0]] == keys[0][client.add.definition.sites[0]]
    assert fingerprint(client.main) == fingerprint(server.main)


def test_what_only_scopes_run_is_no_part_of_what_a_session_is_bound_to() -> None:
    one, other = process(CALL), process(CALL)
    given(other, CALL)
    assert fingerprint(one.serve) == fingerprint(other.serve)
    assert set(fingerprint(one.serve).parts) == {"serve"}
    klorpy.evaluate("(defchor both [S C] (-> #{S C} #{S C}) [n] (scope (step [S C] (step [S C] n))))", module=one)
    assert set(fingerprint(one.both).parts) == {"both", "step"}


def test_a_fingerprint_is_that_of_the_text_wherever_it_stands() -> None:
    text = "(defchor tell [A B] (-> A B) [x] (do (A (print %d)) (A->B x)))"
    marks = [fingerprint(klorpy.evaluate(before + text % said).tell) for before, said in (("", 1), ("\n\n\n", 1), ("\n\n\n", 2))]
    assert marks[0] == marks[1] != marks[2]


# --- Processes --------------------------------------------------------------------------------------------------------

FILE = f"(require klorpy *)\n(defn at-server [i])\n{SERVE.replace('SCOPE', INLINE)}\n{HELPER}\n"
RENEWS = f"(defn at-server [i] (when (= i 2) {LATER} None))\n"


@pytest.mark.parametrize("knows", [True, False])
def test_two_processes(knows: bool, tmp_path: Path) -> None:
    server, client = tmp_path / "server.hy", tmp_path / "client.hy"
    server.write_text(FILE + RENEWS, encoding="utf-8")
    client.write_text(FILE + (LATER if knows else ""), encoding="utf-8")
    with cast(tmp_path, server, "serve", {"S": ["0"], "C": ["0"]}, files={"C": client}) as roles:
        if knows:
            assert [role.status() for role in roles.values()] == [0, 0]
            assert [role.output.splitlines()[-1] for role in roles.values()] == ["S: 202", "C: 202"]
        else:
            assert [role.status() for role in roles.values()] == [1, 1]
            assert "error[update-missing]" in roles["C"].errors
            assert "S runs a version of step that is not here" in roles["S"].verdict
        assert not any("Traceback" in role.errors for role in roles.values())
