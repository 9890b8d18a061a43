"""Measuring two programs against each other.

A machine that is shared or that changes its clock makes absolute times worthless, so everything here is a ratio: the
subject and the baseline run alternately in one process, and the best time of each counts. The garbage collector runs
before each and stays on, since what it does is part of what a program costs.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

#: Runs something once and gives the amount that it took (seconds, or bytes) and what it computed.
Measure: TypeAlias = Callable[[], tuple[float, Any]]


@dataclass(frozen=True, slots=True)
class Run:
    """One side: what to measure, for how many units of work, and what it has to compute."""

    label: str
    measure: Measure
    count: int
    expected: Any

    def cost(self) -> float:
        """The amount per unit of work. Raises ValueError when the run did not do the work."""
        gc.collect()
        amount, computed = self.measure()
        if computed != self.expected:
            raise ValueError(f"{self.label} computed {computed!r}, not {self.expected!r}")
        return amount / self.count


def apart(module: str, *arguments: str | int) -> Measure:
    """A measurement in processes of its own: a module of the benchmarks, which prints a list of the amount and the result."""

    def run() -> tuple[float, Any]:
        command = [sys.executable, "-m", f"tests.benchmarks.{module}", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        amount, computed = json.loads(done.stdout)
        return amount, computed

    return run


@dataclass(frozen=True, slots=True)
class Contest:
    """A subject and its baseline; a `Run`, or a fixed amount that the subject may take.

    `limit` is the ratio that is not to be exceeded; None when the row is for information. `unit` and `scale` say how
    amounts are shown: an amount times the scale is a number of units.
    """

    name: str
    subject: Run
    baseline: Run | float
    limit: float | None
    unit: str
    scale: float
    repeats: int = 7

    def run(self) -> Outcome:
        """Measure both in turn, `repeats` times, and keep the best of each."""
        best = [float("inf"), float("inf")]
        for _ in range(self.repeats):
            best[0] = min(best[0], self.subject.cost())
            best[1] = min(best[1], self.baseline.cost() if isinstance(self.baseline, Run) else self.baseline)
        return Outcome(self, best[0], best[1])


@dataclass(frozen=True, slots=True)
class Outcome:
    contest: Contest
    subject: float
    baseline: float

    @property
    def ratio(self) -> float:
        return self.subject / self.baseline

    @property
    def verdict(self) -> str:
        limit = self.contest.limit
        return "" if limit is None else "ok" if self.ratio <= limit else "MISS"

    def cells(self) -> tuple[str, ...]:
        contest = self.contest
        return (
            contest.name,
            f"{self.subject * contest.scale:.3g} {contest.unit}",
            f"{self.baseline * contest.scale:.3g} {contest.unit}",
            contest.baseline.label if isinstance(contest.baseline, Run) else "the target",
            f"{self.ratio:.2f}",
            "" if contest.limit is None else f"≤ {contest.limit:.2f}",
            self.verdict,
        )


HEADER = ("benchmark", "subject", "baseline", "which is", "ratio", "target", "")


def table(outcomes: Iterable[Outcome]) -> str:
    """The outcomes as aligned text, a line each."""
    rows = [HEADER, *(outcome.cells() for outcome in outcomes)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADER))]
    numbers = (1, 2, 4, 5)
    lines = []
    for row in rows:
        cells = (c.rjust(w) if i in numbers else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def timed(function: Callable[[], Any]) -> Measure:
    """Measure the seconds that `function` takes; what it returns is what it computed."""

    def measure() -> tuple[float, Any]:
        start = time.perf_counter()
        computed = function()
        return time.perf_counter() - start, computed

    return measure
