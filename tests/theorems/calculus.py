"""The theorems about the calculus and about contracts, as laws of one seed.

Each law takes a `random.Random`, makes terms of it, and raises AssertionError when they break it; it returns a word for
what happened, so that it can be counted how often a law had something to say.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from klorpy import KlorError
from klorpy.behaviour import (
    Alt,
    Recv,
    Scope,
    Send,
    Seq,
    System,
    compiled,
    compliant,
    equivalent,
    implements,
    infix,
    judge_update,
    parse_choreography,
    parse_contract,
    project,
    project_role,
    proves,
    updated,
    well_formed,
)
from klorpy.behaviour.compliance import Search, parts
from klorpy.behaviour.composition import Composition
from klorpy.behaviour.edges import first_of
from klorpy.behaviour.equivalence import compare, composed
from klorpy.behaviour.lts import TAU, Labels, Lts, alive
from klorpy.behaviour.refute import enumerate_contracts
from klorpy.behaviour.steps import Terms, lts_of
from klorpy.behaviour.terms import Contract, leaves, roles_of
from klorpy.testing.calculus import choreography_of, compliant_of, contract_of
from tests.behaviour import naive

#: The pairs of criterion and buffers for which well-formedness is claimed to suffice.
CLAIMS: Final = (
    ("sync", "pair"), ("sender", "pair"), ("receiver", "pair"), ("sr", "pair"), ("sender", "mailbox"),
    ("receiver", "mailbox"), ("sr", "mailbox"), ("sender", "bag"), ("receiver", "bag"), ("sr", "bag"),
)  # fmt: skip
#: States that one question may take here.
LIMIT: Final = 20_000


def reads_back(source: random.Random) -> str:
    """What is printed reads as the same term; and people can be shown every term."""
    chor = choreography_of(source, 10)
    assert parse_choreography(str(chor)) == chor
    contract = contract_of(source, "r", 10)
    assert parse_contract(str(contract)) == contract
    assert infix(chor)
    return "holds"


def finite(source: random.Random) -> str:
    """A choreography has finitely many derivatives, and a projection speaks to the role's partners only."""
    chor = choreography_of(source, 10)
    labels = Labels()
    lts_of(chor, labels, limit=LIMIT)
    for role in roles_of(chor):
        partners = {other for com in labels.numbers for other in com.roles if role in com.roles} - {role}
        local = Labels()
        lts_of(project_role(chor, role), local, limit=LIMIT)
        for leaf in local.numbers:
            assert isinstance(leaf, (Send, Recv))
            assert isinstance(leaf, Recv) or leaf.receiver in partners
    return "holds"


def well_formed_is_right(source: random.Random) -> str:
    """The static conditions suffice, for each criterion and each kind of buffers; for `sync` they give strong, for
    `sender` weak bisimilarity.
    """
    chor = choreography_of(source, 8)
    accepted = 0
    for criterion, buffer in CLAIMS:
        if well_formed(chor, criterion, buffer):
            continue
        try:
            verdict = equivalent(chor, criterion, buffer=buffer, limit=LIMIT)
        except KlorError as error:
            if error.slug != "state-limit":
                raise
            continue
        accepted += 1
        assert verdict.holds, f"{chor}: {verdict}"
        if criterion in ("sync", "sender"):
            assert verdict.bisimilar, f"{chor}: not bisimilar, {verdict}"
    return "accepted" if accepted else "refused"


def wide_is_nested(source: random.Random) -> str:
    """A wide choice violates what the choice of its first branch and the choice of the others violates."""
    items = [choreography_of(source, 3, loops=False) for _ in range(source.randint(3, 5))]
    # Branches come again, so that some projections of some branches are equal.
    branches = [source.choice(items) if source.random() < 0.2 else item for item in items]
    after = choreography_of(source, 2, loops=False)
    nested = branches[-1]
    for branch in reversed(branches[:-1]):
        nested = Alt((branch, nested))
    codes: set[str] = set()
    for criterion, buffer in source.sample(CLAIMS, 4):
        wide = well_formed(Seq((Alt(tuple(branches)), after)), criterion, buffer)
        assert {*map(str, wide)} == {*map(str, well_formed(Seq((nested, after)), criterion, buffer))}, f"{nested} by {criterion}, {buffer}"
        codes |= {violation.code for violation in wide}
    return "names" if codes & {"name-confusion", "choice-ambiguous"} else "others"


def lattice(source: random.Random) -> str:
    """What projects correctly for `sr` does so for `sender` and `receiver`, and what does for one of these, for `sync`."""
    chor = choreography_of(source, 6)
    try:
        holds = {criterion: bool(equivalent(chor, criterion, limit=LIMIT)) for criterion in ("sync", "sender", "receiver", "sr")}
    except KlorError:
        return "too large"
    assert holds["sr"] == (holds["sender"] and holds["receiver"]), f"{chor}: {holds}"
    assert holds["sync"] or not (holds["sender"] or holds["receiver"]), f"{chor}: {holds}"
    return "sr" if holds["sr"] else "less"


def outputs_persist(source: random.Random) -> str:
    """A pending output stays possible whatever else its role does, and keeps the role from ending."""
    terms = Terms(Labels(), committed=True)
    lts, order = terms.explore(terms.number(contract_of(source, "r", 10, ("p", "q"))), LIMIT)
    pending = [frozenset(label for label, _ in row if isinstance(terms.labels.known[label], Send)) for row in lts.edges]
    found = 0
    for state, row in enumerate(lts.edges):
        for label, target in row:
            for output in pending[state]:
                # One of several equal outputs may be the one that was consumed.
                assert output == label or output in pending[target], terms.text(order[state])
                found += 1
        assert not (pending[state] and lts.ok[state])
    return "pending" if found else "none"


def well_formed_is_compliant(source: random.Random) -> str:
    """The projection of a well-formed choreography that can always succeed is compliant."""
    chor = choreography_of(source, 8)
    lts = lts_of(chor, Labels(), limit=LIMIT)
    if not all(alive(lts.edges, lts.ok)) or not roles_of(chor):
        return "not alive"
    system = project(chor)
    said = "refused"
    for criterion, mode in (("sync", "patient"), ("sender", "async"), ("receiver", "async"), ("sr", "committed")):
        if not well_formed(chor, criterion):
            verdict = compliant(system, mode, limit=LIMIT)  # type: ignore[arg-type]
            assert verdict, f"{chor} by {criterion}: {verdict}"
            said = "accepted"
    return said


def agrees_with_the_definitions(source: random.Random) -> str:
    """Equivalence and compliance are what a plain reading of their definitions gives."""
    chor = choreography_of(source, 5)
    criterion, buffer = source.choice(CLAIMS)
    if roles_of(chor):
        try:
            expected = naive.equivalent(chor, criterion, buffer)
        except OverflowError:
            return "too large"
        assert bool(equivalent(chor, criterion, buffer=buffer)) == expected, f"{chor}, {criterion}, {buffer}"  # type: ignore[arg-type]
    if source.random() < 0.5 and roles_of(chor):
        system = project(chor)
    else:
        system = System(tuple((role, contract_of(source, role, 6, ("r", "s", "t"), "ab")) for role in ("r", "s", "t")))
    mode = source.choice(("committed", "patient", "async"))
    try:
        expected = naive.compliant(system, mode, buffer)
    except OverflowError:
        return "too large"
    verdict = compliant(system, mode, buffer=buffer, open=True)  # type: ignore[arg-type]
    assert bool(verdict) == expected, f"{system}, {mode}, {buffer}: {verdict}"
    searches = [Search(Composition(part, Labels(), mode=mode, buffer=buffer), LIMIT) for part in parts(system)]  # type: ignore[arg-type]
    assert all(search.explore(reducing=True, limit=LIMIT) is None for search in searches) == expected, f"reduced: {system}, {mode}, {buffer}"
    return "compliant" if expected else "not compliant"


@cache
def partners(size: int) -> tuple[Contract, ...]:
    """All behaviours of a role p that talks to r over a, b and c, up to a size."""
    return tuple(enumerate_contracts([*(Send("r", name) for name in "ab"), *(Recv(name) for name in "ab")], size))


def proofs_are_right(source: random.Random) -> str:
    """No partner is compliant with a contract and not with a proved subcontract of it, whether they communicate directly or
    through buffers; every contract is one of itself.
    """
    old, new = related(source)
    assert proves(old, old)
    if not proved(new, old):
        assert not proves(new, old)
        return "no proof"
    mode, buffer = source.choice((("committed", "pair"), ("committed", "pair"), ("async", "pair"), ("async", "bag"), ("async", "mailbox")))
    for partner in partners(4):
        if works(old, partner, mode, buffer):
            assert works(new, partner, mode, buffer), f"{new} for {old}, with {partner}, {mode}, {buffer}"
    return "proof" if proves(new, old) else "closer proof"


def proved(new: Contract, old: Contract, *, strict: bool = False) -> bool:
    """Whether there is a proof at second sight, which finds all that there is at first sight."""
    return proves(new, old, strict=strict, closer=True)


def works(contract: Contract, partner: Contract, mode: Any = "committed", buffer: Any = "pair") -> bool:
    return bool(compliant(System((("r", contract), ("p", partner))), mode, buffer=buffer, limit=LIMIT))


def related(source: random.Random) -> tuple[Contract, Contract]:
    """Two contracts, the second often near the first."""
    old = contract_of(source, "r", 6, ("p", "r"), "ab")
    if source.random() < 0.3:
        return old, contract_of(source, "r", 6, ("p", "r"), "ab")
    return old, mutated(source, old)


def mutated(source: random.Random, contract: Contract) -> Contract:
    """The contract with one of its parts changed: dropped, replaced, made one of two."""
    text = str(contract)
    places = [at for at, character in enumerate(text) if character == "("] or [0]
    at = source.choice(places)
    depth, end = 0, len(text)
    if "(" not in text:
        return contract_of(source, "r", 2, ("p", "r"), "abc")
    for position in range(at, len(text)):
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        if depth == 0:
            end = position + 1
            break
    part = text[at:end]
    other = str(contract_of(source, "r", 2, ("p", "r"), "abc"))
    changed = source.choice([f"(alt {part} {other})", other, f"(seq {part} {other})", "1", f"(star {part})"])
    return parse_contract(text[:at] + changed + text[end:])


def proofs_compose(source: random.Random) -> str:
    """What is proved in two steps is refuted by no partner, proved or not."""
    first = contract_of(source, "r", 5, ("p", "r"), "ab")
    second = mutated(source, first)
    third = mutated(source, second)
    if not (proves(second, first) and proves(third, second)):
        return "no proof"
    if proves(third, first):
        return "proof"
    for partner in partners(4):
        assert works(third, partner) or not works(first, partner), f"{third} for {second} for {first}, with {partner}"
    return "unknown"


def refinement_is_independent(source: random.Random) -> str:
    """A compliant system stays compliant when all roles are replaced by proved subcontracts; and what it implements, it still
    implements when the proofs are strict.
    """
    old = compliant_of(source, 5)
    new = old
    strict = True
    for role in old.roles:
        candidate = mutated(source, old[role])
        if any(isinstance(leaf, Send) and leaf.receiver not in old.roles for leaf in leaves(candidate)):
            continue
        if not any(isinstance(leaf, Send) and leaf.receiver == role for leaf in leaves(candidate)) and proved(candidate, old[role]):
            strict = strict and proved(candidate, old[role], strict=True)
            new = new.replaced(role, candidate)
    if new == old:
        return "nothing proved"
    verdict = compliant(new)
    assert verdict, f"{new} for {old}: {verdict}"
    if strict:
        chor = conversations(old)
        if chor is not None:
            assert implements(new, chor), f"{new} for {old}"
    return "strict" if strict else "proved"


def conversations(system: System, most: int = 200) -> Any:
    """A choreography with the completed conversations of a system; None when there are too many."""
    labels = Labels()
    lts = Composition(system, labels, mode="committed").explore(LIMIT)
    found: dict[tuple[Any, ...], None] = {}
    todo: list[tuple[int, tuple[Any, ...]]] = [(0, ())]
    seen = set(todo)
    while todo:
        state, trace = todo.pop()
        if lts.ok[state]:
            found[trace] = None
        for label, target in lts.edges[state]:
            step = (target, trace if label == TAU else (*trace, labels.known[label]))
            if step not in seen:
                seen.add(step)
                todo.append(step)
        if len(seen) > most:
            return None
    return Alt(tuple(Seq(trace) for trace in found))


def updates_are_right(source: random.Random) -> str:
    """An update that is accepted leaves a choreography that agrees with its projection; compiled with a barrier, too."""
    inside, after, body = (choreography_of(source, 4, fresh=True) for _ in range(3))
    roles = tuple(dict.fromkeys((*roles_of(inside), *roles_of(body))))
    if len(roles) < 2:
        return "no roles"
    renamed = parse_choreography(str(body).replace(" m", " n"))
    chor = Seq((Scope("x", roles, inside), parse_choreography(str(after).replace(" m", " k"))))
    criterion = source.choice(("sync", "sender", "receiver", "sr"))
    barrier = source.random() < 0.5
    verdict = judge_update(chor, "x", renamed, criterion, barrier=barrier)
    if not verdict:
        return "refused"
    if not barrier:
        assert equivalent(updated(chor, "x", renamed), criterion, limit=LIMIT), f"{chor} with {renamed}, {criterion}"  # type: ignore[arg-type]
        return "accepted"
    if well_formed(chor, criterion) or not judge_update(chor, "x", inside, criterion, barrier=True):
        return "not well-formed before"
    if any(com.sender != roles[0] for com in first_of(after)):
        return "not the leader goes on"
    whole = compiled(chor, {"x": (renamed,)}, barrier=True)
    views: tuple[Any, ...] = {"sync": ("events",), "sr": ("sender", "receiver")}.get(criterion, (criterion,))
    for view in views:
        labels = Labels()
        composition = composed(whole, view, labels, None if criterion == "sync" else "pair", 2, LIMIT)
        systems = (lts_of(whole, labels, limit=LIMIT), composition.explore(LIMIT))
        difference = compare(*(without_protocol(lts, labels) for lts in systems), labels)
        assert difference is None, f"{chor} with {renamed}, {criterion} by {view}: {difference}"
    return "accepted with a barrier"


def without_protocol(lts: Lts, labels: Labels) -> Lts:
    """The system with the messages at the entry and the exit of scopes hidden."""
    names = [str(getattr(label, "operation", "")).partition("_")[0] for label in labels.known]
    hidden = {number for number, name in enumerate(names) if name in ("enter", "done")}
    return Lts([tuple((TAU if label in hidden else label, target) for label, target in row) for row in lts.edges], lts.ok)


LAWS: Final[dict[str, Callable[[random.Random], str]]] = {
    law.__name__: law
    for law in (
        reads_back, finite, well_formed_is_right, wide_is_nested, lattice, outputs_persist, well_formed_is_compliant,
        agrees_with_the_definitions, proofs_are_right, proofs_compose, refinement_is_independent, updates_are_right,
    )
}  # fmt: skip
