"""What choreographies do, as a theory with tools: protocols, contracts, refinement, merging, safe update.

    h = parse_choreography("(seq (com buyer seller order) (com seller bank pay))")
    project(h)                                     # the system of its contracts
    equivalent(h, "receiver").witness              # how the two differ, for who sees receives
    well_formed(h, "sr")                           # what to mend
    compliant(parse_system("(sys …)"))             # can it always end?
    subcontract(new, old)                          # may one service stand in for another?
    local_type(protocol, "Post")                   # one role's part of a protocol
"""

from klorpy.behaviour.automaton import Action, Automaton, Transition, automaton
from klorpy.behaviour.behaviours import Behaviour
from klorpy.behaviour.calculusparser import parse_gc
from klorpy.behaviour.canonical import project, project_role
from klorpy.behaviour.compliance import Compliance, Conformance, Dead, compliant, implements
from klorpy.behaviour.composition import Received, Sent
from klorpy.behaviour.conditions import CODES, Violation, well_formed
from klorpy.behaviour.enactment import Enactment, enact
from klorpy.behaviour.endpoint import endpoint, endpoints
from klorpy.behaviour.equivalence import Distinction, Equivalence, completed_traces, equivalent
from klorpy.behaviour.globalcalculus import Chor
from klorpy.behaviour.globalparser import parse_global, parse_protocol, parse_protocols, protocol
from klorpy.behaviour.globaltype import GlobalType, Protocol
from klorpy.behaviour.inference import extract, infer
from klorpy.behaviour.localtype import LocalType
from klorpy.behaviour.merge import Merged, merge
from klorpy.behaviour.mesh import Membership, member
from klorpy.behaviour.notation import infix, parse_choreography, parse_contract, parse_system
from klorpy.behaviour.projection import local_type, local_types
from klorpy.behaviour.refine import Refinement, proves, subcontract
from klorpy.behaviour.registry import Discovery, Registry
from klorpy.behaviour.repair import Repair, repair
from klorpy.behaviour.savings import Savings, savings
from klorpy.behaviour.scribble import scribble, scribble_local
from klorpy.behaviour.sessiontyping import Typing, typecheck
from klorpy.behaviour.steps import same_behaviour
from klorpy.behaviour.terms import Alt, Com, One, Par, Recv, Scope, Send, Seq, Star, System, Tau, Zero
from klorpy.behaviour.update import UpdateVerdict, compiled, judge_update, scopes, updated

__all__ = [
    "CODES", "Action", "Alt", "Automaton", "Behaviour", "Chor", "Com", "Compliance", "Conformance", "Dead",
    "Discovery", "Distinction", "Enactment", "Equivalence", "GlobalType", "LocalType", "Membership", "Merged",
    "One", "Par", "Protocol", "Received", "Recv", "Refinement", "Registry", "Repair", "Savings", "Scope", "Send",
    "Sent", "Seq", "Star", "System", "Tau", "Transition", "Typing", "UpdateVerdict", "Violation", "Zero",
    "automaton", "compiled", "completed_traces", "compliant", "enact", "endpoint", "endpoints", "equivalent",
    "extract", "implements", "infer", "infix", "judge_update", "local_type", "local_types", "member", "merge",
    "parse_choreography", "parse_contract", "parse_gc", "parse_global", "parse_protocol", "parse_protocols",
    "parse_system", "project", "project_role", "protocol", "proves", "repair", "same_behaviour", "savings",
    "scopes", "scribble", "scribble_local", "subcontract", "typecheck", "updated", "well_formed",
]  # fmt: skip
