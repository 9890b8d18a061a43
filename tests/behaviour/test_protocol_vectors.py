"""The vectors of protocols: verdict, reason, who is to blame, and the automaton of every role."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from klorpy import KlorError
from klorpy.behaviour import Protocol, automaton, local_type, parse_global, parse_protocols
from klorpy.behaviour.expansion import expand
from klorpy.behaviour.globaltype import GlobalType
from klorpy.behaviour.regular import tree, type_of
from klorpy.testing.protocol_vectors import type_from_json
from klorpy.testing.vectors import answer_protocol

CASES = json.loads((Path(__file__).parent.parent / "vectors" / "protocols.json").read_text())["cases"]


def named(wanted: str | None = None) -> pytest.MarkDecorator:
    cases = [case for case in CASES if wanted is None or case["expect"]["verdict"] == wanted]
    assert len(cases) > 3
    return pytest.mark.parametrize("case", cases, ids=lambda case: case["id"])


def comparable(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer without local types, whose names and order are free."""
    out = dict(answer)
    if "projections" in out:
        out["projections"] = {role: part["cfsm"] for role, part in out["projections"].items()}
    if "after_distribution" in out:
        out["after_distribution"] = comparable(out["after_distribution"])
    return out


@named()
def test_vector(case: dict[str, Any]) -> None:
    assert comparable(answer_protocol(case)) == comparable(case["expect"])


def test_local_types_are_those_of_the_vectors() -> None:
    """All but one are equal to the letter; there the branches are in another order."""
    different = [case["id"] for case in CASES if answer_protocol(case) != case["expect"]]
    assert different == ["N45"]


def protocol_of(case: dict[str, Any]) -> Protocol:
    library = {n: Protocol(n, tuple(p["roles"]), type_from_json(p["protocol"])) for n, p in case.get("subprotocols", {}).items()}
    return Protocol(case["source"]["protocol"], tuple(case["roles"]), type_from_json(case["protocol"]), library)


@named("accept")
def test_full_merging_finds_what_plain_merging_finds(case: dict[str, Any]) -> None:
    protocol = protocol_of(case)
    for role in protocol.roles:
        assert automaton(local_type(protocol, role)) == automaton(local_type(protocol, role, merging="plain"))


@named("accept")
def test_types_are_read_back(case: dict[str, Any]) -> None:
    type_: GlobalType = expand(protocol_of(case))
    if "expanded" in case:
        assert type_ == type_from_json(case["expanded"])
    assert parse_global(type_.text) == type_
    assert tree(type_of(tree(type_))) == tree(type_)


@named("accept")
def test_declarations_are_read_back(case: dict[str, Any]) -> None:
    protocol = protocol_of(case)
    everything = "\n".join(p.text for p in (*protocol.library.values(), protocol))
    assert parse_protocols(everything)[protocol.name] == protocol


# --- Questions that are no vectors ------------------------------------------------------------------------------------


def msg(sender: str, receiver: str, label: str = "m", *sorts: object) -> list[Any]:
    return ["msg", sender, receiver, label, list(sorts)]


def either(*branches: list[Any]) -> list[Any]:
    return ["choice", "A", list(branches)]


def case(*items: object, roles: Any = ("A", "B"), **more: Any) -> dict[str, Any]:
    return {"roles": list(roles), "protocol": list(items), **more}


FLIP = either([msg("A", "B", "l")], [msg("A", "B", "r")])


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        # Of several reasons: roles, then messages to oneself, recursion, choices; wherever they stand.
        ([msg("A", "A"), msg("A", "C")], "unbound_role"),
        ([msg("C", "C")], "unbound_role"),
        ([["continue", "X"], msg("A", "A")], "self_message"),
        ([FLIP, msg("A", "A")], "self_message"),
        ([["rec", "X", [["continue", "X"]]], msg("A", "C")], "unbound_role"),
        ([either([msg("A", "B", "l"), ["continue", "X"]], [msg("B", "A")])], "unbound_recursion"),
        ([["rec", "X", [either([msg("A", "B"), ["rec", "Y", [["continue", "Y"]]]], [msg("B", "A")])]]], "unguarded_recursion"),
        ([either([msg("A", "B")], [msg("B", "A")])], "choice_sender_mismatch"),
        ([either([msg("A", "B")], [])], "choice_sender_mismatch"),
        ([either([msg("A", "B")], [msg("A", "B")])], "duplicate_label"),
    ],
)  # fmt: skip
def test_the_order_of_checks(items: list[Any], reason: str) -> None:
    answer = answer_protocol(case(*items))
    assert (answer["verdict"], answer["reason"]) == ("reject", reason)


def test_a_protocol_that_is_used_is_held_to_its_own_roles_and_variables() -> None:
    def using(*items: object) -> dict[str, Any]:
        sub = {"Q": {"roles": ["X", "Y"], "protocol": list(items)}}
        return answer_protocol(case(["rec", "T", [msg("A", "B"), ["do", "Q", ["A", "B"]]]], roles="ABC", subprotocols=sub))

    assert using(msg("X", "C"))["detail"] == {"role": "C"}
    assert using(["continue", "T"])["detail"] == {"var": "T"}
    assert using(msg("X", "X"))["detail"] == {"role": "A"}
    assert using(msg("X", "Y"))["verdict"] == "accept"


def test_choices_in_a_row_are_what_they_are_however_many() -> None:
    few = answer_protocol(case(*[FLIP] * 5))
    assert (few["verdict"], few["reason"], few["after_distribution"]["verdict"]) == ("unsupported", "continuation_after_choice", "accept")
    for count in (20, 200):
        many = answer_protocol(case(*[FLIP] * count))
        assert {name: many[name] for name in ("verdict", "reason", "why")} == {name: few[name] for name in ("verdict", "reason", "why")}
        assert many["after_distribution"]["verdict"] == "unsupported"
        # What is wrong is found without writing the choices out.
        wrong = answer_protocol(case(*[FLIP] * count, either([msg("A", "B")], [msg("B", "A")])))
        assert wrong["after_distribution"]["reason"] == "choice_sender_mismatch"


def test_long_wide_and_deep_protocols_are_answered() -> None:
    long = answer_protocol(case(*[msg("A", "B")] * 20_000))
    assert long["projections"]["B"]["cfsm"]["states"] == 20_001
    wide = answer_protocol(case(either(*([msg("A", "B", f"l{i}"), msg("B", "C", f"k{i}")] for i in range(3_000))), roles="ABC"))
    assert len(wide["projections"]["C"]["cfsm"]["transitions"]) == 3_000
    deep: list[Any] = []
    for _ in range(900):
        deep = [either([msg("A", "B", "l"), msg("B", "C", "l"), *deep], [msg("A", "B", "r"), msg("B", "C", "r")])]
    assert answer_protocol(case(*deep, roles="ABC"))["projections"]["C"]["cfsm"]["states"] == 901
    same = [msg("A", "C", "same")] * 5_000
    far = answer_protocol(case(either([msg("A", "B", "l"), *same], [msg("A", "B", "r"), *same, msg("A", "C")]), roles="ABC"))
    assert (far["reason"], far["failing_roles"]) == ("unmergeable", ["C"])
    for _ in range(200):
        deep = [either([msg("A", "B", "l"), *deep])]
    with pytest.raises(KlorError) as caught:
        answer_protocol(case(*deep))
    assert caught.value.slug == "too-deep"


@pytest.mark.parametrize(
    ("question", "place"),
    [
        ({}, "roles is nothing"), (None, "the case is nothing"), ({"roles": ["A"]}, "protocol is nothing"), (case(roles=[1]), "roles[0] is 1"),
        ({"roles": "AB", "protocol": []}, "roles is 'AB'"), (case(roles="AA"), "the role A is declared twice"),
        (case(subprotocols=[]), "subprotocols is []"), (case(subprotocols={"Q": 1}), "subprotocols.Q is 1"), (case(source=[]), "source is []"),
        (case(subprotocols={"Q": {"roles": []}}), "subprotocols.Q.protocol is nothing"), (case("x"), "protocol[0] is 'x'"),
        (case(["msg", "A", "B"]), "protocol[0] is ['msg', 'A', 'B']"), (case(["poem"]), "protocol[0] is ['poem']"),
        (case(["msg", "A", "B", "m", None]), "protocol[0][4] is nothing"), (case(["msg", "A", "B", "m", "int"]), "protocol[0][4] is 'int'"),
        (case(["msg", "A", None, "m", []]), "protocol[0][2] is nothing"), (case(["msg", "A", "B", 5, []]), "protocol[0][3] is 5"),
        (case(msg("A", "B", "m", 5)), "protocol[0][4][0] is 5"), (case(msg("A", "B", "m", "5")), "protocol[0][4][0] is '5'"),
        (case(msg("A", "B", "m", "int", '"x"')), "protocol[0][4][1] is '\"x\"'"), (case(["rec", "X", "X"]), "protocol[0][2] is 'X'"),
        (case(either([["continue"]])), "protocol[0][2][0][0] is ['continue']"), (case(["do", "Q", None]), "protocol[0][2] is nothing"),
        (case(["choice", "A", {}]), "protocol[0][2] is {}"), (case(["continue", []]), "protocol[0][1] is []"),
    ],
)  # fmt: skip
def test_what_is_no_case_is_refused_with_its_place(question: Any, place: str) -> None:
    with pytest.raises(KlorError) as caught:
        answer_protocol(question)
    assert caught.value.slug == ("dup-role" if "twice" in place else "bad-protocol")
    assert str(caught.value) == place
    assert caught.value.help
