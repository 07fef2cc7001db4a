from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from relgraph.errors import InputError
from relgraph.nn.relative import RelativeLayer
from relgraph.similarity import NORMALIZATIONS, SIMILARITIES, relative

PAIRS = [(s, n) for s in SIMILARITIES for n in NORMALIZATIONS if n == "none" or not SIMILARITIES[s].whitens]
EVERY_PAIR = pytest.mark.parametrize(("similarity", "normalization"), PAIRS)
USES_CENTER = [
    (s, n) for s, n in PAIRS if (SIMILARITIES[s].whitens or n != "none") and (s, n) != ("euclidean", "center")
]
INDEX = torch.tensor([7, 2, 5, 0, 9])


def space(nodes: int = 12, width: int = 4, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(nodes, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype) + 1


def anchor_set(z: torch.Tensor) -> SimpleNamespace:
    return SimpleNamespace(embeddings=z[INDEX], center=z.mean(0))


@EVERY_PAIR
def test_three_ways_to_give_anchors(similarity, normalization):
    z, layer = space(), RelativeLayer(similarity, normalization, shrinkage=0.1)
    by_index = layer(z, INDEX)
    expected = relative(z, z[INDEX], similarity, normalization, shrinkage=0.1)
    assert torch.equal(by_index, expected)
    assert torch.equal(layer(z, anchor_index=INDEX), expected)
    assert torch.equal(layer(z, anchors=z[INDEX]), expected)
    with_center = relative(z, z[INDEX], similarity, normalization, center=z.mean(0), shrinkage=0.1)
    assert torch.equal(layer(z, anchors=anchor_set(z)), with_center)


@pytest.mark.parametrize(("similarity", "normalization"), USES_CENTER)
def test_center_of_the_anchor_set_matters(similarity, normalization):
    z, layer = space(), RelativeLayer(similarity, normalization)
    assert not torch.allclose(layer(z, anchors=anchor_set(z)), layer(z, INDEX), rtol=1e-3)


def test_order_of_anchors_is_the_order_of_coordinates():
    z, layer = space(), RelativeLayer()
    torch.testing.assert_close(layer(z, INDEX.flip(0)), layer(z, INDEX).flip(1))


@EVERY_PAIR
def test_gradients_through_anchors_unless_detached(similarity, normalization):
    z, bank = space().requires_grad_(), space(6, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: RelativeLayer(similarity, normalization)(z, INDEX), z)
    RelativeLayer(similarity, normalization)(z, anchors=bank).square().sum().backward()
    assert bank.grad.abs().sum() > 0
    z.grad = bank.grad = None

    RelativeLayer(similarity, normalization, detach_anchors=True)(z, anchors=bank).square().sum().backward()
    assert bank.grad is None and z.grad.abs().sum() > 0
    by_index = torch.autograd.grad(
        RelativeLayer(similarity, normalization, detach_anchors=True)(z, INDEX).square().sum(), z
    )[0]
    fixed = torch.autograd.grad(
        RelativeLayer(similarity, normalization)(z, anchors=z.detach()[INDEX]).square().sum(), z
    )[0]
    assert torch.equal(by_index, fixed)


def test_detach_reaches_the_center():
    z, center = space(), space(1).view(-1).requires_grad_()
    given = SimpleNamespace(embeddings=z[INDEX], center=center)
    assert RelativeLayer("whitened")(z, anchors=given).requires_grad
    assert not RelativeLayer("whitened", detach_anchors=True)(z, anchors=given).requires_grad


# torch's own tracer makes an instance of every autograd.Function that it meets, and warns of it.
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@EVERY_PAIR
def test_compiles_to_one_graph(similarity, normalization):
    torch._dynamo.reset()
    layer = RelativeLayer(similarity, normalization)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    z = space(dtype=torch.float32).requires_grad_()
    expected = layer(z, INDEX)
    got = compiled(z, INDEX)
    torch.testing.assert_close(got, expected)
    wanted = torch.autograd.grad(expected.square().sum(), z)[0]
    torch.testing.assert_close(torch.autograd.grad(got.square().sum(), z)[0], wanted, rtol=1e-4, atol=1e-5)
    bank = space(5, seed=1, dtype=torch.float32)
    torch.testing.assert_close(compiled(z, anchors=bank), layer(z, anchors=bank))


def test_compiles_with_anchor_set_autocast_and_no_shrinkage():
    torch._dynamo.reset()
    layer = RelativeLayer("whitened", shrinkage=0)
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    z = space(dtype=torch.float32)
    given = anchor_set(z)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(compiled(z.bfloat16(), anchors=given), layer(z.bfloat16(), anchors=given))


@EVERY_PAIR
def test_half_precision_and_autocast(similarity, normalization):
    layer, z = RelativeLayer(similarity, normalization), space(dtype=torch.float32)
    expected = layer(z, INDEX)
    for dtype in (torch.float16, torch.bfloat16):
        got = layer(z.to(dtype), INDEX)
        assert got.dtype == dtype
        torch.testing.assert_close(got.float(), expected, rtol=0.05, atol=0.05)
    encoder = nn.Linear(4, 4, bias=False)
    nn.init.eye_(encoder.weight)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = layer(encoder(z), anchors=z[INDEX])  # bfloat16 nodes, float32 anchors
    torch.testing.assert_close(got.float(), expected, rtol=0.05, atol=0.05)


@EVERY_PAIR
def test_empty_batch_and_degenerate_spaces(similarity, normalization):
    layer = RelativeLayer(similarity, normalization)
    z = space(dtype=torch.float32)
    assert layer(z[:0], anchors=z).shape == (0, 12)
    zero_rows, duplicates, constant = z.clone(), z[[0] * 6 + [1] * 6], torch.full_like(z, 3.3)
    zero_rows[INDEX[:2]] = 0
    for case in (zero_rows, duplicates, constant):
        case.requires_grad_()
        out = layer(case, INDEX)
        out.square().sum().backward()
        assert out.isfinite().all() and case.grad.isfinite().all()


def test_inside_sequential_of_pyg():
    from torch_geometric.nn import GCNConv, Sequential

    edges = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]])
    model = Sequential(
        "x, edge_index, anchor_index",
        [
            (GCNConv(3, 8), "x, edge_index -> z"),
            (RelativeLayer(), "z, anchor_index -> r"),
            (nn.Linear(2, 5), "r -> logits"),
        ],
    )
    model.reset_parameters()
    assert model(torch.rand(4, 3), edges, torch.tensor([0, 2])).shape == (4, 5)


def test_inside_a_users_training_loop():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 5, generator=generator)
    y = (x[:, 0] > 0).long()
    encoder, layer, head = nn.Linear(5, 8), RelativeLayer(), nn.Linear(10, 2)
    with torch.no_grad():
        for parameter in [*encoder.parameters(), *head.parameters()]:
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 2)
    optimizer = torch.optim.Adam([*encoder.parameters(), *head.parameters()], lr=0.05)
    for _ in range(80):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(head(layer(encoder(x), torch.arange(10))), y)
        loss.backward()
        optimizer.step()
    accuracy = (head(layer(encoder(x), torch.arange(10))).argmax(1) == y).float().mean()
    assert accuracy > 0.9


def test_no_state_copies_and_representation():
    layer = RelativeLayer("cosine", "whiten", shrinkage=0.5, detach_anchors=True)
    assert not layer.state_dict() and not list(layer.parameters())
    expected = "RelativeLayer(similarity='cosine', normalization='whiten', shrinkage=0.5, detach_anchors=True)"
    assert repr(copy.deepcopy(layer)) == expected
    assert repr(RelativeLayer("euclidean")) == "RelativeLayer(similarity='euclidean', normalization='none')"
    assert "shrinkage=0.01" in repr(RelativeLayer("whitened"))


def test_wrong_input():
    z, layer = space(), RelativeLayer()
    with pytest.raises(InputError, match="'similarity' must be one of cosine, euclidean, whitened"):
        RelativeLayer("cosinus")
    with pytest.raises(InputError, match="'normalization' must be one of"):
        RelativeLayer("cosine", "centre")
    with pytest.raises(InputError, match="whitening twice"):
        RelativeLayer("whitened", "whiten")
    with pytest.raises(InputError, match="'shrinkage'"):
        RelativeLayer("whitened", shrinkage=-1)
    with pytest.raises(InputError, match=r"exactly one of .* \(got neither\)"):
        layer(z)
    with pytest.raises(InputError, match=r"exactly one of .* \(got both\)"):
        layer(z, INDEX, anchors=z)
    with pytest.raises(InputError, match="'anchor_index' must be a vector of row numbers"):
        layer(z, z[:3])
    with pytest.raises(InputError, match="'anchor_index' must be a vector of row numbers"):
        layer(z, torch.ones(12, dtype=torch.bool))
    with pytest.raises(InputError, match="'anchors' must hold at least one row"):
        layer(z, INDEX[:0])
    with pytest.raises(InputError, match="'anchors' must have as many columns as the embeddings, 4"):
        layer(z, anchors=space(width=3))
    with pytest.raises(
        InputError, match=r"'anchors' must have the embeddings' type torch.float64 \(got torch.float32\)"
    ):
        layer(z, anchors=z.float())
    with pytest.raises(InputError, match="'anchors' must be on the embeddings' device"):
        layer(z, anchors=z.to("meta"))
