"""`(defchor name [R+] T [param*] body*)` and the declaration `(defchor name [R+] T)`."""

from __future__ import annotations

from dataclasses import replace

from klorpy.core.choreography import Inline
from klorpy.core.endpoint import Binding
from klorpy.core.types import Signature
from klorpy.language import messages
from klorpy.language.analyzer import binding, choice, places
from klorpy.language.analyzer.binding import is_vector, read_params, scope_parts
from klorpy.language.analyzer.context import Context, Unit
from klorpy.language.analyzer.dispatch import body, is_reserved
from klorpy.language.analyzer.signature import read_chor_type, read_role_vector
from klorpy.language.hy_adapter import Compiler, Form, List, String, Symbol, head_name, show_form
from klorpy.language.report import Report
from klorpy.language.surface import ChorType, Defchor

#: Importing them registers their forms with the dispatcher.
FAMILIES = (binding, choice, places)

_USAGE = "(defchor name [Role …] (-> T …) [param …] body …)"


def read_header(compiler: Compiler, report: Report, form: Form) -> tuple[Context, Defchor] | None:
    """Everything of a definition before its body; None after reporting."""
    unit = Unit(compiler, report, "")
    ctx = Context(unit, (), {})
    parts = list(form[1:])
    usage = _USAGE
    if head_name(form) == "update":
        usage = f"(update name body …) for a scope inside of a definition, {_USAGE.replace('defchor', 'update')} for others"
    if parts and (not isinstance(parts[0], Symbol) or "." in str(parts[0]) or str(parts[0]) in ("None", "True", "False")):
        report.error(messages.bad_param(
            ctx.span(parts[0]), f"{show_form(parts[0])} cannot be the name of a choreography", f"write {usage}"
        ))  # fmt: skip
        return None
    if len(parts) < 3:
        report.error(messages.arity(ctx.span(form), "`update`" if usage != _USAGE else "`defchor`", usage))
        return None
    name_form, roles_form, type_form = parts[:3]
    name = str(name_form)
    roles = read_role_vector(ctx, roles_form)
    if roles is None:
        return None
    if is_reserved(name, roles):
        report.error(messages.reserved_name(ctx.span(name_form), name))
        return None
    unit.name = name
    ctx = replace(ctx, roles=roles)
    type_ = read_chor_type(ctx, type_form)
    if type_ is None:
        return None
    header = Defchor(
        name, roles, type_, (), (), (), None, ctx.span(form), ctx.span(type_form), ctx.span(roles_form), None, form
    )
    return ctx, header


def read_inline(
    compiler: Compiler, report: Report, form: Form, signature: Signature, inline: Inline
) -> tuple[Context, Defchor]:
    """The header of a body that stands in a scope of `inline.owner`, which says what the form does not: it is either the scope,
    `(scope name [R+] body*)`, or an update of it, `(update name body*)`."""
    unit = Unit(compiler, report, "")
    ctx = Context(unit, inline.roles, {})
    name_form = scope_parts(form)[1][0]
    unit.name = str(name_form)
    arrow, span = signature.arrow, ctx.span(name_form)
    names = tuple(map(unit.binding, inline.params))
    header = Defchor(
        unit.name, signature.roles, ChorType(arrow.params, arrow.result, arrow.aux), names, tuple(span for _ in names), inline.params,
        None, ctx.span(form), span, span, None, form,
    )  # fmt: skip
    return ctx, header


def analyze_inline(ctx: Context, header: Defchor) -> Defchor:
    """The body of what `read_inline` has read."""
    forms = scope_parts(header.form)[1][1:]
    if head_name(header.form) == "scope" and forms and is_vector(ctx, forms[0]):
        del forms[0]
    names = [binder for binder in header.params if isinstance(binder, Binding)]
    inner = replace(ctx.bind(names), region=header.name)
    return replace(header, body=body(inner, forms, header.form))


def analyze_defchor(ctx: Context, header: Defchor) -> Defchor | None:
    """A definition with its body analyzed; None after reporting.

    The caller has told the compiler of the signature before, so that the body can call the definition itself.
    """
    parts = list(header.form[4:])
    # A string between the type and the parameters is documentation, as in Python's functions.
    doc = str(parts.pop(0)) if len(parts) > 1 and isinstance(parts[0], String) else None
    if not isinstance(parts[0], List):
        ctx.report.error(messages.bad_param(
            ctx.span(parts[0]), f"{show_form(parts[0])} stands where the parameters should"
        ))  # fmt: skip
        return None
    params = read_params(ctx, parts[0])
    if params is None:
        return None
    binders, spans, names = params
    if len(binders) != len(header.type.params):
        ctx.report.error(messages.param_count(ctx.span(parts[0]), len(binders), len(header.type.params)))
        return None
    inner = replace(ctx.bind(names), tail=True, block=True)
    node = body(inner, parts[1:], header.form)
    texts = tuple(show_form(item) for item in parts[0])
    return replace(header, params=binders, param_spans=spans, param_texts=texts, body=node, doc=doc)
