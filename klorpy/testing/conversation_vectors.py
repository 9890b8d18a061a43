"""Running the vectors of conversations: scripts in JSON against the kernel, and what happened in the same format.

    run_conversation(vector) = a list of events for each step that runs the kernel

The vector's own header explains terms, steps, actions and events. Here a JSON array is a tuple, "_" is ANY, and the
rules of an endpoint are three handlers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from klorpy.conversations import (
    ANY,
    Absence,
    Add,
    Delete,
    Endpoint,
    Feedback,
    Interest,
    Kernel,
    Kill,
    Message,
    Meta,
    Orientation,
    Presence,
    Query,
    Quit,
    Replace,
    Role,
    Send,
    Spawn,
    Transition,
    Yield,
    nested_vm,
)
from klorpy.conversations.log import Answered, Delivered, Exited, Path, Record, path_text
from klorpy.conversations.pattern import same_topic

Json = Any
Bindings = Mapping[str, Any]


class Raised(Exception):
    """What a rule raises; its argument is the reason in the vector."""


def run_conversation(vector: Mapping[str, Any]) -> list[list[Json]]:
    """The events of each step of a vector that is not on hold.

    >>> vector = {"script": [{"p": "A", "do": [["add", "s", "sub", ["t", "_"], "participant"]]},
    ...                      {"p": "B", "do": [["send", ["t", 1]]]}]}
    >>> run_conversation(vector)
    [[], [['A', 's', '!', 'pub', ['t', 1]], ['B', 'exit', 'gc']]]
    """
    script = Script(vector.get("programs", {}))
    return [events for step in vector["script"] if (events := script.step(step)) is not None]


class Script:
    """A kernel under a vector's script."""

    def __init__(self, programs: Mapping[str, Any]) -> None:
        self.programs = programs
        self.kernel = Kernel(logging=True)

    def step(self, step: Mapping[str, Any]) -> list[Json] | None:
        """Do a step; its events, or None when it only queues actions."""
        kernel = self.kernel
        if "vm" in step:
            spawn = nested_vm(self.actions(step["do"], {}), step["vm"])
            answer = spawn.boot()
            kernel.start(spawn.name, answer.actions, answer.state)
            answer.state.log = []
        else:
            actions = self.actions(step["do"], {})
            if not kernel.enqueue(step["p"], actions):
                kernel.start(step["p"], actions)
        if step.get("hold"):
            return None
        kernel.run()
        return [record_json(record) for record in kernel.take_log()]

    # --- Actions and rules --------------------------------------------------------------------------------------------

    def actions(self, given: Json, bound: Bindings) -> list[Any]:
        return [self.action(item, bound) for item in given or ()]

    def action(self, given: Json, bound: Bindings) -> Any:
        word, *rest = given
        match word:
            case "add":
                return Add(self.endpoint(rest, bound))
            case "delete":
                return Delete(filled(rest[0], bound), filled(_at(rest, 1), bound))
            case "replace":
                return Replace(filled(rest[0], bound), filled(rest[1], bound))
            case "send":
                return Send(filled(rest[0], bound))
            case "feedback":
                return Feedback(filled(rest[0], bound))
            case "spawn":
                return self.spawn(rest[0], _at(rest, 1) or {}, bound)
            case "vm":
                return nested_vm(self.actions(rest[1], bound), filled(rest[0], bound))
            case "quit":
                return Quit(filled(_at(rest, 0), bound))
            case "kill":
                return Kill(filled(rest[0], bound), filled(_at(rest, 1), bound))
            case "yield":
                return Yield(lambda state: self.actions(rest[0], bound))
            case "meta":
                return Meta(self.action(rest[0], bound))
            case "query":
                return Query(Orientation(filled(rest[0], bound)), filled(rest[1], bound))
        raise ValueError(f"unknown action {word!r}")

    def endpoint(self, given: Json, bound: Bindings) -> Endpoint:
        name, orientation, topic, *more = given
        role = Role(
            Orientation(filled(orientation, bound)), filled(topic, bound), Interest(_at(more, 0) or "participant")
        )
        rules = Rules(self, _at(more, 1) or (), bound)
        return Endpoint(filled(name, bound), role, rules, rules, rules)

    def spawn(self, program: Json, options: Mapping[str, Any], bound: Bindings) -> Spawn:
        program = filled(program, bound)
        inner = {**bound, **{name: filled(value, bound) for name, value in options.get("with", {}).items()}}
        name = filled(options.get("as", program), bound)

        def boot() -> Any:
            text = self.programs[program]
            if "raise" in text:
                raise Raised(filled(text["raise"], inner))
            return self.actions(text.get("init"), inner)

        then = None
        if "then" in options:
            then = lambda pid, state: self.actions(options["then"], {**bound, "pid": name})  # noqa: E731
        endpoints = [item[1:] if item[0] == "add" and len(item) > 3 and item[2] in ("pub", "sub") else item
                     for item in options.get("endpoints", ())]  # fmt: skip
        return Spawn(boot, name, then, tuple(self.endpoint(item, inner) for item in endpoints))


class Rules:
    """The rules of an endpoint, as its handlers."""

    def __init__(self, script: Script, rules: Json, bound: Bindings) -> None:
        self.script = script
        self.rules = rules
        self.bound = bound

    def __call__(self, event: Presence | Absence | Message, state: Any) -> Any:
        for rule in self.rules:
            found = self.applies(rule, event, state)
            if found is None:
                continue
            if "raise" in rule:
                raise Raised(filled(rule["raise"], found))
            after = filled(rule["set"], found) if "set" in rule else state
            return Transition(after, *self.script.actions(rule.get("do"), found))
        return None

    def applies(self, rule: Mapping[str, Any], event: Presence | Absence | Message, state: Any) -> Bindings | None:
        """The variables of a rule that applies; None when it does not."""
        bound: dict[str, Any] = dict(self.bound)
        if "if" in rule and not same_topic(filled(rule["if"], bound), state):
            return None
        match event:
            case Message(orientation, body):
                sign, term = "!", body
                if rule.get("from", orientation.value) != orientation.value:
                    return None
            case Presence(role) | Absence(role):
                sign, term = ("+" if isinstance(event, Presence) else "-"), role.topic
                if rule.get("peer", role.orientation.value) != role.orientation.value:
                    return None
                if rule.get("interest", role.interest.value) != role.interest.value:
                    return None
                if isinstance(event, Absence):
                    bound["reason"] = reason_term(event.reason)
        if rule["on"] != sign or ("match" in rule and not matches(rule["match"], term, bound)):
            return None
        return bound

    def __deepcopy__(self, memo: Any) -> Rules:
        return self


def matches(pattern: Json, term: Any, bound: dict[str, Any]) -> bool:
    """Whether a term fits a rule's pattern; the pattern's variables are bound on the way."""
    if pattern == "_":
        return True
    if isinstance(pattern, str) and pattern.startswith("$"):
        name = pattern[1:]
        if name in bound:
            return same_topic(bound[name], term)
        bound[name] = term
        return True
    if isinstance(pattern, (list, tuple)):
        return (
            isinstance(term, tuple)
            and len(term) == len(pattern)
            and all(matches(inner, part, bound) for inner, part in zip(pattern, term, strict=True))
        )
    return same_topic(pattern, term)


def filled(given: Json, bound: Bindings) -> Any:
    """JSON as a term: arrays are tuples, "_" is ANY, and known variables are replaced."""
    if isinstance(given, (list, tuple)):
        return tuple(filled(item, bound) for item in given)
    if isinstance(given, str):
        if given == "_":
            return ANY
        if given.startswith("$"):
            return bound.get(given[1:], given)
    return given


def _at(items: Json, place: int) -> Any:
    return items[place] if len(items) > place else None


# --- What happened, as JSON -------------------------------------------------------------------------------------------


def record_json(record: Record) -> Json:
    """A record of the log in the vectors' format."""
    process = path_text(record.process)
    match record:
        case Exited(_, reason):
            return [process, "exit", term_json(reason_term(reason))]
        case Answered(_, answer, level):
            found = [[_peer(level, peer), term_json(topic)] for peer, topic in answer.found]
            return [process, "query", [answer.orientation.value, term_json(answer.topic)], found]
        case Delivered(_, name, event, meta, level):
            endpoint = f"^{name}" if meta else name_json(name)
            match event:
                case Message(orientation, body):
                    return [process, endpoint, "!", orientation.value, term_json(body)]
                case Presence(role, peer):
                    return [process, endpoint, "+", _role(role), _peer(level, peer)]
                case Absence(role, reason, peer):
                    why = term_json(reason_term(reason))
                    return [process, endpoint, "-", _role(role), why, _peer(level, peer)]


def _role(role: Role) -> Json:
    return [role.orientation.value, term_json(role.topic), role.interest.value]


def _peer(level: Path | None, peer: Any) -> str:
    return "/".join([*map(str, level or ()), str(peer)])


def name_json(name: Any) -> Json:
    return name if isinstance(name, str) else term_json(name)


def reason_term(reason: Any) -> Any:
    """A reason as a term: what a rule raised, or the type and text of another exception."""
    if isinstance(reason, Raised):
        return reason.args[0]
    if isinstance(reason, BaseException):
        return (type(reason).__name__, str(reason))
    return reason


def term_json(term: Any) -> Json:
    if term is ANY:
        return "_"
    return [term_json(part) for part in term] if isinstance(term, tuple) else term
