"""Stitching on ten random splits of Photo, a graph of goods.

    python -m benchmarks.stitching.random_splits --data-root DIR [--device cuda]

For each split two GCNs, GraphSAGEs, GATs, GINs and GCNIIs are trained and stitched to each other, never to runs of
another split, whose training nodes would be their test nodes. Intervals are over splits.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable

import numpy as np

from benchmarks.common import Matrices, columns, matrices, node_problem, pair_groups, trained_runs
from benchmarks.study import Row, Study
from relgraph.stitching.bootstrap import run_figure


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Means over the pairs of every split, then figures over splits."""
    found: list[Matrices] = []
    for split in range(options.splits):
        problem = node_problem("photo", options.data_root, split)
        runs = trained_runs(problem, options.encoders, range(options.seeds), options)
        anchors = problem.choose_anchors(cell["anchors"], seed=split)
        found.append(matrices(cell["method"], runs, anchors=anchors))
    names = [run.encoder for run in runs]
    for label, pairs in pair_groups(names, cells=True).items():
        if not np.isfinite(found[0]["accuracy"][pairs]).any():
            continue
        source, _, head = label.rpartition(" > ")
        row: Row = {"pairs": "cell" if source else label, "source": source or None, "head": head if source else None}
        row["splits"] = options.splits
        for name in ("own", "accuracy", "retention", "fidelity", "decisive"):
            values = np.array([np.nanmean(one[name][pairs]) for one in found])
            row |= columns(name, run_figure(values, ["photo"] * len(values)), worst=False)
        yield row | {"retention_worst": float(min(np.nanmin(one["retention"][pairs]) for one in found))}


STUDY = Study(
    __file__,
    measure,
    {
        "dataset": ("photo",),
        "anchors": (32, 128, 512),
        "method": ("absolute", "kl", "ridge", "ridge-0.01", "procrustes", "class-centroid", "permuted-anchors"),
    },
    settings={"seeds": 2, "splits": 10, "epochs": 200, "encoders": ("gcn", "sage", "gat", "gin", "gcn2")},
)

if __name__ == "__main__":
    STUDY.main()
