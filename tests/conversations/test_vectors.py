"""The vectors of the kernel: scripts with every event that they cause, in order."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from klorpy.testing.vectors import run_conversation

PATH = Path(__file__).parents[1] / "vectors" / "conversations.json"
VECTORS: list[dict[str, Any]] = json.loads(PATH.read_text(encoding="utf-8"))["vectors"]

DIGEST = f"""
import hashlib, json, sys
from klorpy.testing.vectors import run_conversation
vectors = json.load(open({str(PATH)!r}, encoding="utf-8"))["vectors"]
print(hashlib.sha256(json.dumps([run_conversation(v) for v in vectors]).encode()).hexdigest())
"""


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: f"{vector['id']} {vector['title']}")
def test_vector(vector: dict[str, Any]) -> None:
    # As JSON, so that 1 and true differ.
    assert json.dumps(run_conversation(vector)) == json.dumps(vector["expect"])


def test_the_log_is_the_same_under_any_hash_seed() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", DIGEST], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("0", "1", "4242")
    }  # fmt: skip
    assert len(digests) == 1


def test_a_boot_that_raises_is_there_only_to_end() -> None:
    vector = {
        "programs": {"bad": {"raise": ["error", "no"]}},
        "script": [{"p": "W", "do": [["add", "w", "sub", ["svc"], "observer"]]},
                   {"p": "P", "do": [["spawn", "bad", {"as": "B", "endpoints": [["s", "pub", ["svc"], "participant"]]}]]}],
    }  # fmt: skip
    assert run_conversation(vector)[1] == [["P", "exit", "gc"], ["B", "exit", ["error", "no"]]]


def test_endpoints_of_a_spawn_are_there_before_the_next_action() -> None:
    """Handing over a task without a gap: the new one is seen before the old one goes."""
    vector = {
        "programs": {"kid": {"init": []}},
        "script": [
            {"p": "C", "do": [["add", "c", "sub", ["svc"], "participant"]]},
            {"p": "M", "do": [["add", "m", "pub", ["svc"], "participant"], ["add", "k", "pub", ["z"], "participant"]]},
            {"p": "M", "do": [["spawn", "kid", {"endpoints": [["m", "pub", ["svc"], "participant"]]}], ["delete", "m", "moved"]]},
        ],
    }  # fmt: skip
    assert [[event[0], event[2]] for event in run_conversation(vector)[2]] == [
        ["C", "+"], ["kid", "+"], ["C", "-"], ["M", "-"],
    ]  # fmt: skip


def test_a_different_role_of_a_known_name_ends_the_process() -> None:
    vector = {"script": [{"p": "A", "do": [["add", "e", "sub", ["t"], "participant"]]},
                         {"p": "A", "do": [["add", "e", "sub", ["t"], "observer"], ["send", ["after"]]]}]}  # fmt: skip
    assert run_conversation(vector)[1] == [["A", "exit", ["role-mismatch", "e"]]]


def test_there_is_no_meta_level_at_ground() -> None:
    vector = {"script": [{"p": "A", "do": [["meta", ["send", ["x"]]]]}]}
    assert run_conversation(vector) == [[["A", "exit", ["no-meta-level"]]]]


def test_replace_tells_the_difference_presences_first() -> None:
    vector = {
        "script": [
            {"p": "A", "do": [["add", "s", "sub", ["room", 1], "participant"]]},
            {"p": "B", "do": [["add", "s", "sub", ["room", 2], "participant"]]},
            {"p": "C", "do": [["add", "s", "sub", ["room", "_"], "participant"]]},
            {"p": "P", "do": [["add", "p", "pub", ["room", 1], "participant"]]},
            {"p": "P", "do": [["replace", "p", ["room", 2]]]},
            {"p": "P", "do": [["replace", "p", ["room", 2]], ["replace", "unknown", ["room", 2]]]},
        ]
    }
    *_, changed, unchanged = run_conversation(vector)
    assert [(event[0], event[2], event[3][1]) for event in changed] == [
        ("B", "+", ["room", 2]), ("P", "+", ["room", 2]), ("C", "+", ["room", 2]), ("P", "+", ["room", 2]),
        ("A", "-", ["room", 1]), ("P", "-", ["room", 1]), ("C", "-", ["room", 1]), ("P", "-", ["room", 1]),
    ]  # fmt: skip
    assert {event[4] for event in changed if event[2] == "-"} == {"replaced"}
    assert unchanged == []
