"""Fidelity and accuracy by number of anchors, anchor strategy and method.

    python -m benchmarks.stitching.few_anchors --data-root DIR

GCN to GCN, last layer, width 64, ten runs, all ordered pairs; anchors are drawn anew for each source.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

import numpy as np
from torch import Tensor

from benchmarks.common import MOST_HEADS, Anchors, matrices, node_problem, pair_groups, rows_of, trained_runs
from benchmarks.study import Row, Study
from relgraph.stitching import metrics

COUNTS = (0, 8, 16, 32, 48, 64, 80, 128, 512)
NEAR_WIDTH = (48, 80)  # beside 64, the width: is there a dip?
LABELED = {"cora": 140, "citeseer": 120, "pubmed": 60, "photo": 160}  # training nodes
FIXED = ("degree", "pagerank", "k-center")  # strategies without random draws
MAPS = ("kl", "ridge", "ridge-0.01", "kernel-ridge", "procrustes")
RIVALS = ("nearest-anchor", "logistic-decisions", "ridge-decisions")
METHODS = {
    "none": ("absolute", "class-centroid"),
    "random": (*MAPS, *RIVALS, "permuted-anchors"),
    "kmeans": (*MAPS, *RIVALS),
    **dict.fromkeys(("farthest-point", "k-center", "degree", "pagerank", "class-stratified"), MAPS[:2]),
}


def anchors(problem: Any, count: int, strategy: str, seeds: int) -> Anchors | Tensor:
    """One choice of anchors for each source."""
    if not count:
        return problem.train[:1]  # for methods without anchors
    if strategy in FIXED:
        return problem.choose_anchors(count, strategy)
    return Anchors.draw(problem, count, strategy, range(seeds))


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Figures over all pairs of different runs."""
    problem, method = node_problem(cell["dataset"], options.data_root), cell["method"]
    runs = trained_runs(problem, "gcn", range(options.seeds), options)
    own = np.stack([run.record(problem.test) for run in runs])
    agreement = metrics.agreement_matrix(problem.task, own)[~np.eye(len(runs), dtype=bool)].mean()
    chosen = anchors(problem, cell["anchors"], cell["strategy"], len(runs))
    found = matrices(method, runs, anchors=chosen, most=MOST_HEADS.get(method))
    for row in rows_of(found, ["gcn"] * len(runs), pair_groups(["gcn"] * len(runs))):
        yield row | {"agreement": float(agreement)}


def exists(cell: Row) -> bool:
    """Methods without anchors have none; stratified anchors are training nodes."""
    strategy, count = cell["strategy"], cell["anchors"]
    if count in NEAR_WIDTH and (strategy, cell["method"]) not in (("random", "kl"), ("random", "ridge")):
        return False
    enough = strategy != "class-stratified" or count <= LABELED[cell["dataset"]]
    return enough and (strategy == "none") == (count == 0) and cell["method"] in METHODS[strategy]


STUDY = Study(
    __file__,
    measure,
    {
        "dataset": tuple(LABELED),
        "strategy": tuple(METHODS),
        "anchors": COUNTS,
        "method": ("absolute", "class-centroid", *MAPS, *RIVALS, "permuted-anchors"),
    },
    settings={"seeds": 10, "epochs": 200},
    exists=exists,
)

if __name__ == "__main__":
    STUDY.main()
