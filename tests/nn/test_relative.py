from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from relgraph.errors import InputError
from relgraph.nn.relative import RelativeLayer
from relgraph.similarity import relative
from tests.registered import NORMALIZATIONS, SIMILARITIES, looped

PAIRS = [(s, n) for s in SIMILARITIES for n in NORMALIZATIONS if n == "none" or not SIMILARITIES[s].whitens]
EVERY_PAIR = looped("similarity, normalization", PAIRS)
USES_CENTER = [
    (s, n)
    for s, n in PAIRS
    if (SIMILARITIES[s].whitens or n != "none")
    and not (n == "center" and "translation" in SIMILARITIES[s].invariant_to)
]
COMPILED = [(s, n) for s, n in PAIRS if n == "none" or s == "cosine"]  # every similarity, every normalization
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


@looped("similarity, normalization", USES_CENTER)
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
@pytest.mark.parametrize(("similarity", "normalization"), COMPILED)
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


def test_moving_average_of_anchors():
    layer, expected = RelativeLayer("whitened", ema=0.75), None
    for seed in range(4):
        z = space(seed=seed).requires_grad_()
        expected = z[INDEX].detach() if expected is None else 0.75 * expected + 0.25 * z[INDEX].detach()
        got = layer(z, INDEX)
        torch.testing.assert_close(got, relative(z, expected, "whitened"))
    wanted = torch.autograd.grad(relative(z, expected, "whitened").square().sum(), z)[0]
    torch.testing.assert_close(torch.autograd.grad(got.square().sum(), z)[0], wanted)  # none through the anchors
    layer.eval()
    other = space(seed=9)
    for given in ({"anchor_index": INDEX}, {"anchors": other[:3]}, {}):
        torch.testing.assert_close(layer(other, **given), relative(other, expected, "whitened"))
    torch.testing.assert_close(layer.ema_anchors, expected)  # evaluation does not move it


def test_moving_average_of_the_center():
    layer, z, w = RelativeLayer("cosine", "center", ema=0.5), space(), space(seed=1)
    layer(z, anchors=anchor_set(z))
    got = layer(w, anchors=anchor_set(w))
    expected = relative(w, (z + w)[INDEX] / 2, "cosine", "center", center=(z + w).mean(0) / 2)
    torch.testing.assert_close(got, expected)


def test_two_steps_before_one_gradient():
    layer = RelativeLayer(ema=0.5)
    z = space().requires_grad_()
    (layer(z, INDEX).sum() + layer(z * 2, INDEX).square().sum()).backward()
    assert z.grad.isfinite().all()


def test_without_an_average_evaluation_uses_the_anchors_given():
    z = space()
    layer = RelativeLayer(ema=0.9).eval()
    assert torch.equal(layer(z, INDEX), RelativeLayer()(z, INDEX))
    assert layer.ema_anchors is None
    with pytest.raises(InputError, match="exactly one of"):
        layer(z)


def test_average_is_saved_loaded_and_reset():
    z, layer = space(), RelativeLayer(ema=0.9)
    layer(z, INDEX)
    other = RelativeLayer(ema=0.9)
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other.eval()(z), layer.eval()(z))
    larger = RelativeLayer(ema=0.9)
    larger(z, anchors=z)
    larger.load_state_dict(layer.state_dict())  # another number of anchors
    assert torch.equal(larger.eval()(z), layer(z))
    assert "ema=0.9" in repr(copy.deepcopy(layer))
    layer.train().reset_parameters()
    assert not layer.state_dict()
    torch.testing.assert_close(layer(2 * z, INDEX), relative(2 * z, 2 * z[INDEX]))


def test_average_keeps_float32_in_half_precision():
    layer, z = RelativeLayer(ema=0.999), torch.ones(3, 2, dtype=torch.bfloat16)
    layer(z, torch.tensor([0]))
    for _ in range(10):
        got = layer(2 * z, torch.tensor([0]))
    assert got.dtype == torch.bfloat16 and layer.ema_anchors.dtype == torch.float32
    torch.testing.assert_close(layer.ema_anchors, torch.full((1, 2), 2 - 0.999**10))  # bfloat16 would stand still


@EVERY_PAIR
@pytest.mark.parametrize("centered", [False, True])
def test_frozen_layer_needs_no_anchor(similarity, normalization, centered):
    z, layer = space(), RelativeLayer(similarity, normalization)
    given = anchor_set(z) if centered else z[INDEX].clone()
    expected = layer(z, anchors=given)
    assert not layer.frozen and layer.freeze(given) is layer and layer.frozen
    assert torch.equal(layer(z), expected)
    torch.testing.assert_close(layer(z[3:5]), expected[3:5])
    assert torch.equal(layer(z, INDEX.flip(0)), expected)  # what is given besides is not looked at
    if not centered:
        given.zero_()
        assert torch.equal(layer(z), expected)  # a copy
    loaded = RelativeLayer(similarity, normalization)
    loaded.load_state_dict(layer.state_dict())
    assert loaded.frozen and torch.equal(loaded(z), expected)
    assert repr(loaded).endswith("frozen=5 anchors)")
    torch.testing.assert_close(layer(z.float()).double(), expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(layer.half()(z.half()).double(), expected, rtol=0.05, atol=0.05)
    layer.reset_parameters()
    assert not layer.frozen


def test_freezing_the_average():
    z, layer = space(), RelativeLayer("cosine", "whiten", ema=0.9)
    layer(z, anchors=anchor_set(z))
    layer.freeze()
    layer(z + 5, anchors=z)  # still in training mode, yet nothing moves
    torch.testing.assert_close(layer(z), RelativeLayer("cosine", "whiten")(z, anchors=anchor_set(z)))
    layer.reset_parameters()
    assert not layer.frozen
    with pytest.raises(InputError, match="'anchors' must be given where no average was trained"):
        layer.freeze()


@pytest.mark.parametrize("mode", ["frozen", "average", "first average"])
def test_stored_anchors_compile_to_one_graph(mode):
    torch._dynamo.reset()
    z, layer = space(dtype=torch.float32), RelativeLayer("whitened", ema=None if mode == "frozen" else 0.5)
    if mode == "frozen":
        layer.freeze(z[INDEX])
    elif mode == "average":
        layer(z, INDEX)
    plain = copy.deepcopy(layer)
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    given = () if mode == "frozen" else (INDEX,)
    for scale in (1, 2, 3):
        torch.testing.assert_close(compiled(scale * z, *given), plain(scale * z, *given))


def test_wrong_input_of_stored_anchors():
    z, layer = space(), RelativeLayer(ema=0.9)
    for wrong in (-0.1, 1.0, float("nan")):
        with pytest.raises(InputError, match="'ema' must be at least 0 and below 1"):
            RelativeLayer(ema=wrong)
    layer(z, INDEX)
    with pytest.raises(InputError, match=r"must keep the shape of their average, \(5, 4\) \(got \(4, 4\)\)"):
        layer(z, INDEX[:4])
    with pytest.raises(InputError, match="'anchors' must hold at least one row"):
        layer.freeze(z[:0])
    with pytest.raises(InputError, match="floating point"):
        layer.freeze(torch.ones(3, 2, dtype=torch.int64))


def test_wrong_input():
    z, layer = space(), RelativeLayer()
    with pytest.raises(InputError, match="'similarity' must be one of angular, cosine, dot, "):
        RelativeLayer("cosinus")
    with pytest.raises(InputError, match="'normalization' must be one of"):
        RelativeLayer("cosine", "middle")
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


def test_arrays_and_lists_are_taken_and_rows_that_are_not_there_are_refused():
    z, layer = space(), RelativeLayer()
    expected = layer(z, INDEX)
    for index in (INDEX.tolist(), INDEX.numpy(), INDEX.numpy().astype("u2"), INDEX.numpy().astype("i2")):
        assert torch.equal(layer(z, index), expected)
    assert torch.equal(layer(z.numpy(), INDEX), expected)
    assert torch.equal(layer(z, anchors=z[INDEX].numpy()), expected)
    for wrong in ([0, 99], torch.tensor([0, 99])):
        with pytest.raises(InputError, match=r"'anchor_index' must name rows of the \d+ embeddings \(got 0 to 99\)"):
            layer(z, wrong)
    with pytest.raises(InputError, match="'z' must be a tensor, or an array or list of numbers"):
        layer(object(), INDEX)
    with pytest.raises(InputError, match="'anchor_index' must be a vector of row numbers"):
        layer(z, [0.0, 1.0])


def test_with_an_average_training_needs_no_anchors_in_each_batch():
    z, layer = space(), RelativeLayer(ema=0.9)
    layer(z, INDEX)
    average = layer.ema_anchors.clone()
    assert torch.equal(layer(z[:3]), RelativeLayer()(z[:3], anchors=average))
    assert torch.equal(layer.ema_anchors, average)
