"""The protocol of a choreography and its endpoint programs have the same exchanges, role by role.

    words of automaton(protocol_of(chor) ↾ R)  =  words of automata(chor)[R]     up to a length, of whom R says to or hears from

The two sides have nothing in common but the text: one abstracts the checked choreography and projects a global type; the other
follows the control flow of what was projected and is run.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import TypeAlias

import pytest

import klorpy
from klorpy.behaviour import Automaton
from klorpy.core.automaton import Automaton as Program
from klorpy.core.automaton import Call, End, Fork, Hear, Say
from klorpy.core.types import Role
from klorpy.language.automata import automata
from klorpy.testing import program_of
from klorpy.testing.extraction_laws import automata_of
from klorpy.testing.laws import compiled

#: With whom, and whether it is said or heard.
Exchange: TypeAlias = tuple[Role, bool]
#: The states to go on at, the innermost first; () is the end.
Stack: TypeAlias = tuple[int, ...]
Word: TypeAlias = tuple[Exchange, ...]

LENGTH = 8
DEPTH = 30


class Endpoint:
    """What an endpoint program may say and hear, as sets of stacks."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.start = self.settled([(program.start,)])

    def settled(self, stacks: Iterable[Stack]) -> frozenset[Stack]:
        """Where a role can be before its next exchange; recursion that is deeper than `DEPTH` is left out."""
        found: set[Stack] = set()
        todo = list(stacks)
        seen = set(todo)
        while todo:
            stack = todo.pop()
            following = [s for s in self._silent(stack) if len(s) <= DEPTH and s not in seen]
            seen.update(following)
            todo += following
            if not stack or isinstance(self.program.states[stack[0]], (Say, Hear)):
                found.add(stack)
        return frozenset(found)

    def _silent(self, stack: Stack) -> Iterator[Stack]:
        if not stack:
            return
        first, rest = stack[0], stack[1:]
        match self.program.states[first]:
            case Fork(after):
                yield from ((state, *rest) for state in after)
            case Call(entries, None):
                yield from ((entry, *rest) for entry in entries)
            case Call(entries, int(after)):
                yield from ((entry, after, *rest) for entry in entries)
            case End():
                yield rest

    def steps(self, stacks: frozenset[Stack]) -> dict[Exchange, frozenset[Stack]]:
        after: dict[Exchange, set[Stack]] = {}
        for stack in stacks:
            match self.program.states[stack[0]] if stack else None:
                case Say(_, target, following):
                    after.setdefault((target, True), set()).add((following, *stack[1:]))
                case Hear(_, source, following):
                    after.setdefault((source, False), set()).add((following, *stack[1:]))
        return {exchange: self.settled(found) for exchange, found in after.items()}


def part_steps(part: Automaton, states: frozenset[int]) -> dict[Exchange, frozenset[int]]:
    after: dict[Exchange, set[int]] = {}
    for state in states:
        for action, target in part.outgoing[state].items():
            after.setdefault((action.peer, action.sends), set()).add(target)
    return {exchange: frozenset(found) for exchange, found in after.items()}


def differences(part: Automaton, program: Program) -> tuple[Word | None, Word | None]:
    """A word of the part that is none of the program, and one of the program that is none of the part."""
    endpoint = Endpoint(program)
    missing: Word | None = None
    more: Word | None = None
    level: dict[tuple[frozenset[int], frozenset[Stack]], Word] = {(frozenset([0]), endpoint.start): ()}
    seen = set(level)
    for _ in range(LENGTH + 1):
        following: dict[tuple[frozenset[int], frozenset[Stack]], Word] = {}
        for (states, stacks), word in level.items():
            done = bool(states & part.final)
            if done and () not in stacks:
                missing = missing or word
            if not done and () in stacks:
                more = more or word
            left, right = part_steps(part, states), endpoint.steps(stacks)
            for exchange in left.keys() | right.keys():
                pair = left.get(exchange, frozenset()), right.get(exchange, frozenset())
                if pair not in seen:
                    seen.add(pair)
                    following[pair] = (*word, exchange)
        level = following
    return missing, more


# --- Nothing more and nothing less ------------------------------------------------------------------------------------

SAME = {
    "messages": "(defchor main [A B C] (-> A C | B) [x] (B->C (A->B x)))",
    "a choice": "(defchor main [A B] (-> A B) [x] (if (A=>B x) (A->B x) (B 1)))",
    "a choice of one role": "(defchor main [A B] (-> A B) [x] (A->B (if x (A 1) (A 2))))",
    "rounds": "(defchor main [A B] (-> A B) [x] (loop [x x] (case (A=>B (A (f x)))"
    " 0 (A->B x) 1 (do (B->A (B 1)) (recur x)) (B 1))))",
    "recursion": "(defchor main [A B] (-> A B | 0) [n] (if (A=>B (A (> n 0))) (do (A->B n) (main [A B] (A (- n 1)))) (B 0)))",
    "roles that change": "(defchor main [A B] (-> A #{A B}) [n] (if (A=>B (A (> n 0))) (main [B A] (A->B n)) (A=>B n)))",
    "a call that returns": "(defchor g [X Y] (-> X Y) [x] (if (X=>Y x) (X->Y x) (Y 0)))"
    "(defchor main [A B C] (-> A A | B C) [x] (do (g [A C] x) (B->A (g [A B] (A (f x))))))",
    "one message for many": "(defchor main [A B C D] (-> A #{A B C D}) [x] (copy [C D] (bcast [A B C] x)))",
    "a scope": "(defchor step [S C D] (-> S C | D) [x] (do (S->D (S 1)) (S->C x)))"
    "(defchor main [C S D] (-> S C | D) [x] (do (scope (step [S C D] x)) (scope (step [S D C] x)) (S->C x)))",
    "scopes in place": "(defchor main [C S D] (-> S C | D) [x] (loop [x x] (if (C=>D (S=>C (S (f x))))"
    " (recur (scope step [S C D] (S->D (S 1)) (D->S (D 2)))) (scope end [C S] (S->C x)))))",
    "barriers": "(defchor main [C S D] (-> S C | D) [x] (do (scope :barrier one [S C D] (S->D (S 1)) (scope :barrier two [D S] (D->S (D 2))))"
    " (scope :barrier three [C S] (S->C x))))",
}


@pytest.mark.parametrize("text", SAME.values(), ids=SAME)
def test_the_protocol_has_the_exchanges_of_the_programs(text: str) -> None:
    chor = klorpy.evaluate(text).main
    programs = automata(chor)
    parts = automata_of(klorpy.protocol_of(chor))
    assert parts.keys() == programs.keys()
    for role, part in parts.items():
        assert differences(part, programs[role]) == (None, None), role


def test_what_is_decided_twice_from_one_value_is_one_choice_of_the_protocol() -> None:
    once = "(if x (A->B (A 2)) (B 1))"
    chor = klorpy.evaluate(f"(defchor main [A B] (-> A B) [x] (let [x (A=>B x)] (do {once} {once})))").main
    parts, programs = automata_of(klorpy.protocol_of(chor)), automata(chor)
    assert differences(parts["A"], programs["A"]) == (None, (("B", True), ("B", True)))


def test_a_program_of_another_choreography_is_told_apart() -> None:
    """The comparison can fail, in both ways."""
    one = klorpy.evaluate(SAME["a choice"]).main
    other = klorpy.evaluate("(defchor main [A B] (-> A B) [x] (do (if (A=>B x) (B 2) (B 1)) (B->A (B 1)) (A->B x)))").main
    parts, programs = automata_of(klorpy.protocol_of(one)), automata(other)
    assert differences(parts["A"], programs["A"]) == ((("B", True),), (("B", True), ("B", False), ("B", True)))
    assert differences(parts["B"], programs["B"]) == ((("A", False),), (("A", False), ("A", True), ("A", False)))


class Fresh:
    """Generated programs in which every decision is taken once: from a value that is made for it and told to all.

    Then which ways the decisions of a role go is what it is told, and nothing else is: the abstraction of values, which
    forgets all but that, loses nothing, and the protocol has exactly the exchanges of the programs.
    """

    def __init__(self, source: random.Random) -> None:
        self.source = source
        self.roles = ["A", "B", "C"][: source.randint(2, 3)]
        self.helpers = source.randint(0, 2)

    def text(self) -> str:
        again = f"(main [A {' '.join(self.some(self.roles[1:]))}])"
        helpers = [self.definition(f"h{i}", self.body(3, i, "")) for i in range(self.helpers)]
        return "\n".join([*helpers, self.definition("main", self.choice(6, self.helpers, again))])

    def definition(self, name: str, body: str) -> str:
        everybody = " ".join(f"({one}->{two} ({one} (new)))" for one, two in pairwise(self.roles))
        return f"(defchor {name} [{' '.join(self.roles)}] (-> A | {' '.join(self.roles[1:])}) [] (do {everybody} {body}))"

    def some(self, roles: list[str]) -> list[str]:
        return self.source.sample(roles, len(roles))

    def body(self, size: int, helpers: int, again: str) -> str:
        """Something that ends with a value at A, or by what starts again."""
        steps = [self.step(size - 1, helpers) for _ in range(self.source.randint(0, 2))]
        kind = self.source.random()
        if size > 1 and kind < 0.6:
            last = self.choice(size - 1, helpers, again)
        else:
            last = again if again and kind < 0.85 else "(A 0)"
        return f"(do {' '.join([*steps, last])})"

    def choice(self, size: int, helpers: int, again: str) -> str:
        """Of somebody who tells all others, in any order. The last branch does not start again."""
        everybody = self.some(self.roles)
        guard = f"(bcast [{' '.join(everybody)}] ({everybody[0]} (flip)))"
        branches = [self.body(size // 2, helpers, again) for _ in range(self.source.randint(1, 2))]
        last = self.body(size // 2, helpers, "")
        if len(branches) == 1:
            return f"(if {guard} {branches[0]} {last})"
        return f"(case {guard} 0 {branches[0]} 1 {branches[1]} {last})"

    def step(self, size: int, helpers: int) -> str:
        kind = self.source.random()
        if kind < 0.6 or size < 2:
            sender, receiver = self.source.sample(self.roles, 2)
            return f"({sender}->{receiver} ({sender} (new)))"
        if kind < 0.75 and helpers:
            return f"(h{self.source.randrange(helpers)} [{' '.join(self.some(self.roles))}])"
        if kind < 0.9:
            return f"(loop [n (A 0)] {self.choice(size, helpers, '(recur n)')})"
        return self.body(size, helpers, "")


@pytest.mark.parametrize("seeds", [range(start, start + 40) for start in range(0, 80, 40)], ids=str)
def test_programs_whose_decisions_are_taken_once_have_the_exchanges_of_their_protocol(seeds: range) -> None:
    """Nothing more and nothing less, for every role."""
    found: Counter[str] = Counter()
    for seed in seeds:
        text = Fresh(random.Random(seed)).text()
        chor = klorpy.evaluate(text).main
        try:
            protocol = klorpy.protocol_of(chor)
        except klorpy.KlorError as error:
            if error.slug != "no-protocol":
                raise
            found["none"] += 1
            continue
        programs, parts = automata(chor), automata_of(protocol)
        assert parts.keys() == programs.keys(), text
        for role, part in parts.items():
            assert differences(part, programs[role]) == (None, None), f"{role} of Fresh(random.Random({seed})):\n{text}"
        choices = sum(len(steps) > 1 for part in parts.values() for steps in part.outgoing)
        found["choices" if choices else "one way"] += 1
    assert found["choices"] > len(seeds) / 2, found


@pytest.mark.parametrize("seeds", [range(start, start + 25) for start in range(7000, 7100, 25)], ids=str)
def test_programs_do_all_that_their_protocol_has(seeds: range) -> None:
    """Of any generated program. It may have more: what is called as a value is any choreography that fits, a decision that is
    taken twice from one value may be taken in two ways, and one that is taken from a constant in any."""
    found: Counter[str] = Counter()
    for seed in seeds:
        program = program_of(seed, scopes=seed % 2 == 0)
        chor = compiled(program).main
        try:
            protocol = klorpy.protocol_of(chor)
        except klorpy.KlorError as error:
            if error.slug != "no-protocol":
                raise
            continue
        programs = automata(chor)
        for role, part in automata_of(protocol).items():
            if not part.transitions:
                continue
            missing, more = differences(part, programs[role])
            assert missing is None, f"{role} of program_of({seed}) cannot do {missing}:\n{program.text}"
            found["same" if more is None else "more"] += 1
    # Else the test would hold of anything.
    assert found["same"] > found["more"]
    assert found["same"] > 10
