"""What a linear conversion says of anchors that it was made without: whether rows of space and head correspond."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from relgraph.conversion.pairing import Pairing
from relgraph.conversion.published_head import Outputs
from relgraph.translation import ridge
from relgraph.translation.weights import moderate_weights

FEWEST_JUDGED = 32
"""With fewer anchors, chance and a poor conversion cannot be told apart."""
PERMUTATIONS = 20
CLEARLY = 2.0  # standard deviations
ROUNDS = 3
LEAST_MISFIT = 0.5
SHRINKAGE = 0.1  # a rough map that few anchors determine too; it only has to be better than chance


class NoCorrespondenceWarning(UserWarning):
    """Rows of a space and of a head fit each other no better than rows that were permuted."""


@dataclass(frozen=True)
class Correspondence:
    """How a conversion fares on left-out anchors, and how it fares where the head's rows are permuted.

    Args:
        agreement: Share of left-out anchors on which it decides as the head does; ``None`` of values.
        by_chance: The same with permuted rows, on average.
        better: Whether agreement or squared error is better than with permuted rows, by two standard deviations.
    """

    agreement: float | None
    by_chance: float | None
    better: bool

    def __str__(self) -> str:
        if self.agreement is None:
            return "left-out anchors are read no better than with permuted rows"
        return (
            f"on left-out anchors a converted head decides as the head does in {self.agreement:.0%} of all cases, and "
            f"in {self.by_chance:.0%} with permuted rows"
        )


def left_out(root: Tensor, offsets: Tensor) -> Tensor:
    """Predictions ``(K, C)`` for every row by the ridge regression on all other rows.

    Args:
        root: A square root ``(K, R)`` of the hat matrix, ``root @ root.T``.
        offsets: Rows to predict, ``(K, C)``.
    """
    errors = offsets - root @ (root.mT @ offsets)
    free = (1 - root.square().sum(dim=1)).clamp(min=1e-12)
    return offsets - errors / free.unsqueeze(1)


def hat_root(a: Tensor, shrinkage: float) -> Tensor:
    """A square root ``(K, min(K, F))`` of the hat matrix of the ridge regression on ``a`` ``(K, F)``."""
    penalty = shrinkage * a.square().sum() / a.size(1)
    if penalty == 0:
        return a.new_zeros(a.size(0), 1)
    if a.size(0) < a.size(1):
        squares, left = torch.linalg.eigh(a @ a.mT)
        squares = squares.clamp(min=0)
        root: Tensor = left * (squares / (squares + penalty)).sqrt()
        return root
    squares, right = torch.linalg.eigh(a.mT @ a)
    root = a @ (right * (squares.clamp(min=0) + penalty).rsqrt())
    return root


def decided(logits: Tensor, outputs: Outputs) -> Tensor:
    """What logits ``(K, C)`` decide: the class of each row, ``(K,)``, or of every label whether it is true, ``(K, C)``.

    Example:
        >>> logits = torch.tensor([[-1.0, 2.0], [3.0, 1.0]])
        >>> decided(logits, "classes").tolist(), decided(logits, "labels").tolist()
        ([1, 0], [[False, True], [True, True]])
    """
    return logits > 0 if outputs == "labels" else logits.argmax(dim=1)


def decides(pairing: Pairing) -> bool:
    """Whether anything is decided by the logits: by those of labels, and by those of two classes and more."""
    return pairing.outputs == "labels" or (pairing.outputs == "classes" and pairing.logits.size(1) > 1)


def correspondence(pairing: Pairing, *, bends: bool = False) -> Correspondence | None:
    """Whether anchors and logits belong together row by row; ``None`` where there is too little to judge by.

    Rows far out are drawn in on either side (:func:`relgraph.translation.weights.moderate_weights`), so that a few of
    them do not decide.

    Args:
        pairing: Anchors and logits.
        bends: Whether a map that bends may be what is better than chance: kernel ridge regression, Gaussian.
    """
    offsets = pairing.offset
    spread = (offsets - offsets.mean(dim=0)).abs().amax()
    if len(offsets) < FEWEST_JUDGED or not bool(pairing.anchors.any()) or spread <= 1e-9 * offsets.abs().amax():
        return None
    rows = pairing.anchors * moderate_weights(pairing.anchors).sqrt().unsqueeze(1)
    found = _against_permuted(hat_root(rows, SHRINKAGE), pairing)
    if bends and not found.better:
        bent = _against_permuted(_bent_root(rows), pairing)
        return bent if bent.better else found
    return found


def _bent_root(rows: Tensor) -> Tensor:
    """As :func:`hat_root`, with Gaussian similarities in place of products."""
    distances = torch.cdist(rows, rows).square()
    values, left = torch.linalg.eigh(torch.exp(-distances / distances.mean()))
    values = values.clamp(min=0)
    root: Tensor = left * (values / (values + SHRINKAGE)).sqrt()
    return root


def _against_permuted(root: Tensor, pairing: Pairing) -> Correspondence:
    generator = torch.Generator().manual_seed(0)
    agreement, error = _fit(root, pairing)
    shuffled = []
    for _ in range(PERMUTATIONS):
        order = torch.randperm(len(root), generator=generator)
        shuffled.append(_fit(root, replace(pairing, logits=pairing.logits[order])))
    agreements, errors = torch.tensor(shuffled, dtype=torch.float64).unbind(1)
    better = bool(error < errors.mean() - CLEARLY * errors.std())
    if not decides(pairing):
        return Correspondence(None, None, better)
    better = better or bool(agreement > agreements.mean() + CLEARLY * agreements.std())
    return Correspondence(agreement, float(agreements.mean()), better)


def _fit(root: Tensor, pairing: Pairing) -> tuple[float, float]:
    """Agreement and squared error on left-out anchors."""
    weights = moderate_weights(pairing.offset).sqrt().unsqueeze(1)
    goal = pairing.offset * weights
    predicted = left_out(root, goal)
    same = decided(predicted / weights + pairing.mean, pairing.outputs) == decided(pairing.logits, pairing.outputs)
    return float(same.double().mean()), float((predicted - goal).square().sum())


def misfits(pairing: Pairing, shrinkage: float) -> Tensor:
    r"""Rows of anchors whose logits are far from what the other anchors make of them, the worst first.

    .. math:: u_k = \frac{\lVert L_k - P_k \rVert^2}{\lVert L_k \rVert^2 + \lVert P_k \rVert^2 + \operatorname{median}_j
        \lVert L_j \rVert^2}

    with ``P`` the predictions of the linear conversion made without the anchor, and without those found in the rounds
    before. About 2/3 is what a row of another node gets. An anchor is a misfit if it has more than 0.5, and more than
    the median by four standard deviations (of a normal distribution with the same median deviation).
    """
    weights = moderate_weights(pairing.anchors, pairing.offset).sqrt().unsqueeze(1)
    rows, goal = weights * pairing.anchors, weights * pairing.offset
    found = torch.zeros(len(rows), dtype=torch.bool)
    if len(rows) < FEWEST_JUDGED or shrinkage == 0 or not bool(rows.any()) or not bool(goal.any()):
        return found.nonzero().view(-1)
    misfit = torch.zeros(len(rows), dtype=rows.dtype)
    for _ in range(ROUNDS):
        kept = ~found
        predicted = rows @ ridge(rows[kept], goal[kept], shrinkage)
        predicted[kept] = left_out(hat_root(rows[kept], shrinkage), goal[kept])
        size = goal.square().sum(dim=1)
        misfit = (goal - predicted).square().sum(dim=1) / (size + predicted.square().sum(dim=1) + size.median())
        usual = misfit.median()
        again = misfit > max(LEAST_MISFIT, float(usual + 4 * 1.4826 * (misfit - usual).abs().median()))
        if torch.equal(again, found) or int((~again).sum()) < FEWEST_JUDGED:
            break
        found = again
    order = misfit.argsort(descending=True)
    return order[found[order]]
