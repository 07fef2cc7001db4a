from __future__ import annotations

import pytest
import torch

from relgraph.errors import InputError
from relgraph.similarity import apply_map, normalizing_map, relative, whitened_similarity
from tests.registered import WHITENING, looped
from tests.similarity.slow import reference
from tests.spaces import normal


def normalize(x, anchors, kind, **options):
    move = normalizing_map(anchors, kind, **options)
    return apply_map(x, *move), apply_map(anchors, *move)


@pytest.mark.parametrize("shrinkage", [0, 0.01, 1.0])
def test_whiten_makes_the_covariance_the_identity_up_to_shrinkage(shrinkage):
    anchors, center = normal(30, 4, seed=1) * torch.tensor([1.0, 5.0, 0.2, 3.0]) + 2, normal(4, seed=2)
    _, moved = normalize(anchors, anchors, "whiten", center=center, shrinkage=shrinkage)
    centered = anchors - center
    s = centered.T @ centered / 30
    shrunk = s + shrinkage * s.trace() / 4 * torch.eye(4, dtype=s.dtype)
    root = torch.linalg.lstsq(centered, moved).solution
    torch.testing.assert_close(root, root.T)
    torch.testing.assert_close(root @ shrunk @ root, torch.eye(4, dtype=s.dtype))


def test_whitened_is_the_dot_product_after_whiten():
    x, anchors, center = normal(8, 5, seed=1), normal(12, 5, seed=2), normal(5, seed=3)
    moved, at = normalize(x, anchors, "whiten", center=center)
    torch.testing.assert_close(whitened_similarity(x, anchors, center=center), moved @ at.T / 12)


def test_whitened_spans_many_scales_in_float32():
    x = normal(50, 20, seed=1) * torch.logspace(-4, 2, 20, dtype=torch.float64) + 3
    got = whitened_similarity(x.float(), x[:40].float(), shrinkage=1e-6)
    expected = reference(x.float(), x[:40].float(), "whitened", shrinkage=1e-6)
    torch.testing.assert_close(got.double(), expected, rtol=1e-3, atol=1e-3)


@looped("similarity, normalization", WHITENING)
@pytest.mark.parametrize("shrinkage", [0, 0.01])
def test_constant_space_whitens_to_the_origin(similarity, normalization, shrinkage):
    at_origin = {"angular": 0.5, "rbf": 1}.get(similarity, 0)
    z = torch.full((9, 4), 1000.1)
    nearly = z.mean(0) + 1e-4  # the error of a mean in float32
    for center in (None, nearly):
        assert (relative(z, z[:5], similarity, normalization, center=center, shrinkage=shrinkage) == at_origin).all()


def test_standardize_drops_a_coordinate_that_does_not_vary():
    anchors = torch.tensor([[1000.1, 1.0], [1000.1, 3.0]])
    moved, _ = normalize(torch.tensor([[1007.0, 5.0]]), anchors, "standardize")
    assert moved.tolist() == [[0.0, 3.0]]


@looped("similarity, normalization", WHITENING)
@pytest.mark.parametrize("count", [3, 5])  # fewer than F; F, of which centering takes one dimension
def test_no_shrinkage_without_spanning_anchors_is_an_error(similarity, normalization, count):
    with pytest.raises(InputError, match="'shrinkage' must be larger where the anchors do not span"):
        relative(normal(4, 5, seed=1), normal(count, 5, seed=2), similarity, normalization, shrinkage=0)
    enough = relative(normal(4, 5, seed=1), normal(6, 5, seed=2), similarity, normalization, shrinkage=0)
    assert enough.isfinite().all()
