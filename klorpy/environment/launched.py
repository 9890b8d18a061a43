"""One role of `klorpy launch`, in a process of its own: `python -m klorpy.environment.launched JOB`.

It plays the role and reports to the launcher what happens. When the launcher is gone, whatever became of it, the role
ends.
"""

from __future__ import annotations

import asyncio
import io
import logging
import os
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Awaitable, Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from typing import Any

import anyio
import msgspec

import klorpy
from klorpy.core.choreography import Choreography, reachable
from klorpy.core.diagnostics import Diagnostic, KlorError
from klorpy.core.events import describe_error
from klorpy.core.types import Role
from klorpy.core.values import noop, show
from klorpy.core.verdicts import SessionFailed
from klorpy.environment.arguments import find_choreography, read_argument
from klorpy.environment.ending import Ending, ToEnd
from klorpy.environment.present import exception_text
from klorpy.environment.reports import Ended, Job, Report
from klorpy.runtime.places import find_place
from klorpy.runtime.scopes import texts
from klorpy.runtime.sessions import Record, Seat
from klorpy.runtime.transports.tls import Identity

#: Seconds.
_NEVER = 1e6


class Lines(io.TextIOBase):
    """What host code writes, as records of lines."""

    def __init__(self, seat: Seat, report: Report) -> None:
        self._seat = seat
        self._report = report
        self._partial = ""

    def write(self, text: str) -> int:
        *lines, self._partial = (self._partial + text).split("\n")
        for line in lines:
            self._line(line)
        return len(text)

    def finish(self) -> None:
        """Report what stands after the last newline."""
        if self._partial:
            self._line(self._partial)
            self._partial = ""

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    def _line(self, line: str) -> None:
        self._report.record(Record(self._seat.session, self._seat.role, self._seat.clock, "printed", text=line))


def _terminate(number: int, frame: object) -> None:
    raise ToEnd


def main(argv: Sequence[str]) -> int:
    job = msgspec.json.decode(argv[0], type=Job)
    sys.path[:] = job.path
    sock = socket.socket(fileno=job.report)
    sock.set_inheritable(False)
    report = Report(sock)
    threading.Thread(target=_end_with_launcher, args=(sock,), daemon=True).start()
    logging.basicConfig(format=f"{job.role}: %(message)s", level=logging.WARNING)
    try:
        # Host code that waits or computes is interrupted, too, and its `finally` clauses run.
        signal.signal(signal.SIGTERM, _terminate)
        return _run(job, report)
    except ToEnd:
        return 128 + signal.SIGTERM


def _run(job: Job, report: Report) -> int:
    """Load the file and play the role; gives the exit status. Raises ToEnd when the launcher ends the process."""
    try:
        # The launcher has loaded the file as well, and has shown what it warns of and prints.
        with redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            chor = find_choreography(job.file, job.chor)
            args = [read_argument(text) for text in job.args]
    except Exception as error:
        report.ended(_failed(None, job.role, error))
        return 1
    at = [f"{job.role} had not met all others"]
    try:
        anyio.run(_until_terminated, _play, job, chor, args, report, at)
    except ToEnd:
        report.ended(Ended(at=tuple(at[-1:])))
        raise
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # host code may raise any of them
        report.ended(_failed(chor, job.role, error))
        return 1
    return 0


async def _until_terminated(play: Callable[..., Awaitable[None]], *args: Any) -> None:
    """Run `play`. When the launcher ends the process, the role leaves its session first; raises ToEnd then."""
    task = asyncio.current_task()
    assert task is not None
    ending = Ending(asyncio.get_running_loop(), task.cancel)
    signal.signal(signal.SIGTERM, ending)
    try:
        await play(*args)
    except (asyncio.CancelledError, SessionFailed) as error:
        if ending.received is None:  # the session may fail because the others are ended as well
            raise
        raise ToEnd from error
    finally:
        signal.signal(signal.SIGTERM, _terminate)


async def _play(job: Job, chor: Choreography, args: Sequence[Any], report: Report, at: list[str]) -> None:
    """Play the role; `at` gets a sentence about where it was when it ended."""
    listen = None
    if job.listen is not None:
        listen = socket.socket(fileno=job.listen)
        listen.set_inheritable(False)
    tls = Identity.of(job.tls, [job.role]) if job.tls else None
    async with klorpy.host(
        # A role that computes for long is silent; the launcher sees when its process ends.
        listen=listen, peers=job.peers, nats=job.nats, tls=tls, sessions=[job.session], heartbeat=_NEVER,
    ) as node:  # fmt: skip
        node.observe(report.record)
        # Whoever does not come has ended, and the launcher sees that.
        async with node.join(chor, job.role, job.session, deadline=None, order=job.order) as seat:
            lines = Lines(seat, report)
            with redirect_stdout(lines):
                try:
                    result = await klorpy.play_role(klorpy.RoleConfig(job.role, transport=seat), chor, *args)
                    at.append(f"{job.role} had done its part")
                except BaseException as error:
                    at.append(f"{job.role} was at {seat.at}" if seat.at else f"{job.role} ran code of its own")
                    if isinstance(error, ToEnd):
                        span, source = find_place(error, reachable(chor).values())
                        if span and source:
                            at.append(f"{job.role} was at {source.filename}:{span}")
                    if isinstance(error, ToEnd | asyncio.CancelledError):
                        report.ended(Ended(at=tuple(at[-1:])))  # already now: to leave may take longer than there is time
                    if isinstance(error, ToEnd):
                        await anyio.sleep_forever()  # until the role is cancelled, so that leaving is not
                    raise
                finally:
                    lines.finish()
    seat.check()
    report.ended(Ended(None if result is noop else show(result, 10_000)))


def _end_with_launcher(sock: socket.socket) -> None:
    """End this process at once when the other end of the socket is closed."""
    try:
        while sock.recv(1):
            pass
    finally:
        # The role may compute and never look; and there is nobody left to whom it could matter how it ends.
        os._exit(1)


def _failed(chor: Choreography | None, role: Role, error: BaseException) -> Ended:
    """How a role ended that raised `error`, in the words that a simulation has for it."""
    cause = describe_error(error)
    if isinstance(error, SessionFailed) and (error.verdict is None or error.verdict.role != role):
        return Ended(error=error.render(), cause=cause, at=error.notes)
    if chor is None:
        return Ended(error=error.render() if isinstance(error, KlorError) else exception_text(error), cause=cause, own=True)
    message = f"{chor.name} failed at {role}: {cause}"
    found = error.diagnostic if isinstance(error, KlorError) else Diagnostic("choreography-failed", "")
    if found.span is None:
        span, source = find_place(error, texts(reachable(chor)))
        found = replace(found, span=span, source=source)
    notes = (f"this is the error {found.slug}",) if isinstance(error, KlorError) else ()
    label = f"{role} failed here" if found.span else ""
    diagnostic = replace(found, slug="choreography-failed", message=message, label=label, notes=notes)
    text = KlorError(diagnostic).render()
    if not isinstance(error, KlorError):
        text += "\n\n" + exception_text(error)
    return Ended(error=text, cause=cause, own=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
