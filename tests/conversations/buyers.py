"""One role of the two buyers, as a process of its own: `python -m tests.conversations.buyers ROLE PORT ROLE=ADDRESS…`.

It says `here ROLE…` when it sees who plays, `asked` when Ann is to decide, who then thinks for ever; and at the end the
verdict, in one line, with status 3.
"""

from __future__ import annotations

import sys
from typing import Any

import anyio

import klorpy
from klorpy.conversations import World
from klorpy.conversations.bridge import Bridge
from klorpy.core.verdicts import SessionFailed

NS = klorpy.evaluate("""
(defchor buy-together [Ann Bob Shop] (-> Ann Shop Bob Ann) [order catalogue savings]
  (let [title (Ann->Shop (Ann (get order "title")))
        price (Shop->Ann (Shop (.get catalogue title)))
        help (Bob->Ann (Bob (min savings (// (Ann->Bob price) 2))))
        wanted (Ann (await ((get order "decide") (- price help))))]
    (Ann->Bob wanted)
    (if (Ann=>Shop wanted)
      (Shop->Ann (Shop "2030-01-13"))
      (Ann None))))
""")
BUY = NS.buy_together


def say(*words: object) -> None:
    print(*words, flush=True)


async def think(price: int) -> bool:
    say("asked", price)
    await anyio.sleep_forever()
    return True


ARGS: dict[str, Any] = {"Ann": {"title": "SICP", "decide": think}, "Shop": {"SICP": 50}, "Bob": 40}


async def main(role: str, port: str, peers: dict[str, str]) -> None:
    async with (
        World() as world,
        klorpy.host(listen=f"127.0.0.1:{port}", peers=peers, grace=0) as node,
        Bridge(world, node) as bridge,
        bridge.session(BUY, "order-7") as session,session.role(role, timeout=30) as me
    ):
        say("here", *session.population())
        await klorpy.play_role({"role": role, "transport": me}, BUY, ARGS[role])


if __name__ == "__main__":
    _, role, port, *rest = sys.argv
    try:
        anyio.run(main, role, port, dict(peer.split("=") for peer in rest))
    except* SessionFailed as group:
        for error in group.exceptions:
            assert isinstance(error, SessionFailed)
            say("verdict", error.verdict)
        sys.exit(3)
