"""The auditor: whether what the roles of a session say is what their choreography has them say.

    automata, messages in an order in which causes come first  ->  the first deviation, with what was expected

Of a message the auditor sees the sender, the receiver and the site. It follows each role by its own automaton. What a
role hears it hears when it likes, after it was said: so a message waits, in order, until an automaton takes it on the
way to the next thing that its role says. An automaton is nondeterministic and has a stack, so all its runs are followed
at once, with the stacks shared: Tomita, Efficient Parsing for Natural Language (1986); E. Scott and A. Johnstone, GLL
Parsing (2010).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from klorpy.conversations.actions import Message
from klorpy.core.automaton import Automaton, Call, End, Fork, Hear, Say
from klorpy.core.choreography import Choreography, Site
from klorpy.core.diagnostics import Diagnostic, KlorError
from klorpy.core.types import Role
from klorpy.language.automata import automata

#: Messages that a role has heard after which the auditor looks which of them it need not keep.
_MANY: Final = 1000


@dataclass(frozen=True, slots=True)
class Deviation:
    """The first thing that a role did which its choreography does not have it do, and what it could have done."""

    role: Role
    did: str
    expected: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.role} {self.did}; expected: {', or '.join(self.expected) or 'nothing more'}"

    def error(self, title: str) -> KlorError:
        """The deviation as an error about what `title` names."""
        return KlorError(
            Diagnostic(
                "protocol-mismatch", f"{title}: {self.role} {self.did}",
                notes=(f"expected: {', or '.join(self.expected) or 'nothing more'}",),
                help=f"does {self.role} play the text of the choreography that is audited?",
            )
        )  # fmt: skip


class Auditor:
    """Audits one session of `chor`; `roles` are those that are followed, all unless told otherwise.

    Who sees only what one role says and hears follows that role. `made` are the automata, for those who audit many
    sessions of one choreography.

    >>> from klorpy import evaluate
    >>> ns = evaluate("(defchor ask [A B] (-> A A) [x] (B->A (B (* 2 (A->B x)))))")
    >>> question, answer = ns.ask.defined().sites
    >>> auditor = Auditor(ns.ask)
    >>> auditor.said("A", "B", question), auditor.said("B", "A", answer), auditor.left("A")
    (None, None, None)
    >>> print(auditor.said("B", "A", answer))
    B says (B->A (B (* 2 (A->B x)))) to A; expected: to leave
    """

    def __init__(
        self, chor: Choreography, roles: Iterable[Role] | None = None, made: Mapping[Role, Automaton] | None = None
    ) -> None:
        made = made or automata(chor)
        self.chor = chor
        self.deviation: Deviation | None = None
        self.messages = 0
        followed = tuple(made if roles is None else roles)
        self._runs = {role: _Runs(made[role]) for role in followed}

    def said(self, source: Role, target: Role, site: Site | None) -> Deviation | None:
        """A message; what was wrong with it, if it is the first that is wrong. What comes after that is not looked at."""
        if self.deviation is not None:
            return None
        self.messages += 1
        runs = self._runs.get(source)
        if runs is not None and not runs.say(target, site):
            text = site.text if site is not None else "something unknown"
            self.deviation = Deviation(source, f"says {text} to {target}", runs.expected())
            return self.deviation
        if target in self._runs:
            self._runs[target].hear(source, site)
        return None

    def left(self, role: Role) -> Deviation | None:
        """A role has left in good order; what it should have done before, if anything."""
        runs = self._runs.get(role)
        if self.deviation is not None or runs is None or runs.ended():
            return None
        self.deviation = Deviation(role, "left", runs.expected())
        return self.deviation

    async def follow(self, trace: AsyncIterator[Any]) -> Deviation:
        """Read the messages of a session, as `World.observe` gives them, up to the first deviation."""
        async for event in trace:
            if isinstance(event, Message) and (found := self.hear(event)) is not None:
                return found
        raise AssertionError("an observation does not end by itself")

    def hear(self, event: Message) -> Deviation | None:
        """A message as observers of a world see it."""
        _, _, _, source, target, _, payload = event.body
        return self.said(source, target, payload.value[0])


@dataclass(eq=False, slots=True)
class _Node:
    """A place in the shared stacks: where to go on after a call, and the places below."""

    after: int
    below: dict[_Node | None, None] = field(default_factory=dict)
    #: How many messages had been heard from each role when something that was called here ended.
    popped: dict[tuple[int, ...], None] = field(default_factory=dict)


#: A run: its state, the top of its stack, and how many messages it has heard from each role.
_Run = tuple[int, "_Node | None", tuple[int, ...]]


class _Runs:
    """All runs of a role that fit what it has said and could have heard."""

    def __init__(self, automaton: Automaton) -> None:
        self._states = automaton.states
        self._sources: dict[Role, int] = {}
        for state in automaton.states:
            if isinstance(state, Hear):
                self._sources.setdefault(state.source, len(self._sources))
        self._heard: list[list[Site | None]] = [[] for _ in self._sources]
        #: Messages since the runs were looked at.
        self._new = 0
        self._now: list[_Run] = [(automaton.start, None, (0,) * len(self._sources))]

    def hear(self, source: Role, site: Site | None) -> None:
        """Something was said to the role."""
        if source in self._sources:
            self._heard[self._sources[source]].append(site)
            self._new += 1
            if self._new >= _MANY:
                self._settle(run for run in self._reached() if self._waits(run))

    def say(self, target: Role, site: Site | None) -> bool:
        """The role says something: whether it may."""
        found: list[_Run] = []
        for number, top, counts in self._reached():
            state = self._states[number]
            if isinstance(state, Say) and state.target == target and state.site is site:
                found.append((state.after, top, counts))
        if found:
            self._settle(found)
        return bool(found)

    def ended(self) -> bool:
        """Whether the role may have come to its end: then it has heard all that was said to it."""
        return any(isinstance(self._states[run[0]], End) and self._waits(run) for run in self._reached())

    def expected(self) -> tuple[str, ...]:
        """What the role could do now."""
        found: dict[str, None] = {}
        for number, top, counts in self._reached():
            match self._states[number]:
                case Say(site, target, _):
                    found[f"{site.text} to {target}"] = None
                case Hear(site, source, _) if self._next(source, counts) is not site:
                    found[f"to hear {site.text} from {source}"] = None
                case End() if self._waits((number, top, counts)):
                    found["to leave"] = None
        return tuple(found)

    def _waits(self, run: _Run) -> bool:
        """Whether a run can only go on by what its role says, or by what is said to it later."""
        number, top, counts = run
        match self._states[number]:
            case Say():
                return True
            case Hear(_, source, _):
                return self._next(source, counts) is None
            case End():
                return top is None and list(counts) == [len(heard) for heard in self._heard]
            case _:
                return False

    def _settle(self, runs: Iterable[_Run]) -> None:
        """Go on with these runs, and drop the messages that all of them have heard."""
        self._now = list(runs)
        self._new = 0
        counted = [counts for _, _, counts in self._now]
        least = tuple(map(min, zip(*counted, strict=True)))
        if any(count >= _MANY for count in least):
            for heard, count in zip(self._heard, least, strict=True):
                del heard[:count]
            self._now = [
                (number, top, tuple(a - b for a, b in zip(counts, least, strict=True)))
                for number, top, counts in self._now
            ]

    def _next(self, source: Role, counts: tuple[int, ...]) -> Site | None:
        """The next message from a role that a run has not heard; None when there is none."""
        place = self._sources[source]
        heard = self._heard[place]
        return heard[counts[place]] if counts[place] < len(heard) else None

    def _reached(self) -> Iterable[_Run]:
        """All runs that can be reached without a word from the role."""
        todo = list(self._now)
        seen = dict.fromkeys(todo)
        nodes: dict[tuple[int, tuple[int, ...]], _Node] = {}

        def add(run: _Run) -> None:
            if run not in seen:
                seen[run] = None
                todo.append(run)

        while todo:
            number, top, counts = todo.pop()
            match self._states[number]:
                case Fork(after):
                    for each in after:
                        add((each, top, counts))
                case Hear(site, source, after):
                    if self._next(source, counts) is site:
                        place = self._sources[source]
                        add((after, top, (*counts[:place], counts[place] + 1, *counts[place + 1 :])))
                case Call(entries, None):
                    for entry in entries:
                        add((entry, top, counts))
                case Call(entries, int(after)):
                    # One place for all calls that go on alike: a call before anything is said or heard may call itself.
                    node = nodes.setdefault((after, counts), _Node(after))
                    if top not in node.below:
                        node.below[top] = None
                        for then in node.popped:
                            add((after, top, then))
                    for entry in entries:
                        add((entry, node, counts))
                case End() if top is not None:
                    top.popped[counts] = None
                    for below in top.below:
                        add((top.after, below, counts))
                case _:
                    pass
        return seen
