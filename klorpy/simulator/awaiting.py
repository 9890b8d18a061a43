"""Host code that awaits, in a simulation out of order: run on an event loop in a thread of its own."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Final

import anyio
import anyio.lowlevel

from klorpy.core.choreography import Site
from klorpy.core.diagnostics import KlorError
from klorpy.core.types import Role
from klorpy.simulator.output import Capture, awaiting

#: Rounds of the event loop that host code has to come to an end before the order of requests no longer counts.
_ROUNDS: Final = 10


async def settle_loop() -> None:
    """Let what need not wait for the world come to its end, so that its order does not depend on the threads."""
    for _ in range(_ROUNDS):
        await anyio.lowlevel.checkpoint()


async def host_code(awaitable: Any, site: Site, capture: Capture, role: Role) -> tuple[Any, BaseException | None]:
    """The result of host code, or what it raised: an exception that reached the loop would end all that runs there."""
    awaiting.set((capture, role))
    if not isinstance(awaitable, Awaitable):
        return None, KlorError(
            site.diagnostic(
                "cannot-await",
                f"{site.text} awaits a {type(awaitable).__name__}, which cannot be awaited",
                help="await what a coroutine function returns",
            )
        )
    try:
        return await awaitable, None
    except anyio.get_cancelled_exc_class():
        raise
    except BaseException as error:
        return None, error
