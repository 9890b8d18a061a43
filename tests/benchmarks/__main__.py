"""Run the benchmarks and print their ratios: `python -m tests.benchmarks [NAME…]`."""

from __future__ import annotations

import argparse
import platform
import sys

from tests.benchmarks.cases import BENCHMARKS, FULL, import_times
from tests.benchmarks.measure import table
from tests.runtime.transports.nats_server import MISSING, PROGRAM


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which ones: {', '.join(BENCHMARKS)} (default: all)")
    parser.add_argument("--importtime", action="store_true", help="print what takes longest of `import klorpy`, and end")
    options = parser.parse_args()
    if options.importtime:
        print(import_times())
        return 0
    unknown = [name for name in options.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]}; choose from {', '.join(BENCHMARKS)}")
    outcomes = []
    for name in options.names or BENCHMARKS:
        if name == "nats" and PROGRAM is None:
            print(f"left out: nats {MISSING}", file=sys.stderr)
            continue
        for contest in BENCHMARKS[name](FULL):
            print(f"{contest.name} …", file=sys.stderr, flush=True)
            outcomes.append(contest.run())
    print(f"Python {platform.python_version()} on {platform.machine()}; the best of several, side by side\n")
    print(table(outcomes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
