"""Protocols for readers: as indented text, and as Scribble.

    listing(P)        the declaration, one line for each thing that happens; `parse_protocol` reads it back
    scribble(P)       a global protocol of Scribble; labels and sorts that are no words there are spelled as words

Source: the Scribble language guide, N. Yoshida, R. Hu, R. Neykova, N. Ng, "The Scribble protocol language" (2013).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import assert_never

from klorpy.behaviour.globaltype import (
    Choice,
    Continue,
    Do,
    GlobalType,
    Item,
    Message,
    Protocol,
    Rec,
    common_receiver,
    sexpr,
    sexpr_content,
    word,
)

_WIDTH = 96


def listing(protocol: Protocol) -> str:
    """The declaration of a protocol on as many lines as it needs.

    >>> from klorpy.behaviour import parse_protocol
    >>> print(listing(parse_protocol("(defprotocol Fetch [C F] (-> C F str) (branch F C (ok (-> C F file)) (quit)))")))
    (defprotocol Fetch [C F]
      (-> C F str)
      (branch F C (ok (-> C F file)) (quit end)))
    """
    head = f"(defprotocol {protocol.name} [{' '.join(protocol.roles)}]"
    return "\n".join(_closed([head, *_body(protocol.type, 2)], ")"))


def _body(type_: GlobalType, indent: int) -> list[str]:
    lines = [line for item in type_.items for line in _item(item, indent)]
    return lines or [f"{' ' * indent}end"]


def _item(item: Item, indent: int) -> list[str]:
    space = " " * indent
    short = space + sexpr(GlobalType((item,)))
    if len(short) <= _WIDTH and short.count("(") <= 6:
        return [short]
    match item:
        case Choice(role, branches):
            receiver = common_receiver(item)
            if receiver is None:
                inner = [line for branch in branches for line in _bracketed(branch, indent + 2)]
                return _closed([f"{space}(choice {role}", *inner], ")")
            inner = [line for branch in branches for line in _labelled(branch, indent + 2)]
            return _closed([f"{space}(branch {role} {receiver}", *inner], ")")
        case Rec(variable, body):
            return _closed([f"{space}(mu {variable}", *_body(body, indent + 2)], ")")
        case Message() | Continue() | Do():
            return [short]
        case _:
            assert_never(item)


def _bracketed(branch: GlobalType, indent: int) -> list[str]:
    lines = _body(branch, indent + 1)
    return _closed([f"{' ' * indent}[{lines[0].lstrip()}", *lines[1:]], "]")


def _labelled(branch: GlobalType, indent: int) -> list[str]:
    first, *rest = branch.items
    assert isinstance(first, Message)
    assert first.label is not None
    label = word(first.label) if not first.payload else sexpr_content(first.content)
    short = f"{' ' * indent}({label} {sexpr(GlobalType(tuple(rest)))})"
    if len(short) <= _WIDTH and short.count("(") <= 6:
        return [short]
    return _closed([f"{' ' * indent}({label}", *_body(GlobalType(tuple(rest)), indent + 2)], ")")


def _closed(lines: list[str], bracket: str) -> list[str]:
    return [*lines[:-1], lines[-1] + bracket]


# --- Scribble ---------------------------------------------------------------------------------------------------------


def scribble(protocol: Protocol) -> str:
    """The protocol as a module of Scribble, with the protocols that it uses.

    >>> from klorpy.behaviour import parse_protocol
    >>> print(scribble(parse_protocol("(defprotocol Ping [A B] (-> A B int) (branch B A (pong) (not-now)))")))
    module Ping;
    <BLANKLINE>
    global protocol Ping(role A, role B) {
      (int) from A to B;
      choice at B {
        pong() from B to A;
      } or {
        not_now() from B to A;
      }
    }
    """
    used: dict[str, Protocol] = {}
    todo = [protocol]
    while todo:
        current = todo.pop(0)
        if current.name not in used:
            used[current.name] = current
            library = {**protocol.library, **current.library}
            todo += [library[name] for name in _uses(current.type) if name in library]
    names = _Words()
    parts = [f"module {names.spelled(protocol.name)};"]
    for each in used.values():
        roles = ", ".join(f"role {names.spelled(role)}" for role in each.roles)
        body = "\n".join(_lines(each.type, names, 1))
        parts.append(f"global protocol {names.spelled(each.name)}({roles}) {{\n{body}\n}}" if body else
                     f"global protocol {names.spelled(each.name)}({roles}) {{\n}}")  # fmt: skip
    return "\n\n".join(parts)


def _uses(type_: GlobalType) -> Iterator[str]:
    for item in type_.items:
        match item:
            case Do(name):
                yield name
            case Choice(_, branches):
                for branch in branches:
                    yield from _uses(branch)
            case Rec(_, body):
                yield from _uses(body)


@dataclass
class _Words:
    """One word for each name: letters, digits and `_`, different names being different words."""

    known: dict[str, str] = field(default_factory=dict)

    def spelled(self, name: str) -> str:
        found = self.known.get(name)
        if found is None:
            found = re.sub(r"\W", "_", name, flags=re.ASCII).strip("_") or "m"
            found = f"m{found}" if found[0].isdigit() else found
            taken, count, base = set(self.known.values()), 1, found
            while found in taken:
                count += 1
                found = f"{base}_{count}"
            self.known[name] = found
        return found


def _lines(type_: GlobalType, names: _Words, depth: int) -> Iterator[str]:
    space = "  " * depth
    for item in type_.items:
        match item:
            case Message(sender, receiver, label, payload):
                sorts = ", ".join(map(names.spelled, payload))
                what = names.spelled(label) if label is not None else ""
                yield f"{space}{what}({sorts}) from {names.spelled(sender)} to {names.spelled(receiver)};"
            case Choice(role, branches):
                for i, branch in enumerate(branches):
                    yield f"{space}choice at {names.spelled(role)} {{" if i == 0 else f"{space}}} or {{"
                    yield from _lines(branch, names, depth + 1)
                yield f"{space}}}"
            case Rec(variable, body):
                yield f"{space}rec {names.spelled(variable)} {{"
                yield from _lines(body, names, depth + 1)
                yield f"{space}}}"
            case Continue(variable):
                yield f"{space}continue {names.spelled(variable)};"
            case Do(name, roles):
                yield f"{space}do {names.spelled(name)}({', '.join(map(names.spelled, roles))});"
            case _:
                assert_never(item)
