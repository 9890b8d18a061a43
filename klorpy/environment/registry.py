"""What is defined in a session, who calls whom, and what is stale.

A choreography is *stale* when one that it calls no longer has the signature that the call was compiled against. Its
old definition stays, and fails when it reaches the call (`stale-dependent`); evaluating its text again makes it fit, or
says why it does not.
"""

from __future__ import annotations

import importlib
import linecache
import sys
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary

from klorpy.core.choreography import Choreography, Definition
from klorpy.core.diagnostics import Diagnostic, KlorError, KlorWarning
from klorpy.core.spans import Source
from klorpy.core.types import Signature
from klorpy.language.compiler import again
from klorpy.language.evaluate import evaluate_form
from klorpy.language.hy_adapter import mangle, new_reader, read_forms
from klorpy.language.options import using

#: Definitions with more places than this are compared when that is asked for.
MAX_SITES: Final = 60

_LAST: Final = frozenset(mangle(name) for name in ("*1", "*2", "*3", "*e"))


class Note(KlorWarning):
    """A warning of klorpy with its place."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message, diagnostic.slug)
        self.diagnostic = diagnostic


@dataclass(frozen=True)
class Changes:
    """What changed since the registry looked last: the names of what was defined, and what that made stale."""

    defined: tuple[str, ...] = ()
    warnings: tuple[Note, ...] = ()
    #: Which roles new definitions let be updated alone, in sentences.
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class StaleCall:
    """A call in `caller` that was compiled against `expected`, which `callee` no longer has."""

    caller: Choreography
    callee: Choreography
    expected: Signature

    def __str__(self) -> str:
        return f"{self.caller.name} ({place(self.caller)})"


@dataclass(frozen=True)
class Recompiled:
    """What became of one choreography that was evaluated again."""

    choreography: Choreography
    #: The signatures before and after.
    was: Signature
    now: Signature
    error: BaseException | None = None


class Registry:
    """The choreographies that a namespace leads to, as they were when it was looked at last."""

    def __init__(self, module: types.ModuleType) -> None:
        self._module = module
        self._known: WeakKeyDictionary[Choreography, tuple[Definition | None, Signature]] = WeakKeyDictionary()
        #: What was defined before the definition that is there now.
        self.previous: WeakKeyDictionary[Choreography, Definition] = WeakKeyDictionary()
        #: Whether to tell which roles a new definition lets be updated alone.
        self.tells = True
        self.refresh()

    # --- Looking ---

    def refresh(self) -> Changes:
        """Look at the namespace again, and give what changed since."""
        defined: list[str] = []
        changed: list[tuple[Choreography, Signature]] = []
        notes: list[str] = []
        for choreography in self.all():
            now = (choreography.definition, choreography.signature)
            before = self._known.get(choreography)
            self._known[choreography] = now
            if before is None:
                if choreography.module == self._module.__name__:
                    defined.append(choreography.name)
            elif before[0] is not now[0]:
                defined.append(choreography.name)
                if before[0] is not None:
                    self.previous[choreography] = before[0]
                    notes += self._told(choreography, before[0], now[0])
            if before is not None and not before[1].equivalent(now[1]):
                changed.append((choreography, before[1]))
        return Changes(tuple(defined), tuple(self._changed(*change) for change in changed), tuple(notes))

    def _told(self, choreography: Choreography, old: Definition, new: Definition | None) -> list[str]:
        """What there is to say of a new definition whose roles communicate differently."""
        if not self.tells or new is None or not old.signature.equivalent(new.signature):
            return []
        if _communication(old) == _communication(new) or len(new.sites) > MAX_SITES:
            return []
        # The theory of contracts is for those whose definitions change.
        compare = importlib.import_module("klorpy.behaviour.extraction").compare
        found = compare(old, new)
        if found.verdict == "same" or found.reason:
            return []
        if _is_entered(choreography):
            taken = "its scopes change all roles at once, at the next entry"
            return [f"{new.name} communicates differently: {taken} (,update {new.name} says who could change alone)"]
        return [f"{new.name} communicates differently: {found.summary} (,update {new.name} says why)"]

    def all(self) -> list[Choreography]:
        """Every choreography that is known: those of the namespace and of the modules it imported, and all that
        these call or are called by."""
        found: dict[Choreography, None] = {}
        # The last values may be choreographies that no name means any more.
        todo: list[object] = [value for name, value in vars(self._module).items() if name not in _LAST]
        modules = {id(self._module)}
        while todo:
            value = todo.pop(0)
            if isinstance(value, Choreography):
                found[value] = None
            elif isinstance(value, types.ModuleType) and id(value) not in modules and is_hy(value):
                modules.add(id(value))
                todo += vars(value).values()
        pending = list(found)
        while pending:
            current = pending.pop()
            for other in (*callees(current), *current.callers):
                if other not in found:
                    found[other] = None
                    pending.append(other)
        return list(found)

    def find(self, name: str) -> object:
        """What `name` (perhaps dotted) is bound to in the namespace. Raises KeyError."""
        first, *rest = name.split(".")
        try:
            value: object = vars(self._module)[mangle(first)]
            for part in rest:
                value = getattr(value, mangle(part))
        except (KeyError, AttributeError):
            raise KeyError(name) from None
        return value

    def callers(self, choreography: Choreography) -> list[Choreography]:
        """The choreographies whose current definition calls this one, but for itself."""
        return [other for other in self.all() if other is not choreography and choreography in callees(other)]

    # --- Staleness ---

    def stale(self) -> list[StaleCall]:
        """Every call that no longer fits, once for each pair of caller and callee."""
        return [call for choreography in self.all() for call in stale_calls(choreography)]

    def _changed(self, choreography: Choreography, was: Signature) -> Note:
        dependents = [call for call in self.stale() if call.callee is choreography]
        return Note(
            Diagnostic(
                "signature-changed",
                f"Signature of {choreography.name} changed:\n  was {was},\n  is  {choreography.signature}",
                notes=tuple(f"{call} is stale: it was compiled against the old one" for call in dependents),
                help="type ,recompile, or evaluate what is stale again" if dependents else "",
            )
        )

    def in_order(self, choreographies: Iterable[Choreography]) -> list[Choreography]:
        """The choreographies, callees before their callers."""
        chosen = list(choreographies)
        order: list[Choreography] = []
        seen: set[Choreography] = set()
        todo = [(chor, False) for chor in reversed(chosen)]
        while todo:
            current, left = todo.pop()
            if left:
                order.append(current)
            elif current not in seen:
                seen.add(current)
                todo.append((current, True))
                todo += [(callee, False) for callee in callees(current)]
        wanted = set(chosen)
        return [choreography for choreography in order if choreography in wanted]

    def recompile(self, choreographies: Iterable[Choreography] = ()) -> Iterator[Recompiled]:
        """Evaluate the text of `choreographies` again, callees first, and then that of all that is stale.

        Each is tried once. What does not compile keeps its definition.
        """
        chosen = list(choreographies)
        tried: set[Choreography] = set()
        while True:
            stale = [call.caller for call in self.stale()]
            todo = [c for c in self.in_order(dict.fromkeys(map(_written, (*chosen, *stale)))) if c not in tried]
            if not todo:
                return
            tried.add(todo[0])
            yield self._evaluate_again(todo[0])

    def _evaluate_again(self, choreography: Choreography) -> Recompiled:
        was = choreography.signature
        try:
            definition = choreography.defined()
            namespace = definition.namespace
            if namespace.get(mangle(choreography.name)) is not choreography:
                raise KlorError(
                    f"{choreography.name} is not defined at the top of its module",
                    slug="not-defined",
                    help=f"evaluate what defines it again ({place(choreography)})",
                )
            source, text = placed(definition)
            module = self._module if vars(self._module) is namespace else _module_of(namespace)
            reader = new_reader(module)
            with using(definition.options), using({"verify": {"signature": True}}), again(definition):
                for form in read_forms(text, source.filename, reader):
                    evaluate_form(form, module, source, reader)
        except Exception as error:
            return Recompiled(choreography, was, choreography.signature, error)
        return Recompiled(choreography, was, choreography.signature)


def _is_entered(choreography: Choreography) -> bool:
    """Whether it is called, and only by scopes."""
    callers = [caller.definition for caller in choreography.callers if caller.definition is not None]
    return bool(callers) and not any(choreography in set(caller.called(scopes=False)) for caller in callers)


def _written(choreography: Choreography) -> Choreography:
    """The choreography with whose text another is evaluated: for a scope that nobody updated, what it stands in."""
    definition = choreography.definition
    if definition is None or definition.inline is None or not definition.source.text.startswith("(scope"):
        return choreography
    owner = definition.namespace.get(mangle(definition.inline.owner))
    return owner if isinstance(owner, Choreography) else choreography


def callees(choreography: Choreography) -> list[Choreography]:
    """The choreographies that the current definition calls."""
    return list(choreography.definition.called()) if choreography.definition else []


def _communication(definition: Definition) -> list[tuple[str, str]]:
    """The places of a definition where roles meet, as they are written."""
    return [(site.kind, site.text) for site in definition.sites if site.kind not in ("value", "parameter")]


def stale_calls(choreography: Choreography) -> Iterator[StaleCall]:
    """The calls of the current definition that no longer fit."""
    definition = choreography.definition
    if definition is None:
        return
    for callee, expected in definition.linked():
        if not callee.signature.equivalent(expected):
            yield StaleCall(choreography, callee, expected)


def place(choreography: Choreography) -> str:
    """Where a choreography is defined: `file:line:column`."""
    definition = choreography.definition
    return f"{definition.source.filename}:{definition.span}" if definition else f"declared in {choreography.module}"


def is_hy(module: types.ModuleType) -> bool:
    """Whether a module was loaded from a file of Hy, and is not Hy's or klorpy's own."""
    file = getattr(module, "__file__", None)
    name = str(getattr(module, "__name__", ""))
    own = name.split(".")[0] in ("hy", "hyrule") or name.startswith("klorpy.stdlib")
    return isinstance(file, str) and file.endswith(".hy") and not own


def placed(definition: Definition) -> tuple[Source, str]:
    """The file of a definition, as far as it is known, and the definition alone at its place in it."""
    span, filename = definition.span, definition.source.filename
    alone = "\n" * (span.line - 1) + " " * (span.column - 1) + definition.source.text
    whole = Source(filename, "".join(linecache.getlines(filename)))
    known = whole.slice(span) == definition.source.text
    return (whole if known else Source(filename, alone)), alone


def _module_of(namespace: object) -> types.ModuleType:
    """The module whose namespace this is."""
    assert isinstance(namespace, dict)
    module = sys.modules.get(str(namespace.get("__name__")))
    if module is not None and vars(module) is namespace:
        return module
    return _Stand(namespace)


class _Stand(types.ModuleType):
    """A module over a namespace whose own module cannot be found: a session's, or one that `klorpy.load` made."""

    def __init__(self, namespace: dict[str, object]) -> None:
        super().__init__(str(namespace.get("__name__", "klorpy_text")))
        self._namespace: dict[str, object]
        object.__setattr__(self, "_namespace", namespace)

    @property
    def __dict__(self) -> dict[str, object]:  # type: ignore[override]
        return self._namespace

    def __getattr__(self, name: str) -> Any:
        try:
            return self._namespace[name]
        except KeyError:
            raise AttributeError(name) from None
