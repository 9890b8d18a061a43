"""The REPL: `klorpy` without a command, or `klorpy repl [FILE …]`.

A thin terminal over `klorpy.environment.session`; whatever a text means is decided there.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from klorpy.environment.present import wants_colour
from klorpy.environment.session import Session

__all__ = ["main"]


def main(argv: Sequence[str] = ()) -> int:
    """Load the files of `argv` and open the REPL; without a terminal, evaluate the standard input.

    Gives the exit status: 0, or 1 after an error in plain mode, where the first one ends it.
    """
    files = list(argv)
    with Session() as session:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            from klorpy.environment.repl import plain

            return plain.main(session, files)
        # prompt_toolkit takes as long to import as klorpy, and whoever pipes a file does not need it.
        from klorpy.environment.repl.config import config_file, read_config, state_folder
        from klorpy.environment.repl.terminal import Terminal

        config, problems = read_config(config_file(os.environ))
        session.seed = config.seed
        terminal = Terminal(session, config, state=state_folder(os.environ), colour=wants_colour(sys.stdout))
        for problem in (*problems, *terminal.problems):
            terminal.write(problem)
        terminal.load([*map(os.path.expanduser, config.load), *files])
        terminal.run()
    return 0
