"""Protocols: their text, when they are well-formed, projection, automata, Scribble."""

from __future__ import annotations

import pytest

from klorpy.behaviour import (
    Protocol,
    automaton,
    local_type,
    local_types,
    parse_global,
    parse_protocol,
    parse_protocols,
    protocol,
    scribble,
    scribble_local,
)
from klorpy.behaviour.globaltype import END, Choice, Continue, Do, GlobalType, Message, Rec, branching, message
from klorpy.behaviour.localtype import LocalType
from klorpy.behaviour.regular import tree, type_of
from klorpy.behaviour.wellformed import check
from klorpy.core.diagnostics import KlorError

# --- Text -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "infix"),
    [
        ("end", "end"),
        ("", "end"),
        ("(-> A B str)", "A->B:<str>; end"),
        ("(-> A B str end)", "A->B:<str>; end"),
        ("(-> A B (hello))", "A->B:hello; end"),
        ("(-> A B (hello str int))", "A->B:hello(str, int); end"),
        ("(branch A B (l) (r (-> B A int)))", "A->B:{l: end, r: B->A:<int>; end}"),
        ("(branch A B ((l int) (-> B A int)))", "A->B:{l(int): B->A:<int>; end}"),
        ("(mu t (-> A B int) t)", "mu t. A->B:<int>; t"),
        ("(mu t (-> A B int t))", "mu t. A->B:<int>; t"),
        ("(choice A [(-> A B (l))] [(mu t (-> A B (r)) t)])", "A{A->B:l; end | mu t. A->B:r; t}"),
        ("(branch A B (l) (r)) (-> B A int)", "A->B:{l: end, r: end}; B->A:<int>; end"),
        ("(mu t (branch A B (more t) (done))) (-> B A int)", "(mu t. A->B:{more: t, done: end}); B->A:<int>; end"),
        ("(do P A B)", "P(A, B); end"),
        ('(-> A B ("two words" sort))', "A->B:two words(sort); end"),
        ("(-> A B (_ int int))", "A->B:<int, int>; end"),
    ],
)
def test_types_are_read_and_written(text: str, infix: str) -> None:
    type_ = parse_global(text)
    assert str(type_) == infix
    assert parse_global(type_.text) == type_


def test_what_stands_behind_a_message_follows_it() -> None:
    assert parse_global("(-> A B int (-> B A str))") == parse_global("(-> A B int) (-> B A str)")


def test_types_are_made_without_text() -> None:
    ok = GlobalType((message("c", "f", "file"), Continue("t")))
    made = GlobalType((Rec("t", GlobalType((branching("f", "c", {"ok": ok, "quit": END}),))),))
    assert parse_global("(mu t (branch f c (ok (-> c f file) t) (quit)))") == made


@pytest.mark.parametrize(
    ("text", "slug", "place"),
    [
        ("(-> A B)", "bad-protocol", (1, 1)),
        ("(-> A\n (B) str)", "bad-protocol", (2, 2)),
        ("(-> A B ())", "bad-protocol", (1, 9)),
        ("(branch A B)", "bad-protocol", (1, 1)),
        ("(branch A B l)", "bad-protocol", (1, 13)),
        ("(branch A B ())", "bad-protocol", (1, 13)),
        ("(branch A B ((_ int)))", "bad-protocol", (1, 13)),
        ("(choice A (-> A B (l)))", "bad-protocol", (1, 1)),
        ("(mu)", "bad-protocol", (1, 1)),
        ("(mu end (-> A B int))", "bad-protocol", (1, 5)),
        ("(do)", "bad-protocol", (1, 1)),
        ("(send A B int)", "bad-protocol", (1, 1)),
        ('"text"', "bad-protocol", (1, 1)),
        ("[(-> A B int)]", "bad-protocol", (1, 1)),
        ("(-> A B int", "read-error", (1, 1)),
        ("(" * 101, "too-deep", (1, 101)),
    ],
)
def test_what_is_no_type(text: str, slug: str, place: tuple[int, int]) -> None:
    with pytest.raises(KlorError) as caught:
        parse_global(text, "p.klor")
    error = caught.value
    assert error.slug == slug
    assert error.help or slug == "too-deep"
    assert error.span is not None
    assert (error.span.line, error.span.column) == place
    assert "p.klor:" in error.render()


# --- Well-formedness --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "slug", "place"),
    [
        ("(-> A C int)", "unbound-role", (2, 1)),
        ("(branch C A (l))", "unbound-role", (2, 1)),
        ("(do P A C)", "unbound-role", (2, 1)),
        ("(-> A A int)", "self-message", (2, 1)),
        ("(-> A B int) t", "unbound-recursion", (2, 14)),
        ("(mu t t)", "unguarded-recursion", (2, 1)),
        ("(mu t (choice A [t] [(-> A B (l))]))", "unguarded-recursion", (2, 1)),
        ("(do P A B)", "unguarded-recursion", (1, 14)),
        ("(mu t (-> A B int) t (-> B A int))", "non-tail-recursion", (2, 20)),
        ("(mu t (branch A B (l t) (r)) (-> A B int))", "non-tail-recursion", (2, 22)),
        ("(choice A [(-> A B (l))] [(-> B A (r))])", "choice-sender-mismatch", (2, 1)),
        ("(choice A [(-> A B (l))] [])", "choice-sender-mismatch", (2, 1)),
        ("(choice A [(-> A B (l))] [(-> A D (r))])", "choice-receiver-mismatch", (2, 1)),
        ("(branch A B (l) (r) (l))", "duplicate-label", (2, 1)),
        ("(choice A [(-> A B int)] [(-> A B str)])", "duplicate-label", (2, 1)),
        ("(do Q A B)", "undefined-protocol", (2, 1)),
        ("(do P A)", "undefined-protocol", (2, 1)),
    ],
)
def test_what_is_not_well_formed(body: str, slug: str, place: tuple[int, int]) -> None:
    with pytest.raises(KlorError) as caught:
        parse_protocol(f"(defprotocol P [A B D]\n{body})" if slug != "undefined-protocol" and "(do P A B)" not in body
                       else f"(defprotocol P [A B]\n{body})", "p.klor")  # fmt: skip
    error = caught.value
    assert error.slug == slug
    assert error.help
    assert error.span is not None
    assert (error.span.line, error.span.column) == place


def test_all_errors_are_told_at_once() -> None:
    with pytest.raises(KlorError) as caught:
        parse_protocol("(defprotocol P [A B] (-> A A int) (-> A C int) t)")
    assert [d.slug for d in caught.value.diagnostics] == ["unbound-role", "self-message", "unbound-recursion"]


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        ("(defprotocol P)", "bad-protocol"),
        ("(defchor P [A B] (-> A B int))", "bad-protocol"),
        ("P", "bad-protocol"),
        ("(defprotocol P (A B) (-> A B int))", "bad-protocol"),
        ("(defprotocol (P) [A B])", "bad-protocol"),
        ("(defprotocol P [A B A] (-> A B int))", "dup-role"),
        ("(defprotocol P [A B]) (defprotocol Q [A B])", "read-error"),
    ],
)
def test_what_is_no_declaration(text: str, slug: str) -> None:
    with pytest.raises(KlorError) as caught:
        parse_protocol(text)
    assert caught.value.slug == slug
    assert caught.value.span is not None


def test_a_name_is_declared_once() -> None:
    with pytest.raises(KlorError) as caught:
        parse_protocols("(defprotocol P [A B])\n(defprotocol P [A B])")
    assert caught.value.slug == "bad-protocol"
    assert str(caught.value.span) == "2:1"


def test_errors_of_a_protocol_of_another_file_are_shown_where_it_is_used() -> None:
    loop = protocol("(defprotocol Loop [A B] (mu t (branch A B (more t) (done))))", "loop.hy")
    user = protocol("(defprotocol User [A B C]\n  (do Loop A B) (-> B C int))", "user.hy", scope={"Loop": loop})
    assert local_type(user, "C") == LocalType(local_type(parse_protocol("(defprotocol X [B C] (-> B C int))"), "C").actions)
    with pytest.raises(KlorError) as caught:
        protocol("(defprotocol Bad [A B]\n  (mu t (do Loop A B) t (-> A B int)))", "bad.hy", scope={"Loop": loop})
    assert caught.value.slug == "non-tail-recursion"
    assert "bad.hy:2:23" in caught.value.render()


def test_places_are_those_of_the_file() -> None:
    with pytest.raises(KlorError) as caught:
        protocol("(defprotocol P [A B] (-> A C int))", "shop.hy", 7, 3)
    assert str(caught.value.span) == "7:24"


# --- Large inputs -----------------------------------------------------------------------------------------------------

FLIP = "(branch A B (heads) (tails))"


def test_a_long_protocol_is_no_problem() -> None:
    long = parse_protocol(f"(defprotocol Long [A B] {'(-> A B int) (-> B A str) ' * 3000})")
    assert automaton(local_type(long, "A")).states == 6001
    assert len(local_type(long, "A", merging="plain").actions) == 6000


def test_many_choices_in_a_row_are_no_problem_for_full_merging() -> None:
    flips = parse_protocol(f"(defprotocol Flips [A B C] {FLIP * 200} (-> B C int))")
    assert str(local_type(flips, "C")) == "B?<int>; end"
    assert automaton(local_type(flips, "A")).states == 201
    # As text, what follows a choice is written once.
    assert len(tree(flips.type).nodes) == 202
    assert len(type_of(tree(flips.type)).items) == 201


@pytest.mark.parametrize("merging", ["plain"])
def test_what_is_too_large_is_refused(merging: str) -> None:
    flips = parse_protocol(f"(defprotocol Flips [A B] {FLIP * 30})")
    with pytest.raises(KlorError) as caught:
        local_type(flips, "A", merging=merging)  # type: ignore[arg-type]
    assert caught.value.slug == "too-large"


def test_uses_that_explode_are_refused() -> None:
    roles = "ABCDEFGH"
    uses = " ".join(f"(l{i} (do P {' '.join(roles[i:] + roles[:i])}))" for i in range(8))
    swaps = f"(do P {' '.join('BACDEFGH')})"
    text = f"(defprotocol P [{' '.join(roles)}] (branch A B {uses} (s {swaps}) (end)))"
    with pytest.raises(KlorError) as caught:
        parse_protocol(text)
    assert caught.value.slug in ("too-large", "too-deep")


def test_types_that_nest_too_deeply_are_refused() -> None:
    deep = GlobalType((message("A", "B", "int"),))
    for _ in range(2000):
        deep = GlobalType((Choice("A", (GlobalType((Message("A", "B", "l"), *deep.items)),)),))
    with pytest.raises(KlorError) as caught:
        check(Protocol("Deep", ("A", "B"), deep))
    assert caught.value.slug == "too-deep"


# --- Projection -------------------------------------------------------------------------------------------------------


def locals_of(text: str, **options: str) -> dict[str, str]:
    return {role: str(part) for role, part in local_types(parse_protocol(text), **options).items()}  # type: ignore[arg-type]


def test_a_role_that_is_told_by_whom_it_hears_first() -> None:
    text = """(defprotocol Buy [Buyer Seller Post]
      (branch Buyer Seller (yes (-> Seller Post (parcel str))) (no (-> Seller Post (nothing)))))"""
    assert locals_of(text)["Post"] == "Seller&{nothing: end, parcel(str): end}"
    assert locals_of(text, merging="plain")["Post"] == "Seller&{parcel(str): end, nothing: end}"


def test_a_role_without_part_in_a_loop_is_done() -> None:
    text = "(defprotocol P [A B C] (-> A C int) (mu t (branch A B (more t) (done))))"
    assert locals_of(text)["C"] == locals_of(text, merging="plain")["C"] == "A?<int>; end"


def test_full_merging_lets_a_role_wait_while_others_repeat() -> None:
    """C does not know how many rounds there are, and need not: it waits for the number."""
    text = "(defprotocol Count [A B C] (mu t (branch A B (more t) (done (-> A C int)))))"
    assert locals_of(text)["C"] == "A?<int>; end"
    with pytest.raises(KlorError) as caught:
        locals_of(text, merging="plain")
    assert [d.slug for d in caught.value.diagnostics] == ["unmergeable"]
    assert "C is not told of A's choice" in caught.value.message


@pytest.mark.parametrize("merging", ["full", "plain"])
@pytest.mark.parametrize(
    ("branches", "why"),
    [
        ("(l (-> B C int)) (r)", "receive <int> from B"),
        ("(l (-> C B int)) (r (-> C B str))", "send <int> to B"),
        ("(l (-> C B int)) (r (-> B C int))", "send <int> to B"),
        ("(l (-> B C (x int))) (r (-> B C (x str)))", "receive x(int) from B"),
        ("(l (-> A C int)) (r (-> B C int))", "receive <int> from"),
    ],
)
def test_who_is_not_told_of_a_choice(merging: str, branches: str, why: str) -> None:
    with pytest.raises(KlorError) as caught:
        locals_of(f"(defprotocol P [A B C]\n  (branch A B {branches}))", merging=merging)
    error = caught.value
    assert error.slug == "unmergeable"
    assert why in error.message
    assert str(error.span) == "2:3"


def test_a_role_that_the_protocol_does_not_have() -> None:
    with pytest.raises(KlorError) as caught:
        local_type(parse_protocol("(defprotocol P [A B] (-> A B int))"), "C")
    assert caught.value.slug == "unbound-role"


def test_all_roles_without_projection_are_told() -> None:
    with pytest.raises(KlorError) as caught:
        locals_of("(defprotocol P [A B C D] (branch A B (l (-> B C int) (-> B D int)) (r)))")
    assert ["C is" in d.message for d in caught.value.diagnostics] == [True, False]
    assert len(caught.value.diagnostics) == 2


# --- Automata ---------------------------------------------------------------------------------------------------------


def test_an_automaton_is_minimal_and_numbered_from_the_start() -> None:
    unfolded = "(mu t (-> A B (x)) (-> A B (x)) (branch A B (x t) (y)))"
    machine = automaton(local_type(parse_protocol(f"(defprotocol P [A B] {unfolded})"), "B"))
    assert [str(t) for t in machine.transitions] == ["0 A?x() 1", "1 A?x() 2", "2 A?x() 0", "2 A?y() 3"]
    assert machine.final == {3}
    x, y = machine.transitions[0].action, machine.transitions[3].action
    assert machine.accepts([x, x, y])
    assert not machine.accepts([x, x])
    assert not machine.accepts([y])


def test_a_role_that_does_nothing_has_one_state() -> None:
    machine = automaton(local_type(parse_protocol("(defprotocol P [A B C] (-> A B int))"), "C"))
    assert (machine.states, machine.final, machine.transitions) == (1, {0}, ())


def test_equal_behaviour_is_an_equal_automaton() -> None:
    one = parse_protocol("(defprotocol P [A B] (mu t (-> A B int) t))")
    two = parse_protocol("(defprotocol P [A B] (-> A B int) (mu t (-> A B int) (-> A B int) t))")
    assert automaton(local_type(one, "A")) == automaton(local_type(two, "A"))


# --- Regular trees ----------------------------------------------------------------------------------------------------


def test_types_are_equal_when_they_unfold_alike() -> None:
    assert tree(parse_global("(mu t (-> a b int) t)")) == tree(parse_global("(-> a b int) (mu u (-> a b int) (-> a b int) u)"))
    assert tree(parse_global("(mu t (-> a b int) t)")) != tree(parse_global("(-> a b int)"))


def test_what_follows_a_choice_is_written_once() -> None:
    text = "(branch a b (l) (r (-> b a int))) (-> a b str) (-> b a str)"
    assert type_of(tree(parse_global(text))).text == "(branch a b (l end) (r (-> b a int))) (-> a b str) (-> b a str)"


def test_a_branch_that_goes_back_keeps_what_follows_to_itself() -> None:
    text = "(mu t (branch a b (again t) (on (-> a b int) (branch b a (l) (r)) (-> a b str))))"
    root = tree(parse_global(text))
    assert tree(type_of(root)) == root


# --- Scribble ---------------------------------------------------------------------------------------------------------


def test_scribble_writes_the_protocols_that_are_used() -> None:
    library = parse_protocols("""
      (defprotocol Main [A B] (-> A B (hello str int)) (do Rest B A))
      (defprotocol Rest [X Y] (mu t (branch X Y (more t) (do-it))))""")
    assert scribble(library["Main"]) == """\
global protocol Main(role A, role B) {
  hello(str, int) from A to B;
  do Rest(B, A);
}

aux global protocol Rest(role X, role Y) {
  rec t {
    choice at X {
      more() from X to Y;
      continue t;
    } or {
      do_it() from X to Y;
    }
  }
}"""
    assert "choice at A {" in scribble_local(library["Main"], "B") or "choice at B {" in scribble_local(library["Main"], "B")


def test_scribble_tells_names_apart_that_become_equal() -> None:
    text = scribble(parse_protocol("(defprotocol P [a-b a_b] (-> a-b a_b (x?)) (-> a_b a-b (x!)))"))
    assert text == """\
global protocol P(role a_b, role a_b_2) {
  x_() from a_b to a_b_2;
  x__2() from a_b_2 to a_b;
}"""


def test_items_say_what_they_are() -> None:
    assert repr(Do("P", ("A",))) == "Do(protocol='P', roles=('A',))"
    assert repr(parse_protocol("(defprotocol P [A B] (-> A B int))")) == "(defprotocol P [A B] (-> A B int))"


def test_nothing_stands_behind_the_end() -> None:
    with pytest.raises(KlorError) as caught:
        parse_protocol("(defprotocol P [A B] end (-> A B int))")
    assert (caught.value.slug, str(caught.value.span)) == ("bad-protocol", "1:22")
