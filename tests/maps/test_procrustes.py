from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from relgraph.anchors import AnchorSet
from relgraph.maps import AffineMap, translate
from relgraph.maps.procrustes import orthogonal_factor
from tests.spaces import F64, normal, rotation, space, two_spaces


def weight_of(source: AnchorSet, target: AnchorSet, method: str = "procrustes") -> Tensor:
    module = translate(source, target, method)
    assert isinstance(module, AffineMap)
    return module.weight


@pytest.mark.parametrize("method", ["procrustes", "orthogonal"])
@given(seed=st.integers(0, 999), width=st.integers(1, 6), count=st.integers(8, 20), factor=st.floats(0.01, 100))
@settings(max_examples=15, deadline=None)
def test_a_similarity_is_recovered_exactly(method: str, seed: int, width: int, count: int, factor: float) -> None:
    z = normal(30, width, seed=seed)
    moved = factor * z @ rotation(width, seed) + normal(width, seed=seed + 1)
    torch.testing.assert_close(translate(space(z, count), space(moved, count), method)(z), moved)


@pytest.mark.parametrize(("width", "target_width"), [(4, 4), (6, 3), (3, 6)])
def test_no_other_rotation_or_scale_is_better(width: int, target_width: int) -> None:
    a, b = space(normal(40, width), 25), space(normal(40, target_width, seed=1), 25)
    weight = weight_of(a, b)
    inner = (a.embeddings - a.center).mT @ (b.embeddings - b.center)

    def error(weight: Tensor) -> float:
        return float((AffineMap(weight, a.center, b.center)(a.embeddings) - b.embeddings).square().sum())

    best = error(weight)
    for seed in range(20):
        left = torch.linalg.matrix_exp(0.05 * (skew := normal(width, width, seed=seed)) - 0.05 * skew.mT)
        right = torch.linalg.matrix_exp(0.05 * (skew := normal(target_width, target_width, seed=seed)) - 0.05 * skew.mT)
        other = left @ weight @ right
        assert (inner * other).sum() <= (inner * weight).sum() + 1e-9
        assert target_width < width or error(other) >= best - 1e-9
    assert error(1.01 * weight) > best < error(0.99 * weight)


@pytest.mark.parametrize("method", ["procrustes", "orthogonal"])
def test_an_anchor_counts_as_the_root_of_its_share(method: str) -> None:
    """Shares of 1 and 4 are the same as one and two copies of the anchor."""
    z, y = two_spaces()
    z, y = z[:8], y[:8]
    shares = torch.tensor([1.0, 4.0] * 4)
    center, other = torch.zeros(z.size(1), dtype=F64), torch.zeros(y.size(1), dtype=F64)
    one = AnchorSet(torch.arange(8), z, center, weights=shares / shares.sum())
    copies = torch.arange(8).repeat_interleave(shares.sqrt().long())
    ids = torch.arange(len(copies))
    several, there = AnchorSet(ids, z[copies], center), AnchorSet(ids, y[copies], other)
    expected = weight_of(several, there, method)
    torch.testing.assert_close(weight_of(one, AnchorSet(torch.arange(8), y, other), method), expected)
    assert not torch.allclose(
        weight_of(one.take(one.ids), AnchorSet(one.ids, y, other), method),
        weight_of(AnchorSet(one.ids, z, center), AnchorSet(one.ids, y, other), method),
    )


@pytest.mark.parametrize(("width", "target_width"), [(6, 3), (3, 6), (4, 4)])
def test_rows_or_columns_are_orthogonal_and_of_one_length(width: int, target_width: int) -> None:
    weight = weight_of(space(normal(30, width), 20), space(normal(30, target_width), 20))
    small = weight.mT @ weight if target_width < width else weight @ weight.mT
    torch.testing.assert_close(small, small[0, 0] * torch.eye(min(width, target_width), dtype=F64))


def test_orthogonal_is_the_polar_factor_of_the_least_squares_map_with_the_best_scale() -> None:
    z, y = two_spaces()
    a, b = space(z, 40), space(y, 40)
    weight = weight_of(a, b, "orthogonal")
    least = torch.linalg.lstsq(a.embeddings - a.center, b.embeddings - b.center).solution
    values, vectors = torch.linalg.eigh(least.mT @ least)
    turn = least @ vectors @ torch.diag(values.rsqrt()) @ vectors.mT
    image = (a.embeddings - a.center) @ turn
    torch.testing.assert_close(weight, turn * (image * (b.embeddings - b.center)).sum() / image.square().sum())
    assert float((weight - weight_of(a, b)).abs().max()) > 0.01


@pytest.mark.parametrize("method", ["procrustes", "orthogonal"])
@pytest.mark.parametrize("count", [1, 4, 12])
@pytest.mark.filterwarnings("ignore::relgraph.maps.FewAnchorsWarning")
def test_directions_without_anchors_do_not_depend_on_rounding(method: str, count: int) -> None:
    z, other, turn = normal(40, 16), space(normal(40, 16, seed=1), count), rotation(16)
    expected = translate(space(z, count), other, method)(z)
    torch.testing.assert_close(translate(space(z @ turn, count), other, method)(z @ turn), expected)


def test_a_failed_decomposition_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise torch.linalg.LinAlgError("did not converge")

    monkeypatch.setattr(torch.linalg, "svd", fails)
    with pytest.raises(torch.linalg.LinAlgError):
        translate(space(normal(9, 2), 5), space(normal(9, 2), 5), "procrustes")


def test_directions_of_singular_value_zero_are_left_out() -> None:
    product = normal(5, 2) @ normal(2, 4, seed=1)
    factor, values = orthogonal_factor(product)
    assert int((values > 1e-9).sum()) == 2 and torch.linalg.matrix_rank(factor) == 2
