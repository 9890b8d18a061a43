"""Acting in the container of a VM: what an action at the meta level is outside.

    outward(action, process) = the action of the VM, seen as a process of its container

An endpoint `n` of the process `p` inside is the endpoint `MetaName(p, n)` of the VM outside. Its handlers are relays,
which find the process again when something happens; they are data, so that a VM can be copied.

Source: Marketplace's nested VMs (T. Garnock-Jones, 2013); its errata are not followed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from klorpy.conversations.actions import (
    Add,
    Delete,
    Endpoint,
    Feedback,
    Handler,
    Kill,
    Meta,
    MetaName,
    Pid,
    Query,
    Quit,
    Replace,
    Send,
    Spawn,
    Yield,
)
from klorpy.core.diagnostics import KlorError

if TYPE_CHECKING:
    from klorpy.conversations.kernel import Kernel


@dataclass(frozen=True, slots=True)
class EventRelay:
    """The handler, outside, of an endpoint that a process inside has."""

    process: Pid
    name: Any

    def __call__(self, event: Any, inner: Kernel) -> Any:
        return inner.relayed(self.process, self.name, event)


@dataclass(frozen=True, slots=True)
class CallRelay:
    """The continuation, outside, of an action whose outcome a process inside waits for."""

    process: Pid
    then: Handler | None

    def __call__(self, value: Any, inner: Kernel) -> Any:
        return inner.resumed(self.process, self.then, value)


@dataclass(frozen=True, slots=True)
class TurnRelay:
    """The same for a `Yield`, which gives no value."""

    process: Pid
    then: Any

    def __call__(self, inner: Kernel) -> Any:
        return inner.resumed(self.process, lambda _, state: self.then(state), None)


def outward_endpoint(process: Pid, endpoint: Endpoint) -> Endpoint:
    """An endpoint at the meta level, as the VM has it outside."""
    relay = EventRelay(process, endpoint.name)
    return Endpoint(MetaName(process, endpoint.name), endpoint.role, relay, relay, relay)


def waits(action: Any) -> bool:
    """Whether the process that performs `action` at the meta level has to stay for what comes of it."""
    match action:
        case Spawn():
            return action.then is not None or action.failed is not None
        case Query() | Yield():
            return True
        case _:
            return False


def outward(action: Any, process: Pid) -> Any:
    """What `Meta(action)` of a process inside is outside. Raises KlorError `bad-action` for what cannot be passed on."""
    match action:
        case Add(endpoint):
            return Add(outward_endpoint(process, endpoint))
        case Delete(name, reason):
            return Delete(MetaName(process, name), reason)
        case Replace(name, topic):
            return Replace(MetaName(process, name), topic)
        case Spawn(boot, name, then, endpoints, failed, invariant):
            if waits(action):
                # Exactly one of the two is called, and either ends the wait.
                return Spawn(boot, name, CallRelay(process, then), endpoints, CallRelay(process, failed), invariant)
            return action
        case Yield(then):
            return Yield(TurnRelay(process, then))
        case Query(orientation, topic, then):
            return Query(orientation, topic, CallRelay(process, then))
        case Send() | Feedback() | Quit() | Kill():
            return action
        case Meta(Send() | Feedback() | Quit() | Kill()):
            return action
        case _:
            raise KlorError(
                f"{type(action).__name__} cannot be performed there from so far inside"
                if isinstance(action, Meta)
                else f"{action!r} is not an action",
                slug="bad-action",
                help="an endpoint reaches one level out; let a process of the VM between relay what happens further out",
            )
