"""The commands of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from klorpy.core.diagnostics import KlorError

if TYPE_CHECKING:
    from klorpy.environment.session import Session, Status


def status(session: Session, text: str) -> Status:
    """Whether a command can be run as it stands."""
    from klorpy.environment.session import Status

    return Status.COMPLETE


def run(session: Session, text: str) -> Any:
    """Run a command and give what it shows."""
    raise KlorError(f"there is no command {text}", slug="bad-argument", help="type ,help")
