"""From choreographies to protocols, and back: what a `defchor` communicates, and whether it keeps to a protocol."""

from klorpy.behaviour.extraction.adherence import Adherence, conforms, keeps
from klorpy.behaviour.extraction.protocol import protocol_of

__all__ = ["Adherence", "conforms", "keeps", "protocol_of"]
