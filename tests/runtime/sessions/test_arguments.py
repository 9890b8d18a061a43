"""What cannot come to anything is refused at once, in Python and at the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import klorpy
from klorpy.environment.certificates import make_certificates
from klorpy.environment.cli import main
from klorpy.runtime.sessions import Node
from tests.runtime.sessions.nodes import address, nodes_of

TEXT = """\
(defchor tell [A B] (-> A B) [x] (A->B x))
(defchor swap [B A] (-> B A) [x] (B->A x))
"""
NS = klorpy.evaluate(TEXT)


@pytest.mark.parametrize(
    ("given", "slug", "message"),
    [
        ({"listen": 4000}, "bad-argument", "listen is an address, not 4000"),
        ({"listen": ":0", "peers": "B=:4"}, "bad-argument", "peers is a dict from roles to their addresses, not \"B=:4\""),
        ({"peers": {"B": 4}}, "bad-argument", "the address of B is host:port, not 4"),
        ({"peers": {"B": ":0"}}, "bad-argument", "':0' is no address of B: nobody can be reached at port 0"),
        ({"peers": {"C": ":4"}}, "role-not-part", "there is an address of C, which is not a role of tell"),
        ({"peers": {"A": ":4"}}, "bad-argument", "there is an address of A, which is played here"),
        ({}, "bad-argument", "there is no way to B: this process has no address, and does not listen itself"),
        ({"listen": ":0", "deadline": "x"}, "bad-argument", "deadline is a number of seconds, not \"x\""),
        ({"listen": ":0", "deadline": -1}, "bad-argument", "deadline is a number of seconds, not -1"),
        ({"listen": ":0", "heartbeat": 0}, "bad-argument", "heartbeat is a number of seconds, not 0"),
        ({"listen": ":0", "grace": float("nan")}, "bad-argument", "grace is a number of seconds, not NaN"),
        ({"listen": ":0", "limits": 5}, "bad-argument", "limits is a klorpy.Limits, not 5"),
        ({"listen": ":0", "session": ""}, "bad-argument", "the name of a session has 1 to 200 characters, not 0"),
        ({"listen": ":0", "session": "s" * 201}, "bad-argument", "the name of a session has 1 to 200 characters, not 201"),
        ({"listen": ":0", "session": 5}, "bad-argument", "the name of a session is a str, not 5"),
        ({"listen": ":0", "role": "C"}, "role-not-part", "C is not a role of tell"),
        ({"listen": "no such host:0"}, "bad-argument", "cannot listen at no such host:0: "),
    ],
)  # fmt: skip
def test_what_connect_refuses(given: dict[str, Any], slug: str, message: str) -> None:
    async def connect() -> None:
        async with klorpy.connect(NS.tell, **({"role": "A", "session": "s"} | given)):
            raise AssertionError("it was taken")

    with pytest.raises(klorpy.KlorError) as caught:
        anyio.run(connect)
    assert caught.value.slug == slug
    assert caught.value.message.startswith(message)
    assert "Unknown error" not in caught.value.message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "there is no way to B: this process has no address, and does not listen itself"),
        ("--connect Bee=:4000", "there is an address of Bee, which is not a role of tell"),
        ("--connect A=:4000", "there is an address of A, which is played here"),
        ("--connect B=:0", "':0' is no address of B: nobody can be reached at port 0"),
        ("--listen :0 --limit 3", "--limit is for --serve"),
        ("--listen :0 --app x", "--app is for roles that meet at a NATS server"),
        ("--connect B=:4000 --observe", "--observe is for a process that listens"),
        ("--listen :0 --deadline -1", "--deadline is a number of seconds, not -1.0"),
        ("--listen :0 --timeout 0", "--timeout is a number of seconds, not 0.0"),
        ("--listen :0 --session=", "the name of a session has 1 to 200 characters, not 0"),
        ("--listen :0 --serve", "--serve plays in every session, so --session means nothing"),
    ],
)  # fmt: skip
def test_what_play_refuses(options: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "tell.hy"
    file.write_text("(require klorpy *)\n" + TEXT, encoding="utf-8")
    assert main(["play", str(file), "tell", "1", "--role", "A", "--session", "s", *options.split()]) == 1
    first = capsys.readouterr().err.splitlines()[0]
    assert first.partition("]: ")[2] == message


@pytest.mark.parametrize("limit", ["0", "-1"])
def test_a_server_of_no_sessions_is_refused(limit: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "tell.hy"
    file.write_text("(require klorpy *)\n" + TEXT, encoding="utf-8")
    assert main(["play", str(file), "tell", "--role", "B", "--serve", "--limit", limit, "--listen", ":0"]) == 1
    assert f"--limit is a positive number of sessions, not {limit}" in capsys.readouterr().err


def refused(function: Callable[[], Any], slug: str) -> str:
    with pytest.raises(klorpy.KlorError) as caught:
        anyio.run(function)
    assert caught.value.slug == slug
    return caught.value.message


def test_a_node_that_was_left_is_closed() -> None:
    async def late() -> None:
        async with klorpy.host() as node:
            pass
        async with node.join(NS.tell, "A", "s"):
            raise AssertionError("it joined")

    assert refused(late, "transport-closed") == "the node is closed, so A cannot join session s"


def test_a_role_is_served_once() -> None:
    async def serve() -> str:
        async with klorpy.host() as node, anyio.create_task_group() as tasks:
            tasks.start_soon(node.serve, NS.tell, "B", lambda seat: seat.close())
            await anyio.lowlevel.checkpoint()
            with pytest.raises(klorpy.KlorError) as caught:
                await node.serve(NS.tell, "B", lambda seat: seat.close())
            tasks.cancel_scope.cancel()
        return f"{caught.value.slug}: {caught.value.message}"

    assert anyio.run(serve) == "role-taken: B is served by this node already"


def test_a_transport_serves_one_run_at_a_time() -> None:
    async def twice() -> list[BaseException]:
        errors: list[BaseException] = []
        async with klorpy.host() as node:
            sender, receiver = node.seat(NS.tell, "A", "s"), node.seat(NS.tell, "B", "s")

            async def play() -> None:
                try:
                    await klorpy.play_role({"role": "B", "transport": receiver}, NS.tell)
                except klorpy.KlorError as error:
                    errors.append(error)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(play)
                tasks.start_soon(play)
            await sender.close()
        return errors

    second, first = anyio.run(twice)
    assert isinstance(second, klorpy.KlorError)
    assert (second.slug, second.message.partition(" at ")[0]) == ("bad-config", "B waits for A")
    # The transport is used up, so the run that waited ends as well.
    assert isinstance(first, klorpy.SessionFailed)


def test_a_server_is_given_what_plays() -> None:
    async def serve() -> None:
        async with klorpy.host() as node:
            await node.serve(NS.tell, "B", 3)  # type: ignore[arg-type]

    assert refused(serve, "bad-argument") == "play is a coroutine function of a seat, not 3"


def test_a_server_has_a_limit() -> None:
    async def serve() -> None:
        async with klorpy.host() as node:
            await node.serve(NS.tell, "B", lambda seat: seat.close(), limit=0)

    assert refused(serve, "bad-argument") == "limit is a positive number of sessions, not 0"


def test_a_transport_speaks_for_its_own_role_only() -> None:
    async def mixed() -> None:
        async with klorpy.host() as node:
            seat = node.seat(NS.tell, "A", "s")
            await klorpy.play_role({"role": "B", "transport": seat}, NS.tell)

    assert refused(mixed, "bad-config") == "the transport speaks as A, but the configuration says B"


def test_a_name_that_was_played_is_not_played_again() -> None:
    async def again() -> None:
        async with klorpy.host(listen=":0") as b:
            async with klorpy.host(peers={"B": address(b)}) as a:
                await _tell({"A": a, "B": b}, 1)
            async with klorpy.host(peers={"B": address(b)}) as a, a.join(NS.tell, "A", "s"):
                raise AssertionError("it joined")

    assert refused(again, "role-taken") == "session s of tell failed: A failed (B has played in a session of this name already)"


@pytest.mark.parametrize(
    ("folder", "role", "message"),
    [
        ("file/keys", "A", "cannot make the folder file/keys: Not a directory"),
        ("keys", "A+x/../y", "'x/../y' is no role that a certificate can be made for"),
        ("keys", "A+", "'' is no role that a certificate can be made for"),
    ],
)
def test_certificates_that_cannot_be_made(
    folder: str, role: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert main(["certificates", folder, role]) == 1
    assert capsys.readouterr().err.startswith(f"error[bad-argument]: {message}\n")
    assert not (tmp_path / "keys").exists()


# --- Limits -----------------------------------------------------------------------------------------------------------


async def _tell(nodes: dict[str, Node], value: Any) -> Any:
    results: dict[str, Any] = {}

    async def play(role: str, *args: Any) -> None:
        try:
            async with nodes[role].join(NS.tell, role, "s") as seat:
                results[role] = await klorpy.play_role({"role": role, "transport": seat}, NS.tell, *args)
        except klorpy.KlorError as error:
            results[role] = error

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(play, "A", value)
        tasks.start_soon(play, "B")
    return results


def test_limits_are_those_of_the_node() -> None:
    value = "x" * (17 << 20)

    async def main() -> None:
        async with nodes_of("AB", limits=klorpy.Limits(frame=20 << 20)) as nodes:
            assert (await _tell(nodes, value))["B"] == value
        async with nodes_of("AB") as nodes:
            assert (await _tell(nodes, value))["A"].slug == "not-sendable"
        async with nodes_of("AB", limits=klorpy.Limits(frame=100)) as nodes:
            assert (await _tell(nodes, "x" * 100))["A"].slug == "not-sendable"

    anyio.run(main)


def test_who_takes_less_than_is_sent_fails_the_session() -> None:
    async def main() -> None:
        async with (
            klorpy.host(listen=":0", limits=klorpy.Limits(frame=100)) as b, klorpy.host(peers={"B": address(b)}) as a,
        ):  # fmt: skip
            results = await _tell({"A": a, "B": b}, "x" * 1000)
        assert results["B"].slug == "wire-error"
        assert "a value of 1003 bytes, but the limit is 100" in results["B"].message

    anyio.run(main)


@pytest.mark.parametrize("broken", ["ca.pem", "A.pem", "A.key"])
@pytest.mark.parametrize("way", [{"listen": "127.0.0.1:0"}, {"peers": {"B": "127.0.0.1:1"}}], ids=["listens", "connects"])
def test_files_that_are_no_certificates_are_named(broken: str, way: Any, tmp_path: Path) -> None:
    list(make_certificates(tmp_path, ["A"], 1))
    (tmp_path / broken).write_text("garbage")

    async def main() -> None:
        with pytest.raises(klorpy.KlorError) as error:
            async with klorpy.connect(NS.tell, "A", session="s", tls=tmp_path, deadline=None, **way):
                raise AssertionError("nobody can connect")
        assert error.value.slug == "bad-argument"
        assert str(tmp_path / broken) in error.value.message

    anyio.run(main)
