"""Products of one fixed matrix with a stack of dense ones, one for each seed; what makes training side by side fast.

Three observations carry it. Bag-of-words features are nearly all zeros, so a sparse product does a hundredth of the
dense one's work. Dropout on zeros does nothing, so masks are drawn for the stored values only. And the structure never
changes while training, so the transpose that the gradient needs is laid out once.
"""

from __future__ import annotations

import warnings
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
        # The transpose of a matrix that holds its own positions says where each of its values comes from.
        positions = matrix.copy()
        positions.data = np.arange(matrix.nnz)
        transposed = positions.T.tocsr()
        self.t_crow, self.t_col, order = _parts(transposed, device)
        self.t_order = order.long()
        with warnings.catch_warnings():
            # Said once in a process: that compressed sparse tensors are in beta. Their product is all that is used.
            warnings.filterwarnings("ignore", message=".*Sparse CSR tensor support is in beta.*")
            self.rows(self.values)

    def product(self, dense: Tensor, values: Tensor | None = None) -> Tensor:
        """``(S, R, H)``: this matrix, or its structure with other values ``(S, nnz)``, times ``(S, D, H)``."""
        out: Tensor = _StackedProduct.apply(dense, values, self)  # type: ignore[no-untyped-call]
        return out

    def rows(self, values: Tensor) -> Tensor:
        """The matrix with the given values ``(nnz,)`` as torch's own type."""
        return torch.sparse_csr_tensor(self.crow, self.col, values, self.shape, check_invariants=False)

    def columns(self, values: Tensor) -> Tensor:
        """The transposed matrix with the given values ``(nnz,)`` as torch's own type."""
        shape = (self.shape[1], self.shape[0])
        return torch.sparse_csr_tensor(self.t_crow, self.t_col, values[self.t_order], shape, check_invariants=False)


class _StackedProduct(torch.autograd.Function):
    """Sparse times stacked dense; the gradient flows to the dense side only, the values being data and masks."""

    @staticmethod
    def forward(ctx: Any, dense: Tensor, values: Tensor | None, matrix: SparseMatrix) -> Tensor:
        ctx.matrix, ctx.values = matrix, values
        out = dense.new_empty(dense.size(0), matrix.shape[0], dense.size(2))
        sparse = matrix.rows(matrix.values)
        for s in range(dense.size(0)):
            if values is not None:
                sparse = matrix.rows(values[s])
            # In place and with beta = 0, torch neither clears nor copies the result first, as it does for `out=`.
            out[s].addmm_(sparse, dense[s], beta=0)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        matrix: SparseMatrix = ctx.matrix
        values: Tensor | None = ctx.values
        grad = grad.contiguous()
        out = grad.new_empty(grad.size(0), matrix.shape[1], grad.size(2))
        sparse = matrix.columns(matrix.values)
        for s in range(grad.size(0)):
            if values is not None:
                sparse = matrix.columns(values[s])
            out[s].addmm_(sparse, grad[s], beta=0)
        return out, None, None


class Features:
    """Rows of a feature matrix ``(R, D)``, held sparse or dense, whichever multiplies faster.

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

    def dropped(self, p: float, generators: list[torch.Generator]) -> Tensor | None:
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
