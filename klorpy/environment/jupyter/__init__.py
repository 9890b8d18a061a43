"""Notebooks: the magics `%klor` and `%%klor` for Python notebooks, a kernel for klorpy's own, and nesting of loops.

IPython is imported when one of them is used: `%load_ext klorpy`, or `python -m klorpy.environment.jupyter`.
"""

from klorpy.environment.jupyter.nesting import enable_nesting, run_nested

__all__ = ["enable_nesting", "run_nested"]
