"""What a kernel did, as data: the log that tests compare and instruments read.

    record ::= Delivered | Exited | Answered

A process is named by its path: the VMs that it is in, the outermost first, and itself. A peer belongs to the same VM as
who hears of it, or to the container of that VM when the endpoint is at the meta level; `level` is the path of that VM.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from klorpy.conversations.actions import Absence, Answer, Message, Peer, Pid, Presence
from klorpy.core.values import show

Path: TypeAlias = tuple[Pid, ...]


def path_text(path: Path) -> str:
    return "/".join(map(str, path))


@dataclass(frozen=True, slots=True)
class Delivered:
    """An endpoint was told about an event. A `meta` endpoint's level is None until its VM has passed the record on."""

    process: Path
    name: Any
    event: Presence | Absence | Message
    meta: bool = False
    level: Path | None = ()

    def peer_text(self, peer: Peer) -> str:
        return "/".join([*map(str, self.level or ()), str(peer)])

    def __str__(self) -> str:
        where = f"{path_text(self.process)}/{'^' if self.meta else ''}{self.name}"
        match self.event:
            case Presence(role, peer):
                return f"{where} + {self.peer_text(peer)} {role.orientation.value} {show(role.topic)}"
            case Absence(role, reason, peer):
                return (
                    f"{where} - {self.peer_text(peer)} {role.orientation.value} {show(role.topic)}: {show(reason, 80)}"
                )
            case Message(_, body):
                return f"{where} ! {show(body, 200)}"


@dataclass(frozen=True, slots=True)
class Exited:
    """A process ended; `reason` is "gc" when it had nothing left to do."""

    process: Path
    reason: Any

    def __str__(self) -> str:
        return f"{path_text(self.process)} exit {show(self.reason, 80)}"


@dataclass(frozen=True, slots=True)
class Answered:
    """A query was answered."""

    process: Path
    answer: Answer
    level: Path | None = ()

    def __str__(self) -> str:
        found = ", ".join(str(peer) for peer, _ in self.answer.found) or "nobody"
        return f"{path_text(self.process)} ? {self.answer.orientation.value} {show(self.answer.topic)}: {found}"


Record: TypeAlias = Delivered | Exited | Answered


def inside(record: Record, host: Pid) -> Record:
    """A record of a nested VM, as its container keeps it."""
    process = (host, *record.process)
    if isinstance(record, Exited):
        return Exited(process, record.reason)
    level = () if record.level is None else (host, *record.level)
    return replace(record, process=process, level=level)
