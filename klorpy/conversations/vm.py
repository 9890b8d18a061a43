"""A kernel as a process of another kernel: the nested VM.

    nested_vm(boot) = the action that spawns it

The VM takes a round of its own whenever its container visits it and it has something to do, and at once for each event
that reaches it. What is inside sees nothing of what is outside, and the other way round, but through endpoints and
messages at the meta level. A VM in which nobody can be woken any more is collected like any other process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from klorpy.conversations.actions import Spawn, Transition, Turn, flatten
from klorpy.conversations.kernel import Kernel


def nested_vm(boot: Callable[[], Any] | Any, name: str = "vm", messages: Callable[[Any], Any] | None = None) -> Spawn:
    """Spawn a VM whose first process, "boot", has the actions `boot`, or what `boot()` answers.

    `messages` is the contract of the messages inside (see `Kernel`).

    >>> from klorpy.conversations import ANY, Add, Endpoint, Meta, Send, subscriber
    >>> kernel = Kernel(logging=True)
    >>> ann = kernel.start("ann", [Add(Endpoint("in", subscriber(("chat", ANY))))])
    >>> boot = kernel.start("boot", [nested_vm([Send(("chat", "unheard")), Meta(Send(("chat", "heard")))])])
    >>> kernel.run()
    True
    >>> print(kernel.take_log()[-2])
    ann/in ! #("chat" "heard")
    """

    def host() -> Transition:
        inner = Kernel(hosted=True, messages=messages)
        answer = boot() if callable(boot) else boot
        if type(answer) is Transition:
            inner.start("boot", answer.actions, answer.state)
        else:
            inner.start("boot", flatten(answer))
        return Transition(inner, Turn())

    return Spawn(host, name)
