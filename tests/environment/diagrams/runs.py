"""Runs to draw: one of every kind, from the examples and from a text that goes wrong in every way."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import klorpy
from klorpy.simulator import Simulation

DATA = Path(klorpy.__file__).parent / "examples" / "data"

TEXT = """
(defn refuse [x] (raise (ValueError f"{x} is not accepted; <ask> again & again, or ask somebody else")))

(defchor divide [A B C] (-> A C C) [x y]
  (C (+ y (B->C (B (refuse (A->B x)))))))

(defchor crossed [Alice Bob Carol] (-> Alice Bob Carol Bob) [a b c]
  (if (agree! a b c)
    (do (Alice->Carol a)
        (Bob (+ 1 (Carol->Bob (Carol 1)))))
    (Bob 2)))

(defchor forgotten [A B] (-> A B B) [x y]
  (if (agree! x y) (A->B (A "never read")) (B "skipped")))

(defchor count-down [A B] (-> A B) [n]
  (loop [i (A=>B n)]
    (if (= i 0)
      (B "done")
      (do (A->B (A f"value {i}"))
          (B (print "line" i))
          (recur (- i 1))))))

(defchor endless [A B] (-> #{A B}) [] (loop [n 0] (recur (A=>B (A (+ n 1))))))

(defchor awkward [Customer-Relationship-Manager 倉庫 Z] (-> Z) []
  (Z (+ (Customer-Relationship-Manager->Z
          (Customer-Relationship-Manager "a long <text> & more, with \\"quotes\\", to be cut somewhere about here"))
        (倉庫->Z (倉庫 (do (print "tab\\there; \\u001b[31mred # end") "価格は千円です"))))))

(defchor in-line [A B C D E F G H] (-> A H) [x]
  (G->H (F->G (E->F (D->E (C->D (B->C (A->B x))))))))

(defchor alone [Server] (-> Server Server) [x] (Server (do (print "hello") x)))

(defchor verified [A B C] (-> A B C #{A B C}) [x y z]
  (agree! x y z))
"""


@cache
def texts() -> Any:
    return klorpy.evaluate(TEXT, filename="texts.hy")


def example(module: str, name: str) -> Any:
    return getattr(importlib.import_module(f"klorpy.examples.{module}"), name)


def data(name: str) -> Any:
    return json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))


def run(chor: Any, *args: Any, **options: Any) -> Simulation:
    return klorpy.simulate_chor(chor, *args, check=False, sanitize=False, **options)


def _verified() -> Simulation:
    ns = klorpy.evaluate(
        "(with-opts {:verify {:agreement True}}"
        " (defchor verified [A B C] (-> A B C #{A B C}) [x y z] (agree! x y z)))", filename="verified.hy",
    )  # fmt: skip
    return run(ns.verified, 1, 1, 2)


#: A run for every golden file, made when it is asked for.
RUNS: dict[str, Callable[[], Simulation]] = {
    "bookseller": lambda: run(example("bookseller", "buy_book"), data("order"), data("catalogue")),
    "too-dear": lambda: run(example("bookseller", "buy_book"), {"title": "Clocks That Agree", "budget": 3}, data("catalogue")),
    "mergesort": lambda: run(example("mergesort", "mergesort"), [3, 1, 2], detail=True),
    "two-buyers": lambda: run(
        example("two_buyers", "buy_with_help"), data("order"), data("catalogue"), 20, detail=True
    ),
    "secrets": lambda: run(
        example("secure_channel", "tell_secrets"), 5, 23, 6, 15, ["meet me", "at noon"], detail=True
    ),
    "composed": lambda: run(example("higher_order", "composed"), 4, detail=True),
    "ping-pong": lambda: run(example("ping_pong", "ping_pong"), [], 4, detail=True),
    "scatter": lambda: run(example("scatter_gather", "sum_of_squares"), list(range(9))),
    "seeded": lambda: run(example("share", "ask_for_help"), 5, 6, seed=3),
    "failed": lambda: run(texts().divide, 0, 4),
    "deadlock": lambda: run(texts().crossed, True, True, False),
    "unread": lambda: run(texts().forgotten, True, False),
    "folded": lambda: run(texts().count_down, 400),
    "awkward": lambda: run(texts().awkward),
    "in-line": lambda: run(texts().in_line, 5),
    "alone": lambda: run(texts().alone, 5),
    "violated": _verified,
}
