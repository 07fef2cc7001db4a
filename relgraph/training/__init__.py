"""Training: protocols, the plain loop, many seeds side by side, and whole graphs in mini-batches."""

from relgraph.training.fitting import fit, fit_many
from relgraph.training.graphs import GraphTrainSettings, embed, fit_graphs
from relgraph.training.metric import METRICS, Metric, metric_named
from relgraph.training.protocols import Protocol, apply_protocol, has_masks, labels, num_classes
from relgraph.training.settings import History, TrainedRun, TrainSettings

__all__ = [
    "METRICS",
    "GraphTrainSettings",
    "History",
    "Metric",
    "Protocol",
    "TrainSettings",
    "TrainedRun",
    "apply_protocol",
    "embed",
    "fit",
    "fit_graphs",
    "fit_many",
    "has_masks",
    "labels",
    "metric_named",
    "num_classes",
]
