"""Stitching on whole graphs: anchors are training graphs, metrics have a floor, heads tell labels or values."""

from __future__ import annotations

from relgraph.stitching.graphs.anchors import dataset_fingerprint, graph_anchors, graph_features, graph_space
from relgraph.stitching.graphs.arms import GRAPH_ARMS, arms_for
from relgraph.stitching.graphs.document import build_graph_document, graph_schema
from relgraph.stitching.graphs.experiment import GraphExperiment, GraphStitchSettings, run_graph_experiment

__all__ = [
    "GRAPH_ARMS",
    "GraphExperiment",
    "GraphStitchSettings",
    "arms_for",
    "build_graph_document",
    "dataset_fingerprint",
    "graph_anchors",
    "graph_features",
    "graph_schema",
    "graph_space",
    "run_graph_experiment",
]
