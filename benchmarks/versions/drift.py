"""Which nodes moved between two versions: false alarms without a change, and how well planted changes are found.

    python -m benchmarks.versions.drift --data-root DIR

The old version are GCN runs on the graph as it is, the new version runs of other seeds on the same graph (``none``) or
on a changed one (:func:`benchmarks.versions.planted.planted`). ``sbm`` is a stochastic block model of 1,000 nodes in
five blocks, of 10 neighbors on average, 70 % of them in the own block.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import torch
from scipy.stats import false_discovery_control
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import stochastic_blockmodel_graph

from benchmarks.common import node_problem, trained_runs
from benchmarks.study import Row, Study
from benchmarks.versions.planted import KINDS, neighborhood_change, planted, reach
from relgraph.maps.procrustes import orthogonal_factor
from relgraph.problems import Problem, make_problem
from relgraph.versions.movement import movement

LEVEL = 0.05
FIRST_NEW = 100  # seed of the first run on a changed graph
FEWEST = 100  # rows out of reach that an AUROC is computed against
BLOCKS, SIZE, CHANNELS, DEGREE, OWN = 5, 200, 32, 10, 0.7
PLANTED = ("cora", "photo", "sbm")


@lru_cache(maxsize=1)
def block_model(seed: int = 0) -> Problem:
    """A stochastic block model with noisy features."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        y = torch.arange(BLOCKS).repeat_interleave(SIZE)
        chance = torch.full((BLOCKS, BLOCKS), (1 - OWN) * DEGREE / (SIZE * (BLOCKS - 1)))
        edges = stochastic_blockmodel_graph([SIZE] * BLOCKS, chance.fill_diagonal_(OWN * DEGREE / SIZE))
        x = torch.randn(BLOCKS, CHANNELS)[y] / 2 + torch.randn(len(y), CHANNELS)
    return make_problem(Data(x=x, edge_index=edges, y=y))


def problem_of(dataset: str, options: argparse.Namespace) -> Problem:
    """The graph before the change."""
    return block_model() if dataset == "sbm" else node_problem(dataset, options.data_root)


def embeddings(problem: Problem, seeds: Iterable[int], options: argparse.Namespace) -> list[Tensor]:
    """Of every seed, ``(N, F)`` each."""
    return [run.z for run in trained_runs(problem, "gcn", tuple(seeds), options)]


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Means over several choices of old and new runs, with the least and the largest share of false alarms.

    On a changed graph, false alarms are those among nodes beyond the reach of the change, and ``alarms_unchanged`` the
    alarms among the same nodes where the new run is another seed on the old graph.
    """
    problem, many, more = problem_of(cell["dataset"], options), cell["old"], cell["new"]
    runs = embeddings(problem, range(options.seeds), options)
    if cell["change"] == "none":
        found = []
        for start in range(options.seeds):
            chosen = [runs[(start + one) % len(runs)] for one in range(many + more)]
            p = movement(chosen[:many], chosen[many:]).p_values()
            found.append((float((p < LEVEL).mean()), float((false_discovery_control(p) <= LEVEL).mean())))
        alarms, moved = np.array(found).T
        yield {
            "rows": problem.data.num_nodes,
            "choices": len(found),
            "false_alarms": float(alarms.mean()),
            "least": float(alarms.min()),
            "most": float(alarms.max()),
            "moved": float(moved.mean()),
        }
        return
    changed, touched = planted(problem, cell["change"], seed=0)
    edges, nodes = (problem.data.edge_index, changed.data.edge_index), problem.data.num_nodes
    far, truth = ~reach(*edges, nodes), touched.numpy()
    new = embeddings(changed, range(FIRST_NEW, FIRST_NEW + options.draws), options)
    rows = []
    for draw in range(options.draws):
        *a, unchanged = (runs[(draw * many + one) % len(runs)] for one in range(many + 1))
        b = new[draw : draw + 1]
        found_p = movement(a, b)
        p = found_p.p_values()
        q = false_discovery_control(p)
        scores = {"drift": found_p.distances, "neighborhood": neighborhood_change(*edges, nodes), **plain(a[0], b[0])}
        row: Row = {name: float(roc_auc_score(truth, score)) for name, score in scores.items()}
        row |= {"found": float((q[truth] <= LEVEL).mean()), "moved": float((q <= LEVEL).mean())}
        if int(far.sum()) >= FEWEST:
            some = truth | far.numpy()
            row |= {"beyond_reach": float(roc_auc_score(truth[some], found_p.distances[some]))}
            same = movement(a, [unchanged]).p_values()  # of these nodes, which may move far by seed alone
            row |= {"false_alarms": float((p[far.numpy()] < LEVEL).mean())}
            row |= {"alarms_unchanged": float((same[far.numpy()] < LEVEL).mean())}
        rows.append(row)
    yield {
        "rows": nodes,
        "choices": len(rows),
        "touched": int(truth.sum()),
        "far": int(far.sum()),
        **{name: float(np.mean([row[name] for row in rows])) for name in rows[0]},
    }


def plain(old: Tensor, new: Tensor) -> dict[str, np.ndarray]:
    """Distance and one minus cosine after a rotation that is fitted on all rows, without a null; of one run each."""
    a, b = (run.double() - run.double().mean(dim=0) for run in (old, new))
    a, b = (run / run.square().sum(dim=1).mean().sqrt() for run in (a, b))
    turned = a @ orthogonal_factor(a.mT @ b)[0]
    cosine = torch.nn.functional.cosine_similarity(turned, b)
    return {"euclidean": (turned - b).norm(dim=1).numpy(), "cosine": (1 - cosine).numpy()}


STUDY = Study(
    __file__,
    measure,
    {
        "dataset": ("cora", "citeseer", "pubmed", "photo", "sbm"),
        "change": ("none", *KINDS),
        "old": (2, 3, 5),
        "new": (1, 3),
    },
    settings={"seeds": 8, "draws": 2, "epochs": 200},
    exists=lambda cell: (
        (cell["old"], cell["new"]) in ((2, 1), (3, 1), (5, 1), (3, 3))
        and (cell["change"] == "none" or (cell["dataset"] in PLANTED and (cell["old"], cell["new"]) == (3, 1)))
    ),
)

if __name__ == "__main__":
    STUDY.main()
