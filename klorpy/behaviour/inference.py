"""Inference of global types: what the sessions of a choreography really do.

    extract(C, m) = G         the type of session m, which is open when C begins
    infer(C) = {a: G, …}      for each public channel what its sessions do

A point is a place of C at which it can be; interactions of other sessions and starts are passed by, a conditional is both
its branches. A node of G is a set of points that have to be of one type: all at the end, or all the same communication, or
all selections between the same two. Otherwise branches of a conditional differ before anybody is told, which is refused
as `unannounced-choice`. G is minimal: it has the labels that are used, and no others.

What happens in the scope of a start ends with the scope, at 0 or when a loop around it starts its next round.

Source: M. Carbone, F. Montesi, "Deadlock-freedom-by-design" (2013), section 4, on the idea; the construction is that of
subsets, as for automata.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from klorpy.behaviour.arguments import checked
from klorpy.behaviour.globalcalculus import (
    Call,
    Chor,
    Com,
    Cond,
    New,
    Nil,
    Rec,
    Sel,
    Start,
    require_depth,
    text_of,
)
from klorpy.behaviour.globaltype import Content, GlobalType
from klorpy.behaviour.regular import Communication, End, Node, Tree, require_size, type_of
from klorpy.behaviour.sessiontyping import sort_of
from klorpy.core.diagnostics import Diagnostic, KlorError
from klorpy.core.spans import Source

#: The sort of a value of which nothing is known.
UNKNOWN_SORT: Final = "any"


@checked
def extract(chor: Chor, session: str) -> GlobalType:
    """The type of a session that is open when `chor` begins. Raises KlorError `unannounced-choice`.

    >>> from klorpy.behaviour import parse_gc
    >>> print(extract(parse_gc('(rec X (com m (u u) "hi" (c c) x) (if (ok x) c ((sel m (c c) (u u) more) (call X)) '
    ...                        '((sel m (c c) (u u) stop) 0)))'), "m"))
    mu t. u->c:<str>; c->u:{more: t, stop: end}
    """
    return type_of(extract_tree(chor, session))


def extract_tree(chor: Chor, session: str) -> Tree:
    """The same as a tree."""
    require_depth(chor)
    flow = _Flow()
    start = flow.body(chor, {}, 0)
    return _Extraction(flow.points, chor.source).tree([(session, start)])


@checked
def infer(chor: Chor) -> dict[str, GlobalType]:
    """For each public channel the type that its sessions use, all starts taken together.

    >>> from klorpy.behaviour import parse_gc
    >>> login = '(start a k (u U) (c C)) (com k (u U) "secret" (c C) x)'
    >>> {channel: str(type_) for channel, type_ in infer(parse_gc(login)).items()}
    {'a': 'U->C:<str>; end'}
    """
    require_depth(chor)
    flow = _Flow()
    flow.body(chor, {}, 0)
    sessions: dict[str, list[tuple[str, int]]] = {}
    for start, after in flow.starts:
        sessions.setdefault(start.channel, []).append((start.session, after))
    return {
        channel: type_of(
            _Extraction(flow.points, chor.source).tree(begun)
        )
        for channel, begun in sessions.items()
    }


@dataclass(frozen=True, slots=True)
class _Point:
    """A place: what happens there (None: one of the targets is where it goes on; no targets: the end)."""

    step: Com | Sel | Start | Cond | None
    targets: tuple[int, ...] = ()


_Scope: TypeAlias = Mapping[str, int]


@dataclass
class _Flow:
    """The places of a choreography. Place 0 is the end."""

    points: list[_Point] = field(default_factory=lambda: [_Point(None)])
    starts: list[tuple[Start, int]] = field(default_factory=list)

    def body(self, chor: Chor, scope: _Scope, end: int) -> int:
        following = self.last(chor, scope, end)
        for step in reversed(chor.steps):
            if isinstance(step, Start):
                self.starts.append((step, following))
            self.points.append(_Point(step, (following,)))
            following = len(self.points) - 1
        return following

    def last(self, chor: Chor, scope: _Scope, end: int) -> int:
        match chor.last:
            case Nil():
                return end
            case Cond(_, _, then, otherwise) as cond:
                targets = (self.body(then, scope, end), self.body(otherwise, scope, end))
                self.points.append(_Point(cond, targets))
                return len(self.points) - 1
            case Rec(variable, body):
                place = len(self.points)
                self.points.append(_Point(None))
                self.points[place] = _Point(None, (self.body(body, {**scope, variable: place}, end),))
                return place
            case Call(variable):
                return scope.get(variable, end)
            case New(_, body):
                return self.body(body, scope, end)


#: A session and where it is; all sessions end at one place.
_Place: TypeAlias = tuple[str, int]
_END: Final[_Place] = ("", 0)


@dataclass
class _Extraction:
    points: Sequence[_Point]
    source: Source | None

    def tree(self, starts: Iterable[_Place]) -> Tree:
        numbers: dict[frozenset[_Place], int] = {}
        places: list[tuple[frozenset[_Place], tuple[Cond, ...]]] = []

        def number(targets: Iterable[_Place]) -> int:
            place, passed = self.closure(targets)
            if place not in numbers:
                numbers[place] = len(places)
                places.append((place, passed))
            return numbers[place]

        number(starts)
        nodes: list[Node] = []
        size = 0
        for place, passed in places:
            size += len(place)
            require_size(size)
            branches = self.agreed(place, passed)
            if branches is None:
                nodes.append(End())
                continue
            sender, receiver, targets = branches
            nodes.append(Communication(
                sender, receiver, tuple((content, number(after)) for content, after in targets.items())
            ))  # fmt: skip
        return Tree(tuple(nodes)).minimal()

    def closure(self, targets: Iterable[_Place]) -> tuple[frozenset[_Place], tuple[Cond, ...]]:
        """The interactions of the sessions that come next, or their end; and the conditionals on the way."""
        found: set[_Place] = set()
        seen: set[_Place] = set()
        passed: list[Cond] = []
        todo = list(targets)
        while todo:
            place = todo.pop()
            if place in seen:
                continue
            seen.add(place)
            session, at = place
            point = self.points[at]
            if at == 0 or (isinstance(point.step, Start) and point.step.session == session):
                # The session is over at the end of its scope, and surely where the next one starts.
                found.add(_END)
            elif isinstance(point.step, (Com, Sel)) and point.step.session == session:
                found.add(place)
            else:
                if isinstance(point.step, Cond):
                    passed.append(point.step)
                todo += [(session, target) for target in reversed(point.targets)]
        # A loop in which nothing of these sessions happens is their end, too.
        return frozenset(found) or frozenset((_END,)), tuple(passed)

    def agreed(
        self, place: frozenset[_Place], passed: tuple[Cond, ...]
    ) -> tuple[str, str, dict[Content, list[_Place]]] | None:
        """What is done at all of these places alike; None at the end."""
        if place == {_END}:
            return None
        steps = [(session, self.points[at].targets[0], step) for session, at in sorted(place)
                 if isinstance(step := self.points[at].step, (Com, Sel))]  # fmt: skip
        first = steps[0][2]
        if _END in place:
            raise self.unannounced(passed, text_of(first), "nothing")
        branches: dict[Content, list[_Place]] = {}
        for session, following, step in steps:
            same = (step.sender.role, step.receiver.role) == (first.sender.role, first.receiver.role)
            if not same or isinstance(step, Com) != isinstance(first, Com):
                raise self.unannounced(passed, text_of(first), text_of(step))
            content = content_of(step)
            if isinstance(step, Com) and branches and content not in branches:
                # A sort of which nothing is known fits the other.
                known = next(iter(branches))
                if UNKNOWN_SORT not in (*content.payload, *known.payload):
                    raise self.unannounced(passed, text_of(first), text_of(step))
                if known.payload == (UNKNOWN_SORT,):
                    branches = {content: branches[known]}
                else:
                    content = known
            branches.setdefault(content, []).append((session, following))
        return first.sender.role, first.receiver.role, branches

    def unannounced(self, passed: tuple[Cond, ...], one: str, other: str) -> KlorError:
        cond = passed[0] if passed else None
        who = f"the branches of `if {cond.expr}` at {cond.thread}" if cond else "starts of one channel"
        span = cond.span if cond else None
        teller = cond.thread if cond else "the thread that decides"
        return KlorError(Diagnostic(
            "unannounced-choice", f"{who} differ before anybody is told: {one} in one, and {other} in another", span,
            help=f"let both branches begin with a selection of {teller} in this session, with different labels",
            source=self.source if span else None,
        ))  # fmt: skip


def content_of(step: Com | Sel) -> Content:
    """What an interaction is in a type.

    >>> from klorpy.behaviour import parse_gc
    >>> print(content_of(parse_gc("(com k (t A) 1 (u B) x)").steps[0]))
    <int>
    """
    if isinstance(step, Sel):
        return Content(step.label)
    return Content(None, (step.sort or sort_of(step.expr) or UNKNOWN_SORT,))
