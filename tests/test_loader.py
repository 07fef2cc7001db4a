"""Mini-batches with anchors, compared with the whole graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Data, HeteroData
from torch_geometric.nn import GCNConv, SAGEConv
from torch_geometric.utils import k_hop_subgraph

import relgraph as rg
from relgraph.errors import InputError
from relgraph.nn import GATEncoder, GCNEncoder, GINEncoder, Model, RelativeLayer, SAGEEncoder
from relgraph.nn.model import RelativeModel
from tests.spaces import normal

NODES = 60


def graph(strategy: str = "random", directed: bool = False) -> Data:
    edges = torch.randint(NODES, (2, 90), generator=torch.Generator().manual_seed(0))
    edges = edges if directed else torch.hstack([edges, edges.flip(0)])
    data = Data(
        x=normal(NODES, 5).double(), edge_index=edges, y=torch.arange(NODES) % 3, node_id=torch.arange(NODES) * 7
    )
    data.edge_weight = torch.rand(edges.size(1), generator=torch.Generator().manual_seed(1)) + 0.5
    return rg.AddAnchors(6, strategy)(data)


def test_a_batch_is_the_subgraph_of_the_nodes_the_anchors_and_their_neighborhoods() -> None:
    data = graph()
    anchors = rg.anchor_index(data)
    loader = rg.AnchorLoader(data, 8, num_hops=2, input_nodes=torch.arange(50, 10, -1), shuffle=False)
    seen = []
    for batch in loader:
        seen += batch.n_id[: batch.batch_size].tolist()
        expected = k_hop_subgraph(torch.cat([batch.n_id[: batch.batch_size], anchors]), 2, data.edge_index)[0]
        assert sorted(batch.n_id.tolist()) == expected.tolist() and batch.num_nodes == len(expected)
        for name in ("x", "y", "node_id", "anchor_rank"):
            assert torch.equal(batch[name], data[name][batch.n_id]), name
        assert torch.equal(batch.n_id[rg.anchor_index(batch)], anchors)
        kept = torch.isin(data.edge_index, batch.n_id).all(0)
        expected_edges = sorted(zip(*data.edge_index[:, kept].tolist(), data.edge_weight[kept].tolist(), strict=True))
        assert sorted(zip(*batch.n_id[batch.edge_index].tolist(), batch.edge_weight.tolist(), strict=True)) == (
            expected_edges
        )
    assert seen == list(range(50, 10, -1))


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize(
    ("encoder", "hops"), [(GCNEncoder, 3), (SAGEEncoder, 2), (GINEncoder, 2), (GATEncoder, 2)], ids=lambda v: str(v)
)
def test_whole_neighborhoods_give_the_outputs_of_the_whole_graph(encoder: type, hops: int, directed: bool) -> None:
    data = graph("kmeans", directed)
    torch.manual_seed(0)
    model = RelativeModel(encoder(5, 8), RelativeLayer("cosine", "center"), nn.Linear(6, 3)).double().eval()
    data.edge_weight = None if encoder in (GINEncoder, GATEncoder) else data.edge_weight.double()
    loader = rg.AnchorLoader(data, 7, num_hops=hops, shuffle=True)
    for batch in loader:
        size = batch.batch_size
        torch.testing.assert_close(model(batch)[:size], model(data)[batch.n_id[:size]])
    torch.testing.assert_close(loader.embed(model), model.embed(data))
    about = {"version": "v2", "time": "2026-03-01"}
    space, whole = loader.publish(model, **about), rg.AnchorSet.from_embeddings(model.embed(data), data, **about)
    assert torch.equal(space.ids, whole.ids) and space.fingerprint == whole.fingerprint
    assert (space.version, space.time) == (whole.version, whole.time) == ("v2", "2026-03-01")
    for name in ("embeddings", "center", "weights"):
        torch.testing.assert_close(getattr(space, name), getattr(whole, name))


def test_gradients_are_those_of_the_whole_graph() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.conv2 = SAGEConv(5, 8), SAGEConv(8, 8)
            self.relative, self.head = rg.RelativeLayer(), nn.Linear(6, 3)

        def forward(self, data: Data) -> Tensor:
            z = self.conv2(self.conv(data.x, data.edge_index).relu(), data.edge_index)
            return self.head(self.relative(z, rg.anchor_index(data)))

    data = graph()
    torch.manual_seed(0)
    net = Net().double()

    def gradients(batches: list[Data]) -> list[Tensor]:
        net.zero_grad()
        for batch in batches:
            size = batch.get("batch_size", NODES)
            nn.functional.cross_entropy(net(batch)[:size], batch.y[:size], reduction="sum").backward()
        return [parameter.grad.clone() for parameter in net.parameters()]

    for got, expected in zip(gradients(list(rg.AnchorLoader(data, 16, num_hops=2))), gradients([data]), strict=True):
        torch.testing.assert_close(got, expected)


def test_one_hop_fewer_is_not_the_whole_graph() -> None:
    data = graph()
    torch.manual_seed(0)
    model = Model(GCNEncoder(5, 8), nn.Linear(8, 3)).double().eval()
    assert not torch.allclose(rg.AnchorLoader(data, 4, num_hops=1).embed(model), model.embed(data), atol=1e-3)


def test_without_gradients_in_evaluation_mode_and_the_mode_is_kept() -> None:
    data = graph()
    model = Model(GCNEncoder(5, 8, dropout=0.9), nn.Linear(8, 3)).double().train()
    loader = rg.AnchorLoader(data, 16, num_hops=3, input_nodes=data.y == 0)
    z = loader.embed(model)
    assert model.training and not z.requires_grad and torch.equal(z, loader.embed(model)) and len(z) == NODES // 3
    torch.testing.assert_close(loader.publish(model).center, z.mean(0), rtol=1e-12, atol=1e-12)


def test_neighbors_are_sampled_around_nodes_and_anchors(monkeypatch: pytest.MonkeyPatch) -> None:
    data, asked = graph(), []

    class Sampler:
        def __init__(self, data: Data, num_neighbors: list[int]) -> None:
            self.data = data
            asked.append(num_neighbors)

        def __call__(self, index: Tensor) -> Data:
            asked.append(index.tolist())
            return Data(n_id=index, anchor_rank=self.data.anchor_rank[index], num_anchors=6, batch_size=len(index))

    monkeypatch.setattr("torch_geometric.loader.NeighborLoader", Sampler)
    monkeypatch.setattr("torch_geometric.typing.WITH_PYG_LIB", True)
    anchors = rg.anchor_index(data)
    first = int(anchors[0])
    batch = next(iter(rg.AnchorLoader(data, 2, num_neighbors=[3, 2], input_nodes=torch.tensor([first, 0, 1]))))
    others = [int(row) for row in anchors if int(row) not in (first, 0)]
    assert asked == [[3, 2], [first, 0, *others]] and batch.batch_size == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "'num_hops' or 'num_neighbors' must be given, and not both .got neither."),
        ({"num_hops": 1, "num_neighbors": [1]}, "and not both .got both."),
        ({"num_hops": -1}, "'num_hops' must not be negative .got -1."),
        ({"num_hops": 1, "input_nodes": torch.tensor([60])}, "'input_nodes' must be a mask of 60 nodes, or rows"),
        ({"num_hops": 1, "input_nodes": torch.ones(3, dtype=torch.bool)}, "'input_nodes' must be a mask of 60 nodes"),
        ({"num_hops": 1, "input_nodes": torch.rand(60)}, "got torch.float32 of shape"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        rg.AnchorLoader(graph(), 4, **options)  # type: ignore[arg-type]


def test_sampling_without_a_sampler_a_graph_without_anchors_and_no_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WITH_PYG_LIB", "WITH_TORCH_SPARSE"):
        monkeypatch.setattr(f"torch_geometric.typing.{name}", False)
    with pytest.raises(InputError, match="'num_neighbors' needs pyg-lib or torch-sparse .*; use 'num_hops'"):
        rg.AnchorLoader(graph(), 4, num_neighbors=[2])
    with pytest.raises(InputError, match="apply relgraph.AddAnchors first"):
        rg.AnchorLoader(Data(x=normal(3, 2), edge_index=torch.zeros(2, 0, dtype=torch.int64)), 4, num_hops=1)
    empty = rg.AnchorLoader(graph(), 4, num_hops=1, input_nodes=torch.zeros(NODES, dtype=torch.bool))
    model = Model(GCNConv(5, 4), nn.Identity())
    for call in (empty.embed, empty.publish):
        with pytest.raises(InputError, match="'input_nodes' must name at least one node"):
            call(model)
    data = graph()
    data.edge_index = None
    with pytest.raises(InputError, match="'data' must have 'edge_index' .got none."):
        rg.AnchorLoader(data, 4, num_hops=1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batch_size": 0}, "'batch_size' must be at least 1"),
        ({"batch_size": -1}, "'batch_size' must be at least 1"),
        ({"batch_size": 2.5}, "'batch_size' must be a whole number"),
        ({"batch_size": None}, "'batch_size' must be a whole number"),
        ({"num_hops": 1.5}, "'num_hops' must be a whole number"),
        ({"num_hops": "2"}, "'num_hops' must be a whole number"),
        ({"input_nodes": "mask"}, "'input_nodes' must be .* .got 'mask', and the graph has train_mask"),
        ({"input_nodes": object()}, "'input_nodes' must be a tensor, or an array or list"),
        ({"input_nodes": [0.5]}, "'input_nodes' must be a mask of 60 nodes, or rows"),
        ({"input_nodes": np.array([1, 0], dtype="u1")}, "'input_nodes' must be a mask of 60 nodes, or rows"),
    ],
)
def test_wrong_arguments_are_one_sentence(wrong: dict[str, Any], message: str) -> None:
    data = graph()
    data.train_mask = torch.arange(NODES) < 9
    with pytest.raises(InputError, match=message):
        rg.AnchorLoader(data, **({"batch_size": 4, "num_hops": 1} | wrong))


@pytest.mark.parametrize("dtype", ["i1", "i2", "u2", "u4", "u8", "i4"])
def test_rows_of_any_integer_type_and_names_of_masks(dtype: str) -> None:
    data = graph()
    data.train_mask = torch.arange(NODES) % 7 == 0
    rows = data.train_mask.nonzero().view(-1)
    for nodes in ("train_mask", rows.numpy().astype(dtype), rows.tolist()):
        assert torch.equal(rg.AnchorLoader(data, 4, num_hops=1, input_nodes=nodes).nodes, rows)


def test_no_nodes_give_no_batches_and_other_models_are_refused() -> None:
    data = graph()
    for nodes in ([], torch.zeros(NODES, dtype=torch.bool)):
        assert not list(rg.AnchorLoader(data, 4, num_hops=1, input_nodes=nodes, shuffle=True))
    loader = rg.AnchorLoader(data, 4, num_hops=1)
    for call in (loader.publish, loader.embed):
        for other in (GCNConv(5, 3), None):
            with pytest.raises(InputError, match="'model' must be a relgraph.Model"):
                call(other)
    with pytest.raises(InputError, match="'data' must hold one type of nodes .got node types paper, author"):
        both = HeteroData()
        both["paper"].x, both["author"].x = torch.ones(3, 1), torch.ones(2, 1)
        rg.AnchorLoader(rg.AddAnchors(2, node_type="paper")(both), 2, num_hops=1)
