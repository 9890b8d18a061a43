"""Run an example: `python -m klorpy.examples.conversations echo 5999`."""

from __future__ import annotations

import sys
from importlib import import_module

from klorpy import KlorError
from klorpy.conversations import ground_vm
from klorpy.conversations.drivers import Listener, required

PROGRAMS = ("echo", "date", "chat", "dns", "ssh")


def main(name: str = "", port: str = "5999") -> None:
    if name not in PROGRAMS or not port.isdecimal():
        sys.exit(f"python -m klorpy.examples.conversations {{{' | '.join(PROGRAMS)}}} PORT")
    try:
        program = import_module(f"klorpy.examples.conversations.{name}").program
    except ModuleNotFoundError as error:
        sys.exit(f"the example {name} needs {error.name}: pip install 'klorpy[{name}]'")
    try:
        listener = Listener(int(port))
        ground_vm([*program(listener), required(listener)])
    except KlorError as error:
        sys.exit(error.render())
    except KeyboardInterrupt:
        print()


if __name__ == "__main__":
    main(*sys.argv[1:3])
