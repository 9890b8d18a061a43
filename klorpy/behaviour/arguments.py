"""Arguments of public functions, held to their annotations.

    checked(f)       f, which refuses an argument of another type than is written: KlorError `bad-argument`

Terms, types and systems are often confused with their texts; what would fail deep inside is refused at the door, by name.
A `Literal` is not looked at: the functions say themselves what the words are.
"""

from __future__ import annotations

import inspect
import reprlib
from collections.abc import Callable, Iterable, Mapping
from functools import cache, wraps
from types import UnionType
from typing import Any, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

from klorpy.core.diagnostics import KlorError

P = ParamSpec("P")
R = TypeVar("R")


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """The function, with its arguments checked.

    >>> @checked
    ... def twice(word: str) -> str:
    ...     return word + word
    >>> twice("ha")
    'haha'
    >>> twice(5)
    Traceback (most recent call last):
    klorpy.KlorError: word of twice is 5
    help: it should be of type str
    """
    signature = inspect.signature(function)

    @cache
    def hints() -> dict[str, Any]:
        return get_type_hints(function)  # not before the first call: modules may refer to each other

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        for name, value in signature.bind(*args, **kwargs).arguments.items():
            hint = hints().get(name, Any)
            if not fits(value, hint):
                where = function.__qualname__.removesuffix(".__init__")
                raise KlorError(f"{name} of {where} is {reprlib.repr(value)}", slug="bad-argument", help=_help(value, hint))
        return function(*args, **kwargs)

    return call


def fits(value: object, hint: Any) -> bool:
    """Whether a value is of a type, as far as it can be seen without using it up.

    >>> fits(1, int), fits(True, int), fits({"a": 1}, Mapping[str, int]), fits({"a": "b"}, Mapping[str, int])
    (True, False, True, False)
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, UnionType):
        return any(fits(value, part) for part in arguments)
    if hint in (int, float):
        return isinstance(value, (int, hint)) and not isinstance(value, bool)
    if isinstance(hint, type) and origin is None:
        return isinstance(value, hint)
    if not isinstance(origin, type):
        return True
    if not isinstance(value, origin) or isinstance(value, str):
        return False
    if isinstance(value, Mapping):
        return all(fits(item, arguments[1]) for item in value.values())
    if isinstance(value, (tuple, list)) and issubclass(origin, Iterable):
        return all(fits(item, arguments[0]) for item in value)
    return True


def _help(value: object, hint: Any) -> str:
    if isinstance(value, str):
        return "this is a text: read it with one of the parse_ functions first"
    origin = get_origin(hint)
    names = [getattr(part, "__name__", str(part)) for part in (get_args(hint) if origin in (Union, UnionType) else [hint])]
    return f"it should be of type {' or '.join(names)}"
