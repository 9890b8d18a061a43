"""Topics: what they have in common, and what atoms are."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klorpy import KlorError
from klorpy.conversations import (
    ANY,
    NOTHING,
    SUB,
    Endpoint,
    Feedback,
    Query,
    Replace,
    Send,
    contains,
    intersect,
    subscriber,
)
from klorpy.conversations.pattern import DEEPEST, is_ground, same_topic
from tests.conversations.scripts import examples


@dataclass(frozen=True)
class Address:
    host: Any
    port: Any


@dataclass(frozen=True)
class Other:
    host: Any
    port: Any


Point = namedtuple("Point", "x y")

ATOMS = st.sampled_from([0, 1, True, False, 1.0, 0.0, None, "", "a", b"a", ("a",), ()])
MESSAGES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple), st.builds(Address, inner, inner), st.builds(Point, inner, inner)
    ),
    max_leaves=6,
)
TOPICS = st.recursive(
    ATOMS | st.just(ANY),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple), st.builds(Address, inner, inner), st.builds(Point, inner, inner)
    ),
    max_leaves=6,
)


@given(TOPICS, TOPICS)
@examples(200)
def test_intersection_is_commutative_and_idempotent(left: Any, right: Any) -> None:
    common = intersect(left, right)
    assert same_topic(common, intersect(right, left))
    assert same_topic(intersect(left, left), left)
    if common is not NOTHING:
        assert same_topic(intersect(common, left), common)


@given(TOPICS, TOPICS, TOPICS)
@examples(200)
def test_intersection_is_associative(a: Any, b: Any, c: Any) -> None:
    def meet(left: Any, right: Any) -> Any:
        return NOTHING if NOTHING in (left, right) else intersect(left, right)

    assert same_topic(meet(meet(a, b), c), meet(a, meet(b, c)))


@given(TOPICS, TOPICS, MESSAGES)
@examples(200)
def test_a_message_is_in_both_topics_when_it_is_in_what_they_have_in_common(
    left: Any, right: Any, message: Any
) -> None:
    common = intersect(left, right)
    both = contains(left, message) and contains(right, message)
    assert both == (common is not NOTHING and contains(common, message))


@given(TOPICS, MESSAGES)
@examples(200)
def test_belonging_is_intersection_with_a_ground_term(topic: Any, message: Any) -> None:
    assert contains(topic, message) == same_topic(intersect(topic, message), message)


@pytest.mark.parametrize(("left", "right"), [(1, True), (1, 1.0), (0, False), ("a", b"a"), (("a",), "a"), ((), None)])
def test_atoms_differ_by_their_type(left: Any, right: Any) -> None:
    assert intersect((left,), (right,)) is NOTHING
    assert not contains((left,), (right,))
    assert not same_topic((left,), (right,))


def test_none_is_a_topic() -> None:
    assert intersect(None, ANY) is None
    assert contains((None,), (None,))


def test_records_meet_those_of_their_type() -> None:
    assert intersect(Address("h", ANY), Address(ANY, 5)) == Address("h", 5)
    assert intersect(Address("h", ANY), Other(ANY, 5)) is NOTHING
    assert intersect(Point(1, ANY), Point(ANY, 2)) == Point(1, 2)
    assert intersect(Point(1, 2), (1, 2)) is NOTHING
    assert type(intersect(Point(1, ANY), Point(ANY, 2))) is Point


def test_lists_are_atoms() -> None:
    assert contains(("x", [1]), ("x", [1]))
    assert intersect(("x", [ANY]), ("x", [1])) is NOTHING
    assert is_ground(("x", [ANY]))


def test_a_deep_message_is_no_problem_below_a_wildcard_and_a_deep_topic_is_refused() -> None:
    deep: Any = "x"
    for _ in range(100_000):
        deep = (deep,)
    assert Send(("t", deep)).body[1] is deep
    assert contains(("t", ANY), ("t", deep))
    for make in (
        lambda: Endpoint("e", subscriber(("t", deep))), lambda: Replace("e", deep), lambda: Query(SUB, deep),
    ):  # fmt: skip
        with pytest.raises(KlorError, match=f"deeper than {DEEPEST}") as caught:
            make()
        assert caught.value.slug == "topic-too-deep"
    # Taken apart by hand: freeing it at once would need a deep stack.
    while type(deep) is tuple:
        (deep,) = deep


@pytest.mark.parametrize("make", [Send, Feedback])
@pytest.mark.parametrize("body", [ANY, ("t", ANY), ("t", (1, ("a", ANY))), Address("h", ANY)])
def test_a_message_has_no_wildcards(make: Any, body: Any) -> None:
    with pytest.raises(KlorError, match="wildcard") as caught:
        make(body)
    assert caught.value.slug == "message-not-ground"
