"""Measures that compare the distances between rows of one space with those of the other."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from relgraph.measures.base import Measure, Null, Statistic, check_pair, clamp, some_rows, undetermined
from relgraph.measures.nulls import centered_null, doubly_centered, pairs_null, permutation
from relgraph.measures.spaces import Space

SAMPLE = 2048
"""Rows between which all distances are computed."""
WHOLE = 4096
"""Rows up to which the distance correlation is computed of all distances at once."""
BLOCKS = 8
SKEW_ROWS = 512  # of which the skewness of the null is computed


def distance_correlation(x: Tensor, y: Tensor, *, seed: int = 0) -> float:
    r"""Squared distance correlation of two spaces ``(N, F)`` and ``(N, G)``.

    .. math:: \langle A, B \rangle \, / \, (\lVert A \rVert_F \, \lVert B \rVert_F)

    with the doubly centered matrices of Euclidean distances between rows (`Székely et al. (2007)
    <https://doi.org/10.1214/009053607000000505>`_, whose distance correlation is the square root of it). It is a CKA
    with distances as kernels, and the limit for many rows is 0 only if the rows are independent. Of more than 4,096
    rows, disjoint blocks of 2,048 are drawn, at most eight, and the inner products are summed over them. Between 0 and
    1; 0 if a space is constant, and for fewer than three rows, where it is 1 for any two spaces.

    Args:
        x, y: The spaces.
        seed: Of the blocks.

    Raises:
        InputError: If the two do not have equally many rows, at least one, or a number is not finite.

    Example:
        >>> x = torch.tensor([[0.0, 1.0], [2.0, 0.0], [1.0, 5.0]])
        >>> round(distance_correlation(x, 3 * x.flip(1) + 1), 6)
        1.0
    """
    return _distance_correlation(*check_pair(x, y), torch.Generator().manual_seed(seed)).value


def rsa(x: Tensor, y: Tensor, *, seed: int = 0) -> float:
    r"""Representational similarity analysis: Spearman correlation of the distances between rows in two spaces.

    .. math:: \rho \left( \{\lVert x_i - x_j \rVert\}_{i < j}, \{\lVert y_i - y_j \rVert\}_{i < j} \right)

    `Kriegeskorte et al. (2008) <https://doi.org/10.3389/neuro.06.004.2008>`_, with Euclidean distances, so that the
    value does not depend on the coordinates; equal distances have their mean rank. Of more than 2,048 rows, as many
    are drawn. Between -1 and 1; 0 if all distances of a space are the same, as in a constant one, and for
    fewer than four rows, whose three distances often have the same order.

    Args:
        x, y: The spaces ``(N, F)`` and ``(N, G)``.
        seed: Of the rows that are drawn.

    Raises:
        InputError: If the two do not have equally many rows, at least one, or a number is not finite.

    Example:
        >>> x = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
        >>> rsa(x, 2 - x), round(rsa(x, x.sqrt()), 3)
        (1.0, 0.6)
    """
    return _rsa(*check_pair(x, y), torch.Generator().manual_seed(seed)).value


def _between(space: Space, rows: Tensor) -> Tensor:
    """Distances between some rows ``(S, S)``, from differences, so that equal rows are at distance 0."""
    points = space.block(rows)
    return torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")


def _rsa(a: Tensor, b: Tensor, generator: torch.Generator) -> Statistic:
    rows, x, y = some_rows(len(a), SAMPLE, generator), Space.of(a), Space.of(b)
    if len(rows) < 4 or x.constant or y.constant:
        return undetermined(0.0, len(rows))
    ranks, other = (_centered_ranks(_between(space, rows)) for space in (x, y))
    own = float(ranks.norm() * other.norm())
    if own == 0:
        return undetermined(0.0, len(rows))

    def draw(generator: torch.Generator) -> float:
        order = permutation(len(rows), generator)
        return clamp(float((ranks * other[order][:, order]).sum()) / own, -1.0, 1.0)

    null = pairs_null(ranks, other)
    return Statistic(
        clamp(float((ranks * other).sum()) / own, -1.0, 1.0), len(rows), draw, Null(0.0, (null.std or 0.0) / own)
    )


def _centered_ranks(distances: Tensor) -> Tensor:
    """Ranks of the distances of all pairs less their mean, in a symmetric matrix with diagonal 0."""
    from scipy.stats import rankdata

    above = torch.ones_like(distances, dtype=torch.bool).triu(1)
    ranks = torch.from_numpy(rankdata(distances[above].cpu().numpy())).to(distances)
    found = torch.zeros_like(distances)
    found[above] = ranks - (len(ranks) + 1) / 2
    return found + found.mT


@dataclass(frozen=True, eq=False)
class _Block:
    """Doubly centered distances of the same rows in two spaces."""

    x: Tensor
    y: Tensor

    def product(self, order: Tensor | None = None) -> float:
        return float((self.x * (self.y if order is None else self.y[order][:, order])).sum())

    def null(self) -> Null:
        """Moments of the product; the skewness is the limit for many rows, that of a sum of weighted chi-squares."""
        sums = [(float(m.trace()), float(m.square().sum()), float(m.diag().square().sum())) for m in (self.x, self.y)]
        found, skew = centered_null(sums[0], sums[1], len(self.x)), 8**0.5
        for matrix in (self.x, self.y):
            few = matrix[:SKEW_ROWS, :SKEW_ROWS]
            size = float(few.square().sum())
            skew *= abs(float((few @ few * few).sum())) / size**1.5 if size else 0.0
        return Null(found.mean, found.std, skew)


def _distance_correlation(a: Tensor, b: Tensor, generator: torch.Generator) -> Statistic:
    n, x, y = len(a), Space.of(a), Space.of(b)
    if n < 3 or x.constant or y.constant:
        return undetermined(0.0, n)
    parts = [torch.arange(n)]
    if n > WHOLE:
        parts = list(permutation(n, generator)[: min(BLOCKS, n // SAMPLE) * SAMPLE].view(-1, SAMPLE))
    size = sum(map(len, parts))

    def distances(rows: Tensor) -> _Block:
        return _Block(*(doubly_centered(_between(space, rows)) for space in (x, y)))

    whole = distances(parts[0]) if len(parts) == 1 else None

    def blocks(order: list[Tensor] | None) -> tuple[float, float, float, list[Null]]:
        """Inner product, and squared norms, and null of every block, each of which is held alone."""
        total, left, right, nulls = 0.0, 0.0, 0.0, []
        for place, rows in enumerate(parts):
            block = whole or distances(rows)
            total += block.product(None if order is None else order[place])
            left, right = left + float(block.x.square().sum()), right + float(block.y.square().sum())
            nulls += [block.null()] if order is None else []
        return total, left, right, nulls

    total, left, right, nulls = blocks(None)
    own = (left * right) ** 0.5
    if own == 0:  # the rows that differ are in no block
        return undetermined(0.0, size)

    def draw(generator: torch.Generator) -> float:
        order = [permutation(len(rows), generator) for rows in parts]
        return clamp(blocks(order)[0] / own, 0.0, 1.0)

    mean, std = sum(one.mean for one in nulls), sum((one.std or 0.0) ** 2 for one in nulls) ** 0.5
    cubes = sum(one.skew * (one.std or 0.0) ** 3 for one in nulls)
    null = Null(mean / own, std / own, cubes / std**3 if std else 0.0)
    return Statistic(clamp(total / own, 0.0, 1.0), size, draw, null)


_SIMILAR = frozenset({"rotation", "translation", "scaling"})
DISTANCE_CORRELATION = Measure(
    "distance-correlation", _distance_correlation, "representations", "higher", 0.0, 1.0, True, _SIMILAR,
    "Székely et al. 2007", "min(N, S)^2 (F + G)",
)  # fmt: skip
RSA = Measure(
    "rsa", _rsa, "representations", "higher", -1.0, 1.0, True, _SIMILAR, "Kriegeskorte et al. 2008",
    "min(N, S)^2 (F + G)",
)  # fmt: skip
