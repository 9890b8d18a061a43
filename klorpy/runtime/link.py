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
from dataclasses import replace
from typing import Any, Final

from klorpy.core.choreography import FORMAT, Choreography, Definition, Inline, Projection, Site
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
    PAUSE,
    RECEIVE,
    SEND,
    TAIL_APPLY,
    TAIL_CALL,
    Instance,
)
from klorpy.runtime.scopes import enter, noted

_KIT: Final = (
    SEND, RECEIVE, CALL, APPLY, AWAIT, CHECK, PAUSE, TAIL_CALL, TAIL_APPLY, Instance, noop, verify, no_match, enter,
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
    callees: tuple[tuple[Callable[[], Any], str, bool], ...],
    options: dict[str, Any],
    doc: str | None,
    conforms: Callable[[Definition], None] | None = None,
    update: Callable[[], Any] | None = None,
    inline: tuple[str, tuple[str, ...], tuple[str, ...]] | None = None,
    scopes: tuple[tuple[Choreography, Definition], ...] = (),
    keep: bool = False,
) -> Callable[[Callable[..., tuple[Projection, ...]]], Choreography]:
    """A decorator that makes a builder, which the compiler emitted, into a choreography.

    `namespace` is that of the module; in `scope`, the locals where the definition stands, `python_name` is bound to
    what is defined anew. The decorator raises KlorError `stale-bytecode`, and what `conforms` raises of the definition; then
    the name keeps what it was bound to. What `update` gives is a choreography, perhaps one of another module, and has
    this very signature; else the decorator raises `bad-update`. `scopes` are those inside of the definition with their
    bodies, which they get with it or not at all; to `keep` them is to let each have the body that it has, where that fits.
    """

    def decorator(build: Callable[..., tuple[Projection, ...]]) -> Choreography:
        before = [(choreography, choreography.definition, choreography.signature) for choreography, _ in scopes]
        try:
            together = {name, *(choreography.name for choreography, _ in scopes)}
            for choreography, body in scopes:
                _check_callees(body, namespace, together)
                if not (keep and _fits(choreography.definition, body)):
                    _take(choreography, body)
            made = _definition(
                name, signature, format, build, source, Span(*span), sites, callees, options, namespace, doc, inline
            )
            _check_callees(made, namespace, {name})
            if conforms is not None:
                conforms(made)
            if update is not None:
                found = _updated(made, update)
                assert found.definition is not None
                return _take(found, replace(made, inline=made.inline or found.definition.inline))
        except BaseException:
            for choreography, old, type_ in before:
                _hold(choreography, old, type_)
                if old is None:  # its name is free again
                    for key in [key for key, value in namespace.items() if value is choreography]:
                        del namespace[key]
            raise
        return _take(_bound(name, scope, python_name, made.signature, str(namespace.get("__name__", "__main__"))), made)

    return decorator


def _fits(present: Definition | None, body: Definition) -> bool:
    """Whether a scope may go on with what it has."""
    if present is None or present.signature != body.signature:
        return False
    return all(callee.signature.equivalent(expected) for callee, expected in present.linked())


def place(name: str, namespace: dict[str, Any], scope: dict[str, Any], python_name: str, signature: str) -> Choreography:
    """The choreography of a scope inside of a definition, which gets its body with that definition."""
    return _bound(name, scope, python_name, parse_signature(signature), str(namespace.get("__name__", "__main__")))


def draft(
    choreography: Choreography, build: Callable[..., tuple[Projection, ...]], namespace: dict[str, Any], signature: str, *,
    format: int, source: str, span: tuple[int, int, int, int], sites: tuple[tuple[Any, ...], ...],
    callees: tuple[tuple[Callable[[], Any], str, bool], ...], options: dict[str, Any], doc: str | None,
    inline: tuple[str, tuple[str, ...], tuple[str, ...]],
) -> tuple[Choreography, Definition]:  # fmt: skip
    """The body of a scope, for the definition around it."""
    return choreography, _definition(
        choreography.name, signature, format, build, source, Span(*span), sites, callees, options, namespace, doc, inline
    )


def _definition(
    name: str, signature: str, format: int, build: Callable[..., tuple[Projection, ...]], source: str, span: Span,
    sites: tuple[tuple[Any, ...], ...], callees: tuple[tuple[Callable[[], Any], str, bool], ...], options: dict[str, Any],
    namespace: dict[str, Any], doc: str | None, inline: tuple[str, tuple[str, ...], tuple[str, ...]] | None,
) -> Definition:  # fmt: skip
    if format != FORMAT:
        raise _stale_bytecode(name, "another version of klorpy", build.__code__.co_filename)
    filename = build.__code__.co_filename
    whole = Source(filename, source).at(span)
    made = tuple(
        Site(
            index, kind, Span(*place), text, whole,
            parse_signature(callee) if callee is not None else None, places,
        )
        for index, (kind, place, text, callee, places) in enumerate(sites)
    )  # fmt: skip
    links = tuple((find, parse_signature(text), scoped) for find, text, scoped in callees)

    def projections(audit: bool) -> tuple[Projection, ...]:
        return build(audit, made, *_KIT)

    return Definition(
        name, parse_signature(signature), Source(filename, source), span, made, projections, build.__code__, links,
        options, namespace, doc, dict(zip(build.__code__.co_freevars, build.__closure__ or (), strict=True)),
        None if inline is None else Inline(*inline),
    )  # fmt: skip


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
    source = definition.source.at(definition.span)
    return KlorError(Diagnostic("bad-update", message, definition.span, help=help, source=source))


def _take(choreography: Choreography, definition: Definition) -> Choreography:
    """Let a choreography have a new definition."""
    type_ = definition.signature
    # A declaration counts too: callers were compiled against it.
    old = choreography.signature
    if choreography.definition is not None:
        # Others may still be told to run the old one.
        noted(choreography)
    _hold(choreography, definition, type_)
    if not old.equivalent(type_):
        _warn_changed(choreography, old)
    return choreography


def _hold(choreography: Choreography, definition: Definition | None, signature: Signature) -> None:
    """Give a choreography a definition, and those that are called know by whom."""
    for callee in choreography.definition.called() if choreography.definition else ():
        callee.callers.discard(choreography)
    choreography.definition = definition
    choreography.signature = signature
    choreography.__doc__ = definition.doc if definition else None
    for callee in definition.called() if definition else ():
        if callee is not choreography:
            callee.callers.add(choreography)


def _bound(
    name: str, scope: dict[str, Any], python_name: str, signature: Signature, module: str
) -> Choreography:
    found = scope.get(python_name)
    # One that was imported stays what it is; the name gets a choreography of this module.
    if isinstance(found, Choreography) and found.name == name and found.module == module:
        return found
    return Choreography(name, module, signature)


def _check_callees(definition: Definition, namespace: dict[str, Any], together: set[str]) -> None:
    """Refuse a definition that was compiled against other signatures than there are; those of `together` are made with it."""
    module = namespace.get("__name__", "__main__")
    for found, expected in definition.linked():
        made_with = found.name in together and found.module == module
        if not made_with and not found.signature.equivalent(expected):
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
