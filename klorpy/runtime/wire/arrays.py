"""Arrays and scalars of numpy, for programs that have it.

numpy is imported by nobody here: a sender that has one of its values has imported it, and a receiver does it when such a
value arrives. Numbers, booleans, times and texts of fixed length travel, as their bytes, with byte order, shape and
layout; objects and records with fields do not. What arrives is an array of its own that can be written to.
"""

from __future__ import annotations

import math
import re
import sys
from typing import Annotated, Any, Final

from msgspec import Meta
from msgspec.msgpack import Decoder

from klorpy.runtime.limits import Limits
from klorpy.runtime.wire import table
from klorpy.runtime.wire.atoms import check_text, pack
from klorpy.runtime.wire.refusal import Refusal, of_type

#: The dtypes that travel, as numpy spells them.
_DTYPE: Final = re.compile(
    r"\|b1|[|<>](?:[iu]1|[iu][248]|f[248]|c8|c16|[SU][1-9]\d{0,8}|[mM]8(?:\[\d{0,6}(?:Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)\])?)"
)
_DIMENSIONS: Final = 32
#: More than any machine has; numpy computes sizes in 64 bits.
_LARGEST: Final = 1 << 62

_ARRAY: Final = Decoder(tuple[str, str, Annotated[list[int], Meta(max_length=_DIMENSIONS)], bytes])
_SCALAR: Final = Decoder(tuple[str, bytes])

_SENT: Final = "numbers, booleans, times, and texts and bytes of fixed length can be sent; for others, a list"


def is_numpy(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic))


def _numpy() -> Any:
    try:
        import numpy
    except ImportError:
        raise ValueError("a value of numpy, which is not installed here") from None
    return numpy


def write(value: Any) -> tuple[int, bytes]:
    """Number and payload of an array or a scalar. Raises Refusal."""
    numpy = sys.modules["numpy"]
    kind = type(value)
    if kind is numpy.str_:
        text = str(value)
        check_text(text)
        return table.SCALAR, pack(["U", text.encode()])
    if kind is numpy.bytes_:
        return table.SCALAR, pack(["S", bytes(value)])
    if kind is not numpy.ndarray and not isinstance(value, numpy.generic):
        raise of_type(value)  # a matrix, a masked array: they are more than their numbers
    dtype = value.dtype
    spelled = dtype.str
    if not _DTYPE.fullmatch(spelled) or numpy.dtype(spelled).char != dtype.char or dtype.metadata:
        what = "an array of" if kind is numpy.ndarray else "a numpy scalar of"
        raise Refusal(f"is {what} dtype {dtype}, which cannot be sent", _SENT)
    if kind is not numpy.ndarray:
        if kind is not dtype.type:
            raise of_type(value)
        return table.SCALAR, pack([spelled, value.tobytes()])
    if value.ndim > _DIMENSIONS:
        raise Refusal(f"is an array of {value.ndim} dimensions, but the limit is {_DIMENSIONS}")
    _check_contents(value, numpy)
    order = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
    return table.ARRAY, pack([spelled, order, list(value.shape), value.tobytes(order)])


def _check_contents(array: Any, numpy: Any) -> None:
    """Bytes that no value of the dtype has would make trouble later, when the element is looked at."""
    if not array.size:
        return
    if array.dtype.kind == "b":
        if array.view(numpy.uint8).max() > 1:
            raise Refusal("is an array with a boolean that is neither true nor false")
    elif array.dtype.kind == "U":
        letters = numpy.frombuffer(array.tobytes(), numpy.dtype("u4").newbyteorder(array.dtype.byteorder))
        if (letters > 0x10FFFF).any() or ((letters >= 0xD800) & (letters <= 0xDFFF)).any():
            raise Refusal("is an array with a text that has half a character")


def _dtype(spelled: str, numpy: Any) -> Any:
    if not _DTYPE.fullmatch(spelled):
        raise ValueError("a dtype that is not sent")
    return numpy.dtype(spelled)


def read_array(data: bytes, limits: Limits) -> Any:
    spelled, order, shape, raw = _ARRAY.decode(data)
    if order not in ("C", "F"):
        raise ValueError("not an array as they are sent")
    if not all(0 <= n < _LARGEST for n in shape):
        raise ValueError("a shape that no array has")
    numpy = _numpy()
    dtype = _dtype(spelled, numpy)
    # Python's ints do not overflow; an empty array has no bytes, whatever its other dimensions are.
    if math.prod(n or 1 for n in shape) * dtype.itemsize >= _LARGEST:
        raise ValueError("a shape that no array has")
    if math.prod(shape) * dtype.itemsize != len(raw):
        raise ValueError("a shape that does not fit the bytes")
    # A bytearray of its own is memory that can be written to.
    return numpy.ndarray(tuple(shape), dtype, bytearray(raw), order=order)


def read_scalar(data: bytes, limits: Limits) -> Any:
    spelled, raw = _SCALAR.decode(data)
    numpy = _numpy()
    if spelled == "U":
        return numpy.str_(raw.decode())
    if spelled == "S":
        return numpy.bytes_(raw)
    dtype = _dtype(spelled, numpy)
    if dtype.kind in "SU" or len(raw) != dtype.itemsize:
        raise ValueError("not a scalar as they are sent")
    return numpy.frombuffer(raw, dtype)[0]
