"""How much rows count in least squares: little where they lie far out."""

from __future__ import annotations

import torch
from torch import Tensor

ROUNDING = 1e-6


def moderate_weights(*offsets: Tensor) -> Tensor:
    r"""Weights of rows that few enormous ones cannot dominate.

    .. math:: w_k = \frac{1}{1 + \sum_x (\lVert x_k \rVert / \operatorname{median}_j \lVert x_j \rVert)^2}

    Embeddings and logits of a GCN grow with the number of neighbours. In plain least squares the few best connected
    anchors then decide the map, though what holds for them need not hold for the many. The function is Cauchy's of
    robust regression (`Holland & Welsch, 1977 <https://doi.org/10.1080/03610927708827533>`_), but of the rows
    themselves and not of residuals, so that nothing has to be iterated.

    A median of 0, or one so small beside the largest that rounding made it, gives way to the mean.

    Args:
        offsets: Matrices of ``K`` rows around the point that counts as the middle, ``(K, *)`` each.

    Returns:
        Weights above 0 and at most 1, ``(K,)``.

    Example:
        >>> import torch
        >>> moderate_weights(torch.tensor([[1.0], [-1.0], [3.0]]))
        tensor([0.5000, 0.5000, 0.1000])
    """
    total = offsets[0].new_zeros(offsets[0].size(0))
    for offset in offsets:
        sizes = offset.norm(dim=1)
        usual = sizes.median() if bool(sizes.median() > ROUNDING * sizes.max()) else sizes.mean()
        total = total + (sizes / usual.clamp(min=torch.finfo(sizes.dtype).tiny)).square()
    return 1 / (1 + total)
