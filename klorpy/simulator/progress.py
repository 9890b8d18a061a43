"""Watching a run from outside while it is under way.

A front end sets an observer around what it evaluates; each simulation and each exploration then passes it a
`Progress`, which may be read from another thread at any time. Nothing of this is in the scheduler's loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from klorpy.core.choreography import Choreography


@dataclass(slots=True)
class Progress:
    """What is under way. `total` is None for a single simulation; of an exploration, `done` schedules of `total` are."""

    choreography: Choreography
    total: int | None = None
    done: int = 0
    #: The trace of the run under way, five entries a message; None when it keeps none.
    trace: list[Any] | None = field(default=None, repr=False)

    @property
    def messages(self) -> int | None:
        """Messages delivered so far in the run under way, about; None when it keeps no trace."""
        return None if self.trace is None else len(self.trace) // 5


Observer: TypeAlias = Callable[[Progress], AbstractContextManager[object]]

_observer: ContextVar[Observer | None] = ContextVar("klorpy-progress", default=None)


@contextmanager
def watching(observer: Observer) -> Iterator[None]:
    """Call `observer` with the progress of each run that is started meanwhile, and be in the context that it gives."""
    token = _observer.set(observer)
    try:
        yield
    finally:
        _observer.reset(token)


def under_way(progress: Progress) -> AbstractContextManager[object]:
    """The observer's context for a run; one that does nothing when nobody watches."""
    observer = _observer.get()
    return nullcontext() if observer is None else observer(progress)
