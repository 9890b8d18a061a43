"""How much one value may take on the wire, and the error of bytes that are refused.

Sender and receiver look at the same limits: what one may send, the other takes. Both sides of a program should have
equal ones.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar, Final

from klorpy.core.diagnostics import KlorError

#: Containers inside containers go through Python's own stack on both sides, so no program may ask for more.
_DEEPEST: Final = 200


@dataclass(frozen=True, slots=True)
class Limits:
    """What one value may take. All numbers are positive.

    frame     bytes of one value, as it is sent
    depth     containers inside containers; at most 200
    items     elements of all containers together, keys of dicts included
    integer   bytes of one int
    digits    digits of one Decimal
    exponent  the exponent of one Decimal, in either direction

    >>> Limits(frame=64 << 10).depth
    64
    """

    __module__ = "klorpy"

    frame: int = 16 << 20
    depth: int = 64
    items: int = 1_000_000
    integer: int = 4096
    digits: int = 10_000
    exponent: int = 10_000

    def __post_init__(self) -> None:
        for field in fields(self):
            number = getattr(self, field.name)
            if type(number) is not int or number < 1:
                raise KlorError(f"the limit {field.name} is a positive int, not {number!r}", slug="bad-argument")
        if self.depth > _DEEPEST:
            raise KlorError(
                f"the limit depth is at most {_DEEPEST}, not {self.depth}", slug="bad-argument",
                help="a long chain of objects goes as a list, not as one inside the other",
            )  # fmt: skip


#: The limits that hold where none are given.
LIMITS: Final = Limits()


class WireError(KlorError):
    """Bytes that no sender of klorpy wrote for these limits and these classes. Nothing else comes out of decoding."""

    __module__ = "klorpy"

    default_slug: ClassVar[str] = "wire-error"
