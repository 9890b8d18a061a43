"""Hypothesis strategies, for those who have Hypothesis: it shrinks what fails."""

from __future__ import annotations

from hypothesis import strategies as st

from klorpy.testing.generators import generate
from klorpy.testing.terms import Program


def programs(size: int = 6) -> st.SearchStrategy[Program]:
    """Well-typed choreographies with arguments, of about `size` forms a definition."""
    return st.randoms(use_true_random=False).map(lambda source: generate(source, size))
