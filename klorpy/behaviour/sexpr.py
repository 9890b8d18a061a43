"""S-expressions with positions: the text of every notation of this room.

    text  ->  forms            read(text, filename)
    form  ->  text             str(form)

A form is an `Atom` (a word or a number), a `Quoted` string, or a `Group` in round or square brackets. Comments run
from `;` to the end of the line. What the words mean is the business of each notation's own parser, which raises its
errors with `wrong(form, …)`, so that the guilty form is underlined.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, TypeAlias

from klorpy.core.diagnostics import Diagnostic, KlorError
from klorpy.core.spans import Source, Span

_CLOSING: Final = {"(": ")", "[": "]"}
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}

#: Brackets in brackets. Parsers of notations recurse, so that this has to stay well below Python's limit.
MAX_DEPTH: Final = 100


@dataclass(frozen=True, slots=True)
class Atom:
    """A word or a number, as it was written."""

    text: str
    span: Span = field(kw_only=True, compare=False)
    source: Source = field(kw_only=True, compare=False, repr=False)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Quoted:
    """A string."""

    value: str
    span: Span = field(kw_only=True, compare=False)
    source: Source = field(kw_only=True, compare=False, repr=False)

    def __str__(self) -> str:
        return '"' + "".join(f"\\{_UNESCAPED[c]}" if c in _UNESCAPED else c for c in self.value) + '"'


@dataclass(frozen=True, slots=True)
class Group:
    """Forms in brackets; `bracket` is the opening one."""

    items: tuple[Form, ...]
    bracket: str = "("
    span: Span = field(kw_only=True, compare=False)
    source: Source = field(kw_only=True, compare=False, repr=False)

    def __str__(self) -> str:
        return self.bracket + " ".join(map(str, self.items)) + _CLOSING[self.bracket]

    @property
    def word(self) -> str:
        """The atom at the head, "" when there is none."""
        head = self.items[0] if self.items else None
        return head.text if isinstance(head, Atom) else ""


Form: TypeAlias = Atom | Quoted | Group

_UNESCAPED: Final = {character: letter for letter, character in _ESCAPES.items()}


def wrong(form: Form, message: str, *, slug: str, label: str = "", help: str = "", notes: tuple[str, ...] = ()) -> KlorError:
    """The error that `form` is wrong, to be raised."""
    return KlorError(Diagnostic(slug, message, form.span, label, notes, help, form.source))


def read(text: str, filename: str = "<text>") -> tuple[Form, ...]:
    """The forms of a text. Raises KlorError `read-error` or `too-deep`, with the position.

    >>> [str(form) for form in read("(com a b hi) ; greet\\n (seq 1 [x])")]
    ['(com a b hi)', '(seq 1 [x])']
    """
    if not isinstance(text, str):
        raise KlorError(f"a notation is read from a text, not from a {type(text).__name__}", slug="bad-argument")
    return _Reader(Source(filename, text)).all()


def read_one(text: str, filename: str = "<text>") -> Form:
    """The only form of a text. Raises KlorError `read-error` when there is none, or another one behind it.

    >>> read_one("(par 1 0)").word
    'par'
    """
    forms = read(text, filename)
    if len(forms) == 1:
        return forms[0]
    if forms:
        raise wrong(forms[1], "one form is expected, and here begins a second", slug="read-error")
    raise KlorError(Diagnostic("read-error", "a form is expected, but there is none", Span(1, 1, 1, 1), source=Source(filename, text)))


class _Reader:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.text = source.text
        self.at = 0
        self.line = 1
        self.column = 1
        self.end = (1, 1)

    def all(self) -> tuple[Form, ...]:
        #: The groups that are open: their bracket, where it stands, and what they hold so far.
        open_groups: list[tuple[str, tuple[int, int], list[Form]]] = []
        items: list[Form] = []
        while self._skip():
            start = (self.line, self.column)
            character = self._next()
            if character in _CLOSING:
                if len(open_groups) == MAX_DEPTH:
                    raise self._error(start, f"brackets are nested more than {MAX_DEPTH} deep", slug="too-deep")
                open_groups.append((character, start, items))
                items = []
            elif character in _CLOSING.values():
                if not open_groups:
                    raise self._error(start, f"nothing is open that {character} could close")
                bracket, opened, outer = open_groups.pop()
                if _CLOSING[bracket] != character:
                    raise self._error(
                        start, f"{character} does not close the {bracket} of {opened[0]}:{opened[1]}",
                        help=f"write {_CLOSING[bracket]} here",
                    )  # fmt: skip
                outer.append(Group(tuple(items), bracket, span=Span(*opened, *self.end), source=self.source))
                items = outer
            elif character == '"':
                value = self._string(start)
                items.append(Quoted(value, span=Span(*start, *self.end), source=self.source))
            else:
                word = character
                while self.at < len(self.text) and not _ends_word(self.text[self.at]):
                    word += self._next()
                items.append(Atom(word, span=Span(*start, *self.end), source=self.source))
        if open_groups:
            bracket, opened, _ = open_groups[-1]
            raise self._error(opened, f"this {bracket} is never closed", help=f"add {_CLOSING[bracket]}")
        return tuple(items)

    def _skip(self) -> bool:
        """Skip blanks and comments; whether something follows."""
        while self.at < len(self.text):
            character = self.text[self.at]
            if character == ";":
                while self.at < len(self.text) and self.text[self.at] != "\n":
                    self._next()
            elif character.isspace():
                self._next()
            else:
                return True
        return False

    def _next(self) -> str:
        character = self.text[self.at]
        self.at += 1
        self.end = (self.line, self.column)
        if character == "\n":
            self.line, self.column = self.line + 1, 1
        else:
            self.column += 1
        return character

    def _string(self, start: tuple[int, int]) -> str:
        out: list[str] = []
        while self.at < len(self.text):
            character = self._next()
            if character == '"':
                return "".join(out)
            if character == "\\" and self.at < len(self.text):
                at = self.end
                escaped = self._next()
                if escaped not in _ESCAPES:
                    raise self._error(at, f"a string has no escape \\{escaped}", help='there are \\n \\t \\r \\" \\\\')
                character = _ESCAPES[escaped]
            out.append(character)
        raise self._error(start, "this string is never closed", help='add "')

    def _error(self, at: tuple[int, int], message: str, *, slug: str = "read-error", help: str = "") -> KlorError:
        return KlorError(Diagnostic(slug, message, Span(*at, *at), help=help, source=self.source))


def _ends_word(character: str) -> bool:
    return character.isspace() or character in '()[]";'
