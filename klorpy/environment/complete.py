"""What could stand at the cursor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from klorpy.environment.session import Session


@dataclass(frozen=True, slots=True)
class Completion:
    """`text` replaces what stands from offset `start` to the cursor. `kind` says what it is (see KINDS)."""

    text: str
    start: int
    kind: str
    signature: str = ""
    doc: str = ""


def completions(session: Session, text: str, cursor: int) -> list[Completion]:
    """What could stand at offset `cursor` of `text`, the likeliest first."""
    return []
