"""Well-formedness of protocols.

    check(P)                  raises KlorError with all that is wrong, unless P is well-formed
    violations(G, roles)      the rules that a type breaks, each with its place

A protocol is well-formed when, the protocols that it uses written out,

    unbound-role              every role is declared
    self-message              nobody sends to itself
    unbound-recursion         every variable has a binder
    non-tail-recursion        nothing is behind a recursive call
    unguarded-recursion       something is sent between a binder and its variable
    choice-sender-mismatch    every branch of a choice starts with a message from the role that chooses
    choice-receiver-mismatch  … to one receiver
    duplicate-label           … and no two with the same label

Whether every role learns of the choices that concern it is a question for projection.

Sources: P. Deniélou, N. Yoshida, "Dynamic multirole session types" (2011) for the rules of choice; Scribble.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from klorpy.behaviour.expansion import expand, too_deep
from klorpy.behaviour.globaltype import (
    MAX_DEPTH,
    Choice,
    Continue,
    Do,
    GlobalType,
    Item,
    Message,
    Protocol,
    Rec,
    depth_of,
    items_of,
)
from klorpy.behaviour.regular import Draft, Tree, drafts, heads, tree
from klorpy.core.diagnostics import Diagnostic, KlorError
from klorpy.core.spans import Span
from klorpy.core.types import Role


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that is broken. `subject` is the role or the variable that is to blame, "" when there is none."""

    rule: str
    message: str
    help: str
    subject: str = ""
    span: Span | None = None

    def diagnostic(self, type_: GlobalType) -> Diagnostic:
        return Diagnostic(self.rule, self.message, self.span, help=self.help, source=type_.source if self.span else None)


def check(protocol: Protocol) -> None:
    """Raise KlorError with every rule that the protocol breaks; return if there is none.

    >>> from klorpy.behaviour import parse_global
    >>> check(Protocol("Self", ("A",), parse_global("(-> A A int)")))
    Traceback (most recent call last):
    klorpy.KlorError: A sends a message to itself
    help: a message goes to another role
    """
    written(protocol)


def written(protocol: Protocol) -> GlobalType:
    """What a protocol does, without `do`. Raises KlorError when it is not well-formed."""
    if depth_of(protocol.type) > MAX_DEPTH:
        raise too_deep(protocol.span, protocol.source)
    # What is written is looked at first, so that errors in it are found even when it cannot be written out.
    for part in (protocol, *uses(protocol)):
        _refuse(list(scoping(part.type, part.roles)), part.type)
    type_ = expand(protocol)
    if depth_of(type_) > MAX_DEPTH:
        raise too_deep(protocol.span, protocol.source)
    _refuse(list(violations(type_, protocol.roles)), protocol.type)
    return type_


def uses(protocol: Protocol) -> list[Protocol]:
    """The protocols that a protocol uses by `do`, those included that these use; not those that nobody knows."""
    found: dict[str, Protocol] = {protocol.name: protocol}
    order = [protocol]
    for part in order:
        for item in items_of(part.type):
            if isinstance(item, Do) and item.protocol not in found and item.protocol in protocol.library:
                found[item.protocol] = protocol.library[item.protocol]
                order.append(found[item.protocol])
    return order[1:]


#: The rules of single items in the order in which they are reported; all others come after them.
_FIRST = ("unbound-role", "self-message")


def rank(violation: Violation) -> int:
    """A number by which violations are in the order in which they are reported."""
    return _FIRST.index(violation.rule) if violation.rule in _FIRST else len(_FIRST)


def _refuse(found: list[Violation], type_: GlobalType) -> None:
    found.sort(key=rank)
    if found:
        raise KlorError(*(violation.diagnostic(type_) for violation in found))


def tree_of(protocol: Protocol) -> Tree:
    """What a protocol does, as a tree. Raises KlorError when it is not well-formed.

    >>> from klorpy.behaviour import parse_protocol
    >>> len(tree_of(parse_protocol("(defprotocol Login [U C] (-> U C str))")).nodes)
    2
    """
    return tree(written(protocol))


def violations(type_: GlobalType, roles: Sequence[Role] | None) -> Iterator[Violation]:
    """What is wrong with a type without `do`; roles are not checked when `roles` is None.

    Rules that others rest on come first; the rest is not looked at when one of these is broken.
    """
    first = list(scoping(type_, roles))
    yield from first
    if first:
        return
    nodes, _ = drafts(type_)
    unguarded = list(_unguarded(nodes))
    yield from unguarded
    if not unguarded:
        yield from _choices(nodes)


@dataclass(frozen=True, slots=True)
class _Scope:
    """The variables that are bound, and those of them whose recursion has something behind this place."""

    bound: frozenset[str] = frozenset()
    behind: frozenset[str] = frozenset()


def scoping(type_: GlobalType, roles: Sequence[Role] | None) -> Iterator[Violation]:
    """The first four rules: what concerns a single item and the names in scope, in the order of the text."""
    todo: list[tuple[GlobalType, _Scope]] = [(type_, _Scope())]
    while todo:
        body, scope = todo.pop()
        inner: list[tuple[GlobalType, _Scope]] = []
        for i, item in enumerate(body.items):
            if i < len(body.items) - 1 and not isinstance(item, (Message, Do)):
                within = _Scope(scope.bound, scope.bound)
            else:
                within = scope
            match item:
                case Message(sender, receiver) if sender == receiver:
                    yield Violation("self-message", f"{sender} sends a message to itself",
                                    "a message goes to another role", sender, item.span)  # fmt: skip
                case Choice(_, branches):
                    inner += [(branch, within) for branch in branches]
                case Rec(variable, part):
                    inner.append((part, _Scope(within.bound | {variable}, within.behind - {variable})))
                case Continue(variable) if variable not in scope.bound:
                    yield Violation("unbound-recursion", f"nothing binds {variable}",
                                    f"put it inside a (mu {variable} …)", variable, item.span)  # fmt: skip
                case Continue(variable) if variable in within.behind:
                    what = "the use of itself" if variable.startswith("__") else f"the recursive call of {variable}"
                    yield Violation("non-tail-recursion", f"there is more to do behind {what}",
                                    "let the recursive call be the last thing that is done", variable, item.span)  # fmt: skip
            for role in dict.fromkeys(_named(item)):
                if roles is not None and role not in roles:
                    declared = " ".join(roles) or "none"
                    yield Violation("unbound-role", f"{role} is not a role of this protocol",
                                    f"declare it; declared: {declared}", role, item.span)  # fmt: skip
        todo += reversed(inner)


def _named(item: Item) -> tuple[Role, ...]:
    match item:
        case Message(sender, receiver):
            return sender, receiver
        case Choice(role):
            return (role,)
        case Do(_, roles):
            return roles
    return ()


def _unguarded(nodes: Sequence[Draft]) -> Iterator[Violation]:
    """Binders from which one comes back without a message."""
    for at, node in enumerate(nodes):
        if not isinstance(node.item, Rec):
            continue
        seen: set[int] = set()
        todo = list(node.targets)
        while todo:
            place = todo.pop()
            if place == at:
                what = "the protocol uses itself" if node.item.variable.startswith("__") else f"{node.item.variable} starts again"
                yield Violation("unguarded-recursion", f"{what} before anything is sent",
                                "send a message between the mu and its variable", node.item.variable, node.item.span)  # fmt: skip
                break
            if place not in seen and not isinstance(nodes[place].item, (Message, type(None))):
                seen.add(place)
                todo += nodes[place].targets


def _choices(nodes: Sequence[Draft]) -> Iterator[Violation]:
    """Choices whose branches do not start as they should, outer ones before inner ones."""
    for node in reversed(nodes):
        if not isinstance(node.item, Choice):
            continue
        choice = node.item
        starts = [[nodes[at].item for at in heads(nodes, target)] for target in node.targets]
        messages = [[item for item in items if isinstance(item, Message)] for items in starts]
        receivers = [{message.receiver for message in branch} for branch in messages]
        labels = [{message.label for message in branch} for branch in messages]
        if not starts or any(not isinstance(i, Message) or i.sender != choice.role for items in starts for i in items):
            yield Violation("choice-sender-mismatch",
                            f"{choice.role} chooses, but a branch does not start with a message from {choice.role}",
                            f"let every branch start with a message from {choice.role}", choice.role, choice.span)  # fmt: skip
        elif not set.intersection(*receivers):
            who = ", ".join(sorted(set.union(*receivers)))
            yield Violation("choice-receiver-mismatch",
                            f"the branches of {choice.role}'s choice start with messages to different receivers: {who}",
                            "tell one role first, the same in every branch", choice.role, choice.span)  # fmt: skip
        elif sum(map(len, labels)) > len(set.union(*labels)):
            twice = next(label for i, some in enumerate(labels) for label in some if any(label in other for other in labels[:i]))
            yield Violation("duplicate-label", f"two branches of {choice.role}'s choice start with "
                            + (f"the label {twice}" if twice is not None else "a message without label"),
                            "give the branches different labels", choice.role, choice.span)  # fmt: skip
