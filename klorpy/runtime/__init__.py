"""Running one role: the commands of a program, the machine that keeps its stack, and playing it over a transport."""

from klorpy.runtime.agreement import AgreementViolated, NoMatch
from klorpy.runtime.config import RoleConfig, Transport
from klorpy.runtime.limits import Limits, WireError
from klorpy.runtime.play import play_role, run_role
from klorpy.runtime.registry import register
from klorpy.runtime.transports import MemoryNetwork, MemoryTransport, PeerClosed

__all__ = [
    "AgreementViolated", "Limits", "MemoryNetwork", "MemoryTransport", "NoMatch", "PeerClosed", "RoleConfig", "Transport",
    "WireError", "play_role", "register", "run_role",
]  # fmt: skip
