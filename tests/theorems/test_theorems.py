"""The theorems about well-typed choreographies, as properties of generated programs. One test a theorem.

Seeds are fixed: each test has its own range. `fuzz.py` beside this file runs the same laws on as many more as wanted.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import klorpy
from klorpy.core.endpoint import Operand, Statement
from klorpy.core.types import parse_signature
from klorpy.language.project import Projector
from klorpy.language.typecheck import Checker
from klorpy.language.typed import Typed
from klorpy.simulator import scheduler
from klorpy.testing import FORMS, Program, evaluate, forms_of, generate, laws, mutate, program_of
from klorpy.testing.generators import Generator
from klorpy.testing.strategies import programs
from klorpy.testing.terms import Region

#: Programs that are judged together: enough to be quick, few enough to see progress.
CHUNK = 50


def chunks(first: int, count: int) -> list[range]:
    return [range(start, min(start + CHUNK, first + count)) for start in range(first, first + count, CHUNK)]


def seeded(seeds: range, size: int | None = None) -> list[tuple[int, Program]]:
    return [(seed, program_of(seed, size)) for seed in seeds]


def note(seed: int, program: Program) -> str:
    """What an AssertionError is told of the program that breaks a law."""
    return f"program_of({seed}):\n{program.text}\nwith {program.args!r}"


@pytest.mark.parametrize("seeds", chunks(0, 700), ids=str)
def test_roles_compute_what_the_centralised_evaluator_computes_without_deadlock_or_mismatch(seeds: range) -> None:
    """What type-checks neither deadlocks nor mismatches a message, whatever the schedule, and every role has the results,
    the outputs and the messages of each channel that the centralised reading of the choreography has.
    """
    for seed, program in seeded(seeds):
        try:
            laws.agrees(program, (0, seed + 1))
        except AssertionError as error:
            error.add_note(note(seed, program))
            raise


@settings(max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(programs())
def test_roles_compute_what_the_centralised_evaluator_computes_shrunk(program: Program) -> None:
    """The same theorem, with programs that Hypothesis makes as small as it can when they fail."""
    try:
        laws.agrees(program)
    except AssertionError as error:
        error.add_note(f"{program.text}\nwith {program.args!r}")
        raise


@pytest.mark.parametrize("seeds", chunks(10_000, 100), ids=str)
def test_no_schedule_differs(seeds: range) -> None:
    """All schedules of a well-typed choreography end, and do the same at every role and on every channel."""
    for seed, program in seeded(seeds, 6):
        try:
            laws.explored(program, 30)
        except AssertionError as error:
            error.add_note(note(seed, program))
            raise


@pytest.mark.parametrize("seeds", chunks(20_000, 150), ids=str)
def test_verification_adds_only_the_specified_messages(seeds: range) -> None:
    """With verification of agreements, results are equal, and the messages are those without it and n(n-1) more for each
    check of n roles, or 2(n-1) where one of them collects.
    """
    for seed, program in seeded(seeds):
        try:
            laws.verified(program, random.Random(seed))
        except AssertionError as error:
            error.add_note(note(seed, program))
            raise


@pytest.mark.parametrize("seeds", chunks(30_000, 100), ids=str)
def test_playing_over_memory_gives_what_the_simulator_gives(seeds: range) -> None:
    """`play_role` for every role over the memory network has the same results and messages as the centralised reading,
    and so as the simulator.
    """
    for seed, program in seeded(seeds):
        try:
            laws.played(program)
        except AssertionError as error:
            error.add_note(note(seed, program))
            raise


@pytest.mark.parametrize("seeds", chunks(40_000, 50), ids=str)
def test_equal_seeds_give_equal_traces(seeds: range) -> None:
    """Two simulations with equal seeds have equal events in equal order."""
    for seed, program in seeded(seeds):
        try:
            laws.repeats(program, seed)
        except AssertionError as error:
            error.add_note(note(seed, program))
            raise


def test_equal_seeds_give_equal_traces_when_host_code_awaits() -> None:
    """The same where several roles wait for host code at the same time: who is done first does not show."""
    module = laws.namespace("""
        (defchor main [A B C] (-> A B [C C]) [x y]
          (let [a (A (await (later x))) b (B (await (later y)))]
            (pack (A->C a) (B->C b))))""")
    for seed in range(3):
        traces = [list(map(str, klorpy.simulate_chor(module.main, 1, 2, seed=seed).events)) for _ in range(40)]
        assert all(trace == traces[0] for trace in traces)


@pytest.mark.parametrize("seeds", chunks(70_000, 150), ids=str)
def test_scopes_that_nobody_updates_do_what_their_bodies_do_in_their_place(seeds: range) -> None:
    """Results, outputs and the messages of each channel are those of the program without its scopes, but for what is said at
    their entries and barriers; and all entries of a scope are into one version.
    """
    scopes = 0
    for seed in seeds:
        program = program_of(seed, scopes=True)
        scopes += sum(isinstance(term, Region) for term in program.terms())
        try:
            laws.inlines(program, (0, seed + 1))
        except AssertionError as error:
            error.add_note(note(seed, program))
            raise
    assert scopes > 50


@pytest.mark.parametrize("seeds", chunks(80_000, 50), ids=str)
def test_the_text_of_a_scope_is_a_definition_like_others(seeds: range) -> None:
    """Compiled by itself, the text of a scope gives what it gave in its place, and an update by it is the same version."""
    for seed in seeds:
        program = program_of(seed, 8, scopes=True)
        try:
            laws.stands_alone(program)
        except AssertionError as error:
            error.add_note(note(seed, program))
            raise


@pytest.mark.parametrize("seeds", chunks(50_000, 50), ids=str)
def test_projections_are_valid_python(seeds: range) -> None:
    """The text of every projection of every definition compiles as Python."""
    for seed, program in seeded(seeds, 8):
        try:
            laws.projects(program)
        except AssertionError as error:
            error.add_note(note(seed, program))
            raise


@pytest.mark.parametrize("seeds", chunks(60_000, 50), ids=str)
def test_definitions_have_the_signature_that_they_were_written_with(seeds: range) -> None:
    """The signature of a definition is the one that it was generated from, its auxiliary part inferred or not."""
    for seed, program in seeded(seeds, 6):
        try:
            laws.signed(program)
        except AssertionError as error:
            error.add_note(note(seed, program))
            raise


def test_parsing_inverts_rendering_of_types() -> None:
    """parse ∘ render is the identity on signatures, and `defchor` reads a rendered arrow as the arrow."""
    for seed in range(1000):
        generator = Generator(random.Random(seed))
        roles = tuple(generator.shuffled(("A", "B", "C", "D", "buyer-1", "Ä")))[: 1 + seed % 6]
        laws.reads_back(roles, generator.arrow(frozenset(roles), depth=3))


@pytest.mark.parametrize(
    "role", ["R", "r-1", "s?", "Ä", "a#", "a|b", "|a", "\u00a0", "a\u2003b", "\u2028", "a\x85", "a\x1c", "ﬁ", "λ", "class", "__x"]
)
def test_a_role_is_refused_or_keeps_its_name(role: str) -> None:
    """Whatever name a role has: it is refused with a KlorError, or the signature that is shown reads back and the
    choreography runs.
    """
    try:
        module = laws.namespace(f"(defchor f [{role} B] (-> {role} B) [x] ({role}->B x))")
    except klorpy.KlorError:
        return
    assert module.f.roles == (role, "B")
    assert parse_signature(klorpy.signature(module.f)) == module.f.signature
    assert klorpy.simulate_chor(module.f, 5).results == {role: klorpy.noop, "B": 5}


@pytest.mark.parametrize("seeds", chunks(70_000, 600), ids=str)
def test_mutations_raise_nothing_but_klor_errors_and_never_deadlock(seeds: range) -> None:
    """Checking and compiling raise nothing but KlorError, whatever the text; and a mutated program that is still accepted
    neither deadlocks nor mismatches a message.
    """
    for seed in seeds:
        source = random.Random(seed)
        program = without_mutable_values(source)
        for _ in range(3):
            text = mutate(source, program.text)
            try:
                laws.withstands(text, program.args)
            except BaseException as error:
                error.add_note(f"seed {seed}:\n{text}\nwith {program.args!r}")
                raise


def without_mutable_values(source: random.Random) -> Program:
    """A small program in which no host code changes a value: what roles share stays equal whatever mutation does."""
    while True:
        program = generate(source, 7)
        if "append" not in program.text:
            return program


def test_mutations_are_near_the_edge() -> None:
    """A good part of the mutations is accepted, and what is refused is refused for many reasons: else they test little."""
    verdicts: Counter[str] = Counter()
    source = random.Random(0)
    for _ in range(150):
        program = without_mutable_values(source)
        verdicts[laws.withstands(mutate(source, program.text), program.args)] += 1
    assert verdicts["done"] >= 10
    assert verdicts["refused"] >= 50


@settings(max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(st.text(alphabet="()[]{}#'`~@\"\\|:.,;AB->=x1 \n", max_size=40))
def test_arbitrary_text_raises_nothing_but_klor_errors(text: str) -> None:
    """Text of any kind in the place of a body is refused with a KlorError, or accepted."""
    laws.withstands(f"(defchor main [A B] (-> A B) [x] {text})", (1,), (0,))


def test_the_generator_makes_every_form() -> None:
    """Every form of the language occurs in the programs of a few seeds, with every operation and every pattern."""
    found: Counter[str] = Counter()
    for seed in range(2000):
        found.update(forms_of(program_of(seed)))
    assert set(found) == FORMS
    assert {name: count for name, count in found.items() if count < 5} == {}


def test_programs_are_reproducible_and_of_many_sizes() -> None:
    """A seed always means the same program; most are small, some are large, and roles communicate in most."""
    made = [program_of(seed) for seed in range(300)]
    assert [program_of(seed).text for seed in range(300)] == [program.text for program in made]
    sizes = sorted(len(program.text) for program in made)
    assert sizes[len(sizes) // 2] < 1500 < sizes[-1]
    outcomes = [evaluate(program) for program in made]
    assert sum(outcome.messages > 0 for outcome in outcomes) > 150
    assert sum(any(outcome.outputs.values()) for outcome in outcomes) > 60


def first_broken(law: Callable[[int], object], seeds: range) -> int | None:
    """The first seed for which a law does not hold."""
    for seed in seeds:
        try:
            law(seed)
        except AssertionError:
            return seed
    return None


def agrees(seed: int) -> None:
    laws.agrees(program_of(seed))


def withstands(seed: int) -> None:
    source = random.Random(seed)
    program = without_mutable_values(source)
    laws.withstands(mutate(source, program.text), program.args)


def test_the_laws_notice_a_lost_premise_of_knowledge_of_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the premise, some mutated program that is accepted deadlocks or mismatches."""
    monkeypatch.setattr(Checker, "_judge_choice", lambda *args: None)
    assert first_broken(withstands, range(500, 3000)) is not None


def test_the_laws_notice_a_wrong_order_of_operands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without saving what stands before a communication, some role does something else than it should."""

    def operands(self: Projector, nodes: tuple[Typed, ...], out: list[Statement]) -> list[Operand]:
        return [self._operand(node, out) for node in nodes]

    monkeypatch.setattr(Projector, "_operands", operands)
    assert first_broken(agrees, range(1000)) is not None


def test_the_laws_notice_values_that_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without copying what is sent, some role sees another role's change."""
    monkeypatch.setattr(scheduler, "isolate", lambda value: value)
    assert first_broken(agrees, range(5000)) is not None
