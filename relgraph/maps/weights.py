"""Weights of rows in least squares: small for rows far from the center."""

from __future__ import annotations

import torch
from torch import Tensor

ROUNDING = 1e-6
MOST = 5.0
"""The norm, in medians, from which on a row counts less in :func:`bounded_weights`."""


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
        total = total + _relative_norms(offset).square()
    return 1 / (1 + total)


def bounded_weights(offsets: Tensor, most: float = MOST) -> Tensor:
    r"""Weights under which no row counts for more, in a second moment, than one of a norm of some medians.

    .. math:: w_k = \min\Bigl(1, \bigl(c \operatorname{median}_j \lVert x_j \rVert / \lVert x_k \rVert\bigr)^2\Bigr)

    Rows of usual norms keep the weight 1. That the influence of a single row has a bound, wherever it lies, is the aim
    of bounded-influence regression (`Krasker, 1980 <https://www.econometricsociety.org/publications/econometrica/1980/
    09/01/estimation-linear-regression-models-disparate-data-points>`_).

    Args:
        offsets: Rows around their center, ``(K, *)``.
        most: The factor ``c``.

    Returns:
        Weights above 0 and at most 1, ``(K,)``.

    Example:
        >>> bounded_weights(torch.tensor([[1.0], [-1.0], [10.0]]))
        tensor([1.0000, 1.0000, 0.2500])
    """
    return (most / _relative_norms(offsets).clamp(min=most)).square()


def _relative_norms(offsets: Tensor) -> Tensor:
    """Norms of rows over their median; over their mean if the median is 0 or rounding error."""
    sizes = offsets.norm(dim=1)
    usual = sizes.median() if bool(sizes.median() > ROUNDING * sizes.max()) else sizes.mean()
    relative: Tensor = sizes / usual.clamp(min=torch.finfo(sizes.dtype).tiny)
    return relative
