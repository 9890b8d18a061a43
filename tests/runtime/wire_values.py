"""Values that go over the wire in the tests: what they are exactly, classes to register, strategies, and mutations."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import random
import struct
import uuid
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import hy
import numpy as np
from hypothesis import strategies as st

import klorpy
from klorpy.runtime.wire import encode


@klorpy.register
@dataclasses.dataclass
class Item:
    name: str
    price: Any
    tags: list[Any] = dataclasses.field(default_factory=list)


@klorpy.register
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    left: Any
    right: Any
    total: Any = dataclasses.field(init=False, default=None)


@klorpy.register
class Colour(enum.Enum):
    RED = 1
    GREEN = (2, "g")


@klorpy.register
class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@klorpy.register
class Access(enum.Flag):
    READ = 1
    WRITE = 2


@klorpy.register
class Point(NamedTuple):
    x: Any
    y: Any = 0


def exactly(value: Any) -> Any:
    """What `value` is: equal for two values only if no program could tell them apart, but by identity."""
    kind = type(value)
    if kind is float:
        return kind, struct.pack("d", value)
    if kind is complex:
        return kind, exactly(value.real), exactly(value.imag)
    if kind in (list, tuple):
        return kind, [exactly(item) for item in value]
    if kind in (set, frozenset):
        return kind, sorted(repr(exactly(item)) for item in value)
    if kind is dict:
        return kind, [(exactly(key), exactly(item)) for key, item in value.items()]
    if kind is Decimal:
        return kind, value.as_tuple()
    if kind in (dt.datetime, dt.time):
        return kind, repr(value), value.fold, value.tzname()
    if kind is uuid.UUID:
        return kind, value.bytes, value.is_safe
    if kind is np.ndarray:
        by_columns = value.flags.f_contiguous and not value.flags.c_contiguous
        return kind, value.dtype.str, value.shape, by_columns, value.tobytes()
    if isinstance(value, np.generic):
        return kind, value.dtype.str, value.tobytes()
    if dataclasses.is_dataclass(value):
        return kind, [exactly(getattr(value, field.name)) for field in dataclasses.fields(value)]
    if isinstance(value, Point):
        return kind, [exactly(item) for item in value]
    return kind, repr(value)


# --- Strategies -------------------------------------------------------------------------------------------------------

_OFFSETS = st.timedeltas(dt.timedelta(hours=-23), dt.timedelta(hours=23))
ZONES = st.none() | st.just(dt.UTC) | st.builds(dt.timezone, _OFFSETS) | st.builds(
    dt.timezone, _OFFSETS, st.sampled_from(["CET", "", "Mitteleuropäische Zeit"])
)  # fmt: skip
DECIMALS = st.decimals().filter(lambda value: not value.is_snan()) | st.builds(
    lambda sign, digits, exponent: Decimal((sign, digits, exponent)), st.integers(0, 1),
    st.lists(st.integers(0, 9), min_size=1, max_size=30).map(tuple), st.integers(-5000, 5000),
)  # fmt: skip
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.integers(-(1 << 200), 1 << 200) | st.floats()
    | st.text() | st.binary() | st.complex_numbers() | st.fractions() | DECIMALS | st.uuids()
    | st.datetimes(timezones=ZONES, allow_imaginary=True) | st.times(timezones=ZONES) | st.dates() | st.timedeltas()
    | st.builds(lambda moment, fold: moment.replace(fold=fold), st.datetimes(timezones=ZONES), st.integers(0, 1))
    | st.just(klorpy.noop) | st.sampled_from(["a", "b-c", "übung?"]).map(hy.models.Keyword)
    | st.sampled_from([*Colour, *Level, *Access, Access.READ | Access.WRITE, Access(0)])
)  # fmt: skip
_NUMBERS = st.sampled_from(["|b1", "|i1", "|u1", "<i2", ">i4", "<u8", "<f2", ">f4", "<f8", "<c8", "<c16", "<M8[ns]", "<m8[D]"])


@st.composite
def arrays(draw: Any) -> Any:
    """Arrays of numbers, of all shapes and layouts; and of texts."""
    shape = tuple(draw(st.lists(st.integers(0, 4), max_size=4)))
    if draw(st.integers(0, 4)) == 0:
        return np.array(draw(st.lists(st.text("aé😀", min_size=1), min_size=1, max_size=5)))
    dtype = np.dtype(draw(_NUMBERS))
    size = int(np.prod(shape)) * dtype.itemsize
    raw = draw(st.binary(min_size=size, max_size=size))
    if dtype.kind == "b":
        raw = bytes(byte & 1 for byte in raw)
    array = np.ndarray(shape, dtype, raw)
    return draw(st.sampled_from([array, array.T, array[::2] if array.ndim else array, array.copy("F")]))


NUMPY_SCALARS = st.sampled_from([
    np.int8(-3), np.uint64(2**64 - 1), np.float32(1.5), np.float64("nan"), np.bool_(True), np.complex64(1 + 2j),
    np.datetime64("2024-02-29T12"), np.timedelta64(5, "D"), np.datetime64("NaT"), np.str_("é"), np.bytes_(b"a\0"),
])  # fmt: skip


@st.composite
def hashables(draw: Any, depth: int = 2) -> Any:
    """Values that may be keys."""
    kind = draw(st.integers(0, 7)) if depth else 9
    match kind:
        case 0:
            return tuple(draw(st.lists(hashables(depth - 1), max_size=3)))
        case 1:
            return draw(st.frozensets(hashables(depth - 1), max_size=3))
        case 2:
            return Point(draw(hashables(depth - 1)), draw(hashables(depth - 1)))
        case 3:
            return Pair(left=draw(hashables(depth - 1)), right=draw(hashables(depth - 1)))
        case _:
            return draw(SCALARS)


@st.composite
def values(draw: Any, depth: int = 3) -> Any:
    """Values of all kinds."""
    kind = draw(st.integers(0, 15)) if depth else 9
    parts = values(depth - 1)
    match kind:
        case 0 | 1:
            return draw(st.lists(parts, max_size=5))
        case 2 | 3:
            return tuple(draw(st.lists(parts, max_size=5)))
        case 4:
            return draw(st.sets(hashables(), max_size=4))
        case 5:
            return draw(st.dictionaries(hashables(), parts, max_size=4))
        case 6:
            return draw(st.dictionaries(st.text(), parts, max_size=4))
        case 7:
            return Item(draw(st.text()), draw(parts), draw(st.lists(parts, max_size=3)))
        case 8:
            return Point(draw(parts), draw(parts))
        case 9 | 10 | 11:
            return draw(hashables())
        case 12:
            return draw(arrays())
        case 13:
            return draw(NUMPY_SCALARS)
        case 14:
            return bytearray(draw(st.binary()))
        case _:
            return draw(st.just(Decimal("sNaN1")) | st.lists(st.integers(), min_size=10, max_size=40))


# --- Mutations --------------------------------------------------------------------------------------------------------

_HOME = Item("tea", Decimal("3.20"), [("green", 1), {"x": (1, 2)}])
_MOMENT = dt.datetime(2024, 2, 29, 12, tzinfo=dt.timezone(dt.timedelta(hours=2), "CEST"))

#: What is mutated: each type, alone and in company.
SEEDS: list[Any] = [
    0, -5, 2**40, 2**64, -(2**100), 1.5, "text", b"bytes", [1, [2, [3]]], (1, (2, (3,))), {"op": "put", "key": 7},
    {1, 2, (3, 4)}, frozenset({"a", frozenset({1})}), {(1, 2): "pair", None: 3}, {"a": (1,), "b": {"c": ({},)}},
    1 + 2j, Fraction(22, 7), Decimal("1E+30"), Decimal("sNaN7"), uuid.UUID(int=7), _MOMENT, _MOMENT.replace(tzinfo=None),
    _MOMENT.date(), _MOMENT.timetz(), _MOMENT.time(), dt.timedelta(-1, 5, 7), bytearray(b"bytes"), klorpy.noop,
    hy.models.Keyword("key"), _HOME, Pair(left=_HOME, right=(_HOME,)), Colour.GREEN, Level.LOW, Access.READ | Access.WRITE,
    Point(1, (2, 3)), np.arange(6).reshape(2, 3), np.array(["ab", "c"]), np.zeros((0, 3)), np.float32(1.5), np.str_("é"),
    [{"id": i, "at": _MOMENT, "place": (i, i / 2), "tags": {"a", "b"}} for i in range(3)], list(range(300)),
    {f"key{i}": i for i in range(40)}, {(i, i): i for i in range(70)}, [_HOME, {1: 2}, (2**70, Decimal("0.1"))] * 3,
]  # fmt: skip
FRAMES = [encode(value) for value in SEEDS]

#: Bytes that mean much: heads of containers, extensions and long items, and lengths.
_LOUD = bytes((0x80, 0x81, 0x90, 0x91, 0x9F, 0xC0, 0xC1, 0xC4, 0xC6, 0xC7, 0xC9, 0xCF, 0xCB, 0xD4, 0xD8, 0xD9, 0xDB, 0xDC, 0xDD, 0xDE, 0xDF, 0xFF, 0x7F, 0x00, *range(1, 23)))


def mutated(source: random.Random) -> bytes:
    """A frame of some value, damaged in one place or a few."""
    data = bytearray(source.choice(FRAMES))
    for _ in range(source.choice((1, 1, 1, 2, 3, 8))):
        at = source.randrange(len(data) + 1)
        match source.randrange(8):
            case 0 if data:
                data[at % len(data)] = source.randrange(256)
            case 1 if data:
                data[at % len(data)] = source.choice(_LOUD)
            case 2 if data:
                data[at % len(data)] ^= 1 << source.randrange(8)
            case 3:
                data[at:at] = source.randbytes(source.randrange(1, 9))
            case 4:
                del data[at : at + source.randrange(1, 9)]
            case 5:
                data[at:at] = source.choice(FRAMES)
            case 6:
                other = source.choice(FRAMES)
                start = source.randrange(len(other))
                data[at : at + source.randrange(9)] = other[start : start + source.randrange(1, 20)]
            case _:
                data[at:at] = bytes((source.choice(_LOUD),)) * source.choice((1, 2, 50, 500))
    return bytes(data)
