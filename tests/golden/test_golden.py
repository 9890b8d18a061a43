"""Golden files: everything that klorpy says, next to the program that makes it say so.

A case is a folder `<kind>/<case>` with the input `program.hy` and the output `expected.txt`:

    errors/       the errors and warnings of evaluating the program, which also runs what fails at run time
    signatures/   the signature of every choreography of the program, one a line
    projections/  for every choreography its signature, and the Python of each role
    logs/         what `log()` prints of each simulation that the program binds to a name, and its verdict

`pytest tests/golden --refresh-golden` writes the outputs anew; review the difference as you would review code. Every
program is read as `program.hy`, so that the outputs are the same on every machine.
"""

from __future__ import annotations

import ast
import difflib
import io
import traceback
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import klorpy
from klorpy.core.diagnostics import TITLES, WARNINGS, Diagnostic
from klorpy.core.diagnostics import render as render_diagnostic
from klorpy.language.check import check

HERE = Path(__file__).parent
FILENAME = "program.hy"

#: Slugs that no program can provoke, with the reason.
WITHOUT_CASE = {"internal": "it stands for a bug of klorpy, and a known bug is mended instead of recorded"}


def cases(kind: str) -> list[Path]:
    return sorted(path for path in (HERE / kind).iterdir() if path.is_dir())


def named(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases(kind), ids=lambda case: case.name)


@pytest.fixture(autouse=True)
def plain_options() -> Iterator[None]:
    """A program may alter the options; the next starts with the plain ones."""
    before = klorpy.alter_opts({})
    yield
    klorpy.alter_opts(before)


# --- The kinds --------------------------------------------------------------------------------------------------------


@named("errors")
def test_error(case: Path, refresh_golden: bool) -> None:
    compare(case, said(case), refresh_golden)


@named("signatures")
def test_signatures(case: Path, refresh_golden: bool) -> None:
    namespace = evaluated(case)
    lines = [f"{chor.name}: {klorpy.signature(chor)}" for chor in choreographies(namespace)]
    compare(case, "\n".join(lines), refresh_golden)


@named("projections")
def test_projections(case: Path, refresh_golden: bool) -> None:
    parts: list[str] = []
    programs: list[str] = []
    for chor in choreographies(evaluated(case)):
        parts.append(f"{chor.name}: {klorpy.signature(chor)}")
        for role in chor.roles:
            program = klorpy.project(chor, role)
            parts.append(f"--- {chor.name} at {role} ---\n\n{program}")
            programs.append(program)
    compare(case, "\n\n".join(parts), refresh_golden)
    for program in programs:
        ast.parse(program)


@named("logs")
def test_log(case: Path, refresh_golden: bool) -> None:
    parts: list[str] = []
    for name, value in vars(evaluated(case)).items():
        if isinstance(value, klorpy.Simulation):
            file = io.StringIO()
            value.log(file)
            parts.append(f"--- {name}: {value!r} ---\n\n{file.getvalue().rstrip()}")
            if value.verdict is not None:
                parts.append(rendered(value.verdict))
    assert parts, "the program binds no simulation"
    compare(case, "\n\n".join(parts), refresh_golden)


def choreographies(namespace: types.ModuleType) -> list[klorpy.Choreography]:
    return [value for value in vars(namespace).values() if isinstance(value, klorpy.Choreography)]


def evaluated(case: Path) -> types.ModuleType:
    return klorpy.evaluate(text_of(case), filename=FILENAME)


def text_of(case: Path) -> str:
    return (case / FILENAME).read_text(encoding="utf-8")


def said(case: Path) -> str:
    """The warnings and the error of a program, in the order in which the user sees them."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("error")
        warnings.simplefilter("always", klorpy.KlorWarning)
        error = None
        try:
            evaluated(case)
        except klorpy.KlorError as raised:
            error = raised
    parts = []
    for warning in caught:
        assert isinstance(warning.message, klorpy.KlorWarning)
        assert warning.message.slug in WARNINGS
        text = warnings.formatwarning(warning.message, warning.category, warning.filename, warning.lineno)
        parts.append(f"warning[{warning.message.slug}] as Python shows it\n\n{text.rstrip()}")
    parts += [render_diagnostic(diagnostic) for diagnostic in _checked(case)]
    if error is not None:
        assert is_whole(error), "a traceback could not show this error"
        parts.append(rendered(error))
    assert parts, "the program is refused nowhere and warned about nowhere"
    return "\n\n".join(parts)


def _checked(case: Path) -> list[Diagnostic]:
    """What `klorpy check` warns of; but for the missing `require`, which the cases leave out for brevity."""
    found = check(text_of(case), FILENAME).warnings
    return list(found) if case.name == "missing-require" else [d for d in found if d.slug != "missing-require"]


def rendered(error: klorpy.KlorError) -> str:
    """An error, and what caused it: a failed run has the error of the role that failed first as its cause."""
    text = error.render()
    cause = error.__cause__
    return text + "\n\ncaused by\n\n" + rendered(cause) if isinstance(cause, klorpy.KlorError) else text


def is_whole(error: klorpy.KlorError) -> bool:
    """Whether Python's own traceback says what is wrong and how to mend it."""
    plain = "".join(traceback.format_exception_only(error))
    return error.message in plain and error.help in plain


# --- Comparing --------------------------------------------------------------------------------------------------------


def compare(case: Path, text: str, refresh: bool) -> None:
    """Compare `text` with the case's expected output, or write it."""
    path = case / "expected.txt"
    actual = text.rstrip() + "\n"
    expected = path.read_text(encoding="utf-8") if path.exists() else ""
    if refresh:
        if actual != expected:
            path.write_text(actual, encoding="utf-8")
    elif actual != expected:
        diff = difflib.unified_diff(expected.splitlines(), actual.splitlines(), "expected", "actual", lineterm="")
        advice = "if the actual output is the better one: pytest tests/golden --refresh-golden"
        pytest.fail("\n".join([f"{case.parent.name}/{case.name}", *diff, advice]), pytrace=False)


# --- The collection itself --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slug", TITLES)
def test_every_slug_has_a_case(slug: str) -> None:
    """A case of slug S is called S, or S-variant, and says `[S]`."""
    if slug in WITHOUT_CASE:
        return
    mine = [case for case in cases("errors") if case.name == slug or case.name.startswith(f"{slug}--")]
    assert mine, f"errors/{slug} is missing"
    for case in mine:
        text = (case / "expected.txt").read_text(encoding="utf-8")
        assert f"[{slug}]" in text, f"errors/{case.name} does not show {slug}"


@pytest.mark.parametrize("kind", ["errors", "signatures", "projections", "logs"])
def test_a_case_is_its_program_and_its_output(kind: str) -> None:
    for case in cases(kind):
        assert {path.name for path in case.iterdir()} == {FILENAME, "expected.txt"}, case
    if kind == "errors":
        slugs = {case.name.split("--")[0] for case in cases(kind)}
        assert slugs <= {*TITLES, "several"}


def test_a_difference_is_shown(tmp_path: Path) -> None:
    case = tmp_path / "kind" / "case"
    case.mkdir(parents=True)
    compare(case, "one\ntwo", refresh=True)
    compare(case, "one\ntwo", refresh=False)
    check: Callable[..., object] = compare
    with pytest.raises(pytest.fail.Exception, match=r"(?s)kind/case.*-two\n\+three"):
        check(case, "one\nthree", refresh=False)
