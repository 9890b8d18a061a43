"""The vectors of protocols: verdict, reason, who is to blame, and the automaton of every role."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

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
