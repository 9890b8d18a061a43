"""Projection: a role's part of a protocol.

    local_type(G, r) = L      raises KlorError `unmergeable` when r is not told of a choice that concerns it

At a message that r sends or receives, L sends or receives; other messages are left out. At a choice that r neither
makes nor is told of first, the parts of r in the branches are *merged*: r goes on in one way, and learns which branch was
taken from what it receives, if it makes a difference. There are two ways to merge:

    plain   on the text of the parts. Equal parts merge; receives from one role merge by the union of their labels, parts
            behind a common label are merged (their payloads have to agree); sends merge when they are the same and what
            follows merges; nothing else does.
    full    on their behaviour. Recursions are unfolded, and a role that waits while others repeat something waits. It
            finds a projection wherever plain merging does, and for more protocols.

Sources: N. Yoshida et al. for plain merging, as in Scribble; A. Scalas, N. Yoshida, "Less is more: multiparty session
types revisited" (2019) and D. Tirore, J. Bengtson, M. Carbone, "A sound and complete projection for global types" (2023)
for full merging.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal, TypeAlias

from klorpy.behaviour.arguments import checked
from klorpy.behaviour.expansion import distribute
from klorpy.behaviour.globaltype import (
    Choice,
    Content,
    Continue,
    GlobalType,
    Message,
    Protocol,
    Rec,
    free_variables,
    roles_of,
)
from klorpy.behaviour.localtype import (
    END,
    Action,
    LocalChoice,
    LocalContinue,
    LocalRec,
    LocalType,
    Receive,
    Send,
    actions_of,
)
from klorpy.behaviour.regular import Communication, End, Node, Tree, drafts, heads, require_size, tree, type_of
from klorpy.behaviour.wellformed import written
from klorpy.core.diagnostics import Diagnostic, KlorError
from klorpy.core.spans import Source
from klorpy.core.types import Role

Merging: TypeAlias = Literal["full", "plain"]


@checked
def local_type(protocol: Protocol, role: Role, *, merging: Merging = "full") -> LocalType:
    """The part of `role`. Raises KlorError `unmergeable`, and `unbound-role` when the protocol has no such role.

    >>> from klorpy.behaviour import parse_protocol
    >>> fetch = parse_protocol("(defprotocol Fetch [C F] (-> C F str) (branch F C (ok (-> C F file)) (quit)))")
    >>> print(local_type(fetch, "F"))
    C?<str>; C+{ok: C?<file>; end, quit: end}
    """
    _check_merging(merging)
    if role not in protocol.roles:
        raise KlorError(Diagnostic("unbound-role", f"{role} is not a role of {protocol.name}",
                                   help=f"the roles are {' '.join(protocol.roles)}"))  # fmt: skip
    type_ = written(protocol)
    if merging == "plain":
        return project_plain(distribute(type_), role)
    return local_of(type_, role)


def _check_merging(merging: str) -> None:
    if merging not in ("full", "plain"):
        raise KlorError(f"merging is {merging!r}", slug="bad-argument", help="it is one of full, plain")


@checked
def local_types(protocol: Protocol, *, merging: Merging = "full") -> dict[Role, LocalType]:
    """The parts of all roles. Raises KlorError with every role that has none."""
    parts: dict[Role, LocalType] = {}
    errors: list[Diagnostic] = []
    for role in protocol.roles:
        try:
            parts[role] = local_type(protocol, role, merging=merging)
        except KlorError as error:
            if error.slug != "unmergeable":
                raise
            errors += error.diagnostics
    if errors:
        raise KlorError(*errors)
    return parts


# --- Plain merging ----------------------------------------------------------------------------------------------------


def project_plain(type_: GlobalType, role: Role) -> LocalType:
    """The part of `role` in a well-formed type in tail form without `do`, with plain merging."""
    return _Plain(role, type_.source, _receivers(type_)).body(type_)


def _receivers(type_: GlobalType) -> Mapping[int, Role]:
    """Who is told first of each choice, by the identity of the choice."""
    nodes, _ = drafts(type_)
    found: dict[int, Role] = {}
    for node in nodes:
        if isinstance(node.item, Choice):
            first = nodes[heads(nodes, node.targets[0])[0]].item
            assert isinstance(first, Message)
            found[id(node.item)] = first.receiver
    return found


class _Unmergeable(Exception):
    """Two parts do not merge; the arguments are how each of them goes on."""


@dataclass(frozen=True)
class _Plain:
    role: Role
    source: Source | None
    receivers: Mapping[int, Role]

    def body(self, type_: GlobalType) -> LocalType:
        out: list[Action] = []
        for item in type_.items:
            match item:
                case Message(sender, receiver, label, payload):
                    if sender == self.role:
                        out.append(Send(receiver, label, payload))
                    elif receiver == self.role:
                        out.append(Receive(sender, label, payload))
                case Choice():
                    out += self.choice(item).actions
                case Rec(variable, inner):
                    # A role that has no part in a recursion is done; it need not be told when the others are.
                    if self.role in roles_of(inner) or free_variables(item):
                        out += _loop(variable, self.body(inner)).actions
                case Continue(variable):
                    out.append(LocalContinue(variable))
                case _:
                    raise ValueError("a type is expanded before it is projected")
        return LocalType(tuple(out))

    def choice(self, choice: Choice) -> LocalType:
        parts = [self.body(branch) for branch in choice.branches]
        if self.role in (choice.role, self.receivers[id(choice)]):
            return parts[0] if len(parts) == 1 else LocalType((LocalChoice(choice.role, tuple(parts)),))
        try:
            return merge_plain(parts, self.role)
        except _Unmergeable as reason:
            first, second = reason.args
            raise _refused(self.role, choice.role, first, second, choice, self.source) from None


def _loop(variable: str, body: LocalType) -> LocalType:
    """A recursion of a role; a role that only goes round does nothing."""
    if not any(isinstance(action, (Send, Receive)) for action in actions_of(body)):
        free = [a for a in actions_of(body) if isinstance(a, LocalContinue) and a.variable != variable]
        return LocalType((free[0],)) if free else END
    if any(isinstance(action, LocalContinue) and action.variable == variable for action in actions_of(body)):
        return LocalType((LocalRec(variable, body),))
    return body


def _refused(
    role: Role, chooser: Role, first: str, second: str, choice: Choice | None, source: Source | None
) -> KlorError:
    span = choice.span if choice else None
    message = f"{role} is not told of {chooser}'s choice" if chooser else f"{role} is not told of a choice"
    return KlorError(Diagnostic(
        "unmergeable", f"{message}: it would have to {first} in one branch, and {second} in another", span,
        help=f"tell {role} of the choice before it has to act differently", source=source if span else None,
    ))  # fmt: skip


def merge_plain(parts: Sequence[LocalType], role: Role) -> LocalType:
    """One part for all branches; raises _Unmergeable."""
    different = list(dict.fromkeys(parts))
    if len(different) == 1:
        return different[0]
    begin = _common(different)
    different = [LocalType(part.actions[len(begin) :]) for part in different]
    first, *others = different
    offers = [_offers(part, role) for part in different]
    if offers[0] is None:
        raise _Unmergeable(says(first, role), says(others[0], role))
    return LocalType((*begin, *_union(first, others, offers, role).actions))


def _common(parts: Sequence[LocalType]) -> tuple[Action, ...]:
    """The messages with which all parts begin."""
    together = zip(*(part.actions for part in parts), strict=False)
    return tuple(row[0] for row in takewhile(lambda row: isinstance(row[0], (Send, Receive)) and len(set(row)) == 1, together))


#: What is offered to one role: for each label, in the order of the text, the payload and what follows.
_Offers: TypeAlias = "dict[str | None, tuple[Content, list[LocalType]]]"


def _offers(type_: LocalType, role: Role) -> tuple[Role, _Offers] | None:
    """What a type that starts with receiving from one role can receive; None for another type."""
    match type_.actions:
        case (Receive(peer) as receive, *rest):
            return peer, {receive.label: (receive.content, [LocalType(tuple(rest))])}
        case (LocalChoice(chooser, branches),) if chooser != role:
            found: _Offers = {}
            for branch in branches:
                inner = _offers(branch, role)
                if inner is None or inner[0] != chooser:
                    return None
                found |= inner[1]
            return chooser, found
    return None


def _union(first: LocalType, others: Sequence[LocalType], offers: Sequence[tuple[Role, _Offers] | None], role: Role) -> LocalType:
    """One offer of all that is offered; what is behind a label that several have is merged."""
    assert offers[0] is not None
    peer, merged = offers[0]
    for part, offered in zip(others, offers[1:], strict=True):
        if offered is None or offered[0] != peer:
            raise _Unmergeable(says(first, role), says(part, role))
        for label, (content, following) in offered[1].items():
            other, behind = merged.setdefault(label, (content, []))
            if other != content:
                raise _Unmergeable(f"receive {other} from {peer}", f"receive {content} from {peer}")
            behind += following
    branches = tuple(
        LocalType((Receive(peer, content.label, content.payload), *merge_plain(following, role).actions))
        for content, following in merged.values()
    )
    return branches[0] if len(branches) == 1 else LocalType((LocalChoice(peer, branches),))


def says(type_: LocalType, role: Role) -> str:
    """How a part goes on, in words."""
    match type_.actions[:1]:
        case ():
            return "stop"
        case (Send(peer) as action,):
            return f"send {action.content} to {peer}"
        case (Receive(peer) as action,):
            return f"receive {action.content} from {peer}"
        case (LocalChoice(chooser),):
            return "choose" if chooser == role else f"receive {chooser}'s choice"
        case (LocalRec(_, body),):
            return says(body, role)
        case (LocalContinue(),):
            return "start again"
        case _:
            raise AssertionError(type_)


# --- Full merging -----------------------------------------------------------------------------------------------------


def local_of(type_: GlobalType, role: Role) -> LocalType:
    """The part of `role` in a well-formed type without `do`, with full merging."""
    try:
        found = local_tree(tree(type_), role)
    except KlorError as error:
        # Plain merging fails as well, and knows where.
        if type_.source is not None and error.slug == "unmergeable":
            project_plain(distribute(type_), role)
        raise
    return as_local(type_of(found), role)


def local_tree(root: Tree, role: Role) -> Tree:
    """The part of `role` as a tree in which it takes part in everything. Raises KlorError `unmergeable`."""
    return _Full(root, role).whole()


class _Full:
    """A node of the part is the set of nodes at which the role may be for all it knows."""

    def __init__(self, root: Tree, role: Role) -> None:
        self.root = root
        self.role = role
        self.nodes = root.nodes
        self.alive = self._alive()

    def whole(self) -> Tree:
        numbers: dict[frozenset[int | None], int] = {}
        places: list[frozenset[int | None]] = []

        def number(targets: Iterable[int]) -> int:
            place = self.closure(targets)
            if place not in numbers:
                numbers[place] = len(places)
                places.append(place)
            return numbers[place]

        number([self.root.root])
        nodes: list[Node] = []
        size = 0
        for place in places:
            size += len(place)
            require_size(size)
            steps = self.agreed(place)
            if steps is None:
                nodes.append(End())
                continue
            sender, receiver, branches = steps
            nodes.append(Communication(
                sender, receiver, tuple((content, number(targets)) for content, targets in branches.items())
            ))  # fmt: skip
        return Tree(tuple(nodes)).minimal()

    def visible(self, at: int) -> bool:
        node = self.nodes[at]
        return isinstance(node, Communication) and self.role in (node.sender, node.receiver)

    def _alive(self) -> set[int]:
        """The nodes from which the role can come to act, or all can come to the end."""
        before: list[list[int]] = [[] for _ in self.nodes]
        alive: set[int] = set()
        for at, node in enumerate(self.nodes):
            if isinstance(node, End) or self.visible(at):
                alive.add(at)
            if isinstance(node, Communication):
                for _, target in node.branches:
                    before[target].append(at)
        todo = list(alive)
        while todo:
            for at in before[todo.pop()]:
                if at not in alive:
                    alive.add(at)
                    todo.append(at)
        return alive

    def closure(self, targets: Iterable[int]) -> frozenset[int | None]:
        """Where the role acts next; None where it is done."""
        found: set[int | None] = set()
        seen: set[int] = set()
        todo = list(targets)
        while todo:
            at = todo.pop()
            if at in seen:
                continue
            seen.add(at)
            node = self.nodes[at]
            if isinstance(node, End) or at not in self.alive:
                found.add(None)
            elif self.visible(at):
                found.add(at)
            else:
                todo += [target for _, target in node.branches]
        return frozenset(found)

    def agreed(self, place: frozenset[int | None]) -> tuple[Role, Role, dict[Content, list[int]]] | None:
        """What the role does at all of these nodes alike; None: it is done."""
        acting = [(at, node) for at in sorted(n for n in place if n is not None)
                  if isinstance(node := self.nodes[at], Communication)]  # fmt: skip
        if not acting:
            return None
        first = acting[0][1]
        if None in place:
            raise self.refused(self.words(first), "stop")
        branches: dict[Content, list[int]] = {}
        for _, node in acting:
            if (node.sender, node.receiver) != (first.sender, first.receiver):
                raise self.refused(self.words(first), self.words(node))
            if node.sender == self.role and {c for c, _ in node.branches} != {c for c, _ in first.branches}:
                raise self.refused(self.words(first), self.words(node))
            for content, target in node.branches:
                branches.setdefault(content, []).append(target)
        labels: dict[str | None, Content] = {}
        for content in branches:
            other = labels.setdefault(content.label, content)
            if other != content:
                raise self.refused(f"receive {other} from {first.sender}", f"receive {content} from {first.sender}")
        return first.sender, first.receiver, branches

    def words(self, node: Communication) -> str:
        contents = " or ".join(str(content) for content, _ in node.branches)
        if node.sender == self.role:
            return f"send {contents} to {node.receiver}"
        return f"receive {contents} from {node.sender}"

    def refused(self, first: str, second: str) -> KlorError:
        return _refused(self.role, "", first, second, None, None)


def as_local(type_: GlobalType, role: Role) -> LocalType:
    """A type in which `role` takes part in everything, from its point of view."""

    def action(item: object) -> Action:
        match item:
            case Message(sender, receiver, label, payload):
                return Send(receiver, label, payload) if sender == role else Receive(sender, label, payload)
            case Choice(chooser, branches):
                return LocalChoice(chooser, tuple(as_local(branch, role) for branch in branches))
            case Rec(variable, body):
                return LocalRec(variable, as_local(body, role))
            case Continue(variable):
                return LocalContinue(variable)
        raise ValueError(f"{item} is no item of a projected type")

    return LocalType(tuple(map(action, type_.items)))
