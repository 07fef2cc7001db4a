"""Test accuracy of the default and the published settings, beside published numbers.

    python -m benchmarks.training.accuracy --data-root DIR

Ten seeds that chose no setting; the citation graphs have their public split, on Photo and digits each seed has a random
split of its own (20 training and 30 validation nodes of each class). The published numbers are those of Kipf and
Welling (2017) and Velickovic et al. (2018) on the public splits, and of Shchur et al. (2018) on random ones, with mean
aggregation for GraphSAGE. These kept the largest connected component alone; ``component`` is the accuracy on its nodes.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterable

import numpy as np
import torch
from scipy.sparse.csgraph import connected_components
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import to_scipy_sparse_matrix

from benchmarks.common import node_problem, trained_runs
from benchmarks.study import Row, Study
from benchmarks.training.run import mean
from relgraph.datasets import load_dataset
from relgraph.problems.splits import has_masks

PUBLISHED = {
    ("cora", "gcn"): 0.815, ("citeseer", "gcn"): 0.703, ("pubmed", "gcn"): 0.790, ("photo", "gcn"): 0.912,
    ("cora", "gat"): 0.830, ("citeseer", "gat"): 0.725, ("pubmed", "gat"): 0.790, ("photo", "gat"): 0.857,
    ("photo", "sage"): 0.914,
}  # fmt: skip


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Mean accuracy with its interval, and the epochs and seconds that a run takes."""
    settings = None if cell["settings"] == "default" else cell["settings"]
    name, encoder, root, seeds = cell["dataset"], cell["encoder"], options.data_root, range(options.seeds)
    if has_masks(load_dataset(name, root)):
        runs = trained_runs(node_problem(name, root), encoder, seeds, options, settings=settings)
    else:
        problems = (node_problem(name, root, split) for split in seeds)
        runs = [trained_runs(problem, encoder, [0], options, settings=settings)[0] for problem in problems]
    trained = [run.trained for run in runs]
    tests = [run.problem.test for run in runs]
    own = [run.problem.task.value(run.problem.y[test], run.record(test)) for run, test in zip(runs, tests, strict=True)]
    y, inside = runs[0].problem.y, largest_component(runs[0].problem.data)
    connected = [test[inside[test]] for test in tests]
    component = [run.problem.task.value(y[rows], run.record(rows)) for run, rows in zip(runs, connected, strict=True)]
    yield {
        "published": PUBLISHED.get((name, encoder)),
        **mean("own", own),
        **mean("component", component),
        **mean("validation", [one.validation for one in trained]),
        "epochs": statistics.mean(len(one.history.validation) for one in trained),
        "seconds": statistics.mean(one.seconds for one in trained),
    }


def largest_component(data: Data) -> Tensor:
    """Whether each node is in the largest connected component ``(N,)``."""
    labels = connected_components(to_scipy_sparse_matrix(data.edge_index, num_nodes=data.num_nodes), directed=False)[1]
    return torch.from_numpy(labels == np.bincount(labels).argmax())


STUDY = Study(
    __file__,
    measure,
    {
        "dataset": ("cora", "citeseer", "pubmed", "photo", "digits"),
        "encoder": ("gcn", "sage", "gat"),
        "settings": ("default", "kipf-welling"),
    },
    settings={"seeds": 10, "epochs": 0},
)

if __name__ == "__main__":
    STUDY.main()
