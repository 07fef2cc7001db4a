"""How graph-level predictions are measured: OGB's metrics, which way is up, and what a constant predictor gets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from relgraph.errors import unknown_name

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Metric:
    """A metric of outputs ``(n, T)`` against labels ``(n, T)``, NaN where a label is missing.

    Args:
        name: OGB's name.
        title: As it is written in tables.
        direction: Whether more or less is better.
        perfect: The best there is.
        value: From labels and outputs to the number; NaN if no label says anything, such as a single class.
        floor: From training labels and test labels to what a constant predictor gets.

    Example:
        >>> y, outputs = np.array([[0.0], [1.0], [1.0]]), np.array([[0.1], [0.0], [0.4]])
        >>> METRICS["rocauc"].value(y, outputs), METRICS["rocauc"].floor(y, y)
        (0.5, 0.5)
    """

    name: str
    title: str
    direction: Literal["higher", "lower"]
    perfect: float
    value: Callable[[Floats, Floats], float]
    floor: Callable[[Floats, Floats], float]

    def better(self, one: float, other: float) -> bool:
        """Whether one value is better than another."""
        return one > other if self.direction == "higher" else one < other


def rocauc(y: Floats, outputs: Floats) -> float:
    """Area under the receiver operating characteristic, mean over the labels that show both classes."""
    from sklearn.metrics import roc_auc_score

    return _over_labels(roc_auc_score, y, outputs)


def average_precision(y: Floats, outputs: Floats) -> float:
    """Average precision, mean over the labels that show both classes."""
    from sklearn.metrics import average_precision_score

    return _over_labels(average_precision_score, y, outputs)


def rmse(y: Floats, outputs: Floats) -> float:
    """Root mean squared error, mean over the labels."""
    values = [np.sqrt(np.mean((outputs[there, t] - y[there, t]) ** 2)) for t, there in _labelled(y)]
    return float(np.mean(values)) if values else float("nan")


def _labelled(y: Floats) -> list[tuple[int, NDArray[np.bool_]]]:
    there = ~np.isnan(y)
    return [(t, there[:, t]) for t in range(y.shape[1]) if there[:, t].any()]


def _over_labels(score: Callable[..., float], y: Floats, outputs: Floats) -> float:
    values = [
        score(y[there, t], outputs[there, t]) for t, there in _labelled(y) if 0 < y[there, t].mean(dtype=np.float64) < 1
    ]
    return float(np.mean(values)) if values else float("nan")


def _share_of_ones(y_train: Floats, y: Floats) -> float:
    return average_precision(y, np.zeros_like(y))


def _error_of_the_mean(y_train: Floats, y: Floats) -> float:
    return rmse(y, np.broadcast_to(np.nanmean(y_train, axis=0, dtype=np.float64), y.shape))


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("rocauc", "ROC-AUC", "higher", 1.0, rocauc, lambda y_train, y: 0.5),
        Metric("ap", "average precision", "higher", 1.0, average_precision, _share_of_ones),
        Metric("rmse", "RMSE", "lower", 0.0, rmse, _error_of_the_mean),
    )
}


def metric_named(name: str) -> Metric:
    """The metric of a name.

    Raises:
        InputError: If it is unknown.

    Example:
        >>> metric_named("rmse").direction
        'lower'
    """
    if name not in METRICS:
        raise unknown_name("metric", name, METRICS)
    return METRICS[name]
