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
from typing import Final, assert_never

from klorpy.behaviour.canonical import project_role
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


@dataclass(frozen=True, slots=True)
class Violation:
    """A condition that does not hold: its code, the interactions that cause it, and how to mend it."""

    code: str
    message: str
    causes: tuple[Com, ...] = ()
    suggestion: str = ""

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" + (f" ({self.suggestion})" if self.suggestion else "")


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
        self._normal: dict[tuple[int, str], int] = {}
        self._kept: list[Chor] = []

    def check(self, after: Continuation = None) -> None:
        self.walk(self.chor, after)
        self.causality()
        if not self.sync and self.buffer == "bag":
            self.bag()

    def report(self, code: str, message: str, causes: Iterable[Com] = (), suggestion: str = "") -> None:
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
                for at, item in enumerate(items):
                    if at + 1 < len(items):
                        self.choice(item, items[at + 1] if at + 2 == len(items) else Alt(items[at + 1 :]), after)
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
                if channel in used and not self.strong():
                    self.report(
                        "parallel-shared-channel",
                        f"{interaction(used[channel])} and {interaction(com)} are in parallel on one ordered channel",
                        (used[channel], com), "put them one after the other, or let another role send one of them",
                    )  # fmt: skip
            used.update(own)

    def strong(self) -> bool:
        """Whether the conditions for `sr` hold, which need no more."""
        stronger = Checker(self.chor, "sr", "pair")
        stronger.check()
        return not stronger.found

    # --- Choices ---

    def choice(self, left: Chor, right: Chor, after: Continuation) -> None:
        first = {**first_of(left), **first_of(right)}
        senders = list(dict.fromkeys(com.sender for com in first))
        chooser = senders[0] if len(senders) == 1 else None
        if len(senders) > 1:
            e, f = next(com for com in first), next(com for com in first if com.sender != senders[0])
            self.report(
                "choice-sender", f"{e.sender} would choose by {interaction(e)}, and {f.sender} by {interaction(f)}", (e, f),
                "let one role begin every branch",
            )  # fmt: skip
        self.dead_end(left, right)
        roles = roles_of(Alt((left, right)))
        self.same_roles(left, right, chooser)
        if roles and (nullable(left) or nullable(right)):
            self.report(
                "choice-empty-branch", "one branch of a choice can be done without any interaction", tuple(first)[:1],
                "let the chooser announce that branch by an interaction of its own",
            )  # fmt: skip
        for role in roles:
            if role != chooser:
                self.branches(role, left, right, after, chooser)

    def same_roles(self, left: Chor, right: Chor, chooser: str | None) -> None:
        mine, other = roles_of(left), roles_of(right)
        for these, those, where in ((mine, other, left), (other, mine, right)):
            for role in these:
                if role not in those:
                    com = next(com for com in interactions(where) if role in com.roles)
                    e = next(iter(first_of(right if where is left else left)), None)
                    self.report(
                        "choice-roles", f"{role} takes part in {interaction(com)}, and not in the other branch",
                        (com,) if e is None else (e, com), f"let {chooser or 'the chooser'} tell {role} in the other branch, too",
                    )  # fmt: skip

    def branches(self, role: str, left: Chor, right: Chor, after: Continuation, chooser: str | None) -> None:
        """What a role other than the chooser has to know of a choice."""
        one, two = firsts(left, role), firsts(right, role)
        if self.normal(left, role) != self.normal(right, role):
            for label in one.keys() & two.keys():
                self.report(
                    "choice-ambiguous", f"{role} begins both branches with {interaction(one[label])}",
                    (one[label], two[label]), "use different operations",
                )  # fmt: skip
            self.names(left, after, right, role)
            self.names(right, after, left, role)
        outputs = [*(com for label, com in one.items() if label[0] == "!"), *(com for label, com in two.items() if label[0] == "!")]
        if outputs and self.criterion in ("receiver", "sr"):
            causes = outputs[:1] + [com for com in {**first_of(left), **first_of(right)} if com not in outputs][:1]
            self.report(
                "choice-unaware", f"{role} may do {interaction(outputs[0])} before it learns of the choice", causes,
                f"let {chooser or 'the chooser'} tell {role} first, in each branch",
            )  # fmt: skip
        if self.sync:
            for com in dict.fromkeys(outputs):
                uses = [other for other in interactions(self.chor) if (other.operation, other.receiver) == (com.operation, com.receiver)]
                if len(uses) != 1:
                    other = next((use for use in uses if use != com), com)
                    self.report(
                        "unaware-name-reuse",
                        f"{role} may offer {interaction(com)} in any branch, and {com.operation} at {com.receiver} has another use",
                        (com, other), "use another operation",
                    )  # fmt: skip

    def normal(self, chor: Chor, role: str) -> int:
        """The number of a projection in normal form."""
        key = (id(chor), role)
        if key not in self._normal:
            self._kept.append(chor)  # so that nothing else gets its id
            self._normal[key] = self.terms.number(project_role(chor, role))
        return self._normal[key]

    def dead_end(self, *parts: Chor) -> None:
        """No part of a choice or a loop ends in 0: whoever sees receives only would not see that it was chosen."""
        if self.criterion in ("receiver", "sr"):
            for part in parts:
                if interactions(part) and has_dead_end(part):
                    com = next(iter(first_of(part)), interactions(part)[0])
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
        rest = seq(*terms_of(after))
        self.names(body, (star, after), rest, role)
        self.names(rest, None, body, role)

    # --- Names ---

    def names(self, branch: Chor, after: Continuation, other: Chor, role: str) -> None:
        """While `branch` and what follows it run, `role` takes no message for the beginning of `other`."""
        starts = {label[1]: com for label, com in firsts(other, role).items() if label[0] == "?"}
        following = seq(*terms_of(after))
        wanted = {(role, operation) for operation in starts}
        if not any((com.receiver, com.operation) in wanted for com in (*interactions(branch), *interactions(following))):
            return
        try:
            begins, ends = runs(branch, 1), runs(following, 2)
        except TooManyRuns:
            self.too_big(branch)
            return
        for begin in begins:
            for end in ends:
                run = Steps((begin, end))
                if not any((com.receiver, com.operation) in wanted for com in occurrences(run)):
                    continue
                order = order_of(run, sync=self.sync, marked=(), watched=role)
                for at, com in enumerate(order.coms):
                    if (com.receiver, com.operation) not in wanted or at in order.first:
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
        uses: dict[tuple[str, str], int] = {}
        for com in interactions(self.chor):
            uses[com.receiver, com.operation] = uses.get((com.receiver, com.operation), 0) + 1
        if all(count == 1 for count in uses.values()) and not has_loop(self.chor):
            return
        try:
            found = [unordered(run, sync=self.sync, buffer=self.buffer) for run in runs(self.chor, 2)]
        except TooManyRuns:
            self.too_big(self.chor)
            return
        for pair in dict.fromkeys(found):
            if pair is not None:
                e, f = pair
                self.report(
                    "causality", f"{f.receiver} cannot tell {interaction(e)} and {interaction(f)} apart", pair,
                    "use different operations, or let one wait for the other",
                )  # fmt: skip

    def too_big(self, chor: Chor) -> None:
        self.report(
            "too-big", "choices and loops have too many runs to look at all", tuple(interactions(chor)[:2]),
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
