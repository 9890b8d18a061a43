"""The two buyers, meeting by presence."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from klorpy.conversations import VirtualClock, World
from klorpy.core.verdicts import SessionFailed
from klorpy.examples.conversations.booksale import sale

ORDER = {"title": "SICP", "budget": 30, "address": "Main Street"}


@pytest.mark.parametrize(("savings", "date"), [(40, "2030-01-13"), (10, None)])
def test_the_buyers_decide(savings: int, date: str | None) -> None:
    assert anyio.run(sale, ORDER, {"SICP": 50}, savings) == date


def test_the_others_say_who_failed() -> None:
    async def main() -> None:
        async with World(VirtualClock()) as world:
            await sale(ORDER, {"SICP": 50}, "much", world)  # type: ignore[arg-type]

    with pytest.raises(ExceptionGroup) as caught:
        anyio.run(main)
    group: Any = caught.value
    first, *others = group.exceptions
    assert isinstance(first, TypeError)
    assert len(others) == 2
    for error in others:
        assert isinstance(error, SessionFailed)
        assert error.verdict is not None
        assert error.verdict.role == "Bob"
        assert error.verdict.place.partition(":")[0].endswith("two_buyers.hy")
