"""What a merge saves, measured by running both choreographies.

    savings(M, functions, rounds=N) = starts, messages and critical path before and after

For rounds with starts of n1, …, nr threads each, N rounds, and n threads in the merged session, the starts cost
N·Σ 2(ni - 1) messages before and 2(n - 1) after; values and selections are as many as before, and the notifications.

Source: M. Carbone, F. Montesi, "Merging multiparty protocols in multiparty choreographies" (2012), section 3, on the
motive; the figures follow from the cost of a start, see `klorpy.behaviour.enactment`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from klorpy.behaviour.arguments import checked
from klorpy.behaviour.enactment import Enactment, Synchronisation, enact
from klorpy.behaviour.merge import Merged


@dataclass(frozen=True)
class Savings:
    """Two runs, and what the second did without."""

    rounds: int | None
    original: Enactment
    merged: Enactment

    @property
    def starts(self) -> int:
        return self.original.starts - self.merged.starts

    @property
    def start_messages(self) -> int:
        return self.original.start_messages - self.merged.start_messages

    @property
    def ratio(self) -> float:
        """Messages after for each message before."""
        return self.merged.messages / self.original.messages

    def __str__(self) -> str:
        before, after = self.original, self.merged
        rows = [
            ("starts", before.starts, after.starts),
            ("start messages", before.start_messages, after.start_messages),
            ("payload messages", before.payload_messages, after.payload_messages),
            ("messages", before.messages, after.messages),
            ("critical path", before.time, after.time),
        ]
        return "\n".join(f"{name:16} {old:g} -> {new:g}" for name, old, new in rows)


@checked
def savings(
    merged: Merged,
    functions: Callable[[], Mapping[str, Callable[..., Any]]] | Mapping[str, Callable[..., Any]],
    *,
    rounds: int | None = None,
    start: Synchronisation = "handshake",
    delay: float = 1,
    seed: int = 0,
) -> Savings:
    """Run a choreography and its merge, with the same functions of the host.

    `functions` may be a function that makes them anew for each run, for those that remember something. The other parameters
    are those of `enact`.

    >>> from klorpy.behaviour import merge, parse_gc, parse_protocol
    >>> ask = parse_protocol("(defprotocol Ask [A B] (-> A B str))")
    >>> chor = parse_gc('(rec X (start a k (t A) (u B)) (com k (t A) "more" (u B) x) (call X))')
    >>> print(savings(merge(chor, {"a": ask}), {}, rounds=10))
    starts           10 -> 1
    start messages   20 -> 2
    payload messages 10 -> 10
    messages         30 -> 12
    critical path    21 -> 3
    """

    def run(chor: Any) -> Enactment:
        host = functions() if callable(functions) else functions
        return enact(chor, host, rounds=rounds, start=start, delay=delay, seed=seed)

    return Savings(rounds, run(merged.original), run(merged.chor))
