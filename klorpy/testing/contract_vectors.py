"""Runners of test vectors: what a vector asks, answered by klorpy.

    answer_contract(vector)     a question about choreographies and contracts, as in `tests/vectors/contracts.json`

A vector is a mapping with `kind`, `input` and `question`; the answer has the form of its `expected`. The options of a
question are words `name=value`: `criterion`, `buffer`, `mode`, `bound`, `barrier`; `length` for traces. What is no question is
refused: KlorError `bad-argument`, and the errors of the notations.
"""

from __future__ import annotations

import re
import reprlib
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
    kind = _mapping(vector, "a vector").get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise _wrong(f"{kind!r} is no kind of vector", f"it is one of {', '.join(_KINDS)}")
    return _KINDS[kind]


# --- What a vector gives ----------------------------------------------------------------------------------------------


def _wrong(message: str, help: str = "") -> KlorError:
    return KlorError(message, slug="bad-argument", help=help)


def _mapping(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _wrong(f"{what} is a mapping, not {reprlib.repr(value)}")
    return value


def _question(vector: Vector) -> str:
    question = vector.get("question", "")
    if not isinstance(question, str):
        raise _wrong(f"the question is a text, not {reprlib.repr(question)}")
    return question


def _whole(vector: Vector) -> Any:
    """The input, which the notations refuse when it is no text."""
    return vector.get("input")


def _given(vector: Vector, name: str) -> Any:
    """A part of the input."""
    given = _mapping(_whole(vector), f"the input of a question of kind {vector['kind']}")
    if name not in given:
        raise _wrong(f"the input has no {name}", f"it has {', '.join(map(str, given)) or 'nothing'}")
    return given[name]


def _text(value: object, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise _wrong(f"{what} is a name, not {reprlib.repr(value)}")
    return value


def _option(vector: Vector, name: str, default: str) -> Any:
    found = re.search(rf"\b{name}\s*=\s*([\w-]+)", _question(vector))
    return found[1] if found else str(vector.get(name, default))


def _number(vector: Vector, name: str, default: str) -> int:
    value = _option(vector, name, default)
    if not value.isdecimal():
        raise _wrong(f"{name} is {value}", "it is a number")
    return int(value)


def _bound(vector: Vector) -> int:
    return _number(vector, "bound", "2")


def _barrier(vector: Vector) -> bool:
    value = _option(vector, "barrier", "no")
    if value.lower() not in ("yes", "no", "true", "false"):
        raise _wrong(f"barrier is {value}", "it is yes or no")
    return value.lower() in ("yes", "true")


# --- Kinds ------------------------------------------------------------------------------------------------------------


def _project(vector: Vector) -> dict[str, Any]:
    chor = parse_choreography(_whole(vector))
    words = _question(vector).split()
    if not words:
        raise _wrong("the question names no role", "write: project ROLE")
    contract = behaviour.project_role(chor, words[-1])
    expected = vector.get("expected")
    # Contracts are compared up to strong bisimilarity, so one is given as the vector writes it.
    if isinstance(expected, str) and behaviour.same_behaviour(contract, parse_contract(expected)):
        return {"expected": expected}
    return {"expected": str(contract)}


def _traces(vector: Vector) -> dict[str, Any]:
    numbers = re.findall(r"\d+", _question(vector)) or ([str(vector["length"])] if "length" in vector else [])
    # "up to length 3", "at most 3 interactions", "0 to 3": the last number is the largest length.
    traces = behaviour.completed_traces(parse_choreography(_whole(vector)), int(numbers[-1]) if numbers else None)
    return {"expected": sorted({" ".join(com.operation for com in trace) for trace in traces})}


def _equiv(vector: Vector) -> dict[str, Any]:
    verdict = behaviour.equivalent(
        parse_choreography(_whole(vector)), _option(vector, "criterion", "sync"),
        buffer=_option(vector, "buffer", "pair"), bound=_bound(vector),
    )  # fmt: skip
    answer: dict[str, Any] = {"expected": verdict.holds, "bisimilar": verdict.bisimilar}
    if verdict.witness is not None:
        trace = [f"{com.operation}:{com.sender}->{com.receiver}" for com in verdict.witness.trace]
        answer["witness"] = [verdict.witness.kind, trace]
    return answer


def _wf(vector: Vector) -> dict[str, Any]:
    violations = behaviour.well_formed(
        parse_choreography(_whole(vector)), _option(vector, "criterion", "sync"), _option(vector, "buffer", "pair")
    )
    return {"expected": _published(violation.code for violation in violations)}


def _published(codes: Iterable[str]) -> list[str]:
    """The conditions that vectors know. `dead-end` is klorpy's own: it concerns branches that end in 0."""
    return sorted({*codes} - {"dead-end"})


def _compliant(vector: Vector) -> dict[str, Any]:
    return {"expected": _is_compliant(parse_system(_whole(vector)), vector)}


def _is_compliant(system: behaviour.System, vector: Vector) -> bool:
    mode, buffer = _option(vector, "mode", "committed"), _option(vector, "buffer", "pair")
    return bool(behaviour.compliant(system, mode, buffer=buffer, bound=_bound(vector), open=True))


def _implements(vector: Vector) -> dict[str, Any]:
    chor, system = parse_choreography(_given(vector, "choreography")), parse_system(_given(vector, "system"))
    mode, buffer = _option(vector, "mode", "committed"), _option(vector, "buffer", "pair")
    return {"expected": bool(behaviour.implements(system, chor, mode, buffer=buffer, bound=_bound(vector), open=True))}


def _refines(vector: Vector) -> dict[str, Any]:
    new, old = parse_contract(_given(vector, "new")), parse_contract(_given(vector, "old"))
    verdict = behaviour.subcontract(new, old, location=_given(vector, "location") if "location" in vector["input"] else "")
    check = bool(verdict) and behaviour.proves(new, old)
    answer: dict[str, Any] = {"expected": bool(verdict), "check": "proof" if check else "no-proof"}
    if verdict.partner is not None:
        answer["partner"] = str(verdict.partner)
    return answer


def _independent(vector: Vector) -> dict[str, Any]:
    old, new = parse_system(_given(vector, "old")), parse_system(_given(vector, "new"))
    alone = {role: _is_compliant(old.replaced(role, new[role]), vector) for role in old.roles}
    return {"expected": _is_compliant(new, vector), "one_at_a_time": alone}


def _discover(vector: Vector) -> dict[str, Any]:
    entries = _mapping(_given(vector, "registry"), "a registry")
    registry = behaviour.Registry({_text(name, "what is registered"): parse_contract(text) for name, text in entries.items()})
    chor, role = parse_choreography(_given(vector, "choreography")), _text(_given(vector, "role"), "the role")
    found = registry.find(chor, role, strict=_option(vector, "strict", "no") == "yes")
    return {"expected": list(found), "unknown": list(found.unknown)}


def _update(vector: Vector) -> dict[str, Any]:
    chor, body = parse_choreography(_given(vector, "choreography")), parse_choreography(_given(vector, "update"))
    name = vector["input"].get("scope") or next((region.name for region in behaviour.scopes(chor)), None)
    if name is None:
        raise KlorError("the choreography has no scope", slug="unknown-scope", help="mark a region as (scope NAME (roles r s …) H)")
    verdict = behaviour.judge_update(
        chor, _text(name, "the scope"), body, _option(vector, "criterion", "sync"), buffer=_option(vector, "buffer", "pair"),
        barrier=_barrier(vector),
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
