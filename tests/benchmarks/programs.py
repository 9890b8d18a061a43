"""The choreographies that are measured."""

from __future__ import annotations

import itertools
from typing import Final

#: Ping-pong in several forms. The counter is an agreement of both roles, so no message says whether to go on.
PING_PONG: Final = """
(import time [perf-counter])

; 2 n messages, 2 n at A.
(defchor by-loop [A B] (-> #{A B} A) [n]
  (loop [n n
         x (A 0)]
    (if (> n 0)
        (recur (- n 1) (B->A (B (+ (A->B (A (+ x 1))) 1))))
        x)))

; The same by calls in tail position.
(defchor by-self [A B] (-> #{A B} A A) [n x]
  (if (> n 0)
      (by-self [A B] (- n 1) (B->A (B (+ (A->B (A (+ x 1))) 1))))
      x))

; A call a message, in which the roles swap: n + 1 messages, n at both.
(defchor by-swap [A B] (-> #{A B} A #{A B}) [n x]
  (if (> n 0)
      (by-swap [B A] (- n 1) (A->B (A (+ x 1))))
      (A=>B x)))

; The same by two choreographies that call each other.
(defchor pong [A B] (-> #{A B} A #{A B}))

(defchor ping [A B] (-> #{A B} A #{A B}) [n x]
  (if (> n 0)
      (pong [B A] (- n 1) (A->B (A (+ x 1))))
      (A=>B x)))

(defchor pong [A B] (-> #{A B} A #{A B}) [n x]
  (if (> n 0)
      (ping [B A] (- n 1) (A->B (A (+ x 1))))
      (A=>B x)))

; Calls that are not in tail position, `depth` of them, and there 2 n messages; 2 n + depth at A, which notes when
; the messages start (when both have arrived) and when they are over.
(defchor deep [A B] (-> #{A B} #{A B} A A) [depth n marks]
  (if (> depth 0)
      (let [x (deep [A B] (- depth 1) n marks)]
        (A (+ x 1)))
      (do
        (B->A (A->B (A 0)))
        (A (.append marks (perf-counter)))
        (let [x (by-loop [A B] n)]
          (A (.append marks (perf-counter)))
          x))))
"""


def large(forms: int, roles: int) -> tuple[str, int]:
    """The text of a choreography of `forms` forms and `roles` roles, and the number of its messages.

    Of 40 forms 22 are messages, 15 are host code at one role, and 3 share a value with all others; the roles take
    turns at each.
    """
    names = [f"R{i}" for i in range(roles)]
    steps = itertools.product(range(1, roles), range(roles))
    pairs = itertools.cycle([(names[i], names[(i + step) % roles]) for step, i in steps])
    places = itertools.cycle(names)
    kinds = itertools.cycle([*["message", "host"] * 15, *["message"] * 7, *["share"] * 3])
    body = []
    messages = 0
    for i, kind in zip(range(forms), kinds, strict=False):
        if kind == "message":
            source, target = next(pairs)
            body.append(f"  ({source}->{target} ({source} (+ x {i})))")
            messages += 1
        elif kind == "host":
            body.append(f"  ({next(places)} (max x {i}))")
        else:
            source = next(places)
            others = " ".join(name for name in names if name != source)
            body.append(f"  (bcast [{source} {others}] ({source} (+ x {i})))")
            messages += roles - 1
    everyone = " ".join(names)
    head = f"(defchor large [{everyone}] (-> #{{{everyone}}} R0) [x]"
    return "\n".join([head, *body, "  (narrow [R0] x))"]), messages
