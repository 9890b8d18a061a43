"""Copying what goes from one role to another in one process, with an error that says where it cannot be done.

More can be copied than can be sent to another process: objects of any class that `copy.deepcopy` knows, functions and
modules (which are shared), values that contain themselves. What `klorpy.runtime.wire` takes is a part of it, and arrives
as the same value here as there, but for one thing: what is shared inside of one value stays shared in a copy, and is
copied for each place that it has on the wire.
"""

from __future__ import annotations

from typing import Any

from klorpy.core.choreography import Site
from klorpy.core.diagnostics import KlorError
from klorpy.core.values import NotCopyable, isolate


def copied(value: Any, site: Site) -> Any:
    """A copy of `value`, sent at `site`. Raises KlorError `not-copyable`."""
    try:
        return isolate(value)
    except NotCopyable as error:
        raise not_copyable(error, site) from None


def not_copyable(error: NotCopyable, site: Site) -> KlorError:
    return KlorError(
        site.diagnostic(
            "not-copyable",
            f"{site.text} sends a {error.args[0]}, which cannot be copied to another role",
            "send data: numbers, text, lists, dicts, or objects that copy.deepcopy can copy",
        )
    )
