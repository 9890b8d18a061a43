"""What is defined in a session, who calls whom, and what is stale.

A choreography is *stale* when one that it calls no longer has the signature that the call was compiled against. Its
old definition stays, and fails when it reaches the call; evaluating its text again makes it fit, or says why it does
not.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from klorpy.core.choreography import Choreography, Definition
from klorpy.core.diagnostics import Diagnostic
from klorpy.core.types import Signature


@dataclass(frozen=True)
class Changes:
    """What changed since the registry looked last."""

    defined: tuple[str, ...] = ()
    warnings: tuple[Warning, ...] = ()


class Registry:
    def __init__(self, module: types.ModuleType) -> None:
        self._module = module
        self._known: WeakKeyDictionary[Choreography, tuple[Definition | None, Signature]] = WeakKeyDictionary()

    def refresh(self) -> Changes:
        """Look at the namespace, and give what changed."""
        defined = []
        for choreography in self._reachable():
            now = (choreography.definition, choreography.signature)
            before = self._known.get(choreography)
            if before is None or before[0] is not now[0]:
                defined.append(choreography.name)
            self._known[choreography] = now
        return Changes(tuple(defined))

    def _reachable(self) -> list[Choreography]:
        return [value for value in vars(self._module).values() if isinstance(value, Choreography)]
