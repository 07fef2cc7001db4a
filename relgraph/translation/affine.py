"""Affine translations: Procrustes, the orthogonal factor of least squares, ridge regression."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from relgraph.anchors import AnchorSet, aligned_rows
from relgraph.errors import InputError
from relgraph.translation.leave_one_out import Shrinkage, check_shrinkage, resolve_shrinkage


class Translation(nn.Module):
    r"""An affine map from a source space to a target space.

    .. math:: y = (x - m_s) \, T + m_t

    Args:
        weight: The map ``T``, shape ``(F, G)``.
        source_center: ``m_s``, shape ``(F,)``.
        target_center: ``m_t``, shape ``(G,)``.

    Example:
        >>> move = Translation(torch.eye(2), torch.zeros(2), torch.tensor([1.0, 2.0]))
        >>> move(torch.zeros(1, 2))
        tensor([[1., 2.]])
        >>> move
        Translation(2 -> 2)
    """

    weight: Tensor
    source_center: Tensor
    target_center: Tensor

    def __init__(self, weight: Tensor, source_center: Tensor, target_center: Tensor) -> None:
        super().__init__()
        # Buffers: a translation is fitted once and never trained, but moves with the module it is part of.
        self.register_buffer("weight", weight)
        self.register_buffer("source_center", source_center)
        self.register_buffer("target_center", target_center)

    def forward(self, x: Tensor) -> Tensor:
        """Map points of the source space, shape ``(N, F)``, to the target space, ``(N, G)``, in their own type."""
        moved = (x.to(self.weight) - self.source_center) @ self.weight + self.target_center
        return moved.to(x.dtype)

    def __repr__(self) -> str:
        return f"Translation({self.weight.size(0)} -> {self.weight.size(1)})"


def procrustes(source: AnchorSet, target: AnchorSet, *, scale: bool = True) -> Translation:
    r"""The rotation, with one scale, that turns the source's anchors onto the target's.

    .. math:: T = s \, U V', \qquad U \Sigma V' = A_c' B_c, \qquad
        s = \operatorname{tr} \Sigma \, / \, \lVert A_c U V' \rVert_F^2

    with ``A_c`` and ``B_c`` the anchors around the published centres (`Schönemann, 1966
    <https://doi.org/10.1007/BF02289451>`_). From a space to one as wide or wider it has the least squared error of all
    such maps; to a narrower one, where ``U V'`` drops dimensions, the largest inner product with the target.

    Args:
        source: Space to map from, width ``F``.
        target: Space to map to, width ``G``.
        scale: Fit the scale ``s`` as well, instead of 1.

    Returns:
        The map, in the type and on the device of the source; fitted in float64.

    Raises:
        InputError: If the two share too few anchors (:func:`relgraph.anchors.aligned_rows`).
        torch.linalg.LinAlgError: If the decomposition fails; no map is made up then.

    Example:
        >>> a = AnchorSet(torch.arange(3), torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]), torch.zeros(2))
        >>> b = AnchorSet(torch.arange(3), 2 * a.embeddings.flip(1), torch.zeros(2))
        >>> procrustes(a, b)(torch.tensor([[3.0, 4.0]]))
        tensor([[8., 6.]])
    """
    a, b = paired(source, target)
    turn, values = orthogonal_factor(a.mT @ b)
    if scale:
        size = (a @ turn).square().sum()
        turn = turn * (values.sum() / size if size > 0 else 0.0)
    return _translation(turn, source, target)


def orthogonal_linear(source: AnchorSet, target: AnchorSet, *, scale: bool = True) -> Translation:
    r"""The orthogonal factor of the least-squares map, with one scale: ``l-ortho``.

    .. math:: T = s \, U V', \qquad U \Sigma V' = A_c^{+} B_c, \qquad
        s = \operatorname{tr}(V U' A_c' B_c) \, / \, \lVert A_c U V' \rVert_F^2

    (`Maiorca et al., 2023 <https://arxiv.org/abs/2311.00664>`_; the scale is ours.) Where :func:`procrustes` takes the
    orthogonal factor of the covariance between the two, so that long directions decide, this one weighs every
    direction of the source alike, the noisy ones too.

    Args:
        source: Space to map from, width ``F``.
        target: Space to map to, width ``G``.
        scale: Fit the scale ``s`` as well, instead of 1.

    Returns:
        The map, in the type and on the device of the source; fitted in float64.

    Raises:
        InputError: If the two share too few anchors (:func:`relgraph.anchors.aligned_rows`).
        torch.linalg.LinAlgError: If a decomposition fails.

    Example:
        >>> a = AnchorSet(torch.arange(3), torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]), torch.zeros(2))
        >>> b = AnchorSet(torch.arange(3), 2 * a.embeddings.flip(1), torch.zeros(2))
        >>> orthogonal_linear(a, b)(torch.tensor([[3.0, 4.0]]))
        tensor([[8., 6.]])
    """
    a, b = paired(source, target)
    turn, _ = orthogonal_factor(torch.linalg.pinv(a) @ b)
    if scale:
        image = a @ turn
        size = image.square().sum()
        turn = turn * ((image * b).sum() / size if size > 0 else 0.0)
    return _translation(turn, source, target)


def orthogonal_factor(product: Tensor) -> tuple[Tensor, Tensor]:
    """``U V'`` of a matrix ``U S V'``, and its singular values ``S``.

    Directions of which it says nothing, those of singular value 0, are left out: which of them belong together would be
    for rounding to say.

    Example:
        >>> orthogonal_factor(torch.tensor([[0.0, 5.0], [0.0, 0.0]]))[0]
        tensor([[0., 1.],
                [0., 0.]])
    """
    left, values, right = torch.linalg.svd(product, full_matrices=False)
    known = values > values.max() * max(product.shape) * torch.finfo(product.dtype).eps
    return left[:, known] @ right[known], values


def ridge_affine(source: AnchorSet, target: AnchorSet, *, shrinkage: Shrinkage = 0.01) -> Translation:
    r"""The affine map with the least squared error on the anchors, held back by shrinkage.

    .. math:: T = (A_c' A_c + \lambda I)^{-1} A_c' B_c, \qquad \lambda = g \operatorname{tr}(A_c' A_c) / F

    Followed by a linear head of the target space it equals :func:`relgraph.convert` with the same shrinkage.

    Args:
        source: Space to map from, width ``F``.
        target: Space to map to, width ``G``.
        shrinkage: ``g``, relative to the mean variance of the anchors, or ``"loo"``: chosen by the leave-one-out
            error on the anchors.

    Returns:
        The map, in the type and on the device of the source; fitted in float64.

    Raises:
        InputError: If the two share too few anchors (:func:`relgraph.anchors.aligned_rows`), or ``shrinkage`` is
            negative, or 0 with anchors that do not span the source space.

    Example:
        >>> a = AnchorSet(torch.arange(3), torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]), torch.zeros(2))
        >>> b = AnchorSet(torch.arange(3), a.embeddings.sum(dim=1, keepdim=True), torch.zeros(1))
        >>> ridge_affine(a, b, shrinkage=0.0)(torch.tensor([[3.0, 4.0]]))
        tensor([[7.]])
    """
    a, b = paired(source, target)
    return _translation(ridge(a, b, resolve_shrinkage(a, b, shrinkage)), source, target)


def ridge(a: Tensor, b: Tensor, shrinkage: float) -> Tensor:
    """Coefficients of the ridge regression of ``b`` ``(K, G)`` on ``a`` ``(K, F)``, without intercept, ``(F, G)``.

    The penalty is ``shrinkage * tr(a'a) / F``. Rows that are all zero explain nothing: the coefficients are 0.

    Raises:
        InputError: If ``shrinkage`` is negative or not finite, or 0 where ``a`` does not have rank ``F``.

    Example:
        >>> ridge(torch.tensor([[1.0], [1.0]]), torch.tensor([[2.0], [4.0]]), 1.0).round(decimals=4)
        tensor([[1.5000]])
    """
    check_shrinkage(shrinkage)
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
    return torch.cholesky_solve(a.mT @ b, torch.linalg.cholesky(gram))


def centered(space: AnchorSet, rows: Tensor) -> Tensor:
    """Some anchors of a space around its published centre, in float64 on the CPU, shape ``(S, F)``.

    Anchors that differ from the centre by no more than rounding are the centre: a collapsed run holds no direction,
    and noise must not be blown up into one. On the CPU, because not every device knows float64 and the result must
    not depend on the device; it is a few rows.
    """
    anchors = space.embeddings[rows].cpu().to(torch.float64)
    offset = anchors - space.center.cpu().to(torch.float64)
    rounding = 4 * torch.finfo(space.embeddings.dtype).eps * anchors.norm()
    return offset if offset.norm() > rounding else torch.zeros_like(offset)


def paired(source: AnchorSet, target: AnchorSet) -> tuple[Tensor, Tensor]:
    """The anchors that two spaces share, each around its own centre, for a fit that the user has called."""
    rows, target_rows = aligned_rows(
        source.ids,
        target.ids,
        num_features=source.num_features,
        fingerprints=(source.fingerprint, target.fingerprint),
        stacklevel=3,
    )
    return centered(source, rows), centered(target, target_rows)


def _translation(weight: Tensor, source: AnchorSet, target: AnchorSet) -> Translation:
    return Translation(weight.to(source.embeddings), source.center, target.center.to(source.embeddings))
