"""Classes of the user whose objects may go over the wire, by the names that they have there.

    registry ⊢ class ⇔ name

Dataclasses, enums and named tuples can be registered: what they consist of is declared, so that it can be checked on
arrival. The name on the wire is the class's qualified name without its module: the two ends of a wire often have one
class from different modules, `__main__` in the program that defines it and `shop` in the one that imports it. Two classes
of one name are refused; a class that is defined again, as in a notebook, takes the place of the one before.

How an object comes into being on arrival:

* A dataclass is called with the fields of its generated `__init__`, so `__post_init__` sees a value that comes from
  outside as it sees any other and may refuse it. Fields that are not parameters are set afterwards.
* A named tuple is made from its fields; its `__new__` does not run.
* An enum's member is looked up; nothing runs.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar, overload

from klorpy.core.diagnostics import KlorError

C = TypeVar("C", bound=type)

#: Set by the interpreter in the flags of classes that were made by a class statement.
_HEAP_TYPE: Final = 1 << 9


class Kind(enum.Enum):
    """What a registered class is."""

    RECORD = "a dataclass"
    NAMED = "a named tuple"
    MEMBER = "an enum"


@dataclass(frozen=True, slots=True)
class Registered:
    """A registered class: its name on the wire and its fields in order, those that `__init__` takes first among them.

    `late` are the fields that are set after construction. An enum has none.
    """

    cls: Any
    name: str
    kind: Kind
    fields: tuple[str, ...] = ()
    late: frozenset[str] = frozenset()


_by_class: Final[dict[type, Registered]] = {}
_by_name: Final[dict[str, Registered]] = {}


def of_class(cls: type) -> Registered | None:
    return _by_class.get(cls)


def of_name(name: str) -> Registered | None:
    return _by_name.get(name)


@overload
def register(cls: C, name: str | None = None) -> C: ...
@overload
def register(cls: None = None, name: str | None = None) -> Callable[[C], C]: ...
def register(cls: Any = None, name: str | None = None) -> Any:
    """Let objects of a dataclass, an enum or a named tuple be sent to other processes. A decorator, or a function.

    Both sides register the class, under one name: `name`, or else the class's qualified name. Returns the class. Raises
    KlorError `bad-argument` for a class that cannot be registered or whose name another class has.

    >>> import dataclasses
    >>> @register
    ... @dataclasses.dataclass(frozen=True)
    ... class Price:
    ...     amount: int
    ...     currency: str
    >>> from klorpy.runtime.wire import decode, encode
    >>> decode(encode([Price(5, "EUR")]))
    [Price(amount=5, currency='EUR')]
    """
    if cls is None:
        return lambda decorated: register(decorated, name)
    if not isinstance(cls, type):
        raise _bad(f"register takes a class, not {cls!r}", "write @klorpy.register above the class")
    if name is not None and (type(name) is not str or not name or not name.isprintable()):
        raise _bad(f"a class is registered under a text, not under {name!r}", 'write klorpy.register(cls, "shop.Order")')
    entry = _described(cls, name or cls.__qualname__)
    mine = _by_class.get(cls)
    if mine is not None and mine.name != entry.name:
        raise _bad(f"{cls.__qualname__} is registered as {mine.name!r} already", "register a class under one name")
    other = _by_name.get(entry.name)
    if other is not None and other.cls is not cls:
        if _origin(other.cls) != _origin(cls):
            raise _bad(
                f"{entry.name!r} is {other.cls.__module__}.{other.cls.__qualname__} already, and cannot be "
                f"{cls.__module__}.{cls.__qualname__} too",
                'give one of them another name, on both sides: klorpy.register(cls, "shop.Order")',
            )
        _by_class.pop(other.cls, None)
    _by_name[entry.name] = _by_class[cls] = entry
    return cls


def _origin(cls: type) -> tuple[str, str]:
    return cls.__module__, cls.__qualname__


def _described(cls: type, name: str) -> Registered:
    if issubclass(cls, enum.Enum):
        if not cls.__members__:
            raise _bad(f"{cls.__qualname__} has no members", "register the enum that defines them")
        return Registered(cls, name, Kind.MEMBER)
    if dataclasses.is_dataclass(cls):
        return _dataclass(cls, name)
    names = getattr(cls, "_fields", None)
    if issubclass(cls, tuple) and type(names) is tuple and all(type(n) is str for n in names):
        return Registered(cls, name, Kind.NAMED, names)
    raise _bad(
        f"{cls.__qualname__} is not a dataclass, an enum or a named tuple",
        "make it a dataclass, with @klorpy.register above @dataclass",
    )


def _dataclass(cls: type, name: str) -> Registered:
    if "__dataclass_fields__" not in vars(cls):
        raise _bad(
            f"{cls.__qualname__} inherits from a dataclass, but is none",
            "decorate it with @dataclass, too, and put @klorpy.register above",
        )
    if (base := _solid(cls)) is not object:
        raise _bad(
            f"{cls.__qualname__} is a {base.__name__} as well as a dataclass, so its fields are not all of it",
            f"hold the {base.__name__} in a field",
        )
    fields = dataclasses.fields(cls)
    taken = {field.name for field in fields if field.init}
    parameters = inspect.signature(cls).parameters.values()
    if {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)} != taken or len(
        parameters
    ) != len(taken):
        raise _bad(
            f"{cls.__qualname__}() takes other arguments than its fields",
            "leave __init__ to @dataclass, without InitVar; a class method can do what it did",
        )
    names = tuple(field.name for field in fields)
    return Registered(cls, name, Kind.RECORD, names, frozenset(names) - taken)


def _solid(cls: type) -> type:
    """The nearest base that no class statement made: what an object holds besides its attributes."""
    while cls.__flags__ & _HEAP_TYPE and cls.__base__ is not None:
        cls = cls.__base__
    return cls


def _bad(message: str, help: str) -> KlorError:
    return KlorError(message, slug="bad-argument", help=help)
