"""The documentation builds without a warning."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent.parent / "docs"


def test_the_site_builds_without_warnings(tmp_path: Path) -> None:
    for module in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(module, reason="the site needs the extra `docs`")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-d", tmp_path / "trees", DOCS, tmp_path / "site"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    page = (tmp_path / "site" / "reference" / "api.html").read_text(encoding="utf-8")
    assert 'id="klorpy.simulate_chor"' in page
    assert "sanitize" in page
    errors = (tmp_path / "site" / "reference" / "errors.html").read_text(encoding="utf-8")
    assert 'id="copy-missing-src"' in errors
