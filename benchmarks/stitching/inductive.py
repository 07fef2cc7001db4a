"""Nodes added later: anchors, center and training on an induced graph, evaluation on the whole graph.

    python -m benchmarks.stitching.inductive --data-root DIR

A fifth of the test nodes is removed with its edges, in five random cuts. On the rest GCN and GraphSAGE are trained from
five seeds, 128 random anchors are drawn, and spaces and heads are published. Then the encoders embed the whole graph,
and the stitched heads predict the added nodes and the test nodes that were present.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor

from benchmarks.common import matrices, node_problem, pair_groups, rows_of, trained_runs
from benchmarks.study import Row, Study
from relgraph.problems import Problem, make_problem


def cut(problem: Problem, seed: int) -> tuple[Problem, Tensor, Tensor]:
    """The problem without a fifth of its test nodes, these nodes, and the other test nodes."""
    order = torch.randperm(problem.test.numel(), generator=torch.Generator().manual_seed(seed))
    added, present = (problem.test[part.sort().values] for part in order.tensor_split([len(order) // 5]))
    kept = torch.ones(problem.data.num_nodes, dtype=torch.bool).index_fill_(0, added, False)
    return make_problem(problem.data.subgraph(kept)), added, present


def grown(rest: Problem, whole: Problem) -> Problem:
    """A problem whose rows are the nodes of the training graph, followed by those of the whole graph."""
    problem = copy.copy(rest)
    problem.y = torch.cat([rest.y, whole.y])
    problem.ids, problem.center_rows = torch.arange(len(problem.y)), torch.arange(len(rest.y))
    return problem


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Figures on added and on present nodes."""
    whole, runs = node_problem(cell["dataset"], options.data_root), []
    rest, added, present = cut(whole, cell["cut"])
    both = grown(rest, whole)
    for run in trained_runs(rest, ("gcn", "sage"), range(options.seeds), options):
        assert run.trained is not None
        z = torch.cat([run.z, whole.embed(run.trained.model)])
        runs.append(replace(run, problem=both, z=z))
    anchors, names = rest.choose_anchors(128, seed=cell["cut"]), [run.encoder for run in runs]
    for nodes, rows in (("added", added), ("present", present)):
        found = matrices(cell["method"], runs, anchors=anchors, rows=len(rest.y) + rows)
        yield from ({"nodes": nodes} | row for row in rows_of(found, names, pair_groups(names)))


STUDY = Study(
    __file__,
    measure,
    {
        "dataset": ("cora", "citeseer", "pubmed", "photo"),
        "cut": (0, 1, 2, 3, 4),
        "method": ("ridge", "class-centroid", "permuted-anchors"),
    },
    settings={"seeds": 5, "epochs": 0},
)

if __name__ == "__main__":
    STUDY.main()
