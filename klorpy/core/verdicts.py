"""The one verdict of a session that failed, and the errors that tell every role about it.

A session fails once: with the first cause, at one role. Whoever took part and cannot go on reports that verdict, not
what it suffered itself: the seller who waits for buyer 2, who gave up because buyer 1 crashed, blames buyer 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from klorpy.core.choreography import Site
from klorpy.core.diagnostics import Diagnostic, KlorError
from klorpy.core.events import describe_error
from klorpy.core.types import Role


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a session failed: `cause` says it in one line, `role` at whom.

    `step` counts the messages that the role had sent and received; None when nobody knows. `place` is the form, with
    its file and line, "" when there is none. `slug` names the kind of failure.
    """

    role: Role
    cause: str
    step: int | None = None
    place: str = ""
    slug: str = "session-failed"

    def __str__(self) -> str:
        step = f" at step {self.step}" if self.step is not None else ""
        place = f", at {self.place}" if self.place else ""
        return f"{self.role} failed{step} ({self.cause}{place})"

    @classmethod
    def of(cls, role: Role, error: BaseException, step: int | None = None, place: str = "") -> Verdict:
        """The verdict when `role` raised `error` at `place`; the session's own when that is what it raised.

        >>> print(Verdict.of("buyer1", ValueError("no money"), 3))
        buyer1 failed at step 3 (ValueError: no money)
        """
        if isinstance(error, SessionFailed) and error.verdict is not None:
            return error.verdict
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


def session_failed(session: str, name: str, verdict: Verdict, me: Role, peer: Role | None, site: Site | None) -> SessionFailed:
    """The error for the role `me` of session `session` of the choreography `name`, which is at `site` with `peer`.

    It is a PeerLost when the peer itself is the one who failed.
    """
    kind = PeerLost if peer == verdict.role else SessionFailed
    slug = verdict.slug if verdict.role == me else kind.default_slug
    notes = (f"{me} was at {site}",) if site is not None else ()
    message = f"session {session} of {name} failed: {verdict}"
    named = verdict.slug not in (SessionFailed.default_slug, PeerLost.default_slug)
    help = f"look at {verdict.role}" + (f": its error is {verdict.slug}" if named else "")
    if site is None:
        return kind(Diagnostic(slug, message, notes=notes, help=help), verdict)
    return kind(site.diagnostic(slug, message, help, notes), verdict)
