"""Sessions between processes: seats and their channels, the node that holds them, and the ways in."""

from klorpy.runtime.sessions.channel import ProtocolError, Window
from klorpy.runtime.sessions.connect import connect, host
from klorpy.runtime.sessions.fingerprint import sites_by_key
from klorpy.runtime.sessions.merging import Merge, in_order
from klorpy.runtime.sessions.node import Node
from klorpy.runtime.sessions.seat import Record, Seat
from klorpy.runtime.transports.nats import prepare
from klorpy.runtime.transports.tls import Identity

__all__ = [
    "Identity", "Merge", "Node", "ProtocolError", "Record", "Seat", "Window", "connect", "host", "in_order", "prepare",
    "sites_by_key",
]  # fmt: skip
