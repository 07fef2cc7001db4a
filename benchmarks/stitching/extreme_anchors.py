"""Anchors of extreme norm: sources whose rows have other lengths, and bounds of what one anchor counts as.

    python -m benchmarks.stitching.extreme_anchors --data-root DIR

GCN to GCN with seeds that train for choices only, fidelity on the validation nodes that are no anchors, as in
``tune.py``. Rows of a source are as they are, times the degree plus 1, times log-normal numbers (of standard deviation
1), or times 100 for one anchor. ``most`` is the norm, in medians, from which on an anchor counts less
(:func:`relgraph.maps.bounded_weights`); 0 stands for no bound.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial

import torch
from torch import Tensor, nn
from torch_geometric.utils import degree

from benchmarks import common
from benchmarks.stitching.tune import FittedBy, validation_fidelity
from benchmarks.study import Row, Study
from relgraph.maps import MatchedAnchors, bounded_weights
from relgraph.maps.divergence import kl
from relgraph.maps.ridge import ridge
from relgraph.stitching import Run

FITS: dict[str, Callable[[MatchedAnchors], nn.Module]] = {"kl": kl, "ridge": ridge}


@dataclass(frozen=True, eq=False)
class Bounded(MatchedAnchors):
    """Matched anchors with another bound."""

    most: float = math.inf

    @classmethod
    def of(cls, matched: MatchedAnchors, most: float) -> Bounded:
        """The same anchors; no bound for 0."""
        return cls(**{part.name: getattr(matched, part.name) for part in fields(matched)}, most=most or math.inf)

    @cached_property
    def counts(self) -> Tensor:
        """As of :class:`MatchedAnchors`, with this bound."""
        bounded = bounded_weights(self.offsets, self.most) if self.most < math.inf else 1.0
        return self.multiplicities * bounded


def fit_with(matched: MatchedAnchors, method: str, most: float) -> nn.Module:
    """The map of a method with a bound."""
    return FITS[method](Bounded.of(matched, most))


def scaled(run: Run, rows: str, anchors: Tensor) -> Run:
    """A run with rows of other lengths."""
    z = torch.as_tensor(run.z).clone()
    data = run.problem.data
    if rows == "degree":
        z *= degree(data.edge_index[1], data.num_nodes).unsqueeze(1) + 1
    elif rows == "log-normal":
        z *= torch.randn(len(z), 1, generator=torch.Generator().manual_seed(0)).exp()
    elif rows == "one anchor":
        z[anchors[0]] *= 100
    return replace(run, z=z)


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Mean fidelity with every bound."""
    problem = common.node_problem(cell["dataset"], options.data_root)
    targets = common.trained_runs(problem, "gcn", range(100, 100 + options.seeds), options)
    anchors = [problem.choose_anchors(cell["anchors"], seed=i) for i in range(len(targets))]
    sources = [scaled(run, cell["rows"], chosen) for run, chosen in zip(targets, anchors, strict=True)]
    for most in (0.0, 3.0, 5.0, 10.0):
        method = FittedBy(partial(fit_with, method=cell["method"], most=most))
        yield {"most": most, "fidelity": validation_fidelity(method, sources, targets, anchors)[0]}


STUDY = Study(
    __file__,
    measure,
    {
        "dataset": ("cora", "citeseer", "photo"),
        "rows": ("as they are", "degree", "log-normal", "one anchor"),
        "anchors": (32, 128, 512),
        "method": tuple(FITS),
    },
    settings={"seeds": 5, "epochs": 200},
)

if __name__ == "__main__":
    STUDY.main()
