"""``python -m relgraph`` is the command ``relgraph``."""

from __future__ import annotations

import sys

from relgraph.cli import run

if __name__ == "__main__":
    sys.exit(run())
