"""How roles reach each other."""

from klorpy.runtime.transports.memory import MemoryNetwork, MemoryTransport, PeerClosed

__all__ = ["MemoryNetwork", "MemoryTransport", "PeerClosed"]
