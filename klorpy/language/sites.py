"""Numbering: every place where roles meet gets a number, in the order of the source, before projection.

Given a checked definition; result: a site for each node that sends, calls, awaits, chooses, repeats, or makes an agreement.
The number is the same at all roles, since no role has been projected yet.
"""

from __future__ import annotations

from collections.abc import Iterator

from klorpy.core.choreography import Site
from klorpy.core.endpoint import Binding
from klorpy.core.options import Options
from klorpy.core.spans import Span
from klorpy.core.types import Agreement, Role, Signature, Type
from klorpy.language import typed
from klorpy.language.hy_adapter import show_form
from klorpy.language.report import Report
from klorpy.language.surface import Binder, HostPattern
from klorpy.language.typed import Typed


class Sites:
    """The sites of one definition: `of` a node, or of an agreement parameter."""

    def __init__(self, report: Report, order: tuple[Role, ...], options: Options) -> None:
        self.report = report
        self.order = order
        self.options = options
        self.all: list[Site] = []
        self._nodes: dict[Typed, Site] = {}
        self._params: dict[Binding, Site] = {}
        #: By the body of the loop.
        self._loops: dict[Typed, Site] = {}

    def of(self, node: Typed) -> Site:
        """The site of a node. Host code at one role gets its number when that role finds that it waits."""
        site = self._nodes.get(node)
        if site is None:
            site = self._nodes[node] = self._of_node("await", node)
        return site

    def param(self, binding: Binding) -> Site | None:
        return self._params.get(binding)

    def loop(self, body: Typed) -> Site:
        """The site of the loop, or of the repeated block, whose body this is."""
        return self._loops[body]

    def number(self, definition: typed.Definition, texts: tuple[str, ...], spans: tuple[Span, ...]) -> None:
        """`texts` and `spans` are those of the parameters. A scope in place has none: what it gets is agreed on around it."""
        for binder, type_, text, span in zip(definition.params, definition.arrow.params, texts, spans, strict=bool(texts)):
            # What a caller gives as an agreement of several roles is checked where it comes in.
            if isinstance(binder, Binding) and _is_shared(type_):
                self._params[binder] = self._site("parameter", span, text, type_)
        for node in walk(definition.body):
            kind = _kind(node)
            if kind is not None and node not in self._nodes:
                self._nodes[node] = self._of_node(kind, node)
        repeated = [definition.body] if definition.repeats else []
        for node in walk(definition.body):
            if isinstance(node, typed.Loop) or (isinstance(node, typed.Chor) and node.repeats):
                repeated.append(node.body)
        for body in repeated:
            self._loops[body] = self._of_node("loop", body)

    def _of_node(self, kind: str, node: Typed) -> Site:
        inst = node.callee if isinstance(node, typed.Call) else node
        callee = inst.callee.signature if isinstance(inst, typed.Inst) else None
        # As the user wrote it: of what a macro made, that is the macro's call.
        written = " ".join(self.report.source.slice(node.span).split())
        return self._site(kind, node.span, written or show_form(node.form), node.type, callee)

    def _site(self, kind: str, span: Span, text: str, type_: Type, callee: Signature | None = None) -> Site:
        held = type_.roles if isinstance(type_, Agreement) else ()
        places = tuple(i for i, role in enumerate(self.order) if role in held)
        site = Site(len(self.all), kind, span, text, self.report.source, callee, places)
        self.all.append(site)
        return site


def _is_shared(type_: Type) -> bool:
    return isinstance(type_, Agreement) and len(type_.roles) > 1


def _kind(node: Typed) -> str | None:
    match node:
        case typed.Copy():
            return "message"
        case typed.Call():
            return "call"
        case typed.Inst():
            return "instance"
        case typed.Await():
            return "await"
        case typed.Case():
            return "choice"
        case typed.Agree():
            return "agree"
        case typed.Leaf() | typed.If() | typed.Junction() if _is_shared(node.type):
            return "value"
        case _:
            return None


def walk(node: Typed) -> Iterator[Typed]:
    """`node` and all below, in the order of evaluation; children before what uses them."""
    for child in children(node):
        yield from walk(child)
    yield node


def children(node: Typed) -> tuple[Typed, ...]:
    """The direct subexpressions in the order in which they are evaluated."""
    match node:
        case typed.Leaf(children=parts):
            return parts
        case typed.Copy(body=body) | typed.Narrow(body=body) | typed.Await(body=body) | typed.Chor(body=body):
            return (body,)
        case typed.Pack(items=items) | typed.Agree(items=items) | typed.Do(items=items) | typed.Junction(items=items):
            return items
        case typed.Unpack(bindings=pairs, body=body):
            return (*(value for _, value in pairs), body)
        case typed.Let(bindings=lets, body=body):
            return (*(value for _, value in lets), body)
        case typed.Loop(bindings=loops, body=body):
            return (*(value for _, value in loops), body)
        case typed.Call(callee=callee, args=args):
            return (callee, *args)
        case typed.Recur(args=args):
            return args
        case typed.If(guard=guard, then=then, orelse=orelse):
            return (guard, then, orelse)
        case typed.Case(subject=subject, clauses=clauses, default=default):
            constants = [c.constant for c in clauses if c.constant is not None]
            bodies = [c.body for c in clauses]
            return (subject, *constants, *bodies, *([default] if default is not None else []))
        case _:
            return ()


def bound(node: Typed) -> Iterator[tuple[Binding, Type]]:
    """The locals that `node` binds, with their types."""
    match node:
        case typed.Unpack(locals=names) | typed.Let(locals=names) | typed.Loop(locals=names) | typed.Chor(locals=names):
            yield from names.items()
        case typed.Case(subject=subject, clauses=clauses):
            for clause in clauses:
                for binding in clause.bindings:
                    yield binding, subject.type
        case _:
            return
    if isinstance(node, typed.Chor) and node.self_name is not None:
        yield node.self_name, node.arrow


def names_of(binder: Binder | HostPattern) -> Iterator[Binding]:
    """The names in a binder, in order."""
    match binder:
        case None:
            return
        case Binding():
            yield binder
        case HostPattern(bindings=bindings):
            yield from bindings
        case tuple():
            for part in binder:
                yield from names_of(part)
