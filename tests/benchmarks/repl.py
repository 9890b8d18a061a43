"""The prompt: a key in a long text, and the time from the command to the prompt."""

from __future__ import annotations

import atexit
import os
import pty
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from prompt_toolkit.application import create_app_session
from prompt_toolkit.data_structures import Size
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output.vt100 import Vt100_Output

from klorpy.environment.repl.config import Config
from klorpy.environment.repl.prompt import Prompt
from klorpy.environment.session import Session
from tests.benchmarks.measure import Contest, Run

#: Seconds that a key may take in a text of 200 lines, and from the command to the prompt.
KEY: Final = 0.030
START: Final = 0.400


def text_of(lines: int) -> str:
    """A definition of so many lines, with the cursor's place open at its end."""
    body = [f'    x{i} (A->B (A (+ x{i - 1} (get table "k{i}") {i})))  ; step {i}' for i in range(1, lines - 1)]
    return "\n".join(["(defchor long [A B] (-> A B) [x0 table]", "  (let [", *body])


class _Sink:
    """A terminal of so many rows that shows nothing, and knows what it was given."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.written = 0

    def write(self, text: str) -> None:
        self.written += len(text)

    def flush(self) -> None: ...

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return -1


def keys(lines: int, count: int) -> Callable[[], tuple[float, Any]]:
    """Type `count` letters into the third line of `lines`; measures from each key to the drawn screen."""

    given = text_of(lines)

    def measure() -> tuple[float, Any]:
        times: list[float] = []
        with create_pipe_input() as pipe, Session() as session:
            output = Vt100_Output(_Sink(), lambda: Size(rows=50, columns=120), term="xterm-256color", enable_cpr=False)  # type: ignore[arg-type]
            with create_app_session(input=pipe, output=output):
                prompt = Prompt(
                    session, Config(), commands={}, history=InMemoryHistory(), colour=True, input=pipe, output=output
                )  # fmt: skip
                begun = 0.0

                def drawn(_: object) -> None:
                    nonlocal begun
                    if begun:
                        times.append(time.perf_counter() - begun)
                    if len(times) == count:
                        prompt.app.exit(result=prompt.default_buffer.text)
                        begun = 0.0
                        times.append(0.0)
                    elif len(times) < count:
                        if not begun:
                            prompt.default_buffer.cursor_position = len("\n".join(given.split("\n")[:3]))
                        begun = time.perf_counter()
                        pipe.send_text("k")

                prompt.app.after_render += drawn
                text = prompt.prompt(default=given)
        return sum(times), len(text) - len(given)

    return measure


def keypress(lines: int, count: int, repeats: int) -> Contest:
    """A key against the time that it may take."""
    subject = Run(f"a key in {lines} lines", keys(lines, count), count, count)
    return Contest(f"a key in a text of {lines} lines", subject, KEY, 1.0, "ms", 1e3, repeats)


@cache
def _bytecode() -> str:
    """A folder for the bytecode, which the first process fills; removed at the end."""
    folder = tempfile.mkdtemp(prefix="klorpy-bytecode-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def start() -> tuple[float, Any]:
    """From the command to the prompt, in a terminal of its own, with the bytecode that an installed klorpy has."""
    with tempfile.TemporaryDirectory() as folder:
        environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        environ |= {"XDG_STATE_HOME": folder, "XDG_CONFIG_HOME": folder, "PROMPT_TOOLKIT_NO_CPR": "1"}
        environ |= {"TERM": "xterm-256color", "PYTHONPYCACHEPREFIX": _bytecode()}
        master, slave = pty.openpty()
        begin = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-c", "from klorpy.environment.repl import main; main()"],
            stdin=slave, stdout=slave, stderr=slave, env=environ, start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        seen = b""
        try:
            while b"klor>" not in seen:
                ready, _, _ = select.select([master], [], [], 30)
                if not ready:
                    raise TimeoutError(seen)
                seen += os.read(master, 65536)
            return time.perf_counter() - begin, True
        finally:
            process.kill()
            process.wait()
            os.close(master)


def starting(repeats: int) -> Contest:
    """From the command to the prompt against the time that it may take."""
    return Contest("from klorpy to the prompt", Run("klorpy", start, 1, True), START, 1.0, "ms", 1e3, repeats)
