"""What a session gives: the outcome of a form or of a command."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Final


class _Nothing:
    def __repr__(self) -> str:
        return "NOTHING"

    def __bool__(self) -> bool:
        return False


#: The value of a form that has none to show.
NOTHING: Final = _Nothing()


class Status(enum.Enum):
    """Whether a text can be evaluated: COMPLETE; INCOMPLETE, when more text could make it so; WRONG, when none can."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    WRONG = "wrong"


@dataclass(frozen=True)
class Outcome:
    """What came of one form, or of a command."""

    #: The form as it was written.
    text: str
    value: Any = NOTHING
    error: BaseException | None = None
    warnings: tuple[Warning, ...] = ()
    #: The choreographies that the form defined or redefined.
    defined: tuple[str, ...] = ()
    #: What else there is to know, in sentences.
    notes: tuple[str, ...] = ()
    #: What a command gave: an object with `.text(palette)`.
    output: Any = None
