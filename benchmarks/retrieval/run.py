"""Whether a new model's embedding finds its own row in the old model's table, by method and number of anchors.

    python -m benchmarks.retrieval.run --data-root DIR

``models`` is NEW-OLD, or one model that stands on both sides: run i of the new model queries the table of run i + 1 of
the old one. Ten pairs, every run once on each side; four on ogbn-arxiv (the runs of ``benchmarks.ogb.run``, structural
features) and with node2vec. Width 64, on ogbn-arxiv that of its settings. 1,000 queries a pair that
are no anchors (660 on Cora with 2,048 anchors), against all rows. ``metric`` is that of
the old table, whose answers ``overlap`` compares with, the item itself left out. With ``-residual`` the table is
translated into the space of the queries and both are compared by the metric of the residuals; with ``-from-queries``
the queries are translated. ``-rerank`` reads the 100 nearest rows of the untouched table and sorts them by that metric.
"ceiling" is the overlap of the answers of the new query in the new table.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from benchmarks.common import columns, node_problem, table_runs
from benchmarks.retrieval.node2vec import EPOCHS, embeddings
from benchmarks.study import Row, Study
from relgraph.anchors import AnchorSet, propagated_features
from relgraph.maps import fit_map, residual_metric
from relgraph.measures import Retrieval, neighbors, retrieval
from relgraph.measures.retrieval import overlap_at
from relgraph.problems import Problem
from relgraph.similarity import relative
from relgraph.stitching.bootstrap import run_figure

SHORTLIST = 100
TRANSLATIONS = ("ridge", "kernel-ridge", "procrustes", "orthogonal")
RESIDUAL = ("ridge-residual-from-queries", "ridge-residual", "kernel-ridge-residual", "procrustes-residual")
NO_ANCHORS = ("absolute", "raw-features", "propagated-features", "ceiling")
METHODS = (*TRANSLATIONS, "ridge-rerank", *RESIDUAL, "relative-cosine", "relative-whitened", *NO_ANCHORS)
BETWEEN = (
    "ridge",
    "procrustes",
    "ridge-rerank",
    "ridge-residual",
    "relative-cosine",
    "relative-whitened",
    *NO_ANCHORS[1:],
)
CITATION = ("cora", "citeseer", "pubmed")
DATASETS = (*CITATION, "photo", "ogbn-arxiv")
MODELS = ("gcn", "sage-gcn", "gcn-sage", "gat-gcn", "gcn-gat", "gcn-node2vec", "node2vec-gcn", "node2vec")
NODE2VEC_SEEDS = 4
QUERIES = 1000
LARGE = 10**8  # numbers in a table of relative vectors, from which on they are searched in fewer coordinates
SPANNED = 1e-12  # of the largest squared singular value: rounding in float32 below


def spaces(dataset: str, model: str, options: argparse.Namespace) -> tuple[Data, list[Tensor]]:
    """The graph and the embeddings of all its nodes, one from every seed."""
    if model == "node2vec":
        problem = node_problem(dataset, options.data_root)
        return problem.data, node2vec_tables(problem, min(options.seeds, NODE2VEC_SEEDS), min(options.epochs, EPOCHS))
    runs = table_runs(dataset, model, options)
    return runs[0].problem.data, [run.z for run in runs]


@lru_cache(maxsize=1)
def node2vec_tables(problem: Problem, seeds: int, epochs: int) -> list[Tensor]:
    """Embeddings of node2vec from every seed, kept for the next cells."""
    return [embeddings(problem.data, seed, epochs) for seed in range(seeds)]


def tables(method: str, x: Tensor, y: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
    """All rows of the new and of the old model as the method compares them."""
    a, b = AnchorSet.from_rows(x, anchors), AnchorSet.from_rows(y, anchors)
    name = method.removesuffix("-from-queries").removesuffix("-residual").removesuffix("-rerank")
    if method.endswith("-from-queries"):
        forward = residual_metric(a, b, name)
        return forward.source(x), forward.target(y)
    if method.endswith(("-residual", "-rerank")):
        metric = residual_metric(b, a, name)
        return metric.target(x), metric.source(y)
    if method.startswith("relative"):
        kind = name.removeprefix("relative-")
        new, old = (relative(z, s.embeddings, kind, center=s.center if kind == "whitened" else None)
                    for z, s in ((x, a), (y, b)))  # fmt: skip
        return in_their_span(new, old, anchors) if new.numel() > LARGE else (new, old)
    return (x if method == "absolute" else fit_map(a, b, name)[0](x)), y


def in_their_span(new: Tensor, old: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
    """The same rows in orthonormal coordinates of their common span: equal distances and angles, far fewer columns.

    Both similarities are linear in (whitened) rows of length 1, so that the rows of either model span no more
    dimensions than its embeddings, and the anchors' own rows span them.
    """
    own = torch.cat([new[anchors], old[anchors]]).double()
    values, vectors = torch.linalg.eigh(own.mT @ own)
    basis = vectors[:, values > SPANNED * values[-1]].to(new)
    return new @ basis, old @ basis


def reranked(x: Tensor, keys: Tensor, truth: Tensor, near: Tensor, first: Retrieval, old: Tensor) -> Retrieval:
    """The shortlist in the order of distances in another space; a row that is not in it keeps its rank."""
    order = (keys[near] - x.unsqueeze(1)).square().sum(2).argsort(dim=1)
    near = near.gather(1, order)
    found = near == truth.unsqueeze(1)
    closer = torch.where(found.any(1), found.double().argmax(1), first.closer)
    return Retrieval(closer, torch.zeros_like(closer), overlap_at(near, old, truth, 10), 10)


def one_pair(
    cell: Row, data: Data, new: Tensor, target: Tensor, seed: int
) -> tuple[float | None, float | None, float | None, float]:
    """R@1, R@10, mean reciprocal rank and overlap@10 of a pair of spaces."""
    method, metric, count = cell["method"], cell["metric"], cell["anchors"] or 512
    order = torch.randperm(len(new), generator=torch.Generator().manual_seed(seed))
    anchors, truth = order[:count], order[count : count + QUERIES]
    old = neighbors(target[truth], target, 11, metric=metric).rows
    if method in ("ceiling", "raw-features", "propagated-features"):
        known = {"ceiling": lambda: new, "raw-features": lambda: data.x}
        rows = known.get(method, lambda: propagated_features(data))()
        now = neighbors(rows[truth], rows, 11, metric=metric).rows
        return None, None, None, float(overlap_at(now, old, truth, 10).mean())
    x, y = tables(method, new, target, anchors)
    if method.endswith("-rerank"):
        plain = tables("ridge", new, target, anchors)[0][truth]
        near = neighbors(plain, target, SHORTLIST, metric=metric).rows
        found = reranked(x[truth], y, truth, near, retrieval(plain, target, truth=truth, metric=metric), old)
    else:
        searched = "euclidean" if "residual" in method else metric
        found = retrieval(x[truth], y, truth=truth, metric=searched, old=old)
    return found.recall(1), found.recall(10), found.mrr, found.overlap or 0.0


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Means over pairs, with intervals that resample runs."""
    new, _, old = cell["models"].partition("-")
    data, sources = spaces(cell["dataset"], new, options)
    targets = spaces(cell["dataset"], old, options)[1] if old else sources
    size = min(len(sources), len(targets))
    found = np.array(
        [one_pair(cell, data, sources[i], targets[(i + 1) % size], i) for i in range(size)], dtype=float
    )  # a pair of two models shares no seed, as a pair of one model
    row: Row = {"pairs": len(found), "queries": min(QUERIES, data.num_nodes - cell["anchors"])}
    row["table"] = "transformed" if "residual" in cell["method"] or "relative" in cell["method"] else "untouched"
    for name, values in zip(("r1", "r10", "mrr", "overlap"), found.T, strict=True):
        row |= columns(name, run_figure(values, [new] * len(found)))
    yield row


def exists(cell: Row) -> bool:
    """Methods without anchors have none; curved maps of many anchors take minutes; residuals have their own metric.

    Between two models 512 anchors and Euclidean distance, and not untranslated, since widths differ; node2vec where its
    training takes minutes.
    """
    dataset, models, method, count = cell["dataset"], cell["models"], cell["method"], cell["anchors"]
    if (count == 0) != (method in NO_ANCHORS) or (method in RESIDUAL and cell["metric"] != "euclidean"):
        return False
    if models != "gcn":
        known = CITATION if "node2vec" in models else (*CITATION, "photo") if "gat" in models else DATASETS
        return dataset in known and count in (0, 512) and method in BETWEEN and cell["metric"] == "euclidean"
    return count <= {"kernel-ridge": 512, "kernel-ridge-residual": 128}.get(method, 2048)


STUDY = Study(
    __file__,
    measure,
    {
        "dataset": DATASETS,
        "models": MODELS,
        "anchors": (0, 128, 512, 2048),
        "method": METHODS,
        "metric": ("euclidean", "cosine"),
    },
    settings={"seeds": 10, "epochs": 200},
    exists=exists,
)

if __name__ == "__main__":
    STUDY.main()
