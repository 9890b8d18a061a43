"""A kit for tests: generated choreographies with their meaning, and mutations of them."""

from klorpy.testing.central import Outcome, canonical, erased, evaluate
from klorpy.testing.generators import generate, program_of
from klorpy.testing.kinds import HOST
from klorpy.testing.terms import Program

__all__ = ["HOST", "Outcome", "Program", "canonical", "erased", "evaluate", "generate", "program_of"]
