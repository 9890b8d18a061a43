"""The interpreter's own stack: one role's programs, the innermost last.

Calls are pushed here and not on Python's stack, so depth is limited by memory, a message costs the same at any depth,
and a call in tail position takes constant space. `Machine` does what is the same wherever a role runs; the
simulator and the player give their own meaning to the other commands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from klorpy.core.choreography import Choreography, Definition, Projection, Site, disputed
from klorpy.core.diagnostics import KlorError
from klorpy.core.values import noop
from klorpy.runtime.commands import CALL, TAIL_CALL, Command, Instance, Program
from klorpy.runtime.scopes import not_a_choreography

_BY_NAME: Final = (CALL, TAIL_CALL)


class _Done:
    def __repr__(self) -> str:
        return "DONE"


#: What `finish` gives when the outermost program has returned.
DONE: Final = _Done()


class Machine:
    """The stack of one role. `pinned` are the definitions that the run started with.

    Whoever drives it resumes `send(value)` and hands commands that it does not know to `enter`, and the result of a
    program that returned to `finish`.
    """

    __slots__ = ("_projections", "audit", "frames", "pinned", "result", "send", "trail")

    def __init__(self, pinned: Mapping[Choreography, Definition], audit: bool = False) -> None:
        self.pinned = pinned
        self.audit = audit
        # Calls of these need no further look: their signature is what all callers were compiled against.
        stale = disputed(pinned)
        self._projections = {
            choreography: self._versions(definition)
            for choreography, definition in pinned.items()
            if choreography not in stale
        }
        self.frames: list[Program] = []
        #: Where each frame but the outermost was called from.
        self.trail: list[Site | None] = []
        self.send: Callable[[Any], Command] = _nothing
        self.result: Any = noop

    def start(self, program: Program) -> None:
        self.frames = [program]
        self.trail = [None]
        self.send = program.send

    def program(self, command: Command) -> Program:
        """The program that a CALL or an APPLY starts."""
        program: Program
        word = command[0]
        if word in _BY_NAME:
            _, choreography, index, args, site = command
            projections = self._projections.get(choreography)
            if projections is None:
                projections = self._find(choreography, site)
            program = projections[index](*args)
            return program
        _, callee, args, site = command
        if type(callee) is Instance:
            program = self._find(callee.choreography, callee.site)[callee.index](callee.cast, *args)
        else:
            program = callee(*args)
        return program

    def _find(self, choreography: Any, site: Site) -> tuple[Projection, ...]:
        return self._versions(self.definition(choreography, site))

    def definition(self, choreography: Any, site: Site) -> Definition:
        """What is called at `site`, after the checks that a call in the run's own text passes."""
        definition = self.pinned.get(choreography)
        if definition is None:
            definition = _unpinned(choreography, site)
        if site.callee is not None and not site.callee.equivalent(definition.signature):
            raise _stale(definition, site)
        return definition

    def _versions(self, definition: Definition) -> tuple[Projection, ...]:
        """The projections of a definition that this machine runs."""
        return definition.audited if self.audit else definition.projections

    def enter(self, command: Command) -> None:
        """Start what a command calls: on top of the program that yielded it, or in its place if the call is a tail."""
        program = self.program(command)
        if command[0] >= TAIL_CALL:
            self.frames[-1] = program
        else:
            self.frames.append(program)
            self.trail.append(command[-1])
        self.send = program.send

    def finish(self, value: Any) -> Any:
        """Pop the program that returned `value`; give the value to resume its caller with, or DONE at the end."""
        frames = self.frames
        frames.pop()
        self.trail.pop()
        if frames:
            self.send = frames[-1].send
            return value
        self.result = value
        return DONE

    def close(self) -> None:
        """Drop what is still on the stack."""
        while self.frames:
            self.frames.pop().close()
        self.trail.clear()
        self.send = _nothing


def first_cause(error: BaseException) -> BaseException:
    """What host code raised: a generator may not let a StopIteration out, so Python wraps it."""
    cause = error.__cause__
    return cause if type(error) is RuntimeError and isinstance(cause, StopIteration) else error


def _nothing(value: Any) -> Command:
    raise AssertionError("the machine runs no program")


def _unpinned(choreography: Any, site: Site) -> Definition:
    """A definition that the run could not see when it started: declared only, or bound by host code later."""
    if isinstance(choreography, Choreography):
        if choreography.definition is None:
            roles = " ".join(choreography.roles)
            raise KlorError(
                site.diagnostic(
                    "not-defined",
                    f"{choreography.name} is declared, but was never defined",
                    f"evaluate (defchor {choreography.name} [{roles}] … [params] body)",
                )
            )
        return choreography.definition
    raise not_a_choreography(site)


def _stale(definition: Definition, site: Site) -> KlorError:
    return KlorError(
        site.diagnostic(
            "stale-dependent",
            f"Signature of {definition.name} differs from the one that {site.text} was compiled against:\n"
            f"  was {site.callee},\n  is  {definition.signature}",
            "evaluate the definition that contains the call again",
        )
    )
