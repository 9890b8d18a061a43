"""What is sent arrives exactly, or is refused by name and place."""

from __future__ import annotations

import array
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import itertools
import pathlib
import subprocess
import sys
import threading
import types
import uuid
import zoneinfo
from decimal import Decimal
from fractions import Fraction
from typing import Any

import hy
import numpy as np
import pytest
from hypothesis import given, settings

import klorpy
from klorpy.core.values import isolate
from klorpy.runtime.wire import Limits, decode, encode
from tests.runtime.wire_values import (
    FRAMES,
    SEEDS,
    Access,
    Colour,
    Item,
    Level,
    Pair,
    Point,
    exactly,
    values,
)

NAN = float("nan")
UTC = dt.UTC
PLUS_TWO = dt.timezone(dt.timedelta(hours=2))
MOMENT = dt.datetime(2024, 2, 29, 12, 30, 15, 123456)


class Plain(enum.Enum):
    A = 1


class Number(enum.IntEnum):
    ONE = 1


@dataclasses.dataclass
class Unknown:
    x: int


Named = collections.namedtuple("Named", "x y")

#: Values that arrive exactly, in the groups of a study of codecs.
EXACT: list[Any] = [
    # Scalars.
    None, True, False, 0, -1, 2**63 - 1, 2**64 - 1, -(2**63), 2**64, -(2**63) - 1, 10**40, 1.5, NAN, float("inf"),
    -float("inf"), -0.0, 5e-324, "", "text", "é😀\0", b"", b"\x00\xff", bytearray(b"ab"), 1 + 2j, complex(NAN, -0.0),
    Fraction(1, 3), Fraction(-(10**30), 7),
    # Containers.
    [], [1, "a", [2.5]], (), (1, 2), ((1,), [(2,)]), set(), {1, 2}, frozenset(), frozenset({1, frozenset({2})}),
    {1, (2, "x"), frozenset({3})}, {}, {"b": 1, "a": 2}, {1: "int"}, {(1, 2): "tuple"}, {None: 0}, {True: 1},
    {frozenset({1}): 2}, {"a": {"b": ({}, [()])}}, {NAN: 1}, {2**70: 1, "s": 2}, {b"k": Decimal(1)},
    # Decimals and identifiers.
    Decimal("1.50"), Decimal("-0"), Decimal("0E-7"), Decimal("1E+400"), Decimal("NaN"), Decimal("-sNaN123"),
    Decimal("Infinity"), uuid.UUID(int=5), uuid.UUID(int=6, is_safe=uuid.SafeUUID.safe),
    # Dates and times.
    MOMENT, MOMENT.replace(tzinfo=UTC), MOMENT.replace(tzinfo=PLUS_TWO), MOMENT.replace(fold=1),
    MOMENT.replace(tzinfo=dt.timezone(dt.timedelta(seconds=-4711), "odd")),
    MOMENT.replace(tzinfo=dt.timezone(dt.timedelta(0), "GMT"), fold=1), dt.datetime.min, dt.datetime.max, dt.date.min,
    dt.date(2024, 2, 29), dt.time(), dt.time(1, 2, 3, 4, UTC, fold=1), dt.timedelta(-1, 1, 1), dt.timedelta.max,
    # Classes that are registered.
    Item("tea", (1, 2), [Item("leaf", None)]), Pair(left=1, right=(2,)), Colour.GREEN, Level.HIGH, Access.READ,
    Access.READ | Access.WRITE, Access(0), Point(1, [2]), {Pair(left=1, right=2): Point(0)},
    # klorpy's own.
    klorpy.noop, [klorpy.noop], hy.models.Keyword("key"), {hy.models.Keyword("key"): 1},
    # numpy.
    np.arange(6).reshape(2, 3), np.arange(6).reshape(2, 3).T, np.array(5.5), np.zeros((0, 3)), np.zeros((3, 0, 2), order="F"),
    np.arange(10)[::3], np.array([True, False]), np.array(["é😀", "b"]), np.array([b"ab", b"c"]), np.arange(3, dtype=">i4"),
    np.array(["2024-02-29", "NaT"], "M8[D]"), np.array([1, 2], "m8[ns]"), np.array([1.5, NAN], "f2"), np.array([1 + 2j]),
    np.int8(-1), np.float64(1.5), np.bool_(True), np.datetime64("2024-02-29T12", "h"), np.str_(""), np.bytes_(b"a\0"),
]  # fmt: skip


@pytest.mark.parametrize("value", EXACT, ids=[f"{i}-{type(value).__name__}" for i, value in enumerate(EXACT)])
def test_it_arrives_exactly(value: Any) -> None:
    data = encode(value)
    arrived = decode(data)
    assert exactly(arrived) == exactly(value)
    assert encode(arrived) == data
    # In company, which is another way through the writer and the reader.
    assert exactly(decode(encode([{"it": value}, (value,)]))) == exactly([{"it": value}, (value,)])


@settings(derandomize=True, max_examples=500, deadline=None)
@given(values())
def test_what_is_decoded_is_what_was_encoded(value: Any) -> None:
    data = encode(value)
    arrived = decode(data)
    assert exactly(arrived) == exactly(value)
    assert encode(arrived) == data
    assert decode(bytearray(data)) is not None or value is None
    # The simulator isolates all that the wire carries, and to the same value.
    assert type(isolate(value)) is type(arrived)


# --- What is refused --------------------------------------------------------------------------------------------------


class Money(Decimal):
    pass


class Text(str):
    __slots__ = ()


class Many(list[Any]):
    pass


REFUSED: list[tuple[Any, str, str]] = [
    (range(3), "value is a range, which cannot be sent", "list(value)"),
    (collections.deque([1]), "value is a deque of collections", "data"),
    (collections.OrderedDict(a=1), "value is an OrderedDict of collections", "dict(value)"),
    (collections.Counter("a"), "value is a Counter of collections", "dict(value)"),
    (collections.defaultdict(list), "value is a defaultdict of collections", "dict(value)"),
    (pathlib.PurePosixPath("a"), "value is a PurePosixPath of pathlib", "data"),
    (ValueError("x"), "value is a ValueError", "data"),
    (Plain.A, "value is a Plain of ", "klorpy.register(Plain)"),
    (Number.ONE, "value is a Number of ", "klorpy.register(Number)"),
    (Unknown(1), "value is an Unknown of ", "klorpy.register(Unknown)"),
    (Named(1, 2), "value is a Named of ", "klorpy.register(Named)"),
    (Text("a"), "value is a Text of ", "str(value)"),
    (Many(), "value is a Many of ", "list(value)"),
    (Money(1), "value is a Money of ", "data"),
    (hy.models.Symbol("x"), "value is a Symbol of hy.models", "str(value)"),
    (len, "value is a builtin_function_or_method", "name"),
    (int, "value is a type", "name"),
    (object(), "value is an object", "data"),
    (..., "value is an ellipsis", "data"),
    (NotImplemented, "value is a NotImplementedType", "data"),
    (memoryview(b"a"), "value is a memoryview", "bytes(value)"),
    (array.array("i", [1]), "value is an array of array", "data"),
    (iter([]), "value is a list_iterator", "data"),
    ((i for i in ()), "value is a generator", "data"),
    (threading.Lock(), "value is a lock of _thread", "data"),
    (types.MappingProxyType({}), "value is a mappingproxy", "data"),
    ({}.keys(), "value is a dict_keys", "data"),
    ("a\ud800", "value is a str with half a character, '\\ud800' at 1", "surrogateescape"),
    (MOMENT.replace(tzinfo=zoneinfo.ZoneInfo("UTC")), "value is in a time zone of type ZoneInfo", "UTC"),
    (np.array([object()]), "value is an array of dtype object", "numbers"),
    (np.zeros(2, [("x", "i4")]), "value is an array of dtype [('x', '<i4')]", "numbers"),
    (np.longdouble(1), "value is a numpy scalar of dtype", "numbers"),
    (np.ma.masked_array([1]), "value is a MaskedArray of numpy.ma", "numpy array"),
    (np.array(["\ud800"]), "value is an array with a text that has half a character", ""),
    (np.array([7], np.uint8).view(np.bool_), "value is an array with a boolean that is neither", ""),
    # Places.
    ([1, {"items": [0, {"price": pathlib.PurePath()}]}], 'value[1]["items"][1]["price"] is a Pure', "data"),
    ({"items": [1, 2, 3, Item("x", object())]}, 'value["items"][3].price is an object', "data"),
    ((1, [2, Point(0, int)]), "value[1][1].y is a type", "name"),
    ({1, len}, "an element of value is a builtin", "name"),
    ([{(1, (len,)): 2}], "(a key of value[0])[1][0] is a builtin", "name"),
    ({(1, 2): len}, "value[#(1 2)] is a builtin", "name"),
    ({5: "\udc00"}, "value[5] is a str with half", "mend"),
    ({"\udc00": 5}, "a key of value is a str with half", "mend"),
    ([2**64, {"n": "\udc00"}], 'value[1]["n"] is a str with half', "mend"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "message", "help"), REFUSED, ids=lambda x: str(x)[:40] if isinstance(x, str) else "")
def test_what_would_arrive_as_something_else_is_refused(value: Any, message: str, help: str) -> None:
    with pytest.raises(klorpy.KlorError) as caught:
        encode(value)
    assert caught.value.slug == "not-sendable"
    assert message in caught.value.message
    assert help in caught.value.help


def test_a_value_that_contains_itself() -> None:
    loop: list[Any] = [1]
    loop.append({"me": loop})
    keyed: dict[str, Any] = {"a": [0]}
    keyed["a"].append((keyed,))
    item = Item("x", None)
    item.price = [item]
    for value, message in [
        (loop, 'value[1]["me"] is value itself'),
        ([0, loop], 'value[1][1]["me"] is value[1] itself'),
        (keyed, 'value["a"][1][0] is value itself'),
        ({"i": item}, 'value["i"].price[0] is value["i"] itself'),
    ]:
        with pytest.raises(klorpy.KlorError) as caught:
            encode(value)
        assert caught.value.slug == "not-sendable"
        assert caught.value.message == f"{message}, and a value that contains itself cannot be sent"


def test_what_is_shared_arrives_as_copies() -> None:
    shared = [1]
    arrived = decode(encode([shared, shared]))
    assert arrived == [[1], [1]]
    assert arrived[0] is not arrived[1]


def test_a_value_that_is_small_here_and_huge_as_bytes() -> None:
    laughs: Any = "ha"
    for _ in range(40):
        laughs = (laughs, laughs)
    with pytest.raises(klorpy.KlorError, match="more than 1000000 items"):
        encode(laughs)


LIMITED: list[tuple[Limits, Any, Any, str]] = [
    (Limits(frame=10), "x" * 9, "x" * 10, "takes 11 bytes, but the limit is 10"),
    (Limits(depth=3), [[["x"]]], [[[[]]]], "is nested deeper than 3 levels"),
    (Limits(depth=3), [({1},)], [({(1,)},)], "is nested deeper than 3 levels"),
    (Limits(items=4), [1, [2, 3]], [1, [2, 3, 4]], "more than 4 items"),
    (Limits(items=4), {1: 2, 3: 4}, {1: 2, 3: 4, 5: 6}, "more than 4 items"),
    (Limits(items=4), (1, 2, 3, 4), (1, 2, 3, 4, 5), "more than 4 items"),
    (Limits(integer=10), 2**79 - 1, 2**79, "is an int of 11 bytes, but the limit is 10"),
    (Limits(integer=10), -(2**79), -(2**79) - 1, "is an int of 11 bytes, but the limit is 10"),
    (Limits(integer=10), Fraction(1, 3), Fraction(1, 3**60), "is an int of 13 bytes, but the limit is 10"),
    (Limits(digits=5), Decimal("123.45"), Decimal("-123.456"), "is a Decimal of 6 digits, but the limit is 5"),
    (Limits(digits=5), Decimal("NaN12345"), Decimal("NaN123456"), "is a Decimal of 6 digits, but the limit is 5"),
    (Limits(exponent=9), Decimal("1E+9"), Decimal("1E+10"), "a Decimal with an exponent of 10, but the limit is 9"),
    (Limits(exponent=9), Decimal("1E-9"), Decimal("1E-10"), "a Decimal with an exponent of 10, but the limit is 9"),
]


@pytest.mark.parametrize(("limits", "within", "beyond", "message"), LIMITED)
def test_limits_hold_at_both_ends(limits: Limits, within: Any, beyond: Any, message: str) -> None:
    assert exactly(decode(encode(within, limits), limits)) == exactly(within)
    with pytest.raises(klorpy.KlorError) as caught:
        encode(beyond, limits)
    assert caught.value.slug == "not-sendable"
    assert message in caught.value.message
    data = encode(beyond)
    assert exactly(decode(data)) == exactly(beyond)
    with pytest.raises(klorpy.WireError):
        decode(data, limits)


def test_limits_are_positive_numbers() -> None:
    for wrong in ({"frame": 0}, {"depth": 201}, {"items": True}, {"digits": 1.5}):
        with pytest.raises(klorpy.KlorError) as caught:
            Limits(**wrong)  # type: ignore[arg-type]
        assert caught.value.slug == "bad-argument"


def test_depth_is_nobody_elses_recursion_limit() -> None:
    value: Any = 1
    for _ in range(200):
        value = (value,)
    assert decode(encode(value, Limits(depth=200)), Limits(depth=200)) == value


# --- What the values are like -----------------------------------------------------------------------------------------


def test_what_arrives_is_independent_and_can_be_changed() -> None:
    data = encode([np.arange(3), bytearray(b"a"), {1}])
    numbers, raw, some = decode(data)
    numbers[0] = 7
    raw[0] = 7
    some.add(7)
    assert decode(data)[0][0] == 0
    assert numbers.flags.owndata or numbers.flags.writeable
    assert decode(data)[1:] == [bytearray(b"a"), {1}]


def test_equal_values_have_equal_bytes() -> None:
    for some in itertools.permutations(["a", "bb", 3, (4, 5)]):
        assert encode(set(some)) == encode({"a", "bb", 3, (4, 5)})
    code = "from klorpy.runtime.wire import encode; print(encode({'a', 'b', 'c', frozenset({'d', 'e'})}).hex())"
    seeds = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60, env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)}).stdout
        for seed in ("1", "2")
    ]  # fmt: skip
    assert seeds[0] == seeds[1] != ""


def test_plain_values_are_plain_messagepack() -> None:
    assert encode({"op": "put", "key": [1, None, 1.5]}).hex() == "82a26f70a3707574a36b65799301c0cb3ff8000000000000"


def test_the_bytes_of_each_extension_stay() -> None:
    """Two versions of klorpy talk to each other: a change here is a new number in the table."""
    known = {
        (1, "a"): "d601 9201a161", (1, 2, "a"): "c70501 930102a161", frozenset({1}): "d50391 01", 2**64: "c70905 010000000000000000", 1j: "d806 0000000000000000 3ff0000000000000",
        Decimal("1.5"): "c70308 312e35", Fraction(1, 2): "c70707 92c40101c40102", dt.date(2024, 2, 29): "c70a0b 323032342d30322d3239",
        dt.timedelta(1): "d60d 93010000", klorpy.noop: "c7000f", Colour.RED: "c70c13 92a6436f6c6f7572a3524544",
        Point(1, 2): "c70e12 92a5506f696e7482a17801a17902",
    }  # fmt: skip
    for value, expected in known.items():
        assert encode(value).hex() == expected.replace(" ", "")
    assert encode(np.array([1], "<i2")).hex() == "c70d1494a33c6932a1439101c4020100"


def test_the_context_of_decimals_is_neither_used_nor_touched() -> None:
    with decimal.localcontext() as context:
        context.capitals = 0
        context.prec = 2
        context.Emax = 5
        context.clear_flags()
        before = repr(context)
        value = Decimal("1.23456E+100")
        assert encode(value)[3:] == b"1.23456E+100"
        assert decode(encode(value)).as_tuple() == value.as_tuple()
        with pytest.raises(klorpy.WireError):
            decode(b"\xc7\x0c\x081E+999999999")
        assert repr(context) == before


def test_importing_the_facade_loads_no_msgspec_and_numpy_is_loaded_when_it_is_needed() -> None:
    code = (
        "import klorpy, sys\n"
        "klorpy.register, klorpy.WireError, klorpy.Limits\n"
        "assert not {'msgspec', 'numpy'} & set(sys.modules)\n"
        "from klorpy.runtime.wire import decode\n"
        "decode(b'\\x01')\n"
        "assert 'numpy' not in sys.modules\n"
        "print(repr(decode(bytes.fromhex('c70d1494a33c6932a1439101c4020100'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("array([1], dtype=int16)\n", "")


def test_a_frame_in_threads() -> None:
    """Idle readers are shared; a frame is read by one."""
    failed: list[Any] = []

    def work() -> None:
        for _ in range(50):
            for value, data in zip(SEEDS, FRAMES, strict=True):
                if exactly(decode(data)) != exactly(value):
                    failed.append(value)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
