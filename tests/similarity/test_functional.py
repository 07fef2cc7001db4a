from __future__ import annotations

import pytest
import torch

import relgraph as rg
from relgraph import registry
from relgraph.similarity import (
    CHANGES,
    Normalization,
    Similarity,
    angular_similarity,
    apply_map,
    cosine_similarity,
    dot_similarity,
    edge_similarity,
    euclidean_distance,
    l1_distance,
    linf_distance,
    normalizing_map,
    rbf_similarity,
    relative,
)
from tests.registered import EVERY_PAIR, SIMILARITIES, looped
from tests.similarity.slow import reference
from tests.spaces import normal


@pytest.mark.parametrize("centered", [False, True])
@EVERY_PAIR
@pytest.mark.parametrize(("nodes", "count", "width"), [(7, 5, 3), (6, 3, 8)])
def test_equals_slow_reference(similarity, normalization, centered, nodes, count, width):
    x, anchors = normal(nodes, width, seed=1) * 3 + 2, normal(count, width, seed=2) * 2 + 1
    center = normal(width, seed=3) if centered else None
    expected = reference(x, anchors, similarity, normalization, center)
    torch.testing.assert_close(relative(x, anchors, similarity, normalization, center=center), expected)
    single = [None if t is None else t.float() for t in (x, anchors, center)]
    got = relative(single[0], single[1], similarity, normalization, center=single[2])
    assert got.dtype == torch.float32
    torch.testing.assert_close(got.double(), expected, rtol=1e-4, atol=1e-5)


def test_declared_properties_are_those_of_the_function():
    x, anchors = normal(6, 4, seed=1), normal(5, 4, seed=2)
    for name, entry in SIMILARITIES.items():
        assert name == entry.name and entry.invariant_to <= CHANGES
        values = relative(torch.cat([x, x[:1] + x[1:2], -x[:1]]), anchors, name, center=torch.zeros(4).double())
        if entry.normed:
            values = values * torch.cat([x, x[:1] + x[1:2], -x[:1]]).norm(dim=1, keepdim=True)
        linear = torch.allclose(values[6], values[0] + values[1]) and torch.allclose(values[7], -values[0])
        assert linear == entry.bilinear, name
        near = relative(anchors[:1], anchors, name)[0].argmin() == 0
        assert near == entry.is_distance, name


def test_a_similarity_and_a_normalization_can_be_registered_from_outside():
    def half(anchors, center, shrinkage):
        return None, torch.full((anchors.size(1),), 0.5, dtype=anchors.dtype)

    def summed(x, anchors):
        return x.sum(1)[:, None] + anchors.sum(1)

    mine = Similarity("summed", summed, lambda x, anchors: (x + anchors).sum(-1))
    registry.SIMILARITIES.register("summed", mine, "sum of all coordinates")
    registry.NORMALIZATIONS.register("half", Normalization("half", half), "half as long")
    try:
        x, anchors = normal(4, 3, seed=1), normal(2, 3, seed=2)
        expected = (x.sum(1)[:, None] + anchors.sum(1)) / 2
        torch.testing.assert_close(rg.RelativeLayer("summed", "half")(x, anchors=anchors), expected)
        edges = torch.tensor([[1, 0], [3, 2]])
        found = edge_similarity(x, anchors, edges, "summed", "half")
        torch.testing.assert_close(found, expected[edges[1], edges[0]])
    finally:
        registry.SIMILARITIES.remove("summed")
        registry.NORMALIZATIONS.remove("half")


def test_euclidean_is_right_far_from_the_origin():
    x = normal(40, 6).float() + 1000
    anchors = x[:30].clone()
    got = euclidean_distance(x, anchors)
    torch.testing.assert_close(got.double(), torch.cdist(x.double(), anchors.double()), rtol=1e-6, atol=0)
    assert (got.diagonal() == 0).all()


@EVERY_PAIR
def test_gradcheck(similarity, normalization):
    x, center = normal(3, 4, seed=1).requires_grad_(), normal(4, seed=3).requires_grad_()

    def function(x, anchors, center=None):
        return relative(x, anchors, similarity, normalization, center=center, shrinkage=0.1)

    assert torch.autograd.gradcheck(function, (x, normal(6, 4, seed=2).requires_grad_(), center))
    assert torch.autograd.gradcheck(function, (x, normal(3, 4, seed=2).requires_grad_()))


@pytest.mark.parametrize("normalization", ["none", "center"])
def test_euclidean_gradient_equals_torch_and_is_zero_at_distance_zero(normalization):
    x, anchors = normal(6, 4, seed=1).requires_grad_(), normal(3, 4, seed=2).requires_grad_()
    x.data[0] = anchors.data[0]
    weight = normal(6, 3, seed=3)
    ours = torch.autograd.grad(
        (relative(x, anchors, "euclidean", normalization) * weight).sum(), (x, anchors), retain_graph=True
    )
    theirs = torch.autograd.grad(
        (torch.cdist(x, anchors, compute_mode="donot_use_mm_for_euclid_dist") * weight).sum(), (x, anchors)
    )
    torch.testing.assert_close(ours, theirs)
    alone = torch.autograd.grad(euclidean_distance(x[:1], anchors[:1]).sum(), x)[0]
    assert (alone == 0).all()


def test_gradient_of_a_zero_row_is_of_ordinary_size():
    x = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    cosine_similarity(x, normal(5, 3)).sum().backward()
    assert x.grad.norm() <= 5


@pytest.mark.parametrize(
    "function",
    [
        cosine_similarity,
        angular_similarity,
        dot_similarity,
        euclidean_distance,
        l1_distance,
        linf_distance,
        rbf_similarity,
    ],
)
def test_leading_dimensions_equal_one_space_at_a_time(function):
    x, anchors = normal(3, 6, 4, seed=1).requires_grad_(), normal(3, 5, 4, seed=2).requires_grad_()
    alone = torch.stack([function(a, b) for a, b in zip(x, anchors, strict=True)])
    together = function(x, anchors)
    torch.testing.assert_close(together, alone)
    weight = normal(3, 6, 5, seed=3)
    torch.testing.assert_close(
        torch.autograd.grad((together * weight).sum(), (x, anchors)),
        torch.autograd.grad((alone * weight).sum(), (x, anchors)),
    )


def edge_cases():
    space = normal(12, 4, seed=5)
    zero_rows = space.clone()
    zero_rows[[0, 3]] = 0
    duplicates = space[[0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]]
    dead = space * torch.tensor([1.0, 0.0, 1.0, 0.0])
    return {
        "zero rows": zero_rows,
        "duplicate rows": duplicates,
        "zero space": torch.zeros(12, 4),
        "constant space": torch.full((12, 4), 0.1) + 1000,
        "dead coordinates": dead + 7,
        "large": space * 1e9,
        "small": space * 1e-9,
    }


@pytest.mark.parametrize("case", edge_cases())
@looped("dtype", [torch.float64, torch.float32])
@looped("centered", [False, True])
@EVERY_PAIR
def test_edge_cases_are_finite_with_finite_gradients(similarity, normalization, case, dtype, centered):
    z = edge_cases()[case].to(dtype).requires_grad_()
    got = relative(z, z[:6], similarity, normalization, center=z.mean(0) if centered else None)
    assert got.isfinite().all()
    got.square().sum().backward()
    assert z.grad.isfinite().all()


@EVERY_PAIR
def test_empty_batch(similarity, normalization):
    assert relative(torch.zeros(0, 3), normal(5, 3).float(), similarity, normalization).shape == (0, 5)


@EVERY_PAIR
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_the_rounded_float32_value(similarity, normalization, dtype):
    x, anchors = normal(8, 5, seed=1).to(dtype), normal(6, 5, seed=2).to(dtype)
    got = relative(x, anchors, similarity, normalization)
    assert got.dtype == dtype
    assert torch.equal(got, relative(x.float(), anchors.float(), similarity, normalization).to(dtype))
    assert apply_map(x, *normalizing_map(anchors, normalization)).dtype == dtype


@EVERY_PAIR
def test_autocast_changes_nothing_and_lets_types_mix(similarity, normalization):
    x, anchors = normal(8, 5, seed=1).float(), normal(6, 5, seed=2).float()
    expected = relative(x, anchors, similarity, normalization)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(relative(x, anchors, similarity, normalization), expected)
        mixed = relative(x.bfloat16(), anchors, similarity, normalization)
    assert mixed.dtype == torch.bfloat16
    torch.testing.assert_close(mixed.float(), expected, rtol=0.05, atol=0.05)
