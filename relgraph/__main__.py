"""``python -m relgraph`` is the command ``relgraph``."""

from __future__ import annotations

import sys

from relgraph.cli import main

if __name__ == "__main__":
    sys.exit(main())
