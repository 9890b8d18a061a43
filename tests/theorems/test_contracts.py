"""The theorems about the calculus and about contracts, as properties of generated terms. One test a theorem.

Seeds are fixed. `fuzz_contracts.py` beside this file runs the same laws on as many more as wanted.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from klorpy.behaviour import conditions, refine
from klorpy.behaviour.branches import Branches
from klorpy.behaviour.conditions import Checker
from tests.theorems.calculus import LAWS
from tests.theorems.fuzz_contracts import main

#: How many seeds for each law, and how often it has to have something to say.
SAMPLES = {
    "reads_back": (500, {"holds": 500}),
    "finite": (500, {"holds": 500}),
    "well_formed_is_right": (600, {"accepted": 250, "refused": 150}),
    "wide_is_nested": (300, {"names": 150, "others": 20}),
    "lattice": (600, {"sr": 200, "less": 150}),
    "outputs_persist": (500, {"pending": 250}),
    "well_formed_is_compliant": (500, {"accepted": 200}),
    "agrees_with_the_definitions": (1000, {"compliant": 250, "not compliant": 250}),
    "proofs_are_right": (500, {"proof": 100, "closer proof": 3, "no proof": 100}),
    "proofs_compose": (1000, {"proof": 80}),
    "refinement_is_independent": (400, {"strict": 150, "proved": 20}),
    "updates_are_right": (1500, {"accepted": 150, "accepted with a barrier": 50, "refused": 200}),
}


def tried(name: str, seeds: range) -> Counter[str]:
    words: Counter[str] = Counter()
    for seed in seeds:
        try:
            words[LAWS[name](random.Random(seed))] += 1
        except AssertionError as error:
            error.add_note(f"LAWS[{name!r}](random.Random({seed}))")
            raise
    return words


@pytest.mark.parametrize("name", LAWS)
def test_law(name: str) -> None:
    """Each law holds, and has enough to say: a law whose premise never holds proves nothing."""
    count, wanted = SAMPLES[name]
    words = tried(name, range(count))
    for word, least in wanted.items():
        assert words[word] >= least, words


def broken(name: str, count: int) -> bool:
    """Whether some seed breaks a law."""
    try:
        tried(name, range(count))
    except AssertionError:
        return True
    return False


def ignore(*arguments: Any) -> None:
    """Notice nothing."""


@pytest.mark.parametrize(
    "part", ["sequence", "choice", "loop", "branches", "rounds", "names", "causality", "report_dead_end", "same_roles"]
)
def test_the_laws_notice_a_lost_condition(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one family of conditions, some choreography that is accepted differs from its projection."""
    monkeypatch.setattr(Checker, part, ignore)
    assert broken("well_formed_is_right", 4000)


def test_the_laws_notice_a_connection_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "rounds_connected", lambda *arguments: True)
    assert broken("well_formed_is_right", 4000)


def test_the_laws_notice_a_lost_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the game of tests, some proof is refuted by a partner."""
    monkeypatch.setattr(refine.Check, "distinguishes", lambda self, starts: False)
    assert broken("proofs_are_right", 500)
    assert broken("refinement_is_independent", 500)


@pytest.mark.parametrize("part", ["sent", "reached"])
def test_the_laws_notice_partners_that_are_thought_away(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If partners are taken to do less than they do, some proof is refuted by one of them."""
    monkeypatch.setattr(refine.Check, part, lambda *arguments: False)
    assert broken("proofs_are_right", 500)


def test_the_laws_notice_a_branch_that_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Branches, "received_behind", ignore)
    assert broken("wide_is_nested", 200)


def test_the_script_counts_and_tells_failures(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--terms", "3", "--jobs", "1", "--law", "finite", "--law", "reads_back"]) == 0
    assert "2 laws, 3 seeds each, 0 failures" in capsys.readouterr().out
    monkeypatch.setitem(LAWS, "finite", lambda source: 1 // 0)
    assert main(["--only", "7", "--jobs", "1", "--law", "finite"]) == 1
    assert "finite fails for seed 7: ZeroDivisionError" in capsys.readouterr().out
