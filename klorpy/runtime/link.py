"""What compiled choreographies call when their module runs: define a choreography, or declare it ahead.

A name that is bound to a choreography already keeps its object; only the definition is replaced, so that every
call site and everybody who imported it sees the new one. A changed signature is warned about, with the
choreographies that call it. An expansion that was compiled against other signatures than those its callees have
now (bytecode that outlived a change of another file) is refused.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any, Final

from klorpy.core.choreography import FORMAT, Choreography, Definition, Projection, Site
from klorpy.core.diagnostics import Diagnostic, KlorError, KlorWarning
from klorpy.core.spans import Source, Span
from klorpy.core.types import Signature, parse_signature
from klorpy.core.values import noop
from klorpy.runtime.agreement import no_match, verify
from klorpy.runtime.commands import (
    APPLY,
    AWAIT,
    CALL,
    CHECK,
    LEAVE,
    PAUSE,
    RECEIVE,
    ROUND,
    SEND,
    TAIL_APPLY,
    TAIL_CALL,
    Instance,
)
from klorpy.runtime.scopes import enter, noted

_KIT: Final = (
    SEND, RECEIVE, CALL, APPLY, AWAIT, CHECK, PAUSE, TAIL_CALL, TAIL_APPLY, ROUND, LEAVE, Instance, noop, verify, no_match, enter,
)  # fmt: skip


def declare(
    name: str, namespace: dict[str, Any], scope: dict[str, Any], python_name: str, signature: str
) -> Choreography:
    """The choreography of a declaration; the one that is bound already when the name has one."""
    type_ = parse_signature(signature)
    choreography = _bound(name, scope, python_name, type_, str(namespace.get("__name__", "__main__")))
    if choreography.definition is None:
        choreography.signature = type_
    return choreography


def define(
    name: str,
    namespace: dict[str, Any],
    scope: dict[str, Any],
    python_name: str,
    signature: str,
    *,
    format: int,
    source: str,
    span: tuple[int, int, int, int],
    sites: tuple[tuple[Any, ...], ...],
    callees: tuple[tuple[Callable[[], Any], str], ...],
    options: dict[str, Any],
    doc: str | None,
    conforms: Callable[[Definition], None] | None = None,
    update: Callable[[], Any] | None = None,
) -> Callable[[Callable[..., tuple[Projection, ...]]], Choreography]:
    """A decorator that makes a builder, which the compiler emitted, into a choreography.

    `namespace` is that of the module; in `scope`, the locals where the definition stands, `python_name` is bound to
    what is defined anew. The decorator raises KlorError `stale-bytecode`, and what `conforms` raises of the definition; then
    the name keeps what it was bound to. What `update` gives is a choreography, perhaps one of another module, and has
    this very signature; else the decorator raises `bad-update`.
    """

    def decorator(build: Callable[..., tuple[Projection, ...]]) -> Choreography:
        made = _definition(name, signature, format, build, source, Span(*span), sites, callees, options, namespace, doc)
        if conforms is not None:
            conforms(made)
        if update is not None:
            return _take(_updated(made, update), made)
        return _take(_bound(name, scope, python_name, made.signature, str(namespace.get("__name__", "__main__"))), made)

    return decorator


def _definition(
    name: str, signature: str, format: int, build: Callable[..., tuple[Projection, ...]], source: str, span: Span,
    sites: tuple[tuple[Any, ...], ...], callees: tuple[tuple[Callable[[], Any], str], ...], options: dict[str, Any],
    namespace: dict[str, Any], doc: str | None,
) -> Definition:  # fmt: skip
    if format != FORMAT:
        raise _stale_bytecode(name, "another version of klorpy", build.__code__.co_filename)
    filename = build.__code__.co_filename
    whole = placed(filename, source, span)
    made = tuple(
        Site(
            index, kind, Span(*place), text, whole,
            parse_signature(callee) if callee is not None else None, places,
        )
        for index, (kind, place, text, callee, places) in enumerate(sites)
    )  # fmt: skip
    links = tuple((find, parse_signature(text)) for find, text in callees)

    def projections(audit: bool, keyed: bool) -> tuple[Projection, ...]:
        return build(audit, keyed, made, *_KIT)

    definition = Definition(
        name, parse_signature(signature), Source(filename, source), span, made, projections, build.__code__, links,
        options, namespace, doc, dict(zip(build.__code__.co_freevars, build.__closure__ or (), strict=True)),
    )  # fmt: skip
    _check_callees(definition, namespace)
    return definition


def placed(filename: str, source: str, span: Span) -> Source:
    """As much of the file as is known, so that positions fit."""
    return Source(filename, "\n" * (span.line - 1) + " " * (span.column - 1) + source)


def _updated(definition: Definition, find: Callable[[], Any]) -> Choreography:
    """What a definition is an update of."""
    name, type_ = definition.name, definition.signature
    try:
        found = find()
    except NameError:
        found = None
    if not isinstance(found, Choreography) or found.definition is None:
        why = f"{name} is not defined, so there is nothing to update"
        raise _bad_update(definition, why, f"define it first, with (defchor {name} …)")
    if found.signature != type_:
        why = f"{name} is {found.signature}, and the update is for {type_}"
        raise _bad_update(definition, why, "write the update for the definition that is there; with another type, use defchor")
    return found


def _bad_update(definition: Definition, message: str, help: str) -> KlorError:
    source = placed(definition.source.filename, definition.source.text, definition.span)
    return KlorError(Diagnostic("bad-update", message, definition.span, help=help, source=source))


def _take(choreography: Choreography, definition: Definition) -> Choreography:
    """Let a choreography have a new definition."""
    type_ = definition.signature
    # A declaration counts too: callers were compiled against it.
    old = choreography.signature
    if choreography.definition is not None:
        # Others may still be told to run the old one.
        noted(choreography)
        for callee in choreography.definition.called():
            callee.callers.discard(choreography)
    choreography.definition = definition
    choreography.signature = type_
    choreography.__doc__ = definition.doc
    for callee in definition.called():
        if callee is not choreography:
            callee.callers.add(choreography)
    if not old.equivalent(type_):
        _warn_changed(choreography, old)
    return choreography


def _bound(
    name: str, scope: dict[str, Any], python_name: str, signature: Signature, module: str
) -> Choreography:
    found = scope.get(python_name)
    # One that was imported stays what it is; the name gets a choreography of this module.
    if isinstance(found, Choreography) and found.name == name and found.module == module:
        return found
    return Choreography(name, module, signature)


def _check_callees(definition: Definition, namespace: dict[str, Any]) -> None:
    module = namespace.get("__name__", "__main__")
    for find, expected in definition.callees:
        try:
            found = find()
        except (NameError, AttributeError):  # bound later, in a function or by host code
            continue
        itself = isinstance(found, Choreography) and (found.name, found.module) == (definition.name, module)
        if isinstance(found, Choreography) and not itself and not found.signature.equivalent(expected):
            raise _stale_bytecode(
                definition.name, f"{found.name} as {expected}, which is now {found.signature}", definition.source.filename
            )


def _stale_bytecode(name: str, against: str, filename: str) -> KlorError:
    return KlorError(
        f"{name} was compiled against {against}",
        slug="stale-bytecode",
        help=f"compile it again: touch {filename}, or remove its file in __pycache__",
    )


def _warn_changed(choreography: Choreography, old: Signature) -> None:
    callers = sorted(caller.name for caller in choreography.callers)
    advice = f";\nrecompile the choreographies that call it: {', '.join(callers)}" if callers else ""
    message = (
        f"Signature of {choreography.name} changed:\n  was {old},\n  is  {choreography.signature}{advice}"
    )
    definition = choreography.definition
    assert definition is not None
    warnings.warn_explicit(
        KlorWarning(message, "signature-changed"),
        None,
        definition.source.filename,
        definition.span.line,
        module=choreography.module,
        registry=sys.modules[__name__].__dict__.setdefault("__warningregistry__", {}),
    )
