"""Kernels to talk to, as a front end does."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import klorpy

KERNELSPEC = Path(klorpy.__file__).parent / "environment" / "jupyter" / "kernelspec"
PATIENCE = 30


@dataclass
class Ran:
    """What a front end got for a cell."""

    status: str
    value: dict[str, str] = field(default_factory=dict)
    displays: list[dict[str, str]] = field(default_factory=list)
    updates: list[dict[str, str]] = field(default_factory=list)
    stdout: str = ""
    stderr: str = ""
    error: str = ""
    kind: str = ""

    @property
    def text(self) -> str:
        return self.value.get("text/plain", "")


class Kernel:
    """A kernel and a client of it."""

    def __init__(self, manager: Any, client: Any) -> None:
        self.manager = manager
        self.client = client

    def run(self, code: str, *, on_display: Callable[[], None] | None = None, **options: Any) -> Ran:
        """Execute a cell and wait until the kernel is idle; `on_display` is called at the first thing displayed."""
        request = self.client.execute(code, **options)
        ran = Ran("")
        while True:
            message = self.client.get_iopub_msg(timeout=PATIENCE)
            if message["parent_header"].get("msg_id") != request:
                continue
            content = message["content"]
            match message["msg_type"]:
                case "execute_result":
                    ran.value = content["data"]
                case "display_data":
                    ran.displays.append(content["data"])
                    if on_display is not None and len(ran.displays) == 1:
                        on_display()
                case "update_display_data":
                    ran.updates.append(content["data"])
                case "stream":
                    setattr(ran, content["name"], getattr(ran, content["name"]) + content["text"])
                case "error":
                    ran.error, ran.kind = plain("\n".join(content["traceback"])), content["ename"]
                case "status" if content["execution_state"] == "idle":
                    break
        ran.status = self._reply(request)["status"]
        return ran

    def ask(self, what: str, *args: Any) -> dict[str, Any]:
        """What the kernel replies to `complete`, `inspect` or `is_complete`."""
        return self._reply(getattr(self.client, what)(*args))

    def _reply(self, request: str) -> dict[str, Any]:
        while True:
            reply = self.client.get_shell_msg(timeout=PATIENCE)
            if reply["parent_header"].get("msg_id") == request:
                return dict(reply["content"])

    def interrupt(self) -> None:
        self.manager.interrupt_kernel()


def plain(text: str) -> str:
    """A text without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.fixture(scope="session")
def jupyter_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A place where Jupyter finds klorpy's kernel, as after an installation, and nothing of the user's."""
    home = tmp_path_factory.mktemp("jupyter")
    shutil.copytree(KERNELSPEC, home / "kernels" / "klorpy")
    python = home / "kernels" / "python3"
    python.mkdir()
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (python / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "Python", "language": "python"}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(home))
        for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
            patch.setenv(name, str(home / name.lower()))
        yield home


def users_environment() -> dict[str, str]:
    """The environment of a kernel: not that of a test, in which simulations check agreements."""
    return {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}


def started(name: str) -> Iterator[Kernel]:
    manager_module = pytest.importorskip("jupyter_client.manager", reason="klorpy[jupyter] is not installed")
    pytest.importorskip("ipykernel", reason="klorpy[jupyter] is not installed")
    manager, client = manager_module.start_new_kernel(kernel_name=name, env=users_environment())
    try:
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def kernel(jupyter_home: Path) -> Iterator[Kernel]:
    """The kernel `klorpy`; the tests of a module share it, so they name what they define differently."""
    yield from started("klorpy")


@pytest.fixture(scope="module")
def python(jupyter_home: Path) -> Iterator[Kernel]:
    """A kernel of Python in which the extension is loaded."""
    for kernel in started("python3"):
        assert kernel.run("%load_ext klorpy").status == "ok"
        yield kernel
