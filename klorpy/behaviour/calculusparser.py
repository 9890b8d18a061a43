"""Reads choreographies of the global calculus; the grammar is that of `klorpy.behaviour.globalcalculus`.

    text  ->  Chor            parse_gc(text)

What is written one after the other happens in that order; `(if …)`, `(rec …)`, `(call …)` and `(new …)` come last. A
branch of `if` is one form, or several in brackets. Raises KlorError `bad-calculus`, `unbound-recursion`,
`unguarded-recursion` (something other than a start has to happen between a rec and its call), and the reader's errors.
"""

from __future__ import annotations

import re
from typing import Final

from klorpy.behaviour.globalcalculus import (
    NIL,
    Apply,
    Call,
    Chor,
    Com,
    Cond,
    Expr,
    Interaction,
    Last,
    Literal,
    New,
    Player,
    Rec,
    Sel,
    Start,
    Variable,
    require_depth,
)
from klorpy.behaviour.sexpr import Atom, Form, Group, Quoted, read, wrong
from klorpy.core.diagnostics import Diagnostic, KlorError

_USAGE: Final = {
    "start": "write (start channel session (thread role) (thread role) …)",
    "com": "write (com session (thread role) expression (thread role) variable)",
    "sel": "write (sel session (thread role) (thread role) label)",
    "if": "write (if condition thread then otherwise)",
    "rec": "write (rec X what-happens …), with (call X) where it starts again",
    "call": "write (call X) inside of (rec X …)",
    "new": "write (new session what-happens …)",
}
_LAST: Final = frozenset(("if", "rec", "call", "new"))
_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,4000}")


def parse_gc(text: str, filename: str = "<text>") -> Chor:
    """The choreography of a text.

    >>> print(parse_gc("(start a k (u U) (c C)) (com k (u U) (pwd) (c C) x)"))
    (start a k (u U) (c C))
    (com k (u U) (pwd) (c C) x)
    """
    chor = _body(read(text, filename))
    check_recursion(chor)
    return chor


def check_recursion(chor: Chor) -> None:
    """Raise KlorError unless every call has a binder with an interaction other than a start in between."""
    require_depth(chor)
    todo: list[tuple[Chor, dict[str, bool]]] = [(chor, {})]
    while todo:
        body, scope = todo.pop()
        if any(not isinstance(step, Start) for step in body.steps):
            scope = dict.fromkeys(scope, True)
        match body.last:
            case Cond(_, _, then, otherwise):
                todo += [(otherwise, scope), (then, scope)]
            case Rec(variable, inner):
                todo.append((inner, {**scope, variable: False}))
            case New(_, inner):
                todo.append((inner, scope))
            case Call(variable) as call if variable not in scope:
                raise KlorError(Diagnostic("unbound-recursion", f"nothing binds {variable}", call.span, source=chor.source,
                                           help=f"put it inside a (rec {variable} …)"))  # fmt: skip
            case Call(variable) as call if not scope[variable]:
                raise KlorError(Diagnostic(
                    "unguarded-recursion", f"{variable} starts again before anything is sent", call.span,
                    help="let something be sent between the rec and the call; a start alone does not count",
                    source=chor.source,
                ))  # fmt: skip


def _body(forms: tuple[Form, ...]) -> Chor:
    steps: list[Interaction] = []
    last: Last = NIL
    for i, form in enumerate(forms):
        if isinstance(form, Atom) and form.text == "0":
            if i < len(forms) - 1:
                raise _bad(forms[i + 1], "nothing can happen behind 0", "leave the 0 out")
            continue
        if not isinstance(form, Group) or form.bracket != "(" or form.word not in _USAGE:
            raise _bad(form, f"{_what(form)} is no step of a choreography", f"there are {', '.join(_USAGE)}, and 0")
        if form.word in _LAST:
            if i < len(forms) - 1:
                raise _bad(forms[i + 1], f"nothing can happen behind the {form.word}",
                           "put it into the branches" if form.word == "if" else "put it inside")  # fmt: skip
            last = _last(form)
        else:
            steps.append(_interaction(form))
    source = forms[0].source if forms else None
    return Chor(tuple(steps), last, source=source)


def _interaction(form: Group) -> Interaction:
    match form.word, form.items[1:]:
        case "start", (channel, session, first, second, *more):
            players = tuple(map(_player, (first, second, *more)))
            return Start(_name(channel), _name(session), players, span=form.span)
        case "com", (session, sender, expr, receiver, variable):
            return Com(_name(session), _player(sender), expression(expr), _player(receiver), _name(variable), span=form.span)
        case "sel", (session, sender, receiver, label):
            name = label.value if isinstance(label, Quoted) else _name(label)
            return Sel(_name(session), _player(sender), _player(receiver), name, span=form.span)
    raise _usage(form)


def _last(form: Group) -> Last:
    match form.word, form.items[1:]:
        case "if", (expr, thread, then, otherwise):
            return Cond(expression(expr), _name(thread), _branch(then), _branch(otherwise), span=form.span)
        case "rec", (variable, *body):
            return Rec(_name(variable), _body(tuple(body)), span=form.span)
        case "call", (variable,):
            return Call(_name(variable), span=form.span)
        case "new", (session, *body):
            return New(_name(session), _body(tuple(body)), span=form.span)
    raise _usage(form)


def _branch(form: Form) -> Chor:
    if isinstance(form, Group) and form.bracket == "(" and not form.word:
        return _body(form.items)
    return _body((form,))


def expression(form: Form) -> Expr:
    """The expression that a form is.

    >>> from klorpy.behaviour.sexpr import read_one
    >>> expression(read_one("(check x 1)"))
    Apply(function='check', args=(Variable(name='x'), Literal(value=1)))
    """
    match form:
        case Quoted(value):
            return Literal(value)
        case Atom(text):
            if _INTEGER.fullmatch(text):
                return Literal(int(text))
            return Literal(text == "true") if text in ("true", "false") else Variable(text)
        case Group((Atom(function), *args), "("):
            return Apply(function, tuple(map(expression, args)))
    raise _bad(form, f"{_what(form)} is no expression", "an expression is a literal, a variable, or (function argument …)")


def _player(form: Form) -> Player:
    match form:
        case Group((Atom(thread), Atom(role)), "("):
            return Player(thread, role)
    raise _bad(form, f"{_what(form)} is no thread in a role", "write (thread role)")


def _name(form: Form) -> str:
    if isinstance(form, Atom):
        return form.text
    raise _bad(form, f"a name is expected here, not {_what(form)}", "a name is a word")


def _usage(form: Group) -> KlorError:
    return _bad(form, f"this `{form.word}` does not have the parts that it needs", _USAGE[form.word])


def _what(form: Form) -> str:
    text = str(form)
    return text if len(text) <= 40 else text[:38] + " …"


def _bad(form: Form, message: str, help: str) -> KlorError:
    return wrong(form, message, slug="bad-calculus", help=help)
