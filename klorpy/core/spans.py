"""Where a form stands in the user's text.

Positions follow Hy's reader: lines and columns start at 1 and the end is inclusive.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True)
class Source:
    """A text that was read, and the name under which tracebacks show it."""

    filename: str
    text: str = field(repr=False)

    @cached_property
    def lines(self) -> list[str]:
        """The lines as Hy counts them: only a newline ends one, not a form feed nor what else Unicode knows."""
        return self.text.split("\n")

    def line(self, number: int) -> str | None:
        """Line `number` (from 1), or None when the text does not have it."""
        return self.lines[number - 1].rstrip("\r") if 0 < number <= len(self.lines) else None

    def at(self, span: Span) -> Source:
        """This text, which stands at `span` of its file, with blanks for what is before it: positions of the file fit.

        >>> Source("x.hy", "(a)").at(Span(2, 3, 2, 5)).text
        '\\n  (a)'
        """
        return Source(self.filename, "\n" * (span.line - 1) + " " * (span.column - 1) + self.text)

    def slice(self, span: Span) -> str:
        """The text that `span` covers.

        >>> Source("x.hy", "(a\\n b)").slice(Span(1, 1, 2, 3))
        '(a\\n b)'
        """
        lines = self.lines[span.line - 1 : span.end_line]
        if not lines:
            return ""
        lines[-1] = lines[-1][: span.end_column]
        lines[0] = lines[0][span.column - 1 :]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A region of a text: lines and columns from 1, the end inclusive."""

    line: int
    column: int
    end_line: int
    end_column: int

    def __str__(self) -> str:
        return f"{self.line}:{self.column}"
