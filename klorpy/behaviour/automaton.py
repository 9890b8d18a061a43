"""Automata of local types: what one role may do next, and where that leads.

    automaton(L) = M          the minimal deterministic automaton of the actions of L

States are numbers, 0 is the start, numbered breadth first with the actions of a state in the order of their text: so two
local types allow the same sequences of actions if and only if their automata are equal. A role that does nothing has one
state. A final state is one in which the role may be done.

Source: P. Deniélou, N. Yoshida, "Multiparty session types meet communicating automata" (2012); E. Moore, J. Hopcroft for
the minimal form.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from klorpy.behaviour.arguments import checked
from klorpy.behaviour.globaltype import Content
from klorpy.behaviour.localtype import LocalChoice, LocalContinue, LocalRec, LocalType, Receive, Send
from klorpy.behaviour.regular import refine, require_size
from klorpy.core.types import Role


@dataclass(frozen=True, slots=True)
class Action:
    """Sending `content` to `peer`, or receiving it."""

    peer: Role
    sends: bool
    content: Content

    def __str__(self) -> str:
        sign = "!" if self.sends else "?"
        label, payload = self.content.label, ",".join(self.content.payload)
        return f"{self.peer}{sign}<{payload}>" if label is None else f"{self.peer}{sign}{label}({payload})"


@dataclass(frozen=True, slots=True)
class Transition:
    """From state `source` by `action` to state `target`."""

    source: int
    action: Action
    target: int

    def __str__(self) -> str:
        return f"{self.source} {self.action} {self.target}"


@dataclass(frozen=True)
class Automaton:
    """States 0, …, `states` - 1; the start is 0. Transitions are in the order of their sources and actions.

    >>> from klorpy.behaviour import local_type, parse_protocol
    >>> ping = parse_protocol("(defprotocol Ping [A B] (mu t (-> A B (ping)) (branch B A (pong t) (stop))))")
    >>> print(automaton(local_type(ping, "A")))
    3 states, start 0, final 2
    0 B!ping() 1
    1 B?pong() 0
    1 B?stop() 2
    """

    states: int
    final: frozenset[int]
    transitions: tuple[Transition, ...]

    @cached_property
    def outgoing(self) -> tuple[Mapping[Action, int], ...]:
        """For each state where its actions lead."""
        steps: tuple[dict[Action, int], ...] = tuple({} for _ in range(self.states))
        for t in self.transitions:
            steps[t.source][t.action] = t.target
        return steps

    def accepts(self, actions: Iterable[Action]) -> bool:
        """Whether the role may do all of `actions`, and then be done."""
        state: int | None = 0
        for action in actions:
            state = None if state is None else self.outgoing[state].get(action)
        return state in self.final

    def __str__(self) -> str:
        final = ", ".join(map(str, sorted(self.final))) or "none"
        count = f"{self.states} states" if self.states != 1 else "1 state"
        return "\n".join([f"{count}, start 0, final {final}", *map(str, self.transitions)])


@checked
def automaton(type_: LocalType) -> Automaton:
    """The minimal deterministic automaton of a local type whose variables are bound."""
    nodes, start = _drafts(type_)
    return _minimal(*_deterministic(nodes, start))


@dataclass(frozen=True, slots=True)
class _Draft:
    """A place of a type: an action and what follows it, or (None) where it may go on; no targets: the end."""

    action: Action | None
    targets: tuple[int, ...] = ()


def _drafts(type_: LocalType) -> tuple[list[_Draft], int]:
    nodes = [_Draft(None)]

    def body(part: LocalType, scope: Mapping[str, int], following: int) -> int:
        for item in reversed(part.actions):
            match item:
                case Send() | Receive():
                    nodes.append(_Draft(Action(item.peer, isinstance(item, Send), item.content), (following,)))
                case LocalChoice(_, branches):
                    targets = tuple(body(branch, scope, following) for branch in branches)
                    nodes.append(_Draft(None, targets))
                case LocalRec(variable, inner):
                    place = len(nodes)
                    nodes.append(_Draft(None))
                    nodes[place] = _Draft(None, (body(inner, {**scope, variable: place}, following),))
                    following = place
                    continue
                case LocalContinue(variable):
                    following = scope[variable]
                    continue
            following = len(nodes) - 1
        return following

    return nodes, body(type_, {}, 0)


def _deterministic(nodes: Sequence[_Draft], start: int) -> tuple[list[bool], list[dict[Action, int]]]:
    """States that are sets of places: whether each may be the end, and its steps. The first is the start."""
    numbers: dict[frozenset[int], int] = {}
    places: list[frozenset[int]] = []

    def number(targets: Iterable[int]) -> int:
        closed = _closure(nodes, targets)
        if closed not in numbers:
            numbers[closed] = len(places)
            places.append(closed)
        return numbers[closed]

    number([start])
    steps: list[dict[Action, int]] = []
    size = 0
    for place in places:
        size += len(place)
        require_size(size)
        targets: dict[Action, set[int]] = {}
        for at in place:
            action = nodes[at].action
            if action is not None:
                targets.setdefault(action, set()).update(nodes[at].targets)
        steps.append({action: number(following) for action, following in targets.items()})
    # A recursion that does nothing is an end, too: it has neither actions nor the end among its places.
    return [0 in place or not place for place in places], steps


def _closure(nodes: Sequence[_Draft], targets: Iterable[int]) -> frozenset[int]:
    found: set[int] = set()
    seen: set[int] = set()
    todo = list(targets)
    while todo:
        at = todo.pop()
        if at in seen:
            continue
        seen.add(at)
        if nodes[at].action is not None or at == 0:
            found.add(at)
        else:
            todo += nodes[at].targets
    return frozenset(found)


def _minimal(final: Sequence[bool], steps: Sequence[dict[Action, int]]) -> Automaton:
    shapes: list[Hashable] = [(end, frozenset(following)) for end, following in zip(final, steps, strict=True)]
    classes = refine(shapes, steps)
    numbers = {classes[0]: 0}
    representatives = [0]
    transitions: list[Transition] = []
    for source, at in enumerate(representatives):
        for action in sorted(steps[at], key=str):
            group = classes[steps[at][action]]
            if group not in numbers:
                numbers[group] = len(representatives)
                representatives.append(steps[at][action])
            transitions.append(Transition(source, action, numbers[group]))
    ends = frozenset(number for number, at in enumerate(representatives) if final[at])
    return Automaton(len(representatives), ends, tuple(transitions))
