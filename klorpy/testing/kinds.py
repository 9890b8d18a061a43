"""Host values of generated programs: their kinds, what makes them, and what each operation means in Python.

An operation is written twice, as Hy text and as a Python function, so that the meaning of a program does not depend on
how klorpy compiles host code. All are total, and no value grows without bound.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import hy

#: Prints a line at the roles that run the code.
Say: TypeAlias = Callable[[str], None]
#: A host function as the centralised evaluator sees it.
HostFunction: TypeAlias = Callable[[Say, Any], Any]

#: What agreements hold: a "cell" is a list that its one role changes, "any" whatever can be shown. There are also
#: "count", a small int that bounds a repetition, and what only operations ask for: "digits", "short", "sized".
KINDS: Final = ("int", "str", "bool", "none", "list", "dict", "set", "pair", "fn", "cell", "any")
#: Kinds that stand for a value of one of several.
WIDER: Final = {
    "any": ("int", "str", "bool", "none", "list", "dict", "pair"),
    "sized": ("list", "str", "dict", "set", "cell"),
}


@dataclass(frozen=True, slots=True)
class Operation:
    """`text` has a place for each argument; `whole` says that Hy compiles the form as it stands, as one piece."""

    text: str
    kind: str
    args: tuple[str, ...]
    run: Callable[..., Any]
    whole: bool = False
    effect: bool = False


async def later(value: Any) -> Any:
    """A coroutine function for programs that wait for host code."""
    return value


def cat(a: Any, b: Any) -> Any:
    """Concatenation that keeps values small."""
    return (a + b)[:8]


def mul(a: int, b: int) -> int:
    return (a * b) % 97


def tap(value: Any) -> Any:
    """The value, told: by it the order of evaluation shows."""
    print("tap", value)
    return value


#: What generated programs find in their module.
HOST: Final[dict[str, Any]] = {"later": later, "cat": cat, "mul": mul, "tap": tap}


def _append(say: Say, cell: list[int], item: int) -> None:
    cell.append(item)


def _print(say: Say, *items: Any) -> None:
    say(" ".join(map(str, items)))


def _for(say: Say, items: list[Any]) -> None:
    for item in items:
        say(str(item))


def _divided(say: Say, a: int, b: int) -> int:
    try:
        return a // b
    except ZeroDivisionError:
        return -1


def _tap(say: Say, value: Any) -> Any:
    say(f"tap {value}")
    return value


def _finally(say: Say, a: int) -> int:
    say("finally")
    return a


def _told(say: Say, a: Any) -> HostFunction:
    def function(say: Say, x: Any) -> Any:
        say(f"{a} {x}")
        return x

    return function


_OPERATIONS: Final = {
    "add": Operation("(+ {} {})", "int", ("int", "int"), lambda say, a, b: a + b),
    "sub": Operation("(- {} {})", "int", ("int", "int"), lambda say, a, b: a - b),
    "mul": Operation("(mul {} {})", "int", ("int", "int"), lambda say, a, b: mul(a, b)),
    "neg": Operation("(- {})", "int", ("int",), lambda say, a: -a),
    "abs": Operation("(abs {})", "int", ("int",), lambda say, a: abs(a)),
    "max": Operation("(max {} {} {})", "int", ("int", "int", "int"), lambda say, a, b, c: max(a, b, c)),
    "sum": Operation("(sum {})", "int", ("list",), lambda say, a: sum(a)),
    "len": Operation("(len {})", "int", ("sized",), lambda say, a: len(a)),
    "count": Operation("(.count {} {})", "int", ("list", "int"), lambda say, a, b: a.count(b)),
    "dict-get": Operation("(.get {} {} {})", "int", ("dict", "str", "int"), lambda say, d, k, x: d.get(k, x)),
    "pair-get": Operation("(get {} 0)", "int", ("pair",), lambda say, p: p[0]),
    "attribute": Operation("(. {} real)", "int", ("int",), lambda say, a: a),
    "attribute-index": Operation("(. {} [0] real)", "int", ("pair",), lambda say, p: p[0]),
    "attribute-call": Operation("(. {} (bit-length))", "int", ("int",), lambda say, a: a.bit_length()),
    "keyword": Operation("(int {} :base 7)", "int", ("digits",), lambda say, a: int(a, base=7)),
    "star": Operation("(max {} 0 #* {})", "int", ("int", "list"), lambda say, a, b: max(a, 0, *b)),
    "from-count": Operation("(+ {} 0)", "int", ("count",), lambda say, a: a),
    "of-cell": Operation("(sum {})", "int", ("cell",), lambda say, a: sum(a)),
    "try": Operation("(try (// {} {}) (except [ZeroDivisionError] -1))", "int", ("int", "int"), _divided, whole=True),
    "finally": Operation('(try {} (finally (print "finally")))', "int", ("int",), _finally, whole=True),
    "sfor": Operation("(len (sfor it {} (% it 3)))", "int", ("list",), lambda say, a: len({x % 3 for x in a}), whole=True),
    "whole-let": Operation("((fn [] (let [it {}] (if (> it 2) (* it 2) {}))))", "int", ("int", "int"),
                           lambda say, a, b: a * 2 if a > 2 else b, whole=True),
    "tap-int": Operation("(tap {})", "int", ("int",), _tap, effect=True),
    "tap-bool": Operation("(tap {})", "bool", ("bool",), _tap, effect=True),
    "tap-str": Operation("(tap {})", "str", ("str",), _tap, effect=True),
    "tap-list": Operation("(tap {})", "list", ("list",), _tap, effect=True),
    "str": Operation("(str {})", "str", ("any",), lambda say, a: str(a)),
    "cat": Operation("(cat {} {})", "str", ("str", "str"), lambda say, a, b: cat(a, b)),
    "upper": Operation("(.upper {})", "str", ("str",), lambda say, a: a.upper()),
    "cut": Operation("(cut {} 0 3)", "str", ("str",), lambda say, a: a[:3]),
    "pair-get-1": Operation("(get {} 1)", "str", ("pair",), lambda say, p: p[1]),
    "digits": Operation('(str (% (abs {}) 7))', "digits", ("int",), lambda say, a: str(abs(a) % 7)),
    "less": Operation("(< {} {})", "bool", ("int", "int"), lambda say, a, b: a < b),
    # Python looks at the last operand only if it matters, so it has no effect here.
    "chained": Operation("(<= {} {} {})", "bool", ("int", "int", "int"), lambda say, a, b, c: a <= b <= c, whole=True),
    "equal": Operation("(= {} {})", "bool", ("any", "any"), lambda say, a, b: a == b),
    "not": Operation("(not {})", "bool", ("any",), lambda say, a: not a),
    "in": Operation("(in {} {})", "bool", ("int", "list"), lambda say, a, b: a in b),
    "isinstance": Operation("(isinstance {} int)", "bool", ("any",), lambda say, a: isinstance(a, int)),
    "list": Operation("[{} {}]", "list", ("int", "int"), lambda say, a, b: [a, b]),
    "list-star": Operation("[#* {} {}]", "list", ("short", "int"), lambda say, a, b: [*a, b]),
    "short": Operation("(cut {} 0 2)", "short", ("list",), lambda say, a: a[:2]),
    "cat-list": Operation("(cat {} {})", "list", ("list", "list"), lambda say, a, b: cat(a, b)),
    "sorted": Operation("(sorted {})", "list", ("set",), lambda say, a: sorted(a)),
    "lfor": Operation("(lfor it {} (+ it {}))", "list", ("list", "int"),
                      lambda say, a, b: [x + b for x in a], whole=True),
    "map": Operation("(list (map {} {}))", "list", ("fn", "list"), lambda say, f, a: [f(say, x) for x in a]),
    "of-cell-list": Operation("(cut {} 0 4)", "list", ("cell",), lambda say, a: a[:4]),
    "dict": Operation("{{{} {} {} {}}}", "dict", ("str", "int", "str", "int"), lambda say, a, b, c, d: {a: b, c: d}),
    "dict-1": Operation('{{"k" {}}}', "dict", ("int",), lambda say, a: {"k": a}),
    "dfor": Operation("(dfor it {} (str it) it)", "dict", ("list",), lambda say, a: {str(x): x for x in a}, whole=True),
    "set": Operation("#{{{} {}}}", "set", ("int", "int"), lambda say, a, b: {a, b}),
    "pair": Operation("#({} {})", "pair", ("int", "str"), lambda say, a, b: (a, b)),
    "print": Operation("(print {})", "none", ("any",), _print, effect=True),
    "print-2": Operation("(print {} {})", "none", ("any", "any"), _print, effect=True),
    "append": Operation("(.append {} {})", "none", ("cell", "int"), _append, effect=True),
    "for": Operation("(for [it {}] (print it))", "none", ("list",), _for, whole=True),
    "cell": Operation("[{}]", "cell", ("int",), lambda say, a: [a]),
    "fn": Operation("(fn [it] (+ it {}))", "fn", ("int",), lambda say, a: lambda say, x: x + a, whole=True),
    "fn-prints": Operation("(fn [it] (print {} it) it)", "fn", ("str",), _told, whole=True),
    "fn-lets": Operation("(fn [it] (let [one (+ it {})] (if (> one 3) (- one 3) one)))", "fn", ("int",),
                         lambda say, a: lambda say, x: x + a - 3 if x + a > 3 else x + a, whole=True),
}  # fmt: skip

OPS: Final[dict[str, Operation]] = dict(_OPERATIONS)
#: Operations by the kind that they give.
BY_KIND: Final[dict[str, list[str]]] = {}
for _name, _op in OPS.items():
    BY_KIND.setdefault(_op.kind, []).append(_name)

#: Literals of a kind: text and value.
LITERALS: Final[dict[str, list[tuple[str, Any]]]] = {
    "int": [("0", 0), ("1", 1), ("2", 2), ("-3", -3), ("7", 7)],
    "count": [("0", 0), ("1", 1), ("2", 2), ("3", 3)],
    "str": [('""', ""), ('"a"', "a"), ('"k"', "k"), ('"é{{}}"', "é{{}}"), ('#[[b"]]', 'b"')],
    "digits": [('"6"', "6"), ('"10"', "10")],
    "bool": [("True", True), ("False", False)],
    "none": [("None", None)],
    "list": [("[]", []), ("[1 2]", [1, 2])],
    "short": [("[]", []), ("[5]", [5])],
    "dict": [("{}", {}), ('{"k" 1}', {"k": 1})],
    "set": [("#{}", set()), ("#{1 2}", {1, 2})],
    "pair": [('#(1 "a")', (1, "a"))],
    "fn": [("abs", lambda say, x: abs(x))],
    "cell": [("[]", []), ("[4]", [4])],
    "any": [("2.5", 2.5), ("(do :key)", hy.models.Keyword("key")), ('b"x"', b"x")],
}


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern of `match`: `binds` says how many names; `captured` gives their values, or None if it does not fit."""

    text: str
    kinds: tuple[str, ...]
    binds: tuple[str, ...]
    captured: Callable[[Any], tuple[Any, ...] | None]
    total: bool = False


PATTERNS: Final[dict[str, Pattern]] = {
    "constant": Pattern("1", ("int", "count"), (), lambda v: () if v == 1 else None),
    "text": Pattern('"a"', ("str",), (), lambda v: () if v == "a" else None),
    "or": Pattern("(| 0 2)", ("int", "count"), (), lambda v: () if v in (0, 2) else None),
    "guard": Pattern("{0} :if (> {0} 1)", ("int",), ("int",), lambda v: (v,) if v > 1 else None),
    "as": Pattern("(| 2 3) :as {0}", ("int",), ("int",), lambda v: (v,) if v in (2, 3) else None),
    "list": Pattern("[{0} {1}]", ("list",), ("int", "int"), lambda v: tuple(v) if len(v) == 2 else None),
    "star": Pattern("[{0} #* {1}]", ("list",), ("int", "list"), lambda v: (v[0], list(v[1:])) if v else None),
    "dict": Pattern('{{"k" {0}}}', ("dict",), ("int",), lambda v: (v["k"],) if "k" in v else None),
    "pair": Pattern("#({0} {1})", ("pair",), ("int", "str"), lambda v: v),
    "class": Pattern("(int)", ("any", "int"), (), lambda v: () if isinstance(v, int) else None),
    "none": Pattern("None", ("any", "none"), (), lambda v: () if v is None else None),
    "name": Pattern("{0}", ("*",), ("*",), lambda v: (v,), total=True),
    "anything": Pattern("_", ("*",), (), lambda v: (), total=True),
}
