"""The kernel `klorpy`: an IPython kernel whose cells are Hy with choreographies.

A cell becomes a call of `run_klor` (or `run_klor_async`) with its text, so that all else is IPython's: prompts and history, rich display,
magics (a line that starts with % or !, or a cell that starts with %%) and interrupts.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from ipykernel.ipkernel import IPythonKernel
from ipykernel.zmqshell import ZMQInteractiveShell
from IPython.core.interactiveshell import InteractiveShellABC
from traitlets import Type

import klorpy
from klorpy.core.choreography import Choreography
from klorpy.core.diagnostics import KlorError
from klorpy.core.values import show
from klorpy.environment import commands
from klorpy.environment.jupyter.cells import Cells
from klorpy.environment.jupyter.display import choreography_bundle
from klorpy.environment.present import Palette
from klorpy.environment.session import Status
from klorpy.language.hy_adapter import Keyword, Object, mangle


class KlorpyShell(ZMQInteractiveShell):  # type: ignore[misc]
    """The shell of the kernel."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: As in a shell that has loaded the extension; see `klorpy.environment.jupyter.magics`.
        self.klorpy = Cells(self)
        for kind in _AS_HY:
            self.display_formatter.formatters["text/plain"].for_type(kind, _pretty)

    def transform_cell(self, raw_cell: str) -> str:
        """A cell as Python: lines of IPython's own first, if there are any, and a call for the rest."""
        if raw_cell.lstrip().startswith("%%"):
            return str(super().transform_cell(raw_cell))
        asked = re.fullmatch(r"\s*(?:\?{1,2}\s*([^\s()\[\]{}]+)|([^\s()\[\]{}?]+)\?{1,2})\s*", raw_cell)
        if asked and mangle(raw_cell.strip()) not in self.user_ns:
            command = ",source" if "??" in raw_cell else ",doc"
            return f"get_ipython().run_klor({command + ' ' + (asked[1] or asked[2])!r})\n"
        lines = raw_cell.split("\n")
        own = 0
        while own < len(lines) and (not lines[own].strip() or _is_ipython_line(lines[own])):
            own += 1
        if not any(map(_is_ipython_line, lines[:own])):
            own = 0
        rest = "\n".join(["" for _ in lines[:own]] + lines[own:])
        python = str(super().transform_cell("\n".join(lines[:own]) + "\n")) if own else ""
        return python + (self._call(rest) if rest.strip() else "")

    def _call(self, text: str) -> str:
        # A magic that transforms what it was given, such as %time, runs it and cannot wait.
        inside = getattr(self.displayhook, "exec_result", None) is not None
        if "await" in text and self.autoawait and not inside:
            return f"await get_ipython().run_klor_async({text!r})\n"
        return f"get_ipython().run_klor({text!r})\n"

    def run_klor(self, text: str) -> Any:
        """Evaluate a text and give the value of its last form."""
        return self.klorpy.run(text)

    async def run_klor_async(self, text: str) -> Any:
        """The same; what the text awaits is awaited on the kernel's loop."""
        return await self.klorpy.run_async(text)

    def showtraceback(self, exc_tuple: Any = None, *args: Any, **kwargs: Any) -> None:
        if not self.klorpy.show_error(exc_tuple):
            super().showtraceback(exc_tuple, *args, **kwargs)

    def reset(self, *args: Any, **kwargs: Any) -> None:
        super().reset(*args, **kwargs)
        # Until the shell is made, there is nothing to make anew.
        if hasattr(self, "klorpy"):
            self.klorpy.session.close()
            self.klorpy = Cells(self)


InteractiveShellABC.register(KlorpyShell)

#: Values that are shown as Hy writes them, and how many characters of them.
_AS_HY = (list, tuple, dict, set, frozenset, str, bytes, complex, Fraction, Keyword, Object)
_LONGEST = 10_000


def _pretty(value: Any, printer: Any, cycle: bool) -> None:
    printer.text(show(value, _LONGEST))


def _is_ipython_line(line: str) -> bool:
    return re.match(r"%\w|!", line) is not None


def _is_ipython(code: str) -> bool:
    return re.match(r"\s*(%{1,2}\w|!|\?)", code) is not None


class KlorpyKernel(IPythonKernel):  # type: ignore[misc]
    """The kernel. What it says of a text, it asks the session of its shell."""

    shell_class = Type(KlorpyShell)
    implementation = "klorpy"
    implementation_version = klorpy.__version__
    banner = f"klorpy {klorpy.__version__}: choreographies in Hy. ,help shows the commands."
    language_info = {
        "name": "klor",
        "version": klorpy.__version__,
        "mimetype": "text/x-hylang",
        "codemirror_mode": "clojure",
        "pygments_lexer": "klor",
        "file_extension": ".hy",
    }

    def do_is_complete(self, code: str) -> dict[str, Any]:
        if _is_ipython(code):
            return dict(super().do_is_complete(code))
        status = self.shell.klorpy.session.status(code)
        if status is Status.INCOMPLETE:
            return {"status": "incomplete", "indent": "  "}
        return {"status": "complete" if status is Status.COMPLETE else "invalid"}

    def do_complete(self, code: str, cursor_pos: int | None) -> dict[str, Any]:
        if _is_ipython(code):
            return dict(super().do_complete(code, cursor_pos))
        cursor = len(code) if cursor_pos is None else cursor_pos
        found = self.shell.klorpy.session.complete(code, cursor)
        start = found[0].start if found else cursor
        found = [c for c in found if c.start == start]
        details = [
            {"start": start, "end": cursor, "text": c.text, "type": c.kind, "signature": c.signature} for c in found
        ]
        return {
            "status": "ok",
            "matches": [c.text for c in found],
            "cursor_start": start,
            "cursor_end": cursor,
            "metadata": {"_jupyter_types_experimental": details},
        }

    def do_inspect(
        self, code: str, cursor_pos: int, detail_level: int = 0, omit_sections: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        if _is_ipython(code):
            return dict(super().do_inspect(code, cursor_pos, detail_level, omit_sections))
        name = name_at(code, cursor_pos)
        data = self._described(name) if name else {}
        return {"status": "ok", "found": bool(data), "data": data, "metadata": {}}

    def _described(self, name: str) -> dict[str, str]:
        value = self.shell.user_ns.get(mangle(name))
        if isinstance(value, Choreography):
            return choreography_bundle(value)
        try:
            output = commands.run(self.shell.klorpy.session, f",doc {name}")
        except KlorError:
            return {}
        return {"text/plain": output.text(Palette((), False))}


def name_at(code: str, cursor: int) -> str | None:
    """The name at the cursor, or else the head of the form around it.

    >>> name_at("(buy-book 1)", 4), name_at("(buy-book 1 )", 12), name_at("1", 1)
    ('buy-book', 'buy-book', None)
    """
    for match in re.finditer(r"[^\s()\[\]{}\"';`~,]+", code):
        if match.start() <= cursor <= match.end() and not re.fullmatch(r"[-+.\d]+", match[0]):
            return match[0]
    depth = 0
    for i in range(min(cursor, len(code)) - 1, -1, -1):
        if code[i] in ")]}":
            depth += 1
        elif code[i] in "([{":
            depth -= 1
            if depth < 0:
                head = re.match(r"\(\s*([^\s()\[\]{}\"';`~,]+)", code[i:])
                return head[1] if head else None
    return None
