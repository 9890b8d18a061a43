"""`%load_ext klorpy` in a Python notebook: the magics `%klor` and `%%klor`.

    %%klor
    (defchor double [A B] (-> A A) [x] (B->A (B (* 2 (A->B x)))))
    (simulate-chor double 21)

A cell is evaluated in the notebook's own namespace, so that Python sees what Hy defines and the reverse. Completion
works inside of the cell, and errors are shown as klorpy shows them, there and in cells of Python.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from klorpy.environment.jupyter.cells import Cells
from klorpy.environment.jupyter.display import unregister_formatters

_MAGIC = "%%klor"


@magics_class
class KlorMagics(Magics):  # type: ignore[misc]
    """Cells and lines of klorpy in Python notebooks."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self.cells = Cells(shell)

    @no_var_expand
    @line_cell_magic
    def klor(self, line: str, cell: str | None = None) -> Any:
        """Evaluate choreographies and other forms of Hy; give the value of the last one."""
        # The line of the magic stays, so that lines are counted as the front end counts them.
        return self.cells.run(line if cell is None else f"{line}\n{cell}")


def load(shell: Any) -> None:
    """What `%load_ext klorpy` does."""
    if getattr(shell, "klorpy", None) is not None:  # klorpy's own kernel has all this
        return
    extension = _Extension(shell)
    shell.klorpy = extension


def unload(shell: Any) -> None:
    """What `%unload_ext klorpy` does: all that `load` did is undone, but for what the user has defined."""
    extension = getattr(shell, "klorpy", None)
    if isinstance(extension, _Extension):
        extension.remove()
        shell.klorpy = None


class _Extension:
    """What the extension changes in a shell."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.magics = KlorMagics(shell)
        self.cells = self.magics.cells
        shell.register_magics(self.magics)
        self.matcher = _matcher(self.cells)
        shell.Completer.custom_matchers.append(self.matcher)
        shell.showtraceback = _showing(self.cells, shell.showtraceback)

    def remove(self) -> None:
        del self.shell.showtraceback  # what was hidden by it is the class's own
        self.shell.Completer.custom_matchers.remove(self.matcher)
        for kind in ("line", "cell"):
            self.shell.magics_manager.magics[kind].pop("klor", None)
        unregister_formatters(self.shell)
        self.cells.session.close()


def _showing(cells: Cells, plain: Callable[..., None]) -> Callable[..., None]:
    """IPython's way to show an error, but for those that klorpy shows better."""

    def showtraceback(exc_tuple: Any = None, *args: Any, **kwargs: Any) -> None:
        if not cells.show_error(exc_tuple):
            plain(exc_tuple, *args, **kwargs)

    return showtraceback


def _matcher(cells: Cells) -> Callable[[CompletionContext], SimpleMatcherResult]:
    def klorpy_matcher(context: CompletionContext) -> SimpleMatcherResult:
        """What could stand at the cursor of a `%%klor` cell; nothing of Python's is offered there."""
        text = context.full_text
        if not text.lstrip().startswith(_MAGIC) or context.cursor_line == 0:
            return SimpleMatcherResult(completions=[])
        # The magic's own line is blanked, so that offsets stay.
        head, _, rest = text.partition("\n")
        blanked = " " * len(head) + "\n" + rest
        lines = text.split("\n")
        cursor = sum(len(line) + 1 for line in lines[: context.cursor_line]) + context.cursor_position
        found = cells.session.complete(blanked, cursor)
        start = found[0].start if found else cursor
        completions = [SimpleCompletion(c.text, type=c.kind) for c in found if c.start == start]
        return SimpleMatcherResult(completions=completions, matched_fragment=text[start:cursor], suppress=True)

    matcher: Callable[[CompletionContext], SimpleMatcherResult] = context_matcher()(klorpy_matcher)
    return matcher
