"""Rank correlation of two measures of pairs of runs, with an interval that resamples runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata

from relgraph.stitching.bootstrap import DRAWS, FEWEST_RUNS, LEVEL, Bools, run_weights
from relgraph.studies.runs import Floats, Ints

FEWEST_PAIRS = 3


def pair_correlation(a: Floats, b: Floats, pairs: Bools, models: Sequence[str]) -> dict[str, Any] | None:
    r"""Spearman correlation of two matrices ``(R, R)`` over some pairs of runs.

    A draw of the bootstrap takes runs with replacement within each model, and a pair as often as the product of both
    numbers. Ranks are computed anew in every draw.

    Args:
        a, b: The matrices; pairs for which one of them is NaN are left out.
        pairs: The pairs, ``(R, R)``.
        models: Name of the model of every run.

    Returns:
        ``value``, ``interval`` (``None`` under five runs of a model), ``n`` pairs and ``n_is``; ``None`` for fewer than
        three pairs, or if one of the two is the same for all of them.

    Example:
        >>> a = np.array([[0.0, 1, 2], [1, 0, 3], [2, 3, 0]])
        >>> found = pair_correlation(a, a**2, np.triu(np.ones((3, 3), dtype=bool), 1), ["gcn"] * 3)
        >>> round(found["value"], 6), found["n"], found["interval"]
        (1.0, 3, None)
    """
    rows, columns = np.nonzero(pairs & ~np.isnan(a) & ~np.isnan(b))
    x, y = a[rows, columns], b[rows, columns]
    if len(x) < FEWEST_PAIRS or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    interval = None
    if min(list(models).count(model) for model in set(models)) >= FEWEST_RUNS:
        weights = run_weights(tuple(models), DRAWS)
        drawn = weighted_spearman(x, y, weights[:, rows] * weights[:, columns])
        known = drawn[~np.isnan(drawn)]
        if len(known):
            interval = [float(bound) for bound in np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])]
    value = float(weighted_spearman(x, y, np.ones((1, len(x))))[0])
    return {"value": value, "interval": interval, "n": len(x), "n_is": "pairs"}


def weighted_spearman(x: Floats, y: Floats, weights: Floats) -> Floats:
    """Spearman correlations ``(D,)`` of values ``(P,)`` that occur as often as the rows of ``weights`` ``(D, P)`` say.

    NaN for a row in which one of the two is constant.

    Example:
        >>> weighted_spearman(np.array([1.0, 2, 9]), np.array([3.0, 2, 1]), np.array([[1.0, 1, 1], [2, 1, 0]])).round(6)
        array([-1., -1.])
    """
    total = weights.sum(axis=1, keepdims=True)
    offsets = []
    for values in (x, y):
        ranks = _weighted_ranks(rankdata(values, method="dense").astype(np.int64) - 1, weights)
        offsets.append(ranks - (weights * ranks).sum(axis=1, keepdims=True) / np.maximum(total, 1))
    covariance, first, second = (
        (weights * one * other).sum(axis=1)
        for one, other in ((offsets[0], offsets[1]), (offsets[0], offsets[0]), (offsets[1], offsets[1]))
    )
    spread = np.sqrt(first * second)
    found = np.full(len(weights), np.nan)
    np.divide(covariance, spread, out=found, where=spread > 1e-9)
    bounded: Floats = np.clip(found, -1.0, 1.0)
    return bounded


def _weighted_ranks(places: Ints, weights: Floats) -> Floats:
    """Mean ranks ``(D, P)``, but for a constant, of values whose places among the distinct ones are given."""
    groups = np.zeros((len(weights), int(places.max()) + 1))
    np.add.at(groups.T, places, weights.T)
    ends = groups.cumsum(axis=1)
    found: Floats = (ends - groups / 2)[:, places]
    return found
