"""Merging the sessions of a choreography into one.

    ⟨C⟩m                      C with all interactions in session m, and without starts     merged_body
    (start z m P) ⟨C⟩m        … behind one start, of all threads that take part            merge

    ⟨(start a k …) C⟩m = ⟨C⟩m
    ⟨(com k (t p) e (u q) x) C⟩m = (com m (t ρ(t,p)) e (u ρ(u,q)) x) ⟨C⟩m            sel likewise; the rest is kept

`merge` is the whole way: sessions get distinct names, C is type-checked, merged, and the type of m is inferred; the result is
checked against that, and every thread is projected. What comes out says of every interaction which session it was in:
that is a certificate that the type is in the mesh of the protocols, since C is well typed.

Two things may go wrong that did not before. Branches that told nobody which one is taken, and only opened different
sessions, have no common type (`unannounced-choice`). And a thread that learned of a choice from being invited is not told any
more: the result says which (`unaware`), and `notify` adds a selection for it.

Source: M. Carbone, F. Montesi, "Merging multiparty protocols in multiparty choreographies" (2012), section 2.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, TypeAlias

from klorpy.behaviour.arguments import checked
from klorpy.behaviour.calculusparser import check_recursion
from klorpy.behaviour.composition import one_of
from klorpy.behaviour.endpoint import Unaware, unaware
from klorpy.behaviour.globalcalculus import (
    Chor,
    Interaction,
    New,
    Origin,
    Player,
    Sel,
    Start,
    before,
    bodies,
    distinct_sessions,
    free_sessions,
    interactions,
    map_steps,
)
from klorpy.behaviour.globaltype import GlobalType, Protocol, Sort
from klorpy.behaviour.inference import extract_tree
from klorpy.behaviour.mesh import Membership, RoleNames, member
from klorpy.behaviour.notification import notified
from klorpy.behaviour.regular import Tree, type_of
from klorpy.behaviour.sessiontyping import Typing, typecheck
from klorpy.core.diagnostics import Diagnostic, KlorError

#: The role of a thread in the merged session: itself, or `p@t` for the role p that the thread t played.
RoleMap: TypeAlias = Literal["thread", "annotated"]
#: Labels as they were, or `a.l` for the label l of a session of the channel a.
Labels: TypeAlias = Literal["plain", "qualified"]


@dataclass(frozen=True)
class Statistics:
    """What is saved, as numbers in the text of the choreography. What a run saves is measured by `savings`."""

    #: Starts that were left out, and those that were kept.
    starts: int
    kept: int
    #: Threads of the merged session.
    threads: int
    #: Coms and sels that are in the merged session.
    interactions: int
    #: Selections that were added for threads that would not have been told of a choice.
    notifications: int


@dataclass(frozen=True)
class Merged:
    """A choreography with one session in the place of many.

    `typing` is that of the original, `protocol` what the merged session follows, with channel `channel`. Each interaction of
    `chor` that was in another session has it as its `origin`. `unaware` are the threads that cannot be projected.
    """

    original: Chor
    chor: Chor
    channel: str
    session: str
    protocol: Protocol
    tree: Tree = field(repr=False)
    channels: Mapping[str, Protocol] = field(repr=False)
    typing: Typing = field(repr=False)
    unaware: tuple[Unaware, ...]
    statistics: Statistics
    role_map: RoleMap = "thread"

    @property
    def type(self) -> GlobalType:
        return self.protocol.type

    @property
    def projectable(self) -> bool:
        return not self.unaware

    @cached_property
    def provenance(self) -> tuple[tuple[Interaction, Origin], ...]:
        """The interactions of the merged session with what they were before, in the order of the text."""
        found = []
        for step in interactions(self.chor):
            if not isinstance(step, Start) and step.origin is not None:
                found.append((step, step.origin))
        return tuple(found)

    @property
    def certificate(self) -> tuple[str, ...]:
        """Why the type is in the mesh: to which copy of which protocol each interaction belongs."""
        return tuple(f"{origin} of {self.channels[origin.channel].name}" for _, origin in self.provenance)

    def in_mesh(self, *, copies: int | None = None, roles: RoleNames = "any") -> Membership:
        """The same question decided without the certificate, from the types alone.

        Copies are as many as sessions were open at once, unless told otherwise. Labels that were qualified, and
        notifications, are of no protocol.
        """
        used = {step.channel for step in interactions(self.original) if isinstance(step, Start)}
        open_ = max(self.typing.open_sessions, 1)
        return member(self.tree, [self.channels[channel] for channel in sorted(used)], copies=copies or open_, roles=roles)

    def __str__(self) -> str:
        lines = [str(self.chor), "", f"type: {self.type}"]
        s = self.statistics
        lines.append(f"starts: {s.starts + s.kept} -> {s.kept + 1}")
        if s.notifications:
            lines.append(f"notifications: {s.notifications}")
        lines += [f"not projectable: {u.diagnostic(self.chor).message}" for u in self.unaware]
        return "\n".join(lines)


@checked
def merge(
    chor: Chor,
    channels: Mapping[str, Protocol],
    *,
    roles: RoleMap = "thread",
    labels: Labels = "plain",
    notify: bool = False,
    keep_start: Collection[str] = (),
    functions: Mapping[str, Sort] | None = None,
    name: str = "Merged",
) -> Merged:
    """Merge the sessions of `chor`, whose public channels have these protocols.

    Sessions in `keep_start` stay as they are. Raises KlorError when the choreography is not well typed, has sessions that it
    does not start, or has none of which the merged session would consist; and `unannounced-choice`.

    >>> from klorpy.behaviour import parse_gc, parse_protocols
    >>> protocols = parse_protocols("(defprotocol Ask [A B] (-> A B str)) (defprotocol Answer [B A] (-> B A int))")
    >>> chor = parse_gc('(start a k (t A) (u B)) (com k (t A) "why" (u B) x) (start b h (u B) (t A)) (com h (u B) 1 (t A) y)')
    >>> merged = merge(chor, {"a": protocols["Ask"], "b": protocols["Answer"]})
    >>> print(merged)
    (start z m (t t) (u u))
    (com m (t t) "why" (u u) x)
    (com m (u u) 1 (t t) y)
    <BLANKLINE>
    type: t->u:<str>; u->t:<int>; end
    starts: 2 -> 1
    """
    one_of(roles, ("thread", "annotated"), "roles")
    one_of(labels, ("plain", "qualified"), "labels")
    check_recursion(chor)
    chor = distinct_sessions(chor)
    _require_closed(chor)
    typing = typecheck(chor, channels, functions=functions)
    kept = _known_sessions(chor, keep_start)
    names = _taken(chor) | set(channels)
    session, channel = _fresh("m", names), _fresh("z", names)
    body = merged_body(typing.chor, session, roles=roles, labels=labels, keep=kept)
    notifications = 0
    if notify:
        body, notifications = notified(body, session)
    players = players_of(body, session)
    if not players:
        raise KlorError(Diagnostic("no-such-session", "no interaction is left to be merged", source=chor.source,
                                   help="merge a choreography with a com or a sel, and do not keep every start"))  # fmt: skip
    tree = extract_tree(body, session)
    protocol = Protocol(name, tuple(player.role for player in players), type_of(tree))
    result = before((Start(channel, session, players),), body)
    # The theorem says that this succeeds; it is checked, since all that follows rests on it.
    again = typecheck(result, {**channels, channel: protocol}, functions=functions, shared=roles == "annotated")
    starts = [step for step in interactions(chor) if isinstance(step, Start)]
    statistics = Statistics(
        starts=sum(start.session not in kept for start in starts), kept=sum(start.session in kept for start in starts),
        threads=len({player.thread for player in players}),
        interactions=sum(step.session == session for step in interactions(body)), notifications=notifications,
    )  # fmt: skip
    return Merged(chor, again.chor, channel, session, protocol, tree, channels, typing,
                  tuple(unaware(result)), statistics, roles)  # fmt: skip


def merged_body(
    chor: Chor, session: str, *, roles: RoleMap = "thread", labels: Labels = "plain", keep: Collection[str] = ()
) -> Chor:
    """⟨C⟩m: all interactions in `session`, no starts but those of `keep`. The sessions have distinct names.

    >>> from klorpy.behaviour import parse_gc
    >>> print(merged_body(parse_gc("(start a k (t A) (u B)) (sel k (t A) (u B) ok)"), "m", roles="annotated"))
    (sel m (t A@t) (u B@u) ok)
    """
    channel = {step.session: step.channel for step in interactions(chor) if isinstance(step, Start)}

    def player(old: Player) -> Player:
        return Player(old.thread, f"{old.role}@{old.thread}" if roles == "annotated" else old.thread)

    def change(step: Interaction) -> tuple[Interaction, ...]:
        if step.session in keep:
            return (step,)
        if isinstance(step, Start):
            return ()
        origin = Origin(channel.get(step.session, ""), step.session, step.sender.role, step.receiver.role)
        new = replace(step, session=session, sender=player(step.sender), receiver=player(step.receiver), origin=origin)
        if labels == "qualified" and isinstance(new, Sel) and origin.channel:
            new = replace(new, label=f"{origin.channel}.{new.label}")
        return (new,)

    return map_steps(chor, change)


def players_of(chor: Chor, session: str) -> tuple[Player, ...]:
    """Who takes part in a session in which role, first occurrence first.

    >>> from klorpy.behaviour import parse_gc
    >>> [str(player) for player in players_of(parse_gc("(sel k (t A) (u B) l) (sel k (u B) (v C) l)"), "k")]
    ['(t A)', '(u B)', '(v C)']
    """
    found: dict[Player, None] = {}
    for step in interactions(chor):
        if not isinstance(step, Start) and step.session == session:
            found |= {step.sender: None, step.receiver: None}
    return tuple(found)


def _require_closed(chor: Chor) -> None:
    free = free_sessions(chor)
    running = {body.last.session for body in bodies(chor) if isinstance(body.last, New)}
    if free or running:
        which = ", ".join(sorted(free | running))
        raise KlorError(Diagnostic("no-such-session", f"the choreography does not start the sessions that it uses: {which}",
                                   help="merge the choreography before it runs, with the starts of its sessions"))  # fmt: skip


def _known_sessions(chor: Chor, keep: Collection[str]) -> frozenset[str]:
    known = {step.session for step in interactions(chor) if isinstance(step, Start)}
    for session in keep:
        if session not in known:
            raise KlorError(Diagnostic("no-such-session", f"there is no session {session} whose start could be kept",
                                       help=f"the sessions are {', '.join(sorted(known)) or 'none'}"))  # fmt: skip
    return frozenset(keep)


def _taken(chor: Chor) -> set[str]:
    """The names of sessions and channels."""
    found: set[str] = set()
    for step in interactions(chor):
        found.add(step.session)
        if isinstance(step, Start):
            found.add(step.channel)
    return found


def _fresh(name: str, taken: Iterable[str]) -> str:
    used = set(taken)
    found, count = name, 0
    while found in used:
        count += 1
        found = f"{name}{count}"
    return found
