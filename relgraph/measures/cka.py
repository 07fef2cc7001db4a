"""Linear centered kernel alignment: similarity of two spaces up to rotation and scale."""

from __future__ import annotations

import torch
from torch import Tensor

from relgraph.measures.base import Measure, Null, Statistic, check_pair, clamp, undetermined
from relgraph.measures.nulls import centered_null, permutation, traces
from relgraph.measures.spaces import Space, cross


def linear_cka(x: Tensor, y: Tensor) -> float:
    r"""Linear centered kernel alignment of two spaces ``(N, F)`` and ``(N, G)`` with the same node in the same row.

    .. math:: \lVert X_c' Y_c \rVert_F^2 \, / \, (\lVert X_c' X_c \rVert_F \, \lVert Y_c' Y_c \rVert_F)

    `Kornblith et al. (2019) <https://arxiv.org/abs/1905.00414>`_; also called the RV coefficient. It is invariant to
    rotation, reflection, translation and scaling of either space, but not to a general linear map. Between 0 and 1; 0
    if a space is constant, where the quotient is undefined, and for fewer than three rows, where it is 1 for any two
    spaces. It takes ``O(N F G)`` operations, in bounded memory beside the two tables.

    Raises:
        InputError: If the two do not have equally many rows, at least one, or a number is not finite.

    Example:
        >>> x = torch.tensor([[0.0, 1.0], [2.0, 0.0], [1.0, 5.0]])
        >>> round(linear_cka(x, 3 * x.flip(1) + 1), 6)
        1.0
    """
    return _biased(*check_pair(x, y), torch.Generator()).value


def unbiased_linear_cka(x: Tensor, y: Tensor) -> float:
    r"""Linear CKA without the bias of few rows: 0 on average for unrelated spaces, however wide they are.

    .. math:: \mathrm{HSIC}_1(X, Y) \, / \, \sqrt{\mathrm{HSIC}_1(X, X) \, \mathrm{HSIC}_1(Y, Y)}

    with the unbiased estimator of `Song et al. (2012) <https://jmlr.org/papers/v13/song12a.html>`_, as in `Nguyen et
    al. (2021) <https://arxiv.org/abs/2010.15327>`_. It is the cosine of the two Gram matrices after U-centering,
    without their diagonals, so that it is between -1 and 1. Over permutations of the rows its mean is 0 and its
    variance :math:`2 / (N (N - 3))`, whatever the spaces are. It is 0 if a space is constant, and for fewer than four
    rows. It takes ``O(N F G)`` operations, in bounded memory beside the two tables.

    Raises:
        InputError: If the two do not have equally many rows, at least one, or a number is not finite.

    Example:
        >>> x = torch.randn(20, 30, generator=torch.Generator().manual_seed(0))
        >>> y = torch.randn(20, 30, generator=torch.Generator().manual_seed(1))
        >>> round(linear_cka(x, y), 2), round(unbiased_linear_cka(x, y), 2)
        (0.55, -0.02)
    """
    return _unbiased(*check_pair(x, y), torch.Generator()).value


def _biased(a: Tensor, b: Tensor, generator: torch.Generator) -> Statistic:
    n, x, y = len(a), Space.of(a), Space.of(b)
    if n < 3 or x.constant or y.constant:
        return undetermined(0.0, n)
    grams = [traces(*space.gram()) for space in (x, y)]
    own = (grams[0][1] * grams[1][1]) ** 0.5

    def value(order: Tensor | None) -> float:
        return clamp(float(cross(x, y, order).square().sum()) / own, 0.0, 1.0)

    null = centered_null(grams[0], grams[1], n)
    scaled = Null(null.mean / own, (null.std or 0.0) / own, null.skew)
    return Statistic(value(None), n, lambda generator: value(permutation(n, generator)), scaled)


def _unbiased(a: Tensor, b: Tensor, generator: torch.Generator) -> Statistic:
    n, x, y = len(a), Space.of(a), Space.of(b)
    if n < 4 or x.constant or y.constant:
        return undetermined(0.0, n)
    sides = [x.gram(), y.gram()]
    grams, norms = [traces(*side) for side in sides], [norms for _, norms in sides]

    def product(square: float, diagonal: float) -> float:
        # Both traces are 1. Rows of the centered Gram matrices have the sum 0, so that without the diagonal they have
        # minus the squared norm of the row.
        return square - diagonal * n / (n - 2) + 1 / ((n - 1) * (n - 2))

    own = [product(square, diagonal) for _, square, diagonal in grams]
    if min(own) <= 1e-12 * max(square for _, square, _ in grams):  # only rounding errors are left
        return undetermined(0.0, n)
    scale = (own[0] * own[1]) ** 0.5

    def value(order: Tensor | None) -> float:
        other = norms[1] if order is None else norms[1][order]
        return clamp(product(float(cross(x, y, order).square().sum()), float(norms[0] @ other)) / scale, -1.0, 1.0)

    biased = centered_null(grams[0], grams[1], n)  # of nearly the same shape
    null = Null(0.0, (2 / (n * (n - 3))) ** 0.5, biased.skew)
    return Statistic(value(None), n, lambda generator: value(permutation(n, generator)), null)


_SIMILAR = frozenset({"rotation", "translation", "scaling"})
CKA = Measure(
    "cka", _biased, "representations", "higher", 0.0, 1.0, True, _SIMILAR, "Kornblith et al. 2019", "N F G"
)  # fmt: skip
CKA_UNBIASED = Measure(
    "cka-unbiased", _unbiased, "representations", "higher", -1.0, 1.0, True, _SIMILAR, "Song et al. 2012", "N F G"
)
