"""Validation accuracy of other training settings than the published ones (Kipf and Welling 2017).

    python -m benchmarks.training.tune --data-root DIR

A GCN from five seeds with every combination of a small grid on Cora; then the best and the published settings on
CiteSeer with fresh seeds. No test node is used. The defaults are the published settings whatever the grid says.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterable

import relgraph as rg
from benchmarks.study import Row, Study
from relgraph.problems import make_problem
from relgraph.training import TrainSettings, fit_many

GRID = {
    "lr": (0.005, 0.01, 0.02),
    "weight_decay": (5e-4, 2e-3),
    "head_weight_decay": (0.0, 5e-4),
    "dropout": (0.5, 0.7),
    "input_dropout": (0.0, 0.5),
}
BEST = {"lr": 0.02, "weight_decay": 2e-3, "head_weight_decay": 0.0, "dropout": 0.7, "input_dropout": 0.5}
PUBLISHED = {name: getattr(TrainSettings(), name) for name in GRID}
FIRST_SEED = {"cora": 100, "citeseer": 200}


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Mean and standard error over seeds of the best validation accuracy."""
    problem = make_problem(rg.load_dataset(cell["dataset"], options.data_root), split="public")
    settings = TrainSettings(epochs=options.epochs, **{name: cell[name] for name in GRID})
    first = FIRST_SEED[cell["dataset"]]
    found = [run.validation for run in fit_many(problem, "gcn", range(first, first + options.seeds), settings=settings)]
    yield {"validation": statistics.mean(found), "error": statistics.stdev(found) / len(found) ** 0.5}


STUDY = Study(
    __file__,
    measure,
    {"dataset": tuple(FIRST_SEED), **GRID},
    settings={"seeds": 5, "epochs": 200},
    exists=lambda cell: cell["dataset"] == "cora" or {name: cell[name] for name in GRID} in (BEST, PUBLISHED),
)

if __name__ == "__main__":
    STUDY.main()
