"""Linear centered kernel alignment: similarity of two spaces up to rotation and scale."""

from __future__ import annotations

import torch
from torch import Tensor

from relgraph.anchors.values import check_rows
from relgraph.errors import InputError


def linear_cka(x: Tensor, y: Tensor) -> float:
    r"""Linear centered kernel alignment of two spaces ``(N, F)`` and ``(N, G)`` with the same node in the same row.

    .. math:: \lVert X_c' Y_c \rVert_F^2 \, / \, (\lVert X_c' X_c \rVert_F \, \lVert Y_c' Y_c \rVert_F)

    `Kornblith et al. (2019) <https://arxiv.org/abs/1905.00414>`_. It is invariant to rotation, reflection, translation
    and scaling of either space, but not to a general linear map. Between 0 and 1; 0 if a space is constant, where the
    quotient is undefined. It takes ``O(N F G)`` operations, without a matrix of nodes by nodes.

    Raises:
        InputError: If the two do not have equally many rows, at least one, or a number is not finite.

    Example:
        >>> x = torch.tensor([[0.0, 1.0], [2.0, 0.0], [1.0, 5.0]])
        >>> round(linear_cka(x, 3 * x.flip(1) + 1), 6)
        1.0
    """
    x, y = check_rows("x", x), check_rows("y", y)
    if x.size(0) != y.size(0) or x.size(0) == 0:
        raise InputError("x", f"and 'y' must have equally many rows, at least one (got {len(x)} and {len(y)})")
    x, y = _centered(x), _centered(y).to(x.device)
    own = (x.mT @ x).norm() * (y.mT @ y).norm()
    return float((x.mT @ y).square().sum() / own) if own > 0 else 0.0


def _centered(x: Tensor) -> Tensor:
    """The rows around their mean, in float64 with unit norm; zeros if they differ by rounding errors only."""
    wide = (x.cpu() if x.device.type == "mps" else x).detach().to(torch.float64)
    offset = wide - wide.mean(dim=0)
    size, rounding = offset.norm(), torch.finfo(x.dtype).eps * wide.norm()
    # Unit norm, because fourth powers of very small or very large numbers leave the range of float64.
    return offset / size if size > rounding else torch.zeros_like(offset)
