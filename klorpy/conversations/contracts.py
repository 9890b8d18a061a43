"""Contracts on messages and on state, written as shapes.

    shape ::= ANY | a type | a function to bool | (shape, …) | an atom

A message of a VM has to have one of its shapes: `Kernel(messages=one_of(…))`, `nested_vm(…, messages=…)`. Who sends
another one is ended, and its peers learn the reason. The state of a process has an invariant: `Spawn(…, invariant=…)`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from klorpy.conversations.pattern import ANY, parts, same_topic
from klorpy.core.values import show


def fits(shape: Any, value: Any) -> bool:
    """Whether a value has a shape. A type is that of the value, or of its base; True is no int.

    >>> fits(("price", str, int), ("price", "EUR", 12)), fits(("price", str, int), ("price", "EUR", True))
    (True, False)
    """
    if shape is ANY:
        return True
    if isinstance(shape, type):
        return isinstance(value, shape) and (shape in (bool, object) or not isinstance(value, bool))
    inner = parts(shape)
    if inner is not None:
        outer = parts(value)
        return (
            outer is not None
            and type(shape) is type(value)
            and len(inner) == len(outer)
            and all(fits(part, item) for part, item in zip(inner, outer, strict=True))
        )
    if callable(shape):
        return bool(shape(value))
    return same_topic(shape, value)


def one_of(*shapes: Any) -> Callable[[Any], bool]:
    """The contract of values that have at least one of the shapes.

    >>> one_of(("hello",), ("bye", str))(("bye", 7))
    False
    """

    def contract(value: Any) -> bool:
        return any(fits(shape, value) for shape in shapes)

    contract.__qualname__ = " or ".join(map(_text, shapes))
    return contract


def _text(shape: Any) -> str:
    """A shape as it is written in Hy."""
    if type(shape) is tuple:
        return f"#({' '.join(map(_text, shape))})"
    name = getattr(shape, "__qualname__", None)
    return name if isinstance(name, str) else show(shape)
