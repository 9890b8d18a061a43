"""Loops and chains of tail calls, round by round: the part of the walker that keeps windows.

A round is a scope: what it begins counts in it until it is done, so a round is complete when its scope is empty. Leaving
a round and beginning the next are two things, since the walker may have to wait in between.
"""

from __future__ import annotations

from typing import Final

from klorpy.core.keys import child, key
from klorpy.core.types import Role
from klorpy.outoforder import flow as f
from klorpy.outoforder.rounds import Rounds, Scope
from klorpy.outoforder.state import Frame, State, Wait, Walk

#: In the place of a site, in the name of a chain of tail calls.
_CHAIN: Final = (1 << 20) - 2


class Loops(State):
    """A role that knows rounds."""

    def _repeat(self, op: f.Repeat, frame: Frame, walk: Walk) -> Wait | None:
        rounds = self._rounds(key(frame.token, op.site.index))
        if op.leaves:
            inner = Frame(
                frame.flow, op.body, dict(frame.env), frame.token, frame.cast, frame.scope, frame.lanes, frame.up, frame.site,
                frame.order,
            )  # fmt: skip
            inner.gives = inner.target = op.target
            walk.stack.append(inner)
            frame = inner
        else:
            self._leave_loop(frame)
        scope = self._scope(frame.scope, rounds, 0)
        frame.rounds, frame.scope, frame.loop = (rounds, scope), scope, op
        frame.token = child(frame.token, op.site.index)
        frame.block, frame.pc, frame.outer = op.body, 0, []
        return None

    def _again(self, op: f.Again, frame: Frame, _: Walk) -> Wait | None:
        assert frame.rounds is not None
        assert frame.loop is not None
        rounds, scope = frame.rounds
        self._leave_round(frame, scope)
        wait = self._admit(rounds, rounds.current + 1, frame.order == "program")
        if wait is not None:
            frame.pc -= 1
            return wait
        values = [self.value(operand, frame) for operand in op.operands]
        frame.env.update(zip(op.targets, values, strict=True))
        new = self._scope(frame.scope, rounds, rounds.current + 1)
        frame.rounds, frame.scope = (rounds, new), new
        frame.token = child(frame.token, frame.loop.site.index)
        frame.block, frame.pc, frame.outer = frame.loop.body, 0, []
        return None

    def _turn(self, frame: Frame, uniform: bool) -> Wait | None:
        """A frame is about to go on as the one that it calls at its end: one more round of a chain of calls."""
        if not uniform:
            self._leave_loop(frame)
            self._leave_chain(frame)
            return None
        if frame.chain is None:
            rounds = self._rounds(key(frame.start, _CHAIN))
            rounds.complete(0)
            base = frame.rounds[1].parent if frame.rounds is not None else frame.scope
            assert base is not None
            self._leave_loop(frame)
            frame.chain = (rounds, self._scope(base, rounds, 1))
            frame.scope = frame.chain[1]
            return None
        self._leave_loop(frame)
        rounds, scope = frame.chain
        self._leave_round(frame, scope)
        wait = self._admit(rounds, rounds.current + 1, frame.order == "program")
        if wait is not None:
            return wait
        frame.chain = (rounds, self._scope(frame.scope, rounds, rounds.current + 1))
        frame.scope = frame.chain[1]
        return None

    def _leave_round(self, frame: Frame, scope: Scope) -> None:
        """The walker is through with a round: nothing more will begin in it. (It may be, if it had to wait.)"""
        if frame.scope is scope:
            assert scope.parent is not None
            frame.scope = scope.parent
            scope.close()

    def _admit(self, rounds: Rounds, number: int, strict: bool) -> Wait | None:
        """What round `number` has to wait for."""
        if (strict and not self.bounded) or rounds.admits(number):
            return None
        return Wait([], holds=True, detach=True, admit=lambda call: rounds.when_admitted(number, call))

    def _rounds(self, loop: bytes) -> Rounds:
        rounds = Rounds(loop, self.window, lambda role, control: self.outside.tell(self.role, role, control))
        self._loops[loop] = rounds
        for role, wanted in self._wanted.pop(loop, {}).items():
            rounds.want(role, wanted)
        return rounds

    def _scope(self, parent: Scope, rounds: Rounds, number: int) -> Scope:
        def complete() -> None:
            self.scopes -= 1
            rounds.complete(number)
            self._check_over(rounds)

        rounds.current = number
        self.scopes += 1
        self.most_scopes = max(self.most_scopes, self.scopes)
        return Scope(parent, rounds, complete)

    def _check_over(self, rounds: Rounds) -> None:
        if rounds.finished and self._loops.get(rounds.loop) is rounds:
            del self._loops[rounds.loop]
            rounds.farewell()

    def _leave_loop(self, frame: Frame) -> None:
        if frame.rounds is not None:
            rounds, scope = frame.rounds
            frame.rounds = frame.loop = None
            rounds.over = True
            self._leave_round(frame, scope)
            self._check_over(rounds)

    def _leave_chain(self, frame: Frame) -> None:
        if frame.chain is not None:
            rounds, scope = frame.chain
            frame.chain = None
            rounds.over = True
            self._leave_round(frame, scope)
            self._check_over(rounds)

    def _note_sent(self, scope: Scope | None, role: Role) -> None:
        while scope is not None:
            if scope.rounds is not None:
                scope.rounds.sent(role)
            scope = scope.parent
