"""Hypothesis strategies, for those who have Hypothesis: it shrinks what fails."""

from __future__ import annotations

from hypothesis import strategies as st

from klorpy.behaviour.globaltype import GlobalType
from klorpy.testing.generators import generate
from klorpy.testing.sessions import SessionProgram, global_type, session_program
from klorpy.testing.terms import Program


def programs(size: int = 6) -> st.SearchStrategy[Program]:
    """Well-typed choreographies with arguments, of about `size` forms a definition."""
    return st.randoms(use_true_random=False).map(lambda source: generate(source, size))


def global_types(size: int = 6) -> st.SearchStrategy[GlobalType]:
    """Well-formed global types of at most three roles, of about `size` messages."""
    return st.randoms(use_true_random=False).map(lambda source: global_type(source, size=size))


def session_programs(size: int = 8) -> st.SearchStrategy[SessionProgram]:
    """Well-typed choreographies of the global calculus with the protocols of their channels."""
    return st.randoms(use_true_random=False).map(lambda source: session_program(source, size))


def schedules(length: int = 60) -> st.SearchStrategy[str]:
    """Schedules, as seeds of `simulate_chor`, that choose for themselves in the first `length` choices of a run.

    What fails shrinks to an interleaving with few deviations from the plain order, and early ones.

    >>> from hypothesis import find, settings
    >>> find(schedules(), lambda seed: "2" in seed, settings=settings(deadline=None))
    's2'
    """
    return st.lists(st.integers(0, 3), min_size=length, max_size=length).map(_seed)


def _seed(backwards: list[int]) -> str:
    # Hypothesis prefers what is small at the front of a list: so the last choice comes first.
    choices = backwards[::-1]
    # A run takes the first role when its script is over, so zeros at the end say nothing.
    while choices and choices[-1] == 0:
        choices.pop()
    return "s" + ".".join(map(str, choices))
