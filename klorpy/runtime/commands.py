"""The contract between a role's program and whoever runs it.

A projection is a generator. It yields *commands* and is resumed with their results; it never touches a socket, a
clock or an event loop. A command is a plain tuple whose first element is its word (building one costs a tenth of a
named tuple, and there is one for each message):

    (SEND, target, value, site)                 -> None       value goes to the role target
    (RECEIVE, source, site)                     -> value      the next value from the role source
    (CALL, choreography, index, cast, args, site) -> result   run a definition: this role plays number index of cast
    (APPLY, program, args, site)                -> result     run a choreography that is a value
    (AWAIT, awaitable, site)                    -> result     wait for host code
    (CHECK, value, cast, site)                  -> None       this role's copy of an agreement (under sanitize only)
    (PAUSE,)                                    -> None       nothing; a point at which others may run

A generator returns its result, or `Tail(command)` with a CALL or an APPLY that takes its place.
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

Command: TypeAlias = tuple[Any, ...]
Program: TypeAlias = Generator[Command, Any, Any]


class Tail:
    """The result of a program that ends in a call: the call takes its place on the stack."""

    __slots__ = ("command",)

    def __init__(self, command: Command) -> None:
        self.command = command


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """A choreography with its roles as a value. Its definition is looked up when it is called."""

    choreography: Choreography
    index: int
    cast: tuple[Role, ...]
    site: Site


#: A choreography as a value: an instance, or the program of a `chor` as a function of its (erased) arguments.
Closure: TypeAlias = Instance | Callable[..., Program]
