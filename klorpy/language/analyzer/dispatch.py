"""The surface tree of a form: dispatch on its head, and calls.

A head is looked up as: role, `A->B` sugar, form of the language, macro of the user, form of Hy, and last as a
function or choreography that is called. The forms of the language register themselves, by families: `places`,
`binding`, `choice`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeAlias

from klorpy.core.diagnostics import KlorError
from klorpy.core.types import Role
from klorpy.language import messages
from klorpy.language.analyzer import host
from klorpy.language.analyzer.context import Context, arrow_roles
from klorpy.language.hy_adapter import (
    Expression,
    Form,
    Keyword,
    List,
    Symbol,
    as_klor_error,
    dotted_name,
    head_name,
    mangle,
    raise_interrupt,
    show_form,
    symbol_name,
)
from klorpy.language.surface import (
    Apply,
    Copy,
    Do,
    Inst,
    Lifting,
    Narrow,
    Surface,
)

Analyzer: TypeAlias = Callable[[Context, Form], Surface]

#: The forms of the language by their heads.
FORMS: Final[dict[str, Analyzer]] = {}

#: Heads of forms that are no choreographies, so that one of such a name could never be called.
_TAKEN: Final = frozenset(("when", "cond", "defchor", "update", "with-opts", "alter-opts!", "fn", "try", "setv", "quote", "move"))


def is_reserved(name: str, roles: tuple[Role, ...]) -> bool:
    """Whether a choreography of this name could not be called, since the name means something else already."""
    return name in FORMS or name in roles or arrow_roles(name) is not None or name in _TAKEN


def reads(name: str) -> Callable[[Analyzer], Analyzer]:
    """Register a function as the analyzer of the forms with the head `name`."""

    def register(function: Analyzer) -> Analyzer:
        FORMS[name] = function
        return function

    return register


def analyze(ctx: Context, form: Form) -> Surface:
    """The surface tree of one form."""
    inner = ctx.nontail()
    if isinstance(form, Symbol):
        return ctx.symbol(form)
    node = host.literal(ctx, form) or host.collection(inner, form, analyze)
    if node is not None:
        return node
    if not isinstance(form, Expression):
        ctx.report.error(messages.unsupported(
            ctx.span(form), f"{show_form(form)} cannot stand in a choreography", "write a form of the language"
        ))  # fmt: skip
        return ctx.bad(form)
    if not form:
        ctx.report.error(messages.unsupported(ctx.span(form), "() calls nothing", "for no value write (do) or None"))
        return ctx.bad(form)
    return _expression(ctx, form)


def _expression(ctx: Context, form: Form) -> Surface:
    name = head_name(form)
    inner = ctx.nontail()
    if name is not None and ctx.local(form[0]) is None:
        if ctx.is_role(name):
            return Lifting((name,), body(ctx, form[1:], form), span=ctx.span(form), form=form)
        pair = arrow_roles(name)
        if pair and any(ctx.is_role(role) for role in pair):
            return arrow(inner, form, pair)
        if pair and all(end.upper() in (role.upper() for role in ctx.roles) for end in pair):
            return arrow(inner, form, pair)  # a role in the wrong case
        ends = [end for part in name.split("->") for end in part.split("=>")]
        if len(ends) > 1 and not pair and any(ctx.is_role(end) for end in ends):
            ctx.report.error(messages.chained_arrow(ctx.span(form[0]), name))
            return ctx.bad(form)
        if name in FORMS:
            return FORMS[name](ctx, form)
    try:
        expanded = ctx.compiler.expand_once(form)
    except Exception as error:  # a user's macro may raise anything
        raise_interrupt(error)
        wrapped = as_klor_error(error, ctx.report.source, ctx.span(form))
        if wrapped.slug == "too-deep":
            raise wrapped from None
        if wrapped.slug == "hy-error":
            wrapped = _macro_failure(wrapped)
        for diagnostic in wrapped.diagnostics:
            ctx.report.error(replace(diagnostic, span=diagnostic.span or ctx.span(form)))
        return ctx.bad(form)
    if expanded is not None:
        with ctx.unit.expansion(ctx.span(form)):
            return analyze(ctx, expanded)
    if name is not None and ctx.local(form[0]) is None:
        if name in host.OPERATORS:
            return host.operator(inner, form, analyze)
        if name == "." or (name and not name.strip(".")):
            return host.attribute(inner, form, analyze)
        special = host.special(inner, form, name)
        if special is not None:
            return special
    if host.is_method(form):
        return host.method(inner, form, analyze)
    return _call(inner, form)


def _macro_failure(error: KlorError) -> KlorError:
    first = error.diagnostic
    return KlorError(replace(first, slug="macro-error", help=first.help or "look at the macro and at what it was given"))


def body(ctx: Context, forms: list[Form], at: Form) -> Surface:
    """An implicit `do`."""
    forms = list(forms)
    if not forms:
        return ctx.none(at)
    if len(forms) == 1:
        return analyze(ctx, forms[0])
    inner = ctx.nontail()
    items = [analyze(inner, form) for form in forms[:-1]]
    return Do((*items, analyze(ctx, forms[-1])), span=ctx.span(at), form=at)


def usage(ctx: Context, form: Form, usage: str) -> Surface:
    ctx.report.error(messages.arity(ctx.span(form), f"`{head_name(form)}`", usage))
    return ctx.bad(form)


def _call(ctx: Context, form: Form) -> Surface:
    """A call: of a choreography with its roles, or of a value."""
    head, args = form[0], list(form[1:])
    vector = args[0] if args and isinstance(args[0], List) and len(args[0]) else None
    names = [symbol_name(item) for item in vector] if vector is not None else []
    roles_given = bool(names) and any(ctx.is_role(n) for n in names) and all(n is not None for n in names)
    found = ctx.callee(head, load=roles_given)
    is_vector = bool(args) and isinstance(args[0], List) and (not names or any(ctx.is_role(n) for n in names))
    if found is not None and (is_vector or (vector is not None and all(n is not None for n in names))):
        inst = instantiate(ctx, form, head, args[0])
        if isinstance(inst, Inst):
            return _apply_inst(ctx, form, inst, args[1:])
        return inst
    if found is not None:
        ctx.report_uninstantiated(head)
        return ctx.bad(form)
    if roles_given and ctx.local(head) is not None:
        ctx.report.error(messages.instantiated_already(ctx.span(head), show_form(head)))
        return ctx.bad(form)
    if roles_given and isinstance(head, (Symbol, Expression)):
        is_name = isinstance(head, Symbol) or head_name(head) == "."
        if is_name and all(n is not None and (ctx.is_role(n)) for n in names):
            return _no_callee(ctx, head, vector, form)
    return host.call(ctx, form, analyze)


def _no_callee(ctx: Context, head: Form, vector: Form, form: Form) -> Surface:
    name = show_form(head)
    first = (dotted_name(head) or symbol_name(head) or "").split(".")[0]
    if not first:
        ctx.report.error(messages.not_a_chor(ctx.span(head), name))
        return ctx.bad(form)
    if ctx.compiler.knows(mangle(first)):
        ctx.report.error(messages.not_a_chor(ctx.span(head), name))
    else:
        ctx.report.error(messages.unknown_chor(ctx.span(head), name, " ".join(map(show_form, vector))))
    return ctx.bad(form)


def _apply_inst(ctx: Context, form: Form, inst: Inst, args: list[Form]) -> Surface:
    for arg in args:
        if isinstance(arg, Keyword) or head_name(arg) in ("unpack-iterable", "unpack-mapping"):
            ctx.report.error(messages.chor_keywords(ctx.span(arg)))
            return ctx.bad(form)
    nodes = tuple(analyze(ctx, arg) for arg in args)
    return Apply(inst, nodes, lambda _: form, ctx.scope, True, span=ctx.span(form), form=form)


def instantiate(ctx: Context, form: Form, head: Form, vector: Form) -> Surface:
    """Instantiation of the choreography `head` with the roles of `vector`."""
    found = ctx.callee(head, load=True)
    if found is None:
        return _no_callee(ctx, head, vector, form)
    roles = ctx.check_roles(vector, "the role vector of the call")
    if roles is None:
        return ctx.bad(form)
    if len(roles) != len(found.signature.roles):
        ctx.report.error(messages.inst_arity(ctx.span(vector), found.name, found.signature.roles, len(roles)))
        return ctx.bad(form)
    return Inst(found, roles, span=ctx.span(form), form=form)


def moved(ctx: Context, form: Form, pair: tuple[str, str], inner: Form) -> Surface:
    sent = Copy(*pair, analyze(ctx, inner), span=ctx.span(form), form=form)
    return Narrow((pair[1],), sent, span=ctx.span(form), form=form)


def arrow(ctx: Context, form: Form, pair: tuple[str, str]) -> Surface:
    name = str(form[0])
    for role in pair:
        if not ctx.is_role(role):
            ctx.report.error(messages.unknown_role(ctx.span(form[0]), role, ctx.roles))
            return ctx.bad(form)
    if pair[0] == pair[1]:
        ctx.report.error(messages.self_send(ctx.span(form[0]), pair[0]))
        return ctx.bad(form)
    if len(form) != 2:
        return usage(ctx, form, f"({name} expr)")
    if "->" in name:
        return moved(ctx, form, pair, form[1])
    return Copy(*pair, analyze(ctx, form[1]), span=ctx.span(form), form=form)
