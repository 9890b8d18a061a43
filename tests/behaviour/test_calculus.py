"""The global calculus: its text, its semantics, typing, projection to endpoints, and runs."""

from __future__ import annotations

import pytest

from klorpy.behaviour import enact, endpoint, endpoints, extract, infer, parse_gc, parse_protocols, typecheck
from klorpy.behaviour.behaviours import Behaviour, Choose, Done
from klorpy.behaviour.globalcalculus import (
    Call,
    Chor,
    Com,
    Cond,
    Literal,
    New,
    Player,
    Rec,
    Sel,
    Start,
    distinct_sessions,
    free_sessions,
    interactions,
    substitute,
    threads_of,
)
from klorpy.behaviour.reduction import erase, in_order, out_of_order, reachable, state
from klorpy.core.diagnostics import KlorError
from tests.behaviour import worked
from tests.behaviour.worked import CHANNELS, PROTOCOLS, chor

# --- Text -------------------------------------------------------------------------------------------------------------


def test_the_running_example_is_read() -> None:
    read = chor(worked.W0)
    assert isinstance(read.last, Rec)
    assert read.last.body.steps[0] == Start("a", "k", (Player("u", "U"), Player("c", "C")))
    assert isinstance(read.last.body.last, Cond)
    assert read.last.body.last.then.last == Call("X")
    assert threads_of(read) == ("u", "c", "f")
    assert free_sessions(read) == frozenset()


@pytest.mark.parametrize("text", [worked.W0, worked.W1, worked.W4, worked.W5, worked.W7, "0", "(new k (sel k (t A) (u B) l))"])
def test_choreographies_are_read_back(text: str) -> None:
    assert parse_gc(str(chor(text))) == chor(text)
    assert parse_gc(chor(text).text) == chor(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [('"a \\"b\\"\\n"', 'a "b"\n'), ("5", 5), ("-5", -5), ("true", True), ("false", False)],
)
def test_literals(text: str, value: object) -> None:
    [step] = parse_gc(f"(com k (t A) {text} (u B) x)").steps
    assert isinstance(step, Com)
    assert step.expr == Literal(value)  # type: ignore[arg-type]
    assert str(step.expr) == text


def test_true_is_not_one() -> None:
    assert Literal(True) != Literal(1)
    assert len({Literal(True), Literal(1)}) == 2


@pytest.mark.parametrize(
    ("text", "slug", "place"),
    [
        ("(send k t u)", "bad-calculus", (1, 1)),
        ("word", "bad-calculus", (1, 1)),
        ("(start a k (t A))", "bad-calculus", (1, 1)),
        ("(start a k (t A) u)", "bad-calculus", (1, 18)),
        ("(start (a) k (t A) (u B))", "bad-calculus", (1, 8)),
        ("(com k (t A) 1 (u B))", "bad-calculus", (1, 1)),
        ("(com k (t A) [1] (u B) x)", "bad-calculus", (1, 14)),
        ("(sel k (t A) (u B))", "bad-calculus", (1, 1)),
        ("(if true t 0)", "bad-calculus", (1, 1)),
        ("(if true t 0 0) (sel k (t A) (u B) l)", "bad-calculus", (1, 17)),
        ("0 0", "bad-calculus", (1, 3)),
        ("(rec)", "bad-calculus", (1, 1)),
        ("(call X)", "unbound-recursion", (1, 1)),
        ("(rec X (call X))", "unguarded-recursion", (1, 8)),
        ("(rec X (start a k (t A) (u B)) (call X))", "unguarded-recursion", (1, 32)),
        ("(rec X (if true t ((sel k (t A) (u B) l) (call X)) (call X)))", "unguarded-recursion", (1, 52)),
        ("(rec X", "read-error", (1, 1)),
    ],
)
def test_what_is_no_choreography(text: str, slug: str, place: tuple[int, int]) -> None:
    with pytest.raises(KlorError) as caught:
        parse_gc(text, "c.gc")
    error = caught.value
    assert error.slug == slug
    assert error.help
    assert error.span is not None
    assert (error.span.line, error.span.column) == place


def test_sessions_get_distinct_names() -> None:
    two = "(start a k (t A) (u B)) (if true t (start a k (t A) (u B)) ((start a k1 (t A) (u B)) (sel k1 (t A) (u B) l)))"
    names = [step.session for step in interactions(distinct_sessions(parse_gc(two))) if isinstance(step, Start)]
    assert len(set(names)) == 3
    [last] = [step for step in interactions(distinct_sessions(parse_gc(two))) if isinstance(step, Sel)]
    assert last.session == names[-1]


def test_a_name_of_a_session_that_is_open_is_not_taken() -> None:
    free = "(sel k1 (t A) (u B) l) (start a k (t A) (u B)) (start a k (t A) (u B)) (sel k (t A) (u B) r)"
    renamed = distinct_sessions(parse_gc(free))
    names = [step.session for step in renamed.steps]
    assert names[0] == "k1"
    assert len(set(names)) == 3


def test_substitution_stops_at_a_binder_of_the_same_name() -> None:
    inner = parse_gc("(rec X (sel k (t A) (u B) l) (call X))")
    assert isinstance(inner.last, Rec)
    assert substitute(inner, "X", Rec("X", Chor())) == inner


# --- Semantics --------------------------------------------------------------------------------------------------------


def test_in_order_one_thing_happens_at_a_time() -> None:
    [(first, after)] = in_order(chor(worked.W0))
    assert erase(first) == ("start", "a", ("u", "c"))
    assert isinstance(after.last, New)
    acts = []
    current = after
    for _ in range(4):
        act, current = in_order(current)[0]
        acts.append(erase(act)[0])
    assert acts == ["com", "start", "com", "if"]
    assert len(reachable(chor(worked.W0))) == 8


def test_a_conditional_goes_either_way() -> None:
    assert [erase(act)[-1] for act, _ in in_order(parse_gc("(if (flip) t 0 0)"))] == [True, False]


def test_a_private_session_is_forgotten_when_it_is_not_used() -> None:
    [(_, after)] = in_order(parse_gc("(start a k (t A) (u B)) (sel h (t A) (u B) l)"))
    assert after == parse_gc("(sel h (t A) (u B) l)")


@pytest.mark.parametrize(
    ("text", "acts"),
    [
        ("(sel k (t A) (u B) l) (sel h (v A) (w B) r)", {("sel", "t", "u", "l"), ("sel", "v", "w", "r")}),
        ("(sel k (t A) (u B) l) (sel h (u A) (w B) r)", {("sel", "t", "u", "l")}),
        ("(sel k (t A) (u B) l) (if true v 0 0)", {("sel", "t", "u", "l"), ("if", "v", Literal(True), True), ("if", "v", Literal(True), False)}),
        ("(sel k (t A) (u B) l) (if true t 0 0)", {("sel", "t", "u", "l")}),
        ("(if true t (sel k (u A) (v B) l) (sel k (u A) (v B) l))",
         {("if", "t", Literal(True), True), ("if", "t", Literal(True), False), ("sel", "u", "v", "l")}),
        ("(if true t (sel k (u A) (v B) l) 0)", {("if", "t", Literal(True), True), ("if", "t", Literal(True), False)}),
        ("(rec X (sel k (t A) (u B) l) (sel h (v A) (w B) r) (call X))", {("sel", "t", "u", "l"), ("sel", "v", "w", "r")}),
    ],
)  # fmt: skip
def test_what_can_be_swapped_to_the_front(text: str, acts: set[object]) -> None:
    assert {erase(act) for act, _ in out_of_order(parse_gc(text))} == acts


def test_a_step_from_behind_leaves_what_stands_before_it() -> None:
    [_, (_, after)] = out_of_order(parse_gc("(sel k (t A) (u B) l) (sel h (v A) (w B) r) (sel h (w B) (v A) s)"))
    assert after == parse_gc("(sel k (t A) (u B) l) (sel h (w B) (v A) s)")


def test_conditionals_of_different_threads_swap() -> None:
    nested = parse_gc("(if true t (if false u (sel k (t A) (v B) a) (sel k (t A) (v B) b)) (if false u (sel k (t A) (v B) c) (sel k (t A) (v B) d)))")
    inner = [after for act, after in out_of_order(nested) if erase(act)[1] == "u"]
    assert inner[0] == parse_gc("(if true t (sel k (t A) (v B) a) (sel k (t A) (v B) c))")


def test_a_recursion_that_does_nothing_has_no_state() -> None:
    with pytest.raises(KlorError) as caught:
        in_order(Chor((), Rec("X", Chor((), Rec("Y", Chor((), Call("X")))))))
    assert caught.value.slug == "unguarded-recursion"


def test_states_are_unfolded() -> None:
    loop = parse_gc("(rec X (sel k (t A) (u B) l) (call X))")
    [(_, after)] = in_order(loop)
    assert state(after) == state(loop)


# --- Typing -----------------------------------------------------------------------------------------------------------

LOGIN = "(start a k (u U) (c C))"


@pytest.mark.parametrize(
    ("text", "slug", "says"),
    [
        ("(start nowhere k (u U) (c C))", "unknown-channel", "nowhere"),
        ("(start a k (u U) (c X))", "session-roles", "U X"),
        ("(start a k (u U) (c C) (d D))", "session-roles", "U C D"),
        ("(start a k (u U) (u C))", "session-roles", "u plays two roles"),
        (f'{LOGIN} (com k (x U) "s" (c C) x)', "session-roles", "u plays U"),
        (f'{LOGIN} (com k (u D) "s" (c C) x)', "session-roles", "no role D"),
        (f'{LOGIN} (com k (c C) "s" (u U) x)', "session-mismatch", "not what Login does"),
        (f"{LOGIN} (sel k (u U) (c C) hello)", "session-mismatch", "not what Login does"),
        (f'{LOGIN} (com k (u U) "s" (c C) x) (com k (u U) "s" (c C) y)', "session-mismatch", "at the end"),
        (f"{LOGIN} (com k (u U) 5 (c C) x)", "sort-mismatch", "of sort int"),
        (f"{LOGIN} (com k (u U) name (c C) x)", "unbound-variable", "u has no name"),
        (f"{LOGIN} (com k (u U) (f name) (c C) x)", "unbound-variable", "u has no name"),
        (LOGIN, "session-open", "k is still open"),
        ('(com k (u U) "s" (c C) x)', "no-such-session", "no session k"),
        ("(start s k (t A) (u B)) (sel k (t A) (u B) other)", "session-mismatch", "other"),
        ('(start s k (t A) (u B)) (com k (t A) "l" (u B) x)', "session-mismatch", "not what Choose does"),
        ("(start s k (t A) (u B)) (if 5 t (sel k (t A) (u B) l) (sel k (t A) (u B) r))", "sort-mismatch", "of sort int"),
        ("(start s k (t A) (u B)) (if true t (sel k (t A) (u B) l) 0)", "session-open", "k is still open"),
        ("(start s k (t A) (u B)) (rec X (sel k (t A) (u B) l) (call X))", "session-open", "not where it was"),
        ("(rec X (start l k (t A) (u B)) (sel k (t A) (u B) more) (call X))", "session-open", "when X starts again"),
        ("(start s k (t A) (u B)) (sel k (t A) (t A) l)", "self-message", "t sends"),
    ],
)
def test_what_is_not_typed(text: str, slug: str, says: str) -> None:
    with pytest.raises(KlorError) as caught:
        typecheck(chor(text), CHANNELS)
    assert caught.value.slug == slug
    assert says in caught.value.message
    assert caught.value.help


def test_functions_of_the_host_have_the_sorts_that_they_are_given() -> None:
    text = f"{LOGIN} (com k (u U) (pwd) (c C) x)"
    assert typecheck(chor(text), CHANNELS, functions={"pwd": "str"})
    with pytest.raises(KlorError) as caught:
        typecheck(chor(text), CHANNELS, functions={"pwd": "int"})
    assert caught.value.slug == "sort-mismatch"


def test_a_variable_has_the_sort_that_was_received() -> None:
    text = f"{LOGIN} (com k (u U) (pwd) (c C) x) (start d h (c X) (u Y)) (com h (c X) x (u Y) y) (com h (u Y) 1 (c X) z)"
    with pytest.raises(KlorError) as caught:
        typecheck(chor(text), CHANNELS)
    assert "x is of sort str at c, where int is expected" in caught.value.message


def test_typing_fills_in_the_sorts() -> None:
    typed = typecheck(chor(worked.W0), CHANNELS).chor
    assert [step.sort for step in interactions(typed) if isinstance(step, Com)] == ["str", "str", "file"]


@pytest.mark.parametrize(("text", "most"), [(worked.W0, 1), (worked.W1, 2), (worked.W3, 2), (worked.W7, 2)])
def test_how_many_sessions_are_open_at_once(text: str, most: int) -> None:
    assert typecheck(chor(text), CHANNELS).open_sessions == most


# --- Inference --------------------------------------------------------------------------------------------------------


def test_the_types_of_public_channels_are_inferred() -> None:
    found = infer(typecheck(chor(worked.W0), CHANNELS).chor)
    assert {channel: str(type_) for channel, type_ in found.items()} == {
        "a": "U->C:<str>; end", "b": "C->F:<str>; F->C:{ok: C->F:<file>; end, quit: end}",
    }  # fmt: skip


def test_starts_of_one_channel_are_joined() -> None:
    text = "(start b k (c C) (f F)) (com k (c C) \"x\" (f F) x) (sel k (f F) (c C) ok) (com k (c C) (file) (f F) y)"
    both = f"{text} {text.replace('ok', 'quit').replace('(com k (c C) (file) (f F) y)', '').replace(' k', ' h')}"
    typed = typecheck(chor(both), CHANNELS).chor
    assert str(infer(typed)["b"]) == "C->F:<str>; F->C:{ok: C->F:<file>; end, quit: end}"


def test_a_sort_that_is_not_known_is_any() -> None:
    assert str(extract(parse_gc("(com m (t A) (secret) (u B) x)"), "m")) == "A->B:<any>; end"


# --- Endpoints --------------------------------------------------------------------------------------------------------


def test_offers_of_branches_are_united() -> None:
    text = "(start s k (t A) (u B)) (if (flip) t (sel k (t A) (u B) l) (sel k (t A) (u B) r))"
    assert str(endpoint(chor(text), "u")) == "accept s k B; k[A→B]?{l: 0, r: 0}"
    assert str(endpoint(chor(text), "t")) == "request s k (A B); if (flip) {k[A→B]!l; 0} else {k[A→B]!r; 0}"


def test_branches_merge_up_to_the_names_that_they_bind() -> None:
    text = """(if (flip) t
      ((start d k (u X) (v Y)) (com k (u X) 1 (v Y) x) (com k (v Y) x (u X) z))
      ((start d h (u X) (v Y)) (com h (u X) 1 (v Y) y) (com h (v Y) y (u X) w)))"""
    assert str(endpoint(chor(text), "v")) == "accept d k Y; k[X→Y]?x; k[Y→X]!x; 0"


def test_branches_do_not_merge_when_a_name_means_something_else() -> None:
    """In the second branch x is what v received before, not what it receives there."""
    text = """(start d g (u X) (v Y)) (com g (u X) 1 (v Y) x)
    (if (flip) t
      ((start d k (u X) (v Y)) (com k (u X) 1 (v Y) x) (com k (v Y) x (u X) z) (com g (v Y) 1 (u X) a))
      ((start d h (u X) (v Y)) (com h (u X) 1 (v Y) y) (com h (v Y) x (u X) w) (com g (v Y) 1 (u X) a)))"""
    with pytest.raises(KlorError) as caught:
        endpoint(chor(text), "v")
    assert caught.value.slug == "unmergeable"


def test_values_of_different_sorts_are_told_apart_by_labels_only() -> None:
    text = """(rec X (start s k (t A) (u B)) (if (flip) t
      ((sel k (t A) (u B) l) (start d h (t X) (v Y)) (com h (t X) 1 (v Y) x) (com h (v Y) 1 (t X) x) (call X))
      ((sel k (t A) (u B) r) (start d h (t X) (v Y)) (com h (t X) {} (v Y) x) (com h (v Y) 1 (t X) x) (call X))))"""
    assert endpoint(chor(text.replace("{}", "2")), "v")
    with pytest.raises(KlorError) as caught:
        endpoint(chor(text.replace("{}", "true")), "v")
    assert "receive <int> from X in one, and receive <bool> from X in the other" in caught.value.message


def test_all_threads_that_are_not_told_are_told_of() -> None:
    with pytest.raises(KlorError) as caught:
        endpoints(chor("(start d k (t X) (u Y)) (if (flip) t ((com k (t X) 1 (u Y) x) (com k (u Y) 2 (t X) y)) 0)"))
    assert len(caught.value.diagnostics) == 1
    assert "u is not told" in caught.value.message


# --- Runs -------------------------------------------------------------------------------------------------------------

HOST = {"pwd": lambda: "secret", "check": lambda password: password == "secret", "file": lambda: "text"}


def test_a_run_of_the_running_example() -> None:
    run = enact(chor(worked.W0), HOST, rounds=1)
    assert [(e.kind, e.peer, e.value) for e in run.events["c"]] == [
        ("start", "", "a"), ("receive", "U", "secret"), ("start", "", "b"), ("send", "F", "secret"), ("offer", "F", "ok"),
        ("send", "F", "text"),
    ]  # fmt: skip
    assert run.variables == {"u": {}, "c": {"x": "secret"}, "f": {"y": "secret", "z": "text"}}


def test_sessions_between_the_same_threads_do_not_mix() -> None:
    run = enact(chor(worked.W3), {})
    assert run.variables == {"t": {"y": 2, "z": 3}, "u": {"x": 1, "w": 4}}


def test_values_do_not_share_what_can_change() -> None:
    given: list[int] = [1]
    run = enact(chor("(start a k (u U) (c C)) (com k (u U) (basket) (c C) x)"), {"basket": lambda: given})
    given.append(2)
    assert run.variables["c"]["x"] == [1]


@pytest.mark.parametrize(
    ("host", "slug"),
    [
        ({}, "unknown-function"),
        ({"pwd": lambda: 1 / 0}, "choreography-failed"),
        ({"pwd": lambda: (i for i in range(3))}, "not-copyable"),
    ],
)
def test_a_host_that_fails(host: dict[str, object], slug: str) -> None:
    with pytest.raises(KlorError) as caught:
        enact(chor("(start a k (u U) (c C)) (com k (u U) (pwd) (c C) x)"), host)  # type: ignore[arg-type]
    assert caught.value.slug == slug
    assert caught.value.help


def test_a_loop_without_end_is_stopped() -> None:
    with pytest.raises(KlorError) as caught:
        enact(chor(worked.W0), HOST, max_messages=1000)
    assert caught.value.slug == "timeout"


def test_behaviours_that_do_not_fit_wait_for_each_other() -> None:
    lonely = chor("(start s k (t A) (u B)) (sel k (t A) (u B) l)")
    parts = endpoints(lonely)
    with pytest.raises(KlorError) as caught:
        enact({**parts, "t": Behaviour(parts["t"].ops[:1], Done())})
    assert caught.value.slug == "deadlock"
    assert "u waits for A in session 1" in caught.value.message
    with pytest.raises(KlorError) as caught:
        enact({**parts, "t": Behaviour((*parts["t"].ops[:1], Choose("k", "A", "B", "other")))})
    assert caught.value.slug == "protocol-mismatch"


def test_protocols_may_be_used_by_many_channels() -> None:
    login = parse_protocols("(defprotocol Login [U C] (-> U C str))")["Login"]
    text = '(start a k (u U) (c C)) (start b h (v U) (c C)) (com h (v U) "1" (c C) x) (com k (u U) "2" (c C) y)'
    assert typecheck(parse_gc(text), {"a": login, "b": login}).open_sessions == 2
    assert PROTOCOLS["Login"] == login
