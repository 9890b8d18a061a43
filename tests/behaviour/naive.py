"""The calculus as its definitions read, without any cleverness: what the fast code is compared with.

Terms are nested tuples, states of a system are tuples of terms and a tuple of messages, sets are sets. Nothing is made
small, settled, reduced or numbered.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from klorpy.behaviour import Alt, Com, One, Par, Recv, Send, Seq, Star, System, Tau, Zero, project
from klorpy.behaviour.terms import Term

#: The most states that are explored; beyond them OverflowError.
LIMIT = 6000

ONE = ("1",)
Graph = tuple[list[list[tuple[Any, int]]], list[bool]]


def converted(term: Term) -> tuple[Any, ...]:
    match term:
        case Seq(items) | Par(items):
            word = "seq" if isinstance(term, Seq) else "par"
            out: tuple[Any, ...] = ONE
            for item in reversed(items):
                out = joined(word, converted(item), out)
            return out
        case Alt(items):
            out = ("0",)
            for item in reversed(items):
                out = ("alt", converted(item), out)
            return out
        case Star(body):
            return ("star", converted(body))
        case One() | Zero() | Tau():
            return (str(term),)
        case _:
            return ("leaf", term)


def joined(word: str, left: tuple[Any, ...], right: tuple[Any, ...]) -> tuple[Any, ...]:
    """`;` or `|`, without the units and associated to the right, so that there are finitely many derivatives."""
    if left == ONE:
        return right
    if right == ONE:
        return left
    if word == "seq" and left[0] == "seq":
        return joined("seq", left[1], joined("seq", left[2], right))
    return (word, left, right)


@lru_cache(maxsize=200_000)
def succeeds(term: tuple[Any, ...]) -> bool:
    match term[0]:
        case "1" | "star":
            return True
        case "alt":
            return succeeds(term[1]) or succeeds(term[2])
        case "seq" | "par":
            return succeeds(term[1]) and succeeds(term[2])
        case _:
            return False


@lru_cache(maxsize=200_000)
def steps(term: tuple[Any, ...], committed: bool) -> list[tuple[Any, tuple[Any, ...]]]:
    match term:
        case ("leaf", leaf):
            if committed and isinstance(leaf, Send):
                return [("tau", ("pending", leaf))]
            return [(leaf, ONE)]
        case ("pending", leaf):
            return [(leaf, ONE)]
        case ("tau",):
            return [("tau", ONE)]
        case ("alt", left, right):
            out = steps(left, committed) + steps(right, committed)
        case ("seq", left, right):
            out = [(label, joined("seq", then, right)) for label, then in steps(left, committed)]
            out += steps(right, committed) if succeeds(left) else []
        case ("par", left, right):
            out = [(label, joined("par", then, right)) for label, then in steps(left, committed)]
            out += [(label, joined("par", left, then)) for label, then in steps(right, committed)]
        case ("star", body):
            out = [(label, joined("seq", then, term)) for label, then in steps(body, committed)]
        case _:
            out = []
    return list(dict.fromkeys(out))


def system_graph(system: System, mode: str, buffer: str, bound: int, view: str) -> Graph:
    roles = system.roles

    def following(state: Any) -> list[tuple[Any, Any]]:
        local, messages = state
        out: list[tuple[Any, Any]] = []
        for i, role in enumerate(roles):
            for leaf, then in steps(local[i], mode == "committed"):
                mine = (*local[:i], then, *local[i + 1 :])
                if leaf == "tau":
                    out.append(("tau", (mine, messages)))
                elif isinstance(leaf, Send):
                    if leaf.receiver in roles:
                        out += sent(mine, messages, Com(role, leaf.receiver, leaf.operation))
                elif mode == "async":
                    out += received(mine, messages, role, leaf)
        return out

    def sent(local: Any, messages: Any, com: Com) -> list[tuple[Any, Any]]:
        if mode != "async":
            j = roles.index(com.receiver)
            return [
                (com, ((*local[:j], then, *local[j + 1 :]), messages))
                for leaf, then in steps(local[j], mode == "committed")
                if leaf == Recv(com.operation)
            ]
        if sum(m.roles == com.roles for m in messages) >= bound:
            return []
        return [(com if view == "sender" else "tau", (local, arranged((*messages, com))))]

    def arranged(messages: tuple[Com, ...]) -> tuple[Com, ...]:
        keys: dict[str, Callable[[Com], Any]] = {
            "pair": lambda m: (m.sender, m.receiver), "mailbox": lambda m: m.receiver, "bag": lambda m: m,
        }  # fmt: skip
        return tuple(sorted(messages, key=keys[buffer]))

    def received(local: Any, messages: Any, role: str, leaf: Recv) -> list[tuple[Any, Any]]:
        out: list[tuple[Any, Any]] = []
        passed: set[Any] = set()
        for at, com in enumerate(messages):
            queue = {"pair": com.sender, "mailbox": "", "bag": at}[buffer]
            if com.receiver == role and queue not in passed:
                passed.add(queue)
                if com.operation == leaf.operation:
                    rest = messages[:at] + messages[at + 1 :]
                    out.append((com if view == "receiver" else "tau", (local, rest)))
        return out

    start = (tuple(converted(contract) for _, contract in system.contracts), ())
    return graph(start, following, lambda state: not state[1] and all(map(succeeds, state[0])))


def graph(start: Any, following: Callable[[Any], list[tuple[Any, Any]]], good: Callable[[Any], bool]) -> Graph:
    numbers = {start: 0}
    order = [start]
    edges = []
    for state in order:
        row = []
        for label, target in dict.fromkeys(following(state)):
            if target not in numbers:
                numbers[target] = len(order)
                order.append(target)
            row.append((label, numbers[target]))
        edges.append(row)
        if len(order) > LIMIT:
            raise OverflowError
    return edges, [good(state) for state in order]


def chor_graph(chor: Term) -> Graph:
    return graph(converted(chor), lambda term: steps(term, False), succeeds)


def living(of: Graph) -> set[int]:
    """The states from which a successful one is reachable, by trying again until nothing is added."""
    edges, good = of
    found = {state for state, flag in enumerate(good) if flag}
    while True:
        more = {s for s, row in enumerate(edges) if s not in found and any(t in found for _, t in row)}
        if not more:
            return found
        found |= more


def compliant(system: System, mode: str, buffer: str = "pair", bound: int = 2) -> bool:
    of = system_graph(system, mode, buffer, bound, "")
    return len(living(of)) == len(of[0])


def equivalent(chor: Term, criterion: str, buffer: str, bound: int = 2) -> bool:
    """Fair trace equality of a choreography with at least one role and its projection."""
    mode = "patient" if criterion == "sync" else "async"
    views = {"sync": [""], "sr": ["sender", "receiver"]}.get(criterion, [criterion])
    return all(
        same_fair_traces(chor_graph(chor), system_graph(project(chor), mode, buffer, bound, view)) for view in views
    )


def same_fair_traces(left: Graph, right: Graph) -> bool:
    graphs = (left, right)
    alive = (living(left), living(right))
    start = tuple(closed(of, {0}) for of in graphs)
    seen = {start}
    todo = [start]
    while todo:
        sets = todo.pop()
        labels = [{label for s in states for label, _ in of[0][s] if label != "tau"} for of, states in zip(graphs, sets, strict=True)]
        ends = [any(of[1][s] for s in states) for of, states in zip(graphs, sets, strict=True)]
        stuck = [any(s not in live for s in states) for live, states in zip(alive, sets, strict=True)]
        if labels[0] != labels[1] or ends[0] != ends[1] or stuck[0] != stuck[1]:
            return False
        for label in labels[0]:
            then = tuple(
                closed(of, {t for s in states for name, t in of[0][s] if name == label})
                for of, states in zip(graphs, sets, strict=True)
            )
            if then not in seen:
                seen.add(then)
                todo.append(then)
    return True


def closed(of: Graph, states: set[int]) -> frozenset[int]:
    todo = list(states)
    while todo:
        for label, target in of[0][todo.pop()]:
            if label == "tau" and target not in states:
                states.add(target)
                todo.append(target)
    return frozenset(states)
