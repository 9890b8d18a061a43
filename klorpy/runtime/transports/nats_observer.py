"""Observing sessions over NATS: nobody has to allow it but the server, and no role notices.

    url, session, identity  ->  what the server carries, as it comes      observe_server

What is published is heard at once; what was before is read from the stream, and so is what was not heard, after a break
for example. That is not read from the stream which is heard, since the last to leave a session removes it there.

A role sends to several others in no particular order. So each record is held back for a moment, and told in the order of
the stamps.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import anyio

from klorpy.core.diagnostics import KlorError
from klorpy.core.types import Role
from klorpy.runtime.sessions.peer import Record
from klorpy.runtime.transports.nats_link import Link, Unanswered, place
from klorpy.runtime.transports.nats_names import Names
from klorpy.runtime.transports.nats_outbox import MESSAGE_ID, PATIENCE, PAUSE, ServerError
from klorpy.runtime.transports.nats_packets import WHO
from klorpy.runtime.transports.nats_reading import Reading
from klorpy.runtime.transports.observer import Attached, Detached, Observation, Seen, Sight
from klorpy.runtime.transports.tls import Identity

if TYPE_CHECKING:
    from nats.aio.msg import Msg

#: Seconds that a record is held back; between two looks at who is there; and that what is missing may still come.
_HELD: Final = 0.1
_LOOK: Final = 1.0
_MISSING: Final = 2 * PATIENCE
#: Bytes and messages that wait to be read here; when it is more, the stream is read.
_ROOM: Final = 64 << 20
_MESSAGES: Final = 1000
#: Nanoseconds: until the server forgets a consumer to which nobody listens, and until it says that there is nothing more.
_INACTIVE: Final = 10**9
_IDLE: Final = 2 * 10**8

#: The server's number for: there is no such stream.
_NO_STREAM: Final = 10059


@asynccontextmanager
async def observe_server(
    url: str, *, app: str = "klorpy", session: str = "", identity: Identity | None = None, grace: float = 5.0
) -> AsyncIterator[Observation]:
    """Observe an application at the NATS server at `url`: `session`, or "" for all.

    It ends when the server stays away for `grace` seconds; a session whose processes are all gone for so long has failed.
    Raises KlorError `no-server`, `not-permitted` or `bad-argument`.
    """
    observer = _Observer(url, Names(app), session, identity, grace)
    failed: Exception | None = None
    async with anyio.create_task_group() as tasks:
        try:
            await observer.link.open(tasks)
            try:
                await observer.listen()
                tasks.start_soon(observer.work)
                yield observer.observation
            finally:
                with anyio.CancelScope(shield=True):
                    await observer.link.close()
        except Exception as error:  # to come out as it is, and not in a group
            failed = error
        tasks.cancel_scope.cancel()
    if failed is not None:
        raise failed


class _Absence:
    """Since when nobody listens for a role, as far as is known; and whether the latest question came back."""

    def __init__(self) -> None:
        self.since: float | None = None
        self.unheard = False
        self.token = ""


class _Observer:
    def __init__(self, url: str, names: Names, session: str, identity: Identity | None, grace: float) -> None:
        self.link = Link(
            url, identity, heartbeat=2 * grace, grace=grace, lost=self._lost, back=self._back, gone=self._gone
        )  # fmt: skip
        self.observation = Observation([self.link.name])
        self._names = names
        self._subject = names.session(session) if session else names.stored()
        self._reading = Reading()
        self._heard: asyncio.Queue[Msg] = asyncio.Queue(_MESSAGES)
        #: What is held back, and since when.
        self._held: list[tuple[float, Record]] = []
        #: The largest stamp of each session, and the roles that others say are lost.
        self._stamps: dict[str, int] = {}
        self._blamed: set[tuple[str, Role]] = set()
        self._absences: dict[tuple[str, Role], _Absence] = {}
        #: Whether the stream is to be read, and when it is because something is missing.
        self._unread = True
        self._missing: float | None = None
        self._ended: KlorError | None = None

    async def listen(self) -> None:
        """Listen, and read what was before. Raises KlorError."""
        try:
            await self.link.listen(self._subject, self._heard.put, _ROOM)
            await self._read()
            self.link.check_heard(self._subject)
            self._held = [(0.0, record) for _, record in self._held]
        except KlorError as error:
            if error.slug != "not-permitted":
                raise
            help = "look on as the user klorpy-observer, which `klorpy nats permissions FILE CHOR --observer` prints"
            raise KlorError(error.message, slug=error.slug, help=help) from None

    async def work(self) -> None:
        """Tell what is heard, until the server is gone."""
        loop = asyncio.get_running_loop()
        look = loop.time() + _LOOK
        await self._tell()
        await self._put(Attached(self.link.name))
        try:
            while self._ended is None:
                if self._unread or (self._missing is not None and self._missing < loop.time()):
                    await self._read()
                await self._tell()
                if look < loop.time():
                    look = loop.time() + _LOOK
                    await self._bury(self._look())
                await self._next(_HELD if self._held else _LOOK)
        except KlorError as error:
            self._ended = error
        self._held = [(0.0, record) for _, record in self._held]
        await self._tell()
        await self._put(Detached(self.link.name, self._ended.message, self._ended.slug))

    async def _next(self, patience: float) -> None:
        """Take in what is heard next, if something is within so many seconds."""
        try:
            async with asyncio.timeout(patience):
                message = await self._heard.get()
        except TimeoutError:
            return
        self._take(message)
        while not self._heard.empty():
            self._take(self._heard.get_nowait())

    def _take(self, message: Msg) -> None:
        id = (message.headers or {}).get(MESSAGE_ID, "")
        self._hold(self._reading.read(message.subject, message.data, id))
        if not self._reading.gaps:
            self._missing = None
        elif self._missing is None:
            self._missing = asyncio.get_running_loop().time() + _MISSING

    # --- Telling ------------------------------------------------------------------------------------------------------

    def _hold(self, records: list[Record]) -> None:
        now = asyncio.get_running_loop().time()
        for record in records:
            self._held.append((now, record))
            self._stamps[record.session] = max(record.stamp, self._stamps.get(record.session, 0))
            if record.kind == "left" and record.peer not in ("", record.role):
                self._blamed.add((record.session, record.peer))

    async def _tell(self) -> None:
        """Tell what was held for long enough, and what stands before it."""
        since = asyncio.get_running_loop().time() - _HELD
        # The sort is stable: what a role did at the same time stays in its order.
        self._held.sort(key=lambda held: (held[1].stamp, held[1].role))
        count = max((i for i, (came, _) in enumerate(self._held, 1) if came <= since), default=0)
        told, self._held = self._held[:count], self._held[count:]
        for _, record in told:
            await self._put(Seen(self.link.name, record))

    async def _put(self, sight: Sight) -> None:
        await self.observation.sights.put(sight)

    # --- The stream ---------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        """Read what the server has stored; what is missing then was removed. Raises KlorError."""
        self._unread = False
        since = asyncio.get_running_loop().time()
        while self._ended is None:
            try:
                await self._read_stored()
                break
            except ServerError as error:
                if error.number == _NO_STREAM:  # no role has come to the server yet
                    break
                if error.code != 503:
                    raise self.link.no_server("shows nobody its stream", error) from None
            except (TimeoutError, Unanswered):
                if self.link.connected and asyncio.get_running_loop().time() - since > self.link.grace:
                    self.link.check_heard(self.link.answers)
                    raise self.link.no_server("has no JetStream", None) from None
            await anyio.sleep(PAUSE)
        self._hold(self._reading.settle())
        self._missing = None

    async def _read_stored(self) -> None:
        names, deliver = self._names, self.link.new_inbox()
        stored: asyncio.Queue[Msg] = asyncio.Queue(_MESSAGES)
        listening = await self.link.listen(deliver, stored.put)
        try:
            name = f"trace=={secrets.token_hex(8)}"
            config = {
                "name": name, "filter_subject": self._subject, "deliver_subject": deliver, "deliver_policy": "all",
                "ack_policy": "none", "replay_policy": "instant", "mem_storage": True, "inactive_threshold": _INACTIVE,
                "idle_heartbeat": _IDLE,
            }  # fmt: skip
            what = f"CONSUMER.CREATE.{names.stream}.{name}.{self._subject}"
            made = await self.link.api(what, {"stream_name": names.stream, "config": config})
            left = made["num_pending"] + made["delivered"]["consumer_seq"]
            while left:
                async with asyncio.timeout(PATIENCE):
                    message = await stored.get()
                found = place(message)
                if found is None:
                    break  # the server is idle: it has nothing more, since messages were removed meanwhile
                self._take(message)
                left = min(left - 1, found[1])  # what came since is heard
        finally:
            await self.link.deaf(listening)

    # --- Who is there -------------------------------------------------------------------------------------------------

    def _look(self) -> set[tuple[str, Role]]:
        """Ask in sessions that are silent who is there. Those who are gone, where nobody is there who could say so."""
        if not self.link.connected:
            return set()
        reading = self._reading
        heard, reading.heard = reading.heard, set()
        for key in [key for key in self._absences if key[0] in heard or key not in reading.there]:
            self.link.forget(self._absences.pop(key).token)
        now = asyncio.get_running_loop().time()
        silent = {key for key in reading.there if key[0] not in heard}
        gone = {key for key in silent if self._is_gone(*key, now)}
        return gone - {key for key in gone if any(key[0] == session for session, _ in silent - gone)}

    def _is_gone(self, session: str, role: Role, now: float) -> bool:
        """Whether nobody plays a role any more, as far as the latest answers tell; asks again."""
        absence = self._absences.setdefault((session, role), _Absence())
        if not absence.unheard:
            absence.since = None
        elif absence.since is None:
            absence.since = now
        self.link.forget(absence.token)
        absence.unheard = False

        def nobody(message: Msg) -> None:
            absence.unheard = True

        absence.token = self.link.token(nobody)
        self.link.outbox.say(self._names.asked(session, role), WHO, absence.token)
        if absence.since is None:
            return False
        return (session, role) in self._blamed or now - absence.since >= self.link.grace

    async def _bury(self, gone: set[tuple[str, Role]]) -> None:
        """Tell that roles have left that are gone, unless the stream knows better. Raises KlorError."""
        if not gone:
            return
        await self._read()
        for session, role in sorted(gone & self._reading.there):
            self._reading.gone(session, role)
            # The last to leave removes the session. When nobody said that the role is lost, it was we who were away.
            known = session in self._reading.heard or (session, role) in self._blamed
            text = "its connection with the NATS server is gone" if known else "how it ended was not heard"
            self._hold([Record(session, role, self._stamps.get(session, 0) + 1, "left", role, text=text)])

    # --- The connection -----------------------------------------------------------------------------------------------

    async def _lost(self) -> None:
        for absence in self._absences.values():
            absence.since, absence.unheard = None, False

    def _back(self) -> None:
        self._unread = True

    def _gone(self, error: KlorError) -> None:
        self._ended = error
