"""Scopes whose body stands in place: a definition of its own, with the locals around as parameters; and barriers."""

from __future__ import annotations

import types
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import klorpy
from klorpy.core.choreography import Choreography
from klorpy.environment.session import Session
from klorpy.language.check import check
from klorpy.language.compiler import recompile
from klorpy.runtime import scopes

SERVE = """
(defchor serve [C S] (-> #{C S} #{C S}) [n]
  (loop [n n i 0]
    (if (< i 4)
      (do (S (at-server i))
          (recur (scope step [S C] (S=>C (S (+ (C->S (C (+ n 0))) 1)))) (+ i 1)))
      n)))
"""
#: Another body, with another number of messages, which names a local that the first does not.
LATER = "(update step (S->C (S (+ i 1000))) (S=>C (S (+ (C->S (C (+ n 0))) 100))))"


def module(*texts: str, **names: Any) -> Any:
    ns: types.ModuleType = klorpy.evaluate("")
    vars(ns).update(names)
    for text in texts:
        klorpy.evaluate(text, module=ns)
    return ns


def serving(update: str = LATER, at: int = 2) -> Any:
    ns = module(SERVE, at_server=lambda i: klorpy.evaluate(update, module=ns) if i == at else None)
    return ns


def refused(ns: Any, text: str) -> klorpy.KlorError:
    with pytest.raises(klorpy.KlorError) as caught:
        klorpy.evaluate(text, module=ns)
    return caught.value


# --- The body ---------------------------------------------------------------------------------------------------------


def test_a_body_becomes_a_choreography_of_the_scope_s_name() -> None:
    ns = module(SERVE, at_server=lambda i: None)
    assert klorpy.signature(ns.step) == "(forall [S C] (-> #{S C} #{S C} #{S C} | 0))"
    assert klorpy.simulate_chor(ns.serve, 0, sanitize=True).results == {"C": 4, "S": 4}
    assert klorpy.simulate_chor(ns.step, 5, 0).results == {"S": 6, "C": 6}
    assert "C->S (C (+ n 0))" in klorpy.project(ns.step, "S")


@pytest.mark.parametrize("seed", range(12))
def test_an_update_gives_the_body_alone_and_names_all_locals_in_reach(seed: int) -> None:
    simulation = klorpy.simulate_chor(serving().serve, 0, seed=seed, sanitize=True)
    assert simulation.results == {"C": 202, "S": 202}
    assert [m.value for m in simulation.messages if m.source == "S" and isinstance(m.value, int) and m.value >= 1000] == [1002, 1003]


def test_updates_in_full_calls_and_definitions_fit_as_well() -> None:
    # `at_server` evaluates the update once more in each run, at the third round.
    full = "(update step [S C] (-> #{S C} #{S C} #{S C}) [m _] (S=>C (S (+ (C->S (C (+ m 0))) 100))))"
    assert klorpy.simulate_chor(serving(full).serve, 0)["C"] == 202
    ns = serving(full)
    klorpy.simulate_chor(ns.serve, 0)
    klorpy.evaluate(LATER, module=ns)  # it is still known where the scope stands
    assert klorpy.simulate_chor(ns.serve, 0)["C"] == 400
    assert klorpy.simulate_chor(serving(full.replace("update", "defchor")).serve, 0)["C"] == 202
    called = module(SERVE, "(defchor main [S C] (-> #{S C} #{S C}) [x] (scope (step [S C] x x)))", at_server=lambda i: None)
    assert klorpy.simulate_chor(called.main, 1)["C"] == 2


def test_an_update_in_host_code_and_of_a_scope_of_another_module(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ns = module(SERVE, f"(defn at-server [i] (when (= i 3) {LATER}))")
    assert klorpy.simulate_chor(ns.serve, 0)["C"] == 103
    (tmp_path / "home_of_serve.hy").write_text(f"(require klorpy *)\n{SERVE}\n(defn at-server [i])", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    ns = klorpy.evaluate(f"(import home-of-serve [serve step])\n{LATER}")
    assert klorpy.simulate_chor(ns.serve, 0)["C"] == 400


def test_bytecode_keeps_what_a_scope_needs(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"(require klorpy *)\n{SERVE}\n(defn at-server [i])\n{LATER}"
    (tmp_path / "scopes_in_bytecode.hy").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    for _ in range(2):
        __import__("scopes_in_bytecode")
        ns: Any = __import__("sys").modules.pop("scopes_in_bytecode")
        assert klorpy.simulate_chor(ns.serve, 0)["C"] == 400
        klorpy.evaluate("(update step (S=>C (S (+ (C->S (C (+ n 0))) 5))))", module=ns)
        assert klorpy.simulate_chor(ns.serve, 0)["C"] == 20
    assert (tmp_path / "__pycache__").exists()


def test_the_first_of_the_roles_leads_and_only_they_take_part() -> None:
    ns = module(
        "(defchor three [A B C] (-> #{A B C} A [B C]) [x y]"
        " (let [z (A->B (A (+ x y))) w (C 3)] (scope pair [C B] (pack (B (+ z x)) (C (+ x 1))))))"
    )
    assert klorpy.signature(ns.pair) == "(forall [C B] (-> #{C B} B C [B C] | 0))"  # y is nowhere here, x at two of three
    found = [(m.source, m.target) for m in klorpy.simulate_chor(ns.three, 1, 2).messages]
    assert found == [("A", "B"), ("C", "B")]
    klorpy.evaluate("(update pair (pack (C->B (C 7)) (C (- w 1))))", module=ns)


def test_without_a_vector_the_roles_are_those_that_the_scope_is_lifted_to() -> None:
    ns = module(
        "(defchor all [A B C] (-> A A) [x] (scope one (C->A (C (B->C (A->B x))))))",
        "(defchor some [A B C] (-> A A | B C) [x] (C 0) (lifting [B A] (scope two (B->A (A->B x)))))",
    )
    assert ns.one.roles == ("A", "B", "C")
    assert ns.two.roles == ("A", "B")
    error = refused(ns, "(defchor f [A B C] (-> A C) [x] (lifting [A B] (scope three (B->C (A->B x)))))")
    assert error.slug == "roles-outside-scope"
    assert error.help == "write (scope three [A B C] …)"
    quiet = "(defchor quiet [A B C] (-> A B | 0) [x] (A->B x))"
    with pytest.warns(klorpy.KlorWarning, match="never used"):
        ns = module(quiet)
    error = refused(ns, "(defchor f [A B C] (-> A B) [x] (scope four [A B] (quiet [A B C] x)))")
    assert (error.slug, error.help) == ("roles-outside-scope", "write (scope four [A B C] …)")


def test_who_does_not_know_of_a_choice_is_in_no_scope_that_depends_on_it() -> None:
    text = "(defchor f [A B C] (-> #{A B} A A | C) [g x] (C 0) (if g (scope s (B->A (A->B x))) x))"
    assert refused(module(), text).slug == "if-unknown-choice"
    assert klorpy.simulate_chor(module(text.replace("scope s", "scope s [A B]")).f, True, 3)["A"] == 3


def test_scopes_in_scopes_in_loops_in_closures_and_with_roles_swapped() -> None:
    ns = module(
        "(defchor twice [P Q] (-> (-> P Q | 0) P Q) [f x] (scope outer [Q P]"
        "  (let [y (f x)] (scope inner [P Q] (f (Q->P (Q (+ y 1))))))))",
        "(defchor main [A B C] (-> A B | C) [x] (let [k (A->B (A 10))]"
        "  (C->B (B->C (twice [A B] (chor (-> A B) [z] (scope leaf [B A] (B (+ (A->B z) k)))) x)))))",
    )
    assert klorpy.simulate_chor(ns.main, 1, sanitize=True)["B"] == 22
    klorpy.evaluate("(update inner (f (Q->P (Q (* y 100)))))", module=ns)
    assert klorpy.simulate_chor(ns.main, 1, sanitize=True)["B"] == 1110
    klorpy.evaluate("(update outer (let [y (f (P (- x 1)))] (scope inner [P Q] y)))", module=ns)
    assert klorpy.simulate_chor(ns.main, 1, sanitize=True)["B"] == 10
    klorpy.evaluate("(update leaf (A->B z))", module=ns)
    assert klorpy.simulate_chor(ns.main, 1, sanitize=True)["B"] == 0


def test_a_scope_in_tail_position_takes_no_space() -> None:
    ns = module("(defchor down [A B] (-> #{A B} #{A B}) [n] (if (= n 0) n (scope step (down [B A] (- n 1)))))")
    assert klorpy.simulate_chor(ns.down, 3000, sanitize=False)["A"] == 0


def test_locals_of_a_function_around_a_definition() -> None:
    ns = module("(defn make [k] (defchor f [A B] (-> A B) [x] (scope s (A->B (A (+ x k))))) [f s])")
    (f, one), (_, other) = ns.make(5), ns.make(7)
    assert klorpy.simulate_chor(f, 1)["B"] == 6
    assert klorpy.simulate_chor(other, 1)["B"] == 8
    assert one is not other
    assert not hasattr(ns, "s")


def test_a_scope_that_a_macro_makes_is_compiled_once_more_as_it_is() -> None:
    ns = module("(defmacro renewable [name #* body] `(scope ~name ~@body))", "(defchor f [A B] (-> A B) [x] (renewable s (A->B x)))")
    assert klorpy.simulate_chor(ns.f, 1)["B"] == 1
    assert "(A->B x)" in klorpy.project(ns.s, "A")
    klorpy.evaluate("(update s (A->B (A (- x 1))))", module=ns)
    assert klorpy.simulate_chor(ns.f, 1)["B"] == 0


def test_recur_does_not_leave_a_scope_and_a_loop_may_be_in_it() -> None:
    ns = module("(defchor f [A B] (-> #{A B} #{A B}) [n] (scope s (loop [i n t 0] (if (= i 0) t (recur (- i 1) (+ t i))))))")
    assert klorpy.simulate_chor(ns.f, 4)["B"] == 10
    for text in ("(update s (if (= n 0) n (recur n)))", "(defchor g [A] (-> A A) [n] (scope t (recur n)))"):
        assert refused(ns, text).slug == "recur-not-tail"


def test_captured_agreements_are_not_verified_again() -> None:
    text = "(with-opts {{:verify {{:agreement True}}}} (defchor f [A B] (-> #{{A B}} B) [x] {}))"
    inside = klorpy.simulate_chor(module(text.format("(scope s [A B] (A->B (A (+ x 1))))")).f, 1).messages
    plain = klorpy.simulate_chor(module(text.format("(A->B (A (+ x 1)))")).f, 1).messages
    assert len(inside) == len(plain) + 1


# --- Names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        ("(defchor f [A B] (-> A B) [x] (scope f (A->B x)))", "dup-name"),
        ("(defchor f [A B] (-> A B) [x] (scope print (A->B x)))", "dup-name"),
        ("(defchor f [A B] (-> A B) [x] (scope step (A->B x)))", "dup-name"),
        ("(defchor f [A B] (-> A B) [x] (scope helper (A->B x)))", "dup-name"),
        ("(defchor f [A B] (-> A B) [x] (scope A (A->B x)))", "dup-name"),
        ("(defchor f [A B] (-> A B) [x] (scope let (A->B x)))", "dup-name"),
        ("(defchor f [A B] (-> A B) [x] (do (scope s-t (A->B x)) (scope s_t (A->B x))))", "dup-name"),
        ("(defchor f [A B] (-> A B) [x] (scope s [A D] (A->B x)))", "unknown-role"),
        ("(defchor f [A B] (-> A B) [x] (scope))", "arity"),
        ("(defchor f [A B] (-> A B) [x] (scope :guarded s (A->B x)))", "arity"),
    ],
)
def test_a_name_that_is_taken_and_forms_that_are_no_scopes(text: str, slug: str) -> None:
    ns = module(SERVE, "(defn helper [])", at_server=lambda i: None)
    assert refused(ns, text).slug == slug
    assert not hasattr(ns, "f")
    assert [error.slug for error in check(f"(require klorpy *)\n{SERVE}(defn helper [])\n{text}", "program.hy").errors] == [slug]
    assert klorpy.simulate_chor(ns.serve, 0)["C"] == 4


def test_a_scope_that_was_taken_out_leaves_its_name_to_others() -> None:
    other = "(defchor other [C S] (-> C S) [x] (scope step (C->S x)))"
    ns = module(SERVE, "(defchor serve [C S] (-> #{C S} #{C S}) [n] n)")
    with pytest.warns(klorpy.KlorWarning, match="Signature of step changed"):
        klorpy.evaluate(other, module=ns)
    assert klorpy.simulate_chor(ns.other, 1)["S"] == 1


NESTED = """
(defchor nested [A B] (-> A A) [x]
  (scope outer [A B] (scope inner [B A] (B->A (B (+ (A->B x) 1))))))
(defchor other [A B] (-> A A) [x] (scope aside [A B] (A x)))
"""


@pytest.mark.parametrize(
    "text",
    [
        "(defchor third [A B] (-> A A) [x] (scope inner [B A] (A (* x 7))))",
        "(update aside (scope inner [A B] (A (* x 7))))",
        "(update inner (scope aside [A B] (A x)))",
        "(update outer (scope outer [A B] (A x)))",  # it would enter itself, again and again
        "(update inner (scope outer [A B] (A x)))",
    ],
)
def test_names_of_scopes_in_scopes_are_taken_too(text: str) -> None:
    ns = module(NESTED)
    assert refused(ns, text).slug == "dup-name"
    assert klorpy.simulate_chor(ns.nested, 3)["A"] == 4
    assert klorpy.simulate_chor(ns.other, 3)["A"] == 3


def test_a_file_s_update_does_not_enter_itself() -> None:
    text = f"(require klorpy *)\n{NESTED}\n(update outer (scope outer [A B] (A x)))"
    assert [error.slug for error in check(text, "program.hy").errors] == ["dup-name"]


def test_an_update_may_have_the_scopes_of_the_text_that_it_replaces() -> None:
    ns = module(NESTED, "(update outer (scope inner [B A] (A (* x 7))))")
    assert klorpy.simulate_chor(ns.nested, 3)["A"] == 21
    klorpy.evaluate("(update outer (A x))", module=ns)
    klorpy.evaluate("(defchor third [A B] (-> A A) [x] (scope inner [B A] (A (* x 8))))", module=ns)
    assert klorpy.simulate_chor(ns.nested, 3)["A"] == 3
    assert klorpy.simulate_chor(ns.third, 3)["A"] == 24


@pytest.mark.parametrize(("text", "slug"), [("(update step)", "arity"), ("(update shop.step (A x))", "bad-param")])
def test_a_form_that_is_no_update_is_told_of_both_ways_to_write_one(text: str, slug: str) -> None:
    error = refused(module(), text)
    assert error.slug == slug
    assert "(update name body …)" in str(error.help)
    assert "(update name [Role …] (-> T …) [param …] body …)" in str(error.help)


@pytest.mark.parametrize(
    "text",
    [
        "(defchor f [A B] (-> A B) [x] (scope step [A B] (A->B x)))",
        "(defchor step [A B] (-> A B) [x] (A->B x)) (defchor f [A B] (-> A B) [x] (scope (step [A B] x)))",
    ],
)
def test_a_scope_whose_name_means_something_else_by_now_says_so(text: str) -> None:
    ns = module(text)
    ns.step = 5
    with pytest.raises(klorpy.ChoreographyFailed) as caught:
        klorpy.simulate_chor(ns.f, 3)
    assert isinstance(caught.value.__cause__, klorpy.KlorError)
    assert caught.value.__cause__.slug == "not-a-chor"


def test_a_file_is_checked_with_its_scopes_and_their_updates() -> None:
    text = f"(require klorpy *)\n(defn at-server [i])\n{SERVE}\n{LATER}\n(update step (S->C n))\n(update serve n)"
    found = check(text, "program.hy")
    assert [error.slug for error in found.errors] == ["copy-dst-present", "bad-update"]
    assert {"serve", "step"} <= found.signatures.keys()
    assert not found.warnings


def test_a_definition_that_is_wrong_hides_no_update_s_mistakes_behind_its_own() -> None:
    text = "(require klorpy *)\n" + SERVE.replace("(C->S (C", "(C->D (C") + LATER + "(update nothing 1)"
    assert [error.slug for error in check(text, "program.hy").errors] == ["unknown-role", "bad-update"]


# --- Defining anew ----------------------------------------------------------------------------------------------------


def test_the_new_text_wins_over_an_update() -> None:
    ns = serving()
    assert klorpy.simulate_chor(ns.serve, 0)["C"] == 202
    assert klorpy.simulate_chor(ns.serve, 0)["C"] == 400
    before = ns.step
    klorpy.evaluate(SERVE.replace("1)))) (+ i 1)", "7)))) (+ i 1)"), module=ns)
    ns.at_server = lambda i: None
    assert ns.step is before
    assert klorpy.simulate_chor(ns.serve, 0)["C"] == 28


def test_a_run_under_way_takes_the_body_of_a_new_definition() -> None:
    again = SERVE.replace("1)))) (+ i 1)", "7)))) (+ i 1)")
    ns = module(SERVE, at_server=lambda i: klorpy.evaluate(again, module=ns) if i == 3 else None)
    assert klorpy.simulate_chor(ns.serve, 0)["C"] == 10


def test_other_locals_are_another_signature_which_a_run_under_way_does_not_take() -> None:
    again = SERVE.replace("[n n i 0]", "[n n more 1 i 0]").replace("(recur", "(recur").replace(") (+ i 1)))", ") more (+ i 1)))")

    def renew(i: int) -> None:
        if i == 1:
            with pytest.warns(klorpy.KlorWarning, match="Signature of step changed"):
                klorpy.evaluate(again, module=ns)

    ns = module(SERVE, at_server=renew)
    assert klorpy.simulate_chor(ns.serve, 0)["C"] == 4
    ns.at_server = lambda i: None
    assert klorpy.simulate_chor(ns.serve, 0)["C"] == 4
    assert klorpy.signature(ns.step).count("#{S C}") == 4


def test_a_definition_that_is_refused_leaves_its_scopes_as_they_are() -> None:
    ns = module("(defprotocol Once [C S] (-> S C any) (-> C S any))")
    keeps = "(with-opts {:protocol Once} (defchor send [C S] (-> C S) [x] %s))"
    klorpy.evaluate(keeps % "(scope say [S C] (C->S (C (+ x 1))))", module=ns)
    before, caller = ns.say.definition, ns.send.definition
    assert refused(ns, keeps % "(scope say [S C] (C->S (C (+ x 2))) (C->S x))").slug == "protocol-deviation"
    assert ns.say.definition is before
    assert ns.send.definition is caller
    assert list(ns.say.callers) == [ns.send]
    assert klorpy.simulate_chor(ns.send, 1)["S"] == 2
    other = keeps.replace("defchor send", "defchor other") % "(scope tell [S C] (C->S x))"
    refused(ns, other.replace("(C->S x)))", "(C->S (S->C (C->S x)))))"))
    assert not hasattr(ns, "tell")
    klorpy.evaluate(other, module=ns)
    assert klorpy.simulate_chor(ns.other, 1)["S"] == 1


def test_a_session_recompiles_what_is_stale_and_lets_updates_stand() -> None:
    with Session() as session:
        for text in (
            "(defchor price [C S] (-> C S) [x] (C->S x))",
            "(defchor buy [C S] (-> C S) [x] (do (price [C S] x) (scope pay (price [C S] x))))",
            "(defchor sell [C S] (-> C S) [x] (do (price [C S] x) (scope ship (C->S (C (+ x 1))))))",
            "(update ship (C->S (C (+ x 10))))",
        ):
            assert [outcome.error for outcome in session.evaluate(text)] == [None]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", klorpy.KlorWarning)
            list(session.evaluate("(defchor price [C S] (-> C #{C S}) [x] (C=>S x))"))
            ns: Any = session.module
            done = {found.choreography.name: found.error for found in session.registry.recompile()}
        # What a body gives is what its definition gives: that is an error of the definition, and `sell` is mended.
        assert {name for name, error in done.items() if error is not None} == {"buy"}
        assert klorpy.simulate_chor(ns.sell, 1)["S"] == 11
        assert [outcome.error for outcome in session.evaluate(",update ship")] == [None]


def test_an_old_text_whose_scope_has_other_parameters_by_now_is_not_compared() -> None:
    session = Session()
    list(session.evaluate("(require klorpy *) (defchor f [A B] (-> A A) [n] (do (A->B (A 1)) (scope s [A B] (A->B n)) n))"))
    (outcome,) = session.evaluate("(defchor f [A B] (-> A A) [n] (let [q (A 4)] (scope s [A B] (A->B q)) n))")
    assert outcome.error is None
    assert [note.slug for note in outcome.warnings] == ["signature-changed"]
    (asked,) = session.evaluate(",update f")
    assert asked.error is None
    assert "it is not known what changes: s is (forall [A B] (-> A A B | 0))" in str(asked.output)


def test_a_session_says_that_scopes_change_all_roles_at_once() -> None:
    with Session() as session:
        list(session.evaluate("(defchor send [C S] (-> C S) [x] (scope step [S C] (C->S x)))"))
        (outcome,) = session.evaluate("(update step (do (S->C (S 1)) (C->S x)))")
        said = "\n".join(map(str, outcome.notes))
        assert "step communicates differently: its scopes change all roles at once, at the next entry" in said
        list(session.evaluate("(defchor other [C S] (-> C S) [x] (step [S C] x))"))
        (outcome,) = session.evaluate("(update step (C->S x))")
        assert "have to be updated" in "\n".join(map(str, outcome.notes))


# --- As it is compiled once more --------------------------------------------------------------------------------------


def test_what_is_asked_of_a_scope_is_answered_from_its_text() -> None:
    ns = module("(defn at-server [i] None)", SERVE)
    assert [(site.kind, site.text) for site in recompile(ns.step.definition).sites] == [
        (site.kind, site.text) for site in ns.step.definition.sites
    ]
    assert str(klorpy.protocol_of(ns.step).type) == "C->S:<any>; S->C:<any>; end"
    klorpy.evaluate("\n\n  " + LATER, module=ns)
    assert str(klorpy.protocol_of(ns.step).type) == "S->C:<any>; C->S:<any>; S->C:<any>; end"
    assert "i + 1000" in klorpy.project(ns.step, "S")


def test_an_exception_in_an_update_has_its_place() -> None:
    ns = serving("\n\n(update step (S=>C (S (// (C->S (C (+ n 0))) 0))))")
    with pytest.raises(klorpy.ChoreographyFailed) as caught:
        klorpy.simulate_chor(ns.serve, 0)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert caught.value.span is not None
    assert caught.value.span.line == 3


def test_a_key_is_that_of_the_text_wherever_it_stands() -> None:
    one, two = serving(), serving()
    for ns, text in ((one, LATER), (two, "\n\n ; what is new\n" + LATER.replace(") (S=>C", ")\n  (S=>C"))):
        klorpy.evaluate(text, module=ns)
    assert scopes.noted(one.step).key == scopes.noted(two.step).key
    klorpy.evaluate(LATER.replace("1000", "1001"), module=two)
    assert scopes.noted(one.step).key != scopes.noted(two.step).key


# --- Barriers ---------------------------------------------------------------------------------------------------------


def logged(form: str) -> Callable[[int], list[str]]:
    ns = module(f"(defchor f [A B] (-> A A | B) [x] {form} (A (note_a 1)) x)")

    def run(seed: int) -> list[str]:
        log: list[str] = []
        ns.note_a, ns.note_b = (lambda _: log.append("leader")), (lambda _: log.append("body"))
        klorpy.simulate_chor(ns.f, 1, seed=seed)
        return log

    return run


def test_behind_a_barrier_the_leader_knows_that_all_are_done() -> None:
    body = "[A B] (B (note_b 1)) (A x)"
    plain, guarded = logged(f"(scope s {body})"), logged(f"(scope :barrier s {body})")
    assert {tuple(plain(seed)) for seed in range(30)} == {("leader", "body"), ("body", "leader")}
    assert {tuple(guarded(seed)) for seed in range(30)} == {("body", "leader")}


@pytest.mark.parametrize("form", ["(scope :barrier s [B A C] (B=>C (A->B x)))", "(scope :barrier (s [B A C] x))"])
def test_a_barrier_costs_a_message_of_each_other_role(form: str) -> None:
    ns = module("(defchor s [B A C] (-> A #{B C}) [x] (B=>C (A->B x)))" if "(s [" in form else "")
    klorpy.evaluate(f"(defchor f [A B C] (-> A #{{B C}}) [x] {form})", module=ns)
    simulation = klorpy.simulate_chor(ns.f, 5)
    assert simulation.results == {"A": klorpy.noop, "B": 5, "C": 5}
    assert [(m.source, m.target) for m in simulation.messages if m.value == "done"] == [("A", "B"), ("C", "B")]
    assert len(simulation.messages) == 2 + 2 + 2
    assert str(klorpy.protocol_of(ns.f).type).endswith("A->B:<any>; C->B:<any>; end")
    agree = klorpy.compare(ns.f, ns.f)
    assert agree.verdict == "same"


def test_a_choreography_of_scopes_conforms_to_what_its_scopes_say() -> None:
    ns = module(
        "(defprotocol Guarded [C S] (-> S C any) (-> C S any) (-> C S any))",
        "(with-opts {:protocol Guarded} (defchor f [C S] (-> C S) [x] (scope :barrier s [S C] (C->S x))))",
    )
    assert klorpy.simulate_chor(ns.f, 1)["S"] == 1
    assert isinstance(ns.s, Choreography)
