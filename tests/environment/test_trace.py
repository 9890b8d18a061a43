"""`klorpy trace`: sessions between other processes as one log in causal order, and as a chart."""

from __future__ import annotations

import re
import socket
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

import klorpy
from klorpy.core.events import Event
from klorpy.environment.certificates import make_certificates
from klorpy.environment.cli import main
from klorpy.environment.diagrams import chart
from klorpy.environment.traces import Story, run_of
from klorpy.environment.tracing import Trace
from klorpy.runtime.sessions import Identity, Record
from klorpy.runtime.transports.observer import Attached, Sight, observe
from tests.runtime.transports.nats_server import MISSING, PROGRAM, shared_server
from tests.runtime.transports.test_nats import everyone, started

NS = klorpy.evaluate("""
(import klorpy)

(defn no [x]
  (raise (klorpy.KlorError f"no {x}")))

(defchor relay [A B C] (-> A C) [x]
  (B->C (B (+ 1 (A->B x)))))

(defchor crash [A B C] (-> A C) [x]
  (B->C (B (/ 1 (A->B x)))))

(defchor refuse [A B C] (-> A A) [x]
  (C->A (B->C (B (no (A->B x))))))
""")


def record(role: str, stamp: int, kind: str, peer: str = "", number: int = 0, text: str = "") -> Record:
    return Record("s", role, stamp, kind, peer, number, text=text)


RUN = [
    record("A", 1, "joined", text="ask [A B]"), record("B", 1, "joined", text="ask [A B]"),
    record("A", 2, "sent", "B", 1, "21"), record("A", 2, "printed", text="hello"), record("A", 3, "sent", "B", 2, "22"),
    record("B", 3, "received", "A", 1, "21"), record("A", 4, "left"),
]  # fmt: skip


def told(story: Story, records: list[Record]) -> list[str]:
    return [str(event) for record in records for event in story.tell(record)]


def test_a_message_is_told_once_when_it_is_received() -> None:
    story = Story()
    assert told(story, RUN) == ["A: hello", "A --> B: 21", "A exited normally"]
    assert (story.name, story.roles, story.over) == ("ask", ("A", "B"), False)


def test_a_message_to_a_role_that_nobody_observes_is_told_when_it_is_sent() -> None:
    story = Story()
    assert told(story, [r for r in RUN if r.role == "A"])[:2] == ["A --> B: 21", "A: hello"]
    # And not again if it turns out that the role is observed.
    assert told(story, [RUN[1], RUN[5]]) == []


def test_a_role_that_was_killed_fails_in_the_words_of_another() -> None:
    lost = record("A", 4, "left", "B", text="the connection was closed")
    assert told(Story(), [lost, lost]) == ["B exited abruptly: the connection was closed"]
    # Unless each is known to report for itself.
    assert told(Story(complete=True), [lost, record("B", 4, "left", "B", text="its process ended with status 3")]) == [
        "B exited abruptly: its process ended with status 3"
    ]


def test_a_chart_of_records() -> None:
    failed = [*RUN, record("B", 5, "left", "B", text="ValueError: no")]
    drawn = chart(run_of(failed)).text(60)
    assert "ask" in drawn.splitlines()[0]
    assert re.search(r"─22─+[×✗x╳┤]|22", drawn), "the message that was never received"
    assert "ValueError: no" in drawn
    run = run_of(failed)
    assert [str(message) for message in run.unread] == ["A --> B: 22"]
    assert run.failures.keys() == {"B"}
    assert run.results == {"A": klorpy.noop}


# --- Over TCP ---------------------------------------------------------------------------------------------------------


def run(function: Any) -> Any:
    async def limited() -> Any:
        with anyio.fail_after(60):
            return await function()

    return anyio.run(limited)


class Nodes:
    """A node for each role, in this process; of each two one connects to the other."""

    def __init__(self, chor: Any, observed: str, tls: Path | None = None) -> None:
        self.chor = chor
        self.observed = observed
        self.tls = tls
        self.sockets = {role: socket.create_server(("127.0.0.1", 0)) for role in chor.roles}
        self.addresses = {role: f"127.0.0.1:{sock.getsockname()[1]}" for role, sock in self.sockets.items()}
        self.nodes: dict[str, Any] = {}

    async def play(self, session: str, x: int) -> list[BaseException]:
        errors: list[BaseException] = []

        async def one(role: str, *args: int) -> None:
            try:
                async with self.nodes[role].join(self.chor, role, session) as seat:
                    await klorpy.play_role({"role": role, "transport": seat}, self.chor, *args)
            except klorpy.KlorError as error:
                errors.append(error)
            except ZeroDivisionError as error:
                errors.append(error)

        async with anyio.create_task_group() as group:
            group.start_soon(one, "A", x)
            group.start_soon(one, "B")
            group.start_soon(one, "C")
        return errors

    async def attached(self) -> None:
        for role in self.observed:
            await self.nodes[role].carrier._observers._came.wait()

    async def __aenter__(self) -> Nodes:
        self._stack = AsyncExitStack()
        roles = list(self.sockets)
        for i, role in enumerate(roles):
            peers = {other: self.addresses[other] for other in roles[:i]}
            self.nodes[role] = await self._stack.enter_async_context(klorpy.host(
                listen=self.sockets[role], peers=peers, observers=role in self.observed,
                tls=Identity.of(self.tls, [role]) if self.tls else None,
            ))  # fmt: skip
        return self

    async def __aexit__(self, *exc: Any) -> None:
        await self._stack.aclose()


class Watching(Trace):
    """A trace that lets tests know when it is attached."""

    def __init__(self, session: str, count: int) -> None:
        self.lines: list[str] = []
        super().__init__(session, self.lines.append)
        self.left = count
        self.attached = anyio.Event()

    def saw(self, sight: Sight) -> None:
        super().saw(sight)
        self.left -= isinstance(sight, Attached)
        if not self.left:
            self.attached.set()


def traced(chor: Any, observed: str, x: int, session: str = "s1") -> tuple[Watching, list[str]]:
    """What a trace of one session shows, at the addresses of the roles `observed`."""

    async def both() -> Watching:
        trace = Watching(session, len(observed))
        nodes = Nodes(chor, observed)
        async with anyio.create_task_group() as group:
            group.start_soon(trace.follow, observe([nodes.addresses[role] for role in observed], session=session))
            async with nodes:
                await trace.attached.wait()
                await nodes.play("s1", x)
                if not session:
                    await nodes.play("s2", x)
        trace.finish()
        return trace

    trace = run(both)
    return trace, trace.lines


def test_a_trace_of_all_roles_is_the_run() -> None:
    trace, lines = traced(NS.relay, "ABC", 1)
    assert [line for line in lines if "-->" in line] == ["A --> B: 1", "B --> C: 2"]
    assert sorted(line for line in lines if "-->" not in line) == [f"{role} exited normally" for role in "ABC"]
    assert not trace.trouble


@pytest.mark.parametrize(
    ("observed", "messages"), [("A", ["A --> B: 1"]), ("B", ["A --> B: 1", "B --> C: 2"]), ("C", ["B --> C: 2"]), ("AC", ["A --> B: 1", "B --> C: 2"])]
)  # fmt: skip
def test_a_trace_of_some_roles_has_what_they_know(observed: str, messages: list[str]) -> None:
    _, lines = traced(NS.relay, observed, 1)
    assert sorted(line for line in lines if "-->" in line) == messages


def test_failures_are_seen_once() -> None:
    trace, lines = traced(NS.crash, "ABC", 0)
    assert [line for line in lines if "abruptly" in line] == ["B exited abruptly: ZeroDivisionError: division by zero"]
    (session,) = trace.sessions.values()
    assert run_of(session.records).failures.keys() == {"B"}


def test_several_sessions_are_told_apart(tmp_path: Path) -> None:
    trace, lines = traced(NS.relay, "ABC", 1, session="")
    assert [line for line in lines if line.startswith("s1  ")] + [line for line in lines if line.startswith("s2  ")] == lines
    trace.draw(tmp_path / "run.mmd", NS.relay)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run-s1.mmd", "run-s2.mmd"]


def test_a_chart_shows_the_forms_of_a_choreography_that_is_given(tmp_path: Path) -> None:
    trace, _ = traced(NS.relay, "ABC", 1)
    for chor, form in ((NS.relay, "(A-&gt;B x)"), (NS.crash, "(A-&gt;B x)"), (None, "(A-&gt;B x)")):
        trace.draw(tmp_path / "run.svg", chor)
        assert (form in (tmp_path / "run.svg").read_text()) == (chor is NS.relay)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "run.txt"
    certificates = tmp_path / "certificates"
    assert len(list(make_certificates(certificates, ["A", "B", "C", "observer"], days=1))) == 5

    async def both() -> int:
        status = 5

        async def trace(nodes: Nodes) -> None:
            nonlocal status
            arguments = ["trace", "--connect", *nodes.addresses.values(), "--output", str(output), "--tls", str(certificates)]
            status = await anyio.to_thread.run_sync(partial(main, arguments))

        async with anyio.create_task_group() as group, Nodes(NS.relay, "ABC", certificates) as nodes:
            group.start_soon(trace, nodes)
            await nodes.attached()
            await nodes.play("order-7", 1)
        return status

    assert run(both) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "-->" in line] == ["order-7  A --> B: 1", "order-7  B --> C: 2"]
    drawn = output.read_text()
    assert "relay: 2 messages" in drawn


def test_a_node_that_refuses_is_trouble(capsys: pytest.CaptureFixture[str]) -> None:
    async def both() -> int:
        async with Nodes(NS.relay, "") as nodes:
            return await anyio.to_thread.run_sync(partial(main, ["trace", "--connect", nodes.addresses["A"]]))

    assert run(both) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "refuses: this process does not let itself be observed" in err


@pytest.mark.parametrize(
    "arguments", [["--connect", "nowhere"], ["--connect", ":0", "--output", "run.gif"], ["--connect", ":0", "--tls", "nowhere"]]
)
def test_wrong_calls(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", *arguments]) == 1
    assert capsys.readouterr().err.startswith("error[bad-argument]: ")


def test_what_is_refused_before_anything_is_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = tmp_path / "nowhere"
    for arguments, message in (
        (["--connect", ":0", "--output", str(nowhere / "run.svg")], f"there is no folder {nowhere}"),
        (["--nats", "nats://127.0.0.1:1", "--output", str(nowhere / "run.svg")], f"there is no folder {nowhere}"),
        (["--connect", ":0", "--app", "shop"], "--app is for roles that meet at a NATS server"),
        (["--nats", "nats://127.0.0.1:1", "--session", "x" * 300], "the name of a session has"),
    ):
        assert main(["trace", *arguments]) == 1
        assert message in capsys.readouterr().err


def test_a_session_that_is_not_there_is_waited_for_with_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    async def both() -> str:
        async with Nodes(NS.relay, "A") as nodes, anyio.create_task_group() as group:
            trace = Watching("nosuch", 1)
            group.start_soon(trace.follow, observe([nodes.addresses["A"]], session="nosuch"))
            await trace.attached.wait()
            group.cancel_scope.cancel()
            return nodes.addresses["A"]

    address = run(both)
    assert capsys.readouterr().err == f"waiting for session nosuch at {address}\n"


# --- Over NATS --------------------------------------------------------------------------------------------------------

needs_server = pytest.mark.skipif(PROGRAM is None, reason=MISSING)


def traced_over_nats(chor: Any, args: dict[str, tuple[Any, ...]], app: str, *options: str | Path) -> tuple[list[str], int]:
    """What `klorpy trace` shows of a session, and its status."""
    server = shared_server()
    tracing = started("trace", "--nats", server.url, "--app", app, "--session", "order 7", *options)
    assert tracing.stderr is not None
    assert tracing.stderr.readline() == f"waiting for session order 7 at 127.0.0.1:{server.port}\n"
    run(partial(everyone, chor, args, server.url, "order 7", app=app))
    out, err = tracing.communicate(timeout=60)
    assert err == ""
    return out.splitlines(), tracing.returncode


@needs_server
def test_the_command_over_nats(tmp_path: Path) -> None:
    output = tmp_path / "run.txt"
    lines, status = traced_over_nats(NS.relay, {"A": (1,)}, "trace", "--output", output)
    assert status == 0
    assert [line for line in lines if "-->" in line] == ["A --> B: 1", "B --> C: 2"]
    assert sorted(line for line in lines if "-->" not in line) == [f"{role} exited normally" for role in "ABC"]
    assert "relay: 2 messages" in output.read_text()


@needs_server
def test_a_failure_over_nats_is_seen_once_and_drawn(tmp_path: Path) -> None:
    output = tmp_path / "run.txt"
    lines, status = traced_over_nats(NS.refuse, {"A": (0,)}, "trace-fails", "--output", output)
    assert status == 0
    assert [line for line in lines if "-->" in line] == ["A --> B: 0"]
    assert [line for line in lines if "abruptly" in line] == ["B exited abruptly: no 0"]
    assert "no 0" in output.read_text()


def test_events_are_drawn_alike_from_any_arrival() -> None:
    """The chart depends on what happened only, not on which connection was quicker."""
    by_role = [r for role in "BA" for r in RUN if r.role == role]
    events: list[list[Event]] = [run_of(records).events for records in (RUN, by_role)]
    assert [str(e) for e in events[0]] == [str(e) for e in events[1]]
