"""Generators of protocols and of choreographies of the global calculus that follow them.

    global_type(random)        a well-formed type
    session_program(random)    a well-typed choreography, whose conditionals are announced, with its protocols

A choreography is generated with what remains of every open session at hand, so that each step is one that is typed: a
session is started, or goes on; a conditional begins with the selections that tell its branches apart, perhaps behind
communications that both branches have; a loop is closed where its sessions are again as they were.

All choices are made by the `random.Random` that is given: a seeded one, or one that Hypothesis shrinks.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from klorpy.behaviour.globalcalculus import (
    NIL,
    Apply,
    Call,
    Chor,
    Com,
    Cond,
    Expr,
    Interaction,
    Literal,
    Player,
    Rec,
    Sel,
    Start,
    Thread,
    Variable,
    before,
)
from klorpy.behaviour.globaltype import Choice, Continue, GlobalType, Item, Message, Protocol, branching, message
from klorpy.behaviour.globaltype import Rec as Mu
from klorpy.behaviour.regular import Communication, End, Tree
from klorpy.behaviour.wellformed import tree_of

ROLES: Final = ("A", "B", "C", "D")
THREADS: Final = ("t", "u", "v", "w")
LABELS: Final = ("l", "r", "ok", "quit")
SORTS: Final = ("str", "int", "bool")


@dataclass(frozen=True)
class SessionProgram:
    """A choreography and the protocols of its public channels."""

    chor: Chor
    channels: Mapping[str, Protocol]

    @property
    def text(self) -> str:
        protocols = "\n".join(f"{channel}: {protocol.text}" for channel, protocol in self.channels.items())
        return f"{protocols}\n{self.chor}"


# --- Types ------------------------------------------------------------------------------------------------------------


def global_type(source: random.Random, roles: tuple[str, ...] = ROLES[:3], size: int = 6) -> GlobalType:
    """A well-formed type in which every loop can be left.

    >>> from klorpy.behaviour.wellformed import check
    >>> check(Protocol("P", ROLES[:3], global_type(random.Random(1))))
    """
    return GlobalType(tuple(_items(source, roles, size, ())))


def _items(source: random.Random, roles: tuple[str, ...], size: int, bound: tuple[str, ...]) -> list[Item]:
    out: list[Item] = []
    while size > 0:
        kind = source.randrange(10)
        sender, receiver = source.sample(roles, 2)
        if kind < 6:
            out.append(message(sender, receiver, source.choice(SORTS)))
            size -= 1
        elif kind < 9:
            out.append(_choice(source, roles, size - 1, bound, sender, receiver))
            return out
        elif size > 2 and len(bound) < 2:
            variable = f"t{len(bound)}"
            out.append(Mu(variable, GlobalType((_choice(source, roles, size - 2, (*bound, variable), sender, receiver),))))
            return out
        else:
            size -= 1
    return out


def _choice(
    source: random.Random, roles: tuple[str, ...], size: int, bound: tuple[str, ...], sender: str, receiver: str
) -> Item:
    labels = source.sample(LABELS, source.randint(1, 3))
    branches: dict[str, GlobalType] = {}
    for i, label in enumerate(labels):
        body = _items(source, roles, size // len(labels), bound)
        # The first branch leaves, so that the end is near from everywhere.
        ends = not body or isinstance(body[-1], Message)
        if bound and i and ends and source.randrange(2):
            body.append(Continue(source.choice(bound)))
        branches[label] = GlobalType(tuple(body))
    return branching(sender, receiver, branches)


def any_choice(type_: GlobalType) -> bool:
    """Whether there is a choice in a type."""
    return any(isinstance(item, (Choice, Mu)) for item in type_.items)


# --- Choreographies ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Open:
    """A session that is open."""

    channel: str
    tree: Tree = field(compare=False)
    node: int
    owners: Mapping[str, Thread] = field(compare=False)

    @property
    def ended(self) -> bool:
        return isinstance(self.tree.nodes[self.node], End)


#: What is in scope of a loop: its sessions when it began.
_Loops = tuple[tuple[str, Mapping[str, _Open]], ...]


def session_program(source: random.Random, size: int = 10) -> SessionProgram:
    """A well-typed choreography of about `size` interactions.

    >>> from klorpy.behaviour import typecheck
    >>> program = session_program(random.Random(7))
    >>> typecheck(program.chor, program.channels).open_sessions > 0
    True
    """
    channels: dict[str, Protocol] = {}
    for i in range(source.randint(1, 3)):
        roles = ROLES[: source.randint(2, 3)]
        type_ = global_type(source, roles, source.randint(1, 5))
        channels["abc"[i]] = Protocol(f"P{i}", roles, type_)
    return SessionProgram(_Generator(source, channels).chor(size), channels)


def session_program_of(seed: int, size: int = 10) -> SessionProgram:
    """The program that a seed means.

    >>> session_program_of(3).text == session_program_of(3).text
    True
    """
    return session_program(random.Random(seed), size)


class _Generator:
    def __init__(self, source: random.Random, channels: Mapping[str, Protocol]) -> None:
        self.source = source
        self.channels = channels
        self.trees = {channel: tree_of(protocol) for channel, protocol in channels.items()}
        self.exits = {channel: _distances(tree) for channel, tree in self.trees.items()}
        self.count = 0

    def fresh(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}{self.count}"

    def chor(self, size: int) -> Chor:
        return self.body({}, {}, size, (), False)

    def body(
        self, sessions: dict[str, _Open], variables: dict[Thread, dict[str, str]], size: int, loops: _Loops, guarded: bool
    ) -> Chor:
        """A choreography from here to its end. `guarded`: something was sent since the innermost loop began."""
        steps: list[Interaction] = []
        while size > 0:
            kind = self.source.randrange(12)
            going = [name for name, session in sessions.items() if not session.ended]
            if (not going and kind < 9) or (kind < 3 and len(going) < 3):
                steps.append(self.start(sessions))
                size -= 1
            elif kind < 9:
                name = self.source.choice(going)
                branches = self.branches(sessions[name])
                if len(branches) > 1 and self.source.randrange(3):
                    return before(tuple(steps), self.conditional(name, sessions, variables, size, loops))
                steps.append(self.go(name, self.source.randrange(len(branches)), sessions, variables))
                guarded = True
                size -= 1
            elif kind == 9 and len(loops) < 2 and size > 3:
                variable = self.fresh("X")
                inner = self.body(dict(sessions), variables, size - 2, (*loops, (variable, dict(sessions))), False)
                return before(tuple(steps), Chor((), Rec(variable, inner)))
            elif kind == 10 and loops and guarded:
                break
            else:
                size -= 1
        return before(tuple(steps), self.close(sessions, variables, loops, guarded))

    def start(self, sessions: dict[str, _Open]) -> Start:
        channel = self.source.choice(sorted(self.channels))
        roles = self.channels[channel].roles
        threads = self.source.sample(THREADS, len(roles))
        players = [Player(thread, role) for thread, role in zip(threads, roles, strict=True)]
        self.source.shuffle(players)
        name = self.fresh("k")
        tree = self.trees[channel]
        sessions[name] = _Open(channel, tree, tree.root, {player.role: player.thread for player in players})
        return Start(channel, name, tuple(players))

    def branches(self, session: _Open) -> tuple[int, ...]:
        node = session.tree.nodes[session.node]
        assert isinstance(node, Communication)
        return tuple(target for _, target in node.branches)

    def go(
        self, name: str, branch: int, sessions: dict[str, _Open], variables: dict[Thread, dict[str, str]]
    ) -> Interaction:
        """The next interaction of a session, along one of its branches."""
        session = sessions[name]
        node = session.tree.nodes[session.node]
        assert isinstance(node, Communication)
        content, target = node.branches[branch]
        sessions[name] = _Open(session.channel, session.tree, target, session.owners)
        sender = Player(session.owners[node.sender], node.sender)
        receiver = Player(session.owners[node.receiver], node.receiver)
        if content.label is not None:
            return Sel(name, sender, receiver, content.label)
        [sort] = content.payload
        expr = self.expression(sort, variables.get(sender.thread, {}))
        variable = self.fresh("x")
        variables.setdefault(receiver.thread, {})[variable] = sort
        return Com(name, sender, expr, receiver, variable)

    def expression(self, sort: str, variables: Mapping[str, str]) -> Expr:
        fitting = [name for name, known in variables.items() if known == sort]
        if fitting and self.source.randrange(2):
            return Variable(self.source.choice(fitting))
        number = self.source.randrange(100)
        values: dict[str, str | int | bool] = {"str": f"s{number}", "int": number, "bool": number % 2 == 0}
        return Literal(values[sort])

    def conditional(
        self, name: str, sessions: dict[str, _Open], variables: dict[Thread, dict[str, str]], size: int, loops: _Loops
    ) -> Chor:
        """A conditional whose branches begin with different selections of one session, behind what both have."""
        session = sessions[name]
        node = session.tree.nodes[session.node]
        assert isinstance(node, Communication)
        decides = session.owners[node.sender]
        shared: list[Interaction] = []
        others = [n for n, s in sessions.items() if n != name and not s.ended]
        if others and not self.source.randrange(4):
            other = self.source.choice(others)
            if len(self.branches(sessions[other])) == 1:
                shared.append(self.go(other, 0, sessions, variables))
        one, two = self.source.sample(range(len(node.branches)), 2)
        parts = []
        for branch in (one, two):
            inner, known = dict(sessions), {thread: dict(names) for thread, names in variables.items()}
            step = self.go(name, branch, inner, known)
            parts.append(before((*shared, step), self.body(inner, known, (size - 1) // 2, loops, True)))
        return Chor((), Cond(Apply(self.fresh("flip")), decides, parts[0], parts[1]))

    def close(
        self, sessions: dict[str, _Open], variables: dict[Thread, dict[str, str]], loops: _Loops, guarded: bool
    ) -> Chor:
        """The end: sessions go on to theirs, or a loop starts again when its sessions are where they were."""
        again = [
            (variable, recorded) for variable, recorded in loops if all(sessions[name] == was for name, was in recorded.items())
        ]
        if again and guarded and self.source.randrange(4):
            variable, recorded = self.source.choice(again)
            steps = self.finish(sessions, variables, frozenset(recorded))
            return Chor(tuple(steps), Call(variable))
        return Chor(tuple(self.finish(sessions, variables, frozenset())), NIL)

    def finish(
        self, sessions: dict[str, _Open], variables: dict[Thread, dict[str, str]], keep: frozenset[str]
    ) -> list[Interaction]:
        steps: list[Interaction] = []
        going = [name for name, session in sessions.items() if not session.ended and name not in keep]
        while going:
            name = self.source.choice(going)
            session = sessions[name]
            exits = self.exits[session.channel]
            targets = self.branches(session)
            steps.append(self.go(name, min(range(len(targets)), key=lambda i: exits[targets[i]]), sessions, variables))
            if sessions[name].ended:
                going.remove(name)
        return steps


def _distances(tree: Tree) -> list[int]:
    """For each node how far the end is; every node of a generated type can come to it."""
    far = len(tree.nodes) + 1
    distances = [0 if isinstance(node, End) else far for node in tree.nodes]
    changed = True
    while changed:
        changed = False
        for at, node in enumerate(tree.nodes):
            if isinstance(node, Communication):
                best = 1 + min(distances[target] for _, target in node.branches)
                if best < distances[at]:
                    distances[at], changed = best, True
    assert far not in distances
    return distances


# --- Hosts ------------------------------------------------------------------------------------------------------------


def flips(seed: int) -> Mapping[str, Callable[[], bool]]:
    """The functions of the host that generated conditionals call: equal seeds decide alike, whoever asks when.

    >>> [flips(1)["flip3"]() for _ in range(3)] == [flips(1)["flip3"]() for _ in range(3)]
    True
    """
    return _Flips(seed)


class _Flips(dict[str, Callable[[], bool]]):
    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __missing__(self, name: str) -> Callable[[], bool]:
        source = random.Random(f"{self.seed} {name}")
        self[name] = lambda: bool(source.randrange(2))
        return self[name]

    def __contains__(self, name: object) -> bool:
        return True
