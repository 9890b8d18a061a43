"""The colours of the prompt. Those of the terminal where there is one, so that dark and light themes both work."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any, Final

from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.lexers import Lexer
from prompt_toolkit.styles import BaseStyle, Style, merge_styles, pygments_token_to_classname

from klorpy.environment.present import COLOURS as PALETTE
from klorpy.environment.repl.lexer import Chunk, chunks

_BASE: Final = {
    "prompt": "bold",
    "prompt.continuation": "ansibrightblack",
    "bottom-toolbar": "noreverse ansibrightblack",
    "bottom-toolbar.strong": "noreverse bold",
    "matching-bracket": "bold underline",
    "auto-suggestion": "ansibrightblack",
    "completion-menu": "bg:#303030 #d0d0d0",
    "completion-menu.completion": "bg:#303030 #d0d0d0",
    "completion-menu.completion.current": "noreverse bg:#5f5f87 #ffffff bold",
    "completion-menu.meta.completion": "bg:#262626 #a8a8a8",
    "completion-menu.meta.completion.current": "bg:#3a3a56 #e4e4e4",
    "scrollbar.background": "bg:#303030",
    "scrollbar.button": "bg:#5f5f87",
    "completion-kind": "italic",
    "completion-signature": "bold",
    "search": "bg:ansiyellow ansiblack",
    # The text.
    "pygments.comment": "italic ansibrightblack",
    "pygments.keyword": "bold",
    "pygments.keyword.constant": "nobold ansicyan",
    "pygments.keyword.pseudo": "bold ansiyellow",
    "pygments.literal.string": "ansigreen",
    "pygments.literal.string.symbol": "ansiyellow",
    "pygments.literal.string.interpol": "ansicyan",
    "pygments.literal.string.escape": "ansicyan",
    "pygments.literal.number": "ansicyan",
    "pygments.name.decorator": "ansiyellow",
    "pygments.operator": "",
    "pygments.error": "ansired underline",
    **{f"pygments.name.class.role{i}": f"ansi{colour} bold" for i, colour in enumerate(PALETTE)},
}


def prompt_style(mine: Mapping[str, str]) -> tuple[BaseStyle, list[str]]:
    """The style, with the user's own on top, and what is wrong with these, a line each.

    Names are Pygments' (`comment`, `name.class.role0`) or those of parts of the screen (`bottom-toolbar`).
    """
    styles: list[BaseStyle] = [Style.from_dict(_BASE)]
    problems = []
    for name, value in mine.items():
        known = name in _BASE
        try:
            styles.append(Style.from_dict({name if known else f"pygments.{name}": value}))
        except (ValueError, AssertionError) as error:
            problems.append(f"the style of {name} is none: {error}")
    return merge_styles(styles), problems


class PromptLexer(Lexer):
    """The lines of a document with the classes of their tokens."""

    def lex_document(self, document: Document) -> Any:
        lines = _lines(document.text)
        return lambda number: lines[number] if number < len(lines) else []


@lru_cache(maxsize=4)
def _lines(text: str) -> list[StyleAndTextTuples]:
    lines: list[StyleAndTextTuples] = [[]]
    for chunk in chunks(text):
        first, *rest = _lines_of(chunk)
        lines[-1] = [*lines[-1], *first]
        lines += rest
    return lines


@lru_cache(maxsize=4096)
def _lines_of(chunk: Chunk) -> list[StyleAndTextTuples]:
    lines: list[StyleAndTextTuples] = [[]]
    for _, kind, text in chunk.tokens:
        style = _class(kind)
        if "\n" not in text:
            lines[-1].append((style, text))
            continue
        first, *rest = text.split("\n")
        lines[-1].append((style, first))
        for piece in rest:
            lines.append([(style, piece)] if piece else [])
    return lines


@cache
def _class(kind: Any) -> str:
    return "class:" + str(pygments_token_to_classname(kind))
