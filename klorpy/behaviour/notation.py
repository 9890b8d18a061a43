"""The text of choreographies, contracts and systems.

    text  ->  term     parse_choreography, parse_contract, parse_system
    term  ->  text     str(term), which these read back
    term  ->  text     infix(term): the papers' operators, for people

The words: `(com r s a)`, `(send s a)`, `(recv a)`, `tau`, `1`, `0`, `(seq …)`, `(alt …)`, `(par …)`, `(star …)`,
`(scope X (roles r …) H)`, `(sys (r P) …)`. A wrong form is refused with its place: `bad-term` (no such form here),
`arity`, `self-communication`, `dup-role`, `unknown-role`, `dup-name` (two scopes of one name), `read-error`, `too-deep`.
"""

from __future__ import annotations

from typing import Final, TypeVar, assert_never

from klorpy.behaviour.arguments import checked
from klorpy.behaviour.sexpr import Atom, Form, Group, Quoted, read_one, wrong
from klorpy.behaviour.terms import (
    ONE,
    TAU,
    ZERO,
    Alt,
    Chor,
    Com,
    Contract,
    One,
    Par,
    Recv,
    Scope,
    Send,
    Seq,
    Star,
    System,
    Tau,
    Term,
    Zero,
    alt,
    par,
    roles_of,
    seq,
)

_T = TypeVar("_T")

_FORMS: Final = {
    "choreography": "(com r s a), 1, 0, (seq …), (alt …), (par …), (star H), (scope X (roles r …) H)",
    "contract": "(send s a), (recv a), tau, 1, 0, (seq …), (alt …), (par …), (star P)",
}
_CONSTANTS: Final[dict[str, Term]] = {"1": ONE, "0": ZERO, "tau": TAU}


def parse_choreography(text: str, filename: str = "<choreography>") -> Chor:
    """The choreography that a text denotes.

    >>> str(parse_choreography("(seq (com r s a) (star (com s r b)))"))
    '(seq (com r s a) (star (com s r b)))'
    """
    return _Parser("choreography", {}).term(read_one(text, filename))


def parse_contract(text: str, filename: str = "<contract>") -> Contract:
    """The contract that a text denotes.

    >>> infix(parse_contract("(seq (recv request) (alt (send c yes) (send c no)))"))
    'request?; (yes!c + no!c)'
    """
    return _Parser("contract", {}).term(read_one(text, filename))


def parse_system(text: str, filename: str = "<system>") -> System:
    """The system that a text denotes: `(sys (role contract) …)`.

    >>> parse_system("(sys (r (send s a)) (s (recv a)))").roles
    ('r', 's')
    """
    form = read_one(text, filename)
    if not isinstance(form, Group) or form.word != "sys":
        raise wrong(form, f"a system is expected, not {_short(form)}", slug="bad-term", help="write (sys (role contract) …)")
    contracts: dict[str, Contract] = {}
    for part in form.items[1:]:
        if not isinstance(part, Group) or len(part.items) != 2:
            raise wrong(part, "a role and its contract are expected", slug="bad-term", help="write (role contract)")
        role = _name(part.items[0], "role")
        if role in contracts:
            raise wrong(part.items[0], f"{role} has two contracts", slug="dup-role", help="join them with par, or rename one")
        contracts[role] = _Parser("contract", {}, role).term(part.items[1])
    return System(tuple(contracts.items()))


class _Parser:
    """Reads terms of one kind. `role` is whose contract it is, if that is known."""

    def __init__(self, kind: str, scopes: dict[str, Form], role: str | None = None) -> None:
        self.kind = kind
        self.scopes = scopes
        self.role = role

    def term(self, form: Form) -> Term:
        if isinstance(form, Atom):
            constant = _CONSTANTS.get(form.text)
            if constant is not None and (constant is not TAU or self.kind == "contract"):
                return constant
            raise self._no_term(form)
        if isinstance(form, Quoted) or form.bracket != "(":
            raise self._no_term(form)
        arguments = form.items[1:]
        match form.word:
            case "seq":
                return seq(*map(self.term, arguments))
            case "alt":
                return alt(*map(self.term, arguments))
            case "par":
                return par(*map(self.term, arguments))
            case "star":
                return Star(self.term(self._exactly(form, 1)[0]))
            case "com" if self.kind == "choreography":
                sender, receiver, operation = self._exactly(form, 3)
                return self._com(form, _name(sender, "role"), _name(receiver, "role"), _name(operation, "operation"))
            case "scope" if self.kind == "choreography":
                return self._scope(form)
            case "send" if self.kind == "contract":
                receiver, operation = self._exactly(form, 2)
                return self._send(form, _name(receiver, "role"), _name(operation, "operation"))
            case "recv" if self.kind == "contract":
                return Recv(_name(self._exactly(form, 1)[0], "operation"))
            case _:
                raise self._no_term(form)

    def _com(self, form: Form, sender: str, receiver: str, operation: str) -> Com:
        if sender == receiver:
            raise wrong(
                form, f"{sender} would communicate with itself by {operation}", slug="self-communication",
                help="name two different roles, or leave the interaction out",
            )  # fmt: skip
        return Com(sender, receiver, operation)

    def _send(self, form: Form, receiver: str, operation: str) -> Send:
        if receiver == self.role:
            raise wrong(
                form, f"{receiver} would communicate with itself by {operation}", slug="self-communication",
                help="send to another role, or leave the interaction out",
            )  # fmt: skip
        return Send(receiver, operation)

    def _scope(self, form: Group) -> Scope:
        named, declared, inner = self._exactly(form, 3)
        name = _name(named, "scope")
        if name in self.scopes:
            raise wrong(named, f"there are two scopes called {name}", slug="dup-name", help="give each scope its own name")
        self.scopes[name] = named
        if not isinstance(declared, Group) or declared.word != "roles" or len(declared.items) < 2:
            raise wrong(declared, "the roles of the scope are expected", slug="bad-term", help="write (roles r s …), the leader first")
        roles: list[str] = []
        for item in declared.items[1:]:
            role = _name(item, "role")
            if role in roles:
                raise wrong(item, f"{role} is declared twice", slug="dup-role", help=f"name {role} once")
            roles.append(role)
        body = self.term(inner)
        missing = [role for role in roles_of(body) if role not in roles]
        if missing:
            raise wrong(
                inner, f"{missing[0]} takes part in the scope {name}, which does not declare it", slug="unknown-role",
                help=f"write (roles {' '.join([*roles, *missing])})",
            )  # fmt: skip
        return Scope(name, tuple(roles), body)

    def _exactly(self, form: Group, count: int) -> tuple[Form, ...]:
        given = len(form.items) - 1
        if given != count:
            raise wrong(
                form, f"{form.word} takes {count} argument{'s' if count > 1 else ''}, not {given}", slug="arity",
                help=f"the forms of a {self.kind} are {_FORMS[self.kind]}",
            )  # fmt: skip
        return form.items[1:]

    def _no_term(self, form: Form) -> Exception:
        return wrong(
            form, f"a {self.kind} is expected, not {_short(form)}", slug="bad-term",
            help=f"the forms of a {self.kind} are {_FORMS[self.kind]}",
        )  # fmt: skip


def _name(form: Form, what: str) -> str:
    if isinstance(form, Atom):
        return form.text
    raise wrong(form, f"the name of a{'n' if what == 'operation' else ''} {what} is expected, not {_short(form)}", slug="bad-term", help="names are single words")


def _short(form: Form) -> str:
    text = str(form)
    return text if len(text) <= 40 else f"({form.word} …)" if isinstance(form, Group) and form.word else text[:40] + "…"


# --- The papers' operators --------------------------------------------------------------------------------------------

#: How tightly the operators bind, from `+` to leaves.
_ALT, _PAR, _SEQ, _STAR = range(4)


@checked
def infix(term: Term) -> str:
    """The term with the papers' operators: `;` binds tighter than `|`, and `|` tighter than `+`.

    >>> infix(parse_choreography("(seq (com r s a) (alt (com s r b) (star (com s t c))))"))
    'a: r→s; (b: s→r + (c: s→t)*)'
    """
    return _infix(term, _ALT)


def interaction(com: Com) -> str:
    """An interaction as the papers write it.

    >>> interaction(Com("r", "s", "a"))
    'a: r→s'
    """
    return f"{com.operation}: {com.sender}→{com.receiver}"


def _infix(term: Term, binding: int) -> str:
    match term:
        case One() | Zero() | Tau():
            return str(term)
        case Com():
            return f"({interaction(term)})" if binding == _STAR else interaction(term)
        case Send(receiver, operation):
            return f"{operation}!{receiver}"
        case Recv(operation):
            return f"{operation}?"
        case Seq(items):
            return _joined(items, "; ", _SEQ, binding, "1")
        case Alt(items):
            return _joined(items, " + ", _ALT, binding, "0")
        case Par(items):
            return _joined(items, " | ", _PAR, binding, "1")
        case Star(body):
            return f"{_infix(body, _STAR)}*"
        case Scope(name, roles, body):
            return f"{name}[{', '.join(roles)}]{{{_infix(body, _ALT)}}}"
        case _:
            assert_never(term)


def _joined(items: tuple[Term, ...], operator: str, own: int, binding: int, unit: str) -> str:
    if len(items) < 2:
        return _infix(items[0], binding) if items else unit
    text = operator.join(_infix(item, own) for item in items)
    return f"({text})" if own < binding else text
