"""Link prediction: encoders and pair heads of ten seeds, exchanged.

    python -m benchmarks.links.run --data-root DIR

A tenth of the edges is held out for testing. ROC-AUC is measured against random negative pairs, Hits@100 against as
many pairs two hops apart. ``inner-product`` has no head to exchange; its own values stand beside the others.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable

import numpy as np

import relgraph as rg
from benchmarks.study import Row, Study
from relgraph.io import cache_folder
from relgraph.metrics import HITS_AT_100, ROCAUC, Metric
from relgraph.problems.link import DotLinkProblem, LinkProblem
from relgraph.registry import METHODS
from relgraph.stitching import Run, cross
from relgraph.training import TrainSettings, fit_many

WITHOUT_ANCHORS = ("absolute", "common-neighbors", "preferential-attachment")
WITH_ANCHORS = ("ridge", "procrustes", "permuted-anchors")


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Own and stitched values over ordered pairs of seeds, for both kinds of negative pairs."""
    data = rg.load_dataset(cell["dataset"], options.data_root).to(options.device)
    kind = DotLinkProblem if cell["decoder"] == "inner-product" else LinkProblem
    problem = kind(data)
    settings = TrainSettings.for_data(problem, "gcn", **({"epochs": options.epochs} if options.epochs else {}))
    found = fit_many(problem, "gcn", range(options.seeds), settings=settings, cache=cache_folder() / "runs")
    negatives: dict[str, tuple[LinkProblem, Metric]] = {
        "random": (problem, ROCAUC),
        "two-hop": (kind(data, negatives="two-hop"), HITS_AT_100),  # the same edges are held out
    }
    for name, (tested, metric) in negatives.items():
        runs = [Run.of(tested, run, None) for run in found]
        y = tested.y[tested.test].cpu().numpy()
        own = np.array([metric.value(y, run.record(tested.test)) for run in runs])
        about = {"negatives": name, "metric": metric.name, "pairs": len(y)}
        yield {**about, "method": "own", "value": float(own.mean()), "worst": float(own.min())}
        if cell["decoder"] == "inner-product":
            continue
        for method in (*WITHOUT_ANCHORS, *WITH_ANCHORS):
            for count in (128, 512) if method in WITH_ANCHORS else (0,):
                anchors = tested.choose_anchors(count or 128)
                out = cross(METHODS.resolve(method), runs, anchors=anchors, rows=tested.test).outputs
                others = [(i, j) for i in range(len(runs)) for j in range(len(runs)) if i != j]
                values = np.array([metric.value(y, out[pair]) for pair in others])
                ratio = np.array([value / own[j] for (_, j), value in zip(others, values, strict=True)])
                row = {**about, "method": method, "anchors": count or None}
                spread = {"value": float(values.mean()), "worst": float(values.min())}
                yield row | spread | {"share_of_own": float(ratio.mean())}


STUDY = Study(
    __file__,
    measure,
    {"dataset": ("cora", "citeseer", "pubmed"), "decoder": ("perceptron", "inner-product")},
    settings={"seeds": 10, "epochs": 0},
)

if __name__ == "__main__":
    STUDY.main()
