"""The index finds what a scan finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from klorpy.conversations import ANY, NOTHING, contains, intersect
from klorpy.conversations.routing import HANDFUL, Table
from tests.conversations.scripts import examples
from tests.conversations.test_pattern import MESSAGES, TOPICS


@dataclass(frozen=True)
class Item:
    serial: int
    topic: Any


UNHASHABLE = st.sampled_from([[], [1], {"a": 1}, ("t", [1]), ("t", ANY), ("t", [2])])


def filled(topics: list[Any], removed: list[int]) -> Table[Item]:
    table: Table[Item] = Table()
    items = [Item(serial, topic) for serial, topic in enumerate(topics)]
    for item in items:
        table.add(item)
    for place in sorted({place % len(items) for place in removed} if items else ()):
        table.remove(items[place])
    return table


@given(
    st.lists(TOPICS | UNHASHABLE, max_size=30),
    st.lists(st.integers(0, 100), max_size=12),
    MESSAGES | UNHASHABLE,
    TOPICS,
)
@examples(300)
def test_the_index_is_the_scan(topics: list[Any], removed: list[int], message: Any, query: Any) -> None:
    table = filled(topics, removed)
    left = list(table)
    assert {item.serial for item in table.containing(message)} == {i.serial for i in left if contains(i.topic, message)}
    met = {i.serial for i in left if intersect(i.topic, query) is not NOTHING}
    assert {item.serial for item in table.meeting(query)} == met
    assert len(table.meeting(query)) == len(met)


def test_a_payload_is_not_looked_at() -> None:
    class Sealed:
        def __hash__(self) -> int:
            raise AssertionError("a payload was hashed")

        def __eq__(self, other: object) -> bool:
            raise AssertionError("a payload was compared")

    table = filled([("chat", n, ANY) for n in range(2 * HANDFUL)], [])
    assert [item.serial for item in table.containing(("chat", 3, Sealed()))] == [3]


def test_an_empty_table_is_small_again() -> None:
    table = filled([("chat", n) for n in range(100)], list(range(100)))
    assert len(table) == 0
    assert table._root is None


def test_nodes_go_with_their_last_entry() -> None:
    table = filled([("chat", n) for n in range(50)], list(range(49)))
    nodes, todo = 0, [table._root]
    while todo:
        node = todo.pop()
        assert node is not None
        nodes += 1
        todo += [*node.atoms.values(), *node.tuples.values(), *filter(None, [node.wild])]
    assert nodes == 4  # the root, the pair, "chat" and 49
