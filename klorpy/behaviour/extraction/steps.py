"""One step of one node: what is evaluated next, which way is taken, what is sent.

    node, values of its parts so far  →  the next part | a value | an event

The rules of the abstract machine (`klorpy.behaviour.extraction.machine`) for those nodes that need more than a line.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from klorpy.behaviour.extraction.folding import fold, literal
from klorpy.behaviour.extraction.programs import Context, captured
from klorpy.behaviour.extraction.states import (
    OTHERWISE,
    Block,
    Dead,
    Decision,
    Env,
    Eval,
    Fact,
    Frame,
    Give,
    Irregular,
    Labels,
    Message,
    Pause,
    Split,
)
from klorpy.behaviour.extraction.values import (
    HOLE,
    Carried,
    Const,
    Expr,
    Group,
    Known,
    Op,
    Val,
    Value,
    covered,
    is_open,
    knows,
    shape,
)
from klorpy.core.endpoint import Binding
from klorpy.core.types import Agreement, Role
from klorpy.language import typed
from klorpy.language.hy_adapter import Expression, Keyword, head_name, show_form, symbol_name
from klorpy.language.surface import HostPattern
from klorpy.language.typed import Typed

if TYPE_CHECKING:
    from klorpy.behaviour.extraction.machine import Machine

#: Branches that one message may announce.
MAX_BRANCHES: Final = 64


@dataclass(frozen=True, slots=True)
class Here:
    """One step of one node."""

    machine: Machine
    node: Typed
    done: tuple[Value, ...]
    env: Env
    block: Block | None
    context: Context

    def first(self, part: Typed, env: Env | None = None) -> Eval:
        """Evaluate a part, and then go on with this node."""
        machine, env = self.machine, self.env if env is None else env
        kept = machine.locals.free(self.node)
        frame = Frame(self.node, self.done, machine.frozen(env, kept), self.block if self.node.recurs else None, self.context)
        machine.frames.append(frame)
        return Eval(part, machine.frozen(env, machine.locals.free(part)), None, self.context)

    def tail(self, part: Typed, env: Env | None = None) -> Eval:
        env = self.env if env is None else env
        machine = self.machine
        return Eval(part, machine.frozen(env, machine.locals.free(part)), self.block if part.recurs else None, self.context)

    def parts(self, items: tuple[Typed, ...]) -> Eval | None:
        return self.first(items[len(self.done)]) if len(self.done) < len(items) else None

    def do(self, node: typed.Do) -> Eval:
        # What the items gave is not used: only how many there were counts, and a `do` may be long.
        at = self.done[0] + 1 if self.done else 0
        if at == len(node.items) - 1:
            return self.tail(node.items[at])
        machine = self.machine
        frame = Frame(
            node, (at,), machine.frozen(self.env, machine.locals.free_from(node, at + 1)),
            self.block if node.recurs else None, self.context,
        )  # fmt: skip
        machine.frames.append(frame)
        item = node.items[at]
        return Eval(item, machine.frozen(self.env, machine.locals.free(item)), None, self.context)

    def bindings(self, pairs: tuple[tuple[Any, Typed], ...], body: Typed) -> Eval:
        env, at = self.bound_so_far(pairs), len(self.done)
        here = replace(self, env=env, done=(None,) * at)
        return here.first(pairs[at][1], env) if at < len(pairs) else here.tail(body, env)

    def loop(self, pairs: tuple[tuple[Binding, Typed], ...], body: Typed) -> Eval:
        env, at = self.bound_so_far(pairs), len(self.done)
        if at < len(pairs):
            return replace(self, env=env, done=(None,) * at).first(pairs[at][1], env)
        names = [name for name, _ in pairs]
        return self.machine.entered(body, names, [env[name] for name in names], env, self.context, True)

    def bound_so_far(self, pairs: tuple[tuple[Any, Typed], ...]) -> Env:
        """The locals, with the one whose value has just come."""
        env, at = dict(self.env), len(self.done)
        if at:
            binder = pairs[at - 1][0]
            if isinstance(binder, HostPattern):
                for i, part in enumerate(binder.bindings):
                    value = self.machine.computed(pairs[at - 1][1], (self.done[-1],), self.context, ("part", i), str(part.name))
                    env[part] = self.machine.settled(part, value)
            else:
                self.machine.bind(binder, self.done[-1], env)
        return env

    def leaf(self, node: typed.Leaf) -> Eval | Give:
        more = self.parts(node.children)
        if more is not None:
            return more
        machine, context, form = self.machine, self.context, node.form
        if node.opaque:
            args = [self.env[b] for b in captured(node.scope, [form]) if b in self.env]
            return Give(machine.computed(node, args, context, self.words(), context.text(node)))
        if not node.children and (constant := literal(form)) is not None:
            return Give(constant)
        head, args = head_name(form), list(self.done)
        if node.is_call and len(args) == len(form) and symbol_name(node.children[0].form) == head:
            args = args[1:]
        plain = isinstance(form, Expression) and head is not None and not any(isinstance(part, Keyword) for part in form)
        if plain and len(args) == len(form) - 1 and all(not isinstance(arg, (Group,)) for arg in args):
            assert head is not None
            folded = fold(head, args)
            if folded is not None:
                return Give(folded)
            if head in ("=", "!=", "not"):
                return Give(machine.computed(node, args, context, head, context.text(node)))
            return Give(machine.computed(node, args, context, (head, id(context.definition.namespace)), context.text(node)))
        return Give(machine.computed(node, list(self.done), context, self.words(), context.text(node)))

    def words(self) -> Hashable:
        """What names a computation: the same words in the same module mean the same, given the same values."""
        return show_form(self.node.form), id(self.context.definition.namespace)

    def agreed(self, node: typed.Agree) -> Give:
        self.machine.agreements(self.context, node, node.type)
        items = self.done
        if all(item == items[0] for item in items):
            return Give(items[0])
        return Give(self.machine.fresh(node.type, self.context, ("agreed", node, self.context)))

    # --- Choices ---

    def alone(self, guard: Typed) -> Give | None:
        """The result of a choice of one role, or of one in which nothing is communicated."""
        machine, node, context = self.machine, self.node, self.context
        if len(guard.type.roles) == 1 and not node.recurs:
            return Give(machine.fresh(node.type, context, ("alone", node, context)))
        rest = [part for part in _branches(node) if part is not guard]
        if isinstance(node.type, Agreement) and not node.recurs and all(map(machine.locals.silent, rest)):
            names = sorted({b for part in rest for b in machine.locals.free(part) if b in self.env}, key=id)
            args = [*self.done, *(self.env[b] for b in names)]
            return Give(machine.computed(node, args, context, self.words(), context.text(node)))
        return None

    def choice(self, node: typed.If) -> Eval | Give:
        if not self.done:
            return self.first(node.guard)
        found = self.alone(node.guard)
        if found is not None:
            return found
        holds = self.machine.truth(self.done[0], node.guard, self.context)
        if holds is None:
            raise self.machine.split(node.guard, self.context, (self.tail(node.then), self.tail(node.orelse)))
        return self.tail(node.then if holds else node.orelse)

    def junction(self, node: typed.Junction) -> Eval | Give:
        at = len(self.done)
        if at == 0:
            return self.first(node.items[0])
        value, guard = self.done[-1], node.items[at - 1]
        if at == 1:
            found = self.alone(guard)
            if found is not None:
                return found
        following = replace(self, done=(None,) * at)
        holds = self.machine.truth(value, guard, self.context)
        if holds is not None:
            return following.onwards(node, at) if holds == node.is_and else Give(value)
        before = list(self.machine.frames)
        stop = self.machine.now(Give(value))
        go = following.onwards(node, at)
        on = self.machine.now(go)
        self.machine.frames = before
        raise Pause(Split(guard, self.context, (on, stop)))

    def onwards(self, node: typed.Junction, at: int) -> Eval:
        return self.tail(node.items[at]) if at == len(node.items) - 1 else self.first(node.items[at])

    def case(self, node: typed.Case) -> Eval | Give:
        if not self.done:
            return self.first(node.subject)
        found = self.alone(node.subject)
        if found is not None:
            return found
        machine, subject = self.machine, self.done[0]
        constants = [literal(c.constant.form if c.constant is not None else _only(c.pattern)) for c in node.clauses]
        ways = [clause.body for clause in node.clauses]
        if None not in constants:
            known = tuple(c for c in constants if c is not None)
            which = machine.which(subject, known, node.subject, self.context)
            at = next((i for i, c in enumerate(known) if c.text == which), len(known))
        else:
            which, at = self.matched(node, subject)
        if which is None:
            everything = [self.bound(node, i) for i in range(len(ways))]
            if node.default is not None:
                everything.append(self.tail(node.default))
            raise machine.split(node.subject, self.context, everything)
        if at < len(ways):
            return self.bound(node, at)
        if node.default is None:
            raise Pause(Dead())
        return self.tail(node.default)

    def matched(self, node: typed.Case, subject: Value) -> tuple[str | None, int]:
        texts = tuple(" ".join(map(show_form, c.pattern)) if c.constant is None else show_form(c.constant.form)
                      for c in node.clauses)  # fmt: skip
        names = dict.fromkeys(b for c in node.clauses if c.constant is None for b in captured(c.scope, c.pattern))
        used = [self.env[b] for b in names if b in self.env]
        if not all(isinstance(value, (Const, Val, Op)) for value in (subject, *used)):
            return None, 0
        looked = Op(("match", texts), (subject, *used), self.context.roles(node.subject.type.roles), self.context.text(node))
        outcomes = texts if node.default is None else (*texts, OTHERWISE)
        found = self.machine.decided(looked, "match", outcomes, self.context.text(node.subject))
        return found, next((i for i, text in enumerate(texts) if text == found), len(texts))

    def bound(self, node: typed.Case, at: int) -> Eval:
        env, clause = dict(self.env), node.clauses[at]
        for i, binding in enumerate(clause.bindings):
            part = self.machine.computed(node.subject, self.done, self.context, ("capture", at, i), str(binding.name))
            env[binding] = self.machine.settled(binding, part)
        return self.tail(clause.body, env)

    # --- Messages ---

    def entry(self, node: typed.Call) -> None:
        """The entry of a scope: its leader tells each of the others which version it is, one after the other."""
        callee, told = node.callee, len(self.done) - len(node.args) - 1
        if not node.updatable or not isinstance(callee, typed.Inst):
            return
        leader, *others = self.scope(node)
        if told < len(others):
            raise self.said(node, leader, others[told], "version")

    def guarded(self, node: typed.Call) -> Eval | Give:
        """A scope with a barrier, after its entry: its body, and then each other role tells the leader that it is done."""
        leader, *others = self.scope(node)
        start = 1 + len(node.args) + len(others)
        told = len(self.done) - start - 1
        if told < 0:
            self.wait(node)
            return self.machine.applied(node, self.done[0], self.done[1 : len(node.args) + 1], self.context)
        if told < len(others):
            raise self.said(node, others[told], leader, "done")
        return Give(self.done[start])

    def scope(self, node: typed.Call) -> list[Role]:
        """The roles of a scope, the leader first."""
        assert isinstance(node.callee, typed.Inst)
        return [self.context.role(role) for role in node.callee.roles if role in node.arrow.roles]

    def said(self, node: typed.Call, sender: Role, receiver: Role, what: str) -> Pause:
        self.wait(node)
        told = self.machine.now(Give(Const(what, what, None)))
        return Pause(Message(node, self.context, sender, receiver, (((), told),)))

    def wait(self, node: Typed) -> None:
        """Let the node go on with what comes next."""
        machine = self.machine
        frame = Frame(node, self.done, machine.frozen(self.env, machine.locals.free(node)), self.block, self.context)
        machine.frames.append(frame)

    def copy(self, node: typed.Copy) -> Eval | Give:
        machine, value = self.machine, self.done[0]
        sender, receiver = self.context.role(node.source), self.context.role(node.target)
        copy = (node, self.context)
        if isinstance(value, Const):
            labels: list[Labels] = [tuple(self.evident(copy, value))]
            facts: list[dict[Any, Fact]] = [machine.facts]
        else:
            machine.rank += 1
            known = machine.known.get(value) or computable(value, machine.known)
            news = known.since(receiver) is None
            machine.known[value] = known.told(receiver, Carried(machine.rank, copy, value, sender))
            machine.rank += 1
            labels, facts = self.announcements(copy, value, news)
        states = tuple(
            (label, machine.now(Give(value), fact)) for label, fact in zip(labels, facts, strict=True)
        )
        raise Pause(Message(node, self.context, sender, receiver, states))

    def announcements(self, copy: Hashable, value: Expr, news: bool) -> tuple[list[Labels], list[dict[Any, Fact]]]:
        """The branches of a message: what it tells, if it is news, and what is known then."""
        machine = self.machine
        told = tuple(
            (fact.decision, fact.outcome) for (carried, _, form), fact in machine.facts.items()
            if (carried == value and not is_open(form)) or (fact.asked is not None and covered(fact.asked, value))
        )  # fmt: skip
        told += tuple(self.implied(value))
        labels, facts = [tuple(dict.fromkeys(told)) if news else ()], [dict(machine.facts)]
        for (kind, form), outcomes in machine.plan.announced.get(copy, {}).items():
            key = (value, kind, form)
            if key in machine.facts:
                continue
            decision = Decision(copy, kind, form)
            if kind == "value" and OTHERWISE not in outcomes:
                outcomes = (*outcomes, OTHERWISE)
            if len(labels) * len(outcomes) > MAX_BRANCHES:
                raise Irregular(self.context.diagnostic(
                    self.node, "no-protocol", f"too many decisions depend on `{self.context.text(self.node)}`",
                    "let messages in between announce some of them", "one message would announce them all",
                ))  # fmt: skip
            labels, facts = (
                [(*label, (decision, outcome)) for label in labels for outcome in outcomes],
                [{**fact, key: Fact(decision, outcome)} for fact in facts for outcome in outcomes],
            )
        return labels, facts

    def evident(self, copy: Hashable, value: Const) -> Iterable[tuple[Decision, str]]:
        """What a constant says of the decisions that the message announces for other values."""
        for (kind, form), outcomes in self.machine.plan.announced.get(copy, {}).items():
            if form == HOLE and kind == "truth":
                yield Decision(copy, kind, form), "true" if value.value else "false"
            elif form == HOLE and kind == "value":
                yield Decision(copy, kind, form), value.text if value.text in outcomes else OTHERWISE

    def implied(self, value: Expr) -> Iterable[tuple[Decision, str]]:
        """What is decided of a computed value because of what was announced of its parts."""
        if not isinstance(value, Op):
            return
        for (carried, kind, form), fact in self.machine.facts.items():
            if carried != value and form != HOLE and covered(value, carried):
                if kind == "truth" and shape(value, carried, self.machine.known) == form:
                    yield fact.decision, fact.outcome


def computable(value: Expr, known: Mapping[Expr, Known]) -> Known:
    """Who can compute a value by now."""
    assert isinstance(value, Op)
    holders = [(role, rank) for role in sorted(value.roles) if (rank := knows(role, value, known)) is not None]
    return Known(tuple(holders))


def _branches(node: Typed) -> list[Typed]:
    match node:
        case typed.If(guard=guard, then=then, orelse=orelse):
            return [guard, then, orelse]
        case typed.Junction(items=items):
            return list(items)
        case typed.Case(subject=subject, clauses=clauses, default=default):
            return [subject, *(c.body for c in clauses), *([default] if default is not None else [])]
    raise AssertionError(node)


def _only(pattern: list[Any]) -> Any:
    return pattern[0] if len(pattern) == 1 else None
