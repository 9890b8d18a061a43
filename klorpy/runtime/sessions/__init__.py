"""Sessions between processes: seats and their channels, and the node that holds them. What carries them knows them, not they it."""

from klorpy.runtime.sessions.channel import ProtocolError, Window
from klorpy.runtime.sessions.fingerprint import sites_by_key
from klorpy.runtime.sessions.merging import Merge, in_order
from klorpy.runtime.sessions.node import Node
from klorpy.runtime.sessions.peer import Record
from klorpy.runtime.sessions.seat import Seat

__all__ = [
    "Merge", "Node", "ProtocolError", "Record", "Seat", "Window", "in_order", "sites_by_key",
]  # fmt: skip
