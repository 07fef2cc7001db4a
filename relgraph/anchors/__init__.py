"""Anchors: choosing them (sampling, centrality, coverage), publishing values on them, and matching them by id."""

from __future__ import annotations

from relgraph.anchors.coverage import propagated_features
from relgraph.anchors.estimators import EstimatorHead
from relgraph.anchors.lasting import lasting_nodes, neighborhood_change
from relgraph.anchors.matching import GraphChangedWarning, GraphGrownWarning, aligned_rows, shared_ids
from relgraph.anchors.publish import publish
from relgraph.anchors.select import choose_weighted, labels_used, select_anchors
from relgraph.anchors.values import AnchorSet, PublishedHead, mean_head

__all__ = [
    "AnchorSet",
    "EstimatorHead",
    "GraphChangedWarning",
    "GraphGrownWarning",
    "PublishedHead",
    "aligned_rows",
    "choose_weighted",
    "labels_used",
    "lasting_nodes",
    "mean_head",
    "neighborhood_change",
    "propagated_features",
    "publish",
    "select_anchors",
    "shared_ids",
]
