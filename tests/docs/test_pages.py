"""Every code block of the documentation runs, and what is shown is what happens.

`pytest tests/docs --refresh-golden` writes what happens into the pages; review the difference as you would review code.
"""

from __future__ import annotations

import difflib
import importlib.util
import re
import types
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

import klorpy
from klorpy.core.diagnostics import TITLES
from klorpy.environment.cli import main
from klorpy.language.check import check
from tests.docs.pages import FENCE, play
from tests.runtime.transports.nats_server import MISSING, PROGRAM

DOCS = Path(__file__).parent.parent.parent / "docs"
#: The folders whose pages are run; the catalogue of errors among the references has tests of its own.
FOLDERS = ("tutorial", "how-to", "out-of-order", "conversations", "theory")
PAGES = sorted([DOCS / "index.md", DOCS / "reference" / "command-line.md", *(page for folder in FOLDERS for page in (DOCS / folder).glob("*.md"))])
ALL = sorted(DOCS.rglob("*.md"))


def name(path: Path) -> str:
    return str(path.relative_to(DOCS))


@pytest.fixture(autouse=True)
def plain_options() -> Iterator[None]:
    before = klorpy.alter_opts({})
    yield
    klorpy.alter_opts(before)


def compare(path: Path, actual: str, refresh: bool) -> None:
    shown = path.read_text(encoding="utf-8")
    if refresh and actual != shown:
        path.write_text(actual, encoding="utf-8")
    elif actual != shown:
        diff = difflib.unified_diff(shown.splitlines(), actual.splitlines(), "shown", "what happens", lineterm="", n=8)
        pytest.fail("\n".join([name(path), *diff]), pytrace=False)


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_what_a_page_shows_is_what_happens(
    path: Path, tmp_path: Path, refresh_golden: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Agreements are compared by default under pytest; the reader is at the prompt.
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    if "```ipython" in path.read_text(encoding="utf-8"):
        pytest.importorskip("IPython", reason="this page needs the extra `jupyter`")
    if path.stem == "nats" and PROGRAM is None:
        pytest.skip(MISSING)
    compare(path, play(path.read_text(encoding="utf-8"), path.stem, tmp_path), refresh_golden)


def test_a_wrong_page_is_noticed(tmp_path: Path) -> None:
    def shown(text: str) -> str:
        return play(text, "page", tmp_path)

    assert shown("```hy\n(print 1)\n```\n\n```text\n2\n```\n") == "```hy\n(print 1)\n```\n\n```text\n1\n```\n"
    assert shown("```repl\n=> (+ 1\n      2)\n4\n```") == "```repl\n=> (+ 1\n      2)\n3\n```"
    file = "```python\n# one.py\nprint('yes')\n```\n"
    assert shown(file + "```console\n$ python one.py\nno\n```").endswith("$ python one.py\nyes\n```")
    assert shown(file + "```console\n$ python one.py\n…\n```").endswith("$ python one.py\n…\n```")
    with pytest.raises(AssertionError, match="does not show what"):
        shown("```hy\n(print 1)\n```\n\nProse.\n")
    with pytest.raises(ZeroDivisionError):
        shown("```hy\n(/ 1 0)\n```\n")
    with pytest.raises((klorpy.KlorError, klorpy.KlorWarning), match="never used"):
        shown("```hy\n(defchor f [A B] (-> A) [] (A 1))\n```\n")


@pytest.mark.parametrize("path", ALL, ids=name)
def test_blocks_are_of_a_kind_that_is_tested_or_known(path: Path) -> None:
    kinds = {kind for kind, _ in FENCE.findall(path.read_text(encoding="utf-8"))}
    assert kinds <= {"hy", "python", "text", "repl", "console", "ipython", "sh", "toml", "ini"}


@pytest.mark.parametrize("path", ALL, ids=name)
def test_links_lead_somewhere(path: Path) -> None:
    anchors = {slug: re.compile(rf"^\({slug}\)=$", re.MULTILINE) for slug in TITLES}
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", path.read_text(encoding="utf-8"))):
        file, _, anchor = target.partition("#")
        if file.startswith("http"):
            continue
        page = path.parent / file if file else path
        assert page.exists(), target
        if anchor in anchors:
            assert anchors[anchor].search(page.read_text(encoding="utf-8")), target


def test_the_command_line_is_described_whole(capsys: pytest.CaptureFixture[str]) -> None:
    page = (DOCS / "reference" / "command-line.md").read_text(encoding="utf-8")
    with pytest.raises(SystemExit):
        main(["--help"])
    commands = re.findall(r"^    (\w+)", capsys.readouterr().out.partition("COMMAND")[2], re.MULTILINE)
    assert "run" in commands
    for command in commands:
        assert f"klorpy {command}" in page
        with pytest.raises(SystemExit):
            main([command, "--help"])
        for option in re.findall(r"^  (--\w+)", capsys.readouterr().out, re.MULTILINE):
            assert option in page, f"{command} {option}"


# --- The catalogue of errors ------------------------------------------------------------------------------------------


def _catalogue() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("catalogue", DOCS / "reference" / "catalogue.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


catalogue = _catalogue()
MENDED: dict[str, tuple[str, str]] = catalogue.mended()


def test_every_slug_has_an_entry_in_its_part() -> None:
    assert [*MENDED, "internal"] == list(TITLES)
    assert set(catalogue.PARTS) <= set(TITLES)
    page = (DOCS / "reference" / "errors.md").read_text(encoding="utf-8")
    assert re.findall(r"^### (.*)$", page, re.MULTILINE) == list(TITLES)


def test_the_catalogue_is_up_to_date(refresh_golden: bool) -> None:
    compare(DOCS / "reference" / "errors.md", catalogue.page(), refresh_golden)


@pytest.mark.parametrize("slug", MENDED)
def test_an_entry_shows_its_error_and_mends_it(slug: str, capsys: pytest.CaptureFixture[str]) -> None:
    why, right = MENDED[slug]
    wrong, said = catalogue.case_of(slug)  # tests/golden holds that this is what klorpy says
    assert f"[{slug}]" in said or slug in ("signature-changed", "functions-not-compared")
    assert why.endswith(".")
    assert right != wrong
    with warnings.catch_warnings():
        warnings.simplefilter("error", klorpy.KlorWarning)
        klorpy.evaluate(right, filename="mended.hy")
    assert check("(require klorpy *)\n" + right, "mended.hy").warnings == ()
