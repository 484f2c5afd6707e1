"""`python -m chargers.simulator`."""

from __future__ import annotations

import sys

from chargers.simulator.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
