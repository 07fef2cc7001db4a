"""Stitching across encoders and widths, last layer, 128 random anchors.

    python -m benchmarks.stitching.encoders --data-root DIR

Five encoders of width 64, and GCN and GraphSAGE of widths 32, 64 and 128; ten runs each, all ordered pairs, anchors
drawn anew for each source.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import replace

from benchmarks.common import matrices, node_problem, pair_groups, rows_of, trained_runs
from benchmarks.study import Row, Study

STUDIES = {
    "five-encoders": [("gcn", 64), ("sage", 64), ("gat", 64), ("gin", 64), ("gcn2", 64)],
    "three-widths": [("gcn", 32), ("gcn", 64), ("gcn", 128), ("sage", 32), ("sage", 64), ("sage", 128)],
}


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Figures across encoders, across seeds, and for every ordered pair of encoders."""
    problem, runs = node_problem(cell["dataset"], options.data_root), []
    for encoder, width in STUDIES[cell["study"]]:
        name = encoder if cell["study"] == "five-encoders" else f"{encoder}-{width}"
        found = trained_runs(problem, encoder, range(options.seeds), options, hidden_channels=width)
        runs += [replace(run, encoder=name) for run in found]
    anchors = [problem.choose_anchors(128, seed=run.seed) for run in runs]
    names = [run.encoder for run in runs]
    yield from rows_of(matrices(cell["method"], runs, anchors=anchors), names, pair_groups(names, cells=True))


STUDY = Study(
    __file__,
    measure,
    {
        "dataset": ("cora", "citeseer", "pubmed"),
        "study": tuple(STUDIES),
        "method": ("absolute", "ridge-0.01", "ridge", "procrustes", "class-centroid", "permuted-anchors"),
    },
    settings={"seeds": 10, "epochs": 0},
)

if __name__ == "__main__":
    STUDY.main()
