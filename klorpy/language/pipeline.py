"""How a choreography becomes Python: the passes, in order. Read this first.

    1. read      Hy's reader gives forms with positions.                             (hy_adapter)
    2. analyze   Forms to the surface tree: roles and locals resolved, macros         (analyzer/)
                 expanded, every form known. Assumes nothing of the forms.
    3. check     The surface tree to the typed tree: who holds each value, who        (typecheck)
                 takes part; no place is written any more, all are types. The
                 bodies of scopes become definitions of their own.                (scopes)
    4. number    A site for every place where roles meet, before projection, so       (sites)
                 that all roles know it by the same number.
    5. leaves    Maximal pieces of host code, compiled once by Hy.                    (leaves)
    6. project   The typed tree to one endpoint tree for each role, in A-normal form. (project)
    7. emit      The endpoint trees to one Python function that makes the roles'      (emit)
                 generators; and the call that defines the choreography.

Errors of passes 2 and 3 are collected and raised together; leaves report into the same collection.
"""

from __future__ import annotations

import ast
import types
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from klorpy.core.choreography import FORMAT, Definition, Inline, Site
from klorpy.core.diagnostics import Diagnostic, KlorError, KlorWarning
from klorpy.core.endpoint import Program
from klorpy.core.options import Options
from klorpy.core.spans import Source
from klorpy.core.types import Role, Signature, union
from klorpy.language import messages, options, scopes, typed
from klorpy.language.analyzer import analyze_defchor, analyze_inline, read_header, read_inline
from klorpy.language.analyzer.context import Context, Unit
from klorpy.language.emit import Emitter, constants, name_expression
from klorpy.language.hy_adapter import (
    Compiler,
    Form,
    KlorSyntaxError,
    Result,
    compile_toplevel,
    exact,
    head_name,
    mangle,
    new_reader,
    read_forms,
    show_form,
    span_of,
    too_deep,
)
from klorpy.language.leaves import Leaves
from klorpy.language.project import Projector
from klorpy.language.report import Report
from klorpy.language.scopes import Lifted
from klorpy.language.sites import Sites, walk
from klorpy.language.surface import Callee, Defchor
from klorpy.language.typecheck import Checker

#: The name under which emitted code knows `klorpy.runtime.link`.
_LINK = "_klorpy_link"


@dataclass(frozen=True, slots=True)
class Emitted:
    """What a compilation made of one definition, for those who want to look at it."""

    emitter: Emitter
    builder: ast.FunctionDef
    sites: tuple[Site, ...]
    programs: tuple[Program, ...]
    source: Source
    definition: typed.Definition


_observer: ContextVar[Callable[[str, Emitted], None] | None] = ContextVar("klorpy-observer", default=None)


#: What was an update is a definition like others when its text is compiled once more: what it updates may not be in sight.
_recompiling: ContextVar[bool] = ContextVar("klorpy-recompiling", default=False)
#: The definition whose text is compiled once more.
_again: ContextVar[Definition | None] = ContextVar("klorpy-again", default=None)


@contextmanager
def again(definition: Definition) -> Iterator[None]:
    """What is compiled meanwhile is the text of `definition`: that of a scope is compiled as it stood in its definition, and
    the scopes in it keep the bodies that they have."""
    token = _again.set(definition)
    try:
        yield
    finally:
        _again.reset(token)


@contextmanager
def observing(observer: Callable[[str, Emitted], None]) -> Iterator[None]:
    """Show `observer` each definition that is compiled meanwhile."""
    token = _observer.set(observer)
    try:
        yield
    finally:
        _observer.reset(token)


def recompile(definition: Definition) -> Emitted:
    """Compile a definition's text once more, in its own namespace and under its own options, and give the result.

    Positions are those of its file. Nothing is defined, and nothing is warned of again. Raises KlorSyntaxError when the
    text no longer compiles, for instance because the signature of a choreography that it calls has changed.
    """
    module = types.ModuleType(str(definition.namespace.get("__name__", "klorpy_text")))
    # A definition inside a function knows choreographies that its module does not.
    vars(module).update({mangle(callee.name): callee for callee in definition.called()})
    vars(module).update(definition.namespace)
    source = definition.source.at(definition.span)
    found: dict[str, Emitted] = {}
    with (
        observing(found.__setitem__), options.using(definition.options), collecting([]), warnings.catch_warnings(),
        again(definition),
    ):  # fmt: skip
        warnings.simplefilter("ignore")
        reader = new_reader(module)
        token = _recompiling.set(True)
        try:
            for form in read_forms(source.text, source.filename, reader):
                compile_toplevel(form, module, source, reader)
        finally:
            _recompiling.reset(token)
    if definition.name not in found:
        raise KlorError(
            f"the text of {definition.name} no longer defines it",
            slug="not-defined",
            help="evaluate the definition again",
        )
    return found[definition.name]


def compile_defchor(compiler: Compiler, form: Form) -> Any:
    """The Hy result of `(defchor …)`: statements that define the choreography, and its name as the value.

    Raises KlorSyntaxError with all that is wrong; then the name keeps what it was bound to.
    """
    try:
        return _compile(compiler, form)
    except RecursionError:
        raise too_deep(compiler.source, span_of(form)) from None


def compile_update(compiler: Compiler, form: Form) -> Any:
    """The Hy result of `(update …)`: as of a definition, of a choreography that is there, with the signature that it has.

    Raises KlorSyntaxError with all that is wrong, `bad-update` when there is nothing that the form could update.
    """
    try:
        return _compile(compiler, form, update=not _recompiling.get())
    except RecursionError:
        raise too_deep(compiler.source, span_of(form)) from None


def compile_scope(compiler: Compiler, form: Form) -> Any:
    """The Hy result of a scope that stands alone, when it is the text of a definition that is compiled once more; else None."""
    definition = _again.get()
    if definition is None or definition.inline is None:
        return None
    try:
        return _compile(compiler, form, update=not _recompiling.get())
    except RecursionError:
        raise too_deep(compiler.source, span_of(form)) from None


def note_signature(compiler: Compiler, form: Form) -> None:
    """Let `compiler` know the signature of a definition that is wrong otherwise, so that its callers can be judged."""
    read = read_header(compiler, Report(compiler.source), form)
    if read is not None:
        header = read[1]
        compiler.compiled[mangle(header.name)] = _signature(header)


def _signature(header: Defchor) -> Signature:
    """The signature as declared: left out, the auxiliary part is all roles that the types do not mention."""
    mentioned = union([*(p.roles for p in header.type.params), header.type.result.roles])
    return Signature(header.roles, header.type.arrow(frozenset(header.roles) - mentioned))


def _compile(compiler: Compiler, form: Form, update: bool = False) -> Any:
    report = Report(compiler.source)
    known = scopes.known(compiler, report, form, _again.get())
    report.check()
    read = read_header(compiler, report, form) if known is None else read_inline(compiler, report, form, *known)
    report.check()
    assert read is not None
    ctx, header = read
    inline = known[1] if known is not None else None
    key = mangle(header.name)
    chosen = options.current()
    _check_options(chosen, header, ctx.roles, report)
    report.check()

    signature = _signature(header)
    if update and inline is None:
        _check_update(ctx, header, signature)
        report.check()
    if inline is None and len(header.form) == 4:
        compiler.compiled[key] = signature
        compiler.define(key)
        return _declaration(compiler, header, signature)

    # The body may call the definition itself. What a failing definition replaced comes back.
    before = compiler.compiled.get(key)
    compiler.compiled[key] = signature
    try:
        surface = analyze_defchor(ctx, header) if inline is None else analyze_inline(ctx, header)
        if surface is None:
            report.check()
            raise AssertionError("the analyzer gave nothing and reported nothing")
        leaves = Leaves(ctx.unit, ctx.roles)
        checker = Checker(report, ctx.roles, leaves)
        definition = checker.definition(surface) if inline is None else checker.update(surface)
        report.check()
        assert definition is not None
        whole = Lifted(surface, signature, definition, leaves)
        owner = inline.owner if inline is not None else header.name
        if not _recompiling.get():
            scopes.check_names(compiler, header.name, owner, checker.lifted, report)
        made = _Making(compiler, ctx.unit, report, chosen, ctx.roles, owner)
        result = _generate(made, whole, checker.lifted, update, inline)
    except BaseException:
        if before is None:
            del compiler.compiled[key]
        else:
            compiler.compiled[key] = before
        raise
    if not update:
        compiler.define(key)
        compiler.inline.pop(key, None)
    scopes.note(compiler, owner, ctx.roles, checker.lifted)
    for warning in report.warnings:
        _warn(warning, compiler)
    return result


@dataclass(frozen=True, slots=True)
class _Making:
    """What the definitions that are made of one form have in common: `owner` is the definition whose scopes they are."""

    compiler: Compiler
    unit: Unit
    report: Report
    chosen: Options
    roles: tuple[Role, ...]
    owner: str

    def inline(self, lifted: Lifted) -> Inline:
        return Inline(self.owner, self.roles, lifted.header.param_texts)


def _generate(made: _Making, whole: Lifted, lifted: list[Lifted], update: bool, inline: Inline | None) -> Any:
    """The statements of a definition: of the scopes in it, whose names it links to, and its own."""
    statements = [_import()]
    drafts: list[ast.expr] = []
    for scope in lifted:
        stands = made.inline(scope)
        emitter, builder, data = _built(made, scope, stands)
        key, header = mangle(scope.header.name), scope.header
        builder.name = f"_klorpy_scope_{key}"
        data["inline"] = _inline_data(stands)
        place = _link_call("place", header, scope.signature, {})
        given = ast.Call(ast.Attribute(ast.Name(_LINK, ast.Load()), "draft", ast.Load()), [
            ast.Name(key, ast.Load()), ast.Name(builder.name, ast.Load()), ast.Call(ast.Name("globals", ast.Load()), [], []),
            ast.Constant(scope.signature.text),
        ], [ast.keyword(name, value) for name, value in data.items()])  # fmt: skip
        drafts.append(emitter.locate(given, header.span))
        statements += [emitter.locate(ast.Assign([ast.Name(key, ast.Store())], place), header.span), builder]
    header = whole.header
    emitter, builder, data = _built(made, whole, inline)
    key = mangle(header.name)
    after: list[ast.stmt] = [_delete(f"_klorpy_scope_{mangle(scope.header.name)}") for scope in lifted]
    if drafts:
        data["scopes"] = ast.Tuple(drafts, ast.Load())
        data["keep"] = ast.Constant(_again.get() is not None)
    if inline is not None:
        data["inline"] = _inline_data(inline)
    if made.chosen.protocol is not None:
        data["conforms"] = _conforms(made.chosen.protocol)
    if update:
        # In a function the name is not bound anew, else it could not be read before the update.
        builder.name = f"_klorpy_update_{key}"
        data["update"] = _lambda(ast.Name(key, ast.Load()))
        after.append(_delete(builder.name))
    # A decorator is applied before the name is bound: what the name meant until now is found there.
    decorator = emitter.locate(_link_call("define", header, whole.signature, data), header.span)
    builder.decorator_list.append(decorator)
    return _result(emitter, [*statements, builder, *after], key, header)


def _built(made: _Making, lifted: Lifted, inline: Inline | None) -> tuple[Emitter, ast.FunctionDef, dict[str, ast.expr]]:
    """The builder of one definition, and what else there is to say of it."""
    header, definition, leaves, report = lifted.header, lifted.definition, lifted.leaves, made.report
    sites = Sites(report, header.roles, made.chosen)
    texts, spans = (header.param_texts, header.param_spans) if inline is None else ((), ())
    sites.number(definition, texts, spans)
    programs = [
        Projector(role, header.roles, leaves, sites, made.chosen, made.unit.binding).program(definition)
        for role in header.roles
    ]
    report.check()
    callees = _callees(definition)
    taken = {mangle(callee.name.split(".")[0]) for callee, _ in callees.values()} | {_LINK}
    emitter = Emitter(header.name, header.roles, len(sites.all), leaves.codes, report.source, taken)
    builder = emitter.builder(programs, header.span)
    observer = _observer.get()
    if observer is not None:
        observer(header.name, Emitted(emitter, builder, tuple(sites.all), tuple(programs), report.source, definition))
    data = {
        "format": ast.Constant(FORMAT),
        "source": ast.Constant(_text(header, report.source)),
        "span": constants(_place(header.span)),
        "sites": constants(
            tuple(
                (s.kind, _place(s.span), s.text, s.callee.text if s.callee else None, s.places)
                for s in sites.all
            )
        ),
        "callees": ast.Tuple([_link(*callee) for callee in callees.values()], ast.Load()),
        "options": constants(made.chosen.as_mapping()),
        "doc": ast.Constant(header.doc),
    }
    return emitter, builder, data


def _delete(name: str) -> ast.stmt:
    return ast.Delete([ast.Name(name, ast.Del())])


def _inline_data(inline: Inline) -> ast.expr:
    return constants((inline.owner, inline.roles, inline.params))


def _declaration(compiler: Compiler, header: Defchor, signature: Signature) -> Any:
    emitter = Emitter(header.name, header.roles, 0, (), compiler.source, ())
    key = mangle(header.name)
    call = _link_call("declare", header, signature, {})
    return _result(emitter, [_import(), ast.Assign([ast.Name(key, ast.Store())], call)], key, header)


def _result(emitter: Emitter, statements: list[ast.stmt], key: str, header: Defchor) -> Any:
    value = ast.Name(key, ast.Load())
    for node in (*statements, value):
        emitter.locate(node, header.span)
        exact(node)
    return Result(stmts=statements, expr=value)


def _import() -> ast.stmt:
    return ast.Import([ast.alias("klorpy.runtime.link", _LINK)])


def _link_call(function: str, header: Defchor, signature: Signature, data: Mapping[str, ast.expr]) -> ast.expr:
    key = mangle(header.name)
    namespace = ast.Call(ast.Name("globals", ast.Load()), [], [])
    # Inside a function, what the name means until now is a local.
    scope = ast.Call(ast.Name("locals", ast.Load()), [], [])
    args = [ast.Constant(header.name), namespace, scope, ast.Constant(key), ast.Constant(signature.text)]
    keywords = [ast.keyword(name, value) for name, value in data.items()]
    return ast.Call(ast.Attribute(ast.Name(_LINK, ast.Load()), function, ast.Load()), args, keywords)


def _link(callee: Callee, scoped: bool) -> ast.expr:
    """How the running program finds a callee, the signature that this text was compiled against, and who calls it."""
    parts = [_lambda(name_expression(callee)), ast.Constant(callee.signature.text), ast.Constant(scoped)]
    return ast.Tuple(parts, ast.Load())


def _lambda(value: ast.expr) -> ast.expr:
    arguments = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
    return ast.Lambda(arguments, value)


def _conforms(protocol: str) -> ast.expr:
    """What checks a definition against a protocol, when it is defined: the theory of protocols is loaded only then."""
    check = "lambda definition: __import__('klorpy.behaviour.extraction', None, None, ['keeps']).keeps(definition, lambda: _)"
    function = ast.parse(check, mode="eval").body
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and node.id == "_":
            node.id = mangle(protocol)
    return function


def _callees(definition: typed.Definition) -> dict[str, tuple[Callee, bool]]:
    """The choreographies that a definition names, each with whether only scopes call it."""
    nodes = list(walk(definition.body))
    entered = {node.callee for node in nodes if isinstance(node, typed.Call) and node.updatable}
    found: dict[str, tuple[Callee, bool]] = {}
    for node in nodes:
        if isinstance(node, typed.Inst):
            name = node.callee.name
            found[name] = (node.callee, node in entered and (name not in found or found[name][1]))
    return found


def _place(span: Any) -> tuple[int, int, int, int]:
    return (span.line, span.column, span.end_line, span.end_column)


def _text(header: Defchor, source: Source) -> str:
    text = source.slice(header.span)
    if head_name(header.form) == "scope" and not text.startswith("(scope"):
        return show_form(header.form)  # what a macro made can be compiled once more only as it is
    return text if source.text else show_form(header.form)


def _check_update(ctx: Context, header: Defchor, signature: Signature) -> None:
    """There is a choreography of this name, and the form gives a body of the same signature."""
    present = ctx.callee(header.form[1], load=True)
    if present is None:
        ctx.report.error(messages.nothing_to_update(ctx.span(header.form[1]), header.name))
    elif present.signature.roles != signature.roles:
        ctx.report.error(messages.update_differs(header.roles_span, "roles", header.name, present.signature))
    elif present.signature != signature:
        ctx.report.error(messages.update_differs(header.type_span, "type", header.name, present.signature))
    elif len(header.form) == 4:
        ctx.report.error(messages.update_without_body(header.span, header.name))


def _check_options(chosen: Options, header: Defchor, roles: tuple[Role, ...], report: Report) -> None:
    checker = chosen.verify_agreement
    if isinstance(checker, str) and checker not in roles:
        report.error(messages.bad_option(
            header.roles_span,
            f"the option :agreement names {checker}, which is not a role of {header.name}",
            "name one of its roles, or True to let all roles exchange their values",
        ))  # fmt: skip


_collector: ContextVar[list[Diagnostic] | None] = ContextVar("klorpy-warnings", default=None)


@contextmanager
def collecting(found: list[Diagnostic]) -> Iterator[None]:
    """Note the warnings of definitions that are compiled meanwhile in `found`, as data."""
    token = _collector.set(found)
    try:
        yield
    finally:
        _collector.reset(token)


def _warn(diagnostic: Diagnostic, compiler: Compiler) -> None:
    found = _collector.get()
    if found is not None:
        found.append(diagnostic)
        return
    assert diagnostic.span is not None
    try:
        warnings.warn_explicit(
            KlorWarning(diagnostic.message, diagnostic.slug),
            None,
            compiler.source.filename,
            diagnostic.span.line,
            module=compiler.module.__name__,
        )
    except KlorWarning:  # warnings are errors here
        raise KlorSyntaxError(diagnostic) from None


__all__ = ["Emitted", "again", "collecting", "compile_defchor", "compile_scope", "compile_update", "note_signature", "observing", "recompile"]
