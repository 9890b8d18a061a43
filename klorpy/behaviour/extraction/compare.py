"""What a new definition means for those who still have the old one.

    compare(old, new)         for each role: unchanged | may be updated alone | after the others | together with them | unknown

A role may switch to its new part by itself, at any time between two runs, when that part is a subcontract of the old one:
every system that works with the old one then works with the new one. Otherwise a run of the new part with the old parts
of the others is looked for that goes wrong; such a role has to be updated together with the others that change.

An operation of a contract is a label together with its sender, since a role says from whom it receives; sending is
asynchronous, with a queue for each pair of roles, under which a proof for committed outputs holds as well.

Source: Bravetti, Zavattaro, "Contract-based discovery and composition of web services" (2009) for independent refinement;
the check is `klorpy.behaviour.refine`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from klorpy.behaviour.automatasystem import Stuck, stuck
from klorpy.behaviour.automaton import Automaton, automaton
from klorpy.behaviour.extraction.protocol import extracted_from
from klorpy.behaviour.globaltype import Protocol
from klorpy.behaviour.lts import TAU, Edge, Labels, Lts, alive, reduce
from klorpy.behaviour.projection import local_type
from klorpy.behaviour.refine import Check
from klorpy.behaviour.regular import type_of
from klorpy.behaviour.terms import Recv, Send
from klorpy.core.choreography import Choreography, Definition
from klorpy.core.diagnostics import KlorError
from klorpy.core.types import Role

#: Positions of the check; redefining is not to wait for long.
_POSITIONS = 20_000

Change: TypeAlias = Literal["same", "alone", "after", "together", "unknown"]


@dataclass(frozen=True, slots=True)
class RoleChange:
    """What becomes of one role: `reason` in words, `breaks` a run that goes wrong when it is updated alone."""

    role: Role
    change: Change
    reason: str
    breaks: Stuck | None = None

    def __str__(self) -> str:
        return f"{self.role} {self.reason}" + (f"\n    {self.breaks}" if self.breaks is not None else "")


@dataclass(frozen=True, slots=True)
class UpdateComparison:
    """What a new definition means for each role; `reason` says why it is unknown, if it is."""

    name: str
    roles: tuple[RoleChange, ...]
    reason: str = ""

    def of(self, change: Change) -> tuple[Role, ...]:
        """The roles with this change."""
        return tuple(role.role for role in self.roles if role.change == change)

    @property
    def verdict(self) -> Literal["same", "independent", "together", "unknown"]:
        """`independent`: every role that changes may be updated alone, at its own time."""
        if self.of("together") or self.of("after"):
            return "together"
        if self.reason or self.of("unknown"):
            return "unknown"
        return "independent" if self.of("alone") else "same"

    @property
    def summary(self) -> str:
        """One line."""
        if self.reason:
            return self.reason
        parts = []
        if alone := self.of("alone"):
            parts.append(f"{_names(alone)} may be updated alone")
        if later := self.of("after"):
            parts.append(f"{_names(later)} only after that")
        if together := self.of("together"):
            parts.append(f"{_names(together)} {'have' if len(together) > 1 else 'has'} to be updated together with the others")
        if unknown := self.of("unknown"):
            parts.append(f"of {_names(unknown)} it is not known")
        return "; ".join(parts) or "nothing changes in what is communicated"

    def __str__(self) -> str:
        return "\n".join([f"{self.name}: {self.summary}", *(f"  {role}" for role in self.roles)])


def compare(old: Choreography | Definition, new: Choreography | Definition) -> UpdateComparison:
    """Which roles may be updated from `old` to `new` alone, and which only together.

    >>> import klorpy
    >>> ns = klorpy.evaluate('''(defchor old [A B] (-> A B) [x] (A->B x))
    ... (defchor new [A B] (-> A B) [x] (do (B->A (B 1)) (A->B x)))''')
    >>> print(compare(ns.old, ns.new))
    new: A and B have to be updated together with the others
      A would break a run with the others as they are
        at once: A waits for B and B waits for A
      B would break a run with the others as they are
        after A sends <any> to B, B sends <any> to A: A is done, and B has sent it <any>
    """
    first, second = _definition(old), _definition(new)
    name = second.name
    if first.roles != second.roles:
        return UpdateComparison(name, tuple(RoleChange(r, "together", "has another role vector") for r in second.roles))
    if not first.signature.equivalent(second.signature):
        return UpdateComparison(name, tuple(RoleChange(r, "together", "has another signature") for r in second.roles))
    try:
        before, after = _automata(first), _automata(second)
    except KlorError as error:
        return UpdateComparison(name, (), f"it is not known what changes: {error.message}")
    return UpdateComparison(name, _ordered([_change(role, before, after) for role in first.roles]))


def _definition(what: Choreography | Definition) -> Definition:
    return what.defined() if isinstance(what, Choreography) else what


def _automata(definition: Definition) -> dict[Role, Automaton]:
    # With every label, also where it makes no difference yet: another version may make one.
    tree = extracted_from(definition, every=True).tree
    protocol = Protocol(definition.name, definition.roles, type_of(tree))
    return {role: automaton(local_type(protocol, role)) for role in definition.roles}


def _change(role: Role, before: dict[Role, Automaton], after: dict[Role, Automaton]) -> RoleChange:
    old, new = before[role], after[role]
    if old == new:
        return RoleChange(role, "same", "does what it did")
    breaks = stuck({**before, role: new})
    if breaks is not None:
        return RoleChange(role, "together", "would break a run with the others as they are", breaks)
    try:
        proved = _proves(role, new, old)
    except KlorError:
        proved = False
    if proved:
        return RoleChange(role, "alone", "may be updated at any time: it goes on to do all that the others rely on")
    return RoleChange(role, "unknown", "has no run that breaks, as far as was looked, and no proof that there is none")


def _ordered(changes: list[RoleChange]) -> tuple[RoleChange, ...]:
    """If one role alone cannot begin, it may be the last: then all the others are new already."""
    together = [change for change in changes if change.change == "together"]
    first = tuple(change.role for change in changes if change.change == "alone")
    if len(together) != 1 or not first or any(change.change == "unknown" for change in changes):
        return tuple(changes)
    [last] = together
    reason = f"may be updated once {_names(first)} {'have' if len(first) > 1 else 'has'} been; before, it would break a run"
    later = RoleChange(last.role, "after", reason, last.breaks)
    return tuple(later if change is last else change for change in changes)


def _proves(role: Role, new: Automaton, old: Automaton) -> bool:
    labels = Labels()
    mine, theirs = _contract(role, new, labels), _contract(role, old, labels)
    check = Check(mine, theirs, labels, False, _POSITIONS)
    # Who never comes to an end is compliant with nobody, so that anything would do in its place.
    return check.same() if not all(alive(theirs.edges, theirs.ok)) else check.holds()


def _contract(role: Role, machine: Automaton, labels: Labels) -> Lts:
    """The contract of a role: it decides what to send before it sends it."""
    edges: list[list[Edge]] = [[] for _ in range(machine.states)]
    ok = [state in machine.final for state in range(machine.states)]
    for t in machine.transitions:
        action = t.action
        if not action.sends:
            edges[t.source].append((labels.number(Recv(f"{action.content} from {action.peer}")), t.target))
            continue
        edges[t.source].append((TAU, len(edges)))
        edges.append([(labels.number(Send(action.peer, f"{action.content} from {role}")), t.target)])
        ok.append(False)
    return reduce(Lts([tuple(steps) for steps in edges], ok))[0]


def _names(roles: tuple[Role, ...]) -> str:
    return roles[0] if len(roles) == 1 else f"{', '.join(roles[:-1])} and {roles[-1]}"
