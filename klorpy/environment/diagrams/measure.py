"""Texts for pictures: made plain, measured and shortened.

Values, printed lines and role names come from the user and may hold anything: control characters, other scripts, lone
surrogates, marks that reverse the direction of what follows. `plain` makes a line of characters that can be seen.
"""

from __future__ import annotations

import unicodedata
from typing import Final

#: Longer texts than this are nowhere kept; a value of megabytes is no label, and no tooltip either.
LONGEST: Final = 2000

#: Categories that a picture cannot hold as they are: controls, formats (such as changes of direction), surrogates,
#: private use and unassigned characters, and the separators of lines and paragraphs.
_HIDDEN: Final = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
#: Formats that join emoji and letters; what they do to a line is what their writer means.
_JOINERS: Final = frozenset("\u200c\u200d")


def plain(text: str) -> str:
    """`text` on one line, at most `LONGEST` characters, with an escape in the place of all that cannot be seen.

    >>> plain("a\\tb\\n\\x1b[31mc")
    'a b ⏎ \\\\x1b[31mc'
    """
    if len(text) > LONGEST:
        text = text[: LONGEST - 1] + "…"
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_visible, text.replace("\r\n", "\n").replace("\n", " ⏎ ").replace("\t", " ")))


def _visible(char: str) -> str:
    if unicodedata.category(char) not in _HIDDEN or char in _JOINERS:
        return " " if char.isspace() else char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def cells(text: str) -> int:
    """How many cells of a terminal `text` takes; wide characters take two, marks on others none.

    >>> cells("abc"), cells("価格"), cells("e\\u0301")
    (3, 4, 1)
    """
    return len(text) if text.isascii() else sum(map(cell, text))


def cell(char: str) -> int:
    """The cells of one character. A variation selector counts as one: terminals differ, and too wide is harmless."""
    if char == "\ufe0f":
        return 1
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def shorten(text: str, limit: int) -> str:
    """`text` in at most `limit` cells (at least 1); an ellipsis stands for what is left out.

    >>> shorten("abcdef", 4), shorten("価格は", 4)
    ('abc…', '価…')
    """
    if cells(text) <= limit:
        return text
    used, end = 1, 0
    for char in text:
        used += cell(char)
        if used > limit:
            break
        end += 1
    return text[:end] + "…"


def wrap(text: str, limit: int, lines: int) -> tuple[str, ...]:
    """`text` in at most `lines` lines of at most `limit` cells, broken between words, or after hyphens, where that is possible.

    >>> wrap("the book arrives on Tuesday", 12, 2)
    ('the book', 'arrives on…')
    """
    found: list[str] = []
    rest = text.strip()
    while rest and len(found) < lines:
        if len(found) == lines - 1 or cells(rest) <= limit:
            found.append(_whole_words(rest, limit))
            break
        end = _fitting(rest, limit)
        space, hyphen = rest.rfind(" ", 0, end + 1), rest.rfind("-", 0, end) + 1
        end = space if space > 0 else hyphen if hyphen > 1 else end
        found.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
    return tuple(found) or ("",)


def _whole_words(text: str, limit: int) -> str:
    if cells(text) <= limit:
        return text
    short = shorten(text, limit)
    space = short.rfind(" ")
    return short[:space] + "…" if space > limit * 2 // 3 else short


def _fitting(text: str, limit: int) -> int:
    """How many characters fit into `limit` cells, one at least."""
    used = 0
    for i, char in enumerate(text):
        used += cell(char)
        if used > limit:
            return max(i, 1)
    return len(text)
