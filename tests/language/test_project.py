"""Projection: what a role does, and in which order. The order is that of the source, at every role."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import klorpy

#: `(p n)` notes `n` at the role that runs it, and gives it.
NOTE = "(defn p [n] (print n) n)\n(defn pass-on [#* args #** kw] [(list args) kw])\n(defclass Box [] (defn m [self #* args] (list args)))\n"


def simulate(text: str, *args: Any, name: str = "f", **options: Any) -> klorpy.Simulation:
    ns = klorpy.evaluate(NOTE + text)
    return klorpy.simulate_chor(getattr(ns, name), *args, **options)


def order(simulation: klorpy.Simulation, role: str) -> list[str]:
    return simulation.outputs[role].split()


# --- Evaluation order -------------------------------------------------------------------------------------------------

#: Each is host code at A with operands 1 … 4; `{2}` and `{3}` are any expressions.
SHAPES = {
    "list": "[(p 1) {2} {3} (p 4)]",
    "tuple": "#((p 1) {2} {3} (p 4))",
    "set": "#{{(p 1) {2} {3} (p 4)}}",
    "dict": "{{(p 1) {2} {3} (p 4)}}",
    "operator": "(+ (p 1) {2} {3} (p 4))",
    "comparison": "(< (p 1) {2} {3} (p 4))",
    "chain": "(chainc (p 1) < {2} <= {3} < (p 4))",
    "call": "(pass-on (p 1) {2} {3} (p 4))",
    "keywords": "(pass-on (p 1) :a {2} :b {3} :c (p 4))",
    "keywords before": "(pass-on :a (p 1) :b {2} {3} (p 4))",
    "unpacked": "(pass-on #* [(p 1)] #* [{2}] {3} (p 4))",
    "unpacked keywords": '(pass-on #** {{"a" (p 1)}} :b {2} #** {{"c" {3}}} :d (p 4))',
    "method": "(.m (do (p 1) (Box)) {2} {3} (p 4))",
    "method call": "((. (do (p 1) (Box)) m) {2} {3} (p 4))",
    "f-string": 'f"{{(p 1)}}{{ {2} }}-{{ {3} :02}}{{(p 4)}}"',
    "get": '(get {{1 {{2 {{3 {{4 "v"}}}}}}}} (p 1) {2} {3} (p 4))',
    "nested": "[(p 1) [{2} [{3}]] (p 4)]",
    "nested calls": "(pass-on (p 1) (pass-on {2} (pass-on {3})) (p 4))",
    "do": "(do (p 1) {2} {3} (p 4))",
    "let": "(let [a (p 1) b {2} c {3}] [a b c (p 4)])",
    "if": "[(p 1) (if {2} {3} (p 0)) (p 4)]",
    "and": "[(p 1) (and {2} {3}) (p 4)]",
    "or": "[(p 1) (or (not {2}) {3}) (p 4)]",
    "cond": "[(p 1) (cond (not {2}) (p 0) {3} (p 4))]",
    "case": "[(p 1) (case {2} 2 {3} (p 0)) (p 4)]",
    "match": "[(p 1) (match {2} 2 {3} _ (p 0)) (p 4)]",
    "pack": "(unpack [[a b c d] (pack (p 1) {2} {3} (p 4))] [a b c d])",
    "assignment of a part": "(let [[a b] [(p 1) {2}]] [a b {3} (p 4)])",
}

#: Ways to compute n at A: at A itself, as a statement that Hy would hoist, and by communication.
WAYS = {
    "call": "(p {0})",
    "try": "(try (p {0}) (except [ValueError] 0))",
    "let": "(let [v (p {0})] v)",
    "do": "(do (p {0}))",
    "do two": "(do None (p {0}))",
    "setv in fn": "((fn [] (setv v (p {0})) v))",
    "comprehension": "(get (lfor v [(p {0})] v) 0)",
    "with": "(do (let [v (p {0})] (when True v)))",
    "from B": "(B->A (B (p {0})))",
    "to B and back": "(B->A (B (A->B (A (p {0})))))",
    "by a call": "(ask [A B] (p {0}))",
    "by a value": "(let [c (chor (-> A A) [x] (B->A (B (A->B x))))] (c (p {0})))",
    "by a loop": "(loop [i 1] (if (> i 0) (recur (- i 1)) (p {0})))",
}
ASK = "(defchor ask [A B] (-> A A) [x] (B->A (B (A->B x))))\n"


#: Each way as third operand, and after other ways as second.
PAIRS = [
    *(("call", third) for third in WAYS),
    ("let", "from B"),
    ("from B", "try"),
    ("from B", "call"),
    ("by a call", "from B"),
]
#: Shapes whose third operand depends on a choice: B, who does not know the choice, may not take part.
CHOICES = ("if", "and", "or", "cond", "case", "match")
COMMUNICATES = ("from B", "to B and back", "by a call", "by a value")


@pytest.mark.parametrize(
    ("shape", "second", "third"),
    [(s, *pair) for s in SHAPES for pair in PAIRS if not (s in CHOICES and pair[1] in COMMUNICATES)],
)
def test_operands_are_evaluated_in_the_order_of_the_source(shape: str, second: str, third: str) -> None:
    text = SHAPES[shape].format("", "", WAYS[second].format(2), WAYS[third].format(3))
    simulation = simulate(f"{ASK}(defchor f [A B] (-> A A) [u] (do (B None) (A {text})))", None)
    numbers = order(simulation, "A")
    at_b = order(simulation, "B")
    # What B notes for A is not noted by A; all others come in order.
    assert numbers == sorted(numbers)
    expected = {"1", "4"} | ({"2"} - set(at_b)) | ({"3"} - set(at_b))
    assert set(numbers) == expected
    assert at_b == sorted(at_b)


@pytest.mark.parametrize("shape", [s for s in SHAPES if s not in CHOICES])
def test_messages_do_not_change_places(shape: str) -> None:
    """One role's copy of an operand is a statement, the other's a bare expression: Hy alone would swap them."""
    text = SHAPES[shape].format("", "", "(let [v (B=>A (B (p 2)))] (A v))", "(B->A (B (p 3)))")
    simulation = simulate(f"(defchor f [A B] (-> A A) [u] (A {text}))", None)
    assert simulation.channel("B", "A") == [2, 3]
    assert simulation.verdict is None


def test_the_same_text_at_two_roles() -> None:
    """Each role runs its copy, and each in order; what one of them does for the other does not disturb."""
    simulation = simulate(
        '(defchor f [A B] (-> #{A B} #{A B}) [x]'
        ' [(p "a") (A=>B (A (p 1))) (p "b") (let [y (B=>A (B (p 2)))] (p "c") y) {(p "k") (p "v")}])', 0
    )  # fmt: skip
    assert order(simulation, "A") == ["a", "1", "b", "c", "k", "v"]
    assert order(simulation, "B") == ["a", "b", "2", "c", "k", "v"]
    assert simulation["A"] == simulation["B"] == ["a", 1, "b", 2, {"k": "v"}]


def test_values_communicated_inside_a_dict_land_under_their_keys() -> None:
    simulation = simulate(
        "(defchor f [A B] (-> A) [] (A {(p 1) (B->A (B (p 10))) (B->A (B (p 2))) (p 20) 3 (B->A (B 30))}))"
    )
    assert simulation["A"] == {1: 10, 2: 20, 3: 30}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("[n (bump) n]", [0, 1, 1]), ("[n (let [x (bump)] x) n]", [0, 1, 1]), ("(+ n (do None (bump)) n)", 2),
        ("(pass-on n :k (try (bump) (except [e OSError] 0)) :l n)", [[0], {"k": 1, "l": 1}]),
        ('f"{n} {(let [q (bump)] q)} {n}"', "0 1 1"), ("#(n (B->A (B (bump))) n)", (0, 1, 1)),
        ("{n (do None (bump)) (bump) n}", {0: 1, 2: 2}), ("(get [n (let [x (bump)] x)] n)", 1),
        ("[(. box n) (do None (.append (. box xs) 1) (setattr box \"n\" 5)) (. box n)]", [0, None, 5]),
        ("[(list (. box xs)) (do None (.append (. box xs) 1)) (. box xs)]", [[], None, [1]]),
        ("(current (let [x (swap)] x))", ("old", 1)),
    ],
)  # fmt: skip
def test_a_variable_is_read_when_its_turn_comes(text: str, result: Any) -> None:
    """Also before an operand that needs statements, and which function is called is settled before its arguments."""
    simulation = simulate(
        "(setv n 0) (defn bump [] (global n) (setv n (+ n 1)) n)\n"
        "(defclass Box2 [] (defn __init__ [self] (setv self.n 0 self.xs [])))\n(setv box (Box2))\n"
        '(defn current [x] #("old" x)) (defn swap [] (global current) (setv current (fn [x] #("new" x))) 1)\n'
        f"(defchor f [A B] (-> A) [] (do (B None) (A {text})))"
    )
    assert simulation["A"] == result


#: Random nests of collections and calls, whose leaves are numbered in the order of the text.
NESTS = st.recursive(
    st.sampled_from(["call", "try", "let", "from B", "to B and back", "by a call"]),
    lambda inner: st.tuples(st.sampled_from(["[{}]", "#({})", "(pass-on {})", "(do {})", "(let [w [{}]] w)", "{{1 [{}]}}"]),
                            st.lists(inner, min_size=1, max_size=4)),
    max_leaves=10,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(NESTS)
def test_any_nest_is_evaluated_in_order(nest: Any) -> None:
    count = 0

    def text(part: Any) -> str:
        nonlocal count
        if isinstance(part, str):
            count += 1
            # Everything is noted at A, whatever way it takes.
            return WAYS[part].replace("(B (p {0}))", "(B {0})").format(count)
        shape, items = part
        return str(shape.format(" ".join(text(item) for item in items)))

    body = text(nest)
    simulation = simulate(f"{ASK}(defchor f [A B] (-> A) [] (do (B None) (A {body})))")
    numbers = [int(n) for n in order(simulation, "A")]
    sent = simulation.channel("B", "A")
    assert numbers == sorted(numbers)
    assert sent == sorted(sent)
    assert set(numbers) | set(sent) == set(range(1, count + 1))


# --- Choice -----------------------------------------------------------------------------------------------------------


def test_only_the_chosen_branch_runs_and_the_guard_runs_once() -> None:
    simulation = simulate(
        "(defchor f [A B] (-> A #{A B}) [x] (cond (A=>B (A (p (= x 1)))) (A=>B (A (p 10)))"
        " (A=>B (A (p (= x 2)))) (B=>A (B (p 20))) True (A=>B (A (p 30)))))", 2
    )  # fmt: skip
    assert order(simulation, "A") == ["False", "True"]
    assert order(simulation, "B") == ["20"]
    assert simulation.results == {"A": 20, "B": 20}


@pytest.mark.parametrize(("form", "value"), [("and", [0, []]), ("or", ["", "x"]), ("and", [1, "x"]), ("or", [0, 5])])
def test_and_or_give_the_operand_itself(form: str, value: list[Any]) -> None:
    expected = (value[0] and value[1]) if form == "and" else (value[0] or value[1])
    simulation = simulate(f"(defchor f [A B] (-> A A #{{A B}}) [x y] ({form} (A=>B x) (A=>B y)))", *value)
    assert simulation.results == {"A": expected, "B": expected}
    assert len(simulation.messages) == (1 if expected is value[0] or expected == value[0] else 2)


# --- Closures ---------------------------------------------------------------------------------------------------------


def test_functions_made_in_a_loop_keep_their_values() -> None:
    text = """
(defchor f [A] (-> A A) [n]
  (loop [i 0 made []]
    (if (= i n) (lfor g made (g))
      (let [double (* 2 i)] (recur (+ i 1) (+ made [(fn [] [i double])]))))))"""
    assert simulate(text, 3)["A"] == [[0, 0], [1, 2], [2, 4]]


def test_generators_made_in_a_loop_keep_their_values() -> None:
    text = """
(defchor f [A] (-> A A) [n]
  (loop [i 0 made []]
    (if (= i n) (lfor g made (list g)) (recur (+ i 1) (+ made [(gfor x [1 2] (* x i))])))))"""
    assert simulate(text, 3)["A"] == [[0, 0], [1, 2], [2, 4]]


def test_choreographies_made_in_a_loop_keep_their_values() -> None:
    text = """
(defchor both [A B] (-> (-> A B | 0) (-> A B | 0) [B B]) [g h] (pack (g (A 1)) (h (A 1))))
(defchor f [A B] (-> [B B]) []
  (loop [i (A 0) last (chor (-> A B) [x] (A->B (A 0)))]
    (let [mine (chor (-> A B) [x] (A->B (A [x i])))]
      (if (A=>B (A (> i 2))) (both [A B] last mine) (recur (A (+ i 1)) mine)))))"""
    simulation = simulate(text)
    assert simulation["B"] == ([1, 2], [1, 3])


def test_a_choreography_in_a_loop_may_call_itself() -> None:
    text = """
(defchor f [A B] (-> A B) [n]
  (loop [i n total (A 0)]
    (let [down (chor sum (-> A A | B) [k] (if (A=>B (A (= k 0))) (A 0) (A (+ k (sum (A (- k 1)))))))]
      (if (A=>B (A (= i 0))) (A->B total) (recur (A (- i 1)) (A (+ total (down i))))))))"""
    assert simulate(text, 4)["B"] == 10 + 6 + 3 + 1


def test_recur_assigns_all_at_once() -> None:
    text = "(defchor f [A] (-> A A) [n] (loop [i n a 0 b 1] (if (= i 0) a (recur (- i 1) b (+ a b)))))"
    assert simulate(text, 50)["A"] == 12586269025
    swap = "(defchor f [A B] (-> A A B [A B]) [n x y] (if (A=>B (A (= n 0))) (pack x y) (recur (A (- n 1)) (B->A y) (A->B x))))"
    assert simulate(swap, 3, "x", "y").results == {"A": ("y",), "B": ("x",)}


# --- Names ------------------------------------------------------------------------------------------------------------

#: What emitted code itself calls something.
OURS = ["SEND", "RECEIVE", "CALL", "APPLY", "AWAIT", "CHECK", "PAUSE", "Tail", "Instance", "noop", "verify", "no-match",
        "cast", "at", "audit", "t", "t-1", "s0", "s1", "s0-1", "leaf", "chor-1", "f", "f-A", "f-B", "A-2", "define",
        "_klorpy-link", "klorpy", "hy", "globals", "make-t", "self", "yield-", "print", "len", "list", "object"]  # fmt: skip
KEYWORDS = ["class", "def", "lambda", "is", "pass", "async", "import", "match", "type", "case"]
ODD = ["x?", "x!", "x*", "*x*", "->x", "x'", "ünï", "漢", "x-y", "x_z", "valid?", "__x", "Ⅷ", "ﬁ", "µ"]


@pytest.mark.parametrize("name", [*OURS, *KEYWORDS, *(n for n in ODD if n not in ("->x", "x'"))])
def test_a_local_may_have_any_name(name: str) -> None:
    text = (
        f"(defchor g [A B] (-> A [A B]) [{name}]\n"
        f"  (let [before {name} {name} (A=>B (A [{name}])) h (A (fn [] {name})) c (chor (-> A B) [x] (A->B (A [x {name}])))]\n"
        f"    (pack (A [before {name} (h) (let [{name} 1] {name}) (lfor {name} [1 2] {name}) (.index [0 1] 1)]) (c before))))"
    )
    simulation = simulate(text, 7, name="g")
    assert simulation.results == {"A": ([7, [7], [7], 1, [1, 2], 1],), "B": ([7, [7]],)}
    ns = klorpy.evaluate(NOTE + text)
    compile(klorpy.project(ns.g, "A"), "shown.py", "exec")


@pytest.mark.parametrize("name", [*OURS, *KEYWORDS, "Front-end", "R2", "x?", "ünï"])
def test_a_role_may_have_any_name(name: str) -> None:
    text = (
        f"(defchor inner [{name} Q] (-> {name} Q) [x] ({name}->Q ({name} [x])))\n"
        f"(defchor g [P {name}] (-> {name} P {name}) [x y] (do ({name} (str x)) ({name} [(P->{name} y) (P->{name} (inner [{name} P] x))])))"
    )
    simulation = simulate(text, 1, 2, name="g")
    assert simulation.results == {"P": klorpy.noop, name: [2, [1]]}


@pytest.mark.parametrize("name", [n for n in OURS if n not in ("_klorpy-link", "hy", "globals")])
def test_a_global_of_the_user_may_have_any_name(name: str) -> None:
    text = f'(setv {name} "mine")\n(defchor g [A B] (-> A #(A B)) [x] (A->B x))'.replace("#(A B)", "B")
    text = text.replace("(A->B x)", f"(let [t2 (A->B x) u (B [{name} t2])] (B ((fn [] [{name} u]))))")
    assert simulate(text, 1, name="g")["B"] == ["mine", ["mine", 1]]


@pytest.mark.parametrize("name", ["SEND", "cast", "t", "print", "list", "class", "noop", "f-g", "is?", "audit"])
def test_a_choreography_may_have_any_name(name: str) -> None:
    text = (
        f"(defchor {name} [A B] (-> A B) [x] (if (A=>B (A (= x 0))) (A->B (A [x])) ({name} [A B] (A (- x 1)))))\n"
        f"(defchor g [A B] (-> A B) [x] (let [c (inst {name} [A B])] (B [(c x) ({name} [A B] x)])))"
    )
    assert simulate(text, 2, name="g")["B"] == [[0], [0]]


@pytest.mark.parametrize("macro", ["when", "cond", "let", "if"])
def test_a_local_hides_a_form_of_its_name(macro: str) -> None:
    text = f"(defchor g [A] (-> A A) [x] (let [{macro} (fn [y] [y])] ({macro} x)))"
    assert simulate(text, 5, name="g")["A"] == [5]


def test_a_role_hides_a_function_and_a_form() -> None:
    text = "(defchor g [let copy print] (-> let copy) [x] (do (print None) (let->copy (let (str x)))))"
    assert simulate(text, 5, name="g")["copy"] == "5"


def test_shadowing() -> None:
    text = """
(defchor g [A B] (-> A A) [x]
  (let [x (A [x]) y x x (A [x y])]
    (let [x (A->B x)] (B (print x)))
    (A [x (let [x 1] (let [x (+ x 1)] x)) (match x [x y] [y x]) ((fn [x] x) 9) (lfor x [7] x)])))"""
    simulation = simulate(text, 0, name="g")
    assert simulation["A"] == [[[0], [0]], 2, [[0], [0]], 9, [7]]
    assert simulation.outputs["B"] == "[[0], [0]]\n"


def test_a_choreography_sees_globals_as_they_are_when_it_runs() -> None:
    ns = klorpy.evaluate("(setv rate 1)\n(defchor g [A B] (-> A B) [x] (A->B (A (* rate x))))")
    ns.rate = 3
    assert klorpy.simulate_chor(ns.g, 5)["B"] == 15


# --- The text of a projection -----------------------------------------------------------------------------------------


def test_the_projection_names_the_source_of_each_command() -> None:
    ns = klorpy.evaluate("(defchor g [A B] (-> A B) [x] (A->B (A (+ 1 (B->A (B (* 2 (A->B x))))))))")
    text = klorpy.project(ns.g, "A")
    assert [re.sub(r"\s+", " ", line.split("#")[1]).strip() for line in text.splitlines() if "yield" in line] == [
        "(A->B x)", "(B->A (B (* 2 (A->B x))))", "(A->B (A (+ 1 (B->A (B (* 2 (A->B x)))))))",
    ]  # fmt: skip


@pytest.mark.parametrize("role", "AB")
def test_the_projection_is_python(role: str) -> None:
    ns = klorpy.evaluate(
        NOTE + ASK + "(defchor g [A B] (-> A A) [x] (loop [i x] (if (A=>B (A (> i 0))) (recur (ask [A B] (A (- i 1))))"
        " (A (let [h (fn [y] (+ y i))] (try (h 1) (except [e OSError] 2)))))))"
    )
    compile(klorpy.project(ns.g, role), "shown.py", "exec")
