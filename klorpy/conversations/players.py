"""The processes of a session: one for each role that is played, and one that keeps the minutes.

    ("role", choreography, session, role, instance)             published by who plays the role
    ("msg", choreography, session, from, to, step, payload)     what roles send each other

A player's process knows who is there. It reports to the task that plays the role when the cast is complete, when a
message arrives, when a role has left, and when the session has failed. It fails once: the first departure that is not
proper gives the verdict, and who leaves because of it leaves with the verdict as the reason, so that everybody learns
the same, in the same instant.

Presences are matched by role and instance: a role that is handed over is never missed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from klorpy.conversations.actions import (
    Absence,
    Add,
    Delete,
    Endpoint,
    Message,
    Presence,
    Quit,
    Send,
    Transition,
    observe_publishers,
    publisher,
    subscriber,
)
from klorpy.conversations.ground import Until
from klorpy.conversations.pattern import ANY, Sealed
from klorpy.conversations.tasks import Put, Token
from klorpy.core.types import Role
from klorpy.core.verdicts import SessionFailed, Verdict

#: The reasons of a role that has done its part, and of one that another process has taken over.
DONE: Final = "done"
HANDED_OVER: Final = "handed over"

#: Who plays: each role with the numbers of those who play it.
Population: TypeAlias = frozenset[tuple[Role, int]]
#: Whether the cast is complete, given the roles that are played.
Complete: TypeAlias = Callable[[frozenset[Role]], bool]


def role_topic(chor: str, session: Any, role: Any = ANY, instance: Any = ANY) -> tuple[Any, ...]:
    """The topic of who plays a role of a session."""
    return ("role", chor, session, role, instance)


def message_topic(chor: Any, session: Any, source: Any = ANY, target: Any = ANY) -> tuple[Any, ...]:
    """The topic of the messages of a session."""
    return ("msg", chor, session, source, target, ANY, ANY)


@dataclass(frozen=True, slots=True)
class Started:
    """The cast is complete."""


@dataclass(frozen=True, slots=True)
class Left:
    """A role has done its part, and left."""

    role: Role


@dataclass(frozen=True, slots=True)
class Lost:
    """The session has failed."""

    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Missing:
    """The cast was not complete in time."""

    roles: tuple[Role, ...]


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message: the site where it was sent, and its value."""

    source: Role
    payload: Sealed


@dataclass(frozen=True, slots=True)
class Cast:
    """What a player's process knows; its mailbox is that of the task that plays the role."""

    mailbox: Token
    chor: str
    session: Any
    role: Role
    roles: tuple[Role, ...]
    complete: Complete
    population: Population = frozenset()
    started: bool = False
    failed: bool = False

    def tell(self, news: Any) -> Send:
        return Send(("ground", Put(self.mailbox, self.role, Sealed(news))))

    def missing(self) -> tuple[Role, ...]:
        there = {role for role, _ in self.population}
        return tuple(role for role in self.roles if role not in there)


def player_endpoints(cast: Cast, instance: int) -> tuple[Endpoint, ...]:
    """The endpoints of a player. Its mail can be delivered before it is seen."""
    return (
        Endpoint("mail", subscriber(message_topic(cast.chor, cast.session, ANY, cast.role)), on_message=_mail),
        Endpoint("me", publisher(role_topic(cast.chor, cast.session, cast.role, instance))),
        Endpoint("peers", observe_publishers(role_topic(cast.chor, cast.session)), _joined, _left),
    )


def deadline(time: float) -> Add:
    """Give up when the cast is not complete at a time."""
    return Add(Endpoint("deadline", subscriber((Until(time), ANY)), on_message=_late))


def _joined(event: Presence, cast: Cast) -> Any:
    *_, role, instance = event.role.topic
    after = replace(cast, population=cast.population | {(role, instance)})
    if cast.started or not cast.complete(frozenset(role for role, _ in after.population)):
        return Transition(after)
    return Transition(replace(after, started=True), cast.tell(Started()), Delete("deadline"))


def _left(event: Absence, cast: Cast) -> Any:
    *_, role, instance = event.role.topic
    population = cast.population - {(role, instance)}
    after = replace(cast, population=population)
    if any(other == role for other, _ in population):
        return Transition(after)  # somebody else plays it: the role was handed over
    if event.reason == DONE:
        return Transition(after, cast.tell(Left(role)))
    if cast.failed:
        return Transition(after)
    verdict = verdict_of(role, event.reason)
    return Transition(replace(after, failed=True), cast.tell(Lost(verdict)), Quit(verdict))


def _mail(event: Message, cast: Cast) -> Send:
    _, _, _, source, _, _, payload = event.body
    return cast.tell(Arrived(source, payload))


def _late(event: Message, cast: Cast) -> Any:
    missing = cast.missing()
    cause = f"{' and '.join(missing) or 'nobody'} did not come"
    verdict = Verdict(cast.role, cause, slug="roles-missing")
    return [cast.tell(Missing(missing)), Quit(verdict)]


def verdict_of(role: Role, reason: Any) -> Verdict:
    """The verdict when a role leaves with a reason that is not proper."""
    match reason:
        case Verdict():
            return reason
        case SessionFailed(verdict=Verdict() as verdict):
            return verdict
        case BaseException():
            return Verdict.of(role, reason)
        case None:
            return Verdict(role, "left without a reason", slug="peer-lost")
        case ("unreachable", host, _):
            return Verdict(role, f"{host} is unreachable", slug="peer-lost")
        case _:
            return Verdict(role, f"left: {reason}")


# --- The minutes ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Minutes:
    """What is known of a session from outside: who plays, who has done his part, and its verdict when it has failed."""

    population: Population = frozenset()
    done: tuple[Role, ...] = ()
    verdict: Verdict | None = None


def minutes_endpoint(chor: str, session: Any) -> Endpoint:
    """The endpoint of the process that keeps the minutes; nobody notices it."""
    return Endpoint("minutes", observe_publishers(role_topic(chor, session)), _enter, _leave)


def _enter(event: Presence, minutes: Minutes) -> Transition:
    *_, role, instance = event.role.topic
    return Transition(replace(minutes, population=minutes.population | {(role, instance)}))


def _leave(event: Absence, minutes: Minutes) -> Transition:
    *_, role, instance = event.role.topic
    population = minutes.population - {(role, instance)}
    after = replace(minutes, population=population)
    if any(other == role for other, _ in population):
        return Transition(after)
    if event.reason == DONE:
        return Transition(replace(after, done=(*minutes.done, role)))
    return Transition(replace(after, verdict=minutes.verdict or verdict_of(role, event.reason)))
