"""The one verdict of a session that failed, and the errors that tell every role about it.

A session fails once: with the first cause, at one role. Whoever took part and cannot go on reports that verdict, not
what it suffered itself: the seller who waits for buyer 2, who gave up because buyer 1 crashed, blames buyer 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from klorpy.core.choreography import Site
from klorpy.core.diagnostics import Diagnostic, KlorError
from klorpy.core.events import describe_error
from klorpy.core.types import Role

#: What a role did that is not just to fail.
_DID: Final = {"peer-lost": "was lost", "roles-missing": "gave up", "unknown-session": "gave up"}

#: Failures that are nobody's own: every role reports them under their own slug.
_SHARED: Final = frozenset(("different-choreography", "protocol-error"))


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a session failed: `cause` says it in one line, `role` at whom.

    `step` counts the messages that the role had sent and received; None when nobody knows. `place` is the form, with
    its file and line, "" when there is none. `slug` names the kind of failure. `stamp` is Lamport's clock where the
    failure was found, 0 when nobody counts.
    """

    role: Role
    cause: str
    step: int | None = None
    place: str = ""
    slug: str = "session-failed"
    stamp: int = field(default=0, compare=False)

    def order(self) -> tuple[int, Role, str]:
        """Of several verdicts of a session the smallest holds: a cause is before what it has caused."""
        return self.stamp, self.role, self.cause

    def __str__(self) -> str:
        if self.slug == "different-choreography":  # of two roles, none of which is to blame
            return self.cause
        step = f" at step {self.step}" if self.step is not None else ""
        place = f", at {self.place}" if self.place else ""
        return f"{self.role} {_DID.get(self.slug, 'failed')}{step} ({self.cause}{place})"

    @classmethod
    def of(cls, role: Role, error: BaseException, step: int | None = None, place: str = "") -> Verdict:
        """The verdict when `role` raised `error` at `place`; the session's own when that is what it raised.

        >>> print(Verdict.of("buyer1", ValueError("no money"), 3))
        buyer1 failed at step 3 (ValueError: no money)
        """
        if isinstance(error, SessionFailed) and error.verdict is not None:
            return error.verdict
        # Others are the errors of loops for cancelled tasks, and what a command raises when its process is to end.
        if not isinstance(error, Exception | SystemExit) and type(error) is not KeyboardInterrupt:
            return cls(role, "it was cancelled", step, place)
        if not isinstance(error, KlorError):
            return cls(role, describe_error(error), step, place)
        source = error.diagnostic.source
        place = f"{source.filename}:{error.span}" if source and error.span else place
        return cls(role, describe_error(error), step, place, error.slug)


class SessionFailed(KlorError):
    """A session ended for everybody: `verdict` says who failed first, and why."""

    __module__ = "klorpy"

    default_slug = "session-failed"

    def __init__(self, diagnostic: Diagnostic | str, verdict: Verdict | None = None) -> None:
        super().__init__(diagnostic)
        self.verdict = verdict


class PeerLost(SessionFailed):
    """The role that this one sends to, or waits for, has left."""

    __module__ = "klorpy"

    default_slug = "peer-lost"


class RolesMissing(SessionFailed):
    """The cast of a session was not complete in time; `missing` are the roles that nobody plays."""

    __module__ = "klorpy"

    default_slug = "roles-missing"

    def __init__(self, diagnostic: Diagnostic | str, missing: Iterable[Role] = ()) -> None:
        super().__init__(diagnostic)
        self.missing = tuple(missing)


def session_failed(
    what: str, verdict: Verdict, me: Role, peer: Role | None, site: Site | None, notes: tuple[str, ...] = ()
) -> SessionFailed:
    """The error for the role `me` of `what`, which is at `site` with `peer`.

    It is a PeerLost when the peer itself is the one who failed.
    """
    kind = PeerLost if peer == verdict.role else SessionFailed
    slug = verdict.slug if verdict.role == me or verdict.slug in _SHARED else kind.default_slug
    if site is not None:
        notes = (f"{me} was at {site}", *notes)
    message = f"{what} failed: {verdict}"
    help = _advice(verdict, me)
    if site is None:
        return kind(Diagnostic(slug, message, notes=notes, help=help), verdict)
    return kind(site.diagnostic(slug, message, help, notes), verdict)


def _advice(verdict: Verdict, me: Role) -> str:
    match verdict.slug:
        case "peer-lost" if verdict.role == me:
            return "the others gave this process up while it was stopped, or computed without a pause; a longer heartbeat allows that"
        case "peer-lost":
            return f"look at how {verdict.role} ended: it may have crashed, or cannot be reached any more"
        case "different-choreography":
            return "give all roles the same file"
        case "protocol-error":
            return f"do {verdict.role} and {me} run the same version of klorpy?"
        case "role-taken":
            return "give every run a session name of its own; is an older run still there?"
        case "not-certified":
            return "give the process a certificate for all roles that it plays, see klorpy certificates"
        case "session-failed":
            return f"look at {verdict.role}"
        case slug:
            return f"look at {verdict.role}: its error is {slug}"


def transport_closed(me: Role, what: str, site: Site) -> KlorError:
    """The error for the role `me`, which has left `what` and is at `site` nevertheless."""
    return KlorError(
        site.diagnostic(
            "transport-closed",
            f"{me} has left {what}, but is at {site}",
            "the transport of a role is used up when it has been closed: make one for each run",
        )
    )
