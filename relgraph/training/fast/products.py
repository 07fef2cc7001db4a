"""Products of a sparse matrix of one structure with a stack of dense ones, one for each seed or head.

Bag-of-words features are nearly all zeros: a sparse product does a hundredth of the work, and dropout draws masks for
the stored values only. The structure is fixed during training: the transpose for the gradient is prepared once.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
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
        self.t_crow, self.t_col, order = _parts(positions.T.tocsr(), device)
        self.t_order = order.long()
        with warnings.catch_warnings():
            # Once in a process torch warns that sparse CSR tensors are in beta; only their product is used here.
            warnings.filterwarnings("ignore", message=".*Sparse CSR tensor support is in beta.*")
            self.rows(self.values)

    def product(self, dense: Tensor, values: Tensor | None = None) -> Tensor:
        """``(S, R, H)``: this matrix, or its structure with other values ``(S, nnz)``, times ``(S, D, H)``."""
        out: Tensor = _StackedProduct.apply(dense, values, self)  # type: ignore[no-untyped-call]
        return out

    def sampled(self, left: Tensor, right: Tensor) -> Tensor:
        """``(S, nnz)``: products of rows of ``(S, R, H)`` and of ``(S, D, H)`` at the places of stored values."""
        out: Tensor = _SampledProduct.apply(left, right, self)  # type: ignore[no-untyped-call]
        return out

    def rows(self, values: Tensor) -> Tensor:
        """The matrix with the given values ``(nnz,)`` as torch's own type."""
        return torch.sparse_csr_tensor(self.crow, self.col, values, self.shape, check_invariants=False)

    def columns(self, values: Tensor) -> Tensor:
        """The transposed matrix with the given values ``(nnz,)`` as torch's own type."""
        shape = (self.shape[1], self.shape[0])
        return torch.sparse_csr_tensor(self.t_crow, self.t_col, values[self.t_order], shape, check_invariants=False)


class _StackedProduct(torch.autograd.Function):
    """Sparse times stacked dense, with gradients of the dense side and, if they are wanted, of the values."""

    @staticmethod
    def forward(ctx: Any, dense: Tensor, values: Tensor | None, matrix: SparseMatrix) -> Tensor:
        ctx.matrix = matrix
        # The dense side is kept only for the gradient of values.
        ctx.save_for_backward(values, dense if ctx.needs_input_grad[1] else None)
        return _stacked(matrix.rows, matrix.values, values, dense)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        matrix: SparseMatrix = ctx.matrix
        values, dense = ctx.saved_tensors
        grad = grad.contiguous()
        of_dense = _stacked(matrix.columns, matrix.values, values, grad) if ctx.needs_input_grad[0] else None
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
        return (
            _stacked(matrix.rows, matrix.values, grad, right),
            _stacked(matrix.columns, matrix.values, grad, left),
            None,
        )


def _sampled(matrix: SparseMatrix, left: Tensor, right: Tensor) -> Tensor:
    out = left.new_empty(left.size(0), matrix.values.numel())
    places = matrix.rows(matrix.values.to(left.dtype))
    for s in range(left.size(0)):
        out[s] = torch.sparse.sampled_addmm(places, left[s], right[s].mT, beta=0).values()
    return out


def _stacked(layout: Callable[[Tensor], Tensor], own: Tensor, values: Tensor | None, dense: Tensor) -> Tensor:
    sparse = layout(own)
    out = dense.new_empty(dense.size(0), sparse.size(0), dense.size(2))
    for s in range(dense.size(0)):
        if values is not None:
            sparse = layout(values[s])
        # In place and with beta = 0, torch neither clears nor copies the result first, unlike with `out=`.
        out[s].addmm_(sparse, dense[s], beta=0)
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
