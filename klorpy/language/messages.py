"""What the compiler says: one function a mistake, from what is known of it to the text that the user reads.

Passes call these with data and never write prose themselves. Types are given as text, rendered by the pass that
knows the order of the roles.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from klorpy.core.diagnostics import Diagnostic
from klorpy.core.spans import Span
from klorpy.core.types import Signature


def listed(names: Iterable[str], last: str = "and") -> str:
    """`A`, `A and B`, `A, B and C`."""
    *head, end = names
    return f"{', '.join(head)} {last} {end}" if head else end


@dataclass(frozen=True, slots=True)
class Given:
    """An expression that is not where it should be, as far as hints need it.

    `roles` are those of its type in order, none when it is no agreement; `kind` is "local", "literal", "copy" (of the
    form A=>B), "host" for other host code, or "other".
    """

    text: str
    type: str
    roles: tuple[str, ...]
    kind: str

    def at(self, roles: Sequence[str]) -> str:
        """How to have the value at `roles`, as far as one form does it; empty when none does."""
        if not self.roles:
            return ""
        first = self.roles[0]
        missing = [role for role in roles if role not in self.roles]
        if not missing:
            if len(roles) == len(self.roles):
                return ""
            if self.kind == "literal" or (self.kind == "host" and len(roles) == 1):
                return f"({roles[0]} {self.text})" if len(roles) == 1 else f"(lifting [{' '.join(roles)}] {self.text})"
            if self.kind == "copy" and len(roles) == 1 and roles[0] != first:
                return self.text.replace("=>", "->", 1)
            return f"(narrow [{' '.join(roles)}] {self.text})"
        if self.kind == "literal":
            return f"({roles[0]} {self.text})" if len(roles) == 1 else f"(lifting [{' '.join(roles)}] {self.text})"
        if len(roles) == 1:
            return f"({first}->{roles[0]} {self.text})"
        if len(missing) == 1 and len(roles) == len(self.roles) + 1:
            return f"({first}=>{missing[0]} {self.text})"
        if len(self.roles) == 1 and first in roles:
            return f"(bcast [{' '.join([first, *missing])}] {self.text})"
        return ""


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
        help="types are R, #{R …}, [T …], (-> T … T), (-> T … T | 0) and (-> T … T | R …); a choreography's is an arrow",
    )


def nothing_to_update(span: Span, name: str) -> Diagnostic:
    return Diagnostic(
        "bad-update", f"{name} is not a choreography, so there is nothing to update", span,
        help=f"define it first, with (defchor {name} …), or import it",
    )  # fmt: skip


def update_differs(span: Span, what: str, name: str, present: Signature) -> Diagnostic:
    return Diagnostic(
        "bad-update", f"an update does not change the {what}: {name} is {present}", span,
        help="give the same roles in the same order and the same type; with others, it is another choreography: use defchor",
    )  # fmt: skip


def update_needs_all(span: Span, name: str) -> Diagnostic:
    return Diagnostic(
        "bad-update", f"{name} is no scope inside of a definition, so the update has to say its roles and its type", span,
        help=f"write (update {name} [Role …] (-> T …) [param …] body …)",
    )  # fmt: skip


def update_result(span: Span, name: str, expected: str, given: Given, roles: Sequence[str]) -> Diagnostic:
    mended = given.at(roles)
    return Diagnostic(
        "bad-update", f"the scope {name} gives {expected}, and this body {given.type}", span, label=f"this is {given.type}",
        help=f"write {mended}" if mended else "let the new body give what the old one gave",
    )  # fmt: skip


def update_without_body(span: Span, name: str) -> Diagnostic:
    return Diagnostic(
        "bad-update", f"the update of {name} has no body", span, help=f"write (update {name} [Role …] (-> T …) [param …] body …)"
    )


def self_send(span: Span, role: str) -> Diagnostic:
    return Diagnostic(
        "dup-role", f"{role} cannot send to itself", span, help=f"{role} has the value already: leave the form out"
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


def reserved_name(span: Span, name: str) -> Diagnostic:
    return Diagnostic(
        "dup-name",
        f"{name} means something else in a choreography, so a choreography of this name could never be called",
        span,
        help="choose another name",
    )


def bad_scope(span: Span) -> Diagnostic:
    return Diagnostic(
        "bad-scope", "a scope is a call of a choreography by its name, or it gives its body a name", span,
        help="write (scope name body …), with a new name; or define the choreography and write (scope (name [Role …] expr …))",
    )  # fmt: skip


def scope_name_taken(span: Span, name: str) -> Diagnostic:
    return Diagnostic(
        "dup-name", f"{name} means something else already, and the scope would take its name", span,
        help="give the scope a name of its own",
    )  # fmt: skip


def outside_scope(span: Span, roles: Iterable[str], name: str, declared: Iterable[str], update: bool) -> Diagnostic:
    names = list(roles)
    verb = "has" if len(names) == 1 else "have"
    mend = f"write (scope {name} [{' '.join([*declared, *names])}] …)"
    return Diagnostic(
        "roles-outside-scope", f"{listed(names)} {verb} a part here, but the scope {name} is of {listed(list(declared))}", span,
        help=f"leave {listed(names)} out: an update is for the roles of its scope" if update else mend,
    )  # fmt: skip


def lone_arrow(span: Span, arrow: str) -> Diagnostic:
    return Diagnostic(
        "unsupported-form",
        f"`{arrow}` stands alone",
        span,
        help=f"write sender, arrow and receiver together, as the head of the form: (A{arrow}B expr)",
    )


def name_is_role(span: Span, name: str) -> Diagnostic:
    return Diagnostic(
        "dup-name", f"{name} is a role here and cannot be a local as well", span, help="choose another name"
    )


def unknown_role(span: Span, role: str, roles: Sequence[str]) -> Diagnostic:
    close = [known for known in roles if known.upper() == role.upper()] or get_close_matches(role, roles, 1)
    meant = f"did you mean {close[0]}? " if close else ""
    return Diagnostic(
        "unknown-role",
        f"{role} is not a role of this choreography",
        span,
        help=f"{meant}its roles are {listed(roles)}; add {role} to the role vector if it takes part",
    )


def role_as_value(span: Span, role: str) -> Diagnostic:
    return Diagnostic(
        "role-as-value",
        f"the role {role} is used as a value",
        span,
        help=f"write ({role} expr) to evaluate something at {role}, or quote it for the symbol: '{role}",
    )


def bad_param(span: Span, why: str, help: str = "") -> Diagnostic:
    return Diagnostic(
        "bad-param", why, span, help=help or "parameters are a vector of names or unpack binders: [x [y z]]"
    )


def param_count(span: Span, params: int, types: int) -> Diagnostic:
    return Diagnostic(
        "arity",
        f"the signature has {plural(types, 'parameter type')}, but there {'is' if params == 1 else 'are'} "
        f"{plural(params, 'parameter')}",
        span,
        help="give one parameter for each type before the last; the last type is the result",
    )


def return_type(span: Span, expected: str, given: Given, roles: Sequence[str], empty: bool) -> Diagnostic:
    if empty:
        return Diagnostic(
            "return-type-mismatch",
            f"the signature promises {expected}, but the body is empty: its value is None, at {given.type}",
            span,
            help="write a body, or change the signature",
        )
    mended = given.at(roles)
    return Diagnostic(
        "return-type-mismatch",
        f"the signature promises {expected}, but the body has type {given.type}",
        span,
        label=f"this is {given.type}",
        help=f"write {mended}, or change the signature" if mended else "change the body or the signature",
    )


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


def not_instantiated(span: Span, name: str, roles: Sequence[str], here: Sequence[str]) -> Diagnostic:
    played = " ".join(here[: len(roles)]) if len(here) >= len(roles) else "…"
    return Diagnostic(
        "chor-not-instantiated",
        f"{name} is a choreography and needs its roles",
        span,
        help=f"say who plays {listed(roles)}: call it with ({name} [{played}] …), "
        f"or take it as a value with (inst {name} [{played}])",
    )


def instantiated_already(span: Span, name: str) -> Diagnostic:
    return Diagnostic(
        "not-a-chor",
        f"{name} is a choreography that has its roles already",
        span,
        help=f"call it without: ({name} …)",
    )


def chained_arrow(span: Span, name: str) -> Diagnostic:
    return Diagnostic(
        "unsupported-form",
        f"{name} is no communication: it has one sender and one receiver",
        span,
        help="write one inside the other: (B->C (A->B …))",
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


def copy_missing_src(span: Span, source: str, target: str, given: Given) -> Diagnostic:
    first = given.roles[0]
    if given.kind == "literal":
        help = f"evaluate it at {source}: ({source}->{target} ({source} {given.text}))"
    elif first == target:
        help = f"{target} has it already: leave the communication out, or send it the other way, ({target}->{source} …)"
    else:
        help = (
            f"send it from where it is, ({first}->{target} {given.text}), "
            f"or to {source} first, ({first}->{source} {given.text})"
        )
    return Diagnostic(
        "copy-missing-src",
        f"{source} cannot send what it does not have",
        span,
        label=f"this is at {given.type}",
        help=help,
    )


def copy_dst_present(span: Span, source: str, target: str, given: Given) -> Diagnostic:
    if given.kind in ("literal", "host"):
        help = f"evaluate it at the sender only: ({source} {given.text})"
    elif given.kind == "local":
        help = f"use {given.text} as it is"
    else:
        help = "leave one of the two communications out"
    return Diagnostic(
        "copy-dst-present",
        f"{target} has the value already",
        span,
        label=f"this is at {given.type}",
        help=help,
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


def op_arg(
    span: Span, given: Given, needed: str, roles: Sequence[str], what: str, whole: str, together: Sequence[str]
) -> Diagnostic:
    """`what` is "argument", "element" or "part"; `whole` the text of the operator's form; `together` where all operands are."""
    does = {"argument": "the operator runs", "element": "the collection is built", "part": "the string is built"}[what]
    hints = []
    notes: tuple[str, ...] = ()
    if together and len(roles) > 1:
        # Nothing said where, and there is a place where it could be.
        hints.append(f"run it where all of it is: ({together[0]} {whole})")
        notes = (f"nothing narrower stands around it, so it would run at {needed}",)
    else:
        mended = given.at(roles)
        if mended:
            hints.append(f"send it first: {mended}")
        if together:
            hints.append(f"run the form at {together[0]}: ({together[0]} {whole})")
    if not given.roles:
        hints = ["use the elements of a tuple one by one, and the result of a choreography instead of itself"]
    return Diagnostic(
        "agreement-op-arg" if what == "argument" else "collection-element",
        f"this {what} is {given.type}, but {does} at {needed}",
        span,
        label=f"not at {needed}",
        notes=notes,
        help=", or ".join(hints) or "share the values first, so that all are in one place",
    )


def call_elsewhere(span: Span, given: Given, function: str, needed: str, role: str) -> Diagnostic:
    """A call runs where its function is, which is more than where an argument is."""
    return Diagnostic(
        "agreement-op-arg",
        f"this argument is {given.type}, but {function} is called at {needed}",
        span,
        label=f"not at {needed}",
        notes=(f"a call runs where its function is: {function} is {needed}",),
        help=f"call it where the argument is, ((narrow [{role}] {function}) {given.text}), or share the argument",
    )


def not_invokable(span: Span, found: str) -> Diagnostic:
    return Diagnostic(
        "not-invokable",
        f"a value of type {found} cannot be called",
        span,
        help="call a function, or a choreography; take a tuple apart with unpack",
    )


def chor_args(span: Span, name: str, type_: str, found: int, needed: int) -> Diagnostic:
    return Diagnostic(
        "arity",
        f"{name} takes {plural(needed, 'argument')}, not {found}",
        span,
        help=f"its type is {type_}: one argument for each type before the last",
    )


def chor_keywords(span: Span) -> Diagnostic:
    return Diagnostic(
        "arity",
        "a choreography takes neither keyword arguments nor unpacked ones",
        span,
        help="give the arguments one by one, in order",
    )


def chor_arg_type(span: Span, expected: str, given: Given, roles: Sequence[str]) -> Diagnostic:
    if expected.startswith("(->") and given.type.startswith("(->"):
        help = "the types of a choreography have to be equal, auxiliary roles included"
    else:
        mended = given.at(roles) if roles else ""
        help = f"write {mended}" if mended else "give a value of exactly this type"
        if expected.startswith("(->"):
            help = f"a choreography is wanted: (chor {expected} [x …] …), or (inst name [Role …])"
        elif expected.startswith("["):
            help = "a tuple is wanted: (pack …)"
    return Diagnostic(
        "chor-arg-type",
        f"the parameter has type {expected}, the argument {given.type}",
        span,
        label=f"this is {given.type}",
        help=help,
    )


# --- Choice -----------------------------------------------------------------------------------------------------------


def guard_not_agreement(span: Span, found: str, what: str = "a guard") -> Diagnostic:
    tuple_hint = "unpack the tuple and choose by one of its elements"
    return Diagnostic(
        "if-guard-not-agreement",
        f"{what} has to be an agreement",
        span,
        label=f"this is {found}",
        help=tuple_hint if found.startswith("[") else "call the choreography and choose by its result",
    )


def unknown_choice(
    span: Span, missing: Sequence[str], knows: Sequence[str], what: str, guard: str, note: str = ""
) -> Diagnostic:
    """`what` is the form that chooses: "if", "case", "match", "and", "or" or "recur"."""
    lost, known = listed(missing), listed(knows)
    does, do_know = ("does", "knows") if len(missing) == 1 else ("do", "know")
    takes = "takes" if len(missing) == 1 else "take"
    knows_verb = "knows" if len(knows) == 1 else "know"
    shared = guard
    if len(knows) == 1 and len(missing) > 1:
        shared = f"(bcast [{' '.join([*knows, *missing])}] {guard})"
    else:
        for role in missing:
            shared = f"({knows[0]}=>{role} {shared})"
    match what:
        case "recur":
            message = f"recur repeats a block in which {lost} {takes} part, but only {known} {knows_verb} that it is chosen"
            help = f"share the guard, {shared}, or keep {lost} out of the block"
        case "and" | "or":
            message = f"{lost} {takes} part here, but only {known} {knows_verb} whether it is evaluated"
            help = f"use `if` with a guard that {lost} {do_know} too, (if {shared} … …), and say where the other result is"
        case "case" | "match":
            message = f"{lost} {takes} part in a clause, but only {known} {knows_verb} which one is chosen"
            help = f"share the value: ({what} {shared} …)"
            if what == "match":
                help += "; what the patterns bind is then at all of them"
        case _:
            message = f"{lost} {takes} part in a branch, but only {known} {knows_verb} which one is chosen"
            help = f"share the guard, {shared}, or keep {lost} out of both branches"
    return Diagnostic(
        "case-unknown-choice" if what in ("case", "match") else "if-unknown-choice",
        message,
        span,
        label=f"{lost} {does} not know",
        notes=(note,) if note else (),
        help=help,
    )


def branch_types(span: Span, first: str, given: Given, roles: Sequence[str]) -> Diagnostic:
    mended = given.at(roles)
    return Diagnostic(
        "branch-type-mismatch",
        f"one branch has type {first}, the other {given.type}",
        span,
        label=f"this is {given.type}",
        help=f"write {mended}" if mended else "give both branches the same type",
    )


def missing_branch(span: Span, first: str, none: str, form: str) -> Diagnostic:
    """A `when` or a `cond` whose missing part is None at other roles than what is there."""
    place = first if not first.startswith("#{") else f"lifting [{first[2:-1]}]"
    return Diagnostic(
        "branch-type-mismatch",
        f"what is there has type {first}, but without an else the value is None at {none}",
        span,
        label="there is no else part",
        help=f"say where it is None: ({place} ({form} …))" if not first.startswith(("[", "(")) else "write the else part",
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


def recur_not_tail(span: Span, inside: bool, region: str = "") -> Diagnostic:
    if region and not inside:
        return Diagnostic(
            "recur-not-tail", f"recur would leave the scope {region}", span,
            help="let the scope give what it has computed, and put recur around it: (recur (scope …))",
        )  # fmt: skip
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


def unused_role(span: Span, roles: Iterable[str], in_types: bool) -> Diagnostic:
    return Diagnostic(
        "unused-role",
        f"Some role parameters are never used: #{{{' '.join(roles)}}}",
        span,
        help="leave them out of the role vector" + (" and of the types" if in_types else ""),
    )


def nondeterministic(span: Span, name: str, text: str, roles: Sequence[str]) -> Diagnostic:
    shared = f"({roles[0]}=>{roles[1]} ({roles[0]} {text}))" if len(roles) == 2 else (
        f"(bcast [{' '.join(roles)}] ({roles[0]} {text}))"
    )
    return Diagnostic(
        "nondeterministic-agreement",
        f"{name} gives each of {listed(roles)} a value of its own, so they may not agree",
        span,
        help=f"evaluate it at one role and share the value: {shared}",
    )
