"""Stitching behind layer 1 of GCN and GraphSAGE networks of two and three layers.

    python -m benchmarks.stitching.inner_layers --data-root DIR

The source's first layer, a map fitted on 128 random anchors (drawn anew for each source), and the target's remaining
layers, message passing included, on the whole graph. Ten runs of two-layer networks, five of three-layer networks, all
ordered pairs; and GCN sources trained on two superclasses.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from benchmarks.common import matrices, node_problem, pair_groups, rows_of, trained_runs
from benchmarks.stitching.partial_labels import sources_of
from benchmarks.study import Row, Study

CONTROLS = ("absolute", "permuted-anchors", "class-centroid")


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Figures within each encoder and across encoders."""
    problem, depth = node_problem(cell["dataset"], options.data_root), cell["layers"]
    partial, train = cell["sources"] == "superclasses", {} if depth == 2 else {"num_layers": depth}
    seeds = range(options.seeds if depth == 2 else (options.seeds + 1) // 2)
    runs = trained_runs(problem, "gcn" if partial else ("gcn", "sage"), seeds, options, at=1, **train)
    sources = sources_of("superclasses", problem, options, at=1) if partial else runs
    anchors = [problem.choose_anchors(128, seed=run.seed) for run in runs]
    names = [run.encoder for run in runs]
    cells = pair_groups(names, cells=True)
    groups = pair_groups(names) | {name: cells[f"{name} > {name}"] for name in dict.fromkeys(names)}
    found = matrices(cell["method"], sources, runs, anchors=anchors, decisive=not partial)
    yield from rows_of(found, names, {"seeds": groups["seeds"]} if partial else groups)


STUDY = Study(
    __file__,
    measure,
    {
        "dataset": ("cora", "citeseer", "pubmed"),
        "sources": ("full", "superclasses"),
        "layers": (2, 3),
        "method": ("ridge", "ridge-relu", "kernel-ridge", "procrustes", *CONTROLS),
    },
    settings={"seeds": 10, "epochs": 0},
    exists=lambda cell: cell["sources"] == "full" or cell["layers"] == 2,
)

if __name__ == "__main__":
    STUDY.main()
