"""From outputs to the numbers that are said of an arm, for a metric with a floor; pure functions on arrays.

Runs stand in rows (whose encoder) and columns (whose head), outputs are ``(R, R, n, T)``, NaN where a pair is not
defined.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.stats import spearmanr

from relgraph.datasets.graph_dataset import Task
from relgraph.measures import cohen_kappa
from relgraph.stitching.scores import COLLAPSED_BELOW, Bools, Floats
from relgraph.training.metric import Metric


def metric_matrix(outputs: Floats, y: Floats, metric: Metric) -> Floats:
    """The metric of every pair, ``(R, R)``; labels ``(n, T)``."""
    values = np.full(outputs.shape[:2], np.nan)
    for i, j in np.ndindex(*values.shape):
        if not np.isnan(outputs[i, j]).any():
            values[i, j] = metric.value(y, outputs[i, j])
    return values


def collapsed(own: Floats, floor: float, metric: Metric) -> Bools:
    """Runs that have gone less than 5 % of the way from the floor to perfect, or none of it.

    Example:
        >>> from relgraph.training.metric import METRICS
        >>> collapsed(np.array([1.95, 1.0]), 2.0, METRICS["rmse"]).tolist()
        [True, False]
    """
    return np.asarray((own - floor) / (metric.perfect - floor) < COLLAPSED_BELOW)


def retention_matrix(
    values: Floats, absolute_own: Floats, floor: float, metric: Metric, kinds: Sequence[str]
) -> Floats:
    r"""How much of the way from the floor to the weaker of the two absolute models' own a stitched pair goes.

    .. math:: \rho_{ij} = (v_{ij} - f) / (\mathrm{weaker}(\mathrm{own}_i, \mathrm{own}_j) - f)

    A collapsed absolute run counts as the median of its encoder's kind; NaN where even that is collapsed.

    Args:
        values: The metric of an arm's pairs, ``(R, R)``.
        absolute_own: Of the absolute models, ``(R,)``.
        floor: What a constant predictor gets.
        metric: The metric.
        kinds: The encoder's name of every run.
    """
    own, names = absolute_own.copy(), np.asarray(kinds)
    for row in np.flatnonzero(collapsed(absolute_own, floor, metric)):
        own[row] = np.median(absolute_own[names == names[row]])
    own[collapsed(own, floor, metric)] = np.nan
    weaker = (np.minimum if metric.direction == "higher" else np.maximum)(own[:, None], own[None, :])
    retention: Floats = (values - floor) / (weaker - floor)
    return retention


def fidelity(outputs: Floats, reference: Floats, task: Task) -> float:
    """Agreement of two outputs ``(n, T)``, mean over the tasks.

    Cohen's kappa of the signs of binary logits, Spearman's rank correlation of values; a constant output agrees with
    nothing, 0.

    Example:
        >>> a, b = np.array([[1.0], [2.0], [-3.0]]), np.array([[0.5], [4.0], [-1.0]])
        >>> fidelity(a, b, "binary"), round(fidelity(a, b, "regression"), 6)
        (1.0, 1.0)
    """
    agreement = _kappa if task == "binary" else _spearman
    return float(np.mean([agreement(outputs[:, t], reference[:, t]) for t in range(outputs.shape[1])]))


def fidelity_matrix(outputs: Floats, reference: Floats, task: Task) -> Floats:
    """Agreement of encoder i with head j with head j's own model, ``(R, R)``; references ``(R, n, T)``."""
    values = np.full(outputs.shape[:2], np.nan)
    for i, j in np.ndindex(*values.shape):
        if not np.isnan(outputs[i, j]).any():
            values[i, j] = fidelity(outputs[i, j], reference[j], task)
    return values


def _kappa(one: Floats, other: Floats) -> float:
    return cohen_kappa(torch.from_numpy(one > 0).long(), torch.from_numpy(other > 0).long())


def _spearman(one: Floats, other: Floats) -> float:
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(spearmanr(one, other).statistic)
