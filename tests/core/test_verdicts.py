"""What a role is told of the session's verdict."""

from __future__ import annotations

import pytest

import klorpy
from klorpy.core.verdicts import session_failed


@pytest.mark.parametrize(("me", "kind", "slug", "says"), [
    ("A", klorpy.PeerLost, "peer-lost", "look at how B ended"),
    ("B", klorpy.SessionFailed, "peer-lost", "the others gave this process up"),
    ("C", klorpy.SessionFailed, "session-failed", "look at how B ended"),
])  # fmt: skip
def test_advice_is_for_the_one_who_reads_it(me: str, kind: type[klorpy.SessionFailed], slug: str, says: str) -> None:
    """A waits for B, which was silent and learns so itself; C has nothing to do with it."""
    site = klorpy.evaluate("(defchor ask [A B] (-> B A) [x] (B->A x))").ask.defined().sites[0]
    verdict = klorpy.Verdict("B", "nothing was heard of it for 2 s", slug="peer-lost")
    error = session_failed("session s of ask", verdict, me, "B" if me == "A" else None, site if me == "A" else None)
    assert type(error) is kind
    assert error.slug == slug
    assert error.help.startswith(says)
    assert error.verdict == verdict
