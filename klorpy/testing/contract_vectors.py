"""Runners of test vectors: what a vector asks, answered by klorpy.

    answer_contract(vector)     a question about choreographies and contracts, as in `tests/vectors/contracts.json`

A vector is a mapping with `kind`, `input` and `question`; the answer has the form of its `expected`. The options of a
question are words `name=value`: `criterion`, `buffer`, `mode`, `bound`, `barrier`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from klorpy import behaviour
from klorpy.behaviour import parse_choreography, parse_contract, parse_system
from klorpy.core.diagnostics import KlorError

Vector = Mapping[str, Any]


def answer_contract(vector: Vector) -> Any:
    """The answer to a vector, in the form of its `expected`.

    >>> answer_contract({
    ...     "kind": "equiv", "input": "(seq (com r s a) (com r u b))", "question": "equivalent? criterion=sender buffer=pair"
    ... })
    True
    """
    return _kind(vector)(vector)["expected"]


def explain_contract(vector: Vector) -> dict[str, Any]:
    """The answer, and all else that a vector of its kind may record: `witness`, `bisimilar`, `check`, `partner`,
    `one_at_a_time`, `per_role_independent`.

    >>> explain_contract({"kind": "refines", "input": {"new": "1", "old": "(recv a)"}, "question": ""})["partner"]
    '(sys (p (send r a)))'
    """
    return _kind(vector)(vector)


def _kind(vector: Vector) -> Callable[[Vector], dict[str, Any]]:
    kind = vector.get("kind")
    if kind not in _KINDS:
        raise KlorError(f"{kind!r} is no kind of vector", slug="bad-argument", help=f"it is one of {', '.join(_KINDS)}")
    return _KINDS[kind]


def _option(vector: Vector, name: str, default: str) -> Any:
    found = re.search(rf"\b{name}\s*=\s*([\w-]+)", vector.get("question", ""))
    return found[1] if found else str(vector.get(name, default))


def _bound(vector: Vector) -> int:
    return int(_option(vector, "bound", "2"))


def _project(vector: Vector) -> dict[str, Any]:
    chor = parse_choreography(vector["input"])
    contract = behaviour.project_role(chor, vector["question"].split()[-1])
    expected = vector.get("expected")
    # Contracts are compared up to strong bisimilarity, so one is given as the vector writes it.
    if isinstance(expected, str) and behaviour.same_behaviour(contract, parse_contract(expected)):
        return {"expected": expected}
    return {"expected": str(contract)}


def _traces(vector: Vector) -> dict[str, Any]:
    found = re.search(r"(?:length|most|to|<=|≤|max\w*)\D{0,12}(\d+)", vector.get("question", ""))
    traces = behaviour.completed_traces(parse_choreography(vector["input"]), int(found[1]) if found else None)
    return {"expected": sorted({" ".join(com.operation for com in trace) for trace in traces})}


def _equiv(vector: Vector) -> dict[str, Any]:
    verdict = behaviour.equivalent(
        parse_choreography(vector["input"]), _option(vector, "criterion", "sync"),
        buffer=_option(vector, "buffer", "pair"), bound=_bound(vector),
    )  # fmt: skip
    answer: dict[str, Any] = {"expected": verdict.holds, "bisimilar": verdict.bisimilar}
    if verdict.witness is not None:
        trace = [f"{com.operation}:{com.sender}->{com.receiver}" for com in verdict.witness.trace]
        answer["witness"] = [verdict.witness.kind, trace]
    return answer


def _wf(vector: Vector) -> dict[str, Any]:
    violations = behaviour.well_formed(
        parse_choreography(vector["input"]), _option(vector, "criterion", "sync"), _option(vector, "buffer", "pair")
    )
    return {"expected": _published(violation.code for violation in violations)}


def _published(codes: Iterable[str]) -> list[str]:
    """The conditions that vectors know. `dead-end` is klorpy's own: it concerns branches that end in 0."""
    return sorted({*codes} - {"dead-end"})


def _compliant(vector: Vector) -> dict[str, Any]:
    return {"expected": _is_compliant(parse_system(vector["input"]), vector)}


def _is_compliant(system: behaviour.System, vector: Vector) -> bool:
    mode, buffer = _option(vector, "mode", "committed"), _option(vector, "buffer", "pair")
    return bool(behaviour.compliant(system, mode, buffer=buffer, bound=_bound(vector), open=True))


def _implements(vector: Vector) -> dict[str, Any]:
    chor = parse_choreography(vector["input"]["choreography"])
    system = parse_system(vector["input"]["system"])
    mode, buffer = _option(vector, "mode", "committed"), _option(vector, "buffer", "pair")
    return {"expected": bool(behaviour.implements(system, chor, mode, buffer=buffer, bound=_bound(vector), open=True))}


def _refines(vector: Vector) -> dict[str, Any]:
    new, old = parse_contract(vector["input"]["new"]), parse_contract(vector["input"]["old"])
    verdict = behaviour.subcontract(new, old, location=vector["input"].get("location", ""))
    answer: dict[str, Any] = {"expected": bool(verdict), "check": "proof" if verdict else "no-proof"}
    if verdict.partner is not None:
        answer["partner"] = str(verdict.partner)
    return answer


def _independent(vector: Vector) -> dict[str, Any]:
    old, new = parse_system(vector["input"]["old"]), parse_system(vector["input"]["new"])
    alone = {role: _is_compliant(old.replaced(role, new[role]), vector) for role in old.roles}
    return {"expected": _is_compliant(new, vector), "one_at_a_time": alone}


def _discover(vector: Vector) -> dict[str, Any]:
    given = vector["input"]
    registry = behaviour.Registry({name: parse_contract(text) for name, text in given["registry"].items()})
    return {"expected": list(registry.find(parse_choreography(given["choreography"]), given["role"]))}


def _update(vector: Vector) -> dict[str, Any]:
    chor, body = parse_choreography(vector["input"]["choreography"]), parse_choreography(vector["input"]["update"])
    name = vector["input"].get("scope") or next(behaviour.scopes(chor)).name
    verdict = behaviour.judge_update(
        chor, name, body, _option(vector, "criterion", "sync"), buffer=_option(vector, "buffer", "pair"),
        barrier=_option(vector, "barrier", "no") == "yes",
    )  # fmt: skip
    return {
        "expected": _published(reason.code for reason in verdict.reasons),
        "per_role_independent": {role: role in verdict.independent for role in verdict.roles},
    }


_KINDS: Final[dict[Any, Callable[[Vector], dict[str, Any]]]] = {
    "project": _project, "traces": _traces, "equiv": _equiv, "wf": _wf, "compliant": _compliant,
    "implements": _implements, "refines": _refines, "independent": _independent, "discover": _discover,
    "update": _update,
}  # fmt: skip
