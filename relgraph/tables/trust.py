"""How much a translated row can be trusted: its expected cosine to the true row, calibrated on rows held out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cosine_similarity

AXES = 4
"""The first ``F / AXES`` principal axes of the source are looked at one by one, the others together."""
LEVEL = 0.9
FOLDS = 10
FLOOR = 1e-12  # of one minus a cosine, and of a norm, which have a logarithm then
WIDEST = float(np.log(2 / FLOOR))  # between two logarithms of one minus a cosine; an extrapolation may be farther off
ROUNDING = 1e-6  # of an energy, as a share of the whole: below it a difference of float32 is rounding error
FEWEST = 50
"""Rows held out below which there is no trust: the ends of an interval would be single rows."""
COLUMNS = ("trust", "trust_low", "trust_high")


@dataclass(frozen=True, eq=False)
class Trust:
    r"""The expected cosine of a translated row and the true one, both around the center of the target, and an interval.

    .. math:: \hat c(x) = 1 - s \, e^{g(x)}, \qquad g(x) = \beta_0 + \textstyle\sum_b \beta_b \log E_b(x)

    with five energies ``E``: of the offset of the row from the center along the first principal axes of the anchors, in
    two bands, along all others, and in all, and of the offset of its translation. ``g`` is a ridge regression of
    ``log(1 - cos)`` on held-out rows; ``s`` is the mean of the exponentials of its left-out residuals (`Duan, 1983
    <https://doi.org/10.1080/01621459.1983.10478017>`_), whose quantiles give an interval for single rows, of the stated
    level over all of them (split conformal prediction, `Lei et al., 2018
    <https://doi.org/10.1080/01621459.2017.1307116>`_).

    Args:
        axes: The first principal axes of the source's anchors as columns, ``(F, R)``.
        coefficients: Of the logarithms, then the constant, ``(6,)``.
        factors: ``s``, and the exponentials of the upper and the lower quantile, ``(3,)``.
    """

    axes: Tensor
    coefficients: Tensor
    factors: Tensor

    @classmethod
    def calibrate(cls, offsets: Tensor, translated: Tensor, true: Tensor, axes: Tensor) -> Trust | None:
        """Fit on held-out rows: source offsets ``(n, F)``, translations and true rows ``(n, G)``, around their centers.

        ``None`` for fewer than fifty rows, or rows that are all at the center.
        """
        from sklearn.linear_model import RidgeCV
        from sklearn.model_selection import cross_val_predict
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        if len(offsets) < FEWEST or not bool(translated.any()):
            return None
        features = logarithms(offsets @ axes, offsets, translated).numpy()
        errors = (1 - cosine_similarity(translated, true)).clamp(min=FLOOR).log().numpy()
        model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 4, 7)))
        left = (errors - cross_val_predict(model, features, errors, cv=FOLDS)).clip(max=WIDEST)
        scaler, ridge = (step for _, step in model.fit(features, errors).steps)
        slopes = ridge.coef_ / scaler.scale_
        coefficients = np.append(slopes, ridge.intercept_ - slopes @ scaler.mean_)
        factors = np.array([np.exp(left).mean(), *np.exp(conformal_quantiles(left))])
        return cls(axes, torch.from_numpy(coefficients), torch.from_numpy(factors))

    def __call__(self, along: Tensor, offsets: Tensor, translated: Tensor) -> Tensor:
        """Trust and the ends of its interval ``(n, 3)``.

        Args:
            along: Rows around the center of the source along the axes, ``(n, R)``.
            offsets: The same rows, ``(n, F)``.
            translated: Their translations around the center of the target, ``(n, G)``.
        """
        features = logarithms(along, offsets, translated)
        slopes, constant, factors = (
            part.to(features) for part in (self.coefficients[:-1], self.coefficients[-1:], self.factors)
        )
        return (1 - (features @ slopes + constant).exp().unsqueeze(1) * factors).clamp(-1, 1)


def logarithms(along: Tensor, offsets: Tensor, translated: Tensor) -> Tensor:
    """Logarithms of the five energies, ``(n, 5)``; arguments as of :meth:`Trust.__call__`."""
    parts = (offsets, translated, *along.tensor_split(2, dim=1))
    whole, image, first, second = (torch.linalg.vector_norm(part, dim=1).square() for part in parts)
    bands = [band.maximum(ROUNDING * whole) for band in (first, second, whole - first - second)]
    return torch.stack([*bands, whole, image], dim=1).clamp(min=FLOOR).log()


def conformal_quantiles(residuals: NDArray[np.float64]) -> tuple[float, float]:
    """Upper and lower quantile of residuals that cover a new one with probability :data:`LEVEL`."""
    tail, count = (1 - LEVEL) / 2, len(residuals)
    rank = min(1.0, (1 - tail) * (count + 1) / count)
    return float(np.quantile(residuals, rank, method="higher")), float(np.quantile(residuals, 1 - rank, method="lower"))


def principal_axes(offsets: Tensor) -> Tensor:
    """The first principal axes of rows around their center ``(K, F)`` as columns, ``(F, R)``."""
    axes: Tensor = torch.linalg.eigh(offsets.mT @ offsets).eigenvectors.flip(1)
    return axes[:, : max(2, offsets.size(1) // AXES)]
