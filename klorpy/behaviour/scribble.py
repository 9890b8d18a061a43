"""Protocols as Scribble text, for tools that read that.

    scribble(P)               global protocol P(role A, …) { … }, with the protocols that it uses
    scribble_local(P, r)      local protocol P at r(role A, …) { … }

Scribble knows no bare values: they get the label `value`. A name that is no identifier there becomes one, with `_` for what
is not allowed; names that would become equal are told apart by numbers.

Source: K. Honda et al., "Scribbling interactions with a formal foundation" (2011); the Scribble language reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, assert_never

from klorpy.behaviour.arguments import checked
from klorpy.behaviour.globaltype import Choice, Content, Continue, Do, GlobalType, Message, Protocol, Rec, items_of
from klorpy.behaviour.localtype import Action, LocalChoice, LocalContinue, LocalRec, LocalType, Receive, Send
from klorpy.behaviour.projection import Merging, local_type
from klorpy.core.types import Role

_VALUE: Final = "value"


@checked
def scribble(protocol: Protocol) -> str:
    """The protocol and those that it uses, as the text of a Scribble module.

    >>> from klorpy.behaviour import parse_protocol
    >>> print(scribble(parse_protocol("(defprotocol Fetch [C F] (-> C F str) (branch F C (ok (-> C F file)) (quit)))")))
    global protocol Fetch(role C, role F) {
      value(str) from C to F;
      choice at F {
        ok() from F to C;
        value(file) from C to F;
      } or {
        quit() from F to C;
      }
    }
    """
    names = _Names()
    used = _used(protocol)
    parts = [
        "\n".join([
            f"{'' if i == 0 else 'aux '}global protocol {names.of('protocol', p.name)}({names.roles(p.roles)}) {{",
            *_indented(_global(p.type, names)), "}",
        ])
        for i, p in enumerate(used)
    ]  # fmt: skip
    return "\n\n".join(parts)


@checked
def scribble_local(protocol: Protocol, role: Role, *, merging: Merging = "full") -> str:
    """The part of a role. Raises KlorError `unmergeable`, as `local_type`.

    >>> from klorpy.behaviour import parse_protocol
    >>> print(scribble_local(parse_protocol("(defprotocol Login [U C] (-> U C str))"), "C"))
    local protocol Login at C(role U, role C) {
      value(str) from U;
    }
    """
    names = _Names()
    head = f"local protocol {names.of('protocol', protocol.name)} at {names.of('role', role)}({names.roles(protocol.roles)}) {{"
    return "\n".join([head, *_indented(_local(local_type(protocol, role, merging=merging), role, names)), "}"])


def _used(protocol: Protocol) -> list[Protocol]:
    """The protocol and all that it uses, itself first."""
    found = {protocol.name: protocol}
    todo = [protocol]
    while todo:
        for item in items_of(todo.pop().type):
            if isinstance(item, Do) and item.protocol not in found:
                found[item.protocol] = protocol.library[item.protocol]
                todo.append(found[item.protocol])
    return list(found.values())


@dataclass
class _Names:
    """Scribble's identifiers for names of protocols, roles, labels, sorts and variables, each kind for itself."""

    known: dict[tuple[str, str], str] = field(default_factory=dict)

    def of(self, kind: str, name: str) -> str:
        if (kind, name) not in self.known:
            taken = {identifier for (other, _), identifier in self.known.items() if other == kind}
            plain = re.sub(r"\W", "_", name, flags=re.ASCII)
            identifier, count = plain, 1
            while identifier in taken:
                count += 1
                identifier = f"{plain}_{count}"
            self.known[kind, name] = identifier
        return self.known[kind, name]

    def roles(self, roles: Sequence[Role]) -> str:
        return ", ".join(f"role {self.of('role', role)}" for role in roles)

    def content(self, content: Content) -> str:
        label = _VALUE if content.label is None else self.of("label", content.label)
        return f"{label}({', '.join(self.of('sort', sort) for sort in content.payload)})"


def _indented(lines: Iterable[str]) -> list[str]:
    return ["  " + line for line in lines]


def _global(type_: GlobalType, names: _Names) -> Iterator[str]:
    for item in type_.items:
        match item:
            case Message(sender, receiver):
                yield f"{names.content(item.content)} from {names.of('role', sender)} to {names.of('role', receiver)};"
            case Choice(role, branches):
                yield from _choice(role, [list(_global(branch, names)) for branch in branches], names)
            case Rec(variable, body):
                yield from _block(f"rec {names.of('variable', variable)}", _global(body, names))
            case Continue(variable):
                yield f"continue {names.of('variable', variable)};"
            case Do(protocol, roles):
                yield f"do {names.of('protocol', protocol)}({', '.join(names.of('role', role) for role in roles)});"
            case _:
                assert_never(item)


def _local(type_: LocalType, me: Role, names: _Names) -> Iterator[str]:
    for action in type_.actions:
        yield from _local_action(action, me, names)


def _local_action(action: Action, me: Role, names: _Names) -> Iterator[str]:
    match action:
        case Send(peer):
            yield f"{names.content(action.content)} to {names.of('role', peer)};"
        case Receive(peer):
            yield f"{names.content(action.content)} from {names.of('role', peer)};"
        case LocalChoice(role, branches):
            yield from _choice(role, [list(_local(branch, me, names)) for branch in branches], names)
        case LocalRec(variable, body):
            yield from _block(f"rec {names.of('variable', variable)}", _local(body, me, names))
        case LocalContinue(variable):
            yield f"continue {names.of('variable', variable)};"
        case _:
            assert_never(action)


def _choice(role: Role, branches: Sequence[Sequence[str]], names: _Names) -> Iterator[str]:
    yield f"choice at {names.of('role', role)} {{"
    for i, branch in enumerate(branches):
        yield from _indented(branch)
        yield "} or {" if i < len(branches) - 1 else "}"


def _block(head: str, lines: Iterable[str]) -> Iterator[str]:
    yield f"{head} {{"
    yield from _indented(lines)
    yield "}"
