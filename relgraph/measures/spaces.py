"""A table around its mean, read in blocks of float64: products of any number of rows in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from relgraph.measures.base import wide

BLOCK = 1 << 19
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
        total, whole, offset = torch.zeros_like(wide(rows[0])), 0.0, 0.0
        for part in _parts(rows):
            block = wide(rows[part])
            total += block.sum(dim=0)
            whole += _square(block)
        mean = total / len(rows)
        for part in _parts(rows):
            offset += _square(wide(rows[part]) - mean)
        return cls(rows, mean, offset**0.5 if offset**0.5 > torch.finfo(rows.dtype).eps * whole**0.5 else 0.0)

    def __len__(self) -> int:
        return self.rows.size(0)

    @property
    def constant(self) -> bool:
        """Whether all rows are the same."""
        return self.size == 0

    def block(self, rows: Tensor | slice) -> Tensor:
        """Some rows around the mean, in float64; the space must not be constant."""
        return (wide(self.rows[rows]) - self.mean).div_(self.size)

    def blocks(self, width: int = 1) -> Iterator[tuple[slice, Tensor]]:
        """All rows in order; ``width`` is that of another table that is held beside this one."""
        for part in _parts(self.rows, width):
            yield part, self.block(part)

    def gram(self, transform: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Products of coordinates ``(F, F)``, after a linear map ``(F, r)``, and squared norms of all rows ``(N,)``."""
        products: list[Tensor] = []
        norms: list[Tensor] = []
        for _, rows in self.blocks():
            mapped = rows if transform is None else rows @ transform
            products = [products[0].addmm_(mapped.mT, mapped) if products else mapped.mT @ mapped]
            norms.append(torch.linalg.vector_norm(mapped, dim=1).square())
        return products[0], torch.cat(norms)


def _square(rows: Tensor) -> float:
    """Sum of all squares."""
    flat = rows.reshape(-1)
    return float(flat @ flat)


def _parts(rows: Tensor, width: int = 1) -> Iterator[slice]:
    step = max(1, BLOCK // max(rows.size(1), width))
    return (slice(start, start + step) for start in range(0, len(rows), step))


def cross(x: Space, y: Space, order: Tensor | None = None) -> Tensor:
    """Sum over all rows of the products of their coordinates, ``(F, G)``; ``order`` ``(N,)`` permutes those of y."""
    total: Tensor | None = None
    for part, rows in x.blocks(y.rows.size(1)):
        other = y.block(part if order is None else order[part]).to(rows.device)
        total = rows.mT @ other if total is None else total.addmm_(rows.mT, other)
    assert total is not None
    return total


def basis(x: Space, variance: float = 1.0) -> Tensor:
    """A linear map ``(F, r)`` of the rows to orthonormal coordinates: principal directions that hold the variance.

    There are at most ``(N - 1) // 2``, because two subspaces of N - 1 dimensions with more than as many together have
    directions in common whatever the data are. Directions that may be rounding errors are left out.
    """
    values, vectors = torch.linalg.eigh(x.gram()[0])
    values, vectors = values.flip(0), vectors.flip(1)
    weakest = max(WEAKEST, x.rows.size(1) * torch.finfo(x.rows.dtype).eps)
    count = int((values > weakest**2 * values[0]).sum())
    if variance < 1:  # the smallest number that holds it
        count = min(count, int((values.cumsum(0) < variance * values.sum() * (1 - 1e-12)).sum()) + 1)
    count = min(count, (len(x) - 1) // 2)
    first = vectors[:, :count] / values[:count].sqrt()
    # Once more, because products of rows have lost half of the digits of the weakest directions.
    left, right = torch.linalg.eigh(x.gram(first)[0])
    found: Tensor = first @ (right / left.sqrt()) @ right.mT
    return found
