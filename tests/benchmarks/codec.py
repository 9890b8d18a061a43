"""Values to bytes and back, against pickle, which is quicker than it is safe."""

from __future__ import annotations

import datetime
import pickle
import time
from collections.abc import Callable
from typing import Any, Final

from klorpy.runtime.wire import decode, encode
from tests.benchmarks.measure import Contest, Run

#: Each message with how it may compare, and how much it is of a small one; None is for information.
MESSAGES: Final[dict[str, tuple[Any, float | None, int]]] = {
    "an int": (5, 1.2, 1),
    "a larger int": (123_456_789, 1.0, 1),
    "a text": ("hello, world", 1.0, 1),
    "a small dict": ({"op": "put", "key": "k1", "val": 12345, "ts": 1700000000.5, "ok": True}, 1.0, 1),
    "a small tuple": ((1, "a", 2.5), None, 1),
    "a list of lists": ([[1, 2], [3, 4], [5, 6]], None, 2),
    "10 records with tuples": ([{"id": i, "name": f"n{i}", "pos": (i, i + 1.5), "tags": ("a", "b")} for i in range(10)], None, 30),
    "10 records with lists": ([{"id": i, "name": f"n{i}", "pos": [i, i + 1.5], "tags": ["a", "b"]} for i in range(10)], None, 30),
    "10 moments": ([datetime.datetime(2024, 2, 29, 12, i) for i in range(10)], None, 20),
    "1,000 ints": (list(range(1000)), None, 50),
    "10 KiB of bytes": (b"x" * 10240, None, 1),
}  # fmt: skip


def contests(rounds: int, repeats: int) -> list[Contest]:
    return [
        Contest(
            f"codec, {name}", _there_and_back("klorpy", encode, decode, value, max(rounds * 10 // weight, 1)),
            _there_and_back("pickle", _pickled, pickle.loads, value, max(rounds * 10 // weight, 1)), limit,
            "µs", 1e6, repeats,
        )
        for name, (value, limit, weight) in MESSAGES.items()
    ]  # fmt: skip


def _pickled(value: Any) -> bytes:
    return pickle.dumps(value, 5)


def _there_and_back(
    label: str, write: Callable[[Any], bytes], read: Callable[[bytes], Any], value: Any, rounds: int
) -> Run:
    def measure() -> tuple[float, Any]:
        arrived = None
        times = range(rounds)
        start = time.perf_counter()
        for _ in times:
            arrived = read(write(value))
        return time.perf_counter() - start, arrived

    return Run(label, measure, rounds, value)
