"""The fidelity to expect of a map to a head, before it is used: cross-validation on the anchors."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import torch
from torch import Tensor

from relgraph.errors import InputError
from relgraph.maps.estimator import Estimator
from relgraph.maps.leave_one_out import Shrinkage
from relgraph.maps.matched import MatchedAnchors
from relgraph.task import Task

FOLDS = 10
RESAMPLES = 100
LEVEL = 0.95


@dataclass(frozen=True)
class ExpectedFidelity:
    """Fidelity on left-out anchors, and an interval that contains that of all rows in a share ``level`` of cases."""

    value: float
    low: float
    high: float
    level: float = LEVEL

    def __str__(self) -> str:
        return f"{self.value:.3f} ({100 * self.level:.0f} % interval {self.low:.3f} to {self.high:.3f})"


def expected_fidelity(
    matched: MatchedAnchors, estimator: Estimator, shrinkage: Shrinkage = "loo", *, level: float = LEVEL
) -> ExpectedFidelity | None:
    r"""The fidelity of a map to a head's outputs, estimated by cross-validation on its anchors.

    The map is fitted ten times without a tenth of the anchors, and its outputs on that tenth are compared with the
    head's, as :meth:`relgraph.task.Task.agreement` compares a stitched pair with the head's own model. Each anchor
    counts as the share of rows :math:`w_i` that it stands for. For classes, the interval is that of `Wilson (1927)
    <https://doi.org/10.1080/01621459.1927.10502953>`_ for :math:`1 / \sum_i w_i^2` anchors, the effective number; else
    they are those of a normal distribution with the mean, the value, and deviation of 100 bootstrap samples of so many
    anchors.

    It is somewhat too low with few anchors, since each fit has a tenth fewer, and does not hold for other rows than the
    anchors were drawn from.

    Returns:
        ``None`` for fewer than two anchors, or if the map is not determined without some of them.

    Example:
        >>> from relgraph.anchors import AnchorSet, PublishedHead
        >>> from relgraph.maps.divergence import KL
        >>> ids, z = torch.arange(50), torch.linspace(-1, 1, 50).unsqueeze(1)
        >>> head = PublishedHead(ids, torch.hstack([z, -z]), torch.zeros(2))
        >>> print(expected_fidelity(MatchedAnchors.match(AnchorSet(ids, z, torch.zeros(1)), head), KL))
        1.000 (95 % interval 0.929 to 1.000)
    """
    outputs = left_out_outputs(matched, estimator, shrinkage)
    if outputs is None or matched.mode is None:
        return None
    deviations = NormalDist().inv_cdf((1 + level) / 2)
    task, shares = Task.of("node", matched.mode), matched.shares / matched.shares.sum()
    found, own = task.record(outputs), task.record(matched.values)
    if matched.mode == "multiclass":
        ends = _wilson(float(shares.numpy() @ (found == own)), float(1 / shares.square().sum()), deviations)
        return ExpectedFidelity(*ends, level)
    effective = max(2, round(float(1 / shares.square().sum())))
    drawn = np.random.default_rng(0).choice(len(matched), (RESAMPLES, effective), p=shares.numpy())
    values = [task.agreement(found[rows], own[rows]) for rows in drawn]
    value, half = float(np.mean(values)), deviations * float(np.std(values, ddof=1))
    return ExpectedFidelity(value, value - half, min(value + half, 1.0), level)


def left_out_outputs(matched: MatchedAnchors, estimator: Estimator, shrinkage: Shrinkage = "loo") -> Tensor | None:
    """:func:`fold_outputs` for a head, ``(K, C)``.

    ``None`` for fewer than two anchors or a target space, or if the map is not determined without some of them.
    """
    if len(matched) < 2 or matched.mode is None:
        return None
    try:
        return fold_outputs(matched, estimator, shrinkage)
    except InputError:  # no shrinkage, and too few anchors for that
        return None


def fold_outputs(matched: MatchedAnchors, estimator: Estimator, shrinkage: Shrinkage = "loo") -> Tensor:
    """Outputs ``(K, G)`` of a map at anchors that it was fitted without: ten fits, each without a tenth of them.

    The tenths are drawn, because the order of anchors may mean something, such as their time. There are at least two.

    Raises:
        InputError: If the map is not determined without some of the anchors.
    """
    fold = torch.randperm(len(matched), generator=torch.Generator().manual_seed(0)) % FOLDS
    outputs = torch.zeros_like(matched.values)
    for left in (fold == number for number in range(min(FOLDS, len(matched)))):
        fitted = estimator.fit(matched.take(~left), shrinkage)
        outputs[left] = fitted(matched.offsets[left] + matched.center)
    return outputs


def _wilson(value: float, count: float, z: float) -> tuple[float, float, float]:
    """A share and the ends of its interval, ``z`` standard deviations wide to each side."""
    middle = (value + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z * (value * (1 - value) / count + z**2 / (4 * count**2)) ** 0.5 / (1 + z**2 / count)
    return value, max(middle - half, 0.0), min(middle + half, 1.0)
