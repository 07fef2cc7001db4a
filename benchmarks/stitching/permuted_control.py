"""Cohen's kappa of the control with the true classes, draw by draw.

    python -m benchmarks.stitching.permuted_control --data-root DIR

``run.py`` reports the mean over draws. Single draws scatter to both sides of 0, which the mean size of kappa shows. GCN
and GraphSAGE from ten seeds, 128 random anchors, one draw per ordered pair.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable

import numpy as np
from sklearn.metrics import cohen_kappa_score

from benchmarks.common import node_problem, trained_runs
from benchmarks.study import Row, Study
from relgraph.stitching import cross
from relgraph.stitching.methods import PERMUTED_ANCHORS


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Mean, mean size, spread and largest size over draws."""
    problem = node_problem(cell["dataset"], options.data_root)
    runs = trained_runs(problem, ("gcn", "sage"), range(options.seeds), options)
    found = cross(PERMUTED_ANCHORS, runs, anchors=problem.choose_anchors(128), rows=problem.test)
    assert found.draws is not None
    kappa = np.array([cohen_kappa_score(draw, problem.y[problem.test].numpy()) for draw in found.draws])
    yield {
        "kappa": float(kappa.mean()),
        "kappa_size": float(np.abs(kappa).mean()),
        "kappa_std": float(kappa.std(ddof=1)),
        "kappa_max": float(np.abs(kappa).max()),
        "draws": len(kappa),
    }


STUDY = Study(__file__, measure, {"dataset": ("cora", "citeseer", "pubmed")}, settings={"seeds": 10, "epochs": 0})

if __name__ == "__main__":
    STUDY.main()
