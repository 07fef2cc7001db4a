"""Number of anchors, shrinkage and rows of unit length, on validation graphs, which choose, and on test graphs.

    python -m benchmarks.molecules.tune --data-root DIR

The runs are those of ``run.py``; means over all ordered pairs. ``unit_length`` divides every embedding of the source
by its norm first.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

import numpy as np

import relgraph as rg
from benchmarks.common import matrices, trained_runs
from benchmarks.molecules.run import DATASETS
from benchmarks.study import Row, Study
from relgraph.problems import Problem, make_problem
from relgraph.stitching import Run, View
from relgraph.stitching.methods import Mapped

TRAINING = {"ogbg-molbace": 1210, "ogbg-molbbbp": 1631, "ogbg-molesol": 902, "ogbg-molfreesolv": 513}
WAYS = [
    *(("ridge", shrinkage, "no") for shrinkage in ("0.001", "0.01", "0.1", "0.3", "1", "loo")),
    ("ridge", "0.01", "yes"),
    ("kl", "loo", "no"),
]


class OnUnitRows(Mapped):
    """The same with every embedding of the source divided by its norm."""

    def predict(self, source: View, target: View, *others: object) -> object:  # type: ignore[override]
        z = source.run.z
        unit: Run = replace(source.run, z=z / z.norm(dim=1, keepdim=True).clamp(min=1e-12))
        return super().predict(View(unit, source.anchors), target, *others)  # type: ignore[arg-type]


@lru_cache(maxsize=1)
def problem_of(dataset: str, root: str) -> Problem:
    """The dataset as a problem: one object for all cells, so that the runs are embedded once."""
    return make_problem(rg.load_dataset(dataset, root))


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Mean metric over all ordered pairs."""
    problem = problem_of(cell["dataset"], options.data_root)
    runs = trained_runs(problem, ("gcn", "gin"), range(options.seeds), options, settings=None)
    shrinkage = cell["shrinkage"] if cell["shrinkage"] == "loo" else float(cell["shrinkage"])
    method = (OnUnitRows if cell["unit_length"] == "yes" else Mapped)(cell["method"], shrinkage)
    anchors, row = problem.choose_anchors(cell["anchors"]), {"metric": problem.task.metric.name}
    for part, rows in (("validation", problem.validation), ("test", problem.test)):
        found = matrices(method, runs, anchors=anchors, rows=rows, decisive=False)
        own = [problem.task.value(problem.y[rows], run.record(rows)) for run in runs]
        row |= {part: float(np.nanmean(found["accuracy"])), f"own_{part}": float(np.mean(own))}
    yield row


def exists(cell: Row) -> bool:
    """Ways of fitting; leave-one-out up to 512 anchors, ``kl`` for labels only."""
    count, most = cell["anchors"], TRAINING[cell["dataset"]]
    slow = cell["shrinkage"] == "loo" and count > 512
    labels = cell["method"] == "ridge" or cell["dataset"] in DATASETS[:2]
    way = (cell["method"], cell["shrinkage"], cell["unit_length"])
    return way in WAYS and not slow and labels and ((count in (128, 256, 512) and count <= most) or count == most)


STUDY = Study(
    __file__,
    measure,
    {
        "dataset": DATASETS,
        "anchors": (128, 256, 512, *TRAINING.values()),
        "method": ("ridge", "kl"),
        "shrinkage": ("0.001", "0.01", "0.1", "0.3", "1", "loo"),
        "unit_length": ("no", "yes"),
    },
    settings={"seeds": 5, "epochs": 40},
    exists=exists,
)

if __name__ == "__main__":
    STUDY.main()
