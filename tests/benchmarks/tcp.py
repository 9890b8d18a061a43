"""Ping-pong of a small dict over TCP between two processes on one core: `python -m tests.benchmarks.tcp WHO ROUNDS`.

Prints the seconds that it took, and what came back at the end. Both processes share a core, so that the time is what both
compute and not how long the operating system takes to wake another core.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec

import klorpy
from klorpy.runtime.wire import decode, encode

VALUE = {"op": "put", "key": "k17", "val": 123, "ts": 1.5, "ok": True}

PING_PONG = """
(defchor ping-pong [A B] (-> #{A B} A A) [rounds value]
  (loop [i rounds v value]
    (if (> i 0)
      (recur (- i 1) (B->A (A->B v)))
      v)))
"""

_LENGTH = struct.Struct(">I")


# --- Blocking sockets with klorpy's own bytes -------------------------------------------------------------------------


class _Blocking:
    def __init__(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.buffer = bytearray(1 << 16)
        self.view = memoryview(self.buffer)

    def send(self, value: Any) -> None:
        body = encode(value)
        self.sock.sendall(_LENGTH.pack(len(body)) + body)

    def receive(self) -> Any:
        end = 0
        while end < 4 or end < 4 + _LENGTH.unpack_from(self.buffer)[0]:
            count = self.sock.recv_into(self.view[end:])
            if not count:
                raise EOFError
            end += count
        return decode(bytes(self.view[4:end]))


def _sockets_a(rounds: int, listener: socket.socket) -> tuple[float, Any]:
    peer = _Blocking(listener.accept()[0])
    start, value = time.perf_counter(), VALUE
    for _ in range(rounds):
        peer.send(value)
        value = peer.receive()
    return time.perf_counter() - start, value


def _sockets_b(rounds: int, port: int) -> None:
    peer = _Blocking(socket.create_connection(("127.0.0.1", port)))
    for _ in range(rounds):
        peer.send(peer.receive())


# --- asyncio's streams with msgspec -----------------------------------------------------------------------------------

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode


async def _receive(reader: asyncio.StreamReader) -> Any:
    (size,) = _LENGTH.unpack(await reader.readexactly(4))
    return _unpack(await reader.readexactly(size))


async def _send(writer: asyncio.StreamWriter, value: Any) -> None:
    body = _pack(value)
    writer.write(_LENGTH.pack(len(body)) + body)
    await writer.drain()


async def _streams(rounds: int, sock: socket.socket, first: bool) -> tuple[float, Any]:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    reader, writer = await asyncio.open_connection(sock=sock)
    start, value = time.perf_counter(), VALUE
    for _ in range(rounds):
        if first:
            await _send(writer, value)
            value = await _receive(reader)
        else:
            await _send(writer, await _receive(reader))
    took = time.perf_counter() - start
    writer.close()
    await writer.wait_closed()
    return took, value


def _streams_a(rounds: int, listener: socket.socket) -> tuple[float, Any]:
    return asyncio.run(_streams(rounds, listener.accept()[0], True))


def _streams_b(rounds: int, port: int) -> None:
    asyncio.run(_streams(rounds, socket.create_connection(("127.0.0.1", port)), False))


# --- klorpy -----------------------------------------------------------------------------------------------------------


async def _play(role: str, rounds: int, where: dict[str, Any], *args: Any) -> tuple[float, Any]:
    chor = klorpy.evaluate(PING_PONG).ping_pong
    async with klorpy.connect(chor, role, session="benchmark", **where) as transport:
        start = time.perf_counter()
        value = await klorpy.play_role({"role": role, "transport": transport}, chor, rounds, *args)
        return time.perf_counter() - start, value


def _klorpy_a(rounds: int, listener: socket.socket) -> tuple[float, Any]:
    port = listener.getsockname()[1]
    listener.close()
    return asyncio.run(_play("A", rounds, {"listen": f"127.0.0.1:{port}"}, VALUE))


def _klorpy_b(rounds: int, port: int) -> None:
    asyncio.run(_play("B", rounds, {"peers": {"A": f"127.0.0.1:{port}"}}))


PLAYERS = {
    "klorpy": (_klorpy_a, _klorpy_b),
    "sockets": (_sockets_a, _sockets_b),
    "streams": (_streams_a, _streams_b),
}


def pair(first: Callable[[int, socket.socket], Any], second: Callable[[int, int], Any], rounds: int) -> None:
    """Print what `first` gives, while `second` runs in another process, on the same core, with a port of `first`'s."""
    with contextlib.suppress(AttributeError, OSError):  # not every system has it, or allows it
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    if (child := os.fork()) == 0:
        listener.close()
        second(rounds, port)
        os._exit(0)
    try:
        print(json.dumps(first(rounds, listener)))
    finally:
        os.waitpid(child, 0)


if __name__ == "__main__":
    pair(*PLAYERS[sys.argv[1]], int(sys.argv[2]))
