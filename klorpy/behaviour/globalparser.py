"""Reads global types and protocols; the grammar is that of `klorpy.behaviour.globaltype`.

    text  ->  GlobalType      parse_global(text)
    text  ->  Protocol        parse_protocol(text)      (defprotocol Name [Role …] I …)
    text  ->  Protocols       parse_protocols(text)     several, which may use each other by `do`

A protocol that is read is checked (`klorpy.behaviour.wellformed`); a global type alone is not, since its roles are not
declared anywhere. Raises KlorError with the guilty form underlined: `read-error` and `too-deep` of the reader,
`bad-protocol` for what is no type, and the rules that the checks name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from klorpy.behaviour.arguments import checked
from klorpy.behaviour.globaltype import Choice, Content, Continue, Do, GlobalType, Item, Message, Protocol, Rec
from klorpy.behaviour.sexpr import Atom, Form, Group, Quoted, read, read_one, wrong
from klorpy.behaviour.wellformed import check
from klorpy.core.diagnostics import KlorError

_USAGE: Final = {
    "->": "write (-> sender receiver sort), or (-> sender receiver (label sort …)) for a message with a label",
    "branch": "write (branch sender receiver (label what-follows …) …)",
    "choice": "write (choice role [what happens …] [or this …])",
    "mu": "write (mu t what-happens …), with t where it starts again",
    "do": "write (do Protocol role …)",
}
#: How a number begins.
_VALUE: Final = re.compile(r"[+-]?\.?[0-9]")
#: Words that cannot be names, since they mean something.
_RESERVED: Final = frozenset((*_USAGE, "end", "0", "_", "defprotocol"))


def parse_global(text: str, filename: str = "<text>") -> GlobalType:
    """The global type of a text.

    >>> print(parse_global("(mu t (-> u c str) (branch c u (ok t) (quit end)))"))
    mu t. u->c:<str>; c->u:{ok: t, quit: end}
    """
    forms = read(text, filename)
    source = forms[0].source if forms else None
    return GlobalType(_items(forms), source=source)


def parse_protocol(text: str, filename: str = "<text>", library: Mapping[str, Protocol] | None = None) -> Protocol:
    """The protocol of a text; `library` has what it may use by `do`. Raises KlorError when it is not well-formed.

    >>> print(parse_protocol("(defprotocol Fetch [C F] (-> C F str) (branch F C (ok (-> C F file)) (quit)))"))
    Fetch[C, F] = C->F:<str>; F->C:{ok: C->F:<file>; end, quit: end}
    """
    protocol = _protocol(read_one(text, filename), library or {})
    check(protocol)
    return protocol


@checked
def protocol(
    text: str, filename: str = "<text>", line: int = 1, column: int = 1, scope: Mapping[str, object] | None = None
) -> Protocol:
    """The protocol of a text that stands in a file at `line` and `column`; what `defprotocol` calls.

    `scope` holds the protocols that it may use, under any names. Errors are at their places in the file.

    >>> protocol("(defprotocol Login [U C] (-> U C str))")
    (defprotocol Login [U C] (-> U C str))
    """
    library = {value.name: value for value in (scope or {}).values() if isinstance(value, Protocol)}
    # What stands before it in the file is blank here, so that places are those of the file.
    return parse_protocol("\n" * (line - 1) + " " * (column - 1) + text, filename, library)


def parse_protocols(text: str, filename: str = "<text>") -> dict[str, Protocol]:
    """The protocols of a text by their names; each may use the others. Raises KlorError when one is not well-formed.

    >>> list(parse_protocols("(defprotocol A [p q] (-> p q int) (do B q p)) (defprotocol B [x y] (-> x y str))"))
    ['A', 'B']
    """
    library: dict[str, Protocol] = {}
    for form in read(text, filename):
        protocol = _protocol(form, library)
        if protocol.name in library:
            raise _bad(form, f"there is a protocol {protocol.name} already", "give it another name")
        library[protocol.name] = protocol
    for protocol in library.values():
        check(protocol)
    return library


def _protocol(form: Form, library: Mapping[str, Protocol]) -> Protocol:
    help = "write (defprotocol Name [Role …] what-happens …)"
    if not isinstance(form, Group) or form.word != "defprotocol" or len(form.items) < 3:
        raise _bad(form, "this is no declaration of a protocol", help)
    name, roles = form.items[1:3]
    if not isinstance(roles, Group) or roles.bracket != "[":
        raise _bad(roles, "the roles of a protocol stand in square brackets", help)
    names = tuple(_name(role, "a role") for role in roles.items)
    for i, role in enumerate(names):
        if role in names[:i]:
            raise wrong(roles.items[i], f"the role {role} is declared twice", slug="dup-role", help="name it once")
    return Protocol(
        _name(name, "a protocol"), names, GlobalType(_items(form.items[3:]), source=form.source), library,
        span=name.span, role_spans=tuple(role.span for role in roles.items),
    )  # fmt: skip


def _items(forms: tuple[Form, ...]) -> tuple[Item, ...]:
    items: list[Item] = []
    for form in forms:
        match form:
            case Atom("end" | "0") if form is forms[-1]:
                continue
            case Atom("end" | "0"):
                raise _bad(form, "something stands behind the end", "end is the last of what happens; leave it out here")
            case Atom():
                items.append(Continue(_name(form, "a variable"), span=form.span))
            case Group(parts, "(") if form.word in _READERS:
                try:
                    items += _READERS[form.word](form, parts[1:])
                except _Usage:
                    raise _bad(form, f"this `{form.word}` is not complete", _USAGE[form.word]) from None
            case _:
                raise _bad(form, f"{_what(form)} is no part of a protocol",
                           "there are ->, branch, choice, mu, do, end, and the variable of a mu")  # fmt: skip
    return tuple(items)


class _Usage(Exception):
    """A form has too few parts, or parts of a wrong kind."""


def _arrow(form: Group, parts: tuple[Form, ...]) -> tuple[Item, ...]:
    if len(parts) < 3:
        raise _Usage
    content = _content(parts[2])
    first = Message(_name(parts[0], "a role"), _name(parts[1], "a role"), content.label, content.payload, span=form.span)
    return first, *_items(parts[3:])


def _branch(form: Group, parts: tuple[Form, ...]) -> tuple[Item, ...]:
    if len(parts) < 3:
        raise _Usage
    sender, receiver = _name(parts[0], "a role"), _name(parts[1], "a role")
    branches = []
    for part in parts[2:]:
        if not isinstance(part, Group) or not part.items:
            raise _bad(part, "this is no branch", "a branch is (label what-follows …)")
        head = part.items[0]
        content = _content(head) if isinstance(head, Group) else Content(_text(head, "a label"))
        if content.label is None:
            raise _bad(part, "a branch needs a label", "a branch is (label what-follows …)")
        first = Message(sender, receiver, content.label, content.payload, span=part.span)
        branches.append(GlobalType((first, *_items(part.items[1:])), source=form.source))
    return (Choice(sender, tuple(branches), span=form.span),)


def _choice(form: Group, parts: tuple[Form, ...]) -> tuple[Item, ...]:
    if len(parts) < 2 or not all(isinstance(part, Group) and part.bracket == "[" for part in parts[1:]):
        raise _Usage
    branches = tuple(
        GlobalType(_items(part.items), source=form.source) for part in parts[1:] if isinstance(part, Group)
    )
    return (Choice(_name(parts[0], "a role"), branches, span=form.span),)


def _mu(form: Group, parts: tuple[Form, ...]) -> tuple[Item, ...]:
    if not parts:
        raise _Usage
    return (Rec(_name(parts[0], "a variable"), GlobalType(_items(parts[1:]), source=form.source), span=form.span),)


def _do(form: Group, parts: tuple[Form, ...]) -> tuple[Item, ...]:
    if not parts:
        raise _Usage
    return (Do(_name(parts[0], "a protocol"), tuple(_name(part, "a role") for part in parts[1:]), span=form.span),)


_READERS: Final[dict[str, Callable[[Group, tuple[Form, ...]], tuple[Item, ...]]]] = {
    "->": _arrow, "branch": _branch, "choice": _choice, "mu": _mu, "do": _do,
}  # fmt: skip


def _content(form: Form) -> Content:
    if not isinstance(form, Group):
        return Content(None, (_sort(form),))
    if not form.items:
        raise _bad(form, "a message needs a label", "write (label sort …), or just a sort")
    label, *sorts = form.items
    payload = tuple(map(_sort, sorts))
    return Content(None if isinstance(label, Atom) and label.text == "_" else _text(label, "a label"), payload)


def _text(form: Form, what: str) -> str:
    match form:
        case Atom(text):
            return text
        case Quoted(value) if value:
            return value
    raise _bad(form, f"{what} is expected here, not {_what(form)}", f"{what} is a word")


def _sort(form: Form) -> str:
    """A sort is a word and no value: numbers and strings are refused."""
    if isinstance(form, Atom) and not _VALUE.match(form.text):
        return form.text
    raise _bad(form, f"a sort is expected here, not {_what(form)}", "a sort is a word that says what kind of value is sent, such as int or str")


def _name(form: Form, what: str) -> str:
    if isinstance(form, Atom) and form.text not in _RESERVED:
        return form.text
    raise _bad(form, f"the name of {what} is expected here, not {_what(form)}", "a name is a word that has no meaning yet")


def _what(form: Form) -> str:
    text = str(form)
    return text if len(text) <= 40 else text[:38] + " …"


def _bad(form: Form, message: str, help: str) -> KlorError:
    return wrong(form, message, slug="bad-protocol", help=help)
