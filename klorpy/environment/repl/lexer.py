"""The text of klorpy and Hy in colour, for the prompt and for everything else that asks Pygments.

The tokens are those of Hy's reader (`hy.reader`, Hy 1.3). A second pass knows in which form a token stands: there the
roles of a `defchor` get their colours, `A->B` is taken apart, and what `#_` discards is a comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final, NamedTuple

from pygments.lexer import RegexLexer, bygroups, default, include, words
from pygments.token import (
    Comment,
    Error,
    Keyword,
    Name,
    Number,
    Operator,
    Punctuation,
    String,
    Whitespace,
    _TokenType,
)

#: How many colours there are for roles; the role at place i of a role vector has colour i modulo this.
ROLE_COLOURS: Final = 6
#: A role is a `Name.Class` with a colour: `Name.Class.Role0`, …; other styles of Pygments show it as a class.
ROLES: Final = tuple(getattr(Name.Class, f"Role{i}") for i in range(ROLE_COLOURS))
#: What `#_` discards; its brackets are told apart, so that they still match.
DISCARDED: Final = Comment.Special
DISCARDED_BRACKET: Final = Comment.Special.Bracket

#: Forms that klorpy knows inside of a choreography, and its macros.
LANGUAGE_FORMS: Final = frozenset((
    "agree", "agree!", "alter-opts!", "bcast", "case", "chor", "copy", "defchor", "defprotocol", "gather", "inst", "lifting",
    "loop", "move", "narrow", "pack", "recur", "scatter", "scatter-seq", "scope", "unpack", "update", "with-opts",
))  # fmt: skip
#: Forms of Hy that are words.
HY_FORMS: Final = frozenset((
    "and", "annotate", "assert", "await", "bnot", "break", "chainc", "cond", "continue", "cut", "defclass",
    "defmacro", "defn", "defreader", "deftype", "del", "dfor", "do", "do-mac", "else", "eval-and-compile",
    "eval-when-compile", "except", "except*", "export", "finally", "fn", "for", "get", "get-macro", "gfor",
    "global", "if", "import", "in", "is", "is-not", "let", "lfor", "local-macros", "match", "nonlocal", "not",
    "not-in", "or", "pragma", "py", "pys", "quasiquote", "quote", "raise", "require", "return", "setv", "setx",
    "sfor", "try", "unpack-iterable", "unpack-mapping", "unquote", "unquote-splice", "when", "while", "with",
    "yield",
))  # fmt: skip
#: Forms of Hy that are signs.
OPERATORS: Final = frozenset((
    "+", "-", "*", "/", "//", "%", "**", "@", "&", "|", "^", "<<", ">>", "=", "!=", "<", "<=", ">", ">=", ".", "+=",
    "-=", "*=", "/=", "//=", "%=", "**=", "@=", "&=", "|=", "^=", "<<=", ">>=", "->", "=>",
))  # fmt: skip
_CONSTANTS: Final = frozenset(("True", "False", "None", "Ellipsis", "..."))
#: Forms whose second element is the name that they define.
_DEFINING: Final = {
    "defchor": Name.Function, "update": Name.Function, "defprotocol": Name.Class, "defn": Name.Function, "defmacro": Name.Function.Magic, "defreader": Name.Function.Magic,
    "defclass": Name.Class, "deftype": Name.Class,
}  # fmt: skip

#: Of these the third is a role vector.
_WITH_ROLES: Final = frozenset(("defchor", "defprotocol", "update"))

#: Where a string begins and ends.
_OPEN, _CLOSE = String.Double.Begin, String.Double.End
_OPEN_BRACKET, _CLOSE_BRACKET = String.Heredoc.Begin, String.Heredoc.End
_BEGIN: Final = (_OPEN, _OPEN_BRACKET)
_END: Final = (_CLOSE, _CLOSE_BRACKET)

_IDENT = r"[^\s()\[\]{};\"'`~]+"
_DIGITS = r"[0-9][0-9_,]*"
_FLOAT = rf"(?:(?:{_DIGITS}\.[0-9_,]*|\.{_DIGITS}|{_DIGITS})(?:[eE][-+]?{_DIGITS})?|Inf|NaN)"
_NUMBERS: Final = (
    (re.compile(r"[-+]?0[xX][0-9a-fA-F_,]+"), Number.Hex),
    (re.compile(r"[-+]?0[oO][0-7_,]+"), Number.Oct),
    (re.compile(r"[-+]?0[bB][01_,]+"), Number.Bin),
    (re.compile(rf"[-+]?{_DIGITS}"), Number.Integer),
    (re.compile(rf"[-+]?{_FLOAT}"), Number.Float),
    (re.compile(rf"(?:[-+]?{_FLOAT})?[-+]?{_FLOAT}[jJ]"), Number),
)
_ARROW = re.compile(r"(.+?)(->|=>)(.+)")


_groups: Final[Any] = bygroups  # Pygments does not say what types it has


class KlorLexer(RegexLexer):
    """klorpy's choreographies and the Hy around them."""

    name = "klorpy"
    aliases = ["klor", "klorpy"]
    filenames = []  # *.hy is Hy's
    mimetypes = ["text/x-klorpy"]
    url = "https://hylang.org"
    version_added = ""
    flags = re.DOTALL

    tokens = {
        "root": [
            (r"#![^\n]*", Comment.Hashbang, "text"),
            default("text"),
        ],
        "text": [
            include("forms"),
            (r"[)\]}]", Punctuation),
        ],
        "forms": [
            (r"\s+", Whitespace),
            (r";[^\n]*", Comment.Single),
            # A bracket string; one that does not end goes on to the end of the text.
            (r"(#\[([^\[\]]*)\[)(.*?)(\]\2\]|\Z)", _groups(_OPEN_BRACKET, None, String.Heredoc, _CLOSE_BRACKET)),
            (r"#[({]", Punctuation),
            (r"[(\[{]", Punctuation),
            (r"#_(?=[\s()\[\]{};\"'`~]|\Z)", DISCARDED),
            (r"#(?:\*\*?|\^)(?=[\s()\[\]{};\"'`~]|\Z)", Operator),
            (rf"#{_IDENT}", Name.Decorator),
            (r"~@|['`~]", Operator),
            (r'(r[ft]|[ft]r?)(")', _groups(String.Affix, _OPEN), "fstring"),
            (r'(b|r|br|rb)?(")', _groups(String.Affix, _OPEN), "string"),
            (rf'({_IDENT})(")', _groups(Error, _OPEN), "string"),
            (rf":{_IDENT}|:", String.Symbol),
            (_IDENT, Name),
            (r"#", Error),
        ],
        "string": [
            (r'[^"\\]+', String.Double),
            (r"\\.", String.Escape),
            (r'"', _CLOSE, "#pop"),
            (r"\\", String.Double),
        ],
        "fstring": [
            (r'[^"\\{}]+', String.Double),
            (r"\{\{|\}\}", String.Escape),
            (r"\\N\{[^}\"]*\}", String.Escape),
            (r"\\.", String.Escape),
            (r'"', _CLOSE, "#pop"),
            (r"\{", String.Interpol, "field"),
            (r"\\|\}", String.Double),
        ],
        # One form and, perhaps, a conversion and a format; a format may have fields of its own.
        "field": [
            (r"\}", String.Interpol, "#pop"),
            (words(("!r", "!s", "!a"), suffix=r"(?=[\s:}])"), String.Interpol),
            (r":(?=[^\s()\[\]{};\"'`~]*\})|:(?=[<>=^+ #0-9.])", String.Interpol, "format"),
            (r"=(?=\s*[}!:])", String.Interpol),
            (r"[(\[{]", Punctuation, "nested"),
            (r"#[({]", Punctuation, "nested"),
            include("forms"),
            (r"[)\]]", Punctuation),
        ],
        "format": [
            (r"\{", String.Interpol, "field"),
            (r"[^{}\"]+", String.Interpol),
            default("#pop"),
        ],
        "nested": [
            (r"[)\]}]", Punctuation, "#pop"),
            (r"#[({]", Punctuation, "#push"),
            (r"[(\[{]", Punctuation, "#push"),
            include("forms"),
        ],
    }

    def get_tokens_unprocessed(
        self, text: str, stack: Iterable[str] = ("root",)
    ) -> Iterator[tuple[int, _TokenType, str]]:
        yield from _in_context(super().get_tokens_unprocessed(text, stack), [_Frame("", {})])

    @staticmethod
    def analyse_text(text: str) -> float:
        return 0.9 if re.search(r"^\s*\((?:defchor|update)\s", text, re.MULTILINE) else 0.0


#: More elements of a form than anybody looks at.
_MANY: Final = 3


@dataclass(slots=True)
class _Frame:
    """A form or a string that is open: `head` is its first element if that is a symbol, `count` how many began, as far
    as it matters."""

    opener: str
    roles: dict[str, _TokenType]
    head: str = ""
    count: int = 0
    discarded: bool = False
    #: How many of the next elements are discarded.
    pending: int = 0
    #: Whether this is a role vector, whose symbols are roles of the enclosing form.
    vector: bool = False
    string: bool = False

    def begin_element(self) -> bool:
        """Count the next element; says whether it is discarded."""
        if self.discarded:
            return True
        if self.pending:
            self.pending -= 1
            return True
        self.count = min(self.count + 1, _MANY)
        return False


def _in_context(
    tokens: Iterable[tuple[int, _TokenType, str]], frames: list[_Frame]
) -> Iterator[tuple[int, _TokenType, str]]:
    """The tokens with what the forms around them say. `frames` is what is open before them, and is kept up to date."""
    for index, kind, value in tokens:
        frame = frames[-1]
        if kind is Whitespace or kind is Comment.Single:
            yield index, kind, value
        elif kind is Punctuation:
            discarded = frame.discarded
            if value in ")]}":
                if len(frames) > 1 and not frame.string:
                    frames.pop()
            else:
                vector = value == "[" and frame.head in _WITH_ROLES and frame.count == 2 and not frame.pending
                if vector:
                    frame.roles = {}
                discarded = frame.begin_element()
                frames.append(_Frame(value, frame.roles, discarded=discarded, vector=vector))
            yield index, DISCARDED_BRACKET if discarded else kind, value
        elif kind in _BEGIN:
            discarded = frame.begin_element()
            frames.append(_Frame(value, frame.roles, discarded=discarded, string=True))
            yield index, DISCARDED if discarded else kind, value
        elif kind in _END:
            yield index, DISCARDED if frame.discarded else kind, value
            if frame.string:
                frames.pop()
        elif kind is DISCARDED:
            frame.pending += 1
            yield index, kind, value
        elif kind is Operator or kind is String.Affix or frame.string:
            # What stands before an element, and what a string consists of; but a field of an f-string has symbols.
            if kind is Name and not frame.discarded:
                yield from _symbol(frame, index, value)
            else:
                yield index, DISCARDED if frame.discarded or frame.pending else kind, value
        elif kind is Name:
            found = list(_symbol(frame, index, value))
            if frame.begin_element():
                yield index, DISCARDED, value
            else:
                yield from found
        else:
            yield index, DISCARDED if frame.begin_element() else kind, value


def _symbol(frame: _Frame, index: int, value: str) -> Iterator[tuple[int, _TokenType, str]]:
    """A symbol where it stands."""
    first = frame.count == 0 and frame.opener == "("
    if first:
        frame.head = value
    if frame.vector:
        frame.roles[value] = ROLES[len(frame.roles) % ROLE_COLOURS]
    if value in frame.roles:
        yield index, frame.roles[value], value
        return
    number = _number(value)
    if number is not None:
        yield index, number, value
        return
    if value in _CONSTANTS:
        yield index, Keyword.Constant, value
        return
    if first:
        arrow = _ARROW.fullmatch(value) if value not in OPERATORS else None
        if arrow and arrow[1] in frame.roles and arrow[3] in frame.roles:
            yield index, frame.roles[arrow[1]], arrow[1]
            yield index + arrow.start(2), Operator, arrow[2]
            yield index + arrow.start(3), frame.roles[arrow[3]], arrow[3]
        elif value in LANGUAGE_FORMS:
            yield index, Keyword, value
        elif value in HY_FORMS:
            yield index, Keyword.Reserved, value
        elif value in OPERATORS:
            yield index, Operator, value
        else:
            yield index, Name.Function.Call, value
    elif frame.count == 1 and frame.head in _DEFINING:
        yield index, _DEFINING[frame.head], value
    elif value in OPERATORS or value in ("|", "_"):
        yield index, Operator, value
    elif frame.count == 0 and frame.opener == "" and value.startswith(","):
        yield index, Keyword.Pseudo, value
    else:
        yield index, Name, value


def _number(value: str) -> _TokenType | None:
    if value[0] in "0123456789+-.IN":
        for pattern, kind in _NUMBERS:
            if pattern.fullmatch(value):
                return kind
    return None


class Part(NamedTuple):
    """A token of a text and where it begins."""

    start: int
    kind: Any
    text: str

    @property
    def is_bracket(self) -> bool:
        return self.kind is Punctuation or self.kind is DISCARDED_BRACKET


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """A piece of a text that ends where a line does, outside of strings, with the first spaces of the next line.

    `tokens` stand at offsets from its beginning. `before` and `after` are the forms that are open around it; `after`
    is None for a piece that just ends.
    """

    text: str
    tokens: tuple[tuple[int, Any, str], ...]
    before: tuple[_Frame, ...]
    after: tuple[_Frame, ...] | None


_ROOT: Final = (_Frame("", {}),)
#: The chunks of the text that was read last.
_last: tuple[Chunk, ...] = ()


def chunks(text: str) -> tuple[Chunk, ...]:
    """The pieces of a text. Those that it has in common with the text that was read last, at its beginning and at its
    end, are not read again: between two keys, a text changes in one place."""
    global _last
    old, done, position = _last, list[Chunk](), 0
    for chunk in old:
        end = position + len(chunk.text)
        # The spaces at the end of a chunk are all there are, so what follows must not be one.
        if chunk.after is None or not text.startswith(chunk.text, position) or not text[end : end + 1].strip():
            break
        done.append(chunk)
        position = end
    same: dict[int, int] = {}
    start = len(text)
    for i in range(len(old) - 1, len(done) - 1, -1):
        start -= len(old[i].text)
        if start < position or not text.startswith(old[i].text, start):
            break
        same[start] = i
    for chunk in _read(text, position, (done[-1].after if done else None) or _ROOT):
        done.append(chunk)
        position += len(chunk.text)
        i = same.get(position, len(old))
        if i < len(old) and old[i].before == chunk.after:
            done += old[i:]
            break
    _last = tuple(done)
    return _last


def _read(text: str, start: int, before: tuple[_Frame, ...]) -> Iterator[Chunk]:
    frames = [replace(frame) for frame in before]
    # Where a chunk begins, no string is open, so all that the lexer has to know is whether it is the first.
    found = RegexLexer.get_tokens_unprocessed(_LEXER, text[start:], ("root", "text") if start else ("root",))
    text, start, tokens = text[start:], 0, list[tuple[int, Any, str]]()
    for index, kind, value in _in_context(found, frames):
        tokens.append((index - start, kind, value))
        if kind is Whitespace and "\n" in value and not any(frame.string or frame.vector for frame in frames):
            end = index + len(value)
            after = tuple(replace(frame) for frame in frames)
            yield Chunk(text[start:end], tuple(tokens), before, after)
            start, tokens, before = end, [], after
    if tokens:
        yield Chunk(text[start:], tuple(tokens), before, None)


_LEXER: Final = KlorLexer()


@lru_cache(maxsize=4)
def parts(text: str) -> tuple[Part, ...]:
    """The tokens of `text`."""
    found = []
    position = 0
    for chunk in chunks(text):
        found += [Part(position + offset, kind, value) for offset, kind, value in chunk.tokens]
        position += len(chunk.text)
    return tuple(found)


def role_index(kind: Any) -> int | None:
    """Which colour of the roles a kind of token has; None when it is no role."""
    return ROLES.index(kind) if kind in Name.Class and kind in ROLES else None


__all__ = ["ROLES", "ROLE_COLOURS", "Chunk", "KlorLexer", "Part", "chunks", "parts", "role_index"]
