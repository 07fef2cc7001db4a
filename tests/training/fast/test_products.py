"""Sparse products for stacks, against dense ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array, random_array

from relgraph.training.fast.products import Features, SparseMatrix

CPU = torch.device("cpu")


def sparse(rows: int, columns: int, density: float, seed: int = 0) -> csr_array:
    rng = np.random.default_rng(seed)
    return csr_array(random_array((rows, columns), density=density, rng=rng, dtype=np.float64))


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, 12),
    columns=st.integers(1, 12),
    stack=st.integers(1, 4),
    density=st.floats(0, 1),
    seed=st.integers(0, 999),
)
def test_product_and_gradient_equal_the_dense_ones(rows: int, columns: int, stack: int, density: float, seed: int):
    matrix = sparse(rows, columns, density, seed)
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(stack, columns, 5, dtype=torch.double, generator=generator, requires_grad=True)
    ours = SparseMatrix(matrix, CPU).product(weight)
    reference = torch.from_numpy(matrix.toarray()) @ weight
    torch.testing.assert_close(ours, reference)
    push = torch.randn(ours.shape, dtype=torch.double, generator=generator)
    (mine,) = torch.autograd.grad(ours, weight, push, retain_graph=True)
    (theirs,) = torch.autograd.grad(reference, weight, push)
    torch.testing.assert_close(mine, theirs)


def test_every_seed_may_have_values_of_its_own():
    matrix = sparse(9, 7, 0.4)
    ours = SparseMatrix(matrix, CPU)
    values = torch.rand(3, matrix.nnz, dtype=torch.double)
    weight = torch.rand(3, 7, 4, dtype=torch.double, requires_grad=True)
    dense = torch.zeros(3, 9, 7, dtype=torch.double)
    for s in range(3):
        other = matrix.copy()
        other.data = values[s].numpy()
        dense[s] = torch.from_numpy(other.toarray())
    torch.testing.assert_close(ours.product(weight, values), dense @ weight)
    (mine,) = torch.autograd.grad(ours.product(weight, values).square().sum(), weight)
    (theirs,) = torch.autograd.grad((dense @ weight).square().sum(), weight)
    torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("dtype", [torch.float, torch.double])
def test_stacks_of_changing_size_have_the_products_of_their_entries(dtype: torch.dtype):
    matrix = sparse(9, 7, 0.4).astype(np.float32 if dtype == torch.float else np.float64)
    ours, dense = SparseMatrix(matrix, CPU), torch.from_numpy(matrix.toarray())
    for size in (2, 1, 4, 3, 4):
        weight = torch.rand(size, 7, 5, dtype=dtype, requires_grad=True)
        product = ours.product(weight)
        torch.testing.assert_close(product, dense @ weight)
        (mine,) = torch.autograd.grad(product.square().sum(), weight)
        (theirs,) = torch.autograd.grad((dense @ weight).square().sum(), weight)
        torch.testing.assert_close(mine, theirs)


def test_heads_side_by_side_have_the_products_of_each_head():
    matrix = sparse(6, 5, 0.5)
    ours = SparseMatrix(matrix, CPU).interleaved(3)
    assert torch.equal(ours.values, torch.from_numpy(matrix.data).repeat(3))
    values = torch.rand(2, 3, matrix.nnz, dtype=torch.double)
    states = torch.rand(2, 5, 3 * 4, dtype=torch.double)
    found = ours.product(states.view(2, 5 * 3, 4), values.flatten(1)).view(2, 3, 6, 4)
    for s, head in np.ndindex(2, 3):
        other = matrix.copy()
        other.data = values[s, head].numpy()
        wanted = torch.from_numpy(other.toarray()) @ states[s, :, 4 * head : 4 * head + 4]
        torch.testing.assert_close(found[s, head], wanted)


def test_some_rows_have_their_products_and_name_their_values():
    matrix, rows = sparse(9, 7, 0.4), np.array([0, 3, 4, 8])
    part, places = SparseMatrix(matrix, CPU).part(rows)
    values, weight = torch.rand(2, matrix.nnz, dtype=torch.double), torch.rand(2, 7, 4, dtype=torch.double)
    torch.testing.assert_close(part.product(weight), torch.from_numpy(matrix[rows].toarray()) @ weight)
    whole = SparseMatrix(matrix, CPU).product(weight, values)
    torch.testing.assert_close(part.product(weight, values[:, places]), whole[:, rows])


def test_what_is_written_into_is_not_read(monkeypatch: pytest.MonkeyPatch):
    """The result starts as fresh memory that may hold NaN; beta = 0 must not let it through."""
    nan = float("nan")
    product, dense = SparseMatrix(sparse(50, 40, 0.1), CPU), torch.rand(3, 40, 8, dtype=torch.double)
    wanted = product.product(dense)
    monkeypatch.setattr(torch.Tensor, "new_empty", lambda self, *size: self.new_full(size, nan))
    monkeypatch.setattr(torch, "empty", lambda *size, **options: torch.full(size, nan, **options))
    monkeypatch.setattr(torch, "empty_like", lambda other: torch.full_like(other, nan))
    assert torch.equal(product.product(dense), wanted) and bool(wanted.isfinite().all())


@pytest.mark.parametrize("density", [0.05, 0.9])
def test_features_sparse_or_dense_are_the_same_map(density: float):
    matrix = csr_array(sparse(30, 20, density).astype(np.float32))
    features = Features(matrix, CPU)
    assert (features.dense is not None) == (density > 0.25)
    weight = torch.rand(2, 20, 6)
    torch.testing.assert_close(features.product(weight), torch.from_numpy(matrix.toarray()) @ weight)


@pytest.mark.parametrize("density", [0.05, 0.9])
def test_dropout_of_features_scales_what_it_keeps(density: float):
    matrix = csr_array(sparse(200, 50, density).astype(np.float32))
    features = Features(matrix, CPU)
    generators = [torch.Generator().manual_seed(seed) for seed in (0, 1)]
    values = features.dropped(0.4, generators)
    assert values is not None
    original = features.dense if features.dense is not None else features.sparse.values
    stored = original != 0
    kept = values[:, stored] != 0
    assert abs(kept.float().mean() - 0.6) < 0.05
    assert not torch.equal(kept[0], kept[1])
    expanded = original[stored].expand(2, -1)
    torch.testing.assert_close(values[:, stored][kept], expanded[kept] / 0.6)
    assert features.dropped(0.0, generators) is None
