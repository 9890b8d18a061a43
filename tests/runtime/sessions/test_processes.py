"""Faults of real processes: whoever is left ends soon, with status 1 and with the same verdict."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.sessions.processes import Role, cast, ended_within

EXAMPLES = Path(__file__).parents[3] / "klorpy" / "examples"

RELAY = """\
(require klorpy *)
(defchor relay [A B C] (-> #{A B C} A A) [n x]
  (loop [n n x x]
    (if (> n 0) (recur (- n 1) (C->A (B->C (A->B x)))) x)))
(defchor divide [A B C] (-> A B C) [x y]
  (B->C (B (/ (A->B x) y))))
(defchor pass [A B] (-> A B) [x] (A->B x))
(import asyncio sys threading)
(defchor blocks [A B] (-> A B) [x]
  (let [y (A->B x)]
    (B (print "busy" :flush True))
    (B (.wait (threading.Event)))
    (B->A (B y)) y))
(defchor hears [A B] (-> A B B) [x path]
  (let [y (A->B x)]
    (B (print "busy" :flush True))
    (B (with [pipe (open path)] (.read pipe)))
    (B->A (B y)) y))
(defchor exits [A B] (-> A B) [x] (A->B (A (sys.exit x))))
(defchor interrupts [A B] (-> A B) [x] (A->B (A (do x (raise KeyboardInterrupt)))))
(defchor cancels [A B] (-> A B) [x] (A->B (A (do x (raise (asyncio.CancelledError))))))
"""
ROUNDS = "1000000"
#: The roles of `relay` with their arguments.
RELAYING = {"A": [ROUNDS, '"ball"'], "B": [ROUNDS], "C": [ROUNDS]}
#: Seconds for a connection to come back, and what a loaded machine may take beyond.
GRACE, SLACK = 0.5, 10.0


@pytest.fixture
def relay(tmp_path: Path) -> Path:
    path = tmp_path / "relay.hy"
    path.write_text(RELAY, encoding="utf-8")
    return path


def fails_alike(roles: list[Role], verdict: str) -> None:
    """All ended with status 1, this verdict, and nothing that looks like a crash of klorpy."""
    for role in roles:
        assert role.status() == 1, role.errors
        assert "Traceback" not in role.errors, role.errors
        assert "Warning" not in role.errors, role.errors
        assert role.verdict == verdict


@pytest.mark.parametrize("victim", ["A", "B", "C"])
def test_a_killed_role_is_lost_to_all_others_alike(victim: str, relay: Path, tmp_path: Path) -> None:
    messages = random.Random(victim).randrange(1, 400)
    with cast(tmp_path, relay, "relay", RELAYING, watched=victim) as roles:
        roles[victim].lines(messages)
        roles[victim].send(signal.SIGKILL)
        start = time.monotonic()
        others = [role for name, role in roles.items() if name != victim]
        assert ended_within(others, start) < GRACE + SLACK
        fails_alike(others, f"{victim} was lost (the connection broke, and did not come back within {GRACE:g} s)")
        for role in others:
            assert "error[" in role.errors


@pytest.mark.parametrize("victim", ["B", "S"])
def test_a_bookseller_or_buyer_is_killed(victim: str, tmp_path: Path) -> None:
    """At once after its first message, in a run of a few: the other has ended in good order, or says who was lost."""
    arguments = {"S": ["@" + str(EXAMPLES / "data" / "catalogue.json")], "B": ["@" + str(EXAMPLES / "data" / "order.json")]}
    with cast(tmp_path, EXAMPLES / "bookseller.hy", "buy-book", arguments, watched=victim) as roles:
        roles[victim].lines(random.Random(victim).randrange(1, 4))
        roles[victim].send(signal.SIGKILL)
        (other,) = (role for name, role in roles.items() if name != victim)
        if other.status() == 1:
            assert other.verdict.startswith(f"{victim} was lost (")
        assert other.status() in (0, 1)
        assert "Traceback" not in other.errors


@pytest.mark.parametrize(("number", "status", "said"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")])
def test_a_role_that_is_ended_from_outside_tells_the_others(
    number: signal.Signals, status: int, said: str, relay: Path, tmp_path: Path
) -> None:
    with cast(tmp_path, relay, "relay", RELAYING, watched="B") as roles:
        roles["B"].lines(50)
        roles["B"].send(number)
        roles["B"].drain()
        assert roles["B"].status() == status
        assert roles["B"].errors == f"{said}\n"
        others = [roles["A"], roles["C"]]
        for role in others:
            assert role.status() == 1
        assert others[0].verdict == others[1].verdict
        assert others[0].verdict.startswith("B failed at step ")
        assert "(it was cancelled" in others[0].verdict
        fails_alike(others, others[0].verdict)


@pytest.mark.parametrize(("number", "status", "said"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")])
def test_a_role_that_blocks_is_ended_as_well(
    number: signal.Signals, status: int, said: str, relay: Path, tmp_path: Path
) -> None:
    with cast(tmp_path, relay, "blocks", {"A": ["1"], "B": []}, watched="B") as roles:
        assert roles["B"].lines(2)[1] == "busy\n"
        roles["B"].send(number)
        assert roles["B"].status() == status
        assert roles["B"].errors == f"{said}\n"
        assert roles["A"].status() == 1
        # The signal may come while B still returns from `print`, or in `wait`.
        verdict = roles["A"].verdict
        assert verdict in {f"B failed at step 1 (it was cancelled, at {relay}:{line}:8)" for line in (11, 12)}
        fails_alike([roles["A"]], verdict)


def test_a_role_hears_the_verdict_that_came_while_it_blocked(relay: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with cast(tmp_path, relay, "hears", {"A": ["1"], "B": [f'"{pipe}"']}, watched="B") as roles:
        assert roles["B"].lines(2)[1] == "busy\n"
        roles["A"].send(signal.SIGTERM)
        with pipe.open("w"):  # B goes on when this is closed, and A has left by then
            assert roles["A"].status() == 143
        fails_alike([roles["B"]], "A failed at step 1 (it was cancelled)")


@pytest.fixture
def busy(relay: Path, tmp_path: Path) -> Iterator[tuple[dict[str, Role], Callable[[], None]]]:
    """A, which waits, and B, whose code blocks; when that is let go on, B only has to send."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with cast(
        tmp_path, relay, "hears", {"A": ["1"], "B": [f'"{pipe}"']}, watched="B", everywhere=["--heartbeat", "1"]
    ) as roles:
        assert roles["B"].lines(2)[1] == "busy\n"
        yield roles, lambda: pipe.open("w").close()


def test_a_role_whose_last_message_is_lost_fails(busy: Any) -> None:
    roles, go_on = busy
    roles["A"].send(signal.SIGKILL)
    roles["A"].status()
    go_on()
    fails_alike([roles["B"]], f"A was lost (the connection broke, and did not come back within {GRACE:g} s)")


def test_a_role_that_was_given_up_says_the_same_as_who_gave_it_up(busy: Any) -> None:
    roles, go_on = busy
    roles["B"].send(signal.SIGSTOP)
    fails_alike([roles["A"]], "B was lost (it was silent for 1 s)")
    roles["B"].send(signal.SIGCONT)
    go_on()
    fails_alike([roles["B"]], "B was lost (it was silent for 1 s)")


def test_an_exception_of_a_role_is_the_verdict(relay: Path, tmp_path: Path) -> None:
    with cast(tmp_path, relay, "divide", {"A": ["1"], "B": ["0"], "C": []}) as roles:
        assert roles["B"].status() == 1
        assert "ZeroDivisionError" in roles["B"].errors
        place = f"{relay}:6:12"
        others = [role for role in roles.values() if role.name == "C" or (role.status() == 1 and role.name == "A")]
        fails_alike(others, f"B failed at step 1 (ZeroDivisionError: division by zero, at {place})")


@pytest.mark.parametrize(
    ("chor", "status", "said", "cause"),
    [
        ("exits", 3, "SystemExit: 3", "SystemExit: 3"),
        ("interrupts", 130, "interrupted", "KeyboardInterrupt"),
        ("cancels", 1, "RuntimeError: CancelledError was raised, but nobody had cancelled A", ""),
    ],
)
def test_what_is_no_ordinary_exception_is_the_verdict_as_well(
    chor: str, status: int, said: str, cause: str, relay: Path, tmp_path: Path
) -> None:
    with cast(tmp_path, relay, chor, {"A": ["3"], "B": []}) as roles:
        assert roles["A"].status() == status
        assert roles["A"].errors.splitlines()[-1] == said
        assert "anyio" not in roles["A"].errors
        line, text = next((i, text) for i, text in enumerate(RELAY.splitlines(), 1) if f"defchor {chor} " in text)
        column = text.index("(sys.exit" if chor == "exits" else "(raise") + 1
        fails_alike([roles["B"]], f"A failed at step 0 ({cause or said}, at {relay}:{line}:{column})")


def test_who_does_not_come_is_named(relay: Path, tmp_path: Path) -> None:
    with cast(tmp_path, relay, "relay", {"A": RELAYING["A"], "B": ["1000000"]}, everywhere=["--deadline", "2"]) as roles:
        assert roles["A"].status() == roles["B"].status() == 1
        first = min(roles.values(), key=lambda role: "error[roles-missing]" not in role.errors)
        assert "C did not come within 2 s" in first.errors
        for role in roles.values():
            assert "C did not come within 2 s" in role.errors



def test_two_texts_refuse_each_other(relay: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.hy"
    other.write_text(RELAY.replace("[x] (A->B x)", "[x] (A->B (A [x]))"), encoding="utf-8")
    with cast(tmp_path, relay, "pass", {"A": ["1"], "B": []}, files={"B": other}) as roles:
        fails_alike(list(roles.values()), "A and B play different choreographies: the text of pass differs")
        for role, file, text in ((roles["A"], relay, "x"), (roles["B"], other, "(A [x])")):
            assert "error[different-choreography]" in role.errors
            assert "give all roles the same file" in role.errors
            lines = enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
            number, column = next((number, line.index(f"{text}))") + 1) for number, line in lines if "defchor pass" in line)
            assert f"--> {file}:{number}:{column}\n" in role.errors
            assert "^ the texts differ from here on" in role.errors
