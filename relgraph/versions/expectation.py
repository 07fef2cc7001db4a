"""What to expect on rows without a known answer: shares calibrated by confidence on rows where the answer is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor

from relgraph.maps.divergence import INVERSE_TEMPERATURE

Floats = NDArray[np.float64]

RESAMPLES = 100
LEVEL = 0.9
HALF_WIDTH = NormalDist().inv_cdf((1 + LEVEL) / 2)
"""Half the interval of that level of a normal distribution, in standard deviations."""
MOST_ROWS = 2000
"""More rows are represented by so many of their quantiles."""
PSEUDO_COUNT = 0.5
SMALLEST_COUNT = 1e-3
PENALTY = 0.1
STEPS = 100


@dataclass(frozen=True)
class Expectation:
    """An expected value and the interval that contains the true one in 90 % of cases.

    Example:
        >>> print(Expectation(0.95, 0.9, 0.98))
        0.950 [0.900, 0.980]
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"

    @classmethod
    def of(cls, value: float, drawn: Floats, allowance: float = 0.0, most: float = 1.0) -> Expectation:
        """From a value and bootstrap values, from 0 to ``most``; ``allowance`` is a further standard deviation."""
        tail = (1 - LEVEL) / 2
        value, low, high = float(value), *map(float, np.quantile(drawn, [tail, 1 - tail]))
        further = HALF_WIDTH * allowance
        return cls(
            value,
            max(value - float(np.hypot(max(value - low, 0), further)), min(0.0, value)),
            min(value + float(np.hypot(max(high - value, 0), further)), max(most, value)),
        )


def log_odds(outputs: Tensor) -> Floats:
    """Log-odds of the largest probability of every row, ``(n,)``; logits are scaled by 2, as in the map ``"kl"``."""
    logs = (INVERSE_TEMPERATURE * outputs.double()).log_softmax(dim=1)
    best = logs.amax(dim=1)
    rest = torch.log1p(-best.exp().clamp(max=1 - 1e-9))
    return np.asarray((best - rest).cpu().numpy())


class Calibration:
    r"""Shares as a function of confidence, fitted where they are known, and averaged over other rows.

    A logistic regression of the known responses :math:`r_k \in [0, 1]` on the log-odds of the answer's probability.
    Its mean over rows is the expected share there: rows of a version that are less certain than the anchors count for
    what they are, so that the anchors need not be a sample of them (a regression estimator under covariate shift,
    `Shimodaira, 2000 <https://doi.org/10.1016/S0378-3758(00)00115-4>`_). Half a count for and half a count against
    stand beside the known rows, the prior of Jeffreys. Intervals are those of 100 bootstrap samples of the known rows,
    each with other pseudo-counts, drawn from the gamma distribution of that mean: rows that all respond alike would
    give an interval of no width without them.

    Args:
        responses: For each response its values on known rows, ``(K,)`` in [0, 1].
        confidence: Log-odds on known rows, ``(K,)``.
        shares: Shares of all rows that the known rows stand for, ``(K,)``; equal by default.

    Example:
        >>> confidence = np.linspace(-2, 4, 200)
        >>> right = (np.arange(200) % 4 > 0) | (confidence > 1)
        >>> found = Calibration([right.astype(float)], confidence)
        >>> [round(float(found.means(np.full(5, level))[0][0]), 2) for level in (-1.0, 3.0)]
        [0.73, 0.98]
    """

    def __init__(self, responses: Sequence[Floats], confidence: Floats, shares: Floats | None = None) -> None:
        count = len(confidence)
        shares = np.full(count, 1 / count) if shares is None else shares / shares.sum()
        effective = 1 / float(np.square(shares).sum())
        self._center, self._scale = float(shares @ confidence), max(float(confidence.std()), 1e-9)
        points = (confidence - self._center) / self._scale
        rng = np.random.default_rng(0)
        drawn = rng.multinomial(round(effective), shares, RESAMPLES).astype(float)
        counts = rng.gamma(PSEUDO_COUNT, size=(RESAMPLES, 2)).clip(min=SMALLEST_COUNT)
        weights = np.vstack([shares * effective, drawn])
        pseudo = np.vstack([np.full(2, PSEUDO_COUNT), counts])
        self._curves = [_fit(response, points, weights, pseudo) for response in responses]

    def means(self, confidence: Floats, shares: Floats | None = None) -> list[Floats]:
        """The expected mean of each response over rows of this confidence, and those of the bootstrap, ``(1 + B,)``.

        Args:
            confidence: Log-odds of the rows, ``(N,)``.
            shares: By which they count, ``(N,)``; equal by default.
        """
        shares = np.full(len(confidence), 1 / len(confidence)) if shares is None else shares / shares.sum()
        if len(confidence) > MOST_ROWS:
            order = np.argsort(confidence)
            middles = np.cumsum(shares[order]) - shares[order] / 2
            confidence = np.interp((np.arange(MOST_ROWS) + 0.5) / MOST_ROWS, middles, confidence[order])
            shares = np.full(MOST_ROWS, 1 / MOST_ROWS)
        points = (confidence - self._center) / self._scale
        return [expit(bias[:, None] + slope[:, None] * points) @ shares for slope, bias in self._curves]


def _fit(response: Floats, points: Floats, weights: Floats, pseudo: Floats) -> tuple[Floats, Floats]:
    """Slopes and intercepts of logistic regressions of a share, one for each row of weights ``(B, K)``.

    Newton's method on all of them at once: one after the other by a library, they would take seconds. Pseudo-counts for
    and against at the center ``(B, 2)``, and a weak penalty on the slope, keep them finite.
    """
    points = np.append(points, [0.0, 0.0])
    response = np.append(response, [1.0, 0.0])
    weights = np.hstack([weights, pseudo])
    slope, bias = np.zeros(len(weights)), np.zeros(len(weights))
    for _ in range(STEPS):
        share = expit(bias[:, None] + slope[:, None] * points)
        off, curvature = weights * (response - share), weights * np.maximum(share * (1 - share), 1e-6)
        down, across = off.sum(axis=1), off @ points - PENALTY * slope
        a, b, c = curvature.sum(axis=1), curvature @ points, curvature @ np.square(points) + PENALTY
        determinant = a * c - b * b
        step_bias, step_slope = (c * down - b * across) / determinant, (a * across - b * down) / determinant
        # Steps are bounded: far from the optimum, where the curve is flat, they would be too long.
        length = np.maximum(np.hypot(step_bias, step_slope), 1.0)
        bias, slope = bias + step_bias / length, slope + step_slope / length
        if max(np.abs(step_bias).max(), np.abs(step_slope).max()) < 1e-8:
            break
    return slope, bias
