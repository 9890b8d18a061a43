"""Whatever is read is a value or an error with its place; what nests as deep as the reader allows goes all the way."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from klorpy.behaviour import (
    Registry,
    automaton,
    compiled,
    completed_traces,
    compliant,
    enact,
    endpoint,
    endpoints,
    equivalent,
    extract,
    implements,
    infix,
    judge_update,
    local_type,
    local_types,
    member,
    merge,
    parse_choreography,
    parse_contract,
    parse_gc,
    parse_global,
    parse_protocol,
    parse_protocols,
    project,
    project_role,
    proves,
    repair,
    same_behaviour,
    scopes,
    scribble,
    subcontract,
    typecheck,
    well_formed,
)
from klorpy.behaviour.reduction import in_order, out_of_order
from klorpy.behaviour.regular import tree, type_of
from klorpy.core.diagnostics import KlorError

TOKENS = {
    "types": [
        "(", ")", "[", "]", "(->", "(branch", "(choice", "(mu", "(do", "(defprotocol", "A", "B", "C", "P", "t", "u", "end", "0", "str",
        "(l)", "(l int)", "_", '"x"', '"', ";", "\n", "(-> A B int)", "(branch A B (l) (r))", "(mu t (-> A B int) t)", "[A B]",
    ],
    "calculus": [
        "(", ")", "[", "]", "(start", "(com", "(sel", "(if", "(rec", "(call", "(new", "a", "k", "X", "(t A)", "(u B)", "t", "0", "true",
        '"x"', '"', "5", "(f x)", "l", "(start a k (t A) (u B))", "(com k (t A) 1 (u B) x)", "(sel k (t A) (u B) l)", "(call X)",
    ],
}  # fmt: skip


def texts(kind: str, count: int) -> list[str]:
    source = random.Random(kind)
    return [" ".join(source.choices(TOKENS[kind], k=source.randint(1, 14) if source.randrange(2) else source.randint(1, 4))) for _ in range(count)]


def judged(judge: Callable[[str], object], text: str) -> bool:
    """Whether the text is right; whoever refuses it says what and where."""
    try:
        judge(text)
    except KlorError as error:
        if error.slug == "internal" or not error.render():
            raise
        return False
    return True


def all_of_a_protocol(text: str) -> None:
    protocol = parse_protocol(f"(defprotocol P [A B C] {text})")
    assert parse_global(protocol.type.text) == protocol.type
    scribble(protocol)
    for part in local_types(protocol).values():
        automaton(part)


def test_random_texts_are_types_or_errors() -> None:
    right = sum(judged(parse_global, text) for text in texts("types", 3000))
    assert right > 100
    for text in texts("types", 3000):
        judged(parse_protocol, text)
        judged(parse_protocols, text)
        judged(all_of_a_protocol, text)


def all_of_a_choreography(text: str) -> None:
    chor = parse_gc(text)
    assert parse_gc(str(chor)) == chor
    in_order(chor)
    out_of_order(chor)
    channels = parse_protocols("(defprotocol a [A B] (mu t (branch A B (l t) (r))))")
    for judge in (
        lambda _: typecheck(chor, channels), lambda _: merge(chor, channels, notify=True), lambda _: extract(chor, "k"),
        lambda _: endpoints(chor), lambda _: enact(chor, {"f": lambda x: x}, max_messages=50),
    ):  # fmt: skip
        judged(judge, "")


def test_random_texts_are_choreographies_or_errors() -> None:
    right = sum(judged(parse_gc, text) for text in texts("calculus", 3000))
    assert right > 50
    for text in texts("calculus", 1500):
        judged(all_of_a_choreography, text)


@pytest.mark.parametrize(
    ("before", "inner", "after"),
    [
        ("(mu t{i} (-> A B int) ", "", ")"),
        ("(branch A B (l) (r ", "", "))"),
        ("(-> A B int ", "", ")"),
        ("(choice A [(-> A B (l))] [(-> A B (r)) ", "", "])"),
    ],
)
def test_types_as_deep_as_they_can_be_read(before: str, inner: str, after: str) -> None:
    depth = 96 // (before.count("(") + before.count("[") - before.count(")") - before.count("]"))
    text = "".join(before.replace("{i}", str(i)) for i in range(depth)) + inner + after * depth
    protocol = parse_protocol(f"(defprotocol P [A B] {text})")
    assert str(protocol)
    assert parse_global(protocol.type.text) == protocol.type
    assert tree(type_of(tree(protocol.type))) == tree(protocol.type)
    for merging in ("full", "plain"):
        for part in local_types(protocol, merging=merging).values():  # type: ignore[arg-type]
            assert automaton(part).states > 0
            assert str(part)
            assert part.text


@pytest.mark.parametrize("branch", ["(if (f) t (sel k (t A) (u B) r) ((sel k (t A) (u B) l) {}))", "(rec X{i} (sel k (t A) (u B) l) {})"])
def test_choreographies_as_deep_as_they_can_be_read(branch: str) -> None:
    depth = 48 if "if" in branch else 97
    text = "(sel k (t A) (u B) r)"
    for i in range(depth):
        text = branch.replace("{i}", str(i)).replace("{}", text)
    chor = parse_gc(f"(start a k (t A) (u B)) {text}")
    channels = {"a": parse_protocol("(defprotocol a [A B] (mu t (branch A B (l t) (r))))")}
    result = merge(chor, channels, notify=True)
    assert result.projectable
    assert parse_gc(str(result.chor)) == result.chor
    enact(result.chor, {"f": lambda: False})
    assert len(out_of_order(chor)) == 1


def test_a_long_choreography_is_no_problem() -> None:
    rounds = 1500
    step = "(sel k (t A) (u B) l) (com k (u B) 1 (t A) x)"
    protocol = parse_protocol("(defprotocol P [A B] (mu t (branch A B (l (-> B A int) t) (r))))")
    chor = parse_gc(f"(start a k (t A) (u B)) {step * rounds} (sel k (t A) (u B) r)")
    result = merge(chor, {"a": protocol})
    assert len(result.type.items) == 2 * rounds + 1
    run = enact(result.chor)
    assert (run.values, run.selections) == (rounds, rounds + 1)
    assert len(str(endpoints(chor)["u"])) > rounds
    # The same in both branches of a conditional: they are merged step by step.
    both = parse_gc(f"(start a k (t A) (u B)) (if (f) t ({step * rounds} (sel k (t A) (u B) r)) ({step * 2} (sel k (t A) (u B) r)))")
    assert enact(both, {"f": lambda: False}).values == 2


CHOR, CONTRACT = parse_choreography("(scope x (roles r s) (com r s a))"), parse_contract("(recv a)")
SYSTEM, PROTOCOL = project(CHOR), parse_protocol("(defprotocol P [A B] (-> A B int))")
CALCULUS = parse_gc("(start a k (t A) (u B)) (com k (t A) 1 (u B) x)")


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (project, [CHOR]), (project_role, [CHOR, "r"]), (equivalent, [CHOR]), (completed_traces, [CHOR]), (well_formed, [CHOR, "sync"]),
        (compliant, [SYSTEM]), (implements, [SYSTEM, CHOR]), (subcontract, [CONTRACT, CONTRACT]), (proves, [CONTRACT, CONTRACT]),
        (Registry, [{"a": CONTRACT}]), (Registry({"a": CONTRACT}).find, [CHOR, "r"]), (judge_update, [CHOR, "x", CHOR]),
        (compiled, [CHOR]), (scopes, [CHOR]), (repair, [CHOR]), (infix, [CHOR]), (same_behaviour, [CONTRACT, CONTRACT]),
        (local_type, [PROTOCOL, "A"]), (local_types, [PROTOCOL]), (automaton, [local_type(PROTOCOL, "A")]), (scribble, [PROTOCOL]),
        (merge, [CALCULUS, {"a": PROTOCOL}]), (typecheck, [CALCULUS, {"a": PROTOCOL}]), (member, [PROTOCOL.type, [PROTOCOL]]),
        (extract, [CALCULUS, "k"]), (endpoint, [CALCULUS, "t"]), (endpoints, [CALCULUS]), (enact, [CALCULUS]),
    ],
)  # fmt: skip
def test_an_argument_of_a_wrong_type_is_refused_by_its_name(function: Callable[..., object], arguments: list[object]) -> None:
    function(*arguments)
    for at in range(len(arguments)):
        for wrong in (None, 5.5, ["(com r s a)"], {"x": 1}, *(["(com r s a)"] if not isinstance(arguments[at], str) else [])):
            if wrong is None and function is Registry:
                continue
            with pytest.raises(KlorError) as caught:
                function(*arguments[:at], wrong, *arguments[at + 1 :])
            assert caught.value.slug == "bad-argument"


@pytest.mark.parametrize("bound", ["2", 1.5, True, None, 0, -1])
def test_a_bound_is_a_number(bound: Any) -> None:
    for ask in (lambda: compliant(SYSTEM, "async", bound=bound), lambda: equivalent(CHOR, "sender", bound=bound)):
        with pytest.raises(KlorError) as caught:
            ask()
        assert caught.value.slug == "bad-argument"
