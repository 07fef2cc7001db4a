"""The command line: parse, call one function, show. Help and version import nothing heavy."""

from __future__ import annotations

from relgraph.cli.app import main, run

__all__ = ["main", "run"]
