"""What choreographies do, as a theory with tools: protocols, contracts, refinement, merging, safe update."""

from klorpy.behaviour.automaton import Action, Automaton, Transition, automaton
from klorpy.behaviour.calculusparser import parse_gc
from klorpy.behaviour.globalcalculus import Chor
from klorpy.behaviour.globalparser import parse_global, parse_protocol, parse_protocols
from klorpy.behaviour.globaltype import GlobalType, Protocol
from klorpy.behaviour.localtype import LocalType
from klorpy.behaviour.projection import project, projections
from klorpy.behaviour.sessiontyping import Typing, typecheck

__all__ = [
    "Action", "Automaton", "Chor", "GlobalType", "LocalType", "Protocol", "Transition", "Typing", "automaton",
    "parse_gc", "parse_global", "parse_protocol", "parse_protocols", "project", "projections", "typecheck",
]  # fmt: skip
