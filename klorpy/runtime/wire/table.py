"""The closed table: the numbers of the extensions, and what stands behind each.

A value on the wire is MessagePack, written the shortest way. What MessagePack carries exactly is written as it is: None,
bool, int of 64 bits, float as binary64, str, bytes, list, and dict with such keys. Everything else is an extension of one
of the numbers below. A payload that is called *content* is MessagePack in turn.

Equal values of equal types have equal bytes (but for the order of a dict's keys, which is part of what is sent). So a
receiver needs one rule against every kind of odd bytes: it takes a frame only if it is what it would have written itself
for the value that it read. Duplicate keys and elements, numbers that are longer than they need be, unsorted sets and
fractions that are not reduced are all refused by it.
"""

from __future__ import annotations

from typing import Final

TUPLE: Final = 1  # content: the array of its items
SET: Final = 2  # content: the array of its elements, sorted by their bytes
FROZENSET: Final = 3  # the same
MAP: Final = 4  # a dict with a key that is an extension; content: the array of keys and values in turn
INTEGER: Final = 5  # an int beyond 64 bits: two's complement, high byte first, as short as can be
COMPLEX: Final = 6  # two binary64
FRACTION: Final = 7  # content: the array of numerator and denominator, each like INTEGER, but as bin
DECIMAL: Final = 8  # its text, as the specification of General Decimal Arithmetic has it
UUID: Final = 9  # 16 bytes, and one more when it is known how safely it was made
DATETIME: Final = 10  # content: ISO 8601 text, or the array of it, fold, and the name of the offset or nil
DATE: Final = 11  # ISO 8601 text
TIME: Final = 12  # like DATETIME
TIMEDELTA: Final = 13  # content: the array of days, seconds, microseconds
BYTEARRAY: Final = 14  # its bytes
NOOP: Final = 15  # nothing
KEYWORD: Final = 16  # a Hy keyword: its name without the colon
RECORD: Final = 17  # a registered dataclass; content: the array of its name and the map from fields to values
NAMED: Final = 18  # a registered named tuple; the same
MEMBER: Final = 19  # a registered enum; content: the array of its name and the member's name; a flag's number
ARRAY: Final = 20  # a numpy array; content: the array of dtype, order, shape and bytes
SCALAR: Final = 21  # a numpy scalar; content: the array of dtype, or S or U for a text of its own length, and bytes
