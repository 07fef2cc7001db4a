"""Regression heads on frozen encoders of classes: their targets are properties that the encoders were not trained on.

    python -m benchmarks.stitching.regression_heads --data-root DIR

Targets: log-PageRank, log-degree and the first eight principal components of propagated features. A random 60 % of the
nodes fit a ridge regression on each run's frozen embeddings, 20 % choose its penalty, and R2 is computed on the other
20 %. Ten GCN runs, all ordered pairs, k-means anchors drawn anew for each source.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.utils import degree, to_networkx

from benchmarks.common import Anchors, NearestAnchor, columns, method_of, node_problem, trained_runs
from benchmarks.study import Row, Study
from relgraph.anchors import propagated_features
from relgraph.problems import Problem
from relgraph.stitching import Method, Run, View, cross
from relgraph.stitching.bootstrap import pair_figure, run_figure
from relgraph.stitching.methods import PermutedAnchors
from relgraph.task import Task

PENALTIES = tuple(10.0**power for power in range(-6, 4))
COMPONENTS = [f"component-{number}" for number in range(1, 9)]


class ClassMeans(Method):
    """The mean of the target over the nodes of each class that the source's own classifier predicts."""

    kind = "baseline"

    def predict(self, source: View, target: View, rows: Tensor, generator: torch.Generator) -> Tensor:
        problem, trained = source.run.problem, source.run.trained
        assert trained is not None
        classes = trained.model.head(source.run.z).argmax(1)
        y, seen = problem.y[problem.train].view(-1), classes[problem.train]
        total = torch.zeros(int(classes.max()) + 1, dtype=y.dtype).index_add_(0, seen, y)
        return (total / torch.bincount(seen, minlength=len(total)).clamp(min=1))[classes[rows]].view(-1, 1)


METHODS_HERE: dict[str, Method] = {
    "class-means": ClassMeans(),
    "ridge": method_of("ridge"),
    "nearest-anchor": NearestAnchor(),
    "procrustes": method_of("procrustes"),
    "permuted-anchors": PermutedAnchors("ridge", "loo"),
}


@lru_cache(maxsize=1)
def targets_of(problem: Problem) -> dict[str, Tensor]:
    """The target values of every node, standardized."""
    import networkx as nx

    data = problem.data
    ranks = nx.pagerank(to_networkx(data))
    values = {
        "log-pagerank": torch.tensor([ranks[node] for node in range(data.num_nodes)]).log(),
        "log-degree": (degree(data.edge_index[0], data.num_nodes) + 1).log(),
    }
    points = propagated_features(data, generator=torch.Generator().manual_seed(0)).double()
    left, scale, _ = torch.linalg.svd(points - points.mean(dim=0), full_matrices=False)
    values |= {name: left[:, number] * scale[number] for number, name in enumerate(COMPONENTS)}
    return {name: ((x - x.mean()) / x.std()).double() for name, x in values.items()}


def regression(problem: Problem, y: Tensor) -> Problem:
    """The problem with another target, and nodes for fitting, choosing and testing drawn at random."""
    changed = copy.copy(problem)
    changed.y = y.view(len(y), -1)
    changed.task, changed.num_outputs = Task.of("node", "regression"), changed.y.size(1)
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))
    cut = len(y) // 5
    changed.test, changed.validation, changed.train = order[:cut], order[cut : 2 * cut], order[2 * cut :]
    return changed


def with_head(run: Run, problem: Problem) -> Run:
    """The run with a linear head: ridge regression, the penalty with the least validation error."""
    from sklearn.linear_model import Ridge

    points, y = run.z.double().numpy(), problem.y.numpy()
    fit, choose = problem.train.numpy(), problem.validation.numpy()
    scale = np.square(points[fit] - points[fit].mean(0)).sum() / points.shape[1]
    models = [Ridge(alpha=penalty * scale).fit(points[fit], y[fit]) for penalty in PENALTIES]
    # Predictions of one target have the shape (n,) in newer versions of scikit-learn.
    best = min(
        models, key=lambda model: np.square(model.predict(points[choose]).reshape(-1, y.shape[1]) - y[choose]).sum()
    )
    head = nn.Linear(points.shape[1], y.shape[1]).requires_grad_(False)
    head.weight.copy_(torch.from_numpy(best.coef_))
    head.bias.copy_(torch.from_numpy(best.intercept_))
    return replace(run, problem=problem, head=head)


@lru_cache(maxsize=1)
def with_heads(graph: Problem, target: str, runs: tuple[Run, ...]) -> list[Run]:
    """The runs with a head for the target, the same for every cell of the target."""
    problem = regression(graph, targets_of(graph)[target])
    return [with_head(run, problem) for run in runs]


def r2(problem: Problem, outputs: Any) -> Any:
    """Coefficient of determination of test outputs ``(..., n, T)``, over all targets together."""
    y = problem.y[problem.test].numpy()
    return 1 - np.square(outputs - y).sum((-2, -1)) / np.square(y - y.mean(axis=0)).sum()


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """R2 over all pairs of different runs."""
    graph = node_problem(cell["dataset"], options.data_root)
    encoders = trained_runs(graph, "gcn", range(options.seeds), options)
    runs = with_heads(graph, cell["target"], tuple(encoders))
    problem, names, size = runs[0].problem, ["gcn"] * len(runs), len(runs)
    count = cell["anchors"]
    drawn = Anchors.draw(graph, count or 1, "kmeans", [run.seed for run in runs])
    pairs = ~np.eye(size, dtype=bool)
    found = cross(
        METHODS_HERE[cell["method"]], runs, anchors=drawn.rows, weights=drawn.weights, rows=problem.test, pairs=pairs
    )
    own = run_figure(np.array([r2(problem, run.record(problem.test)) for run in runs]), names)
    yield columns("own", own, worst=False) | columns("r2", pair_figure(r2(problem, found.outputs), pairs, names))


STUDY = Study(
    __file__,
    measure,
    {
        "dataset": ("cora", "citeseer", "pubmed"),
        "target": ("log-pagerank", "log-degree", *COMPONENTS),
        "anchors": (0, 8, 16, 32, 128, 512),
        "method": tuple(METHODS_HERE),
    },
    settings={"seeds": 10, "epochs": 200},
    exists=lambda cell: (cell["anchors"] == 0) == (cell["method"] == "class-means"),
)

if __name__ == "__main__":
    STUDY.main()
