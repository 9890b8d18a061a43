"""Answers to test vectors of protocols: what klorpy makes of a protocol that is given as JSON.

    answer_protocol(case) = {"verdict": …, …}

A case has `roles`, a `protocol` and perhaps `subprotocols`, as lists: `["msg", from, to, label, [sort …]]`,
`["choice", role, [branch …]]`, `["rec", X, body]`, `["continue", X]`, `["do", P, [role …]]`. The answer is one of

    accept        with the `projections`: for each role its local type and its automaton
    reject        with the `reason`, and who or what is to blame; of several reasons the first in this order: roles that
                  are not declared, messages to oneself, recursion that is not bound, that has no guard, choices
    unsupported   a choice or a recursion has something behind it, which the form that the vectors are about does not
                  have; `after_distribution` is the answer for the protocol in which that is moved into the branches

Merging is plain here. What is no case at all is refused: KlorError `bad-protocol` says where it stands.
"""

from __future__ import annotations

import re
import reprlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

from klorpy.behaviour.automaton import Automaton, automaton
from klorpy.behaviour.expansion import continuation, distribute, expand
from klorpy.behaviour.globaltype import Choice, Continue, Do, GlobalType, Item, Message, Protocol, Rec, depth_of
from klorpy.behaviour.localtype import Action, LocalChoice, LocalContinue, LocalRec, LocalType, Receive, Send
from klorpy.behaviour.projection import project_plain
from klorpy.behaviour.wellformed import Violation, rank, scoping, uses, violations
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
    with _room(_nesting(case)):
        protocol = _protocol(case)
        # A protocol that is used is written out with the roles of who uses it, whose names are then in the answer.
        inner = [v for part in uses(protocol) for v in scoping(part.type, part.roles) if v.rule.startswith("unbound")]
        for violation in sorted([*scoping(protocol.type, protocol.roles), *inner], key=rank):
            if violation.rule != "non-tail-recursion":
                return _rejected(violation, protocol.roles)
        try:
            type_ = expand(protocol)
        except KlorError as error:
            if error.slug != "undefined-protocol":
                raise
            return _reject("undefined_protocol")
        with _room(_LISTS * depth_of(type_)):
            return _answer(type_, protocol.roles)


def _answer(type_: GlobalType, roles: Sequence[str]) -> Answer:
    behind = continuation(type_)
    for violation in sorted(violations(type_, roles), key=rank):
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
        if error.slug == "non-tail-recursion":
            return {"verdict": "unsupported", "reason": "non_tail_recursion"}
        if error.slug not in ("too-large", "too-deep"):
            raise
        for violation in violations(type_, roles):
            # It is found in each of too many branches, and found here.
            return _rejected(violation, roles)
        # Plain merging looks at every way through choices one after the other, and these are exponentially many.
        return {"verdict": "unsupported", "reason": error.slug.replace("-", "_"), "why": error.message}


def _rejected(violation: Violation, roles: Sequence[str]) -> Answer:
    reason = violation.rule.replace("-", "_")
    if reason in _DETAIL:
        return {**_reject(reason), "detail": {_DETAIL[reason]: violation.subject}}
    return {**_reject(reason), "failing_roles": list(roles)}


def _reject(reason: str) -> Answer:
    return {"verdict": "reject", "reason": reason, "why": _WHY.get(reason, reason)}


# --- Room -------------------------------------------------------------------------------------------------------------

#: How deep the lists of a case may nest, what is written out included; a choice is three lists deep.
_MOST: Final = 3_000
_LISTS: Final = 3
#: Calls of functions of this room in each other for one list in another, at most.
_CALLS: Final = 6


@contextmanager
def _room(nesting: int) -> Iterator[None]:
    """Python's limit of recursion raised for lists that nest so deep. Raises KlorError `too-deep` beyond `_MOST`."""
    if nesting > _MOST:
        raise KlorError(f"the case is nested more than {_MOST:,} lists deep", slug="too-deep", help="split the protocol")
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, 1_000 + _CALLS * nesting))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def _nesting(case: object) -> int:
    deepest, todo = 0, [(case, 0)]
    while todo:
        value, depth = todo.pop()
        deepest = max(deepest, depth)
        if depth > _MOST:
            break
        if isinstance(value, Mapping):
            todo += [(inner, depth + 1) for inner in value.values()]
        elif isinstance(value, (list, tuple)):
            todo += [(inner, depth + 1) for inner in value]
    return deepest


# --- JSON -------------------------------------------------------------------------------------------------------------

_FORMS: Final = {
    "msg": '["msg", from, to, label, [sort, …]]', "choice": '["choice", role, [branch, …]]', "rec": '["rec", X, body]',
    "continue": '["continue", X]', "do": '["do", P, [role, …]]',
}  # fmt: skip
_NO_SORT: Final = re.compile(r"[+-]?[0-9]|[\"']|.*[\s\"]")


def _protocol(case: object) -> Protocol:
    """The protocol of a case. Raises KlorError `bad-protocol` and `dup-role`."""
    given = _mapping(case, "the case")
    library = {
        _text(name, "the name of a protocol"): _declared(_text(name, "the name of a protocol"), sub, f"subprotocols.{name}", {})
        for name, sub in _mapping(given.get("subprotocols", {}), "subprotocols").items()
    }
    name = _mapping(given.get("source", {}), "source").get("protocol", "Main")
    return _declared(_text(name, "source.protocol"), given, "", library)


def _declared(name: str, given: object, where: str, library: Mapping[str, Protocol]) -> Protocol:
    fields = _mapping(given, where)
    roles = _roles(fields.get("roles"), f"{where}.roles".lstrip("."))
    for i, role in enumerate(roles):
        if role in roles[:i]:
            raise KlorError(f"the role {role} is declared twice", slug="dup-role", help="name it once")
    return Protocol(name, roles, type_from_json(fields.get("protocol"), f"{where}.protocol".lstrip(".")), library)


def type_from_json(items: object, where: str = "protocol") -> GlobalType:
    """A global type from its lists. Raises KlorError `bad-protocol`, which says at which place of `where`.

    >>> print(type_from_json([["msg", "A", "B", "hello", ["str"]]]))
    A->B:hello(str); end
    """
    return GlobalType(tuple(_item(item, f"{where}[{i}]") for i, item in enumerate(_list(items, where, "items"))))


def _item(item: object, where: str) -> Item:
    match item:
        case ["msg", sender, receiver, label, payload]:
            sorts = [_sort(sort, f"{where}[4][{i}]") for i, sort in enumerate(_list(payload, f"{where}[4]", "sorts"))]
            return Message(_text(sender, f"{where}[1]"), _text(receiver, f"{where}[2]"), _text(label, f"{where}[3]", empty=True), tuple(sorts))
        case ["choice", role, branches]:
            listed = _list(branches, f"{where}[2]", "branches")
            return Choice(_text(role, f"{where}[1]"), tuple(type_from_json(part, f"{where}[2][{i}]") for i, part in enumerate(listed)))
        case ["rec", variable, body]:
            return Rec(_text(variable, f"{where}[1]"), type_from_json(body, f"{where}[2]"))
        case ["continue", variable]:
            return Continue(_text(variable, f"{where}[1]"))
        case ["do", protocol, roles]:
            return Do(_text(protocol, f"{where}[1]"), _roles(roles, f"{where}[2]"))
        case [str() as word, *_] if word in _FORMS:
            raise _bad(where, _FORMS[word], item)
    raise _bad(where, f"one of {', '.join(_FORMS.values())}", item)


def _roles(value: object, where: str) -> tuple[str, ...]:
    return tuple(_text(role, f"{where}[{i}]") for i, role in enumerate(_list(value, where, "roles")))


def _sort(value: object, where: str) -> str:
    if not isinstance(value, str) or not value or _NO_SORT.match(value):
        raise _bad(where, "a sort, which is a word", value)
    return value


def _text(value: object, where: str, *, empty: bool = False) -> str:
    if not isinstance(value, str) or not (value or empty):
        raise _bad(where, "a name", value)
    return value


def _list(value: object, where: str, what: str) -> Sequence[Any]:
    if not isinstance(value, (list, tuple)):
        raise _bad(where, f"a list of {what}", value)
    return value


def _mapping(value: object, where: str) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise _bad(where, "a mapping", value)
    return value


def _bad(where: str, wanted: str, given: object) -> KlorError:
    shown = "nothing" if given is None else reprlib.repr(given)
    return KlorError(f"{where} is {shown}", slug="bad-protocol", help=f"it should be {wanted}")


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
