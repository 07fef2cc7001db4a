"""Training: settings and their defaults, one loop, faster backends for some models, executors and checkpoints."""

from relgraph.training.executors import Executor, LocalExecutor, RayExecutor, open_executor
from relgraph.training.fitting import fit, fit_grid, fit_many
from relgraph.training.linear_probe import fit_linear_head
from relgraph.training.settings import TrainSettings, default_anchors, keeps_runs
from relgraph.training.trainer import History, TrainedRun

__all__ = [
    "Executor",
    "History",
    "LocalExecutor",
    "RayExecutor",
    "TrainSettings",
    "TrainedRun",
    "default_anchors",
    "fit",
    "fit_grid",
    "fit_linear_head",
    "fit_many",
    "keeps_runs",
    "open_executor",
]
