from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from relgraph.anchors import publish
from relgraph.errors import InputError
from relgraph.maps import AffineMap, convert, ridge_coefficients, translate
from tests.spaces import F64, head, normal, rotation, space

pytestmark = pytest.mark.filterwarnings("ignore::relgraph.maps.NoCorrespondenceWarning")


@pytest.mark.parametrize("shrinkage", [0.0, 1e-3, 0.01, 1.0])
def test_translation_equals_the_formula(shrinkage: float) -> None:
    z, target = normal(60, 5), normal(60, 3, seed=1)
    a, b = space(z, 20), space(target, 20)
    centered, image = a.embeddings - z.mean(0), b.embeddings - target.mean(0)
    penalty = shrinkage * (centered.mT @ centered).trace() / 5 * torch.eye(5, dtype=F64)
    expected = torch.linalg.inv(centered.mT @ centered + penalty) @ centered.mT @ image
    translation = translate(a, b, shrinkage=shrinkage)
    assert isinstance(translation, AffineMap)
    torch.testing.assert_close(translation.weight, expected)
    torch.testing.assert_close(translation(z), (z - z.mean(0)) @ expected + target.mean(0))


@pytest.mark.parametrize("shrinkage", [1e-3, 0.01, 0.5])
@pytest.mark.parametrize("count", [4, 6, 40])
def test_conversion_equals_the_head_on_whitened_relative_coordinates(shrinkage: float, count: int) -> None:
    z, target, own = normal(80, 6), normal(80, 5, seed=1), head(5, 3)
    anchors, there = space(z, count), publish(own, space(target, count))
    centered = anchors.embeddings - anchors.center
    covariance = centered.mT @ centered / count
    covariance = covariance + shrinkage * covariance.trace() / 6 * torch.eye(6, dtype=F64)
    r = (z - anchors.center) @ torch.linalg.inv(covariance) @ centered.mT / count
    expected = r @ (there.outputs - there.mean) + there.mean
    torch.testing.assert_close(convert(anchors, there, shrinkage=shrinkage)(z), expected)


@given(
    seed=st.integers(0, 999),
    count=st.integers(2, 30),
    width=st.integers(1, 8),
    target_width=st.integers(1, 8),
    shrinkage=st.sampled_from([1e-4, 0.01, 0.3]),
)
@settings(max_examples=30, deadline=None)
def test_conversion_equals_translation_followed_by_a_linear_head(
    seed: int, count: int, width: int, target_width: int, shrinkage: float
) -> None:
    z, target = normal(40, width, seed=seed), normal(40, target_width, seed=seed + 1)
    own, source, goal = head(target_width, 3, seed), space(z, count), space(target, count)
    both = own(translate(source, goal, shrinkage=shrinkage)(z))
    torch.testing.assert_close(convert(source, publish(own, goal), shrinkage=shrinkage)(z), both.detach())


def test_an_affine_relation_is_recovered_without_shrinkage() -> None:
    z = normal(60, 5)
    target, own = z @ normal(5, 7, seed=1) + 3, head(7, 4)
    torch.testing.assert_close(translate(space(z, 20), space(target, 20), shrinkage=0.0)(z), target)
    source, there, expected = space(z, 20), publish(own, space(target, 20)), own(target).detach()
    torch.testing.assert_close(convert(source, there, shrinkage=0.0)(z), expected)
    torch.testing.assert_close(convert(source, there, shrinkage=1e-9)(z), expected, rtol=1e-5, atol=1e-5)
    assert (convert(source, there, shrinkage=0.5)(z) - expected).abs().max() > 0.1


def test_the_value_at_the_source_center_is_the_mean_of_the_head() -> None:
    """The regression has no fitted intercept: centers correspond, even if the anchors' means do not."""
    z, there = normal(60, 5) + 7, publish(head(4, 3), space(normal(60, 4, seed=1) - 2, 12))
    source = space(z, 12)
    for shrinkage in (0.01, "loo"):
        at_center = convert(source, there, shrinkage=shrinkage)(source.center.unsqueeze(0))[0]
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
        logits = convert(space(z, count), publish(own, space(target, count)), shrinkage=shrinkage)(z)
        return float((logits - truth).square().mean() / (truth - truth.mean(0)).square().mean())

    assert error(0.0, width) > 2  # interpolating the noise is worse than a constant
    assert error(0.01, width) < 0.6
    assert error(0.01, width // 2) < 1  # fewer anchors than dimensions are useful too


def test_float64_keeps_single_precision_accurate_far_from_the_origin() -> None:
    z = normal(60, 5)
    there = publish(head(7, 4), space(normal(60, 7, seed=1), 20))
    expected, got = convert(space(z, 20), there), convert(space((z + 100).float(), 20), there)
    torch.testing.assert_close(got.weight.double(), expected.weight, rtol=1e-3, atol=1e-4)


def test_a_conversion_is_a_frozen_linear_layer_in_the_type_of_the_source() -> None:
    there = publish(head(5, 3), space(normal(30, 5), 20))
    layer = convert(space(normal(30, 4), 20).to(torch.float32), there)
    assert type(layer) is nn.Linear and not layer.training
    assert layer.weight.shape == (3, 4) and layer.weight.dtype == layer.bias.dtype == torch.float32
    assert not any(parameter.requires_grad for parameter in layer.parameters())


def test_no_shrinkage_requires_anchors_that_span_the_space() -> None:
    with pytest.raises(InputError, match="got 0 with 3 anchors of rank 3 in 5 dimensions"):
        ridge_coefficients(normal(3, 5), normal(3, 1), 0.0)
    assert ridge_coefficients(normal(3, 5), normal(3, 1), 1e-9).isfinite().all()
    assert torch.equal(ridge_coefficients(0 * normal(3, 5), normal(3, 1), 0.0), torch.zeros(5, 1, dtype=F64))
