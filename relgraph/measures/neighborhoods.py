"""Measures that compare the nearest rows of every row in two spaces."""

from __future__ import annotations

import torch
from torch import Tensor

from relgraph.errors import InputError
from relgraph.measures.base import Measure, Null, Statistic, check_pair, clamp, same_rows, some_rows, undetermined, wide
from relgraph.measures.neighbors import neighbors
from relgraph.measures.nulls import permutation

NEAREST = 10
QUERIES = 10_000
"""Rows whose nearest rows are compared, of all rows."""
SECOND_ORDER_QUERIES = 2048
ORDERS = 8  # of the keys, for different queries


def mutual_knn(x: Tensor, y: Tensor, *, k: int = NEAREST, queries: int = QUERIES, seed: int = 0) -> float:
    r"""Share of the ``k`` nearest rows of every row, by cosine, that two spaces ``(N, F)`` and ``(N, G)`` share.

    .. math:: \tfrac1N \textstyle\sum_i |N_x(i) \cap N_y(i)| \, / \, k

    Mutual k-NN of `Huh et al. (2024) <https://arxiv.org/abs/2405.07987>`_; the row itself is left out. Rows at the same
    distance, such as copies, are taken in random orders that are independent in the two spaces, so that ties agree as
    often as by chance, and a constant space shares :math:`k / (N - 1)` of them with any other, the mean of unrelated
    rows. The value of a space with itself is then below 1. ``k`` is lowered to :math:`\lfloor (N - 1) / 2 \rfloor`,
    since all rows agree with all rows. Between 0 and 1; 0 for fewer than three rows.

    Args:
        x, y: The spaces.
        k: How many rows are nearest.
        queries: Of more rows, as many are drawn whose nearest rows are compared; all rows are searched for each.
        seed: Of the rows that are drawn, and of the orders of ties.

    Raises:
        InputError: If the two do not have equally many rows, at least one, a number is not finite, or ``k`` or
            ``queries`` is below 1.

    Example:
        >>> x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
        >>> mutual_knn(x, 2 * x.flip(1)), round(mutual_knn(x, x.flip(0)), 2)
        (1.0, 0.24)
    """
    for name, number in (("k", k), ("queries", queries)):
        if number < 1:
            raise InputError(name, f"must be at least 1 (got {number})")
    return _mutual(*check_pair(x, y), torch.Generator().manual_seed(seed), k, queries).value


def second_order_cosine(x: Tensor, y: Tensor, *, k: int = NEAREST, seed: int = 0) -> float:
    r"""Mean cosine of the similarities of every row to its nearest rows, in two spaces ``(N, F)`` and ``(N, G)``.

    .. math:: \tfrac1N \textstyle\sum_i \cos \left( (\cos(x_i, x_j))_{j \in N(i)}, (\cos(y_i, y_j))_{j \in N(i)}
        \right), \qquad N(i) = N_x(i) \cup N_y(i)

    `Hamilton et al. (2016) <https://arxiv.org/abs/1606.02821>`_. Where all rows point in similar directions it is close
    to 1 even for unrelated rows: read it beside its null. Ties are broken as by :func:`mutual_knn`. Between -1 and 1;
    0 if all rows of a space are the same or point in the same direction, and for fewer than three rows.

    Args:
        x, y: The spaces.
        k: How many rows are nearest in each.
        seed: Of the rows that are drawn, where there are more than 2,048, and of the orders of ties.

    Raises:
        InputError: If the two do not have equally many rows, at least one, or a number is not finite.

    Example:
        >>> x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
        >>> round(second_order_cosine(x, 2 * x.flip(1)), 6)
        1.0
    """
    return _second_order(*check_pair(x, y), torch.Generator().manual_seed(seed), k).value


def _nearest(rows: Tensor, queries: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """Nearest other rows of some rows ``(Q, k)``, by cosine; for each part of the queries ties are in a new order."""
    found = []
    for part in torch.tensor_split(queries, min(ORDERS, len(queries))):
        order = permutation(len(rows), generator)
        place = torch.empty_like(order)
        place[order] = torch.arange(len(order))
        found.append(order[neighbors(rows[part], rows[order], k, exclude=place[part]).rows.cpu()])
    return torch.cat(found)


def _permuted(queries: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A permutation of all rows that maps the queries to queries, as places among these ``(Q,)``, and its inverse."""
    places = permutation(len(queries), generator)
    order = torch.arange(count)
    others = torch.ones(count, dtype=torch.bool)
    others[queries] = False
    rest = others.nonzero().view(-1)
    order[rest], order[queries] = rest[permutation(len(rest), generator)], queries[places]
    inverse = torch.empty_like(order)
    inverse[order] = torch.arange(count)
    return places, inverse


def _lists(a: Tensor, b: Tensor, generator: torch.Generator, k: int, most: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rows that are asked for, and their nearest rows in both spaces."""
    queries = some_rows(len(a), most, generator)
    k = min(k, (len(a) - 1) // 2)
    return queries, _nearest(wide(a), queries, k, generator), _nearest(wide(b), queries, k, generator)


def _mutual(a: Tensor, b: Tensor, generator: torch.Generator, k: int = NEAREST, most: int = QUERIES) -> Statistic:
    n = len(a)
    if n < 3:
        return undetermined(0.0, n)
    queries, near, other = _lists(a, b, generator, k, most)

    def overlap(rows: Tensor) -> float:
        return float((near.unsqueeze(2) == rows.unsqueeze(1)).any(dim=2).double().mean())

    def draw(generator: torch.Generator) -> float:
        places, inverse = _permuted(queries, n, generator)
        return overlap(inverse[other[places]])

    return Statistic(overlap(other), len(queries), draw, Null(near.size(1) / (n - 1)))


def _second_order(
    a: Tensor, b: Tensor, generator: torch.Generator, k: int = NEAREST, most: int = SECOND_ORDER_QUERIES
) -> Statistic:
    n, x, y = len(a), _unit(wide(a)), _unit(wide(b))
    if n < 3 or same_rows(x, a.dtype) or same_rows(y, b.dtype):
        return undetermined(0.0, min(n, most))
    queries, near, other = _lists(a, b, generator, k, most)

    def value(rows: Tensor, places: Tensor, order: Tensor) -> float:
        """Of nearest rows and queries of the second space, whose row i is now ``order[i]``."""
        union = torch.cat([near, rows], dim=1)
        again = (rows.unsqueeze(2) == near.unsqueeze(1)).any(dim=2)
        once = torch.cat([torch.ones_like(near, dtype=torch.bool), ~again], dim=1).to(x.device)
        left = (x[union] @ x[queries].unsqueeze(2)).squeeze(2) * once
        right = (y[order[union]] @ y[queries[places]].unsqueeze(2)).squeeze(2) * once
        return clamp(float((_unit(left) * _unit(right)).sum(dim=1).mean()), -1.0, 1.0)

    def draw(generator: torch.Generator) -> float:
        places, inverse = _permuted(queries, n, generator)
        order = torch.empty_like(inverse)
        order[inverse] = torch.arange(n)
        return value(inverse[other[places]], places, order)

    every = torch.arange(len(queries))
    return Statistic(value(other, every, torch.arange(n)), len(queries), draw)


def _unit(rows: Tensor) -> Tensor:
    """Rows of norm 1; those of norm 0 are unchanged."""
    norms = rows.norm(dim=1, keepdim=True)
    found: Tensor = rows / norms.where(norms > 0, 1)
    return found


_DIRECTIONS = frozenset({"rotation", "scaling", "node-scaling"})
MUTUAL_KNN = Measure(
    "mutual-knn", _mutual, "representations", "higher", 0.0, 1.0, True, _DIRECTIONS, "Huh et al. 2024",
    "min(N, Q) N (F + G)",
)  # fmt: skip
SECOND_ORDER_COSINE = Measure(
    "second-order-cosine", _second_order, "representations", "higher", -1.0, 1.0, True, _DIRECTIONS,
    "Hamilton et al. 2016", "min(N, Q) N (F + G)",
)  # fmt: skip
