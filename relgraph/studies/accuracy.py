"""Accuracy over seeds: mean, deviation and interval of a model, and how two models compare."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy import stats

from relgraph.stitching.bootstrap import DRAWS, FEWEST_RUNS, LEVEL, run_figure, run_weights
from relgraph.studies.runs import FEWEST, Floats, PredictionRuns

POWER = 0.8
ROUNDING = 1e-12
"""Differences of means below it are rounding errors."""


@dataclass(frozen=True)
class MeanFigure:
    """Mean of one value for each run.

    Args:
        mean, std: Mean, and standard deviation over runs with ``n - 1`` in the denominator.
        n: Number of runs.
        interval: 95 % interval of the mean by Student's t.
        bootstrap: The same by resampling runs; ``None`` under five runs.
        lowest, highest: Of the runs.
    """

    mean: float
    std: float
    n: int
    interval: tuple[float, float]
    bootstrap: tuple[float, float] | None
    lowest: float
    highest: float

    @classmethod
    def of(cls, values: Floats) -> MeanFigure:
        """The figure of values ``(R,)`` of at least two runs.

        Example:
            >>> figure = MeanFigure.of(np.array([0.7, 0.8, 0.9]))
            >>> round(figure.mean, 3), round(figure.std, 3), figure.n
            (0.8, 0.1, 3)
        """
        mean, std, count = float(values.mean()), float(values.std(ddof=1)), len(values)
        resampled = run_figure(values, ["model"] * count)
        drawn = resampled and resampled["interval"]
        bounds = _around(mean, std / math.sqrt(count), count - 1)
        lowest, highest = float(values.min()), float(values.max())
        return cls(mean, std, count, bounds, (drawn[0], drawn[1]) if drawn else None, lowest, highest)


@dataclass(frozen=True)
class Comparison:
    """Two models compared by one value for each run; differences are those of the first minus the second.

    Args:
        first, second: Names of the models.
        paired: Whether runs of the same seed are compared with each other.
        n: Pairs of runs; unpaired, runs of the first and second model.
        difference: Mean difference.
        std: Standard deviation of the differences, unpaired of one difference of two independent runs.
        interval: 95 % interval of the mean difference by Student's t, of Welch if unpaired.
        p: Two-sided p-value of the t-test of no difference; ``None`` if the values do not vary.
        run_wins: Probability that a run of the first is better than a run of the second, drawn independently; a tie
            counts one half. It is the statistic of Mann and Whitney over the number of pairs.
        run_wins_interval: 95 % interval that resamples runs; ``None`` under five runs.
        mean_wins: Share of bootstrap draws of runs in which the mean of the first is higher; ``None`` under five.
        seeds_needed: Seeds of each model that tell the two apart, :func:`seeds_needed`; ``None`` if no number does.
    """

    first: str
    second: str
    paired: bool
    n: tuple[int, ...]
    difference: float
    std: float
    interval: tuple[float, float]
    p: float | None
    run_wins: float
    run_wins_interval: tuple[float, float] | None
    mean_wins: float | None
    seeds_needed: int | None


def accuracies(runs: PredictionRuns) -> Floats:
    """Accuracy of every run on the labeled rows, ``(R,)``; NaN if no row is labeled.

    Example:
        >>> accuracies(PredictionRuns.of([[0, 1], [0, 0]], y=[0, 1])).tolist()
        [1.0, 0.5]
    """
    if not runs.labeled:
        return np.full(len(runs.classes), np.nan)
    assert runs.y is not None
    known = runs.y >= 0
    found: Floats = (runs.classes[:, known] == runs.y[known]).mean(axis=1, dtype=np.float64)
    return found


def compare(a: Floats, b: Floats, names: tuple[str, str] = ("A", "B"), *, paired: bool = False) -> Comparison:
    """Compare two models by one value for each run, higher being better.

    Args:
        a, b: Values ``(R,)`` of at least two runs each; paired, of the same seeds in the same order.
        names: Names of the models.
        paired: Whether to compare seed by seed.

    Example:
        >>> found = compare(np.array([0.8, 0.9]), np.array([0.7, 0.8]), paired=True)
        >>> round(found.difference, 3), found.run_wins
        (0.1, 0.875)
    """
    difference = float(a.mean() - b.mean())
    n: tuple[int, ...]
    if paired:
        std, n = float((a - b).std(ddof=1)), (len(a),)
        error, freedom = std / math.sqrt(len(a)), float(len(a) - 1)
    else:
        parts = np.array([a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)])
        std, n = math.sqrt(float(a.var(ddof=1) + b.var(ddof=1))), (len(a), len(b))
        error = math.sqrt(float(parts.sum()))
        spread = float((parts**2 / (np.array([len(a), len(b)]) - 1)).sum())
        freedom = float(parts.sum() ** 2 / spread) if spread > 0 else float(len(a) + len(b) - 2)
    p = 2 * float(stats.t.sf(abs(difference) / error, freedom)) if error > 0 else None
    wins = (a[:, None] > b[None, :]) + 0.5 * (a[:, None] == b[None, :])
    interval, mean_wins = _resampled(a, b, wins, paired)
    return Comparison(
        *names, paired, n, difference, std, _around(difference, error, freedom), p, float(wins.mean()), interval,
        mean_wins, seeds_needed(difference, std, paired=paired),
    )  # fmt: skip


def seeds_needed(
    difference: float, std: float, *, paired: bool = True, level: float = 1 - LEVEL, power: float = POWER
) -> int | None:
    r"""Seeds of each model with which a two-sided t-test finds a difference with the given power.

    .. math:: n = \lceil (z_{1-\alpha/2} + z_{1-\beta})^2 \, \sigma^2 / \delta^2 + z_{1-\alpha/2}^2 / g \rceil

    and at least 2, by the normal approximation. The last term, with g = 2 for pairs and 4 for independent runs, is the
    correction of Guenther (The American Statistician, 1981) for a deviation that is estimated from few runs.

    Args:
        difference: Mean difference, :math:`\delta`.
        std: Standard deviation :math:`\sigma` of one difference: of a pair of the same seed, or unpaired
            :math:`\sqrt{\sigma_A^2 + \sigma_B^2}`.
        paired: Whether runs are compared seed by seed.
        level: Probability :math:`\alpha` of finding a difference where there is none.
        power: Probability :math:`1 - \beta` of finding this difference.

    Returns:
        The number; ``None`` without a difference.

    Example:
        >>> seeds_needed(0.01, 0.02), seeds_needed(0.0, 0.02)
        (34, None)
    """
    if abs(difference) < ROUNDING:
        return None
    if std == 0:
        return FEWEST
    found, other = float(stats.norm.ppf(1 - level / 2)), float(stats.norm.ppf(power))
    needed = ((found + other) * std / difference) ** 2 + found**2 / (2 if paired else 4)
    return max(FEWEST, math.ceil(needed))


def can_pair(runs: PredictionRuns, first: str, second: str) -> bool:
    """Whether the runs of two models have the same names in the same order."""
    a, b = (tuple(runs.seeds[place] for place in runs.rows_of(model)) for model in (first, second))
    return a == b


def accuracy_section(runs: PredictionRuns, *, paired: bool | None = None) -> dict[str, Any]:
    """Accuracy of every model, and every two models compared.

    Args:
        runs: The runs, with labels.
        paired: Whether runs of the same name are compared; ``None`` to do so where two models have the same names.
    """
    values = accuracies(runs)
    per_model = {model: values[runs.rows_of(model)] for model in runs.names}
    compared = []
    for first, second in combinations(runs.names, 2):
        together = can_pair(runs, first, second) if paired is None else paired
        compared.append(asdict(compare(per_model[first], per_model[second], (first, second), paired=together)))
    assert runs.y is not None
    return {
        "rows": int((runs.y >= 0).sum()),
        "models": {model: asdict(MeanFigure.of(found)) for model, found in per_model.items()},
        "comparisons": compared,
        "power": POWER,
        "level": 1 - LEVEL,
    }


def _around(center: float, error: float, freedom: float) -> tuple[float, float]:
    half = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * error
    return center - half, center + half


def _resampled(a: Floats, b: Floats, wins: Floats, paired: bool) -> tuple[tuple[float, float] | None, float | None]:
    """Interval of the probability that a run wins, and the share of draws in which the mean does."""
    if min(len(a), len(b)) < FEWEST_RUNS:
        return None, None
    labels: Sequence[str] = ["a"] * len(a) + ["b"] * len(b)
    weights = run_weights(tuple(labels), DRAWS)
    first, second = weights[:, : len(a)], weights[:, len(a) :]
    if paired:  # a draw takes the same seeds of both
        second = first
    drawn = np.einsum("di,ij,dj->d", first, wins, second, optimize=True) / (len(a) * len(b))
    means = first @ a / len(a) - second @ b / len(b)
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    close = np.isclose(means, 0, atol=ROUNDING)  # sums in another order round differently
    return (float(low), float(high)), float(((means > 0) & ~close).mean() + 0.5 * close.mean())
