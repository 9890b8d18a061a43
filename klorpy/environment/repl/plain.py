"""The REPL without a terminal: read forms from a stream, print what comes of them, stop at the first error."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Iterator
from typing import Final, TextIO

from klorpy.environment.present import Palette, wants_colour
from klorpy.environment.repl.indent import is_open
from klorpy.environment.session import Session, Status, render

NAME: Final = "<stdin>"


def run(session: Session, stdin: TextIO, stdout: TextIO, stderr: TextIO) -> int:
    """Evaluate `stdin` piece by piece, as soon as it is there. Gives the exit status: 1 after an error."""
    done = ""
    for piece in pieces(session, stdin):
        # The piece stands where it does in the stream, so that errors name the right line.
        text = piece if piece.lstrip().startswith(",") else "\n" * done.count("\n") + piece
        done += piece
        if not show(session, text, stdout, stderr, source=done):
            return 1
        if session.ended:
            break
    return 0


def show(session: Session, text: str, stdout: TextIO, stderr: TextIO, *, source: str | None = None) -> bool:
    """Evaluate one text and print what comes of it; says whether all went well."""
    palette = Palette((), wants_colour(stdout))
    for outcome in session.evaluate(text, filename=NAME):
        if source is not None:
            linecache.cache[NAME] = (len(source), None, source.splitlines(keepends=True), NAME)
        if isinstance(outcome.error, SystemExit):
            stdout.flush()
            code = outcome.error.code
            if code is not None and not isinstance(code, int):
                print(code, file=stderr)
            return not code
        shown = render(outcome, palette)
        if shown:
            stdout.flush()
            print(shown, file=stderr if outcome.error is not None else stdout, flush=True)
        if outcome.error is not None:
            return False
    return True


def pieces(session: Session, stdin: TextIO) -> Iterator[str]:
    """The texts between which nothing is open."""
    piece = ""
    for line in stdin:
        piece += line
        if not piece.strip():
            continue
        # Brackets are cheaper to count than forms to read.
        if piece.lstrip().startswith(",") or (not is_open(piece) and session.status(piece) is not Status.INCOMPLETE):
            yield piece
            piece = ""
    if piece.strip():
        yield piece


def main(session: Session, files: list[str]) -> int:
    """Load files, then evaluate what stands on the standard input."""
    for file in files:
        if not show(session, f",load {file}", sys.stdout, sys.stderr):
            return 1
    return run(session, sys.stdin, sys.stdout, sys.stderr)
