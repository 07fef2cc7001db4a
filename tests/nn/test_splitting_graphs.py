"""Heterogeneous graphs, tuples and further arguments."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch_geometric.nn as gnn
from torch import nn
from torch_geometric.data import Data, HeteroData

import relgraph as rg
from relgraph.errors import InputError
from tests.nn.parts import N, Variational, agree, graph

pytestmark = pytest.mark.usefixtures("seeded_globally")


@pytest.fixture
def data() -> Data:
    return graph()


class Hetero(nn.Module):
    def __init__(self, metadata: Any) -> None:
        super().__init__()
        inner = gnn.GraphSAGE((-1, -1), 8, 2, 8)
        self.gnn, self.last = gnn.to_hetero(inner, metadata), nn.Linear(8, 3)

    def forward(self, x_dict, edge_index_dict):
        return self.last(self.gnn(x_dict, edge_index_dict)["paper"])


@pytest.fixture
def papers() -> HeteroData:
    generator = torch.Generator().manual_seed(0)
    data = HeteroData()
    data["paper"].x, data["author"].x = torch.rand(40, 5, generator=generator), torch.rand(20, 4, generator=generator)
    ends = torch.randint(0, 20, (2, 90), generator=generator)
    data["author", "writes", "paper"].edge_index, data["paper", "by", "author"].edge_index = ends, ends.flip(0)
    found: HeteroData = rg.AddAnchors(15, node_type="paper")(data)
    return found


def test_heterogeneous_graphs_with_one_type_of_anchors(papers: HeteroData) -> None:
    models = []
    for _ in range(2):
        model = Hetero(papers.metadata()).eval()
        expected = model(papers.x_dict, papers.edge_index_dict)
        models.append(agree(model, papers, expected, node_type="paper"))
        assert models[-1].embed(papers).shape == (40, 8)
        own = rg.Model(model.gnn, model.last, node_type="paper")  # an encoder that returns a dictionary
        assert torch.equal(own(papers), expected)
    network = rg.stitch(*models, papers)
    assert network(papers).shape == (40, 3)
    with pytest.raises(InputError, match=r"'node_type' must be one of author, paper \(got 'papers'\)"):
        rg.stitch(rg.Model(models[0].encoder, models[0].head, node_type="papers"), models[1], papers)
    with pytest.raises(InputError, match="must hold one type of nodes .got paper, author.*node_type"):
        rg.Model(models[0].encoder, models[0].head)(papers)


class ByType(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.last = gnn.SAGEConv((-1, -1), 8), gnn.SAGEConv((-1, -1), 8), gnn.Linear(-1, 3)

    def forward(self, x, edge_index):
        return self.last(self.two(self.one(x, edge_index).relu(), edge_index).relu())


@pytest.mark.parametrize("build", [ByType, lambda: gnn.GraphSAGE((-1, -1), 8, 2, 3)])
def test_a_module_that_returns_all_types_is_cut_at_the_one_that_is_named(papers: HeteroData, build: Any) -> None:
    papers["paper", "cites", "paper"].edge_index = torch.randint(0, 40, (2, 60))
    model = gnn.to_hetero(build(), papers.metadata()).eval()
    expected = model(papers.x_dict, papers.edge_index_dict)
    for node_type, count in (("paper", 40), ("author", 20)):
        cuts = 0
        for at in (None, *range(1, 9)):
            try:
                parts = rg.split(model, at, node_type=node_type)
            except InputError as error:
                assert error.argument == "at"
                continue
            cuts += 1
            assert parts.embed(papers).shape == (count, 3 if isinstance(parts.head, nn.Identity) else 8)
            assert torch.equal(parts.predict(papers), expected[node_type])
        assert cuts >= 2
    with pytest.raises(
        InputError, match=r"'node_type' must be one of author, paper \(got 'papr'\); did you mean 'paper'"
    ):
        rg.split(model, node_type="papr")


def test_the_head_of_a_type_is_its_last_layer_and_other_types_are_refused(papers: HeteroData) -> None:
    model = gnn.to_hetero(ByType(), papers.metadata()).eval()
    model(papers.x_dict, papers.edge_index_dict)
    assert rg.split(model, node_type="paper").head is model.last.paper
    message = r"tensor of 'paper' nodes crosses \(got 'one.paper__by__author', the output of .* on author nodes\)"
    with pytest.raises(InputError, match=message):
        rg.split(model, "one.paper__by__author", node_type="paper")
    whole = Hetero(papers.metadata()).eval()
    whole(papers.x_dict, papers.edge_index_dict)
    with pytest.raises(InputError, match="'node_type' must be one of author, paper .got 'papr'"):
        rg.split(whole, node_type="papr")
    with pytest.raises(InputError, match="'node_type' must be one of author, paper .got 'papr'"):
        rg.Model(gnn.GCNConv(5, 8), nn.Identity(), "papr").embed(papers)
    every = rg.Model(rg.split(whole, node_type="paper").encoder, nn.Identity(), "paper")
    every.head.forward = lambda z: {"paper": z, "author": z[:1]}
    assert every.predict(papers).shape == (40, 8)


def test_a_dictionary_does_not_cross(papers: HeteroData) -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            sizes = {"paper": 5, "author": 4}
            self.one, self.two = (gnn.HGTConv(size, 8, papers.metadata()) for size in (sizes, 8))
            self.last = nn.Linear(8, 3)

        def forward(self, x_dict, edge_index_dict):
            return self.last(self.two(self.one(x_dict, edge_index_dict), edge_index_dict)["paper"])

    model = Attention().eval()
    agree(model, papers, model(papers.x_dict, papers.edge_index_dict), node_type="paper")
    with pytest.raises(InputError, match=r"one tensor crosses \(got a dict of paper, author behind 'one'\)"):
        rg.split(model, 1, node_type="paper")(papers)


def test_encoders_with_tuples_and_further_arguments(data: Data) -> None:
    class Relational(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = gnn.RGCNConv(5, 8, 3), gnn.GATConv(8, 8, edge_dim=2)
            self.last = nn.Linear(8, 3)

        def forward(self, x, edge_index, edge_type, edge_attr):
            h = self.one(x, edge_index, edge_type).relu()
            h, _ = self.two(h, edge_index, edge_attr, return_attention_weights=True)
            return self.last(h)

    data.edge_type, data.edge_attr = torch.arange(4 * N) % 3, torch.rand(4 * N, 2)
    model = Relational().eval()
    expected = model(data.x, data.edge_index, data.edge_type, data.edge_attr)
    assert agree(model, data, expected).head is model.last
    agree(model, data, expected, 1)
    pair = rg.Model(Variational().eval(), nn.Linear(4, 2))
    assert torch.equal(pair.encode(data), pair.encoder(data.x, data.edge_index)[0])
