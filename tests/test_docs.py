"""The README and the documentation do what they say: every code block runs, every shown error is what is shown."""

from __future__ import annotations

import re
import shlex
import warnings
from pathlib import Path

import pytest

import klorpy
from klorpy.environment.cli import main

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "docs" / "language.md"]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_blocks_run(page: Path) -> None:
    namespace = klorpy.evaluate("(import klorpy)\n(defn ship [address] address)")
    blocks = BLOCK.findall(page.read_text())
    assert len([kind for kind, _ in blocks if kind in ("hy", "python")]) > 4
    for (kind, text), (following, output) in zip(blocks, [*blocks[1:], ("", "")], strict=True):
        if kind == "python":
            exec(compile(text, page.name, "exec"), vars(namespace))
        elif kind == "hy" and following == "text" and output.startswith("error["):
            with pytest.raises(klorpy.KlorError) as caught:
                klorpy.evaluate("(require klorpy *)\n\n" + text, filename="double.hy")
            assert caught.value.render() == output.rstrip("\n")
        elif kind == "hy":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", klorpy.KlorWarning)
                klorpy.evaluate(text, module=namespace)


def test_commands_of_the_readme_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "README.md").read_text()
    (double,) = [
        block for kind, block in BLOCK.findall(text) if kind == "hy" and block.startswith("(require") and "double" in block
    ]
    (tmp_path / "double.hy").write_text(double)
    (tmp_path / "klorpy").symlink_to(ROOT / "klorpy")
    monkeypatch.chdir(tmp_path)
    shell = "\n".join(block for kind, block in BLOCK.findall(text) if kind == "sh").replace("\\\n", " ")
    commands = [line for line in shell.splitlines() if line.startswith(".venv/bin/klorpy ")]
    assert len(commands) == 5
    out = {}
    for command in commands:
        assert main(shlex.split(command, comments=True)[1:]) == 0, command
        out[command.split()[1]] = capsys.readouterr().out
        assert (command.split()[1] == "launch") == ('"2030-' in out[command.split()[1]])
    assert "A  42" in out["run"]
    assert "B exited normally" in out["launch"]


def test_the_decisions_are_numbered_and_complete() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    for number, page in enumerate(pages, 1):
        text = page.read_text()
        assert page.name.startswith(f"{number:04}-")
        assert text.startswith(f"# {number}. ")
        for part in ("**Context.**", "**Decision.**", "**Cost.**"):
            assert part in text, page.name


def test_links_lead_somewhere() -> None:
    for page in [*PAGES, *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"
