"""`klorpy launch`: every role in a process of its own, shown as one run, and nothing left behind."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import klorpy
from klorpy.environment.cli import main
from klorpy.environment.launch import Launch, launching
from klorpy.environment.present import Palette
from klorpy.runtime.sessions import Record
from tests.runtime.transports.nats_server import MISSING, PROGRAM, NatsServer, left_behind

EXAMPLES = Path(klorpy.__file__).parent / "examples"
BOOKSELLER = [
    str(EXAMPLES / "bookseller.hy"), "buy-book", f"@{EXAMPLES}/data/order.json", f"@{EXAMPLES}/data/catalogue.json",
]  # fmt: skip

SHOP = """\
(require klorpy *)
(import os signal sys threading helper)

(print "loaded")

(defn process [] (os.getpid))
(defn die [] (os.kill (os.getpid) signal.SIGKILL))

(defchor different [A B C] (-> [A B C]) []
  (pack (A (process)) (B (process)) (C (process))))

(defchor crash [A B C] (-> A C) [x]
  (let [y (B (/ 1 (A->B x)))]
    (B->C y)))

(defchor killed [A B C] (-> A C) [x]
  (let [y (B (do (A->B x) (C->B (C "here")) (die)))]
    (B->C y)))

(defchor quits [A B] (-> A B) [x]
  (A (os._exit 3))
  (A->B x))

(defchor leaves [A B] (-> A B) [x] (A->B (A (sys.exit x))))
(defchor interrupts [A B] (-> A B) [x] (A->B (A (do x (raise KeyboardInterrupt)))))

(defchor loud [A B] (-> A B) [x]
  (A (print "one\\ntwo" :end " "))
  (A (print "three"))
  (let [y (A->B (A (helper.double x)))]
    (B (.write sys.stdout "no newline"))
    y))

(defchor crossed [A B C] (-> A B C) [x y]
  (C (print (A->C (A (with [pipe (open x)] (.read pipe))))))
  (let [path (B->C y)]
    (C (with [pipe (open path "w")] (.write pipe "written")))))

(defchor stuck [A B] (-> A B) [x]
  (A (print "at" (os.getpid)))
  (B (print "at" (os.getpid)))
  (A (.wait (threading.Event)))
  (A->B x))
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.hy").write_text(SHOP)
    (tmp_path / "exits.hy").write_text("(import sys)\n(sys.exit 4)\n")
    (tmp_path / "helper.py").write_text("def double(x): return 2 * x")
    return "shop.hy"


def test_a_launch_shows_what_a_simulation_shows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", *BOOKSELLER]) == 0
    simulated = capsys.readouterr().out.splitlines()
    assert main(["launch", *BOOKSELLER]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    launched = out.splitlines()
    assert launched[:2] == simulated[:2]
    assert launched[-3:] == simulated[-3:]
    # Messages take the same turns; how roles end is concurrent with what others do.
    ends = {"B exited normally", "S exited normally"}
    assert [line for line in launched if line not in ends] == [line for line in simulated if line not in ends]
    assert sorted(launched) == sorted(simulated)


def test_each_role_is_a_process(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["launch", shop, "different", "--quiet"]) == 0
    lines = capsys.readouterr().out.splitlines()
    # The file is loaded by every process; what it prints is shown once.
    assert lines[0] == "loaded"
    found = {line.split()[1].strip("#()") for line in lines[1:]}
    assert len(found) == 3
    assert str(os.getpid()) not in found


def test_what_roles_print_is_part_of_the_run(shop: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["launch", shop, "loud", "4", "--chart", "run.svg"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("A: ")] == ["A: one", "A: two three"]
    assert lines.index("A: two three") < lines.index("A --> B: 8") < lines.index("B: no newline")
    assert lines[-2:] == ["A  noop", "B  8"]
    # The chart knows the places of messages.
    assert "(A-&gt;B (A (helper.double x)))" in (tmp_path / "run.svg").read_text()


def test_roles_are_launched_in_an_order(shop: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What A sends waits for what C does with the message of B, which stands behind it."""
    os.mkfifo(tmp_path / "pipe")
    assert main(["launch", shop, "crossed", '"pipe"', '"pipe"', "--order", "dataflow", "--timeout", "60"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines.index('B --> C: "pipe"') < lines.index('A --> C: "written"') < lines.index("C: written")


def test_the_failure_of_a_role_is_the_verdict(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["launch", shop, "crash", "0"]) == 1
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines.index("A --> B: 0") < lines.index("B exited abruptly: ZeroDivisionError: division by zero")
    # A only sends: it may have left, or hear of the failure before it does.
    assert lines[-3] in ("A  noop", "A  was stopped")
    assert lines[-2:] == ["B  failed", "C  was stopped"]
    assert "C exited abruptly" not in out
    assert err.lstrip().startswith("error[choreography-failed]: crash failed at B: ZeroDivisionError: division by zero\n")
    assert "^ B failed here" in err
    assert err.count("Traceback") == 1
    assert "anyio" not in err


@pytest.mark.parametrize(("chor", "cause"), [("leaves", "SystemExit: 0"), ("interrupts", "KeyboardInterrupt")])
def test_an_exit_of_host_code_is_a_failure(shop: str, capsys: pytest.CaptureFixture[str], chor: str, cause: str) -> None:
    assert main(["launch", shop, chor, "0"]) == 1
    out, err = capsys.readouterr()
    assert f"A exited abruptly: {cause}" in out.splitlines()
    assert err.lstrip().startswith(f"error[choreography-failed]: {chor} failed at A: {cause}\n")
    assert "^ A failed here" in err


@pytest.mark.parametrize(
    ("chor", "fate"),
    [("killed", "B exited abruptly: its process was ended by SIGKILL"), ("quits", "A exited abruptly: its process ended with status 3")],
)  # fmt: skip
def test_a_process_that_dies_is_the_verdict(
    shop: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, chor: str, fate: str
) -> None:
    assert main(["launch", shop, chor, "1", "--chart", "run.txt"]) == 1
    out, err = capsys.readouterr()
    role, _, what = fate.partition(" exited abruptly: ")
    assert fate in out.splitlines()
    assert err.lstrip().startswith(f"error[choreography-failed]: {chor} failed at {role}: {what}\n")
    assert f"{chor} failed at {role}: {what}" in " ".join((tmp_path / "run.txt").read_text().split())
    if chor == "killed":
        assert "note: C was at (B->C y) (shop.hy:18:5)" in err


def test_a_run_that_takes_too_long_is_ended(shop: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["launch", shop, "stuck", "1", "--timeout", "0.01"]) == 1
    out, err = capfd.readouterr()
    assert err.lstrip().startswith("error[timeout]: stuck did not end in time\n")
    assert "note: A had not begun" in err
    assert "note: B had not begun" in err
    assert "Traceback" not in err
    assert out.splitlines()[-2:] == ["A  was stopped", "B  was stopped"]


def test_a_run_that_takes_too_long_says_where_its_roles_are(shop: str, capfd: pytest.CaptureFixture[str]) -> None:
    """The time is up when A and B have printed, and A waits for ever."""

    class UpWhenStuck(Launch):
        printed = 0

        def _show(self, record: Record) -> None:
            super()._show(record)
            self.printed += record.kind == "printed"
            if self.printed == 2:
                self._hurry(0)

    chor = klorpy.load(shop).stuck
    launch = UpWhenStuck(chor, Palette(chor.roles, False), quiet=True, drawn=False)
    arguments = argparse.Namespace(file=shop, chor="stuck", args=["1"], nats=None, tls=False, certificates=None, order=None)
    with launching(chor, arguments) as (jobs, sockets):
        asyncio.run(launch.run(jobs, sockets, None))
    verdict = launch.verdict([])
    assert verdict is not None
    assert verdict.startswith("error[timeout]: stuck did not end in time\n")
    # A role may be found one form earlier, while it returns from `print`.
    lines = SHOP.splitlines()
    first = lines.index("(defchor stuck [A B] (-> A B) [x]") + 1
    for role, offsets in (("A", (1, 3)), ("B", (2, 4))):
        found = re.search(rf"note: {role} was at .*shop\.hy:(\d+):", verdict)
        assert found, verdict
        assert int(found[1]) - first in offsets
    assert "help: what keeps them there?" in verdict
    assert capfd.readouterr().err == ""


def start(shop: str) -> tuple[subprocess.Popen[str], list[int]]:
    """A launch that is stuck; and its processes."""
    launcher = subprocess.Popen(
        [sys.executable, "-m", "klorpy", "launch", shop, "stuck", "1"], text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    assert launcher.stdout is not None
    found: list[int] = []
    while len(found) < 2:
        line = launcher.stdout.readline()
        assert line, launcher.communicate()[1]
        if " at " in line:
            found.append(int(line.split()[-1]))
    return launcher, found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_behind(shop: str, number: signal.Signals) -> None:
    launcher, processes = start(shop)
    launcher.send_signal(number)
    # The processes share the launcher's output: its end is theirs.
    _, err = launcher.communicate(timeout=60)
    if number == signal.SIGKILL:
        assert launcher.returncode == -signal.SIGKILL
    else:
        assert (launcher.returncode, err) == (128 + number, "interrupted\n")
        for process in processes:
            with pytest.raises(ProcessLookupError):
                os.kill(process, 0)


BUSY = """\
(require klorpy *)
(import asyncio threading)

(defchor busy [A B C] (-> A A) [x]
  (A (print "here"))
  (A (.wait (threading.Event)))
  (C->A (C (B->C (B (A->B x))))))

(defchor idle [A B C] (-> A A) [x]
  (A (print "here"))
  (A (await (asyncio.sleep 1000)))
  (C->A (C (B->C (B (A->B x))))))
"""


@pytest.mark.skipif(PROGRAM is None, reason=MISSING)
@pytest.mark.parametrize("chor", ["busy", "idle"])
def test_nothing_is_left_at_a_server(chor: str, tmp_path: Path) -> None:
    """Roles leave an interrupted session, whether they wait or are kept by code of their own."""
    (tmp_path / "busy.hy").write_text(BUSY, encoding="utf-8")
    server = NatsServer(tmp_path / "store")
    server.start()
    try:
        launcher = subprocess.Popen(
            [sys.executable, "-m", "klorpy", "launch", str(tmp_path / "busy.hy"), chor, "1", "--nats", server.url], text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert launcher.stdout is not None
        while "here" not in (line := launcher.stdout.readline()):
            assert line, launcher.communicate()[1]
        launcher.send_signal(signal.SIGINT)
        assert launcher.communicate(timeout=60)[1] == "interrupted\n"
        assert asyncio.run(left_behind(server.url, "klorpy")) == ({}, [])
    finally:
        server.kill()


def test_it_speaks_tls_and_draws(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "run.svg"
    assert main(["launch", *BOOKSELLER, "--tls", "--quiet", "--chart", str(path)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert [line.split()[0] for line in out.splitlines()] == ["B", "S"]
    drawn = path.read_text()
    assert "A Tour of Two Harbours" in drawn
    assert "The book arrives on" in drawn


@pytest.mark.parametrize(
    ("arguments", "slug"),
    [
        (["shop.hy", "crash"], "sim-arity"),
        (["shop.hy", "crash", "1", "2"], "sim-arity"),
        (["shop.hy", "crash", "word"], "bad-argument"),
        (["shop.hy", "nothing", "1"], "not-a-chor"),
        (["missing.hy", "ask", "1"], "read-error"),
        (["exits.hy", "ask", "1"], "read-error"),
        (["shop.hy", "crash", "1", "--timeout", "0"], "bad-argument"),
        (["shop.hy", "crash", "1", "--chart", "run.gif"], "bad-argument"),
        (["shop.hy", "crash", "1", "--chart", "missing/run.svg"], "bad-argument"),
        (["shop.hy", "crash", "1", "--nats", "nats://127.0.0.1:1", "--tls"], "bad-argument"),
        (["shop.hy", "crash", "1", "--certificates", "nowhere"], "bad-argument"),
    ],
)
def test_what_cannot_be_launched_is_an_error_and_no_process(
    shop: str, capsys: pytest.CaptureFixture[str], arguments: list[str], slug: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere")
    assert main(["launch", *arguments]) == 1
    assert capsys.readouterr().err.startswith(f"error[{slug}]: ")
