"""What people touch: the command line."""

from klorpy.environment.cli import main

__all__ = ["main"]
