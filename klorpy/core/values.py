"""What values are to klorpy: absence, equality between copies, isolation, and how they are shown."""

from __future__ import annotations

import copy
import datetime
import decimal
import enum
import fractions
import types
import uuid
from typing import Any, Final, final

import hy


@final
class Noop:
    """The type of `noop`: "no value at this role". A falsy singleton."""

    _instance: Noop | None = None

    def __new__(cls) -> Noop:
        if cls._instance is None:
            cls._instance = super().__new__(cls)
        return cls._instance

    def __repr__(self) -> str:
        return "noop"

    def __bool__(self) -> bool:
        return False

    def __reduce__(self) -> str:
        return "noop"


noop: Final = Noop()

#: Types whose values nobody can change: a copy would be the same object.
ATOMS: Final[frozenset[type]] = frozenset(
    (
        int, float, complex, bool, str, bytes, type(None), type(Ellipsis), range, Noop, type,
        types.FunctionType, types.BuiltinFunctionType, types.ModuleType,
        decimal.Decimal, fractions.Fraction, uuid.UUID,
        datetime.date, datetime.time, datetime.datetime, datetime.timedelta, datetime.timezone,
        hy.models.Keyword, hy.models.Symbol,
    )
)  # fmt: skip


class NotCopyable(Exception):
    """A value that cannot be given to another role; the argument is its type's name."""


def isolate(value: Any) -> Any:
    """An equal value of the same type that shares no mutable state with `value`.

    Functions, classes and modules are shared, as `copy.deepcopy` does. Raises NotCopyable for what cannot be
    copied (a lock, a socket, a generator).
    """
    kind = type(value)
    if kind in ATOMS:
        return value
    # The two commonest messages, a flat list or dict, without deepcopy's bookkeeping.
    if kind is list and all(type(item) in ATOMS for item in value):
        return value[:]
    if kind is dict and all(type(k) in ATOMS and type(v) in ATOMS for k, v in value.items()):
        return value.copy()
    try:
        return copy.deepcopy(value)
    except Exception as error:  # deepcopy raises whatever a class's own hooks raise
        raise NotCopyable(kind.__name__) from error


def comparable(value: Any) -> bool:
    """Whether equality says anything about `value`: functions and identity-only objects are not comparable."""
    equality: object = type(value).__eq__
    return equality is not object.__eq__ or isinstance(value, (type(None), enum.Enum, Noop))


# What is compared part by part: built-in containers, and classes derived from them that keep their equality.
_DICT: Final[object] = dict.__eq__
_ORDERED: Final[tuple[object, ...]] = (list.__eq__, tuple.__eq__)
_CONTAINERS: Final[tuple[object, ...]] = (*_ORDERED, _DICT, set.__eq__, frozenset.__eq__)


def same_value(left: Any, right: Any) -> bool:
    """Whether two roles' copies agree: equal and of the same type, all the way down; NaN agrees with NaN.

    Values that cannot be compared (functions, objects without an equality) are taken to agree when their
    types do.

    >>> same_value([1, (2,)], [1, (2,)]), same_value(1, True), same_value(float("nan"), float("nan"))
    (True, False, True)
    """
    # A work list, since values may be nested deeper than Python's stack; pairs seen are not visited again, since
    # they may be cyclic.
    todo = [(left, right)]
    seen: set[tuple[int, int]] = set()
    while todo:
        a, b = todo.pop()
        if a is b:
            continue
        kind = type(a)
        if kind is not type(b):
            return False
        equality: object = kind.__eq__
        if equality in _CONTAINERS:
            if (pair := (id(a), id(b))) in seen:
                continue
            seen.add(pair)
            if len(a) != len(b):
                return False
            if equality in _ORDERED:
                todo.extend(zip(a, b, strict=True))
                continue
            # Keys and elements match by equality, in any order; then their types are compared.
            partners = {key: key for key in b}
            for key in a:
                if key not in partners:
                    return False
                todo.append((key, partners[key]))
                if equality is _DICT:
                    todo.append((a[key], b[key]))
        elif comparable(a) and not _equal(a, b):
            return False
    return True


def _equal(a: Any, b: Any) -> bool:
    try:
        for trait in ("shape", "dtype"):
            if getattr(a, trait, None) != getattr(b, trait, None):
                return False
        if hasattr(a, "__len__") and len(a) != len(b):
            return False
        equal = a == b
        if hasattr(equal, "all"):
            # An array: each element is equal, or NaN in both; never both at once, so one differs from the other.
            return bool((equal != ((a != a) & (b != b))).all())
        if equal:
            return True
        nan = a != a
        return isinstance(nan, bool) and nan and bool(b != b)
    except Exception:  # a class's own comparison failed: nothing is known, so nothing is reported
        return True


def show(value: Any, limit: int | None = None) -> str:
    """`value` as Hy writes it, cut to `limit` characters. Never raises.

    >>> show([1, (2,), {"k": None}])
    '[1 #(2) {"k" None}]'
    """
    if type(value) is Noop:
        text = "noop"
    else:
        try:
            text = hy.repr(value)
        except Exception:  # a broken __repr__ must not hide the error that is being shown
            text = f"<{type(value).__name__}>"
    if text.startswith("'") and isinstance(value, hy.models.Object):
        text = text[1:]
    return text if limit is None or len(text) <= limit else text[: max(limit - 1, 0)] + "…"
