"""What a signal that ends a process does to the role that it plays: host code is left where it is, and the role leaves."""

from __future__ import annotations

import types
from typing import Final

from klorpy.runtime.play import play_role

#: The module that calls the code of roles.
PLAYER: Final = play_role.__module__


class ToEnd(KeyboardInterrupt):
    """The process is to end, while host code keeps it busy."""


def is_host_code(frame: types.FrameType | None) -> bool:
    """Whether what runs is the code of a role, which may be stopped anywhere, rather than that of a loop."""
    innermost = frame
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] not in ("klorpy", "anyio", "asyncio"):
        frame = frame.f_back
    return frame is not None and frame is not innermost and frame.f_globals.get("__name__") == PLAYER
