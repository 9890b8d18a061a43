"""Values without parts: each type's payload, both ways.

    write(value, limits) = payload        read(payload, limits) = value

`write` raises Refusal for a value that cannot be sent exactly. `read` may raise anything and may take more than `write`
gives: the reader compares (see table.py) and turns every exception into WireError.
"""

from __future__ import annotations

import datetime as dt
import re
import struct
import uuid
from collections.abc import Callable
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any, Final, TypeAlias

import hy
import msgspec
from msgspec.msgpack import Decoder

from klorpy.core.values import Noop, noop
from klorpy.runtime.limits import Limits
from klorpy.runtime.wire import table
from klorpy.runtime.wire.refusal import Refusal

pack: Final = msgspec.msgpack.Encoder().encode

# Contents are read by their types, so that nothing large is made of what should be small.
_NUMBERS: Final = Decoder(tuple[bytes, bytes])
_MOMENT: Final = Decoder(str | tuple[str, int, str | None])
_DURATION: Final = Decoder(tuple[int, int, int])

# --- Numbers ----------------------------------------------------------------------------------------------------------


def write_integer(value: int, limits: Limits) -> bytes:
    size = (value if value >= 0 else ~value).bit_length() // 8 + 1  # with the bit of the sign
    if size > limits.integer:
        raise Refusal(f"is an int of {size} bytes, but the limit is {limits.integer}")
    return value.to_bytes(size, "big", signed=True)


def read_integer(data: bytes, limits: Limits) -> int:
    if len(data) > limits.integer:
        raise ValueError(f"an int of {len(data)} bytes, but the limit is {limits.integer}")
    return int.from_bytes(data, "big", signed=True)


_COMPLEX: Final = struct.Struct(">dd")


def _write_complex(value: complex, limits: Limits) -> bytes:
    return _COMPLEX.pack(value.real, value.imag)


def _read_complex(data: bytes, limits: Limits) -> complex:
    return complex(*_COMPLEX.unpack(data))


def _write_fraction(value: Fraction, limits: Limits) -> bytes:
    return pack([write_integer(value.numerator, limits), write_integer(value.denominator, limits)])


def _read_fraction(data: bytes, limits: Limits) -> Fraction:
    numerator, denominator = _NUMBERS.decode(data)
    return Fraction(read_integer(numerator, limits), read_integer(denominator, limits))


#: Only its way of writing is used: the caller's context may ask for a small e, and is not to be touched.
_PLAIN_CONTEXT: Final = Context(capitals=1)
_DECIMAL: Final = re.compile(rb"-?(?:([0-9]+)(?:\.([0-9]+))?(?:E[+-]([0-9]{1,9}))?|Infinity|s?NaN([0-9]*))")


def _write_decimal(value: Decimal, limits: Limits) -> bytes:
    text = _PLAIN_CONTEXT.to_sci_string(value).encode()
    if (problem := _decimal_problem(text, limits)) is not None:
        raise Refusal(problem)
    return text


def _read_decimal(data: bytes, limits: Limits) -> Decimal:
    if (problem := _decimal_problem(data, limits)) is not None:
        raise ValueError(f"what {problem}")
    return Decimal(data.decode())


def _decimal_problem(text: bytes, limits: Limits) -> str | None:
    # Looked at as text, before there is a Decimal: making one with a huge exponent would signal in the caller's context.
    match = _DECIMAL.fullmatch(text)
    if match is None:
        return "is not a Decimal as they are written"
    whole, fraction, exponent, payload = (part or b"" for part in match.groups())
    if (digits := len(whole) + len(fraction) + len(payload)) > limits.digits:
        return f"is a Decimal of {digits} digits, but the limit is {limits.digits}"
    if exponent and int(exponent) > limits.exponent:
        return f"is a Decimal with an exponent of {int(exponent)}, but the limit is {limits.exponent}"
    return None


# --- Dates and times --------------------------------------------------------------------------------------------------


def _write_moment(value: dt.datetime | dt.time, limits: Limits) -> bytes:
    zone = value.tzinfo
    name = None
    if zone is not None:
        if type(zone) is not dt.timezone:
            raise Refusal(
                f"is in a time zone of type {type(zone).__name__}, whose rules another machine may not have",
                "send it in UTC, value.astimezone(datetime.timezone.utc), and the name of the zone as text",
            )
        name = zone.tzname(None)
        if name == dt.timezone(zone.utcoffset(None)).tzname(None):
            name = None  # it is what every offset is called that was given no name
    text = value.isoformat()
    if name is not None:
        check_text(name)
    return pack(text) if name is None and not value.fold else pack([text, value.fold, name])


def _read_moment(cls: Any, data: bytes) -> Any:
    parts = _MOMENT.decode(data)
    if type(parts) is str:
        return cls.fromisoformat(parts)
    text, fold, name = parts
    moment = cls.fromisoformat(text).replace(fold=fold)
    if name is not None:
        # A time has no offset of its own when it has no zone; then this fails, as it should.
        moment = moment.replace(tzinfo=dt.timezone(moment.tzinfo.utcoffset(None), name))
    return moment


def _read_datetime(data: bytes, limits: Limits) -> dt.datetime:
    moment: dt.datetime = _read_moment(dt.datetime, data)
    return moment


def _read_time(data: bytes, limits: Limits) -> dt.time:
    moment: dt.time = _read_moment(dt.time, data)
    return moment


def _write_date(value: dt.date, limits: Limits) -> bytes:
    return value.isoformat().encode()


def _read_date(data: bytes, limits: Limits) -> dt.date:
    return dt.date.fromisoformat(data.decode())


def _write_timedelta(value: dt.timedelta, limits: Limits) -> bytes:
    return pack([value.days, value.seconds, value.microseconds])


def _read_timedelta(data: bytes, limits: Limits) -> dt.timedelta:
    days, seconds, microseconds = _DURATION.decode(data)
    return dt.timedelta(days, seconds, microseconds)


# --- Others -----------------------------------------------------------------------------------------------------------


def check_text(value: str) -> None:
    """Raises Refusal for a text that has no bytes."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise Refusal(
            f"is a str with half a character, {value[error.start]!a} at {error.start}",
            "mend it where it came from, or send bytes: value.encode('utf-8', 'surrogateescape')",
        ) from None


_SAFETY: Final = {uuid.SafeUUID.unknown: b"", uuid.SafeUUID.safe: b"\x01", uuid.SafeUUID.unsafe: b"\x00"}
_SAFE: Final = {mark: safety for safety, mark in _SAFETY.items()}


def _write_uuid(value: uuid.UUID, limits: Limits) -> bytes:
    return value.bytes + _SAFETY[value.is_safe]


def _read_uuid(data: bytes, limits: Limits) -> uuid.UUID:
    return uuid.UUID(bytes=data[:16], is_safe=_SAFE[data[16:]])


def _write_bytearray(value: bytearray, limits: Limits) -> bytes:
    return bytes(value)


def _read_bytearray(data: bytes, limits: Limits) -> bytearray:
    return bytearray(data)


def _write_noop(value: Noop, limits: Limits) -> bytes:
    return b""


def _read_noop(data: bytes, limits: Limits) -> Noop:
    return noop


def _write_keyword(value: Any, limits: Limits) -> bytes:
    name: str = value.name
    check_text(name)
    try:
        hy.models.Keyword(name)
    except ValueError:
        raise Refusal("is a keyword that cannot be written") from None
    return name.encode()


def _read_keyword(data: bytes, limits: Limits) -> Any:
    return hy.models.Keyword(data.decode())


Write: TypeAlias = Callable[[Any, Limits], bytes]
Read: TypeAlias = Callable[[bytes, Limits], Any]

#: For each type its number and its two ways.
ATOMS: Final[dict[type, tuple[int, Write, Read]]] = {
    complex: (table.COMPLEX, _write_complex, _read_complex),
    Fraction: (table.FRACTION, _write_fraction, _read_fraction),
    Decimal: (table.DECIMAL, _write_decimal, _read_decimal),
    uuid.UUID: (table.UUID, _write_uuid, _read_uuid),
    dt.datetime: (table.DATETIME, _write_moment, _read_datetime),
    dt.date: (table.DATE, _write_date, _read_date),
    dt.time: (table.TIME, _write_moment, _read_time),
    dt.timedelta: (table.TIMEDELTA, _write_timedelta, _read_timedelta),
    bytearray: (table.BYTEARRAY, _write_bytearray, _read_bytearray),
    Noop: (table.NOOP, _write_noop, _read_noop),
    hy.models.Keyword: (table.KEYWORD, _write_keyword, _read_keyword),
}
