"""The global calculus: choreographies of threads that open sessions on public channels.

    C ::= η* last
    η ::= (start a k (t p) …)          the threads begin a session k of the protocol of a; t plays p      Start
        | (com k (t p) e (u q) x)      t evaluates e and sends the value to u, who calls it x             Com
        | (sel k (t p) (u q) l)        t tells u that branch l is taken                                   Sel
    last ::= 0                                                                                            Nil
        | (if e t C1 C2)               t evaluates e and picks a branch                                   Cond
        | (rec X C) | (call X)         recursion                                                          Rec, Call
        | (new k C)                    k is private to C; only in the midst of a run                      New
    e ::= "text" | 1 | true | false | x | (f e …)

A choreography is a tuple of interactions and what comes last, so that long ones are flat. The first thread of a start is
its initiator. `text` is the notation that `klorpy.behaviour.calculusparser` reads.

Source: M. Carbone, F. Montesi, "Merging multiparty protocols in multiparty choreographies" (2012), section 2; M. Carbone,
K. Honda, N. Yoshida, "Structured communication-centred programming for web services" (2012) for the calculus.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple, TypeAlias, assert_never

from klorpy.behaviour.globaltype import MAX_DEPTH, Label, Sort, word
from klorpy.core.diagnostics import Diagnostic, KlorError
from klorpy.core.spans import Source, Span
from klorpy.core.types import Role

Thread: TypeAlias = str


# --- Expressions ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Literal:
    """A value that is written out."""

    value: str | int | bool

    def __str__(self) -> str:
        if isinstance(self.value, bool):
            return "true" if self.value else "false"
        return quoted(self.value) if isinstance(self.value, str) else str(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Literal) and (type(self.value), self.value) == (type(other.value), other.value)

    def __hash__(self) -> int:
        return hash((type(self.value), self.value))


@dataclass(frozen=True, slots=True)
class Variable:
    """What the thread received under this name."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Apply:
    """A function of the host, applied."""

    function: str
    args: tuple[Expr, ...] = ()

    def __str__(self) -> str:
        return f"({' '.join((self.function, *map(str, self.args)))})"


Expr: TypeAlias = Literal | Variable | Apply


def quoted(text: str) -> str:
    """A string as the reader reads it."""
    return '"' + "".join(_ESCAPES.get(c, c) for c in text) + '"'


_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


# --- Choreographies ---------------------------------------------------------------------------------------------------


class Player(NamedTuple):
    """A thread in a role."""

    thread: Thread
    role: Role

    def __str__(self) -> str:
        return f"({self.thread} {self.role})"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an interaction of a merged session comes from: the channel and the session, and who played what there."""

    channel: str
    session: str
    sender: Role
    receiver: Role

    def __str__(self) -> str:
        return f"{self.channel}/{self.session}: {self.sender}->{self.receiver}"


@dataclass(frozen=True, slots=True)
class Start:
    """The players begin a session `session` of the protocol of `channel`."""

    channel: str
    session: str
    players: tuple[Player, ...]
    span: Span | None = field(default=None, kw_only=True, compare=False, repr=False)

    @property
    def threads(self) -> frozenset[Thread]:
        return frozenset(player.thread for player in self.players)


@dataclass(frozen=True, slots=True)
class Com:
    """`sender` evaluates `expr` and sends the value to `receiver`, who calls it `variable`."""

    session: str
    sender: Player
    expr: Expr
    receiver: Player
    variable: str
    #: The sort of the value, once it is known.
    sort: Sort | None = field(default=None, kw_only=True, compare=False)
    origin: Origin | None = field(default=None, kw_only=True, compare=False, repr=False)
    span: Span | None = field(default=None, kw_only=True, compare=False, repr=False)

    @property
    def threads(self) -> frozenset[Thread]:
        return frozenset((self.sender.thread, self.receiver.thread))


@dataclass(frozen=True, slots=True)
class Sel:
    """`sender` tells `receiver` that the branch `label` is taken."""

    session: str
    sender: Player
    receiver: Player
    label: Label
    origin: Origin | None = field(default=None, kw_only=True, compare=False, repr=False)
    span: Span | None = field(default=None, kw_only=True, compare=False, repr=False)

    @property
    def threads(self) -> frozenset[Thread]:
        return frozenset((self.sender.thread, self.receiver.thread))


Interaction: TypeAlias = Start | Com | Sel


@dataclass(frozen=True, slots=True)
class Nil:
    """Nothing more."""


@dataclass(frozen=True, slots=True)
class Cond:
    """`thread` evaluates `expr` and picks a branch."""

    expr: Expr
    thread: Thread
    then: Chor
    otherwise: Chor
    span: Span | None = field(default=None, kw_only=True, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Rec:
    """`body`, in which a call of `variable` stands for all of this again."""

    variable: str
    body: Chor
    span: Span | None = field(default=None, kw_only=True, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Call:
    """Back to the binder of `variable`."""

    variable: str
    span: Span | None = field(default=None, kw_only=True, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class New:
    """`session` is private to `body`."""

    session: str
    body: Chor
    span: Span | None = field(default=None, kw_only=True, compare=False, repr=False)


Last: TypeAlias = Nil | Cond | Rec | Call | New

NIL: Final = Nil()


@dataclass(frozen=True, slots=True)
class Chor:
    """Interactions, one after the other, and what comes last.

    >>> print(Chor((Sel("k", Player("t", "A"), Player("u", "B"), "stop"),)))
    (sel k (t A) (u B) stop)
    """

    steps: tuple[Interaction, ...] = ()
    last: Last = NIL
    source: Source | None = field(default=None, kw_only=True, compare=False, repr=False)

    @property
    def text(self) -> str:
        """The choreography on one line."""
        return " ".join([*map(text_of, self.steps), *_last_text(self.last)]) or "0"

    def __str__(self) -> str:
        return pretty(self)


# --- Parts ------------------------------------------------------------------------------------------------------------


def bodies(chor: Chor) -> Iterator[Chor]:
    """The choreography and all choreographies in it, outer ones first."""
    todo = [chor]
    while todo:
        body = todo.pop()
        yield body
        match body.last:
            case Cond(_, _, then, otherwise):
                todo += [otherwise, then]
            case Rec(_, inner) | New(_, inner):
                todo.append(inner)


def interactions(chor: Chor) -> Iterator[Interaction]:
    """All interactions, in the order of the text."""
    for body in bodies(chor):
        yield from body.steps


def threads_of(chor: Chor) -> tuple[Thread, ...]:
    """The threads that take part, in the order of the text."""
    found: dict[Thread, None] = {}
    for body in bodies(chor):
        for step in body.steps:
            if isinstance(step, Start):
                found |= dict.fromkeys(player.thread for player in step.players)
            else:
                found |= {step.sender.thread: None, step.receiver.thread: None}
        if isinstance(body.last, Cond):
            found[body.last.thread] = None
    return tuple(found)


def free_sessions(chor: Chor) -> frozenset[str]:
    """The sessions that are used without a start or `new` around them."""
    free: frozenset[str] = frozenset()
    match chor.last:
        case Cond(_, _, then, otherwise):
            free = free_sessions(then) | free_sessions(otherwise)
        case Rec(_, body):
            free = free_sessions(body)
        case New(session, body):
            free = free_sessions(body) - {session}
    for step in reversed(chor.steps):
        free = free - {step.session} if isinstance(step, Start) else free | {step.session}
    return free


def substitute(chor: Chor, variable: str, by: Rec) -> Chor:
    """`chor` with `by` in the place of the calls of `variable`."""
    match chor.last:
        case Call(name) if name == variable:
            return replace(chor, last=by)
        case Cond(_, _, then, otherwise):
            last: Last = replace(
                chor.last, then=substitute(then, variable, by), otherwise=substitute(otherwise, variable, by)
            )
            return replace(chor, last=last)
        case Rec(name, body) if name != variable:
            return replace(chor, last=replace(chor.last, body=substitute(body, variable, by)))
        case New(_, body):
            return replace(chor, last=replace(chor.last, body=substitute(body, variable, by)))
    return chor


def unfold(rec: Rec) -> Chor:
    """The body of a recursion, with the recursion in the place of its calls.

    >>> print(unfold(Rec("X", Chor((Sel("k", Player("t", "A"), Player("u", "B"), "more"),), Call("X")))))
    (sel k (t A) (u B) more)
    (rec X
      (sel k (t A) (u B) more)
      (call X))
    """
    return substitute(rec.body, rec.variable, rec)


def before(steps: tuple[Interaction, ...], chor: Chor) -> Chor:
    """`steps`, then `chor`."""
    return replace(chor, steps=(*steps, *chor.steps)) if steps else chor


def map_steps(chor: Chor, change: Callable[[Interaction], tuple[Interaction, ...]]) -> Chor:
    """The choreography with other interactions in the place of each; `new` is left out."""
    steps = tuple(new for step in chor.steps for new in change(step))
    match chor.last:
        case Cond(_, _, then, otherwise) as cond:
            last: Last = replace(cond, then=map_steps(then, change), otherwise=map_steps(otherwise, change))
        case Rec(_, body) as rec:
            last = replace(rec, body=map_steps(body, change))
        case New(_, body):
            return before(steps, map_steps(body, change))
        case other:
            last = other
    return replace(chor, steps=steps, last=last)


def distinct_sessions(chor: Chor) -> Chor:
    """The choreography with different names for the sessions of different starts.

    >>> from klorpy.behaviour import parse_gc
    >>> two = "(start a k (t A) (u B)) (sel k (t A) (u B) l) (start a k (t A) (u B)) (sel k (t A) (u B) r)"
    >>> print(distinct_sessions(parse_gc(two)))
    (start a k (t A) (u B))
    (sel k (t A) (u B) l)
    (start a k1 (t A) (u B))
    (sel k1 (t A) (u B) r)
    """
    taken = {step.session for step in interactions(chor) if not isinstance(step, Start)}
    return _Renaming(set(free_sessions(chor)), taken).body(chor, {})


@dataclass
class _Renaming:
    bound: set[str]
    taken: set[str]

    def fresh(self, name: str) -> str:
        new = name
        count = 0
        while new in self.bound or (count and new in self.taken):
            count += 1
            new = f"{name}{count}"
        self.bound.add(new)
        return new

    def body(self, chor: Chor, names: Mapping[str, str]) -> Chor:
        steps: list[Interaction] = []
        for step in chor.steps:
            if isinstance(step, Start):
                names = {**names, step.session: self.fresh(step.session)}
            steps.append(replace(step, session=names.get(step.session, step.session)))
        match chor.last:
            case Cond(_, _, then, otherwise) as cond:
                last: Last = replace(cond, then=self.body(then, names), otherwise=self.body(otherwise, names))
            case Rec(_, inner) as rec:
                last = replace(rec, body=self.body(inner, names))
            case New(session, inner) as new:
                name = self.fresh(session)
                last = replace(new, session=name, body=self.body(inner, {**names, session: name}))
            case other:
                last = other
        return replace(chor, steps=tuple(steps), last=last)


def require_depth(chor: Chor) -> None:
    """Raise KlorError `too-deep` when conditionals and recursions nest more than `MAX_DEPTH` deep."""
    todo = [(chor, 1)]
    while todo:
        body, depth = todo.pop()
        if depth > MAX_DEPTH + 1:
            span = None if isinstance(body.last, Nil) else body.last.span
            raise KlorError(Diagnostic("too-deep", f"conditionals and recursions are nested more than {MAX_DEPTH} deep",
                                       span, help="split the choreography", source=chor.source if span else None))  # fmt: skip
        match body.last:
            case Cond(_, _, then, otherwise):
                todo += [(then, depth + 1), (otherwise, depth + 1)]
            case Rec(_, inner) | New(_, inner):
                todo.append((inner, depth + 1))


# --- Text -------------------------------------------------------------------------------------------------------------


def text_of(step: Interaction) -> str:
    """An interaction as text.

    >>> text_of(Start("a", "k", (Player("u", "U"), Player("c", "C"))))
    '(start a k (u U) (c C))'
    """
    match step:
        case Start(channel, session, players):
            return f"(start {channel} {session} {' '.join(map(str, players))})"
        case Com(session, sender, expr, receiver, variable):
            return f"(com {session} {sender} {expr} {receiver} {variable})"
        case Sel(session, sender, receiver, label):
            return f"(sel {session} {sender} {receiver} {word(label)})"
        case _:
            assert_never(step)


def _last_text(last: Last) -> list[str]:
    match last:
        case Nil():
            return []
        case Cond(expr, thread, then, otherwise):
            return [f"(if {expr} {thread} {_branch_text(then)} {_branch_text(otherwise)})"]
        case Rec(variable, body):
            return [f"(rec {variable} {body.text})"]
        case Call(variable):
            return [f"(call {variable})"]
        case New(session, body):
            return [f"(new {session} {body.text})"]
        case _:
            assert_never(last)


def _branch_text(chor: Chor) -> str:
    """A branch: one form, or several in brackets."""
    several = len(chor.steps) + (not isinstance(chor.last, Nil)) > 1
    return f"({chor.text})" if several else chor.text


def pretty(chor: Chor, indent: int = 0) -> str:
    """The choreography with a line for each interaction."""
    return "\n".join(" " * indent + line for line in _lines(chor)) if indent else "\n".join(_lines(chor))


def _lines(chor: Chor) -> list[str]:
    lines = list(map(text_of, chor.steps))
    match chor.last:
        case Cond(expr, thread, then, otherwise):
            lines.append(f"(if {expr} {thread}")
            for branch, end in ((then, ""), (otherwise, ")")):
                several = len(branch.steps) + (not isinstance(branch.last, Nil)) > 1
                inner = _lines(branch)
                if several:
                    inner = ["(" + inner[0], *(" " + line for line in inner[1:])]
                    inner[-1] += ")"
                inner[-1] += end
                lines += ["    " + line for line in inner]
        case Rec(variable, body):
            lines += _around(f"(rec {variable}", _lines(body))
        case New(session, body):
            lines += _around(f"(new {session}", _lines(body))
        case Call(variable):
            lines.append(f"(call {variable})")
    return lines or ["0"]


def _around(head: str, lines: list[str]) -> list[str]:
    inner = ["  " + line for line in lines]
    inner[-1] += ")"
    return [head, *inner]
