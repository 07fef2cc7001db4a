"""Anchors: choosing them (by chance, structure, geometry, label), and publishing where a run put them."""

from __future__ import annotations

from relgraph.anchors.alignment import GraphChangedWarning, aligned_rows, shared_ids
from relgraph.anchors.anchor_set import AnchorSet
from relgraph.anchors.geometry import propagated_features
from relgraph.anchors.select import SPACES, STRATEGIES, Strategy, labels_used, select_anchors, space_name

__all__ = [
    "SPACES",
    "STRATEGIES",
    "AnchorSet",
    "GraphChangedWarning",
    "Strategy",
    "aligned_rows",
    "labels_used",
    "propagated_features",
    "select_anchors",
    "shared_ids",
    "space_name",
]
