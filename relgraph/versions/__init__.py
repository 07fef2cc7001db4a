"""Versions of a graph: what old consumers need after it has grown and the encoder was trained anew, and what moved."""

from __future__ import annotations

from relgraph.versions.adjustment import adjust_priors, blend, smooth
from relgraph.versions.agreement import neighbor_agreement
from relgraph.versions.distances import RowsElsewhereWarning
from relgraph.versions.drift import Drift, drift
from relgraph.versions.expectation import Calibration, Expectation
from relgraph.versions.mixing import mixed_head
from relgraph.versions.result import Expected, Upgrade
from relgraph.versions.rows import AnchorsMovedWarning
from relgraph.versions.upgrade import upgrade

__all__ = [
    "AnchorsMovedWarning",
    "Calibration",
    "Drift",
    "Expectation",
    "Expected",
    "RowsElsewhereWarning",
    "Upgrade",
    "adjust_priors",
    "blend",
    "drift",
    "mixed_head",
    "neighbor_agreement",
    "smooth",
    "upgrade",
]
