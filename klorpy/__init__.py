"""Choreographic programming for Python: one program, many roles, matched by construction.

    import klorpy

    ns = klorpy.evaluate("(defchor double [A B] (-> A A) [x] (B->A (B (* 2 (A->B x)))))")
    klorpy.signature(ns.double)             # "(forall [A B] (-> A A | B))"
    klorpy.simulate_chor(ns.double, 21)["A"]  # 42

In Hy: `(require klorpy *)` gives `defchor` and the other macros, `(import klorpy [simulate-chor play-role])` the
functions. Once klorpy is imported, `.hy` files are modules: `import shop`.
"""

import importlib
from typing import TYPE_CHECKING, Any

# Hy installs the hooks that make `.hy` files importable, so it comes before any of them.
import hy
import hy.macros

from klorpy.core.choreography import Choreography
from klorpy.core.diagnostics import KlorError, KlorWarning
from klorpy.core.events import Message
from klorpy.core.ordering import after, barrier, independent, pure, touches
from klorpy.core.types import Signature
from klorpy.core.values import noop
from klorpy.core.verdicts import PeerLost, RolesMissing, SessionFailed, Verdict
from klorpy.language import KlorSyntaxError, alter_opts, evaluate, load, project, signature
from klorpy.runtime import (
    AgreementViolated,
    Limits,
    MemoryNetwork,
    NoMatch,
    PeerClosed,
    RoleConfig,
    Transport,
    WireError,
    play_role,
    register,
    run_role,
)
from klorpy.simulator import ChoreographyFailed, Exploration, Simulation, explore, simulate_chor

if TYPE_CHECKING:
    from klorpy.behaviour import Protocol, protocol
    from klorpy.outoforder.explain import explain_order
    from klorpy.runtime.connect import connect, host
    from klorpy.runtime.sessions import Node
    from klorpy.runtime.telemetry import telemetry
    from klorpy.runtime.transports.tls import Identity
    from klorpy.simulator.clock import Clock
    from klorpy.simulator.violations import Violations, count_violations

__all__ = [
    "AgreementViolated", "Choreography", "ChoreographyFailed", "Clock", "Exploration", "Identity", "KlorError",
    "KlorSyntaxError", "KlorWarning", "Limits", "MemoryNetwork", "Message", "NoMatch", "Node", "PeerClosed",
    "PeerLost", "Protocol", "RoleConfig", "RolesMissing", "SessionFailed", "Signature", "Simulation", "Transport",
    "Verdict", "Violations", "WireError", "after", "alter_opts", "barrier", "compare", "conforms", "connect", "count_violations", "evaluate",
    "explain_order", "explore", "host", "independent", "load", "noop", "play_role", "project", "protocol", "protocol_of", "pure",
    "register", "run_role", "signature", "simulate_chor", "telemetry", "touches",
]  # fmt: skip

#: Public names whose modules are imported when they are first asked for.
_LATE = {
    "Clock": "klorpy.simulator.clock",
    "Violations": "klorpy.simulator.violations",
    "count_violations": "klorpy.simulator.violations",
    "explain_order": "klorpy.outoforder.explain",
    "Protocol": "klorpy.behaviour",
    "compare": "klorpy.behaviour.extraction",
    "conforms": "klorpy.behaviour.extraction",
    "protocol": "klorpy.behaviour",
    "protocol_of": "klorpy.behaviour.extraction",
    "Identity": "klorpy.runtime.transports.tls",
    "Node": "klorpy.runtime.sessions",
    "connect": "klorpy.runtime.connect",
    "host": "klorpy.runtime.connect",
    "telemetry": "klorpy.runtime.telemetry",
}

__version__ = "0.1.0"

# `(require klorpy *)` looks for macros in this module.
hy.macros.require("klorpy.language.macros", "klorpy", "ALL")
hy.macros.require("klorpy.stdlib", "klorpy", "ALL")
del hy


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module 'klorpy' has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(_LATE[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATE})


def load_ipython_extension(shell: object) -> None:
    """`%load_ext klorpy` in a notebook: the magics `%klor` and `%%klor`."""
    # Only here: no tool is imported before it is asked for.
    from klorpy.environment.jupyter import load_ipython_extension

    load_ipython_extension(shell)


def unload_ipython_extension(shell: object) -> None:
    """`%unload_ext klorpy`."""
    from klorpy.environment.jupyter import unload_ipython_extension

    unload_ipython_extension(shell)
