"""Training settings and constants for ogbn-arxiv, chosen on validation nodes with seeds that nothing else uses.

    python -m benchmarks.ogb.tune --data-root DIR [--device cuda]

Parts: the accuracy of a ``grid`` of widths, dropouts and weight decays; stitched accuracy between two more runs of each
encoder with two ``settings`` of that grid; with other ``constants`` of the methods; and one layer earlier (``inner``).
512 random training nodes, one draw. No test node is used.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from functools import partial

from benchmarks.common import matrices, node_problem, pair_groups, rows_of, trained_runs
from benchmarks.ogb.run import INNER, anchors_of, runs_of
from benchmarks.stitching.tune import FittedBy
from benchmarks.study import Row, Study
from relgraph.maps.divergence import kl

SEED, PAIR = 1000, 1001
CONSTANTS = [(prior, inverse) for prior in (1.0, 4.0, 12.0) for inverse in (1.0, 2.0, 4.0)]
METHODS = {
    "grid": ("own",),
    "settings": ("ridge", "kl"),
    "constants": ("kl", "kernel-ridge", "ridge", "ridge-0.01"),
    "inner": INNER,
}


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Accuracy on validation nodes."""
    problem = node_problem("ogbn-arxiv", options.data_root, 0, "spectral")
    train = {name: cell[name] for name in ("hidden_channels", "dropout", "weight_decay")}
    if cell["part"] == "grid":
        run = trained_runs(problem, cell["encoder"], [SEED], options, settings=None, **train)[0].trained
        assert run is not None
        yield {"own": run.validation, "epoch": run.best_epoch}
        return
    pair = argparse.Namespace(**{**vars(options), "encoders": ("gcn", "sage"), "seeds": 2, "first_seed": PAIR})
    runs = runs_of(problem, pair, cell["part"] == "inner", **train)
    names, anchors = [run.encoder for run in runs], anchors_of(problem, 512, "random-training", 1000, len(runs))
    rows = problem.validation
    own = sum(problem.task.value(problem.y[rows], run.record(rows)) for run in runs) / len(runs)
    several = cell["part"] == "constants" and cell["method"] == "kl"
    for constants in CONSTANTS if several else [()]:
        named = dict(zip(("prior_strength", "inverse_temperature"), constants, strict=False))
        method = FittedBy(partial(kl, **named)) if several else cell["method"]
        for row in rows_of(matrices(method, runs, anchors=anchors, rows=rows), names, pair_groups(names)):
            yield named | row | {"own": own}


def exists(cell: Row) -> bool:
    """The whole grid for each encoder; the settings that were chosen, and with ``settings`` also without decay."""
    chosen = (cell["hidden_channels"], cell["dropout"], cell["weight_decay"]) in (
        (64, 0.5, 2e-3),
        *([(64, 0.5, 0.0)] if cell["part"] == "settings" else []),
    )
    grid = cell["part"] == "grid"
    return cell["method"] in METHODS[cell["part"]] and (
        cell["encoder"] != "both" if grid else cell["encoder"] == "both" and chosen
    )


STUDY = Study(
    __file__,
    measure,
    {
        "part": tuple(METHODS),
        "encoder": ("gcn", "sage", "both"),
        "hidden_channels": (64, 128),
        "dropout": (0.2, 0.5),
        "weight_decay": (0.0, 5e-4, 2e-3),
        "method": ("own", "ridge", "kl", "kernel-ridge", "ridge-0.01", *INNER),
    },
    settings={"epochs": 100},
    exists=exists,
)

if __name__ == "__main__":
    STUDY.main()
