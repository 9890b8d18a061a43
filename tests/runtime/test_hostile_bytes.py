"""Whatever the bytes are, the reader gives a value or WireError, in bounded time and memory, and runs nothing.

`fuzz_codec.py` beside this file does the same with as many inputs as wanted, and measures.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.msgpack import Ext

import klorpy
from klorpy.runtime.wire import Limits, decode, encode, table
from klorpy.runtime.wire.survey import survey
from tests.runtime.wire_values import FRAMES, exactly, mutated

pack = msgspec.msgpack.Encoder().encode


def ext(code: int, content: Any) -> bytes:
    """An extension with a content, or with bytes."""
    return pack(Ext(code, content if isinstance(content, bytes) else pack(content)))


def refused(data: bytes, limits: Limits | None = None) -> klorpy.WireError:
    with pytest.raises(klorpy.WireError) as caught:
        decode(data, limits or Limits())
    assert caught.value.slug == "wire-error"
    assert caught.value.message
    assert len(caught.value.message) < 600
    return caught.value


def test_damaged_frames() -> None:
    """A damaged frame is refused, or is the frame of another value."""
    source = random.Random(5)
    outcomes = {"value": 0, "refused": 0}
    for _ in range(6000):
        data = mutated(source)
        try:
            value = decode(data)
        except klorpy.WireError:
            outcomes["refused"] += 1
        else:
            outcomes["value"] += 1
            assert encode(value) == data
    assert min(outcomes.values()) > 100, outcomes


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: frame[:12].hex())
def test_each_frame_cut_short_and_with_more_behind(frame: bytes) -> None:
    decode(frame)
    for end in {*range(min(len(frame), 100)), len(frame) - 1}:
        refused(frame[:end])
    for tail in (b"\x00", b"\xc0", b"\xc1", frame):
        refused(frame + tail)


def nested(data: bytes, code: int, depth: int) -> bytes:
    for _ in range(depth):
        data = ext(code, b"\x91" + data)
    return data


TEXT_KEY = pack("k")
HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "a byte that MessagePack does not have": b"\xc1",
    "text that is no text": b"\xa2\xff\xfe",
    "text of half a character": b"\xa3\xed\xa0\x80",
    "lists without end": b"\x91" * 5000,
    "many lists without end": b"\x91" * 100_000,
    "maps without end": b"\x81" * 100_000,
    "a list that claims 4 billion": b"\xdd\xff\xff\xff\xff",
    "a map that claims 4 billion": b"\xdf\xff\xff\xff\xff" + b"\xc0" * 64,
    "bytes that claim 4 billion": b"\xc6\xff\xff\xff\xff",
    "text that claims 4 billion": b"\xdb\xff\xff\xff\xff",
    "an extension that claims 4 billion": b"\xc9\xff\xff\xff\xff\x01",
    "lists that each claim 65,535": b"\xdc\xff\xff" * 5000,
    "an extension that does not exist": ext(0, b""),
    "an extension beyond the table": ext(22, b""),
    "MessagePack's own timestamp": ext(-1, b"\0\0\0\0"),
    "a negative extension": ext(-5, b""),
    "tuples in tuples, 300 deep": nested(b"\xc0", table.TUPLE, 300),
    "tuples in tuples, 65 deep": nested(b"\x90", table.TUPLE, 64) and nested(ext(1, b"\x90"), table.TUPLE, 64),
    "frozensets in frozensets": nested(b"\xc0", table.FROZENSET, 300),
    "lists in tuples": nested(b"\x91" * 60 + b"\x90", table.TUPLE, 10),
    "a key twice": b"\x82\xa1a\x01\xa1a\x02",
    "a key twice, as different numbers": b"\x82\x01\x01\xc3\x02",
    "a key twice, in an extension": ext(table.MAP, [Ext(1, b"\x90"), 1, Ext(1, b"\x90"), 2]),
    "an element twice": ext(table.SET, [1, 1]),
    "an element twice, as different numbers": ext(table.SET, [1, 1.0]),
    "elements in another order": ext(table.SET, [2, 1]),
    "a list as an element": ext(table.SET, [[1]]),
    "a dict as a key": ext(table.MAP, [{}, 1]),
    "a list as a key": b"\x81\x91\x01\x01",
    "a map as a key": b"\x81\x80\x01",
    "a set as a key": b"\x81" + ext(table.SET, [1]) + b"\x01",
    "a plain key as an extension's": ext(table.MAP, ["a", 1]),
    "a key without a value": ext(table.MAP, [Ext(1, b"\x90")]),
    "a number, longer than need be": b"\xcd\x00\x05",
    "a negative number, longer than need be": b"\xd1\xff\xff",
    "text, longer than need be": b"\xd9\x01a",
    "a list, longer than need be": b"\xdc\x00\x01\x01",
    "a map, longer than need be": b"\xde\x00\x00",
    "bytes, longer than need be": b"\xc5\x00\x01a",
    "an extension, longer than need be": b"\xc7\x01\x01\x90",
    "a tuple, longer than need be": b"\xc8\x00\x03\x01\x92\x01\x02",
    "a float of 32 bits": b"\xca\x3f\x80\x00\x00",
    "a small int as a large one": ext(table.INTEGER, b"\x05"),
    "an int of no bytes": ext(table.INTEGER, b""),
    "an int with a byte too many": ext(table.INTEGER, b"\x00\x01" + b"\0" * 8),
    "an int of 100,000 bytes": ext(table.INTEGER, b"\x01" * 100_000),
    "a tuple that is a map": ext(table.TUPLE, {}),
    "a tuple that is a number": ext(table.TUPLE, 5),
    "a tuple that is nothing": ext(table.TUPLE, b""),
    "a tuple that is a tuple": ext(table.TUPLE, ext(table.TUPLE, [])),
    "a tuple and more": ext(table.TUPLE, b"\x91\x01\x01"),
    "a complex of three halves": ext(table.COMPLEX, b"\0" * 12),
    "a fraction of nothing": ext(table.FRACTION, [b"\x01", b"\x00"]),
    "a fraction that can be reduced": ext(table.FRACTION, [b"\x02", b"\x04"]),
    "a fraction of a negative": ext(table.FRACTION, [b"\x01", b"\xff"]),
    "a fraction of numbers": ext(table.FRACTION, [1, 2]),
    "a fraction of 200,000 bytes": ext(table.FRACTION, [b"\x01" * 100_000, b"\x03" * 100_000]),
    "a decimal with a huge exponent": ext(table.DECIMAL, b"1E+999999999"),
    "a decimal with a tiny exponent": ext(table.DECIMAL, b"1E-999999999"),
    "a decimal with an endless exponent": ext(table.DECIMAL, b"1E+" + b"9" * 5000),
    "a decimal of a million digits": ext(table.DECIMAL, b"1" * 1_000_000),
    "a decimal in words": ext(table.DECIMAL, b"one"),
    "a decimal with spaces": ext(table.DECIMAL, b" 1"),
    "a decimal of other digits": ext(table.DECIMAL, "١".encode()),
    "a decimal, written otherwise": ext(table.DECIMAL, b"1E0"),
    "an underscored decimal": ext(table.DECIMAL, b"1_0"),
    "a short UUID": ext(table.UUID, b"1234"),
    "a UUID that is safe in a third way": ext(table.UUID, b"\0" * 16 + b"\x02"),
    "a day that does not exist": ext(table.DATE, b"2023-02-29"),
    "a date of a week": ext(table.DATE, b"2024-W01-1"),
    "a moment with a Z": ext(table.DATETIME, pack("2024-02-29T12:00:00Z")),
    "a moment that folds thrice": ext(table.DATETIME, ["2024-02-29T12:00:00", 2, None]),
    "a moment with a name but no offset": ext(table.DATETIME, ["2024-02-29T12:00:00", 0, "CET"]),
    "a moment with a needless fold": ext(table.DATETIME, ["2024-02-29T12:00:00", 0, None]),
    "a moment in many letters": ext(table.DATETIME, pack("2" * 100_000)),
    "a time of 25 hours": ext(table.TIME, pack("25:00:00")),
    "a time of a number": ext(table.TIME, 5),
    "too long a time": ext(table.TIMEDELTA, [10**9, 0, 0]),
    "a time in other units": ext(table.TIMEDELTA, [0, 86400, 0]),
    "a time of floats": ext(table.TIMEDELTA, [0.5, 0, 0]),
    "an absence with something": ext(table.NOOP, b"x"),
    "a keyword that cannot be written": ext(table.KEYWORD, b"a b"),
    "a keyword of no text": ext(table.KEYWORD, b"\xff"),
    "a class that nobody registered": ext(table.RECORD, ["os.system", {"command": "true"}]),
    "a class that is no text": ext(table.RECORD, [7, {}]),
    "a class that is a list": ext(table.RECORD, [[], {}]),
    "an object without its fields": ext(table.RECORD, ["Item", {"name": "x"}]),
    "an object with one field more": ext(table.RECORD, ["Item", {"name": "x", "price": 1, "tags": [], "__class__": 1}]),
    "an object with its fields in another order": ext(table.RECORD, ["Item", {"price": 1, "name": "x", "tags": []}]),
    "an object of a list": ext(table.RECORD, ["Item", ["x", 1, []]]),
    "an object with a number for a field": ext(table.RECORD, ["Item", {1: 1}]),
    "an enum as an object": ext(table.RECORD, ["Colour", {}]),
    "an object as an enum": ext(table.MEMBER, ["Item", "name"]),
    "a named tuple as an object": ext(table.RECORD, ["Point", {"x": 1, "y": 2}]),
    "a member that does not exist": ext(table.MEMBER, ["Colour", "BLUE"]),
    "a member that is a method": ext(table.MEMBER, ["Colour", "__init__"]),
    "a member that is a list": ext(table.MEMBER, ["Colour", []]),
    "flags that do not exist": ext(table.MEMBER, ["Access", 64]),
    "flags by name": ext(table.MEMBER, ["Access", "READ"]),
    "flags of truth": ext(table.MEMBER, ["Access", True]),
    "an array of objects": ext(table.ARRAY, ["|O", "C", [1], b"\0" * 8]),
    "an array of records": ext(table.ARRAY, ["<i4,<i4", "C", [1], b"\0" * 8]),
    "an array of raw memory": ext(table.ARRAY, ["|V8", "C", [1], b"\0" * 8]),
    "an array that is too short": ext(table.ARRAY, ["<i4", "C", [2], b"\0" * 4]),
    "an array that is too long": ext(table.ARRAY, ["<i4", "C", [2], b"\0" * 12]),
    "an array whose size overflows to nothing": ext(table.ARRAY, ["<i8", "C", [2**32, 2**32], b""]),
    "an array whose size overflows to its bytes": ext(table.ARRAY, ["<i8", "C", [2**61 + 1], b"\0" * 8]),
    "an array that is empty and too large": ext(table.ARRAY, ["<i8", "C", [0, 2**61, 2**61], b""]),
    "an array of a negative length": ext(table.ARRAY, ["<i8", "C", [-1], b""]),
    "an array of two negative lengths": ext(table.ARRAY, ["|i1", "C", [-1, -1], b"\0"]),
    "an array of half a length": ext(table.ARRAY, ["<i8", "C", [0.5], b""]),
    "an array of 100 dimensions": ext(table.ARRAY, ["|i1", "C", [1] * 100, b"\0"]),
    "an array in another order": ext(table.ARRAY, ["|i1", "K", [1], b"\0"]),
    "an array by columns that need not be": ext(table.ARRAY, ["|i1", "F", [1], b"\0"]),
    "an array of booleans of another kind": ext(table.ARRAY, ["|b1", "C", [1], b"\x02"]),
    "an array of letters that do not exist": ext(table.ARRAY, ["<U1", "C", [1], b"\xff\xff\xff\x7f"]),
    "an array of texts of no length": ext(table.ARRAY, ["<U0", "C", [1], b""]),
    "an array of texts of great length": ext(table.ARRAY, ["<U999999999", "C", [1], b""]),
    "an array of times of a huge unit": ext(table.ARRAY, ["<M8[9999999999D]", "C", [1], b"\0" * 8]),
    "an array of no dtype": ext(table.ARRAY, [5, "C", [1], b"\0"]),
    "an array of four parts less one": ext(table.ARRAY, ["|i1", "C", [1]]),
    "a scalar of too few bytes": ext(table.SCALAR, ["<i4", b"\0"]),
    "a scalar of an array of text": ext(table.SCALAR, ["<U1", b"\0" * 4]),
    "a scalar text that is text": ext(table.SCALAR, ["U", "a"]),
    "a scalar text that is no text": ext(table.SCALAR, ["U", b"\xff"]),
    "a scalar of the other byte order": ext(table.SCALAR, [">i4", b"\0" * 4]),
    "a scalar that is an object": ext(table.SCALAR, ["|O", b"\0" * 8]),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_bytes_made_to_harm(name: str) -> None:
    refused(HOSTILE[name])
    # The same inside of a list and a dict, where it is met on another way.
    refused(b"\x91" + HOSTILE[name])
    refused(b"\x81\xa1k" + HOSTILE[name])


def peak(data: bytes, limits: Limits | None = None) -> int:
    """The most memory that is taken to refuse the bytes."""
    tracemalloc.start()
    try:
        refused(data, limits)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_frame_does_not_become_much_larger_than_it_is() -> None:
    """An empty list is one byte there and 64 here, so they are counted before they are made."""
    limits = Limits(frame=512 << 10, items=25_000)
    honest = pack([[]] * 25_000)
    assert len(decode(honest, limits)) == 25_000
    count = 500_000
    for bomb in (
        b"\xdd" + count.to_bytes(4, "big") + b"\x90" * count,
        b"\xdd" + count.to_bytes(4, "big") + b"\x80" * count,
        pack([Ext(table.TUPLE, b"\xdc\x03\xe8" + b"\x90" * 1000)] * 450),
        pack([Ext(table.TUPLE, b"\x9f" + b"\x90" * 15)] * 25_000),
        b"\xc7\xff\x01\xdd" + count.to_bytes(4, "big") + b"\x90" * count,
        b"\xd4\x01\xdd" + count.to_bytes(4, "big") + b"\x90" * count,
        ext(table.SET, [[]] * count),
        ext(table.RECORD, ["Item", {"name": 1, "price": [[]] * count, "tags": 1}]),
        ext(table.MEMBER, ["Colour", [[]] * count]),
        *(ext(code, [[]] * count) for code in range(1, 22) if code != table.BYTEARRAY),
        ext(table.ARRAY, ["|i1", "C", [0] * count, b""]),
        ext(table.DATETIME, ["2024-02-29T12:00:00", 0, [[]] * count]),
    ):
        assert len(bomb) <= limits.frame
        assert peak(bomb, limits) < 8 << 20
    assert peak(pack([[]] * 2000), Limits(items=100)) < 1 << 20


def colliding(count: int) -> list[complex]:
    """Different numbers of one hash, as anybody can compute."""
    factor = sys.hash_info.imag
    found = [complex(1 - factor * imag, imag) for imag in range(1, count + 1)]
    assert len({hash(number) for number in found}) == 1
    return found


def test_keys_that_collide_are_counted_first() -> None:
    """Two hundred thousand of them would take minutes to put into one dict."""
    keys = [Ext(table.COMPLEX, encode(key)[2:]) for key in colliding(200_000)]
    for data in (
        ext(table.SET, keys), ext(table.FROZENSET, keys), ext(table.MAP, [part for key in keys for part in (key, 0)]),
    ):  # fmt: skip
        assert "hash" in refused(data).message
    # As keys of a plain map, where msgspec would put them in.
    plain = b"\xdf" + len(keys).to_bytes(4, "big") + b"".join(pack(key) + b"\0" for key in keys)
    assert "key" in refused(plain).message
    assert "key" in refused(ext(table.TUPLE, b"\x91" + plain)).message
    arrays = b"\xdf" + (1000).to_bytes(4, "big") + b"".join(pack([i, i]) + b"\0" for i in range(5000))
    assert "key" in refused(arrays).message
    few = set(colliding(60))
    assert decode(encode(few)) == few


def test_many_honest_keys() -> None:
    for value in (
        {(i, str(i)) for i in range(5000)}, {(i, -i): i for i in range(5000)}, {i: i for i in range(20_000)},
        {str(i): [i] for i in range(20_000)}, [{(i,): i} for i in range(5000)],
    ):  # fmt: skip
        assert exactly(decode(encode(value))) == exactly(value)


def test_survey_counts_what_msgspec_reads() -> None:
    def items(value: Any) -> int:
        if isinstance(value, dict):
            return sum(1 + 1 + items(item) for item in value.values())
        return sum(1 + items(item) for item in value) if isinstance(value, (list, tuple)) else 0

    for value in (
        5, "x" * 40, [1, "a", b"b", None, 1.5, 2**40, -5, -500, -(2**40)], {"a": [1, {}], "b": {"c": []}},
        [["x" * 300, b"y" * 70_000], list(range(70_000))], {i: [i] for i in range(300)}, [Ext(5, b"x" * n) for n in range(20)],
        [Ext(5, b"x" * 300), Ext(5, b"x" * 70_000), 1],
    ):  # fmt: skip
        assert survey(pack(value), 10**6, 50) == items(value)
    assert survey(pack([1, [2, [3]]]), 5, 3) == 5
    for data, most, deepest in [(pack([1, 2, 3]), 2, 9), (pack([[[]]]), 9, 2), (b"\x81\x90\x01", 9, 9), (b"\xc1", 9, 9)]:
        with pytest.raises(ValueError):  # noqa: PT011
            survey(data, most, deepest)
    for code in (*range(0xC7, 0xCA), *range(0xD4, 0xD9)):
        with pytest.raises(ValueError, match="key"):
            survey(bytes((0x81, code)) + bytes(40), 99, 9)


@pytest.mark.parametrize("wrong", [5, "text", None, [1], [b"x"]])
def test_decode_takes_bytes(wrong: Any) -> None:
    with pytest.raises(klorpy.KlorError) as caught:
        decode(wrong)
    assert caught.value.slug == "bad-argument"


def test_views_and_buffers() -> None:
    for data in (bytearray(b"\x92\x01\x02"), memoryview(b"\x92\x01\x02"), memoryview(bytearray(b"\x92\x01\x02"))):
        assert decode(data) == [1, 2]


def test_a_frame_beyond_the_limit_is_not_read() -> None:
    assert "limit is 100" in refused(encode("x" * 200), Limits(frame=100)).message


def test_the_script_runs() -> None:
    script = Path(__file__).with_name("fuzz_codec.py")
    root = Path(klorpy.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, str(script), "--inputs", "300", "--seed", "3"], capture_output=True, text=True, timeout=60,
        cwd=root, env={"PYTHONPATH": str(root)}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "300 inputs" in done.stdout
