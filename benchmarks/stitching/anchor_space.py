"""The features in which k-means places anchors, chosen on Cora's validation nodes and confirmed on CiteSeer's.

    python -m benchmarks.stitching.anchor_space --data-root DIR

Heads of GCNs with all classes, sources trained on two superclasses, seeds 100 to 104, ``ridge``. The criterion is
fidelity on the validation nodes that are no anchors: neither labels nor test nodes are used.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.nn.conv.gcn_conv import gcn_norm

import relgraph as rg
from benchmarks.common import node_problem, superclasses, trained_runs
from benchmarks.stitching.tune import validation_fidelity
from benchmarks.study import Row, Study

UNIT = {
    "unscaled": (False, False),
    "unit-before": (True, False),
    "unit-after": (False, True),
    "unit-both": (True, True),
}


def points(data: Any, before: bool, after: bool) -> Tensor:
    """Features propagated twice, in 64 dimensions; rows of unit length before, after, or unscaled."""
    x = F.normalize(data.x) if before else data.x
    edges, weight = gcn_norm(data.edge_index, None, data.num_nodes)
    adjacency = torch.sparse_coo_tensor(edges.flip(0), weight, (data.num_nodes,) * 2, check_invariants=True).coalesce()
    left, values, _ = torch.linalg.svd(adjacency @ (adjacency @ x), full_matrices=False)
    found = left[:, :64] * values[:64]
    return F.normalize(found) if after else found


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Mean fidelity with the heads of the next two runs of each source."""
    problem, seeds = node_problem(cell["dataset"], options.data_root), range(100, 100 + options.seeds)
    targets = trained_runs(problem, "gcn", seeds, options)
    sources = [replace(run, problem=problem) for run in trained_runs(superclasses(problem), "gcn", seeds, options)]
    kind: dict[str, Any] = {"strategy": "random"}
    if cell["features"] != "random-anchors":
        kind = {"strategy": "kmeans", "features": points(problem.data, *UNIT[cell["features"]])}
    generators = [torch.Generator().manual_seed(i) for i in range(len(sources))]
    anchors = [rg.select_anchors(problem.data, cell["anchors"], generator=one, **kind) for one in generators]
    yield {"fidelity": validation_fidelity("ridge", sources, targets, anchors)[0]}


STUDY = Study(
    __file__,
    measure,
    {"dataset": ("cora", "citeseer"), "features": ("random-anchors", *UNIT), "anchors": (8, 16, 32, 64, 128)},
    settings={"seeds": 5, "epochs": 0},
)

if __name__ == "__main__":
    STUDY.main()
