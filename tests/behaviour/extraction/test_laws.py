"""Every run of a generated program is a path of its protocol, role by role."""

from __future__ import annotations

from collections import Counter

import pytest

import klorpy
from klorpy.behaviour import automaton, local_types
from klorpy.testing import program_of
from klorpy.testing.extraction_laws import extracted, recorded, walks


@pytest.mark.parametrize("seeds", [range(start, start + 25) for start in range(5000, 5075, 25)], ids=str)
def test_runs_are_paths_of_the_protocol(seeds: range) -> None:
    found: Counter[str] = Counter()
    for seed in seeds:
        program = program_of(seed)
        try:
            found[extracted(program)] += 1
        except AssertionError as error:
            error.add_note(f"program_of({seed}):\n{program.text}\nwith {program.args!r}")
            raise
    # Most programs have one, else the test would hold of anything.
    assert found["checked"] > len(seeds) / 2


def test_what_is_no_path_is_seen() -> None:
    """The check of the law above can fail: one message too few, one too many, another label."""
    ns = klorpy.evaluate("(defchor main [A B] (-> A B) [x] (if (A=>B x) (A->B x) (B 1)))")
    steps = recorded(ns.main, [[1], []])
    parts = {role: automaton(part) for role, part in local_types(klorpy.protocol_of(ns.main)).items()}
    assert steps["A"] == [("B", True, 1), ("B", True, 1)]
    for role, done in steps.items():
        assert walks(parts[role], done)
        assert not walks(parts[role], done[:-1])
        assert not walks(parts[role], [*done, done[-1]])
        assert not walks(parts[role], [(done[0][0], done[0][1], 0), *done[1:]])
