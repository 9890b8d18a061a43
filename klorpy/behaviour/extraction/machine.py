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
from dataclasses import replace
from typing import Any, Final

from klorpy.behaviour.extraction.canonical import canonical
from klorpy.behaviour.extraction.folding import literal
from klorpy.behaviour.extraction.programs import Context, Locals, tree_of
from klorpy.behaviour.extraction.states import (
    OTHERWISE,
    Block,
    Closure,
    Decision,
    End,
    Env,
    Eval,
    Event,
    Fact,
    Frame,
    Frozen,
    Give,
    Instance,
    Irregular,
    Pause,
    Plan,
    Split,
    State,
    Wanted,
)
from klorpy.behaviour.extraction.steps import Here
from klorpy.behaviour.extraction.values import (
    Const,
    Expr,
    Group,
    Known,
    Op,
    Unknown,
    Val,
    Value,
    announcement,
    is_open,
    knows,
    parts,
    shape,
)
from klorpy.core.choreography import Choreography
from klorpy.core.diagnostics import Diagnostic
from klorpy.core.endpoint import Binding
from klorpy.core.types import Agreement, Role, Tuple, Type
from klorpy.language import typed
from klorpy.language.sites import names_of
from klorpy.language.surface import Binder
from klorpy.language.typed import Typed

#: How often one and the same work may wait: more means that a choreography calls itself before it is done.
MAX_DEPTH: Final = 24
#: Steps without a message.
MAX_STEPS: Final = 200_000
#: Computed constants in a row.
MAX_FOLDS: Final = 40


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
        except Pause as pause:
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
            raise Pause(Wanted())
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
            raise Pause(Wanted())

    def split(self, node: Typed, context: Context, ways: Sequence[Eval | Give]) -> Pause:
        return Pause(Split(node, context, tuple(self.now(way) for way in ways)))

    # --- Steps ---

    def step(self, node: Typed, done: tuple[Value, ...], env: Env, block: Block | None, context: Context) -> Eval | Give:
        """Evaluate the next part of a node, or finish it."""
        if not done and len(node.mentions) == 1 and not node.recurs and not isinstance(node, typed.Local):
            # One role alone: nobody sees what it does.
            constant = literal(node.form) if isinstance(node, typed.Leaf) else None
            if constant is not None:
                return Give(constant)
            return Give(self.fresh(node.type, context, ("alone", node, context)))
        here = Here(self, node, done, env, block, context)
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
                if (following := here.parts((callee_, *args))) is not None:
                    return following
                here.entry(node)
                if node.barrier:
                    return here.guarded(node)
                return self.applied(node, done[0], done[1 : len(args) + 1], context)
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
        around = Block(body, self.frozen(env, free - {name for binder in params for name in names_of(binder)}), context) if repeats else None
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
