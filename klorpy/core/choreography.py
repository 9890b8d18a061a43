"""Choreographies as values of Python: the name that stays, and the definitions that it has had.

A `Choreography` is what `defchor` binds. It is found by name when a call site runs and keeps its identity when
it is defined anew, so that everybody who holds it sees the new definition at the next run. A `Definition` is
one version; a run pins the definitions that it can reach when it starts (`reachable`) and keeps them to its end.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, TypeAlias
from weakref import WeakSet

from klorpy.core.diagnostics import Diagnostic, KlorError
from klorpy.core.spans import Source, Span
from klorpy.core.types import Role, Signature

#: What compiled choreographies look like; raised with every change, so that older bytecode is refused.
FORMAT: Final = 5

#: One role's program: called with the names that play the role vector and the arguments that mention the role,
#: it gives a generator of commands (see `klorpy.runtime.commands`).
Projection: TypeAlias = Callable[..., Any]


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """A numbered place of a definition where roles meet: a message, a call, a check.

    Sites are numbered before projection, so that all roles know a site by the same object; a received message
    is compared with the site that waits for it. `text` is the form, `callee` the signature that a call was
    compiled against.
    """

    index: int
    kind: str
    span: Span
    text: str
    source: Source
    callee: Signature | None = None
    #: For an agreement: its roles, as places of the role vector.
    places: tuple[int, ...] = ()

    def actual_roles(self, cast: tuple[Role, ...]) -> tuple[Role, ...]:
        """Who holds the agreement when `cast` plays the role vector."""
        return tuple(cast[place] for place in self.places)

    @property
    def filename(self) -> str:
        return self.source.filename

    def diagnostic(self, slug: str, message: str, help: str = "", notes: tuple[str, ...] = ()) -> Diagnostic:
        """What is wrong at this site."""
        return Diagnostic(slug, message, self.span, notes=notes, help=help, source=self.source)

    def __str__(self) -> str:
        text = self.text if len(self.text) <= 80 else self.text[:79] + "…"
        return f"{text} ({self.filename}:{self.span})"


@dataclass(frozen=True, slots=True)
class Inline:
    """Where a choreography stands that is a scope inside of another definition, `owner`, or an update of one.

    `roles` are those of the owner, `params` the locals around the scope, which are its parameters.
    """

    owner: str
    roles: tuple[Role, ...]
    params: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Definition:
    """One version of a choreography.

    `build` makes the projections, in the order of the role vector, with or without the checks of agreement
    that the simulator's `sanitize` asks for. `callees` gives each choreography that the body names, with the
    signature that the text was compiled against, and whether only scopes call it; a name is looked up when it is asked for,
    since it may be bound later.
    """

    name: str
    signature: Signature
    source: Source
    span: Span
    sites: tuple[Site, ...]
    build: Callable[[bool], tuple[Projection, ...]]
    #: The code of the builder; all code that was generated for the definition is among its constants.
    code: types.CodeType = field(repr=False)
    callees: tuple[tuple[Callable[[], Any], Signature, bool], ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    #: The namespace of the module that contains the definition.
    namespace: Mapping[str, Any] = field(default_factory=dict, repr=False)
    doc: str | None = None
    #: Where the definition stands in a function: the variables of that function that it names.
    cells: Mapping[str, Any] = field(default_factory=dict, repr=False)
    inline: Inline | None = None

    @property
    def roles(self) -> tuple[Role, ...]:
        return self.signature.roles

    @cached_property
    def carrier(self) -> Site:
        """The site under which messages travel that have a key of their own; no program has a message there."""
        text = f"a message of {self.name} with its key"
        return Site(len(self.sites), "carrier", self.span, text, self.source)

    @cached_property
    def projections(self) -> tuple[Projection, ...]:
        return self.build(False)

    @cached_property
    def audited(self) -> tuple[Projection, ...]:
        return self.build(True)

    def called(self, scopes: bool = True) -> Iterator[Choreography]:
        """The choreographies that this definition names, as far as their names are bound; without `scopes`, but for those
        that only scopes call."""
        for found, _ in self.linked(scopes):
            yield found

    def linked(self, scopes: bool = True) -> Iterator[tuple[Choreography, Signature]]:
        """As `called`, each with the signature that this text was compiled against."""
        for find, expected, scoped in self.callees:
            if scoped and not scopes:
                continue
            try:
                found = find()
            except (NameError, AttributeError):  # not bound yet: a forward reference
                continue
            if isinstance(found, Choreography):
                yield found, expected


class Choreography:
    """What `defchor` binds to a name: a signature and, once it is defined, a program for each role."""

    __slots__ = ("__dict__", "__weakref__", "callers", "definition", "module", "name", "signature", "versions")

    def __init__(self, name: str, module: str, signature: Signature) -> None:
        self.name = name
        self.module = module
        self.signature = signature
        self.definition: Definition | None = None
        #: Choreographies whose current definition names this one.
        self.callers: WeakSet[Choreography] = WeakSet()
        #: The versions that scopes have entered, by their keys (see `klorpy.runtime.scopes`).
        self.versions: dict[str, Any] = {}

    @property
    def __name__(self) -> str:
        return self.name

    @property
    def roles(self) -> tuple[Role, ...]:
        return self.signature.roles

    def defined(self) -> Definition:
        """The current definition. Raises KlorError `not-defined` when there is only a declaration."""
        if self.definition is None:
            raise KlorError(
                f"{self.name} is declared, but was never defined",
                slug="not-defined",
                help=f"evaluate (defchor {self.name} [{' '.join(self.roles)}] … [params] body)",
            )
        return self.definition

    def __repr__(self) -> str:
        return f"<choreography {self.name} {self.signature}>"

    def __call__(self, *args: object, **kwargs: object) -> Any:
        roles = " ".join(self.roles)
        raise KlorError(
            f"{self.name} is a choreography and cannot be called like a function",
            slug="not-callable",
            help=f"run all roles with (simulate-chor {self.name} …) or one with (play-role config {self.name} …); "
            f"inside another choreography call it with its roles, ({self.name} [{roles}] …)",
        )


def disputed(pinned: Mapping[Choreography, Definition]) -> frozenset[Choreography]:
    """The choreographies of a run whose signature is another than one of its callers was compiled against."""
    found = set()
    for definition in pinned.values():
        for callee, expected in definition.linked():
            current = pinned.get(callee)
            if current is not None and not current.signature.equivalent(expected):
                found.add(callee)
    return frozenset(found)


def reachable(chor: Choreography, scopes: bool = True) -> dict[Choreography, Definition]:
    """The definitions that a run of `chor` can call, as they are now; without `scopes`, those that it is bound to."""
    found: dict[Choreography, Definition] = {}
    todo = [chor]
    while todo:
        current = todo.pop()
        if current in found or current.definition is None:
            continue
        found[current] = current.definition
        todo.extend(current.definition.called(scopes))
    return found
