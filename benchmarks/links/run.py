"""Link prediction: encoders and pair heads of ten seeds, exchanged.

    python -m benchmarks.links.run --data-root DIR

A tenth of the edges is held out for testing. ROC-AUC is measured against random negative pairs, Hits@100 against as
many pairs two hops apart. ``inner-product`` has no head to exchange; its own values stand beside the others.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

import relgraph as rg
from benchmarks.study import Row, Study
from relgraph.io import cache_folder
from relgraph.metrics import HITS_AT_100, ROCAUC
from relgraph.problems.link import DotLinkProblem, LinkProblem
from relgraph.registry import METHODS
from relgraph.stitching import Run, cross
from relgraph.training import TrainSettings, fit_many

DATASETS = ("cora", "citeseer", "pubmed")
METHODS_HERE = [
    *((method, 0) for method in ("absolute", "common-neighbors", "preferential-attachment")),
    *((method, count) for method in ("ridge", "procrustes", "permuted-anchors") for count in (128, 512)),
]
Methods = Sequence[tuple[str, int]]


def figures(data: Any, kind: type[LinkProblem], seeds: range, methods: Methods, **train: Any) -> Iterator[Row]:
    """Own and stitched values over ordered pairs of seeds, for both kinds of negative pairs."""
    problem = kind(data)
    settings = TrainSettings.for_data(problem, "gcn", **train)
    found = fit_many(problem, "gcn", seeds, settings=settings, cache=cache_folder() / "runs")
    others = ~np.eye(len(found), dtype=bool)
    # The same edges are held out with both kinds of negative pairs.
    for tested, metric in ((problem, ROCAUC), (kind(data, negatives="two-hop"), HITS_AT_100)):
        runs, rows = [Run.of(tested, run) for run in found], tested.test
        y = tested.y[rows].cpu().numpy()
        own = np.array([metric.value(y, run.record(rows)) for run in runs])
        about = {"metric": metric.name, "pairs": len(y)}
        yield {**about, "method": "own", "value": float(own.mean()), "worst": float(own.min())}
        for method, count in methods:
            anchors = tested.choose_anchors(count or 1)
            out = cross(METHODS.resolve(method), runs, anchors=anchors, rows=rows, pairs=others).outputs
            values = np.array([metric.value(y, one) for one in out[others]])
            row = {"value": float(values.mean()), "worst": float(values.min())}
            row["share_of_own"] = float(np.mean(values / own[others.nonzero()[1]]))
            yield {**about, "method": method, "anchors": count or None, **row}


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Figures of a dataset with the default settings."""
    data: Any = rg.load_dataset(cell["dataset"], options.data_root)
    train = {"epochs": options.epochs} if options.epochs else {}
    dot = cell["decoder"] == "inner-product"
    kind, methods = (DotLinkProblem, []) if dot else (LinkProblem, METHODS_HERE)
    return figures(data.to(options.device), kind, range(options.seeds), methods, **train)


STUDY = Study(
    __file__,
    measure,
    {"dataset": DATASETS, "decoder": ("perceptron", "inner-product")},
    settings={"seeds": 10, "epochs": 0},
)

if __name__ == "__main__":
    STUDY.main()
