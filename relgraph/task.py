"""A task: level, mode and metric, with the loss, predictions, agreement and retention that follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from relgraph.errors import InputError, unknown_name
from relgraph.metrics import Metric
from relgraph.registry import METRICS

Level = Literal["node", "edge", "graph"]
Mode = Literal["multiclass", "multilabel", "regression"]
Array = NDArray[Any]

COLLAPSED_BELOW = 0.05
_METRIC = {"multiclass": "accuracy", "multilabel": "rocauc", "regression": "rmse"}


def check_mode(mode: object) -> Mode:
    """The mode itself, or an :class:`InputError` if it is none."""
    if mode not in get_args(Mode):
        raise unknown_name("mode", mode, get_args(Mode))
    return mode  # type: ignore[return-value]


@dataclass(frozen=True)
class Task:
    """Level, mode and metric of what is predicted.

    Targets and outputs: of ``"multiclass"``, classes ``(n,)``, -1 where unknown, and logits ``(n, C)``; of
    ``"multilabel"``, labels 0 or 1 ``(n, T)``, NaN where unknown, and logits ``(n, T)``; of ``"regression"``, targets
    ``(n, T)``, NaN where unknown, and values ``(n, T)``.

    Args:
        level: What a row is: a node, a pair of nodes, or a graph.
        mode: What the outputs are.
        metric: How they are measured.

    Example:
        >>> task = Task.of("node", "multiclass")
        >>> task.metric.name, task.predict(torch.tensor([[0.1, 2.0]]))
        ('accuracy', tensor([1]))
    """

    level: Level
    mode: Mode
    metric: Metric

    @classmethod
    def of(cls, level: Level, mode: Mode, metric: str | None = None) -> Task:
        """The task with a metric by its name; by default accuracy, ROC-AUC or RMSE."""
        return cls(level, check_mode(mode), METRICS.resolve(metric or _METRIC[mode]))

    @property
    def ranks(self) -> bool:
        """Whether outputs are compared by their order: values of a regression, and scores of pairs of nodes."""
        return self.mode == "regression" or self.level == "edge"

    def labeled(self, y: Tensor) -> Tensor:
        """Which rows have a target, ``(n,)``."""
        return y >= 0 if self.mode == "multiclass" else ~y.isnan().all(dim=1)

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Mean (binary) cross-entropy or squared error over the known targets, 0 if there are none."""
        if self.mode == "multiclass":
            return F.cross_entropy(outputs, y)
        known = ~y.isnan()
        if not bool(known.any()):
            return outputs.sum() * 0
        loss = F.binary_cross_entropy_with_logits if self.mode == "multilabel" else F.mse_loss
        return loss(outputs[known], y[known])

    def predict(self, outputs: Tensor) -> Tensor:
        """What outputs decide: the class ``(n,)``, whether each label is true ``(n, T)``, or the values themselves."""
        if self.mode == "multiclass":
            return outputs.argmax(dim=-1)
        return outputs > 0 if self.mode == "multilabel" else outputs

    def record(self, outputs: Tensor) -> Array:
        """What an experiment keeps of outputs, as an array: classes ``(n,)``, int16, or the outputs in float64."""
        if self.mode == "multiclass":
            return np.asarray(outputs.argmax(dim=-1).cpu().numpy().astype(np.int16))
        return np.asarray(outputs.double().cpu().numpy())

    def value(self, y: Tensor | Array, recorded: Array) -> float:
        """The metric of recorded outputs."""
        return self.metric.value(y.detach().cpu().numpy() if isinstance(y, Tensor) else y, recorded)

    def agreement(self, one: Array, other: Array) -> float:
        """Agreement of two records on the same rows.

        The share of equal classes; the mean over labels of Cohen's kappa of the signs; of a regression and of scores
        of pairs, Spearman's rank correlation, mean over targets. A constant label or target agrees with nothing beyond
        chance: 0.

        Example:
            >>> a, b = np.array([[1.0], [2.0], [-3.0]]), np.array([[0.5], [4.0], [-1.0]])
            >>> Task.of("graph", "multilabel").agreement(a, b), Task.of("graph", "regression").agreement(a, b)
            (1.0, 1.0)
        """
        if self.mode == "multiclass":
            return float((one == other).mean(dtype=np.float64))
        score = _spearman if self.ranks else _kappa
        return float(np.mean([score(one[:, t], other[:, t]) for t in range(one.shape[1])]))

    def differ(self, one: Array, other: Array) -> NDArray[np.bool_] | None:
        """Rows ``(n,)`` on which two records decide differently; ``None`` where nothing is decided (:attr:`ranks`)."""
        if self.mode == "multiclass":
            return np.asarray(one != other)
        return None if self.ranks else np.asarray(((one > 0) != (other > 0)).any(axis=1))

    def retention(self, stitched: Array | float, own: Array | float, chance: float) -> Array:
        r"""How much of what a model has above chance a stitched pair keeps: ``(stitched - chance) / (own - chance)``.

        NaN where the own model is no better than chance, of which nothing can be kept.

        Example:
            >>> float(Task.of("node", "multiclass").retention(0.25, 0.5, 0.0))
            0.5
            >>> float(Task.of("graph", "regression").retention(1.5, 1.0, 2.0))
            0.5
        """
        gained, had = np.asarray(stitched, dtype=float) - chance, np.asarray(own, dtype=float) - chance
        shape = np.broadcast_shapes(gained.shape, had.shape)
        better = had > 0 if self.metric.higher_is_better else had < 0
        out = np.full(shape, np.nan)
        np.divide(gained, had, out=out, where=np.broadcast_to(better, shape))
        return out

    def collapsed(self, own: Array | float, constant: float) -> NDArray[np.bool_]:
        """Models that are less than 5 % of the way from the best constant prediction to the optimum.

        Example:
            >>> Task.of("node", "multiclass").collapsed(np.array([0.51, 0.8]), 0.5).tolist()
            [True, False]
        """
        gained, way = np.asarray(own, dtype=float) - constant, self.metric.optimum - constant
        # The sign of `way` says which direction is better; where a constant is already optimal nothing can collapse.
        return np.asarray(gained * np.sign(way) < COLLAPSED_BELOW * abs(way))

    def scaling(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the targets ``(n, T)`` of a regression, ``(T,)`` each; else 0 and 1."""
        if self.mode != "regression":
            return torch.zeros(1, device=y.device), torch.ones(1, device=y.device)
        mean = y.nanmean(dim=0)
        scale = (y - mean).square().nanmean(dim=0).sqrt()
        return mean, torch.where(scale > 0, scale, 1.0)

    def check_targets(self, y: Tensor, rows: int) -> None:
        """Refuse targets whose shape or type does not fit the mode with an :class:`InputError`."""
        got = f"(got shape {tuple(y.shape)} of {y.dtype})"
        if self.mode == "multiclass":
            if y.dim() != 1 or y.numel() != rows or y.is_floating_point() or y.dtype == torch.bool:
                raise InputError("y", f"must hold one integer class per row {got}")
        elif y.dim() != 2 or y.size(0) != rows or not y.is_floating_point():
            raise InputError("y", f"must hold one row of floating-point targets per row {got}")
        elif self.mode == "multilabel" and not bool(((y == 0) | (y == 1) | y.isnan()).all()):
            raise InputError("y", "must hold labels 0 or 1, or NaN where unknown, for a multilabel task")


def _kappa(one: Array, other: Array) -> float:
    from sklearn.metrics import cohen_kappa_score

    a, b = one > 0, other > 0
    if len(np.unique(np.concatenate([a, b]))) < 2:
        return 0.0
    return float(cohen_kappa_score(a, b))


def _spearman(one: Array, other: Array) -> float:
    from scipy.stats import spearmanr

    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(spearmanr(one, other).statistic)
