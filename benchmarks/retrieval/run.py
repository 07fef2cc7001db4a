"""Whether a new model's embedding finds its own row in the old model's table, by method and number of anchors.

    python -m benchmarks.retrieval.run --data-root DIR

GCN to GCN, ten seeds, width 64: run i queries the table of run i + 1, ten ordered pairs in all, every run once on each
side. 1,000 queries a pair that are no anchors (660 on Cora with 2,048 anchors), against all rows. ``metric`` is that of
the old table, whose answers ``overlap`` compares with, the item itself left out. With ``-residual`` the table is
translated into the space of the queries and both are compared by the metric of the residuals; with ``-from-queries``
the queries are translated. ``-rerank`` reads the 100 nearest rows of the untouched table and sorts them by that metric.
"ceiling" is the overlap of the answers of the new query in the new table.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from benchmarks.common import columns, node_problem, trained_runs
from benchmarks.study import Row, Study
from relgraph.anchors import propagated_features
from relgraph.maps import fit_map, residual_metric
from relgraph.measures import Retrieval, neighbors, retrieval
from relgraph.measures.retrieval import overlap_at
from relgraph.similarity import relative
from relgraph.stitching import Run, View
from relgraph.stitching.bootstrap import run_figure

SHORTLIST = 100
TRANSLATIONS = ("ridge", "kernel-ridge", "procrustes", "orthogonal")
RESIDUAL = ("ridge-residual-from-queries", "ridge-residual", "kernel-ridge-residual", "procrustes-residual")
NO_ANCHORS = ("absolute", "raw-features", "propagated-features", "ceiling")
METHODS = (*TRANSLATIONS, "ridge-rerank", *RESIDUAL, "relative-cosine", "relative-whitened", *NO_ANCHORS)
ROWS = {"cora": 2708, "citeseer": 3327, "pubmed": 19717, "photo": 7650}
QUERIES = 1000


def queried(data: str, options: argparse.Namespace, count: int, pair: int) -> tuple[Run, Run, Tensor, Tensor]:
    """Source and target run of a pair, its anchors and its queries."""
    problem = node_problem(data, options.data_root)
    runs = trained_runs(problem, "gcn", range(options.seeds), options)
    order = torch.randperm(len(runs[0].z), generator=torch.Generator().manual_seed(pair))
    return runs[pair], runs[(pair + 1) % len(runs)], order[:count], order[count : count + QUERIES]


def tables(method: str, source: Run, target: Run, anchors: Tensor) -> tuple[Tensor, Tensor]:
    """All rows of the source and of the target as the method compares them."""
    a, b = View(source, anchors).space, View(target, anchors).space
    name = method.removesuffix("-from-queries").removesuffix("-residual").removesuffix("-rerank")
    if method.endswith("-from-queries"):
        forward = residual_metric(a, b, name)
        return forward.source(source.z), forward.target(target.z)
    if method.endswith(("-residual", "-rerank")):
        metric = residual_metric(b, a, name)
        return metric.target(source.z), metric.source(target.z)
    if method.startswith("relative"):
        kind = name.removeprefix("relative-")
        sides = ((source.z, a), (target.z, b))
        x, y = (relative(z, s.embeddings, kind, center=s.center if kind == "whitened" else None) for z, s in sides)
        return x, y
    return (source.z if method == "absolute" else fit_map(a, b, name)[0](source.z)), target.z


def reranked(x: Tensor, keys: Tensor, truth: Tensor, near: Tensor, first: Retrieval, old: Tensor) -> Retrieval:
    """The shortlist in the order of distances in another space; a row that is not in it keeps its rank."""
    order = (keys[near] - x.unsqueeze(1)).square().sum(2).argsort(dim=1)
    near = near.gather(1, order)
    found = near == truth.unsqueeze(1)
    closer = torch.where(found.any(1), found.double().argmax(1), first.closer)
    return Retrieval(closer, torch.zeros_like(closer), overlap_at(near, old, truth, 10), 10)


def one_pair(
    cell: Row, options: argparse.Namespace, pair: int
) -> tuple[float | None, float | None, float | None, float]:
    """R@1, R@10, mean reciprocal rank and overlap@10 of a pair."""
    method, metric = cell["method"], cell["metric"]
    source, target, anchors, truth = queried(cell["dataset"], options, cell["anchors"] or 512, pair)
    old = neighbors(target.z[truth], target.z, 11, metric=metric).rows
    if method in ("ceiling", "raw-features", "propagated-features"):
        data = source.problem.data
        known = {"ceiling": lambda: source.z, "raw-features": lambda: data.x}
        rows = known.get(method, lambda: propagated_features(data))()
        now = neighbors(rows[truth], rows, 11, metric=metric).rows
        return None, None, None, float(overlap_at(now, old, truth, 10).mean())
    x, y = tables(method, source, target, anchors)
    if method.endswith("-rerank"):
        plain = tables("ridge", source, target, anchors)[0][truth]
        near = neighbors(plain, target.z, SHORTLIST, metric=metric).rows
        found = reranked(x[truth], y, truth, near, retrieval(plain, target.z, truth=truth, metric=metric), old)
    else:
        searched = "euclidean" if "residual" in method else metric
        found = retrieval(x[truth], y, truth=truth, metric=searched, old=old)
    return found.recall(1), found.recall(10), found.mrr, found.overlap or 0.0


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Means over pairs, with intervals that resample runs."""
    found = np.array([one_pair(cell, options, pair) for pair in range(options.seeds)], dtype=float)
    row: Row = {"pairs": len(found), "queries": min(QUERIES, ROWS[cell["dataset"]] - cell["anchors"])}
    row["table"] = "transformed" if "residual" in cell["method"] or "relative" in cell["method"] else "untouched"
    for name, values in zip(("r1", "r10", "mrr", "overlap"), found.T, strict=True):
        row |= columns(name, run_figure(values, ["gcn"] * len(found)))
    yield row


def exists(cell: Row) -> bool:
    """Methods without anchors have none; curved maps of many anchors take minutes; residuals have their own metric."""
    method, count = cell["method"], cell["anchors"]
    if (count == 0) != (method in NO_ANCHORS) or (method in RESIDUAL and cell["metric"] != "euclidean"):
        return False
    return count <= {"kernel-ridge": 512, "kernel-ridge-residual": 128}.get(method, 2048)


STUDY = Study(
    __file__,
    measure,
    {"dataset": tuple(ROWS), "anchors": (0, 128, 512, 2048), "method": METHODS, "metric": ("euclidean", "cosine")},
    settings={"seeds": 10, "epochs": 200},
    exists=exists,
)

if __name__ == "__main__":
    STUDY.main()
