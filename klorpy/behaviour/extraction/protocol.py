"""From choreographies to protocols.

    protocol_of(chor) = P         what a choreography communicates, as a global type with its roles

Values are abstracted: every message has the sort `any`. Where what follows depends on a value, or on a decision that
roles take from it, the message that announces it has a label for each outcome: the constants of a `case`, true and false
of an `if`, the words of the guard of any other. Choreographies that are called are looked into; those that are values, too,
if they are known.

A choreography has no protocol (`no-protocol`) when a decision is announced by no message, when its recursion leaves
work behind without end, or when it calls a choreography that only its user has.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias
from weakref import WeakKeyDictionary

from klorpy.behaviour.extraction.graph import Labelled, explore, labelled
from klorpy.behaviour.extraction.programs import head_of, itself, source_of
from klorpy.behaviour.extraction.states import Instance, Irregular
from klorpy.behaviour.globaltype import Protocol
from klorpy.behaviour.regular import type_of
from klorpy.core.choreography import Choreography, Definition, reachable
from klorpy.core.diagnostics import Diagnostic, KlorError
from klorpy.core.types import Arrow

#: What was found for a definition, with the definitions that it could reach.
_Entry: TypeAlias = "tuple[dict[Choreography, Definition], dict[bool, Labelled]]"
_found: WeakKeyDictionary[Definition, _Entry] = WeakKeyDictionary()


def protocol_of(chor: Choreography, *choreographies: Choreography) -> Protocol:
    """The protocol of a choreography, under its name and with its roles.

    `choreographies` are given for the parameters that are choreographies, in order; their roles are those of the
    parameter's type, in the order of the role vector. Raises KlorError `no-protocol`, and `not-defined` for a declaration.

    >>> import klorpy
    >>> ns = klorpy.evaluate("(defchor ask [A B] (-> A A) [x] (if (A=>B (A (> x 0))) (B->A (B 1)) (A 0)))")
    >>> print(protocol_of(ns.ask))
    ask[A, B] = A->B:{true: B->A:<any>; end, false: end}
    """
    return Protocol(chor.name, chor.roles, type_of(extracted(chor, *choreographies).tree))


def extracted(chor: Choreography, *choreographies: Choreography) -> Labelled:
    """The tree of a choreography with its places. Raises KlorError `no-protocol`."""
    return extracted_from(chor.defined(), choreographies)


def extracted_from(
    definition: Definition, choreographies: tuple[Choreography, ...] = (), *, every: bool = False
) -> Labelled:
    """As `extracted`, for one definition, which need not be the current one; with `every` label that could be told."""
    if choreographies:
        return _extracted(definition, choreographies, every)
    pinned = {chor: found for callee in definition.called() for chor, found in reachable(callee).items()}
    before = _found.get(definition)
    # What it calls may have been defined anew.
    known = before[1] if before is not None and before[0] == pinned else {}
    if every not in known:
        known[every] = _extracted(definition, (), every)
        _found[definition] = pinned, known
    return known[every]


def _extracted(definition: Definition, choreographies: tuple[Choreography, ...], every: bool) -> Labelled:
    chor = itself(definition)
    wanted = [i for i, param in enumerate(definition.signature.arrow.params) if isinstance(param, Arrow)]
    if len(choreographies) > len(wanted):
        raise KlorError(f"{chor.name} takes {len(wanted)} choreographies, and {len(choreographies)} are given",
                        slug="bad-argument", help="give one for each parameter that is a choreography")  # fmt: skip
    given = {place: _instance(chor, place, value) for place, value in zip(wanted, choreographies, strict=False)}
    try:
        return labelled(explore(chor, chor.roles, given), every=every)
    except Irregular as found:
        raise KlorError(_titled(found.diagnostic, definition)) from None


def _instance(chor: Choreography, place: int, value: Choreography) -> Instance:
    type_ = chor.signature.arrow.params[place]
    roles = tuple(role for role in chor.roles if role in type_.roles)
    if len(roles) != len(value.roles) or value.signature.instantiate(roles) != type_:
        raise KlorError(f"{value.name} does not have the type of parameter {place + 1} of {chor.name}", slug="chor-arg-type",
                        help=f"its type is {value.signature}")  # fmt: skip
    return Instance(value, roles)


def _titled(diagnostic: Diagnostic, definition: Definition) -> Diagnostic:
    """The diagnostic at the definition's head, if it has no place."""
    if diagnostic.span is not None:
        return diagnostic
    return replace(
        diagnostic, message=f"{definition.name}: {diagnostic.message}", span=head_of(definition), source=source_of(definition)
    )
