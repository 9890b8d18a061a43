"""Global types: who sends what to whom in one session, seen from above.

    G ::= I*                                  one thing after the other; nothing more is `end`
    I ::= p -> q : <S>                        p sends q a value of sort S                     Message, label None
        | p -> q : l(S, …)                    p sends q the message l, which carries values   Message
        | choice at p { G … }                 p goes one of several ways                      Choice
        | mu t. G | t                         recursion                                       Rec, Continue
        | do P(r, …)                          another protocol, its roles played by r, …      Do

A branching `p -> q : {l1: G1, l2: G2}` is a `Choice` at p whose branches start with the messages l1 and l2 from p to
q. A long protocol is a long tuple, not a deep tree; only choices and recursions nest, at most `MAX_DEPTH` deep.

As text there are two notations. `text` is the s-expression that `klorpy.behaviour.globalparser` reads:

    I ::= (-> p q S I*) | (-> p q (l S*) I*) | (branch p q (l I*) …) | (branch p q ((l S*) I*) …)
        | (choice p [I*] …) | (mu t I*) | t | (do P r*) | end

where what stands in the brackets of `->` behind the message follows the message, so that `(-> p q S G)` and
`(-> p q S) G` are the same. `str` is the notation of the papers.

Sources: K. Honda, N. Yoshida, M. Carbone, "Multiparty asynchronous session types" (2008); M. Carbone, F. Montesi,
"Merging multiparty protocols in multiparty choreographies" (2012), section 2; Scribble for labels with payloads, choices
at a role, and protocols that are used by others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias, assert_never

from klorpy.core.spans import Source, Span
from klorpy.core.types import Role

Sort: TypeAlias = str
Label: TypeAlias = str

#: How deep choices and recursions may nest: what works on types recurses over them.
MAX_DEPTH: Final = 100
#: How many items a type may have once the protocols that it uses are written out, and what follows a choice, too.
MAX_ITEMS: Final = 200_000


@dataclass(frozen=True, slots=True)
class GlobalType:
    """What is done one after the other. No items: `end`."""

    items: tuple[Item, ...] = ()
    #: The text that was read, for errors; None when there was none.
    source: Source | None = field(default=None, kw_only=True, compare=False, repr=False)

    @property
    def text(self) -> str:
        """The type as s-expressions."""
        return sexpr(self)

    def __str__(self) -> str:
        return infix(self)


@dataclass(frozen=True, slots=True)
class Message:
    """`sender` sends values of the sorts `payload` to `receiver`; `label` is None for a bare value."""

    sender: Role
    receiver: Role
    label: Label | None = None
    payload: tuple[Sort, ...] = ()
    span: Span | None = field(default=None, kw_only=True, compare=False, repr=False)

    @property
    def content(self) -> Content:
        return Content(self.label, self.payload)


@dataclass(frozen=True, slots=True, order=True)
class Content:
    """What a message is, apart from who sends it to whom: `<S>` or `l(S, …)`."""

    label: Label | None
    payload: tuple[Sort, ...] = ()

    def __str__(self) -> str:
        if self.label is None:
            return f"<{', '.join(self.payload)}>"
        return f"{self.label}({', '.join(self.payload)})" if self.payload else self.label


@dataclass(frozen=True, slots=True)
class Choice:
    """`role` chooses a branch, and its first message tells which."""

    role: Role
    branches: tuple[GlobalType, ...]
    span: Span | None = field(default=None, kw_only=True, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Rec:
    """`body`, in which `variable` stands for all of this again."""

    variable: str
    body: GlobalType
    span: Span | None = field(default=None, kw_only=True, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Continue:
    """Back to the binder of `variable`."""

    variable: str
    span: Span | None = field(default=None, kw_only=True, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Do:
    """The protocol called `protocol`, its roles played by `roles`."""

    protocol: str
    roles: tuple[Role, ...]
    span: Span | None = field(default=None, kw_only=True, compare=False, repr=False)


Item: TypeAlias = Message | Choice | Rec | Continue | Do

END: Final = GlobalType()

#: What a plain word does not contain.
_ODD: Final = re.compile(r'[\s()\[\]";]')


@dataclass(frozen=True)
class Protocol:
    """A global type with a name and the roles that it has; `library` holds the protocols that it uses by `do`.

    >>> from klorpy.behaviour import parse_protocol
    >>> parse_protocol("(defprotocol Login [U C] (-> U C str))")
    (defprotocol Login [U C] (-> U C str))
    """

    name: str
    roles: tuple[Role, ...]
    type: GlobalType
    library: Mapping[str, Protocol] = field(default_factory=dict, compare=False)
    span: Span | None = field(default=None, kw_only=True, compare=False)
    #: The spans of the roles, for errors.
    role_spans: tuple[Span, ...] = field(default=(), kw_only=True, compare=False)

    @property
    def source(self) -> Source | None:
        return self.type.source

    @property
    def text(self) -> str:
        """The declaration as an s-expression."""
        return f"(defprotocol {self.name} [{' '.join(self.roles)}] {self.type.text})"

    def __repr__(self) -> str:
        return self.text

    def __str__(self) -> str:
        return f"{self.name}[{', '.join(self.roles)}] = {self.type}"


def message(sender: Role, receiver: Role, sort: Sort) -> Message:
    """`sender -> receiver : <sort>`."""
    return Message(sender, receiver, None, (sort,))


def branching(sender: Role, receiver: Role, branches: Mapping[Label, GlobalType]) -> Choice:
    """`sender -> receiver : {l: G, …}`.

    >>> str(GlobalType((branching("f", "c", {"ok": GlobalType((message("c", "f", "file"),)), "quit": END}),)))
    'f->c:{ok: c->f:<file>; end, quit: end}'
    """
    return Choice(
        sender,
        tuple(GlobalType((Message(sender, receiver, label), *body.items)) for label, body in branches.items()),
    )


# --- What a type mentions ---------------------------------------------------------------------------------------------


def items_of(type_: GlobalType) -> Iterator[Item]:
    """All items of a type, outer ones before inner ones, in the order of the text."""
    todo = list(reversed(type_.items))
    while todo:
        item = todo.pop()
        yield item
        match item:
            case Choice(_, branches):
                todo += [inner for branch in reversed(branches) for inner in reversed(branch.items)]
            case Rec(_, body):
                todo += reversed(body.items)


def roles_of(type_: GlobalType) -> tuple[Role, ...]:
    """The roles that a type mentions, in the order of their first mention.

    >>> roles_of(GlobalType((message("u", "c", "str"), message("c", "f", "str"))))
    ('u', 'c', 'f')
    """
    found: dict[Role, None] = {}
    for item in items_of(type_):
        match item:
            case Message(sender, receiver):
                found |= {sender: None, receiver: None}
            case Choice(role):
                found[role] = None
            case Do(_, roles):
                found |= dict.fromkeys(roles)
    return tuple(found)


def free_variables(item: Item) -> frozenset[str]:
    """The variables that something outside of `item` binds.

    >>> free_variables(Rec("t", GlobalType((message("a", "b", "int"), Continue("u")))))
    frozenset({'u'})
    """
    match item:
        case Continue(variable):
            return frozenset((variable,))
        case Choice(_, branches):
            return frozenset().union(*(free_variables(inner) for branch in branches for inner in branch.items))
        case Rec(variable, body):
            return frozenset().union(*map(free_variables, body.items)) - {variable}
    return frozenset()


def depth_of(type_: GlobalType) -> int:
    """How deep choices and recursions nest; 1 for a type without any."""
    deepest = 0
    todo = [(type_, 1)]
    while todo:
        body, depth = todo.pop()
        deepest = max(deepest, depth)
        for item in body.items:
            match item:
                case Choice(_, branches):
                    todo += [(branch, depth + 1) for branch in branches]
                case Rec(_, inner):
                    todo.append((inner, depth + 1))
    return deepest


def rename(type_: GlobalType, roles: Mapping[Role, Role]) -> GlobalType:
    """`type_` with the roles renamed; those that `roles` does not name stay.

    >>> str(rename(GlobalType((message("U", "C", "str"),)), {"U": "u"}))
    'u->C:<str>; end'
    """

    def name(role: Role) -> Role:
        return roles.get(role, role)

    def item(old: Item) -> Item:
        match old:
            case Message(sender, receiver):
                return replace(old, sender=name(sender), receiver=name(receiver))
            case Choice(role, branches):
                return replace(old, role=name(role), branches=tuple(rename(branch, roles) for branch in branches))
            case Rec(_, body):
                return replace(old, body=rename(body, roles))
            case Continue():
                return old
            case Do(_, actual):
                return replace(old, roles=tuple(map(name, actual)))
            case _:
                assert_never(old)

    return replace(type_, items=tuple(map(item, type_.items)))


# --- Types as text ----------------------------------------------------------------------------------------------------


def common_receiver(choice: Choice) -> Role | None:
    """The receiver when every branch starts with a labelled message from the chooser to it, else None."""
    receivers: set[Role] = set()
    for branch in choice.branches:
        match branch.items[:1]:
            case (Message(sender, receiver, str()),) if sender == choice.role:
                receivers.add(receiver)
            case _:
                return None
    return receivers.pop() if len(receivers) == 1 else None


def sexpr(type_: GlobalType) -> str:
    """The type as s-expressions, which `parse_global` reads back.

    >>> sexpr(GlobalType((message("U", "C", "str"), message("C", "F", "str"))))
    '(-> U C str) (-> C F str)'
    """
    return " ".join(map(_sexpr_item, type_.items)) or "end"


def _sexpr_item(item: Item) -> str:
    match item:
        case Message(sender, receiver):
            return f"(-> {sender} {receiver} {sexpr_content(item.content)})"
        case Choice(role, branches):
            receiver_ = common_receiver(item)
            if receiver_ is None:
                return f"(choice {role} {' '.join(f'[{sexpr(branch)}]' for branch in branches)})"
            return f"(branch {role} {receiver_} {' '.join(map(_sexpr_branch, branches))})"
        case Rec(variable, body):
            return f"(mu {variable} {sexpr(body)})"
        case Continue(variable):
            return variable
        case Do(protocol, roles):
            return f"(do {' '.join((protocol, *roles))})"
        case _:
            assert_never(item)


def word(text: str) -> str:
    """A label or a sort as the reader reads it: in quotes where it is no plain word.

    >>> word("ok"), word("two words")
    ('ok', '"two words"')
    """
    if text and not _ODD.search(text) and text != "_":
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r") + '"'


def sexpr_content(content: Content) -> str:
    if content.label is None and len(content.payload) == 1:
        return word(content.payload[0])
    label = "_" if content.label is None else word(content.label)
    return f"({' '.join((label, *map(word, content.payload)))})"


def _sexpr_branch(branch: GlobalType) -> str:
    first, *rest = branch.items
    assert isinstance(first, Message)
    assert first.label is not None
    label = word(first.label) if not first.payload else sexpr_content(first.content)
    return f"({label} {sexpr(GlobalType(tuple(rest)))})"


def infix(type_: GlobalType) -> str:
    """The type in the notation of the papers.

    >>> infix(GlobalType((Rec("t", GlobalType((message("u", "c", "str"), Continue("t")))),)))
    'mu t. u->c:<str>; t'
    """
    parts = [_infix_item(item, last=i == len(type_.items) - 1) for i, item in enumerate(type_.items)]
    if not parts or isinstance(type_.items[-1], (Message, Do)):
        parts.append("end")
    return "; ".join(parts)


def _infix_item(item: Item, *, last: bool) -> str:
    match item:
        case Message(sender, receiver):
            return f"{sender}->{receiver}:{item.content}"
        case Choice(role, branches):
            receiver_ = common_receiver(item)
            if receiver_ is None:
                return f"{role}{{{' | '.join(map(infix, branches))}}}"
            return f"{role}->{receiver_}:{{{', '.join(map(_infix_branch, branches))}}}"
        case Rec(variable, body):
            return f"mu {variable}. {infix(body)}" if last else f"(mu {variable}. {infix(body)})"
        case Continue(variable):
            return variable
        case Do(protocol, roles):
            return f"{protocol}({', '.join(roles)})"
        case _:
            assert_never(item)


def _infix_branch(branch: GlobalType) -> str:
    first, *rest = branch.items
    assert isinstance(first, Message)
    return f"{first.content}: {infix(GlobalType(tuple(rest)))}"
