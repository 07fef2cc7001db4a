"""From predictions to the numbers that are said of an arm; pure functions on arrays.

Runs stand in rows (whose encoder) and columns (whose head) throughout; NaN marks what is not defined.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.integer[Any]]
Bools = NDArray[np.bool_]

COLLAPSED_BELOW = 0.05


def accuracy_floor(y: Ints) -> float:
    """What a constant predictor gets: the share of the most frequent class.

    Example:
        >>> accuracy_floor(np.array([0, 0, 0, 1]))
        0.75
    """
    return float(np.bincount(y).max() / len(y))


def collapsed(own: Floats, floor: float) -> Bools:
    """Runs whose own accuracy is below the floor plus 5 % of the way from floor to perfect.

    Example:
        >>> collapsed(np.array([0.51, 0.8]), floor=0.5).tolist()
        [True, False]
    """
    return np.asarray(own < floor + COLLAPSED_BELOW * (1 - floor))


def accuracy_matrix(predictions: Ints, y: Ints) -> Floats:
    """Accuracy of every pair: predictions ``(R, R, n)``, -1 where a pair is not defined, classes ``(n,)``."""
    accuracy: Floats = (predictions == y).mean(-1, dtype=np.float64)
    accuracy[(predictions < 0).all(-1)] = np.nan
    return accuracy


def retention_matrix(accuracy: Floats, absolute_own: Floats, floor: float, kinds: Sequence[str]) -> Floats:
    r"""Stitched accuracy over the weaker of the two *absolute* models' own accuracies.

    .. math:: \rho_{ij} = \mathrm{acc}_{ij} / \min(\mathrm{own}_i, \mathrm{own}_j)

    The absolute models of the same encoder and seed serve all arms, so that a weak arm cannot look good. A collapsed
    absolute run counts as the median of its encoder's kind; NaN where even that is 0.

    Args:
        accuracy: ``(R, R)`` of an arm.
        absolute_own: Own accuracies of the absolute models, ``(R,)``.
        floor: See :func:`accuracy_floor`.
        kinds: The encoder's name of every run.
    """
    own = absolute_own.copy()
    names = np.asarray(kinds)
    for row in np.flatnonzero(collapsed(absolute_own, floor)):
        own[row] = np.median(absolute_own[names == names[row]])
    weaker = np.minimum(own[:, None], own[None, :])
    retention: Floats = np.divide(accuracy, weaker, out=np.full(accuracy.shape, np.nan), where=weaker > 0)
    return retention


def fidelity_matrix(predictions: Ints, reference: Ints) -> Floats:
    """Share of nodes on which encoder i with head j says what head j's own model says.

    Args:
        predictions: ``(R, R, n)``, -1 where a pair is not defined.
        reference: Predictions of the models whose heads are read, ``(R, n)``.
    """
    fidelity: Floats = (predictions == reference[None]).mean(-1, dtype=np.float64)
    fidelity[(predictions < 0).all(-1)] = np.nan
    return fidelity


def decisive_fidelity_matrix(predictions: Ints, reference: Ints) -> Floats:
    """Fidelity on the nodes where models i and j differ, where repeating the source's own opinion scores 0.

    NaN where they never differ (on the diagonal, always).
    """
    differ = reference[:, None] != reference[None, :]
    counts = differ.sum(-1)
    hits = ((predictions == reference[None]) & differ).sum(-1)
    decisive = np.full(counts.shape, np.nan)
    np.divide(hits, counts, out=decisive, where=counts > 0)
    decisive[(predictions < 0).all(-1)] = np.nan
    return decisive


def disagreement_matrix(reference: Ints) -> Floats:
    """Share of nodes on which two models differ, ``(R, n)`` to ``(R, R)``."""
    return np.asarray((reference[:, None] != reference[None, :]).mean(-1, dtype=np.float64))


def cross_seed(kinds: Sequence[str]) -> Bools:
    """Pairs of two different runs of the same encoder, ``(R, R)``."""
    names = np.asarray(kinds)
    return np.asarray((names[:, None] == names[None, :]) & ~np.eye(len(names), dtype=bool))


def cross_encoder(kinds: Sequence[str]) -> Bools:
    """Pairs of runs of two different encoders, ``(R, R)``."""
    names = np.asarray(kinds)
    return np.asarray(names[:, None] != names[None, :])
