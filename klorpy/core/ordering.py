"""What host code says of its effects, for roles that run out of order.

A call of a function counts as an effect that touches everything at its role, unless the function is known to be pure
or says which resources it touches. These declarations are plain Python: they change nothing when roles run in order.

    @pure                       no effect; the result depends on the arguments alone
    @touches("db", …)           effects on these resources, and on nothing else
    (independent e)             the effects of e need not keep any order with the others of their role
    (after x e)                 the value of e, which is not evaluated before x is there
    (barrier)                   nothing behind it at this role begins before all that stands in front of it is done
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any, Final, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])
_T = TypeVar("_T")

_MARK: Final = "__klorpy_touches__"

#: Functions of Python that have no effect and whose result depends on their arguments alone.
_PURE: Final = frozenset(
    getattr(builtins, name)
    for name in (
        "abs", "all", "any", "ascii", "bin", "bool", "bytes", "chr", "complex", "dict", "divmod", "enumerate", "filter",
        "float", "format", "frozenset", "hasattr", "hash", "hex", "int", "isinstance", "issubclass", "len", "list",
        "map", "max", "min", "oct", "ord", "pow", "range", "repr", "reversed", "round", "set", "slice", "sorted",
        "str", "sum", "tuple", "type", "zip",
    )
)  # fmt: skip
_PURE_MODULES: Final = frozenset(("cmath", "fractions", "math", "operator", "_operator", "hy.pyops"))


def pure(function: _F) -> _F:
    """Declare that a function has no effect, and that its result depends on its arguments alone.

    >>> @pure
    ... def price(book):
    ...     return len(book)
    >>> resources(price)
    frozenset()
    """
    setattr(function, _MARK, frozenset())
    return function


def touches(*names: str) -> Callable[[_F], _F]:
    """Declare which resources a function's effects concern: calls that share none need not keep their order.

    >>> @touches("till")
    ... def charge(user, sum):
    ...     print(user, sum)
    >>> resources(charge)
    frozenset({'till'})
    """

    def declare(function: _F) -> _F:
        setattr(function, _MARK, frozenset(map(str, names)))
        return function

    return declare


def independent(value: _T) -> _T:
    """The value; the effects that made it keep no order with the other effects of their role.

    >>> independent(5)
    5
    """
    return value


def after(first: object, value: _T) -> _T:
    """The value, which is not evaluated before `first` is there.

    >>> after("an acknowledgement", 5)
    5
    """
    return value


def barrier() -> None:
    """Nothing behind it at this role begins before all that stands in front of it is done.

    >>> barrier()
    """


pure(independent)
pure(after)


def declared(function: object) -> bool:
    """Whether somebody said what calls of `function` touch."""
    return isinstance(getattr(function, _MARK, None), frozenset)


def resources(function: object) -> frozenset[str] | None:
    """What calls of `function` touch: nothing, these resources, or (None) whatever there is at the role."""
    mark = getattr(function, _MARK, None)
    if isinstance(mark, frozenset):
        return mark
    try:
        known = function in _PURE
    except TypeError:  # not hashable, so none of those
        known = False
    if known or getattr(function, "__module__", None) in _PURE_MODULES:
        return frozenset()
    return None
