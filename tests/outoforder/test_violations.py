"""What each part of a key prevents: the numbers of schedules, and of those that bind something wrongly."""

from __future__ import annotations

import math
from typing import Any

import pytest

import klorpy
from klorpy import count_violations
from tests.outoforder.programs import ARGUMENTS, stories

MODES = ("none", "line", "token", "both")


def counts(name: str, links: str, *args: Any, **options: Any) -> list[str]:
    found = [
        count_violations(getattr(stories(), name), *(args or ARGUMENTS[name]), integrity=mode, links=links, **options)
        for mode in MODES
    ]
    assert all(each.complete for each in found)
    return [str(each) for each in found]


@pytest.mark.parametrize(
    ("name", "links", "want"),
    [
        ("router", "fifo", "2/4 0/4 2/4 0/4"),
        ("router", "unordered", "3/6 0/6 3/6 0/6"),
        ("posting", "unordered", "3/6 0/6 3/6 0/6"),
        ("two_carts", "fifo", "7/14 7/14 0/14 0/14"),
        ("two_carts", "unordered", "10/20 10/20 0/20 0/20"),
        ("one_cart", "fifo", "0/5 0/5 0/5 0/5"),
        ("one_cart", "unordered", "10/20 10/20 0/20 0/20"),
        ("routers", "fifo", "70/84 0/84 56/84 0/84"),
        ("routers", "unordered", "2415/2520 1890/2520 1890/2520 0/2520"),
        ("buyers", "fifo", "0/6 0/6 0/6 0/6"),
        ("buyers", "unordered", "0/6 0/6 0/6 0/6"),
    ],
)
def test_orders_of_delivery(name: str, links: str, want: str) -> None:
    """Each role takes its steps in program order until it can take no more, before anything is delivered."""
    assert counts(name, links) == want.split()


@pytest.mark.parametrize(
    ("name", "links", "want"),
    [
        ("router", "fifo", "25/50 0/50 25/50 0/50"),
        ("router", "unordered", "35/70 0/70 35/70 0/70"),
        ("two_carts", "fifo", "19162/38324 19162/38324 0/38324 0/38324"),
        ("two_carts", "unordered", "24310/48620 24310/48620 0/48620 0/48620"),
        ("one_cart", "fifo", "11713/23426 11713/23426 0/23426 0/23426"),
        ("one_cart", "unordered", "24310/48620 24310/48620 0/48620 0/48620"),
        ("routers", "fifo", "5763778/6022344 4516758/6022344 4564332/6022344 0/6022344"),
        ("routers", "unordered", "60435375/63063000 47297250/63063000 47297250/63063000 0/63063000"),
    ],
)
def test_orders_of_delivery_and_of_local_steps(name: str, links: str, want: str) -> None:
    """Sends and computations of one role are permuted too."""
    assert counts(name, links, permute_local=True) == want.split()


@pytest.mark.parametrize(
    ("name", "links", "want"),
    [
        ("two_carts", "fifo", "0/1 0/1 0/1 0/1"),
        ("one_cart", "fifo", "0/1 0/1 0/1 0/1"),
        ("router", "fifo", "0/2 0/2 0/2 0/2"),
        ("routers", "fifo", "0/30 0/30 0/30 0/30"),
        ("router", "unordered", "2/4 0/4 2/4 0/4"),
        ("routers", "unordered", "1222/1280 960/1280 636/848 0/848"),
    ],
)
def test_roles_in_program_order_need_links_in_order_or_keys(name: str, links: str, want: str) -> None:
    assert counts(name, links, order="program") == want.split()


@pytest.mark.parametrize("n", [2, 3, 4])
def test_a_stream_over_a_link_without_order(n: int) -> None:
    orders = math.factorial(n)
    want = [f"{orders - 1}/{orders}", f"{orders - 1}/{orders}", f"0/{orders}", f"0/{orders}"]
    assert counts("stream", "unordered", n) == want


def test_functions_with_effects_are_counted_alike() -> None:
    ns = klorpy.evaluate(
        """(defn total [user] user) (defn charge [user usd] [user usd])
           (defchor checkout [Billing Cart Fx] (-> Billing Billing) [user]
             (let [u (Billing->Cart user) a (Cart->Fx (Cart (total u))) usd (Fx->Billing (Fx (total a)))]
               (Billing (charge user usd))))
           (defchor twice [Billing Cart Fx] (-> Billing Billing [Billing Billing]) [x y]
             (pack (checkout [Billing Cart Fx] x) (checkout [Billing Cart Fx] y)))"""
    )
    found = [count_violations(ns.twice, "dan", "marco", integrity=mode) for mode in MODES]
    assert [str(each) for each in found] == ["10/20", "10/20", "0/20", "0/20"]
    # Carts that are swapped twice come out right, but messages did meet receives of the other.
    assert [each.misbound for each in found] == [15, 15, 0, 0]


def test_an_example_shows_what_went_wrong() -> None:
    found = count_violations(stories().posting, "T", "C", integrity="none", links="fifo")
    assert found
    assert found.example is not None
    assert found.example["Worker"] == ["C", "T"]
    assert found.example.channel("Router", "Worker") == ["C", "T"]
    assert count_violations(stories().posting, "T", "C").example is None


def test_too_many_schedules_are_sampled() -> None:
    found = count_violations(stories().routers, *ARGUMENTS["routers"], integrity="none", runs=50)
    assert not found.complete
    assert found.schedules == 50
    assert 40 < found.violations <= 50
    assert found == count_violations(stories().routers, *ARGUMENTS["routers"], integrity="none", runs=50)


@pytest.mark.parametrize(
    "wrong", [{"integrity": "some"}, {"links": "lossy"}, {"order": "any"}, {"runs": 0}, {"runs": True}]
)
def test_wrong_arguments_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(klorpy.KlorError) as caught:
        count_violations(stories().router, "T", "C", **wrong)
    assert caught.value.slug == "bad-argument"
