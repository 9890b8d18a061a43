"""Updating a part of a choreography while it runs:  update X H'  is refused | coordinated | independent at roles.

A scope `X[r₁ … rₙ]{H}` is a region that can be updated. An update takes effect when the scope is *entered*: a body
that has begun is never changed, and in a loop each round enters the scope again. The leader r₁ picks the version and tells
every other role of the scope. With a *barrier*, every other role also tells the leader when it is done.

So a scope with versions H₀ … Hₖ is a choice of the leader, and nothing new is needed to say when an update is safe:

    (enter₀; H₀; done₀) + … + (enterₖ; Hₖ; doneₖ)

*Uncoordinated*: one role may take its part of H' by itself, at any time, when that is a subcontract of its part of H.

Sources: Dalla Preda, Gabbrielli, Giallorenzo, Lanese and Mauro, Dynamic choreographies (2017), for scopes, updates and the
leader; Bravetti and Zavattaro, Choreographies and behavioural contracts on the way to dynamic updates (2014). The model in
its details is klorpy's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, assert_never

from klorpy.behaviour.arguments import checked
from klorpy.behaviour.canonical import project_role
from klorpy.behaviour.conditions import Violation, checker_for, well_formed
from klorpy.behaviour.notation import interaction
from klorpy.behaviour.refine import POSITIONS, proves
from klorpy.behaviour.terms import (
    Alt,
    Chor,
    Com,
    One,
    Par,
    Recv,
    Scope,
    Send,
    Seq,
    Star,
    Tau,
    Zero,
    alt,
    interactions,
    par,
    plain,
    roles_of,
    seq,
)
from klorpy.core.diagnostics import KlorError


@dataclass(frozen=True, slots=True)
class UpdateVerdict:
    """Whether a scope may be updated; see `judge_update`.

    `independent` are the roles that may change by themselves; when these are all, no protocol is needed.
    """

    scope: str
    verdict: Literal["refused", "coordinated", "independent"]
    reasons: tuple[Violation, ...]
    independent: tuple[str, ...]
    roles: tuple[str, ...]

    def __bool__(self) -> bool:
        return self.verdict != "refused"

    def __str__(self) -> str:
        alone = f"; {', '.join(self.independent)} may change alone" if self.independent else ""
        match self.verdict:
            case "refused":
                return "\n".join([f"the update of {self.scope} is refused", *(f"  {reason}" for reason in self.reasons)])
            case "coordinated":
                return f"the update of {self.scope} is safe when it is coordinated{alone}"
            case "independent":
                return f"the update of {self.scope} needs no coordination: all its roles may change alone"


@checked
def judge_update(
    chor: Chor, scope: str, body: Chor, criterion: str = "sync", *, buffer: str = "pair", barrier: bool = False,
    limit: int = POSITIONS,
) -> UpdateVerdict:  # fmt: skip
    """Whether the body of a scope may be replaced, and who needs to be told.

    Without a barrier the choreography with the new body has to be well-formed; with one, the new body between the
    messages at entry and exit, which connect it with the rest. Raises KlorError `unknown-scope`.

    >>> from klorpy.behaviour.notation import parse_choreography
    >>> shop = parse_choreography("(seq (scope ask (roles r s) (alt (com r s a) (com r s a2))) (com r s b))")
    >>> print(judge_update(shop, "ask", parse_choreography("(com r s a)"), "sender"))
    the update of ask is safe when it is coordinated; r may change alone
    """
    region = find_scope(chor, scope)
    reasons = list(strangers(region, body))
    if barrier:
        reasons += bracketed(region, body, criterion, buffer)
        reasons += alongside(chor, scope, body)
    else:
        reasons += well_formed(updated(chor, scope, body), criterion, buffer)
    independent = tuple(
        role for role in region.roles if proves(project_role(body, role), project_role(region.body, role), limit=limit)
    )
    verdict: Literal["refused", "coordinated", "independent"] = "coordinated"
    if reasons:
        verdict = "refused"
    elif independent == region.roles:
        verdict = "independent"
    return UpdateVerdict(scope, verdict, tuple(dict.fromkeys(reasons)), independent, region.roles)


def strangers(region: Scope, body: Chor) -> Iterator[Violation]:
    """The roles of a new body that the scope does not declare."""
    for role in roles_of(body):
        if role not in region.roles:
            com = next(com for com in interactions(body) if role in com.roles)
            yield Violation(
                "roles-outside-scope", f"{role} takes part in {interaction(com)}, and {region.name} does not declare it", (com,),
                f"declare {role} in the scope, or leave it out of the update",
            )  # fmt: skip


def bracketed(region: Scope, body: Chor, criterion: str, buffer: str) -> list[Violation]:
    """What a body violates between the messages at the entry and at the exit of a scope.

    These connect it with the rest. But they come after it: who leaves a loop at its end is to be known to all who then
    send that they are done; and a body that cannot succeed must not be chosen unseen.
    """
    leader, *others = region.roles
    done: Chor = par(*(Com(role, leader, f"done_{region.name}_{role}") for role in others))
    checker = checker_for(plain(body), criterion, buffer)
    checker.check((done, None))
    checker.dead_end(Seq((done, body)))
    return checker.found


def alongside(chor: Chor, scope: str, body: Chor) -> Iterator[Violation]:
    """Messages of a new body that have the name and the receiver of one that may be on its way in parallel."""
    for other in parallel_to(chor, scope):
        for com in interactions(body):
            if (com.operation, com.receiver) == (other.operation, other.receiver):
                yield Violation(
                    "causality", f"{com.receiver} cannot tell {interaction(com)} and {interaction(other)} apart", (com, other),
                    "use different operations",
                )  # fmt: skip


def parallel_to(chor: Chor, scope: str) -> list[Com]:
    """The interactions that may happen while a scope runs."""
    match chor:
        case Par(items):
            holding = [item for item in items if any(region.name == scope for region in scopes(item))]
            beside = [com for item in items if item not in holding for com in interactions(item)] if holding else []
            return beside + [com for item in holding for com in parallel_to(item, scope)]
        case Seq(items) | Alt(items):
            return [com for item in items for com in parallel_to(item, scope)]
        case Star(body) | Scope(_, _, body):
            return parallel_to(body, scope)
        case One() | Zero() | Com() | Send() | Recv() | Tau():
            return []
        case _:
            assert_never(chor)


@checked
def scopes(chor: Chor) -> Iterator[Scope]:
    """The scopes of a choreography, outer ones first."""
    match chor:
        case Scope(_, _, body):
            yield chor
            yield from scopes(body)
        case Seq(items) | Alt(items) | Par(items):
            for item in items:
                yield from scopes(item)
        case Star(body):
            yield from scopes(body)
        case One() | Zero() | Com() | Send() | Recv() | Tau():
            return
        case _:
            assert_never(chor)


def find_scope(chor: Chor, name: str) -> Scope:
    """The scope of a name. Raises KlorError `unknown-scope`."""
    found = list(scopes(chor))
    for region in found:
        if region.name == name:
            return region
    known = ", ".join(region.name for region in found)
    raise KlorError(
        f"the choreography has no scope {name}", slug="unknown-scope",
        help=f"its scopes are: {known}" if known else "mark a region as (scope NAME (roles r s …) H)",
    )  # fmt: skip


@checked
def updated(chor: Chor, name: str, body: Chor) -> Chor:
    """The choreography with another body in a scope, which stays a scope."""
    return _replace(chor, lambda region: Scope(region.name, region.roles, body) if region.name == name else None)


@checked
def compiled(chor: Chor, versions: Mapping[str, tuple[Chor, ...]] | None = None, *, barrier: bool = False) -> Chor:
    """The choreography without scopes: each is a choice of its leader between its versions.

    `versions` gives the updates of scopes by name; the body that is written is version 0.

    >>> from klorpy.behaviour.notation import infix, parse_choreography
    >>> infix(compiled(parse_choreography("(scope x (roles r s) (com r s a))"), {"x": (Com("r", "s", "b"),)}))
    'enter_x_0: r→s; a: r→s + enter_x_1: r→s; b: r→s'
    """
    known = versions or {}
    for name, bodies in known.items():
        region = find_scope(chor, name)
        for body in bodies:
            for violation in strangers(region, body):
                raise KlorError(violation.message, slug="unknown-role", help=violation.suggestion)

    def compile_scope(region: Scope) -> Chor:
        branches = []
        for version, body in enumerate((region.body, *known.get(region.name, ()))):
            leader, *others = region.roles
            enter = par(*(Com(leader, role, f"enter_{region.name}_{version}") for role in others))
            done = par(*(Com(role, leader, f"done_{region.name}_{version}_{role}") for role in others))
            branches.append(seq(enter, compiled_body(body), done) if barrier else seq(enter, compiled_body(body)))
        return alt(*branches)

    def compiled_body(body: Chor) -> Chor:
        return _replace(body, compile_scope)

    return compiled_body(chor)


def _replace(chor: Chor, change: Callable[[Scope], Chor | None]) -> Chor:
    """The choreography with what `change` gives for a scope in its place; None lets it stay and goes on inside."""
    match chor:
        case Scope(name, roles, body):
            found = change(chor)
            return Scope(name, roles, _replace(body, change)) if found is None else found
        case Seq(items):
            return Seq(tuple(_replace(item, change) for item in items))
        case Alt(items):
            return Alt(tuple(_replace(item, change) for item in items))
        case Par(items):
            return Par(tuple(_replace(item, change) for item in items))
        case Star(body):
            return Star(_replace(body, change))
        case One() | Zero() | Com() | Send() | Recv() | Tau():
            return chor
        case _:
            assert_never(chor)
