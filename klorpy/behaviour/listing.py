"""Protocols for readers:  P  →  the declaration, one line for each thing that happens. `parse_protocol` reads it back."""

from __future__ import annotations

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
