"""Where in the user's text an exception came from: the form of a definition that it passed through.

    exception, definitions  ->  span, source
"""

from __future__ import annotations

import linecache
import types
from collections.abc import Iterable
from typing import Final

from klorpy.core.choreography import Definition
from klorpy.core.spans import Source, Span

#: How the code is called that a definition is compiled to when it runs out of order.
_FLOW: Final = "klorpy_scope."


def find_place(error: BaseException, definitions: Iterable[Definition]) -> tuple[Span | None, Source | None]:
    """The innermost form that an exception passed through in the files of `definitions`."""
    ours: set[types.CodeType] = set()
    filenames = set()
    for definition in definitions:
        filenames.add(definition.source.filename)
        _collect(definition.code, ours)
    found: tuple[Span | None, Source | None] = (None, None)
    tb = error.__traceback__
    while tb is not None:
        code = tb.tb_frame.f_code
        if code.co_filename in filenames:
            source = Source(code.co_filename, "".join(linecache.getlines(code.co_filename)))
            # In files that Hy's own importer compiled, columns are one too far to the right, but for klorpy's code.
            exact = code in ours or code.co_qualname.startswith(_FLOW) or _is_exact(code.co_filename)
            place = _position(tb, source, 0 if exact else 1)
            if place is not None:
                found = place, source
        tb = tb.tb_next
    return found


def _is_exact(filename: str) -> bool:
    """Whether klorpy compiled the text: it then entered it in the cache of lines, with no time of a file."""
    entry = linecache.cache.get(filename)
    return entry is not None and len(entry) > 1 and entry[1] is None


def _collect(code: types.CodeType, found: set[types.CodeType]) -> None:
    found.add(code)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            _collect(constant, found)


def _position(tb: types.TracebackType, source: Source, shift: int) -> Span | None:
    for i, (line, end_line, column, end_column) in enumerate(tb.tb_frame.f_code.co_positions()):
        if i != tb.tb_lasti // 2 or line is None:
            continue
        if end_line is None or column is None or end_column is None:
            return Span(line, 1, line, 1)
        start = _characters(source.line(line), column) - shift
        return Span(line, start + 1, end_line, max(_characters(source.line(end_line), end_column), start + 1))
    return None


def _characters(line: str | None, column: int) -> int:
    """A column in characters; Python counts bytes of UTF-8."""
    return column if line is None else len(line.encode()[:column].decode(errors="ignore"))
