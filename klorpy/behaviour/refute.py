"""A partner that can tell two contracts apart: compliant with the old one, and not with the new one.

Partners are enumerated by size, which counts operators and leaves: first one role alone, then, if nothing is found, two
roles that may also talk to each other. Partners of equal behaviour are tried once.

Source: klorpy's own; the two roles are needed because committed partners cannot offer a choice between outputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from klorpy.behaviour.compliance import compliant
from klorpy.behaviour.lts import Labels, Lts, reduce
from klorpy.behaviour.steps import lts_of
from klorpy.behaviour.terms import ONE, ZERO, Alt, Contract, Par, Recv, Send, Seq, Star, System, Term, leaves

Partner = System

#: Pairs of partners that are tried at most.
_PAIRS = 1_500
#: Names of the operation by which two partners talk to each other.
_TALK = "sync"


def refutation(new: Contract, old: Contract, *, size: int = 5, location: str = "") -> Partner | None:
    """A system of partners up to a size that is compliant with `old` and not with `new`; None if none is found."""
    inputs, outputs = actions(new, old)
    role = location or fresh("r", outputs)
    partners = list(outputs) or ["p" if role != "p" else "q"]
    if len(partners) == 1:
        for contract in enumerate_contracts(leaves_for(role, inputs, outputs.get(partners[0], {})), size):
            if tells(new, old, role, [(partners[0], contract)]):
                return System(((partners[0], contract),))
    return _several(new, old, role, partners, inputs, outputs, size)


def _several(
    new: Contract, old: Contract, role: str, partners: list[str], inputs: dict[str, None], outputs: dict[str, dict[str, None]],
    size: int,
) -> Partner | None:  # fmt: skip
    """Partners that may talk to each other, small ones first."""
    if len(partners) == 1:
        partners = [*partners, fresh("q", {**outputs, role: {}, partners[0]: {}})]
    choices = []
    for at, name in enumerate(partners):
        other = partners[(at + 1) % len(partners)]
        own = leaves_for(role, inputs, outputs.get(name, {}))
        talk: list[Term] = [Send(other, _TALK)] if at + 1 < len(partners) else []
        talk += [Recv(_TALK)] if at else []
        choices.append(list(enumerate_contracts([*own, *talk], min(size, 4))))
    tried = 0
    for total in range(sum(map(len, choices))):
        for indices in _diagonal(total, [len(options) for options in choices]):
            tried += 1
            if tried > _PAIRS:
                return None
            group = [(name, choices[at][index]) for at, (name, index) in enumerate(zip(partners, indices, strict=True))]
            if tells(new, old, role, group):
                return System(tuple(group))
    return None


def _diagonal(total: int, sizes: list[int]) -> Iterator[tuple[int, ...]]:
    """The index vectors with a sum."""
    if len(sizes) == 1:
        if total < sizes[0]:
            yield (total,)
        return
    for first in range(min(total + 1, sizes[0])):
        for rest in _diagonal(total - first, sizes[1:]):
            yield (first, *rest)


def tells(new: Contract, old: Contract, role: str, partners: list[tuple[str, Contract]]) -> bool:
    """Whether partners are compliant with the old contract at a role, and not with the new one."""
    return bool(compliant(System(((role, old), *partners)), open=True)) and not compliant(
        System(((role, new), *partners)), open=True
    )


def actions(*contracts: Contract) -> tuple[dict[str, None], dict[str, dict[str, None]]]:
    """The operations that contracts receive, and those that they send, by receiver."""
    inputs: dict[str, None] = {}
    outputs: dict[str, dict[str, None]] = {}
    for contract in contracts:
        for leaf in leaves(contract):
            if isinstance(leaf, Recv):
                inputs[leaf.operation] = None
            elif isinstance(leaf, Send):
                outputs.setdefault(leaf.receiver, {})[leaf.operation] = None
    return inputs, outputs


def leaves_for(role: str, inputs: dict[str, None], outputs: dict[str, None]) -> list[Term]:
    """What a partner of a role can do: send what it receives, and receive what it sends."""
    return [*(Send(role, a) for a in inputs), *(Recv(a) for a in outputs)]


def fresh(name: str, taken: dict[str, dict[str, None]]) -> str:
    while name in taken:
        name += "'"
    return name


def enumerate_contracts(actions: list[Term], size: int) -> Iterator[Contract]:
    """Contracts over some leaves up to a size, small ones first, one for each behaviour."""
    labels = Labels()
    for leaf in actions:
        labels.number(leaf)
    known: set[tuple[object, ...]] = set()
    by_size: list[list[Contract]] = [[]]
    for wanted in range(1, size + 1):
        made: list[Contract] = []
        for contract in _of_size(wanted, actions, by_size):
            key = shape(reduce(lts_of(contract, labels, committed=True))[0])
            if key not in known:
                known.add(key)
                made.append(contract)
                yield contract
        by_size.append(made)


def _of_size(wanted: int, actions: list[Term], by_size: list[list[Contract]]) -> Iterator[Contract]:
    if wanted == 1:
        yield from (ONE, ZERO, *actions)
        return
    for body in by_size[wanted - 1]:
        yield Star(body)
    for left in range(1, wanted - 1):
        for a, b in product(by_size[left], by_size[wanted - 1 - left]):
            yield Seq((a, b))
            if left <= wanted - 1 - left:
                yield Alt((a, b))
                yield Par((a, b))


def shape(lts: Lts) -> tuple[object, ...]:
    """What two systems have in common when they are the same up to the numbers of states, for most systems."""
    numbers = {0: 0}
    order = [0]
    for state in order:
        for _, target in sorted(lts.edges[state]):
            if target not in numbers:
                numbers[target] = len(order)
                order.append(target)
    return tuple((lts.ok[s], tuple(sorted((label, numbers[t]) for label, t in lts.edges[s]))) for s in order)
