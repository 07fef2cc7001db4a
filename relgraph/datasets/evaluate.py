"""OGB's own evaluators as one function."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from relgraph.datasets.ogb_library import import_ogb, ogb_table, quiet
from relgraph.errors import InputError, unknown_name


def evaluate(name: str, y_true: Tensor | np.ndarray, y_pred: Tensor | np.ndarray) -> float:
    """The value of a set's metric by OGB's own ``Evaluator``; which metric it is, OGB decides.

    Args:
        name: Any OGB set for node or graph prediction but ``ogbg-code2``, whose predictions are words.
        y_true: Labels ``(n, T)``, or ``(n,)`` where ``T`` is 1. Missing ones are NaN, or -1 among classes, and are
            left out.
        y_pred: Predictions of the same shape: classes for accuracy, scores for ROC-AUC and average precision, values
            for RMSE.

    Raises:
        InputError: If the name is unknown, shapes do not fit, a prediction is not finite, or the labels do not define
            the metric (none at all, or one class only for ROC-AUC).

    Example:
        >>> evaluate("ogbn-arxiv", torch.tensor([3, 7, -1, 1]), torch.tensor([3, 7, 5, 2]))
        0.6666666666666666
    """
    part = "graphproppred" if str(name).startswith("ogbg-") else "nodeproppred"
    known = {set_name: row for it in ("nodeproppred", "graphproppred") for set_name, row in ogb_table(it).items()}
    if not isinstance(name, str) or known.get(name, {"eval metric": "F1"})["eval metric"] == "F1":
        raise unknown_name("name", name, [it for it, row in known.items() if row["eval metric"] != "F1"])
    metric, tasks = known[name]["eval metric"], int(known[name]["num tasks"])
    true, predicted = (_table(it) for it in (y_true, y_pred))
    if true.shape != predicted.shape or true.ndim != 2 or true.shape[1] != tasks:
        raise InputError(
            "y_true",
            f"and 'y_pred' must have the shape (n, {tasks}) for '{name}' (got {tuple(np.shape(y_true))} and "
            f"{tuple(np.shape(y_pred))}); of logits pass the classes, logits.argmax(1)",
        )
    if not np.isfinite(predicted).all():
        bad = int((~np.isfinite(predicted)).sum())
        raise InputError("y_pred", f"must be finite (got {bad} NaN or infinite values); only labels may be missing")
    if metric == "acc":
        true = np.where(true < 0, np.nan, true)
    labelled = ~np.isnan(true)
    if not labelled.any() or (metric in ("acc", "rmse") and not labelled.any(axis=0).all()):
        raise InputError("y_true", f"must have a label of '{name}' in every column (got none); pass labelled rows")
    try:
        with quiet():
            value = import_ogb(part).Evaluator(name).eval({"y_true": true, "y_pred": predicted})
    except RuntimeError as error:  # ogb's way to say that no column has both kinds of label
        raise InputError(
            "y_true",
            f"must have a column with labels 0 and 1 for {metric} of '{name}' (got one kind only); pass more rows",
        ) from error
    return float(value[metric])


def _table(values: Tensor | np.ndarray) -> np.ndarray:
    table = torch.as_tensor(values).detach().cpu().to(torch.float64).numpy()
    return table[:, None] if table.ndim == 1 else table
