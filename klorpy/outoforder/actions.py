"""What a role does in one place: host code, sends, receives, awaiting, and the checks of agreements."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from klorpy.core.choreography import Site
from klorpy.core.keys import Token, child
from klorpy.core.values import ATOMS, noop
from klorpy.outoforder import flow as f
from klorpy.outoforder.deferred import Deferred, plain
from klorpy.outoforder.loops import Loops
from klorpy.outoforder.mailbox import Letter
from klorpy.outoforder.rounds import Scope
from klorpy.outoforder.state import FENCE, Fence, Frame, Step, Wait, Walk
from klorpy.runtime.agreement import no_match, verify
from klorpy.runtime.commands import APPLY, CALL, RECEIVE, SEND


class Actions(Loops):
    """A role that acts."""

    def _host(self, op: f.Host, frame: Frame, _: Walk) -> Wait | Fence | None:
        code = op.code
        env = frame.env
        if code.stable:
            if op.target is not None:
                env[op.target] = code.function()
            return None
        if code.barrier and self.outstanding and frame.order != "program":
            return FENCE
        inputs = []
        missing: list[Deferred] = []
        there = fixed = True
        for binding in code.inputs:
            value = env.get(binding, noop)
            kind = type(value)
            if kind is Deferred:
                value = plain(value)
                kind = type(value)
                if kind is Deferred:
                    there = False
                    if not value.done:
                        missing.append(value)
            if kind not in ATOMS:
                fixed = False
            inputs.append(value)
        touched = code.touched
        # Code that touches nothing, and whose inputs nobody can change, has no place among the effects.
        effects = frame.order == "effects" and not (fixed and touched is not None and not touched)
        if effects:
            missing += self._in_order(code, inputs, frame)
        if there and not missing and self.inline and not self.stopped:
            # By far the commonest case, without a step to remember.
            try:
                value = code.function(*inputs)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # also SystemExit and a CancelledError end the role, not the caller
                self.fail(error, frame)
                value = Deferred()
                value.fail(error)
            if op.target is not None:
                env[op.target] = value
            return None
        step = Step("compute", self._number(), frame, self._compute, op)
        step.code, step.inputs = code, tuple(inputs)
        if op.target is not None:
            env[op.target] = step.result
        if effects:
            if touched is None or touched:
                frame.lanes.put(touched, step.result, inputs)
            elif code.reads:
                frame.lanes.read(inputs, step.result)
        return self._begin(step, missing)

    @staticmethod
    def _in_order(code: f.HostCode, inputs: Sequence[Any], frame: Frame) -> list[Deferred]:
        """The effects, and reads, that code has to wait for."""
        if code.touched is None or code.touched:
            return frame.lanes.before(code.touched) + frame.lanes.writing(inputs)
        return frame.lanes.reading(inputs) if code.reads else []

    def _compute(self, step: Step) -> None:
        assert step.code is not None
        values = list(map(plain, step.inputs))
        failed = self.error if self.stopped else None
        for value in values:
            if type(value) is Deferred:
                failed = value.error
                break
        if failed is not None:
            step.fail(failed)
            return
        try:
            value = step.code.function(*values)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self.fail(error, step.frame)
            step.fail(error)
        else:
            step.settle(value)

    def _send(self, op: f.Send, frame: Frame, _: Walk) -> Wait | None:
        value = self.value(op.operand, frame)
        self._note_sent(frame.scope, frame.cast[op.peer])
        step = Step("send", self._number(), frame, self._deliver, op)
        step.site, step.inputs = op.site, (value, frame.cast[op.peer])
        missing = [value] if type(value) is Deferred and not value.done else []
        return self._begin(step, missing)

    def _deliver(self, step: Step) -> None:
        value, target = step.inputs
        value = plain(value)
        error = value.error if type(value) is Deferred else None
        assert step.site is not None
        letter = Letter(self.role, target, step.token, step.site, None if error else value, error)
        try:
            self.outside.send(letter)
        except Exception as failure:
            self.fail(failure, step.frame)
            if error is None:
                self.outside.send(Letter(self.role, target, step.token, step.site, None, failure))
        step.settle(None)

    def _receive(self, op: f.Receive, frame: Frame, _: Walk) -> Wait | None:
        source = frame.cast[op.peer]
        scope: Scope | None = frame.scope
        while scope is not None:
            if scope.rounds is not None:
                scope.rounds.senders.add(source)
            scope = scope.parent
        value = self._take(source, frame.token, op.site, frame.scope)
        if op.target is not None:
            frame.env[op.target] = value
        return Wait([value]) if type(value) is Deferred and not value.done and frame.order == "program" else None

    def _await(self, op: f.Await, frame: Frame, _: Walk) -> Wait | None:
        value = self.value(op.operand, frame)
        missing = [value] if type(value) is Deferred and not value.done else []
        if frame.order == "effects":
            missing += frame.lanes.before(None)
        result = Deferred()

        def begin(step: Step) -> None:
            awaitable = plain(value)
            if type(awaitable) is Deferred or self.stopped:
                error = awaitable.error if type(awaitable) is Deferred else self.error
                assert error is not None
                step.fail(error)
                return
            self.outside.wait(self.role, awaitable, op.site, result)
            result.then(lambda: self._awaited(step, result))

        step = Step("compute", self._number(), frame, begin, op)
        step.site = op.site
        if op.target is not None:
            frame.env[op.target] = step.result
        if frame.order == "effects":
            frame.lanes.put(None, step.result)
        return self._queue(step, missing)

    def _awaited(self, step: Step, result: Deferred) -> None:
        if result.error is not None:
            self.fail(result.error, step.frame)
            step.fail(result.error)
        else:
            step.settle(result.value)

    def _no_match(self, op: f.NoMatch, frame: Frame, _: Walk) -> Wait | None:
        value = self.value(op.subject, frame)
        step = Step("compute", self._number(), frame, self._no_clause, op)
        step.site, step.inputs = op.site, (value,)
        return self._begin(step, [value] if type(value) is Deferred and not value.done else [])

    def _no_clause(self, step: Step) -> None:
        assert step.site is not None
        error = no_match(plain(step.inputs[0]), step.site)
        self.fail(error, step.frame)
        step.fail(error)

    def _check(self, op: f.Check, frame: Frame, _: Walk) -> None:
        if not self.audit:
            return
        value, cast, token = self.value(op.operand, frame), frame.cast, frame.token

        def compare() -> None:
            found = plain(value)
            if type(found) is Deferred:
                return
            try:
                self.outside.check(self.role, found, cast, op.site, token)
            except Exception as error:
                self.fail(error, frame)

        if type(value) is Deferred:
            value.then(compare)
        else:
            compare()

    def _verify(self, op: f.Verify, frame: Frame, _: Walk) -> Wait | None:
        roles = tuple(frame.cast[place] for place in op.roles)
        checker = None if op.checker is None else frame.cast[op.checker]
        value = self.value(op.operand, frame)
        result = Deferred()
        scope = frame.scope
        scope.open()
        self.outstanding += 1
        result.then(lambda: self._close(scope))
        program = _Beside(self, frame, op.site, result)
        token = child(frame.token, op.site.index)

        def begin() -> None:
            found = plain(value)
            if type(found) is Deferred:
                assert found.error is not None
                result.fail(found.error)
            else:
                program.start(verify(self.role, roles, checker, found, op.site), token)

        if type(value) is Deferred:
            value.then(begin)
        else:
            begin()
        return None if result.done else Wait([result])


class _Beside:
    """A program of the runtime's own that runs beside the walk: the check of an agreement."""

    def __init__(self, walker: Actions, frame: Frame, site: Site, result: Deferred) -> None:
        self.walker = walker
        self.frame = frame
        self.scope = frame.scope
        self.site = site
        self.result = result
        self.stack: list[tuple[Generator[Any, Any, Any], Token]] = []

    def start(self, program: Generator[Any, Any, Any], token: Token) -> None:
        self.stack.append((program, token))
        self._resume(None)

    def _resume(self, value: Any) -> None:
        walker = self.walker
        while True:
            program, token = self.stack[-1]
            try:
                command = program.send(value)
            except StopIteration as stop:
                self.stack.pop()
                value = stop.value
                if not self.stack:
                    self.result.settle(value)
                    return
                continue
            except Exception as error:
                walker.fail(error, self.frame)
                self.result.fail(error)
                return
            value = None
            if command[0] == SEND:
                walker.outside.send(Letter(walker.role, command[1], token, command[3], command[2]))
            elif command[0] == RECEIVE:
                value = walker._take(command[1], token, command[2], self.scope)
                if type(value) is Deferred:
                    value.then(lambda value=value: self._came(value))  # type: ignore[misc]
                    return
            else:
                assert command[0] in (CALL, APPLY)
                self.stack.append((command[1](*command[2]), child(token, self.site.index)))

    def _came(self, value: Deferred) -> None:
        if value.error is not None:
            self.result.fail(value.error)
        else:
            self._resume(value.value)
