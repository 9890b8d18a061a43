"""The command that looks on at a session between other processes, and shows or draws it as one run.

    klorpy trace --connect ADDR … | --nats URL [--session ID] [--output PATH] [--of FILE CHOR] [--tls DIR]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final

from klorpy.core.choreography import Choreography
from klorpy.core.diagnostics import Diagnostic, KlorError, render
from klorpy.environment.arguments import find_choreography
from klorpy.environment.present import Palette, event_lines, wants_colour
from klorpy.environment.traces import Story, run_of
from klorpy.runtime.sessions import Merge, Record
from klorpy.runtime.sessions.arguments import check_session
from klorpy.runtime.transports.nats_observer import observe_server
from klorpy.runtime.transports.observer import Attached, Detached, Observation, Place, Seen, Sight, Waiting, observe
from klorpy.runtime.transports.observing import OBSERVER
from klorpy.runtime.transports.tls import Identity

#: Seconds that a message waits for the record of its sending, before it is told without.
_PATIENCE: Final = 0.5


def add_trace(commands: Any) -> None:
    """Add `trace` to the commands of the parser."""
    trace = commands.add_parser(
        "trace", help="look on at roles in other processes", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Show what happens in sessions between other processes, as one log in causal order.\n"
        "Over TCP the processes have to allow it: klorpy play --listen ADDR --observe. It ends when they have.\n"
        "Over NATS it reads at the server what was sent.",
    )  # fmt: skip
    ways = trace.add_mutually_exclusive_group(required=True)
    ways.add_argument("--connect", action="extend", nargs="+", metavar="ADDR", help="where the processes listen")
    ways.add_argument("--nats", metavar="URL", help="the NATS server at which the processes meet")
    trace.add_argument("--app", metavar="NAME", help="the application, at a NATS server that has several")
    trace.add_argument("--session", default="", metavar="ID", help="this session only; it ends when the session has")
    trace.add_argument("--output", metavar="PATH", help="write a message sequence chart: .svg, .txt or .mmd")
    trace.add_argument("--of", nargs=2, metavar=("FILE", "CHOR"), help="the choreography, so that a chart shows its forms")
    trace.add_argument("--tls", metavar="DIR", help=f"speak TLS, with the certificate for {OBSERVER} from this folder")
    trace.set_defaults(command=_trace)


def _trace(arguments: argparse.Namespace) -> int:
    if arguments.output is not None:
        from klorpy.environment.diagrams import check_path

        check_path(arguments.output)
    if arguments.app is not None and arguments.nats is None:
        raise KlorError(
            "--app is for roles that meet at a NATS server", slug="bad-argument", help="add --nats URL, or leave it out"
        )
    if arguments.session:
        check_session(arguments.session)
    identity = Identity.of(arguments.tls, [OBSERVER]) if arguments.tls else None
    chor = find_choreography(*arguments.of) if arguments.of else None
    trace = Trace(arguments.session, receipts=arguments.nats is None)
    with contextlib.suppress(KeyboardInterrupt):  # what was seen is worth something
        asyncio.run(trace.follow(_observing(arguments, identity)))
    trace.finish()
    if arguments.output is not None:
        trace.draw(Path(arguments.output), chor)
    return 1 if trace.trouble else 0


def _observing(arguments: argparse.Namespace, identity: Identity | None) -> AbstractAsyncContextManager[Observation]:
    if arguments.nats is None:
        return observe(arguments.connect, session=arguments.session, identity=identity)
    return observe_server(arguments.nats, app=arguments.app or "klorpy", session=arguments.session, identity=identity)


class _Session:
    """One of the sessions that are seen."""

    def __init__(self, receipts: bool) -> None:
        self.merge = Merge()
        self.story = Story(receipts=receipts)
        self.records: list[Record] = []
        #: The addresses at which some role of it is.
        self.addresses: set[Place] = set()


class Trace:
    """What is seen of sessions, shown as it comes. `session` is the only one, or "" for all.

    Without `receipts` nobody tells what is received, and messages are shown when they are sent.
    """

    def __init__(self, session: str, show: Callable[[str], object] = print, receipts: bool = True) -> None:
        self.session = session
        self.receipts = receipts
        self.sessions: dict[str, _Session] = {}
        #: Whether some node refused, or was lost.
        self.trouble = False
        self._print = show

    async def follow(self, observing: AbstractAsyncContextManager[Observation]) -> None:
        """Observe until all nodes have ended, or the session has. Raises what `observing` does."""
        async with observing as observation:
            while not self._over(observation):
                held = any(session.merge.missed for session in self.sessions.values())
                try:
                    async with asyncio.timeout(_PATIENCE if held and observation.attached >= observation.left else None):
                        sight = await observation.next()
                except TimeoutError:
                    self.finish()
                    continue
                if sight is None:
                    return
                self.saw(sight)

    def saw(self, sight: Sight) -> None:
        match sight:
            case Seen(address, record):
                session = self.sessions.setdefault(record.session, _Session(self.receipts))
                session.addresses.add(address)
                session.records.append(record)
                self._tell(record.session, session.merge.add(record))
            case Waiting(address, reason):
                print(f"waiting for {address}: {reason}", file=sys.stderr)
            case Attached(address) if not self.sessions or (self.session and self.session not in self.sessions):
                what = f"session {self.session}" if self.session else "a session"
                print(f"waiting for {what} at {address}", file=sys.stderr)
            case Detached(address, reason, slug) if reason:
                self.trouble = True
                message = reason if str(address) in reason else f"{address}: {reason}"
                print(render(Diagnostic(slug, message)), file=sys.stderr)

    def finish(self) -> None:
        """Tell what is held back: the messages of roles that nobody observes."""
        for name, session in self.sessions.items():
            while missed := session.merge.missed:
                for role in sorted(missed):
                    self._tell(name, session.merge.without(role))

    def draw(self, path: Path, chor: Choreography | None = None) -> None:
        """Write a chart of the session; of several, one each, with its name in that of the file.

        It shows the forms of `chor` where that is the choreography.
        """
        from klorpy.environment.diagrams import chart

        for name, session in self.sessions.items():
            place = path if len(self.sessions) == 1 else path.with_stem(f"{path.stem}-{re.sub(r'[^-.0-9A-Za-z_]', '_', name)}")
            known = chor if chor is not None and chor.name == session.story.name else None
            chart(run_of(session.records, known, receipts=self.receipts)).save(place)

    def _over(self, observation: Observation) -> bool:
        session = self.sessions.get(self.session)
        if session is None or session.merge.missed:
            return False
        everywhere = session.addresses >= observation.left
        return session.story.over or (everywhere and session.story.observed <= session.story.left.keys())

    def _tell(self, name: str, records: Sequence[Record]) -> None:
        session = self.sessions[name]
        prefix = "" if self.session else f"{name}  "
        for record in records:
            if record.kind == "missed":
                what = f"messages of {record.role} to {record.peer}" if record.peer else f"records of {record.role}"
                self._print(f"{prefix}… {record.number} {what} are missing: this observer was too slow …")
                continue
            events = session.story.tell(record)
            palette = Palette(session.story.roles, wants_colour(sys.stdout) and bool(session.story.roles))
            for line in event_lines(events, palette):
                self._print(prefix + line)
        sys.stdout.flush()
