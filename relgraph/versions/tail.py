"""The upper tail of null distances: rows far beyond all others, and a generalized Pareto distribution of the rest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SHARE = 0.02
"""Share of the null distances that the tail is fitted to."""
FEWEST = 20
SMALLEST_SHAPE, LARGEST_SHAPE = 0.1, 0.9
HEAVIEST_SHAPE = 0.25
"""Shape of the tail of Student's t with four degrees of freedom, a heavier one than any measured run has."""
REJECTED = 0.05
"""Number of distances that are expected beyond the limit of such a tail."""
ROUNDS = 4
"""Times that rows are left out: the median of the tail is too large as long as many damaged rows are in it."""

Floats = NDArray[np.float64]


def tail_start(null: Floats) -> tuple[float, Floats]:
    """Where the tail of distances begins, and the excesses beyond it, ascending; none of few distances."""
    ordered = np.sort(null, axis=None)
    count = max(FEWEST, round(SHARE * len(ordered)))
    if count >= len(ordered):
        return float("inf"), ordered[:0]
    start = ordered[-count - 1]
    return float(start), ordered[-count:] - start


def far_rows(null: Floats) -> NDArray[np.bool_]:
    r"""A mask of rows with a null distance that no tail explains, ``(N,)``, such as damaged rows of one run.

    A single such distance would determine the shape of the fitted tail, and with it every small p-value. With the
    median :math:`M` of the :math:`n` excesses, the limit is the excess that a generalized Pareto distribution of the
    same median and the shape :math:`\xi = 0.25` is beyond :math:`\alpha = 0.05` times among :math:`n` draws:

    .. math:: M \, \frac{(n / \alpha)^\xi - 1}{2^\xi - 1}

    A row is left out in all runs, since its damaged value is part of the mean that the other runs are compared with.
    The rule is hard rejection by a robust scale (Hampel, 1985), in up to four rounds.

    Args:
        null: Null distances of every run and row, ``(m, N)``.

    Example:
        >>> null = np.random.default_rng(0).chisquare(4, size=(3, 1000)) ** 0.5
        >>> null[0, 7] = 30
        >>> np.flatnonzero(far_rows(null))
        array([7])
    """
    far = np.zeros(null.shape[1], dtype=bool)
    for _ in range(ROUNDS):
        start, excesses = tail_start(null[:, ~far])
        if not len(excesses):
            break
        limit = ((len(excesses) / REJECTED) ** HEAVIEST_SHAPE - 1) / (2**HEAVIEST_SHAPE - 1)
        # Equal distances have no scale.
        beyond = (null.max(axis=0) - start > limit * np.median(excesses)) & (np.median(excesses) > 0)
        if not (beyond & ~far).any():
            break
        far |= beyond
    return far


def pareto_tail(excesses: Floats, values: Floats) -> Floats:
    r"""The share of excesses above a threshold that are beyond some values, by a generalized Pareto distribution.

    .. math:: P(y) = (1 + \xi y / \sigma)^{-1 / \xi}, \qquad \xi = 2 - \lambda_1 / \lambda_2, \qquad
        \sigma = \lambda_1 (\lambda_1 / \lambda_2 - 1)

    with the first two L-moments of the excesses (Hosking & Wallis, 1987). A shape outside 0.1 to 0.9 is replaced by the
    nearest of these, at the same mean: the tail of an estimated negative shape would end at a finite distance.

    Example:
        >>> pareto_tail(np.arange(1.0, 8.0), np.array([0.0, 4.0])).round(4)
        array([1.    , 0.3487])
    """
    ordered = np.sort(excesses)
    count, first = len(ordered), float(ordered.mean())
    second = float((2 * np.arange(1, count + 1) - count - 1) @ ordered) / (count * (count - 1))
    if not second > 0:
        return np.where(values > 0, 1 / count, 1.0)
    shape = min(max(2 - first / second, SMALLEST_SHAPE), LARGEST_SHAPE)
    above = np.maximum(values, 0.0)
    return np.asarray((1 + shape * above / (first * (1 - shape))) ** (-1 / shape))
