"""The vectors of the calculus and of contracts, by the public runner."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from klorpy import KlorError
from klorpy.behaviour import parse_contract, parse_system
from klorpy.behaviour.refute import tells
from klorpy.testing.vectors import answer_contract, explain_contract

DATA = json.loads((Path(__file__).parents[1] / "vectors" / "contracts.json").read_text(encoding="utf-8"))
VECTORS = DATA["vectors"]


@cache
def explained(id: str) -> dict[str, Any]:
    return explain_contract(next(vector for vector in VECTORS if vector["id"] == id))


def named(kind: str) -> pytest.MarkDecorator:
    chosen = [vector for vector in VECTORS if vector["kind"] == kind]
    assert chosen
    return pytest.mark.parametrize("vector", chosen, ids=lambda vector: vector["id"])


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_the_answer_is_the_expected_one(vector: dict[str, Any]) -> None:
    assert answer_contract(vector) == vector["expected"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_what_else_a_vector_records_is_right_too(vector: dict[str, Any]) -> None:
    answer = explained(vector["id"])
    for name in ("witness", "bisimilar", "check", "one_at_a_time", "per_role_independent"):
        if name in vector:
            assert answer[name] == vector[name], name


@named("refines")
def test_the_recorded_partner_can_tell(vector: dict[str, Any]) -> None:
    new, old = parse_contract(vector["input"]["new"]), parse_contract(vector["input"]["old"])
    if "partner" in vector:
        partner = parse_system(vector["partner"])
        assert tells(new, old, vector["input"]["location"], list(partner.contracts))
    found = explained(vector["id"]).get("partner")
    if found is not None:
        assert not vector["expected"]
        assert tells(new, old, vector["input"]["location"], list(parse_system(found).contracts))


@named("project")
def test_a_projection_is_given_as_klorpy_writes_it_when_nothing_is_expected(vector: dict[str, Any]) -> None:
    plain = {name: value for name, value in vector.items() if name != "expected"}
    contract = parse_contract(answer_contract(plain))
    assert answer_contract({**vector, "expected": str(contract)}) == str(contract)
    assert answer_contract({**vector, "expected": "(recv other)"}) == str(contract)


def test_every_kind_has_a_vector() -> None:
    assert set(Counter(vector["kind"] for vector in VECTORS)) == set(DATA["meta"]["kinds"])


@pytest.mark.parametrize(
    ("kind", "text", "question", "expected"),
    [
        ("traces", "(star (com r s a))", "completed traces of length at most 2", ["", "a", "a a"]),
        ("equiv", "(seq (star (com r s a)) (com r s b))", "equivalent? criterion=sr buffer=pair bound=3", True),
        ("compliant", "(sys (r (star (send s a))) (s (star (recv a))))", "compliant? mode=async buffer=mailbox bound=1", True),
        ("compliant", "(sys (r (send s a)))", "compliant? mode=committed", False),
        ("compliant", "(sys (r (alt 1 (send t a))))", "compliant? mode=async buffer=pair", False),
        ("compliant", "(sys (r (star (alt (send t b) (recv b)))) (s 1))", "compliant? mode=async buffer=mailbox", False),
        (
            "implements",
            {"choreography": "(com r s a)", "system": "(sys (r (seq (send s a) (send t z))) (s (recv a)))"},
            "mode=committed",
            False,
        ),
        ("wf", "(star (com r s a))", "violated conditions for criterion=sender buffer=bag", ["bag-loop", "causality"]),
    ],
)
def test_options_of_questions(kind: str, text: object, question: str, expected: Any) -> None:
    assert answer_contract({"kind": kind, "input": text, "question": question}) == expected


def test_barriers_and_names_of_scopes() -> None:
    chor = "(seq (scope one (roles r s) (com r s a)) (scope two (roles r s) (com r s b)))"
    vector = {
        "kind": "update", "input": {"choreography": chor, "update": "(com s r c)", "scope": "two"},
        "question": "reasons to refuse; criterion=sr; entry/exit barrier=yes",
    }  # fmt: skip
    assert answer_contract(vector) == []
    assert explain_contract(vector)["per_role_independent"] == {"r": False, "s": False}


def refines(new: str, old: str) -> dict[str, Any]:
    return explain_contract({"kind": "refines", "input": {"new": new, "old": old, "location": "r"}, "question": "is it?"})


@pytest.mark.parametrize(
    ("new", "old"),
    [
        # Nobody can be compliant: whether more is to come is decided, and not told.
        ("1", "(seq (star (recv a)) (recv a))"),
        ("(recv c)", "(alt (seq (recv a) (recv b)) (seq (recv a) (recv a)))"),
        # What is received next to a decision for an output is never sent.
        ("(alt (recv b) (send p y))", "(seq (star (recv b)) (send p y))"),
        ("(alt (recv b) (star (recv a)))", "(alt (send p x) (seq (send p x) (recv a)))"),
    ],
)
def test_the_truth_may_be_more_than_the_check_proves(new: str, old: str) -> None:
    assert refines(new, old) == {"expected": True, "check": "no-proof"}


@pytest.mark.parametrize(
    ("new", "old", "truth"),
    [
        ("(alt (recv a) (seq (recv c) 0))", "(recv a)", True),  # an input on a name that is new, whatever follows
        ("(alt (recv a) (recv b))", "(alt (recv a) (seq (recv c) (recv b)))", False),
        ("1", "(recv a)", False),
        ("(star (send p x))", "(seq (star (send p x)) (send p y))", False),
        ("(seq (send p x) (send p y))", "(par (send p x) (send p y))", False),  # an order of outputs, fixed
        ("(par (send p x) (send p y))", "(seq (send p x) (send p y))", False),  # … and relaxed
        ("(alt 1 (recv a))", "(star (recv a))", False),
        ("(seq (recv a) (alt 1 (send p x)))", "(seq (recv a) (send p x))", True),
        ("(alt 1 (send p x))", "(send p x)", True),  # success earlier
        ("(recv a)", "(seq (recv b) 0)", True),
        ("(send q y)", "(alt (send p x) (send q y))", True),
    ],
)
def test_what_may_change(new: str, old: str, truth: bool) -> None:
    """The table of changes, each row with terms of its own."""
    answer = refines(new, old)
    assert (answer["expected"], answer["check"]) == (truth, "proof" if truth else "no-proof")


def test_discovery_tells_what_is_unknown_apart() -> None:
    vector = {
        "kind": "discover", "question": "which registered contracts may play s?",
        "input": {
            "choreography": "(seq (com r s a) (com r s b))", "role": "s",
            "registry": {"z": "(seq (recv a) (recv b))", "par": "(par (recv a) (recv b))", "more": "(alt (recv c) (seq (recv a) (recv b)))"},
        },
    }  # fmt: skip
    assert answer_contract(vector) == ["z", "more"]
    assert set(explain_contract(vector)["unknown"]) <= {"par"}


@pytest.mark.parametrize(
    "vector",
    [
        None, {}, {"kind": []}, {"kind": "poem", "input": "1", "question": ""}, {"kind": "project", "input": "(com r s a)"},
        {"kind": "project", "input": "(com r s a)", "question": None}, {"kind": "project", "question": "project r"},
        {"kind": "compliant", "input": 5}, {"kind": "equiv", "input": "(com r s a)", "question": "criterion=sender bound=x"},
        {"kind": "equiv", "input": "(com r s a)", "question": "criterion=sender bound=0"},
        {"kind": "equiv", "input": "(com r s a)", "question": "criterion=seen"}, {"kind": "implements", "input": "(com r s a)"},
        {"kind": "implements", "input": {}}, {"kind": "refines", "input": {"new": "1"}}, {"kind": "discover", "input": {}},
        {"kind": "discover", "input": {"choreography": "(com r s a)", "role": "r", "registry": []}},
        {"kind": "discover", "input": {"choreography": "(com r s a)", "role": 1, "registry": {}}},
        {"kind": "update", "input": {"choreography": "(com r s a)"}},
        {"kind": "update", "input": {"choreography": "(scope x (roles r s) 1)", "update": "1"}, "question": "barrier=perhaps"},
    ],
)  # fmt: skip
def test_what_is_no_question_is_refused(vector: Any) -> None:
    with pytest.raises(KlorError) as caught:
        answer_contract(vector)
    assert caught.value.slug == "bad-argument"


def test_an_update_needs_a_scope() -> None:
    with pytest.raises(KlorError) as caught:
        answer_contract({"kind": "update", "input": {"choreography": "(com r s a)", "update": "1"}, "question": ""})
    assert caught.value.slug == "unknown-scope"
