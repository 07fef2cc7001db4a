"""Weights of rows in least squares: small for rows far from the center."""

from __future__ import annotations

import torch
from torch import Tensor

ROUNDING = 1e-6


def cauchy_weights(*offsets: Tensor) -> Tensor:
    r"""Weights under which a few rows of very large norm cannot dominate a least-squares fit.

    .. math:: w_k = \frac{1}{1 + \sum_x (\lVert x_k \rVert / \operatorname{median}_j \lVert x_j \rVert)^2}

    Embeddings and logits of a GCN grow with the number of neighbors. In unweighted least squares the few anchors of the
    highest degree then determine the map, although they may not be typical of the others. The function is Cauchy's of
    robust regression (`Holland & Welsch, 1977 <https://doi.org/10.1080/03610927708827533>`_), applied to the rows
    themselves instead of residuals, so that no iteration is needed.

    A median that is 0, or so small beside the largest norm that it is rounding error, is replaced by the mean.

    Args:
        offsets: Matrices of ``K`` rows around their center, ``(K, *)`` each.

    Returns:
        Weights above 0 and at most 1, ``(K,)``.

    Example:
        >>> cauchy_weights(torch.tensor([[1.0], [-1.0], [3.0]]))
        tensor([0.5000, 0.5000, 0.1000])
    """
    total = offsets[0].new_zeros(offsets[0].size(0))
    for offset in offsets:
        sizes = offset.norm(dim=1)
        usual = sizes.median() if bool(sizes.median() > ROUNDING * sizes.max()) else sizes.mean()
        total = total + (sizes / usual.clamp(min=torch.finfo(sizes.dtype).tiny)).square()
    return 1 / (1 + total)
