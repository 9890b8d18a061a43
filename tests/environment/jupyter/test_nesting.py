"""Nesting of loops: where it works, and how it refuses elsewhere. Patching is for a whole process, so each has its own."""

from __future__ import annotations

import subprocess
import sys
import types

import pytest

from klorpy.environment.jupyter import enable_nesting, nesting, run_nested


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_inside_a_running_loop() -> None:
    out = run("""
import asyncio, anyio
from klorpy.environment.jupyter import enable_nesting, run_nested

async def value():
    await asyncio.sleep(0)
    async with anyio.create_task_group():
        return 42

async def main():
    try:
        run_nested(value())
    except RuntimeError as error:
        print(error)
    print(enable_nesting(), enable_nesting())
    print(run_nested(value()), asyncio.run(value()))
    task = asyncio.create_task(value())
    print(run_nested(task))

asyncio.run(main())
""")
    assert out.splitlines() == [
        "loops are not nested: call klorpy.environment.jupyter.enable_nesting() first", "True False", "42 42", "42",
    ]  # fmt: skip


def test_a_loop_that_somebody_else_patched_is_not_patched_again() -> None:
    out = run("""
import asyncio, nest_asyncio2
from klorpy.environment.jupyter import enable_nesting, nesting

async def main():
    nest_asyncio2.apply()
    nesting._nest_asyncio = lambda: 1 / 0
    print(enable_nesting())

asyncio.run(main())
""")
    assert out == "False\n"


def test_nothing_is_patched_before() -> None:
    out = run("import asyncio, klorpy.environment.jupyter; print(hasattr(asyncio, '_nest_patched'))")
    assert out == "False\n"


def test_no_loop() -> None:
    with pytest.raises(RuntimeError, match="no loop runs here"):
        enable_nesting()


def test_another_kind_of_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = type("Loop", (), {"__module__": "uvloop"})()
    monkeypatch.setattr(nesting.asyncio, "get_running_loop", lambda: loop)
    with pytest.raises(RuntimeError, match="the loop that runs here is uvloop's, and only asyncio's own can be nested"):
        enable_nesting()


def test_trio(monkeypatch: pytest.MonkeyPatch) -> None:
    trio = types.SimpleNamespace(lowlevel=types.SimpleNamespace(in_trio_run=lambda: True))
    monkeypatch.setitem(sys.modules, "trio", trio)
    with pytest.raises(RuntimeError, match="trio runs here"):
        enable_nesting()
    with pytest.raises(RuntimeError, match="trio runs here"):
        run_nested(_nothing())


async def _nothing() -> None: ...


def test_which_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """The maintained one when it is there; the archived one only where it works."""
    assert nesting._nest_asyncio().__name__ == "nest_asyncio2"
    monkeypatch.setitem(sys.modules, "nest_asyncio2", None)
    monkeypatch.setattr(nesting.sys, "version_info", (3, 13))
    assert nesting._nest_asyncio().__name__ == "nest_asyncio"
    monkeypatch.setattr(nesting.sys, "version_info", (3, 14))
    with pytest.raises(RuntimeError, match="nesting needs nest_asyncio2"):
        nesting._nest_asyncio()
