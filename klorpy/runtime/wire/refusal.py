"""Why a value cannot be sent, and where in it that is.

A Refusal is raised at the guilty part and gathers its place on the way out; `not_sendable` makes the error of it.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import Any, Final

from klorpy.core.diagnostics import KlorError
from klorpy.core.values import show
from klorpy.runtime import registry

#: Steps that no subscript can write; all others are text to be appended.
ELEMENT: Final = "an element of"
KEY: Final = "a key of"


class Refusal(Exception):
    """A part of the value `reason`; it is what `steps` lead to, the last first, each with the identity of its container."""

    def __init__(self, reason: str, help: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.help = help
        self.steps: list[tuple[int, str]] = []

    def at(self, container: object, step: str) -> None:
        self.steps.append((id(container), step))


def place(steps: list[tuple[int, str]]) -> str:
    """The place that the steps, outermost first, lead to.

    >>> place([(0, "[3]"), (1, ".price"), (2, KEY), (3, "[0]")])
    '(a key of value[3].price)[0]'
    """
    text, bare = "value", True
    for _, step in steps:
        if step in (ELEMENT, KEY):
            text, bare = f"{step} {text if bare else f'({text})'}", False
        else:
            text, bare = (text if bare else f"({text})") + step, True
    return text


def subscript(key: object) -> str:
    return f"[{show(key, 40)}]" if type(key) is not str else f"[{key[:40]!r}]".replace("'", '"')


def not_sendable(refusal: Refusal) -> KlorError:
    """The error `not-sendable` for the user."""
    steps = refusal.steps[::-1]
    first: dict[int, int] = {}
    for index, (container, _) in enumerate(steps):
        if container in first:
            inner, outer = place(steps[:index]), place(steps[: first[container]])
            return KlorError(
                f"{inner} is {outer} itself, and a value that contains itself cannot be sent",
                slug="not-sendable", help="send the parts and how they hang together: a list of them, and their indices",
            )  # fmt: skip
        first[container] = index
    return KlorError(f"{place(steps)} {refusal.reason}", slug="not-sendable", help=refusal.help)


def of_type(value: Any) -> Refusal:
    """The refusal of a value for its type, with what to do instead."""
    kind = type(value)
    article = "an" if kind.__name__[:1] in "aeiouAEIOU" else "a"
    return Refusal(f"is {article} {_name(kind)}, which cannot be sent", _advice(value, kind))


def _name(kind: type) -> str:
    return kind.__name__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__name__} of {kind.__module__}"


#: What can be sent of a type that is near to one.
_NEAR: Final = (str, bool, int, float, complex, bytes, bytearray, tuple, list, dict, set, frozenset)


def _advice(value: Any, kind: type) -> str:
    if registry.of_name(kind.__qualname__) is not None:
        return f"{kind.__name__} was defined again after this object was made: make it anew"
    if dataclasses.is_dataclass(kind) or isinstance(value, enum.Enum) or hasattr(kind, "_fields"):
        return f"register the class on both sides: klorpy.register({kind.__name__})"
    if kind is memoryview:
        return "send its bytes: bytes(value)"
    if kind is range:
        return "send its numbers: list(value)"
    for near in _NEAR:
        if isinstance(value, near):
            return f"a receiver would get something else: send {near.__name__}(value) if that is what is meant"
    if hasattr(value, "__array__"):
        return "send a numpy array of numbers, or a list"
    if callable(value):
        return "both sides have the program: send the name, or the data that it works on"
    return "send data: numbers, text, bytes, lists, dicts, sets, dates, or objects of a class given to klorpy.register"
