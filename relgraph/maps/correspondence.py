"""Whether the rows of two published pieces correspond, judged by leave-one-out predictions on the anchors."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from relgraph.errors import RelgraphWarning
from relgraph.maps.leave_one_out import Smoother
from relgraph.maps.matched import MatchedAnchors
from relgraph.maps.ridge import ridge_coefficients
from relgraph.maps.weights import cauchy_weights

MIN_ANCHORS = 32
"""With fewer anchors, a poor map cannot be told from chance."""
PERMUTATIONS = 20
STANDARD_DEVIATIONS = 2.0
ROUNDS = 3
MIN_MISFIT = 0.5
SHRINKAGE = 0.1  # a rough map, which few anchors determine too; it only has to be better than chance


class NoCorrespondenceWarning(RelgraphWarning):
    """A map between two published pieces predicts left-out anchors no better than with permuted rows."""


@dataclass(frozen=True)
class Correspondence:
    """Leave-one-out predictions of a map, compared with those of maps to permuted rows of the head.

    Args:
        agreement: Share of left-out anchors with the head's prediction; ``None`` for a regression.
        by_chance: The mean of the same with permuted rows.
        better: Whether agreement or squared error is better than with permuted rows, by two standard deviations.
    """

    agreement: float | None
    by_chance: float | None
    better: bool

    def __str__(self) -> str:
        if self.agreement is None:
            return "left-out anchors are predicted no better than with permuted rows"
        return (
            f"on left-out anchors a converted head predicts what the head predicts in {self.agreement:.0%} of all "
            f"cases, and in {self.by_chance:.0%} with permuted rows"
        )


def correspondence(matched: MatchedAnchors, *, curved: bool = False) -> Correspondence | None:
    """Whether source and head correspond row by row; ``None`` if there are too few anchors, or nothing to predict.

    Rows far from the center have small weights on both sides (:func:`relgraph.maps.cauchy_weights`), so that a few of
    them do not decide. With ``curved``, it is enough if Gaussian kernel ridge regression is better than chance.
    """
    contrasts = matched.contrasts
    spread = (contrasts - contrasts.mean(dim=0)).abs().amax()
    if len(matched) < MIN_ANCHORS or not bool(matched.offsets.any()) or spread <= 1e-9 * contrasts.abs().amax():
        return None
    rows = matched.offsets * cauchy_weights(matched.offsets).sqrt().unsqueeze(1)
    found = _against_permuted(Smoother.of_rows(rows), SHRINKAGE * float(rows.square().sum()) / rows.size(1), matched)
    if curved and not found.better:
        distances = torch.cdist(rows, rows).square()
        kernel = Smoother.of_kernel(torch.exp(-distances / distances.mean()))
        other = _against_permuted(kernel, SHRINKAGE, matched)
        return other if other.better else found
    return found


def warn_if_unrelated(matched: MatchedAnchors, *, curved: bool, stacklevel: int = 1) -> None:
    """Warn if source and head do not correspond row by row; arguments as of :func:`correspondence`."""
    found = correspondence(matched, curved=curved)
    if found is not None and not found.better:
        reason = f"{found}; check that ids name the same nodes in both pieces"
        warnings.warn(reason, NoCorrespondenceWarning, stacklevel=stacklevel + 1)


def _against_permuted(smoother: Smoother, penalty: float, matched: MatchedAnchors) -> Correspondence:
    generator = torch.Generator().manual_seed(0)
    agreement, error = _left_out(smoother, penalty, matched)
    permuted = []
    for _ in range(PERMUTATIONS):
        order = torch.randperm(len(matched), generator=generator)
        permuted.append(_left_out(smoother, penalty, replace(matched, values=matched.values[order])))
    agreements, errors = torch.tensor(permuted, dtype=torch.float64).unbind(1)
    better = bool(error < errors.mean() - STANDARD_DEVIATIONS * errors.std())
    if not matched.decides:
        return Correspondence(None, None, better)
    better = better or bool(agreement > agreements.mean() + STANDARD_DEVIATIONS * agreements.std())
    return Correspondence(agreement, float(agreements.mean()), better)


def _left_out(smoother: Smoother, penalty: float, matched: MatchedAnchors) -> tuple[float, float]:
    """Agreement and squared error of the predictions for left-out anchors."""
    roots = cauchy_weights(matched.contrasts).sqrt().unsqueeze(1)
    goal = matched.contrasts * roots
    errors = next(smoother.errors(goal, [penalty]))
    same = matched.predict((goal - errors) / roots + matched.mean) == matched.predict(matched.values)
    return float(same.double().mean()), float(errors.square().sum())


def misfits(matched: MatchedAnchors, shrinkage: float) -> Tensor:
    r"""Rows of anchors whose outputs are far from the predictions made from the other anchors, the worst first.

    .. math:: u_k = \frac{\lVert L_k - P_k \rVert^2}{\lVert L_k \rVert^2 + \lVert P_k \rVert^2 + \operatorname{median}_j
        \lVert L_j \rVert^2}

    with ``P`` the predictions of the ridge regression fitted without the anchor, and without the misfits found in the
    rounds before. Outputs of another node give about 2/3. An anchor is a misfit if it has more than 0.5, and more than
    the median by four standard deviations (of a normal distribution with the same median deviation).
    """
    roots = cauchy_weights(matched.offsets, matched.contrasts).sqrt().unsqueeze(1)
    rows, goal = roots * matched.offsets, roots * matched.contrasts
    found, misfit = torch.zeros(len(rows), dtype=torch.bool), torch.zeros(len(rows), dtype=rows.dtype)
    if len(rows) < MIN_ANCHORS or shrinkage == 0 or not bool(rows.any()) or not bool(goal.any()):
        return found.nonzero().view(-1)
    for _ in range(ROUNDS):
        kept = ~found
        others = rows[kept]
        penalty = shrinkage * float(others.square().sum()) / rows.size(1)
        predicted = rows @ ridge_coefficients(others, goal[kept], shrinkage)
        predicted[kept] = goal[kept] - next(Smoother.of_rows(others).errors(goal[kept], [penalty]))
        size = goal.square().sum(dim=1)
        misfit = (goal - predicted).square().sum(dim=1) / (size + predicted.square().sum(dim=1) + size.median())
        usual = misfit.median()
        again = misfit > max(MIN_MISFIT, float(usual + 4 * 1.4826 * (misfit - usual).abs().median()))
        if torch.equal(again, found) or int((~again).sum()) < MIN_ANCHORS:
            break
        found = again
    order = misfit.argsort(descending=True)
    return order[found[order]]
