"""What is lost with published anchors that disappear before the next version, by which of them disappear.

    python -m benchmarks.versions.gone --data-root DIR

A head of an old release is published with random nodes as anchors, its mean and its center. The later release has some
of them no more: a tenth or half, at random, of the fewest neighbors (in the old release), of the most, or the oldest
(on ogbn-arxiv, where the order of the nodes is that of time). Its space therefore holds what is left, matching by ids
does the rest, and the head is converted by ``kl``. The same with as many random nodes, none of which has gone, is
another draw of anchors: half of random anchors are random anchors, so that only a loss at random is expected to cost
nothing.

The nodes stay in the graph, and so in the center of the new space: what is measured is the choice of the anchors that
remain. ``difference`` is the mean difference of accuracy from fresh anchors, over draws and pairs of runs, none of
which share a draw; ``error`` is its standard error (over draws alone on ogbn-arxiv, which has one pair of runs).
``paired`` and ``paired_error`` are the same from the loss at random, of the same published anchors. Rows without
accuracy are refused: a map from anchors of which some are missing needs one more than the space has dimensions.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.study import Row, Study
from benchmarks.versions.graphs import WAYS, YEARS, old_test
from benchmarks.versions.run import Upgrade, upgrades
from relgraph.anchors import PublishedHead
from relgraph.maps import fit_map

LOSSES = ("random", "fewest-neighbors", "hubs", "oldest")
SHARES = (0.1, 0.5)
PARTS = ("accuracy", "old_accuracy", "new_accuracy")
SMALL, LARGE = (128, 256, 512), (1024, 4096)


def remaining(anchors: Tensor, share: float, loss: str, degrees: Tensor) -> Tensor:
    """The anchors that are left, in their order.

    Args:
        anchors: Rows of the published anchors, in random order, which decides among equals, ``(K,)``.
        share: Of the anchors that disappear.
        loss: Of :data:`LOSSES`.
        degrees: Number of neighbors of every node, ``(N,)``.
    """
    if loss == "random":
        first_to_go = torch.zeros(len(anchors), dtype=torch.int64)
    elif loss == "oldest":
        first_to_go = anchors
    else:
        first_to_go = degrees[anchors] if loss == "fewest-neighbors" else -degrees[anchors]
    gone = first_to_go.argsort(stable=True)[: round(share * len(anchors))]
    return anchors[torch.ones(len(anchors), dtype=torch.bool).index_fill_(0, gone, False)]


def accuracies(upgrade: Upgrade, head: PublishedHead, left: Tensor) -> list[float]:
    """Accuracy of the head, converted by what is left of its anchors: on all test nodes, on old and on new ones."""
    known, added = old_test(upgrade.old, upgrade.new)
    both = torch.cat([known, added])
    outputs = fit_map(upgrade.space(left), head, "kl")[0](upgrade.after.z[both])
    right = (outputs.argmax(dim=1) == upgrade.new.problem.y[both]).double()
    return [float(rows.mean()) for rows in (right, right[: len(known)], right[len(known) :])]


def mean_and_error(differences: NDArray[np.float64]) -> tuple[float, float]:
    """The mean and its standard error, without the digits of rounding."""
    spread = differences.std(ddof=1) if len(differences) > 1 else math.nan
    return round(float(differences.mean()), 8), float(spread / len(differences) ** 0.5)


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """One row for every loss: means over draws and pairs of runs."""
    large, count = cell["graph"] in WAYS, cell["published"]
    pairs = upgrades(options, {**cell, "cut": 0})
    width, step = pairs[0].after.z.size(1), f"{pairs[0].old.name} > {pairs[0].new.name}"
    losses, draws = (LOSSES, options.large_draws) if large else (LOSSES[:-1], options.draws)
    for share in SHARES:
        left = count - round(share * count)
        found: dict[str, list[list[float]]] = {loss: [] for loss in (*losses, "none")}
        for number, draw in itertools.product(range(len(pairs)), range(draws if left > width else 0)):
            upgrade, seed = pairs[number], 2 * (number * draws + draw)
            target = upgrade.old.problem.data.edge_index[1]
            degrees = torch.bincount(target, minlength=upgrade.old.num_nodes)
            published, others = upgrade.random(count, seed), upgrade.random(left, seed + 1)
            found["none"].append(accuracies(upgrade, upgrade.head(others), others))
            head = upgrade.head(published)
            for loss in losses:
                rows = remaining(published, share, loss, degrees)
                found[loss].append(accuracies(upgrade, head, rows))
        for loss in losses:
            row: Row = {"step": step, "share": share, "lost": loss, "left": left, "n": len(found[loss])}
            if found[loss]:
                values, fresh, random = (np.array(found[name]) for name in (loss, "none", "random"))
                row |= dict(zip(PARTS, values.mean(axis=0).tolist(), strict=True))
                row["fresh"] = float(fresh[:, 0].mean())
                row["difference"], row["error"] = mean_and_error((values - fresh)[:, 0])
                for column, name in enumerate(PARTS[1:], start=1):
                    row[name.replace("accuracy", "difference")] = mean_and_error((values - fresh)[:, column])[0]
                if loss != "random":
                    row["paired"], row["paired_error"] = mean_and_error((values - random)[:, 0])
            yield row


def exists(cell: Row) -> bool:
    """Consecutive and two-step releases of ogbn-arxiv; the two of small graphs."""
    if cell["graph"] in WAYS:
        return cell["new"] - cell["old"] in (1, 2) and cell["published"] in LARGE
    return (cell["old"], cell["new"]) == (0, 1) and cell["published"] in SMALL


STUDY = Study(
    __file__,
    measure,
    {
        "graph": ("cora", "citeseer", "pubmed", "photo", *WAYS),
        "encoder": ("gcn", "sage"),
        "old": tuple(range(len(YEARS) - 1)),
        "new": tuple(range(1, len(YEARS))),
        "published": (*SMALL, *LARGE),
    },
    settings={"seeds": 2, "draws": 5, "large_draws": 3, "epochs": 0},
    exists=exists,
)

if __name__ == "__main__":
    STUDY.main()
