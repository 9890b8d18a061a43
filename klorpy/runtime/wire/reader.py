"""Bytes to values.

    limits ⊢ bytes ⇒ value        or WireError; whatever the bytes are, nothing else, and in bounded time and memory

The reader makes a value and takes it only if the writer would have written these very bytes for it (see table.py). So
`read` functions may be lenient about form, and have to be careful only about what it costs to make a value at all. (The
commonest message is spared the comparison: a dict of up to 15 texts, numbers and the like by name, whose head says how many there are.)

* A frame is no longer than its limit, and msgspec compares each length with what is there.
* Extensions nest to the limit of depth. msgspec bounds its own recursion.
* A frame of more than `_HARMLESS` bytes is surveyed first, where it could become much larger or much slower.
* Keys and elements whose hashes could have been chosen to collide are counted by hash before they are put in.
* Numbers are compared with their limits before they are computed; shapes of arrays with the bytes that are there.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence, Sized
from enum import Flag
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar

import msgspec
from msgspec.msgpack import Decoder

from klorpy.core.diagnostics import KlorError
from klorpy.core.values import show
from klorpy.runtime import registry
from klorpy.runtime.limits import LIMITS, Limits, WireError
from klorpy.runtime.registry import Kind
from klorpy.runtime.wire import arrays, table
from klorpy.runtime.wire.atoms import ATOMS, pack, read_integer
from klorpy.runtime.wire.survey import survey
from klorpy.runtime.wire.writer import PLAIN, encode

#: MessagePack as short as this cannot hold enough colliding keys to cost time; less where it is one of many parts.
_HARMLESS: Final = 16 << 10
_HARMLESS_PART: Final = 1 << 10

#: More of Python's stack than this may be more than the machine's, which is what msgspec recurses on.
_MODEST_RECURSION: Final = 10_000

#: So many keys of one hash are found in honest data at most, and cost nothing.
_COLLISIONS: Final = 64

#: The bytes that begin an extension, or this or a container. In a frame of texts and small numbers they are nothing else.
_EXTENSION: Final = frozenset((*range(0xC7, 0xCA), *range(0xD4, 0xD9)))
_HEADS: Final = bytes((*_EXTENSION, *range(0x80, 0xA0), *range(0xDC, 0xE0)))

_VERSIONS: Final = "both sides need the same version of klorpy, and of the classes that they register"
_DAMAGED: Final = "they were cut or damaged on the way, or another program wrote them"


class _Extended(Exception):
    """There is an extension in the frame."""


def _extended(code: int, data: memoryview) -> Any:
    raise _Extended


_decode_plain: Final = Decoder(ext_hook=_extended).decode
_decode_flat: Final = Decoder(dict[str, bool | int | float | str | None]).decode
_decode_tuple: Final = Decoder(tuple, ext_hook=_extended).decode

_simplified: Final = partial(msgspec.to_builtins, builtin_types=(bytes,), str_keys=True)

#: The frames of one byte whose values nobody can change.
_SINGLE: Final[dict[bytes, Any]] = {pack(value): value for value in (None, False, True, *range(-32, 128))}


def decode(data: bytes | bytearray | memoryview, limits: Limits = LIMITS) -> Any:
    """The value of a frame. Raises WireError for bytes that `encode` did not write.

    >>> decode(bytes.fromhex("82 a2 6f 70 a3 70 75 74 a3 6b 65 79 07"))
    {'op': 'put', 'key': 7}
    >>> decode(bytes.fromhex("92 01"))
    Traceback (most recent call last):
        ...
    klorpy.WireError: the bytes are not a value: Input data was truncated
    help: they were cut or damaged on the way, or another program wrote them
    """
    if type(data) is not bytes:
        data = _bytes(data)
    size = len(data)
    if size == 1 and data in _SINGLE:
        return _SINGLE[data]
    if size > limits.frame:
        raise WireError(f"a value of {size} bytes, but the limit is {limits.frame}", help="give both sides the same Limits")
    try:
        if size > _HARMLESS or data[0] in _EXTENSION:
            value = _read(data, limits)
            again = encode(value, limits)
        else:
            if 0x80 < data[0] < 0x90 and limits is LIMITS:
                try:
                    flat = _decode_flat(data)
                except msgspec.MsgspecError:
                    pass  # there is more in it, or something is wrong
                else:
                    if len(flat) == data[0] - 0x80:
                        return flat
            try:
                value = _decode_plain(data)
                again = pack(value) if _is_plain(data, value, limits) else encode(value, limits)
            except _Extended:  # which is seen only when it is met
                value = _read_extended(data, limits)
                again = encode(value, limits)
    except WireError:
        raise
    except KlorError as error:
        raise WireError(f"the bytes are of a value that may not be sent: {error.message}", help=_VERSIONS) from None
    except Exception as error:  # whatever msgspec, a type of the table or a registered class has against the bytes
        raise WireError(f"the bytes are not a value: {str(error)[:200] or type(error).__name__}", help=_DAMAGED) from error
    if again != data:
        raise WireError("the bytes are of a value that is written in another way", help=_VERSIONS)
    return value


def _is_plain(data: bytes, value: Any, limits: Limits) -> bool:
    """Whether the writer is known to give `value`, which msgspec read from a short frame, to msgspec as it is."""
    kind = type(value)
    if kind in PLAIN:
        return True
    size = len(data)
    heads = size - len(data.translate(None, _HEADS))
    if heads > limits.depth or size > limits.items:
        return False  # it may be nested too deeply, or hold too much
    if heads == 1:
        return True  # there is no byte that may be the head of something inside
    if kind is dict:
        for key, item in value.items():
            if type(item) not in PLAIN or type(key) not in PLAIN:
                break
        else:
            return True
    try:
        # What msgspec may have made besides lists and dicts with texts as keys comes out as something else.
        return bool(_simplified(value) == value)
    except TypeError:
        return False


def _bytes(data: bytes | bytearray | memoryview) -> bytes:
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise KlorError(f"decode takes bytes, not {type(data).__name__}", slug="bad-argument")
    return bytes(data)


def _read(data: bytes, limits: Limits) -> Any:
    """The value of a frame that is long, or is an extension. Raises whatever there is against it."""
    first = data[0]
    if first in _EXTENSION:
        # A short tuple, when there is no extension in it. The length that is claimed is compared with all else in the end.
        start = 3 if first == 0xC7 else 2
        if len(data) <= _HARMLESS_PART and first != 0xC8 and first != 0xC9 and data[start - 1] == table.TUPLE:
            try:
                return _decode_tuple(data[start:])
            except _Extended:
                pass
    else:
        Reader.of(limits, len(data)).look(data)
        try:
            return _decode_plain(data)
        except _Extended:
            pass
    return _read_extended(data, limits)


def _read_extended(data: bytes, limits: Limits) -> Any:
    reader = Reader.of(limits, len(data))
    value = reader.decode(data)
    # Kept for the next frame, since a decoder takes longer to make than to use. After an error it is dropped.
    _idle.append(reader)
    return value


class Reader:
    """Reads one frame that has extensions. `free` is how many more bytes may become items without being counted."""

    __slots__ = ("count", "decode", "depth", "free", "harmless", "limits")

    count: int
    depth: int
    free: int
    harmless: int
    limits: Limits

    def __init__(self) -> None:
        self.decode: Callable[[Any], Any] = Decoder(ext_hook=self.hook).decode

    @staticmethod
    def of(limits: Limits, size: int) -> Reader:
        """A reader for a frame of this size, an idle one if there is one."""
        try:
            reader = _idle.pop()
        except IndexError:
            reader = Reader()
        reader.limits = limits
        reader.depth = reader.count = 0
        reader.free = limits.items
        reader.harmless = _HARMLESS if size <= _HARMLESS else _HARMLESS_PART
        return reader

    def look(self, data: bytes) -> None:
        """Survey bytes that could become too many items, or a dict that takes too long. Raises ValueError."""
        size = len(data)
        if (
            size <= self.free
            and (size <= self.harmless or not (b"\xde" in data or b"\xdf" in data))
            and (size <= _HARMLESS or sys.getrecursionlimit() <= _MODEST_RECURSION)
        ):
            self.free -= size
        else:
            self.count += survey(data, self.limits.items - self.count, self.limits.depth)

    def hook(self, code: int, data: memoryview) -> Any:
        """The value of an extension. Raises whatever there is against it."""
        if code == table.TUPLE and len(data) <= _HARMLESS_PART and len(data) <= self.free:
            # Most tuples are short, and hold no extension.
            try:
                value = _decode_tuple(data)
            except _Extended:
                pass
            else:
                self.free -= len(data)
                return value
        read = _READ.get(code)
        if read is None:
            raise ValueError(f"there is no extension {code}")
        self.depth += 1
        if self.depth > self.limits.depth:
            raise ValueError("too deep")
        value = read(self, bytes(data))
        self.depth -= 1
        return value

    def array(self, data: bytes) -> list[Any]:
        """The payload as an array of values."""
        if len(data) <= _HARMLESS_PART and len(data) <= self.free:
            self.free -= len(data)
        else:
            self.look(data)
        parts = self.decode(data)
        if type(parts) is not list:
            raise ValueError("not an array")
        return parts


#: Readers that read nothing now.
_idle: Final[list[Reader]] = []

# --- Containers -------------------------------------------------------------------------------------------------------


def _tuple(reader: Reader, data: bytes) -> tuple[Any, ...]:
    return tuple(reader.array(data))


def _set(reader: Reader, data: bytes) -> set[Any]:
    elements = reader.array(data)
    _check_hashes(elements)
    return _unique(set(elements), len(elements))


def _frozenset(reader: Reader, data: bytes) -> frozenset[Any]:
    elements = reader.array(data)
    _check_hashes(elements)
    return _unique(frozenset(elements), len(elements))


def _map(reader: Reader, data: bytes) -> dict[Any, Any]:
    parts = reader.array(data)
    keys = parts[::2]
    _check_hashes(keys)
    return _unique(dict(zip(keys, parts[1::2], strict=True)), len(keys))


S = TypeVar("S", bound=Sized)


def _unique(container: S, count: int) -> S:
    if len(container) != count:
        raise ValueError("a key or an element that is there twice")
    return container


def _check_hashes(keys: Sequence[Any]) -> None:
    """Putting keys of one hash into a dict takes quadratic time, so they are counted first. Raises ValueError."""
    if len(keys) > _COLLISIONS and max(Counter(map(hash, keys)).values()) > _COLLISIONS:
        raise ValueError("too many keys of one hash")


# --- Registered classes -----------------------------------------------------------------------------------------------


def _entry(name: Any, *kinds: Kind) -> registry.Registered:
    entry = registry.of_name(name) if type(name) is str else None
    if entry is None:
        raise WireError(
            f"an object of a class that is not registered here: {show(name, 60)}",
            help="register the class on this side, too, under this name: klorpy.register(cls)",
        )
    if entry.kind not in kinds:
        raise WireError(f"{entry.name} is {entry.kind.value} here, but was something else where it was sent")
    return entry


def _fields(reader: Reader, data: bytes, kind: Kind) -> tuple[registry.Registered, dict[str, Any]]:
    name, values = reader.array(data)
    entry = _entry(name, kind)
    if type(values) is not dict:
        raise ValueError("fields that are no dict")
    if tuple(values) != entry.fields:
        raise WireError(_difference(entry, values), help="both sides need the same version of the class")
    return entry, values


def _difference(entry: registry.Registered, values: dict[Any, Any]) -> str:
    missing = [name for name in entry.fields if name not in values]
    unknown = [show(name, 60) for name in values if name not in entry.fields]
    if missing:
        return f"an object of {entry.name} came without the field {missing[0]}"
    if unknown:
        return f"an object of {entry.name} came with a field {unknown[0]}, which the class here does not have"
    return f"an object of {entry.name} came with its fields in another order than they have here"


def _record(reader: Reader, data: bytes) -> Any:
    entry, values = _fields(reader, data, Kind.RECORD)
    late = {name: values.pop(name) for name in entry.late}
    try:
        made = entry.cls(**values)
    except Exception as error:  # the class's own checks
        raise WireError(
            f"{entry.name} refuses the fields that came: {str(error)[:200] or type(error).__name__}",
            help="an object that its class would not make was sent, or the versions of the class differ",
        ) from error
    for name, value in late.items():
        object.__setattr__(made, name, value)  # the way of frozen dataclasses
    return made


def _named(reader: Reader, data: bytes) -> Any:
    entry, values = _fields(reader, data, Kind.NAMED)
    return tuple.__new__(entry.cls, values.values())


def _member(reader: Reader, data: bytes) -> Any:
    name, member = reader.array(data)
    entry = _entry(name, Kind.MEMBER)
    if issubclass(entry.cls, Flag):
        if type(member) is not int:
            raise ValueError("flags that are no number")
        return entry.cls(member)
    if type(member) is not str or member not in entry.cls.__members__:
        raise WireError(f"{entry.name} has no member {show(member, 60)} here", help=_VERSIONS)
    return entry.cls.__members__[member]


# --- The table --------------------------------------------------------------------------------------------------------

_Read: TypeAlias = Callable[[Reader, bytes], Any]


def _integer(reader: Reader, data: bytes) -> int:
    return read_integer(data, reader.limits)


def _atom(read: Callable[[bytes, Limits], Any]) -> _Read:
    return lambda reader, data: read(data, reader.limits)


_READ: Final[dict[int, _Read]] = {
    table.TUPLE: _tuple, table.SET: _set, table.FROZENSET: _frozenset, table.MAP: _map, table.INTEGER: _integer,
    table.RECORD: _record, table.NAMED: _named, table.MEMBER: _member,
    table.ARRAY: _atom(arrays.read_array), table.SCALAR: _atom(arrays.read_scalar),
    **{code: _atom(read) for code, _, read in ATOMS.values()},
}  # fmt: skip
