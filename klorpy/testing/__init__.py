"""A kit for tests: generated choreographies with their meaning, mutations of them, and the laws that hold of them.

    program = klorpy.testing.program_of(seed)
    program.text                           # Hy text; its last definition is `main`
    klorpy.testing.evaluate(program)       # what it means, without projection
    klorpy.testing.laws.agrees(program)    # AssertionError unless every role does its part of that

    from klorpy.testing import conformance  # what a transport promises, as checks for authors of transports

`klorpy.testing.strategies` (not imported here) needs Hypothesis.
"""

from klorpy.testing import laws
from klorpy.testing.central import Outcome, canonical, erased, evaluate
from klorpy.testing.forms import FORMS, forms_of
from klorpy.testing.generators import generate, program_of
from klorpy.testing.kinds import HOST
from klorpy.testing.mutations import mutate
from klorpy.testing.terms import Program

__all__ = [
    "FORMS", "HOST", "Outcome", "Program", "canonical", "erased", "evaluate", "forms_of", "generate", "laws", "mutate",
    "program_of",
]  # fmt: skip
