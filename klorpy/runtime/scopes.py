"""Scopes: calls whose callee may be replaced while a run is under way.

    scope ⊢ leader picks a version, tells the others, and all run that version

A run pins the definitions that it can reach; a scope is the one exception. When a scope is entered, its leader, the first role
of the callee, takes the newest definition and sends its key to the other roles that take part, an ordinary message to each.
What has begun is never changed: the body runs with the definitions that could be reached when the leader picked it. With a
*barrier*, every other role tells the leader when it is done, before the leader goes on.

A *version* is a definition with all that it is bound to, and its key a digest of their texts: the same text has the same key
in every process. What scopes in it call is no part of it, since that is agreed on when these are entered. Code is never sent.
A role that does not have the version that it is told of raises `update-missing`.

Source: Dalla Preda, Gabbrielli, Giallorenzo, Lanese, Mauro, "Dynamic choreographies" (2017), for scopes with a leader.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from klorpy.core.choreography import Choreography, Definition, Site, reachable
from klorpy.core.diagnostics import KlorError
from klorpy.core.types import Role
from klorpy.runtime.commands import (
    APPLY,
    CALL,
    RECEIVE,
    SEND,
    TAIL_APPLY,
    TAIL_CALL,
    Command,
    Instance,
    Program,
)
from klorpy.runtime.digest import digest

#: What is said at a barrier.
DONE: Final = "done"

#: Versions that are kept: others may be told of an older one while a newer one is there.
_KEPT: Final = 16


@dataclass(frozen=True, slots=True)
class Version:
    """A definition, and what it reached when it was entered, but for what scopes in it reach: those are entered anew."""

    key: str
    definitions: Mapping[Choreography, Definition]

    def run(self, choreography: Choreography, index: int, audit: bool) -> Bound:
        """The program of role number `index`."""
        definition = self.definitions[choreography]
        projections = definition.audited if audit else definition.projections
        return Bound(self, definition.name, projections[index], audit)


@dataclass(frozen=True, slots=True)
class Bound:
    """A program that runs within a version."""

    version: Version
    name: str
    start: Callable[..., Program]
    audit: bool

    @property
    def __name__(self) -> str:
        return self.name

    def __call__(self, *args: Any) -> Program:
        return _within(self.version, self.start(*args), self.audit)


def enter(
    me: Role, everyone: tuple[Role, ...], choreography: Choreography, index: int, args: tuple[Any, ...], audit: bool, barrier: bool,
    site: Site,
) -> Program:  # fmt: skip
    """A scope at role `me`; the first of `everyone` is the leader. With `barrier`, the others tell it when they are done."""
    if not isinstance(choreography, Choreography):
        raise not_a_choreography(site)  # host code has bound the name anew
    leader, *others = everyone
    if me == leader:
        version = newest(choreography, site)
        for role in others:
            yield (SEND, role, version.key, site)
    else:
        key = yield (RECEIVE, leader, site)
        version = known(choreography, key, leader, site)
    if not barrier:
        yield (TAIL_APPLY, version.run(choreography, index, audit), args, site)
    result = yield (APPLY, version.run(choreography, index, audit), args, site)
    if me != leader:
        yield (SEND, leader, DONE, site)
    else:
        for role in others:
            yield (RECEIVE, role, site)
    return result


def not_a_choreography(site: Site) -> KlorError:
    return KlorError(site.diagnostic(
        "not-a-chor", f"{site.text}: the name no longer means a choreography",
        "define the choreography again, or recompile what calls it",
    ))  # fmt: skip


def texts(pinned: Mapping[Choreography, Definition]) -> Iterator[Definition]:
    """The definitions that a run began with, and what its scopes have run since."""
    yield from pinned.values()
    for choreography in pinned:
        for version in choreography.versions.values():
            yield from version.definitions.values()


def newest(choreography: Choreography, site: Site) -> Version:
    """The version of a choreography as it is now, if it fits the call; else the last one that does.

    Raises KlorError `stale-dependent` when none does, `not-defined` when there is no definition.
    """
    version = noted(choreography)
    fitting: list[Version] = [v for v in (version, *reversed(choreography.versions.values())) if _fits(v, choreography, site)]
    if not fitting:
        raise KlorError(site.diagnostic(
            "stale-dependent", f"{choreography.name} is {choreography.signature}, and {site.text} was compiled against {site.callee}",
            "evaluate the definition that contains the scope again",
        ))  # fmt: skip
    return fitting[0]


def noted(choreography: Choreography) -> Version:
    """The version that is there now, which is kept."""
    choreography.defined()
    definitions = reachable(choreography, scopes=False)
    versions: dict[str, Version] = choreography.versions
    for known_ in reversed(versions.values()):
        if known_.definitions == definitions:
            return known_
    key = _key(definitions)
    if key in versions:
        return versions[key]  # the same text was evaluated again
    version = Version(key, definitions)
    versions[key] = version
    while len(versions) > _KEPT:
        del versions[next(iter(versions))]
    return version


def known(choreography: Choreography, key: Any, leader: Role, site: Site) -> Version:
    """The version that the leader has picked. Raises KlorError `update-missing` when it is not here."""
    if choreography.definition is not None:
        noted(choreography)
    version: Version | None = choreography.versions.get(key) if isinstance(key, str) else None
    if version is None or not _fits(version, choreography, site):
        raise KlorError(site.diagnostic(
            "update-missing", f"{leader} runs a version of {choreography.name} that is not here",
            f"load the new text of {choreography.name} in every process before the leader has it",
        ))  # fmt: skip
    return version


def _fits(version: Version, choreography: Choreography, site: Site) -> bool:
    return site.callee is None or site.callee.equivalent(version.definitions[choreography].signature)


def _key(definitions: Mapping[Choreography, Definition]) -> str:
    made = hashlib.blake2b(digest_size=8)
    for name, text in sorted((d.name, digest(d)) for d in definitions.values()):
        made.update(name.encode("utf-8", "surrogatepass") + b"\0" + text)
    return made.hexdigest()


# --- Within a version -------------------------------------------------------------------------------------------------


def _within(version: Version, program: Program, audit: bool) -> Program:
    """`program`, its calls being those of the version and not those of the run."""
    resume: Callable[[Any], Command] = program.send
    value: Any = None
    try:
        while True:
            try:
                command = resume(value)
            except StopIteration as stop:
                return stop.value
            try:
                value = yield _translated(version, command, audit)
                resume = program.send
            except GeneratorExit:
                raise
            except BaseException as error:
                value, resume = error, program.throw
    finally:
        program.close()


def _translated(version: Version, command: Command, audit: bool) -> Command:
    word = command[0]
    if word in (CALL, TAIL_CALL):
        _, choreography, index, args, site = command
        definition = version.definitions.get(choreography)
        if definition is None or not (site.callee is None or site.callee.equivalent(definition.signature)):
            return command  # the interpreter knows what is wrong
        return (APPLY if word == CALL else TAIL_APPLY, version.run(choreography, index, audit), args, site)
    if word in (APPLY, TAIL_APPLY):
        _, callee, args, site = command
        if isinstance(callee, Instance):
            if callee.choreography not in version.definitions:
                return command
            bound = version.run(callee.choreography, callee.index, audit)
            return (word, bound, (callee.cast, *args), site)
        if not isinstance(callee, Bound) and callee is not enter:
            return (word, Bound(version, callee.__name__, callee, audit), args, site)
    return command
