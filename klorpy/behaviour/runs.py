"""Runs of a choreography, and what is ordered in them:  before(i, j),  ordered(f, m).

A *run* resolves every choice and repeats every loop 0 to n times; what remains is interactions under `;` and `|`. 0 ends
no run: what happened before it has happened. In a run, each occurrence of an interaction has an event at its sender and one at its receiver. One event is *before* another
by this alone: an interaction is sent before it is received, and of occurrences on both sides of a `;` the events *at one
role* happen in the order of the text.

`ordered(f, m)` says that the message f is consumed before m could be taken for it. It holds if f is received before m is
sent; or, with a queue for each pair of roles, if the same role sends f before m; or, with one mailbox, if f is sent before
m. When communication is direct, both events are one, and f is over before m whenever m can be offered.

Source: causality safety of Lanese et al. (2008), section 5, here with the events that queues put in order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias, assert_never

from klorpy.behaviour.terms import Alt, Chor, Com, One, Par, Recv, Scope, Send, Seq, Star, Tau, Zero, is_zero

#: Runs of one term that are looked at.
CAP = 300


class TooManyRuns(Exception):
    """A choice or a loop has more than CAP runs: control flow within this room, told as the violation `too-big`."""


@dataclass(frozen=True, slots=True)
class Steps:
    """A run: interactions and runs, one after the other or (`together`) side by side."""

    items: tuple[Run, ...]
    together: bool = False


Run: TypeAlias = Com | Steps

_EMPTY = Steps(())


def count_runs(chor: Chor, rounds: int) -> int:
    """How many runs a term has; equal ones count as often as they occur."""
    match chor:
        case One() | Zero() | Com() | Send() | Recv() | Tau():
            return 1
        case Seq(items) | Par(items):
            total = 1
            for item in items:
                total = min(total * count_runs(item, rounds), CAP + 1)
            return total
        case Alt():
            return min(sum(count_runs(item, rounds) for item in branches(chor)), CAP + 1)
        case Star(body):
            once, ways, total = count_runs(body, rounds), 1, 1
            for _ in range(rounds):
                ways = min(ways * once, CAP + 1)
                total += ways
            return min(total, CAP + 1)
        case Scope(_, _, body):
            return count_runs(body, rounds)
        case _:
            assert_never(chor)


def branches(chor: Alt) -> tuple[Chor, ...]:
    """The branches of a choice; 0 is one only if there is no other."""
    return tuple(item for item in chor.items if not is_zero(item)) or (Zero(),)


def runs(chor: Chor, rounds: int) -> list[Run]:
    """The runs of a term, loops repeated up to `rounds` times. Raises TooManyRuns."""
    if count_runs(chor, rounds) > CAP:
        raise TooManyRuns
    return list(dict.fromkeys(_runs(chor, rounds)))


def _runs(chor: Chor, rounds: int) -> Iterator[Run]:
    match chor:
        case One() | Zero() | Send() | Recv() | Tau():
            yield _EMPTY
        case Com():
            yield chor
        case Seq(items) | Par(items):
            together = isinstance(chor, Par)
            for chosen in _product([list(_runs(item, rounds)) for item in items]):
                yield Steps(tuple(chosen), together)
        case Alt():
            for item in branches(chor):
                yield from _runs(item, rounds)
        case Star(body):
            once = list(_runs(body, rounds))
            for n in range(rounds + 1):
                for chosen in _product([once] * n):
                    yield Steps(tuple(chosen))
        case Scope(_, _, body):
            yield from _runs(body, rounds)
        case _:
            assert_never(chor)


def _product(choices: list[list[Run]]) -> Iterator[list[Run]]:
    """All ways to choose one of each, the first varying slowest: `itertools.product` makes tuples of tuples."""
    sizes = [len(options) for options in choices]
    if 0 in sizes:
        return
    at = [0] * len(choices)
    while True:
        yield [options[i] for options, i in zip(choices, at, strict=True)]
        for place in range(len(choices) - 1, -1, -1):
            at[place] += 1
            if at[place] < sizes[place]:
                break
            at[place] = 0
        else:
            return


@dataclass(slots=True)
class Order:
    """The occurrences of a run from left to right, and which of some marked ones each comes after.

    Sets of events are integers with a bit for each marked occurrence and event. `sent[j]` are the events before j is
    sent, `received[j]` those before it is received; for direct communication, the occurrences that are over.
    """

    coms: list[Com]
    bit: dict[int, int]
    sent: list[int]
    received: list[int]
    #: The occurrences before which nothing of the run happens at the watched role.
    first: list[int] = field(default_factory=list)


def order_of(run: Run, *, sync: bool, marked: Iterable[tuple[str, str]], watched: str | None = None) -> Order:
    """The order of a run. Occurrences are marked by their (receiver, operation), and the first ones of `watched`."""
    ordering = _Ordering(Order([], {}, [], []), sync, frozenset(marked), watched)
    ordering.add(run)
    return ordering.order


@dataclass(slots=True)
class _Ordering:
    order: Order
    sync: bool
    marked: frozenset[tuple[str, str]]
    watched: str | None
    #: The marked events that each role knows to be past.
    known: dict[str, int] = field(default_factory=dict)
    #: Whether an occurrence of the watched role is behind.
    started: bool = False

    def add(self, run: Run) -> None:
        if isinstance(run, Com):
            self.occur(run)
        elif not run.together:
            for item in run.items:
                self.add(item)
        else:
            past, began = self.known, self.started
            together, started = dict(past), began
            for item in run.items:
                self.known, self.started = dict(past), began
                self.add(item)
                for role, events in self.known.items():
                    together[role] = together.get(role, 0) | events
                started = started or self.started
            self.known, self.started = together, started

    def occur(self, com: Com) -> None:
        order, known = self.order, self.known
        at = len(order.coms)
        order.coms.append(com)
        first = self.watched in com.roles and not self.started
        if first:
            order.first.append(at)
            self.started = True
        bits = 0
        if first or (com.receiver, com.operation) in self.marked:
            order.bit[at] = 2 * len(order.bit)
            bits = 1 << order.bit[at]
        before_sent = known.get(com.sender, 0)
        before = before_sent | known.get(com.receiver, 0)
        order.sent.append(before_sent)
        if self.sync:
            order.received.append(before)
            known[com.sender] = known[com.receiver] = before | bits | bits << 1
        else:
            order.received.append(before | bits)
            known[com.sender] = before_sent | bits
            known[com.receiver] = before | bits | bits << 1


def ordered(order: Order, f: int, m: int, *, sync: bool, buffer: str) -> bool:
    """Whether the message of occurrence f, which is marked, is consumed before m could be taken for it."""
    sent_f, received_f = 1 << order.bit[f], 2 << order.bit[f]
    if order.sent[m] & received_f:
        return True
    if sync or buffer == "pair":
        past = order.received[m] if sync else order.sent[m]
        return order.coms[f].sender == order.coms[m].sender and bool(past & sent_f)
    return buffer == "mailbox" and bool(order.sent[m] & sent_f)


def unordered(run: Run, *, sync: bool, buffer: str) -> tuple[Com, Com] | None:
    """Two occurrences with the same operation and receiver that no order keeps apart, if there are such in a run.

    What is ordered follows the text, and order is transitive among messages to one role; so it is enough to compare
    each message with the next of its kind.
    """
    kinds: dict[tuple[str, str], int] = {}
    for com in occurrences(run):
        key = (com.receiver, com.operation)
        kinds[key] = kinds.get(key, 0) + 1
    marked = [key for key, count in kinds.items() if count > 1]
    if not marked:
        return None
    order = order_of(run, sync=sync, marked=marked)
    last: dict[tuple[str, str], int] = {}
    for at, com in enumerate(order.coms):
        key = (com.receiver, com.operation)
        before = last.get(key)
        if before is not None and not ordered(order, before, at, sync=sync, buffer=buffer):
            return order.coms[before], com
        last[key] = at
    return None


def occurrences(run: Run) -> Iterator[Com]:
    """The interactions of a run from left to right."""
    todo = [run]
    while todo:
        item = todo.pop()
        if isinstance(item, Com):
            yield item
        else:
            todo.extend(reversed(item.items))
