"""Anchors among the nodes that change least, when a graph has grown from 60 % of its nodes.

    python -m benchmarks.versions.lasting --data-root DIR

Two GCNs are trained on the graph of a random 60 % of the nodes, in five cuts, and two others on the whole graph. The
heads of the old models are converted to the new ones by 128 anchors, three draws for each arm, chosen on the whole
graph by a strategy among some of the old nodes: all of them; the share that ``AddAnchors.from_versions`` chooses from;
the same from the old graph alone, by the number of neighbors; and the half that changed most. Accuracy is measured on
old and on new nodes, fidelity is the agreement with the old model's own predictions on old nodes. The share was chosen
by the accuracy on Cora's validation nodes.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

import relgraph as rg
from benchmarks.common import node_problem, trained_runs
from benchmarks.study import Row, Study
from relgraph.anchors import AnchorSet, choose_weighted, lasting_nodes, publish
from relgraph.problems import Problem, make_problem

OLD_SHARE = 0.6


@dataclass(frozen=True, eq=False)
class Grown:
    """A graph and the graph that it has grown from.

    Args:
        whole: The problem on the whole graph.
        old: The problem on the graph of the old nodes.
        rows: Rows of the old nodes in the whole graph.
    """

    whole: Problem
    old: Problem
    rows: Tensor

    @property
    def place(self) -> Tensor:
        """The row in the old graph of every node of the whole graph; -1 for new nodes."""
        place = torch.full((self.whole.data.num_nodes,), -1)
        place[self.rows] = torch.arange(len(self.rows))
        return place


@lru_cache(maxsize=4)
def grown(dataset: str, root: str, cut: int) -> Grown:
    """A random 60 % of the nodes, and the whole graph; the split of the old nodes is that of the whole graph."""
    problem = node_problem(dataset, root)
    data, count = copy.copy(problem.data), problem.data.num_nodes
    for name, rows in (("train", problem.train), ("val", problem.validation), ("test", problem.test)):
        data[f"{name}_mask"] = torch.zeros(count, dtype=torch.bool).index_fill_(0, rows, True)
    data.node_id = torch.arange(count)
    rows = torch.randperm(count, generator=torch.Generator().manual_seed(cut))[: round(OLD_SHARE * count)].sort().values
    return Grown(make_problem(data), make_problem(data.subgraph(rows)), rows)


def candidates(case: Grown, arm: str) -> Tensor:
    """Rows of the whole graph that the anchors are chosen from; ids are row numbers."""
    kind, _, share = arm.partition("-")
    old, new = case.old.data, case.whole.data
    if kind == "common":
        return case.rows
    order = lasting_nodes([old] if kind == "degree" else [old, new])
    count = round(float(share) * len(order))
    return order[-count:] if kind == "changed" else order[:count]


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Figures on old and on new nodes, means over the pairs of runs and the draws."""
    case = grown(cell["dataset"], options.data_root, cell["cut"])
    among, place = candidates(case, cell["among"]), case.place
    new_runs = trained_runs(case.whole, "gcn", range(options.seeds), options)
    old_runs = trained_runs(case.old, "gcn", range(100, 100 + options.seeds), options)
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for draw in range(options.draws):
        generator = torch.Generator().manual_seed(draw)
        rows, weights = choose_weighted(
            case.whole.data, options.anchors, cell["strategy"], among=among, generator=generator
        )
        for old in old_runs:
            own = old.head(old.z).argmax(1)
            before = AnchorSet(rows, old.z[place[rows]], old.z.mean(0), weights=weights)
            head = publish(old.head, before)
            for new in new_runs:
                after = AnchorSet.from_rows(new.z, rows, weights=weights, center_over=case.rows)
                answers = rg.convert(after, head)(new.z).argmax(1)
                for part, chosen in (("validation", case.whole.validation), ("test", case.whole.test)):
                    for nodes in ("old", "new"):
                        some = chosen[(place[chosen] >= 0) == (nodes == "old")]
                        right = float((answers[some] == case.whole.y[some]).double().mean())
                        same = answers[some] == own[place[some]]
                        fidelity = float(same.double().mean()) if nodes == "old" else float("nan")
                        found.setdefault((part, nodes), []).append((right, fidelity))
    for (part, nodes), values in found.items():
        accuracy, fidelity = np.array(values).mean(axis=0).tolist()
        yield {"rows": part, "nodes": nodes, "accuracy": accuracy, "fidelity": fidelity}


STUDY = Study(
    __file__,
    measure,
    {
        "dataset": ("cora", "citeseer", "pubmed", "photo"),
        "cut": (0, 1, 2, 3, 4),
        "strategy": ("random", "kmeans"),
        "among": ("common", "lasting-0.75", "lasting-0.5", "lasting-0.25", "degree-0.5", "changed-0.5"),
    },
    settings={"seeds": 2, "draws": 3, "anchors": 128, "epochs": 200},
)

if __name__ == "__main__":
    STUDY.main()
