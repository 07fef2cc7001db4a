"""Sources trained on fewer classes than the heads: two superclasses, or half of the classes.

    python -m benchmarks.stitching.partial_labels --data-root DIR

GCN to GCN, last layer, width 64, ten runs, all ordered pairs of different seeds; anchors are drawn anew per source.
``retention_not_anchors`` counts only test nodes that are no anchors of the source.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from benchmarks import common
from benchmarks.study import Row, Study
from relgraph.stitching import Run

MAPS = ("ridge-0.01", "ridge", "kl", "kernel-ridge", "auto", "procrustes")
NO_ANCHORS = ("absolute", "class-centroid", "linear-probe")
RIVALS = ("nearest-anchor", "logistic-decisions", "ridge-decisions", "permuted-anchors")
STRATEGIES = {"superclasses": ("none", "random", "kmeans"), "half": ("none", "random")}


def sources_of(kind: str, problem: Any, options: argparse.Namespace, at: int | None = None) -> list[Run]:
    """Runs trained on partial labels, on the problem with all classes."""
    seeds, runs = range(options.seeds), []
    if kind == "superclasses":
        runs = common.trained_runs(common.superclasses(problem), "gcn", seeds, options, at)
    for seed in seeds if kind == "half" else ():
        runs += common.trained_runs(common.half_of_classes(problem, seed), "gcn", [seed], options, at)
    return [replace(run, problem=problem) for run in runs]


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Figures over all pairs of different seeds."""
    problem, method = common.node_problem(cell["dataset"], options.data_root), cell["method"]
    targets = common.trained_runs(problem, "gcn", range(options.seeds), options)
    sources = sources_of(cell["sources"], problem, options)
    count, strategy, most = cell["anchors"] or 1, cell["strategy"], common.MOST_HEADS.get(method)
    strategy = "random" if strategy == "none" else strategy
    anchors = [problem.choose_anchors(count, strategy, seed=seed) for seed in range(options.seeds)]
    outside = cell["anchors"] > 0
    found = common.matrices(method, sources, targets, anchors=anchors, most=most, decisive=False, outside=outside)
    names = ["gcn"] * len(targets)
    yield from common.rows_of(found, names, common.pair_groups(names))


STUDY = Study(
    __file__,
    measure,
    {
        "dataset": ("cora", "citeseer", "pubmed", "photo"),
        "sources": tuple(STRATEGIES),
        "strategy": ("none", "random", "kmeans"),
        "anchors": (0, 16, 32, 128, 512),
        "method": (*NO_ANCHORS, *MAPS, *RIVALS),
    },
    settings={"seeds": 10, "epochs": 0},
    exists=lambda cell: (
        cell["strategy"] in STRATEGIES[cell["sources"]]
        and (cell["strategy"] == "none") == (cell["anchors"] == 0) == (cell["method"] in NO_ANCHORS)
    ),
)

if __name__ == "__main__":
    STUDY.main()
