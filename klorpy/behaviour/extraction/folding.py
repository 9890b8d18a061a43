"""Literals, and what operators make of them: so that loops of a fixed number of rounds are as long as they are.

    form  →  Const | nothing
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, Final

from klorpy.behaviour.extraction.values import Const, Value
from klorpy.language.hy_adapter import Keyword, literal_value, show_form

_OPERATORS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "//": operator.floordiv, "%": operator.mod,
    "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge, "=": operator.eq, "!=": operator.ne,
}  # fmt: skip
#: Numbers beyond are not computed any more.
_LARGE: Final = 10**9


def literal(form: Any) -> Const | None:
    """A number, a text, a keyword, None, True or False; None for any other form."""
    try:
        value = literal_value(form)
    except ValueError:
        return None
    return constant(value) if isinstance(value, (int, float, str, bytes, Keyword, type(None))) else None


def constant(value: Any, folded: int = 0) -> Const:
    """
    >>> constant("ok").text, constant(True).text, constant(3).text
    ('ok', 'true', '3')
    """
    match value:
        case bool() | None:
            text = str(value).lower()
        case str() if value and value.isprintable():
            text = value
        case Keyword():
            text = show_form(value)
        case _:
            text = repr(value)
    return Const(type(value).__name__, text, value, folded)


def fold(function: str, args: Sequence[Value]) -> Const | None:
    """What an operator makes of constants; None when it is not known."""
    if not all(isinstance(arg, Const) for arg in args):
        return None
    values = [arg.value for arg in args]
    folded = 1 + max((arg.folded for arg in args), default=0)
    if function == "not" and len(values) == 1:
        return constant(not values[0], folded)
    if function not in _OPERATORS or len(values) != 2 or not all(isinstance(v, (int, str)) for v in values):
        return None
    if any(isinstance(v, str) for v in values) and function not in ("=", "!="):
        return None
    try:
        result = _OPERATORS[function](*values)
    except (TypeError, ZeroDivisionError):
        return None
    return constant(result, folded) if isinstance(result, bool) or abs(result) < _LARGE else None
