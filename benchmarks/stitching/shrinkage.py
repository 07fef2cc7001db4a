"""GraphSAGE on CiteSeer by shrinkage, draw and number of anchors, for the worst pair of ``run.py``.

    python -m benchmarks.stitching.shrinkage --data-root DIR

The representation of GraphSAGE is 128 wide, the default number of anchors there. It explains a number; no constant is
chosen by it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable

import numpy as np

from benchmarks.common import matrices, node_problem, pair_groups, rows_of, trained_runs
from benchmarks.study import Row, Study
from relgraph.stitching.methods import Mapped

CHOICES = (
    *(("random", 128, 0, shrinkage) for shrinkage in ("0.001", "0.003", "0.01", "0.03", "0.1", "0.3", "loo")),
    *(("random", 128, draw, "0.01") for draw in (1, 2, 3)),
    ("random", 256, 0, "0.01"),
    ("kmeans", 128, 0, "0.01"),
)


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Retention over all pairs of different seeds, and the number of pairs below 0.97."""
    problem = node_problem("citeseer", options.data_root)
    runs = trained_runs(problem, "sage", range(options.seeds), options)
    anchors = problem.choose_anchors(cell["anchors"], cell["strategy"], seed=cell["anchor_seed"])
    shrinkage = cell["shrinkage"] if cell["shrinkage"] == "loo" else float(cell["shrinkage"])
    found = matrices(Mapped("ridge", shrinkage), runs, anchors=anchors)
    names = ["sage"] * len(runs)
    for row in rows_of(found, names, pair_groups(names)):
        yield row | {"below": int(np.sum(found["retention"] < 0.97))}


STUDY = Study(
    __file__,
    measure,
    {
        "strategy": ("random", "kmeans"),
        "anchors": (128, 256),
        "anchor_seed": (0, 1, 2, 3),
        "shrinkage": ("0.001", "0.003", "0.01", "0.03", "0.1", "0.3", "loo"),
    },
    settings={"seeds": 10, "epochs": 0},
    exists=lambda cell: tuple(cell.values()) in CHOICES,
)

if __name__ == "__main__":
    STUDY.main()
