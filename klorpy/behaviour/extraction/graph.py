"""The messages of a choreography as a graph, and the labels that it needs.

    chor  →  Graph            every state that is reached, with the message that is sent there
    Graph →  Tree             equal futures identified, and a label where it makes a difference

A decision that is announced becomes a label only if what follows depends on it, at the message that announces it and at
those that pass it on. That is found by repetition: first no decision counts; states with the same future are one; where
then one message leads to different futures, the decisions that tell them apart begin to count.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from klorpy.behaviour.extraction.machine import Machine
from klorpy.behaviour.extraction.programs import Context, Locals
from klorpy.behaviour.extraction.states import (
    OTHERWISE,
    Dead,
    Decision,
    End,
    Event,
    Irregular,
    Labels,
    Message,
    Plan,
    Split,
    State,
    Wanted,
)
from klorpy.behaviour.extraction.values import HOLE
from klorpy.behaviour.globaltype import Content
from klorpy.behaviour.lts import bisimulation
from klorpy.behaviour.regular import Communication, Tree
from klorpy.behaviour.regular import End as TreeEnd
from klorpy.behaviour.regular import Node as TreeNode
from klorpy.core.choreography import Choreography
from klorpy.core.diagnostics import Diagnostic
from klorpy.core.types import Role
from klorpy.language.typed import Typed

#: The sort of a value of which nothing is known.
ANY: Final = "any"
#: States that are looked at before it is given up.
MAX_STATES: Final = 20_000
#: How often it is begun again because something has to be announced earlier.
MAX_ROUNDS: Final = 200


@dataclass(frozen=True, slots=True)
class Said:
    """A message at its place, and for each combination of outcomes where it goes on."""

    node: Typed
    context: Context
    sender: Role
    receiver: Role
    branches: tuple[tuple[Labels, int], ...]


@dataclass(frozen=True, slots=True)
class Fork:
    """A decision that nobody announces, and where it leads."""

    node: Typed
    context: Context
    targets: tuple[int, ...]


Node: TypeAlias = Said | Fork | None


@dataclass
class Graph:
    """Nodes by number, the first is the beginning; None is the end."""

    nodes: list[Node] = field(default_factory=list)
    plan: Plan = field(default_factory=Plan)

    def ahead(self, start: int) -> tuple[int, ...]:
        """Where the next message is sent, or where it ends, when nothing is known of the decisions on the way."""
        found: dict[int, None] = {}
        todo, seen = [start], set[int]()
        while todo:
            at = todo.pop()
            if at in seen:
                continue
            seen.add(at)
            node = self.nodes[at]
            if isinstance(node, Fork):
                todo += reversed(node.targets)
            else:
                found[at] = None
        return tuple(found)


def explore(choreography: Choreography, cast: Sequence[Role], given: Mapping[int, object]) -> Graph:
    """All that a choreography may communicate. Raises Irregular."""
    plan, locals_ = Plan(), Locals()
    for _ in range(MAX_ROUNDS):
        machine = Machine(plan, locals_)
        graph = _explored(machine, machine.start(choreography, cast, given))
        if graph is not None:
            return graph
    raise Irregular(Diagnostic("no-protocol", "what one message would have to announce has no end",
                               help="let other messages announce the decisions in between"))  # fmt: skip


def _explored(machine: Machine, start: State) -> Graph | None:
    """The graph under the machine's plan; None when something is missing in the plan."""
    numbers: dict[State, int] = {start: 0}
    events: dict[int, Event] = {}
    todo, complete = [start], True

    def number(state: State) -> int:
        found = numbers.get(state)
        if found is None:
            found = numbers[state] = len(numbers)
            todo.append(state)
        return found

    nodes: dict[int, Node] = {}
    while todo:
        state = todo.pop()
        if len(numbers) > MAX_STATES:
            raise Irregular(Diagnostic("no-protocol", f"the choreography has more than {MAX_STATES:,} states",
                                       help="split it, and look at the parts"))  # fmt: skip
        at = numbers[state]
        event = events[at] = machine.run(state)
        match event:
            case Message(node, context, sender, receiver, branches):
                # The last is looked at first: from the end, so that the first is.
                targets = tuple((labels, number(then)) for labels, then in branches)
                nodes[at] = Said(node, context, sender, receiver, targets)
            case Split(node, context, states):
                nodes[at] = Fork(node, context, tuple(map(number, states)))
            case End() | Dead():
                nodes[at] = None
            case Wanted():
                complete = False
    if not complete:
        return None
    dead = {at for at, event in events.items() if isinstance(event, Dead)}
    return Graph(_living([nodes[at] for at in range(len(numbers))], dead), machine.plan)


def _living(nodes: list[Node], dead: set[int]) -> list[Node]:
    """The nodes without the branches that lead to nothing but a failure."""
    changed = bool(dead)
    while changed:
        changed = False
        for at, node in enumerate(nodes):
            match node:
                case Said(branches=branches):
                    kept = tuple(branch for branch in branches if branch[1] not in dead)
                    if len(kept) < len(branches):
                        if kept:
                            nodes[at] = Said(node.node, node.context, node.sender, node.receiver, kept)
                        elif at not in dead:
                            dead.add(at)
                            changed = True
                case Fork(targets=targets):
                    alive = tuple(target for target in targets if target not in dead)
                    if len(alive) < len(targets):
                        if alive:
                            nodes[at] = Fork(node.node, node.context, alive)
                        elif at not in dead:
                            dead.add(at)
                            changed = True
    return nodes


# --- Labels -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Labelled:
    """The tree of a choreography, and for each of its nodes a message that is sent there."""

    tree: Tree
    places: tuple[Said | None, ...]


def labelled(graph: Graph, *, every: bool = False) -> Labelled:
    """The tree with the labels that make a difference, or with every one. Raises Irregular where nobody announces a decision
    that makes a difference."""
    return _Labelling(graph, every).whole()


class _Labelling:
    def __init__(self, graph: Graph, every: bool) -> None:
        self.graph = graph
        self.active: set[Decision] = set(graph.plan.texts) if every else set()
        self.order = {decision: i for i, decision in enumerate(graph.plan.texts)}
        self.ahead = [graph.ahead(at) for at in range(len(graph.nodes))]

    def whole(self) -> Labelled:
        while True:
            classes = self.classes()
            more = self.needed(classes)
            if not more:
                break
            self.active |= more
        self.refuse_unannounced(classes)
        return self.tree(classes)

    def contents(self, node: Said) -> Iterator[tuple[Hashable, Labels, int]]:
        for labels, target in node.branches:
            shown = frozenset(label for label in labels if label[0] in self.active)
            yield (node.sender, node.receiver, shown), labels, target

    def classes(self) -> list[int]:
        numbers: dict[Hashable, int] = {}
        edges: list[list[tuple[int, int]]] = []
        kinds: list[Hashable] = []
        for node in self.graph.nodes:
            steps: dict[tuple[int, int], None] = {}
            if isinstance(node, Said):
                for content, _, target in self.contents(node):
                    label = numbers.setdefault(content, len(numbers) + 1)
                    steps |= {(label, at): None for at in self.ahead[target]}
            edges.append(list(steps))
            kinds.append(type(node).__name__)
        return bisimulation(edges, kinds)

    def future(self, target: int, classes: Sequence[int]) -> frozenset[int]:
        return frozenset(classes[at] for at in self.ahead[target])

    def needed(self, classes: Sequence[int]) -> set[Decision]:
        """Decisions that tell futures apart which begin with the same message."""
        found: set[Decision] = set()
        for node in self.graph.nodes:
            if not isinstance(node, Said) or len(node.branches) == 1:
                continue
            groups: dict[Hashable, list[tuple[Labels, frozenset[int]]]] = {}
            for content, labels, target in self.contents(node):
                groups.setdefault(content, []).append((labels, self.future(target, classes)))
            for group in groups.values():
                found |= _telling(group)
        return found - self.active

    def refuse_unannounced(self, classes: Sequence[int]) -> None:
        for node in self.graph.nodes:
            if isinstance(node, Fork):
                futures = {self.future(target, classes) for target in node.targets}
                if len(futures) > 1 or any(len(future) > 1 for future in futures):
                    inner = next((n for n in self._forks(node) if self._differs(n, classes)), node)
                    raise Irregular(_unannounced(inner))

    def _forks(self, start: Fork) -> Iterator[Fork]:
        """The decisions that come next, the innermost first."""
        todo, found, seen = [start], [start], {id(start)}
        while todo:
            for target in todo.pop().targets:
                node = self.graph.nodes[target]
                if isinstance(node, Fork) and id(node) not in seen:
                    seen.add(id(node))
                    found.append(node)
                    todo.append(node)
        return reversed(found)

    def _differs(self, node: Fork, classes: Sequence[int]) -> bool:
        return len({self.future(target, classes) for target in node.targets}) > 1

    def tree(self, classes: Sequence[int]) -> Labelled:
        start = self.first(0)
        numbers = {classes[start]: 0}
        order = [start]
        nodes: list[TreeNode] = []
        for at in order:
            node = self.graph.nodes[at]
            if not isinstance(node, Said):
                nodes.append(TreeEnd())
                continue
            branches: dict[Content, int] = {}
            for _, labels, target in self.contents(node):
                there = self.first(target)
                if classes[there] not in numbers:
                    numbers[classes[there]] = len(order)
                    order.append(there)
                content = self.content(labels)
                known = branches.setdefault(content, numbers[classes[there]])
                if known != numbers[classes[there]]:
                    raise AssertionError("two branches have one label")
            nodes.append(Communication(node.sender, node.receiver, tuple(branches.items())))
        places = [self.graph.nodes[at] for at in order]
        return Labelled(Tree(tuple(nodes)), tuple(place if isinstance(place, Said) else None for place in places))

    def first(self, target: int) -> int:
        """Where it goes on; all places are alike. A choreography that repeats nothing for ever is done."""
        ahead = self.ahead[target]
        return ahead[0] if ahead else target

    def content(self, labels: Labels) -> Content:
        """What a message is called."""
        shown = sorted((label for label in labels if label[0] in self.active), key=lambda label: self.order[label[0]])
        if not shown:
            return Content(None, (ANY,))
        words = [self.word(*label) for label in shown]
        exact = any(d.shape == HOLE and d.kind in ("truth", "value") and o != OTHERWISE for d, o in shown)
        return Content(", ".join(dict.fromkeys(words)) if len(set(words)) == len(words) else ", ".join(words),
                       () if exact else (ANY,))  # fmt: skip

    def word(self, decision: Decision, outcome: str) -> str:
        if decision.kind != "truth" or decision.shape == HOLE:
            return outcome
        text = self.graph.plan.texts[decision]
        return text if outcome == "true" else f"not {text}"


def _telling(group: Sequence[tuple[Labels, frozenset[int]]]) -> set[Decision]:
    """The decisions in which members with different futures differ; single ones if there are."""
    single: set[Decision] = set()
    several: set[Decision] = set()
    for i, (labels, future) in enumerate(group):
        for other, there in group[:i]:
            if future == there:
                continue
            differing = {decision for decision, _ in set(labels) ^ set(other)}
            if len(differing) == 1:
                single |= differing
            several |= differing
    return single or several


def _unannounced(fork: Fork) -> Diagnostic:
    text = fork.context.text(fork.node)
    return fork.context.diagnostic(
        fork.node, "no-protocol", f"no message announces whether `{text}`: what is sent next depends on it",
        "send what the decision is taken from, or the decision itself, to all roles that go on differently",
        "nobody is told how this is decided",
    )  # fmt: skip
