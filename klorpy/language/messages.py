"""What the compiler says: one function a mistake, from what is known of it to the text that the user reads.

Passes call these with data and never write prose themselves. Types are given as text, rendered by the pass that
knows the order of the roles.
"""

from __future__ import annotations

from collections.abc import Iterable

from klorpy.core.diagnostics import Diagnostic
from klorpy.core.spans import Span


def listed(names: Iterable[str], last: str = "and") -> str:
    """`A`, `A and B`, `A, B and C`."""
    *head, end = names
    return f"{', '.join(head)} {last} {end}" if head else end


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


# --- Signatures and definitions ---------------------------------------------------------------------------------------


def bad_roles(span: Span, why: str) -> Diagnostic:
    return Diagnostic(
        "bad-roles", why, span, help="write the roles as a vector of symbols without `->`, `=>`, `.` or `/`: [A B]"
    )


def bad_signature(span: Span, why: str) -> Diagnostic:
    return Diagnostic(
        "bad-signature",
        why,
        span,
        help="types are R, #{R …}, [T …] and (-> T … T | 0) or (-> T … T | R …); a choreography's type is an arrow",
    )


def dup_role(span: Span, role: str, other: str, where: str) -> Diagnostic:
    if role == other:
        return Diagnostic("dup-role", f"{role} is named twice in {where}", span, help="name each role once")
    return Diagnostic(
        "dup-role",
        f"{other} and {role} become the same Python name",
        span,
        help="choose names that differ in more than `-` and `_`",
    )


def dup_name(span: Span, name: str, other: str, what: str) -> Diagnostic:
    same = "is used twice" if name == other else f"and {other} become the same Python name"
    return Diagnostic("dup-name", f"{name} {same}", span, label=what, help="choose another name")


def name_is_role(span: Span, name: str) -> Diagnostic:
    return Diagnostic(
        "dup-name", f"{name} is a role here and cannot be a local as well", span, help="choose another name"
    )


def unknown_role(span: Span, role: str, roles: Iterable[str]) -> Diagnostic:
    return Diagnostic(
        "unknown-role",
        f"{role} is not a role of this choreography",
        span,
        help=f"its roles are {listed(roles)}; add {role} to the role vector if it takes part",
    )


def role_as_value(span: Span, role: str) -> Diagnostic:
    return Diagnostic(
        "role-as-value",
        f"the role {role} is used as a value",
        span,
        help=f"write ({role} expr) to evaluate something at {role}, or quote it for the symbol: '{role}",
    )


def bad_param(span: Span, why: str) -> Diagnostic:
    return Diagnostic("bad-param", why, span, help="parameters are a vector of names or unpack binders: [x [y z]]")


def param_count(span: Span, params: int, types: int) -> Diagnostic:
    return Diagnostic(
        "arity",
        f"the signature has {plural(types, 'parameter type')}, but there {'is' if params == 1 else 'are'} "
        f"{plural(params, 'parameter')}",
        span,
        help="give one parameter for each type before the last; the last type is the result",
    )


def return_type(span: Span, expected: str, found: str) -> Diagnostic:
    return Diagnostic(
        "return-type-mismatch",
        f"the signature promises {expected}, but the body has type {found}",
        span,
        label=f"this is {found}",
        help=_move_hint(found, expected),
    )


def _move_hint(found: str, expected: str) -> str:
    if found.isidentifier() and expected.isidentifier():
        return f"send the value with ({found}->{expected} …), or change the signature"
    if found.isidentifier() and expected.startswith("#{"):
        others = [r for r in expected[2:-1].split() if r != found]
        return f"share the value with ({found}=>{others[0]} …)" if others else "change the signature"
    if found.startswith("#{") and expected.isidentifier() and expected in found[2:-1].split():
        return f"keep only {expected}'s copy with (narrow [{expected}] …); ({expected} x) does not narrow a local x"
    return "change the body or the signature"


def aux_not_normalised(span: Span, role: str) -> Diagnostic:
    return Diagnostic(
        "aux-not-normalised",
        f"{role} appears in the types and is no auxiliary role",
        span,
        help="behind the bar write only the roles that the types do not mention, or 0",
    )


def aux_missing(span: Span, roles: Iterable[str], inferred: str) -> Diagnostic:
    names = list(roles)
    return Diagnostic(
        "aux-missing-role",
        f"{listed(names)} {'takes' if len(names) == 1 else 'take'} part in the body, but the signature leaves "
        f"{'it' if len(names) == 1 else 'them'} out",
        span,
        label=f"{listed(names)} {'is' if len(names) == 1 else 'are'} missing here",
        help=f"write {inferred}, or leave the auxiliary part out",
    )


def bad_option(span: Span, why: str, help: str) -> Diagnostic:
    return Diagnostic("bad-option", why, span, help=help)


def chor_variadic(span: Span) -> Diagnostic:
    return Diagnostic(
        "chor-variadic",
        "a choreography has a fixed number of parameters",
        span,
        help="pass a list: one agreement that holds them all",
    )


def arity(span: Span, form: str, usage: str) -> Diagnostic:
    return Diagnostic("arity", f"wrong number of arguments for {form}", span, help=f"write {usage}")


# --- Names ------------------------------------------------------------------------------------------------------------


def unknown_chor(span: Span, name: str, roles: str) -> Diagnostic:
    return Diagnostic(
        "unknown-symbol",
        f"no choreography is called {name}",
        span,
        help=f"define it first; for mutual recursion declare it ahead, (defchor {name} [{roles}] (-> …))",
    )


def not_a_chor(span: Span, name: str) -> Diagnostic:
    return Diagnostic(
        "not-a-chor",
        f"{name} is not a choreography and cannot be given roles",
        span,
        help=f"call a function without roles: (R ({name} …)); a choreography is defined by defchor",
    )


def not_instantiated(span: Span, name: str, roles: str) -> Diagnostic:
    return Diagnostic(
        "chor-not-instantiated",
        f"{name} is a choreography and needs its roles",
        span,
        help=f"call it with ({name} [{roles}] …), or take it as a value with (inst {name} [{roles}])",
    )


def inst_arity(span: Span, name: str, roles: Iterable[str], given: int) -> Diagnostic:
    names = list(roles)
    return Diagnostic(
        "inst-arity",
        f"{name} has {plural(len(names), 'role')}, not {given}",
        span,
        help=f"its role vector is [{' '.join(names)}]",
    )


def unsupported(span: Span, what: str, help: str) -> Diagnostic:
    return Diagnostic("unsupported-form", what, span, help=help)


# --- Communication ----------------------------------------------------------------------------------------------------


def copy_missing_src(span: Span, role: str, found: str) -> Diagnostic:
    return Diagnostic(
        "copy-missing-src",
        f"{role} cannot send what it does not have",
        span,
        label=f"this is at {found}",
        help=f"send from a role that has the value, or evaluate it at {role} with ({role} …)",
    )


def copy_dst_present(span: Span, role: str, found: str) -> Diagnostic:
    return Diagnostic(
        "copy-dst-present",
        f"{role} has the value already",
        span,
        label=f"this is at {found}",
        help="leave the communication out, or evaluate the value at the sender only, with (R …)",
    )


def copy_not_agreement(span: Span, found: str) -> Diagnostic:
    return Diagnostic(
        "copy-not-agreement",
        "only agreements can be sent",
        span,
        label=f"this is {found}",
        help="unpack a tuple and send its elements; a choreography is not a value of one role",
    )


def narrow_missing(span: Span, role: str, found: str) -> Diagnostic:
    return Diagnostic(
        "narrow-missing-role",
        f"{role} does not have the value",
        span,
        label=f"this is at {found}",
        help=f"narrow to roles that have it, or send it to {role} first",
    )


def narrow_not_agreement(span: Span, found: str) -> Diagnostic:
    return Diagnostic(
        "narrow-not-agreement",
        "only agreements can be narrowed",
        span,
        label=f"this is {found}",
        help="unpack a tuple and narrow its elements",
    )


def agree_overlap(span: Span, role: str) -> Diagnostic:
    return Diagnostic(
        "agree-overlap",
        f"{role} is in two parts of the agreement",
        span,
        help="give each role's value once; narrow one of the parts",
    )


def agree_not_agreement(span: Span, found: str) -> Diagnostic:
    return Diagnostic(
        "agree-not-agreement",
        "only agreements can agree",
        span,
        label=f"this is {found}",
        help="let the elements of a tuple agree one by one",
    )


# --- Application ------------------------------------------------------------------------------------------------------


def op_arg(span: Span, needed: str, found: str, element: bool) -> Diagnostic:
    what, where = ("element", "collection is built") if element else ("argument", "operator runs")
    return Diagnostic(
        "collection-element" if element else "agreement-op-arg",
        f"this {what} is {found}, but the {where} at {needed}",
        span,
        label=f"not at {needed}",
        help=_have_hint(found, needed),
    )


def _have_hint(found: str, needed: str) -> str:
    if found.startswith(("[", "(")):
        return "use the elements of a tuple one by one, and the result of a choreography instead of itself"
    first = found[2:-1].split()[0] if found.startswith("#{") else found
    if needed.startswith("#{"):
        have = set(found.strip("#{}").split())
        missing = [r for r in needed[2:-1].split() if r not in have]
        sends = f"({first}=>{missing[0]} …)" if missing else ""
        return f"share the value first, {sends}, or run the form where the value is, ({first} …)"
    return f"send the value with ({first}->{needed} …), or run the form at {first}: ({first} …)"


def not_invokable(span: Span, found: str) -> Diagnostic:
    return Diagnostic(
        "not-invokable",
        f"a value of type {found} cannot be called",
        span,
        help="call a function, or a choreography; take a tuple apart with unpack",
    )


def chor_args(span: Span, found: int, needed: int) -> Diagnostic:
    return Diagnostic(
        "arity",
        f"the choreography takes {plural(needed, 'argument')}, not {found}",
        span,
        help="give one argument for each parameter type",
    )


def chor_keywords(span: Span) -> Diagnostic:
    return Diagnostic(
        "arity",
        "a choreography takes neither keyword arguments nor unpacked ones",
        span,
        help="give the arguments one by one, in order",
    )


def chor_arg_type(span: Span, expected: str, found: str) -> Diagnostic:
    if expected.startswith("(->"):
        help = "the types of a choreography have to be equal, auxiliary roles included"
    else:
        help = _move_hint(found, expected).replace(", or change the signature", "")
        help = help if help != "change the body or the signature" else "give a value of exactly this type"
    return Diagnostic(
        "chor-arg-type",
        f"the parameter has type {expected}, the argument {found}",
        span,
        label=f"this is {found}",
        help=help,
    )


# --- Choice -----------------------------------------------------------------------------------------------------------


def guard_not_agreement(span: Span, found: str, what: str = "a guard") -> Diagnostic:
    return Diagnostic(
        "if-guard-not-agreement",
        f"{what} has to be an agreement",
        span,
        label=f"this is {found}",
        help="unpack the tuple and choose by one of its elements",
    )


def unknown_choice(
    span: Span, missing: Iterable[str], knows: Iterable[str], what: str, *, is_case: bool = False
) -> Diagnostic:
    lost, known = list(missing), list(knows)
    verb = "takes" if len(lost) == 1 else "take"
    shares = " and ".join(f"({known[0]}=>{r} …)" for r in lost)
    return Diagnostic(
        "case-unknown-choice" if is_case else "if-unknown-choice",
        f"{listed(lost)} {verb} part in {what}, but only {listed(known)} {'knows' if len(known) == 1 else 'know'} "
        "which one is chosen",
        span,
        label=f"{listed(lost)} {'does' if len(lost) == 1 else 'do'} not know",
        help=f"share the {'value' if is_case else 'guard'} with {shares}, "
        f"or keep {listed(lost)} out of {what} by naming who evaluates each part: ({known[0]} …)",
    )


def branch_types(span: Span, first: str, second: str) -> Diagnostic:
    return Diagnostic(
        "branch-type-mismatch",
        f"one branch has type {first}, the other {second}",
        span,
        label=f"this is {second}",
        help="give both branches the same type; a missing branch is None where the form stands, "
        "so say where with (R (when …)) or an else part",
    )


def case_constant(span: Span, found: str, needed: str) -> Diagnostic:
    return Diagnostic(
        "case-constant-type",
        f"the value is at {needed}, but the constant at {found}",
        span,
        help=f"lift the whole form to the roles of the value: (lifting [{needed.strip('#{}')}] (case …))",
    )


# --- Tuples -----------------------------------------------------------------------------------------------------------


def unpack_not_tuple(span: Span, found: str) -> Diagnostic:
    return Diagnostic(
        "unpack-not-tuple",
        f"a value of type {found} is no tuple",
        span,
        label=f"this is {found}",
        help="only what pack made can be unpacked; take a list apart at its role, with (R (let [[a b] …] …))",
    )


def unpack_shape(span: Span, why: str) -> Diagnostic:
    return Diagnostic("unpack-shape", why, span, help="give one binder for each element; `_` skips an element")


def unpack_binder(span: Span, why: str) -> Diagnostic:
    return Diagnostic(
        "unpack-binder", why, span, help="a binder is a vector of names, `_` and further vectors: [a [b _]]"
    )


# --- Choreographies as values and repetition --------------------------------------------------------------------------


def named_needs_aux(span: Span, name: str) -> Diagnostic:
    return Diagnostic(
        "chor-named-needs-aux",
        f"{name} may call itself, so its auxiliary roles cannot be inferred",
        span,
        help="write them behind a bar, (-> T … | R …), or | 0 for none",
    )


def recur_arity(span: Span, found: int, needed: int) -> Diagnostic:
    return Diagnostic(
        "recur-arity",
        f"recur has {plural(found, 'argument')}, but what it repeats takes {needed}",
        span,
        help="give one argument for each parameter or loop local",
    )


def recur_arg_type(span: Span, expected: str, found: str) -> Diagnostic:
    return Diagnostic(
        "recur-arg-type",
        f"the parameter has type {expected}, the argument of recur {found}",
        span,
        label=f"this is {found}",
        help="give a value of exactly this type: evaluate it at the same roles as before",
    )


def recur_not_tail(span: Span, inside: bool) -> Diagnostic:
    if not inside:
        return Diagnostic(
            "recur-not-tail",
            "there is nothing here that recur could repeat",
            span,
            help="recur repeats the nearest loop, chor or defchor around it",
        )
    return Diagnostic(
        "recur-not-tail",
        "recur is not the last thing that is done here",
        span,
        help="let recur be the result of the body, or call the choreography by its name",
    )


# --- Host forms -------------------------------------------------------------------------------------------------------


def homogeneous(slug: str, span: Span, form: str, why: str, help: str) -> Diagnostic:
    return Diagnostic(slug, f"{why} inside `{form}`", span, help=help)


def homogeneous_capture(slug: str, span: Span, form: str, name: str, found: str, needed: str) -> Diagnostic:
    return Diagnostic(
        slug,
        f"`{form}` runs at {needed}, but {name} is {found}",
        span,
        label=f"uses {name}",
        help=f"evaluate the form where {name} is, or send {name} there before",
    )


# --- Warnings ---------------------------------------------------------------------------------------------------------


def unused_role(span: Span, roles: Iterable[str]) -> Diagnostic:
    return Diagnostic(
        "unused-role",
        f"Some role parameters are never used: #{{{' '.join(roles)}}}",
        span,
        help="leave them out of the role vector",
    )


def nondeterministic(span: Span, name: str, roles: str) -> Diagnostic:
    return Diagnostic(
        "nondeterministic-agreement",
        f"{name} gives each of {roles} a value of its own, so they may not agree",
        span,
        help=f"evaluate it at one role and share the value: ({roles[2:-1].split()[0]}=>… (… ({name} …)))",
    )
