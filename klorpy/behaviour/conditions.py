"""Static conditions:  well_formed(H, c, buffer) = ()  implies  H ≈c project(H).

Input: a choreography, an observation criterion, the kind of buffers. Output: the violations, each with the interactions
that cause it. The families are the papers': connectedness (`sequence`), unique points of choice (`choice-…`) and
causality safety (`causality`), here extended to loops (`loop-…`) and to the order that buffers give. They are sufficient
and not necessary; see `klorpy.behaviour.equivalence` for the exact question.

The walk goes down a choreography and carries what comes after the current term, its *continuation*. Conditions on
choices look at what each role can do first, and at the runs of both branches, since a role that was not told may take a
message of one branch for one of the other.

Source: Lanese, Guidi, Montesi and Zavattaro (2008), section 5; Lanese, Montesi and Zavattaro, Amending choreographies
(2013). The conditions on loops, buffers and names are klorpy's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Final, assert_never

from klorpy.behaviour.arguments import checked
from klorpy.behaviour.branches import Branches, Part, Starts, outputs_of, starts_behind, starts_of
from klorpy.behaviour.composition import BUFFERS, one_of
from klorpy.behaviour.edges import (
    Continuation,
    first_after,
    first_of,
    firsts,
    firsts_after,
    has_dead_end,
    has_loop,
    last_of,
    nullable,
    stars,
    terms_of,
)
from klorpy.behaviour.lts import Labels
from klorpy.behaviour.notation import interaction
from klorpy.behaviour.runs import Steps, TooManyRuns, occurrences, order_of, ordered, runs, unordered
from klorpy.behaviour.steps import Terms
from klorpy.behaviour.terms import (
    ONE,
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
    interactions,
    plain,
    roles_of,
    seq,
)
from klorpy.core.diagnostics import KlorError

#: What each code says in general.
CODES: Final = {
    "sequence": "nothing orders two interactions that follow each other",
    "choice-sender": "two roles would choose",
    "choice-roles": "a role takes part in one branch only",
    "choice-empty-branch": "a branch can be skipped without a word",
    "choice-ambiguous": "a role cannot tell the branches apart",
    "choice-unaware": "a role acts before it learns of the choice",
    "name-confusion": "a later message can be taken for the beginning of another branch",
    "unaware-name-reuse": "what a role offers before it learns of the choice is used elsewhere, too",
    "loop-sender": "two roles would repeat the loop",
    "loop-exit-sender": "one role repeats the loop, and another leaves it",
    "loop-empty-body": "a round of the loop can be skipped without a word",
    "loop-sequence": "nothing orders the end of a round and what follows it",
    "loop-ambiguous": "a role cannot tell another round from the end of the loop",
    "loop-unaware": "a role acts before it learns whether the loop goes on",
    "dead-end": "a hidden send may decide that success is out of reach",
    "causality": "messages of one name to one role can be mistaken for each other",
    "parallel-shared-channel": "parallel activities share an ordered channel",
    "bag-loop": "buffers without order cannot carry a loop",
    "bag-name-reuse": "buffers without order cannot tell two messages of one name apart",
    "too-big": "there are too many runs to look at",
}


#: Violations that are collected: every pair of branches may break a condition for every role.
MOST: Final = 100_000


@dataclass(frozen=True, slots=True)
class Violation:
    """A condition that does not hold: its code, the interactions that cause it, and how to mend it."""

    code: str
    message: str
    causes: tuple[Com, ...] = ()
    suggestion: str = ""

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" + (f" ({self.suggestion})" if self.suggestion else "")


@checked
def well_formed(chor: Chor, criterion: str = "sync", buffer: str = "pair") -> tuple[Violation, ...]:
    """The conditions that a choreography violates, none if it is well-formed.

    >>> from klorpy.behaviour.notation import parse_choreography
    >>> for violation in well_formed(parse_choreography("(seq (com r s a) (com t u b))")):
    ...     print(violation)
    sequence: nothing orders a: r→s and b: t→u (let s tell t in between)
    """
    checker = checker_for(plain(chor), criterion, buffer)
    checker.check()
    return tuple(dict.fromkeys(checker.found))


def checker_for(chor: Chor, criterion: str, buffer: str) -> Checker:
    """The checker for a criterion and buffers. Raises KlorError `bad-argument`."""
    one_of(criterion, ("sync", "sender", "receiver", "sr"), "criterion")
    one_of(buffer, BUFFERS, "buffer")
    if criterion == "receiver" and buffer == "mailbox":
        # A mailbox puts messages of several senders in an order that the receiver does not choose.
        criterion = "sr"
    return Checker(chor, criterion, buffer)


class Checker:
    """The walk over one choreography. `found` are the violations so far."""

    def __init__(self, chor: Chor, criterion: str, buffer: str) -> None:
        self.chor = chor
        self.criterion = criterion
        self.sync = criterion == "sync"
        self.buffer = "pair" if self.sync else buffer
        self.found: list[Violation] = []
        self.terms = Terms(Labels())

    def check(self, after: Continuation = None) -> None:
        self.walk(self.chor, after)
        self.causality()
        if not self.sync and self.buffer == "bag":
            self.bag()

    def report(self, code: str, message: str, causes: Iterable[Com] = (), suggestion: str = "") -> None:
        if len(self.found) == MOST:
            raise KlorError(f"the choreography violates conditions at more than {MOST:,} places", slug="too-large",
                            help="look at a part of it, mend that first, and go on")  # fmt: skip
        self.found.append(Violation(code, message, tuple(causes), suggestion))

    # --- The walk ---

    def walk(self, chor: Chor, after: Continuation) -> None:
        match chor:
            case Seq(items):
                self.sequence(items)
                for item in reversed(items):
                    self.walk(item, after)
                    after = (item, after)
            case Alt(items):
                branches, following = Branches(items, self.terms), Part(seq(*terms_of(after)))
                for at, item in enumerate(items):
                    if at + 1 < len(items):
                        self.choice(branches, at, following)
                    self.walk(item, after)
            case Par(items):
                self.parallel(items)
                for item in items:
                    self.walk(item, after)
            case Star(body):
                self.loop(chor, body, after)
                self.walk(body, (chor, after))
            case Scope(_, _, body):
                self.walk(body, after)
            case One() | Zero() | Com() | Send() | Recv() | Tau():
                return
            case _:
                assert_never(chor)

    def sequence(self, items: tuple[Chor, ...]) -> None:
        """Connectedness: whatever ends a part is known to whoever begins the rest."""
        heads: list[dict[Com, None]] = [{}]
        for item in reversed(items[1:]):
            heads.append({**first_of(item), **(heads[-1] if nullable(item) else {})})
        for item, head in zip(items, reversed(heads), strict=True):
            for e in last_of(item):
                for f in head:
                    if not connected(self.criterion, e, f):
                        self.report(
                            "sequence", f"nothing orders {interaction(e)} and {interaction(f)}", (e, f),
                            self.link(e, f),
                        )  # fmt: skip

    def link(self, e: Com, f: Com) -> str:
        """How to connect two interactions."""
        if self.criterion == "receiver":
            return f"let {e.receiver} tell {f.receiver if e.receiver == f.sender else f.sender} in between"
        if self.criterion == "sr" and e.sender == f.sender:
            return f"let {e.receiver} answer {f.sender} in between"
        return f"let {e.receiver} tell {f.sender} in between"

    def parallel(self, items: tuple[Chor, ...]) -> None:
        if self.criterion != "receiver" or self.buffer != "pair":
            return
        used: dict[tuple[str, str], Com] = {}
        for item in items:
            own = {com.roles: com for com in interactions(item)}
            for channel, com in own.items():
                if channel in used and not self.strong:
                    self.report(
                        "parallel-shared-channel",
                        f"{interaction(used[channel])} and {interaction(com)} are in parallel on one ordered channel",
                        (used[channel], com), "put them one after the other, or let another role send one of them",
                    )  # fmt: skip
            used.update(own)

    @cached_property
    def strong(self) -> bool:
        """Whether the conditions for `sr` hold, which need no more."""
        stronger = Checker(self.chor, "sr", "pair")
        stronger.check()
        return not stronger.found

    # --- Choices ---

    def choice(self, branches: Branches, at: int, following: Part) -> None:
        """A branch and the choice of those behind it."""
        first, heads = branches.first[at], branches.heads[at]
        senders = {com.sender for com in (*first, *heads)}
        chooser = next(iter(senders)) if len(senders) == 1 else None
        if len(senders) > 1:
            e, *rest = (*first, *heads)
            f = next(com for com in rest if com.sender != e.sender)
            self.report(
                "choice-sender", f"{e.sender} would choose by {interaction(e)}, and {f.sender} by {interaction(f)}", (e, f),
                "let one role begin every branch",
            )  # fmt: skip
        self.dead_ends(branches, at)
        roles = branches.roles_from(at)
        self.same_roles(branches, at, roles, chooser)
        if roles and branches.nullable_from(at):
            self.report(
                "choice-empty-branch", "one branch of a choice can be done without any interaction", (*first, *heads)[:1],
                "let the chooser announce that branch by an interaction of its own",
            )  # fmt: skip
        for role in roles:
            if role != chooser:
                self.branches(role, branches, at, following, chooser)

    def same_roles(self, branches: Branches, at: int, roles: list[str], chooser: str | None) -> None:
        mine = branches.roles[at]
        for role in (*mine, *(role for role in roles if role not in mine)):
            there = branches.takes_part_behind(role, at)
            if there is not None and role in mine:
                continue
            com = there or next(com for com in branches.parts[at].coms if role in com.roles)
            other = branches.heads[at] if there is None else branches.first[at]
            self.report(
                "choice-roles", f"{role} takes part in {interaction(com)}, and not in the other branch", (*other[:1], com),
                f"let {chooser or 'the chooser'} tell {role} in the other branch, too",
            )  # fmt: skip

    def branches(self, role: str, branches: Branches, at: int, following: Part, chooser: str | None) -> None:
        """What a role other than the chooser has to know of a choice."""
        one = branches.firsts(at, role)
        if not branches.alike(at, role):
            for label, com in one.items():
                other = branches.first_behind(at, role, label)
                if other is not None:
                    self.report(
                        "choice-ambiguous", f"{role} begins both branches with {interaction(com)}", (com, other),
                        "use different operations",
                    )  # fmt: skip
            self.names(branches.parts[at], following, starts_behind(branches, at, role), role)
            self.names(branches.behind(at), following, starts_of(one), role)
        own = outputs_of(one)
        outputs = chain(own, branches.outputs_behind(at, role))
        if self.criterion in ("receiver", "sr"):
            output = next(outputs, None)
            if output is not None:
                others = [com for com in (*branches.first[at], *branches.heads[at]) if com.sender != role]
                self.report(
                    "choice-unaware", f"{role} may do {interaction(output)} before it learns of the choice",
                    (output, *others[:1]), f"let {chooser or 'the chooser'} tell {role} first, in each branch",
                )  # fmt: skip
        if self.sync:
            # What is behind the first branch is looked at with that one, once for all.
            for com in dict.fromkeys(own if at else outputs):
                self.reused(role, com)

    def reused(self, role: str, com: Com) -> None:
        """What a role may offer before it knows the branch is used at one place only."""
        uses = self.uses[com.receiver, com.operation]
        if len(uses) != 1:
            other = next((use for use in uses if use != com), com)
            self.report(
                "unaware-name-reuse",
                f"{role} may offer {interaction(com)} in any branch, and {com.operation} at {com.receiver} has another use",
                (com, other), "use another operation",
            )  # fmt: skip

    @cached_property
    def uses(self) -> dict[tuple[str, str], list[Com]]:
        """The interactions by their receivers and operations."""
        found: dict[tuple[str, str], list[Com]] = {}
        for com in interactions(self.chor):
            found.setdefault((com.receiver, com.operation), []).append(com)
        return found

    def dead_ends(self, branches: Branches, at: int) -> None:
        """The branch and what is behind it, looked at for dead ends."""
        self.dead_end(branches.items[at])
        if self.criterion in ("receiver", "sr") and branches.dead_end_behind(at):
            self.report_dead_end(next(iter(branches.heads[at]), None) or branches.behind(at).some()[0])

    def dead_end(self, *parts: Chor) -> None:
        """No part of a choice or a loop ends in 0: whoever sees receives only would not see that it was chosen."""
        if self.criterion in ("receiver", "sr"):
            for part in parts:
                if interactions(part) and has_dead_end(part):
                    self.report_dead_end(next(iter(first_of(part)), interactions(part)[0]))

    def report_dead_end(self, com: Com) -> None:
        self.report(
            "dead-end", f"the branch that begins with {interaction(com)} can end in 0, and others need not", (com,),
            "let every branch be able to succeed",
        )  # fmt: skip

    # --- Loops ---

    def loop(self, star: Star, body: Chor, after: Continuation) -> None:
        self.dead_end(body)
        begin, leave, end = first_of(body), first_after(after), last_of(body)
        senders = list(dict.fromkeys(com.sender for com in begin))
        chooser = senders[0] if len(senders) == 1 else None
        if len(senders) > 1:
            e, f = next(iter(begin)), next(com for com in begin if com.sender != senders[0])
            self.report(
                "loop-sender", f"{e.sender} would repeat by {interaction(e)}, and {f.sender} by {interaction(f)}", (e, f),
                "let one role begin every round",
            )  # fmt: skip
        for com in leave:
            if chooser is not None and com.sender != chooser:
                self.report(
                    "loop-exit-sender",
                    f"{chooser} repeats by {interaction(next(iter(begin)))}, and {com.sender} leaves by {interaction(com)}",
                    (next(iter(begin)), com), f"let {chooser} begin what follows the loop",
                )  # fmt: skip
        if nullable(body):
            self.report(
                "loop-empty-body", "a round of the loop can be done without any interaction", tuple(begin)[:1],
                "begin the body with an interaction",
            )  # fmt: skip
        if chooser is not None:
            receivers = {com.receiver for com in begin}
            head = next(iter(receivers)) if len(receivers) == 1 else None
            for e in end:
                for f in {**begin, **leave}:
                    if f.sender == chooser and not rounds_connected(self.criterion, e, chooser, f.receiver, head):
                        self.report(
                            "loop-sequence", f"nothing orders the end of a round, {interaction(e)}, and {interaction(f)}",
                            (e, f), f"let {e.receiver} tell {chooser} at the end of the round",
                        )  # fmt: skip
        for role in roles_of(body):
            if role != chooser:
                self.rounds(role, star, body, after)

    def rounds(self, role: str, star: Star, body: Chor, after: Continuation) -> None:
        """What a role other than the one that repeats has to know of a loop."""
        one, two = firsts(body, role), firsts_after(after, role)
        for label in one.keys() & two.keys():
            self.report(
                "loop-ambiguous", f"{role} begins another round and what follows the loop with {interaction(one[label])}",
                (one[label], two[label]), "use different operations",
            )  # fmt: skip
        for label, com in (*one.items(), *two.items()):
            if label[0] == "!":
                other = next((first for first in first_of(body) if first != com), com)
                self.report(
                    "loop-unaware", f"{role} may do {interaction(com)} before it learns whether the loop goes on",
                    (other, com), f"let {other.sender} tell {role} first",
                )  # fmt: skip
        rest, again = Part(seq(*terms_of(after))), Part(seq(star, *terms_of(after)))
        self.names(Part(body), again, starts_of(two), role)
        self.names(rest, Part(ONE), starts_of(one), role)

    # --- Names ---

    def names(self, branch: Part, following: Part, starts: Starts, role: str) -> None:
        """While `branch` and what follows it run, `role` takes no message for one that another branch starts with."""
        if not branch.meets(starts, role) and not following.meets(starts, role):
            return
        try:
            begins, ends = branch.runs(1), following.runs(2)
        except TooManyRuns:
            self.too_big(branch)
            return
        for begin in begins:
            for end in ends:
                run = Steps((begin, end))
                if not any(com.receiver == role and com.operation in starts for com in occurrences(run)):
                    continue
                order = order_of(run, sync=self.sync, marked=(), watched=role)
                for at, com in enumerate(order.coms):
                    if com.receiver != role or com.operation not in starts or at in order.first:
                        continue
                    if not any(ordered(order, f, at, sync=self.sync, buffer=self.buffer) for f in order.first):
                        self.report(
                            "name-confusion",
                            f"{role} may take {interaction(com)} for {interaction(starts[com.operation])} of another branch",
                            (starts[com.operation], com), "use different operations",
                        )  # fmt: skip
                        return

    def causality(self) -> None:
        """In every run, two messages of one name to one role come one after the other."""
        if all(len(coms) == 1 for coms in self.uses.values()) and not has_loop(self.chor):
            return
        try:
            found = [unordered(run, sync=self.sync, buffer=self.buffer) for run in runs(self.chor, 2)]
        except TooManyRuns:
            self.too_big(Part(self.chor))
            return
        for pair in dict.fromkeys(found):
            if pair is not None:
                e, f = pair
                self.report(
                    "causality", f"{f.receiver} cannot tell {interaction(e)} and {interaction(f)} apart", pair,
                    "use different operations, or let one wait for the other",
                )  # fmt: skip

    def too_big(self, part: Part) -> None:
        self.report(
            "too-big", "choices and loops have too many runs to look at all", part.some(),
            "give messages to a role different names, so that runs need no look; or ask for the exact verdict",
        )  # fmt: skip

    def bag(self) -> None:
        uses: dict[tuple[str, str], Com] = {}
        for com in interactions(self.chor):
            key = (com.receiver, com.operation)
            if key not in uses:
                uses[key] = com
            else:
                other = uses[key]
                self.report(
                    "bag-name-reuse", f"{interaction(other)} and {interaction(com)} have one name and no order", (other, com),
                    "use different operations",
                )  # fmt: skip
        for star in stars(self.chor):
            self.report(
                "bag-loop", "messages of one round can overtake those of another", tuple(interactions(star)[:2]),
                "use ordered buffers",
            )  # fmt: skip


# --- What conditions ask ----------------------------------------------------------------------------------------------


def connected(criterion: str, e: Com, f: Com) -> bool:
    """Whether e and f, one after the other, happen in this order for whoever observes by the criterion."""
    match criterion:
        case "sync":
            return bool({e.sender, e.receiver} & {f.sender, f.receiver})
        case "sender":
            return f.sender in e.roles
        case "receiver":
            return e.receiver in f.roles
        case _:
            return e.receiver == f.sender or e.roles == f.roles


def rounds_connected(criterion: str, e: Com, chooser: str, receiver: str, head: str | None) -> bool:
    """Whether the end e of a round comes before the chooser goes on, with a message to `receiver`.

    `head` is the receiver of a round's beginning. Stronger than `connected`: a role that takes no part at the head of
    the loop cannot order its exit.
    """
    match criterion:
        case "sync":
            return chooser in e.roles or (receiver == head and receiver in e.roles)
        case "sender":
            return chooser in e.roles
        case "receiver":
            return e.receiver == chooser or (e.receiver == receiver and (receiver == head or e.sender == chooser))
        case _:
            return e.receiver == chooser or (e.sender == chooser and e.receiver == receiver)
