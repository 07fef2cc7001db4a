"""Training: protocols, the plain loop, and many seeds side by side."""

from relgraph.training.fitting import fit, fit_many
from relgraph.training.protocols import Protocol, apply_protocol, has_masks, labels, num_classes
from relgraph.training.settings import History, TrainedRun, TrainSettings

__all__ = [
    "History",
    "Protocol",
    "TrainSettings",
    "TrainedRun",
    "apply_protocol",
    "fit",
    "fit_many",
    "has_masks",
    "labels",
    "num_classes",
]
