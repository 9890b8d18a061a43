"""`python -m klorpy` is the command `klorpy`."""

import sys

from klorpy.environment.cli import main

if __name__ == "__main__":
    sys.exit(main())
