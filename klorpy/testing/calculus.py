"""Generated choreographies and contracts of the calculus, for properties of `klorpy.behaviour`.

    choreography_of(source, size=6)      a choreography, more often well-formed than chance would have it
    contract_of(source, "r", size=5)     a contract of role r
    compliant_of(source)                 a compliant system

`source` is a `random.Random`: equal seeds give equal terms.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from klorpy.behaviour import Alt, Com, One, Par, Recv, Send, Seq, Star, System, Tau, Zero, compliant
from klorpy.behaviour.terms import Chor, Contract, Term

ROLES = ("r", "s", "t", "u")


def choreography_of(source: random.Random, size: int = 6, *, loops: bool = True, fresh: bool | None = None) -> Chor:
    """A choreography of up to `size` interactions.

    `fresh` says whether every operation is used once; by default a coin decides.

    >>> len(str(choreography_of(random.Random(1), 4))) > 0
    True
    """
    roles = ROLES[: source.randint(2, 4)]
    unique = source.random() < 0.5 if fresh is None else fresh
    maker = _Maker(source, roles, unique, "abcd"[: source.randint(3, 4)], loops)
    return maker.term(source.randint(1, size))[0]


@dataclass
class _Maker:
    source: random.Random
    roles: tuple[str, ...]
    unique: bool
    letters: str
    loops: bool
    used: int = 0
    #: Who took part in what came last: the likely sender of what comes next.
    recent: list[str] = field(default_factory=list)

    def com(self, sender: str | None = None) -> Com:
        if sender is None:
            sender = self.source.choice(self.recent if self.recent and self.source.random() < 0.8 else self.roles)
        receiver = self.source.choice([role for role in self.roles if role != sender])
        self.recent = [receiver, receiver, sender]
        if self.unique:
            self.used += 1
            return Com(sender, receiver, f"m{self.used}")
        return Com(sender, receiver, self.source.choice(self.letters))

    def term(self, size: int, sender: str | None = None) -> tuple[Chor, int]:
        """A term of about a size, begun by a sender if one is given, and what is left of the size."""
        if size <= 1:
            return self.com(sender), size - 1
        shape = self.source.choices(("seq", "alt", "par", "star", "one"), (8, 4, 2, 2 if self.loops else 0, 0.3))[0]
        if shape == "seq":
            first = self.source.randint(1, size - 1)
            return Seq((self.term(first, sender)[0], self.term(size - first)[0])), 0
        if shape == "alt":
            return self.choice(size, sender), 0
        if shape == "par":
            first = self.source.randint(1, size - 1)
            return Par((self.term(first, sender)[0], self.term(size - first, sender)[0])), 0
        if shape == "star":
            return self.loop(size, sender), 0
        return self.source.choice((One(), One(), Zero())), 0

    def choice(self, size: int, sender: str | None) -> Chor:
        """Two branches, mostly of one chooser who addresses one receiver."""
        chooser = sender or self.source.choice(self.recent or self.roles)
        receiver = self.source.choice([role for role in self.roles if role != chooser])
        before = list(self.recent)
        first = self.source.randint(1, size - 1)
        branches: list[Chor] = []
        for part in (first, size - first):
            self.recent = list(before)
            if self.source.random() < 0.85:
                head = self.com(chooser)
                if self.source.random() < 0.85:
                    head = Com(chooser, receiver, head.operation)
                    self.recent = [receiver, receiver, chooser]
                branches.append(Seq((head, self.term(part - 1)[0])) if part > 1 else head)
            else:
                branches.append(self.term(part)[0])
        return Alt(tuple(branches))

    def loop(self, size: int, sender: str | None) -> Chor:
        """A loop, mostly left by who repeats it."""
        chooser = sender or self.source.choice(self.recent or self.roles)
        body = self.term(max(1, size - 1), chooser)[0]
        if self.source.random() < 0.2:
            return Star(body)
        return Seq((Star(body), self.com(chooser)))


def contract_of(source: random.Random, role: str, size: int = 5, roles: tuple[str, ...] = ("p",), letters: str = "abc") -> Contract:
    """A contract of up to `size` operators and leaves, which sends to the other roles.

    >>> contract_of(random.Random(0), "r", 1) is not None
    True
    """
    others = [other for other in roles if other != role]

    def term(size: int) -> Term:
        if size <= 1:
            kind = source.choices(("recv", "send", "one", "zero", "tau"), (8, 8, 1, 0.4, 0.6))[0]
            if kind == "send" and others:
                return Send(source.choice(others), source.choice(letters))
            if kind in ("recv", "send"):
                return Recv(source.choice(letters))
            return One() if kind == "one" else Zero() if kind == "zero" else Tau()
        if size == 2 or source.random() < 0.1:
            return Star(term(size - 1))
        left = source.randint(1, size - 2)
        items = (term(left), term(size - 1 - left))
        return source.choice((Seq(items), Seq(items), Alt(items), Par(items)))

    return term(source.randint(1, size))


def compliant_of(source: random.Random, size: int = 5, roles: tuple[str, ...] = ("r", "s", "t")) -> System:
    """A compliant system, found by trying.

    >>> bool(compliant(compliant_of(random.Random(0))))
    True
    """
    while True:
        system = System(tuple((role, contract_of(source, role, size, roles, "ab")) for role in roles))
        if compliant(system):
            return system
