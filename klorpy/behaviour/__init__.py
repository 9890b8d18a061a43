"""What choreographies do, as a theory with tools: protocols, contracts, refinement, merging, safe update."""

from klorpy.behaviour.automaton import Action, Automaton, Transition, automaton
from klorpy.behaviour.calculusparser import parse_gc
from klorpy.behaviour.enactment import Enactment, enact
from klorpy.behaviour.endpoint import Behaviour, endpoint, endpoints
from klorpy.behaviour.globalcalculus import Chor
from klorpy.behaviour.globalparser import parse_global, parse_protocol, parse_protocols, protocol
from klorpy.behaviour.globaltype import GlobalType, Protocol
from klorpy.behaviour.inference import extract, infer
from klorpy.behaviour.localtype import LocalType
from klorpy.behaviour.merge import Merged, merge
from klorpy.behaviour.mesh import Membership, member
from klorpy.behaviour.projection import local_type, local_types
from klorpy.behaviour.savings import Savings, savings
from klorpy.behaviour.sessiontyping import Typing, typecheck

__all__ = [
    "Action", "Automaton", "Behaviour", "Chor", "Enactment", "GlobalType", "LocalType", "Membership", "Merged", "Protocol",
    "Savings", "Transition", "Typing", "automaton", "enact", "endpoint", "endpoints", "extract", "infer", "local_type", "local_types", "member", "merge",
    "parse_gc", "parse_global", "parse_protocol", "parse_protocols", "protocol", "savings", "typecheck",
]  # fmt: skip
