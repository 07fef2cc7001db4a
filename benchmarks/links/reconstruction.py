"""Reconstruction: decoders from embeddings to the words of a node, exchanged across seeds and encoders.

    python -m benchmarks.links.reconstruction --data-root DIR

Encoders of classes are frozen. As for other regression heads, a random 60 % of the nodes fit a ridge regression, 20 %
choose its penalty, and R2, over all words together, is computed on the other 20 %. ``scaled-neighbors`` is
``m + c (v - m)``: ``m`` is the mean over the nodes that fit, ``v`` that of the neighbors, ``c`` by least squares.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor
from torch_geometric.utils import scatter

from benchmarks.common import columns, method_of, node_problem, pair_groups, trained_runs
from benchmarks.stitching.regression_heads import r2, regression, with_head
from benchmarks.study import Row, Study
from relgraph.problems import Problem
from relgraph.stitching import cross
from relgraph.stitching.bootstrap import pair_figure, run_figure


def baselines(problem: Problem) -> dict[str, Tensor]:
    """Words of all nodes, predicted without an encoder."""
    y, fit, (source, target) = problem.y, problem.train, problem.data.edge_index
    mean = y[fit].mean(dim=0)
    neighbors = scatter(y[source], target, dim_size=len(y), reduce="mean")
    neighbors[torch.bincount(target, minlength=len(y)) == 0] = mean
    offset = neighbors - mean
    scale = (offset[fit] * (y[fit] - mean)).sum() / offset[fit].square().sum()
    return {"mean": mean.expand_as(y), "neighbors": neighbors, "scaled-neighbors": mean + scale * offset}


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """R2 of baselines, or of own decoders and of those of other seeds and encoders."""
    graph = node_problem(cell["dataset"], options.data_root)
    problem = regression(graph, graph.data.x.double())
    if cell["anchors"] == 0:
        for name, words in baselines(problem).items():
            yield {"method": name, "r2": float(r2(problem, words[problem.test].numpy()))}
        return
    runs = [with_head(run, problem) for run in trained_runs(graph, ("gcn", "sage"), range(options.seeds), options)]
    names = [run.encoder for run in runs]
    own = np.array([r2(problem, run.record(problem.test)) for run in runs])
    anchors, values, pairs = graph.choose_anchors(cell["anchors"]), [], ~np.eye(len(runs), dtype=bool)
    for j, head in enumerate(runs):  # one decoder at a time, because outputs are wide
        found = cross(method_of("ridge"), runs, [head], anchors=anchors, rows=problem.test, pairs=pairs[:, [j]])
        values.append([r2(problem, outputs[0]) for outputs in found.outputs])
    for label, group in pair_groups(names).items():
        row = columns("own", run_figure(own, names), worst=False)
        yield {"method": "ridge", "pairs": label} | row | columns("r2", pair_figure(np.array(values).T, group, names))


STUDY = Study(
    __file__,
    measure,
    {"dataset": ("cora", "citeseer", "pubmed"), "anchors": (0, 128, 512)},
    settings={"seeds": 10, "epochs": 200},
)

if __name__ == "__main__":
    STUDY.main()
