"""Discovery: which registered contracts may play a role of a choreography.

    find(H, t) = the entries C' with C' ≤ [[H]]t proved, and those for which it is unknown

If H is well-formed and each of its roles is played by an entry that was found, the system is compliant by construction;
if the proofs are strict, it also implements H.

The small transition system of an entry is computed once. There is no index by operations before the check: an entry may
lack an input, or add an output, that no compliant partner ever comes to, and the check itself notices soon when not. Entries
without a proof are left out when a small partner refutes them.

Source: Bravetti, Lanese and Zavattaro, Contract-driven implementation of choreographies (2008), section 5.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from klorpy.behaviour.arguments import checked
from klorpy.behaviour.canonical import project_role
from klorpy.behaviour.lts import Labels, Lts
from klorpy.behaviour.refine import POSITIONS, Check, contract_lts
from klorpy.behaviour.refute import refutation
from klorpy.behaviour.terms import Chor, Contract, roles_of
from klorpy.core.diagnostics import KlorError


@dataclass(frozen=True, slots=True)
class Discovery:
    """What a registry has for a role: `found` may play it; for `unknown` there is no proof, and it is not excluded."""

    role: str
    found: tuple[str, ...]
    unknown: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[str]:
        return iter(self.found)

    def __contains__(self, name: object) -> bool:
        return name in self.found

    def __str__(self) -> str:
        found = f"{self.role} may be played by {', '.join(self.found)}" if self.found else f"nobody is known to play {self.role}"
        return found + (f"; perhaps by {', '.join(self.unknown)}" if self.unknown else "")


class Registry:
    """Contracts by name.

    >>> from klorpy.behaviour.notation import parse_choreography, parse_contract
    >>> registry = Registry({"polite": parse_contract("(alt (recv hello) (recv bye))"), "deaf": parse_contract("0")})
    >>> print(registry.find(parse_choreography("(com c s hello)"), "s"))
    s may be played by polite
    """

    @checked
    def __init__(self, contracts: Mapping[str, Contract] | None = None) -> None:
        self._entries: dict[str, _Entry] = {}
        for name, contract in (contracts or {}).items():
            self.add(name, contract)

    @checked
    def add(self, name: str, contract: Contract) -> None:
        """Register a contract. Raises KlorError `dup-name` when the name is taken."""
        if name in self._entries:
            raise KlorError(f"there are two contracts called {name}", slug="dup-name", help="remove the first one, or choose another name")
        self._entries[name] = _Entry(contract)

    def remove(self, name: str) -> None:
        """Forget a contract. Raises KlorError `unknown-contract`."""
        self[name]
        del self._entries[name]

    def __getitem__(self, name: str) -> Contract:
        if name not in self._entries:
            known = ", ".join(self._entries) or "none"
            raise KlorError(f"{name} is not registered", slug="unknown-contract", help=f"registered are: {known}")
        return self._entries[name].contract

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    @checked
    def find(
        self, chor: Chor, role: str, *, strict: bool = False, size: int = 4, limit: int = POSITIONS
    ) -> Discovery:
        """The entries that may play a role, in the order in which they were registered.

        With `strict`, a system of such entries has only conversations of the choreography. Partners of up to `size` are
        tried to refute an entry without proof. Raises KlorError `unknown-role`.
        """
        if role not in roles_of(chor):
            raise KlorError(
                f"{role} is not a role of the choreography", slug="unknown-role",
                help=f"its roles are {', '.join(roles_of(chor)) or 'none'}",
            )  # fmt: skip
        return self.refining(project_role(chor, role), role, strict=strict, size=size, limit=limit)

    @checked
    def refining(
        self, contract: Contract, role: str = "r", *, strict: bool = False, size: int = 4, limit: int = POSITIONS
    ) -> Discovery:
        """The entries that are subcontracts of a contract."""
        found, unknown = [], []
        for name, entry in self._entries.items():
            if entry.proves(contract, strict, limit):
                found.append(name)
            elif refutation(entry.contract, contract, size=size, location=role) is None:
                unknown.append(name)
        return Discovery(role, tuple(found), tuple(unknown))


@dataclass(slots=True)
class _Entry:
    contract: Contract
    #: The labels that the entry's system was computed with, and the system.
    labels: Labels = field(default_factory=Labels)
    lts: Lts | None = None

    def proves(self, old: Contract, strict: bool, limit: int) -> bool:
        if self.lts is None:
            self.lts = contract_lts(self.contract, self.labels)
        return Check(self.lts, contract_lts(old, self.labels), self.labels, strict, limit).holds()
