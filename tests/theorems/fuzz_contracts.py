"""The laws of the calculus on as many terms as wanted: `python -m tests.theorems.fuzz_contracts --terms 20000 --jobs 2`.

Prints what each law had to say, and each failure with its seed. The exit status is 1 when there are failures. `--only SEED`
tries one seed again.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator

from tests.theorems.calculus import LAWS

CHUNK = 200


def try_seed(name: str, seed: int) -> tuple[str, str | None]:
    """What a law says for a seed, and how it is broken."""
    try:
        return LAWS[name](random.Random(seed)), None
    except Exception as error:
        return "fails", f"{name} fails for seed {seed}: {type(error).__name__}: {error}"


def try_chunk(task: tuple[str, range]) -> tuple[str, Counter[str], list[str]]:
    name, seeds = task
    words: Counter[str] = Counter()
    failures = []
    for seed in seeds:
        word, failure = try_seed(name, seed)
        words[word] += 1
        if failure is not None:
            failures.append(failure)
    return name, words, failures


def outcomes(tasks: list[tuple[str, range]], jobs: int) -> Iterator[tuple[str, Counter[str], list[str]]]:
    if jobs == 1:
        yield from map(try_chunk, tasks)
        return
    with multiprocessing.get_context("spawn").Pool(jobs, maxtasksperchild=20) as pool:
        yield from pool.imap_unordered(try_chunk, tasks)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="try the laws of the calculus on generated terms")
    parser.add_argument("--terms", type=int, default=20_000, help="how many seeds for each law (20000)")
    parser.add_argument("--seed", type=int, default=1, help="which seeds: equal seeds, equal terms (1)")
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count(), help="how many processes")
    parser.add_argument("--law", choices=sorted(LAWS), action="append", help="only this law; may be repeated")
    parser.add_argument("--only", type=int, metavar="SEED", help="try one seed again")
    options = parser.parse_args(arguments)
    first = options.seed * 1_000_000_000
    seeds = range(first, first + options.terms) if options.only is None else range(options.only, options.only + 1)
    chunks = [seeds[i : i + CHUNK] for i in range(0, len(seeds), CHUNK)]
    words: dict[str, Counter[str]] = {name: Counter() for name in options.law or LAWS}
    failures: list[str] = []
    start = time.monotonic()
    for name, found, failed in outcomes([(name, chunk) for name in words for chunk in chunks], options.jobs):
        words[name] += found
        failures += failed
    for name, counts in words.items():
        print(f"{name:32} {', '.join(f'{count} {word}' for word, count in sorted(counts.items()))}")
    print(*failures, sep="\n")
    print(f"{len(words)} laws, {len(seeds)} seeds each, {len(failures)} failures, {time.monotonic() - start:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
