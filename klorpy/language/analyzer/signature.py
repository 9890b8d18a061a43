"""Role vectors and types as the user writes them.

    roles ::= [R+]        T ::= R | #{R+} | [T+] | (-> T* T) | (-> T* T | 0) | (-> T* T | R+)

Everything that is wrong is reported where it stands; the result is then None.
"""

from __future__ import annotations

import re

from klorpy.core.types import Agreement, Role, Tuple, Type, union
from klorpy.language import messages
from klorpy.language.analyzer.context import Context
from klorpy.language.hy_adapter import Expression, Form, List, Set, mangle, show_form, symbol_name
from klorpy.language.surface import ChorType


def read_role_vector(ctx: Context, form: Form) -> tuple[Role, ...] | None:
    """The roles that a definition is abstract in: distinct symbols, also as Python names."""
    if not isinstance(form, List):
        ctx.report.error(messages.bad_roles(ctx.span(form), f"{show_form(form)} is not a vector of roles"))
        return None
    if not len(form):
        ctx.report.error(messages.bad_roles(ctx.span(form), "a choreography has at least one role"))
        return None
    names: dict[str, Role] = {}
    fine = True
    for item in form:
        name = symbol_name(item)
        if name is None or not _is_role_name(name):
            ctx.report.error(messages.bad_roles(ctx.span(item), f"{show_form(item)} cannot be a role"))
            fine = False
        elif mangle(name) in names:
            ctx.report.error(messages.dup_role(ctx.span(item), name, names[mangle(name)], "the role vector"))
            fine = False
        else:
            names[mangle(name)] = name
    return tuple(names.values()) if fine else None


#: Arrows and dots mean something else; white space (Unicode knows more of it than Hy) and bars would end the name.
_NOT_IN_ROLES = re.compile(r"->|=>|[./|\s]")
_RESERVED = frozenset(("None", "True", "False", "|", "_", "...", "forall"))


def _is_role_name(name: str) -> bool:
    return name not in _RESERVED and name != "0" and _NOT_IN_ROLES.search(name) is None


def read_chor_type(ctx: Context, form: Form) -> ChorType | None:
    """The type of a definition or of `chor`: an arrow, its auxiliary part perhaps left to be inferred."""
    if not (isinstance(form, Expression) and form and symbol_name(form[0]) == "->"):
        what = show_form(form)
        ctx.report.error(messages.bad_signature(ctx.span(form), f"{what} is not the type of a choreography"))
        return None
    return _arrow(ctx, form)


def read_type(ctx: Context, form: Form) -> Type | None:
    name = symbol_name(form)
    if name is not None:
        if name not in ctx.roles:
            if name == "->":
                ctx.report.error(
                    messages.bad_signature(ctx.span(form), "an arrow inside an arrow needs brackets of its own")
                )
            elif name == "|":
                ctx.report.error(messages.bad_signature(ctx.span(form), "the bar stands inside an arrow only"))
            else:
                ctx.report.error(messages.unknown_role(ctx.span(form), name, ctx.roles))
            return None
        return Agreement(frozenset([name]))
    if isinstance(form, Set):
        return _agreement(ctx, form)
    if isinstance(form, List):
        if not len(form):
            ctx.report.error(messages.bad_signature(ctx.span(form), "a tuple has at least one element"))
            return None
        items = [read_type(ctx, item) for item in form]
        return None if None in items else Tuple(tuple(item for item in items if item is not None))
    if isinstance(form, Expression) and form and symbol_name(form[0]) == "->":
        arrow = _arrow(ctx, form)
        return None if arrow is None else arrow.arrow()
    ctx.report.error(messages.bad_signature(ctx.span(form), f"{show_form(form)} is not a type"))
    return None


def _agreement(ctx: Context, form: Form) -> Agreement | None:
    if not len(form):
        ctx.report.error(messages.bad_signature(ctx.span(form), "an agreement has at least one role"))
        return None
    names: list[Role] = []
    for item in form:
        name = symbol_name(item)
        if name is None:
            ctx.report.error(messages.bad_signature(ctx.span(item), f"{show_form(item)} is not a role"))
            return None
        if name not in ctx.roles:
            ctx.report.error(messages.unknown_role(ctx.span(item), name, ctx.roles))
            return None
        if name in names:
            ctx.report.error(messages.bad_signature(ctx.span(item), f"{name} is in the agreement twice"))
            return None
        names.append(name)
    return Agreement(frozenset(names))


def _arrow(ctx: Context, form: Form) -> ChorType | None:
    parts = list(form[1:])
    bars = [i for i, part in enumerate(parts) if symbol_name(part) == "|"]
    if len(bars) > 1:
        ctx.report.error(messages.bad_signature(ctx.span(parts[bars[1]]), "an arrow has one bar"))
        return None
    written = None
    if bars:
        written = parts[bars[0] + 1 :]
        bar = parts[bars[0]]
        parts = parts[: bars[0]]
        if not written:
            ctx.report.error(messages.bad_signature(ctx.span(bar), "nothing stands behind the bar"))
            return None
    if not parts:
        ctx.report.error(messages.bad_signature(ctx.span(form), "an arrow has at least its result"))
        return None
    types = [read_type(ctx, part) for part in parts]
    if None in types:
        return None
    known = [t for t in types if t is not None]
    aux = None
    if written is not None:
        aux = _aux(ctx, written, union(t.roles for t in known))
        if aux is None:
            return None
    return ChorType(tuple(known[:-1]), known[-1], aux)


def _aux(ctx: Context, forms: list[Form], mentioned: frozenset[Role]) -> frozenset[Role] | None:
    if len(forms) == 1 and show_form(forms[0]) == "0":
        return frozenset()
    names: list[Role] = []
    for form in forms:
        name = symbol_name(form)
        if name is None:
            why = "0 stands alone behind the bar" if show_form(form) == "0" else f"{show_form(form)} is not a role"
            ctx.report.error(messages.bad_signature(ctx.span(form), why))
            return None
        if name not in ctx.roles:
            ctx.report.error(messages.unknown_role(ctx.span(form), name, ctx.roles))
            return None
        if name in names:
            ctx.report.error(messages.bad_signature(ctx.span(form), f"{name} is an auxiliary role twice"))
            return None
        if name in mentioned:
            ctx.report.error(messages.aux_not_normalised(ctx.span(form), name))
            return None
        names.append(name)
    return frozenset(names)


