"""What choreographies do, as a theory with tools: protocols, contracts, refinement, merging, safe update."""

from klorpy.behaviour.globalparser import parse_global, parse_protocol, parse_protocols
from klorpy.behaviour.globaltype import GlobalType, Protocol
from klorpy.behaviour.localtype import LocalType

__all__ = ["GlobalType", "LocalType", "Protocol", "parse_global", "parse_protocol", "parse_protocols"]
