"""Centred kernel alignment: how alike two spaces are, whatever their rotation and scale."""

from __future__ import annotations

import torch
from torch import Tensor

from relgraph.anchors.anchor_set import check_rows
from relgraph.errors import InputError


def linear_cka(x: Tensor, y: Tensor) -> float:
    r"""Linear centred kernel alignment of two spaces of the same nodes.

    .. math:: \lVert X_c' Y_c \rVert_F^2 \, / \, (\lVert X_c' X_c \rVert_F \, \lVert Y_c' Y_c \rVert_F)

    `Kornblith et al. (2019) <https://arxiv.org/abs/1905.00414>`_. Rotating, reflecting, moving or scaling either
    space leaves it unchanged; a general linear map does not. Computed from products over features, ``O(N F G)``,
    so that no matrix of nodes by nodes exists.

    Args:
        x: One space, shape ``(N, F)``.
        y: The other, shape ``(N, G)``, the same node in the same row.

    Returns:
        From 0 to 1. A constant space varies with nothing, so that it gives 0 (the quotient itself is undefined).

    Raises:
        InputError: If the two do not describe equally many nodes, at least one, or a number is not finite.

    Example:
        >>> x = torch.tensor([[0.0, 1.0], [2.0, 0.0], [1.0, 5.0]])
        >>> round(linear_cka(x, 3 * x.flip(1) + 1), 6)
        1.0
    """
    if x.dim() != 2 or y.dim() != 2 or x.size(0) != y.size(0) or x.size(0) == 0:
        raise InputError(
            "x",
            f"and 'y' must be matrices with one row for each of the same nodes "
            f"(got shapes {tuple(x.shape)} and {tuple(y.shape)})",
        )
    check_rows("x", x)
    check_rows("y", y)
    x, y = _centered(x), _centered(y).to(x.device)
    own = (x.mT @ x).norm() * (y.mT @ y).norm()
    return float((x.mT @ y).square().sum() / own) if own > 0 else 0.0


def _centered(x: Tensor) -> Tensor:
    """Around the mean, in float64 of unit norm; zeros where nothing but rounding is left."""
    wide = (x.cpu() if x.device.type == "mps" else x).detach().to(torch.float64)
    offset = wide - wide.mean(dim=0)
    size, rounding = offset.norm(), torch.finfo(x.dtype).eps * wide.norm()
    # Unit norm, because the fourth powers of very small or very large spaces leave the range of numbers.
    return offset / size if size > rounding else torch.zeros_like(offset)
