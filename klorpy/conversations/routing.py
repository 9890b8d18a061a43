"""Which endpoints a message reaches, and which ones a topic meets, without looking at all of them.

    table.containing(message) = the entries whose topic contains the message
    table.meeting(topic)      = the entries whose topic has messages in common with the topic

The index is a trie over the topics' tokens in preorder: a tuple's or a record's type and length, an atom's type and
value, or a wildcard. A step of a lookup follows the edge of the message's token and the wildcard's, so its cost is the
length of the topics, whatever the number of entries. A payload is below a wildcard of every topic that it meets, and is
never looked at. A topic that is asked for and has wildcards itself walks all edges there; that costs what is found, and
the branching below the wildcards.

The part of the trie that only one entry has is not built: its place is a *leaf*, and what is left is compared.

A handful of entries is scanned: the index of few is dearer than they are. Both ways give the same entries, in any order.

Source: discrimination nets; the trie of Syndicate (T. Garnock-Jones and M. Felleisen, ESOP 2016), section 5, without its
algebra on sets of topics.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Generic, Protocol, TypeVar

from klorpy.conversations.pattern import ANY, NOTHING, PLAIN, Topic, contains, intersect, parts

#: Up to so many entries are scanned.
HANDFUL: Final = 8


class Entry(Protocol):
    """What a table holds: something with a topic, and a number of its own."""

    topic: Topic
    serial: int


E = TypeVar("E", bound=Entry)


class _Node(Generic[E]):
    """A place in the trie: after it come a wildcard, an atom or a tuple; or entries end here; or it is a leaf."""

    __slots__ = ("atoms", "entries", "leaf", "tuples", "wild")

    def __init__(self) -> None:
        self.wild: _Node[E] | None = None
        self.atoms: dict[Any, _Node[E]] = _NONE
        #: By type and length, of tuples and records.
        self.tuples: dict[Any, _Node[E]] = _NONE
        self.entries: dict[int, E] | None = None
        self.leaf: E | None = None

    def empty(self) -> bool:
        return self.wild is None and not (self.atoms or self.tuples or self.entries)

    def child(self, token: Any) -> _Node[E] | None:
        if token is ANY:
            return self.wild
        return (self.tuples if type(token) is _Tuple else self.atoms).get(token)

    def set_child(self, token: Any, node: _Node[E]) -> None:
        if token is ANY:
            self.wild = node
        elif type(token) is _Tuple:
            if not self.tuples:
                self.tuples = {}
            self.tuples[token] = node
        else:
            if not self.atoms:
                self.atoms = {}
            self.atoms[token] = node

    def remove_child(self, token: Any) -> None:
        if token is ANY:
            self.wild = None
        else:
            del (self.tuples if type(token) is _Tuple else self.atoms)[token]


#: The edges of a node that has none; most nodes have one kind only. Never written to.
_NONE: Final[dict[Any, Any]] = {}


class _Tuple(tuple[type, int]):
    """The token of a tuple or a record: its type and length."""

    __slots__ = ()


# The token of an atom is its type and value. A string stands for itself: no other token is equal to it.


def _tokens(topic: Topic) -> tuple[list[Any], bool]:
    """The tokens of a topic in preorder, ANY for a wildcard, and whether they say all about it.

    They do not when an atom cannot be hashed; then a wildcard stands for it, and what is found has to be compared.
    """
    if type(topic) is tuple:
        # The commonest topics, without a work list.
        flat: list[Any] = [_Tuple((tuple, len(topic)))]
        for term in topic:
            kind = type(term)
            if kind is str or term is ANY:
                flat.append(term)
            elif kind in PLAIN:
                flat.append((kind, term))
            else:
                break
        else:
            return flat, True
    tokens: list[Any] = []
    exact = True
    todo = [topic]
    while todo:
        term = todo.pop()
        kind = type(term)
        if kind is str or term is ANY:
            tokens.append(term)
            continue
        inside = term if kind is tuple else parts(term)
        if inside is not None:
            tokens.append(_Tuple((kind, len(inside))))
            todo.extend(inside[::-1])
            continue
        try:
            hash(term)
        except TypeError:
            tokens.append(ANY)
            exact = False
        else:
            tokens.append((kind, term))
    return tokens, exact


class Table(Generic[E]):
    """Entries by their topics.

    >>> class Chat:
    ...     def __init__(self, serial, topic):
    ...         self.serial, self.topic = serial, topic
    >>> table = Table()
    >>> for serial, topic in enumerate([("chat", "ann"), ("chat", ANY), ("log", ANY)]):
    ...     table.add(Chat(serial, topic))
    >>> sorted(entry.serial for entry in table.containing(("chat", "ann")))
    [0, 1]
    >>> sorted(entry.serial for entry in table.meeting((ANY, "bob")))
    [1, 2]
    """

    def __init__(self) -> None:
        self._entries: dict[int, E] = {}
        #: None until there are more entries than a handful.
        self._root: _Node[E] | None = None
        self._inexact = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[E]:
        return iter(self._entries.values())

    def add(self, entry: E) -> None:
        self._entries[entry.serial] = entry
        if self._root is not None:
            self._insert(self._root, entry)
        elif len(self._entries) > HANDFUL:
            self._root = _Node()
            for each in self._entries.values():
                self._insert(self._root, each)

    def remove(self, entry: E) -> None:
        """Take out an entry, which has the topic that it was added with."""
        del self._entries[entry.serial]
        if not self._entries:
            self._root, self._inexact = None, 0
        elif self._root is not None:
            self._delete(self._root, entry)

    def containing(self, message: Topic) -> list[E]:
        """The entries whose topic contains `message`."""
        if self._root is None:
            return [entry for entry in self._entries.values() if contains(entry.topic, message)]
        found = _flat(self._root, message)
        if found is None:
            found = _meeting(self._root, message)  # what a message meets, since it has no wildcards, contains it
        return [entry for entry in found if contains(entry.topic, message)] if self._inexact else found

    def meeting(self, topic: Topic) -> list[E]:
        """The entries whose topic has a message in common with `topic`."""
        if self._root is None or self._inexact:
            entries = self._entries.values() if self._root is None else _meeting(self._root, topic)
            return [entry for entry in entries if intersect(entry.topic, topic) is not NOTHING]
        found = _flat(self._root, topic)
        return _meeting(self._root, topic) if found is None else found

    def _insert(self, node: _Node[E], entry: E) -> None:
        tokens, exact = _tokens(entry.topic)
        self._inexact += not exact
        for place, token in enumerate(tokens):
            if node.leaf is not None:
                _push_down(node, place)
            if token is ANY:
                following = node.wild
            else:
                following = (node.tuples if type(token) is _Tuple else node.atoms).get(token)
            if following is None:
                following = _Node()
                following.leaf = entry
                node.set_child(token, following)
                return
            node = following
        if node.leaf is not None:
            _push_down(node, len(tokens))
        if node.entries is None:
            node.entries = {}
        node.entries[entry.serial] = entry

    def _delete(self, node: _Node[E], entry: E) -> None:
        tokens, exact = _tokens(entry.topic)
        self._inexact -= not exact
        path = []
        for token in tokens:
            if node.leaf is not None:
                break
            path.append((node, token))
            following = node.child(token)
            assert following is not None, "an entry keeps its topic while it is in a table"
            node = following
        if node.leaf is not None:
            node.leaf = None
        elif node.entries is not None:
            del node.entries[entry.serial]
        for parent, token in reversed(path):
            if not node.empty():
                return
            parent.remove_child(token)
            node = parent


def _push_down(node: _Node[E], place: int) -> None:
    """Another entry comes to a leaf: the one that is there goes a step further, from the token number `place`."""
    entry, node.leaf = node.leaf, None
    assert entry is not None
    tokens, _ = _tokens(entry.topic)
    if place == len(tokens):
        node.entries = {entry.serial: entry}
        return
    following: _Node[E] = _Node()
    following.leaf = entry
    node.set_child(tokens[place], following)


def _flat(root: _Node[E], topic: Topic) -> list[E] | None:
    """Both lookups for a tuple of atoms and wildcards, as far as it is looked at; None for any other."""
    if type(topic) is not tuple:
        return None
    found: list[E] = []
    todo: list[tuple[_Node[E], int]] = []
    if root.wild is not None:
        if root.wild.leaf is not None:
            found.append(root.wild.leaf)
        elif root.wild.entries:
            found.extend(root.wild.entries.values())
    start = root.tuples.get((tuple, len(topic)))
    if start is not None:
        todo.append((start, 0))
    end = len(topic)
    while todo:
        node, place = todo.pop()
        while True:
            if node.leaf is not None:
                if _rest_is_any(topic, place, end) or intersect(node.leaf.topic, topic) is not NOTHING:
                    found.append(node.leaf)
                break
            if place == end:
                if node.entries:
                    found.extend(node.entries.values())
                break
            term = topic[place]
            place += 1
            following = None
            if term is ANY:
                if node.tuples:
                    return None
                for following in node.atoms.values():
                    todo.append((following, place))
                following = None
            elif node.atoms or node.tuples:
                kind = type(term)
                if kind is str:
                    following = node.atoms.get(term)
                elif kind in PLAIN:
                    following = node.atoms.get((kind, term))
                else:
                    return None
            if following is None:
                if node.wild is None:
                    break
                node = node.wild
            else:
                if node.wild is not None:
                    todo.append((node.wild, place))
                node = following
    return found


def _rest_is_any(topic: tuple[Any, ...], place: int, end: int) -> bool:
    """Whether only wildcards are left of a topic, so that there is nothing to compare."""
    while place < end:
        if topic[place] is not ANY:
            return False
        place += 1
    return True


def _meeting(root: _Node[E], topic: Topic) -> list[E]:
    # What is still to be matched is a linked list, so that two ways through the trie can share it.
    found: list[E] = []
    todo: list[tuple[_Node[E], Any]] = [(root, (topic, None))]
    while todo:
        node, rest = todo.pop()
        while True:
            if node.leaf is not None:
                # Where the topic has only wildcards left there is nothing to compare.
                while rest is not None and rest[0] is ANY:
                    rest = rest[1]
                if rest is None or intersect(node.leaf.topic, topic) is not NOTHING:
                    found.append(node.leaf)
                break
            if rest is None:
                if node.entries:
                    found.extend(node.entries.values())
                break
            term, rest = rest
            if term is ANY:
                for following in node.atoms.values():
                    todo.append((following, rest))
                for (_, length), following in node.tuples.items():
                    # A wildcard against a tuple is as many wildcards as the tuple has parts.
                    inner = rest
                    for _ in range(length):
                        inner = (ANY, inner)
                    todo.append((following, inner))
                if node.wild is None:
                    break
                node = node.wild
                continue
            next_node = None
            kind = type(term)
            inside = None if kind is str else term if kind is tuple else parts(term)
            if inside is not None:
                next_node = node.tuples.get((kind, len(inside)))
            elif node.atoms:
                try:
                    next_node = node.atoms.get(term if kind is str else (kind, term))
                except TypeError:  # no topic names what cannot be hashed
                    next_node = None
            if next_node is None:
                if node.wild is None:
                    break
                node = node.wild
                continue
            if node.wild is not None:
                todo.append((node.wild, rest))
            if inside is not None:
                for part in inside[::-1]:
                    rest = (part, rest)
            node = next_node
    return found
