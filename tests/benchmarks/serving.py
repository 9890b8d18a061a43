"""Serving a model over TCP, a process for each role and one worker slow: `python -m tests.benchmarks.serving ORDER BATCHES`.

Images go to two workers in turn, which prepare them; two of each make a batch, and batches go to two models in turn, which
answer the client. What takes time is waited for and not computed, so it does not matter how many cores there are; a worker,
and a model, does one thing at a time. Prints the seconds that the client took, and what it was answered.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import time
from typing import Any, Final

import klorpy
import klorpy.outoforder.play
from tests.benchmarks.measure import Contest, Run, apart

#: Seconds for which a worker prepares an image, the slow one and the other; and for which a model looks at a batch.
SLOW, FAST, MODEL = 0.012, 0.001, 0.05

PROGRAM: Final = f"""
(import asyncio klorpy [barrier pure])

(setv hands (asyncio.Lock))
(defn :async busy [seconds value]
  (with [:async hands] (await (asyncio.sleep seconds)))
  value)
(defn [pure] slowly [image] (busy {SLOW} image))
(defn [pure] quickly [image] (busy {FAST} image))
(defn [pure] predict [#* images] (busy {MODEL} (list images)))

(setv answers [])
(defn [pure] served [images] (.extend answers images))

(defchor batch [Client W1 W2 M] (-> Client Client | W1 W2 M) [i]
  (let [a (W1->M (W1 (await (slowly (Client->W1 (Client (+ i 0)))))))
        b (W2->M (W2 (await (quickly (Client->W2 (Client (+ i 1)))))))
        c (W1->M (W1 (await (slowly (Client->W1 (Client (+ i 2)))))))
        d (W2->M (W2 (await (quickly (Client->W2 (Client (+ i 3)))))))]
    (Client (served (M->Client (M (await (predict a b c d))))))))

(defchor serving [Client W1 W2 M1 M2] (-> #{{Client W1 W2 M1 M2}} Client) [n]
  (loop [i 0]
    (if (< i n)
        (do (batch [Client W1 W2 M1] (Client (* 8 i)))
            (batch [Client W1 W2 M2] (Client (+ (* 8 i) 4)))
            (recur (+ i 1)))
        (Client (do (barrier) (sorted answers))))))
"""


async def _play(role: str, order: str, rounds: int, sockets: dict[str, socket.socket]) -> tuple[float, Any]:
    chor = klorpy.evaluate(PROGRAM).serving
    earlier = list(sockets)[: list(sockets).index(role)]
    peers = {other: f"127.0.0.1:{sockets[other].getsockname()[1]}" for other in earlier}
    async with (
        klorpy.host(listen=sockets[role], peers=peers) as node,
        node.join(chor, role, "serving", order=order) as transport,
    ):
        start = time.perf_counter()
        answers = await klorpy.play_role({"role": role, "transport": transport}, chor, rounds)
        return time.perf_counter() - start, answers


def main(order: str, rounds: int) -> None:
    client, *others = klorpy.evaluate(PROGRAM).serving.roles
    sockets = {role: socket.create_server(("127.0.0.1", 0)) for role in (client, *others)}
    children = []
    for role in others:
        if (child := os.fork()) == 0:
            asyncio.run(_play(role, order, rounds, sockets))
            os._exit(0)
        children.append(child)
    try:
        print(json.dumps(asyncio.run(_play(client, order, rounds, sockets))))
    finally:
        for child in children:
            os.waitpid(child, 0)


def contests(rounds: int, repeats: int) -> list[Contest]:
    def run(order: str) -> Run:
        return Run(f"{order} order", apart("serving", order, rounds), 8 * rounds, list(range(8 * rounds)))

    return [
        Contest(
            "model serving over TCP, a worker slow", run("dataflow"), run("program"), 1 / 1.8, "ms/image", 1e3, repeats
        )
    ]


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
