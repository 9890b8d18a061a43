"""The mesh of a set of types: the types whose paths interleave renamed paths of these.

    member(G, {G1, …}) = yes | no | unknown

G is in the mesh when every path of G is an interleaving of sequences each of which is, up to a renaming of roles, a path of
one of the Gi: copies of the protocols, any number of them, complete when the path ends. A copy renames its roles
injectively: to any roles, or, when roles of G read `p@t`, only p to such a role.

The check follows G with the set of ways in which its actions may be dealt out to copies. At most `copies` are open at
once: unbounded interleaving is no longer a regular property. A yes is right. A no is right, since it is given only when no
copy was missing for want of room. Otherwise, or when there are too many ways, the answer is unknown. For a type without
recursion as many copies as it has actions are enough, so that there the answer is exact. On an infinite path every finite
beginning has to be possible.

Source: M. Carbone, F. Montesi, "Merging multiparty protocols in multiparty choreographies" (2012), section 2.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal, TypeAlias

from klorpy.behaviour.arguments import checked
from klorpy.behaviour.globaltype import GlobalType, Protocol
from klorpy.behaviour.regular import Action, Communication, End, Tree, tree
from klorpy.behaviour.wellformed import tree_of
from klorpy.core.types import Role

#: Open copies at once for a type with recursion, unless the caller says how many: this many first, then more.
COPIES: Final = 3
MOST_COPIES: Final = 6
#: How many ways of dealing out are followed before the answer is unknown.
MAX_WAYS: Final = 50_000


class Membership(Enum):
    """Whether a type is in a mesh."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"

    def __str__(self) -> str:
        return self.value


Renaming: TypeAlias = tuple[tuple[Role, Role], ...]
RoleNames: TypeAlias = Literal["any", "annotated"]


@dataclass(frozen=True, slots=True, order=True)
class _Copy:
    """A copy of type `index` that is open: where it is, and which roles are renamed to which."""

    index: int
    node: int
    renaming: Renaming


#: The copies that are open, in order: equal sets of copies are one way.
_Way: TypeAlias = tuple[_Copy, ...]


@checked
def member(
    type_: GlobalType | Tree | Protocol,
    of: Sequence[GlobalType | Tree | Protocol],
    *,
    copies: int | None = None,
    roles: RoleNames = "any",
) -> Membership:
    """Whether `type_` is in the mesh of the types `of`, with at most `copies` open at once, or as many as are needed.

    >>> from klorpy.behaviour import parse_global
    >>> login, fetch = parse_global("(-> U C str)"), parse_global("(-> C F str) (branch F C (ok (-> C F file)) (quit))")
    >>> str(member(parse_global("(-> c f str) (-> u c str) (branch f c (quit))"), [login, fetch]))
    'yes'
    >>> str(member(parse_global("(-> u c int)"), [login, fetch]))
    'no'
    """
    root, types = _tree(type_), [_tree(t) for t in of]
    if copies is not None:
        return _Check(types, copies, roles).run(root)
    longest = _longest(root)
    answer = Membership.UNKNOWN
    for count in range(COPIES, MOST_COPIES + 1) if longest is None else (longest,):
        answer = _Check(types, count, roles).run(root)
        if answer is not Membership.UNKNOWN:
            break
    return answer


def _longest(root: Tree) -> int | None:
    """How many actions the longest path has; None when there are infinite ones."""
    lengths: dict[int, int] = {}
    open_: set[int] = set()
    todo = [root.root]
    while todo:
        at = todo[-1]
        node = root.nodes[at]
        targets = [] if isinstance(node, End) else [target for _, target in node.branches]
        missing = [target for target in targets if target not in lengths]
        if missing:
            open_.add(at)
            if any(target in open_ for target in missing):
                return None
            todo.append(missing[0])
        else:
            lengths[at] = max((1 + lengths[target] for target in targets), default=0)
            open_.discard(at)
            todo.pop()
    return lengths[root.root]


def _tree(type_: GlobalType | Tree | Protocol) -> Tree:
    match type_:
        case Tree():
            return type_
        case Protocol():
            return tree_of(type_)
        case GlobalType():
            return tree(type_)


class _TooMany(Exception):
    """There are more ways than are followed."""


class _Check:
    def __init__(self, types: Sequence[Tree], copies: int, roles: RoleNames) -> None:
        self.types = types
        self.copies = copies
        self.annotated = roles == "annotated"
        #: Whether a copy was not opened because there was no room.
        self.crowded = False
        self.ways = 0

    def run(self, root: Tree) -> Membership:
        first = (root.root, frozenset[_Way](((),)))
        seen = {first}
        todo = [first]
        try:
            while todo:
                at, ways = todo.pop()
                node = root.nodes[at]
                if isinstance(node, End):
                    if () not in ways:
                        return self.rejected()
                    continue
                for content, target in node.branches:
                    action = (node.sender, node.receiver, content)
                    after = frozenset(new for way in ways for new in self.steps(way, action))
                    if not after:
                        return self.rejected()
                    following = (target, after)
                    if following not in seen:
                        seen.add(following)
                        self.ways += len(after)
                        if self.ways > MAX_WAYS:
                            return Membership.UNKNOWN
                        todo.append(following)
        except _TooMany:
            return Membership.UNKNOWN
        return Membership.YES

    def rejected(self) -> Membership:
        return Membership.UNKNOWN if self.crowded else Membership.NO

    def steps(self, way: _Way, action: Action) -> set[_Way]:
        """The ways after `action`: a copy that is open goes on, or a new one is opened."""
        after: set[_Way] = set()
        for i, copy in enumerate(way):
            if i and copy == way[i - 1]:
                continue
            moved = self.moved(copy, action)
            if moved is not None:
                after.add(self.with_copy((*way[:i], *way[i + 1 :]), moved))
        for index, type_ in enumerate(self.types):
            moved = self.moved(_Copy(index, type_.root, ()), action)
            if moved is None:
                continue
            if len(way) >= self.copies and not self.ended(moved):
                self.crowded = True
            else:
                after.add(self.with_copy(way, moved))
        if len(after) > MAX_WAYS:
            raise _TooMany
        return after

    def with_copy(self, way: _Way, copy: _Copy) -> _Way:
        return way if self.ended(copy) else tuple(sorted((*way, copy)))

    def ended(self, copy: _Copy) -> bool:
        return isinstance(self.types[copy.index].nodes[copy.node], End)

    def moved(self, copy: _Copy, action: Action) -> _Copy | None:
        """The copy after `action`, which is what it does next when its roles are renamed further; None if it is not."""
        node = self.types[copy.index].nodes[copy.node]
        sender, receiver, content = action
        if not isinstance(node, Communication):
            return None
        for content_, target in node.branches:
            if content_ == content:
                renaming = self.renamed(copy.renaming, node.sender, sender)
                if renaming is not None:
                    renaming = self.renamed(renaming, node.receiver, receiver)
                return None if renaming is None else _Copy(copy.index, target, renaming)
        return None

    def renamed(self, renaming: Renaming, old: Role, new: Role) -> Renaming | None:
        """The renaming with `old` renamed to `new`; None where it is renamed otherwise, or another one is renamed so."""
        for one, other in renaming:
            if one == old or other == new:
                return renaming if (one, other) == (old, new) else None
        if self.annotated and not new.startswith(f"{old}@"):
            return None
        return tuple(sorted((*renaming, (old, new))))
