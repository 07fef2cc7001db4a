"""Measures of two spaces from the product of their coordinates: Procrustes, canonical correlations, regression."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from relgraph.measures.base import Measure, Statistic, check_pair, clamp, undetermined
from relgraph.measures.nulls import centered_null, permutation, traces
from relgraph.measures.spaces import Space, basis, cross

VARIANCE = 0.99  # that the directions hold which canonical correlations are computed of


def procrustes_distance(x: Tensor, y: Tensor, *, angular: bool = False) -> float:
    r"""Distance of two spaces ``(N, F)`` and ``(N, G)`` after the best translation, scaling and rotation.

    .. math:: c = \lVert X_c' Y_c \rVert_* / (\lVert X_c \rVert_F \, \lVert Y_c \rVert_F), \qquad
        d = \sqrt{2 - 2 c} \quad \text{or} \quad \arccos c

    `Schönemann (1966) <https://doi.org/10.1007/BF02289451>`_, and as a metric of spaces `Williams et al. (2021)
    <https://arxiv.org/abs/2110.14739>`_. Of different widths the smaller is filled with zeros. The distance is between
    0 and :math:`\sqrt 2`, the angle between 0 and :math:`\pi / 2`; both are the largest if a space is constant, and
    for fewer than three rows, where they are 0 for any two spaces.

    Args:
        x, y: The spaces.
        angular: Whether to return the angle.

    Raises:
        InputError: If the two do not have equally many rows, at least one, or a number is not finite.

    Example:
        >>> x = torch.tensor([[0.0, 1.0], [2.0, 0.0], [1.0, 5.0]], dtype=torch.float64)
        >>> procrustes_distance(x, 3 * x.flip(1) + 1) < 1e-6
        True
    """
    return (_angle if angular else _distance)(*check_pair(x, y), torch.Generator()).value


def mean_canonical_correlation(x: Tensor, y: Tensor, *, variance: float = VARIANCE) -> float:
    r"""Mean canonical correlation of the principal directions that hold 99 % of the variance of each space (SVCCA).

    .. math:: \tfrac1r \lVert Q_x' Q_y \rVert_* , \qquad r = \min(r_x, r_y)

    with orthonormal bases ``Q`` of the directions (`Raghu et al. (2017) <https://arxiv.org/abs/1706.05806>`_). At most
    :math:`\lfloor (N - 1) / 2 \rfloor` directions are used of each space: more have correlations of 1 whatever the
    data are. Between 0 and 1; 0 if a space is constant or there are fewer than three rows.

    Args:
        x, y: The spaces ``(N, F)`` and ``(N, G)``.
        variance: Share of the variance that the directions hold.

    Raises:
        InputError: If the two do not have equally many rows, at least one, or a number is not finite.

    Example:
        >>> x = torch.tensor([[0.0], [2.0], [1.0], [5.0]])
        >>> round(mean_canonical_correlation(x, -x), 6)
        1.0
    """
    return _canonical(*check_pair(x, y), torch.Generator(), variance).value


def linear_regression_score(x: Tensor, y: Tensor) -> float:
    r"""Share of the variance of ``y`` ``(N, G)`` that a linear regression on ``x`` ``(N, F)`` explains.

    .. math:: R^2 = \lVert Q_x' Y_c \rVert_F^2 \, / \, \lVert Y_c \rVert_F^2

    `Kornblith et al. (2019) <https://arxiv.org/abs/1905.00414>`_. With fewer than two rows for each direction of
    ``x``, only its first :math:`\lfloor (N - 1) / 2 \rfloor` principal directions are used, because as many directions
    as rows explain anything. Of unrelated rows it is :math:`r / (N - 1)` on average. It is invariant to invertible
    affine maps of ``x`` and to rotation, translation and scaling of ``y``. Between 0 and 1; 0 if a space is constant or
    there are fewer than three rows.

    Raises:
        InputError: If the two do not have equally many rows, at least one, or a number is not finite.

    Example:
        >>> x = torch.tensor([[0.0], [2.0], [1.0], [5.0]])
        >>> round(linear_regression_score(x, torch.cat([x, -x], dim=1)), 6)
        1.0
    """
    return _regression(*check_pair(x, y), torch.Generator()).value


def _rotated(a: Tensor, b: Tensor, distance: Callable[[float], float]) -> Statistic:
    n, x, y = len(a), Space.of(a), Space.of(b)
    if n < 3 or x.constant or y.constant:
        return undetermined(distance(0.0), n)

    def value(order: Tensor | None) -> float:
        return distance(clamp(_nuclear(cross(x, y, order)), 0.0, 1.0))

    return Statistic(value(None), n, lambda generator: value(permutation(n, generator)))


def _distance(a: Tensor, b: Tensor, generator: torch.Generator) -> Statistic:
    return _rotated(a, b, lambda cosine: math.sqrt(2 - 2 * cosine))


def _angle(a: Tensor, b: Tensor, generator: torch.Generator) -> Statistic:
    return _rotated(a, b, math.acos)


def _canonical(a: Tensor, b: Tensor, generator: torch.Generator, variance: float = VARIANCE) -> Statistic:
    n, x, y = len(a), Space.of(a), Space.of(b)
    if n < 3 or x.constant or y.constant:
        return undetermined(0.0, n)
    left, right = basis(x, variance), basis(y, variance)
    fewest = min(left.size(1), right.size(1))

    def value(order: Tensor | None) -> float:
        return clamp(_nuclear(left.mT @ cross(x, y, order) @ right) / fewest, 0.0, 1.0)

    return Statistic(value(None), n, lambda generator: value(permutation(n, generator)))


def _regression(a: Tensor, b: Tensor, generator: torch.Generator) -> Statistic:
    n, x, y = len(a), Space.of(a), Space.of(b)
    if n < 3 or x.constant or y.constant:
        return undetermined(0.0, n)
    left = basis(x)

    def value(order: Tensor | None) -> float:
        return clamp(float((left.mT @ cross(x, y, order)).square().sum()), 0.0, 1.0)

    null = centered_null(traces(*x.gram(left)), traces(*y.gram()), n)
    return Statistic(value(None), n, lambda generator: value(permutation(n, generator)), null)


def _nuclear(matrix: Tensor) -> float:
    """Sum of the singular values."""
    return float(torch.linalg.svdvals(matrix).sum())


_SIMILAR = frozenset({"rotation", "translation", "scaling"})
PROCRUSTES = Measure(
    "procrustes", _distance, "representations", "lower", 0.0, math.sqrt(2), True, _SIMILAR, "Schönemann 1966", "N F G"
)
PROCRUSTES_ANGULAR = Measure(
    "procrustes-angular", _angle, "representations", "lower", 0.0, math.pi / 2, True, _SIMILAR,
    "Williams et al. 2021", "N F G",
)  # fmt: skip
SVCCA = Measure(
    "svcca", _canonical, "representations", "higher", 0.0, 1.0, True, _SIMILAR, "Raghu et al. 2017", "N (F + G)^2"
)
LINEAR_REGRESSION = Measure(
    "linear-regression", _regression, "representations", "higher", 0.0, 1.0, False, _SIMILAR,
    "Kornblith et al. 2019", "N F (F + G)",
)  # fmt: skip
