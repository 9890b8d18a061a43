"""What could stand at the cursor.

The text is looked at as it is, with brackets still open, so nothing here reads or evaluates it: the word before the
cursor and the definition around it tell enough. Nothing is called, and no attribute with code behind it is looked up.
"""

from __future__ import annotations

import builtins
import glob
import inspect
import os
import re
import types
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from klorpy.core.choreography import Choreography
from klorpy.core.diagnostics import TITLES, KlorError
from klorpy.environment import asking, commands
from klorpy.language import macros
from klorpy.language.hy_adapter import mangle, unmangled

if TYPE_CHECKING:
    from klorpy.environment.session import Session

#: The kinds of completions, in the order in which they are offered.
KINDS: Final = (
    "command", "role", "local", "option", "choreography", "function", "class", "module", "value", "form", "macro",
    "error", "file",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Completion:
    """`text` replaces what stands from offset `start` to the cursor. `kind` is one of KINDS."""

    text: str
    start: int
    kind: str
    signature: str = ""
    doc: str = ""


#: A word of Hy: what is no space, bracket, quote or comment.
_WORD = re.compile(r"""[^\s()\[\]{}"';`~#]*\Z""")
_LEXEMES = re.compile(r'"(?:\\.|[^"\\])*("?)|;[^\n]*|[()\[\]{}]', re.DOTALL)
_DEFCHOR = re.compile(r"\(\s*(?:(?:def(?:chor|protocol)|update)\s+[^\s()\[\]]+|,type|lifting|inst\s+\S+|copy|move)\s+\[([^\]]*)\]")
_UPDATE: Final = re.compile(r"\(\s*update\s+([^\s()\[\]]+)\s")
_MOST: Final = 300


def completions(session: Session, text: str, cursor: int) -> list[Completion]:
    """What could stand at offset `cursor` of `text`, by kind and name."""
    before = text[:cursor]
    found = list(dict.fromkeys(_found(session, text, before)))
    found.sort(key=lambda c: (KINDS.index(c.kind), c.text.startswith("_"), c.text))
    return found[:_MOST]


def _found(session: Session, text: str, before: str) -> Iterator[Completion]:
    if before.lstrip().startswith(","):
        yield from _of_command(session, text, before)
        return
    yield from _of_form(session, text, before)


# --- Commands ---------------------------------------------------------------------------------------------------------


def _of_command(session: Session, text: str, before: str) -> Iterator[Completion]:
    indent = len(before) - len(before.lstrip())
    name, space, rest = before[indent + 1 :].partition(" ")
    if not space:
        for command in commands.COMMANDS.values():
            if command.name.startswith(name):
                yield Completion(f",{command.name}", indent, "command", command.usage, command.summary)
        return
    try:
        command = commands.find(name)
    except KlorError:
        return
    words = rest.split()
    number = len(words) if not rest or rest[-1].isspace() else len(words) - 1
    kinds = command.arguments
    kind = kinds[min(number, len(kinds) - 1)] if kinds else ""
    word = rest[rest.rfind(" ") + 1 :]
    start = len(before) - len(word)
    if kind == "file":
        yield from _files(word.lstrip('"'), start + len(word) - len(word.lstrip('"')))
    elif kind == "role":
        chor = _value(session, words[0]) if words else None
        roles = chor.roles if isinstance(chor, Choreography) else ()
        yield from (Completion(role, start, "role") for role in roles if role.startswith(word))
    elif kind == "slug":
        yield from (Completion(s, start, "error", doc=title) for s, title in TITLES.items() if s.startswith(word))
    elif kind == "command":
        for other in commands.COMMANDS.values():
            if other.name.startswith(word.lstrip(",")):
                yield Completion(other.name, start + word.startswith(","), "command", other.usage, other.summary)
    elif kind == "chor" and not _opened(before) and not word.startswith("["):
        for chor in session.registry.all():
            if chor.name.startswith(word):
                yield _described(chor.name, start, chor)
        if command.name == "step" and session.stepper is not None and number == 0:
            for known in session.stepper.words:
                if known.startswith(word):
                    yield Completion(known, start, "role" if known in session.stepper.roles else "command")
    elif kind:
        yield from _of_form(session, text, before)


def _files(prefix: str, start: int) -> Iterator[Completion]:
    """Folders, and files of Hy first."""
    base = os.path.expanduser(prefix)
    for path in sorted(glob.glob(glob.escape(base) + "*"))[:_MOST]:
        shown = prefix + path[len(base) :]
        yield Completion(shown + ("/" if os.path.isdir(path) else ""), start, "file")


# --- Forms ------------------------------------------------------------------------------------------------------------


def _of_form(session: Session, text: str, before: str) -> Iterator[Completion]:
    openings = _opened(before)
    if openings is None:  # in a comment
        return
    if openings and before[openings[-1]] == '"':
        prefix = before[openings[-1] + 1 :]
        if prefix.startswith(("/", "./", "../", "~/")):
            yield from _files(prefix, openings[-1] + 1)
        return
    match = _WORD.search(before)
    assert match is not None
    word, start = match[0], match.start()
    head = before[openings[-1] + 1 : start].split() if openings and before[openings[-1]] == "(" else None
    at_head = head == []
    if word.startswith(":"):
        yield from _keywords(session, before, openings, word, start)
        return
    if "." in word.strip("."):
        yield from _attributes(session, word, start)
        return
    outer = openings[0] if openings else start
    yield from _of_definition(session, text, before, outer, word, start, at_head)
    yield from _names(session, word, start)


def _opened(before: str) -> list[int] | None:
    """The offsets of what is open at the end of a text: brackets, and last perhaps a string; None in a comment."""
    opened: list[int] = []
    for match in _LEXEMES.finditer(before):
        lexeme = match[0]
        if lexeme[0] == ";":
            if match.end() == len(before):
                return None
        elif lexeme[0] == '"':
            if not match[1]:
                return [*opened, match.start()]
        elif lexeme in "([{":
            opened.append(match.start())
        elif opened:
            opened.pop()
    return opened


def _of_definition(
    session: Session, text: str, before: str, outer: int, word: str, start: int, at_head: bool
) -> Iterator[Completion]:
    """Roles and locals of the definition that the cursor is in."""
    around = text[outer:]
    roles: dict[str, None] = {}
    if (update := _UPDATE.match(around)) is not None:
        # The body alone: what it may name stands around the scope.
        with suppress(KeyError):
            scope = session.registry.find(update[1])
            inline = scope.definition.inline if isinstance(scope, Choreography) and scope.definition else None
            if isinstance(scope, Choreography) and inline is not None:
                roles.update(dict.fromkeys(scope.roles))
                yield from (Completion(name, start, "local") for name in inline.params if name.startswith(word))
    for vector in _DEFCHOR.findall(f"({before.lstrip()}" if before.lstrip().startswith(",") else before[outer:]):
        roles.update(dict.fromkeys(vector.split()))
    if not roles:
        return
    for role in roles:
        if role.startswith(word):
            yield Completion(role, start, "role")
    for sender in roles:
        for receiver in roles:
            for arrow in ("->", "=>"):
                message = f"{sender}{arrow}{receiver}"
                begun = word.startswith((f"{sender}-", f"{sender}="))
                if sender != receiver and message.startswith(word) and (begun or (at_head and word)):
                    what = f"{receiver} receives {sender}'s value"
                    yield Completion(message, start, "role", f"({message} expr)", what)
    # Words of this definition that nobody else knows: parameters and what is bound by let.
    cut = start - outer
    words = re.findall(r"""[^\s()\[\]{}"';`~#:]+""", around[:cut] + " " + around[cut + len(word) :])
    for name in dict.fromkeys(words):
        if name.startswith(word) and name != word and _may_be_local(name) and name not in roles:
            yield Completion(name, start, "local")


def _may_be_local(name: str) -> bool:
    fine = name[0].isalpha() or name[0] == "_"
    known = name in macros.FORMS or name in ("defchor", "update", "let", "fn", "None", "True", "False")
    return fine and not known and "->" not in name and "=>" not in name


def _names(session: Session, word: str, start: int) -> Iterator[Completion]:
    plain = mangle(word) if word.strip(".") else word
    seen: set[str] = set()

    def fitting(names: Iterable[str]) -> Iterator[str]:
        for key in names:
            name = unmangled(key)
            fits = name.startswith(word) or key.startswith(plain)
            # What is named like _this or *1 is offered when its first character is there.
            if fits and name not in seen and (name[0].isalpha() or word):
                if not name.startswith("_") or word.startswith("_"):
                    seen.add(name)
                    yield name

    for name in fitting(vars(session.module)):
        yield _described(name, start, vars(session.module).get(mangle(name) if name.strip(".") else name))
    for name in fitting(macros.FORMS):
        yield Completion(name, start, "form", macros.FORMS[name])
    core: dict[str, Any] = builtins._hy_macros  # type: ignore[attr-defined]
    for table in (getattr(session.module, "_hy_macros", {}), core):
        for name in fitting(table):
            macro = asking.find_macro(session.module, name)
            yield Completion(name, start, "macro", doc=_first_line(macro))
    for name in fitting(vars(builtins)):
        yield _described(name, start, getattr(builtins, mangle(name), None))


def _attributes(session: Session, word: str, start: int) -> Iterator[Completion]:
    base, _, prefix = word.rpartition(".")
    value = _value(session, base)
    if value is None:
        return
    for key in dir(value):
        name = unmangled(key)
        if name.startswith(prefix) and (not name.startswith("_") or prefix.startswith("_")):
            # Attributes may have code behind them, which must not run while somebody types.
            yield _described(f"{base}.{name}", start, inspect.getattr_static(value, key, None))


def _value(session: Session, name: str) -> Any:
    first, *rest = name.split(".")
    try:
        value = vars(session.module)[mangle(first)]
        for part in rest:
            value = inspect.getattr_static(value, mangle(part))
    except (KeyError, AttributeError, ValueError):
        return None
    return value


_OPTIONS: Final = {
    ":verify": "what is checked when definitions run",
    ":agreement": "True, or the role that checks agreements",
    ":signature": "True: calls check the signature of what they call",
}


def _keywords(session: Session, before: str, openings: list[int], word: str, start: int) -> Iterator[Completion]:
    for name, doc in _OPTIONS.items():
        if name.startswith(word) and "{" in before:
            yield Completion(name, start, "option", doc=doc)
    head: list[str] = []
    if openings and before[openings[-1]] == "(":
        head = before[openings[-1] + 1 : start].split(None, 1)
    elif before.lstrip().startswith(","):
        name = commands.split(before)[0]
        head = {"sim": ["simulate-chor"], "explore": ["explore"]}.get(name, [])
    function: Callable[..., Any] | None = _value(session, head[0]) if head else None
    if not callable(function):
        return
    for parameter in _parameters(function):
        name = f":{parameter.name.replace('_', '-')}"
        if name.startswith(word) and parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            default = parameter.default
            shown = "" if default is parameter.empty else f"{default!r} if left out"
            yield Completion(name, start, "option", doc=shown)


def _parameters(function: Any) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError):
        return []


# --- Describing -------------------------------------------------------------------------------------------------------


def _described(name: str, start: int, value: Any) -> Completion:
    if isinstance(value, Choreography):
        doc = value.definition.doc if value.definition else None
        return Completion(name, start, "choreography", value.signature.text, _first_line_of(doc))
    if isinstance(value, types.ModuleType):
        return Completion(name, start, "module", doc=_first_line(value))
    if isinstance(value, type):
        return Completion(name, start, "class", doc=_first_line(value))
    if isinstance(value, (types.FunctionType, types.BuiltinFunctionType, types.MethodType)):
        try:
            # Annotations that are not evaluated are texts.
            signature = str(inspect.signature(value)).replace("'", "")
        except (ValueError, TypeError):
            signature = ""
        return Completion(name, start, "function", signature, _first_line(value))
    return Completion(name, start, "value", type(value).__name__)


def _first_line(value: Any) -> str:
    return _first_line_of(getattr(value, "__doc__", None))


def _first_line_of(doc: Any) -> str:
    lines = doc.strip().splitlines() if isinstance(doc, str) else []
    return lines[0] if lines else ""
