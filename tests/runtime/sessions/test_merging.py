"""Records of several roles, in any interleaving, become one stream in which causes come before effects."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from klorpy.runtime.sessions import Merge, Record, in_order

ROLES = ("A", "B", "C")
CHECKED = settings(derandomize=True, max_examples=100, deadline=None)


@st.composite
def executions(draw: st.DrawFn) -> dict[str, list[Record]]:
    """What each role reports of some execution: clocks as Lamport's, messages numbered in each direction."""
    clock = dict.fromkeys(ROLES, 0)
    sent = {(a, b): 0 for a in ROLES for b in ROLES}
    ways: dict[tuple[str, str], deque[tuple[int, int]]] = {way: deque() for way in sent}
    told: dict[str, list[Record]] = {role: [] for role in ROLES}
    for role, peer, receives in draw(st.lists(st.tuples(st.sampled_from(ROLES), st.sampled_from(ROLES), st.booleans()), min_size=15)):
        if role == peer:
            told[role].append(Record("s", role, clock[role], "printed", text="line"))
        elif receives and ways[peer, role]:
            number, stamp = ways[peer, role].popleft()
            clock[role] = max(clock[role], stamp) + 1
            told[role].append(Record("s", role, clock[role], "received", peer, number))
        else:
            clock[role] += 1
            sent[role, peer] += 1
            ways[role, peer].append((sent[role, peer], clock[role]))
            told[role].append(Record("s", role, clock[role], "sent", peer, sent[role, peer]))
    return told


def arrivals(told: dict[str, list[Record]], seed: int) -> list[Record]:
    """The records in some order in which they can arrive: each role's in their order."""
    chance = random.Random(seed)
    left = {role: deque(records) for role, records in told.items() if records}
    found = []
    while left:
        role = chance.choice(sorted(left))
        found.append(left[role].popleft())
        if not left[role]:
            del left[role]
    return found


def merged(records: Sequence[Record]) -> list[Record]:
    merge = Merge()
    return [told for record in records for told in merge.add(record)]


def is_causal(records: Sequence[Record], told: dict[str, list[Record]]) -> bool:
    """Whether each role's order is kept, and every message is sent before it is received."""
    sent = set()
    for record in records:
        if record.kind == "sent":
            sent.add((record.role, record.peer, record.number))
        elif record.kind == "received" and (record.peer, record.role, record.number) not in sent:
            return False
    return all([record for record in records if record.role == role] == told[role] for role in ROLES)


@CHECKED
@given(executions(), st.integers(0, 10**6))
def test_what_is_told_live_is_causal_and_whole(told: dict[str, list[Record]], seed: int) -> None:
    assert is_causal(merged(arrivals(told, seed)), told)


@CHECKED
@given(executions(), st.integers(0, 10**6))
def test_the_one_order_is_causal_and_does_not_depend_on_arrivals(told: dict[str, list[Record]], seed: int) -> None:
    first, other = in_order(arrivals(told, 0)), in_order(arrivals(told, seed))
    assert first == other
    assert is_causal(first, told)


@CHECKED
@given(executions(), st.integers(0, 10**6))
def test_nothing_is_held_back_without_need(told: dict[str, list[Record]], seed: int) -> None:
    """After each arrival, what is not told yet waits for a message whose sending has not arrived."""
    merge, records = Merge(), arrivals(told, seed)
    shown: list[Record] = []
    for i, record in enumerate(records, 1):
        shown += merge.add(record)
        known = {(r.role, r.peer, r.number) for r in shown if r.kind == "sent"}
        for role in ROLES:
            mine = [r for r in records[:i] if r.role == role]
            told_of_mine = sum(r.role == role for r in shown)
            if told_of_mine < len(mine):
                first = mine[told_of_mine]
                assert first.kind == "received"
                assert (first.peer, role, first.number) not in known
                assert merge.missed
    assert merge.missed == frozenset()


@CHECKED
@given(executions(), st.integers(0, 10**6), st.sampled_from(ROLES))
def test_the_records_of_a_role_may_never_come(told: dict[str, list[Record]], seed: int, absent: str) -> None:
    merge = Merge()
    records = [record for record in arrivals(told, seed) if record.role != absent]
    shown = [ready for record in records for ready in merge.add(record)]
    assert merge.missed <= {absent}
    shown += merge.without(absent)
    assert sorted(shown, key=repr) == sorted(records, key=repr)
    assert merge.missed == frozenset()


def test_an_observer_that_comes_late_waits_for_nothing_that_was_before() -> None:
    merge = Merge()
    assert merge.add(Record("s", "B", 9, "received", "A", 4)) == []
    assert [r.kind for r in merge.add(Record("s", "A", 8, "present", "B", 5))] == ["present", "received"]
    assert merge.add(Record("s", "B", 10, "received", "A", 5)) == []
    assert [r.kind for r in merge.add(Record("s", "A", 9, "sent", "B", 5))] == ["sent", "received"]
