"""Drivers: processes that turn the world outside into conversations.

    [timer_driver(), tcp_driver(), udp_driver(), *console_driver()]

Each is spawned by its action, at ground, or in a nested VM beside `event_relay`.
"""

from klorpy.conversations.drivers.console import Console, ConsoleIn, ConsoleOut, console_driver
from klorpy.conversations.drivers.lines import lines, listen, required, say
from klorpy.conversations.drivers.tcp import (
    EOF,
    Addr,
    Credit,
    Error,
    Handle,
    Listener,
    Listening,
    Mode,
    Tcp,
    tcp_driver,
)
from klorpy.conversations.drivers.timer import (
    ABSOLUTE,
    RELATIVE,
    CancelTimer,
    ClockRead,
    ReadClock,
    SetTimer,
    TimerExpired,
    timer_driver,
    timer_relay,
)
from klorpy.conversations.drivers.udp import Udp, udp_driver

__all__ = [
    "ABSOLUTE", "EOF", "RELATIVE", "Addr", "CancelTimer", "ClockRead", "Console", "ConsoleIn", "ConsoleOut", "Credit",
    "Error", "Handle", "Listener", "Listening", "Mode", "ReadClock", "SetTimer", "Tcp", "TimerExpired", "Udp",
    "console_driver", "lines", "listen", "required", "say", "tcp_driver", "timer_driver", "timer_relay", "udp_driver",
]  # fmt: skip
