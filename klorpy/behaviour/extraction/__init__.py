"""From choreographies to protocols, and back: what a `defchor` communicates, whether it keeps to a protocol, and what a new
definition means for those who have the old one."""

from klorpy.behaviour.extraction.adherence import Adherence, conforms, keeps
from klorpy.behaviour.extraction.compare import RoleChange, UpdateComparison, compare
from klorpy.behaviour.extraction.protocol import protocol_of

__all__ = ["Adherence", "RoleChange", "UpdateComparison", "compare", "conforms", "keeps", "protocol_of"]
