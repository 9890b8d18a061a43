"""The command that plays all roles at once, each in a process of its own, and shows them as one run.

    klorpy launch FILE CHOR [ARG …] [--timeout SECONDS] [--chart PATH] [--tls | --certificates DIR] [--nats URL] [--quiet]

The launcher opens a socket for each role before any process starts, so no port is ever contended; a process connects to
the roles before its own. What the processes report is merged into one causally ordered log.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import secrets
import signal
import site
import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec

import klorpy
from klorpy.core.choreography import Choreography
from klorpy.core.diagnostics import Diagnostic, KlorError
from klorpy.core.options import ORDERS
from klorpy.core.types import Role
from klorpy.environment.arguments import find_choreography, read_argument
from klorpy.environment.present import Palette, event_lines, result_lines, wants_colour
from klorpy.environment.reports import Ended, Job, read
from klorpy.environment.traces import Shown, Story, run_of, sites_of
from klorpy.runtime.erasure import check_count, check_playable, erased_params
from klorpy.runtime.sessions import Merge, Record
from klorpy.runtime.transports.tls import Identity

#: Seconds that the others have to end by themselves when a role has failed, and that a process has when it is told to.
_OTHERS: Final = 5.0
_TOLD: Final = 2.0
#: Bytes of a line that a process reports.
_LINE: Final = 64 << 20


def add_launch(commands: Any) -> None:
    """Add `launch` to the commands of the parser."""
    launch = commands.add_parser(
        "launch", help="play all roles, each in a process of its own", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Play all roles of a choreography, each in a process of its own on this machine, over TCP.\n"
        "Arguments are given as for run; every process gets those of its role.",
    )  # fmt: skip
    launch.add_argument("file", metavar="FILE", help="a .hy file")
    launch.add_argument("chor", metavar="CHOR", help="the name of a choreography in it")
    launch.add_argument("args", metavar="ARG", nargs="*", help='a Hy literal, such as 5, \'"text"\' or [1 2], or @file.json')
    launch.add_argument("--timeout", type=float, metavar="SECONDS", help="give up after this time")
    launch.add_argument("--order", choices=ORDERS, help="the order within each role (default: the definitions')")
    launch.add_argument("--chart", metavar="PATH", help="write a message sequence chart: .svg, .txt or .mmd")
    ways = launch.add_mutually_exclusive_group()
    ways.add_argument("--tls", action="store_true", help="speak TLS, with certificates for this run only")
    ways.add_argument("--certificates", metavar="DIR", help="speak TLS, with the roles' certificates from this folder")
    launch.add_argument("--nats", metavar="URL", help="meet at a NATS server instead")
    launch.add_argument("--quiet", action="store_true", help="show the results only")
    launch.set_defaults(command=_launch)


def _launch(arguments: argparse.Namespace) -> int:
    chor = find_choreography(arguments.file, arguments.chor)
    # Every process reads its arguments itself; but what is wrong with them is said once.
    check_count(check_playable(chor), [read_argument(text) for text in arguments.args])
    if arguments.timeout is not None and not arguments.timeout > 0:
        raise KlorError(f"{arguments.timeout!r} is not a time", slug="bad-argument", help="give seconds")
    if arguments.tls and arguments.nats is not None:
        raise KlorError(
            "no NATS server knows the certificates that --tls makes for this run only", slug="bad-argument",
            help="leave it out; or, for a server that demands TLS, give --certificates DIR with those of its authority",
        )  # fmt: skip
    if arguments.certificates is not None:
        for role in chor.roles:
            Identity.of(arguments.certificates, [role])
    if arguments.chart is not None:
        from klorpy.environment.diagrams import check_path

        check_path(arguments.chart)
    palette = Palette(chor.roles, wants_colour(sys.stdout))
    if not arguments.quiet:
        print(f"{palette.strong(chor.name)}  {chor.signature}\n", flush=True)
    launch = Launch(chor, palette, quiet=arguments.quiet, drawn=arguments.chart is not None)
    with launching(chor, arguments) as (jobs, sockets):
        asyncio.run(launch.run(jobs, sockets, arguments.timeout))
    return _conclude(launch, arguments)


def _conclude(launch: Launch, arguments: argparse.Namespace) -> int:
    """Show how it ended, and draw it. Gives the exit status."""
    if launch.signal is not None:
        print("interrupted", file=sys.stderr)
        return 128 + launch.signal
    results = {role: Shown(ended.result) for role, ended in launch.ended.items() if ended.result is not None}
    run = run_of(launch.records, launch.chor, results, complete=True)
    if arguments.chart is not None:
        from klorpy.environment.diagrams import chart

        chart(run).save(arguments.chart)
    if not arguments.quiet:
        print()
    print("\n".join(result_lines(run, launch.palette)))
    verdict = launch.verdict(list(run.failures))
    if verdict is None:
        return 0
    sys.stdout.flush()
    print("\n" + verdict, file=sys.stderr)
    return 1


# --- What each process is told ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def launching(chor: Choreography, arguments: argparse.Namespace) -> Iterator[tuple[list[Job], list[socket.socket]]]:
    """What the processes have to do, but for the way to report; and where they will listen. Certificates exist meanwhile."""
    definition = chor.defined()
    session = f"launch-{secrets.token_hex(8)}"
    with contextlib.ExitStack() as stack:
        listening: list[socket.socket] = []
        if arguments.nats is None:
            for _ in definition.roles:
                listening.append(stack.enter_context(socket.create_server(("127.0.0.1", 0))))
        addresses = [f"127.0.0.1:{sock.getsockname()[1]}" for sock in listening]
        folder = stack.enter_context(_certificates(definition.roles)) if arguments.tls else arguments.certificates
        jobs = []
        for i, role in enumerate(definition.roles):
            texts = tuple(arguments.args[position] for position in erased_params(definition, role))
            jobs.append(Job(
                arguments.file, arguments.chor, role, session, texts, report=-1, path=tuple(sys.path),
                listen=listening[i].fileno() if listening else None,
                peers=dict(zip(definition.roles[:i], addresses[:i], strict=True)) if listening else None,
                nats=arguments.nats, tls=folder, order=arguments.order,
            ))  # fmt: skip
        yield jobs, listening


@contextlib.contextmanager
def _certificates(roles: Sequence[Role]) -> Iterator[str]:
    """A folder with certificates for the roles, for as long as it is needed."""
    from klorpy.environment.certificates import make_certificates

    with tempfile.TemporaryDirectory(prefix="klorpy-") as folder:
        for _ in make_certificates(folder, roles, days=1):
            pass
        yield folder


def _environment() -> dict[str, str]:
    """The environment of a process, which has to find the klorpy that runs here."""
    home = str(Path(klorpy.__file__).parent.parent)
    places = [place for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place]
    if home not in (*places, *site.getsitepackages(), site.getusersitepackages()):
        places.append(home)
    return {**os.environ, "PYTHONPATH": os.pathsep.join(places)}


# --- All processes ----------------------------------------------------------------------------------------------------


class Launch:
    """The processes of one run, and what they have told. `signal` is what ended it early, if it was one."""

    def __init__(self, chor: Choreography, palette: Palette, *, quiet: bool, drawn: bool) -> None:
        self.chor = chor
        self.palette = palette
        self.quiet = quiet
        self.drawn = drawn
        #: What a chart needs, or else what the table of results does.
        self.records: list[Record] = []
        self.ended: dict[Role, Ended] = {}
        self.signal: int | None = None
        self.late: tuple[Role, ...] = ()
        self._merge = Merge()
        self._story = Story(sites_of(chor), complete=True)
        self._stamps: dict[Role, int] = {}
        self._processes: dict[Role, asyncio.subprocess.Process] = {}
        self._feeders: list[asyncio.Task[None]] = []
        #: Lines of the roles' processes, and in the end their status.
        self._told: asyncio.Queue[tuple[Role, bytes | int]] = asyncio.Queue(1000)
        #: When those that are left are ended.
        self._until: float | None = None

    async def run(self, jobs: Sequence[Job], sockets: Sequence[socket.socket], timeout: float | None) -> None:
        """Start all processes and listen to them until all have ended, or have been ended."""
        loop = asyncio.get_running_loop()
        self._until = None if timeout is None else loop.time() + timeout
        try:
            with self._signals(loop):
                for job in jobs:
                    await self._start(job)
                for sock in sockets:
                    sock.close()  # nobody but its process may answer there
                await self._listen(len(jobs))
        except asyncio.CancelledError:
            if self.signal is None:
                raise
        finally:
            await self._end()

    @contextlib.contextmanager
    def _signals(self, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        """End the run, in good order, for the signals that would end this process."""
        task = asyncio.current_task()
        assert task is not None

        def interrupt(number: int) -> None:
            if self.signal is None:
                self.signal = number
                task.cancel()

        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        with contextlib.suppress(ValueError, RuntimeError):  # in another thread than the main one signals do not come
            for number in numbers:
                loop.add_signal_handler(number, interrupt, number)
        try:
            yield
        finally:
            for number in numbers:
                with contextlib.suppress(ValueError, RuntimeError):
                    loop.remove_signal_handler(number)

    async def _start(self, job: Job) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            job = replace(job, report=theirs.fileno())
            given = [theirs.fileno()] + ([] if job.listen is None else [job.listen])
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "klorpy.environment.launched", msgspec.json.encode(job).decode(),
                stdin=asyncio.subprocess.DEVNULL, pass_fds=given, env=_environment(),
                # What is typed at the terminal is for the launcher, which then ends its processes in good order.
                start_new_session=True,
            )  # fmt: skip
        self._processes[job.role] = process
        self._feeders.append(asyncio.create_task(self._feed(job.role, process, ours)))

    async def _feed(self, role: Role, process: asyncio.subprocess.Process, sock: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=sock, limit=_LINE)
        try:
            while line := await reader.readline():
                await self._told.put((role, line))
            await self._told.put((role, await process.wait()))
        finally:
            writer.close()

    async def _listen(self, count: int) -> None:
        while count:
            try:
                async with asyncio.timeout_at(self._until):
                    role, what = await self._told.get()
            except TimeoutError:
                if self.late or self._story.failed:
                    return
                self.late = tuple(role for role, process in self._processes.items() if process.returncode is None)
                self._signal(signal.SIGTERM)  # they say where they are
                self._until = asyncio.get_running_loop().time() + _TOLD
                continue
            if self.late:
                count -= isinstance(what, int)
                if not isinstance(what, int) and isinstance(found := read(what), Ended):
                    self.ended[role] = found
            elif isinstance(what, int):
                count -= 1
                self._gone(role, what)
            elif isinstance(found := read(what), Ended):
                self.ended[role] = found
            else:
                self._record(found)

    def _record(self, record: Record) -> None:
        self._stamps[record.role] = record.stamp
        for ready in self._merge.add(record):
            self._show(ready)

    def _show(self, record: Record) -> None:
        if self.drawn or record.kind in ("joined", "left"):
            self.records.append(record)
        lines = event_lines(self._story.tell(record), self.palette)
        if lines and not self.quiet:
            print("\n".join(lines), flush=True)
        if record.kind == "left" and record.peer:
            self._hurry(_OTHERS)

    def _gone(self, role: Role, status: int) -> None:
        """A process has ended. Whoever did not say how has failed."""
        ended = self.ended.get(role)
        if role not in self._story.left:
            if ended is None:
                ended = self.ended[role] = Ended(cause=_fate(status))
            self._record(Record("", role, self._stamps.get(role, 0) + 1, "left", role, text=ended.cause))
        for ready in self._merge.without(role):
            self._show(ready)

    def _hurry(self, seconds: float) -> None:
        """Give the processes that are left so much time."""
        until = asyncio.get_running_loop().time() + seconds
        self._until = until if self._until is None else min(self._until, until)

    def _signal(self, number: signal.Signals) -> list[asyncio.subprocess.Process]:
        """Send a signal to all processes that are left, which are given back."""
        left = [process for process in self._processes.values() if process.returncode is None]
        for process in left:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)
        return left

    async def _end(self) -> None:
        """End all processes that are left, and leave nothing behind."""
        for number, patience in ((signal.SIGTERM, 0 if self.late else _TOLD), (signal.SIGKILL, None)):
            left = self._signal(number)
            if left:
                waits = [asyncio.ensure_future(process.wait()) for process in left]
                await asyncio.wait(waits, timeout=patience)
        for feeder in self._feeders:
            feeder.cancel()
        await asyncio.gather(*self._feeders, return_exceptions=True)

    def verdict(self, failed: Sequence[Role]) -> str | None:
        """The one verdict, as it is shown; None when all went well. `failed` are the roles that did, the first one first."""
        name = self.chor.name
        if failed:
            first = self.ended.get(failed[0], Ended())
            if first.error:
                return first.error
            notes = tuple(dict.fromkeys(note for ended in self.ended.values() for note in ended.at))
            # A process that died after it had left its session could not say more than the session heard.
            left = (record.text for record in self.records if record.kind == "left" and record.role == failed[0])
            cause = first.cause or next(left, "")
            return KlorError(Diagnostic("choreography-failed", f"{name} failed at {failed[0]}: {cause}", notes=notes)).render()
        if self.late:
            at = {role: self.ended.get(role, Ended()).at for role in self.late}
            begun = {record.role for record in self.records}
            notes = tuple(
                note for role, places in at.items()
                for note in places or (f"{role} {'has not ended' if role in begun else 'had not begun'}",)
            )  # fmt: skip
            help = (
                "what keeps them there? If it needs longer, give a longer timeout" if all(at.values())
                else "is there code that takes long, or a loop that never ends? If they need longer, give a longer timeout"
            )  # fmt: skip
            return KlorError(Diagnostic("timeout", f"{name} did not end in time", notes=notes, help=help)).render()
        return next((ended.error for ended in self.ended.values() if ended.error), None)


def _fate(status: int) -> str:
    """How a process ended that did not say it."""
    if status >= 0:
        return f"its process ended with status {status}"
    return f"its process was ended by {signal.Signals(-status).name}"
