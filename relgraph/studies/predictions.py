"""How far the predictions of runs agree: over pairs of runs, and over all of them.

Definitions of `Klabunde and Lemmerich (2022) <https://arxiv.org/abs/2205.10070>`_.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from relgraph.stitching.bootstrap import Bools, pair_figure
from relgraph.studies.accuracy import accuracies
from relgraph.studies.runs import Array, Floats, Ints, PredictionRuns

BLOCK = 1 << 22
"""Numbers that a block of rows may hold in all runs."""

ORDERED = ("on_right", "on_wrong")
"""Measures of two runs that are not symmetric."""


def class_counts(classes: Ints, num_classes: int) -> Ints:
    """Number of runs that predict each class, ``(n, C)``, from classes ``(R, n)``; O(R n).

    Example:
        >>> class_counts(np.array([[0, 1], [0, 2], [0, 1]]), 3)
        array([[3, 0, 0],
               [0, 2, 1]])
    """
    counts = np.zeros((classes.shape[1], num_classes), dtype=np.int64)
    rows = np.arange(classes.shape[1])
    for run in classes:
        counts[rows, run] += 1
    return counts


def row_disagreement(counts: Ints) -> Floats:
    r"""Share of pairs of runs that predict different classes for a row, ``(n,)``.

    .. math:: d_i = 1 - \sum_c n_{ic} (n_{ic} - 1) \, / \, (R (R - 1))

    Its mean over rows is the mean disagreement of two runs.

    Example:
        >>> row_disagreement(np.array([[3, 0], [2, 1]])).round(3)
        array([0.   , 0.667])
    """
    runs = counts.sum(axis=1)
    found: Floats = 1 - (counts * (counts - 1)).sum(axis=1) / (runs * (runs - 1))
    return found


def unanimous_share(counts: Ints) -> float:
    """Share of rows on which all runs agree.

    Example:
        >>> unanimous_share(np.array([[3, 0], [2, 1]]))
        0.5
    """
    return float((counts.max(axis=1) == counts.sum(axis=1)).mean(dtype=np.float64))


def grouped_disagreement(classes: Ints, groups: Ints | None = None, count: int = 1) -> Floats:
    """Disagreement of every two runs within groups of rows, ``(G, R, R)``, by classes ``(R, n)``.

    Args:
        classes: Predicted classes.
        groups: Group of every row ``(n,)``, from 0; ``None`` for one group.
        count: Number of groups ``G``; an empty one is NaN.

    Memory is O(R n + G R^2), time O(R^2 n).
    """
    number = np.zeros(classes.shape[1], dtype=np.int64) if groups is None else groups
    order = np.argsort(number, kind="stable")
    sizes = np.bincount(number, minlength=count)
    filled = np.flatnonzero(sizes)
    starts = (np.cumsum(sizes) - sizes)[filled]
    ordered = classes[:, order]
    found = np.full((count, len(classes), len(classes)), np.nan)
    for run, own in enumerate(ordered):
        differ = np.add.reduceat(ordered != own, starts, axis=1, dtype=np.int64)
        found[filled, run] = differ.T / sizes[filled, None]
    return found


def conditional_disagreement(classes: Ints, y: Ints) -> tuple[Floats, Floats]:
    """Disagreement of every ordered pair of runs on rows that the first gets right, and wrong, ``(R, R)`` each.

    Args:
        classes: Predicted classes ``(R, n)``.
        y: True classes ``(n,)``, all known.

    A run without such rows has NaN in its row.
    """
    right = classes == y
    true, false = (np.full((len(classes), len(classes)), np.nan) for _ in range(2))
    for run, own in enumerate(classes):
        differ = classes != own
        for found, rows in ((true, right[run]), (false, ~right[run])):
            if rows.any():
                found[run] = differ[:, rows].mean(axis=1, dtype=np.float64)
    return true, false


def normalized_disagreement(disagreement: Floats, accuracy: Floats) -> Floats:
    r"""Disagreement between its least and greatest possible value for the two accuracies, ``(R, R)``.

    .. math:: (d_{ij} - |a_i - a_j|) \, / \, (\min(1, 2 - a_i - a_j) - |a_i - a_j|)

    with accuracies ``a``; NaN where both bounds are the same.

    Args:
        disagreement: Of every two runs, ``(R, R)``.
        accuracy: Of every run on the same rows, ``(R,)``.

    Example:
        >>> normalized_disagreement(np.array([[0.0, 0.2], [0.2, 0.0]]), np.array([0.8, 0.8]))[0, 1].round(3)
        np.float64(0.5)
    """
    least = np.abs(accuracy[:, None] - accuracy[None, :])
    width = np.minimum(1.0, 2.0 - accuracy[:, None] - accuracy[None, :]) - least
    found = np.full(disagreement.shape, np.nan)
    np.divide(disagreement - least, width, out=found, where=width > 1e-12)
    return found


def symmetric_kl(logits: Array) -> Floats:
    r"""Symmetric Kullback-Leibler divergence of every two runs in nats, mean over rows, ``(R, R)``.

    .. math:: D_{ij} = \tfrac{1}{n} \sum_{r,c} (p_{irc} - p_{jrc}) (\log p_{irc} - \log p_{jrc})

    that is ``KL(p_i, p_j) + KL(p_j, p_i)``.

    Args:
        logits: Outputs ``(R, n, C)``.

    Rows are read in blocks: memory beside the outputs is bounded.

    Example:
        >>> symmetric_kl(np.array([[[0.0, 0.0]], [[1.0, 0.0]]]))[0, 1].round(4)
        np.float64(0.2311)
    """
    from scipy.special import log_softmax

    runs, rows, width = logits.shape
    total = np.zeros((runs, runs))
    step = max(1, BLOCK // (runs * width))
    for start in range(0, rows, step):
        log_p = log_softmax(logits[:, start : start + step].astype(np.float64), axis=2)
        p = np.exp(log_p).reshape(runs, -1)
        cross = p @ (log_p - log_p.mean(axis=0)).reshape(runs, -1).T  # centered, to cancel less
        own = np.diagonal(cross)
        total += own[:, None] + own[None, :] - cross - cross.T
    np.fill_diagonal(total, 0.0)
    found: Floats = np.maximum(total, 0.0) / rows
    return found


def pair_matrices(runs: PredictionRuns) -> dict[str, Floats]:
    """Every measure of two runs that applies, ``(R, R)`` each, by name.

    ``disagreement`` d on all rows; with labels, on labeled rows, ``normalized`` d_norm, ``on_right`` d_true and
    ``on_wrong`` d_false; with logits ``symmetric_kl``.
    """
    found = {"disagreement": grouped_disagreement(runs.classes)[0]}
    if runs.labeled:
        assert runs.y is not None
        known = runs.y >= 0
        classes = runs.classes[:, known]
        same = found["disagreement"] if known.all() else grouped_disagreement(classes)[0]
        found["normalized"] = normalized_disagreement(same, accuracies(runs))
        found["on_right"], found["on_wrong"] = conditional_disagreement(classes, runs.y[known])
    if runs.logits is not None:
        found["symmetric_kl"] = symmetric_kl(runs.logits)
    return found


def predictions_section(runs: PredictionRuns) -> dict[str, Any]:
    """Agreement of the runs of every model, and between every two models; intervals resample runs."""
    matrices = pair_matrices(runs)
    names = np.asarray(runs.models)
    within: dict[str, dict[str, Any]] = {}
    for model in runs.names:
        rows = runs.rows_of(model)
        here = _figures(matrices, rows, [model] * len(rows), ~np.eye(len(rows), dtype=bool))
        counts = class_counts(runs.classes[rows], runs.num_classes)
        within[model] = here | {"unanimous": unanimous_share(counts), "runs": len(rows)}
    between = []
    for number, first in enumerate(runs.names):
        for second in runs.names[number + 1 :]:
            rows = np.concatenate([runs.rows_of(first), runs.rows_of(second)])
            across = (names[rows][:, None] == first) & (names[rows][None, :] == second)
            figures = _figures(matrices, rows, names[rows].tolist(), across)
            between.append({"first": first, "second": second, "disagreement": figures["disagreement"]})
    return {"rows": runs.classes.shape[1], "models": within, "between": between}


def _figures(
    matrices: dict[str, Floats], rows: Ints, models: list[str], pairs: Bools
) -> dict[str, dict[str, Any] | None]:
    """The figure of every matrix over some ordered pairs of runs; of a symmetric one each pair counts once."""
    return {
        name: pair_figure(
            matrix[np.ix_(rows, rows)], pairs if name in ORDERED else np.triu(pairs), models, lower_is_worse=False
        )
        for name, matrix in matrices.items()
    }
