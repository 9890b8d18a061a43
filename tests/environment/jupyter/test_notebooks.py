"""The notebooks of the project: they run, hold what they assert, and show what their text says they show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .conftest import PATIENCE, plain, users_environment

nbformat = pytest.importorskip("nbformat", reason="nbclient is not installed")
nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
pytest.importorskip("ipykernel", reason="klorpy[jupyter] is not installed")

NOTEBOOKS = sorted((Path(__file__).parents[3] / "notebooks").glob("*.ipynb"))
RAISES = "raises-exception"


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request: pytest.FixtureRequest, jupyter_home: Path) -> Any:
    """An executed notebook, with its file's stem."""
    found = nbformat.read(request.param, as_version=4)
    # A cell that raises fails here, unless its tag says that it is meant to.
    nbclient.NotebookClient(found, timeout=PATIENCE).execute(env=users_environment())
    found.stem = request.param.stem
    return found


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def errors(notebook: Any) -> list[str]:
    return [plain("\n".join(out.traceback)) for out in _outputs(notebook) if out.output_type == "error"]


def shown(notebook: Any, kind: str = "text/plain") -> str:
    return "\n".join(out.data.get(kind, "") for out in _outputs(notebook) if "data" in out)


def stderr(notebook: Any) -> str:
    streams = [out for out in _outputs(notebook) if out.output_type == "stream" and out.name == "stderr"]
    return plain("".join(out.text for out in streams))


def _outputs(notebook: Any) -> list[Any]:
    return [out for cell in code_cells(notebook) for out in cell.outputs]


def test_there_are_five() -> None:
    assert [path.stem[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_kept_without_outputs(path: Path) -> None:
    found = nbformat.read(path, as_version=4)
    nbformat.validate(found)
    assert found.metadata.kernelspec.name == "klorpy"
    for cell in code_cells(found):
        assert cell.outputs == []
        assert cell.execution_count is None
    assert any("(assert " in cell.source for cell in code_cells(found))


def test_a_cell_that_is_meant_to_fail_fails(notebook: Any) -> None:
    for cell in code_cells(notebook):
        failed = any(out.output_type == "error" for out in cell.outputs)
        assert failed == (RAISES in cell.metadata.get("tags", ())), cell.source


def test_what_each_shows(notebook: Any) -> None:
    text = shown(notebook)
    match notebook.stem[:2]:
        case "01":
            assert 'Client  "Hello, Ada!"\nServer  noop' in text
            assert "<svg" in shown(notebook, "text/html")
            assert "yield (RECEIVE, Client, s1)" in text
            (error,) = errors(notebook)
            assert error.startswith("error[if-unknown-choice]: S takes part in a branch")
            assert "              ^^^^^^^^^ S does not know" in error
            assert "100 schedules, not all there are: no difference" in text
        case "02":
            first, second = stderr(notebook).split("warning[signature-changed]: ")[1:]
            assert first.startswith(
                "Signature of price-of changed:\n"
                "  was (forall [B S] (-> B S B | 0)),\n"
                "  is  (forall [B S] (-> B S S | 0))\n"
            )
            assert "buy (Cell In[1]:4:1) is stale" in first
            assert "visit (Cell In[1]:8:1) is stale" in second
            (error,) = errors(notebook)
            assert "stale-dependent" in error
            assert "visit: recompiled, (forall [B S] (-> B S B | 0))" in text
            assert 'B  "and home again"\nS  noop' in text
        case "03":
            deadlock, violated = errors(notebook)
            assert deadlock.startswith("error[deadlock]: move-goods is stuck: North waits for South")
            assert "^ North waits here" in deadlock
            assert "this is the error agreement-violated" in violated
            assert "North  waits for South\nSouth  noop" in text
        case "04":
            assert '"mean" 6.725' in text
            assert "North    noop\nSouth    noop\n" in text
            assert "from  6 days  ██████████████████████████████████████████ 85" in "".join(
                out.text for out in _outputs(notebook) if out.output_type == "stream"
            )
        case "05":
            assert '{"program" [1620 1620]  "dataflow" [360 1260]}' in text
            assert "Server of train, order dataflow" in text
