"""Forms that bind names: `let`, `unpack`, `chor`, `loop` with `recur`; binders and parameters."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from klorpy.core.endpoint import Binding
from klorpy.core.spans import Span
from klorpy.language import messages
from klorpy.language.analyzer.context import Context, expression
from klorpy.language.analyzer.dispatch import analyze, body, is_reserved, reads, usage
from klorpy.language.analyzer.signature import read_chor_type
from klorpy.language.hy_adapter import (
    Dict,
    Form,
    Keyword,
    List,
    Symbol,
    Tuple,
    head_name,
    mangle,
    show_form,
    symbol_name,
)
from klorpy.language.surface import (
    Apply,
    Bad,
    Binder,
    Chor,
    HostPattern,
    Inst,
    Let,
    Loop,
    Recur,
    Region,
    Surface,
    Unpack,
    Updatable,
)


def read_binder(ctx: Context, form: Form, names: list[Binding]) -> Binder | str:
    """An unpack binder, its names added to `names`; "bad" after reporting."""
    if isinstance(form, List):
        if not len(form):
            ctx.report.error(messages.unpack_binder(ctx.span(form), "a binder has at least one element"))
            return "bad"
        parts = [read_binder(ctx, item, names) for item in form]
        return "bad" if "bad" in parts else tuple(part for part in parts if not isinstance(part, str))
    name = symbol_name(form)
    if name == "_":
        return None
    if name is None:
        ctx.report.error(messages.unpack_binder(ctx.span(form), f"{show_form(form)} is no binder"))
        return "bad"
    binding = ctx.name_for(form)
    if binding is None:
        return "bad"
    clash = next((b for b in names if mangle(b.name) == mangle(name)), None)
    if clash is not None:
        ctx.report.error(messages.dup_name(ctx.span(form), name, clash.name, "bound here"))
        return "bad"
    names.append(binding)
    return binding


def read_params(ctx: Context, form: Form) -> tuple[tuple[Binder, ...], tuple[Span, ...], list[Binding]] | None:
    """A parameter vector: names and unpack binders. None after reporting."""
    if not isinstance(form, List):
        ctx.report.error(messages.bad_param(ctx.span(form), f"{show_form(form)} is not a vector of parameters"))
        return None
    names: list[Binding] = []
    binders: list[Binder] = []
    fine = True
    for item in form:
        if head_name(item) in ("unpack-iterable", "unpack-mapping") or symbol_name(item) in ("*", "/"):
            ctx.report.error(messages.chor_variadic(ctx.span(item)))
            fine = False
            continue
        if not isinstance(item, (List, Symbol)):
            ctx.report.error(messages.bad_param(ctx.span(item), f"{show_form(item)} is not a parameter"))
            fine = False
            continue
        binder = read_binder(ctx, item, names)
        if isinstance(binder, str):
            fine = False
        else:
            binders.append(binder)
    return (tuple(binders), tuple(ctx.span(item) for item in form), names) if fine else None


@reads("unpack")
def _unpack(ctx: Context, form: Form) -> Surface:
    if len(form) < 2 or not isinstance(form[1], List) or len(form[1]) % 2:
        return usage(ctx, form, "(unpack [[name …] expr …] body …)")
    pairs: list[tuple[Binder, Surface, Span]] = []
    inner, fine = ctx, True
    for binder_form, init in zip(form[1][::2], form[1][1::2], strict=True):
        value = analyze(inner.nontail(), init)
        if not isinstance(binder_form, List):
            ctx.report.error(messages.unpack_binder(ctx.span(binder_form), f"{show_form(binder_form)} is no vector"))
            fine = False
            continue
        names: list[Binding] = []
        binder = read_binder(ctx, binder_form, names)
        if isinstance(binder, str):
            fine = False
            continue
        pairs.append((binder, value, ctx.span(binder_form)))
        inner = inner.bind(names)
    if not fine:
        return ctx.bad(form)
    return Unpack(tuple(pairs), body(inner, form[2:], form), span=ctx.span(form), form=form)


@reads("chor")
def _chor(ctx: Context, form: Form) -> Surface:
    parts = list(form[1:])
    self_name = None
    named = bool(parts) and isinstance(parts[0], Symbol) and len(parts) > 1 and head_name(parts[1]) == "->"
    if named:
        self_name = ctx.name_for(parts.pop(0))
        if self_name is None:
            return ctx.bad(form)
    if len(parts) < 2:
        return usage(ctx, form, "(chor name? (-> T …) [param …] body …)")
    type_ = read_chor_type(ctx, parts[0])
    params = read_params(ctx, parts[1])
    if type_ is None or params is None:
        return ctx.bad(form)
    binders, spans, names = params
    if len(binders) != len(type_.params):
        ctx.report.error(messages.param_count(ctx.span(parts[1]), len(binders), len(type_.params)))
        return ctx.bad(form)
    if self_name is not None and type_.aux is None:
        ctx.report.error(messages.named_needs_aux(ctx.span(parts[0]), self_name.name))
        return ctx.bad(form)
    inner = ctx.bind([self_name] if self_name else []).bind(names)
    inside = body(replace(inner, tail=True, block=True), parts[2:], form)
    return Chor(self_name, type_, ctx.span(parts[0]), binders, spans, inside, span=ctx.span(form), form=form)


@reads("let")
def _let(ctx: Context, form: Form) -> Surface:
    if len(form) < 2 or not isinstance(form[1], List) or len(form[1]) % 2:
        return usage(ctx, form, "(let [name expr …] body …)")
    pairs: list[tuple[Binding | HostPattern, Surface]] = []
    inner, fine = ctx, True
    for target, init in zip(form[1][::2], form[1][1::2], strict=True):
        value = analyze(inner.nontail(), init)
        binder: Binding | HostPattern | None
        if isinstance(target, Symbol):
            binder = ctx.name_for(target, _LOCALS)
            names = [binder] if binder else []
        else:
            binder = _host_pattern(inner, target)
            names = list(binder.bindings) if binder else []
        if binder is None:
            fine = False
            continue
        pairs.append((binder, value))
        inner = inner.bind(names)
    inside = body(inner, form[2:], form)
    return Let(tuple(pairs), inside, span=ctx.span(form), form=form) if fine else ctx.bad(form)


_LOCALS: Final = 'a local is a name, or takes a value apart: [a b #* rest], {a "key"}'


def _host_pattern(ctx: Context, form: Form) -> HostPattern | None:
    """`[a [b #* rest]]` takes a sequence apart, `{a "key"}` a dict."""
    names: list[Binding] = []
    if isinstance(form, Dict):
        items = list(form)
        if len(items) % 2 or not all(isinstance(item, Symbol) for item in items[::2]):
            ctx.report.error(messages.bad_param(ctx.span(form), "a dict is taken apart with {name key …}"))
            return None
        for item in items[::2]:
            if not _add_name(ctx, item, names):
                return None
        keys = items[1::2]

        def parts(value: Form) -> Form:
            gets = [expression([Symbol("get"), value, key], form) for key in keys]
            return Tuple(gets).replace(form)

        return HostPattern(tuple(names), parts, ctx.scope, ctx.span(form))
    if isinstance(form, (List, Tuple)) and _pattern_names(ctx, form, names):
        bound = [Symbol(binding.name) for binding in names]

        def unpacked(value: Form) -> Form:
            return expression(
                [Symbol("do"), expression([Symbol("setv"), form, value], form), Tuple(bound).replace(form)], form
            )

        return HostPattern(tuple(names), unpacked, without(ctx, names), ctx.span(form))
    if not isinstance(form, (List, Tuple)):
        ctx.report.error(messages.bad_param(ctx.span(form), f"{show_form(form)} cannot be bound", _LOCALS))
    return None


def without(ctx: Context, names: list[Binding]) -> dict[str, Binding]:
    hidden = {mangle(binding.name) for binding in names}
    return {name: binding for name, binding in ctx.scope.items() if name not in hidden}


def _add_name(ctx: Context, form: Form, names: list[Binding]) -> bool:
    binding = ctx.name_for(form)
    if binding is None:
        return False
    clash = next((b for b in names if mangle(b.name) == mangle(binding.name)), None)
    if clash is not None and binding.name != "_":
        ctx.report.error(messages.dup_name(ctx.span(form), binding.name, clash.name, "bound here"))
        return False
    if clash is None:
        names.append(binding)
    return True


def _pattern_names(ctx: Context, form: Form, names: list[Binding]) -> bool:
    for item in form:
        if isinstance(item, (List, Tuple)):
            if not _pattern_names(ctx, item, names):
                return False
        elif head_name(item) == "unpack-iterable" and len(item) == 2 and isinstance(item[1], Symbol):
            if not _add_name(ctx, item[1], names):
                return False
        elif not isinstance(item, Symbol):
            ctx.report.error(messages.bad_param(ctx.span(item), f"{show_form(item)} is not a name", _LOCALS))
            return False
        elif not _add_name(ctx, item, names):
            return False
    return True


@reads("loop")
def _loop(ctx: Context, form: Form) -> Surface:
    if len(form) < 2 or not isinstance(form[1], List) or len(form[1]) % 2:
        return usage(ctx, form, "(loop [name expr …] body …)")
    pairs: list[tuple[Binding, Surface]] = []
    inner, fine = ctx, True
    for target, init in zip(form[1][::2], form[1][1::2], strict=True):
        value = analyze(inner.nontail(), init)
        binding = ctx.name_for(target, "a loop local is a name; take its value apart inside, with let or unpack")
        if binding is None:
            fine = False
            continue
        pairs.append((binding, value))
        inner = inner.bind([binding])
    inside = body(replace(inner, tail=True, block=True), form[2:], form)
    return Loop(tuple(pairs), inside, span=ctx.span(form), form=form) if fine else ctx.bad(form)


@reads("scope")
def _scope(ctx: Context, form: Form) -> Surface:
    barrier, parts = scope_parts(form)
    if parts and isinstance(parts[0], Symbol):
        return _region(ctx, form, parts[0], parts[1:], barrier)
    if len(parts) != 1:
        return usage(ctx, form, "(scope name [Role …] body …) or (scope (name [Role …] expr …))")
    call = analyze(ctx, parts[0])
    if isinstance(call, Apply) and isinstance(call.head, Inst):
        return Updatable(call, barrier, span=ctx.span(form), form=form)
    if not isinstance(call, Bad):
        ctx.report.error(messages.bad_scope(ctx.span(parts[0])))
    return ctx.bad(form)


def scope_parts(form: Form) -> tuple[bool, list[Form]]:
    """Whether a scope has a barrier at its end, and what it consists of otherwise."""
    parts = list(form[1:])
    barrier = bool(parts) and isinstance(parts[0], Keyword) and parts[0].name == "barrier"
    return barrier, parts[barrier:]


def is_vector(ctx: Context, form: Form) -> bool:
    """Whether the form behind a scope's name says its roles."""
    return isinstance(form, List) and any(ctx.is_role(symbol_name(item)) for item in form)


def _region(ctx: Context, form: Form, name_form: Form, forms: list[Form], barrier: bool) -> Surface:
    """A scope with its body. Only the locals are known as they are around it: `recur` stays inside."""
    name = str(name_form)
    if "." in name or name in ("None", "True", "False") or is_reserved(name, ctx.roles):
        ctx.report.error(messages.reserved_name(ctx.span(name_form), name))
        return ctx.bad(form)
    other = ctx.unit.regions.get(mangle(name))
    if other is not None:
        ctx.report.error(messages.dup_name(ctx.span(name_form), name, other, "a second scope"))
        return ctx.bad(form)
    ctx.unit.regions[mangle(name)] = name
    roles = None
    if forms and is_vector(ctx, forms[0]):
        roles = ctx.check_roles(forms.pop(0), "the roles of the scope")
        if roles is None:
            return ctx.bad(form)
    names = tuple((around, ctx.unit.binding(around.name)) for around in ctx.scope.values())
    inner = replace(ctx, scope={}, tail=False, block=False, region=name).bind(inside for _, inside in names)
    return Region(name, ctx.span(name_form), roles, names, body(inner, forms, form), barrier, span=ctx.span(form), form=form)


@reads("recur")
def _recur(ctx: Context, form: Form) -> Surface:
    if not (ctx.tail and ctx.block):
        ctx.report.error(messages.recur_not_tail(ctx.span(form), ctx.block, ctx.region))
        return ctx.bad(form)
    return Recur(tuple(analyze(ctx.nontail(), arg) for arg in form[1:]), span=ctx.span(form), form=form)
