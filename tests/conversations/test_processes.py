"""The two buyers in three processes of the operating system, one of which is killed."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROLES = ("Ann", "Bob", "Shop")
#: Seconds: far more than processes take to start, and as long as the others have to notice that one was killed.
PATIENCE = 60
NOTICE = 1.0

Processes = dict[str, "subprocess.Popen[str]"]


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def start(order: tuple[str, ...]) -> Processes:
    """The processes, started one after the other. Bob connects to Ann, and Shop to both, whoever comes first."""
    places = {role: f"127.0.0.1:{port}" for role, port in zip(ROLES, free_ports(3), strict=True)}
    found: Processes = {}
    for role in order:
        peers = [f"{other}={places[other]}" for other in ROLES[: ROLES.index(role)]]
        command = [sys.executable, "-m", "tests.conversations.buyers", role, places[role].rpartition(":")[2], *peers]
        found[role] = subprocess.Popen(
            command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    return found


@pytest.fixture
def processes(request: pytest.FixtureRequest) -> Iterator[Processes]:
    found = start(request.param)
    yield found
    for process in found.values():
        process.kill()
        process.communicate(timeout=PATIENCE)


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize(
    ("processes", "victim"),
    [(order, ROLES[number % 3]) for number, order in enumerate(permutations(ROLES))][:4],
    indirect=["processes"],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else value,
)
def test_when_one_is_killed_the_others_exit_with_the_verdict_within_a_second(
    processes: Processes, victim: str
) -> None:
    for role in ROLES:
        assert line(processes[role]) == "here Ann Bob Shop", processes[role].stderr and processes[role].stderr.read()
    assert line(processes["Ann"]) == "asked 25"
    processes[victim].send_signal(signal.SIGKILL)
    killed = time.monotonic()
    verdicts = set()
    for role in ROLES:
        if role != victim:
            assert processes[role].wait(PATIENCE) == 3
            verdicts.add(line(processes[role]))
    took = time.monotonic() - killed
    assert verdicts == {f"verdict {victim} was lost (the connection broke)"}
    assert took < NOTICE
