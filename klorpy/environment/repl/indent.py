"""The shape of a text that is being written: which brackets belong together, and where a new line begins.

Judgement: `indentation(text, position)` is the column of the first element of a line that begins at `position`, as
Lisp programmers write it: the body of a form that has one stands two columns in, anything else below the first
argument. All questions are asked of the lexer's tokens, so brackets in strings and comments are no brackets.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import lru_cache
from typing import Final

from pygments.token import Comment

from klorpy.environment.repl.lexer import Part, parts, role_index

#: Forms whose first line is a head and whose following lines are a body.
BODY_FORMS: Final = frozenset((
    "agree!", "alter-opts!", "case", "chor", "cond", "copy", "do", "do-mac", "else", "eval-and-compile",
    "eval-when-compile", "except", "except*", "finally", "fn", "for", "if", "let", "lifting", "loop", "match",
    "narrow", "scope", "try", "unpack", "update", "when", "while", "with", "with-opts",
))  # fmt: skip
_PAIRS: Final = {"(": ")", "[": "]", "{": "}", "#(": ")", "#{": "}"}


@lru_cache(maxsize=4)
def _brackets(text: str) -> tuple[dict[int, int], tuple[int, ...]]:
    """The partner of each bracket that has one, and the brackets that stay open, by their places."""
    partner: dict[int, int] = {}
    opened: list[Part] = []
    for part in parts(text):
        if not part.is_bracket:
            continue
        if part.text in _PAIRS:
            opened.append(part)
        elif opened and _PAIRS[opened[-1].text] == part.text:
            start = opened.pop().start
            partner[start], partner[part.start] = part.start, start
    return partner, tuple(part.start for part in opened)


def partner(text: str, position: int) -> int | None:
    """Where the bracket stands that belongs to the one at `position`; of `#(` and `#{`, the `#` counts."""
    pairs, _ = _brackets(text)
    if position not in pairs and text[position - 1 : position] == "#":
        position -= 1
    return pairs.get(position)


def is_open(text: str) -> bool:
    """Whether a bracket of the text is not closed yet."""
    return bool(_brackets(text)[1])


def inside_text(text: str, position: int) -> bool:
    """Whether `position` is inside of a string or a comment; what stands before decides."""
    tokens = parts(text[:position])
    return _in_string(tokens) or (bool(tokens) and tokens[-1].kind in (Comment.Single, Comment.Hashbang))


def next_form(text: str, position: int) -> int:
    """Where the form ends that begins at or after `position`."""
    pairs, _ = _brackets(text)
    for part in parts(text):
        if part.start + len(part.text) <= position or not part.text.strip():
            continue
        if part.is_bracket and part.start in pairs and part.start >= position:
            close = pairs[part.start]
            return close + 1 if close > part.start else part.start + len(part.text)
        return part.start + len(part.text)
    return len(text)


def previous_form(text: str, position: int) -> int:
    """Where the form begins that ends at or before `position`."""
    pairs, _ = _brackets(text)
    for part in reversed(parts(text)):
        if part.start >= position or not part.text.strip():
            continue
        start: int = part.start
        return min(pairs.get(start, start), start) if part.is_bracket else start
    return 0


def indentation(text: str, position: int) -> int:
    """The column for a line that begins at `position`; what follows there does not count."""
    before = text[:position]
    tokens = parts(before)
    if _in_string(tokens):
        return 0
    _, opened = _brackets(before)
    if not opened:
        return 0
    start = opened[-1]
    index = bisect_left(tokens, start, key=lambda part: part.start)
    opener = tokens[index]
    line = before.rfind("\n", 0, start) + 1
    column = start - line
    inner = column + len(opener.text)
    elements = _elements_on_line(before, tokens, index + 1)
    if opener.text != "(" or not elements or elements[0].is_bracket:
        return inner
    head = elements[0]
    if is_body_form(head) or (len(elements) > 1 and _is_role_vector(tokens, elements[1])):
        return column + 2
    if len(elements) > 1:
        return elements[1].start - line
    return inner


def is_body_form(head: Part) -> bool:
    """Whether the form with this head has a body: `def…`, `with-…`, `let` and its like, `(A …)` and `(A->B …)`."""
    return head.text in BODY_FORMS or head.text.startswith(("def", "with-")) or role_index(head.kind) is not None


def _in_string(tokens: tuple[Part, ...]) -> bool:
    depth = 0
    for part in tokens:
        name = part.kind[-1] if part.kind else ""
        if name == "Begin":
            depth += 1
        elif name == "End":
            depth -= 1
    return depth > 0


def _elements_on_line(text: str, tokens: tuple[Part, ...], index: int) -> list[Part]:
    """The first tokens of the elements that begin on the line of token `index`, up to two of a form that is open."""
    pairs, _ = _brackets(text)
    found: list[Part] = []
    end = 0
    for part in tokens[index:]:
        if "\n" in part.text and not part.text.strip() and part.start >= end:
            break
        if part.start < end or not part.text.strip() or part.kind in Comment:
            continue
        if found and part.start == end and not found[-1].is_bracket:
            # The rest of `A->B`, of `'x`, of a string.
            end = part.start + len(part.text)
            if part.is_bracket and part.start in pairs:
                end = pairs[part.start] + 1
            continue
        found.append(part)
        if part.is_bracket and part.start in pairs:
            end = pairs[part.start] + 1
        else:
            end = part.start + len(part.text)
    return found


def _is_role_vector(tokens: tuple[Part, ...], opener: Part) -> bool:
    """Whether the element that begins with `opener` is a vector of roles, and nothing else."""
    if opener.text != "[":
        return False
    index = bisect_left(tokens, opener.start, key=lambda part: part.start)
    names: list[Part] = []
    for part in tokens[index + 1 :]:
        if part.text == "]":
            return bool(names) and all(role_index(name.kind) is not None for name in names)
        if part.text.strip():
            names.append(part)
    return False


def reindented(text: str) -> str:
    """The text with every line where `indentation` wants it; lines that begin inside of a string stay as they are."""
    lines = text.split("\n")
    done = lines[0].lstrip() if lines else ""
    for line in lines[1:]:
        before = done + "\n"
        inside = _in_string(parts(before))
        done = before + (line if inside else " " * indentation(before, len(before)) + line.lstrip() if line.strip() else "")
    return done

