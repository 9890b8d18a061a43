"""Two buyers and a shop meet by presence: the choreography `buy-with-help`, its roles started in any order.

    >>> import anyio
    >>> order = {"title": "SICP", "budget": 30, "address": "Main Street"}
    >>> anyio.run(sale, order, {"SICP": 50}, 40)
    '2030-01-13'

The roles find each other; when one of them fails, the others say why.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import klorpy
from klorpy.conversations import Player, World
from klorpy.examples import two_buyers  # type: ignore[attr-defined]  # written in Hy


async def sale(order: Mapping[str, Any], catalogue: Mapping[str, int], savings: int, world: World | None = None) -> Any:
    """The date of delivery, or None: what Ann learns."""
    if world is None:
        async with World() as world:
            return await sale(order, catalogue, savings, world)
    chor = two_buyers.buy_with_help

    async def play(me: Player, *args: Any) -> Any:
        return await klorpy.play_role({"role": me.role, "transport": me}, chor, *args)

    async with world.session(chor, "sale") as session:
        results = await session.run(
            {
                "Shop": lambda me: play(me, catalogue),
                "Bob": lambda me: play(me, savings),
                "Ann": lambda me: play(me, order),
            },
            timeout=5,
        )
    return results["Ann"]
