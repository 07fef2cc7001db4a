"""Leave-one-out errors of ridge regressions in closed form, and the shrinkage they choose: no label, no other node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from relgraph.errors import InputError

Shrinkage = float | Literal["loo"]

SHRINKAGES = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3)
FEW_ANCHORS = 24
CAUTIOUS = 1e-3
"""Taken with few anchors, and the least that is taken when there are about as many anchors as dimensions."""


def ridge_errors(a: Tensor, b: Tensor, shrinkages: Sequence[float] = SHRINKAGES) -> Tensor:
    r"""Squared error on each row by the ridge regression, without intercept, that was fitted on all other rows.

    .. math:: e_i = \left\lVert \frac{(b - H b)_i}{1 - H_{ii}} \right\rVert^2, \qquad
        H = a \, (a'a + \lambda I)^{-1} a', \qquad \lambda = g \operatorname{tr}(a'a) / F

    It equals fitting anew without the row at the same :math:`\lambda` (Allen, 1974), for the price of one
    decomposition.

    Args:
        a: Centred rows to map from, ``(K, F)``, not all zero.
        b: Centred rows to map to, ``(K, G)``.
        shrinkages: Values of ``g`` above 0, ``S`` of them.

    Returns:
        Errors, ``(S, K)``.

    Example:
        >>> ridge_errors(torch.tensor([[1.0], [1.0]]), torch.tensor([[2.0], [4.0]]), [0.5]).abs().round(decimals=4)
        tensor([[0., 9.]])
    """
    left, values, _ = torch.linalg.svd(a, full_matrices=False)
    squares, leverage, inner = values.square(), left.square(), left.mT @ b
    outside = b - left @ inner  # what no map of these rows reaches
    room = (1 - leverage.sum(dim=1)).clamp(min=0)
    rows = []
    for shrinkage in shrinkages:
        penalty = shrinkage * squares.sum() / a.size(1)
        kept = penalty / (squares + penalty)
        residual = outside + left @ (kept.unsqueeze(1) * inner)
        rows.append((residual / (room + leverage @ kept).unsqueeze(1)).square().sum(dim=1))
    return torch.stack(rows)


def smallest_good(errors: Tensor) -> int:
    """The first of several settings whose mean error is within half a standard error of the least mean error.

    Args:
        errors: One row per setting, in the order of preference, and one column per anchor, ``(S, K)``.

    Example:
        >>> smallest_good(torch.tensor([[9.0, 9.0], [1.5, 3.0], [1.0, 3.0]]))
        1
    """
    means = errors.mean(dim=1)
    best = int(means.argmin())
    margin = errors[best].std(correction=0) / (2 * errors.size(1) ** 0.5)
    return int((means <= means[best] + margin).nonzero()[0])


def cautious(shrinkage: float, num_anchors: int, num_features: int) -> float:
    """What leave-one-out chose, held up where it is known to mislead: around as many anchors as dimensions.

    Example:
        >>> cautious(1e-5, 64, 64), cautious(1e-5, 128, 64), cautious(0.1, 64, 64)
        (0.001, 1e-05, 0.1)
    """
    near = abs(num_anchors - num_features) <= num_features / 4
    return max(shrinkage, CAUTIOUS) if near else shrinkage


def choose_shrinkage(a: Tensor, b: Tensor) -> float:
    """The shrinkage for the ridge regression of ``b`` on ``a``, from those rows alone.

    The smallest of :data:`SHRINKAGES` whose leave-one-out error is within half a standard error of the least. With at
    most 24 rows leave-one-out is unreliable and 0.001 is taken; with about as many rows as dimensions it is too
    hopeful, and at least 0.001 is.

    Args:
        a: Centred rows to map from, ``(K, F)``.
        b: Centred rows to map to, ``(K, G)``.

    Example:
        >>> a = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
        >>> choose_shrinkage(a, a.sum(dim=1, keepdim=True))  # nothing to smooth
        1e-05
    """
    if a.size(0) <= FEW_ANCHORS or not bool(a.any()):
        return CAUTIOUS
    return cautious(SHRINKAGES[smallest_good(ridge_errors(a, b))], a.size(0), a.size(1))


def resolve_shrinkage(a: Tensor, b: Tensor, shrinkage: Shrinkage) -> float:
    """A shrinkage as a number: itself, or :func:`choose_shrinkage` for ``"loo"``.

    Raises:
        InputError: If it is another word, negative or not finite.
    """
    if shrinkage == "loo":
        return choose_shrinkage(a, b)
    check_shrinkage(shrinkage)
    return shrinkage


def check_shrinkage(shrinkage: float | str) -> None:
    """Refuse a shrinkage that is neither ``"loo"`` nor a number of at least 0.

    Raises:
        InputError: If it is.
    """
    if shrinkage != "loo" and (isinstance(shrinkage, str) or not 0 <= shrinkage < float("inf")):
        raise InputError(
            "shrinkage", f"must be a number of at least 0, or 'loo' (got {shrinkage}); 0.01 is a good start"
        )
