"""What notebooks show of klorpy's values: a run as a table and a chart, a choreography with its type, an error.

Each value has a *bundle*: its texts by media type, of which the front end takes the richest.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from html import escape
from typing import Any, Final

from IPython.display import display

from klorpy.core.choreography import Choreography
from klorpy.core.diagnostics import KlorError
from klorpy.core.events import describe_error
from klorpy.core.values import show
from klorpy.environment.diagrams import chart
from klorpy.environment.diagrams.order import order_chart
from klorpy.environment.present import Palette, error_text, exploration_lines, result_lines
from klorpy.outoforder.explain import Explanation
from klorpy.simulator import Exploration, Progress, Simulation, watching

Bundle = dict[str, str]

#: Messages up to which a chart is drawn without being asked for.
CHARTED: Final = 100_000

_TABLE: Final = "border-collapse:collapse;margin:0 0 .6em"
_CELL: Final = "text-align:left;vertical-align:top;padding:.15em 1em .15em 0"


def simulation_bundle(simulation: Simulation) -> Bundle:
    """The result of each role, what it printed, and the chart of the messages."""
    drawing = _chart(simulation)
    plain = "\n".join(result_lines(simulation, Palette(simulation.roles, False)))
    html = _table(simulation)
    if drawing is not None:
        plain += f"\n\n{drawing.text()}"
        html += drawing.svg()
    if simulation.verdict is not None:
        plain += f"\n\n{simulation.verdict.render()}"
        html += _pre(simulation.verdict.render())
    return {"text/plain": plain, "text/html": html}


def choreography_bundle(chor: Choreography) -> Bundle:
    """Its name, its type and its documentation."""
    doc = chor.definition.doc if chor.definition is not None else None
    state = "" if chor.definition is not None else "declared, not yet defined"
    plain = "\n".join(filter(None, (f"{chor.name}  {chor.signature}", state, doc)))
    html = f"<b>{escape(chor.name)}</b>&ensp;<code>{escape(str(chor.signature))}</code>"
    html += "".join(f"<p>{escape(text)}</p>" for text in (state, doc) if text)
    return {"text/plain": plain, "text/html": html}


def exploration_bundle(found: Exploration) -> Bundle:
    """How many schedules there were, and the run that differs, or the one that all are like."""
    lines = exploration_lines(found, f"the seed {show(found.seed)}")
    bundle = simulation_bundle(found.first if found.different is None else found.different)
    plain, html = "\n".join(lines), "<br>".join(map(escape, "\n".join(lines).splitlines()))
    return {"text/plain": f"{plain}\n\n{bundle['text/plain']}", "text/html": f"<p>{html}</p>{bundle['text/html']}"}


def explanation_bundle(found: Explanation) -> Bundle:
    """What waits for what, as a picture, with the warnings below it."""
    warnings = "".join(f"<p>warning: {escape(warning)}</p>" for warning in found.warnings)
    return {"text/plain": str(found), "text/html": order_chart(found).svg() + warnings}


def error_bundle(error: KlorError) -> Bundle:
    """The error with the guilty form underlined."""
    text = error_text(error)
    return {"text/plain": text, "text/html": _pre(text)}


def _chart(simulation: Simulation) -> Any:
    """The chart, its middle folded when it is long; None for a run without messages or trace, and for a huge one."""
    try:
        if not 0 < len(simulation.messages) <= CHARTED:
            return None
    except KlorError:  # no trace
        return None
    return chart(simulation)


def _table(simulation: Simulation) -> str:
    outputs = any(simulation.outputs.values())
    rows = [_row("th", ["role", "result", *(["printed"] if outputs else [])])]
    for role in simulation.roles:
        printed = [_pre(simulation.outputs.get(role, "").rstrip("\n"))] if outputs else []
        rows.append(_row("td", [f"<b>{escape(role)}</b>", _outcome(simulation, role), *printed]))
    return f'<table style="{_TABLE}">{"".join(rows)}</table>'


def _pre(text: str) -> str:
    return f'<pre style="font-family:monospace;margin:0">{escape(text)}</pre>'


def _row(tag: str, cells: list[str]) -> str:
    inner = "".join(f'<{tag} style="{_CELL}">{cell}</{tag}>' for cell in cells)
    return f"<tr>{inner}</tr>"


def _outcome(simulation: Simulation, role: str) -> str:
    if role in simulation.results:
        return f"<code>{escape(show(simulation.results[role], 500))}</code>"
    if role in simulation.failures:
        return f"failed: {escape(describe_error(simulation.failures[role]))}"
    if role in simulation.blocked:
        return f"waits for {escape(simulation.blocked[role].waits_for or 'host code')}"
    return "was stopped"


# --- Registering ------------------------------------------------------------------------------------------------------

_BUNDLES: Final[dict[type, Callable[[Any], Bundle]]] = {
    Simulation: simulation_bundle,
    Choreography: choreography_bundle,
    Exploration: exploration_bundle,
    Explanation: explanation_bundle,
    KlorError: error_bundle,
}


def register_formatters(shell: Any) -> None:
    """Let `shell` (an IPython shell) show klorpy's values by their bundles."""
    formatter = shell.display_formatter.mimebundle_formatter
    for kind, bundle in _BUNDLES.items():
        formatter.for_type(kind, lambda value, include=None, exclude=None, bundle=bundle: bundle(value))


def unregister_formatters(shell: Any) -> None:
    for kind in _BUNDLES:
        shell.display_formatter.mimebundle_formatter.pop(kind, None)


# --- Texts ------------------------------------------------------------------------------------------------------------


class Line:
    """A text that is shown as it is, without quotes."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


_HEAD = re.compile(r"^(?:(error)|warning)\[[\w-]+\]", re.MULTILINE)
_MARK = re.compile(r"^( *\| +)(\^+.*)$", re.MULTILINE)


def coloured(text: str) -> str:
    """A diagnostic as text with its kind and its underlined form in colour, as front ends show it."""
    text = _HEAD.sub(lambda match: f"\x1b[{'1;31' if match[1] else '1;33'}m{match[0]}\x1b[0m", text)
    return _MARK.sub("\\1\x1b[31m\\2\x1b[0m", text)


# --- Progress ---------------------------------------------------------------------------------------------------------

#: Seconds after which progress is shown, and between two looks at it.
PATIENCE: Final = 1.0
INTERVAL: Final = 0.2


@contextmanager
def showing_progress() -> Iterator[None]:
    """Runs inside that take longer than a second show how far they are, in the output of the cell."""
    watcher = _Watcher()
    try:
        with watching(watcher.observe):
            yield
    finally:
        watcher.end()


class _Run:
    """A run under way, and the line of output that tells of it, once there is one."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.start = time.monotonic()
        self.handle: Any = None

    def draw(self) -> None:
        line = Line(progress_text(self.progress, time.monotonic() - self.start))
        if self.handle is None:
            self.handle = display(line, display_id=True)
        else:
            self.handle.update(line)


class _Watcher:
    """Looks at the runs of one cell from a thread that starts with the first of them."""

    def __init__(self) -> None:
        self._runs: list[_Run] = []
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def observe(self, progress: Progress) -> Iterator[None]:
        run = _Run(progress)
        with self._lock:
            self._runs.append(run)
        if self._thread is None:
            # The thread gets the context of the cell, by which the front end knows where its output belongs.
            self._thread = threading.Thread(target=copy_context().run, args=(self._watch,), daemon=True)
            self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._runs.remove(run)
                if run.handle is not None:
                    run.draw()

    def _watch(self) -> None:
        while not self._ended.wait(INTERVAL):
            with self._lock:
                if self._runs and time.monotonic() - self._runs[-1].start >= PATIENCE:
                    self._runs[-1].draw()

    def end(self) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()


def progress_text(progress: Progress, seconds: float) -> str:
    """How far a run is, on one line: `double: 12,345 messages in 2.3 s`."""
    messages = progress.messages
    if progress.total is not None:
        done = f"{progress.done:,} of at most {progress.total:,} schedules in "
    else:
        done = "" if messages is None else f"{messages:,} message{'' if messages == 1 else 's'} in "
    return f"{progress.choreography.name}: {done}{seconds:.1f} s"
