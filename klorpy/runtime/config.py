"""Who plays a role here, and how it reaches the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Protocol, TypeAlias, runtime_checkable

from klorpy.core.choreography import Definition, Site
from klorpy.core.diagnostics import KlorError
from klorpy.core.keys import Token
from klorpy.core.options import ORDERS
from klorpy.core.types import Role
from klorpy.core.values import show


class Transport(Protocol):
    """How one role of one session reaches the others: three verbs.

    Messages from one role to another arrive in the order in which they were sent. `site` is where in the
    choreography a value is sent or waited for; a transport may use it to notice that two roles disagree.
    """

    async def send(self, target: Role, value: Any, site: Site) -> None: ...

    async def receive(self, source: Role, site: Site) -> Any: ...

    async def close(self) -> None: ...


@runtime_checkable
class Session(Protocol):
    """What a transport may offer besides its three verbs, so that a failure ends the run everywhere with one verdict.

    `fail` tells the others that this role failed with `error`, at `place` of the text. `watch` takes a function that
    cancels the role; it is called when the session fails while the role does something else than to wait for a
    message. `error` is then what the role raises. `settle` is called when the role's program has ended; it raises the
    same when the session is known to have failed by then.
    """

    def fail(self, error: BaseException, place: str = "") -> None: ...

    def watch(self, cancel: Callable[[], object]) -> None: ...

    def error(self) -> BaseException: ...

    async def settle(self) -> None: ...


class Mail(Protocol):
    """Messages with keys, taken in another order than they come in. (See `klorpy.runtime.sessions.mail`.)"""

    def put(self, target: Role, value: Any, site: Site, token: Token) -> bool: ...

    def fail(self, target: Role, cause: str, site: Site, token: Token) -> None: ...

    def taken(self) -> Iterable[tuple[Role, Any, Site, Token]]: ...

    def part(self, role: Role) -> None: ...

    def gone(self, role: Role) -> bool: ...

    async def sent(self) -> None: ...

    async def arrival(self, full: Iterable[Role], needed: tuple[Role, Site] | None) -> None: ...

    def wake(self) -> None: ...


@runtime_checkable
class Keyed(Protocol):
    """What a transport may offer besides: that it carries keys, and knows whether the roles have agreed to use them.

    `order` is what was said where the role joined; `keyed` is whether any role said one.
    """

    order: str | None

    @property
    def keyed(self) -> bool: ...

    def mail(self) -> Mail: ...


@dataclass(frozen=True, slots=True)
class Call:
    """A choreography that a role begins: from outside, or in another one at `site`.

    `role` is the one that is played, `cast` who plays the choreography's roles, () when only the choreography knows;
    `session` is the transport's, "" when it has none.
    """

    choreography: str
    role: Role
    cast: tuple[Role, ...]
    session: str = ""
    site: Site | None = None


class Instrument(Protocol):
    """What looks on while a role is played, such as `klorpy.telemetry()`."""

    def began(self, call: Call) -> Callable[[BaseException | None], object]:
        """A call begins. What is given back is called when it has ended, with the error that ended it, if one did."""


Send: TypeAlias = Callable[[Any, Any], Awaitable[Any] | Any]
Receive: TypeAlias = Callable[[Any], Awaitable[Any] | Any]


@dataclass(frozen=True, slots=True)
class RoleConfig:
    """A role and how it communicates: by a transport, or by functions.

    `send(locator, value)` and `recv(locator)` may be coroutine functions; what `send` returns is ignored. `locators`
    says what stands for each other role; it may leave out roles that are never met. After `timeout` seconds the role
    fails, wherever it is (None: never). `instrument` is told of every choreography that the role begins and ends.

    `order` is the order within the role: "program", "effects" or "dataflow"; left out, definitions say it. `window` is how
    many rounds of a loop the role may have under way. A role that says an order, or plays a definition that does, tells
    messages apart by their keys; so must all that it plays with, in whatever order they are. In a session it is better
    said to `connect` or `join`: then the others follow.
    """

    role: Role
    send: Send | None = None
    recv: Receive | None = None
    locators: Mapping[Role, Any] = field(default_factory=dict)
    transport: Transport | None = None
    timeout: float | None = None
    order: str | None = None
    window: int | None = None
    instrument: Instrument | None = None

    @classmethod
    def of(cls, config: RoleConfig | Mapping[Any, Any]) -> RoleConfig:
        """A configuration from a mapping, whose keys may be Hy keywords. Raises KlorError `bad-config`."""
        if isinstance(config, RoleConfig):
            config = {f.name: getattr(config, f.name) for f in fields(cls)}
        if not isinstance(config, Mapping):
            raise _bad(f"a role configuration is a dict or a RoleConfig, not {type(config).__name__}")
        given = {_word(key): value for key, value in config.items()}
        known = {f.name for f in fields(cls)}
        for key in given:
            if key not in known:
                raise _bad(f"a role configuration has no {key!r}")
        if "role" not in given:
            raise _bad("a role configuration names the role")
        given["role"] = str(given["role"])
        for key in ("send", "recv"):
            if given.get(key) is not None and not callable(given[key]):
                raise _bad(f"{key} is a function, not {given[key]!r}")
        transport = given.get("transport")
        if transport is not None and not all(hasattr(transport, verb) for verb in ("send", "receive", "close")):
            raise _bad(f"a transport has the methods send, receive and close, which {type(transport).__name__} has not")
        instrument = given.get("instrument")
        if instrument is not None and not callable(getattr(instrument, "began", None)):
            raise _bad(f"an instrument, such as klorpy.telemetry(), has the method began; {show(instrument, 40)} has not")
        timeout = given.get("timeout")
        if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0):
            raise _bad(f"timeout is a number of seconds, not {timeout!r}")
        order, window = given.get("order"), given.get("window")
        if order is not None:
            given["order"] = order = _word(order)
            if order not in ORDERS:
                raise _bad(f"there is no order {order!r}: give one of {', '.join(ORDERS)}")
        if window is not None and (isinstance(window, bool) or not isinstance(window, int) or window < 1):
            raise _bad(f"window is a positive number of rounds, not {window!r}")
        locators = given.get("locators") or {}
        if not isinstance(locators, Mapping):
            raise _bad(f"locators are a dict from roles to locators, not {type(locators).__name__}")
        given["locators"] = {_word(role): locator for role, locator in locators.items()}
        return cls(**given)

    def check(self, definition: Definition) -> None:
        """Raises KlorError `role-not-part` when the role, or one that has a locator, is none of the choreography's."""
        roles = " ".join(definition.roles)
        if self.role not in definition.roles:
            raise KlorError(
                f"{self.role} is not a role of {definition.name}",
                slug="role-not-part",
                help=f"its roles are [{roles}]",
            )
        for role in self.locators:
            if role not in definition.roles:
                raise KlorError(
                    f"there is a locator for {role}, which is not a role of {definition.name}",
                    slug="role-not-part",
                    help=f"its roles are [{roles}]",
                )


def _word(key: Any) -> str:
    name = getattr(key, "name", None)  # a Hy keyword
    return name if isinstance(name, str) else str(key)


def _bad(message: str) -> KlorError:
    return KlorError(
        message,
        slug="bad-config",
        help='write {"role": "A", "send": f, "recv": g, "locators": {"B": …}}, or {"role": "A", "transport": t}',
    )
