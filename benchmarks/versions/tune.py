"""How the constants of adjusted answers were chosen: on validation nodes of ogbn-arxiv's releases of 2012 and 2014.

    python -m benchmarks.versions.tune --data-root DIR

A GCN's head of 2012 is converted by ``kl`` from random anchors (two draws) to the encoder of 2014, features folded in.
``new`` is the accuracy on validation nodes that 2012 did not have, ``old`` that on those it had. ``plain`` is the
conversion as it is; ``prior-strength`` and ``smoothing`` are the constants of ``relgraph.versions``, each tried alone.
``lasting-then`` and ``lasting-now`` are ``kl`` from anchors that last, with the old head's outputs on the old release
or on the later one, adjusted and smoothed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from benchmarks.study import Row, Study
from benchmarks.versions.graphs import releases, trained
from benchmarks.versions.run import Upgrade
from relgraph.versions import adjust_priors, smooth


@lru_cache(maxsize=6)
def conversions(root: str, count: int, epochs: int, anchors: str) -> tuple[Upgrade, list[Tensor]]:
    """The two releases, and the outputs of each draw."""
    old, new = releases("arxiv-folded", root)[:2]
    before, after = (trained(one, "gcn", (one.number,), epochs)[0] for one in (old, new))
    pair = Upgrade(old, new, before, after)
    chosen = pair.lasting if anchors.startswith("lasting") else pair.random
    outputs = pair.kept if anchors == "lasting-now" else None
    return pair, [pair.converted("kl", chosen(count, draw), outputs) for draw in range(2)]


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Accuracy on validation nodes, mean over draws."""
    lasting = cell["constant"].startswith("lasting")
    pair, draws = conversions(
        options.data_root, cell["anchors"], options.epochs, cell["constant"] if lasting else "random"
    )
    problem, known = pair.new.problem, pair.old.num_nodes
    rows, fresh = problem.validation, torch.arange(known, pair.new.num_nodes)
    found = []
    for outputs in draws:
        if cell["constant"] == "prior-strength":
            outputs = adjust_priors(outputs, fresh, prior_strength=cell["value"])
        elif cell["constant"] == "smoothing":
            outputs = smooth(outputs, problem.data.edge_index, pair.then, share=cell["value"])
        elif lasting:
            outputs = pair.aided(outputs, pair.then if cell["constant"] == "lasting-then" else pair.kept[:known])
        right = (outputs.argmax(dim=1) == problem.y)[rows].float()
        found.append([float(right[rows >= known].mean()), float(right[rows < known].mean())])
    new, old = np.mean(found, axis=0)
    yield {"new": float(new), "old": float(old)}


def exists(cell: Row) -> bool:
    """What has no constant once, shares of smoothing up to 1."""
    if cell["constant"] not in ("prior-strength", "smoothing"):
        return cell["value"] == 0.0
    return cell["value"] in ((0.0, 0.1, 0.3, 1.0, 3.0) if cell["constant"] == "prior-strength" else (0.2, 0.4, 0.6))


STUDY = Study(
    __file__,
    measure,
    {
        "anchors": (512, 2048),
        "constant": ("plain", "prior-strength", "smoothing", "lasting-then", "lasting-now"),
        "value": (0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 1.0, 3.0),
    },
    settings={"epochs": 0},
    exists=exists,
)

if __name__ == "__main__":
    STUDY.main()
