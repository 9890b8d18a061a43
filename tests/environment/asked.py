"""What a session answers, for the tests that talk to one."""

from __future__ import annotations

from typing import Final

from klorpy.environment.present import Palette
from klorpy.environment.session import Outcome, Session, render

PLAIN: Final = Palette((), False)


def last(session: Session, text: str) -> Outcome:
    """The outcome of the last form of `text`."""
    return list(session.evaluate(text))[-1]


def shown(session: Session, text: str) -> str:
    """What the last form of `text`, which does not fail, shows."""
    outcome = last(session, text)
    assert outcome.error is None, render(outcome, PLAIN)
    return render(outcome, PLAIN)


def refused(session: Session, text: str) -> str:
    """What the last form of `text`, which fails, shows."""
    outcome = last(session, text)
    assert outcome.error is not None
    return render(outcome, PLAIN)
