"""Anchors: choosing them (by chance, structure, geometry, label), and publishing where a run put them."""

from __future__ import annotations

from relgraph.anchors.alignment import GraphChangedWarning, aligned_rows, shared_ids
from relgraph.anchors.anchor_set import AnchorSet
from relgraph.anchors.geometry import propagated_features
from relgraph.anchors.select import STRATEGIES, Strategy, select_anchors

__all__ = [
    "STRATEGIES",
    "AnchorSet",
    "GraphChangedWarning",
    "Strategy",
    "aligned_rows",
    "propagated_features",
    "select_anchors",
    "shared_ids",
]
