from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import relgraph as rg
from relgraph import registry
from relgraph.errors import InputError
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
    invariances,
    l1_distance,
    linf_distance,
    normalizing_map,
    rbf_similarity,
    relative,
    whitened_similarity,
)
from tests.registered import NORMALIZATIONS, SIMILARITIES, looped

PAIRS = [(s, n) for s in SIMILARITIES for n in NORMALIZATIONS if n == "none" or not SIMILARITIES[s].whitens]
WHITENING = [(s, n) for s, n in PAIRS if SIMILARITIES[s].whitens or n == "whiten"]
EVERY_PAIR = looped("similarity, normalization", PAIRS)


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def reference(x, anchors, similarity, normalization="none", center=None, shrinkage=0.01):
    """Node by node and anchor by anchor, in float64, with general inverses and matrix roots from eigenvectors."""
    x, anchors = x.double().numpy(), anchors.double().numpy()
    m = anchors.mean(0) if center is None else center.double().numpy()
    c = anchors - m
    s = sum(np.outer(row, row) for row in c) / len(c)
    s = s + shrinkage * np.trace(s) / len(s) * np.eye(len(s))
    out = np.zeros((len(x), len(anchors)))
    if similarity == "whitened":
        inverse = np.linalg.inv(s)
        for i, k in np.ndindex(*out.shape):
            out[i, k] = (x[i] - m) @ inverse @ (anchors[k] - m) / len(anchors)
        return torch.from_numpy(out)
    if normalization != "none":
        x, anchors = x - m, anchors - m
    if normalization == "standardize":
        spread = np.sqrt((c**2).mean(0))
        x, anchors = x / spread, anchors / spread
    if normalization == "whiten":
        values, vectors = np.linalg.eigh(s)
        root = vectors @ np.diag(values**-0.5) @ vectors.T
        x, anchors = x @ root, anchors @ root
    for i, k in np.ndindex(*out.shape):
        out[i, k] = SLOW[similarity](x[i], anchors[k], anchors)
    return torch.from_numpy(out)


def slow_cosine(x, a):
    return x @ a / np.linalg.norm(x) / np.linalg.norm(a)


def slow_width(anchors):
    pairs = [math.dist(a, b) for i, a in enumerate(anchors) for b in anchors[:i]]
    return sorted(pairs)[(len(pairs) - 1) // 2]


SLOW = {
    "cosine": lambda x, a, _: slow_cosine(x, a),
    "angular": lambda x, a, _: 1 - math.acos(slow_cosine(x, a)) / math.pi,
    "dot": lambda x, a, _: sum(x * a),
    "euclidean": lambda x, a, _: math.dist(x, a),
    "l1": lambda x, a, _: sum(abs(x - a)),
    "linf": lambda x, a, _: max(abs(x - a)),
    "rbf": lambda x, a, anchors: math.exp(-(math.dist(x, a) ** 2) / (2 * slow_width(anchors) ** 2)),
}


@pytest.mark.parametrize("centered", [False, True])
@EVERY_PAIR
@pytest.mark.parametrize(("nodes", "count", "width"), [(7, 5, 3), (6, 3, 8)])
def test_equals_slow_reference(similarity, normalization, centered, nodes, count, width):
    x, anchors = draw(nodes, width, seed=1) * 3 + 2, draw(count, width, seed=2) * 2 + 1
    center = draw(width, seed=3) if centered else None
    expected = reference(x, anchors, similarity, normalization, center)
    torch.testing.assert_close(relative(x, anchors, similarity, normalization, center=center), expected)
    single = [None if t is None else t.float() for t in (x, anchors, center)]
    got = relative(single[0], single[1], similarity, normalization, center=single[2])
    assert got.dtype == torch.float32
    torch.testing.assert_close(got.double(), expected, rtol=1e-4, atol=1e-5)


def test_declared_properties_are_those_of_the_function():
    x, anchors = draw(6, 4, seed=1), draw(5, 4, seed=2)
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
        x, anchors = draw(4, 3, seed=1), draw(2, 3, seed=2)
        expected = (x.sum(1)[:, None] + anchors.sum(1)) / 2
        torch.testing.assert_close(rg.RelativeLayer("summed", "half")(x, anchors=anchors), expected)
        edges = torch.tensor([[1, 0], [3, 2]])
        found = edge_similarity(x, anchors, edges, "summed", "half")
        torch.testing.assert_close(found, expected[edges[1], edges[0]])
    finally:
        registry.SIMILARITIES.remove("summed")
        registry.NORMALIZATIONS.remove("half")


def rotation(x, g):
    return x @ torch.linalg.qr(torch.randn(x.size(1), x.size(1), generator=g, dtype=x.dtype)).Q


def translation(x, g):
    return x + 2 * torch.randn(x.size(1), generator=g, dtype=x.dtype) + 1


def scaling(x, g):
    return x * (1.5 + 2 * torch.rand(1, generator=g, dtype=x.dtype))


def node_scaling(x, g):
    return x * (0.3 + 3 * torch.rand(x.size(0), 1, generator=g, dtype=x.dtype))


def coordinate_scaling(x, g):
    return x * (0.3 + 3 * torch.rand(x.size(1), generator=g, dtype=x.dtype))


def affine(x, g):
    return translation(rotation(coordinate_scaling(rotation(x, g), g), g), g)


TRANSFORMATIONS = {
    "rotation": rotation,
    "translation": translation,
    "scaling": scaling,
    "node-scaling": node_scaling,
    "coordinate-scaling": coordinate_scaling,
    "affine": affine,
}


def before_and_after(similarity, normalization, change, *, shrinkage, spanning, centered, seed):
    """Relative representations before and after a change of nodes, anchors and center."""
    count, width = (14, 4) if spanning else (4, 6)
    rows = draw(9 + count + 1, width, seed=seed) + draw(width, seed=seed + 1)
    rows[-1] = rows[:-1].mean(0)
    changed = TRANSFORMATIONS[change](rows, torch.Generator().manual_seed(seed + 2))
    if change == "node-scaling":
        changed[-1] = rows[-1]
    options = {"shrinkage": shrinkage}
    return [
        relative(r[:9], r[9:-1], similarity, normalization, center=r[-1] if centered else None, **options)
        for r in (rows, changed)
    ]


def every_change(similarity, normalization, *, seed, centered):
    """Each change, whether the representation is declared invariant to it, and the representations."""
    for shrinkage, spanning in ((0.01, True), (0.01, False), (0, True)):
        declared = invariances(similarity, normalization, shrinkage=shrinkage, spanning=spanning)
        options = {"shrinkage": shrinkage, "spanning": spanning, "seed": seed, "centered": centered}
        for change in CHANGES:
            yield change, change in declared, *before_and_after(similarity, normalization, change, **options)


def test_every_change_has_a_transformation():
    assert set(TRANSFORMATIONS) == CHANGES


@EVERY_PAIR
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**16), centered=st.booleans())
def test_declared_invariances_hold(similarity, normalization, seed, centered):
    for change, declared, before, after in every_change(similarity, normalization, seed=seed, centered=centered):
        if declared:
            torch.testing.assert_close(after, before, rtol=1e-6, atol=1e-8, msg=lambda m, c=change: f"{c}: {m}")


@EVERY_PAIR
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**16), centered=st.booleans())
def test_undeclared_changes_move_the_value(similarity, normalization, seed, centered):
    for change, declared, before, after in every_change(similarity, normalization, seed=seed, centered=centered):
        if not declared:
            assert (after - before).norm() > 1e-4 * before.norm(), change


def test_invariances_of_the_known_cases():
    def declared(*pair, shrinkage=0.01, spanning=True):
        return set(invariances(*pair, shrinkage=shrinkage, spanning=spanning))

    assert declared("cosine", "none") == {"rotation", "scaling", "node-scaling"}
    assert declared("cosine", "center") == {"rotation", "scaling", "translation"}
    assert declared("euclidean", "none") == {"rotation", "translation"}
    assert declared("euclidean", "standardize") == {"translation", "scaling", "coordinate-scaling"}
    assert declared("whitened", "none") == {"rotation", "translation", "scaling"}
    assert declared("whitened", "none", shrinkage=0, spanning=False) == {"rotation", "translation", "scaling"}
    assert declared("whitened", "none", shrinkage=0) == CHANGES - {"node-scaling"}
    assert declared("angular", "none") == declared("cosine", "none")
    assert declared("dot", "none") == {"rotation"}
    assert declared("dot", "whiten", shrinkage=0) == CHANGES - {"node-scaling"}
    assert declared("l1", "none") == declared("linf", "center") == {"translation"}
    assert declared("l1", "whiten", shrinkage=0) == {"translation", "scaling"}  # whitened up to a rotation
    assert declared("rbf", "none") == {"rotation", "translation", "scaling"}


def test_euclidean_is_right_far_from_the_origin():
    x = draw(40, 6, dtype=torch.float32) + 1000
    anchors = x[:30].clone()
    got = euclidean_distance(x, anchors)
    torch.testing.assert_close(got.double(), torch.cdist(x.double(), anchors.double()), rtol=1e-6, atol=0)
    assert (got.diagonal() == 0).all()


@EVERY_PAIR
def test_gradcheck(similarity, normalization):
    x, center = draw(3, 4, seed=1).requires_grad_(), draw(4, seed=3).requires_grad_()

    def function(x, anchors, center=None):
        return relative(x, anchors, similarity, normalization, center=center, shrinkage=0.1)

    assert torch.autograd.gradcheck(function, (x, draw(6, 4, seed=2).requires_grad_(), center))
    assert torch.autograd.gradcheck(function, (x, draw(3, 4, seed=2).requires_grad_()))


@pytest.mark.parametrize("normalization", ["none", "center"])
def test_euclidean_gradient_equals_torch_and_is_zero_at_distance_zero(normalization):
    x, anchors = draw(6, 4, seed=1).requires_grad_(), draw(3, 4, seed=2).requires_grad_()
    x.data[0] = anchors.data[0]
    weight = draw(6, 3, seed=3)
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
    cosine_similarity(x, draw(5, 3)).sum().backward()
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
    x, anchors = draw(3, 6, 4, seed=1).requires_grad_(), draw(3, 5, 4, seed=2).requires_grad_()
    alone = torch.stack([function(a, b) for a, b in zip(x, anchors, strict=True)])
    together = function(x, anchors)
    torch.testing.assert_close(together, alone)
    weight = draw(3, 6, 5, seed=3)
    torch.testing.assert_close(
        torch.autograd.grad((together * weight).sum(), (x, anchors)),
        torch.autograd.grad((alone * weight).sum(), (x, anchors)),
    )


def normalize(x, anchors, kind, **options):
    move = normalizing_map(anchors, kind, **options)
    return apply_map(x, *move), apply_map(anchors, *move)


@pytest.mark.parametrize("shrinkage", [0, 0.01, 1.0])
def test_whiten_makes_the_covariance_the_identity_up_to_shrinkage(shrinkage):
    anchors, center = draw(30, 4, seed=1) * torch.tensor([1.0, 5.0, 0.2, 3.0]) + 2, draw(4, seed=2)
    _, moved = normalize(anchors, anchors, "whiten", center=center, shrinkage=shrinkage)
    centered = anchors - center
    s = centered.T @ centered / 30
    shrunk = s + shrinkage * s.trace() / 4 * torch.eye(4, dtype=s.dtype)
    root = torch.linalg.lstsq(centered, moved).solution
    torch.testing.assert_close(root, root.T)
    torch.testing.assert_close(root @ shrunk @ root, torch.eye(4, dtype=s.dtype))


def test_whitened_is_the_dot_product_after_whiten():
    x, anchors, center = draw(8, 5, seed=1), draw(12, 5, seed=2), draw(5, seed=3)
    moved, at = normalize(x, anchors, "whiten", center=center)
    torch.testing.assert_close(whitened_similarity(x, anchors, center=center), moved @ at.T / 12)


def test_whitened_spans_many_scales_in_float32():
    x = draw(50, 20, seed=1) * torch.logspace(-4, 2, 20, dtype=torch.float64) + 3
    got = whitened_similarity(x.float(), x[:40].float(), shrinkage=1e-6)
    expected = reference(x.float(), x[:40].float(), "whitened", shrinkage=1e-6)
    torch.testing.assert_close(got.double(), expected, rtol=1e-3, atol=1e-3)


def edge_cases():
    space = draw(12, 4, seed=5)
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


@EVERY_PAIR
def test_empty_batch(similarity, normalization):
    assert relative(torch.zeros(0, 3), draw(5, 3, dtype=torch.float32), similarity, normalization).shape == (0, 5)


@EVERY_PAIR
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_the_rounded_float32_value(similarity, normalization, dtype):
    x, anchors = draw(8, 5, seed=1, dtype=dtype), draw(6, 5, seed=2, dtype=dtype)
    got = relative(x, anchors, similarity, normalization)
    assert got.dtype == dtype
    assert torch.equal(got, relative(x.float(), anchors.float(), similarity, normalization).to(dtype))
    assert apply_map(x, *normalizing_map(anchors, normalization)).dtype == dtype


@EVERY_PAIR
def test_autocast_changes_nothing_and_lets_types_mix(similarity, normalization):
    x, anchors = draw(8, 5, seed=1, dtype=torch.float32), draw(6, 5, seed=2, dtype=torch.float32)
    expected = relative(x, anchors, similarity, normalization)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(relative(x, anchors, similarity, normalization), expected)
        mixed = relative(x.bfloat16(), anchors, similarity, normalization)
    assert mixed.dtype == torch.bfloat16
    torch.testing.assert_close(mixed.float(), expected, rtol=0.05, atol=0.05)


@looped("similarity, normalization", WHITENING)
@pytest.mark.parametrize("count", [3, 5])  # fewer than F; F, of which centering takes one dimension
def test_no_shrinkage_without_spanning_anchors_is_an_error(similarity, normalization, count):
    with pytest.raises(InputError, match="'shrinkage' must be larger where the anchors do not span"):
        relative(draw(4, 5, seed=1), draw(count, 5, seed=2), similarity, normalization, shrinkage=0)
    enough = relative(draw(4, 5, seed=1), draw(6, 5, seed=2), similarity, normalization, shrinkage=0)
    assert enough.isfinite().all()
