"""The standard library: macros over the forms of the language, written in Hy (`macros.hy`).

Hy compiles a file when it is first imported, which takes longer than all the rest of `import klorpy` where no bytecode
can be written. So the macros that `(require klorpy *)` gives are handles: the file is imported when the first of
them is used.
"""

from __future__ import annotations

import importlib
from typing import Any, Final

from hy.macros import macro
from hy.reader import mangle

NAMES: Final = ("move", "bcast", "scatter", "scatter-seq", "gather")


def _handle(name: str) -> None:
    def expand(*forms: Any) -> Any:
        return importlib.import_module("klorpy.stdlib.macros")._hy_macros[mangle(name)](*forms)

    macro(name)(expand)


for _name in NAMES:
    _handle(_name)

__all__ = ["NAMES"]
