"""Values to bytes.

    limits ⊢ value ⇒ bytes        or KlorError `not-sendable`, which says what in the value cannot be sent, and where

A value that MessagePack carries as it is goes to msgspec untouched; to know that takes a look at each part's type. All
else is *lowered* first, to values that MessagePack carries and extensions (see table.py). Types count exactly: an object
of a subclass would arrive as something else, so it is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import Flag
from functools import cached_property
from operator import countOf
from typing import Any, Final, NoReturn, TypeAlias

from msgspec import Raw
from msgspec.msgpack import Ext

from klorpy.core.diagnostics import KlorError
from klorpy.runtime import registry
from klorpy.runtime.limits import LIMITS, Limits
from klorpy.runtime.wire import arrays, table
from klorpy.runtime.wire.atoms import ATOMS, check_text, pack, write_integer
from klorpy.runtime.wire.refusal import ELEMENT, KEY, Refusal, not_sendable, of_type, subscript

#: What MessagePack carries as it is; ints beyond 64 bits and broken texts are noticed by msgspec.
PLAIN: Final[frozenset[type]] = frozenset((type(None), bool, int, float, str, bytes))
#: What certainly needs no second look.
SURE: Final[frozenset[type]] = PLAIN - {int, str}

all_plain: Final = PLAIN.issuperset

#: Up to so many entries of a dict a loop is quicker than two passes in C.
_FEW: Final = 12


def encode(value: Any, limits: Limits = LIMITS) -> bytes:
    """The bytes of a value. Raises KlorError `not-sendable` when it cannot be sent exactly.

    >>> encode({"op": "put", "key": 7}).hex(" ")
    '82 a2 6f 70 a3 70 75 74 a3 6b 65 79 07'
    >>> encode([5, {"at": open}])
    Traceback (most recent call last):
        ...
    klorpy.KlorError: value[1]["at"] is a builtin_function_or_method, which cannot be sent
    help: both sides have the program: send the name, or the data that it works on
    """
    kind = type(value)
    # Plain values by the shortest way; all others, and all that is refused, by the other.
    if kind is dict and len(value) <= _FEW:
        for key, item in value.items():
            if type(key) not in PLAIN or type(item) not in PLAIN:
                return _encode(value, limits)
    elif kind not in PLAIN and not (
        ((kind is list or kind is tuple) and _all_plain(value))
        or (kind is dict and all_plain(map(type, value)) and all_plain(map(type, value.values())))
    ):
        return _encode(value, limits)
    try:
        data = pack(value if kind is not tuple else Ext(table.TUPLE, pack(value)))
    except (OverflowError, UnicodeEncodeError):
        return _encode(value, limits)
    # Each item takes a byte at least, so a short frame has few.
    size = len(data)
    return data if size <= limits.frame and (size <= limits.items or kind in PLAIN) else _encode(value, limits)


def _all_plain(values: Sequence[Any]) -> bool:
    # Of a long run of one type the type need not be looked up.
    if len(values) > _FEW and type(values[0]) in PLAIN and countOf(map(type, values), type(values[0])) == len(values):
        return True
    return all_plain(map(type, values))


def _encode(value: Any, limits: Limits) -> bytes:
    try:
        try:
            data = pack(Writer(limits, PLAIN).lower(value))
        except (OverflowError, UnicodeEncodeError):
            data = pack(Writer(limits, SURE).lower(value))
        if len(data) > limits.frame:
            raise Refusal(
                f"takes {len(data)} bytes, but the limit is {limits.frame}",
                "send it in parts, or raise the limit on both sides: Limits(frame=…)",
            )
    except Refusal as refusal:
        raise not_sendable(refusal) from None
    except RecursionError:
        raise KlorError("the value is sent from so deep inside calls that there is no room left", slug="not-sendable") from None
    return data


class Writer:
    """Lowers one value. `plain` are the types that are taken without a look; `depth` and `left` count against limits."""

    __slots__ = ("deepest", "depth", "left", "limits", "plain")

    def __init__(self, limits: Limits, plain: frozenset[type]) -> None:
        self.limits = limits
        self.plain = plain
        self.depth = 0
        self.deepest = limits.depth
        self.left = limits.items

    def lower(self, value: Any) -> Any:
        """`value` as MessagePack can carry it. Raises Refusal."""
        kind = type(value)
        if kind in self.plain:
            return value
        lower = _LOWER.get(kind)
        if lower is not None:
            return lower(self, value)
        atom = ATOMS.get(kind)
        if atom is not None:
            return Ext(atom[0], atom[1](value, self.limits))
        registered = registry.of_class(kind)
        if registered is not None:
            return _REGISTERED[registered.kind](self, value, registered)
        if arrays.is_numpy(value):
            code, payload = arrays.write(value)
            return Ext(code, payload)
        raise of_type(value)

    def enter(self, items: int) -> None:
        """Go into a container. Left by subtracting one from `depth`; after a Refusal nobody counts any more."""
        self.depth += 1
        self.left -= items
        if self.left < 0 or self.depth > self.deepest:
            self.refuse()

    def refuse(self) -> NoReturn:
        """Say which limit is exceeded."""
        if self.depth > self.deepest:
            raise Refusal(
                f"is nested deeper than {self.deepest} levels",
                "send a flatter value, or raise the limit on both sides: Limits(depth=…)",
            )
        raise Refusal(
            f"has, with what comes before it, more than {self.limits.items} items",
            "send it in parts, as a numpy array, or raise the limit on both sides: Limits(items=…)",
        )

    def items(self, container: Any, values: Iterable[Any], step: str | None = None) -> list[Any]:
        """All values lowered; they are those of `container`, at `step` or at their indices."""
        out: list[Any] = []
        plain = self.plain
        try:
            for value in values:
                kind = type(value)
                if kind in plain:
                    out.append(value)
                else:
                    lower = _LOWER.get(kind)
                    out.append(lower(self, value) if lower is not None else self.lower(value))
        except Refusal as refusal:
            refusal.at(container, step or f"[{len(out)}]")
            raise
        return out


Lower: TypeAlias = Callable[[Writer, Any], Any]


def _int(writer: Writer, value: int) -> Any:
    if -(1 << 63) <= value < 1 << 64:
        return value
    return Ext(table.INTEGER, write_integer(value, writer.limits))


def _str(writer: Writer, value: str) -> str:
    check_text(value)
    return value


def _list(writer: Writer, value: list[Any]) -> list[Any]:
    left = writer.left - len(value)
    if left >= 0 and writer.depth < writer.deepest and writer.plain.issuperset(map(type, value)):
        writer.left = left
        return value
    writer.enter(len(value))
    out = writer.items(value, value)
    writer.depth -= 1
    return out


def _tuple(writer: Writer, value: tuple[Any, ...]) -> Ext:
    left = writer.left - len(value)
    if left >= 0 and writer.depth < writer.deepest and writer.plain.issuperset(map(type, value)):
        writer.left = left
        return Ext(table.TUPLE, pack(value))
    writer.enter(len(value))
    out = writer.items(value, value)
    writer.depth -= 1
    return Ext(table.TUPLE, pack(out))


def _set(writer: Writer, value: set[Any] | frozenset[Any]) -> Ext:
    writer.enter(len(value))
    out = sorted(map(pack, writer.items(value, value, ELEMENT)))
    writer.depth -= 1
    return Ext(table.SET if type(value) is set else table.FROZENSET, pack([*map(Raw, out)]))


def _dict(writer: Writer, value: dict[Any, Any]) -> Any:
    writer.depth += 1
    writer.left -= 2 * len(value)
    if writer.left < 0 or writer.depth > writer.deepest:
        writer.refuse()
    plain = writer.plain
    is_odd = False
    out: dict[Any, Any] = {}
    try:
        for key, item in value.items():
            if type(key) not in plain:
                is_odd = True
            kind = type(item)
            if kind in plain:
                out[key] = item
            else:
                lower = _LOWER.get(kind)
                out[key] = lower(writer, item) if lower is not None else writer.lower(item)
    except Refusal as refusal:
        refusal.at(value, subscript(key))
        raise
    lowered = _with_odd_keys(writer, value, out) if is_odd else out
    writer.depth -= 1
    return lowered


def _with_odd_keys(writer: Writer, value: dict[Any, Any], items: dict[Any, Any]) -> Any:
    """A dict whose items are lowered, and that has keys which need a look."""
    keys = writer.items(value, value, KEY)
    pairs = [*zip(keys, items.values(), strict=True)]
    if all_plain(map(type, keys)):
        return dict(pairs)
    return Ext(table.MAP, pack([part for pair in pairs for part in pair]))


_LOWER: Final[dict[type, Lower]] = {
    int: _int, str: _str, list: _list, tuple: _tuple, set: _set, frozenset: _set, dict: _dict,
}  # fmt: skip


# --- Registered classes -----------------------------------------------------------------------------------------------


def _fields(writer: Writer, value: Any, entry: registry.Registered) -> Ext:
    writer.enter(2 + 2 * len(entry.fields))
    _check_whole(value, entry)
    named = entry.kind is registry.Kind.NAMED
    parts = tuple(value) if named else _parts(value, entry)
    out: dict[str, Any] = {}
    for name, part in zip(entry.fields, parts, strict=True):
        try:
            out[name] = writer.lower(part)
        except Refusal as refusal:
            refusal.at(value, f".{name}")
            raise
    writer.depth -= 1
    return Ext(table.NAMED if named else table.RECORD, pack([entry.name, out]))


def _parts(value: Any, entry: registry.Registered) -> list[Any]:
    out = []
    for name in entry.fields:
        try:
            out.append(getattr(value, name))
        except AttributeError:
            raise Refusal(f"is a {entry.name} whose field {name} has no value") from None
    return out


def _check_whole(value: Any, entry: registry.Registered) -> None:
    """Nothing of an object is left behind: it has no attributes but its fields, and properties that it has cached."""
    if entry.kind is registry.Kind.NAMED and len(value) != len(entry.fields):
        raise Refusal(f"is a {entry.name} of {len(value)} items, not of {len(entry.fields)}")
    for name in getattr(value, "__dict__", ()):
        if name not in entry.fields and not _is_cached(getattr(entry.cls, name, None)):
            raise Refusal(
                f"is a {entry.name} with an attribute {name}, which is not a field of it",
                "declare it as a field, or remove it before the object is sent",
            )


def _is_cached(attribute: object) -> bool:
    return type(attribute) is cached_property


def _member(writer: Writer, value: Any, entry: registry.Registered) -> Ext:
    # Flags that are set together have no name of their own.
    return Ext(table.MEMBER, pack([entry.name, writer.lower(value.value if isinstance(value, Flag) else value.name)]))


_REGISTERED: Final = {registry.Kind.RECORD: _fields, registry.Kind.NAMED: _fields, registry.Kind.MEMBER: _member}
