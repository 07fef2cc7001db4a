"""Ridge regression: the affine map of least squared error on the anchors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from relgraph.errors import InputError
from relgraph.maps.estimator import Estimator
from relgraph.maps.leave_one_out import Shrinkage
from relgraph.maps.matched import MatchedAnchors


def ridge(matched: MatchedAnchors, shrinkage: Shrinkage = "loo") -> nn.Module:
    r"""The affine map of least weighted squared error on the anchors, with shrinkage, through the two means.

    .. math:: f(z) = (z - m) \, T + l, \qquad T = (A_c' W A_c + \lambda I)^{-1} A_c' W B_c, \qquad
        \lambda = g \operatorname{tr}(A_c' W A_c) / F

    with offsets :math:`A_c` of the source around its center ``m``, targets :math:`B_c` around their mean ``l``, weights
    ``W`` of :meth:`relgraph.maps.MatchedAnchors.weights`, and shrinkage ``g``, relative to the mean variance of the
    weighted anchors; ``"loo"`` is selected by leave-one-out.

    Raises:
        InputError: If ``shrinkage`` is negative, or 0 with anchors that do not span the source space.
    """
    rows, targets = matched.weighted_rows(matched.targets)
    return matched.affine(ridge_coefficients(rows, targets, matched.shrinkage(rows, targets, shrinkage)), matched.mean)


def ridge_coefficients(a: Tensor, b: Tensor, shrinkage: float) -> Tensor:
    """Coefficients of the ridge regression of ``b`` ``(K, G)`` on ``a`` ``(K, F)``, without intercept, ``(F, G)``.

    The penalty is ``shrinkage * tr(a'a) / F``. If all rows of ``a`` are 0, the coefficients are 0.

    Raises:
        InputError: If ``shrinkage`` is 0 and ``a`` does not have rank ``F``.

    Example:
        >>> ridge_coefficients(torch.tensor([[1.0], [1.0]]), torch.tensor([[2.0], [4.0]]), 1.0).round(decimals=4)
        tensor([[1.5000]])
    """
    gram, num_features = a.mT @ a, a.size(1)
    trace = gram.diagonal().sum()
    if trace == 0:
        return a.new_zeros(num_features, b.size(1))
    if shrinkage == 0 and (rank := int(torch.linalg.matrix_rank(a))) < num_features:
        raise InputError(
            "shrinkage",
            f"must be above 0 where the anchors do not span the space (got 0 with {a.size(0)} anchors "
            f"of rank {rank} in {num_features} dimensions)",
        )
    gram.diagonal().add_(shrinkage * trace / num_features)
    return torch.cholesky_solve(a.mT @ b, positive_factor(gram, shrinkage))


def positive_factor(matrix: Tensor, shrinkage: float) -> Tensor:
    """The Cholesky factor of a matrix with a ridge; an :class:`InputError` if the ridge is lost in rounding."""
    factor, info = torch.linalg.cholesky_ex(matrix)
    if bool(info):
        rule = "must be above rounding where the anchors do not span the space"
        raise InputError("shrinkage", f"{rule} (got {shrinkage:g}); leave it out, or take more anchors")
    found: Tensor = factor
    return found


RIDGE = Estimator("ridge", ridge)
