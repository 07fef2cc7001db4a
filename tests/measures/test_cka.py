from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from relgraph.errors import InputError
from relgraph.measures import linear_cka
from tests.spaces import normal, rotation


def slow_cka(x: Tensor, y: Tensor) -> float:
    """Through Gram matrices of nodes by nodes: HSIC(x, y) / sqrt(HSIC(x, x) HSIC(y, y))."""
    center = torch.eye(len(x), dtype=torch.float64) - 1 / len(x)
    k, g = center @ x.double() @ x.double().mT @ center, center @ y.double() @ y.double().mT @ center
    return float((k * g).sum() / ((k * k).sum() * (g * g).sum()).sqrt())


@given(seed=st.integers(0, 999), count=st.integers(3, 30), width=st.integers(1, 8), other=st.integers(1, 40))
@settings(max_examples=30, deadline=None)
def test_it_equals_the_formula_over_nodes(seed: int, count: int, width: int, other: int) -> None:
    x, y = normal(count, width, seed=seed) + 3, normal(count, other, seed=seed + 1)
    assert linear_cka(x, y) == pytest.approx(slow_cka(x, y), rel=1e-9)
    assert linear_cka(y, x) == pytest.approx(linear_cka(x, y), rel=1e-9)
    assert -1e-12 <= linear_cka(x, y) <= 1 + 1e-12


@given(seed=st.integers(0, 999), factor=st.sampled_from([1e-30, -2.0, 1e30]))
@settings(max_examples=20, deadline=None)
def test_it_is_invariant_to_rotation_translation_and_scaling(seed: int, factor: float) -> None:
    x, y = normal(20, 4, seed=seed), normal(20, 3, seed=seed + 1)
    turned = factor * (x @ rotation(4, seed + 2) + 5)
    assert linear_cka(turned, y) == pytest.approx(linear_cka(x, y), rel=1e-6)
    assert linear_cka(turned, x) == pytest.approx(1, rel=1e-6)


def test_a_general_map_and_other_pairs_change_it() -> None:
    x = normal(50, 4)
    assert linear_cka(x, x @ torch.diag(torch.tensor([10.0, 1, 1, 0.1], dtype=torch.float64))) < 0.9
    assert linear_cka(x, x.flip(0)) < 0.5


def test_single_precision_far_from_the_origin_is_accurate() -> None:
    x, y = (normal(500, 8) + 1000).float(), normal(500, 8, seed=1).float()
    assert linear_cka(x, y) == pytest.approx(slow_cka(x, y), rel=1e-6)
    assert linear_cka(x.half() / 100, y.half()) == pytest.approx(slow_cka(x.half() / 100, y.half()), rel=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e8])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_constant_space_gives_zero(value: float, dtype: torch.dtype) -> None:
    constant = torch.full((30, 3), value, dtype=dtype)
    assert linear_cka(constant, normal(30, 4)) == 0.0
    assert linear_cka(constant, constant) == 0.0
    for count in (1, 2):  # any two rows are similar to any other two
        assert linear_cka(normal(count, 3), normal(count, 3, seed=1)) == 0.0


@pytest.mark.parametrize(("x", "y"), [((3, 2), (4, 2)), ((0, 2), (0, 2))])
def test_shapes_are_checked(x: tuple[int, ...], y: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="must have equally many rows, at least one"):
        linear_cka(torch.zeros(x), torch.zeros(y))


def test_nan_is_refused_and_its_row_named() -> None:
    good = normal(4, 2)
    bad = good.index_fill(0, torch.tensor([2]), torch.nan)
    with pytest.raises(InputError, match=r"'x' must hold finite numbers \(got NaN in row 2\)"):
        linear_cka(bad, good)
    with pytest.raises(InputError, match="'y' must hold finite numbers"):
        linear_cka(good, bad)
