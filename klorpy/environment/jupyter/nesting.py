"""Waiting for asynchronous code inside a loop that runs already, as a notebook's does.

klorpy itself does not need this: `simulate_chor` uses no loop, and `run_role` one in another thread. It is for the
user's own code that blocks, such as a library that calls `asyncio.run`. nest_asyncio2 does it, or nest_asyncio on a
Python before 3.14; both replace parts of asyncio for the whole process, which makes tasks slower, and two calls that
wait can only end in the reverse order. So nothing here happens unless it is asked for.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
import types
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


def enable_nesting() -> bool:
    """Let `asyncio.run` and `loop.run_until_complete` be called inside the loop that runs in this thread.

    Gives True when asyncio was patched now, False when it was already, by whomever: it is never patched twice. Raises
    RuntimeError where it cannot work: no loop runs here, trio runs here, or the loop is not asyncio's own (uvloop).
    `anyio.run` stays impossible inside a loop; use `run_nested`.
    """
    loop = _running_loop()
    if not isinstance(loop, asyncio.BaseEventLoop):
        raise RuntimeError(
            f"the loop that runs here is {type(loop).__module__}'s, and only asyncio's own can be nested; "
            "start without it, or wait in another thread: anyio.from_thread.start_blocking_portal()"
        )
    if is_nested(loop):
        return False
    _nest_asyncio().apply(loop)
    return True


def run_nested(awaitable: Awaitable[T]) -> T:
    """Wait for `awaitable` on the loop that runs in this thread, after `enable_nesting`. Raises what it raises."""
    try:
        loop = _running_loop()
        if not is_nested(loop):
            raise RuntimeError("loops are not nested: call klorpy.environment.jupyter.enable_nesting() first")
    except RuntimeError:
        if asyncio.iscoroutine(awaitable):
            awaitable.close()
        raise

    async def awaited() -> T:
        return await awaitable

    return loop.run_until_complete(awaited())


def is_nested(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether asyncio and this loop are patched already."""
    return hasattr(asyncio, "_nest_patched") and hasattr(loop, "_nest_patched")


def _running_loop() -> asyncio.AbstractEventLoop:
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():
        raise RuntimeError("trio runs here, and only asyncio's own loop can be nested; use `await` instead")
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError("no loop runs here, so there is nothing to nest: call asyncio.run or anyio.run") from None


def _nest_asyncio() -> types.ModuleType:
    # The original is archived and breaks anyio on 3.14: tasks have no current task there.
    usable = ("nest_asyncio2",) if sys.version_info >= (3, 14) else ("nest_asyncio2", "nest_asyncio")
    for name in usable:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError:
            continue
    raise RuntimeError(f"nesting needs {usable[0]}: pip install {usable[0]}")
