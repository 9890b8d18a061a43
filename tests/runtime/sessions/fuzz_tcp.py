"""Mutated exchanges against a live listener: `python -m tests.runtime.sessions.fuzz_tcp --sequences 10000 --seed 1`.

What a client sends in a real session is recorded, mutated by a seed and played to a node on which another session is under
way. Nothing may come out but the protocol's own refusal: no other exception, no growth, no harm to the other session.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import resource
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import anyio

import klorpy
from klorpy.runtime.sessions import Node, Seat
from tests.runtime.sessions.nodes import address, tcp

NS = klorpy.evaluate("""
(defchor talk [A B] (-> A A) [x] (do (A->B x) (A->B x) (B->A (A->B x))))
(defchor rally [A B] (-> #{A B} A A) [n x] (loop [n n x x] (if (> n 0) (recur (- n 1) (B->A (A->B x))) x)))
""")


@dataclass
class Findings:
    """What came of the sequences."""

    outcomes: Counter[str] = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)
    rallies: int = 0
    kilobytes: int = 0
    seconds: float = 0.0


class _Log(logging.Handler):
    """Counts what is refused, and keeps what should not be there."""

    def __init__(self, findings: Findings) -> None:
        super().__init__()
        self.findings = findings

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info or record.levelno >= logging.ERROR:
            self.findings.complaints.append(record.getMessage())
        elif "given up" in record.msg:
            self.findings.outcomes["refused"] += 1


async def record() -> bytes:
    """What a client sends in a whole session."""
    sent = bytearray()
    async with klorpy.host(listen="127.0.0.1:0") as b:

        async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there, to = await asyncio.open_connection("127.0.0.1", tcp(b).ports[0])

            async def back() -> None:
                while data := await there.read(1 << 16):
                    writer.write(data)
                writer.close()

            task = asyncio.ensure_future(back())
            while data := await reader.read(1 << 16):
                sent.extend(data)
                to.write(data)
            to.close()
            await task

        server = await asyncio.start_server(pump, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with klorpy.host(peers={"B": f"127.0.0.1:{port}"}) as a:
            await asyncio.gather(_play(a, NS.talk, "A", "fuzz", ["x", 1]), _play(b, NS.talk, "B", "fuzz"))
        server.close()
    return bytes(sent)


async def _play(node: Node, chor: Any, role: str, session: str, *args: Any) -> Any:
    async with node.join(chor, role, session) as transport:
        return await klorpy.play_role({"role": role, "transport": transport}, chor, *args)


def frames(data: bytes) -> list[bytes]:
    found = []
    while data:
        end = 4 + int.from_bytes(data[:4], "big")
        found.append(data[:end])
        data = data[end:]
    return found


def mutated(recorded: list[bytes], source: random.Random) -> bytes:
    """Some frames of an exchange, with some damage. Half of the time the damage keeps frames whole."""
    sequence = list(recorded)
    for _ in range(source.randrange(1, 5)):
        at = source.randrange(len(sequence))
        match source.randrange(8):
            case 0:
                del sequence[at:]
            case 1:
                sequence.insert(at, source.choice(recorded))
            case 2:
                other = source.randrange(len(sequence))
                sequence[at], sequence[other] = sequence[other], sequence[at]
            case 3:  # another content in a frame of its right length
                frame = bytearray(sequence[at])
                for _ in range(source.randrange(1, 4)):
                    if len(frame) > 4:
                        frame[source.randrange(4, len(frame))] = source.choice((0, 1, 127, 128, 255, source.randrange(256)))
                sequence[at] = bytes(frame)
            case 4:  # another kind
                frame = bytearray(sequence[at])
                frame[4:5] = bytes([source.randrange(16)])
                sequence[at] = bytes(frame)
            case 5:  # a body of another length
                body = sequence[at][4:] + source.randbytes(source.randrange(20))
                body = body[: source.randrange(1, len(body) + 1)]
                sequence[at] = len(body).to_bytes(4, "big") + body
            case 6:  # what is no frame
                sequence[at] = source.randbytes(source.randrange(1, 40))
            case _:  # deep or large promises
                body = bytes([source.choice((1, 4, 7, 8, 12))]) + source.choice((b"\x91" * 5000, b"\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff"))
                sequence[at] = len(body).to_bytes(4, "big") + body
        if not sequence:
            sequence = [recorded[0]]
    return b"".join(sequence)


async def fuzz(count: int, seed: int) -> Findings:
    """Play `count` mutated sequences to a listener."""
    findings = Findings()
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: findings.complaints.append(f"{context['message']}: {context.get('exception')!r}")
    )
    handler = _Log(findings)
    logging.getLogger("klorpy").addHandler(handler)
    logging.getLogger("asyncio").addHandler(handler)
    logging.getLogger("klorpy").propagate = False
    try:
        recorded = frames(await record())
        async with klorpy.host(listen="127.0.0.1:0", grace=0) as b, klorpy.host(peers={"B": address(b)}) as a:
            stop = False

            async def rally() -> None:
                """The session that must not be harmed."""
                while not stop:
                    session = f"rally {findings.rallies}"
                    ends = await asyncio.gather(_play(a, NS.rally, "A", session, 20, [1]), _play(b, NS.rally, "B", session, 20))
                    assert ends == [[1], klorpy.noop]
                    findings.rallies += 1

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(rally)
                started = time.monotonic()
                before = _memory()
                for number, sequence in enumerate(sequences(recorded, count, seed)):
                    await _one(b, sequence, findings, number)
                findings.seconds = time.monotonic() - started
                findings.kilobytes = _memory() - before
                stop = True
            while len(tcp(b).remotes) > 1:
                await anyio.lowlevel.checkpoint()
            assert not any(remote.parked for remote in tcp(b).remotes.values())
    finally:
        logging.getLogger("klorpy").removeHandler(handler)
        logging.getLogger("asyncio").removeHandler(handler)
        logging.getLogger("klorpy").propagate = True
    return findings


def sequences(recorded: list[bytes], count: int, seed: int) -> Iterator[bytes]:
    for number in range(count):
        yield mutated(recorded, random.Random(seed * 1_000_003 + number))


async def _one(b: Node, sequence: bytes, findings: Findings, number: int) -> None:
    """One sequence, from a process of its own, to a seat of the session that was recorded."""
    b._ended.pop(("fuzz", "B"), None)
    seat: Seat = b.seat(NS.talk, "B", "fuzz")
    # The identity of a new process, so that no sequence continues another.
    identity = frames(sequence)[0][-16:] if len(sequence) > 30 else b""
    if identity:
        sequence = sequence.replace(identity, secrets.token_bytes(16))
    reader, writer = await asyncio.open_connection("127.0.0.1", tcp(b).ports[0])
    try:
        writer.write(sequence)
        writer.write_eof()
        while await reader.read(1 << 16):
            pass
    except OSError:
        pass  # it has hung up already
    finally:
        writer.close()
    site = NS.talk.defined().sites[0]
    while seat.peers["A"].messages and seat.verdict is None:
        try:
            await seat.receive("A", site)
        except klorpy.KlorError as error:
            findings.outcomes[error.slug] += 1
            break
    findings.outcomes["failed" if seat.verdict else "went on"] += 1
    await seat.close()


def _memory() -> int:
    """Kilobytes that this process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    findings = anyio.run(fuzz, arguments.sequences, arguments.seed)
    print(f"{arguments.sequences} sequences in {findings.seconds:.0f} s: {dict(findings.outcomes)}")
    print(f"{findings.rallies} sessions beside them; {findings.kilobytes / 1024:.1f} MB more at the peak")
    for complaint in findings.complaints[:20]:
        print("!", complaint)
    raise SystemExit(bool(findings.complaints))


if __name__ == "__main__":
    main()
