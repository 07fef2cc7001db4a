"""Rotations with one scale: Procrustes, and the orthogonal factor of least squares."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from relgraph.maps.estimator import Estimator
from relgraph.maps.leave_one_out import Shrinkage
from relgraph.maps.matched import MatchedAnchors


def procrustes(matched: MatchedAnchors, shrinkage: Shrinkage = "loo") -> nn.Module:
    r"""The rotation, with one scale, of the source's anchors onto the target's.

    .. math:: T = s \, U V', \qquad U \Sigma V' = A_c' B_c, \qquad
        s = \operatorname{tr} \Sigma \, / \, \lVert A_c U V' \rVert_F^2

    with offsets ``A_c`` and ``B_c`` around the published centers, every row as often as its anchor counts
    (:attr:`relgraph.maps.MatchedAnchors.multiplicities`; `Schönemann, 1966 <https://doi.org/10.1007/BF02289451>`_).
    From a space to one as wide or wider it has the least squared error of all such maps; to a narrower one, where
    ``U V'`` drops dimensions, the largest inner product with the target.
    """
    a, b = _counted(matched)
    turn, values = orthogonal_factor(a.mT @ b)
    size = (a @ turn).square().sum()
    return matched.affine(turn * (values.sum() / size if size > 0 else 0.0), matched.mean)


def orthogonal(matched: MatchedAnchors, shrinkage: Shrinkage = "loo") -> nn.Module:
    r"""The orthogonal factor of the least-squares map, with one scale.

    .. math:: T = s \, U V', \qquad U \Sigma V' = A_c^{+} B_c, \qquad
        s = \operatorname{tr}(V U' A_c' B_c) \, / \, \lVert A_c U V' \rVert_F^2

    (``l-ortho`` of `Maiorca et al., 2023 <https://arxiv.org/abs/2311.00664>`_; the scale is an addition.)
    :func:`procrustes` takes the orthogonal factor of the covariance, in which directions of large variance dominate;
    here all directions of the source have equal weight, noisy ones included.
    """
    a, b = _counted(matched)
    turn, _ = orthogonal_factor(torch.linalg.pinv(a) @ b)
    image = a @ turn
    size = image.square().sum()
    return matched.affine(turn * ((image * b).sum() / size if size > 0 else 0.0), matched.mean)


def _counted(matched: MatchedAnchors) -> tuple[Tensor, Tensor]:
    """Offsets and targets times the roots of the numbers of anchors that each anchor counts as."""
    roots = matched.multiplicities.sqrt().unsqueeze(1)
    return roots * matched.offsets, roots * matched.targets


def orthogonal_factor(product: Tensor) -> tuple[Tensor, Tensor]:
    """``U V'`` of a matrix ``U S V'``, and its singular values ``S``.

    Directions of singular value 0 are left out, because rounding would decide how they are matched.

    Example:
        >>> orthogonal_factor(torch.tensor([[0.0, 5.0], [0.0, 0.0]]))[0]
        tensor([[0., 1.],
                [0., 0.]])
    """
    left, values, right = torch.linalg.svd(product, full_matrices=False)
    known = values > values.max() * max(product.shape) * torch.finfo(product.dtype).eps
    return left[:, known] @ right[known], values


PROCRUSTES = Estimator("procrustes", procrustes, targets="embeddings", shrinks=False)
ORTHOGONAL = Estimator("orthogonal", orthogonal, targets="embeddings", shrinks=False)
