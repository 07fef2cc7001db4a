"""Relative representations with near anchors only (``RelativeConv``): own and stitched accuracy.

    python -m benchmarks.stitching.nearest_anchors --data-root DIR

Ten frozen GCNs, 128 random anchors, cosine similarity. Coordinates of anchors that are not among the nearest of a node
(by cosine in its own space), or not within some hops, are 0. Each run trains a new linear head on these vectors, with
the best penalty on its validation nodes (``chosen``) or a fixed one, and every other run is evaluated with it. Three
draws of anchors, averaged pair by pair. Test labels choose nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

import relgraph as rg
from benchmarks.common import columns, mean_of, node_problem, pair_groups, trained_runs
from benchmarks.study import Row, Study
from relgraph.nn.anchor_edges import complete_edges, nearest_anchor_edges, within_hops_edges
from relgraph.stitching import View, cross, metrics
from relgraph.stitching.bootstrap import pair_figure, run_figure
from relgraph.stitching.methods import Absolute
from relgraph.training import fit_linear_head
from relgraph.training.linear_probe import STRENGTHS

ANCHORS, DRAWS = 128, (0, 1, 2)


@dataclass(frozen=True)
class NearRelative(Absolute):
    """A new linear head on the source's cosines with near anchors."""

    kept: str
    count: int
    strengths: tuple[float, ...] = STRENGTHS

    def edges(self, view: View) -> Tensor:
        """Pairs of anchor and node whose coordinate is kept."""
        z, anchors = view.run.z, view.anchors
        if self.kept == "nearest":
            return nearest_anchor_edges(z, z[anchors], self.count)
        if self.kept == "hops":
            return within_hops_edges(view.run.problem.data.edge_index, anchors, self.count, len(z))
        return complete_edges(len(anchors), len(z))

    def prepare(self, view: View) -> View:
        problem = view.run.problem
        r = rg.RelativeConv("cosine")(view.run.z, self.edges(view), anchors=view.run.z[view.anchors])
        rows = (problem.train, problem.validation)
        head = fit_linear_head(r, problem.y, *rows, problem.num_outputs, self.strengths)
        return View(replace(view.run, z=r, head=head), view.anchors)


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Own accuracy of the new heads, and accuracy over all pairs of different seeds, on test and validation nodes."""
    problem = node_problem(cell["dataset"], options.data_root)
    runs = trained_runs(problem, "gcn", range(options.seeds), options)
    chosen = {} if cell["strength"] == "chosen" else {"strengths": (float(cell["strength"]),)}
    method = NearRelative(cell["kept"], cell["count"], **chosen)
    task, found = problem.task, []
    rows = torch.cat([problem.test, problem.validation])
    absolute = np.array([task.value(problem.y[problem.test], run.record(problem.test)) for run in runs])
    for draw in DRAWS:
        anchors = problem.choose_anchors(ANCHORS, seed=draw)
        outputs = cross(method, runs, anchors=anchors, rows=rows).outputs
        parts = np.split(outputs, [problem.test.numel()], axis=2)
        test, validation = (
            metrics.metric_matrix(task, part, problem.y[nodes])
            for part, nodes in zip(parts, (problem.test, problem.validation), strict=True)
        )
        joined = torch.bincount(method.edges(View(runs[0], anchors))[1], minlength=len(problem.y)).float()
        found.append({
            "test": test, "validation": validation, "retention": task.retention(test, absolute[None, :], 0.0),
            "per_node": joined.mean().item(), "without": (joined[problem.test] == 0).double().mean().item(),
        })  # fmt: skip
    mean, names = mean_of(found), ["gcn"] * len(runs)
    pairs = pair_groups(names)["seeds"]
    row = columns("own", run_figure(np.diag(mean["test"]), names), worst=False)
    row |= columns("accuracy", pair_figure(mean["test"], pairs, names))
    row |= columns("retention", pair_figure(mean["retention"], pairs, names))
    row |= {"absolute_own": float(absolute.mean()), "validation_own": float(np.diag(mean["validation"]).mean())}
    row["validation_accuracy"] = float(mean["validation"][pairs].mean())
    yield row | {"anchors_per_node": float(mean["per_node"]), "nodes_without": float(mean["without"])}


def exists(cell: Row) -> bool:
    """Numbers of anchors, of nearest anchors and of hops; fixed penalties for all and for the 32 nearest anchors."""
    counts = {"all": (ANCHORS,), "nearest": (4, 8, 16, 32, 64), "hops": (1, 2, 3)}[cell["kept"]]
    fixed = (cell["kept"], cell["count"]) in (("all", ANCHORS), ("nearest", 32))
    return cell["count"] in counts and (cell["strength"] == "chosen" or fixed)


STUDY = Study(
    __file__,
    measure,
    {
        "dataset": ("cora", "citeseer", "pubmed"),
        "kept": ("all", "nearest", "hops"),
        "count": (ANCHORS, 1, 2, 3, 4, 8, 16, 32, 64),
        "strength": ("chosen", *(f"{strength:g}" for strength in STRENGTHS)),
    },
    settings={"seeds": 10, "epochs": 0},
    exists=exists,
)

if __name__ == "__main__":
    STUDY.main()
