"""What merging sessions saves: the running example of `docs/theory/merging.md`, before and after.

Counts are exact and the same on every machine: messages, and the critical path in delays of a transport that delays each
message. Wall time is that of running both.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from klorpy.behaviour import Chor, Merged, enact, merge, parse_gc, parse_protocols
from tests.benchmarks.measure import Contest, Measure, Run, timed

HOST: Final = {"pwd": lambda: "secret", "check": lambda password: True, "file": lambda: "text"}


@cache
def shop() -> Merged:
    protocols = parse_protocols("""
        (defprotocol Login [U C] (-> U C str))
        (defprotocol Fetch [C F] (-> C F str) (branch F C (ok (-> C F file)) (quit)))""")
    chor = parse_gc("""
        (rec X (start a k (u U) (c C)) (com k (u U) (pwd) (c C) x) (start b h (c C) (f F)) (com h (c C) x (f F) y)
          (if (check y) f
              ((sel h (f F) (c C) ok) (com h (c C) (file) (f F) z) (call X))
              ((sel h (f F) (c C) quit) (call X))))""")
    return merge(chor, {"a": protocols["Login"], "b": protocols["Fetch"]})


def run(chor: Chor, rounds: int, delay: float = 1) -> Any:
    return enact(chor, HOST, rounds=rounds, delay=delay)


def counted(chor: Chor, rounds: int, what: str) -> Measure:
    """Measure a count of a run; what it computes are the rounds of the user."""

    def measure() -> tuple[float, Any]:
        result = run(chor, rounds)
        return getattr(result, what), result.loops["u", "X"]

    return measure


def saved(rounds: int, repeats: int) -> list[Contest]:
    """Contests of the merge with the original, for so many rounds."""
    merged = shop()

    def contest(name: str, what: str, limit: float | None) -> Contest:
        after = Run("merged", counted(merged.chor, rounds, what), rounds, rounds)
        before = Run("many sessions", counted(merged.original, rounds, what), rounds, rounds)
        return Contest(f"{name}, {rounds:,} rounds", after, before, None if limit is None else limit * (1 + 1e-9), f"{what}/round", 1, 1)

    def timed_run(chor: Chor, label: str) -> Run:
        return Run(label, timed(lambda: run(chor, rounds).loops["u", "X"]), rounds, rounds)

    return [
        contest("merging, messages", "messages", (4 * rounds + 4) / (8 * rounds)),
        contest("merging, critical path", "time", (2 * rounds + 4) / (6 * rounds + 2)),
        Contest(f"merging, wall time, {rounds:,} rounds", timed_run(merged.chor, "merged"),
                timed_run(merged.original, "many sessions"), 1.0 if rounds >= 100 else None, "µs/round", 1e6, repeats),
    ]  # fmt: skip
