from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from relgraph.anchors import AnchorSet, GraphChangedWarning
from relgraph.errors import InputError
from relgraph.translation import Translation, procrustes, ridge, ridge_affine

F64 = torch.float64


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def rotation(width: int, seed: int = 0) -> Tensor:
    return torch.linalg.qr(normal(width, width, seed=seed))[0]


def published(z: Tensor, count: int, *, fingerprint: str = "") -> AnchorSet:
    return AnchorSet(torch.arange(count), z[:count], z.mean(0), fingerprint)


@given(seed=st.integers(0, 999), width=st.integers(1, 6), count=st.integers(8, 20), factor=st.floats(0.01, 100))
@settings(max_examples=25, deadline=None)
def test_procrustes_recovers_a_similarity_exactly(seed: int, width: int, count: int, factor: float) -> None:
    z = normal(30, width, seed=seed)
    moved = factor * z @ rotation(width, seed) + normal(width, seed=seed + 1)
    translation = procrustes(published(z, count), published(moved, count))
    torch.testing.assert_close(translation(z), moved)


def test_without_scale_lengths_are_kept() -> None:
    z = normal(30, 4)
    translation = procrustes(published(z, 20), published(5 * z @ rotation(4), 20), scale=False)
    torch.testing.assert_close(translation.weight.mT @ translation.weight, torch.eye(4, dtype=F64))
    torch.testing.assert_close(translation.weight, rotation(4))


@pytest.mark.parametrize(("width", "target_width"), [(4, 4), (6, 3), (3, 6)])
def test_no_other_rotation_or_scale_is_better(width: int, target_width: int) -> None:
    a, b = published(normal(40, width), 25), published(normal(40, target_width, seed=1), 25)
    translation = procrustes(a, b)
    inner = (a.embeddings - a.center).mT @ (b.embeddings - b.center)

    def error(weight: Tensor) -> float:
        return float((Translation(weight, a.center, b.center)(a.embeddings) - b.embeddings).square().sum())

    best = error(translation.weight)
    for seed in range(20):
        left = torch.linalg.matrix_exp(0.05 * (skew := normal(width, width, seed=seed)) - 0.05 * skew.mT)
        right = torch.linalg.matrix_exp(0.05 * (skew := normal(target_width, target_width, seed=seed)) - 0.05 * skew.mT)
        other = left @ translation.weight @ right
        assert (inner * other).sum() <= (inner * translation.weight).sum() + 1e-9
        assert target_width < width or error(other) >= best - 1e-9
    assert error(1.01 * translation.weight) > best < error(0.99 * translation.weight)


@pytest.mark.parametrize(("width", "target_width"), [(6, 3), (3, 6)])
def test_spaces_of_different_width_get_orthonormal_rows_or_columns(width: int, target_width: int) -> None:
    weight = procrustes(published(normal(30, width), 20), published(normal(30, target_width), 20), scale=False).weight
    small = weight.mT @ weight if target_width < width else weight @ weight.mT
    torch.testing.assert_close(small, torch.eye(3, dtype=F64))


@pytest.mark.parametrize("fit", [procrustes, ridge_affine])
def test_a_constant_space_goes_to_the_target_center(fit: object) -> None:
    for value in (0.0, 0.1, 1e6):
        constant, target = torch.full((30, 4), value, dtype=F64), normal(30, 3)
        moved = fit(published(constant, 10), published(target, 10))(constant)  # type: ignore[operator]
        torch.testing.assert_close(moved, target.mean(0).expand(30, 3))


@pytest.mark.parametrize("shrinkage", [0.0, 1e-3, 0.01, 1.0])
def test_ridge_affine_equals_the_formula(shrinkage: float) -> None:
    z, target = normal(60, 5), normal(60, 3, seed=1)
    a, b = published(z, 20), published(target, 20)
    centered, image = a.embeddings - z.mean(0), b.embeddings - target.mean(0)
    penalty = shrinkage * (centered.mT @ centered).trace() / 5 * torch.eye(5, dtype=F64)
    expected = torch.linalg.inv(centered.mT @ centered + penalty) @ centered.mT @ image
    translation = ridge_affine(a, b, shrinkage=shrinkage)
    torch.testing.assert_close(translation.weight, expected)
    torch.testing.assert_close(translation(z), (z - z.mean(0)) @ expected + target.mean(0))


def test_ridge_affine_recovers_an_affine_map_without_shrinkage() -> None:
    z = normal(60, 5)
    target = z @ normal(5, 3, seed=1) + 7
    torch.testing.assert_close(ridge_affine(published(z, 12), published(target, 12), shrinkage=0.0)(z), target)


def test_anchors_are_paired_by_id() -> None:
    z, target = normal(30, 3), normal(30, 3, seed=1)
    a, b = published(z, 20), published(target, 20)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    turned = b.take(b.ids[order])
    for fit in (procrustes, ridge_affine):
        torch.testing.assert_close(fit(a, turned).weight, fit(a, b).weight)
        torch.testing.assert_close(fit(a, b.take(b.ids[:9])).weight, fit(a.take(a.ids[:9]), b.take(b.ids[:9])).weight)
        with pytest.raises(InputError, match="need 4 ids in common"):
            fit(a, b.take(b.ids[:3]))


def test_another_graph_is_a_warning() -> None:
    a, b = published(normal(9, 2), 5, fingerprint="a"), published(normal(9, 2), 5, fingerprint="b")
    with pytest.warns(GraphChangedWarning) as caught:
        procrustes(a, b)
    assert caught[0].filename == __file__  # the caller's line, not one inside the library


@pytest.mark.parametrize("fit", [procrustes, ridge_affine])
def test_the_result_has_the_type_of_the_source_and_takes_no_gradient(fit: object) -> None:
    a, b = published(normal(30, 3).float(), 20), published(normal(30, 4), 20)
    translation = fit(a, b)  # type: ignore[operator]
    assert translation(a.embeddings).dtype == torch.float32
    assert not list(translation.parameters()) and set(translation.state_dict()) == {
        "weight",
        "source_center",
        "target_center",
    }
    assert translation(torch.zeros(0, 3)).shape == (0, 4)
    assert repr(translation) == "Translation(3 -> 4)"


def test_a_failed_decomposition_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise torch.linalg.LinAlgError("did not converge")

    monkeypatch.setattr(torch.linalg, "svd", fails)
    with pytest.raises(torch.linalg.LinAlgError):
        procrustes(published(normal(9, 2), 5), published(normal(9, 2), 5))


@pytest.mark.parametrize("shrinkage", [-0.1, float("nan"), float("inf")])
def test_shrinkage_is_checked(shrinkage: float) -> None:
    with pytest.raises(InputError, match="'shrinkage' must be a number of at least 0"):
        ridge(normal(5, 2), normal(5, 1), shrinkage)


def test_no_shrinkage_needs_anchors_that_span_the_space() -> None:
    with pytest.raises(InputError, match="got 0 with 3 anchors of rank 3 in 5 dimensions"):
        ridge(normal(3, 5), normal(3, 1), 0.0)
    assert ridge(normal(3, 5), normal(3, 1), 1e-9).isfinite().all()
