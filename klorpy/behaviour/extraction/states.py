"""The states of the abstract machine, what is seen of them, and the plan of what messages announce."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from klorpy.behaviour.extraction.programs import Context
from klorpy.behaviour.extraction.values import Expr, Known, Value
from klorpy.core.choreography import Choreography
from klorpy.core.diagnostics import Diagnostic
from klorpy.core.endpoint import Binding
from klorpy.core.types import Role
from klorpy.language import typed
from klorpy.language.typed import Typed

#: The outcome of a decision between constants that is none of them.
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
    node: Typed
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


class Pause(Exception):
    """The event is there."""

    def __init__(self, event: Event) -> None:
        self.event = event
