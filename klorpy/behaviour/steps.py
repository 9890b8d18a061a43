"""What a term can do next:  H --l--> H'  and  ✓H.

Input: choreographies or contracts (`klorpy.behaviour.terms`). Output: their transition systems (`klorpy.behaviour.lts`).
The label of a step is the leaf that does it: `Com`, `Recv`, `Send`, or `TAU`.

An output is read in one of two ways. *Patient*: `(send s a)` is offered and can be passed over. *Committed*: first a
hidden step decides for it; the pending output that remains can neither be withdrawn nor skipped, and is not ✓.

Terms are integers of a table here, and equal up to the laws of units, associativity of `;`, commutativity and
associativity of `|` and `+`, and idempotence of `+`. All of these are sound up to strong bisimilarity, and with them
every term has finitely many derivatives. `1 + P` stays, of course: 1 may terminate.

Source: the papers' calculus; a predicate ✓ replaces their tick, after which nothing is ever observed.
"""

from __future__ import annotations

from bisect import insort
from typing import Final, TypeAlias, assert_never

from klorpy.behaviour.arguments import checked
from klorpy.behaviour.lts import FAN, LIMIT, TAU, Edge, Labels, Lts, bisimilar, too_many
from klorpy.behaviour.terms import Alt, Com, One, Par, Recv, Scope, Send, Seq, Star, Tau, Term, Zero
from klorpy.core.diagnostics import KlorError

_ONE, _ZERO, _LEAF, _PENDING, _SEQ, _ALT, _PAR, _STAR = range(8)
#: The numbers of the constants.
ONE: Final = 0
ZERO: Final = 1

#: Parts of all terms of a table together: some hundred megabytes.
_WEIGHT: Final = 30_000_000

_Node: TypeAlias = tuple[int, ...]


class Terms:
    """A table of terms in normal form; `ok[t]` is ✓t, `steps(t)` are the steps of t."""

    def __init__(self, labels: Labels, *, committed: bool = False) -> None:
        self.labels = labels
        self.committed = committed
        self.nodes: list[_Node] = [(_ONE,), (_ZERO,)]
        self.ok: list[bool] = [True, False]
        self._numbers: dict[_Node, int] = {(_ONE,): ONE, (_ZERO,): ZERO}
        self._steps: dict[int, tuple[Edge, ...]] = {ONE: (), ZERO: ()}
        self._weight = 0
        #: What is explored, for errors.
        self.what = "the term"

    # --- Building ---

    def _node(self, node: _Node, ok: bool) -> int:
        number = self._numbers.get(node)
        if number is None:
            number = self._numbers[node] = len(self.nodes)
            self.nodes.append(node)
            self.ok.append(ok)
            self._weight += len(node)
            if self._weight > _WEIGHT:
                raise KlorError(
                    f"the terms that {self.what} turns into are too large together", slug="state-limit",
                    help="put less in parallel: every part multiplies the states",
                )  # fmt: skip
        return number

    def number(self, term: Term) -> int:
        """The number of a term in normal form."""
        match term:
            case One():
                return ONE
            case Zero():
                return ZERO
            case Tau():
                return self._node((_LEAF, TAU), False)
            case Com() | Send() | Recv():
                return self._node((_LEAF, self.labels.number(term)), False)
            case Seq(items):
                out = ONE
                for item in reversed([self.number(item) for item in items]):
                    out = self.seq(item, out)
                return out
            case Alt(items):
                return self.alt([self.number(item) for item in items])
            case Par(items):
                return self.par([self.number(item) for item in items])
            case Star(body):
                return self.star(self.number(body))
            case Scope(_, _, body):
                return self.number(body)
            case _:
                assert_never(term)

    def seq(self, first: int, second: int) -> int:
        # The head of a `;` is never a `;` itself.
        heads = []
        node = self.nodes[first]
        while node[0] == _SEQ:
            _, head, first = node
            heads.append(head)
            node = self.nodes[first]
        heads.append(first)
        for head in reversed(heads):
            if head == ONE:
                continue
            if head == ZERO:
                second = ZERO
            elif second == ONE:
                second = head
            else:
                second = self._node((_SEQ, head, second), self.ok[head] and self.ok[second])
        return second

    def alt(self, items: list[int]) -> int:
        flat: set[int] = set()
        for item in items:
            node = self.nodes[item]
            flat.update(node[1:] if node[0] == _ALT else node[:0] if item == ZERO else (item,))
        if len(flat) < 2:
            return flat.pop() if flat else ZERO
        return self._node((_ALT, *sorted(flat)), any(self.ok[item] for item in flat))

    def summands(self, term: int) -> frozenset[int]:
        """The terms that a term is a choice of."""
        kind, *below = self.nodes[term]
        return frozenset(below if kind == _ALT else () if kind == _ZERO else (term,))

    def par(self, items: list[int]) -> int:
        flat: list[int] = []
        for item in items:
            node = self.nodes[item]
            flat.extend(node[1:] if node[0] == _PAR else node[:0] if item == ONE else (item,))
        if len(flat) < 2:
            return flat[0] if flat else ONE
        flat.sort()
        return self._node((_PAR, *flat), all(self.ok[item] for item in flat))

    def star(self, body: int) -> int:
        return ONE if body in (ONE, ZERO) else self._node((_STAR, body), True)

    # --- Stepping ---

    def steps(self, term: int) -> tuple[Edge, ...]:
        """The steps of a term, each once. A stack of its own: a `;` of things that may all be skipped is as deep as long."""
        memo = self._steps
        todo = [term]
        while todo:
            number = todo[-1]
            if number not in memo:
                missing = [below for below in self._below(number) if below not in memo]
                if missing:
                    todo += missing
                    continue
                memo[number] = tuple(dict.fromkeys(self._derive(number)))
            todo.pop()
        return memo[term]

    def _below(self, number: int) -> tuple[int, ...]:
        """The terms whose steps are steps of this one."""
        kind, *below = self.nodes[number]
        if kind == _SEQ:
            return (below[0], below[1]) if self.ok[below[0]] else (below[0],)
        return tuple(below) if kind in (_ALT, _PAR, _STAR) else ()

    def _derive(self, number: int) -> list[Edge]:
        kind, *below = self.nodes[number]
        memo = self._steps
        if kind == _LEAF:
            label = below[0]
            if self.committed and isinstance(self.labels.known[label], Send):
                return [(TAU, self._node((_PENDING, label), False))]
            return [(label, ONE)]
        if kind == _PENDING:
            return [(below[0], ONE)]
        if kind == _SEQ:
            head, rest = below
            out = [(label, self.seq(target, rest)) for label, target in memo[head]]
            return out + list(memo[rest]) if self.ok[head] else out
        if kind == _ALT:
            return [step for item in below for step in memo[item]]
        if kind == _PAR:
            return self._interleave(below)
        return [(label, self.seq(target, number)) for label, target in memo[below[0]]]

    def _interleave(self, items: list[int]) -> list[Edge]:
        """The steps of a `|`, whose parts are sorted."""
        memo = self._steps
        waiting = sum(not self.ok[item] for item in items)
        out: list[Edge] = []
        for at, item in enumerate(items):
            for label, target in memo[item]:
                others = items[:at] + items[at + 1 :]
                if self.nodes[target][0] == _PAR or len(others) < 2:
                    out.append((label, self.par([*others, target])))
                    continue
                if target != ONE:
                    insort(others, target)
                ok = self.ok[target] and waiting == (not self.ok[item])
                out.append((label, self._node((_PAR, *others), ok)))
        return out

    # --- Exploring ---

    def explore(self, root: int, limit: int = LIMIT, what: str = "the term") -> tuple[Lts, list[int]]:
        """The transition system of a term, and the term of each state. Raises KlorError `state-limit`."""
        self.what = what
        states = {root: 0}
        order = [root]
        edges: list[tuple[Edge, ...]] = []
        transitions = 0
        for term in order:
            row = []
            for label, target in self.steps(term):
                state = states.get(target)
                if state is None:
                    state = states[target] = len(order)
                    order.append(target)
                    if state >= limit:
                        raise too_many(what, limit)
                row.append((label, state))
            edges.append(tuple(row))
            transitions += len(row)
            if transitions > FAN * limit:
                raise too_many(what, limit, transitions=True)
            if self.nodes[term][0] == _PAR:
                del self._steps[term]  # large, and hardly ever a part of something else
        return Lts(edges, [self.ok[term] for term in order]), order

    def text(self, number: int) -> str:
        """A term as an s-expression; a pending output in angle brackets."""
        kind, *below = self.nodes[number]
        if kind in (_ONE, _ZERO):
            return "1" if kind == _ONE else "0"
        if kind == _LEAF:
            return str(self.labels.known[below[0]] or "tau")
        if kind == _PENDING:
            return f"<{self.labels.known[below[0]]}>"
        parts: list[str] = []
        if kind == _SEQ:
            while kind == _SEQ and len(parts) < _SHOWN:
                parts.append(self.text(below[0]))
                number = below[1]
                kind, *below = self.nodes[number]
            parts.append("…" if kind == _SEQ else self.text(number))
            return f"(seq {' '.join(parts)})"
        word = {_ALT: "alt", _PAR: "par", _STAR: "star"}[kind]
        return f"({' '.join([word, *map(self.text, below)])})"


#: Steps of a long `;` that a report shows.
_SHOWN: Final = 6


def lts_of(
    term: Term, labels: Labels, *, committed: bool = False, limit: int = LIMIT, what: str = "the choreography"
) -> Lts:
    """The transition system of a term over a table of labels.

    >>> labels = Labels()
    >>> lts = lts_of(Seq((Com("r", "s", "a"), Star(Com("r", "s", "b")))), labels)
    >>> lts.edges, lts.ok
    ([((1, 1),), ((2, 1),)], [False, True])
    """
    terms = Terms(labels, committed=committed)
    return terms.explore(terms.number(term), limit, what)[0]


@checked
def same_behaviour(left: Term, right: Term, *, limit: int = LIMIT) -> bool:
    """Whether two terms are strongly bisimilar, outputs being patient.

    >>> same_behaviour(Seq((Send("s", "a"), One())), Send("s", "a"))
    True
    """
    labels = Labels()
    return bisimilar(lts_of(left, labels, limit=limit), lts_of(right, labels, limit=limit))
