"""Nodes for tests: each role with a node of its own, over TCP on loopback, in this process."""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import klorpy
from klorpy.environment.certificates import make_certificates
from klorpy.runtime.sessions import Node
from klorpy.runtime.transports.tcp import Tcp
from klorpy.runtime.transports.tls import Identity


def tcp(node: Node) -> Tcp:
    """The carrier of a node."""
    assert isinstance(node.carrier, Tcp)
    return node.carrier


def address(node: Node) -> str:
    """Where a node listens."""
    return f"127.0.0.1:{tcp(node).ports[0]}"


@contextlib.asynccontextmanager
async def nodes_of(roles: Iterable[str], *, tls: bool = False, **options: Any) -> AsyncIterator[dict[str, Node]]:
    """A node for each role, each connected to those before it."""
    nodes: dict[str, Node] = {}
    async with contextlib.AsyncExitStack() as stack:
        for role in roles:
            peers = {other: address(node) for other, node in nodes.items()}
            identity = identity_of(role) if tls else None
            nodes[role] = await stack.enter_async_context(
                klorpy.host(listen="127.0.0.1:0", peers=peers, tls=identity, **options)
            )
        yield nodes


@functools.cache
def _certificates() -> tuple[tempfile.TemporaryDirectory[str], Path]:
    folder = tempfile.TemporaryDirectory()
    return folder, Path(folder.name)


@functools.cache
def identity_of(role: str) -> Identity:
    """The certificate of a role, from one authority for all tests."""
    _, folder = _certificates()
    list(make_certificates(folder, [role], 1))
    return Identity.of(folder, role.split("+"))
