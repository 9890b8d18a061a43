"""The forms of the choreographic language: dispatch on the head of a form, one function a form.

A head is looked up as: role, `A->B` sugar, form of the language, macro of the user, form of Hy, and last as a
function or choreography that is called.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeAlias

from klorpy.core.diagnostics import KlorError
from klorpy.core.endpoint import Binding
from klorpy.core.spans import Span
from klorpy.language import messages
from klorpy.language.analyzer import host
from klorpy.language.analyzer.context import Context, arrow_roles, expression
from klorpy.language.analyzer.signature import read_chor_type
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
    as_klor_error,
    dotted_name,
    head_name,
    mangle,
    raise_interrupt,
    show_form,
    symbol_name,
)
from klorpy.language.surface import (
    Agree,
    Apply,
    Await,
    Binder,
    Case,
    Chor,
    Clause,
    Copy,
    Do,
    HostPattern,
    If,
    Inst,
    Junction,
    Let,
    Lifting,
    Loop,
    Narrow,
    Pack,
    Recur,
    Surface,
    Unpack,
)

Analyzer: TypeAlias = Callable[[Context, Form], Surface]


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
            return _arrow(inner, form, pair)
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


def _call(ctx: Context, form: Form) -> Surface:
    """A call: of a choreography with its roles, or of a value."""
    head, args = form[0], list(form[1:])
    vector = args[0] if args and isinstance(args[0], List) and len(args[0]) else None
    names = [symbol_name(item) for item in vector] if vector is not None else []
    roles_given = bool(names) and any(ctx.is_role(n) for n in names) and all(n is not None for n in names)
    found = ctx.callee(head, load=roles_given)
    is_vector = bool(args) and isinstance(args[0], List) and (not names or any(ctx.is_role(n) for n in names))
    if found is not None and (is_vector or (vector is not None and all(n is not None for n in names))):
        inst = _inst(ctx, form, head, args[0])
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


def _inst(ctx: Context, form: Form, head: Form, vector: Form) -> Surface:
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


# --- Places and communication -----------------------------------------------------------------------------------------


def _usage(ctx: Context, form: Form, usage: str) -> Surface:
    ctx.report.error(messages.arity(ctx.span(form), f"`{head_name(form)}`", usage))
    return ctx.bad(form)


def _lifting(ctx: Context, form: Form) -> Surface:
    if len(form) < 2 or not isinstance(form[1], List) or not len(form[1]):
        return _usage(ctx, form, "(lifting [Role …] expr …)")
    roles = ctx.check_roles(form[1], "lifting")
    inner = body(ctx, form[2:], form)
    return ctx.bad(form) if roles is None else Lifting(roles, inner, span=ctx.span(form), form=form)


def _pair(ctx: Context, form: Form) -> tuple[str, str] | None:
    if len(form) != 3 or not isinstance(form[1], List) or len(form[1]) != 2:
        _usage(ctx, form, f"({head_name(form)} [Sender Receiver] expr)")
        return None
    roles = ctx.check_roles(form[1], f"`{head_name(form)}`")
    return None if roles is None else (roles[0], roles[1])


def _copy(ctx: Context, form: Form) -> Surface:
    pair = _pair(ctx, form)
    if pair is None:
        return ctx.bad(form)
    return Copy(*pair, analyze(ctx.nontail(), form[2]), span=ctx.span(form), form=form)


def _moved(ctx: Context, form: Form, pair: tuple[str, str], inner: Form) -> Surface:
    sent = Copy(*pair, analyze(ctx, inner), span=ctx.span(form), form=form)
    return Narrow((pair[1],), sent, span=ctx.span(form), form=form)


def _arrow(ctx: Context, form: Form, pair: tuple[str, str]) -> Surface:
    name = str(form[0])
    for role in pair:
        if not ctx.is_role(role):
            ctx.report.error(messages.unknown_role(ctx.span(form[0]), role, ctx.roles))
            return ctx.bad(form)
    if pair[0] == pair[1]:
        ctx.report.error(messages.self_send(ctx.span(form[0]), pair[0]))
        return ctx.bad(form)
    if len(form) != 2:
        return _usage(ctx, form, f"({name} expr)")
    if "->" in name:
        return _moved(ctx, form, pair, form[1])
    return Copy(*pair, analyze(ctx, form[1]), span=ctx.span(form), form=form)


def _narrow(ctx: Context, form: Form) -> Surface:
    if len(form) != 3 or not isinstance(form[1], List) or not len(form[1]):
        return _usage(ctx, form, "(narrow [Role …] expr)")
    roles = ctx.check_roles(form[1], "`narrow`")
    inner = analyze(ctx.nontail(), form[2])
    return ctx.bad(form) if roles is None else Narrow(roles, inner, span=ctx.span(form), form=form)


def _agree(ctx: Context, form: Form) -> Surface:
    if len(form) < 2:
        return _usage(ctx, form, f"({head_name(form)} expr …)")
    items = tuple(analyze(ctx.nontail(), item) for item in form[1:])
    return Agree(items, span=ctx.span(form), form=form)


# --- Tuples -----------------------------------------------------------------------------------------------------------


def _pack(ctx: Context, form: Form) -> Surface:
    if len(form) < 2:
        return _usage(ctx, form, "(pack expr …)")
    items = tuple(analyze(ctx.nontail(), item) for item in form[1:])
    return Pack(items, span=ctx.span(form), form=form)


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


def _unpack(ctx: Context, form: Form) -> Surface:
    if len(form) < 2 or not isinstance(form[1], List) or len(form[1]) % 2:
        return _usage(ctx, form, "(unpack [[name …] expr …] body …)")
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


# --- Choreographies as values -----------------------------------------------------------------------------------------


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


def _chor(ctx: Context, form: Form) -> Surface:
    parts = list(form[1:])
    self_name = None
    named = bool(parts) and isinstance(parts[0], Symbol) and len(parts) > 1 and head_name(parts[1]) == "->"
    if named:
        self_name = ctx.name_for(parts.pop(0))
        if self_name is None:
            return ctx.bad(form)
    if len(parts) < 2:
        return _usage(ctx, form, "(chor name? (-> T …) [param …] body …)")
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


def _inst_form(ctx: Context, form: Form) -> Surface:
    if len(form) != 3 or not isinstance(form[2], List):
        return _usage(ctx, form, "(inst name [Role …])")
    if ctx.local(form[1]) is not None:
        ctx.report.error(messages.instantiated_already(ctx.span(form[1]), show_form(form[1])))
        return ctx.bad(form)
    return _inst(ctx, form, form[1], form[2])


# --- Sequence, binding, choice ----------------------------------------------------------------------------------------


def _do(ctx: Context, form: Form) -> Surface:
    return body(ctx, form[1:], form)


def _let(ctx: Context, form: Form) -> Surface:
    if len(form) < 2 or not isinstance(form[1], List) or len(form[1]) % 2:
        return _usage(ctx, form, "(let [name expr …] body …)")
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

        return HostPattern(tuple(names), unpacked, _without(ctx, names), ctx.span(form))
    if not isinstance(form, (List, Tuple)):
        ctx.report.error(messages.bad_param(ctx.span(form), f"{show_form(form)} cannot be bound", _LOCALS))
    return None


def _without(ctx: Context, names: list[Binding]) -> dict[str, Binding]:
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


def _if(ctx: Context, form: Form) -> Surface:
    if len(form) != 4:
        return _usage(ctx, form, "(if guard then else), or (when guard body …) without an else")
    guard = analyze(ctx.nontail(), form[1])
    return If(guard, analyze(ctx, form[2]), analyze(ctx, form[3]), span=ctx.span(form), form=form)


def _when(ctx: Context, form: Form) -> Surface:
    if len(form) < 2:
        return _usage(ctx, form, "(when guard body …)")
    guard = analyze(ctx.nontail(), form[1])
    return If(guard, body(ctx, form[2:], form), ctx.none(form), span=ctx.span(form), form=form)


def _cond(ctx: Context, form: Form) -> Surface:
    clauses = list(form[1:])
    if len(clauses) % 2:
        return _usage(ctx, form, "(cond guard result …)")
    pairs = list(zip(clauses[::2], clauses[1::2], strict=True))
    result: Surface = ctx.none(form)
    # A last clause that always holds is a default, not a guard that all roles of its result would have to share.
    if pairs and (symbol_name(pairs[-1][0]) == "True" or pairs[-1][0] == Keyword("else")):
        result = analyze(ctx, pairs.pop()[1])
    nodes = [(analyze(ctx.nontail(), guard), analyze(ctx, then)) for guard, then in pairs]
    for guard, then in reversed(nodes):
        result = If(guard, then, result, span=ctx.span(form), form=form)
    return result


def _junction(ctx: Context, form: Form) -> Surface:
    items = list(form[1:])
    is_and = head_name(form) == "and"
    if not items:
        return ctx.literal(Symbol("True" if is_and else "None").replace(form), form)
    if len(items) == 1:
        return analyze(ctx, items[0])
    nodes = [analyze(ctx.nontail(), item) for item in items[:-1]]
    return Junction(is_and, (*nodes, analyze(ctx, items[-1])), span=ctx.span(form), form=form)


def _case(ctx: Context, form: Form) -> Surface:
    if len(form) < 3:
        return _usage(ctx, form, "(case expr constant result … default)")
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


def _match(ctx: Context, form: Form) -> Surface:
    if len(form) < 2:
        return _usage(ctx, form, "(match expr pattern result …)")
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
            return _usage(ctx, form, "(match expr pattern result …)")
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
            Clause((), pattern, None, tuple(names), _without(ctx, names), result, ctx.span(pattern[0]))
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


# --- Repetition and suspension ----------------------------------------------------------------------------------------


def _loop(ctx: Context, form: Form) -> Surface:
    if len(form) < 2 or not isinstance(form[1], List) or len(form[1]) % 2:
        return _usage(ctx, form, "(loop [name expr …] body …)")
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


def _recur(ctx: Context, form: Form) -> Surface:
    if not (ctx.tail and ctx.block):
        ctx.report.error(messages.recur_not_tail(ctx.span(form), ctx.block))
        return ctx.bad(form)
    return Recur(tuple(analyze(ctx.nontail(), arg) for arg in form[1:]), span=ctx.span(form), form=form)


def _await(ctx: Context, form: Form) -> Surface:
    if len(form) != 2:
        return _usage(ctx, form, "(await expr)")
    return Await(analyze(ctx.nontail(), form[1]), span=ctx.span(form), form=form)


FORMS: Final[dict[str, Analyzer]] = {
    "lifting": _lifting, "copy": _copy, "narrow": _narrow,
    "pack": _pack, "unpack": _unpack, "agree!": _agree, "agree": _agree,
    "chor": _chor, "inst": _inst_form, "do": _do, "let": _let,
    "if": _if, "when": _when, "cond": _cond, "and": _junction, "or": _junction, "case": _case, "match": _match,
    "loop": _loop, "recur": _recur, "await": _await,
}  # fmt: skip
