"""Whether a choreography keeps to a protocol.

    conforms(chor, P)         every run of chor is, role by role, a run of P

What the choreography sends is followed in the protocol, message by message, the choreography being free not to use all
branches. Constants have to be labels of the protocol by their names; true and false, and decisions in other words, may
be any labels: those are chosen under which the rest fits. A sort of the protocol is not compared, since nothing is known of
values. Messages between other roles may come in another order than in the protocol when no role can tell.

The relation is the largest one with these steps, found by leaving out pairs that have none.

Source: the simulation of session subtyping, S. Gay, M. Hole (2005); swapping as in M. Carbone, F. Montesi (2013).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from klorpy.behaviour.extraction.graph import Labelled, Said
from klorpy.behaviour.extraction.programs import head_of, itself, source_of
from klorpy.behaviour.extraction.protocol import extracted
from klorpy.behaviour.extraction.states import OTHERWISE
from klorpy.behaviour.globaltype import Content, GlobalType, Message, Protocol
from klorpy.behaviour.regular import Communication, Draft, drafts, heads
from klorpy.behaviour.wellformed import written
from klorpy.core.choreography import Choreography, Definition
from klorpy.core.diagnostics import Diagnostic, KlorError
from klorpy.core.spans import Span
from klorpy.core.types import Role

#: How many messages of others are passed by to find one that may come earlier.
_AHEAD: Final = 12
#: Pairs that are compared before it is given up.
_PAIRS: Final = 50_000


@dataclass(frozen=True)
class Adherence:
    """Whether `choreography` keeps to `protocol`; if not, the first deviation in both texts, and what was sent until then."""

    choreography: str
    protocol: Protocol
    deviation: tuple[Diagnostic, ...] = ()
    trace: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return not self.deviation

    def __str__(self) -> str:
        if self:
            return f"{self.choreography} keeps to {self.protocol.name}"
        return "\n\n".join(error.render() for error in [KlorError(part) for part in self.deviation])

    def check(self) -> None:
        """Raise KlorError `protocol-deviation` unless it does."""
        if self.deviation:
            raise KlorError(*self.deviation)


def conforms(chor: Choreography, protocol: Protocol) -> Adherence:
    """Whether every run of `chor` is one of `protocol`.

    Roles are matched by their names, or, when the names differ, by their places. Raises KlorError `no-protocol` for a
    choreography that has none, and `unbound-role` when the roles do not fit.

    >>> import klorpy
    >>> ns = klorpy.evaluate("(defprotocol Hello [A B] (-> A B str)) (defchor hi [A B] (-> A B) [x] (A->B x))")
    >>> print(conforms(ns.hi, ns.Hello))
    hi keeps to Hello
    """
    names = _roles(chor, protocol)
    return _Comparison(chor, extracted(chor), protocol, names).verdict()


def keeps(definition: Definition, find: Callable[[], object]) -> None:
    """What a definition under the option `protocol` does: raise KlorError unless it keeps to what `find` finds.

    The slugs are `undefined-protocol`, `protocol-deviation`, and those of `conforms`.
    """
    name = definition.options["protocol"]
    try:
        protocol = find()
    except NameError:
        protocol = None
    if not isinstance(protocol, Protocol):
        what = f"there is no protocol {name}" if protocol is None else f"{name} is no protocol"
        raise KlorError(Diagnostic("undefined-protocol", what, head_of(definition), source=source_of(definition),
                                   help=f"declare it before: (defprotocol {name} [{' '.join(definition.roles)}] …)"))  # fmt: skip
    conforms(itself(definition), protocol).check()


def _roles(chor: Choreography, protocol: Protocol) -> Mapping[Role, Role]:
    if set(chor.roles) <= set(protocol.roles):
        return {role: role for role in chor.roles}
    if len(chor.roles) == len(protocol.roles):
        return dict(zip(chor.roles, protocol.roles, strict=True))
    raise KlorError(
        f"{chor.name} has the roles {' '.join(chor.roles)}, {protocol.name} has {' '.join(protocol.roles)}", slug="unbound-role",
        help="give them the same names, or the same number of roles",
    )  # fmt: skip


# --- Protocols as graphs ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Late:
    """A message that is still to come, because a later one of others came first."""

    sender: Role
    receiver: Role
    branches: tuple[tuple[Content, Place, Span | None], ...]
    depth: int


#: Where a protocol is: a node of its graph, or one in front of which others still stand.
Place: TypeAlias = "tuple[int, ...] | _Late"
_Branches: TypeAlias = "tuple[tuple[Content, Place, Span | None], ...]"


@dataclass
class _Course:
    """A protocol message by message, with the places of its text."""

    nodes: list[Draft]
    start: tuple[int, ...]
    memo: dict[tuple[Place, Role, Role], _Branches | None] = field(default_factory=dict)

    @classmethod
    def of(cls, type_: GlobalType) -> _Course:
        nodes, start = drafts(type_)
        return cls(nodes, tuple(heads(nodes, start)))

    def next(self, place: Place) -> tuple[Role, Role, _Branches] | None:
        """Who sends to whom next, and what; None at the end."""
        if isinstance(place, _Late):
            return place.sender, place.receiver, place.branches
        found = [(item, self.nodes[at].targets[0]) for at in place if isinstance(item := self.nodes[at].item, Message)]
        if not found:
            return None
        first = found[0][0]
        branches = tuple((m.content, tuple(heads(self.nodes, target)), m.span) for m, target in found)
        return first.sender, first.receiver, branches

    def step(self, place: Place, sender: Role, receiver: Role, ahead: int = _AHEAD) -> _Branches | None:
        """What `sender` may send `receiver` next, past messages of others; None when nothing."""
        key = (place, sender, receiver)
        if key not in self.memo:
            self.memo[key] = self._step(place, sender, receiver, ahead)
        return self.memo[key]

    def _step(self, place: Place, sender: Role, receiver: Role, ahead: int) -> _Branches | None:
        following = self.next(place)
        if following is None:
            return None
        first, second, branches = following
        if (first, second) == (sender, receiver):
            return branches
        depth = place.depth if isinstance(place, _Late) else 0
        if {first, second} & {sender, receiver} or ahead == 0 or depth >= _AHEAD:
            return None
        inner = [(content, span, self._step(target, sender, receiver, ahead - 1)) for content, target, span in branches]
        if any(steps is None for _, _, steps in inner):
            return None
        common = [content for content, _, _ in inner[0][2] or ()]
        for _, _, steps in inner[1:]:
            common = [content for content in common if any(content == other for other, _, _ in steps or ())]
        out = []
        for content in common:
            chosen = [(own, span, next(s for s in steps or () if s[0] == content)) for own, span, steps in inner]
            late = _Late(first, second, tuple((own, s[1], span) for own, span, s in chosen), depth + 1)
            out.append((content, late, chosen[0][2][2]))
        return tuple(out) or None


# --- Following --------------------------------------------------------------------------------------------------------

_Pair: TypeAlias = "tuple[int, Place]"


@dataclass
class _Comparison:
    chor: Choreography
    mine: Labelled
    protocol: Protocol
    names: Mapping[Role, Role]
    course: _Course = field(init=False)
    #: For each pair the pairs that each branch of the choreography may lead to.
    moves: dict[_Pair, list[tuple[Content, list[tuple[Content, _Pair]]]]] = field(default_factory=dict)
    #: When a pair was left out.
    removed: dict[_Pair, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.course = _Course.of(written(self.protocol))

    def verdict(self) -> Adherence:
        start = (self.mine.tree.root, self.course.start)
        self.explore(start)
        self.refine()
        if start not in self.removed:
            return Adherence(self.chor.name, self.protocol)
        trace: list[str] = []
        pair, content, told = self.deviation(start, trace)
        return Adherence(self.chor.name, self.protocol, self.diagnostics(pair, content, told), tuple(trace))

    def explore(self, start: _Pair) -> None:
        todo = [start]
        while todo:
            pair = todo.pop()
            if pair in self.moves:
                continue
            if len(self.moves) > _PAIRS:
                raise KlorError(f"comparing {self.chor.name} with {self.protocol.name} takes more than {_PAIRS:,} steps", slug="too-large",
                                help="compare parts of them")  # fmt: skip
            self.moves[pair] = moves = self.of(pair)
            todo += [there for _, candidates in moves for _, there in candidates]

    def of(self, pair: _Pair) -> list[tuple[Content, list[tuple[Content, _Pair]]]]:
        at, place = pair
        node = self.mine.tree.nodes[at]
        if not isinstance(node, Communication):
            return []
        offered = self.course.step(place, self.names[node.sender], self.names[node.receiver])
        moves = []
        for content, target in node.branches:
            named = [b for b in offered or () if content.label is not None and b[0].label == content.label]
            fitting = named or ([] if _is_name(content) and len(offered or ()) > 1 else list(offered or ()))
            moves.append((content, [(other, (target, there)) for other, there, _ in fitting]))
        return moves

    def ends(self, pair: _Pair) -> bool:
        return not isinstance(self.mine.tree.nodes[pair[0]], Communication)

    def refine(self) -> None:
        """Leave out, round by round, the pairs with a branch that leads nowhere."""
        before: dict[_Pair, list[_Pair]] = {}
        for pair, moves in self.moves.items():
            for _, candidates in moves:
                for _, there in candidates:
                    before.setdefault(there, []).append(pair)
        todo = list(self.moves)
        round_ = 0
        while todo:
            round_ += 1
            gone = [pair for pair in dict.fromkeys(todo) if pair not in self.removed and not self.fits(pair)]
            self.removed |= dict.fromkeys(gone, round_)
            todo = [source for pair in gone for source in before.get(pair, ())]

    def fits(self, pair: _Pair) -> bool:
        if self.ends(pair):
            return self.course.next(pair[1]) is None
        return all(any(there not in self.removed for _, there in candidates) for _, candidates in self.moves[pair])

    # --- Deviations ---

    def deviation(self, pair: _Pair, trace: list[str]) -> tuple[_Pair, Content | None, Content | None]:
        """The pair at which it goes wrong, and the message that does not fit."""
        told: Content | None = None
        while not self.ends(pair):
            content, candidates = next(
                move for move in self.moves[pair] if all(there in self.removed for _, there in move[1])
            )
            if not candidates:
                return pair, content, told
            node = self.mine.tree.nodes[pair[0]]
            assert isinstance(node, Communication)
            trace.append(f"{node.sender}->{node.receiver}:{content}")
            # The one that fits longest. It was left out earlier than this pair, so this comes to an end.
            told, pair = max(candidates, key=lambda c: self.removed[c[1]])
        return pair, None, told

    def diagnostics(self, pair: _Pair, content: Content | None, told: Content | None) -> tuple[Diagnostic, ...]:
        node, said = self.mine.tree.nodes[pair[0]], self.mine.places[pair[0]]
        following = self.course.next(pair[1])
        wanted, span = "the end", self.protocol.span
        if following is not None:
            contents = " or ".join(str(c) for c, _, _ in following[2])
            wanted, span = f"{following[0]}->{following[1]}:{contents}", following[2][0][2]
        if isinstance(node, Communication) and said is not None:
            first = self.sent(said, node, content, wanted)
        else:
            definition = self.chor.defined()
            first = Diagnostic(
                "protocol-deviation", f"{self.chor.name} ends where {self.protocol.name} goes on with {wanted}",
                head_of(definition), "what it does ends too early",
                help="send what is missing, or let the protocol end there", source=source_of(definition),
            )  # fmt: skip
        second = Diagnostic(
            "protocol-deviation", f"{self.protocol.name} goes on with {wanted}" if following else f"{self.protocol.name} is at its end",
            span, "this is what it says", source=self.protocol.source if span else None,
        )  # fmt: skip
        return first, second

    def sent(self, said: Said, node: Communication, content: Content | None, wanted: str) -> Diagnostic:
        what = f"{node.sender}->{node.receiver}:{content}"
        where = f"{self.protocol.name} has {wanted}" if wanted != "the end" else f"{self.protocol.name} has ended"
        found = said.context.diagnostic(
            said.node, "protocol-deviation", f"{self.chor.name} sends {what} where {where}",
            "change one of the two", f"{node.sender} sends this to {node.receiver}",
        )  # fmt: skip
        return found if said.context.definition is self.chor.definition else replace(found, notes=(f"sent by {self.chor.name}",))


def _is_name(content: Content) -> bool:
    """Whether a label is a constant of the choreography."""
    return content.label is not None and not content.payload and content.label not in ("true", "false", OTHERWISE)
