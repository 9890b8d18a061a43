"""From the text of a choreography to one Python program for each role. Start with `pipeline`."""

from klorpy.language.evaluate import evaluate, load
from klorpy.language.hy_adapter import KlorSyntaxError
from klorpy.language.options import alter_opts
from klorpy.language.show import project, signature

__all__ = ["KlorSyntaxError", "alter_opts", "evaluate", "load", "project", "signature"]
