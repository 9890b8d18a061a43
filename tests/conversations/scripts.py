"""Random scripts for the kernel, in the format of the vectors."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st


def examples(count: int) -> settings:
    """So many examples, the same every time; with KLORPY_FUZZ=N in the environment N times as many, and others."""
    factor = int(os.environ.get("KLORPY_FUZZ", "1"))
    return settings(max_examples=count * factor, derandomize=factor == 1, deadline=None)


NAMES = ["A", "B", "C", "D"]
ENDPOINTS = ["e", "f", "g"]
TOPICS: list[Any] = [
    ["t", 1],
    ["t", True],
    ["t", "_"],
    ["t", None],
    ["u", "_"],
    ["_", 1],
    "_",
    ["n", ["_", 2]],
    ["n", "_"],
]
BODIES: list[Any] = [["t", 1], ["t", True], ["t", None], ["u", 1], ["u", "x"], ["n", [1, 2]], "lone"]
INTERESTS = ["participant", "participant", "observer", "everything"]
ORIENTATIONS = ["pub", "sub"]

topics = st.sampled_from(TOPICS)
endpoints = st.sampled_from(ENDPOINTS)
orientations = st.sampled_from(ORIENTATIONS)


def simple_actions() -> st.SearchStrategy[Any]:
    """Actions that have no actions inside."""
    return st.one_of(
        st.tuples(st.just("add"), endpoints, orientations, topics, st.sampled_from(INTERESTS)),
        st.tuples(st.just("delete"), endpoints, st.sampled_from(["bye", None])),
        st.tuples(st.just("replace"), endpoints, topics),
        st.tuples(st.just("send"), st.sampled_from(BODIES)),
        st.tuples(st.just("feedback"), st.sampled_from(BODIES)),
        st.tuples(st.just("query"), orientations, topics),
    ).map(list)


def rules(crashes: bool = True) -> st.SearchStrategy[Any]:
    """Rules that react a bounded number of times: each needs a state that the one before set."""
    step = st.fixed_dictionaries(
        {"on": st.sampled_from(["+", "-", "!"]), "do": st.lists(simple_actions(), max_size=2)},
        optional={"raise": st.just("boom")} if crashes else {},
    )
    return st.lists(step, max_size=2).map(
        lambda steps: [{**rule, "if": n or None, "set": n + 1} for n, rule in enumerate(steps)]
    )


def adds(crashes: bool = True) -> st.SearchStrategy[Any]:
    return st.tuples(st.just("add"), endpoints, orientations, topics, st.sampled_from(INTERESTS), rules(crashes)).map(
        list
    )


def actions(crashes: bool = True, exits: bool = True) -> st.SearchStrategy[Any]:
    choices = [
        adds(crashes), adds(crashes), simple_actions(), simple_actions(),
        st.lists(simple_actions(), max_size=2).map(lambda inner: ["yield", inner]),
        st.tuples(st.just("spawn"), st.sampled_from(["kid", "bad"] if crashes else ["kid"]), st.fixed_dictionaries(
            {"as": st.sampled_from(["K", "L"])},
            optional={"endpoints": st.lists(adds(crashes).map(lambda add: add[1:]), max_size=2, unique_by=lambda e: e[0]),
                      "then": st.lists(simple_actions(), max_size=1)},
        )).map(list),
    ]  # fmt: skip
    if exits:
        choices.append(st.sampled_from(["off", None]).map(lambda reason: ["quit", reason]))
        choices.append(st.sampled_from([*NAMES, "K", "nobody"]).map(lambda name: ["kill", name, "shot"]))
    return st.one_of(*choices)


def steps(crashes: bool = True, exits: bool = True) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(
        {"p": st.sampled_from(NAMES), "do": st.lists(actions(crashes, exits), min_size=1, max_size=4)},
        optional={"hold": st.booleans()},
    )


PROGRAMS = {
    "kid": {"init": [["add", "k", "pub", ["t", "_"], "participant"], ["send", ["t", 1]]]},
    "bad": {"raise": "boot"},
}


def vectors(crashes: bool = True, exits: bool = True, size: int = 8) -> st.SearchStrategy[Any]:
    return st.lists(steps(crashes, exits), min_size=1, max_size=size).map(
        lambda script: {"programs": PROGRAMS, "script": script}
    )
