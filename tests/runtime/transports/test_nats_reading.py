"""What messages at a NATS server tell an observer, whatever comes again, early, or not at all."""

from __future__ import annotations

import random

import msgspec
import pytest

from klorpy.runtime.sessions import Record
from klorpy.runtime.sessions.channel import DATA, JOIN, LEAVE, Frame
from klorpy.runtime.transports.nats_names import Names
from klorpy.runtime.transports.nats_packets import Cast, pack, pack_cast, pack_parts
from klorpy.runtime.transports.nats_reading import Reading
from klorpy.runtime.wire import encode, table

NAMES = Names("shop")

#: What is at the server: a subject, a payload and an id.
Stored = tuple[str, bytes, str]


def cast(role: str, process: str = "1111", left: bool = False, stamp: int = 1, failed: tuple[str, str] | None = None) -> Stored:
    said = Cast(left, process.encode(), ["A", "B", "C"], "ask", stamp, failed)
    return NAMES.cast("s", role), pack_cast(said), f"s/{role}/=here@{process.encode().hex()}"


def letter(source: str, target: str, *frames: Frame, process: str = "1111", tries: str = "") -> Stored:
    number = frames[0].number
    return NAMES.message("s", source, target), pack(frames), f"s/{source}/{target}/{number}@{process.encode().hex()}{tries}"


def data(number: int, stamp: int, value: int) -> Frame:
    return Frame(DATA, number, stamp, b"key", encode(value))


def join(stamp: int = 1) -> Frame:
    return Frame(JOIN, 0, stamp, b"", b"\xc0")


def read(reading: Reading, *stored: Stored) -> list[Record]:
    return [record for each in stored for record in reading.read(*each)]


def kinds(records: list[Record]) -> list[tuple[str, str, str, int, str]]:
    return [(record.kind, record.role, record.peer, record.number, record.text) for record in records]


def test_a_role_from_its_coming_to_its_leaving() -> None:
    reading = Reading()
    records = read(
        reading, cast("A"), letter("A", "B", join(), data(1, 3, 5), data(2, 4, 6)),
        letter("A", "B", Frame(LEAVE, 3, 5, b"", b"\xc0")), cast("A", left=True, stamp=6),
    )  # fmt: skip
    assert kinds(records) == [
        ("joined", "A", "", 0, "ask [A B C]"), ("sent", "A", "B", 1, "5"), ("sent", "A", "B", 2, "6"), ("left", "A", "", 0, ""),
    ]  # fmt: skip
    assert [record.stamp for record in records] == [1, 3, 4, 6]
    assert {record.session for record in records} == {"s"}
    assert [record.key for record in records] == [b"", b"key", b"key", b""]
    assert not reading.there


def test_why_a_role_left() -> None:
    reading = Reading()
    records = read(reading, cast("A"), cast("A", left=True, stamp=6, failed=("B", "ValueError: no")))
    assert kinds(records)[1:] == [("left", "A", "B", 0, "ValueError: no")]


def test_what_comes_again_is_told_once_in_any_order() -> None:
    """A role's letters as they may come from a server that was asked twice, with all kinds of delays; seeded."""
    letters = [
        letter(source, target, *(data(n, 10 * n, 100 * n) if n else join() for n in range(first, first + 3)))
        for source in "AB" for target in "BC" if source != target for first in range(0, 30, 3)
    ]  # fmt: skip
    for seed in range(50):
        rng = random.Random(seed)
        shuffled = [*letters, *rng.sample(letters, 20)]
        rng.shuffle(shuffled)
        reading = Reading()
        read(reading, cast("A"), cast("B"))
        records = read(reading, *shuffled)
        assert not reading.gaps
        assert reading.settle() == []
        for source, target in (("A", "B"), ("A", "C"), ("B", "C")):
            told = [record.number for record in records if (record.role, record.peer) == (source, target)]
            assert told == list(range(1, 30)), seed


def test_a_role_has_left_when_all_is_known_that_it_sent() -> None:
    reading = Reading()
    assert kinds(read(reading, cast("A"), letter("A", "B", data(1, 3, 5)), cast("A", left=True))) == [
        ("joined", "A", "", 0, "ask [A B C]")
    ]
    assert reading.gaps == {("s", "A", "B")}
    assert [kind for kind, *_ in kinds(read(reading, letter("A", "B", join())))] == ["sent", "left"]
    assert not reading.gaps


def test_what_does_not_come_is_counted() -> None:
    reading = Reading()
    read(reading, cast("A"), letter("A", "B", join(), data(1, 3, 5)), letter("A", "B", data(4, 9, 8)))
    assert kinds(reading.settle()) == [("missed", "A", "B", 2, ""), ("sent", "A", "B", 4, "8")]
    assert kinds(read(reading, letter("A", "B", data(2, 4, 6)), letter("A", "B", data(5, 10, 9)))) == [("sent", "A", "B", 5, "9")]


def test_of_a_session_that_began_long_ago_the_beginning_is_missing() -> None:
    reading = Reading()
    read(reading, cast("A"), letter("A", "B", data(7, 30, 1)))
    assert kinds(reading.settle()) == [("present", "A", "B", 7, ""), ("sent", "A", "B", 7, "1")]
    # What was read by its receiver before, is known to be missing when something comes.
    assert kinds(read(reading, letter("A", "C", data(9, 40, 2)))) == [("present", "A", "C", 9, ""), ("sent", "A", "C", 9, "2")]


def test_a_process_that_the_server_does_not_let_in_changes_nothing() -> None:
    """It says that it is there on the condition that nobody was; who only listens does not see that this fails."""
    reading = Reading()
    records = read(
        reading, cast("A"), letter("A", "B", join(), data(1, 3, 5)), cast("A", "2222"), letter("A", "B", data(2, 4, 6)), cast("A", left=True),
    )  # fmt: skip
    assert [kind for kind, *_ in kinds(records)] == ["joined", "sent", "sent", "left"]


def test_a_session_that_begins_again_under_its_name() -> None:
    reading = Reading()
    read(reading, cast("A"), letter("A", "B", join(), data(1, 3, 5)))
    records = read(reading, cast("A", "2222"), letter("A", "B", join(), data(1, 3, 6), process="2222", tries="~1"))
    assert kinds(records) == [("joined", "A", "", 0, "ask [A B C]"), ("sent", "A", "B", 1, "6")]
    assert kinds(read(reading, cast("A", "2222", left=True))) == [("left", "A", "", 0, "")]


def test_a_value_in_parts_and_values_that_are_not_known_here() -> None:
    reading = Reading()
    body = encode("x" * 1000)
    subject, _, id = letter("A", "B", join())
    records = read(reading, cast("A"), letter("A", "B", join()))
    for part in pack_parts(Frame(DATA, 1, 3, b"", body), 300):
        records += reading.read(subject, part, id)
    assert records[-1].text == '"' + "x" * 198 + "…"
    order = msgspec.msgpack.encode(["shop.Order", {"title": "Dune"}])
    unknown = msgspec.msgpack.encode(msgspec.msgpack.Ext(table.RECORD, order))
    (record,) = read(reading, letter("A", "B", Frame(DATA, 2, 4, b"", unknown)))
    assert record.text == '<an object of a class that is not registered here: "shop.Order">'


@pytest.mark.parametrize("payload", [b"", b"k", b"{}", b"k\x01\x06", b"k\x01\x06\xff", b"k\x01\x01\x02", b"k\x09\x01", b"k\x01\x02" + bytes(12)])
def test_what_is_no_message_of_a_role_is_ignored(payload: bytes) -> None:
    reading = Reading()
    assert reading.read(NAMES.cast("s", "A"), payload) == []
    assert reading.read(NAMES.message("s", "A", "B"), payload) == []
    assert [kind for kind, *_ in kinds(read(reading, cast("A"), letter("A", "B", join(), data(1, 3, 5))))] == ["joined", "sent"]
