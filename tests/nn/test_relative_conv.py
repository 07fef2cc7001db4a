from __future__ import annotations

import copy
import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch_geometric.explain import Explainer, GNNExplainer
from torch_geometric.nn import GCNConv

import relgraph
from relgraph.errors import InputError
from relgraph.nn.anchor_edges import complete_edges, nearest_anchor_edges
from relgraph.nn.relative import RelativeLayer
from relgraph.nn.relative_conv import RelativeConv
from relgraph.similarity import edges as edges_module
from tests.registered import NORMALIZATIONS, SIMILARITIES, looped

PAIRS = [(s, n) for s in SIMILARITIES for n in NORMALIZATIONS if n == "none" or not SIMILARITIES[s].whitens]
EVERY_PAIR = looped("similarity, normalization", PAIRS)
INDEX = torch.tensor([7, 2, 5, 0, 9])
EDGES = torch.tensor([[0, 3, 4, 1, 0], [0, 0, 2, 11, 7]])


def space(nodes: int = 12, width: int = 4, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(nodes, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype) + 1


def shuffled(edges: torch.Tensor) -> torch.Tensor:
    return edges[:, torch.randperm(edges.size(1), generator=torch.Generator().manual_seed(3))]


@EVERY_PAIR
def test_complete_edges_give_the_dense_layer_and_its_gradients(similarity, normalization):
    z, bank = space().requires_grad_(), space(6, seed=1).requires_grad_()
    dense = RelativeLayer(similarity, normalization, shrinkage=0.1)
    conv = RelativeConv(similarity, normalization, shrinkage=0.1)
    center = space(1, seed=2)[0].requires_grad_()
    weight = space(12, 6, seed=4)
    for given in (
        {"anchor_index": INDEX},
        {"anchors": bank},
        {"anchors": SimpleNamespace(embeddings=bank, center=center)},
    ):
        expected = dense(z, **given)
        got = conv(z, shuffled(complete_edges(expected.size(1), 12)), **given)
        # An angle near 0 has the square root of the precision.
        loose = {"rtol": 1e-7, "atol": 1e-7} if similarity == "angular" else {"rtol": 1e-9, "atol": 1e-9}
        torch.testing.assert_close(got, expected, **loose)
        one, two = (
            torch.autograd.grad((r * weight[:, : r.size(1)]).sum(), (z, bank, center), allow_unused=True)
            for r in (got, expected)
        )
        for ours, theirs in zip(one, two, strict=True):
            if ours is None or theirs is None:  # a normalization of "none" uses no center
                assert ours is theirs is None
            else:
                torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@EVERY_PAIR
def test_coordinates_without_an_edge_have_the_fill_value(similarity, normalization):
    z, conv = space(), RelativeConv(similarity, normalization)
    dense = RelativeLayer(similarity, normalization)(z, INDEX)
    for fill in (None, -7.5):
        conv = RelativeConv(similarity, normalization, fill=fill)
        expected = torch.full_like(dense, SIMILARITIES[similarity].fill if fill is None else fill)
        for rank, row in EDGES.T.tolist():
            expected[row, rank] = dense[row, rank]
        torch.testing.assert_close(conv(z, EDGES, INDEX), expected, rtol=1e-7, atol=1e-7)
        nothing = conv(z, EDGES[:, :0], INDEX)
        assert nothing.shape == (12, 5) and (nothing == conv.fill).all()
        assert conv(z[:0], EDGES[:, :0], anchors=z[:3]).shape == (0, 3)


@EVERY_PAIR
def test_a_repeated_edge_counts_once(similarity, normalization):
    z = space().requires_grad_()
    conv = RelativeConv(similarity, normalization, fill=0)
    once, twice = (conv(z, edges, INDEX) for edges in (EDGES, torch.cat([EDGES, EDGES[:, 1:], EDGES[:, 2:4]], 1)))
    assert torch.equal(once, twice)
    one, two = (torch.autograd.grad(r.square().sum(), z)[0] for r in (once, twice))
    assert one.abs().sum() > 0
    torch.testing.assert_close(one, two)


def test_many_edges_in_chunks(monkeypatch):
    z, conv = space(40).requires_grad_(), RelativeConv("l1", "whiten")
    edges = shuffled(complete_edges(30, 40))
    expected = conv(z, edges, anchors=z[:30])
    (wanted,) = torch.autograd.grad(expected.square().sum(), z)
    monkeypatch.setattr(edges_module, "CHUNK", 1)
    got = conv(z, edges, anchors=z[:30])
    assert torch.equal(got, expected)
    torch.testing.assert_close(torch.autograd.grad(got.square().sum(), z)[0], wanted)


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_vectors_of_edges_are_held_for_one_chunk_only(similarity, monkeypatch):
    """Neither ``(E, K)`` nor ``(E, F)`` numbers exist at once, and the chunks are not saved for the gradient."""
    monkeypatch.setattr(edges_module, "CHUNK", 1)
    nodes, width, count = 50, 40, 30
    z, edges = space(nodes, width).requires_grad_(), complete_edges(count, nodes)
    largest, kept = 0, []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            nonlocal largest
            out = function(*args, **(kwargs or {}))
            largest = max(largest, out.numel() if isinstance(out, torch.Tensor) else 0)
            return out

    def keep(tensor):
        kept.append((tensor.untyped_storage().data_ptr(), tensor.untyped_storage().nbytes()))
        return tensor

    with Watch():
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            out = RelativeConv(similarity)(z, edges, anchors=z[:count])
        out.square().sum().backward()
    assert 0 < largest <= max(nodes * width, edges.numel())
    assert sum(dict(kept).values()) < 8 * edges.size(1) * width / 2


@EVERY_PAIR
def test_half_precision_and_autocast(similarity, normalization):
    z, conv = space(dtype=torch.float32), RelativeConv(similarity, normalization)
    expected = conv(z, EDGES, INDEX)
    for dtype in (torch.float16, torch.bfloat16):
        got = conv(z.to(dtype), EDGES, INDEX)
        assert got.dtype == dtype
        torch.testing.assert_close(got.float(), expected, rtol=0.05, atol=0.05)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(conv(z, EDGES, INDEX), expected)


@EVERY_PAIR
def test_degenerate_spaces_are_finite(similarity, normalization):
    conv, edges = RelativeConv(similarity, normalization, fill=1), complete_edges(5, 12)
    zero_rows, constant = space(dtype=torch.float32), torch.full((12, 4), 3.3)
    zero_rows[INDEX[:2]] = 0
    for case in (zero_rows, constant, torch.zeros(12, 4)):
        z = case.clone().requires_grad_()
        out = conv(z, edges, INDEX)
        out.square().sum().backward()
        assert out.isfinite().all() and z.grad.isfinite().all()


def test_detached_anchors():
    z, bank = space().requires_grad_(), space(5, seed=1).requires_grad_()
    RelativeConv("whitened", detach_anchors=True)(z, EDGES, anchors=bank).square().sum().backward()
    assert bank.grad is None and z.grad.abs().sum() > 0


def test_between_two_convolutions_in_a_sequential_of_pyg():
    from torch_geometric.nn import GCNConv, Sequential

    graph = torch.tensor([[0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 0]])
    model = Sequential(
        "x, edge_index, anchor_edges, anchor_index",
        [
            (GCNConv(3, 8), "x, edge_index -> z"),
            (RelativeConv("euclidean", fill=3.0), "z, anchor_edges, anchor_index -> r"),
            nn.ReLU(inplace=True),
            (GCNConv(4, 5), "r, edge_index -> logits"),
        ],
    )
    model.reset_parameters()
    anchor_index = torch.tensor([0, 2, 3, 5])
    x = space(6, 3, dtype=torch.float32)
    edges = nearest_anchor_edges(x, x[anchor_index], 2)
    out = model(x, graph, edges, anchor_index)
    out.square().sum().backward()
    assert out.shape == (6, 5)
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())


# torch's own tracer makes an instance of every autograd.Function that it meets, and warns of it.
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@pytest.mark.parametrize("similarity", ["cosine", "rbf", "whitened"])
def test_compiles_to_one_graph(similarity):
    torch._dynamo.reset()
    conv = RelativeConv(similarity)
    compiled = torch.compile(conv, backend="aot_eager", fullgraph=True)
    z = space(dtype=torch.float32).requires_grad_()
    got, expected = compiled(z, EDGES, INDEX), conv(z, EDGES, INDEX)
    torch.testing.assert_close(got, expected)
    one, two = (torch.autograd.grad(r.square().sum(), z)[0] for r in (got, expected))
    torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)


def test_name_state_and_representation():
    assert relgraph.RelativeConv is RelativeConv
    conv = copy.deepcopy(RelativeConv("cosine", "whiten", fill=-1, shrinkage=0.5, detach_anchors=True))
    assert not conv.state_dict() and not list(conv.parameters())
    expected = "similarity='cosine', normalization='whiten', fill=-1.0, shrinkage=0.5, detach_anchors=True"
    assert repr(conv) == f"RelativeConv({expected})"
    assert RelativeConv("l1").fill == math.inf
    assert repr(RelativeConv()) == "RelativeConv(similarity='cosine', normalization='none', fill=0.0)"


def test_wrong_input():
    z, conv = space(), RelativeConv()
    with pytest.raises(InputError, match="'similarity' must be one of"):
        RelativeConv("cosinus")
    with pytest.raises(InputError, match="whitening twice"):
        RelativeConv("whitened", "center")
    with pytest.raises(InputError, match=r"exactly one of .* \(got neither\)"):
        conv(z, EDGES)
    with pytest.raises(InputError, match=r"exactly one of .* \(got both\)"):
        conv(z, EDGES, INDEX, anchors=z)
    with pytest.raises(InputError, match=r"ranks of anchors from 0 to 4 in row 0 \(got 11\)"):
        conv(z, EDGES.flip(0), INDEX)
    with pytest.raises(InputError, match=r"rows of nodes from 0 to 11 in row 1 \(got 12\)"):
        conv(z, EDGES + torch.tensor([[0], [1]]), INDEX)


class OnGraphAndAnchors(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.conv, self.relative, self.head = GCNConv(3, 4), RelativeConv(), nn.Linear(2, 2)

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
        z = self.conv(x, edge_index)
        return self.head(self.relative(z, complete_edges(2, z.size(0)), torch.tensor([0, 1])))


class OnAnchorsAlone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.relative = RelativeConv()

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
        return self.relative(x, edge_index, torch.tensor([0, 1]))


@pytest.mark.parametrize("kind", [OnGraphAndAnchors, OnAnchorsAlone])
def test_an_explainer_masks_the_edges_that_it_is_given(kind: type[nn.Module]) -> None:
    edges = torch.tensor([[0, 1, 0, 1], [2, 3, 4, 5]])
    explainer = Explainer(
        kind(),
        GNNExplainer(epochs=3),
        explanation_type="model",
        node_mask_type="attributes",
        edge_mask_type="object",
        model_config={"mode": "multiclass_classification", "task_level": "node", "return_type": "raw"},
    )
    with torch.random.fork_rng(devices=[]):
        found = explainer(space(6, 3, dtype=torch.float32), edges)
    assert found.edge_mask.shape == (4,) and bool(found.edge_mask.gt(0).any())
