"""Pages of the documentation as things that happen.

`play(text, …)` does what a page shows and gives the page with what really came of it; a page is right when that is the
page itself. What a fenced block means is said by its word:

    hy, python   evaluated in the namespace of the page. A `text` block right below it is what it prints, or the error
                 that it raises. A block whose first line is a comment with a file's name is that file instead.
    repl         a session at the prompt, one for each page
    ipython      a cell of an IPython notebook
    console      commands after `$ `, with what they print; a line `…` stands for any lines. Commands after `name$ ` are
                 in terminals of their own, and run at the same time; what serves is interrupted when the others have
                 ended. A port such as :4000 is some free one, :4222 that of a NATS server. Where roles of a launch end may differ, and whether one
                 terminal waits for another.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import types
import warnings
from contextlib import chdir, redirect_stderr, redirect_stdout
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import klorpy
from klorpy.environment.cli import main
from klorpy.environment.present import Palette, error_text
from klorpy.environment.session import Session, Status, render
from tests.runtime.transports.nats_server import shared_server

FENCE = re.compile(r"^```([\w-]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED_FILE = re.compile(r"(?:;|#) ([\w/-]+\.(?:hy|py|toml|ini))\n")
#: The prompt of a terminal that has a name.
TERMINAL = re.compile(r"^(?=\w+\$ )", re.MULTILINE)
PORT = re.compile(r":4\d{3}\b")
#: The port of NATS servers.
NATS = ":4222"
PROMPT = "=> "
INDENT = " " * len(PROMPT)


def play(text: str, name: str, folder: Path) -> str:
    """The page `text` with what happens when its blocks are run in `folder`."""
    page = _Page(name, folder)
    out: list[str] = []
    end = 0
    output: str | None = None
    for block in FENCE.finditer(text):
        gap, (kind, body) = text[end : block.start()], block.groups()
        end = block.end()
        if kind == "text" and output is not None and not gap.strip():
            body, output = output, None
        else:
            assert not output, f"{name}: the page does not show what this block prints:\n{output}"
            shown = re.match(r"\s*^```text$", text[end:], re.MULTILINE) is not None
            body, output = page.block(kind, body, shown)
        out.append(f"{gap}```{kind}\n{body}```")
    assert not output, f"{name}: the page does not show what its last block prints:\n{output}"
    page.close()
    return "".join(out) + text[end:]


class _Page:
    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.namespace: types.ModuleType = klorpy.evaluate("(import klorpy [simulate-chor explore])", name=name)
        self._session: Session | None = None
        self._shell: Any = None

    def block(self, kind: str, body: str, shown: bool) -> tuple[str, str | None]:
        """A block as it should be, and what it prints."""
        named = NAMED_FILE.match(body)
        if kind in ("hy", "python", "toml", "ini") and named:
            path = self.folder / named[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(body, encoding="utf-8")
            return body, None
        if kind in ("hy", "python"):
            return body, self.run(kind, body, shown)
        if kind == "repl":
            return self.repl(body), None
        if kind == "console":
            return self.console(body), None
        if kind == "ipython":
            return body, self.cell(body)
        return body, None

    def run(self, kind: str, body: str, shown: bool) -> str:
        """Evaluate a block and give what it prints, and its error if the page shows it."""
        file = io.StringIO()
        with warnings.catch_warnings(), redirect_stdout(file), chdir(self.folder):
            warnings.simplefilter("error" if not shown else "ignore", klorpy.KlorWarning)
            try:
                if kind == "hy":
                    klorpy.evaluate(body, module=self.namespace, filename=f"{self.name}.hy")
                else:
                    code = compile(body, f"{self.name}.py", "exec", dont_inherit=True)
                    exec(code, vars(self.namespace))
            except Exception as error:
                if not shown:
                    raise
                file.write(error_text(error) + "\n")
        return file.getvalue()

    def repl(self, body: str) -> str:
        if self._session is None:
            self._session = Session()
        lines = body.splitlines()
        out = []
        while lines:
            line = lines.pop(0)
            if not line.startswith(PROMPT):
                continue  # what the page said that was shown
            entry = [line]
            source = line[len(PROMPT) :]
            while self._session.status(source) is Status.INCOMPLETE and lines and lines[0].startswith(INDENT):
                entry.append(lines.pop(0))
                source += "\n" + entry[-1][len(INDENT) :]
            out += entry
            out += self.answer(self._session, source).splitlines()
        return "\n".join(out) + "\n"

    def answer(self, session: Session, source: str) -> str:
        file = io.StringIO()
        with redirect_stdout(file):
            for outcome in session.evaluate(source):
                shown = render(outcome, Palette((), False))
                if shown:
                    print(shown)
        return file.getvalue()

    def cell(self, body: str) -> str:
        """Run a cell of a notebook and give its value as text."""
        from IPython.core.interactiveshell import InteractiveShell
        from traitlets.config import Config

        if self._shell is None:
            settings = Config()
            settings.HistoryManager.enabled = False
            # The shell takes the place of the main module, which is not its own here.
            main_module = sys.modules["__main__"]
            self._shell = InteractiveShell(config=settings, ipython_dir=str(self.folder / "ipython"))
            sys.modules["__main__"] = main_module
        with redirect_stdout(io.StringIO()):
            result = self._shell.run_cell(body)
        result.raise_error()
        return "" if result.result is None else f"{result.result}\n"

    def console(self, body: str) -> str:
        if TERMINAL.match(body):
            return self.terminals(body)
        out = []
        for part in re.split(r"^(?=\$ )", body, flags=re.MULTILINE):
            command, _, said = part.partition("\n")
            if not command:
                continue
            actual = self.command(command[2:])
            out.append(command + "\n" + (said if _fits(said, actual) else actual))
        return "".join(out)

    def command(self, text: str) -> str:
        words = shlex.split(text, comments=True)
        if words[0] == "klorpy":
            file = io.StringIO()
            with redirect_stdout(file), redirect_stderr(file), chdir(self.folder):
                main(words[1:])
            return file.getvalue()
        if words[0] not in ("pytest", "python"):
            return ""
        if words[0] == "pytest":
            words[:1] = ["python", "-m", "pytest", "-p", "no:cacheprovider", *_plugin()]
        done = subprocess.run(
            [sys.executable, *words[1:]], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=60, check=False, env=_plain_environment(),
        )  # fmt: skip
        return re.sub(r" in \d+\.\d+s$", "", done.stdout, flags=re.MULTILINE)

    def terminals(self, body: str) -> str:
        """Commands in several terminals, started from the top to the bottom."""
        parts = [part.partition("\n") for part in TERMINAL.split(body) if part]
        commands = [command for command, _, _ in parts]
        ports: dict[str, str] = {}
        processes: list[subprocess.Popen[str]] = []
        said: dict[int, str] = {}
        try:
            for command in commands:
                text = PORT.sub(lambda found: ports.setdefault(found[0], _port_for(found[0])), command.partition("$ ")[2])
                words = shlex.split(text, comments=True)
                assert words[0] == "klorpy", command
                processes.append(subprocess.Popen(
                    [sys.executable, "-m", *words], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                    env=_plain_environment(),
                ))  # fmt: skip
                if "klorpy trace --nats" in command:
                    # What is over before it came, it cannot see.
                    stream = processes[-1].stdout
                    assert stream is not None
                    first = stream.readline()
                    assert first.startswith("waiting for session"), first
            for serves in (False, True):
                for i, process in enumerate(processes):
                    if ("--serve" in commands[i]) == serves:
                        if serves:
                            process.send_signal(signal.SIGINT)
                        said[i] = process.communicate(timeout=60)[0]
        finally:
            for process in processes:
                process.kill()
        out = []
        for i, (_, _, shown) in enumerate(parts):
            actual = re.sub(r"^waiting for .*\n", "", said[i], flags=re.MULTILINE)
            for port, free in ports.items():
                actual = actual.replace(free, port)
            out.append(commands[i] + "\n" + (shown if _fits(shown, actual) else actual))
        return "".join(out)

    def close(self) -> None:
        if self._session is not None:
            self._session.close()


def _port_for(port: str) -> str:
    return f":{shared_server().port}" if port == NATS else _free_port()


def _free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return f":{sock.getsockname()[1]}"


def _fits(said: str, actual: str) -> bool:
    """Whether `said`, where a line `…` stands for any lines, is what was printed."""
    pattern = "".join(r"(?:.*\n)*?" if line == "…\n" else re.escape(line) for line in said.splitlines(keepends=True))
    return re.fullmatch(pattern, actual) is not None or _without_ends(said) == _without_ends(actual)


def _without_ends(text: str) -> tuple[list[str], list[str]]:
    """What a launch shows, and how its roles ended: that is concurrent with what the others do."""
    lines = text.splitlines()
    ends = [line for line in lines if line.endswith(" exited normally")]
    return [line for line in lines if line not in ends], sorted(ends)


def _plain_environment() -> dict[str, str]:
    # CI and BUILD_NUMBER: with them pytest does not shorten the lines of its summary.
    dropped = ("PYTEST_CURRENT_TEST", "PYTEST_ADDOPTS", "PYTEST_PLUGINS", "CI", "BUILD_NUMBER")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return {**kept, "COLUMNS": "80", "NO_COLOR": "1"}


def _plugin() -> list[str]:
    plugin = "klorpy.environment.pytest_plugin"
    return [] if any(point.value == plugin for point in entry_points(group="pytest11")) else ["-p", plugin]
