"""Without a terminal: forms come from a stream."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from klorpy.environment.repl import plain
from klorpy.environment.session import Session
from tests.environment.repl.test_real_terminal import RUN


def run(text: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with Session() as session:
        status = plain.run(session, io.StringIO(text), out, err)
    return status, out.getvalue(), err.getvalue()


def test_results_are_printed() -> None:
    assert run('(+ 1 2)\n\n(defn f [x]\n  (* 2 x))\n"a" [1\n2]\n(f 4)') == (0, '3\n"a"\n[1 2]\n8\n', "")


def test_the_first_error_ends_it_and_names_its_line() -> None:
    status, out, err = run("1\n(defn f [x]\n  (/ x 0))\n(f\n  2)\n3\n")
    assert status == 1
    assert out == "1\n"
    assert 'File "<stdin>", line 4' in err
    assert 'File "<stdin>", line 3, in f\n    (/ x 0)' in err


def test_errors_of_klorpy_show_the_form() -> None:
    status, _, err = run(";; one\n\n(defchor f [A B] (-> A B) [x]\n  (B x))\n")
    assert status == 1
    assert "--> <stdin>:4:" in err
    assert "4 |   (B x))" in err


@pytest.mark.parametrize("text", ["(+ 1", '"abc', "(+ 1))", "#foo 1"])
def test_what_cannot_be_read_is_an_error(text: str) -> None:
    status, _, err = run(text)
    assert status == 1
    assert "error[read-error]" in err
    assert "<stdin>:1" in err


def test_commands_work_and_leave() -> None:
    text = "(defchor f [A B] (-> A B) [x] (A->B x))\n,sim f 5\n,quit\n(/ 1 0)"
    status, out, _ = run(text)
    assert status == 0
    assert "B  5" in out


@pytest.mark.parametrize(("code", "status", "said"), [("0", 0, ""), ("3", 1, ""), ('"sorry"', 1, "sorry\n"), ("", 0, "")])
def test_exit(code: str, status: int, said: str) -> None:
    assert run(f"1 (import sys) (sys.exit {code})\n(/ 1 0)") == (status, "1\n", said)


def test_a_piece_is_evaluated_as_soon_as_it_is_there() -> None:
    asked = []

    def stream():  # type: ignore[no-untyped-def]
        for line in ("(setv x 1)\n", "(+ x\n", "1)\n"):
            asked.append(line)
            yield line

    with Session() as session:
        pieces = plain.pieces(session, stream())  # type: ignore[arg-type]
        assert next(pieces) == "(setv x 1)\n"
        assert len(asked) == 1
        assert list(pieces) == ["(+ x\n1)\n"]


def test_as_a_process(tmp_path: Path) -> None:
    (tmp_path / "f.hy").write_text("(setv y 20)")

    def process(*files: str, text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", RUN, *files], input=text, capture_output=True, text=True, cwd=tmp_path, timeout=60,
            env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
        )  # fmt: skip

    done = process("f.hy", text="(+ y 1)")
    assert (done.returncode, done.stdout.splitlines()[-1], done.stderr) == (0, "21", "")
    assert process("none.hy", text="(+ 1 1)").returncode == 1
    assert process(text="(/ 1 0)").returncode == 1
    assert [path.name for path in tmp_path.iterdir()] == ["f.hy"]
