"""Answers to test vectors of protocols: what klorpy makes of a protocol that is given as JSON.

    answer_protocol(case) = {"verdict": …, …}

A case has `roles`, a `protocol` and perhaps `subprotocols`, as lists: `["msg", from, to, label, [sort …]]`,
`["choice", role, [branch …]]`, `["rec", X, body]`, `["continue", X]`, `["do", P, [role …]]`. The answer is one of

    accept        with the `projections`: for each role its local type and its automaton
    reject        with the `reason`, and who or what is to blame
    unsupported   a choice or a recursion has something behind it, which the form that the vectors are about does not
                  have; `after_distribution` is the answer for the protocol in which that is moved into the branches

Merging is plain here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from klorpy.behaviour.automaton import Automaton, automaton
from klorpy.behaviour.expansion import continuation, distribute, expand
from klorpy.behaviour.globaltype import Choice, Continue, Do, GlobalType, Item, Message, Protocol, Rec
from klorpy.behaviour.localtype import Action, LocalChoice, LocalContinue, LocalRec, LocalType, Receive, Send
from klorpy.behaviour.projection import project_plain
from klorpy.behaviour.wellformed import Violation, scoping, violations
from klorpy.core.diagnostics import KlorError

Answer: TypeAlias = "dict[str, Any]"

_WHY: Final = {
    "duplicate_label":
        "two branches of one choice start with the same label, so the first message does not identify the branch",
    "unbound_role": "a role is used that the protocol does not declare",
    "unguarded_recursion": "a recursion variable is reached without any interaction since its binder",
    "unmergeable": "a role that is not told about a choice would have to behave differently in its branches",
    "choice_receiver_mismatch": "the branches of a choice start with messages to different receivers",
    "choice_sender_mismatch": "a branch of a choice does not start with a message from the role that chooses",
    "self_message": "a role sends a message to itself",
    "unbound_recursion": "a recursion variable is used that nothing binds",
    "undefined_protocol": "a protocol is used that is not declared, or not with these roles",
    "continuation_after_choice":
        "the tool implements choice and recursion in tail position only; no verdict on the protocol itself",
}  # fmt: skip
_DETAIL: Final = {"unbound_role": "role", "self_message": "role", "unguarded_recursion": "var", "unbound_recursion": "var"}


def answer_protocol(case: Mapping[str, Any]) -> Answer:
    """What klorpy makes of a case.

    >>> case = {"roles": ["A", "B"], "protocol": [["msg", "A", "A", "hello", []]]}
    >>> answer_protocol(case)["reason"]
    'self_message'
    """
    library = {
        name: Protocol(name, tuple(sub["roles"]), type_from_json(sub["protocol"]))
        for name, sub in case.get("subprotocols", {}).items()
    }
    name = case.get("source", {}).get("protocol", "Main")
    protocol = Protocol(name, tuple(case["roles"]), type_from_json(case["protocol"]), library)
    for violation in scoping(protocol.type, protocol.roles):
        if violation.rule != "non-tail-recursion":
            return _rejected(violation, protocol.roles)
    try:
        return _answer(expand(protocol), protocol.roles)
    except KlorError as error:
        return _reject(error.slug.replace("-", "_"))


def _answer(type_: GlobalType, roles: Sequence[str]) -> Answer:
    behind = continuation(type_)
    for violation in violations(type_, roles):
        if violation.rule in ("unbound-role", "self-message", "unbound-recursion") or behind is None:
            return _rejected(violation, roles)
    if behind is not None:
        reason = "continuation_after_choice" if isinstance(behind, Choice) else "continuation_after_recursion"
        return {"verdict": "unsupported", "reason": reason, "why": _WHY["continuation_after_choice"],
                "after_distribution": _distributed(type_, roles)}  # fmt: skip
    projections: Answer = {}
    failing: list[str] = []
    for role in roles:
        try:
            part = project_plain(type_, role)
        except KlorError as error:
            if error.slug != "unmergeable":
                raise
            failing.append(role)
            continue
        projections[role] = {"local": type_to_json(part), "cfsm": automaton_to_json(automaton(part))}
    if failing:
        return {**_reject("unmergeable"), "failing_roles": failing, "projections": projections}
    return {"verdict": "accept", "projections": projections}


def _distributed(type_: GlobalType, roles: Sequence[str]) -> Answer:
    try:
        return _answer(distribute(type_), roles)
    except KlorError as error:
        if error.slug != "non-tail-recursion":
            raise
        return {"verdict": "unsupported", "reason": "non_tail_recursion"}


def _rejected(violation: Violation, roles: Sequence[str]) -> Answer:
    reason = violation.rule.replace("-", "_")
    if reason in _DETAIL:
        return {**_reject(reason), "detail": {_DETAIL[reason]: violation.subject}}
    return {**_reject(reason), "failing_roles": list(roles)}


def _reject(reason: str) -> Answer:
    return {"verdict": "reject", "reason": reason, "why": _WHY.get(reason, reason)}


# --- JSON -------------------------------------------------------------------------------------------------------------


def type_from_json(items: Sequence[Any]) -> GlobalType:
    """A global type from its lists.

    >>> print(type_from_json([["msg", "A", "B", "hello", ["str"]]]))
    A->B:hello(str); end
    """
    return GlobalType(tuple(map(_item, items)))


def _item(item: Sequence[Any]) -> Item:
    match item:
        case ["msg", sender, receiver, label, payload]:
            return Message(sender, receiver, label, tuple(payload))
        case ["choice", role, branches]:
            return Choice(role, tuple(map(type_from_json, branches)))
        case ["rec", variable, body]:
            return Rec(variable, type_from_json(body))
        case ["continue", variable]:
            return Continue(variable)
        case ["do", protocol, roles]:
            return Do(protocol, tuple(roles))
    raise ValueError(f"{item!r} is no item of a protocol")


def type_to_json(type_: LocalType) -> list[Any]:
    """A local type as lists."""
    return list(map(_action, type_.actions))


def _action(action: Action) -> list[Any]:
    match action:
        case Send(peer, label, payload):
            return ["send", peer, label, list(payload)]
        case Receive(peer, label, payload):
            return ["recv", peer, label, list(payload)]
        case LocalChoice(role, branches):
            return ["choice", role, list(map(type_to_json, branches))]
        case LocalRec(variable, body):
            return ["rec", variable, type_to_json(body)]
        case LocalContinue(variable):
            return ["continue", variable]


def automaton_to_json(machine: Automaton) -> Answer:
    """An automaton as a mapping."""
    return {
        "start": 0,
        "states": machine.states,
        "final": sorted(machine.final),
        "transitions": [[t.source, str(t.action), t.target] for t in machine.transitions],
    }
