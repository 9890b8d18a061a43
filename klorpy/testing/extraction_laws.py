"""The law of extracted protocols, as a property of generated programs.

    runs of chor ⊆ paths of protocol_of(chor)      what each role sends and receives, its automaton accepts
"""

from __future__ import annotations

import contextlib
import copy
import io
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias

import anyio

import klorpy
from klorpy.behaviour import Automaton, Protocol, automaton, local_type
from klorpy.behaviour.automaton import Action
from klorpy.core.choreography import Choreography
from klorpy.core.types import Role
from klorpy.testing.laws import PATIENCE, compiled
from klorpy.testing.terms import Program

#: A message at one role: with whom, whether it is sent, and what.
Step: TypeAlias = tuple[Role, bool, Any]


def extracted(program: Program) -> Literal["none", "a role is not told", "checked"]:
    """A generated program has no protocol, or one whose projections all roles of a run keep to."""
    chor = compiled(program).main
    try:
        protocol = klorpy.protocol_of(chor)
    except klorpy.KlorError as error:
        if error.slug != "no-protocol" or (error.span is None):
            raise AssertionError(f"not an honest answer: {error.render()}") from error
        return "none"
    automata = automata_of(protocol)
    args = [
        [copy.deepcopy(arg) for arg, type_ in zip(program.args, program.main.type.params, strict=True) if role in type_.roles]
        for role in program.main.roles
    ]
    for role, steps in recorded(chor, args).items():
        if role in automata and not walks(automata[role], steps):
            raise AssertionError(f"{role} does {steps}, but its part of {protocol.text} is\n{automata[role]}")
    return "checked" if len(automata) == len(protocol.roles) else "a role is not told"


def automata_of(protocol: Protocol) -> dict[Role, Automaton]:
    """The automata of the roles that have a part of their own."""
    found = {}
    for role in protocol.roles:
        try:
            found[role] = automaton(local_type(protocol, role))
        except klorpy.KlorError as error:
            if error.slug != "unmergeable":
                raise
    return found


def recorded(chor: Choreography, args: Iterable[Iterable[Any]]) -> Mapping[Role, list[Step]]:
    """What each role sends and receives in a run over the memory network, in its own order."""
    steps: dict[Role, list[Step]] = {role: [] for role in chor.roles}

    async def play(network: klorpy.MemoryNetwork, role: Role, values: Iterable[Any]) -> None:
        transport = _Recording(network.endpoint(role), steps[role])
        await klorpy.play_role({"role": role, "transport": transport}, chor, *values)

    async def everyone() -> None:
        network = klorpy.MemoryNetwork(chor.roles)
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as group:
                for role, values in zip(chor.roles, args, strict=True):
                    group.start_soon(play, network, role, values)

    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore", klorpy.KlorWarning)
        anyio.run(everyone)
    return steps


class _Recording:
    """A transport that notes what passes."""

    def __init__(self, transport: klorpy.Transport, steps: list[Step]) -> None:
        self.transport, self.steps = transport, steps

    async def send(self, target: str, value: Any, site: Any) -> None:
        self.steps.append((target, True, value))
        await self.transport.send(target, value, site)

    async def receive(self, source: str, site: Any) -> Any:
        value = await self.transport.receive(source, site)
        self.steps.append((source, False, value))
        return value

    async def close(self) -> None:
        await self.transport.close()


def walks(machine: Automaton, steps: Iterable[Step]) -> bool:
    """Whether an automaton accepts messages, labels being compared with the values where they are values."""
    states = {0}
    for step in steps:
        states = {target for state in states for action, target in machine.outgoing[state].items() if _fits(action, step)}
    return bool(states & machine.final)


def _fits(action: Action, step: Step) -> bool:
    peer, sends, value = step
    if (action.peer, action.sends) != (peer, sends):
        return False
    match action.content.label:
        case "true" | "false" as label if not action.content.payload:
            return bool(value) == (label == "true")
    return True
