"""Values on anchors: the embeddings that a run publishes of its anchors, and the outputs of a head on them."""

from __future__ import annotations

from relgraph.anchors.anchor_set import AnchorSet
from relgraph.anchors.base import LARGEST, AnchorValues, check_rows, checked_ids, shortened
from relgraph.anchors.published_head import MeanFrom, PublishedHead, mean_head

__all__ = [
    "LARGEST",
    "AnchorSet",
    "AnchorValues",
    "MeanFrom",
    "PublishedHead",
    "check_rows",
    "checked_ids",
    "mean_head",
    "shortened",
]
