"""What order buys, in virtual time: three programs in program order and out of order, beside their closed forms.

    python -m tests.benchmarks.order        (make bench-order)

Every number comes from a clock that counts what is said to take time: messages take `d`, computations what they cost.
So the table is the same on every machine.
"""

from __future__ import annotations

import itertools
import statistics
import sys
from dataclasses import dataclass
from typing import Any, Final

import klorpy
from klorpy import Clock

PROGRAMS: Final = """
(import klorpy [after pure])

; Two workers ask a server for a computation each, at given times. W1 needs time to produce what it asks for.
(defn [pure] tick [i] i)
(defn [pure] produce [x] x)
(defn [pure] compute [x] x)
(defn [pure] answered [i x] i)

(defchor producers [W1 W2 S] (-> #{W1 W2 S} #{W1 W2 S}) [n]
  (loop [i 0]
    (if (< i n)
        (do
          (W1 (answered i (S->W1 (S (compute (W1->S (W1 (produce (tick i)))))))))
          (W2 (answered i (S->W2 (S (compute (W2->S (W2 (tick i))))))))
          (recur (+ i 1)))
        i)))

; A server asks two services, and hands each answer on to a client, who acknowledges it.
(defn [pure] first [x] x)
(defn [pure] second [x] x)
(defn [pure] acknowledged [x] x)

(defchor senders [Server K1 K2 Client] (-> Server [Server Server]) [x]
  (let [p (Server->K1 x)
        q (Server->K2 x)
        a (Server->Client (K1->Server (K1 (first p))))
        a1 (Server (acknowledged (Client->Server (Client (after a "ok")))))
        b (Server->Client (K2->Server (K2 (second q))))
        b1 (Server (acknowledged (Client->Server (Client (after b "ok")))))]
    (pack a1 b1)))

; Images go to two workers in turn, ten of them make a batch, batches go to two models in turn.
(defn [pure] predict [ids some others] ids)
(defn [pure] served [ids] ids)

(defchor batch [Client W1 W2 B M] (-> B W1 W2 Client | M) [ids some others]
  (let [at-m (B->M ids)
        at-1 (B->W1 ids)
        at-2 (B->W2 ids)
        one (W1->M (W1 (after at-1 some)))
        two (W2->M (W2 (after at-2 others)))]
    (Client (served (B->Client (M->B (M (predict at-m one two))))))))

(defchor serving [Client W1 W2 B M1 M2] (-> #{Client W1 W2 B M1 M2} #{Client W1 W2 B M1 M2}) [n]
  (loop [i 0
         ids (B [])
         some (W1 [])
         others (W2 [])]
    (if (< i n)
        (let [image (Client (tick i))
              some (if (= (% i 2) 0) (W1 (+ some [(Client->W1 image)])) some)
              others (if (= (% i 2) 1) (W2 (+ others [(Client->W2 image)])) others)
              ids (B (+ ids [(Client->B image)]))
              ready (bcast [B Client W1 W2 M1 M2] (B (= (len ids) 10)))]
          (if ready
              (do
                (if (= (% (// i 10) 2) 0)
                    (do (batch [Client W1 W2 B M1] ids some others) None)
                    (do (batch [Client W1 W2 B M2] ids some others) None))
                (recur (+ i 1) (B []) (W1 []) (W2 [])))
              (recur (+ i 1) ids some others)))
        i)))
"""


def programs() -> Any:
    return klorpy.evaluate(PROGRAMS)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: what is measured in each order, and what the closed forms say."""

    what: str
    in_order: float
    out_of_order: float
    expected: tuple[float, float]

    @property
    def exact(self) -> bool:
        return (self.in_order, self.out_of_order) == self.expected


def producers(ns: Any, order: str, interval: float, skew: float, d: float, cost: float, n: int = 40) -> tuple[float, float]:
    """The median latency of the two workers, from when each was due to ask."""
    clock = Clock(
        latency=d, costs={"compute": cost}, delays={"produce": skew}, times={"tick": lambda i: i * interval}
    )
    sim = klorpy.simulate_chor(ns.producers, n, order=order, clock=clock, trace=False)
    assert sim.timeline is not None
    found = [
        statistics.median(done.end - done.values[0] * interval for done in sim.timeline.of("answered", role))
        for role in ("W1", "W2")
    ]
    return found[0], found[1]


def senders(ns: Any, order: str, a: float, b: float, d: float) -> tuple[float, float]:
    """When the two items of one round are acknowledged, if the services need `a` and `b`."""
    clock = Clock(latency=d, delays={"first": a, "second": b})
    sim = klorpy.simulate_chor(ns.senders, "x", order=order, clock=clock)
    assert sim.timeline is not None
    first, second = sorted(sim.timeline.of("acknowledged"), key=lambda done: done.number)
    return first.end, second.end


def mean_senders(ns: Any, order: str, m: int, d: float) -> tuple[float, float]:
    """The mean over all service times 0 … m - 1 of both."""
    pairs = [senders(ns, order, a, b, d) for a, b in itertools.product(range(m), repeat=2)]
    return statistics.fmean(p[0] for p in pairs), statistics.fmean(p[1] for p in pairs)


def serving(ns: Any, order: str, interval: float, d: float, n: int = 1000) -> tuple[float, float]:
    """Responses a second, and the median latency of an image, with times in milliseconds."""
    clock = Clock(latency=d, costs={"predict": 65}, times={"tick": lambda i: i * interval})
    sim = klorpy.simulate_chor(ns.serving, n, order=order, clock=clock, trace=False)
    assert sim.timeline is not None
    done = [(step.end, image) for step in sim.timeline.of("served") for image in step.values[0]]
    latencies = [end - image * interval for end, image in done]
    return len(done) / max(end for end, _ in done) * 1000, statistics.median(latencies)


def rows() -> list[Row]:
    """The table. Times are in milliseconds, d = 0.5, a computation of the server takes 5, a prediction 65."""
    ns = programs()
    d, c = 0.5, 5.0
    found = []
    for skew in (0, 20, 40):
        program, flow = (producers(ns, order, 50, skew, d, c) for order in ("program", "dataflow"))
        if skew:
            found.append(Row(f"producers, skew {skew}: second worker", program[1], flow[1], (skew + 2 * d + 2 * c, 2 * d + c)))
        else:
            found.append(Row("producers, no skew: both workers", sum(program), sum(flow), (17.0, 17.0)))
    for d_, m in ((0.0, 10), (0.5, 10), (2.0, 5)):
        program, flow = (mean_senders(ns, order, m, d_) for order in ("program", "dataflow"))
        pairs = list(itertools.product(range(m), repeat=2))
        late = statistics.fmean(max(4 * d_ + a, 2 * d_ + b) + 2 * d_ for a, b in pairs)
        found.append(Row(f"senders, d {d_:g}: second item", program[1], flow[1], (late, 4 * d_ + (m - 1) / 2)))
    unsaturated = 4.5 * 20 + 65 + 5 * d
    program, flow = (serving(ns, order, 20, d, 300) for order in ("program", "dataflow"))
    found.append(Row("serving, 50 a second: median latency", program[1], flow[1], (unsaturated, unsaturated)))
    program, flow = (serving(ns, order, 2, d) for order in ("program", "dataflow"))
    found.append(Row("serving, 500 a second: responses a second", program[0], flow[0], (10_000 / (18 * d + 65 + 5 * d), 20_000 / 65)))
    return found


def main() -> int:
    head = f"{'':44}{'program':>10}{'dataflow':>10}{'closed forms':>24}"
    print(head)
    for row in rows():
        forms = " / ".join(f"{number:.4g}" for number in row.expected)
        print(f"{row.what:44}{row.in_order:10.4g}{row.out_of_order:10.4g}{forms:>24}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
