"""Two interpreters agree about random scripts, nested VMs included."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from klorpy.testing.vectors import run_conversation
from tests.conversations import reference, scripts


def meta_actions() -> st.SearchStrategy[Any]:
    inner = st.one_of(
        scripts.adds(),
        scripts.adds(),
        scripts.simple_actions().filter(lambda action: action[0] in ("send", "feedback", "delete")),
    )
    return inner.map(lambda action: ["meta", action])


def vm_steps() -> st.SearchStrategy[Any]:
    body = st.lists(st.one_of(scripts.actions(), meta_actions(), meta_actions()), min_size=1, max_size=5)
    nested = st.tuples(st.just("vm"), st.sampled_from(["W", "X"]), body).map(list)
    return st.fixed_dictionaries(
        {
            "vm": st.sampled_from(["V", "U"]),
            "do": st.lists(st.one_of(scripts.actions(), meta_actions(), nested), min_size=1, max_size=5),
        },
        optional={"hold": st.booleans()},
    )


def vectors() -> st.SearchStrategy[Any]:
    steps = st.lists(st.one_of(scripts.steps(), scripts.steps(), vm_steps()), min_size=1, max_size=8)
    return steps.map(lambda script: {"programs": scripts.PROGRAMS, "script": script})


@given(vectors())
@scripts.examples(300)
def test_the_kernel_does_what_the_header_says(vector: Any) -> None:
    assert json.dumps(run_conversation(vector)) == json.dumps(reference.run(vector))


def test_the_second_interpreter_passes_the_vectors_without_variables() -> None:
    from tests.conversations.test_vectors import VECTORS

    plain = [
        v
        for v in VECTORS
        if "$" not in json.dumps(v["script"]) + json.dumps(v.get("programs", {})) and '"match"' not in json.dumps(v)
    ]
    plain = [v for v in plain if not any(key in json.dumps(v["script"]) for key in ('"from"', '"peer"', '"interest"'))]
    assert len(plain) > 15
    for vector in plain:
        assert json.dumps(reference.run(vector)) == json.dumps(vector["expect"]), vector["id"]
