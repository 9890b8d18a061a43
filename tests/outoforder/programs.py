"""The programs that the tests of this room run: two stories, and what is needed around them."""

from __future__ import annotations

import functools
from typing import Any, Final

import klorpy

#: Credentials that get tweeted, and carts that get swapped; both, each alone and twice at once.
STORIES: Final = """
(import klorpy [pure])
(defn [pure] post [tweet creds] [tweet creds])

(defchor router [Cs Ks Router Worker] (-> Cs Ks [Worker Worker]) [tweet creds]
  (let [t (Cs->Router tweet)
        c (Ks->Router creds)
        mine (Router->Worker t)
        yours (Router->Worker c)]
    (pack mine yours)))

(defchor posting [Cs Ks Router Worker] (-> Cs Ks Worker) [tweet creds]
  (unpack [[t c] (router [Cs Ks Router Worker] tweet creds)] (Worker (post t c))))

(defchor routers [Cs Ks Router Worker] (-> Cs Ks Cs Ks [[Worker Worker] [Worker Worker]]) [t1 c1 t2 c2]
  (let [a (router [Cs Ks Router Worker] t1 c1)
        b (router [Cs Ks Router Worker] t2 c2)]
    (pack a b)))

(defn [pure] total [user] (get {"dan" 1000 "marco" 5} user))
(defn [pure] to-usd [amount] (get {1000 1000 5 6} amount))
(defn [pure] charge [user usd] [user usd])

(defchor checkout [Billing Cart Fx] (-> Billing Billing) [user]
  (let [u (Billing->Cart user)
        amount (Cart->Fx (Cart (total u)))
        usd (Fx->Billing (Fx (to-usd amount)))]
    (Billing (charge user usd))))

(defchor two-carts [Billing Cart1 Cart2 Fx] (-> Billing Billing [Billing Billing]) [dan marco]
  (let [a (checkout [Billing Cart2 Fx] dan)
        b (checkout [Billing Cart1 Fx] marco)]
    (pack a b)))

(defchor one-cart [Billing Cart Fx] (-> Billing Billing [Billing Billing]) [dan marco]
  (let [a (checkout [Billing Cart Fx] dan)
        b (checkout [Billing Cart Fx] marco)]
    (pack a b)))

(defchor buy-item [Seller Buyer] (-> Buyer Buyer) [id] (Seller->Buyer (Buyer->Seller id)))

(defchor buyers [Seller Buyer1 Buyer2] (-> Buyer1 Buyer2 [Buyer1 Buyer2]) [x y]
  (pack (buy-item [Seller Buyer1] x) (buy-item [Seller Buyer2] y)))

(defchor stream [P C] (-> #{P C} C) [n]
  (if (> n 0) (do (P->C (P (+ n 0))) (stream [P C] (- n 1))) (C "done")))
"""


@functools.cache
def stories() -> Any:
    return klorpy.evaluate(STORIES)


#: Each story with its arguments.
ARGUMENTS: Final[dict[str, tuple[Any, ...]]] = {
    "router": ("T", "C"),
    "posting": ("T", "C"),
    "routers": ("T1", "C1", "T2", "C2"),
    "two_carts": ("dan", "marco"),
    "one_cart": ("dan", "marco"),
    "buyers": ("x", "y"),
}
