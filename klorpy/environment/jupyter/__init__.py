"""Notebooks: the magics `%klor` and `%%klor` for Python notebooks, a kernel for klorpy's own, and nesting of loops.

IPython is imported when one of them is used: `%load_ext klorpy`, or `python -m klorpy.environment.jupyter`.
"""

from typing import Any

from klorpy.environment.jupyter.nesting import enable_nesting, run_nested

__all__ = ["enable_nesting", "load_ipython_extension", "run_nested", "unload_ipython_extension"]


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext klorpy`: see `klorpy.environment.jupyter.magics`."""
    from klorpy.environment.jupyter.magics import load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """`%unload_ext klorpy`."""
    from klorpy.environment.jupyter.magics import unload

    unload(shell)
