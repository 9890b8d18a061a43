"""Writes `errors.md`, the catalogue of errors: `python docs/reference/catalogue.py`.

For each slug of `klorpy.core.diagnostics.TITLES`: a bad program and what klorpy says of it, both from the golden files
`tests/golden/errors`, why it is an error, and the program mended, from `mended.hy`. `tests/docs` holds that the page is
up to date and that every mended program does what it should.
"""

from __future__ import annotations

import re
from pathlib import Path

from klorpy.core.diagnostics import TITLES, WARNINGS

HERE = Path(__file__).parent
GOLDEN = HERE.parent.parent / "tests" / "golden" / "errors"
PAGE = HERE / "errors.md"

#: The parts of the page, by the first slug of each.
PARTS = {
    "read-error": "Reading and expanding",
    "bad-roles": "Definitions and signatures",
    "unknown-symbol": "Names",
    "copy-missing-src": "Communication",
    "agreement-op-arg": "Application",
    "if-guard-not-agreement": "Choice",
    "unpack-shape": "Tuples",
    "chor-named-needs-aux": "Choreographies as values",
    "recur-arg-type": "Repetition",
    "homogeneous-fn": "Host code",
    next(slug for slug in TITLES if slug in WARNINGS): "Warnings",
    "role-not-part": "Running",
    "bad-protocol": "Protocols",
    "bad-calculus": "Sessions and merging",
    "bad-term": "The calculus of choreographies, and contracts",
    "no-protocol": "Protocols of choreographies",
    "topic-too-deep": "Conversations",
    "unsupported-form": "Not your mistake",
}

HEAD = """\
<!-- Written by catalogue.py; change mended.hy or the golden files instead. -->

# Errors and warnings

Every error has a *slug*, a short name in brackets that never changes: `error[copy-missing-src]`. Look it up here. Each
entry has a program that is wrong, what klorpy says of it, and the program as it should be. In Python, errors are
`klorpy.KlorError` with the attributes `slug`, `message`, `help` and `span`.
"""

INTERNAL = """\
klorpy has failed, not you. Please report it, with the text that it shows and the program. There is no example: a bug that
is known is mended.
"""


def mended() -> dict[str, tuple[str, str]]:
    """For each slug why it is an error, and a program that is right."""
    parts = re.split(r"^;;; ([\w-]+): (.*)\n", (HERE / "mended.hy").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {slug: (why, text.strip() + "\n") for slug, why, text in zip(*[iter(parts)] * 3, strict=True)}


def case_of(slug: str) -> tuple[str, str]:
    """A program that is wrong in this way, and what klorpy says."""
    folder = next(path for path in (GOLDEN / slug, *sorted(GOLDEN.glob(f"{slug}--*"))) if path.is_dir())
    said = (folder / "expected.txt").read_text(encoding="utf-8")
    if slug in WARNINGS:
        # The rendered warning, or else the line that Python shows.
        parts = said.split("\n\n")
        said = next((part for part in parts if part.startswith(f"warning[{slug}]:")), "".join(parts[1:2]))
    return (folder / "program.hy").read_text(encoding="utf-8"), said.rstrip() + "\n"


def entry(slug: str, why: str, right: str) -> str:
    program, said = case_of(slug)
    return (
        f"{why}\n\n```hy\n{program}```\n\n```text\n{said}```\n\n**Mended:**\n\n```hy\n{right}```\n"
    )


def page() -> str:
    """The whole page."""
    out = [HEAD]
    right = mended()
    for slug, title in TITLES.items():
        if slug in PARTS:
            out.append(f"## {PARTS[slug]}\n")
        out.append(f"({slug})=\n### {slug}\n\n*{title[0].upper()}{title[1:]}.*\n")
        out.append(INTERNAL if slug == "internal" else entry(slug, *right[slug]))
    return "\n".join(out)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
