"""Constants of ``kl`` and ``kernel-ridge``, chosen on Cora's and Photo's validation nodes, confirmed on CiteSeer's.

    python -m benchmarks.stitching.tune --data-root DIR

Heads of GCNs with all classes; sources trained on all classes, two superclasses, or half of the classes. Seeds 100 to
104 train for choices only. The criterion is fidelity on the validation nodes that are no anchors, with the heads of
the next two runs of each source: neither labels nor test nodes are used.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import common
from benchmarks.study import Row, Study
from relgraph.maps import SHRINKAGES, MatchedAnchors, resolve_shrinkage
from relgraph.maps.divergence import LEAST_PRIOR_STRENGTH, kl
from relgraph.maps.kernel import kernel_ridge
from relgraph.maps.ridge import ridge
from relgraph.stitching import Method, Run, View, cross

Fit = Callable[[MatchedAnchors], nn.Module]
GRID: dict[str, tuple[str, ...]] = {
    "ridge": ("-",),
    "kl": tuple(f"{strength} {inverse}" for strength in ("0", "40", "120", "400") for inverse in ("1", "2", "4")),
    "kernel-ridge": ("1e-05", "0.001", "0.01"),
}
CONSTANTS = {"kl": ("strength_per_shrinkage", "inverse_temperature"), "kernel-ridge": ("least_shrinkage",)}


@dataclass(frozen=True)
class FittedBy(Method):
    """A map to a head's outputs by a fit with other constants."""

    fit: Fit

    def predict(self, source: View, target: View, rows: Tensor, generator: torch.Generator) -> Tensor:
        return source.read(self.fit(MatchedAnchors.match(source.space, target.published)), rows)


def validation_fidelity(
    method: str | Method, sources: Sequence[Run], targets: Sequence[Run], anchors: Sequence[Tensor]
) -> tuple[float, float]:
    """Mean fidelity on validation nodes that are no anchors, and seconds per pair."""
    rows, size = targets[0].problem.validation, len(targets)
    pairs = np.isin((np.arange(size)[None, :] - np.arange(size)[:, None]) % size, (1, 2))
    found = cross(common.method_of(method), sources, targets, anchors=anchors, rows=rows, pairs=pairs)
    own, task = [run.record(rows) for run in targets], targets[0].problem.task
    values = []
    for i, j in zip(*pairs.nonzero(), strict=True):
        keep = ~torch.isin(rows, anchors[i]).numpy()
        values.append(task.agreement(found.outputs[i, j][keep], own[j][keep]))
    return float(np.mean(values)), found.seconds / len(values)


def fit_of(method: str, constants: str) -> Fit:
    """The fit of a method with its constants."""
    if method == "kl":
        strength, inverse = map(float, constants.split())
        return partial(kl_with, strength=strength, inverse=inverse)
    if method == "kernel-ridge":
        return partial(kernel_ridge, shrinkages=[one for one in SHRINKAGES if one >= float(constants)])
    return partial(ridge, shrinkage="loo")


def kl_with(matched: MatchedAnchors, strength: float, inverse: float) -> nn.Module:
    """``kl`` with a prior of so many anchors per shrinkage, and of the least strength."""
    shrinkage = resolve_shrinkage(*matched.weighted_rows(matched.contrasts), "loo")
    return kl(
        matched, shrinkage, prior_strength=max(LEAST_PRIOR_STRENGTH, strength * shrinkage), inverse_temperature=inverse
    )


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Mean fidelity with every constant of a method."""
    problem, seeds = common.node_problem(cell["dataset"], options.data_root), range(100, 100 + options.seeds)
    targets = sources = common.trained_runs(problem, "gcn", seeds, options)
    if cell["sources"] == "superclasses":
        sources = common.trained_runs(common.superclasses(problem), "gcn", seeds, options)
    elif cell["sources"] == "half":
        halves = [common.half_of_classes(problem, seed) for seed in seeds]
        sources = [
            common.trained_runs(half, "gcn", [seed], options)[0] for half, seed in zip(halves, seeds, strict=True)
        ]
    sources = [replace(run, problem=problem) for run in sources]
    anchors = [problem.choose_anchors(cell["anchors"], seed=i) for i in range(len(sources))]
    for constants in GRID[cell["method"]]:
        method = FittedBy(fit_of(cell["method"], constants))
        fidelity, seconds = validation_fidelity(method, sources, targets, anchors)
        named = dict(zip(CONSTANTS.get(cell["method"], ()), constants.split(), strict=False))
        yield {**named, "fidelity": fidelity, "seconds": seconds}


STUDY = Study(
    __file__,
    measure,
    {
        "dataset": ("cora", "citeseer", "photo"),
        "sources": ("full", "superclasses", "half"),
        "anchors": (8, 16, 32, 128, 512),
        "method": tuple(GRID),
    },
    settings={"seeds": 5, "epochs": 200},
)

if __name__ == "__main__":
    STUDY.main()
