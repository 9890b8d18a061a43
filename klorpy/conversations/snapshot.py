"""What a kernel is at a moment: processes, their endpoints, and who sees whom.

    snapshot(kernel) = processes, those of nested VMs inside their hosts
    text             = snapshot.text(width)

A snapshot holds no part of the kernel, and never changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from klorpy.conversations.actions import Endpoint, MetaName, Pid, visible
from klorpy.conversations.kernel import Kernel
from klorpy.conversations.table import Installed, Process, name_key
from klorpy.core.values import show


@dataclass(frozen=True, slots=True)
class EndpointView:
    """An endpoint. A `meta` one belongs to the container of the VM. `sees` are the endpoints that it was told of."""

    id: str
    name: str
    orientation: str
    interest: str
    topic: str
    meta: bool
    sees: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProcessView:
    """A process: what its state looks like, how many actions are queued, and, for a VM, what is inside."""

    id: str
    name: str
    state: str
    queued: int
    failed: bool
    endpoints: tuple[EndpointView, ...]
    inside: tuple[ProcessView, ...] | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    processes: tuple[ProcessView, ...]

    def walk(self) -> Iterator[tuple[int, ProcessView]]:
        """Every process with the number of VMs that it is in, in the order of the text."""
        todo = [(0, process) for process in reversed(self.processes)]
        while todo:
            depth, process = todo.pop()
            yield depth, process
            todo.extend((depth + 1, inner) for inner in reversed(process.inside or ()))

    def text(self, width: int = 100) -> str:
        """An indented list: `+` is a publisher, `-` a subscriber; `(o)` observes, `(e)` sees everything.

        >>> from klorpy.conversations import ANY, Kernel, publisher, role, subscriber
        >>> kernel = Kernel()
        >>> ann = kernel.start("ann", role("in", subscriber(("chat", ANY))))
        >>> bob = kernel.start("bob", role("out", publisher(("chat", "bob"))))
        >>> kernel.run()
        True
        >>> print(snapshot(kernel).text())
        ann
          - in   #("chat" _)      sees bob/out
        bob
          + out  #("chat" "bob")  sees ann/in
        """
        names = max((len(_line(e.name)) for _, p in self.walk() for e in p.endpoints), default=0)
        topics = min(max((len(e.topic) for _, p in self.walk() for e in p.endpoints), default=0), max(width // 2, 12))
        lines = []
        for depth, process in self.walk():
            indent = "  " * depth
            notes = ["a VM" if process.inside is not None else "", "failed" if process.failed else ""]
            notes.append(f"{process.queued} queued" if process.queued else "")
            told = ", ".join(filter(None, notes))
            lines.append(f"{indent}{_line(process.name)}{f' ({told})' if told else ''}")
            for endpoint in process.endpoints:
                sign = "+" if endpoint.orientation == "pub" else "-"
                kind = {"participant": "", "observer": " (o)", "everything": " (e)"}[endpoint.interest]
                topic = _cut(endpoint.topic + kind, topics + len(kind)).ljust(topics)
                sees = f"  sees {', '.join(endpoint.sees)}" if endpoint.sees else ""
                lines.append(
                    _cut(f"{indent}  {sign} {_line(endpoint.name).ljust(names)}  {topic}{sees}".rstrip(), width)
                )
        return "\n".join(lines) or "no process"


def snapshot(kernel: Kernel) -> Snapshot:
    """What the kernel is now. It may be asked while the kernel runs in another thread, between two actions."""
    return Snapshot(_views(kernel, (), {}))


def _views(kernel: Kernel, path: tuple[Pid, ...], outside: dict[Any, EndpointView]) -> tuple[ProcessView, ...]:
    found = []
    for process in list(kernel.processes.values()):
        own = [entry for entry in list(process.endpoints.values()) if type(entry.endpoint.name) is not MetaName]
        endpoints = [_endpoint(kernel, path, entry) for entry in own]
        endpoints += [
            outside.get((process.pid.number, key)) or _unseen(path, process, endpoint)
            for key, endpoint in list(process.metas.items())
        ]
        inside = None
        if isinstance(process.state, Kernel):
            relayed = {
                (name.process.number, name_key(name.name)): _endpoint(kernel, path, entry)
                for entry in list(process.endpoints.values())
                if isinstance(name := entry.endpoint.name, MetaName)
            }
            inside = _views(process.state, (*path, process.pid), relayed)
        found.append(
            ProcessView(
                _id(path, process.pid),
                str(process.pid),
                "" if inside is not None or process.state is None else show(process.state, 60),
                len(process.queue),
                process.doomed,
                tuple(endpoints),
                inside,
            )
        )
    return tuple(found)


def _endpoint(kernel: Kernel, path: tuple[Pid, ...], entry: Installed) -> EndpointView:
    name = entry.endpoint.name
    meta = isinstance(name, MetaName)
    others = kernel.counterparts(entry)
    return EndpointView(
        _label(path, entry),
        f"^{name.name}" if isinstance(name, MetaName) else str(name),
        entry.role.orientation.value,
        entry.interest.value,
        show(entry.topic).replace("ANY", "_"),
        meta,
        tuple(_label(path, other) for other in others if visible(other.interest, entry.interest)),
    )


def _unseen(path: tuple[Pid, ...], process: Process, endpoint: Endpoint) -> EndpointView:
    """An endpoint at the meta level that is not there yet."""
    role = endpoint.role
    name = f"^{endpoint.name}"
    topic = show(role.topic).replace("ANY", "_")
    label = f"{_id(path, process.pid)}{name}"
    return EndpointView(label, name, role.orientation.value, role.interest.value, topic, True, ())


def _label(path: tuple[Pid, ...], entry: Installed) -> str:
    return "/".join([*map(str, path), str(entry.peer)])


def _id(path: tuple[Pid, ...], pid: Pid) -> str:
    return "/".join(map(str, (*path, pid)))


def _line(name: str) -> str:
    """A name on one line."""
    return " ".join(name.split())


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"
