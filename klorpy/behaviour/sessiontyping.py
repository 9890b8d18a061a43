"""Typing of the global calculus: every session follows its protocol.

    Γ ; Θ |- C ▷ Δ

    in     C, the protocols of the public channels, the sorts of the host's functions
    out    C with the sort of every communication, and what each session has done at most at once

Γ gives each public channel its protocol, and each variable of each thread its sort; Θ says which thread plays which
role of which session; Δ what is still to be done in each session. A communication has to be the next thing that its
session does, between the threads that play these roles. A session that is open when a branch, a round of a loop or the
choreography ends has to be at its end. A branch may use fewer labels than the protocol offers.

What remains of a session is a node of the minimal tree of its protocol, so that comparing is comparing numbers.

Source: M. Carbone, F. Montesi, "Merging multiparty protocols in multiparty choreographies" (2012), section 2.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from klorpy.behaviour.arguments import checked
from klorpy.behaviour.globalcalculus import (
    Apply,
    Call,
    Chor,
    Com,
    Cond,
    Expr,
    Interaction,
    Last,
    Literal,
    New,
    Nil,
    Player,
    Rec,
    Sel,
    Start,
    Thread,
    Variable,
    distinct_sessions,
    require_depth,
    text_of,
)
from klorpy.behaviour.globaltype import Content, Protocol, Sort
from klorpy.behaviour.regular import Communication, End, Tree
from klorpy.behaviour.wellformed import tree_of
from klorpy.core.diagnostics import Diagnostic, KlorError
from klorpy.core.spans import Source, Span
from klorpy.core.types import Role

#: What is not known of an expression: a function of the host that nobody gave a sort.
ANY: Final = None


@dataclass(frozen=True, slots=True)
class Session:
    """A session that is open: its protocol, where it is in it, and who plays what."""

    protocol: str
    tree: Tree = field(repr=False)
    node: int
    owners: Mapping[Role, Thread]

    @property
    def done(self) -> bool:
        return isinstance(self.tree.nodes[self.node], End)


@dataclass(frozen=True)
class Typing:
    """What typing finds out: the choreography with its sorts, and how many sessions are open at once at most."""

    chor: Chor
    open_sessions: int


#: Δ with Θ: the open sessions by name.
_Sessions: TypeAlias = Mapping[str, Session]
#: The part of Γ that grows: variables of threads.
_Variables: TypeAlias = Mapping[tuple[Thread, str], "Sort | None"]


@checked
def typecheck(
    chor: Chor,
    channels: Mapping[str, Protocol],
    *,
    functions: Mapping[str, Sort] | None = None,
    sessions: Mapping[str, Session] | None = None,
    variables: Mapping[tuple[Thread, str], Sort | None] | None = None,
    shared: bool = False,
) -> Typing:
    """Check that every session follows the protocol of its channel.

    `functions` gives functions of the host the sort of their results; others fit everywhere. `sessions` are
    those that are open already, `variables` what threads have received. With `shared`, one thread may play several roles of a session. Raises KlorError, which names the
    interaction and the reason.

    >>> from klorpy.behaviour import parse_gc, parse_protocol
    >>> login = parse_protocol("(defprotocol Login [U C] (-> U C str))")
    >>> typing = typecheck(parse_gc('(start a k (u U) (c C)) (com k (u U) "secret" (c C) x)'), {"a": login})
    >>> typing.chor.steps[1].sort
    'str'
    """
    require_depth(chor)
    chor = distinct_sessions(chor)
    checker = _Checker(channels, functions or {}, chor.source, shared)
    checked = checker.body(chor, dict(sessions or {}), dict(variables or {}), {})
    return Typing(checked, checker.most)


@dataclass
class _Checker:
    channels: Mapping[str, Protocol]
    functions: Mapping[str, Sort]
    source: Source | None
    shared: bool
    most: int = 0
    trees: dict[str, Tree] = field(default_factory=dict)

    def body(
        self, chor: Chor, sessions: dict[str, Session], variables: dict[tuple[Thread, str], Sort | None],
        recursions: Mapping[str, _Sessions],
    ) -> Chor:  # fmt: skip
        """Check one body; its sessions and variables are its own."""
        steps: list[Interaction] = []
        for step in chor.steps:
            match step:
                case Start():
                    sessions[step.session] = self.start(step, sessions)
                    steps.append(step)
                case Com():
                    sort, after = self.com(step, sessions, variables)
                    sessions[step.session] = after
                    variables[step.receiver.thread, step.variable] = sort
                    steps.append(replace(step, sort=sort))
                case Sel():
                    node, session = self.next(step, sessions)
                    for content, target in node.branches:
                        if content == Content(step.label):
                            sessions[step.session] = replace(session, node=target)
                            break
                    else:
                        raise self.mismatch(step, session, node)
                    steps.append(step)
            self.most = max(self.most, sum(not session.done for session in sessions.values()))
        return replace(chor, steps=tuple(steps), last=self.last(chor.last, sessions, variables, recursions))

    def last(
        self, last: Last, sessions: dict[str, Session], variables: dict[tuple[Thread, str], Sort | None],
        recursions: Mapping[str, _Sessions],
    ) -> Last:  # fmt: skip
        match last:
            case Nil():
                for name, session in sessions.items():
                    if not session.done:
                        raise self.unfinished(name, session, None)
                return last
            case Cond(expr, thread, then, otherwise):
                self.has_sort(expr, thread, "bool", variables, last.span)
                return replace(
                    last,
                    then=self.body(then, dict(sessions), dict(variables), recursions),
                    otherwise=self.body(otherwise, dict(sessions), dict(variables), recursions),
                )
            case Rec(variable, body):
                return replace(last, body=self.body(body, sessions, variables, {**recursions, variable: dict(sessions)}))
            case Call(variable):
                self.call(last, sessions, recursions.get(variable))
                return last
            case New(_, body):
                return replace(last, body=self.body(body, sessions, variables, recursions))

    def start(self, start: Start, sessions: _Sessions) -> Session:
        protocol = self.channels.get(start.channel)
        if protocol is None:
            known = " ".join(sorted(self.channels)) or "none"
            raise self.error("unknown-channel", f"there is no public channel {start.channel}", start.span,
                             f"give it a protocol; known here: {known}")  # fmt: skip
        roles = [player.role for player in start.players]
        threads = [player.thread for player in start.players]
        if sorted(roles) != sorted(protocol.roles):
            raise self.error("session-roles",
                             f"{protocol.name} has the roles {' '.join(protocol.roles)}, and {' '.join(roles)} start it",
                             start.span, "let each role be played once")  # fmt: skip
        if len(set(threads)) < len(threads) and not self.shared:
            twice = next(thread for i, thread in enumerate(threads) if thread in threads[:i])
            raise self.error("session-roles", f"{twice} plays two roles of {start.session}", start.span,
                             "let another thread play one of them")  # fmt: skip
        if start.channel not in self.trees:
            self.trees[start.channel] = tree_of(protocol)
        tree = self.trees[start.channel]
        return Session(protocol.name, tree, tree.root, {player.role: player.thread for player in start.players})

    def next(self, step: Com | Sel, sessions: _Sessions) -> tuple[Communication, Session]:
        """What the session of `step` does next, which is between these two."""
        if step.sender.thread == step.receiver.thread:
            raise self.error("self-message", f"{step.sender.thread} sends a message to itself", step.span,
                             "a message goes to another thread")  # fmt: skip
        session = sessions.get(step.session)
        if session is None:
            raise self.error("no-such-session", f"no session {step.session} is open at {text_of(step)}", step.span,
                             "start it first")  # fmt: skip
        for player in (step.sender, step.receiver):
            owner = session.owners.get(player.role)
            if owner != player.thread:
                says = f"{owner} plays {player.role}" if owner else f"{session.protocol} has no role {player.role}"
                raise self.error("session-roles", f"{player.thread} acts as {player.role} in {step.session}, but {says}",
                                 step.span, "let the thread act in the role in which it started")  # fmt: skip
        node = session.tree.nodes[session.node]
        if isinstance(node, End):
            raise self.error("session-mismatch", f"{step.session} is at the end of {session.protocol}", step.span,
                             "start another session, or leave this out")  # fmt: skip
        if (node.sender, node.receiver) != (step.sender.role, step.receiver.role):
            raise self.mismatch(step, session, node)
        return node, session

    def com(self, com: Com, sessions: _Sessions, variables: _Variables) -> tuple[Sort, Session]:
        node, session = self.next(com, sessions)
        [(content, target), *others] = node.branches
        if others or content.label is not None or len(content.payload) != 1:
            raise self.mismatch(com, session, node)
        [sort] = content.payload
        self.has_sort(com.expr, com.sender.thread, sort, variables, com.span)
        return sort, replace(session, node=target)

    def call(self, call: Call, sessions: _Sessions, recorded: _Sessions | None) -> None:
        if recorded is None:
            raise self.error("unbound-recursion", f"nothing binds {call.variable}", call.span,
                             f"put it inside a (rec {call.variable} …)")  # fmt: skip
        for name, session in sessions.items():
            before = recorded.get(name)
            if before is None:
                if not session.done:
                    raise self.unfinished(name, session, call)
            elif before.node != session.node:
                raise self.error("session-open", f"{name} is not where it was when {call.variable} began", call.span,
                                 f"it was at {_says(before)}, and is at {_says(session)}; "
                                 "a round has to bring it back")  # fmt: skip

    # --- Expressions ---

    def has_sort(self, expr: Expr, thread: Thread, sort: Sort, variables: _Variables, span: Span | None) -> None:
        found = self.sort(expr, thread, variables, span)
        if found is not ANY and found != sort:
            raise self.error("sort-mismatch", f"{expr} is of sort {found} at {thread}, where {sort} is expected", span,
                             f"give an expression of sort {sort}")  # fmt: skip

    def sort(self, expr: Expr, thread: Thread, variables: _Variables, span: Span | None) -> Sort | None:
        match expr:
            case Literal():
                return sort_of(expr)
            case Variable(name):
                if (thread, name) not in variables:
                    raise self.error("unbound-variable", f"{thread} has no {name}", span,
                                     f"let {thread} receive it first, or call a function of the host: ({name})")  # fmt: skip
                return variables[thread, name]
            case Apply(function, args):
                for arg in args:
                    self.sort(arg, thread, variables, span)
                return self.functions.get(function, ANY)

    # --- Errors ---

    def mismatch(self, step: Com | Sel, session: Session, node: Communication) -> KlorError:
        wanted = " or ".join(str(content) for content, _ in node.branches)
        return self.error(
            "session-mismatch", f"{text_of(step)} is not what {session.protocol} does next in {step.session}", step.span,
            f"next is {node.sender}->{node.receiver}: {wanted}",
        )  # fmt: skip

    def unfinished(self, name: str, session: Session, call: Call | None) -> KlorError:
        when = f"{call.variable} starts again" if call else "the choreography ends"
        return self.error("session-open", f"{name} is still open when {when}: {_says(session)}",
                          call.span if call else None, f"go on with {name} to the end of {session.protocol}")  # fmt: skip

    def error(self, slug: str, message: str, span: Span | None, help: str) -> KlorError:
        return KlorError(Diagnostic(slug, message, span, help=help, source=self.source if span else None))


def sort_of(expr: Expr) -> Sort | None:
    """The sort of a literal; None for what only a context knows."""
    match expr:
        case Literal(bool()):
            return "bool"
        case Literal(int()):
            return "int"
        case Literal(str()):
            return "str"
    return ANY


def _says(session: Session) -> str:
    node = session.tree.nodes[session.node]
    if isinstance(node, End):
        return "the end"
    contents = " or ".join(str(content) for content, _ in node.branches)
    return f"{node.sender}->{node.receiver}: {contents} is to come"


def players_of(session: Session) -> tuple[Player, ...]:
    """Who plays what in an open session.

    >>> players_of(Session("P", Tree((End(),)), 0, {"A": "t"}))
    (Player(thread='t', role='A'),)
    """
    return tuple(Player(thread, role) for role, thread in session.owners.items())
