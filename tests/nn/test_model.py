"""Models: arguments of encoders and heads, modes and gradients, relative models."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Data, HeteroData
from torch_geometric.nn import GCN, GCNConv, SAGEConv, Sequential

import relgraph as rg
from relgraph.errors import InputError
from relgraph.nn.encoders import GCNEncoder, SAGEEncoder
from relgraph.nn.model import Model, RelativeModel, TailHead, call_with_graph, head_arguments


@pytest.fixture
def data() -> Data:
    generator = torch.Generator().manual_seed(0)
    data = Data(x=torch.rand(7, 3, generator=generator), edge_index=torch.tensor([[0, 1, 2, 3], [1, 0, 3, 4]]))
    data.edge_weight = torch.tensor([0.5, 2.0, 1.0, 3.0])
    data.edge_attr = torch.rand(4, 2, generator=generator)
    data.anchor_rank, data.num_anchors = torch.tensor([-1, 2, -1, 0, 1, -1, -1]), 3
    return data


class Seen(nn.Module):
    """Records its arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.got: dict[str, Any] = {}

    def note(self, x: Tensor, **got: Any) -> Tensor:
        self.got = got
        return x


class Plain(Seen):
    def forward(self, x, edge_index):
        return self.note(x, edge_index=edge_index)


class Weighted(Seen):
    def forward(self, x, edge_index, edge_weight=None):
        return self.note(x, edge_index=edge_index, edge_weight=edge_weight)


class Attributed(Seen):
    def forward(self, x, edge_index, *, edge_attr=None):
        return self.note(x, edge_index=edge_index, edge_attr=edge_attr)


class Both(Seen):
    def forward(self, x, edge_index, edge_weight=None, edge_attr=None, batch=None):
        return self.note(x, edge_index=edge_index, edge_weight=edge_weight, edge_attr=edge_attr, batch=batch)


class Whole(Seen):
    def forward(self, graph):
        return self.note(graph.x, graph=graph)


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (Plain, ["edge_index"]),
        (Weighted, ["edge_index", "edge_weight"]),
        (Attributed, ["edge_index", "edge_attr"]),
        (Both, ["edge_index", "edge_weight", "edge_attr", "batch"]),
    ],
)
def test_arguments_are_passed_by_name_if_the_graph_has_them(data: Data, kind: type[Seen], names: list[str]) -> None:
    encoder = kind()
    assert call_with_graph(encoder, data) is data.x
    assert list(encoder.got) == names
    for name in names:
        assert encoder.got[name] is (None if name == "batch" else data[name])
    del data.edge_weight, data.edge_attr
    call_with_graph(encoder, data)
    assert {name for name in names if encoder.got[name] is not None} == {"edge_index"}


def test_an_encoder_with_the_argument_graph_gets_the_graph(data: Data) -> None:
    encoder = Whole()
    assert call_with_graph(encoder, data) is data.x
    assert encoder.got["graph"] is data


def test_gcn_reads_edge_weights_and_sage_does_not(data: Data) -> None:
    plain = data.clone()
    del plain.edge_weight
    gcn, sage = Model(GCNEncoder(3, 8), nn.Identity()), Model(SAGEEncoder(3, 8), nn.Identity())
    assert not torch.allclose(gcn.embed(data), gcn.embed(plain))
    assert torch.equal(gcn.embed(data), gcn.encoder.eval()(data.x, data.edge_index, data.edge_weight))
    assert torch.equal(sage.embed(data), sage.embed(plain))


@pytest.mark.parametrize(
    "encoder",
    [
        GCN(3, 8, num_layers=2),
        GCNConv(3, 8),
        Sequential("x, edge_index", [(GCNConv(3, 8), "x, edge_index -> x"), nn.ReLU()]),
    ],
    ids=["GCN", "GCNConv", "Sequential"],
)
def test_modules_of_pyg_are_encoders(data: Data, encoder: nn.Module) -> None:
    model = Model(encoder, nn.Linear(8, 2))
    assert model.embed(data).shape == (7, 8) and model.predict(data).shape == (7, 2)


class Marked(nn.Module):
    """Records the mode and whether gradients are on in a call."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5))

    def forward(self, x, edge_index):
        self.mode = (self.training, self.inner.training, self.inner[1].training, torch.is_grad_enabled())
        return self.inner(x)


@pytest.mark.parametrize("call", ["embed", "predict"])
def test_the_mode_of_every_part_is_restored(data: Data, call: str) -> None:
    model = Model(Marked(), nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 2)))
    model.train()
    model.encoder.inner[1].eval()  # a frozen module in a model in training mode
    before = [part.training for part in model.modules()]
    out = getattr(model, call)(data)
    assert model.encoder.mode == (False, False, False, False)
    assert [part.training for part in model.modules()] == before
    assert not out.requires_grad and torch.is_grad_enabled()
    assert torch.equal(out, getattr(model, call)(data))


def test_the_mode_is_restored_after_an_error(data: Data) -> None:
    model = Model(nn.Bilinear(3, 3, 4), nn.Linear(4, 2)).train()
    with pytest.raises(RuntimeError):
        model.embed(data)  # a bilinear map cannot take edges as its second input
    assert all(part.training for part in model.modules()) and torch.is_grad_enabled()


def test_embedding_and_calling_keep_gradients_and_mode(data: Data) -> None:
    model = Model(Marked(), nn.Linear(4, 2)).train()
    assert model.encode(data).requires_grad and model(data).requires_grad
    assert model.encoder.mode == (True, True, True, True)
    model(data).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_predict_is_the_head_on_the_embeddings(data: Data) -> None:
    model = Model(GCNEncoder(3, 8), nn.Linear(8, 2))
    torch.testing.assert_close(model.predict(data), model.head(model.embed(data)))


@pytest.mark.parametrize(("similarity", "folds"), [("cosine", True), ("whitened", True), ("rbf", False)])
@pytest.mark.parametrize("linear", [True, False])
def test_a_frozen_relative_model_needs_no_anchors_and_folds_if_it_can(data, similarity, folds, linear) -> None:
    head = nn.Linear(3, 5) if linear else nn.Sequential(nn.Linear(3, 5))
    model = RelativeModel(GCNEncoder(3, 8), rg.RelativeLayer(similarity), head)
    space = rg.AnchorSet.from_embeddings(model.embed(data), data)
    expected = model.head(model.layer(model.embed(data), anchors=space))
    frozen = model.freeze(space)
    del data.anchor_rank
    torch.testing.assert_close(frozen(data), expected, rtol=1e-4, atol=1e-4)
    assert not frozen.training and not any(parameter.requires_grad for parameter in frozen.parameters())
    assert ("RelativeLayer" in repr(frozen)) != (folds and linear)
    assert not model.layer.frozen and all(parameter.requires_grad for parameter in model.parameters())

    model.layer.freeze(space)
    torch.testing.assert_close(model.predict(data), expected)
    torch.testing.assert_close(model.freeze()(data), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("similarity", ["cosine", "euclidean", "whitened"])
def test_a_relative_model_is_encoder_layer_and_head_by_hand(data: Data, similarity: str) -> None:
    model = RelativeModel(GCNEncoder(3, 8), rg.RelativeLayer(similarity), nn.Linear(3, 5))
    z = model.embed(data)
    assert z.shape == (7, 8)
    r = model.layer(z, anchors=z[[3, 4, 1]])
    torch.testing.assert_close(model.predict(data), model.head(r))
    torch.testing.assert_close(model.eval()(data), model.head(r))


def test_a_relative_model_learns_through_nodes_and_anchors(data: Data) -> None:
    model = RelativeModel(GCNEncoder(3, 8, dropout=0.0, input_dropout=0.0), rg.RelativeLayer(), nn.Linear(3, 5))
    model.train()(data).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())


def test_a_relative_model_needs_anchors(data: Data) -> None:
    del data.anchor_rank
    model = RelativeModel(GCNEncoder(3, 8), rg.RelativeLayer(), nn.Linear(3, 5))
    with pytest.raises(rg.errors.InputError, match="must carry anchors"):
        model(data)
    assert model.embed(data).shape == (7, 8)  # absolute embeddings need none


def test_first_arguments_of_other_names_get_features_and_edges() -> None:
    graph = Data(x=torch.rand(3, 2), edge_index=torch.tensor([[0], [1]]), edge_weight=torch.ones(1))
    seen: list[tuple] = []

    class Whole(nn.Module):
        def forward(self, data, flag=False):
            seen.append((data, flag))
            return data.x

    class Features(nn.Module):
        def forward(self, x, scale=1.5):
            seen.append((x, scale))
            return x

    class Edges(nn.Module):
        def forward(self, h, links, *, edge_weight=None):
            seen.append((h, links, edge_weight))
            return h

    for encoder, expected in (
        (Whole(), (graph, False)),
        (Features(), (graph.x, 1.5)),
        (Edges(), (graph.x, graph.edge_index, graph.edge_weight)),
    ):
        call_with_graph(encoder, graph)
        assert all(a is b for a, b in zip(seen.pop(), expected, strict=True))
    sequence = Sequential("x, edge_index", [(GCNConv(2, 4), "x, edge_index -> x"), nn.ReLU()])
    assert call_with_graph(sequence, graph).shape == (3, 4)
    assert call_with_graph(nn.Sequential(nn.Linear(2, 5)), graph).shape == (3, 5)


def test_arguments_are_given_by_name() -> None:
    graph = Data(x=torch.eye(3, 2), edge_index=torch.tensor([[0, 1], [1, 2]]), batch=torch.tensor([0, 0, 1]))
    graph.pos, graph.depth = torch.ones(3, 2), torch.arange(3)
    seen: list[tuple] = []

    class Pooled(nn.Module):
        def forward(self, x, batch):
            seen.append((x, batch))

    class Swapped(nn.Module):
        def forward(self, edge_index, x, depth=None, /, *, pos):
            seen.append((edge_index, x, depth, pos))

    class Late(nn.Module):
        def forward(self, h, edge_index, scale=2, batch=None):
            seen.append((h, edge_index, scale, batch))

    class Anything(nn.Module):
        def forward(self, *args, **kwargs):
            seen.append((*args, len(kwargs)))

    for encoder, expected in (
        (Pooled(), (graph.x, graph.batch)),
        (Swapped(), (graph.edge_index, graph.x, graph.depth, graph.pos)),
        (Late(), (graph.x, graph.edge_index, 2, graph.batch)),
        (Anything(), (graph.x, graph.edge_index, 0)),
    ):
        call_with_graph(encoder, graph)
        assert all(a is b or a == b for a, b in zip(seen.pop(), expected, strict=True))


def test_a_required_argument_that_the_graph_lacks_is_named() -> None:
    class Pooled(nn.Module):
        def forward(self, x, batch):
            return x

    class Timed(nn.Module):
        def forward(self, x, edge_index, time):
            return x

    graph = Data(x=torch.eye(3, 2), edge_index=torch.tensor([[0, 1], [1, 2]]))
    with pytest.raises(InputError, match=r"got a Pooled that needs 'batch'\); set data.batch"):
        call_with_graph(Pooled(), graph)
    with pytest.raises(InputError, match="got a Timed that needs 'time'"):
        call_with_graph(Timed(), graph)
    with pytest.raises(InputError, match="got a SAGEEncoder that needs 'x'"):
        call_with_graph(SAGEEncoder(3, 8), Data(edge_index=graph.edge_index, num_nodes=3))


def test_a_heterogeneous_graph_is_refused_with_its_types() -> None:
    graph = HeteroData()
    graph["paper"].x, graph["author"].x = torch.zeros(3, 2), torch.zeros(2, 2)
    model = Model(GCNEncoder(2, 8), nn.Linear(8, 2))
    for call in (
        lambda: call_with_graph(model.encoder, graph),
        lambda: model.embed(graph),
    ):
        with pytest.raises(InputError, match="'data' must hold one type of nodes .got paper, author"):
            call()


def test_a_model_is_called_like_a_module_of_pyg_or_with_a_graph(data: Data) -> None:
    model = Model(GCNEncoder(3, 8), nn.Linear(8, 2)).eval()
    expected = model(data)
    assert torch.equal(model(data.x, data.edge_index, edge_weight=data.edge_weight), expected)
    assert not torch.equal(model(data.x, data.edge_index), expected)
    assert torch.equal(model.head(model.encode(data.x, data.edge_index, edge_weight=data.edge_weight)), expected)
    relative = RelativeModel(model.encoder, rg.RelativeLayer(), nn.Linear(3, 2)).eval()
    rows = torch.tensor([3, 4, 1])
    given = {"edge_weight": data.edge_weight, "anchor_index": rows}
    assert torch.equal(relative(data.x, data.edge_index, **given), relative(data))
    with pytest.raises(InputError, match="exactly one of 'anchor_index' and 'anchors' must be given"):
        relative(data.x, data.edge_index)
    with pytest.raises(InputError, match=r"'x' must be a tensor of features, or a graph \(got list\)"):
        model([[1.0]])


class Scores(nn.Module):
    def forward(self, z, pairs, temperature=1.0, *, edge_weight=None):
        return (z[pairs[0]] * z[pairs[1]]).sum(1) / temperature


class Listed(Scores):
    graph_arguments = ("pairs",)

    def forward(self, z, *args, **kwargs):
        return super().forward(z, *args, **kwargs)


def test_heads_get_parts_of_the_graph_by_name(data: Data) -> None:
    data.pairs = torch.tensor([[0, 1, 2], [3, 4, 5]])
    assert head_arguments(nn.Linear(3, 2), data) == head_arguments(nn.Sequential(nn.ReLU()), data) == {}
    assert head_arguments(Scores(), data) == {"pairs": data.pairs, "edge_weight": data.edge_weight}
    assert head_arguments(Listed(), data) == {"pairs": data.pairs}
    assert head_arguments(Listed(), {"x": data.x}) == {}
    model = Model(GCNEncoder(3, 8), Scores())
    z = model.embed(data)
    expected = (z[:3] * z[3:6]).sum(1)
    torch.testing.assert_close(model.predict(data), expected)
    torch.testing.assert_close(Model(model.encoder, Listed()).predict(data), expected)
    del data.pairs
    with pytest.raises(InputError, match=r"'head' must need nothing .* \(got a Scores that needs 'pairs'\)"):
        model(data)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_rest_of_a_network_is_a_head_behind_its_first_layers(data: Data, k: int) -> None:
    encoder, head = GCNEncoder(3, 8, num_layers=3), nn.Linear(8, 2)
    cut = Model(encoder[:k], TailHead(encoder[k:], head))
    expected = Model(encoder, head).predict(data)
    assert torch.equal(cut.predict(data), expected)
    assert list(head_arguments(cut.head, data)) == ["edge_index", "edge_weight"]
    assert TailHead(encoder.eval()[k:], head).training is False


def test_dropout_draws_the_same_in_slices_as_in_the_whole(data: Data) -> None:
    encoder, head = GCNEncoder(3, 8, num_layers=3), nn.Linear(8, 2)
    cut = Model(encoder[:2], TailHead(encoder[2:], head)).train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        expected = Model(encoder, head)(data)
        torch.manual_seed(5)
        assert torch.equal(cut(data), expected)


def test_every_node_behind_a_slice_depends_on_its_neighbors(data: Data) -> None:
    encoder = GCNEncoder(3, 8).eval()
    tail = TailHead(encoder[1:], nn.Linear(8, 2))
    h = encoder[:1](data.x, data.edge_index)
    moved = h.clone()
    moved[0] += 1
    change = (tail(moved, data.edge_index) - tail(h, data.edge_index)).abs().sum(1)
    assert change[0] > 0 and change[1] > 0 and change[5] == 0


@pytest.mark.parametrize("bare", ["without", "subgraph"])
def test_a_layer_with_an_average_serves_batches_without_anchors(data: Data, bare: str) -> None:
    torch.manual_seed(0)
    model = RelativeModel(GCNConv(3, 4), rg.RelativeLayer(ema=0.9), nn.Linear(3, 2))
    part = data.subgraph(torch.tensor([0, 2, 3])) if bare == "subgraph" else data.clone()
    if bare == "without":
        del part.anchor_rank, part.num_anchors
    for mode in (True, False):
        with pytest.raises(InputError, match="anchor"):
            model.train(mode)(part)
    model.train()(data)
    average = model.layer.ema_anchors.clone()
    for mode in (True, False):
        z = model.train(mode).encode(part)
        expected = model.head(rg.RelativeLayer()(z, anchors=average))
        assert torch.equal(model(part), expected) and torch.equal(model.layer.ema_anchors, average)
    data.x = data.x * 2
    model.train()(data)  # a whole batch moves it
    assert not torch.equal(model.layer.ema_anchors, average)


def test_parts_that_are_no_modules_are_refused() -> None:
    for head in (len, None, object(), GCNConv):
        with pytest.raises(InputError, match=r"'head' must be a torch module .*; wrap an estimator of "):
            Model(nn.Identity(), head)
    with pytest.raises(InputError, match=r"'encoder' must be a torch module \(got builtin_function_or_method\)"):
        Model(len, nn.Identity())
    with pytest.raises(InputError, match="'head' must be a torch module"):
        RelativeModel(nn.Identity(), rg.RelativeLayer(), len)


def test_edges_of_short_integers_are_those_of_long_ones() -> None:
    data = Data(x=torch.rand(5, 3), edge_index=torch.tensor([[0, 1, 2], [1, 0, 3]]))
    short = data.clone()
    short.edge_index = data.edge_index.int()
    model = Model(SAGEConv(3, 4), nn.Linear(4, 2))
    assert torch.equal(model.embed(short), model.embed(data))
