"""The commands that play roles for real, in processes of their own.

    klorpy play FILE CHOR --role S --session ID [--listen ADDR] [--connect R=ADDR …] [ARG …]
    klorpy certificates DIR ROLE …
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
import types
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import anyio

import klorpy
from klorpy.core.choreography import Choreography
from klorpy.core.diagnostics import KlorError
from klorpy.core.options import ORDERS
from klorpy.core.types import Role
from klorpy.core.values import noop, show
from klorpy.environment.ending import Ending, ToEnd
from klorpy.environment.present import Palette, error_text, wants_colour
from klorpy.runtime.erasure import check_playable, erased_params
from klorpy.runtime.sessions import Node, Record, Seat
from klorpy.runtime.sessions.arguments import check_seconds, check_session, check_ways
from klorpy.runtime.transports.tls import Identity

#: How an argument of the command line becomes a value.
Reader = Callable[[str], Any]


def add_play(commands: Any, find: Callable[[str, str], Choreography], read: Reader) -> None:
    """Add `play` to the commands of the parser; `find` gives a choreography of a file, `read` the value of an argument."""
    play = commands.add_parser(
        "play", help="play a role, with other processes", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Play one role, or several, of a choreography whose other roles are played by other processes.\n"
        "Of each two processes one connects to the other; either may be started first.",
    )  # fmt: skip
    play.add_argument("file", metavar="FILE", help="a .hy file")
    play.add_argument("chor", metavar="CHOR", help="the name of a choreography in it")
    play.add_argument("args", metavar="ARG", nargs="*", help="the arguments of the parameters that mention the role")
    play.add_argument("--role", action="append", required=True, metavar="ROLE", help="what is played here; may be repeated")
    play.add_argument("--session", metavar="ID", help="the name of the run, the same for all roles")
    play.add_argument("--listen", metavar="ADDR", help="let other processes connect, at host:port")
    play.add_argument("--connect", action="append", default=[], metavar="ROLE=ADDR", help="where another role listens")
    play.add_argument("--nats", metavar="URL", help="meet at a NATS server instead")
    play.add_argument("--app", metavar="NAME", help="the application, at a NATS server that has several")
    play.add_argument("--tls", metavar="DIR", help="speak TLS, with the role's certificate from this folder")
    play.add_argument("--serve", action="store_true", help="play the role in every session that others begin")
    play.add_argument("--limit", type=int, metavar="N", help="sessions that --serve plays at once (default 100)")
    play.add_argument("--deadline", type=float, default=30.0, metavar="SECONDS", help="for the others to come (default 30)")
    play.add_argument("--timeout", type=float, metavar="SECONDS", help="for the run")
    play.add_argument("--order", choices=ORDERS, help="the order within the role; the others follow, each in its own")
    play.add_argument("--heartbeat", type=float, default=10.0, metavar="SECONDS", help="of silence that are borne (default 10)")
    play.add_argument(
        "--grace", type=float, metavar="SECONDS", help="for a connection to come back (default 0.5, over NATS 5)"
    )
    play.add_argument("--observe", action="store_true", help="let klorpy trace look on, where --listen says")
    play.add_argument("--telemetry", action="store_true", help="make OpenTelemetry spans, with the provider that is set up")
    play.add_argument("--quiet", action="store_true", help="show the result only")
    play.set_defaults(command=lambda arguments: _play(arguments, find, read))

    certificates = commands.add_parser(
        "certificates", help="make certificates for roles",
        description="Make an authority and a certificate for each role, in a folder for --tls. ROLE+ROLE is one certificate "
        "for a process that plays both.",
    )  # fmt: skip
    certificates.add_argument("folder", metavar="DIR", help="is made when it is missing; an authority that it has is kept")
    certificates.add_argument("roles", metavar="ROLE", nargs="+")
    certificates.add_argument("--days", type=int, default=365, help="for which they are valid (default 365)")
    certificates.set_defaults(command=_certificates)


def _play(arguments: argparse.Namespace, find: Callable[[str, str], Choreography], read: Reader) -> int:
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    chor = find(arguments.file, arguments.chor)
    definition = check_playable(chor)
    roles = list(dict.fromkeys(arguments.role))
    given = _distribute(chor, roles, [read(text) for text in arguments.args])
    _check_combination(arguments, roles)
    peers = _peers(arguments.connect)
    check_ways(chor, roles, peers, arguments.listen is not None or arguments.nats is not None)
    identity = Identity.of(arguments.tls, roles) if arguments.tls else None
    palette = Palette(definition.roles, wants_colour(sys.stdout))
    show_record = None if arguments.quiet else _shower(palette, roles)

    async def run() -> None:
        seats: list[Seat] = []
        async with klorpy.host(
            listen=arguments.listen, peers=peers, nats=arguments.nats, tls=identity,
            heartbeat=arguments.heartbeat, grace=arguments.grace,
            sessions=None if arguments.serve else [arguments.session], serves=roles, app=arguments.app or "klorpy",
            observers=arguments.observe,
        ) as node:  # fmt: skip
            if show_record is not None:
                node.observe(show_record)
            if arguments.serve:
                await _serve(node, chor, roles[0], given[roles[0]], arguments)
            else:
                seats = await _play_all(node, chor, given, arguments, palette)
        for seat in seats:
            seat.check()

    return _until_ended(run)


def _check_combination(arguments: argparse.Namespace, roles: Sequence[Role]) -> None:
    """Raises KlorError `bad-argument` for options that would do nothing together, or could not end well."""
    if arguments.serve and len(roles) > 1:
        raise _bad("one role can be served by a process", "start a process for each")
    if arguments.serve and arguments.session is not None:
        raise _bad("--serve plays in every session, so --session means nothing", "leave out one of them")
    if not arguments.serve and arguments.session is None:
        raise _bad("the session has no name", "add --session ID, the same for all roles")
    if not arguments.serve:
        check_session(arguments.session)
        if arguments.limit is not None:
            raise _bad("--limit is for --serve", "leave it out: one session is played")
    elif arguments.limit is not None and arguments.limit < 1:
        raise _bad(f"--limit is a positive number of sessions, not {arguments.limit}", "leave it out for 100")
    if arguments.app is not None and arguments.nats is None:
        raise _bad("--app is for roles that meet at a NATS server", "add --nats URL, or leave it out")
    if arguments.observe and arguments.nats is not None:
        raise _bad("over NATS nothing has to be allowed", "leave out --observe, and look on with klorpy trace --nats URL")
    if arguments.observe and arguments.listen is None:
        raise _bad("--observe is for a process that listens", "add --listen ADDR, where klorpy trace then connects")
    for option in ("deadline", "timeout", "heartbeat", "grace"):
        check_seconds(f"--{option}", getattr(arguments, option), zero=option in ("deadline", "grace"))


def _bad(message: str, help: str) -> KlorError:
    return KlorError(message, slug="bad-argument", help=help)


def _until_ended(run: Callable[[], Awaitable[None]]) -> int:
    """Run on asyncio; Ctrl-C and SIGTERM end it so that the others are told. Gives the exit status."""
    ending: Ending | None = None

    async def main() -> None:
        nonlocal ending
        task = asyncio.current_task()
        assert task is not None
        ending = Ending(asyncio.get_running_loop(), task.cancel)
        with _handlers(ending):
            await run()

    try:
        anyio.run(main)
    except (asyncio.CancelledError, KeyboardInterrupt):
        if ending is None or ending.received is None:
            raise
    except SystemExit as error:  # of a role: it has failed, whatever it wanted to say by its status
        print(error_text(error), file=sys.stderr)
        return error.code if isinstance(error.code, int) and error.code else 1
    received = None if ending is None else ending.received
    if received is None:
        return 0
    print("terminated" if received is signal.SIGTERM else "interrupted", file=sys.stderr)
    return 128 + received


@contextlib.contextmanager
def _handlers(handler: Callable[[int, types.FrameType | None], None]) -> Iterator[None]:
    """Let `handler` hear of the signals that end a process, where that can be: in the main thread."""
    before: dict[signal.Signals, Any] = {}
    with contextlib.suppress(ValueError):
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, other in before.items():
            signal.signal(number, other)


async def _play_all(
    node: Node, chor: Choreography, given: dict[Role, list[Any]], arguments: argparse.Namespace, palette: Palette
) -> list[Seat]:
    """Play the roles of one session; the first error ends them all. Gives the seats, all of which have left."""
    errors: list[BaseException] = []
    seats = []

    async def play(role: Role, args: Sequence[Any]) -> None:
        try:
            async with node.join(chor, role, arguments.session, deadline=arguments.deadline, order=arguments.order) as seat:
                seats.append(seat)
                result = await klorpy.play_role(_config(seat, arguments), chor, *args)
            if result is not noop or arguments.quiet:
                print(f"{palette.role(role)}: {show(result, 10_000)}", flush=True)
        except (Exception, SystemExit, KeyboardInterrupt) as error:  # an exit would tear the loop down, and hide itself
            errors.append(error)

    async with anyio.create_task_group() as tasks:
        for role, args in given.items():
            tasks.start_soon(play, role, args)
    if errors:
        # The role's own error says more than that the session failed because of it.
        raise next((error for error in errors if not isinstance(error, klorpy.SessionFailed)), errors[0])
    return seats


async def _serve(node: Node, chor: Choreography, role: Role, args: Sequence[Any], arguments: argparse.Namespace) -> None:
    async def play(seat: Seat) -> None:
        with contextlib.suppress(ToEnd):  # all ends then
            await klorpy.play_role(_config(seat, arguments), chor, *args)

    limit = 100 if arguments.limit is None else arguments.limit
    await node.serve(chor, role, play, limit=limit, deadline=arguments.deadline, order=arguments.order)


def _config(seat: Seat, arguments: argparse.Namespace) -> klorpy.RoleConfig:
    instrument = klorpy.telemetry() if arguments.telemetry else None
    return klorpy.RoleConfig(seat.role, transport=seat, timeout=arguments.timeout, instrument=instrument)


def _distribute(chor: Choreography, roles: Sequence[Role], args: Sequence[Any]) -> dict[Role, list[Any]]:
    """The arguments of each role, from those of the parameters that mention any of them. Raises KlorError `play-arity`."""
    definition = chor.defined()
    for role in roles:
        if role not in definition.roles:
            raise KlorError(
                f"{role} is not a role of {chor.name}", slug="role-not-part",
                help=f"its roles are [{' '.join(definition.roles)}]",
            )  # fmt: skip
    positions = sorted({i for role in roles for i in erased_params(definition, role)})
    if len(args) != len(positions):
        who = " and ".join(roles)
        raise KlorError(
            f"{chor.name} takes {len(positions)} argument{'' if len(positions) == 1 else 's'} at {who}, not {len(args)}",
            slug="play-arity", help=f"give the parameters that mention {who}; its signature is {definition.signature}",
        )  # fmt: skip
    values = dict(zip(positions, args, strict=True))
    return {role: [values[i] for i in erased_params(definition, role)] for role in roles}


def _peers(given: Sequence[str]) -> dict[Role, str]:
    peers = {}
    for text in given:
        role, equals, address = text.partition("=")
        if not (role and equals and address):
            raise KlorError(
                f"{text!r} does not say where a role is", slug="bad-argument",
                help="write ROLE=host:port, for example Seller=127.0.0.1:4000",
            )  # fmt: skip
        peers[role] = address
    return peers


def _shower(palette: Palette, roles: Sequence[Role]) -> Callable[[Record], None]:
    """What shows messages: between roles that are played here when they are received, others when they come or go."""

    def show_record(record: Record) -> None:
        source, target = (record.role, record.peer) if record.kind == "sent" else (record.peer, record.role)
        if record.kind == "received" or (record.kind == "sent" and target not in roles):
            print(f"{palette.role(source)} --> {palette.role(target)}: {record.text}", flush=True)

    return show_record


def _certificates(arguments: argparse.Namespace) -> int:
    from klorpy.environment.certificates import make_certificates

    try:
        for path in make_certificates(arguments.folder, arguments.roles, arguments.days):
            print(path)
    except OSError as error:
        raise KlorError(
            f"cannot use {error.filename or arguments.folder}: {error.strerror or error}", slug="bad-argument",
            help="is the folder complete? With ca.pem there has to be ca.key",
        ) from None  # fmt: skip
    return 0
