"""The abstract machine: what a choreography communicates, with values of which only the origin is known.

    state  →  Message(from, to, labels ↦ states) | Split(state, state) | End | Dead | Wanted

It evaluates the typed tree in the order of the source, at all roles at once, and stops at what others see. A choice of
several roles takes the branch that an earlier message announced (`klorpy.behaviour.extraction.values`); what was not
announced there is asked for (`Wanted`, and the whole is done again with the announcement), and where no message can
announce it, both ways are gone (`Split`): that is right when nobody else can tell. What one role does alone is passed by.

States are canonical: equal states go on alike, so that a loop comes back to a state that is known. Host values are
assumed not to change between two decisions that depend on them, as agreement types assume of operators.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

from klorpy.behaviour.extraction.folding import fold, literal
from klorpy.behaviour.extraction.programs import Context, Locals, captured, tree_of
from klorpy.behaviour.extraction.values import (
    HOLE,
    Carried,
    Const,
    Expr,
    Group,
    Known,
    Op,
    Unknown,
    Val,
    Value,
    announcement,
    covered,
    is_open,
    knows,
    parts,
    shape,
)
from klorpy.core.choreography import Choreography
from klorpy.core.diagnostics import Diagnostic, KlorError
from klorpy.core.endpoint import Binding
from klorpy.core.types import Agreement, Role, Tuple, Type
from klorpy.language import typed
from klorpy.language.hy_adapter import Expression, Keyword, head_name, show_form, symbol_name
from klorpy.language.surface import Binder, HostPattern
from klorpy.language.typed import Typed

#: How often one and the same work may wait: more means that a choreography calls itself before it is done.
MAX_DEPTH: Final = 24
#: Steps without a message.
MAX_STEPS: Final = 200_000
#: Branches that one message may announce.
MAX_BRANCHES: Final = 64
#: Computed constants in a row.
MAX_FOLDS: Final = 40

OTHERWISE: Final = "otherwise"

Env: TypeAlias = dict[Binding, Value]
Frozen: TypeAlias = tuple[tuple[Binding, Value], ...]


@dataclass(frozen=True, slots=True)
class Instance:
    """A definition with its roles."""

    choreography: Choreography
    cast: tuple[Role, ...]


@dataclass(frozen=True, slots=True)
class Closure:
    node: typed.Chor
    env: Frozen
    context: Context


@dataclass(frozen=True, slots=True)
class Block:
    """What `recur` repeats, with the locals around it."""

    body: Typed
    env: Frozen
    context: Context


@dataclass(frozen=True, slots=True)
class Frame:
    """Work that waits for a value: `node`, some of whose parts have been evaluated."""

    node: Typed
    done: tuple[Value, ...]
    env: Frozen
    block: Block | None
    context: Context


@dataclass(frozen=True, slots=True)
class Eval:
    node: Typed
    env: Frozen
    block: Block | None
    context: Context


@dataclass(frozen=True, slots=True)
class Give:
    value: Value


@dataclass(frozen=True, slots=True)
class Decision:
    """What a message announces: `kind` of a shape, at a copy."""

    copy: Hashable
    kind: str
    shape: Hashable


@dataclass(frozen=True, slots=True)
class Fact:
    """A decision that was announced: by which the outcome is known, and for which expression it was asked."""

    decision: Decision
    outcome: str
    asked: Expr | None = None


@dataclass(frozen=True, slots=True)
class State:
    """Where a choreography is. `key` is equal for states that go on alike."""

    control: Eval | Give
    frames: tuple[Frame, ...]
    known: tuple[tuple[Expr, Known], ...]
    facts: frozenset[tuple[tuple[Expr, str, Hashable], Fact]]
    rank: int


#: Decisions that a message carries, with their outcomes.
Labels: TypeAlias = tuple[tuple[Decision, str], ...]


@dataclass(frozen=True, slots=True)
class Message:
    node: typed.Copy
    context: Context
    sender: Role
    receiver: Role
    branches: tuple[tuple[Labels, State], ...]


@dataclass(frozen=True, slots=True)
class Split:
    """A decision that no message announces."""

    node: Typed
    context: Context
    states: tuple[State, ...]


@dataclass(frozen=True, slots=True)
class End:
    pass


@dataclass(frozen=True, slots=True)
class Dead:
    """The run has failed: no clause fits."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was noted in the plan has to be known from the beginning."""


Event: TypeAlias = Message | Split | End | Dead | Wanted


@dataclass
class Plan:
    """What messages announce: for each copy the decisions with their outcomes; and constants that are computed."""

    announced: dict[Hashable, dict[tuple[str, Hashable], tuple[str, ...]]] = field(default_factory=dict)
    texts: dict[Decision, str] = field(default_factory=dict)
    precise: set[Binding] = field(default_factory=set)

    def want(self, decision: Decision, outcomes: Iterable[str], text: str) -> None:
        wanted = self.announced.setdefault(decision.copy, {})
        before = wanted.get((decision.kind, decision.shape), ())
        wanted[decision.kind, decision.shape] = tuple(dict.fromkeys((*before, *outcomes)))
        self.texts.setdefault(decision, text)


class Irregular(Exception):
    """There is no protocol; the argument says why, at its place."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


class _Pause(Exception):
    """The event is there."""

    def __init__(self, event: Event) -> None:
        self.event = event


class Machine:
    """Runs states. `plan` is added to where announcements are missing."""

    def __init__(self, plan: Plan, locals_: Locals) -> None:
        self.plan = plan
        self.locals = locals_
        self.frames: list[Frame] = []
        self.known: dict[Expr, Known] = {}
        self.facts: dict[tuple[Expr, str, Hashable], Fact] = {}
        self.rank = 0
        self.number = 0

    def start(self, choreography: Choreography, cast: Sequence[Role], given: Mapping[int, Value]) -> State:
        """The beginning of a choreography; `given` has what is known of its arguments."""
        definition = choreography.defined()
        context = Context(definition, tuple(cast))
        tree = tree_of(definition)
        args = [given.get(i) or self.fresh(type_, context, ("argument", i)) for i, type_ in enumerate(tree.arrow.params)]
        state = State(Give(None), (), (), frozenset(), 0)
        return self.paused(state, self.called(context, args))

    def called(self, context: Context, args: Sequence[Value]) -> Eval:
        """The beginning of a definition."""
        tree = tree_of(context.definition)
        for binder, type_ in zip(tree.params, tree.arrow.params, strict=True):
            if isinstance(binder, Binding):
                self.agreements(context, tree.body, type_)
        return self.entered(tree.body, tree.params, args, {}, context, tree.repeats)

    def run(self, state: State) -> Event:
        """Go on until something is seen."""
        self.frames = list(state.frames)
        self.known, self.facts, self.rank = dict(state.known), dict(state.facts), state.rank
        # States are canonical: their values are numbered without gaps, and there are not more of them than are known.
        self.number = len(state.known) + 1
        control = state.control
        try:
            for _ in range(MAX_STEPS):
                match control:
                    case Eval(node, env, block, context):
                        control = self.step(node, (), dict(env), block, context)
                    case Give(value):
                        if not self.frames:
                            return End()
                        frame = self.frames.pop()
                        control = self.step(
                            frame.node, (*frame.done, value), dict(frame.env), frame.block, frame.context
                        )
        except _Pause as pause:
            return pause.event
        raise Irregular(Diagnostic("no-protocol", "the choreography goes on for very long without a message",
                                   help="its protocol cannot be found"))  # fmt: skip

    # --- States ---

    def paused(self, state: State, control: Eval | Give, frames: Sequence[Frame] = ()) -> State:
        return canonical(replace(
            state, control=control, frames=tuple(frames), known=tuple(self.known.items()),
            facts=frozenset(self.facts.items()), rank=self.rank,
        ))  # fmt: skip

    def now(self, control: Eval | Give, facts: Mapping[Any, Fact] | None = None) -> State:
        return canonical(State(
            control, tuple(self.frames), tuple(self.known.items()),
            frozenset((self.facts if facts is None else facts).items()), self.rank,
        ))  # fmt: skip

    def frozen(self, env: Env, wanted: Iterable[Binding]) -> Frozen:
        return tuple(sorted(((b, env[b]) for b in wanted if b in env), key=lambda pair: id(pair[0])))

    # --- Values ---

    def val(self, roles: Iterable[Role], made: Hashable, folded: Binding | None = None) -> Val:
        self.number += 1
        value = Val(self.number)
        self.known[value] = Known(tuple((role, self.rank) for role in sorted(roles)), (), made, folded)
        return value

    def fresh(self, type_: Type, context: Context, made: Hashable) -> Value:
        """Something of a type."""
        match type_:
            case Agreement(roles):
                return self.val(context.roles(roles), made)
            case Tuple(items):
                return Group(tuple(self.fresh(item, context, (made, i)) for i, item in enumerate(items)))
            case _:
                return Unknown(context.roles(type_.roles))

    def computed(self, node: Typed, args: Sequence[Value], context: Context, function: Hashable, text: str) -> Value:
        """What host code makes of `args`."""
        if not isinstance(node.type, Agreement):
            return self.fresh(node.type, context, ("made", node, context))
        roles = context.roles(node.type.roles)
        if len(roles) == 1 or not all(isinstance(arg, (Const, Val, Op)) for arg in args):
            return self.val(roles, ("made", node, context))
        return Op(function, tuple(args), roles, text)

    def settled(self, binding: Binding | None, value: Value) -> Value:
        """`value` as a local keeps it: what was computed is a value of its own, so that loops come back to where they were."""
        match value:
            case Group(items):
                return Group(tuple(self.settled(binding, item) for item in items))
            case Const(folded=0):
                return value
            case Const() if binding in self.plan.precise and value.folded < MAX_FOLDS:
                return value
            case Const():
                self.number += 1
                new = Val(self.number)
                self.known[new] = Known((), (), ("folded", binding), binding)  # everybody knows it
                return new
            case Op() if value in self.known:
                return self.named(value, binding)
            case Op(args=args) if all(not isinstance(arg, Op) or not arg.args for arg in args):
                return value
            case Op(function, _, roles, _):
                holders = [(role, rank) for role in sorted(roles) if (rank := knows(role, value, self.known)) is not None]
                message = announcement(value, self.known)
                self.number += 1
                made = Val(self.number)
                self.known[made] = Known(tuple(holders), (message,) if message else (), ("settled", function, binding))
                return made
        return value

    def named(self, value: Op, binding: Binding | None) -> Val:
        """A computed value that was sent, under a name of its own: what was announced of it is announced of that."""
        self.number += 1
        new = Val(self.number)
        entry = self.known[value]
        messages = tuple(replace(m, value=new) if m.value == value else m for m in entry.messages)
        self.known[new] = replace(entry, messages=messages, made=("sent", binding))
        for (carried, kind, form), fact in list(self.facts.items()):
            if carried == value:
                self.facts[new, kind, form] = fact
        return new

    def bind(self, binder: Binder, value: Value, env: Env) -> None:
        match binder:
            case Binding():
                env[binder] = self.settled(binder, value)
            case tuple():
                assert isinstance(value, Group)
                for inner, item in zip(binder, value.items, strict=True):
                    self.bind(inner, item, env)

    # --- Decisions ---

    def truth(self, value: Value, node: Typed, context: Context) -> bool | None:
        """Whether a guard holds; None: it may, or may not."""
        match value:
            case Const(value=known):
                return bool(known)
            case Op("not", (arg,)):
                inner = self.truth(arg, node, context)
                return None if inner is None else not inner
            case Op("=" | "!=" as function, (left, right)) if isinstance(left, Const) or isinstance(right, Const):
                constant, other = (left, right) if isinstance(left, Const) else (right, left)
                assert isinstance(constant, Const)
                which = self.which(other, (constant,), node, context)
                return None if which is None else (which == constant.text) == (function == "=")
            case Op() | Val():
                found = self.decided(value, "truth", ("true", "false"), context.text(node))
                return None if found is None else found == "true"
        return None

    def which(self, value: Value, constants: tuple[Const, ...], node: Typed, context: Context) -> str | None:
        """The text of the constant that `value` equals, or OTHERWISE; None: it may be any."""
        match value:
            case Const():
                return next((c.text for c in constants if c.value == value.value), OTHERWISE)
            case Op() | Val():
                texts = tuple(c.text for c in constants)
                found = self.decided(value, "value", texts, context.text(node))
                return found if found is None or found in texts else OTHERWISE
        return None

    def decided(self, value: Expr, kind: str, outcomes: tuple[str, ...], text: str) -> str | None:
        """The outcome that was announced; None when no message can announce it."""
        message = announcement(value, self.known)
        if message is None:
            self.look_closer(value)
            return None
        key = (message.value, kind, shape(value, message.value, self.known))
        decision = Decision(message.copy, kind, key[2])
        wanted = self.plan.announced.get(message.copy, {}).get((kind, key[2]), ())
        fact = self.facts.get(key)
        if fact is None or not set(outcomes) <= set(wanted):
            if set(outcomes) <= set(wanted):
                return None  # the message was sent without: it cannot tell of so many decisions
            self.plan.want(decision, outcomes, text)
            raise _Pause(Wanted())
        if is_open(key[2]):
            if fact.asked is not None and fact.asked != value:
                return None
            self.facts[key] = replace(fact, asked=value)
        return fact.outcome

    def look_closer(self, value: Expr) -> None:
        """Compute the constants on which a decision depends, if it depends on nothing else."""
        vals = [part for part in parts(value) if isinstance(part, Val)]
        folded = {self.known[val].folded for val in vals}
        if vals and None not in folded and not folded <= self.plan.precise:
            self.plan.precise |= folded
            raise _Pause(Wanted())

    def split(self, node: Typed, context: Context, ways: Sequence[Eval | Give]) -> _Pause:
        return _Pause(Split(node, context, tuple(self.now(way) for way in ways)))

    # --- Steps ---

    def step(self, node: Typed, done: tuple[Value, ...], env: Env, block: Block | None, context: Context) -> Eval | Give:
        """Evaluate the next part of a node, or finish it."""
        if not done and len(node.mentions) == 1 and not node.recurs and not isinstance(node, typed.Local):
            # One role alone: nobody sees what it does.
            constant = literal(node.form) if isinstance(node, typed.Leaf) else None
            if constant is not None:
                return Give(constant)
            return Give(self.fresh(node.type, context, ("alone", node, context)))
        here = _Here(self, node, done, env, block, context)
        match node:
            case typed.Leaf():
                return here.leaf(node)
            case typed.Local(binding=binding):
                return Give(env[binding])
            case typed.Copy(body=body):
                return here.copy(node) if done else here.first(body)
            case typed.Narrow(body=body):
                return here.tail(body)
            case typed.Await(body=body):
                return Give(self.computed(node, done, context, "await", "await")) if done else here.first(body)
            case typed.Pack(items=items):
                return here.parts(items) or Give(Group(done))
            case typed.Agree(items=items):
                return here.parts(items) or here.agreed(node)
            case typed.Unpack(bindings=pairs, body=body) | typed.Let(bindings=pairs, body=body):
                return here.bindings(pairs, body)
            case typed.Chor():
                return Give(Closure(node, self.frozen(env, self.locals.free(node)), context))
            case typed.Inst(callee=callee, roles=roles):
                return Give(Instance(context.callee(callee), tuple(map(context.role, roles))))
            case typed.Call(callee=callee_, args=args):
                return here.parts((callee_, *args)) or self.applied(node, done[0], done[1:], context)
            case typed.Do(items=items):
                return here.do(node)
            case typed.If():
                return here.choice(node)
            case typed.Junction():
                return here.junction(node)
            case typed.Case():
                return here.case(node)
            case typed.Loop(bindings=loops, body=body):
                return here.loop(loops, body)
            case typed.Recur(args=args, params=params):
                if (more := here.parts(args)) is not None:
                    return more
                assert block is not None
                return self.entered(block.body, params, done, dict(block.env), block.context, True)

    def entered(
        self, body: Typed, params: Sequence[Binder], args: Sequence[Value], env: Env, context: Context, repeats: bool
    ) -> Eval:
        """The beginning of a body with its parameters."""
        inner = dict(env)
        for binder, value in zip(params, args, strict=True):
            self.bind(binder, value, inner)
        free = self.locals.free(body)
        around = Block(body, self.frozen(env, free - set(_names(params))), context) if repeats else None
        return Eval(body, self.frozen(inner, free), around, context)

    def waiting(self, node: Typed) -> int:
        return sum(frame.node is node for frame in self.frames)

    def agreements(self, context: Context, node: Typed, type_: Type) -> None:
        """Refuse an agreement that is verified by messages: all exchange them at once, which no global type says."""
        options = context.definition.options.get("verify", {})
        if options.get("agreement") and isinstance(type_, Agreement) and len(type_.roles) > 1:
            raise Irregular(context.diagnostic(
                node, "no-protocol", "agreements are verified here, by messages in no fixed order",
                "look at the protocol of the choreography without {:verify {:agreement …}}", "its roles exchange their copies",
            ))  # fmt: skip

    def applied(self, node: typed.Call, function: Value, args: Sequence[Value], context: Context) -> Eval | Give:
        if self.frames and self.waiting(self.frames[-1].node) > MAX_DEPTH:
            raise Irregular(context.diagnostic(
                node, "no-protocol", f"{context.definition.name} calls itself again and again before it is done",
                "a protocol is finite: let the recursive call be the last thing that is done", "what follows this call is still to be done",
            ))  # fmt: skip
        match function:
            case Instance(choreography, cast):
                return self.called(Context(choreography.defined(), cast), args)
            case Closure(chor, env, inner):
                names = dict(env)
                if chor.self_name is not None:
                    names[chor.self_name] = function
                return self.entered(chor.body, chor.params, args, names, inner, chor.repeats)
            case Unknown(roles) if len(roles) <= 1:
                return Give(self.fresh(node.type, context, ("alone", node, context)))
        raise Irregular(context.diagnostic(
            node, "no-protocol", f"what `{context.text(node.callee)}` does is known only when it is given",
            "give protocol_of the choreography that calls this one with all that it needs", "a choreography that is an argument",
        ))  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Here:
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
        at = len(self.done)
        if at == len(node.items) - 1:
            return self.tail(node.items[at])
        machine = self.machine
        # What the items gave is not used: only how many there were counts.
        frame = Frame(
            node, (None,) * at, machine.frozen(self.env, machine.locals.free_from(node, at + 1)),
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
        raise _Pause(Split(guard, self.context, (on, stop)))

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
            raise _Pause(Dead())
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

    def copy(self, node: typed.Copy) -> Eval | Give:
        machine, value = self.machine, self.done[0]
        sender, receiver = self.context.role(node.source), self.context.role(node.target)
        copy = (node, self.context)
        if isinstance(value, Const):
            labels: list[Labels] = [tuple(self.evident(copy, value))]
            facts: list[dict[Any, Fact]] = [machine.facts]
        else:
            machine.rank += 1
            known = machine.known.get(value) or machine_known(value, machine.known)
            machine.known[value] = known.told(receiver, Carried(machine.rank, copy, value, sender))
            machine.rank += 1
            labels, facts = self.announcements(copy, value)
        states = tuple(
            (label, machine.now(Give(value), fact)) for label, fact in zip(labels, facts, strict=True)
        )
        raise _Pause(Message(node, self.context, sender, receiver, states))

    def announcements(self, copy: Hashable, value: Expr) -> tuple[list[Labels], list[dict[Any, Fact]]]:
        """The branches of a message: what it tells, and what is known then."""
        machine = self.machine
        told = tuple(
            (fact.decision, fact.outcome) for (carried, _, form), fact in machine.facts.items()
            if (carried == value and not is_open(form)) or (fact.asked is not None and covered(fact.asked, value))
        )  # fmt: skip
        told += tuple(self.implied(value))
        labels, facts = [tuple(dict.fromkeys(told))], [dict(machine.facts)]
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


def _names(binders: Iterable[Binder]) -> Iterable[Binding]:
    for binder in binders:
        if isinstance(binder, Binding):
            yield binder
        elif binder is not None:
            yield from _names(binder)


def machine_known(value: Expr, known: Mapping[Expr, Known]) -> Known:
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


# --- Canonical states -------------------------------------------------------------------------------------------------


def canonical(state: State) -> State:
    """The state with its values numbered in the order in which they are met, and without what nobody needs any more."""
    return _Renaming(state).whole()


class _Renaming:
    def __init__(self, state: State) -> None:
        self.state = state
        self.numbers: dict[int, int] = {}
        self.known = dict(state.known)
        #: Expressions that are needed, renamed, in the order in which they are met.
        self.met: dict[Expr, Expr] = {}

    def whole(self) -> State:
        state = self.state
        control = self.control(state.control)
        frames = tuple(self.frame(frame) for frame in state.frames)
        facts, known = self.reachable()
        ranks = {rank for entry in known.values() for rank in _ranks(entry)} | {0}
        order = {rank: i for i, rank in enumerate(sorted(ranks))}
        return State(
            control, frames,
            tuple((value, _reranked(entry, order)) for value, entry in known.items()),
            frozenset(facts.items()), len(order),
        )  # fmt: skip

    def control(self, control: Eval | Give) -> Eval | Give:
        if isinstance(control, Give):
            return Give(self.value(control.value))
        return replace(control, env=self.env(control.env), block=self.block(control.block))

    def frame(self, frame: Frame) -> Frame:
        done = tuple(map(self.value, frame.done))
        return replace(frame, done=done, env=self.env(frame.env), block=self.block(frame.block))

    def block(self, block: Block | None) -> Block | None:
        return None if block is None else replace(block, env=self.env(block.env))

    def env(self, env: Frozen) -> Frozen:
        return tuple((binding, self.value(value)) for binding, value in env)

    def value(self, value: Value) -> Value:
        match value:
            case Val() | Op():
                return self.expr(value)
            case Group(items):
                return Group(tuple(map(self.value, items)))
            case Closure(env=env):
                return replace(value, env=self.env(env))
        return value

    def expr(self, value: Expr) -> Expr:
        found = self.met.get(value)
        if found is not None:
            return found
        match value:
            case Val(number):
                new: Expr = Val(self.numbers.setdefault(number, len(self.numbers) + 1))
            case Op(args=args):
                new = replace(value, args=tuple(map(self.expr, args)))
            case _:
                return value
        self.met[value] = new
        return new

    def reachable(self) -> tuple[dict[Any, Fact], dict[Expr, Known]]:
        """The facts and the knowledge that may still matter."""
        facts: dict[Any, Fact] = {}
        known: dict[Expr, Known] = {}
        # Of what only a message tells of, it matters which it is, and not who knows it.
        needed = list(self.met)
        size = -1
        while size != len(known) + len(facts):
            size = len(known) + len(facts)
            for value in needed:
                entry = self.known.get(value)
                if entry is not None and self.met[value] not in known:
                    in_order = sorted(entry.messages, key=lambda m: m.rank)
                    messages = tuple(replace(m, value=self.expr(m.value)) for m in in_order)
                    known[self.met[value]] = replace(entry, messages=messages)
            for (carried, kind, form), fact in self.state.facts:
                if carried not in self.met or (self.met[carried], kind, form) in facts:
                    continue
                asked = fact.asked
                if asked is not None and not all(part in self.met for part in _values(asked)):
                    # Asked of values that are gone: nobody can ask the same again.
                    asked = Const("gone", "gone", None)
                elif asked is not None:
                    asked = self.expr(asked)
                facts[self.met[carried], kind, form] = replace(fact, asked=asked)
        return facts, known


def _values(value: Expr) -> list[Expr]:
    if isinstance(value, Op):
        return [part for arg in value.args for part in _values(arg)]
    return [value] if isinstance(value, Val) else []


def _ranks(entry: Known) -> Iterable[int]:
    yield from (rank for _, rank in entry.holders)
    yield from (message.rank for message in entry.messages)


def _reranked(entry: Known, order: Mapping[int, int]) -> Known:
    return replace(
        entry, holders=tuple(sorted((role, order[rank]) for role, rank in entry.holders)),
        messages=tuple(replace(m, rank=order[m.rank]) for m in sorted(entry.messages, key=lambda m: m.rank)),
    )  # fmt: skip

