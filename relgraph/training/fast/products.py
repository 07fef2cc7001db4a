"""Products of a sparse matrix of one structure with a stack of dense ones, one for each seed or head.

Bag-of-words features are nearly all zeros: a sparse product does a hundredth of the work, and dropout draws masks for
the stored values only. The structure is fixed during training: the transpose for the gradient is prepared once.

A product is computed as sums of weighted rows of a table, torch's ``embedding_bag``, of which one call multiplies a
whole stack: as a block-diagonal matrix times the stack below one another. On a CPU this is faster than a
sparse CSR product for each entry of the stack.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from relgraph.nn.dropout import keep_mask

if TYPE_CHECKING:
    from scipy.sparse import csr_array

# Above this share of non-zeros a dense product is faster than a sparse one (one core, 2,000 x 700 by ten of 700 x 64).
DENSE_ABOVE = 0.25


class SparseMatrix:
    """A sparse matrix ``(R, D)`` of fixed structure that multiplies stacks ``(S, D, H)``.

    Args:
        matrix: The matrix, with 32-bit indices where they suffice.
        device: Where the products run.
    """

    def __init__(self, matrix: csr_array, device: torch.device) -> None:
        self.shape = (int(matrix.shape[0]), int(matrix.shape[1]))
        self.crow, self.col, self.values = _parts(matrix, device)
        # The transpose of a matrix that holds its own positions holds the origin of each of its values.
        positions = matrix.copy()
        positions.data = np.arange(matrix.nnz)
        self.t_crow, self.t_col, self.t_order = _parts(positions.T.tocsr(), device)
        self.stacked = Stacked(self.crow, self.col, self.values, self.shape[1])
        self.t_stacked = Stacked(self.t_crow, self.t_col, self.values[self.t_order], self.shape[0])

    def product(self, dense: Tensor, values: Tensor | None = None) -> Tensor:
        """``(S, R, H)``: this matrix, or its structure with other values ``(S, nnz)``, times ``(S, D, H)``."""
        out: Tensor = _StackedProduct.apply(dense, values, self)  # type: ignore[no-untyped-call]
        return out

    def sampled(self, left: Tensor, right: Tensor) -> Tensor:
        """``(S, nnz)``: products of rows of ``(S, R, H)`` and of ``(S, D, H)`` at the places of stored values."""
        out: Tensor = _SampledProduct.apply(left, right, self)  # type: ignore[no-untyped-call]
        return out

    def transposed(self, values: Tensor) -> Tensor:
        """Values ``(S, nnz)`` in the order in which the transpose stores them."""
        return values.index_select(1, self.t_order)

    def interleaved(self, heads: int) -> SparseMatrix:
        """One copy for each head, ``(heads * R, D * heads)``: that of head ``h`` has column ``d`` at ``d * heads + h``.

        Its values are in the order of head and stored value.
        """
        from scipy.sparse import csr_array

        crow, col, values = (part.cpu().numpy() for part in (self.crow, self.col, self.values))
        head = np.arange(heads)[:, None]
        ends = np.concatenate([[0], (crow[1:] + head * col.size).ravel()])
        shape = (heads * self.shape[0], self.shape[1] * heads)
        parts = (np.tile(values, heads), (col * heads + head).ravel(), ends)
        return SparseMatrix(csr_array(parts, shape=shape), self.values.device)

    def part(self, rows: np.ndarray) -> tuple[SparseMatrix, Tensor]:
        """Some of the rows ``(H,)`` as a matrix ``(H, D)``, and the places of its values among those of this one."""
        from scipy.sparse import csr_array

        crow, col = self.crow.cpu().numpy(), self.col.cpu().numpy()
        places = csr_array((np.arange(col.size), col, crow), shape=self.shape)[rows]
        values, device = self.values.cpu().numpy(), self.values.device
        matrix = csr_array((values[places.data], places.indices, places.indptr), shape=places.shape)
        return SparseMatrix(matrix, device), torch.from_numpy(places.data).to(device)

    def rows(self, values: Tensor) -> Tensor:
        """The matrix with the given values ``(nnz,)`` as torch's own type."""
        with warnings.catch_warnings():
            # Once in a process torch warns that sparse CSR tensors are in beta.
            warnings.filterwarnings("ignore", message=".*Sparse CSR tensor support is in beta.*")
            return torch.sparse_csr_tensor(self.crow, self.col, values, self.shape, check_invariants=False)


class Stacked:
    """A sparse matrix ``(R, D)``, repeated along the diagonal as often as a stack has entries.

    Args:
        crow, col, values: The matrix in CSR form.
        columns: Its number of columns.
    """

    def __init__(self, crow: Tensor, col: Tensor, values: Tensor, columns: int) -> None:
        self._matrix, self._columns = (crow, col, values), columns
        self._size, self._blocks = 0, (crow, col, values)

    def product(self, dense: Tensor, values: Tensor | None = None) -> Tensor:
        """``(S, R, H)``: the matrix, or its structure with other values ``(S, nnz)``, times ``(S, D, H)``."""
        size, _, width = dense.shape
        crow, col, own = self._diagonal(size)
        weights = own if values is None else values.detach().flatten()
        table = dense.detach().reshape(-1, width)
        out = F.embedding_bag(col, table, crow, mode="sum", per_sample_weights=weights, include_last_offset=True)
        return out.view(size, -1, width)

    def _diagonal(self, size: int) -> tuple[Tensor, Tensor, Tensor]:
        """The block-diagonal matrix in CSR form; a smaller one is the start of a larger one."""
        crow, col, values = self._matrix
        rows, nnz = crow.numel() - 1, col.numel()
        if size > self._size:
            most = size * max(nnz, rows, self._columns)
            block = torch.arange(size, device=col.device, dtype=torch.int32 if most < 2**31 else torch.int64)
            block = block.unsqueeze(1)
            ends = (crow[1:].to(block.dtype) + block * nnz).flatten()
            places = (col.to(block.dtype) + block * self._columns).flatten()
            self._size, self._blocks = size, (F.pad(ends, (1, 0)), places, values.repeat(size))
        ends, places, repeated = self._blocks
        return ends[: size * rows + 1], places[: size * nnz], repeated[: size * nnz]


class _StackedProduct(torch.autograd.Function):
    """Sparse times stacked dense, with gradients of the dense side and, if they are wanted, of the values."""

    @staticmethod
    def forward(ctx: Any, dense: Tensor, values: Tensor | None, matrix: SparseMatrix) -> Tensor:
        ctx.matrix = matrix
        # The dense side is kept only for the gradient of values.
        ctx.save_for_backward(values, dense if ctx.needs_input_grad[1] else None)
        return matrix.stacked.product(dense, values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        matrix: SparseMatrix = ctx.matrix
        values, dense = ctx.saved_tensors
        grad, of_dense = grad.contiguous(), None
        if ctx.needs_input_grad[0]:
            of_dense = matrix.t_stacked.product(grad, None if values is None else matrix.transposed(values))
        return of_dense, None if dense is None else _sampled(matrix, grad, dense), None


class _SampledProduct(torch.autograd.Function):
    """Dense times dense at the places of a sparse structure."""

    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor, matrix: SparseMatrix) -> Tensor:
        ctx.matrix = matrix
        ctx.save_for_backward(left, right)
        return _sampled(matrix, left, right)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        matrix: SparseMatrix = ctx.matrix
        left, right = ctx.saved_tensors
        return matrix.stacked.product(right, grad), matrix.t_stacked.product(left, matrix.transposed(grad)), None


def _sampled(matrix: SparseMatrix, left: Tensor, right: Tensor) -> Tensor:
    out = left.new_empty(left.size(0), matrix.values.numel())
    places = matrix.rows(matrix.values.to(left.dtype))
    for s in range(left.size(0)):
        out[s] = torch.sparse.sampled_addmm(places, left[s], right[s].mT, beta=0).values()
    return out


class Features:
    """Rows of a feature matrix ``(R, D)``, stored sparse or dense, whichever multiplies faster.

    Args:
        matrix: The rows.
        device: Where the products run.
    """

    def __init__(self, matrix: csr_array, device: torch.device) -> None:
        self.sparse: SparseMatrix | None = None
        self.dense: Tensor | None = None
        cells = max(matrix.shape[0] * matrix.shape[1], 1)
        if matrix.nnz > DENSE_ABOVE * cells:
            self.dense = torch.from_numpy(matrix.toarray()).to(device)
        else:
            self.sparse = SparseMatrix(matrix, device)

    def dropped(self, p: float, generators: Sequence[torch.Generator]) -> Tensor | None:
        """Values after dropout, one set for each generator; ``None`` if nothing is dropped."""
        if p == 0:
            return None
        values = self.sparse.values if self.sparse is not None else self.dense
        assert values is not None
        return values * keep_mask(values.shape, p, generators, values)

    def product(self, weight: Tensor, values: Tensor | None = None) -> Tensor:
        """``(S, R, H)``: the rows, or their dropped values, times the weights ``(S, D, H)``."""
        if self.sparse is not None:
            return self.sparse.product(weight, values)
        assert self.dense is not None
        return torch.matmul(self.dense if values is None else values, weight)


def _parts(matrix: csr_array, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    parts = (matrix.indptr, matrix.indices, matrix.data)
    crow, col, values = (torch.from_numpy(np.ascontiguousarray(part)).to(device) for part in parts)
    return crow, col, values
