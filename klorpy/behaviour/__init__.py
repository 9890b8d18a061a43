"""What choreographies do, as a theory with tools: protocols, contracts, refinement, merging, safe update.

    h = parse_choreography("(seq (com buyer seller order) (com seller bank pay))")
    project(h)                                     # the system of its contracts
    equivalent(h, "receiver").witness              # how the two differ, for who sees receives
    well_formed(h, "sr")                           # what to mend
    compliant(parse_system("(sys …)"))             # can it always end?
    subcontract(new, old)                          # may one service stand in for another?
"""

from klorpy.behaviour.canonical import project, projection
from klorpy.behaviour.compliance import Compliance, Conformance, Dead, compliant, implements
from klorpy.behaviour.composition import Received, Sent
from klorpy.behaviour.conditions import CODES, Violation, well_formed
from klorpy.behaviour.equivalence import Distinction, Equivalence, completed_traces, equivalent
from klorpy.behaviour.notation import infix, parse_choreography, parse_contract, parse_system
from klorpy.behaviour.refine import Refinement, proves, subcontract
from klorpy.behaviour.registry import Discovery, Registry
from klorpy.behaviour.repair import Repair, repair
from klorpy.behaviour.steps import same_behaviour
from klorpy.behaviour.terms import Alt, Com, One, Par, Recv, Scope, Send, Seq, Star, System, Tau, Zero
from klorpy.behaviour.update import UpdateVerdict, compiled, judge_update, scopes, updated

__all__ = [
    "CODES",
    "Alt", "Com", "Compliance", "Conformance", "Dead", "Discovery", "Distinction", "Equivalence", "One", "Par",
    "Received", "Recv", "Refinement", "Registry", "Repair", "Scope", "Send", "Sent", "Seq", "Star", "System", "Tau",
    "UpdateVerdict", "Violation", "Zero",
    "compiled", "completed_traces", "compliant", "equivalent", "implements", "infix", "judge_update",
    "parse_choreography", "parse_contract", "parse_system", "project", "projection", "proves", "repair",
    "same_behaviour",
    "scopes", "subcontract", "updated", "well_formed",
]  # fmt: skip
