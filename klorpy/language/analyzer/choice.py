"""Sequence and choice: `do`, `if` and what it is made of, `case`, `match`."""

from __future__ import annotations

from klorpy.core.diagnostics import KlorError
from klorpy.core.endpoint import Binding
from klorpy.language import messages
from klorpy.language.analyzer import host
from klorpy.language.analyzer.binding import without
from klorpy.language.analyzer.context import Context, expression
from klorpy.language.analyzer.dispatch import analyze, body, reads, usage
from klorpy.language.hy_adapter import (
    Dict,
    Expression,
    Form,
    FString,
    Keyword,
    List,
    Set,
    Symbol,
    Tuple,
    head_name,
    show_form,
    symbol_name,
)
from klorpy.language.surface import (
    Case,
    Clause,
    If,
    Junction,
    Surface,
)


@reads("do")
def _do(ctx: Context, form: Form) -> Surface:
    return body(ctx, form[1:], form)


@reads("if")
def _if(ctx: Context, form: Form) -> Surface:
    if len(form) != 4:
        return usage(ctx, form, "(if guard then else), or (when guard body …) without an else")
    guard = analyze(ctx.nontail(), form[1])
    return If(guard, analyze(ctx, form[2]), analyze(ctx, form[3]), span=ctx.span(form), form=form)


@reads("when")
def _when(ctx: Context, form: Form) -> Surface:
    if len(form) < 2:
        return usage(ctx, form, "(when guard body …)")
    guard = analyze(ctx.nontail(), form[1])
    return If(guard, body(ctx, form[2:], form), ctx.none(form), span=ctx.span(form), form=form)


@reads("cond")
def _cond(ctx: Context, form: Form) -> Surface:
    clauses = list(form[1:])
    if len(clauses) % 2:
        return usage(ctx, form, "(cond guard result …)")
    pairs = list(zip(clauses[::2], clauses[1::2], strict=True))
    result: Surface = ctx.none(form)
    # A last clause that always holds is a default, not a guard that all roles of its result would have to share.
    if pairs and (symbol_name(pairs[-1][0]) == "True" or pairs[-1][0] == Keyword("else")):
        result = analyze(ctx, pairs.pop()[1])
    nodes = [(analyze(ctx.nontail(), guard), analyze(ctx, then)) for guard, then in pairs]
    for guard, then in reversed(nodes):
        result = If(guard, then, result, span=ctx.span(form), form=form)
    return result


@reads("and")
@reads("or")
def _junction(ctx: Context, form: Form) -> Surface:
    items = list(form[1:])
    is_and = head_name(form) == "and"
    if not items:
        return ctx.literal(Symbol("True" if is_and else "None").replace(form), form)
    if len(items) == 1:
        return analyze(ctx, items[0])
    nodes = [analyze(ctx.nontail(), item) for item in items[:-1]]
    return Junction(is_and, (*nodes, analyze(ctx, items[-1])), span=ctx.span(form), form=form)


@reads("case")
def _case(ctx: Context, form: Form) -> Surface:
    if len(form) < 3:
        return usage(ctx, form, "(case expr constant result … default)")
    subject = analyze(ctx.nontail(), form[1])
    rest = list(form[2:])
    default = None
    if len(rest) % 2:
        default = analyze(ctx, rest.pop())
    elif symbol_name(rest[-2]) == "else":
        default = analyze(ctx, rest.pop())
        rest.pop()
    clauses = []
    for constant, result in zip(rest[::2], rest[1::2], strict=True):
        node = _constant(ctx, constant)
        if node is None:
            return ctx.bad(form)
        clauses.append(Clause((node,), None, None, (), ctx.scope, analyze(ctx, result), ctx.span(constant)))
    return Case(subject, tuple(clauses), default, False, ctx.scope, span=ctx.span(form), form=form)


def _constant(ctx: Context, form: Form) -> Surface | None:
    if _is_constant(form):
        return ctx.literal(form, form)
    ctx.report.error(messages.unsupported(
        ctx.span(form), f"{show_form(form)} is not a constant",
        "compare with numbers, strings, keywords, None, True, False, quoted forms and tuples of them; "
        "for anything else use cond",
    ))  # fmt: skip
    return None


def _is_constant(form: Form) -> bool:
    if isinstance(form, Symbol):
        return str(form) in ("None", "True", "False")
    if isinstance(form, (Tuple, List)):
        return all(_is_constant(item) for item in form)
    if isinstance(form, Expression):
        return head_name(form) == "quote" or (head_name(form) == "-" and len(form) == 2 and _is_constant(form[1]))
    return not isinstance(form, (Dict, FString, Set))


@reads("match")
def _match(ctx: Context, form: Form) -> Surface:
    if len(form) < 2:
        return usage(ctx, form, "(match expr pattern result …)")
    subject = analyze(ctx.nontail(), form[1])
    rest = list(form[2:])
    clauses = []
    default = None
    if len(rest) >= 2 and symbol_name(rest[-2]) == "_" and rest[-3:-2] != [Keyword("if")]:
        default = analyze(ctx, rest.pop())
        rest.pop()
    while rest:
        pattern = [rest.pop(0)]
        while len(rest) >= 2 and rest[0] in (Keyword("as"), Keyword("if")):
            pattern += [rest.pop(0), rest.pop(0)]
        if not rest:
            return usage(ctx, form, "(match expr pattern result …)")
        names = _captures(ctx, pattern)
        guilty = host.find_choreographic(ctx, expression([Symbol("match"), *pattern], form))
        if guilty is not None:
            ctx.report.error(messages.homogeneous(
                "homogeneous-form", ctx.span(guilty), "match", f"{show_form(guilty)} cannot stand in a pattern",
                "communicate before the match",
            ))  # fmt: skip
            return ctx.bad(form)
        if names is None:
            return ctx.bad(form)
        result = analyze(ctx.bind(names), rest.pop(0))
        clauses.append(
            Clause((), pattern, None, tuple(names), without(ctx, names), result, ctx.span(pattern[0]))
        )
    return Case(subject, tuple(clauses), default, True, ctx.scope, span=ctx.span(form), form=form)


def _captures(ctx: Context, pattern: list[Form]) -> list[Binding] | None:
    """The names that a pattern of `match` binds, as Python sees them once Hy has compiled it."""
    names: list[str] | KlorError = ctx.compiler.pattern_names(pattern, ctx.report.source, ctx.span(pattern[0]))
    if isinstance(names, KlorError):
        for diagnostic in names.diagnostics:
            ctx.report.error(diagnostic)
        return None
    bindings = []
    for name in names:
        binding = ctx.name_for(Symbol(name).replace(pattern[0]))
        if binding is None:
            return None
        bindings.append(binding)
    return bindings
