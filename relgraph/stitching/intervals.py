"""Figures: a mean with its spread, and an interval that resamples runs.

Two pairs that share a run are not independent, so pairs are never resampled. A draw takes runs with replacement,
within each encoder's kind, rows and columns of a matrix together, and drops the pairs of a run with itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from relgraph.stitching.scores import Bools, Floats

LEVEL = 0.95
DRAWS = 2000
FEWEST_RUNS = 5
METHOD = "percentile bootstrap over runs, rows and columns together, stratified by encoder"


def run_figure(values: Floats, kinds: Sequence[str]) -> dict[str, Any] | None:
    """The figure of one value for each run, ``(R,)``; ``None`` if none is defined."""
    defined = ~np.isnan(values)
    if not defined.any():
        return None
    filled = np.where(defined, values, 0.0)

    def mean(weights: Floats) -> Floats:
        count = weights @ defined.astype(float)
        means: Floats = np.divide(weights @ filled, count, out=np.full(len(weights), np.nan), where=count > 0)
        return means

    return _figure(values[defined], mean, kinds, "runs")


def pair_figure(matrix: Floats, pairs: Bools, kinds: Sequence[str]) -> dict[str, Any] | None:
    """The figure of a matrix ``(R, R)`` over some ordered pairs; ``None`` if none is defined."""
    defined = pairs & ~np.isnan(matrix)
    if not defined.any():
        return None
    filled = np.where(defined, matrix, 0.0)

    def mean(weights: Floats) -> Floats:
        total = np.einsum("bi,ij,bj->b", weights, filled, weights, optimize=True)
        count = np.einsum("bi,ij,bj->b", weights, defined.astype(float), weights, optimize=True)
        means: Floats = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
        return means

    return _figure(matrix[defined], mean, kinds, "pairs")


def _figure(values: Floats, mean: Any, kinds: Sequence[str], n_is: str) -> dict[str, Any]:
    names = np.asarray(kinds)
    interval = None
    if min(np.sum(names == name) for name in set(kinds)) >= FEWEST_RUNS:
        draws = mean(_weights(tuple(kinds), DRAWS))
        draws = draws[~np.isnan(draws)]
        tail = (1 - LEVEL) / 2
        interval = [float(bound) for bound in np.quantile(draws, [tail, 1 - tail])]
    return {
        "mean": float(values.mean()),
        "std": float(values.std(ddof=1)) if len(values) > 1 else 0.0,
        "n": len(values),
        "min": float(values.min()),
        "interval": interval,
        "n_is": n_is,
    }


@lru_cache(maxsize=16)
def _weights(kinds: tuple[str, ...], draws: int) -> Floats:
    """How often each draw takes each run, ``(draws, R)``; the same draws at every call."""
    names, rng = np.asarray(kinds), np.random.default_rng(0)
    weights = np.zeros((draws, len(names)))
    for name in np.unique(names):
        rows = np.flatnonzero(names == name)
        weights[:, rows] = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=draws)
    return weights
