"""Metrics of predictions: value, direction, and what trivial predictions get.

A metric reads what a :class:`relgraph.task.Task` records of a model's outputs: classes ``(n,)``, or one column of
logits or values for each label or target, ``(n, T)``. Missing labels are -1 (classes) or NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Metric:
    """A metric of recorded outputs against targets.

    Args:
        name: The name in :data:`relgraph.registry.METRICS`.
        title: The name in tables.
        higher_is_better: The direction.
        optimum: The best possible value.
        value: From targets and outputs to the number; NaN if no target allows one, such as labels of a single class.
        chance: From targets of training and evaluated rows to the value of a prediction without information, from which
            retention is counted: 0 for accuracy, 0.5 for ROC-AUC, the constant predictor's error for RMSE.
        constant: From the same to the value of the best constant prediction, near which a model has collapsed.

    Example:
        >>> y, outputs = np.array([[0.0], [1.0], [1.0]]), np.array([[0.1], [0.0], [0.4]])
        >>> ROCAUC.value(y, outputs), ROCAUC.chance(y, y)
        (0.5, 0.5)
    """

    name: str
    title: str
    higher_is_better: bool
    optimum: float
    value: Callable[[Array, Array], float]
    chance: Callable[[Array, Array], float]
    constant: Callable[[Array, Array], float]

    @property
    def direction(self) -> Literal["higher", "lower"]:
        """Which values are better."""
        return "higher" if self.higher_is_better else "lower"


def accuracy(y: Array, outputs: Array) -> float:
    """Share of labeled rows ``y >= 0`` whose class is predicted: ``y`` ``(n,)``, ``outputs`` ``(n,)`` classes."""
    labeled = y >= 0
    return float((outputs[labeled] == y[labeled]).mean(dtype=np.float64)) if labeled.any() else float("nan")


def rocauc(y: Array, outputs: Array) -> float:
    """Area under the ROC curve, mean over the labels that show both classes; ``(n, T)`` each."""
    from sklearn.metrics import roc_auc_score

    return _mean(roc_auc_score, y, outputs, classes=True)


def average_precision(y: Array, outputs: Array) -> float:
    """Average precision, mean over the labels that show both classes; ``(n, T)`` each."""
    from sklearn.metrics import average_precision_score

    return _mean(average_precision_score, y, outputs, classes=True)


def hits_at_100(y: Array, outputs: Array) -> float:
    """Share of positives scored above the 100th highest negative, as OGB's evaluator has it; mean over labels."""

    def hits(y: Array, scores: Array) -> float | None:
        negative = scores[y == 0]
        if len(negative) < 100:
            return None
        return float((scores[y == 1] > np.partition(negative, -100)[-100]).mean(dtype=np.float64))

    return _mean(hits, y, outputs, classes=True)


def rmse(y: Array, outputs: Array) -> float:
    """Root mean squared error, mean over the targets; ``(n, T)`` each."""
    return _mean(lambda y, values: np.sqrt(np.mean((values - y) ** 2)), y, outputs)


def _mean(score: Callable[[Array, Array], Any], y: Array, outputs: Array, *, classes: bool = False) -> float:
    """Mean of a score over the columns that have one; with ``classes`` their known targets must show both classes."""
    columns = ((y[known, t], outputs[known, t]) for t, known in enumerate(~np.isnan(y).T) if known.any())
    values = [score(*one) for one in columns if not classes or 0 < one[0].mean(dtype=float) < 1]
    found = [value for value in values if value is not None]
    return float(np.mean(found)) if found else float("nan")


def _zero(y_train: Array, y: Array) -> float:
    return 0.0


def _half(y_train: Array, y: Array) -> float:
    return 0.5


def _largest_class(y_train: Array, y: Array) -> float:
    labeled = y[y >= 0]
    return float(np.bincount(labeled).max() / len(labeled)) if len(labeled) else float("nan")


def _positive_share(y_train: Array, y: Array) -> float:
    return average_precision(y, np.zeros_like(y))


def _error_of_mean(y_train: Array, y: Array) -> float:
    return rmse(y, np.broadcast_to(np.nanmean(y_train, axis=0, dtype=np.float64), y.shape))


ACCURACY = Metric("accuracy", "accuracy", True, 1.0, accuracy, _zero, _largest_class)
ROCAUC = Metric("rocauc", "ROC-AUC", True, 1.0, rocauc, _half, _half)
AVERAGE_PRECISION = Metric("ap", "average precision", True, 1.0, average_precision, _positive_share, _positive_share)
HITS_AT_100 = Metric("hits@100", "Hits@100", True, 1.0, hits_at_100, _zero, _zero)
RMSE = Metric("rmse", "RMSE", False, 0.0, rmse, _error_of_mean, _error_of_mean)
