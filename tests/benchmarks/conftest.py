"""The benchmarks are a package in the root of the repository and are not installed."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
