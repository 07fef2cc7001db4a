"""A graph laid out as a whole gives what message passing gives, forward and backward, in whatever order it stands."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.utils import to_undirected

import relgraph as rg
from relgraph.errors import InputError
from relgraph.nn.encoders import ENCODERS, make_encoder
from relgraph.training import TrainSettings, fit_many
from relgraph.training.whole_graph import WholeGraph, can_see_whole


def graph(nodes: int = 60, *, directed: bool = False, weighted: bool = False) -> Data:
    generator = torch.Generator().manual_seed(0)
    edges = torch.randint(nodes - 3, (2, 4 * nodes), generator=generator)  # the last three are isolated
    edges = edges if directed else to_undirected(edges)
    data = Data(x=torch.randn(nodes, 7, generator=generator), edge_index=edges, y=torch.arange(nodes) % 3)
    if weighted:
        data.edge_weight = torch.rand(edges.size(1), generator=generator) + 0.1
    for name, part in (("train_mask", slice(0, 30)), ("val_mask", slice(30, 45)), ("test_mask", slice(45, None))):
        data[name] = torch.zeros(nodes, dtype=torch.bool)
        data[name][part] = True
    return data


@pytest.mark.parametrize("encoder", ["gcn", "sage"])
@pytest.mark.parametrize("layers", [2, 3, 4])
@pytest.mark.parametrize("directed", [False, True])
def test_every_part_equals_message_passing(encoder: str, layers: int, directed: bool) -> None:
    data = graph(directed=directed)
    model, whole = make_encoder(encoder, 7, num_layers=layers, hidden_channels=5).eval(), WholeGraph(data)
    for start in range(layers):
        state = data.x if start == 0 else model.part(data.x, 0, start, data.edge_index)
        inside = whole.x if start == 0 else whole.inside(state)
        for stop in range(start + 1, layers + 1):
            found = whole.outside(whole.part(model, inside, start, stop))
            torch.testing.assert_close(found, model.part(state, start, stop, data.edge_index), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(whole.encode(model, 1), model.part(data.x, 0, 1, data.edge_index), rtol=1e-4, atol=1e-5)


def test_weights_of_edges_count() -> None:
    data = graph(weighted=True)
    model = make_encoder("gcn", 7).eval()
    found = WholeGraph(data).encode(model)
    torch.testing.assert_close(found, model(data.x, data.edge_index, data.edge_weight), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(found, model(data.x, data.edge_index), atol=1e-3)


@pytest.mark.parametrize("encoder", ["gcn", "sage"])
def test_gradients_equal_those_of_message_passing(encoder: str) -> None:
    data = graph()
    model, whole = make_encoder(encoder, 7, num_layers=3, hidden_channels=5).eval(), WholeGraph(data)
    weights = torch.randn(60, model.out_channels, generator=torch.Generator().manual_seed(1))
    plain = torch.autograd.grad((model(data.x, data.edge_index) * weights).sum(), list(model.parameters()))
    inside = (whole.part(model, whole.x, 0, 3) * whole.inside(weights)).sum()
    for found, wanted in zip(torch.autograd.grad(inside, list(model.parameters())), plain, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)


def test_the_order_is_a_permutation_that_brings_neighbours_together() -> None:
    # A path whose nodes are shuffled: side by side again, every step of it is between neighbours in memory.
    shuffled = torch.randperm(200, generator=torch.Generator().manual_seed(0))
    edges = to_undirected(torch.stack([shuffled[:-1], shuffled[1:]]))
    whole = WholeGraph(Data(x=torch.zeros(200, 1), edge_index=edges, y=torch.zeros(200, dtype=torch.long)))
    assert whole.order.sort().values.tolist() == list(range(200))
    assert int((whole.places(edges[0]) - whole.places(edges[1])).abs().max()) == 1
    rows = torch.tensor([3, 150])
    assert whole.order[whole.places(rows)].tolist() == rows.tolist()


@pytest.mark.parametrize("encoder", ["gcn", "sage"])
@pytest.mark.parametrize("head", ["linear", "relative-cosine"])
def test_training_without_dropout_equals_the_plain_loop(encoder: str, head: str) -> None:
    data = rg.AddAnchors(6)(graph())
    settings = TrainSettings(epochs=8, num_layers=3, hidden_channels=6, dropout=0.0, input_dropout=0.0)
    whole = fit_many(data, encoder, [0], head=head, settings=settings, path="whole")[0]
    loop = fit_many(data, encoder, [0], head=head, settings=settings, path="loop")[0]
    assert (whole.path, loop.path) == ("whole", "loop")
    assert whole.history.train_loss == pytest.approx(loop.history.train_loss, rel=1e-3)
    torch.testing.assert_close(whole.model.predict(data), loop.model.predict(data), rtol=1e-2, atol=1e-3)


def test_a_large_graph_is_trained_whole_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relgraph.training.fitting.LARGE", 60)
    settings = TrainSettings(epochs=2)
    assert fit_many(graph(), "gcn", [0], settings=settings)[0].path == "whole"
    assert fit_many(graph(), "gat", [0], settings=settings)[0].path == "loop"
    monkeypatch.setattr("relgraph.training.fitting.LARGE", 61)
    assert fit_many(graph(), "gcn", [0], settings=settings)[0].path == "stacked"


def test_same_seed_same_bits() -> None:
    settings = TrainSettings(epochs=5, num_layers=3)
    one, two = (fit_many(graph(), "sage", [7], settings=settings, path="whole")[0] for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.model.parameters(), two.model.parameters(), strict=True))


def test_others_are_refused() -> None:
    assert {name for name in ENCODERS if can_see_whole(make_encoder(name, 3))} == {"gcn", "sage"}
    with pytest.raises(InputError, match="'path' must be 'auto' or 'loop' for the encoder 'gat'"):
        fit_many(graph(), "gat", [0], path="whole")
