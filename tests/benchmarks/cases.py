"""The benchmarks. Each is a function from a `Scale` to its contests."""

from __future__ import annotations

import atexit
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeAlias

import klorpy
from klorpy.environment.session import Session
from klorpy.language import pipeline
from tests.benchmarks import (
    behaviour,
    by_hand,
    codec,
    conversations,
    merging,
    nats,
    ordered,
    programs,
    repl,
    serving,
    tcp,
    vanishing,
)
from tests.benchmarks.measure import Contest, Run, apart, timed

#: A ratio of two measurements that should be 1, with what a shared machine adds.
EQUAL: Final = 1.2


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is done: `FULL` to measure, `TINY` to see that it is right."""

    messages: int
    short: int
    long: int
    depth: int
    forms: int
    repeats: int


FULL: Final = Scale(messages=40_000, short=10_000, long=1_000_000, depth=100_000, forms=40, repeats=7)
TINY: Final = Scale(messages=20, short=10, long=40, depth=30, forms=10, repeats=1)

Benchmark: TypeAlias = Callable[[Scale], list[Contest]]


@cache
def ping_pong_module() -> types.ModuleType:
    return klorpy.evaluate(programs.PING_PONG, name="ping_pong")


def simulate(name: str, *args: Any, trace: bool = False) -> Any:
    """A's result. Checks of agreement are off, as they are outside of tests."""
    chor = getattr(ping_pong_module(), name)
    return klorpy.simulate_chor(chor, *args, sanitize=False, trace=trace)["A"]


def simulated(name: str, messages: int, trace: bool = False) -> Run:
    """A ping-pong of about so many messages (even), by one of the choreographies."""
    args = {"by_loop": (messages // 2,), "by_self": (messages // 2, 0)}.get(name, (messages, 0))
    return Run("klorpy", timed(lambda: simulate(name, *args, trace=trace)), messages, messages)


def ping_pong(scale: Scale) -> list[Contest]:
    """A message of klorpy against the same protocol by hand."""
    messages = scale.messages
    rounds = messages // 2
    requests = Run("generators, a scheduler", timed(lambda: by_hand.requesting(rounds)), messages, messages)
    mailboxes = Run("generators, mailboxes", timed(lambda: by_hand.with_mailboxes(rounds)), messages, messages)
    queues = Run("asyncio.Queue", timed(lambda: by_hand.with_asyncio(rounds)), messages, messages)
    off, on = simulated("by_loop", messages), simulated("by_loop", messages, trace=True)
    swap, self_ = simulated("by_swap", messages), simulated("by_self", messages)
    pairs: list[tuple[str, Run, Run, float | None]] = [
        ("by loop, trace off", off, requests, 2.0),
        ("by loop, trace on", on, requests, 3.5),
        ("by loop, trace off", off, mailboxes, 2.0),
        ("by loop, trace on", on, mailboxes, 3.5),
        ("by loop, trace off", off, queues, 0.5),
        ("by loop, trace on", on, queues, 0.5),
        # A call for each message, or two: what the loop does not need. For information.
        ("by calls to itself, trace off", self_, queues, None),
        ("by calls that swap, trace off", swap, queues, None),
        ("by calls to itself, trace off", self_, requests, None),
        ("by calls that swap, trace off", swap, requests, None),
    ]
    return [
        Contest(f"ping-pong, {name}", subject, baseline, limit, "µs/message", 1e6, scale.repeats)
        for name, subject, baseline, limit in pairs
    ]


def linear(scale: Scale) -> list[Contest]:
    """A message of a long run against one of a short run."""
    return [
        Contest(
            f"{scale.long:,} messages, trace {'on' if trace else 'off'}",
            simulated("by_loop", scale.long, trace),
            _repeated(simulated("by_loop", scale.short, trace), label=f"{scale.short:,} messages"),
            EQUAL, "µs/message", 1e6, min(scale.repeats, 5),
        )
        for trace in (False, True)
    ]  # fmt: skip


def _repeated(run: Run, label: str, times: int = 5) -> Run:
    """A run so short that the best of several is compared with one long one."""

    def measure() -> tuple[float, Any]:
        amounts = [run.measure() for _ in range(times)]
        return min(amounts)

    return Run(label, measure, run.count, run.expected)


# --- Memory -----------------------------------------------------------------------------------------------------------

_PEAK: Final = """
from tests.benchmarks.cases import peak_memory, simulate
print(simulate({name!r}, *{args!r}, trace={trace!r}), peak_memory())
"""


def peak_memory() -> int:
    """The most memory, in bytes, that this process has taken since its program started.

    Linux's `ru_maxrss` will not do: it survives `exec`, so a child of a process that has grown large reports what its
    parent took, whatever it does itself.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except FileNotFoundError:  # no Linux
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def flat_memory(scale: Scale) -> list[Contest]:
    """The most memory that a process takes for a long tail recursion, against a short one.

    In processes of their own, since the most is never given back. 5 % allow for the allocator; ten bytes kept from
    each round would be more.
    """
    names = {"by_loop": "a loop", "by_self": "calls to itself", "by_swap": "calls that swap", "ping": "mutual calls"}
    return [
        Contest(
            f"memory, {title}, {scale.long:,} rounds",
            _peak(name, scale.long, "klorpy"),
            _peak(name, scale.short, f"{scale.short:,} rounds"),
            1.05, "MiB", 2**-20, min(scale.repeats, 2),
        )
        for name, title in names.items()
    ]  # fmt: skip


def _peak(name: str, rounds: int, label: str) -> Run:
    args = (rounds,) if name == "by_loop" else (rounds, 0)
    expected = 2 * rounds if name in ("by_loop", "by_self") else rounds

    def measure() -> tuple[float, Any]:
        result, peak = measure_peak(name, args)
        return peak, result

    return Run(label, measure, 1, expected)


def measure_peak(name: str, args: tuple[int, ...], trace: bool = False) -> tuple[int, int]:
    """A's result of a simulation in a process of its own, and the most memory that the process took."""
    result, peak = _python("-c", _PEAK.format(name=name, args=args, trace=trace)).stdout.split()
    return int(result), int(peak)


# --- Depth ------------------------------------------------------------------------------------------------------------


def recursion(scale: Scale) -> list[Contest]:
    """Calls that are not in tail position: a message below many of them, and a call on top of many."""
    return [
        Contest(
            f"a message at depth {scale.depth:,}", _below(scale.depth, scale.messages),
            _below(10, scale.messages), EQUAL, "µs/message", 1e6, min(scale.repeats, 5),
        ),
        Contest(
            f"a call, {scale.depth:,} deep", _descent(scale.depth), _repeated(_descent(100), "100 deep", 20),
            None, "µs/call", 1e6, min(scale.repeats, 5),
        ),
    ]  # fmt: skip


def _below(depth: int, messages: int) -> Run:
    def measure() -> tuple[float, Any]:
        marks: list[float] = []
        result = simulate("deep", depth, messages // 2, marks)
        start, end = marks
        return end - start, result

    return Run(f"depth {depth:,}", measure, messages, messages + depth)


def _descent(depth: int) -> Run:
    return Run(f"{depth:,} deep", timed(lambda: simulate("deep", depth, 0, [])), depth, depth)


# --- Compiling --------------------------------------------------------------------------------------------------------


def defchor(scale: Scale) -> list[Contest]:
    """The macro `defchor`, and all that evaluating a definition takes."""
    forms = scale.forms
    base = _macro(forms, 7)
    return [
        Contest(f"defchor, {forms} forms, 7 roles", base, 0.020, 1.0, "ms", 1e3, 2 * scale.repeats),
        Contest(
            f"defchor, {2 * forms} forms, 7 roles", _macro(2 * forms, 7), base, 2.2, "ms", 1e3, 2 * scale.repeats
        ),
        Contest(
            f"defchor, {forms} forms, 7 roles", base, _macro(forms, 3), 7 / 3, "ms", 1e3, 2 * scale.repeats
        ),
        Contest(
            f"evaluate, {forms} forms, 7 roles", _macro(forms, 7, whole=True), base, None, "ms", 1e3, scale.repeats
        ),
    ]  # fmt: skip


def _macro(forms: int, roles: int, whole: bool = False) -> Run:
    """Expand one definition, or read, expand, compile and run it. What it computed is the messages that it sends."""
    text, messages = programs.large(forms, roles)

    def measure() -> tuple[float, Any]:
        with _stopwatch() as times:
            start = time.perf_counter()
            module = klorpy.evaluate(text)
            took = time.perf_counter() - start
        simulation = klorpy.simulate_chor(module.large, 1, sanitize=False)
        return took if whole else sum(times), len(simulation.messages)

    return Run(f"defchor, {forms} forms, {roles} roles", measure, 1, messages)


@contextmanager
def _stopwatch() -> Iterator[list[float]]:
    """The seconds of each expansion of `defchor` inside."""
    times: list[float] = []
    original = pipeline.compile_defchor

    def compile_defchor(compiler: Any, form: Any) -> Any:
        start = time.perf_counter()
        try:
            return original(compiler, form)
        finally:
            times.append(time.perf_counter() - start)

    pipeline.compile_defchor = compile_defchor
    try:
        yield times
    finally:
        pipeline.compile_defchor = original


# --- Importing --------------------------------------------------------------------------------------------------------


def importing(scale: Scale) -> list[Contest]:
    """A fresh process that imports klorpy, its bytecode cached."""
    repeats = 2 * scale.repeats
    subject = _process("import klorpy", "import klorpy")
    return [
        Contest("import klorpy", subject, 0.120, 1.0, "ms", 1e3, repeats),
        Contest("import klorpy", subject, _process("import hy", "import hy"), None, "ms", 1e3, repeats),
        Contest("import klorpy", subject, _process("an empty process", "pass"), None, "ms", 1e3, repeats),
    ]


def _process(label: str, code: str) -> Run:
    def measure() -> tuple[float, Any]:
        start = time.perf_counter()
        done = _python("-c", code)
        return time.perf_counter() - start, done.returncode

    return Run(label, measure, 1, 0)


def import_times(count: int = 25) -> str:
    """The modules that take longest to import, by themselves, as `python -X importtime` tells."""
    _python("-c", "import klorpy")  # the first process compiles, which is not what is asked
    lines = _python("-X", "importtime", "-c", "import klorpy").stderr.splitlines()
    head, *rest = lines
    rest.sort(key=lambda line: -int(line.split(":")[1].split("|")[0]))
    return "\n".join([head, *rest[:count]])


@cache
def _bytecode() -> str:
    """A folder for the bytecode of the processes, which the first of them fills; removed at the end."""
    folder = tempfile.mkdtemp(prefix="klorpy-bytecode-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _python(*args: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a fresh process that finds this klorpy, with warm bytecode."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env["PYTHONPYCACHEPREFIX"] = _bytecode()
    root = Path(__file__).parents[2]
    return subprocess.run([sys.executable, *args], env=env, cwd=root, check=True, capture_output=True, text=True)


#: Seconds that a redefinition of 40 forms may take in a session.
REDEFINE: Final = 0.050


def redefinition(scale: Scale) -> list[Contest]:
    """A definition made anew in a session that has choreographies which call it."""
    text, _ = programs.large(scale.forms, 7)
    name, roles = text.partition("(defchor ")[2].split(" ", 1)
    vector = roles[: roles.index("]") + 1]
    callers = "\n".join(
        f"(defchor caller{i} {vector} (-> #{{{vector[1:-1]}}} R0) [x] ({name} {vector} x))" for i in range(60)
    )

    def measure() -> tuple[float, Any]:
        with Session() as session:
            made = [*session.evaluate(text), *session.evaluate(callers)]
            start = time.perf_counter()
            made += session.evaluate(text)
            return time.perf_counter() - start, [outcome.error for outcome in made]

    subject = Run("klorpy", measure, 1, [None] * 62)
    return [
        Contest(f"redefine, {scale.forms} forms, 60 callers", subject, REDEFINE, 1.0, "ms", 1e3, scale.repeats)
    ]


def over_tcp(scale: Scale) -> list[Contest]:
    """A message of klorpy between two processes on one core, against sockets with the same bytes and asyncio's streams."""
    rounds = scale.short // 2

    def by(who: str, label: str) -> Run:
        return Run(label, apart("tcp", who, rounds), 2 * rounds, tcp.VALUE)

    klorpy_, sockets, streams = by("klorpy", "klorpy"), by("sockets", "blocking sockets"), by("streams", "asyncio streams")
    return [
        Contest("TCP, a small dict", klorpy_, sockets, 2.2, "µs/msg", 1e6, scale.repeats),
        Contest("TCP, a small dict", klorpy_, streams, 1.0, "µs/msg", 1e6, scale.repeats),
    ]


def conversing(scale: Scale) -> list[Contest]:
    """The kernel of conversations, with up to 100,000 endpoints."""
    many = 100_000 if scale.messages > 1000 else 1000
    return conversations.contests(scale.messages // 2, 100, many, max(scale.messages // 200, 5), scale.repeats)


BENCHMARKS: Final[dict[str, Benchmark]] = {
    "ping-pong": ping_pong,
    "linear": linear,
    "memory": flat_memory,
    "recursion": recursion,
    "orders": lambda scale: ordered.contests(max(scale.messages // 20, 2), min(scale.repeats, 3)),
    "defchor": defchor,
    "import": importing,
    "redefine": redefinition,
    "codec": lambda scale: codec.contests(max(scale.messages // 40, 3), scale.repeats),
    "tcp": over_tcp,
    "conversations": conversing,
    "serving": lambda scale: serving.contests(10 if scale is FULL else 1, min(scale.repeats, 3)),
    "vanishing": lambda scale: vanishing.contests(5 if scale is FULL else 1, min(scale.repeats, 3)),
    "merging": lambda scale: [
        contest for rounds in (1, 10, 100, 1000) if rounds <= scale.messages for contest in merging.saved(rounds, scale.repeats)
    ],
    "nats": lambda scale: nats.contests(scale.short, scale.repeats),
    "compliance": lambda scale: behaviour.compliance(3 if scale is FULL else 1, min(scale.repeats, 2)),
    "equivalence": lambda scale: behaviour.equivalence(5 if scale is FULL else 2, min(scale.repeats, 2)),
    "refinement": lambda scale: behaviour.refinement(scale.repeats),
    "repl": lambda scale: [repl.keypress(200, 20, scale.repeats), repl.starting(scale.repeats)],
}
