"""What waits for what at one role: the happens-before graph of a definition, and what looks unsound in it.

Given a definition, a role and an order; result: the role's steps in the order of the text, and for each the earlier
steps that it waits for, with the reason:

    order     program order: everything waits for what stands before it
    data      it uses a value that the other gives
    choice    the other gives the guard of the choice that it stands in
    effect    both have effects on one resource, and effects keep their order
    barrier   there is a barrier between them

Warnings are of three kinds: two effects at one role that nothing orders; an acknowledgement that does not depend on what
it acknowledges; an agreement computed with an effect, which roles may compute at different points of their order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from klorpy.core.choreography import Choreography
from klorpy.core.diagnostics import KlorError
from klorpy.core.endpoint import Binding
from klorpy.core.options import ORDERS
from klorpy.core.types import Role
from klorpy.outoforder import flow as f
from klorpy.outoforder.compile import flows
from klorpy.outoforder.idle import uses
from klorpy.outoforder.summary import Summaries


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the role. `after` are the numbers of the steps that it waits for, each with the reason."""

    number: int
    text: str
    line: int
    after: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True, repr=False)
class Explanation:
    """The happens-before graph of one role. Its text is a table; `mermaid()` is a chart."""

    choreography: str
    role: Role
    order: str
    steps: tuple[Step, ...]
    warnings: tuple[str, ...]

    def before(self, step: int) -> frozenset[int]:
        """All steps that `step` waits for, directly or through others."""
        found: set[int] = set()
        todo = [step]
        while todo:
            for earlier, _ in self.steps[todo.pop() - 1].after:
                if earlier not in found:
                    found.add(earlier)
                    todo.append(earlier)
        return frozenset(found)

    def free(self, one: int, other: int) -> bool:
        """Whether the two steps may happen in either order."""
        return one != other and one not in self.before(other) and other not in self.before(one)

    def mermaid(self) -> str:
        """The graph as a Mermaid flow chart: solid arrows for data and choice, dotted ones for order alone."""
        lines = ["graph TD", f"    accTitle: {_escaped(f'{self.role} of {self.choreography}, order {self.order}')}"]
        lines += [f'    s{step.number}["{step.number} {_escaped(step.text)}"]' for step in self.steps]
        for step in self.steps:
            for earlier, why in step.after:
                arrow = "-->" if why in ("data", "choice") else "-.->"
                lines.append(f'    s{earlier} {arrow}|"{why}"| s{step.number}')
        return "\n".join(lines) + "\n"

    def __repr__(self) -> str:
        """The table: at a prompt and in a notebook it is what one wants to see."""
        return str(self)

    def __str__(self) -> str:
        width = max((len(step.text) for step in self.steps), default=0)
        digits = len(str(len(self.steps)))
        lines = [f"{self.role} of {self.choreography}, order {self.order}", ""]
        for step in self.steps:
            reasons = ", ".join(f"{earlier} ({why})" for earlier, why in step.after)
            lines.append(f"{step.number:>{digits}}  {step.text.ljust(width)}  {'after ' + reasons if reasons else 'at once'}")
        lines += [f"\nwarning: {warning}" for warning in self.warnings]
        return "\n".join(lines)


def explain_order(chor: Choreography, role: Role, order: str | None = None) -> Explanation:
    """What waits for what at `role`, in the order of the definition's option, or in another.

    Raises KlorError `not-a-chor`, `not-defined`, `role-not-part` or `bad-argument`.

    >>> from klorpy import evaluate
    >>> ns = evaluate("(defchor f [A B] (-> A A B) [x y] (let [p (A->B x) q (A->B y)] (B (+ p q))))")
    >>> print(explain_order(ns.f, "B", "effects"))
    B of f, order effects
    <BLANKLINE>
    1  receive (A->B x)  at once
    2  receive (A->B y)  at once
    3  p + q             after 1 (data), 2 (data)
    """
    if not isinstance(chor, Choreography):
        raise KlorError(f"{chor!r} is not a choreography", slug="not-a-chor", help="give what defchor defined")
    definition = chor.defined()
    role = str(role)
    if role not in definition.roles:
        raise KlorError(
            f"{role!r} is not a role of {chor.name}", slug="role-not-part",
            help=f"its roles are [{' '.join(definition.roles)}]",
        )  # fmt: skip
    order = order or definition.options.get("order") or "program"
    if order not in ORDERS:
        raise KlorError(f"there is no order {order!r}", slug="bad-argument", help=f"give one of: {', '.join(ORDERS)}")
    graph = _Graph(order, Summaries({found: found.defined() for found in definition.called() if found.definition}))
    graph.block(flows(definition)[definition.roles.index(role)].body, _Context())
    steps = tuple(
        Step(i, made.text, made.op.span.line, tuple(sorted(made.after.items()))) for i, made in enumerate(graph.made, 1)
    )
    found = Explanation(chor.name, role, order, steps, ())
    return Explanation(chor.name, role, order, steps, tuple(_warnings(found, graph)))


@dataclass(eq=False, slots=True)
class _Made:
    """A step under construction."""

    op: f.Op
    text: str
    touched: f.Touched
    unordered: bool
    peer: int | None
    #: The choices that it stands in, each with the arm.
    arms: Mapping[f.Op, int]
    barrier: bool
    #: All that it waits for, and itself: a bit for each number.
    before: int = 0
    after: dict[int, str] = field(default_factory=dict)
    #: Whether roles share the result.
    agreed: bool = False

    def apart(self, other: _Made) -> bool:
        """Whether the two stand in different arms of a choice: one happens instead of the other."""
        return any(other.arms.get(choice, arm) != arm for choice, arm in self.arms.items())


@dataclass(slots=True)
class _Context:
    """Where a step stands: the steps that decide about it, and the choices that it is in, each with the arm."""

    choice: tuple[int, ...] = ()
    arms: tuple[tuple[f.Op, int], ...] = ()


class _Graph:
    def __init__(self, order: str, summaries: Summaries) -> None:
        self.order = order
        self.summaries = summaries
        self.made: list[_Made] = []
        #: The steps that give each local.
        self.given: dict[Binding, frozenset[int]] = {}

    def block(self, block: f.Block, context: _Context) -> None:
        for op in block:
            self.op(op, context)

    def op(self, op: f.Op, context: _Context) -> None:
        match op:
            case f.Host(target, code):
                if code.stable or (not code.calls and not code.inputs):
                    self._give(target, frozenset())
                    return
                self.step(op, code.text, code.touched, context, target, unordered=code.unordered, barrier=code.barrier)
            case f.Send(site, peer, _):
                self.step(op, f"send {site.text}", f.NOTHING, context, None, peer=peer)
            case f.Receive(site, peer, target):
                self.step(op, f"receive {site.text}", f.NOTHING, context, target, peer=peer)
            case f.Call(site, target=target):
                touched, barrier = self.summaries.of((op,))
                self.step(op, f"call {site.text}", touched, context, target, barrier=barrier)
            case f.Apply(site, target=target):
                self.step(op, f"call {site.text}", None, context, target)
            case f.Await(site, _, target):
                self.step(op, f"await {site.text}", None, context, target)
            case f.Verify(site):
                self.step(op, f"verify {site.text}", f.NOTHING, context, None)
            case f.NoMatch(site):
                self.step(op, "no clause matches", f.NOTHING, context, None)
            case f.Branch(_, then, orelse, target):
                self._choice(op, context, [then, orelse], target)
            case f.Select(_, cases, default, target):
                self._choice(op, context, [*(case.block for case in cases), default], target)
            case f.Repeat(_, body, target, _):
                self.block(body, context)
                self._give(target, self._sources([target]) if target is not None else frozenset())
            case f.Check():
                if self.made and self._sources(uses(op)) & {len(self.made)}:
                    self.made[-1].agreed = True
            case f.Move(target):
                self._give(target, self._sources(uses(op)))
            case _:
                pass

    def _choice(self, op: f.Branch | f.Select, context: _Context, arms: list[f.Block], target: Binding | None) -> None:
        guards = self._sources(uses(op))
        choice = (*context.choice, *sorted(guards))
        before = self.given.get(target, frozenset()) if target is not None else frozenset()
        found = set(guards) | before
        for number, arm in enumerate(arms):
            self.block(arm, _Context(choice, (*context.arms, (op, number))))
            if target is not None:
                found |= self.given.get(target, frozenset())
        self._give(target, frozenset(found))

    def _sources(self, bindings: Iterable[Binding]) -> frozenset[int]:
        return frozenset(step for binding in bindings for step in self.given.get(binding, frozenset()))

    def _give(self, target: Binding | None, steps: frozenset[int]) -> None:
        if target is not None:
            self.given[target] = steps

    def step(
        self, op: f.Op, text: str, touched: f.Touched, context: _Context, target: Binding | None, *,
        unordered: bool = False, barrier: bool = False, peer: int | None = None,
    ) -> None:  # fmt: skip
        made = _Made(op, text, touched, unordered, peer, dict(context.arms), barrier)
        for earlier in context.choice:
            made.after[earlier] = "choice"
        for earlier in self._sources(uses(op)):
            made.after[earlier] = "data"
        for earlier in made.after:
            made.before |= self.made[earlier - 1].before
        # What follows from the rest is left out, but for data and choice, which one wants to see.
        for earlier in range(len(self.made), 0, -1):
            other = self.made[earlier - 1]
            why = self._orders(other, made)
            if why is not None and earlier not in made.after and not made.before >> earlier & 1:
                made.after[earlier] = why
                made.before |= other.before
        self.made.append(made)
        made.before |= 1 << len(self.made)
        self._give(target, frozenset([len(self.made)]))

    def _orders(self, earlier: _Made, later: _Made) -> str | None:
        """Why `later` waits for `earlier`, if not for its value."""
        if later.apart(earlier):
            return None
        if self.order == "program":
            return "order"
        if self.order == "effects" and _share(later.touched, earlier.touched):
            return "effect"
        return "barrier" if later.barrier or earlier.barrier else None


def _share(one: f.Touched, other: f.Touched) -> bool:
    if one is None:
        return other is None or bool(other)
    return bool(one) if other is None else bool(one & other)


def _warnings(found: Explanation, graph: _Graph) -> Iterable[str]:
    if found.order == "program":
        return
    made = graph.made
    for number, step in enumerate(made, 1):
        for earlier in range(1, number):
            other = made[earlier - 1]
            if (
                found.order == "dataflow" and _share(step.touched, other.touched) and not step.apart(other)
                and found.free(earlier, number)
            ):  # fmt: skip
                yield (
                    f"nothing orders the effects {earlier} and {number} ({other.text}, {step.text}): declare what they touch, "
                    "or let one depend on the other with (after …)"
                )
    for number, step in enumerate(made, 1):
        if not isinstance(step.op, f.Send):
            continue
        received = [
            earlier for earlier in range(1, number)
            if isinstance(made[earlier - 1].op, f.Receive) and made[earlier - 1].peer == step.peer
        ]  # fmt: skip
        before = found.before(number)
        if received and not any(isinstance(made[earlier - 1].op, f.Receive) for earlier in before):
            yield (
                f"{number} ({step.text}) does not depend on {received[-1]} ({made[received[-1] - 1].text}) and may be sent "
                "before it: if it acknowledges that, write (after received value)"
            )
    for number, step in enumerate(made, 1):
        if step.agreed and (step.touched is None or step.touched):
            yield (
                f"{number} ({step.text}) is computed by several roles, and has effects: each may compute it at another point "
                "of its own order; declare it pure if it is"
            )


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")


__all__ = ["Explanation", "Step", "explain_order"]
