"""Mutations of program texts: programs near the edge, most of which are wrong, and in all manner of ways.

    mutate(random, text) = another text

What is put in is harmless: a mutated text is compiled and evaluated, so that a form which has lost its `defchor` runs.
"""

from __future__ import annotations

import random
import re
from typing import Final

_TOKEN: Final = re.compile(r'#\[\[.*?\]\]|f?"(?:[^"\\]|\\.)*"|#\{|#\(|#\*\*?|[(\[{]|[)\]}]|~@?|`|\'|[^\s()\[\]{}"~`\']+')
_CLOSING: Final = {")", "]", "}"}
_OPENING: Final = {"(": ")", "[": "]", "{": "}", "#(": ")", "#{": "}"}

#: What may stand for a subform.
WEIRD: Final = (
    "None", "True", "0", "-1", "1e400", "NaN", "2j", '""', '"A"', 'b"x"', ":kw", ":", "[]", "#()", "{}", "#{}", "()", "A", "B", "Z",
    "A->B", "A=>B", "A->Z", "A->A", "A->", "->", "=>", "|", ".", "..", "...", "_", "#* x", "#** x", "x.y", ".x", "A.x",
    "(recur)", "(recur 1)", "(inst)", "(inst first [A B])", "(inst first)", "(inst x [A])", "'x", "`x", "~x", "~@x", "#_ x",
    "(fn [] 1)", "(fn [] (A 1))", "(chor)", "(chor (-> A B) [x] x)", "(chor f (-> A A | 0) [x] (f x))", "(chor (-> A | A) [] 1)",
    "(await 1)", "(yield 1)", "(return 1)", "(setv x 1)", "(setx x 1)", "(defchor g [A] (-> A) [] 1)", "(break)", "(continue)",
    "(lfor x [1] x)", "(lfor x [1] (A x))", "(lifting [] 1)", "(lifting [A A] 1)", "(lifting [A B])", "(A)", "(A 1 2)", "(B None)",
    "(A->B (A 1))", "(A=>B (A 1))", "(A->B 1)", "(copy [A B])", "(copy [A A] 1)", "(copy A B 1)", "(narrow [] 1)", "(narrow [A] 1)",
    "(pack)", "(pack 1 (A 2))", "(unpack [] 1)", "(unpack [[] 1] 1)", "(unpack [[x x] (pack 1 2)] x)", "(agree!)", "(agree! (A 1) (A 2))",
    "(agree! (A 1) (B 2))", "(if 1 2)", "(if (A True) (B 1) (B 2))", "(cond)", "(cond 1)", "(case)", "(case 1 1)", "(match)",
    "(match 1 x)", "(match 1 [a a] 1 _ 2)", "(match 1 x :if (A x) 1 _ 2)", "(loop)", "(loop [] 1)", "(loop [x] x)",
    "(loop [x (A 0)] (if (A (> x 1)) x (recur (A (+ x 1)))))", "(let [x] x)", "(let [x 1])", "(let [[x y] #(1 2)] y)", "(let [{x 1} {1 2}] x)",
    "(let [A 1] A)", "(and)", "(or)", "(and (A 1) (B 2))", "(or (A 0) (B 1))", "(when)", "(when (A 0) (B 1))", "(do)", "(bcast [A] 1)",
    "(bcast [] 1)", "(bcast [A B] (A 1))", "(scatter [A B] 1 2)", "(gather [A B] (B 1))", "(gather [A B])", "(move [A B] (A 1))", "(first [A B])",
    "(first [B A] 1)", "(main [A B])", "(main)", "main", "first", "(try (/ 1 0) (except [] 1))", "(try (A 1))", "(with [f 1] f)", "(raise (ValueError 1))",
    "(get [1] 5)", "(. x y)", "(. 1)", "(.x)", "(.x 1)", "(.upper (A \"a\"))", "(+)", "(not)", "(in 1)", "(< 1)", "(cut)", "(f :a)", "(print :end)", "(print #* [1])",
    "(str :x 1 :x 2)", "f\"{x\"", 'f"{(A 1)}"', 'f"{1 !q}"', "(import)", "(defn f [])", "(del x)", "(global x)", "(nonlocal x)", "(quote)", "(quasiquote ~x)",
    "(unquote x)", "(eval-and-compile 1)", "(do-mac 1)", "(py \"1\")", "(py \"(\")", "(for [x [1]] x)", "(annotate x int)", "(^int x)", "(-> A B)", "(forall [A] A)",
    "(with-opts {} 1)", "(alter-opts! {})", "(hy.M.x 1)", "(hy.R.x.y 1)", "(defmacro m [] 1)", "(require x)", "(tell A B 1)", "(tell)", "\u00a0", "λ", "ﬀ",
    "(lambda)", "class", "(class)", "(A=>B (agree! (A 1)))", "#[[x]]", "#[f[{(A 1)}]f]", "1_0", "0x", "99999999999999999999",
)  # fmt: skip


def mutate(source: random.Random, text: str) -> str:
    """`text` with one to three mutations: half of the time such that it stays nearly right."""
    tokens = _TOKEN.findall(text)
    kinds = _NEAR if source.randrange(2) else _MUTATIONS
    for _ in range(1 + source.randrange(3) * (source.randrange(3) == 0)):
        if tokens:
            tokens = kinds[source.randrange(len(kinds))](source, tokens)
    return joined(tokens)


def joined(tokens: list[str]) -> str:
    """Tokens as text: a space between them, but for what has to stand together."""
    out = []
    for token, following in zip(tokens, [*tokens[1:], ")"], strict=False):
        out.append(token)
        if token not in _OPENING and token not in ("~", "~@", "`", "'", "#*", "#**") and following not in _CLOSING:
            out.append(" ")
    return "".join(out)


def _end(tokens: list[str], start: int) -> int:
    """The place behind the form that begins at `start`."""
    depth = 0
    for i in range(start, len(tokens)):
        if tokens[i] in _OPENING:
            depth += 1
        elif tokens[i] in _CLOSING:
            depth -= 1
        if depth <= 0 and tokens[i] not in ("~", "~@", "`", "'", "#*", "#**"):
            return i + 1
    return len(tokens)


def _form(source: random.Random, tokens: list[str]) -> tuple[int, int]:
    """The ends of some form."""
    starts = [i for i, token in enumerate(tokens) if token not in _CLOSING]
    if not starts:
        return 0, 0
    start = starts[source.randrange(len(starts))]
    return start, _end(tokens, start)


def _delete_token(source: random.Random, tokens: list[str]) -> list[str]:
    i = source.randrange(len(tokens))
    return tokens[:i] + tokens[i + 1 :]


def _duplicate_token(source: random.Random, tokens: list[str]) -> list[str]:
    i = source.randrange(len(tokens))
    return tokens[: i + 1] + tokens[i:]


def _swap_tokens(source: random.Random, tokens: list[str]) -> list[str]:
    i, j = source.randrange(len(tokens)), source.randrange(len(tokens))
    out = list(tokens)
    out[i], out[j] = out[j], out[i]
    return out


def _delete_brackets(source: random.Random, tokens: list[str]) -> list[str]:
    """Splice a form into what is around it."""
    starts = [i for i, token in enumerate(tokens) if token in _OPENING]
    if not starts:
        return tokens
    start = starts[source.randrange(len(starts))]
    end = _end(tokens, start)
    return tokens[:start] + tokens[start + 1 : end - 1] + tokens[end:]


def _delete_form(source: random.Random, tokens: list[str]) -> list[str]:
    start, end = _form(source, tokens)
    return tokens[:start] + tokens[end:]


def _duplicate_form(source: random.Random, tokens: list[str]) -> list[str]:
    start, end = _form(source, tokens)
    return tokens[:end] + tokens[start:]


def _swap_forms(source: random.Random, tokens: list[str]) -> list[str]:
    a, b = sorted((_form(source, tokens), _form(source, tokens)))
    if a[1] > b[0]:
        return tokens
    return tokens[: a[0]] + tokens[b[0] : b[1]] + tokens[a[1] : b[0]] + tokens[a[0] : a[1]] + tokens[b[1] :]


def _copy_form(source: random.Random, tokens: list[str]) -> list[str]:
    """A form in the place of another."""
    a, b = _form(source, tokens), _form(source, tokens)
    return tokens[: a[0]] + tokens[b[0] : b[1]] + tokens[a[1] :]


def _unwrap(source: random.Random, tokens: list[str]) -> list[str]:
    """A form in the place of the one that contains it: a lifting, a copy or a guard gets lost."""
    starts = [i for i, token in enumerate(tokens) if token == "("]
    if not starts:
        return tokens
    start = starts[source.randrange(len(starts))]
    end = _end(tokens, start)
    inside = start + 1 + source.randrange(max(end - start - 1, 1))
    if inside >= end or tokens[inside] in _CLOSING:
        return tokens
    return tokens[:start] + tokens[inside : _end(tokens, inside)] + tokens[end:]


def _wrap(source: random.Random, tokens: list[str]) -> list[str]:
    start, end = _form(source, tokens)
    roles = _roles(tokens)
    a, b = roles[source.randrange(len(roles))], roles[source.randrange(len(roles))]
    head = (a, f"{a}->{b}", f"{a}=>{b}", "pack", "agree!", "do", "chor", "if", "and")[source.randrange(9)]
    return [*tokens[:start], "(", head, *tokens[start:end], ")", *tokens[end:]]


def _rename_role(source: random.Random, tokens: list[str]) -> list[str]:
    """One occurrence of a role becomes another role."""
    roles = _roles(tokens)
    places = [i for i, token in enumerate(tokens) if any(part in roles for part in re.split("->|=>", token))]
    if not places:
        return tokens
    i = places[source.randrange(len(places))]
    parts = re.split("(->|=>)", tokens[i])
    k = 2 * source.randrange((len(parts) + 1) // 2)
    parts[k] = [*roles, "Z"][source.randrange(len(roles) + 1)]
    return [*tokens[:i], "".join(parts), *tokens[i + 1 :]]


def _drop_copy(source: random.Random, tokens: list[str]) -> list[str]:
    """One `(A=>B e)` or `(A->B e)` becomes `e`: somebody is not told."""
    places = [i for i, token in enumerate(tokens) if re.fullmatch(".+[-=]>.+", token) and tokens[i - 1] == "("]
    if not places:
        return _unwrap(source, tokens)
    start = places[source.randrange(len(places))] - 1
    end = _end(tokens, start)
    return tokens[:start] + tokens[start + 2 : end - 1] + tokens[end:]


def _drop_role(source: random.Random, tokens: list[str]) -> list[str]:
    """One role fewer in a broadcast, a lifting, a narrowing, a role vector or a type."""
    heads = ("bcast", "lifting", "narrow", "inst", "|", "#{")
    places = []
    for i, token in enumerate(tokens):
        if token in heads:
            for j in range(i + 1, len(tokens)):
                if tokens[j] in _CLOSING:
                    break
                if tokens[j] != "[":
                    places.append(j)
    if not places:
        return _rename_role(source, tokens)
    i = places[source.randrange(len(places))]
    return tokens[:i] + tokens[i + 1 :]


def _weird(source: random.Random, tokens: list[str]) -> list[str]:
    start, end = _form(source, tokens)
    return [*tokens[:start], WEIRD[source.randrange(len(WEIRD))], *tokens[end:]]


def _add_weird(source: random.Random, tokens: list[str]) -> list[str]:
    start, _ = _form(source, tokens)
    return [*tokens[:start], WEIRD[source.randrange(len(WEIRD))], *tokens[start:]]


def _cut_off(source: random.Random, tokens: list[str]) -> list[str]:
    return tokens[: source.randrange(len(tokens))]


def _roles(tokens: list[str]) -> list[str]:
    """The role vectors' names, in order."""
    found: dict[str, None] = {}
    for i, token in enumerate(tokens[:-3]):
        if token == "defchor" and tokens[i + 2] == "[":
            for name in tokens[i + 3 :]:
                if name in _CLOSING:
                    break
                found[name] = None
    return list(found) or ["A"]


#: Mutations of any kind.
_MUTATIONS: Final = (
    _delete_token, _duplicate_token, _swap_tokens, _cut_off, _delete_brackets, _delete_brackets, _delete_form,
    _duplicate_form, _swap_forms, _copy_form, _copy_form, _unwrap, _wrap, _rename_role, _weird, _weird, _weird, _add_weird,
)  # fmt: skip
#: Those after which a program is nearly right: who is told, and who takes part, is a little different.
_NEAR: Final = (
    _drop_copy, _drop_copy, _drop_copy, _drop_role, _drop_role, _rename_role, _rename_role, _unwrap, _copy_form, _swap_forms,
    _delete_form,
)  # fmt: skip
