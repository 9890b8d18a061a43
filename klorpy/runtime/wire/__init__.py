"""Values as bytes: MessagePack with a closed table of extensions. What cannot arrive exactly as it is, is not sent."""

from klorpy.runtime.limits import LIMITS, Limits, WireError
from klorpy.runtime.wire.reader import decode
from klorpy.runtime.wire.writer import encode

__all__ = ["LIMITS", "Limits", "WireError", "decode", "encode"]
