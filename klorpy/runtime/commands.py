"""The contract between a role's program and whoever runs it.

A projection is a generator. It yields *commands* and is resumed with their results; it never touches a socket, a
clock or an event loop. A command is a plain tuple whose first element is its word (building one costs a tenth of a
named tuple, and there is one for each message):

    (SEND, target, value, site)                 -> None       value goes to the role target
    (RECEIVE, source, site)                     -> value      the next value from the role source
    (CALL, choreography, index, args, site)     -> result     run a definition: this role plays number index of the
                                                              cast, which is the first of the arguments
    (APPLY, program, args, site)                -> result     run a choreography that is a value
    (TAIL_CALL, …), (TAIL_APPLY, …)             never resumed the same, in the place of the program that yields it
    (AWAIT, awaitable, site)                    -> result     wait for host code
    (CHECK, value, cast, site)                  -> None       this role's copy of an agreement (under sanitize only)
    (PAUSE,)                                    -> None       nothing; a point at which others may run

A generator returns its result, or ends in a TAIL_CALL or TAIL_APPLY. (To yield these costs half as much as to return
them: no StopIteration is made.)
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from klorpy.core.choreography import Choreography, Site
from klorpy.core.types import Role

SEND: Final = 0
RECEIVE: Final = 1
CALL: Final = 2
APPLY: Final = 3
AWAIT: Final = 4
CHECK: Final = 5
PAUSE: Final = 6
TAIL_CALL: Final = 7
TAIL_APPLY: Final = 8

CALLS: Final = (CALL, APPLY, TAIL_CALL, TAIL_APPLY)

Command: TypeAlias = tuple[Any, ...]
Program: TypeAlias = Generator[Command, Any, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """A choreography with its roles as a value. Its definition is looked up when it is called."""

    choreography: Choreography
    index: int
    cast: tuple[Role, ...]
    site: Site


#: A choreography as a value: an instance, or the program of a `chor` as a function of its (erased) arguments.
Closure: TypeAlias = Instance | Callable[..., Program]


def callee_of(command: Command) -> tuple[str, tuple[Role, ...]]:
    """The name of the choreography that a CALL or an APPLY starts, and its cast: () when only the callee knows it."""
    callee = command[1]
    if isinstance(callee, Choreography):
        return callee.name, tuple(command[3][0])
    if isinstance(callee, Instance):
        return callee.choreography.name, callee.cast
    return callee.__name__, ()
