"""Global types as regular trees: finitely many nodes, each `end` or a communication with its branches.

    tree(G) = T               for a well-formed G
    T.minimal()               the same tree with equal nodes identified, numbered breadth first
    type_of(T) = G            the tree as text again, with `mu` where it returns

Two types are equal when their trees are: `mu t. G` is its unfolding. Equal trees have equal minimal forms, so that
`==` on these decides equality, in about n log n steps for n nodes where comparing unfoldings takes n².

Source: B. Pierce, "Types and programming languages" (2002), chapter 21; J. Hopcroft (1971) and E. Moore (1956) for the
minimal form.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final, TypeAlias, TypeVar

from klorpy.behaviour.globaltype import MAX_DEPTH, MAX_ITEMS, Choice, Content, Continue, GlobalType, Item, Message, Rec
from klorpy.core.diagnostics import KlorError
from klorpy.core.types import Role


@dataclass(frozen=True, slots=True)
class End:
    """Nothing more is done."""


@dataclass(frozen=True, slots=True)
class Communication:
    """`sender` sends `receiver` one of the messages of `branches`, which says at which node it goes on."""

    sender: Role
    receiver: Role
    branches: tuple[tuple[Content, int], ...]


#: The size of the sets of places, together, that are made: some hundred megabytes.
MAX_PLACES: Final = 1_000_000

Node: TypeAlias = End | Communication
Step = TypeVar("Step", bound=Hashable)

#: What happens at a node: from whom, to whom, what.
Action: TypeAlias = tuple[Role, Role, Content]


@dataclass(frozen=True)
class Tree:
    """Nodes by number; the tree starts at `root`."""

    nodes: tuple[Node, ...]
    root: int = 0

    @cached_property
    def roles(self) -> tuple[Role, ...]:
        """The roles that act, in the order of their first appearance, breadth first."""
        found: dict[Role, None] = {}
        for node in self.nodes:
            if isinstance(node, Communication):
                found |= {node.sender: None, node.receiver: None}
        return tuple(found)

    def _successors(self, at: int) -> list[int]:
        node = self.nodes[at]
        return [] if isinstance(node, End) else [target for _, target in sorted(node.branches, key=_key)]

    def minimal(self) -> Tree:
        """The smallest tree that unfolds to the same; equal unfoldings give equal minimal trees."""
        shape: list[Hashable] = [
            None if isinstance(node, End) else (node.sender, node.receiver, tuple(sorted(map(_key, node.branches))))
            for node in self.nodes
        ]
        following = [
            {} if isinstance(node, End) else {_key(branch): branch[1] for branch in node.branches} for node in self.nodes
        ]
        classes = refine(shape, following)
        # Breadth first from the root, branches by label.
        number = {classes[self.root]: 0}
        representatives = [self.root]
        for at in representatives:
            for target in self._successors(at):
                if classes[target] not in number:
                    number[classes[target]] = len(representatives)
                    representatives.append(target)
        nodes: list[Node] = []
        for at in representatives:
            node = self.nodes[at]
            if isinstance(node, Communication):
                branches = tuple((content, number[classes[target]]) for content, target in sorted(node.branches, key=_key))
                node = Communication(node.sender, node.receiver, branches)
            nodes.append(node)
        return Tree(tuple(nodes))


def _key(branch: tuple[Content, int]) -> tuple[bool, str, tuple[str, ...]]:
    content, _ = branch
    return content.label is not None, content.label or "", content.payload


def refine(shape: Sequence[Hashable], following: Sequence[Mapping[Step, int]]) -> list[int]:
    """The classes of states that cannot be told apart: equal shapes, and equal classes after equal steps.

    Takes for each state its shape and its successor by each step. Worklist form of partition refinement: only the
    predecessors of a class that was split are looked at again.

    >>> refine([0, 0, 1], [{"a": 2}, {"a": 2}, {}])
    [0, 0, 1]
    """
    names: dict[Hashable, int] = {}
    classes = [names.setdefault(s, len(names)) for s in shape]
    members: list[set[int]] = [set() for _ in names]
    for state, group in enumerate(classes):
        members[group].add(state)
    before: list[list[tuple[Step, int]]] = [[] for _ in shape]
    for state, steps in enumerate(following):
        for step, target in steps.items():
            before[target].append((step, state))
    todo = deque(range(len(members)))
    waiting = set(todo)
    while todo:
        splitter = todo.popleft()
        waiting.discard(splitter)
        leading: dict[Step, set[int]] = {}
        for target in members[splitter]:
            for step, source in before[target]:
                leading.setdefault(step, set()).add(source)
        for sources in leading.values():
            touched: dict[int, set[int]] = {}
            for source in sources:
                touched.setdefault(classes[source], set()).add(source)
            for group, part in touched.items():
                if len(part) == len(members[group]):
                    continue
                # The smaller part becomes the new class, which keeps the number of moves at n log n; and nothing as
                # large as the larger part is copied, unless as much has been looked at already.
                if 2 * len(part) <= len(members[group]):
                    small = part
                    members[group] -= part
                else:
                    small = members[group] - part
                    members[group] = part
                new = len(members)
                members.append(small)
                for state in small:
                    classes[state] = new
                waiting.add(new)
                todo.append(new)
    first: dict[int, int] = {}
    return [first.setdefault(group, len(first)) for group in classes]


def require_size(places: int) -> None:
    """Raise KlorError `too-large` when states that are sets of places have more than `MAX_PLACES` together."""
    if places > MAX_PLACES:
        raise KlorError(f"the states are sets of more than {MAX_PLACES:,} places together", slug="too-large",
                        help="split the protocol, or tell roles of choices earlier")  # fmt: skip


# --- From types to trees ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Draft:
    """A node that is being made: the item it comes from (None: end), and where it leads.

    A message leads to what follows it, a choice to its branches, a recursion or a recursive call to its body.
    """

    item: Item | None
    targets: tuple[int, ...] = ()


def drafts(type_: GlobalType) -> tuple[list[Draft], int]:
    """The nodes of a type whose variables are bound, and the first of them; no `do`, nothing behind a recursive call."""
    nodes: list[Draft] = [Draft(None)]

    def body(part: GlobalType, scope: Mapping[str, int], following: int) -> int:
        for item in reversed(part.items):
            match item:
                case Message():
                    nodes.append(Draft(item, (following,)))
                case Choice(_, branches):
                    targets = tuple(body(branch, scope, following) for branch in branches)
                    nodes.append(Draft(item, targets))
                case Rec(variable, inner):
                    place = len(nodes)
                    nodes.append(Draft(item))
                    nodes[place] = Draft(item, (body(inner, {**scope, variable: place}, following),))
                    following = place
                    continue
                case Continue(variable):
                    following = scope[variable]
                    continue
                case _:
                    raise ValueError("a type is expanded before it becomes a tree")
            following = len(nodes) - 1
        return following

    return nodes, body(type_, {}, 0)


def heads(nodes: Sequence[Draft], start: int) -> list[int]:
    """The messages with which `start` can begin, as places of their drafts; with the end if that is possible."""
    found: dict[int, None] = {}
    seen: set[int] = set()
    todo = [start]
    while todo:
        at = todo.pop()
        if at in seen:
            continue
        seen.add(at)
        match nodes[at].item:
            case None | Message():
                found[at] = None
            case _:
                todo += reversed(nodes[at].targets)
    return list(found)


def tree(type_: GlobalType) -> Tree:
    """The tree of a well-formed type without `do`.

    >>> from klorpy.behaviour import parse_global
    >>> loop, unfolded = "(mu t (-> a b int) t)", "(-> a b int) (mu t (-> a b int) (-> a b int) t)"
    >>> tree(parse_global(loop)) == tree(parse_global(unfolded))
    True
    """
    drafted, start = drafts(type_)
    # Nodes are the sets of messages with which a place can begin.
    numbers: dict[tuple[int, ...], int] = {}
    places: list[tuple[int, ...]] = []

    def number(at: int) -> int:
        key = tuple(heads(drafted, at))
        if key not in numbers:
            numbers[key] = len(places)
            places.append(key)
        return numbers[key]

    number(start)
    nodes: list[Node] = []
    for place in places:
        messages = [(item, drafted[at].targets[0]) for at in place if isinstance(item := drafted[at].item, Message)]
        if not messages:
            nodes.append(End())
            continue
        first, _ = messages[0]
        branches = {message.content: target for message, target in messages}
        nodes.append(
            Communication(
                first.sender, first.receiver, tuple((content, number(target)) for content, target in branches.items())
            )
        )
    return Tree(tuple(nodes)).minimal()


# --- From trees to types ----------------------------------------------------------------------------------------------


def type_of(root: Tree) -> GlobalType:
    """A type whose tree this is. Where branches meet again, what follows is written once, behind the choice.

    Raises KlorError `too-large` or `too-deep` for a tree that is no reasonable text.

    >>> from klorpy.behaviour import parse_global
    >>> print(type_of(tree(parse_global("(-> a b int) (mu x (-> a b int) x)"))))
    mu t. a->b:<int>; t
    """
    reading = _Reading(root)
    return GlobalType(tuple(reading.body(root.root, _Frame())))


class _Escapes(Exception):
    """A branch does not come to where the others meet."""


@dataclass(frozen=True)
class _Frame:
    """Where a body stands: how deep, under which binders, and where it ends because others go on there."""

    depth: int = 0
    bound: Mapping[int, str] = field(default_factory=dict)
    until: int | None = None
    #: Binders that a body that ends at `until` may not return to: what is behind it would be lost.
    closed: frozenset[int] = frozenset()


class _Reading:
    def __init__(self, root: Tree) -> None:
        self.nodes = root.nodes
        self.returns, self.meeting = _meetings(root)
        self.roles = frozenset(root.roles)
        self.items = 0

    def body(self, at: int, frame: _Frame) -> list[Item]:
        out: list[Item] = []
        while at != frame.until:
            node = self.nodes[at]
            if at in frame.closed or (isinstance(node, End) and frame.until is not None):
                raise _Escapes
            if isinstance(node, End):
                break
            if at in frame.bound:
                return [*out, Continue(frame.bound[at])]
            self.items += 1
            if self.items > MAX_ITEMS:
                raise KlorError(f"this type has more than {MAX_ITEMS:,} steps when it is written out", slug="too-large",
                                help="let branches that go on alike share what follows")  # fmt: skip
            if at in self.returns:
                name = self.variable(len(frame.bound))
                inner = replace(frame, depth=self.deeper(frame), bound={**frame.bound, at: name})
                first, following = self.step(at, node, inner)
                rest = [] if following is None else self.body(following, inner)
                return [*out, Rec(name, GlobalType((first, *rest)))]
            item, at_ = self.step(at, node, frame)
            out.append(item)
            if at_ is None:
                return out
            at = at_
        return out

    def step(self, at: int, node: Communication, frame: _Frame) -> tuple[Item, int | None]:
        """What happens at a node, and where it goes on behind that."""
        if len(node.branches) == 1:
            [(content, target)] = node.branches
            return Message(node.sender, node.receiver, content.label, content.payload), target
        meeting = self.meeting[at]
        if meeting is not None and meeting != frame.until and meeting not in frame.bound:
            shared = _Frame(frame.depth, frame.bound, meeting, frozenset(frame.bound))
            try:
                return self.choice(node, shared), meeting
            except _Escapes:
                pass
        return self.choice(node, frame), None

    def choice(self, node: Communication, frame: _Frame) -> Choice:
        inner = replace(frame, depth=self.deeper(frame))
        branches = []
        for content, target in node.branches:
            first = Message(node.sender, node.receiver, content.label, content.payload)
            branches.append(GlobalType((first, *self.body(target, inner))))
        return Choice(node.sender, tuple(branches))

    def deeper(self, frame: _Frame) -> int:
        if frame.depth >= MAX_DEPTH:
            raise KlorError(f"choices and recursions are nested more than {MAX_DEPTH} deep", slug="too-deep",
                            help="split the protocol")  # fmt: skip
        return frame.depth + 1

    def variable(self, place: int) -> str:
        """A variable for the binder at this depth: t, t1, …, or X, X1, … where that is a role."""
        for letter in ("t", "X", "Y"):
            name = f"{letter}{place or ''}"
            if name not in self.roles:
                return name
        while name in self.roles:
            name = f"_{name}"
        return name


def _meetings(root: Tree) -> tuple[set[int], list[int | None]]:
    """The nodes to which something returns; and for each node where all ways from it meet, if they do.

    The second is the immediate postdominator in the graph without the edges that return.
    """
    returns: set[int] = set()
    forward: list[list[int]] = [[] for _ in root.nodes]
    open_, done = {root.root}, set[int]()
    order: list[int] = []
    stack = [(root.root, iter(_targets(root.nodes[root.root])))]
    leaves = [False] * len(root.nodes)
    while stack:
        at, targets = stack[-1]
        target = next(targets, None)
        if target is None:
            stack.pop()
            open_.discard(at)
            done.add(at)
            order.append(at)
        elif target in open_:
            returns.add(target)
            leaves[at] = True
        else:
            forward[at].append(target)
            if target not in done:
                open_.add(target)
                stack.append((target, iter(_targets(root.nodes[target]))))
    # Every node comes behind its successors in `order`. None stands for the way out.
    meeting: list[int | None] = [None] * len(root.nodes)
    height: dict[int | None, int] = {None: 0}

    def common(a: int | None, b: int | None) -> int | None:
        while a != b:
            if height[a] < height[b]:
                a, b = b, a
            assert a is not None
            a = meeting[a]
        return a

    for at in order:
        if forward[at] and not leaves[at]:
            meets: int | None = forward[at][0]
            for target in forward[at][1:]:
                meets = common(meets, target)
            meeting[at] = meets
        height[at] = height[meeting[at]] + 1
    return returns, meeting


def _targets(node: Node) -> list[int]:
    return [] if isinstance(node, End) else [target for _, target in node.branches]
