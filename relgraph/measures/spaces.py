"""A table around its mean, read in blocks of float64: products of any number of rows in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from relgraph.measures.base import wide

BLOCK = 1 << 22
"""Numbers of a table that are held in float64 at once."""
WEAKEST = 1e-6  # singular values below this share of the largest are rounding errors of a matrix of products


@dataclass(frozen=True, eq=False)
class Space:
    """Rows ``(N, F)`` around their mean, divided by their Frobenius norm, and never held in float64 as a whole.

    The unit norm keeps fourth powers of very small or very large numbers within the range of float64.

    Args:
        rows: The table as it was given.
        mean: Mean of its rows ``(F,)``.
        size: Frobenius norm around the mean; 0 if the rows differ by rounding errors only.
    """

    rows: Tensor
    mean: Tensor
    size: float

    @classmethod
    def of(cls, rows: Tensor) -> Space:
        """Read a table twice."""
        total = torch.zeros(rows.size(1), dtype=torch.float64, device=wide(rows[:0]).device)
        for part in _parts(rows):
            total += wide(rows[part]).sum(dim=0)
        mean = total / len(rows)
        offset = sum(float((wide(rows[part]) - mean).square().sum()) for part in _parts(rows)) ** 0.5
        whole = sum(float(wide(rows[part]).square().sum()) for part in _parts(rows)) ** 0.5
        return cls(rows, mean, offset if offset > torch.finfo(rows.dtype).eps * whole else 0.0)

    def __len__(self) -> int:
        return self.rows.size(0)

    @property
    def constant(self) -> bool:
        """Whether all rows are the same."""
        return self.size == 0

    def block(self, rows: Tensor | slice) -> Tensor:
        """Some rows around the mean, in float64; the space must not be constant."""
        return (wide(self.rows[rows]) - self.mean) / self.size

    def blocks(self, width: int = 1) -> Iterator[tuple[slice, Tensor]]:
        """All rows in order; ``width`` is that of another table that is held beside this one."""
        for part in _parts(self.rows, width):
            yield part, self.block(part)

    def square_norms(self, transform: Tensor | None = None) -> Tensor:
        """Squared norms of all rows ``(N,)``, after a linear map ``(F, r)``."""
        parts = ((rows if transform is None else rows @ transform).square().sum(dim=1) for _, rows in self.blocks())
        return torch.cat(list(parts))


def _parts(rows: Tensor, width: int = 1) -> Iterator[slice]:
    step = max(1, BLOCK // max(rows.size(1), width))
    return (slice(start, start + step) for start in range(0, len(rows), step))


def cross(x: Space, y: Space, order: Tensor | None = None) -> Tensor:
    """Sum over all rows of the products of their coordinates, ``(F, G)``; ``order`` ``(N,)`` permutes those of y."""
    total: Tensor | None = None
    for part, rows in x.blocks(y.rows.size(1)):
        product = rows.mT @ y.block(part if order is None else order[part]).to(rows.device)
        total = product if total is None else total + product
    assert total is not None
    return total


def basis(x: Space, variance: float = 1.0) -> Tensor:
    """A linear map ``(F, r)`` of the rows to orthonormal coordinates: principal directions that hold the variance.

    There are at most ``(N - 1) // 2``, because two subspaces of N - 1 dimensions with more than as many together have
    directions in common whatever the data are. Directions that may be rounding errors are left out.
    """
    values, vectors = torch.linalg.eigh(cross(x, x))
    values, vectors = values.flip(0), vectors.flip(1)
    weakest = max(WEAKEST, x.rows.size(1) * torch.finfo(x.rows.dtype).eps)
    count = int((values > weakest**2 * values[0]).sum())
    if variance < 1:  # the smallest number that holds it
        count = min(count, int((values.cumsum(0) < variance * values.sum() * (1 - 1e-12)).sum()) + 1)
    count = min(count, (len(x) - 1) // 2)
    first = vectors[:, :count] / values[:count].sqrt()
    # Once more, because products of rows have lost half of the digits of the weakest directions.
    again = torch.zeros(count, count, dtype=first.dtype, device=first.device)
    for _, rows in x.blocks():
        mapped = rows @ first
        again += mapped.mT @ mapped
    left, right = torch.linalg.eigh(again)
    return first @ (right / left.sqrt()) @ right.mT
