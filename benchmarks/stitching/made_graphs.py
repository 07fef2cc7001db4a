"""Small made graphs: stochastic block models of homophily 0.1, 0.3 and 0.6.

    python -m benchmarks.stitching.made_graphs

300 nodes in 5 equal classes, 8 neighbors on average, of which the homophily is the share of the own class; 32 features,
class means plus noise. Ten runs of GCN, GraphSAGE and GAT each, trained on 144 nodes, with 96 for validation and 60 for
testing; all ordered pairs, anchors drawn anew for each source. No test node is an anchor: with 128 anchors among 300
nodes, a lookup of the anchors' own outputs would be right on two in five of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from functools import lru_cache

import torch
from torch_geometric.data import Data
from torch_geometric.utils import stochastic_blockmodel_graph

from benchmarks.common import MOST_HEADS, Anchors, matrices, pair_groups, rows_of, trained_runs
from benchmarks.study import Row, Study
from relgraph.problems import Problem, make_problem
from relgraph.problems.splits import MASKS

CLASSES, SIZE, CHANNELS, DEGREE = 5, 60, 32, 8


@lru_cache(maxsize=4)
def made_graph(homophily: float, seed: int = 0) -> Problem:
    """A stochastic block model with noisy features and a split."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        y = torch.arange(CLASSES).repeat_interleave(SIZE)
        chance = torch.full((CLASSES, CLASSES), (1 - homophily) * DEGREE / (SIZE * (CLASSES - 1)))
        edges = stochastic_blockmodel_graph([SIZE] * CLASSES, chance.fill_diagonal_(homophily * DEGREE / SIZE))
        x = torch.randn(CLASSES, CHANNELS)[y] / 2 + torch.randn(len(y), CHANNELS)
        data, order = Data(x=x, edge_index=edges, y=y), torch.randperm(len(y))
    for mask, rows in zip(MASKS, order.split([144, 96, 60]), strict=True):
        data[mask] = torch.zeros(len(y), dtype=torch.bool).index_fill_(0, rows, True)
    problem = make_problem(data)
    problem.candidates = torch.cat([problem.train, problem.validation])
    return problem


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Figures across seeds and across encoders."""
    problem, runs = made_graph(cell["homophily"]), []
    for encoder in ("gcn", "sage", "gat"):
        runs += trained_runs(problem, encoder, range(options.seeds), options)
    names, strategy = [run.encoder for run in runs], cell["strategy"]
    anchors = Anchors.draw(problem, cell["anchors"] or 1, strategy.replace("none", "random"), range(len(runs)))
    found = matrices(cell["method"], runs, anchors=anchors, most=3 if cell["method"] in MOST_HEADS else None)
    yield from rows_of(found, names, pair_groups(names))


MAPS = ("kl", "ridge", "ridge-0.01", "kernel-ridge", "procrustes", "nearest-anchor", "logistic-decisions")

STUDY = Study(
    __file__,
    measure,
    {
        "homophily": (0.1, 0.3, 0.6),
        "strategy": ("none", "random", "kmeans"),
        "anchors": (0, 8, 16, 32, 128),
        "method": ("absolute", "class-centroid", *MAPS, "ridge-decisions", "permuted-anchors"),
    },
    settings={"seeds": 10, "epochs": 200, "device": "cpu"},
    exists=lambda cell: (
        (cell["strategy"] == "none") == (cell["anchors"] == 0) == (cell["method"] in ("absolute", "class-centroid"))
    ),
    needs_data=False,
)

if __name__ == "__main__":
    STUDY.main()
