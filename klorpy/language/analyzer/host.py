"""Host forms: literals, operators, collections, calls, and what is left to Hy whole.

    host ::= literal | name | (op e*) | [e*] | #(e*) | #{e*} | {e*} | f"…{e}…" | (. e part*) | (f e*) | opaque

A host form keeps its shape: its children are analyzed, and `rebuild` puts forms for them back into their places.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from klorpy.language import messages
from klorpy.language.analyzer.context import Context, arrow_roles, expression
from klorpy.language.hy_adapter import (
    NUMBERS,
    Bytes,
    Dict,
    Expression,
    FComponent,
    Form,
    FString,
    Keyword,
    List,
    Set,
    String,
    Symbol,
    Tuple,
    dotted_name,
    head_name,
    mangle,
    show_form,
    symbol_name,
)
from klorpy.language.surface import Apply, Host, Opaque

if TYPE_CHECKING:
    from klorpy.language.surface import Surface

Analyze: TypeAlias = "Callable[[Context, Form], Surface]"
#: A part of a host form: the children in it, and how to make the part again from forms for them.
Part: TypeAlias = "tuple[list[Surface], Callable[[list[Form]], Form]]"

#: Hy's operators that are expressions as long as their operands are.
OPERATORS = frozenset(
    ["+", "-", "*", "/", "//", "%", "**", "<<", ">>", "&", "|", "^", "@", "not", "bnot", "=", "!=", "<", "<=", ">", ">=", "is", "is-not", "in", "not-in", "chainc", "get", "cut"]
)

#: Hy's forms that bind, leave or define: they would act on the program that klorpy generates, not on the user's.
_NOT_HERE = {
    "setv": "a local is bound by let, and repeated with other values by loop",
    "setx": "a local is bound by let",
    "return": "the result of a choreography is the value of its last form",
    "yield": "a choreography is not a generator; a function inside a role may be one",
    "break": "leave a loop by giving its result instead of recur",
    "continue": "repeat a loop with recur",
    "del": "forget a value by not using it",
    "global": "keep state in an object that a role holds",
    "nonlocal": "keep state in an object that a role holds",
    "import": "import modules before the choreography",
    "require": "require macros before the choreography",
    "defn": "define functions before the choreography, or write (fn …)",
    "defclass": "define classes before the choreography",
    "deftype": "define types before the choreography",
    "defmacro": "define macros before the choreography",
    "defreader": "define reader macros before the choreography",
    "eval-and-compile": "write it before the choreography",
    "eval-when-compile": "write it before the choreography",
    "do-mac": "write a macro",
    "py": "write it as Hy, or call a function that is written in Python",
    "pys": "write it as Hy, or call a function that is written in Python",
    "pragma": "write it before the choreography",
    "annotate": "types of Python are of no use here",
    "export": "write it at the top of the module",
    "unquote": "it belongs inside a quasiquote",
    "unquote-splice": "it belongs inside a quasiquote",
    "unpack-iterable": "unpack inside a call or a collection",
    "unpack-mapping": "unpack inside a call or a dict",
    "except": "it belongs inside (try …)",
    "else": "it belongs inside another form",
    "finally": "it belongs inside (try …)",
    "defchor": "define choreographies at the top level and call them with their roles",
    "update": "update choreographies at the top level, or in host code",
    "with-opts": "options belong around a whole definition",
    "local-macros": "write it before the choreography",
    "get-macro": "write it before the choreography",
}
_ASSIGNMENTS = frozenset(["+=", "-=", "*=", "/=", "//=", "%=", "**=", "@=", "<<=", ">>=", "&=", "|=", "^="])
_OPAQUE = {"fn": "homogeneous-fn", "try": "homogeneous-try"}
#: Forms of the choreographic language that cannot stand inside an opaque form.
_CHOREOGRAPHIC = frozenset(("copy", "narrow", "move", "lifting", "pack", "unpack", "agree!", "agree", "chor", "inst"))


def literal(ctx: Context, form: Form) -> Host | None:
    """A literal that is no collection; None for any other form."""
    if isinstance(form, (*NUMBERS, Bytes, Keyword)) or (isinstance(form, String) and not isinstance(form, FString)):
        return ctx.literal(form, form)
    return None


def collection(ctx: Context, form: Form, analyze: Analyze) -> Host | None:
    """A list, tuple, set, dict or f-string; None for any other form."""
    if isinstance(form, FString):
        return _host(ctx, form, _sequence(ctx, form, _string_parts(ctx, form, analyze)), element=True)
    if not isinstance(form, (List, Tuple, Set, Dict)):
        return None
    if isinstance(form, Dict) and not any(head_name(item) == "unpack-mapping" for item in form) and len(form) % 2:
        ctx.report.error(messages.arity(ctx.span(form), "a dict", "a value for every key: {key value …}"))
    return _host(ctx, form, _sequence(ctx, form, [_element(ctx, item, analyze) for item in form]), element=True)


def operator(ctx: Context, form: Form, analyze: Analyze) -> Host:
    """An operator of Hy: the head stays, the operands are children."""
    # In (chainc a < b <= c) every second part is an operator.
    chain = symbol_name(form[0]) == "chainc"
    operands = [
        _fixed(item) if chain and i % 2 else _element(ctx, item, analyze) for i, item in enumerate(form[1:])
    ]
    parts = [_fixed(form[0]), *operands]
    return _host(ctx, form, _sequence(ctx, form, parts))


def attribute(ctx: Context, form: Form, analyze: Analyze) -> Surface:
    """`(. e part*)`, of which `a.b` is one: a part is a name, an index `[i]` or a method call `(m arg*)`."""
    if ctx.report_uninstantiated(form):
        return ctx.bad(form)
    if len(form) < 3 or symbol_name(form[1]) == "None":
        ctx.report.error(messages.arity(ctx.span(form), "`.`", "(. object attribute …)"))
        return ctx.bad(form)
    if all(isinstance(part, Symbol) for part in form) and ctx.local(form[1]) is None:
        if ctx.is_role(symbol_name(form[1])):
            ctx.report.error(messages.role_as_value(ctx.span(form[1]), str(form[1])))
            return ctx.bad(form)
        # A dotted name of the host: nothing in it depends on the choreography.
        return Host((), lambda _: form, ctx.scope, callee=dotted_name(form), span=ctx.span(form), form=form)
    parts = [_fixed(form[0]), _child(analyze(ctx, form[1]))]
    for part in form[2:]:
        if isinstance(part, Symbol):
            parts.append(_fixed(part))
        elif isinstance(part, List) and len(part) == 1:
            parts.append(_sequence(ctx, part, [_child(analyze(ctx, part[0]))]))
        elif isinstance(part, Expression) and part:
            parts.append(_sequence(ctx, part, [_fixed(part[0]), *_arguments(ctx, part[1:], analyze)]))
        else:
            ctx.report.error(messages.unsupported(
                ctx.span(part), f"{show_form(part)} is no part of an object",
                "write a name, an index [i] or a method call (m …)",
            ))  # fmt: skip
            return ctx.bad(form)
    return _host(ctx, form, _sequence(ctx, form, parts))


def is_method(form: Form) -> bool:
    """Whether the form is `(.m e …)`."""
    return (
        isinstance(form, Expression)
        and bool(form)
        and isinstance(form[0], Expression)
        and len(form[0]) > 2
        and symbol_name(form[0][0]) == "."
        and symbol_name(form[0][1]) == "None"
    )


def method(ctx: Context, form: Form, analyze: Analyze) -> Surface:
    if len(form) < 2:
        ctx.report.error(messages.arity(ctx.span(form), "a method", "(.method object arg …)"))
        return ctx.bad(form)
    parts = [_fixed(form[0]), *_arguments(ctx, form[1:], analyze)]
    return replace(_host(ctx, form, _sequence(ctx, form, parts)), reordered=_is_reordered(form))


def call(ctx: Context, form: Form, analyze: Analyze) -> Surface:
    """`(f arg*)` where `f` is a value."""
    head = analyze(ctx, form[0])
    parts = _arguments(ctx, form[1:], analyze)
    children, rebuild = _sequence(ctx, form, [_child(head), *parts])
    plain = len(children) == len(form)
    return Apply(
        head, tuple(children[1:]), rebuild, ctx.scope, plain, _is_reordered(form), span=ctx.span(form), form=form
    )


def _is_reordered(form: Form) -> bool:
    """Whether a positional argument stands behind a keyword argument: Python evaluates all positional ones first."""
    items = list(form[1:])
    named = False
    while items:
        item = items.pop(0)
        if isinstance(item, Keyword) and items:
            named = True
            items.pop(0)
        elif named and head_name(item) != "unpack-mapping":
            return True
    return False


def special(ctx: Context, form: Form, name: str) -> Surface | None:
    """A core form of Hy that is neither an operator nor a form of the choreographic language."""
    if (name in _ASSIGNMENTS or name in ("setv", "del")) and _changes_objects(form):
        return opaque(ctx, form)
    if name in _NOT_HERE:
        ctx.report.error(messages.unsupported(
            ctx.span(form), f"`{name}` cannot stand in a choreography", _NOT_HERE[name]
        ))  # fmt: skip
        return ctx.bad(form)
    if name in _ASSIGNMENTS:
        ctx.report.error(messages.unsupported(
            ctx.span(form), f"`{name}` cannot change a local of a choreography", _NOT_HERE["setv"]
        ))  # fmt: skip
        return ctx.bad(form)
    if name == "quote":
        return ctx.literal(form, form)
    if ctx.compiler.is_core_macro(name):
        return opaque(ctx, form, _OPAQUE.get(name, "homogeneous-form"))
    return None


def _changes_objects(form: Form) -> bool:
    """Whether an assignment or a deletion names elements and attributes of objects only, and no variable."""
    name = head_name(form)
    targets = form[1::2] if name == "setv" else form[1:] if name == "del" else form[1:2]
    return len(form) > 1 and all(head_name(target) in ("get", "cut", ".") for target in targets)


def opaque(ctx: Context, form: Form, slug: str = "homogeneous-form") -> Surface:
    """A form that Hy compiles whole, after a look for what cannot be inside."""
    guilty = find_choreographic(ctx, form)
    if guilty is not None:
        name = head_name(form) or show_form(form[0])
        ctx.report.error(messages.homogeneous(
            slug, ctx.span(guilty), name, f"{show_form(guilty)[:60]} cannot stand",
            f"`{name}` runs at one place: communicate before it, and use the result inside",
        ))  # fmt: skip
        return ctx.bad(form)
    return Opaque(slug, ctx.scope, span=ctx.span(form), form=form)


def find_choreographic(ctx: Context, form: Form) -> Form | None:
    """The first form inside `form` that communicates, lifts, or names a choreography; None when there is none."""
    todo = [form]
    while todo:
        current = todo.pop()
        if isinstance(current, Expression) and current:
            name = head_name(current)
            if name in ("quote", "quasiquote"):
                continue
            if name is not None and name not in (head_name(form),) and mangle(name) not in ctx.scope:
                pair = arrow_roles(name)
                special = name in _CHOREOGRAPHIC and not ctx.compiler.knows(mangle(name))
                if ctx.is_role(name) or special or (pair and any(ctx.is_role(r) for r in pair)):
                    return current
            # A mere call may be of a name that the form itself binds; one with roles is of a choreography.
            roles = current[1] if len(current) > 1 and isinstance(current[1], List) else ()
            if any(ctx.is_role(symbol_name(item)) for item in roles) and ctx.callee(current[0], load=True) is not None:
                return current
        if isinstance(current, (Expression, List, Tuple, Set, Dict, FString, FComponent)):
            todo.extend(reversed(list(current)))
    return None


# --- Parts ------------------------------------------------------------------------------------------------------------


def _fixed(form: Form) -> Part:
    return [], lambda _: form


def _child(node: Surface) -> Part:
    return [node], lambda forms: forms[0]


def _element(ctx: Context, item: Form, analyze: Analyze) -> Part:
    """An element of a collection or an operand: a child, or the child inside `#* xs`."""
    if head_name(item) in ("unpack-iterable", "unpack-mapping") and len(item) == 2:
        star = item[0]
        return [analyze(ctx, item[1])], lambda forms: expression([star, forms[0]], item)
    return _child(analyze(ctx, item))


def _arguments(ctx: Context, items: Sequence[Form], analyze: Analyze) -> list[Part]:
    """Arguments of a call: like elements, but a keyword names the argument after it."""
    out: list[Part] = []
    named = False
    for item in items:
        if isinstance(item, Keyword) and not named:
            out.append(_fixed(item))
            named = True
        else:
            out.append(_element(ctx, item, analyze))
            named = False
    if named:
        ctx.report.error(messages.arity(
            ctx.span(items[-1]), f"the keyword argument {show_form(items[-1])}", f"({show_form(items[-1])} value)"
        ))  # fmt: skip
    return out


def _string_parts(ctx: Context, form: Form, analyze: Analyze) -> list[Part]:
    out: list[Part] = []
    for item in form:
        if isinstance(item, FComponent) and len(item):
            inner = [_child(analyze(ctx, item[0])), *_string_parts(ctx, item[1:], analyze)]
            out.append(_sequence(ctx, item, inner))
        else:
            out.append(_fixed(item))
    return out


def _sequence(ctx: Context, form: Form, parts: list[Part]) -> tuple[list[Surface], Callable[[list[Form]], Form]]:
    children = [child for inner, _ in parts for child in inner]

    def rebuild(forms: list[Form]) -> Form:
        items, taken = [], 0
        for inner, make in parts:
            items.append(make(forms[taken : taken + len(inner)]))
            taken += len(inner)
        return _like(form, items)

    return children, rebuild


def _like(form: Form, items: list[Form]) -> Form:
    if isinstance(form, FComponent):
        new = FComponent(items, conversion=form.conversion, is_tstring=form.is_tstring, expression=form.expression)
    elif isinstance(form, FString):
        new = FString(items, brackets=form.brackets, is_tstring=form.is_tstring)
    else:
        new = type(form)(items)
    return new.replace(form, recursive=False)


def _host(
    ctx: Context, form: Form, made: tuple[list[Surface], Callable[[list[Form]], Form]], element: bool = False
) -> Host:
    children, rebuild = made
    return Host(tuple(children), rebuild, ctx.scope, element=element, span=ctx.span(form), form=form)
