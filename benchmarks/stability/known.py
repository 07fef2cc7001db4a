"""Disagreement of GCN and GAT over seeds, beside the published values of Klabunde and Lemmerich (2022).

    python -m benchmarks.stability.known --data-root DIR

Source: "On the Prediction Instability of Graph Neural Networks", https://arxiv.org/abs/2205.10070, with the public
splits of CiteSeer and PubMed, 50 runs. Arms:

* ``published``: their setting. Raw features, two layers of width 64 (GAT: eight heads of 8), dropout .6 on inputs and
  states, Adam with learning rate .01 and no weight decay, at most 500 epochs, and the epoch of the least validation
  loss with a patience of 40. Only the initialization differs between runs: all draw the same dropout masks. Learning
  rate and weight decay are those of a repository that was derived from theirs, since their own file is missing.
* ``dropout``: the same, and dropout masks differ as well.
* ``rows``: the same as ``dropout`` with features whose rows sum to one.
* ``decay``: the same as ``dropout`` with a weight decay of 5e-4.
* ``library``: relgraph's defaults, as ``relgraph stability`` trains.

* ``averaged``: the same as ``published`` with their GAT itself: its second layer has eight heads of which each gives
  outputs, and the outputs are averaged. The second layer of relgraph's GAT has one head of width 64 and a linear map
  behind it. These runs are trained one after the other by relgraph's plain loop.

GAT has fewer seeds, and ``averaged`` fewer still, to take minutes on a CPU.

``each_*`` and ``any_*`` are areas under the ROC curve of :func:`relgraph.studies.flips.predict_flips`: ten runs tell
on which rows the others flip.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import GATConv

from benchmarks.common import columns, node_problem
from benchmarks.study import Row, Study
from relgraph.io import cache_folder
from relgraph.modes import seeded
from relgraph.nn.model import Model
from relgraph.problems import Problem
from relgraph.studies import Material, study
from relgraph.studies.training import runs_of
from relgraph.training import TrainedRun, TrainSettings, fit_many, trainer
from relgraph.training.fast import ensemble
from relgraph.training.trainer import BestEpoch

# Accuracy, d, d_norm, d_true and d_false of the paper.
PUBLISHED = {
    ("citeseer", "gcn"): (0.692, 0.071, 0.103, 0.035, 0.151),
    ("citeseer", "gat"): (0.690, 0.105, 0.154, 0.052, 0.223),
    ("pubmed", "gcn"): (0.768, 0.024, 0.041, 0.015, 0.056),
    ("pubmed", "gat"): (0.757, 0.037, 0.064, 0.024, 0.080),
}
THEIRS = TrainSettings(
    epochs=500, patience=40, lr=0.01, weight_decay=0.0, hidden_channels=64, dropout=0.6, input_dropout=0.6
)
ARMS = {
    "gcn": ("published", "dropout", "rows", "decay", "library"),
    "gat": ("published", "dropout", "library", "averaged"),
}
NAMES = {"disagreement": "d", "normalized": "d_norm", "on_right": "d_true", "on_wrong": "d_false"}


class LeastLoss(BestEpoch):
    """The epoch of the least validation loss, whatever the metric is."""

    def update(
        self, epoch: int, values: Sequence[float], losses: Sequence[float], runs: Sequence[int] | None = None
    ) -> list[int]:
        return super().update(epoch, [math.nan] * len(losses), losses, runs)


@contextmanager
def chosen_by_loss() -> Iterator[None]:
    """Train with the epoch of the least validation loss."""
    with patch.object(ensemble, "BestEpoch", LeastLoss):
        yield


class AveragedHeads(nn.Module):
    """Two layers of graph attention, the second with eight heads whose outputs are averaged."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        p = THEIRS.dropout
        self.first = GATConv(problem.data.num_features, 8, heads=8, dropout=p)
        self.second = GATConv(64, problem.num_outputs, heads=8, concat=False, dropout=p)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        x = self.first(F.dropout(x, THEIRS.input_dropout, self.training), edge_index)
        return self.second(F.dropout(F.elu(x), THEIRS.dropout, self.training), edge_index)


def averaged(problem: Problem, seeds: range, settings: TrainSettings) -> Iterator[TrainedRun]:
    """Runs of the published GAT; all draw the same dropout masks."""
    for seed in seeds:
        with seeded(seed, problem.device):
            model = Model(AveragedHeads(problem), nn.Identity()).to(problem.device)
        with seeded(0, problem.device), patch.object(trainer, "BestEpoch", LeastLoss):
            yield trainer.train(problem, model, seed, settings, "gat")


def trained(problem: Problem, encoder: str, arm: str, seeds: range, epochs: int) -> list[TrainedRun]:
    """The runs of an arm."""
    if arm == "library":
        chosen = TrainSettings.for_data(problem, encoder, **({"epochs": epochs} if epochs else {}))
        return fit_many(problem, encoder, seeds, settings=chosen, cache=cache_folder() / "runs")
    settings = replace(THEIRS, weight_decay=5e-4 if arm == "decay" else 0.0, epochs=epochs or THEIRS.epochs)
    if arm == "averaged":
        return list(averaged(problem, seeds, settings))
    models = [problem.build(encoder, seed, settings) for seed in seeds]
    streams = [0] * len(seeds) if arm == "published" else list(seeds)
    with chosen_by_loss():
        found = ensemble.train_ensemble(problem, models, streams, settings, encoder)
    return [replace(run, seed=seed) for run, seed in zip(found, seeds, strict=True)]


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Accuracy, disagreement, and which rows flip."""
    dataset, encoder, arm = cell["dataset"], cell["encoder"], cell["arm"]
    features = None if arm in ("rows", "library") else "raw"
    problem = node_problem(dataset, options.data_root, features=features, device=options.device)
    count = options.averaged_seeds if arm == "averaged" else options.gat_seeds if encoder == "gat" else options.seeds
    seeds = range(count)
    models = [run.model for run in trained(problem, encoder, arm, seeds, options.epochs)]
    runs = runs_of(problem, {encoder: models}, {encoder: seeds})
    found = study(Material(runs, problem)).sections
    accuracy, pairs = found["accuracy"]["models"][encoder], found["predictions"]["models"][encoder]
    row: dict[str, Any] = {"seeds": len(seeds), "accuracy": accuracy["mean"], "accuracy_std": accuracy["std"]}
    for name, short in NAMES.items():
        row |= columns(short, pairs[name], worst=False)
    row |= {"unanimous": pairs["unanimous"], "symmetric_kl": pairs["symmetric_kl"]["mean"]}
    rows = found["rows"]["models"][encoder]
    row["right_if_unanimous"] = rows["calibration"]["unanimous"]["accuracy"]
    for kind in ("each", "any"):
        for score, figure in ((rows["flips"] or {}).get(kind) or {}).items():
            row[f"{kind}_{score}"] = figure and figure["mean"]
    for name, value in zip(("accuracy", *NAMES.values()), PUBLISHED[dataset, encoder], strict=True):
        row[f"published_{name}"] = value
    yield row


STUDY = Study(
    __file__,
    measure,
    {
        "dataset": ("citeseer", "pubmed"),
        "encoder": ("gcn", "gat"),
        "arm": ("published", "dropout", "rows", "decay", "library", "averaged"),
    },
    settings={"seeds": 50, "gat_seeds": 20, "averaged_seeds": 8, "epochs": 0},
    exists=lambda cell: cell["arm"] in ARMS[cell["encoder"]],
)

if __name__ == "__main__":
    STUDY.main()
