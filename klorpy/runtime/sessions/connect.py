"""The ways into a session with other processes: `connect` for one role, `host` for several roles and sessions."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Any

from klorpy.core.choreography import Choreography
from klorpy.core.diagnostics import KlorError
from klorpy.core.types import Role
from klorpy.core.values import show
from klorpy.runtime.erasure import check_playable
from klorpy.runtime.limits import LIMITS, Limits
from klorpy.runtime.sessions.arguments import check_role, check_seconds, check_session, check_ways
from klorpy.runtime.sessions.channel import Window
from klorpy.runtime.sessions.node import DEADLINE, Carrier, Node
from klorpy.runtime.sessions.seat import Seat
from klorpy.runtime.transports.address import Address
from klorpy.runtime.transports.nats import Nats, NatsOptions
from klorpy.runtime.transports.tcp import AROUND, Tcp, TcpOptions
from klorpy.runtime.transports.tls import Identity


@contextlib.asynccontextmanager
async def host(
    *, listen: str | socket.socket | None = None, peers: Mapping[Role, str] | None = None, nats: str | None = None,
    tls: Identity | None = None, heartbeat: float = 10.0, grace: float | None = None, window: Window | None = None,
    limits: Limits | None = None, sessions: Iterable[str] | None = None, app: str = "klorpy", observers: bool = False,
) -> AsyncIterator[Node]:  # fmt: skip
    """This process as a node of sessions: over TCP, or over the NATS server at the URL `nats`.

    Over TCP it listens at `listen` (`host:port`, or a socket that listens) and connects to `peers`, the addresses of
    roles; of each two processes one has to connect to the other. `tls` is its certificate. A connection that is silent
    for `heartbeat` seconds is given up; one that broke may come back within `grace` seconds: 0.5, and 5 over NATS, where
    a server may be started anew meanwhile. `limits` are what one value may take; give all processes the same. `sessions`
    are all that will be joined, when that is known: others are refused then. With `observers`, `klorpy trace` may look on,
    over TCP; under TLS with a certificate for the role `observer`. Over NATS it reads at the server, and nothing has to be
    allowed here. `app` keeps applications apart that use one NATS server.

    >>> import anyio, klorpy
    >>> ns = klorpy.evaluate("(defchor tell [A B] (-> A B) [x] (A->B x))")
    >>> async def both():
    ...     async with host() as node, anyio.create_task_group() as group:
    ...         async def play(role, *args):
    ...             async with node.join(ns.tell, role, "s1") as transport:
    ...                 print(role, await klorpy.play_role({"role": role, "transport": transport}, ns.tell, *args))
    ...         group.start_soon(play, "A", 5)
    ...         group.start_soon(play, "B")
    >>> anyio.run(both)
    A noop
    B 5
    """
    _check(listen, peers, heartbeat, grace, limits)
    carrier = _carrier(listen, peers, nats, tls, heartbeat, grace, limits or LIMITS, app, observers)
    async with Node(carrier, sessions=sessions, window=window, limits=limits) as node:
        yield node


@contextlib.asynccontextmanager
async def connect(
    chor: Choreography, role: Role, *, session: str, listen: str | socket.socket | None = None, peers: Mapping[Role, str] | None = None,
    nats: str | None = None, tls: Identity | str | Path | None = None, deadline: float | None = DEADLINE,
    heartbeat: float = 10.0, grace: float | None = None, limits: Limits | None = None, app: str = "klorpy",
    order: str | None = None,
) -> AsyncIterator[Seat]:  # fmt: skip
    """A transport for `play_role`: `role` of `chor` in the session of that name, once its cast is complete.

    Every process names the same session. `tls` is a certificate, or the folder that has it; see `host` for the others.
    `order` is the order within the role (see RoleConfig); the other roles follow, each in its own.
    Leaving the context leaves the session. Raises RolesMissing when roles have not come after `deadline` seconds (None
    waits for ever), SessionFailed when the session fails before it begins, and KlorError `role-not-part`,
    `not-playable` or `bad-argument`.

        async with klorpy.connect(ns.buy_book, "Buyer", session="order-7", peers={"Seller": "127.0.0.1:4000"}) as transport:
            await klorpy.play_role({"role": "Buyer", "transport": transport}, ns.buy_book, order)
    """
    check_playable(chor)
    check_role(chor, role)
    check_session(session)
    check_seconds("deadline", deadline, zero=True)
    _check(listen, peers, heartbeat, grace, limits)
    check_ways(chor, [role], peers or {}, listen is not None or nats is not None)
    identity = Identity.of(tls, [role]) if isinstance(tls, str | Path) else tls
    async with (
        host(
            listen=listen, peers=peers, nats=nats, tls=identity, heartbeat=heartbeat, grace=grace, limits=limits,
            sessions=[session], app=app,
        ) as node,
        node.join(chor, role, session, deadline=deadline, order=order) as seat,
    ):
        yield seat


def _check(listen: Any, peers: Any, heartbeat: Any, grace: Any, limits: Any) -> None:
    """Raises KlorError unless a node can be made of these."""
    if not isinstance(listen, str | socket.socket | tuple | Address | None):
        raise KlorError(
            f"listen is an address, not {show(listen, 40)}", slug="bad-argument", help='write "host:port", for example ":4000"'
        )
    if not isinstance(peers, Mapping | None):
        raise KlorError(
            f"peers is a dict from roles to their addresses, not {show(peers, 40)}", slug="bad-argument",
            help='for example {"Seller": "127.0.0.1:4000"}',
        )  # fmt: skip
    for role, address in (peers or {}).items():
        if not isinstance(address, str | tuple | Address):
            raise KlorError(f"the address of {role} is host:port, not {show(address, 40)}", slug="bad-argument")
        if Address.parse(address).port == 0:
            raise KlorError(
                f"{address!r} is no address of {role}: nobody can be reached at port 0", slug="bad-argument",
                help=f"give the port that {role} listens on",
            )  # fmt: skip
    check_seconds("heartbeat", heartbeat)
    check_seconds("grace", grace, zero=True)
    if not isinstance(limits, Limits | None):
        raise KlorError(f"limits is a klorpy.Limits, not {show(limits, 40)}", slug="bad-argument")


def _carrier(
    listen: str | socket.socket | None, peers: Mapping[Role, str] | None, nats: str | None, tls: Identity | None,
    heartbeat: float, grace: float | None, limits: Limits, app: str, observers: bool,
) -> Carrier:  # fmt: skip
    given: dict[str, Any] = {"heartbeat": heartbeat} if grace is None else {"heartbeat": heartbeat, "grace": grace}
    if nats is None:
        options = TcpOptions(frame=limits.frame + AROUND, **given)
        return Tcp(listen=listen, connect=peers, identity=tls, options=options, observers=observers)
    if observers:
        raise KlorError(
            "a node over NATS has no observers of its own", slug="bad-argument",
            help="leave out observers: klorpy trace --nats reads at the server what is sent",
        )  # fmt: skip
    if listen is not None or peers:
        raise KlorError(
            "a node is reached over NATS, or over TCP, not over both", slug="bad-argument",
            help="leave out listen and peers, or nats",
        )  # fmt: skip
    return Nats(nats, identity=tls, options=NatsOptions(app=app, **given))
