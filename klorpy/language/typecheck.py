"""The judgement Γ; M ⊢ e : T ▷ ρ.

In an environment Γ of typed locals and under a lifting mask M (a set of roles), the expression e has type T and
mentions the roles ρ. Given: a surface tree. Result: the typed tree; errors go to the report, several at a time: an
expression that is wrong has the type None, and what depends on it is left unjudged.

Two premises go beyond Klor's rules, since without them well-typed programs deadlock. The roles that a body mentions
are among the roles of the signature it is declared with; and `recur` mentions every role that the block which it
repeats mentions. The second makes ρ a fixpoint: a choice that depends on a `recur` is judged when its block ends.

Source: the reference of Klor's type system; L. Lugovic, S. Jongmans, "Klor: choreographies in Clojure" (2024).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, assert_never

from klorpy.core.endpoint import Binding
from klorpy.core.spans import Span
from klorpy.core.types import Agreement, Arrow, Role, Roles, Tuple, Type, in_order, render, union
from klorpy.language import messages, typed
from klorpy.language import surface as s
from klorpy.language.hy_adapter import FString, head_name, show_form
from klorpy.language.leaves import Leaves
from klorpy.language.report import Report
from klorpy.language.scopes import Lifted, entry, lift, reached
from klorpy.language.sites import children, walk
from klorpy.language.surface import Binder, HostPattern
from klorpy.language.typed import Typed

#: Functions whose result differs from role to role. A trailing dot stands for everything in the module.
NONDETERMINISTIC: Final = (
    "random.", "secrets.", "time.time", "time.time-ns", "time.monotonic", "time.monotonic-ns", "time.perf-counter",
    "time.perf-counter-ns", "time.localtime", "time.gmtime", "uuid.uuid1", "uuid.uuid4", "os.urandom", "os.getpid",
    "datetime.now", "datetime.utcnow", "datetime.today", "date.today", "datetime.datetime.now",
    "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today", "input", "id", "object", "getpid",
    "urandom", "uuid4", "uuid1", "randint", "randrange", "monotonic", "perf-counter",
    "np.random.", "numpy.random.",
)  # fmt: skip


@dataclass(slots=True)
class _Choice:
    """A choice whose branches contain `recur`: judged when the roles of the block are known."""

    knows: Roles
    branch: Typed
    span: Span
    what: str
    guard: str


@dataclass(slots=True)
class _Block:
    """A recur block: what recur's arguments must be, and what is to be judged at its end."""

    params: tuple[Binder, ...]
    types: tuple[Type, ...]
    pending: list[_Choice] = field(default_factory=list)
    recurs: bool = False


class Checker:
    """Judges one definition. `order` is the role vector, for messages.

    `lifted` are the bodies of the scopes in it, inner ones first.
    """

    def __init__(self, report: Report, order: tuple[Role, ...], leaves: Leaves) -> None:
        self.report = report
        self.order = order
        self.leaves = leaves
        self.types: dict[Binding, Type | None] = leaves.types
        self.blocks: list[_Block] = []
        self.lifted: list[Lifted] = []

    def show(self, type_: Type) -> str:
        return render(type_, self.order)

    def _given(self, node: Typed, written: s.Surface) -> messages.Given:
        roles = tuple(in_order(node.type.roles, self.order)) if isinstance(node.type, Agreement) else ()
        return messages.Given(_short(written), self.show(node.type), roles, _given_kind(written))

    def _roles(self, type_: Type) -> list[Role]:
        """The roles of an agreement in order; none for other types."""
        return in_order(type_.roles, self.order) if isinstance(type_, Agreement) else []

    def definition(self, header: s.Defchor) -> typed.Definition | None:
        """Judge a definition under the mask of all its roles. None after reporting."""
        assert header.body is not None
        mask = frozenset(header.roles)
        aux = mask - union([*(p.roles for p in header.type.params), header.type.result.roles])
        arrow = header.type.arrow(aux)
        names = self._bind_params(header.params, header.type.params, header.param_spans)
        body, repeats, mentions = self._block(header.params, header.type.params, header.body, mask, header.type.result)
        if body is None or names is None:
            return None
        missing = mentions - arrow.roles
        if missing:
            needed = " ".join(in_order(arrow.aux | missing, self.order))
            self.report.error(messages.aux_missing(header.type_span, in_order(missing, self.order), f"| {needed}"))
        unused = [role for role in header.roles if role not in mentions]
        if unused:
            in_types = bool(set(unused) & union([*(p.roles for p in arrow.params), arrow.result.roles]))
            self.report.warn(messages.unused_role(header.roles_span, unused, in_types))
        return typed.Definition(arrow, header.params, names, body, repeats)

    # --- Scopes ---

    def _region(self, node: s.Region, mask: Roles) -> Typed | None:
        """See `klorpy.language.scopes`. Without a vector, the roles of a scope are those of the mask that it stands under."""
        roles = node.roles or tuple(in_order(mask, self.order))
        self.types.update((inside, self.types.get(around)) for around, inside in node.locals)
        locals_ = list(reached(node, self.types, frozenset(roles)))
        self.types.update((local.inside, local.kept) for local in locals_)
        outside, self.leaves = self.leaves, self.leaves.another()
        body = self._inside(node.name, roles, node.body, update=False)
        leaves, self.leaves = self.leaves, outside
        if body is None:
            return None
        made = lift(node, roles, locals_, body, leaves)
        self.lifted.append(made)
        return entry(node, made, locals_)

    def _inside(self, name: str, roles: tuple[Role, ...], written: s.Surface, update: bool) -> Typed | None:
        """The body of a scope under the mask of its roles: nobody else takes part."""
        body = self.check(written, frozenset(roles))
        if body is None:
            return None
        missing = in_order(body.mentions - frozenset(roles), self.order)
        if missing:
            place = _first_with(body, missing[0]).span
            self.report.error(messages.outside_scope(place, missing, name, roles, update))
            return None
        for node in walk(body):
            # A role vector may name who takes no part in what is called; here it would name nobody.
            if isinstance(node, typed.Inst) and not set(node.roles) <= set(roles):
                others = in_order(frozenset(node.roles) - frozenset(roles), self.order)
                self.report.error(messages.outside_scope(node.span, others, name, roles, update))
                return None
        return body

    def update(self, header: s.Defchor) -> typed.Definition | None:
        """Judge a new body of a scope, which has the parameters and the result of the old one. None after reporting."""
        assert header.body is not None
        names = self._bind_params(header.params, header.type.params, header.param_spans)
        body = self._inside(header.name, header.roles, header.body, update=True)
        if body is None or names is None:
            return None
        if not self._same(body, header.type.result):
            last = _last(header.body)
            given, roles = self._given(body, last), self._roles(header.type.result)
            self.report.error(messages.update_result(last.span, header.name, self.show(header.type.result), given, roles))
            return None
        return typed.Definition(header.type.arrow(), header.params, names, body, False)

    # --- Blocks ---

    def _block(
        self, params: tuple[Binder, ...], types: tuple[Type, ...], body: s.Surface, mask: Roles, result: Type | None
    ) -> tuple[Typed | None, bool, Roles]:
        """Judge the body of what `recur` repeats. Gives the body, whether it recurs, and all roles it mentions."""
        block = _Block(params, types)
        self.blocks.append(block)
        before = len(self.report.errors)
        node = self.check(body, mask)
        self.blocks.pop()
        if node is None:
            return None, block.recurs, frozenset()
        if result is not None and not self._same(node, result):
            # What is wrong inside may well be why the type is wrong.
            if len(self.report.errors) == before:
                last = _last(body)
                empty = isinstance(body, s.Host) and body.absent
                given = self._given(node, last)
                roles = self._roles(result)
                self.report.error(messages.return_type(last.span, self.show(result), given, roles, empty))
            return None, block.recurs, node.mentions
        for choice in block.pending:
            self._judge_choice(choice, node.mentions, block=True)
        return node, block.recurs, node.mentions

    def _same(self, node: Typed, expected: Type) -> bool:
        return isinstance(node, typed.Recur) or node.type == expected or _never_ends(node)

    def _choice(self, knows: Roles, branches: list[tuple[Typed, s.Surface]], what: str, guard: s.Surface) -> None:
        """The premise of knowledge of choice: who takes part in a branch knows that it is taken."""
        reported: set[Role] = set()
        for branch, written in branches:
            choice = _Choice(knows, branch, written.span, what, _short(guard))
            if not branch.mentions - knows <= reported:
                reported |= branch.mentions - knows
                self._judge_choice(choice, branch.mentions)
            if branch.recurs:
                self.blocks[-1].pending.append(choice)

    def _judge_choice(self, choice: _Choice, mentions: Roles, block: bool = False) -> None:
        """Whether all of `mentions` know the choice; with `block`, they are those of the block that is repeated."""
        missing = in_order(mentions - choice.knows, self.order)
        if block:
            missing = [role for role in missing if role not in choice.branch.mentions]
        if not missing:
            return
        knows = in_order(choice.knows, self.order)
        what = "recur" if block else choice.what
        place = choice.span if block else _first_with(choice.branch, missing[0]).span
        self.report.error(messages.unknown_choice(place, missing, knows, what, choice.guard))

    # --- Expressions ---

    def check(self, node: s.Surface, mask: Roles) -> Typed | None:
        """Judge one expression under `mask`; None after reporting."""
        match node:
            case s.Bad():
                return None
            case s.Host():
                return self._host(node, mask)
            case s.Opaque():
                leaf = typed.Leaf(
                    Agreement(mask), mask, (), lambda _: node.form, node.scope, opaque=True, slug=node.slug,
                    span=node.span, form=node.form,
                )  # fmt: skip
                # Only Hy knows which locals the form uses, and compiling it checks that they are there.
                return leaf if self.leaves.is_sound(leaf) else None
            case s.Local(binding):
                type_ = self.types.get(binding)
                return None if type_ is None else typed.Local(
                    type_, type_.roles, binding, span=node.span, form=node.form
                )  # fmt: skip
            case s.Lifting(roles, body):
                return self.check(body, frozenset(roles))
            case s.Copy():
                return self._copy(node, mask)
            case s.Narrow():
                return self._narrow(node, mask)
            case s.Pack(items):
                parts = self._all(items, mask)
                return None if parts is None else typed.Pack(
                    Tuple(tuple(p.type for p in parts)), union(p.mentions for p in parts), parts,
                    span=node.span, form=node.form,
                )  # fmt: skip
            case s.Unpack():
                return self._unpack(node, mask)
            case s.Agree():
                return self._agree(node, mask)
            case s.Chor():
                return self._chor(node, mask)
            case s.Inst(callee, roles):
                arrow = callee.signature.instantiate(roles)
                return typed.Inst(arrow, arrow.roles, callee, roles, span=node.span, form=node.form)
            case s.Apply():
                return self._apply(node, mask)
            case s.Updatable(call, barrier):
                found = self.check(call, mask)
                if isinstance(found, typed.Call):
                    return replace(found, updatable=True, barrier=barrier, span=node.span)
                return found
            case s.Region():
                return self._region(node, mask)
            case s.Do(items):
                parts = self._all(items, mask)
                return None if parts is None else typed.Do(
                    parts[-1].type, union(p.mentions for p in parts), parts, recurs=parts[-1].recurs,
                    span=node.span, form=node.form,
                )  # fmt: skip
            case s.Let():
                return self._let(node, mask)
            case s.If():
                return self._if(node, mask)
            case s.Junction():
                return self._junction(node, mask)
            case s.Case():
                return self._case(node, mask)
            case s.Loop():
                return self._loop(node, mask)
            case s.Recur():
                return self._recur(node, mask)
            case s.Await(body):
                inner = self.check(body, mask)
                if inner is None or not self._operands((inner,), (body,), mask, node, "argument"):
                    return None
                type_ = Agreement(mask)
                return typed.Await(type_, inner.mentions | mask, inner, span=node.span, form=node.form)
            case _:
                assert_never(node)

    def _all(self, nodes: tuple[s.Surface, ...], mask: Roles) -> tuple[Typed, ...] | None:
        found = [self.check(node, mask) for node in nodes]
        known = tuple(node for node in found if node is not None)
        return known if len(known) == len(found) else None

    # Host code.

    def _operands(
        self, nodes: tuple[Typed, ...], written: tuple[s.Surface, ...], roles: Roles, whole: s.Surface | None, what: str
    ) -> bool:
        """Width subtyping: operands may be at more roles than the operator, whose form is `whole`."""
        wrong = [
            (node, place)
            for node, place in zip(nodes, written, strict=True)
            if not (isinstance(node.type, Agreement) and node.type.roles >= roles)
        ]
        if not wrong:
            return True
        together = frozenset(self.order) if whole is not None else frozenset()
        for node in nodes:
            together &= node.type.roles if isinstance(node.type, Agreement) else frozenset()
        for node, place in wrong:
            self.report.error(messages.op_arg(
                place.span, self._given(node, place), self.show(Agreement(roles)), in_order(roles, self.order), what,
                _short(whole) if whole is not None else "", in_order(together, self.order),
            ))  # fmt: skip
        return False

    def _host(self, node: s.Host, mask: Roles) -> Typed | None:
        children = self._all(node.children, mask)
        if children is None:
            return None
        what = ("part" if isinstance(node.form, FString) else "element") if node.element else "argument"
        if not self._operands(children, node.children, mask, node, what):
            return None
        return typed.Leaf(
            Agreement(mask), union(c.mentions for c in children) | mask, children, node.rebuild, node.scope,
            stable=node.stable, reordered=node.reordered, span=node.span, form=node.form,
        )  # fmt: skip

    def _apply(self, node: s.Apply, mask: Roles) -> Typed | None:
        head = self.check(node.head, mask)
        args = self._all(node.args, mask)
        if head is None or args is None:
            return None
        match head.type:
            case Agreement(roles):
                self._warn_nondeterministic(node, roles)
                if isinstance(node.head, s.Local):
                    if not self._call_of_local(node, head, args, roles):
                        return None
                elif not self._operands(args, node.args, roles, node, "argument"):
                    return None
                children = (head, *args)
                return typed.Leaf(
                    head.type, union(c.mentions for c in children), children, node.rebuild, node.scope, is_call=True,
                    reordered=node.reordered, span=node.span, form=node.form,
                )  # fmt: skip
            case Arrow() as arrow:
                if not node.plain:
                    self.report.error(messages.chor_keywords(node.span))
                    return None
                return self._call(node, head, arrow, args)
            case Tuple():
                self.report.error(messages.not_invokable(node.head.span, self.show(head.type)))
                return None

    def _call_of_local(self, node: s.Apply, head: Typed, args: tuple[Typed, ...], roles: Roles) -> bool:
        """The operands of a function that is a local: the call runs where the function is, whatever stands around."""
        for arg, written in zip(args, node.args, strict=True):
            if isinstance(arg.type, Agreement) and arg.type.roles < roles:
                self.report.error(messages.call_elsewhere(
                    written.span, self._given(arg, written), _short(node.head), self.show(head.type),
                    in_order(arg.type.roles, self.order)[0],
                ))  # fmt: skip
                return False
        return self._operands(args, node.args, roles, None, "argument")

    def _warn_nondeterministic(self, node: s.Apply, roles: Roles) -> None:
        if len(roles) > 1 and isinstance(node.head, s.Host) and node.head.callee is not None:
            name = node.head.callee
            plain = name.replace("_", "-")
            if any(plain == known or (known.endswith(".") and plain.startswith(known)) for known in NONDETERMINISTIC):
                at = in_order(roles, self.order)
                self.report.warn(messages.nondeterministic(node.span, name, _short(node), at))

    def _call(self, node: s.Apply, head: Typed, arrow: Arrow, args: tuple[Typed, ...]) -> Typed | None:
        if len(args) != len(arrow.params):
            name = node.head.callee.name if isinstance(node.head, s.Inst) else _short(node.head)
            self.report.error(messages.chor_args(node.span, name, self.show(arrow), len(args), len(arrow.params)))
            return None
        fine = True
        for arg, expected, written in zip(args, arrow.params, node.args, strict=True):
            if arg.type != expected:
                given = self._given(arg, written)
                roles = self._roles(expected)
                self.report.error(messages.chor_arg_type(written.span, self.show(expected), given, roles))
                fine = False
        if not fine:
            return None
        mentions = head.mentions | arrow.roles | union(a.mentions for a in args)
        return typed.Call(arrow.result, mentions, arrow, head, args, span=node.span, form=node.form)

    # Communication.

    def _copy(self, node: s.Copy, mask: Roles) -> Typed | None:
        body = self.check(node.body, mask)
        if body is None:
            return None
        if not isinstance(body.type, Agreement):
            self.report.error(messages.copy_not_agreement(node.body.span, self.show(body.type)))
            return None
        given = self._given(body, node.body)
        if node.source not in body.type.roles:
            self.report.error(messages.copy_missing_src(node.body.span, node.source, node.target, given))
            return None
        if node.target in body.type.roles:
            self.report.error(messages.copy_dst_present(node.body.span, node.source, node.target, given))
            return None
        type_ = Agreement(body.type.roles | {node.target})
        return typed.Copy(
            type_, body.mentions | type_.roles, node.source, node.target, body, span=node.span, form=node.form
        )

    def _narrow(self, node: s.Narrow, mask: Roles) -> Typed | None:
        body = self.check(node.body, mask)
        if body is None:
            return None
        if not isinstance(body.type, Agreement):
            self.report.error(messages.narrow_not_agreement(node.body.span, self.show(body.type)))
            return None
        for role in node.roles:
            if role not in body.type.roles:
                self.report.error(messages.narrow_missing(node.body.span, role, self.show(body.type)))
                return None
        return typed.Narrow(Agreement(frozenset(node.roles)), body.mentions, body, span=node.span, form=node.form)

    def _agree(self, node: s.Agree, mask: Roles) -> Typed | None:
        items = self._all(node.items, mask)
        if items is None:
            return None
        roles: Roles = frozenset()
        for item, written in zip(items, node.items, strict=True):
            if not isinstance(item.type, Agreement):
                self.report.error(messages.agree_not_agreement(written.span, self.show(item.type)))
                return None
            overlap = in_order(roles & item.type.roles, self.order)
            if overlap:
                self.report.error(messages.agree_overlap(written.span, overlap[0]))
                return None
            roles |= item.type.roles
        return typed.Agree(
            Agreement(roles), union(i.mentions for i in items), items, span=node.span, form=node.form
        )

    # Tuples.

    def _bind(self, binder: Binder, type_: Type, span: Span, found: dict[Binding, Type]) -> bool:
        """Give the names of an unpack binder their types."""
        if binder is None:
            return True
        if isinstance(binder, Binding):
            self.types[binder] = found[binder] = type_
            return True
        if not isinstance(type_, Tuple):
            self.report.error(messages.unpack_shape(span, f"a value of type {self.show(type_)} has no elements"))
            return False
        if len(binder) != len(type_.items):
            have, want = messages.plural(len(type_.items), "element"), messages.plural(len(binder), "binder")
            self.report.error(messages.unpack_shape(span, f"the tuple has {have}, but there are {want}"))
            return False
        # All parts, also after one that is wrong: their names are used in the body.
        fine = [self._bind(part, item, span, found) for part, item in zip(binder, type_.items, strict=True)]
        return all(fine)

    def _bind_params(
        self, params: tuple[Binder, ...], types: tuple[Type, ...], spans: tuple[Span, ...]
    ) -> Mapping[Binding, Type] | None:
        found: dict[Binding, Type] = {}
        fine = [self._bind(p, t, span, found) for p, t, span in zip(params, types, spans, strict=True)]
        return found if all(fine) else None

    def _unpack(self, node: s.Unpack, mask: Roles) -> Typed | None:
        pairs: list[tuple[Binder, Typed]] = []
        found: dict[Binding, Type] = {}
        fine = True
        for binder, init, span in node.bindings:
            value = self.check(init, mask)
            if value is None:
                fine = False
            elif not isinstance(value.type, Tuple):
                self.report.error(messages.unpack_not_tuple(init.span, self.show(value.type)))
                fine = False
            elif not self._bind(binder, value.type, span, found):
                fine = False
            else:
                pairs.append((binder, value))
        body = self.check(node.body, mask)
        if body is None or not fine:
            return None
        mentions = union(v.mentions for _, v in pairs) | body.mentions
        return typed.Unpack(
            body.type, mentions, tuple(pairs), body, found, recurs=body.recurs, span=node.span, form=node.form
        )

    # Choreographies as values.

    def _chor(self, node: s.Chor, mask: Roles) -> Typed | None:
        written = node.type
        names = self._bind_params(node.params, written.params, node.param_spans)
        if node.self_name is not None:
            self.types[node.self_name] = written.arrow()
        body, repeats, mentions = self._block(node.params, written.params, node.body, mask, written.result)
        if body is None or names is None:
            return None
        mentioned = union([*(p.roles for p in written.params), written.result.roles])
        arrow = written.arrow(mentions - mentioned)
        missing = in_order(mentions - arrow.roles, self.order)
        if missing:
            needed = " ".join(in_order(arrow.aux | set(missing), self.order))
            self.report.error(messages.aux_missing(node.type_span, missing, f"| {needed}"))
            return None
        return typed.Chor(
            arrow, arrow.roles, arrow, node.self_name, node.params, body, names, repeats,
            span=node.span, form=node.form,
        )  # fmt: skip

    # Binding and choice.

    def _let(self, node: s.Let, mask: Roles) -> Typed | None:
        pairs: list[tuple[Binding | HostPattern, Typed]] = []
        found: dict[Binding, Type] = {}
        fine = True
        for binder, init in node.bindings:
            value = self.check(init, mask)
            if isinstance(binder, HostPattern):
                if value is not None and not self._operands((value,), (init,), mask, init, "argument"):
                    value = None
                for binding in binder.bindings:
                    self.types[binding] = found[binding] = Agreement(mask)
            else:
                self.types[binder] = value.type if value is not None else None
                if value is not None:
                    found[binder] = value.type
            if value is None:
                fine = False
            else:
                pairs.append((binder, value))
        body = self.check(node.body, mask)
        if body is None or not fine:
            return None
        lifted = mask if any(isinstance(b, HostPattern) for b, _ in pairs) else frozenset()
        mentions = union(v.mentions for _, v in pairs) | body.mentions | lifted
        return typed.Let(
            body.type, mentions, tuple(pairs), body, found, recurs=body.recurs, span=node.span, form=node.form
        )

    def _guard(self, node: Typed, span: Span, what: str) -> Roles | None:
        if isinstance(node.type, Agreement):
            return node.type.roles
        self.report.error(messages.guard_not_agreement(span, self.show(node.type), what))
        return None

    def _join(self, branches: list[tuple[Typed, s.Surface]]) -> Type | None:
        """The common type of branches; a branch that ends in `recur` has any type."""
        settled = [(b, written) for b, written in branches if not _never_ends(b)]
        if not settled:
            return branches[0][0].type
        first = settled[0][0].type
        for branch, written in settled[1:]:
            if branch.type == first:
                continue
            if isinstance(written, s.Host) and written.absent:
                form = head_name(written.form) or "when"
                self.report.error(
                    messages.missing_branch(written.span, self.show(first), self.show(branch.type), form)
                )
            else:
                last = _last(written)
                self.report.error(
                    messages.branch_types(last.span, self.show(first), self._given(branch, last), self._roles(first))
                )
            return None
        return first

    def _if(self, node: s.If, mask: Roles) -> Typed | None:
        guard = self.check(node.guard, mask)
        then = self.check(node.then, mask)
        orelse = self.check(node.orelse, mask)
        knows = self._guard(guard, node.guard.span, "a guard") if guard is not None else None
        if guard is None or then is None or orelse is None or knows is None:
            return None
        branches: list[tuple[Typed, s.Surface]] = [(then, node.then), (orelse, node.orelse)]
        type_ = self._join(branches)
        if type_ is None:
            return None
        self._choice(knows, branches, "if", node.guard)
        mentions = guard.mentions | then.mentions | orelse.mentions
        return typed.If(
            type_, mentions, guard, then, orelse, recurs=then.recurs or orelse.recurs, span=node.span, form=node.form
        )

    def _junction(self, node: s.Junction, mask: Roles) -> Typed | None:
        """`(and a b)` is `(let [x a] (if x b x))`, `(or a b)` is `(let [x a] (if x x b))`."""
        items = self._all(node.items, mask)
        if items is None:
            return None
        spans = [item.span for item in node.items]
        knows = []
        name = "and" if node.is_and else "or"
        for item, span in zip(items[:-1], spans[:-1], strict=True):
            roles = self._guard(item, span, f"what `{name}` decides by")
            if roles is None:
                return None
            knows.append(roles)
        written = node.items
        type_ = self._join(list(zip(items, written, strict=True)))
        if type_ is None:
            return None
        for i, roles in enumerate(knows):
            self._choice(roles, list(zip(items[i + 1 :], written[i + 1 :], strict=True)), name, written[i])
        return typed.Junction(
            type_, union(i.mentions for i in items), node.is_and, items, recurs=items[-1].recurs,
            span=node.span, form=node.form,
        )  # fmt: skip

    def _case(self, node: s.Case, mask: Roles) -> Typed | None:
        what = "match" if node.is_match else "case"
        subject = self.check(node.subject, mask)
        knows = self._guard(subject, node.subject.span, f"what `{what}` looks at") if subject is not None else None
        clauses: list[typed.Clause] = []
        branches: list[tuple[Typed, s.Surface]] = []
        fine = knows is not None
        for clause in node.clauses:
            for binding in clause.bindings:
                self.types[binding] = Agreement(knows) if knows is not None else None
            constant = None
            if clause.constants:
                constant = self.check(clause.constants[0], mask)
                if constant is not None and knows is not None and mask != knows:
                    found, needed = self.show(Agreement(mask)), self.show(Agreement(knows))
                    if fine:
                        self.report.error(messages.case_constant(clause.span, found, needed))
                    fine = False
            body = self.check(clause.body, mask)
            if body is None:
                fine = False
                continue
            branches.append((body, clause.body))
            clauses.append(typed.Clause(constant, clause.pattern, clause.bindings, clause.scope, body, clause.span))
        default = None
        if node.default is not None:
            default = self.check(node.default, mask)
            if default is None:
                fine = False
            else:
                branches.append((default, node.default))
        if subject is None or knows is None or not fine:
            return None
        if not branches:
            form = "pattern" if node.is_match else "constant"
            self.report.error(messages.arity(node.span, f"`{what}`", f"({what} expr {form} result …)"))
            return None
        type_ = self._join(branches)
        if type_ is None:
            return None
        self._choice(knows, branches, what, node.subject)
        mentions = subject.mentions | union(b.mentions for b, _ in branches)
        return typed.Case(
            type_, mentions, subject, tuple(clauses), default, recurs=any(b.recurs for b, _ in branches),
            span=node.span, form=node.form,
        )  # fmt: skip

    # Repetition.

    def _loop(self, node: s.Loop, mask: Roles) -> Typed | None:
        pairs: list[tuple[Binding, Typed]] = []
        found: dict[Binding, Type] = {}
        fine = True
        for binding, init in node.bindings:
            value = self.check(init, mask)
            self.types[binding] = value.type if value is not None else None
            if value is None:
                fine = False
            else:
                found[binding] = value.type
                pairs.append((binding, value))
        if not fine:
            # The body is judged all the same, for more errors; recur's arguments cannot be.
            self.blocks.append(_Block((), ()))
            self.check(node.body, mask)
            self.blocks.pop()
            return None
        params = tuple(binding for binding, _ in pairs)
        types = tuple(value.type for _, value in pairs)
        body, _, mentions = self._block(params, types, node.body, mask, None)
        if body is None:
            return None
        mentions |= union(v.mentions for _, v in pairs)
        type_ = Agreement(mask) if _never_ends(body) else body.type
        return typed.Loop(type_, mentions, tuple(pairs), body, found, span=node.span, form=node.form)

    def _recur(self, node: s.Recur, mask: Roles) -> Typed | None:
        block = self.blocks[-1]
        block.recurs = True
        args = self._all(node.args, mask)
        if args is None:
            return None
        if len(args) != len(block.types):
            self.report.error(messages.recur_arity(node.span, len(args), len(block.types)))
            return None
        fine = True
        for arg, expected, written in zip(args, block.types, node.args, strict=True):
            if arg.type != expected:
                self.report.error(messages.recur_arg_type(written.span, self.show(expected), self.show(arg.type)))
                fine = False
        if not fine:
            return None
        # Its own type does not matter: `_join` and `_same` pass over what never ends.
        return typed.Recur(
            Agreement(frozenset()), union(a.mentions for a in args), args, block.params, block.types,
            recurs=True, span=node.span, form=node.form,
        )  # fmt: skip


def _never_ends(node: Typed) -> bool:
    """Whether an expression always ends in `recur`, so that its type may be any."""
    match node:
        case typed.Recur():
            return True
        case typed.Do(items=items):
            return _never_ends(items[-1])
        case typed.Loop(body=body):
            return _never_ends(body)
        case typed.Let(body=body) | typed.Unpack(body=body):
            return _never_ends(body)
        case typed.If(then=then, orelse=orelse):
            return _never_ends(then) and _never_ends(orelse)
        case typed.Case(clauses=clauses, default=default):
            return all(_never_ends(c.body) for c in clauses) and (default is None or _never_ends(default))
        case _:
            return False


def _last(node: s.Surface) -> s.Surface:
    """The form whose value is the value of `node`; of several branches the first."""
    match node:
        case s.Do(items):
            return _last(items[-1])
        case s.Let(body=body) | s.Unpack(body=body) | s.Loop(body=body) | s.Lifting(body=body):
            return _last(body)
        case s.If(then=then, orelse=orelse):
            return _last(orelse if isinstance(_last(then), s.Recur) else then)
        case _:
            return node


def _first_with(node: Typed, role: Role) -> Typed:
    """The first and smallest part of a branch that involves a role; a call as a whole, not the name that it calls."""
    for child in children(node):
        if role in child.mentions:
            bare = isinstance(child, typed.Leaf) and not child.children
            return node if bare and isinstance(node, typed.Leaf) else _first_with(child, role)
    return node


def _short(node: s.Surface) -> str:
    """The form of a node for a hint."""
    text = show_form(node.form)
    return text if len(text) <= 40 else "…"


def _given_kind(node: s.Surface) -> str:
    match node:
        case s.Local():
            return "local"
        case s.Host(literal=True):
            return "literal"
        case s.Host() | s.Opaque() | s.Apply(head=s.Host()):
            return "host"
        case s.Copy() if "=>" in (head_name(node.form) or ""):
            return "copy"
        case _:
            return "other"

