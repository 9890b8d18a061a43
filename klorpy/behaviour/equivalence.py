"""Whether a choreography and its projection do the same:  H ≈c project(H),  for each observation criterion c.

    criterion   communication   what is observed
    sync        synchronous     the interaction
    sender      asynchronous    that a message is sent
    receiver    asynchronous    that a message is received
    sr          asynchronous    both of the last two hold

Output: a verdict with a shortest trace after which they differ. *Fair trace equality* is meant: after every trace w
that one of them has, so has the other; one may be successful after w iff the other may; and one may be stuck after w, that is
unable ever to succeed, iff the other may. The last excludes new deadlocks and livelocks, on the assumption of fairness.
Weak bisimilarity is finer, and too fine for `receiver`: a hidden send may decide what is received. It is told too.

Source: Lanese et al. (2008), section 4, for the criteria; the equivalence is should-testing's view of deterministic
observers, computed on the two subset automata in lock step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal, TypeAlias

from klorpy.behaviour.arguments import checked
from klorpy.behaviour.canonical import project
from klorpy.behaviour.composition import BUFFERS, Buffer, Composition, View, one_of
from klorpy.behaviour.conditions import Violation, well_formed
from klorpy.behaviour.lts import LIMIT, TAU, Labels, Lts, alive, bisimilar, weakly_bisimilar
from klorpy.behaviour.notation import interaction
from klorpy.behaviour.steps import lts_of
from klorpy.behaviour.terms import Chor, Com, System
from klorpy.core.diagnostics import KlorError

Criterion: TypeAlias = Literal["sync", "sender", "receiver", "sr"]
CRITERIA: Final = ("sync", "sender", "receiver", "sr")

#: What differs: the traces, success after a trace, or being stuck after a trace.
Difference: TypeAlias = Literal["traces", "success", "stuck"]


@dataclass(frozen=True, slots=True)
class Distinction:
    """After `trace` the two differ. For `traces`, only one of them can do the last interaction of `trace`."""

    kind: Difference
    trace: tuple[Com, ...]
    #: Whether it is the projection that can do what the choreography cannot.
    projection: bool

    def __str__(self) -> str:
        who, other = ("the projection", "the choreography") if self.projection else ("the choreography", "the projection")
        past = self.trace[:-1] if self.kind == "traces" else self.trace
        after = f"after {', '.join(map(interaction, past))}, " if past else ("" if self.kind == "traces" else "at the start, ")
        match self.kind:
            case "traces":
                return f"{after}{who} can do {interaction(self.trace[-1])}, {other} cannot"
            case "success":
                return f"{after}{who} may end, {other} may not"
            case "stuck":
                return f"{after}{who} may be stuck for ever, {other} may not"


@dataclass(frozen=True)
class Equivalence:
    """Whether a choreography and its projection agree; see `equivalent`.

    `holds` is None when the static conditions alone were asked and do not hold: they are sufficient, not necessary.
    """

    chor: Chor = field(repr=False)
    criterion: Criterion
    buffer: Buffer | None
    bound: int | None
    mode: Literal["exact", "static"]
    holds: bool | None
    witness: Distinction | None = None
    #: Where in the `sr` criterion the witness belongs: "sender" or "receiver".
    view: str = ""
    #: Whether the bound kept messages out of the buffers, so that a positive verdict holds up to the bound only.
    bounded: bool = False
    violations: tuple[Violation, ...] = ()
    #: States that were built: of the choreography, and of its projection.
    states: tuple[int, int] = (0, 0)
    limit: int = field(default=LIMIT, repr=False)

    def __bool__(self) -> bool:
        return self.holds is True

    @cached_property
    def bisimilar(self) -> bool:
        """Whether they are even bisimilar: strongly for `sync`, else weakly. Computed when it is first asked."""
        if self.criterion == "sync":
            labels = Labels()
            return bisimilar(lts_of(self.chor, labels, limit=self.limit), self._system("events", labels))
        views: tuple[View, ...] = ("sender", "receiver") if self.criterion == "sr" else (self.criterion,)
        return all(self._weakly(view) for view in views)

    def _weakly(self, view: View) -> bool:
        labels = Labels()
        return weakly_bisimilar(lts_of(self.chor, labels, limit=self.limit), self._system(view, labels), self.limit)

    def _system(self, view: View, labels: Labels) -> Lts:
        return composed(self.chor, view, labels, self.buffer, self.bound, self.limit).explore(self.limit)

    def __str__(self) -> str:
        how = f"{self.criterion}, {self.buffer} buffers" if self.buffer else self.criterion
        if self.mode == "static":
            if self.holds:
                return f"equivalent ({how}): the static conditions hold"
            return "\n".join([f"unknown ({how}): static conditions are violated", *(f"  {v}" for v in self.violations)])
        if self.holds:
            bound = f", with at most {self.bound} messages for each pair of roles" if self.bounded else ""
            return f"equivalent ({how}{bound}): {self.states[0]} and {self.states[1]} states"
        seen = f" as {self.view}s see it" if self.view else ""
        return f"not equivalent ({how}){seen}: {self.witness}"


@checked
def equivalent(
    chor: Chor, criterion: Criterion = "sync", *, buffer: Buffer = "pair", bound: int = 2,
    mode: Literal["exact", "static"] = "exact", limit: int = LIMIT,
) -> Equivalence:  # fmt: skip
    """Whether a choreography and its projection do the same, as the criterion sees it.

    `mode` "exact" explores both, with at most `bound` messages for each ordered pair of roles; "static" asks the
    sufficient conditions only (`well_formed`). Raises KlorError `state-limit` beyond `limit` states.

    >>> from klorpy.behaviour.notation import parse_choreography
    >>> print(equivalent(parse_choreography("(seq (com r s a) (com r u b))"), "receiver"))
    not equivalent (receiver, pair buffers): the projection can do b: r→u, the choreography cannot
    """
    one_of(criterion, CRITERIA, "criterion")
    one_of(buffer, BUFFERS, "buffer")
    one_of(mode, ("exact", "static"), "mode")
    used = None if criterion == "sync" else buffer
    if mode == "static":
        violations = well_formed(chor, criterion, buffer)
        return Equivalence(chor, criterion, used, None, "static", None if violations else True, violations=violations)
    views: tuple[View, ...]
    if criterion == "sync":
        views = ("events",)
    elif criterion == "sr":
        views = ("sender", "receiver")
    else:
        views = (criterion,)
    bounded = False
    states = (0, 0)
    for view in views:
        labels = Labels()
        specification = lts_of(chor, labels, limit=limit)
        composition = composed(chor, view, labels, used, bound, limit)
        implementation = composition.explore(limit)
        bounded = bounded or composition.bounded
        states = (len(specification), max(states[1], len(implementation)))
        witness = compare(specification, implementation, labels)
        if witness is not None:
            seen = view if criterion == "sr" else ""
            return Equivalence(
                chor, criterion, used, bound if used else None, "exact", False, witness, seen, bounded, states=states, limit=limit
            )
    return Equivalence(
        chor, criterion, used, bound if used else None, "exact", True, bounded=bounded, states=states, limit=limit
    )


def composed(
    chor: Chor, view: View, labels: Labels, buffer: Buffer | None, bound: int | None, limit: int
) -> Composition:
    """The projection as `equivalent` explores it: outputs are patient. Without a buffer it is synchronous."""
    system = project(chor)
    if not system.contracts:
        # Nobody takes part, so one silent role stands for all: 0 stays 0.
        system = System((("nobody", chor),))
    if buffer is None:
        return Composition(system, labels, mode="patient", limit=limit)
    most = 1 if bound is None else bound
    return Composition(system, labels, mode="async", buffer=buffer, bound=most, view=view, settle=True, limit=limit)


# --- Fair trace equality ----------------------------------------------------------------------------------------------


class Subsets:
    """The subset automaton of a system: its states are the sets of states that one trace leads to."""

    def __init__(self, lts: Lts) -> None:
        self.ok = lts.ok
        live = alive(lts.edges, lts.ok)
        self.dead = [not flag for flag in live]
        self.hidden = [[target for label, target in steps if label == TAU] for steps in lts.edges]
        self.visible = [[step for step in steps if step[0] != TAU] for steps in lts.edges]

    def closed(self, states: dict[int, None]) -> frozenset[int]:
        """With all that hidden steps lead to."""
        hidden = self.hidden
        todo = [state for state in states if hidden[state]]
        while todo:
            for target in hidden[todo.pop()]:
                if target not in states:
                    states[target] = None
                    if hidden[target]:
                        todo.append(target)
        return frozenset(states)

    def after(self, states: frozenset[int]) -> dict[int, frozenset[int]]:
        """Where each label leads."""
        targets: dict[int, dict[int, None]] = {}
        for state in states:
            for label, target in self.visible[state]:
                targets.setdefault(label, {})[target] = None
        return {label: self.closed(found) for label, found in targets.items()}

    def may_end(self, states: frozenset[int]) -> bool:
        return any(self.ok[state] for state in states)

    def may_be_stuck(self, states: frozenset[int]) -> bool:
        return any(self.dead[state] for state in states)


def compare(left: Lts, right: Lts, labels: Labels) -> Distinction | None:
    """A shortest trace after which a choreography and a projection differ; None if there is none."""
    first, second = Subsets(left), Subsets(right)
    start = (first.closed({0: None}), second.closed({0: None}))
    parents: dict[tuple[frozenset[int], frozenset[int]], tuple[tuple[frozenset[int], frozenset[int]], int] | None]
    parents = {start: None}
    order = [start]

    def trace(pair: tuple[frozenset[int], frozenset[int]], last: int = 0) -> tuple[Com, ...]:
        out = [last] if last else []
        step = parents[pair]
        while step is not None:
            pair, label = step
            out.append(label)
            step = parents[pair]
        return tuple(com for label in reversed(out) if isinstance(com := labels.known[label], Com))

    for pair in order:
        xs, ys = pair
        one, two = first.after(xs), second.after(ys)
        if one.keys() != two.keys():
            label = min(one.keys() ^ two.keys())
            return Distinction("traces", trace(pair, label), label in two)
        if first.may_end(xs) != second.may_end(ys):
            return Distinction("success", trace(pair), second.may_end(ys))
        if first.may_be_stuck(xs) != second.may_be_stuck(ys):
            return Distinction("stuck", trace(pair), second.may_be_stuck(ys))
        for label in sorted(one):
            following = (one[label], two[label])
            if following not in parents:
                parents[following] = (pair, label)
                order.append(following)
    return None


# --- Conversations ----------------------------------------------------------------------------------------------------


@checked
def completed_traces(chor: Chor, length: int | None = None, limit: int = 10_000) -> list[tuple[Com, ...]]:
    """The completed conversations of a choreography, sorted by their operations; up to a length, if one is given.

    Raises KlorError `state-limit` when there are more than `limit`, and `bad-argument` when a loop makes them endless
    and no length is given.

    >>> from klorpy.behaviour.notation import parse_choreography
    >>> [[com.operation for com in trace] for trace in completed_traces(parse_choreography("(par (com r s a) (com t u b))"))]
    [['a', 'b'], ['b', 'a']]
    """
    labels = Labels()
    lts = lts_of(chor, labels)
    live = alive(lts.edges, lts.ok)
    if length is None and _loops(lts, live):
        raise KlorError(
            "the choreography has a loop, so that it has endlessly many conversations", slug="bad-argument",
            help="pass length=…, the number of interactions that they have at most",
        )  # fmt: skip
    subsets = Subsets(lts)
    found: list[tuple[Com, ...]] = []
    todo: list[tuple[frozenset[int], tuple[Com, ...]]] = [(frozenset({0}), ())] if live[0] else []
    while todo:
        states, trace = todo.pop()
        if subsets.may_end(states):
            found.append(trace)
        if len(found) + len(todo) > limit:
            raise KlorError(
                f"the choreography has more than {limit:,} conversations", slug="state-limit",
                help="pass a larger limit=…, or a smaller length=…",
            )  # fmt: skip
        if length is None or len(trace) < length:
            for label, targets in subsets.after(states).items():
                kept = frozenset(state for state in targets if live[state])
                com = labels.known[label]
                if kept and isinstance(com, Com):
                    todo.append((kept, (*trace, com)))
    return sorted(found, key=lambda trace: [(com.operation, com) for com in trace])


def _loops(lts: Lts, live: Sequence[int]) -> bool:
    """Whether there is a cycle of live states: what remains when states without a predecessor are taken away."""
    before = [0] * len(lts)
    for state, steps in enumerate(lts.edges):
        for _, target in steps:
            before[target] += bool(live[state])
    todo = [state for state in range(len(lts)) if live[state] and not before[state]]
    gone = len(todo)
    while todo:
        for _, target in lts.edges[todo.pop()]:
            before[target] -= 1
            if live[target] and not before[target]:
                todo.append(target)
                gone += 1
    return gone < sum(live)
