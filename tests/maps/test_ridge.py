from __future__ import annotations

import pytest
import torch
from sklearn.linear_model import Ridge
from torch import nn

from relgraph.anchors import AnchorSet, PublishedHead, publish
from relgraph.errors import InputError
from relgraph.maps import AffineMap, convert, ridge_coefficients, translate
from relgraph.task import Mode
from tests.spaces import F64, head, normal, rotation, slow_ridge, slow_weights, space, two_runs, weighted

pytestmark = pytest.mark.filterwarnings(
    "ignore::relgraph.maps.NoCorrespondenceWarning", "ignore::relgraph.maps.FewAnchorsWarning"
)


@pytest.mark.parametrize("shrinkage", [0.0, 1e-3, 0.01, 1.0])
@pytest.mark.parametrize("equal", [True, False])
def test_translation_equals_the_formula(shrinkage: float, equal: bool) -> None:
    z, target = normal(60, 5), normal(60, 3, seed=1)
    a, b = space(z, 20), space(target, 20)
    a = a if equal else weighted(a)
    expected = slow_ridge(a.embeddings - a.center, b.embeddings - b.center, slow_weights(a, b), shrinkage)
    translation = translate(a, b, shrinkage=shrinkage)
    assert isinstance(translation, AffineMap)
    torch.testing.assert_close(translation.weight, expected)
    torch.testing.assert_close(translation(z), (z - z.mean(0)) @ expected + target.mean(0))


@pytest.mark.parametrize("mode", ["multiclass", "multilabel", "regression"])
@pytest.mark.parametrize("count", [4, 6, 40])
def test_conversion_equals_the_head_on_whitened_relative_coordinates(count: int, mode: Mode) -> None:
    z, target, own = normal(80, 6), normal(80, 5, seed=1), head(5, 3)
    anchors, there = weighted(space(z, count)), publish(own, space(target, count), mode=mode)
    centered, w = anchors.embeddings - anchors.center, torch.diag(slow_weights(anchors, there))
    for shrinkage in (1e-3, 0.01, 0.5):
        covariance = centered.mT @ w @ centered / count
        covariance = covariance + shrinkage * covariance.trace() / 6 * torch.eye(6, dtype=F64)
        r = (z - anchors.center) @ torch.linalg.inv(covariance) @ centered.mT @ w / count
        expected = r @ (there.outputs - there.mean) + there.mean
        torch.testing.assert_close(convert(anchors, there, "ridge", shrinkage=shrinkage)(z), expected)


@pytest.mark.parametrize("equal", [True, False])
@pytest.mark.parametrize("count", [4, 12, 60])
def test_it_is_scikit_learns_with_the_weights_as_sample_weights(count: int, equal: bool) -> None:
    z, source, there = two_runs(count)
    source = source if equal else weighted(source)
    a, w = source.embeddings - source.center, slow_weights(source, there)
    for shrinkage in (1e-3, 0.3):
        alpha = shrinkage * float((w.unsqueeze(1) * a.square()).sum()) / 5
        model = Ridge(alpha=alpha, fit_intercept=False)
        model.fit(a.numpy(), (there.outputs - there.mean).numpy(), sample_weight=w.numpy())
        expected = torch.from_numpy(model.predict((z - source.center).numpy())) + there.mean
        torch.testing.assert_close(convert(source, there, "ridge", shrinkage=shrinkage)(z), expected)


def test_an_anchor_whose_share_is_the_square_of_a_number_counts_as_that_many_anchors() -> None:
    z, source, there = two_runs(12)
    copies = torch.tensor([1, 3, 1, 1, 2, 1, 1, 5, 1, 1, 1, 2])
    rows = torch.arange(12).repeat_interleave(copies)
    many = AnchorSet(torch.arange(len(rows)), source.embeddings[rows], source.center)
    values = PublishedHead(there.ids, there.outputs, there.mean, "regression")  # without robust weights
    repeated = PublishedHead(many.ids, there.outputs[rows], there.mean, "regression")
    few = AnchorSet(source.ids, source.embeddings, source.center, weights=copies.double() ** 2 / 1000)
    for shrinkage in (0.01, 0.3):
        expected = convert(many, repeated, "ridge", shrinkage=shrinkage)(z)
        torch.testing.assert_close(convert(few, values, "ridge", shrinkage=shrinkage)(z), expected)
        assert not torch.allclose(convert(source, values, "ridge", shrinkage=shrinkage)(z), expected)


def test_an_affine_relation_is_recovered_without_shrinkage() -> None:
    z = normal(60, 5)
    target, own = z @ normal(5, 7, seed=1) + 3, head(7, 4)
    torch.testing.assert_close(translate(space(z, 20), space(target, 20), shrinkage=0.0)(z), target)
    source, there, expected = space(z, 20), publish(own, space(target, 20)), own(target).detach()
    torch.testing.assert_close(convert(source, there, "ridge", shrinkage=0.0)(z), expected)
    torch.testing.assert_close(convert(source, there, "ridge", shrinkage=1e-9)(z), expected, rtol=1e-5, atol=1e-5)
    assert (convert(source, there, "ridge", shrinkage=0.5)(z) - expected).abs().max() > 0.1


def test_the_value_at_the_source_center_is_the_mean_of_the_head() -> None:
    """The regression has no fitted intercept: centers correspond, even if the anchors' means do not."""
    z, there = normal(60, 5) + 7, publish(head(4, 3), space(normal(60, 4, seed=1) - 2, 12))
    source = space(z, 12)
    for shrinkage in (0.01, "loo"):
        at_center = convert(source, there, "ridge", shrinkage=shrinkage)(source.center.unsqueeze(0))[0]
        torch.testing.assert_close(at_center, there.mean)
    assert (source.embeddings.mean(0) - source.center).abs().max() > 0.1
    target = space(normal(60, 4, seed=1) - 2, 12)
    torch.testing.assert_close(translate(source, target)(source.center.unsqueeze(0))[0], target.center)


def test_shrinkage_prevents_interpolation_with_as_many_anchors_as_dimensions() -> None:
    width = 24
    z, own = normal(400, width), head(width, 3)
    target = z @ rotation(width) + 0.3 * normal(400, width, seed=9)  # related up to noise, as two runs are
    truth = own(target).detach()

    def error(shrinkage: float, count: int) -> float:
        logits = convert(space(z, count), publish(own, space(target, count)), "ridge", shrinkage=shrinkage)(z)
        return float((logits - truth).square().mean() / (truth - truth.mean(0)).square().mean())

    assert error(0.0, width) > 2  # interpolating the noise is worse than a constant
    assert error(0.01, width) < 0.6
    assert error(0.01, width // 2) < 1  # fewer anchors than dimensions are useful too


def test_float64_keeps_single_precision_accurate_far_from_the_origin() -> None:
    z = normal(60, 5)
    there = publish(head(7, 4), space(normal(60, 7, seed=1), 20))
    expected, got = (convert(space(x, 20), there, "ridge") for x in (z, (z + 100).float()))
    torch.testing.assert_close(got.weight.double(), expected.weight, rtol=1e-3, atol=1e-4)


def test_a_conversion_is_a_frozen_linear_layer_in_the_type_of_the_source() -> None:
    there = publish(head(5, 3), space(normal(30, 5), 20))
    layer = convert(space(normal(30, 4), 20).to(torch.float32), there, "ridge")
    assert isinstance(layer, nn.Linear) and not layer.training
    assert layer.weight.shape == (3, 4) and layer.weight.dtype == layer.bias.dtype == torch.float32
    assert not any(parameter.requires_grad for parameter in layer.parameters())


def test_no_shrinkage_requires_anchors_that_span_the_space() -> None:
    with pytest.raises(InputError, match="got 0 with 3 anchors of rank 3 in 5 dimensions"):
        ridge_coefficients(normal(3, 5), normal(3, 1), 0.0)
    assert ridge_coefficients(normal(3, 5), normal(3, 1), 1e-9).isfinite().all()
    assert torch.equal(ridge_coefficients(0 * normal(3, 5), normal(3, 1), 0.0), torch.zeros(5, 1, dtype=F64))
