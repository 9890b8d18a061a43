"""Topics, and when two of them have messages in common.

    topic   ::= ANY | atom | (topic, …) | Record(topic, …)
    message ::= a topic without ANY

    left ∩ right = topic | NOTHING

A topic is the set of the messages that it stands for, and intersection is structural: `ANY ∩ t = t`; tuples of equal
length and records of equal type part by part; atoms when they are equal. A record is an instance of a dataclass or of a
named tuple. Everything else is an atom, lists and dicts too. Atoms are equal only when they have the same type: 1, True
and 1.0 are three atoms. Wildcards are anonymous: two of them in one topic are independent, so that the cost is linear.

Source: T. Garnock-Jones, talk on os2 (2012), whose topics are unified; named variables were not used there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, Final, TypeAlias, final

from klorpy.core.diagnostics import KlorError
from klorpy.core.values import show

#: A topic or a message: plain data.
Topic: TypeAlias = Any

#: How deep topics may nest. Messages may nest deeper where the topics that they meet have wildcards.
DEEPEST: Final = 100


@final
class Wildcard:
    """The type of `ANY`, which stands for every message. A singleton."""

    __slots__ = ()
    _instance: Wildcard | None = None

    def __new__(cls) -> Wildcard:
        if cls._instance is None:
            cls._instance = super().__new__(cls)
        return cls._instance

    def __repr__(self) -> str:
        return "ANY"

    def __reduce__(self) -> str:
        return "ANY"


ANY: Final = Wildcard()


@final
class Nothing:
    """The type of `NOTHING`: no message is in both topics. Falsy; `None` is a topic like any other."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "NOTHING"

    def __bool__(self) -> bool:
        return False


NOTHING: Final = Nothing()


@final
class Sealed:
    """A value that the kernel does not look into, neither for wildcards nor for anything else."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"Sealed({self.value!r})"


#: The fields of the record types that were met so far, None for types of atoms.
_FIELDS: Final[dict[type, tuple[str, ...] | None]] = {}


def record_fields(kind: type) -> tuple[str, ...] | None:
    """The names of the parts of a record type; None for the type of an atom. A plain tuple is not asked for."""
    try:
        return _FIELDS[kind]
    except KeyError:
        pass
    names: Any = getattr(kind, "_fields", None)
    if is_dataclass(kind):
        found: tuple[str, ...] | None = tuple(field.name for field in fields(kind))
    else:
        found = tuple(names) if issubclass(kind, tuple) and isinstance(names, tuple) else None
    _FIELDS[kind] = found
    return found


def parts(term: Topic) -> tuple[Any, ...] | None:
    """What a tuple or a record consists of; None for an atom."""
    if type(term) is tuple:
        return term
    names = record_fields(type(term))
    return None if names is None else tuple(getattr(term, name) for name in names)


def intersect(left: Topic, right: Topic) -> Topic:
    """The topic of the messages that are in both, or NOTHING.

    >>> intersect(("price", ANY, "EUR"), ("price", 12, ANY))
    ('price', 12, 'EUR')
    >>> intersect(("price", 1), ("price", True))
    NOTHING
    """
    if left is ANY or left is right:
        return right
    if right is ANY:
        return left
    kind = type(left)
    if kind is not type(right):
        return NOTHING
    if kind is tuple:
        if len(left) != len(right):
            return NOTHING
        common = []
        for a, b in zip(left, right, strict=True):
            if a is b or b is ANY:
                common.append(a)
            elif a is ANY:
                common.append(b)
            elif (both := intersect(a, b)) is NOTHING:
                return NOTHING
            else:
                common.append(both)
        return tuple(common)
    names = record_fields(kind)
    if names is None:
        return left if left == right else NOTHING
    pairs = [intersect(getattr(left, name), getattr(right, name)) for name in names]
    return NOTHING if NOTHING in pairs else _record(kind, names, pairs)


def _record(kind: type, names: tuple[str, ...], values: list[Any]) -> Any:
    """A record without its `__init__`, which may compute: all parts come from records that exist."""
    if issubclass(kind, tuple):
        return tuple.__new__(kind, values)
    made = object.__new__(kind)
    for name, value in zip(names, values, strict=True):
        object.__setattr__(made, name, value)
    return made


def contains(topic: Topic, message: Topic) -> bool:
    """Whether a message belongs to a topic.

    >>> contains(("chat", ANY), ("chat", [1, 2])), contains(("chat", ANY), ("chat",))
    (True, False)
    """
    if topic is ANY or topic is message:
        return True
    kind = type(topic)
    if kind is not type(message):
        return False
    inner = topic if kind is tuple else parts(topic)
    outer = message if kind is tuple else parts(message)
    if inner is None or outer is None:
        return bool(topic == message)
    if len(inner) != len(outer):
        return False
    return all(a is b or a is ANY or contains(a, b) for a, b in zip(inner, outer, strict=True))


def same_topic(left: Topic, right: Topic) -> bool:
    """Whether two topics are equal, the types of all atoms included."""
    if left is right:
        return True
    if type(left) is not type(right):
        return False
    inner = parts(left)
    if inner is None:
        return left is not ANY and bool(left == right)
    outer = parts(right)
    return outer is not None and len(inner) == len(outer) and all(map(same_topic, inner, outer))


def subterms(term: Topic) -> Iterator[tuple[int, Any]]:
    """The term itself and all its parts with their depth, in any order; by a work list, since messages may nest deeply."""
    todo = [(0, term)]
    while todo:
        depth, term = todo.pop()
        yield depth, term
        inside = parts(term)
        if inside:
            todo.extend([(depth + 1, part) for part in inside])


#: Types of atoms that are commonest in messages: nothing is inside them.
PLAIN: Final = frozenset((str, int, float, bool, bytes, type(None)))


def is_ground(term: Topic) -> bool:
    """Whether a term has no wildcard, so that it is a message.

    >>> is_ground(("chat", "hello")), is_ground(("chat", (1, ANY)))
    (True, False)
    """
    if type(term) is tuple:
        for part in term:
            if part is ANY:
                return False
        if PLAIN.issuperset(map(type, term)):
            return True
    return all(part is not ANY for _, part in subterms(term))


def check_topic(topic: Topic) -> None:
    """Raises KlorError `topic-too-deep` for a topic that is nested deeper than `DEEPEST`."""
    if type(topic) is tuple and all(type(part) is not tuple and record_fields(type(part)) is None for part in topic):
        return
    if any(depth > DEEPEST for depth, _ in subterms(topic)):
        raise KlorError(
            f"a topic nests deeper than {DEEPEST} levels",
            slug="topic-too-deep",
            help="let a wildcard stand for the inner part, or put it into a list, which is an atom",
        )


def check_message(message: Topic) -> None:
    """Raises KlorError `message-not-ground` for a message that holds a wildcard."""
    if not is_ground(message):
        raise KlorError(
            f"the message {show(message, 80)} holds a wildcard",
            slug="message-not-ground",
            help="a message is plain data; wildcards belong into the topics of endpoints",
        )
