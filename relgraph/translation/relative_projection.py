"""Translation through relative coordinates: project on the source's anchors, and back from the target's."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from relgraph.anchors import AnchorSet
from relgraph.errors import InputError
from relgraph.similarity import safe_norm
from relgraph.translation.affine import paired


class InverseProjection(nn.Module):
    r"""A linear map of directions: every point is first given length 1 around the source's centre.

    .. math:: y = \frac{x - m_s}{\lVert x - m_s \rVert} \, T + m_t

    Args:
        weight: The map ``T``, shape ``(F, G)``.
        source_center: ``m_s``, shape ``(F,)``.
        target_center: ``m_t``, shape ``(G,)``.

    Example:
        >>> InverseProjection(torch.eye(2), torch.zeros(2), torch.ones(2))(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        tensor([[1.6000, 1.8000],
                [1.0000, 1.0000]])
    """

    weight: Tensor
    source_center: Tensor
    target_center: Tensor

    def __init__(self, weight: Tensor, source_center: Tensor, target_center: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("source_center", source_center)
        self.register_buffer("target_center", target_center)

    def forward(self, x: Tensor) -> Tensor:
        """Map points of the source space, shape ``(N, F)``, to the target space, shape ``(N, G)``."""
        offset = x.to(self.weight) - self.source_center
        moved = (offset / safe_norm(offset)).to(self.weight) @ self.weight + self.target_center
        return moved.to(x.dtype)

    def __repr__(self) -> str:
        return f"InverseProjection({self.weight.size(0)} -> {self.weight.size(1)})"


def inverse_relative_projection(source: AnchorSet, target: AnchorSet, *, cut: float = 0.01) -> InverseProjection:
    r"""Cosines with the source's anchors, decoded by the pseudo-inverse of the target's.

    .. math:: y = t \; \bar x \, \bar A' \, (\bar B')^{+} + m_t

    where a bar means around the centre and of length 1, and ``t`` is the mean length of the target's anchors around
    theirs (`Maiorca et al., 2024 <https://arxiv.org/abs/2406.15057>`_). Cosines do not hold lengths, so all nodes get
    about the same one. Unlike in the other translations nothing is fitted to pairs: that the relative coordinates of
    both spaces agree is assumed.

    Args:
        source: Space to map from, width ``F``.
        target: Space to map to, width ``G``.
        cut: Directions of the target's anchors that are shorter than this share of the longest are left out of the
            pseudo-inverse; noise would be blown up there.

    Returns:
        The map, in the type and on the device of the source; computed in float64. The ``(N, K)`` cosines never exist.

    Raises:
        InputError: If the two share too few anchors (:func:`relgraph.anchors.aligned_rows`), or ``cut`` is not within
            0 and 1.

    Example:
        >>> a = AnchorSet(torch.arange(3), torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]), torch.zeros(2))
        >>> b = AnchorSet(torch.arange(3), 5 * a.embeddings.flip(1), torch.zeros(2))
        >>> inverse_relative_projection(a, b)(torch.tensor([[3.0, 4.0]])).round(decimals=4)
        tensor([[4., 3.]])
    """
    if not 0 <= cut < 1:
        raise InputError("cut", f"must be a share of at least 0 and below 1 (got {cut}); 0.01 is a good start")
    a, b = paired(source, target)
    length = torch.linalg.vector_norm(b, dim=1).mean()
    weight = length * (a / safe_norm(a)).mT @ torch.linalg.pinv((b / safe_norm(b)).mT, rtol=cut)
    return InverseProjection(weight.to(source.embeddings), source.center, target.center.to(source.embeddings))
