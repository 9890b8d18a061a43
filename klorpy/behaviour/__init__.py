"""What choreographies do, as a theory with tools: protocols, contracts, refinement, merging, safe update."""

from klorpy.behaviour.automaton import Action, Automaton, Transition, automaton
from klorpy.behaviour.globalparser import parse_global, parse_protocol, parse_protocols
from klorpy.behaviour.globaltype import GlobalType, Protocol
from klorpy.behaviour.localtype import LocalType
from klorpy.behaviour.projection import project, projections

__all__ = [
    "Action", "Automaton", "GlobalType", "LocalType", "Protocol", "Transition", "automaton", "parse_global",
    "parse_protocol", "parse_protocols", "project", "projections",
]  # fmt: skip
