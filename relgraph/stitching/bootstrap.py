"""Figures: a mean with its spread, and an interval that resamples runs.

Two pairs that share a run are not independent, so pairs are never resampled. A draw takes runs with replacement,
within each encoder, rows and columns of a matrix together, and drops the pairs of a run with itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Sums = Callable[[Floats], tuple[Floats, Floats]]

LEVEL = 0.95
DRAWS = 2000
FEWEST_RUNS = 5
METHOD = "percentile bootstrap over runs, rows and columns together, stratified by encoder"


def run_figure(values: Floats, encoders: Sequence[str], *, lower_is_worse: bool = True) -> dict[str, Any] | None:
    """The figure of one value for each run, ``(R,)``, NaN where undefined; ``None`` if none is defined.

    ``encoders`` names the encoder of every run; the worst value is the smallest, or the largest.
    """
    defined = ~np.isnan(values)
    filled, counted = np.where(defined, values, 0.0), defined.astype(float)
    return _figure(values[defined], lambda w: (w @ filled, w @ counted), encoders, "runs", lower_is_worse)


def pair_figure(
    matrix: Floats, pairs: Bools, encoders: Sequence[str], *, lower_is_worse: bool = True
) -> dict[str, Any] | None:
    """The figure of a matrix ``(R, R)`` over some ordered pairs; ``None`` if none is defined."""
    defined = pairs & ~np.isnan(matrix)
    filled, counted = np.where(defined, matrix, 0.0), defined.astype(float)

    def sums(weights: Floats) -> tuple[Floats, Floats]:
        total, count = (np.einsum("bi,ij,bj->b", weights, part, weights, optimize=True) for part in (filled, counted))
        return total, count

    return _figure(matrix[defined], sums, encoders, "pairs", lower_is_worse)


def _figure(
    values: Floats, sums: Sums, encoders: Sequence[str], n_is: str, lower_is_worse: bool
) -> dict[str, Any] | None:
    if not len(values):
        return None
    names, interval = np.asarray(encoders), None
    if min(np.sum(names == name) for name in set(encoders)) >= FEWEST_RUNS:
        total, count = sums(run_weights(tuple(encoders), DRAWS))
        means = total[count > 0] / count[count > 0]
        tail = (1 - LEVEL) / 2
        interval = [float(bound) for bound in np.quantile(means, [tail, 1 - tail])]
    return {
        "mean": float(values.mean()),
        "std": float(values.std(ddof=1)) if len(values) > 1 else 0.0,
        "n": len(values),
        "worst": float(values.min() if lower_is_worse else values.max()),
        "interval": interval,
        "n_is": n_is,
    }


@lru_cache(maxsize=16)
def run_weights(encoders: tuple[str, ...], draws: int) -> Floats:
    """How often each draw takes each run, ``(draws, R)``; the same draws at every call."""
    names, rng = np.asarray(encoders), np.random.default_rng(0)
    weights = np.zeros((draws, len(names)))
    for name in np.unique(names):
        rows = np.flatnonzero(names == name)
        weights[:, rows] = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=draws)
    return weights
