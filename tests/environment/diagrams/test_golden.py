"""Golden files: the charts and graphs of some runs, in every form. Review a difference by looking at the picture.

`pytest tests/environment/diagrams --refresh-golden` writes them anew.
"""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

import klorpy
from klorpy.environment.diagrams import Drawing, chart, role_graph
from tests.environment.diagrams.runs import RUNS, example, texts

HERE = Path(__file__).parent / "golden"

GRAPHS = {
    "bookseller": lambda: example("bookseller", "buy_book"),
    "mergesort": lambda: example("mergesort", "mergesort"),
    "two-buyers": lambda: example("two_buyers", "buy_with_help"),
    "two-backups": lambda: example("store_with_backups", "two_backups"),
    "awkward": lambda: texts().awkward,
    "mergesort-run": RUNS["mergesort"],
}


@pytest.mark.parametrize("suffix", ["svg", "txt", "mmd"])
@pytest.mark.parametrize("name", RUNS)
def test_chart(name: str, suffix: str, refresh_golden: bool, tmp_path: Path) -> None:
    compare(chart(RUNS[name]()), f"chart-{name}.{suffix}", refresh_golden, tmp_path)


@pytest.mark.parametrize("suffix", ["svg", "txt", "mmd"])
@pytest.mark.parametrize("name", GRAPHS)
def test_graph(name: str, suffix: str, refresh_golden: bool, tmp_path: Path) -> None:
    compare(role_graph(GRAPHS[name]()), f"graph-{name}.{suffix}", refresh_golden, tmp_path)


def test_no_golden_file_is_left_over() -> None:
    wanted = {f"chart-{name}" for name in RUNS} | {f"graph-{name}" for name in GRAPHS}
    assert {path.stem for path in HERE.iterdir()} == wanted


def test_the_picture_of_the_readme(refresh_golden: bool, tmp_path: Path) -> None:
    folder = Path(klorpy.__file__).parent.parent / "docs" / "images"
    compare(chart(RUNS["bookseller"]()), "bookseller.svg", refresh_golden, tmp_path, folder)


def compare(drawing: Drawing, name: str, refresh: bool, tmp_path: Path, folder: Path = HERE) -> None:
    path = folder / name
    if refresh:
        drawing.save(path)
    drawing.save(tmp_path / name)
    expected, actual = path.read_text(encoding="utf-8"), (tmp_path / name).read_text(encoding="utf-8")
    difference = "\n".join(difflib.unified_diff(expected.splitlines(), actual.splitlines(), lineterm="", n=1))
    assert actual == expected, f"{name} differs; --refresh-golden writes it anew\n{difference[:3000]}"
