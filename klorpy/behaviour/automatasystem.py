"""Automata that talk to each other: does a system of roles, each with its own version of a protocol, come to its end?

    system ⊢ trace            a run after which nobody can go on as planned, or None

Messages are asynchronous, with one queue for each ordered pair of roles. A queue holds at most `BOUND` messages here, and
at most `LIMIT` configurations are looked at: a trace that is found is real, that none is found is no proof.

Source: D. Brand, P. Zafiropulo, "On communicating finite-state machines" (1983).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from klorpy.behaviour.automaton import Automaton
from klorpy.behaviour.globaltype import Content
from klorpy.core.types import Role

BOUND: Final = 2
LIMIT: Final = 20_000

#: The state of each role, and what is in each queue that is not empty.
_Place: TypeAlias = "tuple[tuple[int, ...], tuple[tuple[tuple[int, int], tuple[Content, ...]], ...]]"


@dataclass(frozen=True, slots=True)
class Stuck:
    """What is sent and received until it goes wrong, and what is wrong then."""

    trace: tuple[str, ...]
    reason: str

    def __str__(self) -> str:
        return f"after {', '.join(self.trace)}: {self.reason}" if self.trace else f"at once: {self.reason}"


def stuck(system: Mapping[Role, Automaton]) -> Stuck | None:
    """A shortest run of a system of automata to where a message cannot be received, or where all wait."""
    roles = tuple(system)
    number = {role: i for i, role in enumerate(roles)}
    start: _Place = ((0,) * len(roles), ())
    before: dict[_Place, tuple[_Place, str] | None] = {start: None}
    todo = deque([start])
    while todo:
        place = todo.popleft()
        steps, refused, full = _steps(place, system, roles, number)
        if refused is not None or (not steps and not full and not _done(place, system, roles)):
            return Stuck(_trace(place, before), refused or _waiting(place, system, roles))
        for said, following in steps:
            if following not in before and len(before) < LIMIT:
                before[following] = place, said
                todo.append(following)
    return None


def _steps(
    place: _Place, system: Mapping[Role, Automaton], roles: tuple[Role, ...], number: Mapping[Role, int]
) -> tuple[list[tuple[str, _Place]], str | None, bool]:
    """What can happen, who is sent what it does not know, and whether a queue was full."""
    states, queued = place
    queues = dict(queued)
    steps: list[tuple[str, _Place]] = []
    refused, full = None, False
    for i, role in enumerate(roles):
        waits: dict[int, list[Content]] = {}
        for action, target in system[role].outgoing[states[i]].items():
            peer = number[action.peer]
            moved = (*states[:i], target, *states[i + 1 :])
            if action.sends:
                queue = queues.get((i, peer), ())
                full = full or len(queue) >= BOUND
                if len(queue) < BOUND:
                    after = {**queues, (i, peer): (*queue, action.content)}
                    steps.append((f"{role} sends {action.content} to {action.peer}", (moved, _frozen(after))))
                continue
            waits.setdefault(peer, []).append(action.content)
            queue = queues.get((peer, i), ())
            if queue and _fits(queue[0], action.content):
                after = {**queues, (peer, i): queue[1:]}
                steps.append((f"{role} receives {action.content} from {action.peer}",
                              (moved, _frozen(after))))  # fmt: skip
        for peer, contents in waits.items():
            queue = queues.get((peer, i), ())
            if queue and not any(_fits(queue[0], content) for content in contents):
                wanted = " or ".join(map(str, contents))
                refused = f"{role} receives {queue[0]} from {roles[peer]}, and waits for {wanted}"
        for (source, target_), queue in queues.items():
            if target_ == i and states[i] in system[role].final and not system[role].outgoing[states[i]] and queue:
                refused = f"{role} is done, and {roles[source]} has sent it {queue[0]}"
    return steps, refused, full


def _fits(sent: Content, wanted: Content) -> bool:
    """Who waits for any bare value takes a labelled one, too: labels of choreographies are values."""
    return sent == wanted or (wanted.label is None and wanted.payload == ("any",))


def _frozen(queues: Mapping[tuple[int, int], tuple[Content, ...]]) -> tuple[tuple[tuple[int, int], tuple[Content, ...]], ...]:
    return tuple(sorted((pair, queue) for pair, queue in queues.items() if queue))


def _done(place: _Place, system: Mapping[Role, Automaton], roles: tuple[Role, ...]) -> bool:
    return not place[1] and all(state in system[role].final for state, role in zip(place[0], roles, strict=True))


def _waiting(place: _Place, system: Mapping[Role, Automaton], roles: tuple[Role, ...]) -> str:
    waiting = []
    for state, role in zip(place[0], roles, strict=True):
        if state not in system[role].final:
            peers = dict.fromkeys(action.peer for action in system[role].outgoing[state])
            waiting.append(f"{role} waits for {' and '.join(peers)}")
    return " and ".join(waiting)


def _trace(place: _Place, before: Mapping[_Place, tuple[_Place, str] | None]) -> tuple[str, ...]:
    out: list[str] = []
    while (step := before[place]) is not None:
        place, said = step
        out.append(said)
    return tuple(reversed(out))
