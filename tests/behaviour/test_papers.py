"""The examples of the papers, with the papers' answers."""

from __future__ import annotations

import pytest

from klorpy.behaviour import (
    Registry,
    compliant,
    equivalent,
    implements,
    parse_choreography,
    parse_contract,
    parse_system,
    project,
    project_role,
    proves,
    same_behaviour,
    subcontract,
    well_formed,
)

SHOP = parse_choreography(
    """(seq (com buyer seller request)
            (par (com seller buyer offer) (com seller bank payDescr))
            (com buyer bank payment)
            (par (com bank seller confirm) (com bank buyer receipt)))"""
)


def holds(text: str, criterion: str, buffer: str = "pair") -> bool:
    """The exact verdict, which well-formedness must not contradict."""
    chor = parse_choreography(text)
    verdict = bool(equivalent(chor, criterion, buffer=buffer))  # type: ignore[arg-type]
    assert verdict or well_formed(chor, criterion, buffer)
    return verdict


# --- Choreographies and projection ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("buyer", "(seq (send seller request) (recv offer) (send bank payment) (recv receipt))"),
        ("seller", "(seq (recv request) (par (send buyer offer) (send bank payDescr)) (recv confirm))"),
        ("bank", "(seq (recv payDescr) (recv payment) (par (send seller confirm) (send buyer receipt)))"),
    ],
)
def test_seller_buyer_bank(role: str, expected: str) -> None:
    assert str(project_role(SHOP, role)) == expected
    assert same_behaviour(project(SHOP)[role], parse_contract(expected))


def test_seller_buyer_bank_under_each_criterion() -> None:
    """It projects correctly when communication is direct; asynchronously, the buyer may pay before payDescr is sent."""
    assert {c: bool(equivalent(SHOP, c)) for c in ("sync", "sender", "receiver", "sr")} == {  # type: ignore[arg-type]
        "sync": True, "sender": False, "receiver": True, "sr": False,
    }  # fmt: skip
    assert compliant(project(SHOP), "async")


@pytest.mark.parametrize("criterion", ["sync", "sender", "receiver", "sr"])
def test_two_interactions_without_a_common_role(criterion: str) -> None:
    """a: r→s; b: t→u is not projected correctly under any criterion: nothing orders the two."""
    assert not holds("(seq (com r s a) (com t u b))", criterion)
    violation = well_formed(parse_choreography("(seq (com r s a) (com t u b))"), criterion)[0]
    assert (violation.code, [com.operation for com in violation.causes]) == ("sequence", ["a", "b"])


def test_one_sender_two_receivers() -> None:
    """a: r→s; b: r→u keeps the order of what is sent, and not of what is received."""
    assert [holds("(seq (com r s a) (com r u b))", c) for c in ("sync", "sender", "receiver", "sr")] == [True, True, False, False]


def test_receiver_equivalence() -> None:
    """a: r→s; b: t→s keeps the order of what s receives, whatever the senders do; with one mailbox it gets stuck."""
    text = "(seq (com r s a) (com t s b))"
    assert [holds(text, c) for c in ("sync", "sender", "receiver", "sr")] == [True, False, True, False]
    verdict = equivalent(parse_choreography(text), "receiver", buffer="mailbox")
    assert verdict.witness is not None
    assert (verdict.witness.kind, verdict.witness.trace) == ("stuck", ())


def test_a_role_that_was_not_told() -> None:
    """(a: r→s + b: r→t); c: s→t is not projected correctly: s may skip the choice, and so may t."""
    text = "(seq (alt (com r s a) (com r t b)) (com s t c))"
    assert not holds(text, "sync")
    assert {violation.code for violation in well_formed(parse_choreography(text))} == {"choice-roles"}
    assert str(project_role(parse_choreography(text), "t")) == "(seq (alt 1 (recv b)) (recv c))"


def test_what_projects_correctly_for_one_criterion_does_for_the_coarser_ones() -> None:
    text = "(seq (com r s a) (com s r b))"
    assert all(holds(text, criterion) for criterion in ("sync", "sender", "receiver", "sr"))


# --- Contracts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second"),
    [
        # a + b + c with a + b
        ("(alt (recv a) (recv b) (recv c))", "(alt (send c1 a) (send c1 b))"),
        # a ; b with a | b
        ("(seq (recv a) (recv b))", "(par (send c1 a) (send c1 b))"),
        # (a ; b)* with a ; (b ; a)* ; b
        ("(star (seq (recv a) (send c2 b)))", "(seq (send c1 a) (star (seq (recv b) (send c1 a))) (recv b))"),
    ],
)
def test_compliant_contracts(first: str, second: str) -> None:
    assert compliant(parse_system(f"(sys (c1 {first}) (c2 {second}))"))


def test_an_output_that_nobody_takes() -> None:
    """a with a + b: a committed output spoils it, a patient one does not."""
    system = parse_system("(sys (c1 (recv a)) (c2 (alt (send c1 a) (send c1 b))))")
    verdict = compliant(system)
    assert not verdict
    assert str(verdict) == "not compliant (committed): at the start, success is out of reach: c1 has (recv a), c2 has <(send c1 b)>"
    assert compliant(system, "patient")


def test_refinement_is_not_independent_when_outputs_are_patient() -> None:
    old = parse_system("(sys (s (recv a)) (c (send s a)))")
    new = parse_system("(sys (s (alt (recv a) (seq (recv c) 0))) (c (alt (send s a) (send s c))))")
    for role in old.roles:
        assert compliant(old.replaced(role, new[role]), "patient")
    assert not compliant(new, "patient")
    # With committed outputs, the new output is wrong by itself already.
    assert not compliant(old.replaced("c", new["c"]))


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        # more inputs, fewer outputs
        ("(alt (recv a) (recv b))", "(recv a)", "proved"),
        ("(send p x)", "(alt (send p x) (send p y))", "proved"),
        ("(alt (send p x) (send p y))", "(send p x)", "refuted"),
        ("(recv a)", "(alt (recv a) (recv b))", "refuted"),
        # what no compliant partner comes to may change
        ("(recv a)", "(alt (recv a) (seq (recv b) 0))", "proved"),
        # a loop that can never be left any more
        ("(seq (star (send p x)) 0)", "(star (send p x))", "refuted"),
        # two partners can tell that an order of inputs was relaxed, one cannot
        ("(par (recv a) (recv b))", "(seq (recv a) (recv b))", "unknown"),
    ],
)
def test_subcontracts(new: str, old: str, expected: str) -> None:
    assert subcontract(parse_contract(new), parse_contract(old)).verdict == expected


def test_earlier_success_changes_conversations() -> None:
    """`1 + a` for `a` within a loop of rounds: harmless for compliance, not for what is said."""
    new, old = parse_contract("(alt 1 (send p x))"), parse_contract("(alt (send p x) tau)")
    assert proves(new, old)
    chor = parse_choreography("(alt (com r s a) (com r s b))")
    fewer = parse_system("(sys (r (send s a)) (s (alt (recv a) (recv b) (recv c))))")
    assert implements(fewer, chor)
    assert not implements(parse_system("(sys (r 1) (s 1))"), chor)


def test_discovery() -> None:
    chor = parse_choreography("(alt (com r s a) (com r s b))")
    contracts = {
        "a": "(send s a)", "b": "(send s b)", "both": "(alt (send s a) (send s b))",
        "abc": "(alt (send s a) (send s b) (send s c))", "seq": "(seq (send s a) (send s b))",
    }  # fmt: skip
    registry = Registry({name: parse_contract(text) for name, text in contracts.items()})
    found = registry.find(chor, "r")
    assert (found.found, found.unknown) == (("a", "b", "both"), ())
    services = Registry({"s": parse_contract("(alt (recv a) (recv b) (recv c))"), "half": parse_contract("(recv a)")})
    assert list(services.find(chor, "s")) == ["s"]
    for name in found:
        assert compliant(project(chor).replaced("r", registry[name]).replaced("s", services["s"]))
