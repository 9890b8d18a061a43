"""Scopes with a body of their own: `(scope name [R+] body*)` as a definition, and a call of it that is looked up anew.

    Γ; R ⊢ body : T          Γ restricted to R gives the parameters, the judgement's ρ lies in R
    ────────────────────────────────────────────────────────────────────────────────────────────
    Γ; M ⊢ (scope name [R+] body) : T ▷ R     and     name : (forall [R+] (-> Γ(x)… T))

The body is judged where it stands (`Checker`), and becomes a definition as it is: `lift`. All locals in reach are parameters,
used or not, so that an update can name what the first body did not. What gives a body only, an update or the text of a scope
that is compiled once more, is completed by what is known of the scope: `known`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from klorpy.core.choreography import Choreography, Definition, Inline
from klorpy.core.endpoint import Binding
from klorpy.core.types import Agreement, Arrow, Role, Roles, Signature, Type, union
from klorpy.language import messages, typed
from klorpy.language import surface as s
from klorpy.language.analyzer.context import Context, Unit
from klorpy.language.hy_adapter import Compiler, Form, List, Symbol, head_name, mangle
from klorpy.language.leaves import Leaves
from klorpy.language.report import Report
from klorpy.language.typed import Typed


@dataclass(frozen=True, slots=True)
class Lifted:
    """A definition, checked; of a scope, `header` is what a text of its own would say."""

    header: s.Defchor
    signature: Signature
    definition: typed.Definition
    leaves: Leaves


@dataclass(frozen=True, slots=True)
class Reached:
    """A local around a scope, of type `type`, and what of it is known in it, as `inside`."""

    around: Binding
    inside: Binding
    type: Type
    kept: Type


def reached(node: s.Region, types: Mapping[Binding, Type | None], roles: Roles) -> Iterator[Reached]:
    """The locals that are something among the roles of a scope. An agreement is one of those who take part."""
    for around, inside in node.locals:
        type_ = types.get(around)
        if isinstance(type_, Agreement) and type_.roles & roles:
            yield Reached(around, inside, type_, Agreement(type_.roles & roles))
        elif type_ is not None and not isinstance(type_, Agreement) and type_.roles <= roles:
            yield Reached(around, inside, type_, type_)


def lift(node: s.Region, roles: tuple[Role, ...], locals_: list[Reached], body: Typed, leaves: Leaves) -> Lifted:
    """The definition that a checked body becomes."""
    types = tuple(local.kept for local in locals_)
    names = tuple(local.inside for local in locals_)
    aux = frozenset(roles) - union([*(t.roles for t in types), body.type.roles])
    arrow = Arrow(types, body.type, aux)
    header = s.Defchor(
        node.name, roles, s.ChorType(types, body.type, aux), names, tuple(node.name_span for _ in names),
        tuple(name.name for name in names), node.body, node.span, node.name_span, node.name_span, None, node.form,
    )  # fmt: skip
    definition = typed.Definition(arrow, names, dict(zip(names, types, strict=True)), body, False)
    return Lifted(header, Signature(roles, arrow), definition, leaves)


def entry(node: s.Region, lifted: Lifted, locals_: list[Reached]) -> Typed:
    """The call in the place of a body."""
    args: list[Typed] = []
    for local in locals_:
        # The others who hold it have nothing to do with the scope.
        given = typed.Local(local.type, local.kept.roles, local.around, span=node.name_span, form=node.form)
        args.append(
            given if local.kept == local.type
            else typed.Narrow(local.kept, local.kept.roles, given, span=node.name_span, form=node.form)
        )  # fmt: skip
    arrow, callee = lifted.definition.arrow, s.Callee(node.name, lifted.signature, node.form)
    instance = typed.Inst(arrow, arrow.roles, callee, lifted.signature.roles, span=node.span, form=node.form)
    return typed.Call(
        arrow.result, arrow.roles, arrow, instance, tuple(args), updatable=True, barrier=node.barrier, span=node.span, form=node.form
    )


def known(compiler: Compiler, report: Report, form: Form, again: Definition | None) -> tuple[Signature, Inline] | None:
    """What is known of a form that gives no more than the body of a scope; None when it says everything itself.

    `again` is the definition whose text is compiled once more. Reports `bad-update` for an update of what is no such scope.
    """
    if head_name(form) == "scope":
        assert again is not None
        assert again.inline is not None
        return again.signature, again.inline
    if head_name(form) != "update" or len(form) < 3 or not isinstance(form[1], Symbol):
        return None
    if len(form) > 3 and isinstance(form[2], List) and head_name(form[3]) == "->":
        return None
    name = str(form[1])
    if again is not None and again.inline is not None and again.name == name:
        return again.signature, again.inline
    ctx = Context(Unit(compiler, report, name), (), {})
    present = ctx.callee(form[1], load=True)
    inline = compiler.inline.get(mangle(name))
    if inline is None and present is not None and present.value is not None and present.value.definition is not None:
        inline = present.value.definition.inline
    if present is not None and inline is not None:
        return present.signature, inline
    say = messages.nothing_to_update if present is None else messages.update_needs_all
    report.error(say(ctx.span(form[1]), name))
    return None


def check_names(compiler: Compiler, made: str, owner: str, scopes: Iterable[Lifted], report: Report) -> None:
    """The scopes of the definition `made`, which is `owner` or an update of one of its scopes, have names that are new, or
    names of what goes with the text that `made` replaces. So no scope takes the name of one that is around it.
    """
    for scope in scopes:
        key = mangle(scope.header.name)
        if key in (mangle(owner), mangle(made)) or _is_taken(compiler, key, made, owner):
            report.error(messages.scope_name_taken(scope.header.type_span, scope.header.name))
    report.check()


def _is_taken(compiler: Compiler, key: str, made: str, owner: str) -> bool:
    here = vars(compiler.module)
    inline, value = compiler.inline.get(key), here.get(key)
    if inline is not None:
        return bool(inline.owner != owner)
    if not isinstance(value, Choreography) or value.definition is None or value.definition.inline is None:
        return compiler.knows(key)
    if value.module != compiler.module.__name__:
        return True
    # The scope may have been taken out of its definition since, or be so now.
    return value in _standing(here.get(mangle(value.definition.inline.owner)), here.get(mangle(made)))


def _standing(owner: object, made: object) -> set[Choreography]:
    """What `owner` calls, by itself or by what it calls, as it is now; what `made` calls is about to be replaced."""
    found: set[Choreography] = set()
    todo = [owner]
    while todo:
        current = todo.pop()
        if isinstance(current, Choreography) and current not in found and current.definition is not None:
            found.add(current)
            if current is not made:
                todo.extend(current.definition.called())
    return found


def note(compiler: Compiler, owner: str, roles: tuple[Role, ...], scopes: Iterable[Lifted]) -> None:
    """Let what is compiled next know the scopes of the definition `owner`, whose roles are `roles`."""
    for scope in scopes:
        key = mangle(scope.header.name)
        compiler.compiled[key] = scope.signature
        compiler.inline[key] = Inline(owner, roles, scope.header.param_texts)
        compiler.define(key)
