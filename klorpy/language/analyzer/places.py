"""Where values are, and how they get elsewhere: lifting, communication, agreement; tuples and instances."""

from __future__ import annotations

from klorpy.language import messages
from klorpy.language.analyzer.context import Context
from klorpy.language.analyzer.dispatch import analyze, body, instantiate, reads, usage
from klorpy.language.hy_adapter import (
    Form,
    List,
    head_name,
    show_form,
)
from klorpy.language.surface import (
    Agree,
    Await,
    Copy,
    Lifting,
    Narrow,
    Pack,
    Surface,
)


@reads("lifting")
def _lifting(ctx: Context, form: Form) -> Surface:
    if len(form) < 2 or not isinstance(form[1], List) or not len(form[1]):
        return usage(ctx, form, "(lifting [Role …] expr …)")
    roles = ctx.check_roles(form[1], "lifting")
    inner = body(ctx, form[2:], form)
    return ctx.bad(form) if roles is None else Lifting(roles, inner, span=ctx.span(form), form=form)


def _pair(ctx: Context, form: Form) -> tuple[str, str] | None:
    if len(form) != 3 or not isinstance(form[1], List) or len(form[1]) != 2:
        usage(ctx, form, f"({head_name(form)} [Sender Receiver] expr)")
        return None
    roles = ctx.check_roles(form[1], f"`{head_name(form)}`")
    return None if roles is None else (roles[0], roles[1])


@reads("copy")
def _copy(ctx: Context, form: Form) -> Surface:
    pair = _pair(ctx, form)
    if pair is None:
        return ctx.bad(form)
    return Copy(*pair, analyze(ctx.nontail(), form[2]), span=ctx.span(form), form=form)


@reads("narrow")
def _narrow(ctx: Context, form: Form) -> Surface:
    if len(form) != 3 or not isinstance(form[1], List) or not len(form[1]):
        return usage(ctx, form, "(narrow [Role …] expr)")
    roles = ctx.check_roles(form[1], "`narrow`")
    inner = analyze(ctx.nontail(), form[2])
    return ctx.bad(form) if roles is None else Narrow(roles, inner, span=ctx.span(form), form=form)


@reads("agree!")
@reads("agree")
def _agree(ctx: Context, form: Form) -> Surface:
    if len(form) < 2:
        return usage(ctx, form, f"({head_name(form)} expr …)")
    items = tuple(analyze(ctx.nontail(), item) for item in form[1:])
    return Agree(items, span=ctx.span(form), form=form)


@reads("pack")
def _pack(ctx: Context, form: Form) -> Surface:
    if len(form) < 2:
        return usage(ctx, form, "(pack expr …)")
    items = tuple(analyze(ctx.nontail(), item) for item in form[1:])
    return Pack(items, span=ctx.span(form), form=form)


@reads("inst")
def _inst_form(ctx: Context, form: Form) -> Surface:
    if len(form) != 3 or not isinstance(form[2], List):
        return usage(ctx, form, "(inst name [Role …])")
    if ctx.local(form[1]) is not None:
        ctx.report.error(messages.instantiated_already(ctx.span(form[1]), show_form(form[1])))
        return ctx.bad(form)
    return instantiate(ctx, form, form[1], form[2])


@reads("await")
def _await(ctx: Context, form: Form) -> Surface:
    if len(form) != 2:
        return usage(ctx, form, "(await expr)")
    return Await(analyze(ctx.nontail(), form[1]), span=ctx.span(form), form=form)
