"""The theorems about sessions and merging, as properties of generated choreographies and types. One test a theorem.

Seeds are fixed. `fuzz_merging.py` beside this file tests the same laws on as many more as wanted.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from klorpy.behaviour import Chor, LocalType, merge, parse_gc, parse_protocols
from klorpy.behaviour.behaviours import session_type
from klorpy.behaviour.globalcalculus import Com, Rec, bodies, interactions
from klorpy.behaviour.globaltype import GlobalType
from klorpy.behaviour.inference import extract_tree
from klorpy.behaviour.merge import merged_body
from klorpy.behaviour.reduction import erase, out_of_order
from klorpy.testing import session_laws as laws
from klorpy.testing.sessions import ROLES, SessionProgram, global_type, session_program_of
from klorpy.testing.strategies import global_types, session_programs
from tests.behaviour import worked

CHUNK = 100


def programs(seeds: range) -> Iterator[tuple[int, SessionProgram]]:
    """Those of the seeds that have an interaction: only they can be merged."""
    for seed in seeds:
        program = session_program_of(seed)
        if any(type(step).__name__ != "Start" for step in interactions(program.chor)):
            yield seed, program


def holds(law: Callable[[SessionProgram], object], seeds: range) -> Counter[object]:
    answers: Counter[object] = Counter()
    for seed, program in programs(seeds):
        try:
            answers[law(program)] += 1
        except AssertionError as error:
            error.add_note(f"session_program_of({seed}):\n{program.text}")
            raise
    return answers


def chunks(first: int, count: int) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "seeds", [range(start, start + CHUNK) for start in range(first, first + count, CHUNK)], ids=str
    )


@chunks(0, 500)
def test_a_choreography_and_its_merge_do_the_same_in_order(seeds: range) -> None:
    holds(laws.correct, seeds)


@chunks(1_000, 200)
def test_what_a_choreography_can_do_out_of_order_its_merge_can_do(seeds: range) -> None:
    holds(laws.complete_out_of_order, seeds)


@chunks(12_000, 200)
def test_a_run_of_a_merge_with_swaps_is_one_in_order_up_to_swaps(seeds: range) -> None:
    assert holds(lambda program: laws.swaps_to_in_order(program, random.Random(program.text)), seeds)["alike"] > 50


def test_out_of_order_a_merge_can_do_more() -> None:
    """A start orders what its threads do; without it, u's invitation does not keep v waiting."""
    chor = parse_gc("""(start a k (t P) (u Q)) (com k (t P) 1 (u Q) x)
                       (start b h (u P) (v Q) (w S)) (com h (v Q) 2 (w S) y)""")
    [(_, started)] = out_of_order(chor)
    assert [erase(act)[1:] for act, _ in out_of_order(started)] == [("t", parse_gc("(com k (t P) 1 (u Q) x)").steps[0].expr, "u", "x")]  # type: ignore[union-attr]
    assert len(out_of_order(merged_body(chor, "m"))) == 2


@chunks(2_000, 500)
def test_the_merge_is_typed_by_a_type_in_the_mesh(seeds: range) -> None:
    answers = holds(laws.typed, seeds)
    assert answers["yes"] >= 90


@chunks(2_000, 200)
def test_the_mesh_rejects_types_that_were_changed(seeds: range) -> None:
    answers = holds(lambda program: laws.mesh_rejects(program, random.Random(program.text)), seeds)
    assert answers["no"] > 40
    assert answers["yes"] > 5


@chunks(3_000, 200)
def test_a_step_of_a_typed_choreography_leaves_it_typed(seeds: range) -> None:
    holds(laws.reduces, seeds)


@chunks(4_000, 300)
def test_merging_a_merge_changes_nothing(seeds: range) -> None:
    holds(laws.idempotent, seeds)


@chunks(5_000, 300)
def test_merging_keeps_every_interaction_but_starts(seeds: range) -> None:
    holds(laws.preserved, seeds)


@chunks(6_000, 300)
def test_a_session_uses_labels_of_its_protocol(seeds: range) -> None:
    holds(laws.uses_fewer_labels, seeds)


@chunks(7_000, 300)
def test_the_protocol_of_the_projection_is_the_projection_of_the_protocol(seeds: range) -> None:
    assert holds(laws.projections_agree, seeds)["projectable"] > 40


@chunks(8_000, 200)
def test_notification_makes_merges_projectable(seeds: range) -> None:
    answers = holds(laws.notified, seeds)
    assert answers["projectable"] > 20
    assert answers["not projectable"] < 5


@chunks(9_000, 300)
def test_a_merge_runs_like_the_choreography(seeds: range) -> None:
    assert holds(laws.runs_alike, seeds)["alike"] > 30


@chunks(10_000, 200)
def test_the_type_of_a_merge_is_that_of_its_session(seeds: range) -> None:
    holds(laws.extracts, seeds)


@chunks(11_000, 200)
def test_choreographies_are_read_back(seeds: range) -> None:
    holds(laws.chor_reads_back, seeds)


def test_types_are_read_back() -> None:
    for seed in range(500):
        laws.reads_back(global_type(random.Random(seed), size=9))


def test_full_merging_finds_what_plain_merging_finds_and_more() -> None:
    found: Counter[str] = Counter()
    for seed in range(500):
        found += laws.full_extends_plain(global_type(random.Random(seed), size=9), ROLES[:3])
    assert found["both"] > 500
    assert found["neither"] > 100
    assert found["full"] > 0


def test_local_types_fit_together() -> None:
    """What full merging finds is right: the local types of a protocol neither deadlock nor mismatch, whatever the schedule."""
    found: Counter[str] = Counter()
    for seed in range(500):
        source = random.Random(seed)
        roles = ROLES[: source.randint(2, 4)]
        found[laws.projections_fit(global_type(source, roles, source.randint(3, 10)), roles, source)] += 1
    assert found["done"] > 250


@settings(max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(session_programs())
def test_merging_shrunk(program: SessionProgram) -> None:
    """The same theorems, with choreographies that Hypothesis makes as small as it can when they fail."""
    if any(type(step).__name__ != "Start" for step in interactions(program.chor)):
        for law in (laws.correct, laws.typed, laws.preserved, laws.runs_alike):
            law(program)


@settings(max_examples=100, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(global_types())
def test_types_shrunk(type_: GlobalType) -> None:
    """What holds of types, with types that Hypothesis makes as small as it can when they fail."""
    laws.reads_back(type_)
    laws.full_extends_plain(type_, ROLES[:3])


def test_what_is_generated() -> None:
    """The sample has all that merging is about: several sessions, some open at once; conditionals; starts under loops."""
    found: Counter[str] = Counter()
    for _, program in programs(range(300)):
        starts = [step for step in interactions(program.chor) if type(step).__name__ == "Start"]
        found["several starts"] += len(starts) > 1
        loops = [body.last for body in bodies(program.chor) if isinstance(body.last, Rec)]
        found["conditionals"] += any(type(body.last).__name__ == "Cond" for body in bodies(program.chor))
        found["starts in loops"] += any(type(s).__name__ == "Start" for loop in loops for s in interactions(loop.body))
        found["open at once"] += laws.merged(program).typing.open_sessions > 1
    assert found["several starts"] > 200
    assert found["conditionals"] > 100
    assert found["starts in loops"] > 40
    assert found["open at once"] > 150


@pytest.mark.parametrize("text", [worked.W0, worked.W0_STOPS, worked.W1, worked.W2, worked.W3, worked.W5, worked.W7])
def test_the_laws_hold_of_the_worked_cases(text: str) -> None:
    program = SessionProgram(worked.chor(text), worked.CHANNELS)
    for law in (laws.correct, laws.complete_out_of_order, laws.idempotent, laws.preserved, laws.projections_agree):
        law(program)


def test_the_laws_notice_what_is_wrong() -> None:
    """A law that holds of anything says nothing: here a merge forgets an interaction."""
    protocols = parse_protocols("(defprotocol One [A B] (-> A B int))")
    program = SessionProgram(parse_gc("(start a k (t A) (u B)) (com k (t A) 1 (u B) x)"), {"a": protocols["One"]})
    other = merge(parse_gc("(start a k (v A) (u B)) (com k (v A) 1 (u B) x)"), {"a": protocols["One"]})
    before = laws.merged
    laws.merged = lambda _: other  # type: ignore[assignment]
    try:
        with pytest.raises(AssertionError):
            laws.preserved(program)
    finally:
        laws.merged = before


def turned(chor: Chor, session: str) -> Chor:
    """A wrong merge: the first message goes the other way."""
    merged = merged_body(chor, session)
    for at, step in enumerate(merged.steps):
        if isinstance(step, Com):
            back = replace(step, sender=step.receiver, receiver=step.sender)
            return replace(merged, steps=(*merged.steps[:at], back, *merged.steps[at + 1 :]))
    return merged


@pytest.mark.parametrize(
    ("law", "rule", "wrong"),
    [
        (laws.correct, "merged_body", turned),
        (laws.complete_out_of_order, "merged_body", turned),
        (laws.projections_agree, "session_type", lambda behaviour, session: LocalType(session_type(behaviour, session).actions[1:])),
        (laws.extracts, "extract_tree", lambda chor, session: extract_tree(Chor(chor.steps[1:], chor.last), session)),
    ],
    ids=["correct", "complete", "projection", "extraction"],
)  # fmt: skip
def test_each_law_notices_a_rule_that_is_wrong(
    law: Callable[[SessionProgram], object], rule: str, wrong: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(laws, rule, wrong)
    with pytest.raises(AssertionError):
        holds(law, range(100))
