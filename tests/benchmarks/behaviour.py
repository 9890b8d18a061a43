"""How fast the theory's questions are answered, per state, and with how much memory at most."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from klorpy.behaviour import Alt, Com, Par, Recv, Seq, System, compliant, equivalent, parse_contract, proves
from klorpy.behaviour.terms import Chor, Send
from tests.benchmarks.measure import Contest, Measure, Run

#: Seconds that a state of a product may take: 10 s for a million of them.
COMPLIANCE: Final = 10e-6
#: Seconds that a state of an equivalence may take: 10 s for a hundred thousand of them.
EQUIVALENCE: Final = 100e-6
#: Bytes for a million states.
MEMORY: Final = 1e9


def worked(function: Callable[[], Any]) -> Measure:
    """Measure the seconds that the processor works on `function`: there is no baseline beside it on a machine that others
    use as well.
    """

    def measure() -> tuple[float, Any]:
        start = time.process_time()
        computed = function()
        return time.process_time() - start, computed

    return measure


def entangled(roles: int, rounds: int) -> System:
    """A ring of roles: each decides `rounds` times what to tell the next, and hears the one before at the same time.

    Nothing can be left out of such a product: every role may always move.
    """
    contracts = []
    for i in range(roles):
        right = f"r{(i + 1) % roles}"
        says = Seq(tuple(Alt((Send(right, f"x{n}"), Send(right, f"y{n}"))) for n in range(rounds)))
        hears = Seq(tuple(Alt((Recv(f"x{n}"), Recv(f"y{n}"))) for n in range(rounds)))
        contracts.append((f"r{i}", Par((says, hears))))
    return System(tuple(contracts))


def chain(roles: int, rounds: int) -> System:
    """Roles that pass something on, round after round: a set of two roles at a time is enough."""
    contracts = []
    for i in range(roles):
        hears = [Recv(f"a{i}_{n}") for n in range(rounds)] if i else []
        says = [Send(f"r{i + 1}", f"a{i + 1}_{n}") for n in range(rounds)] if i + 1 < roles else []
        contracts.append((f"r{i}", Seq((*hears, *says))))
    return System(tuple(contracts))


def interleaved(parts: int, length: int) -> Chor:
    """Conversations of two roles each, side by side: (length + 1) ** parts states."""
    return Par(
        tuple(
            Seq(tuple(Com(*((f"r{i}", f"s{i}") if n % 2 else (f"s{i}", f"r{i}")), f"a{n}") for n in range(length)))
            for i in range(parts)
        )
    )


def compliance(rounds: int, repeats: int) -> list[Contest]:
    """States of a product, the worst case; and what is left of a product when most interleavings are not needed."""
    ring = entangled(6, rounds)
    states = (1 + 3 * rounds) ** 6
    subject = Run("klorpy", worked(partial(states_of, ring)), states, states)
    line = chain(8, 12)
    few = Run("klorpy", worked(lambda: bool(compliant(line))), 1, True)
    peak = Run("klorpy", partial(peak_memory, rounds), 1, states)
    return [
        Contest(f"compliance, 6 entangled contracts, {states:,} states", subject, COMPLIANCE, 1.0, "µs/state", 1e6, repeats),
        Contest("the same, peak of memory", peak, MEMORY, 1.0, "MB", 1e-6, 1),
        Contest("compliance, 8 contracts in a chain", few, 10.0, 1.0, "ms", 1e3, repeats),
    ]


def states_of(system: System) -> int:
    return compliant(system).states


def peak_memory(rounds: int) -> tuple[float, Any]:
    """The peak of memory of a fresh process that does it, and the states that it counts."""
    code = (
        "import resource, sys\n"
        "from tests.benchmarks.behaviour import entangled, states_of\n"
        f"states = states_of(entangled(6, {rounds}))\n"
        "unit = 1 if sys.platform == 'darwin' else 1024\n"
        "print(states, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    states, peak = map(int, done.stdout.split())
    return float(peak), states


def equivalence(parts: int, repeats: int) -> list[Contest]:
    """States of a choreography that is compared with its projection."""
    chor = interleaved(parts, 9)
    states = 10**parts
    contests = []
    for criterion in ("sync", "sender", "receiver"):

        def ask(criterion: Any = criterion) -> int:
            return equivalent(chor, criterion).states[0]

        contests.append(
            Contest(
                f"equivalence, {criterion}, {states:,} states", Run("klorpy", worked(ask), states, states), EQUIVALENCE, 1.0,
                "µs/state", 1e6, repeats,
            )
        )  # fmt: skip
    return contests


def refinement(repeats: int) -> list[Contest]:
    """Proofs for contracts of some tens of states."""
    old = " ".join(f"(alt (recv a{n}) (recv b{n})) (alt (send p x{n}) (send p y{n}))" for n in range(12))
    new = " ".join(f"(alt (recv a{n}) (recv b{n}) (recv c{n})) (send p x{n})" for n in range(12))
    contracts = parse_contract(f"(seq {new})"), parse_contract(f"(seq {old})")
    subject = Run("klorpy", worked(lambda: proves(*contracts)), 1, True)
    return [Contest("subcontract, 48 states", subject, 1.0, 1.0, "ms", 1e3, repeats)]
