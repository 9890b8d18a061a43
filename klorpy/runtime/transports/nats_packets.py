"""Frames as the payload of messages of a broker, without any input or output.

    frames          ->  one payload              pack(frames)
    one long frame  ->  payloads of its parts    pack_parts(frame, size)
    payloads        ->  frames                   Unpacker().feed(payload)

A payload is `k`, the version of the protocol, what it holds, and then either whole frames or a part of a long one:

    FRAMES    (kind:1 number:8 stamp:8 length of key:1 length of body:4 key body) …
    PART      number:8 index:2 count:2 bytes
    STATE     sent:8 received:8 consumed:8 asks:1
    WHO       nothing: whoever plays the role that it is said to answers, and HERE is the answer
    CAST      [whether the role has left, the identity of its process, the roles of the session, the choreography's name,
               the role's clock, and where and why the session failed, or nil]
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec

from klorpy.runtime.limits import LIMITS
from klorpy.runtime.sessions.channel import JOIN, LEAVE, Frame, ProtocolError

VERSION: Final = 1

_FRAMES: Final = 1
_PART: Final = 2
_STATE: Final = 3
_WHO: Final = 4
_HERE: Final = 5
_CAST: Final = 6

_MARK: Final = ord("k")
_FRAME: Final = struct.Struct(">BQQBI")
_SOME: Final = struct.Struct(">QHH")
_COUNTS: Final = struct.Struct(">BBBQQQB")

_FRAMES_HEAD: Final = bytes((_MARK, VERSION, _FRAMES))
_PART_HEAD: Final = bytes((_MARK, VERSION, _PART))

_CAST_HEAD: Final = bytes((_MARK, VERSION, _CAST))

WHO: Final = bytes((_MARK, VERSION, _WHO))
HERE: Final = bytes((_MARK, VERSION, _HERE))

_encode: Final = msgspec.msgpack.Encoder().encode

#: What a frame and the beginning of a payload take besides the key and the body, at most.
OVERHEAD: Final = 3 + _FRAME.size + 255

#: How many frames may be there in part.
_MOST: Final = 64


class State(NamedTuple):
    """How far a role is with another: what it has sent, received and consumed; whether it asks for the other's."""

    sent: int
    received: int
    consumed: int
    asks: bool = False


class Cast(NamedTuple):
    """That the process `identity` plays a role of a session of `roles`, or that the role has left.

    What follows is for observers: the choreography, the role's clock, and the verdict, if it left with one: at which role
    the session failed, and why.
    """

    left: bool
    identity: bytes
    roles: list[str]
    name: str = ""
    stamp: int = 0
    failed: tuple[str, str] | None = None


_decode_cast: Final = msgspec.msgpack.Decoder(Cast).decode


def pack(frames: Iterable[Frame]) -> bytes:
    """A payload with whole frames.

    >>> frames = [Frame(2, 7, 9, b"key", b"body"), Frame(3, 8, 10, b"", b"")]
    >>> Unpacker().feed(pack(frames)) == frames
    True
    """
    out = [_FRAMES_HEAD]
    for kind, number, stamp, key, body in frames:
        out += (_FRAME.pack(kind, number, stamp, len(key), len(body)), key, body)
    return b"".join(out)


def pack_parts(frame: Frame, size: int) -> list[bytes]:
    """The payloads of a frame in parts of at most `size` bytes.

    >>> frame, unpacker = Frame(2, 7, 9, b"key", bytes(1000)), Unpacker()
    >>> [unpacker.feed(part) for part in pack_parts(frame, 500)] == [[], [], [frame]]
    True
    """
    whole = pack([frame])
    starts = range(0, len(whole), size)
    return [
        _PART_HEAD + _SOME.pack(frame.number, index, len(starts)) + whole[start : start + size]
        for index, start in enumerate(starts)
    ]


def pack_state(state: State) -> bytes:
    """A payload that says how far a role is.

    >>> unpack_state(pack_state(State(1, 2, 3)))
    State(sent=1, received=2, consumed=3, asks=False)
    """
    return _COUNTS.pack(_MARK, VERSION, _STATE, *state)


def unpack_state(payload: bytes) -> State | None:
    """What `pack_state` packed; None for something else."""
    if len(payload) != _COUNTS.size:
        return None
    mark, version, kind, sent, received, consumed, asks = _COUNTS.unpack(payload)
    return State(sent, received, consumed, bool(asks)) if (mark, version, kind) == (_MARK, VERSION, _STATE) else None


def pack_cast(cast: Cast) -> bytes:
    """A payload that says who plays a role.

    >>> unpack_cast(pack_cast(Cast(True, b"me", ["A", "B"], "tell", 3)))
    Cast(left=True, identity=b'me', roles=['A', 'B'], name='tell', stamp=3, failed=None)
    """
    return _CAST_HEAD + _encode(cast)


def unpack_cast(payload: bytes) -> Cast | None:
    """What `pack_cast` packed; None for something else."""
    if not payload.startswith(_CAST_HEAD):
        return None
    try:
        return _decode_cast(payload[3:])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def is_ours(payload: bytes) -> bool:
    """Whether a payload is one of klorpy's at all, of whatever version."""
    return len(payload) >= 3 and payload[0] == _MARK


class Unpacker:
    """Payloads of one direction, in any order; repeated ones do no harm. `longest` are the bytes of the longest value."""

    __slots__ = ("_longest", "_parts")

    def __init__(self, longest: int = LIMITS.frame) -> None:
        self._longest = longest + OVERHEAD
        #: The parts of long frames that have come, by the number of the frame.
        self._parts: dict[int, dict[int, bytes]] = {}

    def feed(self, payload: bytes, expected: int = 0) -> list[Frame]:
        """The frames that are whole now. Parts of frames below `expected` are late. Raises ProtocolError."""
        if not is_ours(payload):
            raise ProtocolError("it is no frame")
        if payload[1] != VERSION:
            raise ProtocolError(f"it speaks version {payload[1]} of the protocol over NATS, not {VERSION}")
        if payload[2] == _FRAMES:
            return _frames(payload)
        if payload[2] == _PART and len(payload) >= 3 + _SOME.size:
            return self._part(payload, expected)
        raise ProtocolError(f"a frame of the unknown kind {payload[2]}")

    def _part(self, payload: bytes, expected: int) -> list[Frame]:
        number, index, count = _SOME.unpack_from(payload, 3)
        if number < expected:
            return []
        parts = self._parts.setdefault(number, {})
        parts[index] = payload[3 + _SOME.size :]
        if index >= count or len(self._parts) > _MOST or sum(map(len, parts.values())) > self._longest:
            raise ProtocolError("the parts of a frame are too many, or too long")
        if len(parts) < count:
            return []
        del self._parts[number]
        return _frames(b"".join(parts[index] for index in range(count)))


def _frames(payload: bytes) -> list[Frame]:
    frames = []
    at, end = 3, len(payload)
    while at < end:
        if end - at < _FRAME.size:
            raise ProtocolError("a frame is too short")
        kind, number, stamp, key_size, body_size = _FRAME.unpack_from(payload, at)
        key = at + _FRAME.size
        body = key + key_size
        at = body + body_size
        if at > end or not JOIN <= kind <= LEAVE:
            raise ProtocolError("a frame is cut off, or of an unknown kind")
        frames.append(Frame(kind, number, stamp, payload[key:body], payload[body:at]))
    return frames
