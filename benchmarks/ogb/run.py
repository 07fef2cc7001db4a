"""All methods on ogbn-arxiv: across seeds and encoders, at the last layer and one layer earlier.

    python -m benchmarks.ogb.run --data-root DIR [--features spectral | fastrp | file] [--encoders gcn sage gat]

Four runs of each encoder (three layers, trained on the whole graph and cached), all ordered pairs, anchors drawn three
times. ``loss`` is the accuracy of the head's own model less the stitched accuracy, on the test nodes of OGB's split.
Methods that take long are evaluated with the heads of the next few runs, and one draw of anchors.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.common import Anchors, matrices, mean_of, node_problem, pair_groups, rows_of, trained_runs
from benchmarks.study import Row, Study, read_rows
from relgraph.problems import Problem
from relgraph.stitching import Run, metrics

MOST = {"kernel-ridge": 3, "ridge-relu": 3, "kernel-ridge-relu": 3, "anchor-labels": 1, "logistic-decisions": 1}
ONCE = {*MOST, "absolute", "class-centroid", "permuted-anchors"}
LAST = (
    "absolute", "kl", "ridge", "ridge-0.01", "kernel-ridge", "procrustes", "permuted-anchors", "class-centroid",
    "anchor-labels", "logistic-decisions",
)  # fmt: skip
INNER = ("absolute", "ridge-relu", "kernel-ridge-relu", "permuted-anchors")
DRAWS = 3


@lru_cache(maxsize=16)
def anchors_of(problem: Problem, count: int, strategy: str, seed: int, sources: int) -> Tensor | Anchors:
    """The anchors of all sources; no strategy here uses a label or a run."""
    if strategy != "random-training":
        rows, weights = problem.weighted_anchors(count, strategy, seed=seed)
        return Anchors([rows] * sources, [weights] * sources)
    order = torch.randperm(problem.train.numel(), generator=torch.Generator().manual_seed(seed))
    return problem.train[order[:count]]


def runs_of(problem: Problem, options: argparse.Namespace, inner: bool = False, **train: Any) -> list[Run]:
    """Trained runs, at the last layer or one earlier; GAT has two layers."""
    runs = []
    for encoder in options.encoders:
        at = None if not inner else 1 if encoder == "gat" else 2
        runs += trained_runs(
            problem, encoder, range(options.first_seed, options.first_seed + options.seeds), options, at, None, **train
        )
    return runs


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Figures across seeds and encoders: means over draws, the worst of all pairs and draws."""
    features = None if options.features == "file" else options.features
    start = time.perf_counter()
    problem, method, count = node_problem("ogbn-arxiv", options.data_root, 0, features), cell["method"], cell["anchors"]
    loading = time.perf_counter() - start
    runs = runs_of(problem, options, inner=cell["layer"] == "inner")
    names = [run.encoder for run in runs]
    groups = pair_groups(names)
    own = np.stack([run.record(problem.test) for run in runs])
    if method == "own":
        yield from own_rows(problem, runs, own, loading, read_rows(options.out))
        return
    agreement = metrics.agreement_matrix(problem.task, own)
    most, found = MOST.get(method) if count == 512 else 2, []
    for seed in range(draws(cell)):
        anchors = anchors_of(problem, count, cell["strategy"], seed, len(runs))
        found.append(matrices(method, runs, anchors=anchors, most=most, decisive=False))
    for row in rows_of(mean_of(found), names, groups):
        pairs = groups[row["pairs"]]
        row |= {"loss": row["own"] - row["accuracy"], "agreement": float(agreement[pairs].mean())}
        yield row | {"loss_worst": float(max(np.nanmax((one["own"] - one["accuracy"])[pairs]) for one in found))}


def draws(cell: Row) -> int:
    """How often anchors are drawn."""
    return 1 if cell["method"] in ONCE or cell["anchors"] != 512 else DRAWS


def own_rows(problem: Problem, runs: list[Run], own: Any, loading: float, rows: list[Row]) -> Iterable[Row]:
    """Accuracy of the runs, mean and unbiased standard deviation, and what the whole study takes.

    Stitching is the time of all pairs in the rows of the other cells; the memory is that of this process.
    """
    values = np.array([problem.task.value(problem.y[problem.test], record) for record in own])
    names, trained = np.array([run.encoder for run in runs]), [run.trained for run in runs if run.trained]
    validation = np.array([one.validation for one in trained])
    for name in dict.fromkeys(names):
        row = {"pairs": name, "n": int((names == name).sum())}
        for label, each in (("own", values), ("validation", validation)):
            row |= {label: float(each[names == name].mean()), f"{label}_std": float(each[names == name].std(ddof=1))}
        yield row
    yield {
        "pairs": "all",
        "own": float(values.mean()),
        "largest_class": problem.constant,
        "train_seconds": sum(one.seconds for one in trained),
        "load_seconds": loading,
        "stitch_seconds": sum(row["seconds"] * row["n"] * draws(row) for row in rows if row.get("seconds")),
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def exists(cell: Row) -> bool:
    """Methods of each layer; other numbers of anchors for two methods; what does not depend on anchors once."""
    method, count, strategy = cell["method"], cell["anchors"], cell["strategy"]
    if method == "own" or strategy == "none" or count == 0:
        return (cell["layer"], strategy, count, method) == ("last", "none", 0, "own")
    if method in ("absolute", "class-centroid") and strategy != "random-training":
        return False
    if cell["layer"] == "inner":
        return count == 512 and method in INNER
    return method in (LAST if count == 512 else ("ridge", "kl"))


STUDY = Study(
    __file__,
    measure,
    {
        "layer": ("inner", "last"),
        "strategy": ("random-training", "random", "kmeans", "none"),
        "anchors": (512, 128, 2048, 0),
        "method": (*LAST, *INNER[1:3], "own"),
    },
    settings={"seeds": 4, "epochs": 100, "features": "spectral", "encoders": ("gcn", "sage"), "first_seed": 0},
    exists=exists,
)

if __name__ == "__main__":
    STUDY.main()
