"""Whether one contract may stand in for another:  C' ≤ C.

C' is a *subcontract* of C when, at whatever role, every system of partners that is compliant with C is compliant with C',
outputs being committed. Then all roles of a compliant system may be replaced independently of each other.

    proves(new, old, strict)       a decidable check: True implies new ≤ old
    subcontract(new, old)          proved, or refuted with a partner that can tell, or unknown

The check is should-testing refinement, which implies ≤, with prunings that only ≤ allows: what no compliant partner reaches
is not looked at, neither by the contracts nor by tests; an input that no partner sends now is ignored; and earlier success
is harmless. `strict` keeps
success visible: then a system that uses `new` has only completed conversations that it had with `old`.

Worst case exponential in both contracts; fast for tens of states. A polynomial first look, bisimilarity without inputs
that are new, decides many cases.

`subcontract` looks a second time, and *closer*, where that finds no proof: a partner decides on an output only if the old
contract takes it sooner or later in whatever state it may be in, since the output cannot be withdrawn; and it takes
no step after which it can do nothing right. So `0`, and every other contract that nobody can be compliant with, is
refined by all; and what is received next to a decision for an output is never sent.

Sources: Bravetti and Zavattaro, A theory of contracts for strong service compliance (2009), for subcontracts; Rensink
and Vogler, Fair testing (2007), for should-testing and its decision procedure. The prunings are klorpy's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

from klorpy.behaviour.arguments import checked
from klorpy.behaviour.lts import (
    LIMIT,
    TAU,
    Labels,
    Lts,
    alive,
    bisimilar,
    predecessors,
    reduce,
    restrict,
    tau_closures,
    too_many,
)
from klorpy.behaviour.refute import Partner, refutation
from klorpy.behaviour.steps import lts_of
from klorpy.behaviour.terms import Contract, Recv

#: Pairs and positions that the check looks at before it gives up.
POSITIONS: Final = 200_000


@dataclass(frozen=True)
class Refinement:
    """Whether a contract is a subcontract of another; see `subcontract`."""

    new: Contract
    old: Contract
    verdict: Literal["proved", "refuted", "unknown"]
    strict: bool = False
    #: Partners that are compliant with the old contract and not with the new one.
    partner: Partner | None = None

    def __bool__(self) -> bool:
        return self.verdict == "proved"

    def __str__(self) -> str:
        match self.verdict:
            case "proved":
                return f"{self.new} is a subcontract of {self.old}"
            case "refuted":
                return f"{self.new} is no subcontract of {self.old}: {self.partner}"
            case "unknown":
                return f"{self.new} is not known to be a subcontract of {self.old}: there is no proof, and no small partner can tell"


@checked
def subcontract(
    new: Contract, old: Contract, *, strict: bool = False, size: int = 5, location: str = "", limit: int = POSITIONS
) -> Refinement:
    """Whether every partner that is compliant with `old` is compliant with `new`.

    Without a proof, partners of up to `size` operators and leaves are tried, so that the answer may be "unknown".
    `location` is the name of the role itself, by default one that does not occur. Raises KlorError `state-limit` when the
    check looks at more than `limit` positions.

    >>> from klorpy.behaviour.notation import parse_contract
    >>> print(subcontract(parse_contract("(alt (send p x) (send p y))"), parse_contract("(send p x)")))
    (alt (send p x) (send p y)) is no subcontract of (send p x): (sys (p (recv x)))
    """
    if proves(new, old, strict=strict, limit=limit) or proves(new, old, strict=strict, closer=True, limit=limit):
        return Refinement(new, old, "proved", strict)
    partner = refutation(new, old, size=size, location=location)
    return Refinement(new, old, "unknown" if partner is None else "refuted", strict, partner)


@checked
def proves(
    new: Contract, old: Contract, *, strict: bool = False, closer: bool = False, limit: int = POSITIONS
) -> bool:
    """Whether the decidable check shows that `new` is a subcontract of `old`; with `closer` it finds more proofs.

    >>> from klorpy.behaviour.notation import parse_contract
    >>> proves(parse_contract("(alt (recv a) (recv b))"), parse_contract("(recv a)"))
    True
    """
    labels = Labels()
    return Check(contract_lts(new, labels), contract_lts(old, labels), labels, strict, limit, closer).holds()


def contract_lts(contract: Contract, labels: Labels, limit: int = LIMIT) -> Lts:
    """The small transition system of a contract with committed outputs."""
    return reduce(lts_of(contract, labels, committed=True, limit=limit, what="the contract"))[0]


class _Side:
    """One of the contracts, with a visible step `tick` from every successful state; sets of states are integers."""

    def __init__(self, lts: Lts, tick: int) -> None:
        end = len(lts)
        edges = [*lts.edges, ()]
        self.size = end + 1
        #: The set of the state after success.
        self.end = 1 << end
        self.edges = [(*steps, (tick, end)) if state < end and lts.ok[state] else steps for state, steps in enumerate(edges)]
        closed = tau_closures(Lts(edges, [*lts.ok, False]))
        self.closure = [sum(1 << state for state in states) for states in closed]
        self.closed = closed
        self.start = self.closure[0]
        #: Where each visible step leads, closed under hidden ones.
        self.after: list[dict[int, int]] = []
        for steps in self.edges:
            row: dict[int, int] = {}
            for label, target in steps:
                if label != TAU:
                    row[label] = row.get(label, 0) | self.closure[target]
            self.after.append(row)
        live = alive(self.edges, [*lts.ok, False])
        #: The states from which success is out of reach; the end is not one of them.
        self.dead = sum(1 << state for state in range(end) if not live[state])
        self._moves: dict[int, dict[int, int]] = {}

    def moves(self, states: int) -> dict[int, int]:
        """Where each visible step leads from a closed set."""
        found = self._moves.get(states)
        if found is None:
            found = self._moves[states] = {}
            for state in members(states):
                for label, targets in self.after[state].items():
                    found[label] = found.get(label, 0) | targets
        return found

    @cached_property
    def eventual(self) -> list[frozenset[int]]:
        """The labels that are reachable from each state."""
        reach: list[set[int]] = [{label for label, _ in steps} for steps in self.edges]
        before = predecessors(self.edges)
        todo = list(range(self.size))
        while todo:
            state = todo.pop()
            for source in before[state]:
                if not reach[state] <= reach[source]:
                    reach[source] |= reach[state]
                    todo.append(source)
        return [frozenset(labels) for labels in reach]


class Check:
    """The check for one pair of contracts over one table of labels."""

    def __init__(self, new: Lts, old: Lts, labels: Labels, strict: bool, limit: int, closer: bool = False) -> None:
        self.lts = (new, old)
        self.closer = closer
        self.labels = labels
        self.strict = strict
        self.limit = limit
        self.inputs = {number for leaf, number in labels.numbers.items() if isinstance(leaf, Recv)}
        self.tick = labels.number("tick")
        self.new = _Side(new, self.tick)
        self.old = _Side(old, self.tick)

    def holds(self) -> bool:
        return self.same() or self.proof()

    def same(self) -> bool:
        """The first look: the same behaviour once inputs that are new are left out."""
        new, old = self.lts
        received = {label for steps in old.edges for label, _ in steps}
        fresh = self.inputs - received
        edges = [tuple(step for step in steps if step[0] not in fresh) for steps in new.edges]
        return bisimilar(reduce(restrict(Lts(edges, new.ok))[0])[0], old)

    def proof(self) -> bool:
        new, old = self.new, self.old
        pairs = dict.fromkeys((q, old.start) for q in members(new.start))
        order = list(pairs)
        positions: dict[tuple[int, int], None] = {}
        for q, states in order:
            if not states:
                return False  # the new contract can do what the old one cannot
            if states == old.end or not self.reached(states):
                continue  # all is over, or no compliant partner comes here
            positions[new.closure[q], states] = None
            for label, target in new.edges[q]:
                if label == TAU:
                    following = [(target, states)]
                elif label == self.tick and not self.strict:
                    continue  # earlier success is harmless
                elif label in self.inputs and not self.sent(label, states):
                    continue  # no compliant partner sends this now
                else:
                    then = old.moves(states).get(label, 0)
                    following = [(end, then) for end in new.closed[target]]
                for pair in following:
                    if pair not in pairs:
                        pairs[pair] = None
                        order.append(pair)
            if len(order) > self.limit:
                raise too_many("the comparison of the contracts", self.limit)
        return not self.distinguishes(list(positions))

    # --- What compliant partners do ---

    def sent(self, label: int, states: int) -> bool:
        """Whether a partner may send this when the old contract is in one of the states, it does not know in which."""
        found = (label in self.old.eventual[state] for state in members(states))
        return all(found) if self.closer else any(found)

    def reached(self, states: int) -> bool:
        """Whether a partner may come to where the old contract is in one of the states."""
        return states in self.viable if self.closer else not states & self.old.dead

    @cached_property
    def viable(self) -> frozenset[int]:
        """The sets of states of the old contract in which its partners can still come to an end with it."""
        order, following = [(1, self.old.start)], list[dict[int, int]]()
        numbers = {order[0]: 0}
        for news, olds in order:
            row: dict[int, int] = {}
            for label, then in self.old.moves(olds).items() if news else ():
                if label in self.inputs and not self.sent(label, olds):
                    continue
                position = (int(label != self.tick), then)
                number = numbers.get(position)
                if number is None:
                    number = numbers[position] = len(order)
                    order.append(position)
                row[label] = number
            following.append(row)
            if len(order) > self.limit:
                raise too_many("the comparison of the contracts", self.limit)
        left = self.remaining(order, following)
        return frozenset(olds for number, (news, olds) in enumerate(order) if news and left[number])

    # --- Tests ---

    def distinguishes(self, starts: list[tuple[int, int]]) -> bool:
        """Whether from some position there is a test that the old contract should-passes in each of its states, and the
        new one does not.

        A position is a pair of sets of states, of the new contract and of the old one, after one visible trace. The test
        succeeds where the new contract cannot follow. Positions are removed as long as there is one in which some state
        of the old contract has no path, through positions that are left, to where the test succeeds.
        """
        numbers = {start: number for number, start in enumerate(starts)}
        order = list(starts)
        following: list[dict[int, int]] = []
        for news, olds in order:
            row: dict[int, int] = {}
            if news:
                moves = self.new.moves(news)
                for label, then in self.old.moves(olds).items():
                    if then != self.old.end and not self.reached(then):
                        continue  # a test that leads a compliant partner here is none
                    if self.closer and label in self.inputs and not self.sent(label, olds):
                        continue
                    position = (moves.get(label, 0), then)
                    number = numbers.get(position)
                    if number is None:
                        number = numbers[position] = len(order)
                        order.append(position)
                    row[label] = number
            following.append(row)
            if len(order) > self.limit:
                raise too_many("the comparison of the contracts", self.limit)
        left = self.remaining(order, following)
        return any(left[number] for number in range(len(starts)))

    def remaining(self, order: list[tuple[int, int]], following: list[dict[int, int]]) -> bytearray:
        """1 at each position that is never removed."""
        sources: list[list[tuple[int, int]]] = [[] for _ in order]
        for number, row in enumerate(following):
            for label, target in row.items():
                sources[target].append((number, label))
        left = bytearray(b"\x01" * len(order))
        changed = True
        while changed:
            changed = False
            reached = self.passing(order, sources, left)
            for number, (news, olds) in enumerate(order):
                if left[number] and news and reached[number] != olds:
                    left[number] = 0
                    changed = True
        return left

    def passing(self, order: list[tuple[int, int]], sources: list[list[tuple[int, int]]], left: bytearray) -> list[int]:
        """For each position the states of the old contract that have a path to where the test succeeds."""
        before_hidden, before = self._backwards
        reached = [0] * len(order)
        todo: list[tuple[int, int]] = []
        for number, (news, olds) in enumerate(order):
            if not news and left[number]:
                reached[number] = olds
                todo += [(number, p) for p in members(olds)]
        while todo:
            number, p = todo.pop()
            for source in before_hidden[p] if order[number][0] else ():
                if order[number][1] >> source & 1 and not reached[number] >> source & 1:
                    reached[number] |= 1 << source
                    todo.append((number, source))
            for at, label in sources[number]:
                if left[at]:
                    olds = order[at][1]
                    for source in before[p].get(label, ()):
                        if olds >> source & 1 and not reached[at] >> source & 1:
                            reached[at] |= 1 << source
                            todo.append((at, source))
        return reached

    @cached_property
    def _backwards(self) -> tuple[list[list[int]], list[dict[int, list[int]]]]:
        """For each state of the old contract those with a hidden step to it, and with a visible one by its label."""
        hidden: list[list[int]] = [[] for _ in range(self.old.size)]
        visible: list[dict[int, list[int]]] = [{} for _ in range(self.old.size)]
        for source, steps in enumerate(self.old.edges):
            for label, target in steps:
                if label == TAU:
                    hidden[target].append(source)
                else:
                    visible[target].setdefault(label, []).append(source)
        return hidden, visible


def members(states: int) -> list[int]:
    """The states of a set."""
    out = []
    while states:
        low = states & -states
        out.append(low.bit_length() - 1)
        states ^= low
    return out
