"""Terms and their notation, steps, transition systems, and what is refused."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from klorpy import KlorError
from klorpy.behaviour import (
    Alt,
    Com,
    One,
    Par,
    Recv,
    Registry,
    Scope,
    Send,
    Seq,
    Star,
    System,
    Zero,
    completed_traces,
    compliant,
    equivalent,
    infix,
    judge_update,
    parse_choreography,
    parse_contract,
    parse_system,
    project,
    project_role,
    repair,
    subcontract,
    well_formed,
)
from klorpy.behaviour.lts import Labels, Lts, bisimilar, contract_taus, quotient, weakly_bisimilar
from klorpy.behaviour.steps import Terms, lts_of, same_behaviour
from klorpy.core.spans import Span

# --- Notation ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "people"),
    [
        ("(seq (com r s a) (alt (com s r b) (com s t c)))", "a: r→s; (b: s→r + c: s→t)"),
        ("(alt (par (com r s a) (com t u b)) 0)", "a: r→s | b: t→u + 0"),
        ("(star (seq (com r s a) 1))", "(a: r→s; 1)*"),
        ("(star (com r s a))", "(a: r→s)*"),
        ("(scope x (roles r s) (com r s a))", "x[r, s]{a: r→s}"),
    ],
)
def test_choreographies_are_printed_in_two_ways(text: str, people: str) -> None:
    chor = parse_choreography(text)
    assert (str(chor), infix(chor)) == (text, people)


def test_empty_groups_are_units() -> None:
    assert [parse_contract(f"({word})") for word in ("seq", "par", "alt")] == [One(), One(), Zero()]
    assert (infix(Seq(())), infix(Alt(())), infix(Par(()))) == ("1", "0", "1")
    assert parse_choreography("(seq (com r s a))") == Com("r", "s", "a")


def test_a_system_reads_back() -> None:
    text = "(sys (r (par (send s a) tau)) (s (star (recv a))))"
    system = parse_system(text)
    assert str(system) == text
    assert system["s"] == Star(Recv("a"))
    assert pickle.loads(pickle.dumps(system)) == copy.deepcopy(system) == system


@pytest.mark.parametrize(
    ("parse", "text", "slug", "place"),
    [
        (parse_choreography, "(seq (com r s a) (com r t))", "arity", (1, 18)),
        (parse_choreography, "(star 1 1)", "arity", (1, 1)),
        (parse_choreography, "(seq\n  (com r r a))", "self-communication", (2, 3)),
        (parse_choreography, "(recv a)", "bad-term", (1, 1)),
        (parse_choreography, "(seq 1 tau)", "bad-term", (1, 8)),
        (parse_choreography, "[seq 1]", "bad-term", (1, 1)),
        (parse_choreography, '(com r s "a")', "bad-term", (1, 10)),
        (parse_choreography, "()", "bad-term", (1, 1)),
        (parse_choreography, "(com r s a", "read-error", (1, 1)),
        (parse_choreography, "", "read-error", (1, 1)),
        (parse_choreography, "1 0", "read-error", (1, 3)),
        (parse_choreography, "(" * 200, "too-deep", (1, 101)),
        (parse_choreography, "(scope x (r s) (com r s a))", "bad-term", (1, 10)),
        (parse_choreography, "(scope x (roles r r) (com r s a))", "dup-role", (1, 19)),
        (parse_choreography, "(scope x (roles r s) (com r t a))", "unknown-role", (1, 22)),
        (parse_choreography, "(par (scope x (roles r) 1) (scope x (roles r) 1))", "dup-name", (1, 35)),
        (parse_contract, "(com r s a)", "bad-term", (1, 1)),
        (parse_contract, "(send s)", "arity", (1, 1)),
        (parse_contract, "(scope x (roles r) 1)", "bad-term", (1, 1)),
        (parse_contract, "2", "bad-term", (1, 1)),
        (parse_system, "(seq 1)", "bad-term", (1, 1)),
        (parse_system, "(sys (r 1) (r 1))", "dup-role", (1, 13)),
        (parse_system, "(sys (r (send r a)))", "self-communication", (1, 9)),
        (parse_system, "(sys r)", "bad-term", (1, 6)),
        (parse_system, "(sys (r 1 1))", "bad-term", (1, 6)),
    ],
)
def test_a_wrong_text_is_refused_with_its_place(parse: Callable[[str], Any], text: str, slug: str, place: tuple[int, int]) -> None:
    with pytest.raises(KlorError) as caught:
        parse(text)
    error = caught.value
    assert error.slug == slug
    assert isinstance(error.span, Span)
    assert (error.span.line, error.span.column) == place
    assert error.help or slug in ("read-error", "too-deep")


CHOR = parse_choreography("(seq (com r s a) (scope x (roles r s) (com s r b)))")


@pytest.mark.parametrize(
    ("refused", "slug"),
    [
        (lambda: Com("r", "r", "a"), "self-communication"),
        (lambda: System((("r", One()), ("r", One()))), "dup-role"),
        (lambda: System((("r", Send("r", "a")),)), "self-communication"),
        (lambda: project(CHOR)["t"], "unknown-role"),
        (lambda: project(CHOR).replaced("t", One()), "unknown-role"),
        (lambda: compliant(parse_system("(sys (r (send q a)))")), "unknown-role"),
        (lambda: Registry().find(CHOR, "t"), "unknown-role"),
        (lambda: Registry()["t"], "unknown-contract"),
        (lambda: Registry().remove("t"), "unknown-contract"),
        (lambda: Registry({"t": One()}).add("t", One()), "dup-name"),
        (lambda: judge_update(CHOR, "y", One()), "unknown-scope"),
        (lambda: equivalent(CHOR, "both"), "bad-argument"),
        (lambda: equivalent(CHOR, "sr", buffer="box"), "bad-argument"),
        (lambda: equivalent(CHOR, mode="quick"), "bad-argument"),
        (lambda: equivalent(CHOR, "sr", bound=0), "bad-argument"),
        (lambda: well_formed(CHOR, "nobody"), "bad-argument"),
        (lambda: well_formed(CHOR, "sr", "box"), "bad-argument"),
        (lambda: compliant(project(CHOR), "eager"), "bad-argument"),
        (lambda: completed_traces(Star(Com("r", "s", "a"))), "bad-argument"),
    ],
)
def test_what_makes_no_sense_is_refused(refused: Callable[[], Any], slug: str) -> None:
    with pytest.raises(KlorError) as caught:
        refused()
    assert caught.value.slug == slug
    assert caught.value.help


def test_terms_are_not_nested_without_end() -> None:
    term: Any = One()
    with pytest.raises(KlorError) as caught:
        for _ in range(200):
            term = Star(Alt((term, Com("r", "s", "a"))))
    assert caught.value.slug == "too-deep"
    deepest: Any = Com("r", "s", "a")
    for _ in range(49):
        deepest = Star(Seq((deepest, Com("s", "r", "b"))))
    for judge in (str, infix, project, well_formed, equivalent):
        assert judge(deepest) is not None


# --- Steps ------------------------------------------------------------------------------------------------------------


def system_of(text: str, committed: bool = False) -> Lts:
    return lts_of(parse_contract(text), Labels(), committed=committed)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("(seq 1 (recv a) 1)", "(recv a)"),
        ("(seq 0 (recv a))", "0"),
        ("(seq (seq (recv a) (recv b)) (recv c))", "(seq (recv a) (seq (recv b) (recv c)))"),
        ("(par 1 (recv a))", "(recv a)"),
        ("(par (recv a) (recv b))", "(par (recv b) (recv a))"),
        ("(alt 0 (recv a) (recv a))", "(recv a)"),
        ("(par (recv a) (recv b))", "(alt (seq (recv a) (recv b)) (seq (recv b) (recv a)))"),
        ("(star (recv a))", "(alt 1 (seq (recv a) (star (recv a))))"),
        ("(star 0)", "1"),
    ],
)
def test_laws_of_terms(left: str, right: str) -> None:
    assert same_behaviour(parse_contract(left), parse_contract(right))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("(alt 1 (recv a))", "(recv a)"),
        ("(seq (recv a) (alt (recv b) (recv c)))", "(alt (seq (recv a) (recv b)) (seq (recv a) (recv c)))"),
        ("(par 0 (recv a))", "(recv a)"),
        ("(seq (recv a) 0)", "(recv a)"),
    ],
)
def test_no_laws_of_terms(left: str, right: str) -> None:
    assert not same_behaviour(parse_contract(left), parse_contract(right))


def test_a_committed_output_is_decided_first() -> None:
    terms = Terms(Labels(), committed=True)
    lts, order = terms.explore(terms.number(parse_contract("(alt (send s a) (send s b))")))
    assert [terms.text(state) for state in order] == [
        "(alt (send s a) (send s b))", "<(send s a)>", "<(send s b)>", "1",
    ]  # fmt: skip
    assert [label for label, _ in lts.edges[0]] == [0, 0]
    assert lts.ok == [False, False, False, True]


def test_hidden_steps_that_decide_nothing_disappear() -> None:
    single = system_of("(seq tau (recv a) tau tau (send s b))", committed=True)
    assert len(contract_taus(single)[0]) == 3
    loop = Lts([((0, 1),), ((0, 0), (1, 2)), ()], [False, False, True])
    small, old = contract_taus(loop)
    assert (small.edges, small.ok, old[0] in (0, 1)) == ([((1, 1),), ()], [False, True], True)
    chosen = system_of("(alt (seq tau (recv a)) (seq tau (recv b)))")
    assert len(contract_taus(chosen)[0]) == 4


def test_bisimilarities() -> None:
    labels = Labels()

    def made(text: str) -> Lts:
        return lts_of(parse_contract(text), labels)

    early, late = made("(alt (seq (recv a) (recv b)) (seq (recv a) (recv c)))"), made("(seq (recv a) (alt (recv b) (recv c)))")
    assert not bisimilar(early, late)
    assert not weakly_bisimilar(early, late)
    assert not bisimilar(made("(seq tau (recv a))"), made("(recv a)"))
    assert weakly_bisimilar(made("(seq tau (recv a))"), made("(recv a)"))
    assert not weakly_bisimilar(made("(alt (recv a) (seq tau (recv b)))"), made("(alt (recv a) (recv b))"))
    assert weakly_bisimilar(made("(alt 1 tau)"), made("1"))
    assert len(quotient(made("(alt (seq (recv a) (recv b)) (seq (recv a) (alt (recv b) (recv b))))"))[0]) == 3


# --- Verdicts ---------------------------------------------------------------------------------------------------------


def test_verdicts_say_how_they_were_found() -> None:
    chor = parse_choreography("(seq (star (com r s a)) (com s r b))")
    static, exact = equivalent(chor, mode="static"), equivalent(chor)
    assert (static.mode, static.holds, bool(static)) == ("static", None, False)
    assert "loop-exit-sender" in str(static)
    assert (exact.mode, exact.holds, exact.bound) == ("exact", True, None)
    assert str(exact) == "equivalent (sync): 2 and 2 states"
    loop = equivalent(parse_choreography("(seq (star (com r s a)) (com r s b))"), "sr")
    assert (loop.bound, loop.bounded) == (2, True)
    assert "with at most 2 messages for each pair of roles" in str(loop)
    assert not equivalent(parse_choreography("(seq (com r s a) (com s r b))"), "sr").bounded
    good = equivalent(parse_choreography("(com r s a)"), "sr", mode="static")
    assert (good.holds, str(good)) == (True, "equivalent (sr, pair buffers): the static conditions hold")


def test_each_difference_is_told() -> None:
    def said(text: str, criterion: Any = "sync", buffer: Any = "pair") -> str:
        return str(equivalent(parse_choreography(text), criterion, buffer=buffer))

    assert said("(seq (com r s a) (com t u b))").endswith("the projection can do b: t→u, the choreography cannot")
    assert said("(seq (star (com r s a)) (com r s b))", "sender", "bag").endswith(
        "after a: r→s, b: r→s, the projection may be stuck for ever, the choreography may not"
    )
    skipping = said("(seq (alt (seq (com r s a) (com s t b)) (com r s a)) 1)")
    assert skipping.startswith("equivalent") or "stuck" in skipping
    assert said("(alt (com r s a) 0 (par 1 0))").startswith("equivalent")


def test_a_choreography_without_roles_agrees_with_its_projection() -> None:
    for text in ("0", "1", "(par 0 1)", "(star 0)"):
        for criterion in ("sync", "sr"):
            assert equivalent(parse_choreography(text), criterion)  # type: ignore[arg-type]


def test_violations_name_their_causes_and_a_way_out() -> None:
    texts = [
        "(seq (com r s a) (com t u b))", "(alt (com r s a) (com s r b))", "(seq (alt (com r s a) (com r t b)) (com s t c))",
        "(alt (com r s a) 1)", "(star (alt 1 (com r s a)))", "(seq (star (com r s a)) (com s r b))",
        "(seq (com r s a) (com t s a))", "(seq (star (com t r b)) (com t r b))",
    ]  # fmt: skip
    codes = set()
    for text in texts:
        for violation in well_formed(parse_choreography(text), "sr"):
            codes.add(violation.code)
            assert violation.causes
            assert violation.suggestion
            assert violation.code in str(violation)
    assert codes >= {"sequence", "choice-sender", "choice-roles", "choice-empty-branch", "loop-exit-sender", "causality", "loop-ambiguous"}


def test_too_many_runs_are_a_violation() -> None:
    step = "(alt (com r s a) (com r s b))"
    chor = parse_choreography(f"(seq {' '.join([step] * 12)})")
    assert {violation.code for violation in well_formed(chor, "sr")} == {"too-big"}
    distinct = " ".join(f"(alt (com r s a{i}) (com r s b{i}))" for i in range(12))
    assert well_formed(parse_choreography(f"(seq {distinct})"), "sr") == ()


@pytest.mark.parametrize(
    ("text", "criterion", "people"),
    [
        ("(seq (com r s a) (com t u b))", "sync", "a: r→s; note1: s→t; b: t→u"),
        ("(seq (com r s a) (com r u b))", "receiver", "a: r→s; note1: s→r; b: r→u"),
        (
            "(seq (par (com s b offer) (com s k pay)) (com b k payment))", "sender",
            "(offer: s→b | pay: s→k; note1: k→b); payment: b→k",
        ),
        (
            "(seq (alt (com r s a) (com r t b)) (com s t c))", "sync",
            "(note1: r→t; a: r→s + note2: r→s; b: r→t); c: s→t",
        ),
    ],
)  # fmt: skip
def test_repair(text: str, criterion: Any, people: str) -> None:
    chor = parse_choreography(text)
    assert not equivalent(chor, criterion)
    mended = repair(chor, criterion)
    assert mended
    assert infix(mended.chor) == people
    assert equivalent(mended.chor, criterion)
    assert all(com.operation.startswith("note") for com in mended.added)


def test_repair_says_what_it_cannot_mend() -> None:
    mended = repair(parse_choreography("(alt (com r s a) (com s r b))"))
    assert not mended
    assert [violation.code for violation in mended.remaining] == ["choice-sender"]
    assert "choice-sender" in str(mended)
    assert str(repair(parse_choreography("(com r s a)"))) == "nothing to mend"


def test_compliance_is_judged_for_parts_that_never_meet() -> None:
    apart = " ".join(f"(r{i} (seq (send s{i} a) (recv b))) (s{i} (seq (recv a) (send r{i} b)))" for i in range(40))
    verdict = compliant(parse_system(f"(sys {apart})"))
    assert verdict
    assert verdict.states == 40 * 3
    bad = compliant(parse_system(f"(sys {apart} (t (recv never)))"))
    assert bad.counterexample is not None
    assert (bad.counterexample.trace, bad.counterexample.situation) == ((), {"t": "(recv never)"})


def test_messages_on_their_way_are_told() -> None:
    verdict = compliant(parse_system("(sys (r (par (send s b) (send s a))) (s (seq (recv a) (recv b))))"), "async")
    assert verdict.counterexample is not None
    assert [com.operation for com in verdict.counterexample.waiting] == ["b"]
    assert [str(step.com) for step in verdict.counterexample.trace] == ["(com r s b)"]
    assert "on their way" in str(verdict)


def test_a_refinement_explains_itself() -> None:
    proof = subcontract(parse_contract("(send p x)"), parse_contract("(alt (send p x) (send p y))"))
    assert str(proof) == "(send p x) is a subcontract of (alt (send p x) (send p y))"
    several = subcontract(parse_contract("(seq (send p x) (send q y))"), parse_contract("(seq (send q y) (send p x))"))
    assert several.verdict == "refuted"
    assert several.partner is not None
    assert set(several.partner.roles) == {"p", "q"}


def test_updates_name_what_may_change_alone() -> None:
    chor = parse_choreography("(seq (scope ask (roles r s) (alt (com r s a) (com r s b))) (com r s c))")
    same = judge_update(chor, "ask", parse_choreography("(alt (com r s b) (com r s a))"))
    assert (same.verdict, same.independent) == ("independent", ("r", "s"))
    fewer = judge_update(chor, "ask", parse_choreography("(com r s a)"), "sr")
    assert (fewer.verdict, fewer.independent) == ("coordinated", ("r",))
    stranger = judge_update(chor, "ask", parse_choreography("(com r t a)"))
    assert (stranger.verdict, "roles-outside-scope" in str(stranger)) == ("refused", True)


def test_an_update_between_barriers_may_not_collide_with_what_runs_beside_it() -> None:
    chor = Par((Scope("x", ("r", "s"), Com("r", "s", "a")), Com("t", "s", "b")))
    found = judge_update(chor, "x", Com("r", "s", "b"), "sr", barrier=True)
    assert [reason.code for reason in found.reasons] == ["causality"]
    assert judge_update(chor, "x", Com("r", "s", "c"), "sr", barrier=True)


def test_a_loop_at_the_end_of_an_update_is_left_by_who_repeats_it() -> None:
    """With a barrier, s would say that it is done while r might go on."""
    chor = Seq((Scope("x", ("r", "s"), Com("r", "s", "a")), Com("r", "s", "b")))
    found = judge_update(chor, "x", Star(Com("r", "s", "c")), "sender", barrier=True)
    assert "loop-exit-sender" in {reason.code for reason in found.reasons}


# --- Size -------------------------------------------------------------------------------------------------------------

LONG = 10_000


def test_a_flat_sequence_may_be_long() -> None:
    text = "(seq " + " ".join(f"(com {'rs'[i % 2]} {'sr'[i % 2]} a{i})" for i in range(LONG)) + ")"
    chor = parse_choreography(text)
    assert str(chor) == text
    assert well_formed(chor, "sr") == ()
    assert equivalent(chor).states == (LONG + 1, LONG + 1)
    assert compliant(project(chor)).states == LONG + 1
    assert infix(chor).count(";") == LONG - 1
    assert project_role(chor, "nobody") == One()
    same = Seq((Com("r", "s", "a"),) * LONG)
    assert well_formed(same, "sr") == ()
    assert [violation.code for violation in well_formed(Seq((*same.items, Com("t", "s", "a"))))] == ["causality"]


def relay(i: int) -> Seq:
    return Seq((Com("r", "s", f"a{i}"), Com("s", "t", f"b{i}")))


def test_a_choice_may_be_wide() -> None:
    wide = Alt(tuple(map(relay, range(3_000))))
    for criterion in ("sync", "sr"):
        assert well_formed(wide, criterion) == ()
    again = well_formed(Alt((*wide.items, Seq((Com("r", "s", "a7"), Com("s", "t", "b"))))))
    assert {violation.code: violation.causes for violation in again}["choice-ambiguous"] == (Com("r", "s", "a7"),) * 2
    assert {violation.code for violation in again} == {"choice-ambiguous", "too-big"}
    side_by_side = Par(tuple(Com("r", "s", f"a{i}") for i in range(3_000)))
    assert well_formed(side_by_side, "sr") == ()
    assert {violation.code for violation in well_formed(side_by_side, "receiver")} <= {"parallel-shared-channel"}


def test_more_violations_than_anybody_reads_are_an_error() -> None:
    with pytest.raises(KlorError) as caught:
        well_formed(Alt(tuple(Com("r", f"s{i}", "a") for i in range(1_000))))
    assert caught.value.slug == "too-large"
    assert caught.value.help


@pytest.mark.parametrize(
    "ask",
    [
        lambda: equivalent(Par(tuple(Com("r", "s", f"a{i}") for i in range(30))), limit=20_000),
        lambda: equivalent(Par(tuple(Com("r", "s", f"a{i}") for i in range(LONG)))),
        lambda: equivalent(Seq(tuple(Star(Com("r", "s", f"a{i}")) for i in range(1000))), limit=5_000),
        lambda: equivalent(Par(tuple(Com("r", "s", f"a{i}") for i in range(6))), "sender", limit=50),
        lambda: compliant(project(Par(tuple(Com(f"r{i}", f"r{(i + 1) % 9}", f"a{j}") for i in range(9) for j in range(3)))), limit=5_000),
        lambda: subcontract(parse_contract("(par (recv a) (recv b) (recv c) (send p x))"), parse_contract("(star (alt (recv a) (recv b) (recv c) (send p x)))"), limit=3),
        lambda: completed_traces(Par(tuple(Com("r", "s", f"a{i}") for i in range(9))), limit=1_000),
    ],
)  # fmt: skip
def test_what_is_too_large_ends_with_the_limit(ask: Callable[[], Any]) -> None:
    with pytest.raises(KlorError) as caught:
        ask()
    assert caught.value.slug == "state-limit"
    assert caught.value.help
