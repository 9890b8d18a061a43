"""Damaged frames for the reader, as many as wanted: `python tests/runtime/fuzz_codec.py --inputs 100000 --seed 1`.

Each either is refused with WireError or is the frame of some value. Prints how many of each, the slowest, and the most
memory that one took beyond its own bytes. Memory is limited, so that a frame that asks for too much ends the script with
MemoryError rather than the machine. The exit status is 1 when something else than WireError came out.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import time
import traceback
import tracemalloc
from collections import Counter

import klorpy
from klorpy.runtime.wire import decode, encode
from tests.runtime.wire_values import mutated


def limit_memory() -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))


def again(data: bytes) -> float:
    """The seconds that decoding takes."""
    start = time.perf_counter()
    with contextlib.suppress(klorpy.WireError):
        decode(data)
    return time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description="decode damaged frames")
    parser.add_argument("--inputs", type=int, default=100_000, help="how many inputs (100000)")
    parser.add_argument("--seed", type=int, default=1, help="which inputs: equal seeds, equal inputs (1)")
    options = parser.parse_args()
    limit_memory()
    source = random.Random(options.seed)
    outcomes: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    slowest: tuple[float, bytes] = (0.0, b"")
    largest: tuple[int, bytes] = (0, b"")
    failures = 0
    for index in range(options.inputs):
        data = mutated(source)
        measured = index % 20 == 0  # tracing makes all slow, so only some are traced, and the others are timed
        if measured:
            tracemalloc.start()
        start = time.perf_counter()
        try:
            value = decode(data)
        except klorpy.WireError as error:
            outcomes["refused"] += 1
            reasons[error.message[:40]] += 1
        except BaseException:
            failures += 1
            print(f"not WireError for {data.hex()}\n{traceback.format_exc()}")
        else:
            outcomes["a value"] += 1
            if encode(value) != data:
                failures += 1
                print(f"other bytes for the value of {data.hex()}")
        if measured:
            largest = max(largest, (tracemalloc.get_traced_memory()[1], data))
            tracemalloc.stop()
        elif (took := time.perf_counter() - start) > slowest[0]:
            # Something else may have been running: it counts if it is slow again.
            slowest = max(slowest, (min(took, again(data), again(data)), data))
    print(f"{options.inputs} inputs: " + ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items())))
    for reason, count in reasons.most_common(12):
        print(f"  {count:7} {reason}")
    print(f"slowest: {slowest[0] * 1e3:.2f} ms for {len(slowest[1])} bytes")
    print(f"most memory: {largest[0] / 1024:.0f} KiB for {len(largest[1])} bytes")
    print(f"{failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
