"""Closed-form moments of inner products of two matrices of pairs of rows, over all permutations of the rows of one."""

from __future__ import annotations

import torch
from torch import Tensor

from relgraph.measures.base import Null


def centered_null(x: tuple[float, float, float], y: tuple[float, float, float], count: int) -> Null:
    r"""Moments of :math:`\mathrm{tr}(A P B P')` over all permutations P, for symmetric A and B with rows of sum 0.

    .. math:: E = \frac{T_A T_B}{N - 1}, \qquad
        \mathrm{Var} = \frac{2 \, u_A u_B}{(N-1)^2 (N+1)(N-2)} + \frac{v_A v_B}{(N+1) N (N-1)(N-2)(N-3)}

    with :math:`u = (N-1) T_2 - T^2` and :math:`v = N(N+1) S_2 - (N-1)(T^2 + 2 T_2)`, where T is the trace,
    :math:`T_2` the sum of all squares, and :math:`S_2` that of the diagonal (`Kazi-Aoual et al. (1995)
    <https://doi.org/10.1016/0167-9473(94)00064-2>`_). The skewness is that of the gamma distribution with these
    moments, for a product that is not negative.

    Args:
        x, y: T, T2 and S2 of A and of B.
        count: N, at least 3.

    Example:
        >>> null = centered_null((1.0, 0.5, 0.3), (1.0, 0.5, 0.3), 4)
        >>> round(null.mean, 4), round(null.std, 4)
        (0.3333, 0.0745)
    """
    n = float(count)
    mean = x[0] * y[0] / (n - 1)
    spread = [(n - 1) * second - trace**2 for trace, second, _ in (x, y)]
    variance = 2 * spread[0] * spread[1] / ((n - 1) ** 2 * (n + 1) * (n - 2))
    if count > 3:
        own = [n * (n + 1) * diagonal - (n - 1) * (trace**2 + 2 * second) for trace, second, diagonal in (x, y)]
        variance += own[0] * own[1] / ((n + 1) * n * (n - 1) * (n - 2) * (n - 3))
    std = max(0.0, variance) ** 0.5
    return Null(mean, std, 2 * std / mean if mean > 0 else 0.0)


def traces(gram: Tensor, norms: Tensor) -> tuple[float, float, float]:
    """T, T2 and S2 of the products of all rows, from those of all coordinates and the squared norms of the rows."""
    return float(norms.sum()), float(gram.square().sum()), float(norms.square().sum())


def pairs_null(a: Tensor, b: Tensor) -> Null:
    r"""Moments of :math:`\sum_{i \ne j} a_{ij} b_{ij}` over permutations of the rows and columns of b together.

    For symmetric matrices ``(S, S)`` with diagonal 0 whose other entries have the sum 0 (`Mantel (1967)
    <https://pubmed.ncbi.nlm.nih.gov/6018555/>`_): the mean is 0, and the variance sums over two pairs that are equal,
    share one row, or share none.
    """
    n = float(len(a))
    equal, shared, apart = [], [], []
    for one in (a, b):
        squares = float(one.square().sum())
        rows = float(one.sum(dim=1).square().sum()) - squares
        equal.append(squares)
        shared.append(rows)
        apart.append(-2 * squares - 4 * rows)
    variance = 2 * equal[0] * equal[1] / (n * (n - 1))
    if n > 2:
        variance += 4 * shared[0] * shared[1] / (n * (n - 1) * (n - 2))
    if n > 3:
        variance += apart[0] * apart[1] / (n * (n - 1) * (n - 2) * (n - 3))
    return Null(0.0, max(0.0, variance) ** 0.5)


def matched_null(u: Tensor, v: Tensor) -> Null:
    r"""Moments of :math:`\tfrac1N \sum_i \langle u_i, v_{\pi(i)} \rangle` over permutations, rows ``(N, D)`` each.

    .. math:: E = \langle \bar u, \bar v \rangle, \qquad
        \mathrm{Var} = \frac{1}{N^2 (N-1)} \sum_{ij} \langle u_i - \bar u, v_j - \bar v \rangle^2

    `Hoeffding (1951) <https://doi.org/10.1214/aoms/1177729545>`_, who also shows that the limit is normal.

    Example:
        >>> matched_null(torch.eye(2, dtype=torch.float64), torch.eye(2, dtype=torch.float64))
        Null(mean=0.5, std=0.5, skew=0.0)
    """
    n, middle, other = len(u), u.mean(dim=0), v.mean(dim=0)
    a, b = u - middle, v - other
    variance = float(((a.mT @ a) * (b.mT @ b)).sum()) / (n**2 * (n - 1)) if n > 1 else 0.0
    return Null(float(middle @ other), max(0.0, variance) ** 0.5)


def assignment_null(costs: Tensor) -> Null:
    r"""Moments of :math:`\tfrac1N \sum_i c_{i \pi(i)}` over permutations, for a matrix of all pairs ``(N, N)``.

    The mean is that of all entries, and the variance the sum of squares of the doubly centered entries, divided by
    :math:`N^2 (N - 1)` (`Hoeffding (1951) <https://doi.org/10.1214/aoms/1177729545>`_).

    Example:
        >>> assignment_null(torch.eye(2, dtype=torch.float64))
        Null(mean=0.5, std=0.5, skew=0.0)
    """
    n = len(costs)
    variance = float(doubly_centered(costs).square().sum()) / (n**2 * (n - 1)) if n > 1 else 0.0
    return Null(float(costs.mean()), variance**0.5)


def doubly_centered(matrix: Tensor) -> Tensor:
    """A matrix less the means of its rows and of its columns, plus its own mean."""
    rows, columns = matrix.mean(dim=1, keepdim=True), matrix.mean(dim=0, keepdim=True)
    return matrix - rows - columns + rows.mean()


def permutation(count: int, generator: torch.Generator) -> Tensor:
    """A random permutation of row numbers ``(N,)``."""
    return torch.randperm(count, generator=generator)
