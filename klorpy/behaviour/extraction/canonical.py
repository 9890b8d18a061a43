"""Canonical states:  state  →  the state with its values numbered in the order in which they are met.

What nobody needs any more is left out, so that states that go on alike are equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from klorpy.behaviour.extraction.states import Block, Closure, Eval, Fact, Frame, Frozen, Give, State
from klorpy.behaviour.extraction.values import Const, Expr, Group, Known, Op, Val, Value


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

