"""Builders of small experiments for all tests of stitching."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch_geometric.data import Data
from torch_geometric.utils import stochastic_blockmodel_graph

from relgraph.registry import METHODS
from relgraph.stitching import Experiment, StitchSettings, run_experiment
from relgraph.training import TrainSettings
from tests.handmade import molecules

SMALL = TrainSettings(epochs=8, hidden_channels=8)
KINDS = ("nodes", "inner", "five", "multilabel", "regression")


def blocks(size: int = 60, signal: float = 0.5, *, weighted: bool = False) -> Data:
    """Three blocks of nodes with features of little information, so that runs differ."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        edges = stochastic_blockmodel_graph([size] * 3, 0.09 * torch.eye(3) + 0.02)
        y = torch.arange(3).repeat_interleave(size)
        data = Data(x=torch.rand(3 * size, 12) + signal * torch.eye(3).repeat(1, 4)[y], edge_index=edges, y=y)
        if weighted:
            data.edge_weight = torch.rand(edges.size(1)) + 0.1
        return data


def settings(encoders: tuple[str, ...] = ("gcn", "sage"), seeds: int = 2, **given: Any) -> StitchSettings:
    return StitchSettings(encoders, tuple(range(seeds)), **{"num_anchors": 16, "train": SMALL, **given})


def run(kind: str, methods: tuple[str, ...] | None = None) -> Experiment:
    """An experiment of a kind: nodes at the last or an inner layer, five seeds, or whole graphs."""
    if kind in ("nodes", "inner"):
        return run_experiment(blocks(), settings(at=1 if kind == "inner" else None, methods=methods))
    if kind == "five":
        methods = methods or ("absolute", "ridge", "permuted-anchors")
        return run_experiment(blocks(), settings(("gcn",), 5, methods=methods))
    graphs = molecules("multilabel" if kind == "multilabel" else "regression", targets=2)
    encoders = ("gcn",) if kind == "multilabel" else ("gcn", "gin")
    train = TrainSettings(epochs=2, hidden_channels=16, lr=0.001, input_dropout=0.0)
    return run_experiment(graphs, settings(encoders, train=train, methods=methods))


def method(name: str) -> Any:
    """A registered method."""
    return METHODS.resolve(name)


def undefined_like(experiment: Experiment) -> Any:
    """What records hold where a pair is undefined."""
    return -1 if experiment.problem.task.mode == "multiclass" else np.nan
