"""The laws on as many generated programs as wanted: `python tests/theorems/fuzz.py --programs 50000 --seed 1 --jobs 2`.

Prints a line of progress now and then, and at the end each failure with its seed and its program. The exit status is 1
when there are failures. `--only SEED` runs one program again.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import random
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from klorpy.testing import Program, generate, laws, mutate

#: Seconds for all that is done with one program; a program that takes longer hangs.
LIMIT = 60
#: Seeds that one task of a worker process takes.
CHUNK = 100
MUTATIONS = 2


@dataclass
class Failure:
    seed: int
    law: str
    text: str
    args: tuple[Any, ...]
    message: str


@dataclass
class Report:
    programs: int = 0
    runs: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)

    def add(self, other: Report) -> None:
        self.programs += other.programs
        self.runs += other.runs
        self.failures += other.failures


class Hangs(BaseException):
    """A program did not end in time. No `except Exception` in its way stops it."""


def program_laws(seed: int, source: random.Random, program: Program) -> Iterator[tuple[str, Callable[[], Any]]]:
    """The laws for one program: the great theorem always, the others in turn."""
    yield "agrees", partial(laws.agrees, program, (0, seed + 1))
    others: list[tuple[str, Callable[[], Any]]] = [
        ("verified", partial(laws.verified, program, source)),
        ("explored", partial(laws.explored, program, 30)),
        ("played", partial(laws.played, program)),
        ("repeats", partial(laws.repeats, program, seed)),
        ("signed", partial(laws.signed, program)),
        ("projects", partial(laws.projects, program)),
        ("reads back", partial(laws.reads_back, program.main.roles, program.main.type)),
        ("verified", partial(laws.verified, program, source)),
    ]
    yield others[seed % len(others)]


def try_seed(seed: int) -> Report:
    """All that is done with one seed."""
    source = random.Random(seed)
    program = generate(source)
    report = Report(1)
    for law, run in program_laws(seed, source, program):
        attempt(report, seed, law, program.text, program.args, run)
    small = generate(source, 7)
    if "append" not in small.text:
        for _ in range(MUTATIONS):
            text = mutate(source, small.text)
            run = partial(laws.withstands, text, small.args)
            attempt(report, seed, "withstands", text, small.args, run)
    return report


def attempt(
    report: Report, seed: int, law: str, text: str, args: tuple[Any, ...], run: Callable[[], Any]
) -> None:
    message = None
    try:
        with limited():
            verdict = run()
    except (Exception, Hangs) as error:
        message = str(error) if isinstance(error, AssertionError) else traceback.format_exc()
        verdict = "failed"
    report.runs[f"{law}: {verdict or 'holds'}"] += 1
    if message is not None:
        report.failures.append(Failure(seed, law, text, args, message))


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """Raise Hangs after LIMIT seconds, where the system has alarms."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def ring(*_: Any) -> None:
        raise Hangs(f"not done after {LIMIT} seconds")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, LIMIT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def try_chunk(seeds: range) -> Report:
    report = Report()
    for seed in seeds:
        report.add(try_seed(seed))
    return report


def limit_memory() -> None:
    """A mutated program may double a value for ever: let it meet a MemoryError rather than the machine's end."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))


def reports(chunks: list[range], jobs: int) -> Iterator[Report]:
    if jobs == 1:
        limit_memory()
        yield from map(try_chunk, chunks)
        return
    with multiprocessing.get_context("spawn").Pool(jobs, limit_memory, maxtasksperchild=20) as pool:
        yield from pool.imap_unordered(try_chunk, chunks)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="run the laws of klorpy on generated programs")
    parser.add_argument("--programs", type=int, default=50_000, help="how many programs (50000)")
    parser.add_argument("--seed", type=int, default=1, help="which programs: equal seeds, equal programs (1)")
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count(), help="how many processes")
    parser.add_argument("--only", type=int, metavar="SEED", help="run the program of a failure again")
    options = parser.parse_args(arguments)
    if options.only is not None:
        seeds = range(options.only, options.only + 1)
    else:
        first = options.seed * 1_000_000_000
        seeds = range(first, first + options.programs)
    chunks = [seeds[i : i + CHUNK] for i in range(0, len(seeds), CHUNK)]
    total, start, shown = Report(), time.monotonic(), 0.0
    for report in reports(chunks, min(options.jobs, len(chunks)) or 1):
        total.add(report)
        took = time.monotonic() - start
        if took - shown >= 10 or total.programs == len(seeds):
            shown = took
            rate = total.programs / took
            print(f"{total.programs} of {len(seeds)} programs, {len(total.failures)} failures, {rate:.0f} a second", flush=True)
    for law, count in sorted(total.runs.items()):
        print(f"  {count:7} {law}")
    for failure in sorted(total.failures, key=lambda f: (f.law, len(f.text))):
        print(f"\n{'=' * 100}\n{failure.law} fails: python {sys.argv[0]} --only {failure.seed}")
        print(f"{failure.text}\nwith {failure.args!r}\n\n{failure.message}")
    print(f"{total.programs} programs, {len(total.failures)} failures")
    return 1 if total.failures else 0


if __name__ == "__main__":
    sys.exit(main())
