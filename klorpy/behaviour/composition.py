"""What a system does:  S --l--> S'  and  ✓S,  when its roles communicate directly or through buffers.

Input: a system, how outputs are read, and the buffers. Output: states as integers, with their steps.

*Synchronous*: an output of one role and an input of another are one step, labelled by the interaction. *Asynchronous*:
an output puts a message into a buffer and an input takes one out of it; S is ✓ when every role is and all buffers are
empty. The buffers:

    pair      a queue for each ordered pair of roles; what may be received is the head of any queue that ends at the role
    mailbox   a queue for each receiver; what may be received is its head
    bag       no order; any message to the role may be received

A loop may fill a buffer for ever, so that an ordered pair of roles has at most `bound` messages on their way. (A bound on
all messages together would invent deadlocks.) Whether the bound was ever met is `bounded`.

Every role's contract is explored by itself and made small first; a state of the system is one integer with a field of
bits for each role and each buffer.

Source: Bravetti and Zavattaro, Contract compliance and choreography conformance in the presence of message queues (2008),
section 2, for queues; the reading of messages as a bag is that of Lanese et al. (2008), section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from klorpy.behaviour.lts import FAN, LIMIT, TAU, Edge, Labels, Lts, alive, reduce, too_many
from klorpy.behaviour.steps import Terms
from klorpy.behaviour.terms import Com, Recv, Send, System
from klorpy.core.diagnostics import KlorError

Mode: TypeAlias = Literal["committed", "patient", "async"]
Buffer: TypeAlias = Literal["pair", "mailbox", "bag"]
#: What is seen of an asynchronous system: sends, receives, or both as `Sent` and `Received`.
View: TypeAlias = Literal["sender", "receiver", "events"]

MODES: Final = ("committed", "patient", "async")
BUFFERS: Final = ("pair", "mailbox", "bag")


@dataclass(frozen=True, slots=True)
class Sent:
    """A message was put into a buffer."""

    com: Com


@dataclass(frozen=True, slots=True)
class Received:
    """A message was taken out of a buffer."""

    com: Com


def one_of(value: str, allowed: tuple[str, ...], name: str) -> None:
    """Raise KlorError `bad-argument` unless the value is one of those that are allowed."""
    if value not in allowed:
        raise KlorError(f"{name} is {value!r}", slug="bad-argument", help=f"it is one of {', '.join(allowed)}")


#: (receiver, operation, label when it is sent, label when it is received, change of the state)
Out: TypeAlias = tuple[int, str, int, int, int]


@dataclass(slots=True)
class Row:
    """What one role can do in one of its states. Targets are given as the change of the system's state."""

    taus: tuple[int, ...]
    outs: tuple[Out, ...]
    ins: dict[str, tuple[int, ...]]
    ok: bool
    #: Whether the role alone could still succeed.
    alive: bool
    #: What the role may yet send, as bits of `Composition.sends`.
    future: int
    #: It can do nothing but receive, and each operation in one way only.
    receives: bool
    #: It can do nothing but one output.
    sends: bool
    #: The only role that may send what is received here, -1 if there is none or several.
    source: int = -1
    #: Whether it may have a hidden step that commutes with whatever else can happen.
    settles: bool = False


class Composition:
    """The steps of a system. `successors` and `ok` take a state; `initial` is the first one."""

    def __init__(
        self, system: System, labels: Labels, *, mode: Mode, buffer: Buffer = "pair", bound: int = 2,
        view: View = "events", settle: bool = False, limit: int = LIMIT,
    ) -> None:  # fmt: skip
        one_of(mode, MODES, "mode")
        one_of(buffer, BUFFERS, "buffer")
        if bound < 1:
            raise KlorError(f"bound is {bound}", slug="bad-argument", help="a buffer holds at least one message")
        self.system = system
        self.roles = system.roles
        self.labels = labels
        self.asynchronous = mode == "async"
        self.buffer: Buffer = buffer
        self.bound = bound
        self.view: View = view
        #: Whether the bound on buffers kept a message out.
        self.bounded = False
        #: The number of each (receiver, operation) that is sent by some role.
        self.sends: dict[tuple[int, str], int] = {}
        self.terms: list[Terms] = []
        self.origin: list[list[int]] = []
        self.rows: list[list[Row]] = []
        self.shifts: list[int] = []
        self.masks: list[int] = []
        local = [self._local(role, mode == "committed", limit) for role in self.roles]
        shift = 0
        for lts in local:
            width = max(len(lts) - 1, 1).bit_length()
            self.shifts.append(shift)
            self.masks.append((1 << width) - 1)
            shift += width
        self.base = shift
        for i, lts in enumerate(local):
            self.rows.append(self._table(i, lts))
        self.fields = list(zip(self.rows, self.shifts, self.masks, strict=True))
        self._sources()
        self.channels: list[Channel] = []
        #: The buffer that a role's message to another goes into, and the buffers that a role receives from.
        self.into: dict[tuple[int, int], int] = {}
        self.inboxes: list[list[int]] = [[] for _ in self.roles]
        if self.asynchronous:
            self._connect()
        self.settles = settle
        self.initial = self.settle(0) if settle else 0

    # --- Preparing ---

    def _local(self, role: str, committed: bool, limit: int) -> Lts:
        terms = Terms(Labels(), committed=committed)
        lts, order = terms.explore(terms.number(self.system[role]), limit, f"the contract of {role}")
        small, old = reduce(lts)
        self.terms.append(terms)
        self.origin.append([order[state] for state in old])
        return small

    def _table(self, role: int, lts: Lts) -> list[Row]:
        known = self.terms[role].labels.known
        index = {name: i for i, name in enumerate(self.roles)}
        shift = self.shifts[role]
        good = alive(lts.edges, lts.ok)
        futures = self._futures(lts, known, index)
        rows = []
        for state, steps in enumerate(lts.edges):
            taus, outs = [], []
            ins: dict[str, list[int]] = {}
            for label, target in steps:
                change = (target - state) << shift
                leaf = known[label]
                if label == TAU:
                    taus.append(change)
                elif isinstance(leaf, Recv):
                    ins.setdefault(leaf.operation, []).append(change)
                elif isinstance(leaf, Send) and leaf.receiver in index:
                    com = Com(self.roles[role], leaf.receiver, leaf.operation)
                    outs.append((index[leaf.receiver], leaf.operation, *self._seen(com), change))
            ok = lts.ok[state]
            rows.append(
                Row(
                    tuple(taus), tuple(outs), {a: tuple(targets) for a, targets in ins.items()}, ok, bool(good[state]),
                    futures[state],
                    receives=bool(ins) and len(steps) == len(ins),
                    sends=not ok and len(steps) == 1 and len(outs) == 1,
                )
            )  # fmt: skip
        return rows

    def _seen(self, com: Com) -> tuple[int, int]:
        """The labels of a message when it is sent and when it is received."""
        if not self.asynchronous:
            return self.labels.number(com), TAU
        if self.view == "sender":
            return self.labels.number(com), TAU
        if self.view == "receiver":
            return TAU, self.labels.number(com)
        return self.labels.number(Sent(com)), self.labels.number(Received(com))

    def _futures(self, lts: Lts, known: list[object], index: dict[str, int]) -> list[int]:
        """What may be sent from each state on, as bits: a fixed point, since states of a loop have it in common."""
        sends = [0] * len(lts)
        before: list[list[int]] = [[] for _ in lts.edges]
        for state, steps in enumerate(lts.edges):
            for label, target in steps:
                before[target].append(state)
                leaf = known[label]
                if isinstance(leaf, Send) and leaf.receiver in index:
                    key = (index[leaf.receiver], leaf.operation)
                    sends[state] |= 1 << self.sends.setdefault(key, len(self.sends))
        todo = list(range(len(sends)))
        while todo:
            state = todo.pop()
            for source in before[state]:
                if sends[state] & ~sends[source]:
                    sends[source] |= sends[state]
                    todo.append(source)
        return sends

    def _sources(self) -> None:
        senders: dict[tuple[int, str], set[int]] = {}
        for key, bit in self.sends.items():
            senders[key] = {i for i, rows in enumerate(self.rows) if rows[0].future >> bit & 1}
        for j, rows in enumerate(self.rows):
            for row in rows:
                found = set().union(*(senders.get((j, a), set()) for a in row.ins))
                row.source = found.pop() if len(found) == 1 else -1
                row.settles = (row.sends and self.view == "receiver") or (row.receives and self.view == "sender")

    def _connect(self) -> None:
        for i, rows in enumerate(self.rows):
            for j in sorted({receiver for (receiver, _), bit in self.sends.items() if rows[0].future >> bit & 1}):
                source = -1 if self.buffer != "pair" else i
                at = next((c for c, channel in enumerate(self.channels) if (channel.source, channel.target) == (source, j)), None)
                if at is None:
                    at = len(self.channels)
                    shift = self.base + at * _WIDTH
                    self.channels.append(Channel(source, j, self.buffer == "bag", self.bound, shift))
                    self.inboxes[j].append(at)
                self.into[i, j] = at

    # --- Moving ---

    def ok(self, state: int) -> bool:
        return state >> self.base == 0 and all(rows[state >> shift & mask].ok for rows, shift, mask in self.fields)

    def here(self, state: int) -> list[Row]:
        """What each role can do in a state."""
        return [rows[state >> shift & mask] for rows, shift, mask in self.fields]

    def successors(self, state: int) -> list[Edge]:
        """The steps of a state; the same one may be there twice."""
        here = self.here(state)
        if not self.asynchronous:
            return self.together(state, here, range(len(here)))
        out: list[Edge] = []
        for i, row in enumerate(here):
            out += [(TAU, state + change) for change in row.taus]
            for j, operation, sent, received, change in row.outs:
                pushed = self.push(state, i, j, operation, received)
                if pushed is not None:
                    out.append((sent, pushed + change))
            if row.ins:
                out += self.receive(state, i, row)
        if self.settles:
            return [(label, self.settle(target)) for label, target in out]
        return out

    def targets(self, state: int, here: list[Row]) -> tuple[list[int], list[int]]:
        """Where hidden steps and where communications lead, when communication is direct: the inner loop of searches."""
        hidden: list[int] = []
        visible: list[int] = []
        for row in here:
            for change in row.taus:
                hidden.append(state + change)
            for j, operation, _, _, change in row.outs:
                matching = here[j].ins.get(operation)
                if matching is not None:
                    for other in matching:
                        visible.append(state + change + other)
        return hidden, visible

    def together(self, state: int, here: list[Row], members: range | list[int]) -> list[Edge]:
        """The hidden steps and the outputs of some roles, communication being direct."""
        out: list[Edge] = []
        for i in members:
            row = here[i]
            for change in row.taus:
                out.append((TAU, state + change))
            for j, operation, label, _, change in row.outs:
                targets = here[j].ins.get(operation)
                if targets is not None:
                    for other in targets:
                        out.append((label, state + change + other))
        return out

    def push(self, state: int, i: int, j: int, operation: str, label: int) -> int | None:
        """The state with a message more, None when there is no room for it."""
        channel = self.channels[self.into[i, j]]
        now = state >> channel.shift & _MASK
        then = channel.push(now, (i, operation, label))
        if then < 0:
            self.bounded = True
            return None
        return state + ((then - now) << channel.shift)

    def receive(self, state: int, j: int, row: Row) -> list[Edge]:
        out = []
        for at in self.inboxes[j]:
            channel = self.channels[at]
            now = state >> channel.shift & _MASK
            if now:
                for (_, operation, label), then in channel.pops(now):
                    for change in row.ins.get(operation, ()):
                        out.append((label, state + change + ((then - now) << channel.shift)))
        return out

    # --- Hidden steps that change nothing for anybody else ---

    def settle(self, state: int) -> int:
        """The state after all hidden steps that commute with whatever else can happen: a weakly bisimilar one.

        A role that can only receive, from one role only, takes what is at the head of the queue sooner or later, and
        nothing that the others do depends on when. The same holds for a role that can do nothing but send one message,
        unless messages of several senders are put in an order.
        """
        moved = True
        while moved:
            moved = False
            for i, row in enumerate(self.here(state)):
                if row.settles:
                    step = self.certain(state, i, row, self.view == "receiver", self.view == "sender")
                    if step is not None:
                        state = step[1]
                        moved = True
        return state

    def certain(self, state: int, i: int, row: Row, sends: bool, receives: bool) -> Edge | None:
        """A step of a role that commutes with whatever else can happen, if there is one: a send or a receive."""
        if row.sends:
            if sends and self.buffer != "mailbox":
                j, operation, sent, received, change = row.outs[0]
                pushed = self.push(state, i, j, operation, received)
                return None if pushed is None else (sent, pushed + change)
        elif row.receives and receives:
            if self.buffer == "mailbox" or (row.source >= 0 and (self.buffer == "pair" or len(row.ins) == 1)):
                found = self.receive(state, i, row)
                return found[0] if len(found) == 1 else None
        return None

    # --- Exploring ---

    def explore(self, limit: int = LIMIT) -> Lts:
        """The transition system. Raises KlorError `state-limit`."""
        numbers = {self.initial: 0}
        order = [self.initial]
        edges: list[tuple[Edge, ...]] = []
        successors = self.successors
        transitions = 0
        for state in order:
            row = []
            for label, target in successors(state):
                number = numbers.get(target)
                if number is None:
                    number = numbers[target] = len(order)
                    order.append(target)
                row.append((label, number))
            edges.append(tuple(dict.fromkeys(row)))
            transitions += len(row)
            if len(order) > limit:
                raise too_many("the system", limit)
            if transitions > FAN * limit:
                raise too_many("the system", limit, transitions=True)
        return Lts(edges, [self.ok(state) for state in order])

    def situation(self, state: int) -> dict[str, str]:
        """What each role has left to do in a state."""
        return {
            role: self.terms[i].text(self.origin[i][state >> self.shifts[i] & self.masks[i]])
            for i, role in enumerate(self.roles)
        }

    def waiting(self, state: int) -> list[Com]:
        """The messages that are on their way in a state."""
        return [
            Com(self.roles[i], self.roles[channel.target], operation)
            for channel in self.channels
            for i, operation, _ in channel.contents[state >> channel.shift & _MASK]
        ]


#: Bits for the state of a buffer.
_WIDTH: Final = 20
_MASK: Final = (1 << _WIDTH) - 1

#: (sender, operation, label when it is received)
Parcel: TypeAlias = tuple[int, str, int]


class Channel:
    """A buffer: its contents so far, as numbers from 0, which is empty. `source` is -1 if any role may send into it."""

    __slots__ = ("_pops", "_pushes", "bag", "bound", "contents", "numbers", "shift", "source", "target")

    def __init__(self, source: int, target: int, bag: bool, bound: int, shift: int) -> None:
        self.source = source
        self.target = target
        self.bag = bag
        self.bound = bound
        self.shift = shift
        self.contents: list[tuple[Parcel, ...]] = [()]
        self.numbers: dict[tuple[Parcel, ...], int] = {(): 0}
        self._pushes: dict[tuple[int, Parcel], int] = {}
        self._pops: dict[int, tuple[tuple[Parcel, int], ...]] = {}

    def _number(self, content: tuple[Parcel, ...]) -> int:
        number = self.numbers.get(content)
        if number is None:
            number = self.numbers[content] = len(self.contents)
            if number > _MASK:
                raise too_many("a buffer", _MASK)
            self.contents.append(content)
        return number

    def push(self, now: int, parcel: Parcel) -> int:
        """The contents with a message more, -1 when there is no room."""
        then = self._pushes.get((now, parcel))
        if then is None:
            content = self.contents[now]
            if sum(sender == parcel[0] for sender, _, _ in content) >= self.bound:
                then = -1
            else:
                longer = (*content, parcel)
                then = self._number(tuple(sorted(longer)) if self.bag else longer)
            self._pushes[now, parcel] = then
        return then

    def pops(self, now: int) -> tuple[tuple[Parcel, int], ...]:
        """What can be taken out, each with the contents that stay."""
        found = self._pops.get(now)
        if found is None:
            content = self.contents[now]
            places = range(len(content)) if self.bag else range(1)
            found = tuple({content[p]: self._number(content[:p] + content[p + 1 :]) for p in places}.items())
            self._pops[now] = found
        return found
