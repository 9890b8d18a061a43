"""The kernel's properties on as many random scripts as wanted: `python -m tests.conversations.fuzz --examples 20000`."""

from __future__ import annotations

import argparse
import time

from hypothesis import HealthCheck, settings

from tests.conversations import test_properties, test_reference, test_routing

PROPERTIES = (
    test_reference.test_the_kernel_does_what_the_header_says,
    test_properties.test_bracket,
    test_properties.test_resume,
    test_properties.test_tombstone,
    test_properties.test_nesting,
    test_properties.test_isolation,
    test_properties.test_fifo,
    test_routing.test_the_index_is_the_scan,
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.conversations.fuzz", description=__doc__)
    parser.add_argument("--examples", type=int, default=20_000, help="scripts for each property")
    options = parser.parse_args()
    for check in PROPERTIES:
        start = time.perf_counter()
        sample = settings(
            max_examples=options.examples,
            deadline=None,
            derandomize=False,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        sample(check)()
        print(f"{check.__name__}: {options.examples:,} scripts, {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
