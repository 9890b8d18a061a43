"""Values: absence, isolation, equality between copies, and how they are shown."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import math
import threading
import uuid
from typing import Any

import hy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from klorpy.core.values import NotCopyable, comparable, isolate, noop, same_value, show

NAN = float("nan")


class Array:
    """Compares like a numpy array: element by element, and has no truth of its own."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, *items: Any) -> None:
        self.items = items
        self.shape = (len(items),)

    def __eq__(self, other: object) -> Any:
        if not isinstance(other, Array):
            return NotImplemented
        if len(self.items) != len(other.items):
            raise ValueError("shapes cannot be broadcast together")
        return Array(*(a == b for a, b in zip(self.items, other.items, strict=True)))

    def __ne__(self, other: object) -> Any:
        if not isinstance(other, Array):
            return NotImplemented
        return Array(*(a != b for a, b in zip(self.items, other.items, strict=False)))

    def __and__(self, other: Array) -> Array:
        return Array(*(a and b for a, b in zip(self.items, other.items, strict=True)))

    def __or__(self, other: Array) -> Array:
        return Array(*(a or b for a, b in zip(self.items, other.items, strict=True)))

    def __repr__(self) -> str:
        return f"Array{self.items}"

    def all(self) -> bool:
        return all(self.items)

    def __bool__(self) -> bool:
        if len(self.items) != 1:
            raise ValueError("the truth value of an array with more than one element is ambiguous")
        return bool(self.items[0])


class Broken:
    """Everything that a class may define fails."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no equality")

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class Plain:
    """Without an equality: only its identity."""

    def __init__(self, value: Any = None) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "Plain()"


@dataclasses.dataclass
class Point:
    x: Any
    y: Any


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


Pair = collections.namedtuple("Pair", "x y")

data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=20,
)


def containers(value: Any) -> set[int]:
    """The identities of all mutable parts of plain data."""
    found, todo = set(), [value]
    while todo:
        current = todo.pop()
        if isinstance(current, (list, dict)):
            found.add(id(current))
        if isinstance(current, (list, tuple)):
            todo.extend(current)
        elif isinstance(current, dict):
            todo.extend(current.values())
    return found


# --- Isolation --------------------------------------------------------------------------------------------------------


@given(data)
def test_a_copy_is_equal_and_shares_nothing(value: Any) -> None:
    copy = isolate(value)
    assert type(copy) is type(value)
    assert same_value(copy, value)
    assert containers(copy) & containers(value) == set()


@pytest.mark.parametrize(
    "value",
    [
        {1, 2}, frozenset([1]), bytearray(b"ab"), collections.OrderedDict(a=[1]), collections.deque([1], 3),
        collections.defaultdict(list, a=[1]), collections.Counter("aab"), Pair([1], 2), Point([1], {"a": 2}),
        decimal.Decimal("1.10"), fractions.Fraction(1, 3), datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
        uuid.UUID(int=5), Colour.RED, range(3), 1 + 2j, hy.models.Keyword("k"), hy.models.Symbol("s"),
        hy.read("(f [x])"), ValueError("x", 1), slice(1, 2), True, -0.0,
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_the_type_is_kept(value: Any) -> None:
    copy = isolate(value)
    assert type(copy) is type(value)
    assert repr(copy) == repr(value)


def test_details_of_a_value_are_kept() -> None:
    assert list(isolate({"b": 1, "a": 2})) == ["b", "a"]
    assert isolate(collections.deque([1], 3)).maxlen == 3
    assert isolate(collections.defaultdict(list)).default_factory is list
    assert math.copysign(1, isolate([-0.0])[0]) == -1


def test_what_is_shared_inside_a_value_stays_shared() -> None:
    inner = [1]
    left, right = isolate([inner, inner])
    assert left is right
    assert left is not inner


def test_a_cyclic_value() -> None:
    value: list[Any] = [1]
    value.append(value)
    copy = isolate(value)
    assert copy is not value
    assert copy[1] is copy


def test_an_object_is_copied_with_its_parts() -> None:
    value = Plain([1])
    copy = isolate(value)
    assert copy is not value
    copy.value.append(2)
    assert value.value == [1]


def test_a_subclass_of_list_is_no_plain_list() -> None:
    class Stack(list[Any]):
        pass

    value = Stack([[1]])
    value.extra = [2]  # type: ignore[attr-defined]
    copy = isolate(value)
    assert type(copy) is Stack
    copy[0].append(3)
    copy.extra.append(4)
    assert (value, value.extra) == ([[1]], [2])  # type: ignore[attr-defined]


@pytest.mark.parametrize("value", [print, len, Plain, math, lambda: 1, noop, None, ..., int])
def test_what_has_no_state_is_shared(value: Any) -> None:
    assert isolate(value) is value
    assert isolate([value])[0] is value


@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: [v], lambda v: {"k": v}, Plain])
def test_what_cannot_be_copied(wrap: Any) -> None:
    for value in (threading.Lock(), (x for x in [1]), open(__file__)):  # noqa: SIM115
        with pytest.raises(NotCopyable):
            isolate(wrap(value))
        if hasattr(value, "close"):
            value.close()


def test_a_class_whose_copying_fails() -> None:
    class Stubborn:
        def __deepcopy__(self, memo: Any) -> Any:
            raise RuntimeError("no")

    with pytest.raises(NotCopyable, match="Stubborn"):
        isolate(Stubborn())


def test_a_value_nested_too_deeply_to_copy() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(NotCopyable):
        isolate(value)


# --- Equality ---------------------------------------------------------------------------------------------------------


@given(data)
def test_a_value_is_the_same_as_itself_and_its_copy(value: Any) -> None:
    assert same_value(value, value)
    assert same_value(value, isolate(value))


@given(data, data)
def test_sameness_is_symmetric_and_what_is_shown_alike_is_the_same(left: Any, right: Any) -> None:
    assert same_value(left, right) == same_value(right, left)
    if repr(left) == repr(right):
        assert same_value(left, right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (1, True), (1, 1.0), (0, False), ([1], (1,)), ({"a": 1}, {"a": True}), ([[1.0]], [[1]]), ("a", b"a"),
        (None, False), (None, noop), ([1], [1, 2]), ([1, 2], [2, 1]), ({"a": 1}, {"b": 1}), ({1: [1]}, {1: [2]}),
        (Colour.RED, Colour.BLUE), (Point(1, 2), Point(1, 3)), (Plain(), Point(1, 2)), (Array(1, 2), Array(1, 3)),
        (Array(1), Array(2)), ([Array(1, 2)], [Array(2, 2)]), (Array(1, 2), Array(1, 2, 3)), (b"a", bytearray(b"a")),
        (collections.OrderedDict(a=1), {"a": 1}), (hy.models.Keyword("a"), hy.models.Keyword("b")),
        (hy.models.Symbol("a"), hy.models.String("a")), (frozenset([1]), frozenset([2])), (NAN, 1.0), (NAN, None),
        ({1}, {True}), (frozenset([1]), frozenset([1.0])), ({1: 2}, {True: 2}),
    ],
    ids=repr,
)  # fmt: skip
def test_different(left: Any, right: Any) -> None:
    assert not same_value(left, right)
    assert not same_value(right, left)
    assert not same_value([{"k": left}], [{"k": right}])


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (NAN, float("nan")), ([NAN], [float("nan")]), ({"a": NAN}, {"a": float("nan")}), (1.0, 1.0),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}), ({1, 2}, {2, 1}), (Point(1, [2]), Point(1, [2])),
        (Array(1, 2), Array(1, 2)), (Array(1, NAN), Array(1, float("nan"))), (Array(), Array()), (noop, noop),
        (Colour.RED, Colour.RED), (Plain(1), Plain(2)), (Broken(), Broken()), (lambda: 1, lambda: 2),
        (0.0, -0.0), (Pair(1, [2]), Pair(1, [2])), (Pair(NAN, 1), Pair(float("nan"), 1)),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_the_same(left: Any, right: Any) -> None:
    """Also what says nothing about itself: a function, an object without an equality, a class whose equality fails."""
    assert same_value(left, right)
    assert same_value([left], [right])


def test_cyclic_values() -> None:
    def cyclic(end: int) -> list[Any]:
        value: list[Any] = [end]
        value.insert(0, value)
        return value

    assert same_value(cyclic(1), cyclic(1))
    assert not same_value(cyclic(1), cyclic(2))


def test_values_nested_deeper_than_the_stack() -> None:
    def deep(end: int) -> Any:
        value: Any = end
        for i in range(100_000):
            value = [value] if i % 3 else ({"k": value} if i % 2 else (value,))
        return value

    assert same_value(deep(1), deep(1))
    assert not same_value(deep(1), deep(2))


def test_comparable() -> None:
    for value in (1, "a", None, [print], Point(1, 2), Colour.RED, noop, Array(1)):
        assert comparable(value)
    for value in (show, lambda: 1, Plain(), object()):
        assert not comparable(value)


# --- Showing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "5"), ("a\nb", '"a\\nb"'), (None, "None"), (noop, "noop"), ([1, (2,)], "[1 #(2)]"), ({"a": 1}, '{"a" 1}'),
        (hy.models.Keyword("k"), ":k"), (hy.models.Symbol("s"), "s"), (hy.read("(f [x])"), "(f [x])"), (True, "True"),
        (set(), "#{}"), (b"a", 'b"a"'), (Broken(), "<Broken>"), (fractions.Fraction(1, 2), "(Fraction 1 2)"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_show(value: Any, text: str) -> None:
    assert show(value) == text


def test_show_what_holds_something_broken() -> None:
    assert "list" in show([Broken()])


def test_show_cuts() -> None:
    assert show("a" * 50, 10) == '"aaaaaaaa…'
    assert show("abc", 5) == '"abc"'
    assert len(show(list(range(1000)), 80)) == 80
    assert show("abc", 1) == "…"


def test_show_never_fails() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    cyclic: list[Any] = []
    cyclic.append(cyclic)
    for value in (deep, cyclic, float("inf"), 10**5000, "\ud800", Plain(Broken())):
        assert isinstance(show(value, 100), str)
        assert len(show(value, 100)) <= 100
