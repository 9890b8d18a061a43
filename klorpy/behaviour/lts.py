"""Labelled transition systems of integers, and what is computed on them.

    lts  ->  states from which success stays reachable          alive
    lts  ->  smaller lts with the same observable behaviour     contract_taus, quotient
    lts  ->  the coarsest strong bisimulation                   bisimulation

States are 0, 1, … with 0 initial; labels are integers, `TAU` = 0 the hidden step; `ok[s]` says that state s may
terminate successfully. Nothing here knows what labels mean.

Sources: Paige and Tarjan, Three partition refinement algorithms (1987), for keeping the largest part of a split block;
Blom and Orzan, Distributed branching bisimulation reduction of state spaces (2003), for signatures.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from klorpy.core.diagnostics import KlorError

TAU: Final = 0

#: (label, target)
Edge: TypeAlias = tuple[int, int]

#: States that an exploration builds before it gives up.
LIMIT: Final = 1_000_000

#: Transitions for each state of the limit that are stored before an exploration gives up.
FAN: Final = 5


@dataclass(slots=True)
class Lts:
    """`edges[s]` are the steps of state s, each once."""

    edges: list[tuple[Edge, ...]]
    ok: list[bool]

    def __len__(self) -> int:
        return len(self.ok)

    @property
    def transitions(self) -> int:
        return sum(map(len, self.edges))


def too_many(what: str, limit: int, *, transitions: bool = False) -> KlorError:
    """The error that an exploration has met its limit."""
    amount = f"{FAN * limit:,} transitions" if transitions else f"{limit:,} states"
    return KlorError(
        f"{what} has more than {amount}", slug="state-limit",
        help="pass a larger limit=…, or a smaller bound=… if buffers are what grows",
    )  # fmt: skip


class Labels:
    """The numbers of labels, from 1; several systems that are compared share one table."""

    __slots__ = ("known", "numbers")

    def __init__(self) -> None:
        self.known: list[Hashable] = [None]
        self.numbers: dict[Hashable, int] = {}

    def number(self, label: Hashable) -> int:
        number = self.numbers.get(label)
        if number is None:
            number = self.numbers[label] = len(self.known)
            self.known.append(label)
        return number


# --- Reachability -----------------------------------------------------------------------------------------------------


def predecessors(edges: Sequence[Iterable[Edge]]) -> list[list[int]]:
    """For each state those with a step to it."""
    before: list[list[int]] = [[] for _ in edges]
    for state, steps in enumerate(edges):
        for _, target in steps:
            before[target].append(state)
    return before


def alive(edges: Sequence[Iterable[Edge]], ok: Sequence[bool]) -> bytearray:
    """1 at each state from which a successful one is reachable."""
    return reaching(predecessors(edges), (state for state, good in enumerate(ok) if good))


def reaching(before: Sequence[Iterable[int]], goals: Iterable[int]) -> bytearray:
    """1 at each state from which a goal is reachable, given the predecessors of each state."""
    found = bytearray(len(before))
    todo = []
    for state in goals:
        found[state] = 1
        todo.append(state)
    while todo:
        for state in before[todo.pop()]:
            if not found[state]:
                found[state] = 1
                todo.append(state)
    return found


def restrict(lts: Lts, initial: int = 0) -> tuple[Lts, list[int]]:
    """What is reachable from a state, which becomes state 0; and the old number of each state."""
    numbers = {initial: 0}
    order = [initial]
    for state in order:
        for _, target in lts.edges[state]:
            if target not in numbers:
                numbers[target] = len(order)
                order.append(target)
    edges = [tuple((label, numbers[target]) for label, target in lts.edges[state]) for state in order]
    return Lts(edges, [lts.ok[state] for state in order]), order


# --- Hidden steps -----------------------------------------------------------------------------------------------------


def contract_taus(lts: Lts) -> tuple[Lts, list[int]]:
    """Without hidden steps that decide nothing; and an old state for each new one.

    A cycle of hidden steps becomes one state, and a state whose only step is hidden and that is not successful becomes
    the target of that step. The result is branching bisimilar, divergence aside, so it may replace the original in any
    composition. Its hidden steps have no cycles.
    """
    representative = _tau_components(lts)
    size = len(lts)
    while True:
        steps: list[dict[Edge, None]] = [{} for _ in range(size)]
        ok = [False] * size
        for state in range(size):
            own = representative[state]
            ok[own] = ok[own] or lts.ok[state]
            for label, target in lts.edges[state]:
                target = representative[target]
                if label != TAU or target != own:
                    steps[own][label, target] = None
        forward = list(range(size))
        for state in range(size):
            if representative[state] == state and not ok[state] and len(steps[state]) == 1:
                ((label, target),) = steps[state]
                if label == TAU:
                    forward[state] = target
        if forward == list(range(size)):
            break
        # There are no hidden cycles any more, so that following ends.
        for state in range(size):
            end = representative[state]
            while forward[end] != end:
                end = forward[end]
            representative[state] = end
    whole = Lts([tuple(step) for step in steps], ok)
    return restrict(whole, representative[0])


def _tau_components(lts: Lts) -> list[int]:
    """For each state the representative of its cycle of hidden steps: Tarjan's algorithm, without recursion."""
    hidden = [[target for label, target in steps if label == TAU] for steps in lts.edges]
    index = [-1] * len(hidden)
    low = [0] * len(hidden)
    component = list(range(len(hidden)))
    on_stack = bytearray(len(hidden))
    stack: list[int] = []
    counter = 0
    for root in range(len(hidden)):
        if index[root] >= 0 or not hidden[root]:
            continue
        work = [(root, 0)]
        while work:
            state, position = work.pop()
            if position == 0:
                index[state] = low[state] = counter
                counter += 1
                stack.append(state)
                on_stack[state] = 1
            for at in range(position, len(hidden[state])):
                target = hidden[state][at]
                if index[target] < 0:
                    work += [(state, at + 1), (target, 0)]
                    break
                if on_stack[target]:
                    low[state] = min(low[state], index[target])
            else:
                if low[state] == index[state]:
                    while True:
                        member = stack.pop()
                        on_stack[member] = 0
                        component[member] = state
                        if member == state:
                            break
                if work:
                    parent = work[-1][0]
                    low[parent] = min(low[parent], low[state])
    return component


# --- Bisimulation -----------------------------------------------------------------------------------------------------


def bisimulation(edges: Sequence[Iterable[Edge]], initial: Sequence[Hashable]) -> list[int]:
    """The block of each state in the coarsest strong bisimulation that refines `initial`.

    Only states whose successors have moved are looked at again, and the largest part of a split block keeps its name, so
    that each step is looked at a logarithmic number of times.
    """
    size = len(initial)
    before = predecessors(edges)
    block: list[int] = []
    numbers: dict[Hashable, int] = {}
    for key in initial:
        block.append(numbers.setdefault(key, len(numbers)))
    members: list[set[int]] = [set() for _ in numbers]
    for state in range(size):
        members[block[state]].add(state)
    #: The signature that the states of a block had in common when they were last looked at.
    common: list[frozenset[tuple[int, int]] | None] = [None] * len(members)
    dirty = [set(part) for part in members]
    todo = deque(range(len(members)))
    while todo:
        own = todo.popleft()
        touched, dirty[own] = dirty[own], set()
        groups: dict[frozenset[tuple[int, int]] | None, list[int]] = {}
        signature: frozenset[tuple[int, int]] | None
        for state in touched:
            signature = frozenset([(label, block[target]) for label, target in edges[state]])
            groups.setdefault(signature, []).append(state)
        rest = len(members[own]) - len(touched)
        if rest:
            # Those that were not touched still have the signature of last time.
            same = groups.pop(common[own], [])
            rest += len(same)
        if not groups:
            continue
        largest = max(groups, key=lambda signature: len(groups[signature]))
        if rest >= len(groups[largest]):
            moving = list(groups.items())
        else:
            moving = [(signature, part) for signature, part in groups.items() if signature != largest]
            if rest:
                kept = set(groups[largest])
                for part in groups.values():
                    members[own].difference_update(part)
                moving.append((common[own], list(members[own])))
                members[own] = kept
            common[own] = largest
        moved: list[int] = []
        for signature, part in moving:
            members[own].difference_update(part)
            new = len(members)
            members.append(set(part))
            common.append(signature)
            dirty.append(set())
            for state in part:
                block[state] = new
            moved += part
        for state in moved:
            for source in before[state]:
                home = block[source]
                if not dirty[home]:
                    todo.append(home)
                dirty[home].add(source)
    return block


def quotient(lts: Lts) -> tuple[Lts, list[int]]:
    """The smallest strongly bisimilar system, and an old state for each new one."""
    block = bisimulation(lts.edges, lts.ok)
    numbers: dict[int, int] = {}
    order: list[int] = []
    for state, part in enumerate(block):
        if part not in numbers:
            numbers[part] = len(order)
            order.append(state)
    edges = [
        tuple(dict.fromkeys((label, numbers[block[target]]) for label, target in lts.edges[state])) for state in order
    ]
    return Lts(edges, [lts.ok[state] for state in order]), order


def reduce(lts: Lts) -> tuple[Lts, list[int]]:
    """The smallest system that `contract_taus` and `quotient` find, and an old state for each new one."""
    first, old = contract_taus(lts)
    second, older = quotient(first)
    return second, [old[state] for state in older]


def bisimilar(left: Lts, right: Lts) -> bool:
    """Whether two systems over one table of labels are strongly bisimilar."""
    union, start = _union(left, right)
    block = bisimulation(union.edges, union.ok)
    return block[0] == block[start]


def weakly_bisimilar(left: Lts, right: Lts, limit: int = LIMIT) -> bool:
    """Whether two systems over one table of labels are weakly bisimilar, success being observed."""
    union, start = _union(reduce(left)[0], reduce(right)[0])
    saturated, ok = saturate(union, limit)
    block = bisimulation(saturated, ok)
    return block[0] == block[start]


def saturate(lts: Lts, limit: int = LIMIT) -> tuple[list[list[Edge]], list[bool]]:
    """The weak steps of each state, hidden ones among them, and whether it is weakly successful."""
    closure = tau_closures(lts)
    edges: list[list[Edge]] = []
    count = 0
    for state in range(len(lts)):
        weak: dict[Edge, None] = {(TAU, target): None for target in closure[state]}
        for middle in closure[state]:
            for label, target in lts.edges[middle]:
                if label != TAU:
                    for end in closure[target]:
                        weak[label, end] = None
        edges.append(list(weak))
        count += len(weak)
        if count > 20 * limit:
            raise too_many("the weak transition relation", limit)
    return edges, [any(lts.ok[s] for s in closure[state]) for state in range(len(lts))]


def tau_closures(lts: Lts) -> list[tuple[int, ...]]:
    """For each state those that hidden steps lead to, itself included."""
    closures: list[tuple[int, ...]] = []
    for state in range(len(lts)):
        seen = {state: None}
        todo = [state]
        while todo:
            for label, target in lts.edges[todo.pop()]:
                if label == TAU and target not in seen:
                    seen[target] = None
                    todo.append(target)
        closures.append(tuple(seen))
    return closures


def _union(left: Lts, right: Lts) -> tuple[Lts, int]:
    start = len(left)
    shifted = [tuple((label, target + start) for label, target in steps) for steps in right.edges]
    return Lts([*left.edges, *shifted], [*left.ok, *right.ok]), start
