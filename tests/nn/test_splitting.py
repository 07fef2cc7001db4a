"""Taking modules apart: equality with the original for every stock model, points, errors, stitching."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torch_geometric.nn as gnn
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch_geometric.data import Data, HeteroData
from torch_geometric.utils import add_self_loops

import relgraph as rg
from relgraph.errors import InputError
from relgraph.nn.model import TailHead, head_arguments

N = 30
STOCK: dict[str, Callable[..., nn.Module]] = {
    "gcn": gnn.GCN,
    "sage": gnn.GraphSAGE,
    "gin": gnn.GIN,
    "gat": gnn.GAT,
    "gatv2": lambda *sizes, **options: gnn.GAT(*sizes, v2=True, **options),
    "pna": lambda *sizes, **options: gnn.PNA(
        *sizes, aggregators=["mean", "max"], scalers=["identity"], deg=torch.arange(1, 9), **options
    ),
    "edgecnn": gnn.EdgeCNN,
}


@pytest.fixture(autouse=True)
def _seed() -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.fixture
def data() -> Data:
    generator = torch.Generator().manual_seed(1)
    edges = torch.randint(0, N, (2, 4 * N), generator=generator)
    data = Data(x=torch.rand(N, 5, generator=generator), edge_index=edges, batch=torch.arange(N) // 10)
    return rg.AddAnchors(20)(data)


def warmed(model: nn.Module, *inputs: Any) -> nn.Module:
    """A module whose running statistics are not those of its construction."""
    with torch.no_grad():
        model.train()(*inputs)
    return model.eval()


def agree(model: nn.Module, data: Any, expected: Any, at: Any = None, **options: Any) -> rg.Model:
    parts = rg.split(model, at, **options)
    found = parts(data)
    pairs = zip(found, expected, strict=True) if isinstance(expected, tuple) else [(found, expected)]
    assert all(torch.equal(one, other) for one, other in pairs)
    own = {id(parameter) for parameter in model.parameters()}
    assert {id(parameter) for parameter in parts.parameters()} <= own  # shared, and none is new
    return parts


CASES = [(name, jk, None) for name in STOCK for jk in (None, "last", "cat", "max", "lstm")]
CASES += [("gcn", jk, norm) for jk in (None, "lstm") for norm in ("batch_norm", "graph_norm")]


@pytest.mark.parametrize(("name", "jk", "norm"), CASES)
def test_stock_models_equal_their_parts(data: Data, name: str, jk: str | None, norm: str | None) -> None:
    model = warmed(STOCK[name](5, 8, 3, 4, dropout=0.5, jk=jk, norm=norm), data.x, data.edge_index)
    expected = model(data.x, data.edge_index, batch=data.batch)
    parts = agree(model, data, expected)
    if jk is None:
        assert "edge_index" in head_arguments(parts.head, data)  # the last convolution belongs to the head
        assert parts.embed(data).shape == (N, 8)
    else:
        assert parts.head is model.lin
    assert agree(model, data, expected, 1).embed(data).shape == (N, 8)
    last = "lin" if jk else "convs.2"
    assert isinstance(agree(model, data, expected, last).head, nn.Identity)
    state = {id(one) for part in (parts.encoder, parts.head) for one in part.parameters()}
    assert state == {id(one) for one in model.parameters()}  # together they hold every parameter


@pytest.mark.parametrize(("k", "jk"), [(2, "cat"), (2, "max"), (3, "lstm")])
def test_other_tensors_that_cross_are_named(k: int, jk: str) -> None:
    message = r"'at' must be a point that one tensor crosses \(got \d, where besides the output of 'dropout' after "
    message += r"'convs.\d' also those of 'dropout' after 'convs.0'.* used later\); choose another, or pass its two"
    with pytest.raises(InputError, match=message):
        rg.split(gnn.GCN(5, 8, 3, 4, jk=jk), k)


@pytest.mark.parametrize("plain_last", [True, False])
@pytest.mark.parametrize("norm", [None, "batch_norm", "graph_norm"])
def test_perceptrons(data: Data, plain_last: bool, norm: str | None) -> None:
    model = warmed(gnn.MLP([5, 8, 8, 3], dropout=0.5, norm=norm, plain_last=plain_last), data.x)
    expected = model(data.x, data.batch)
    assert isinstance(agree(model, data, expected).head, gnn.Linear) == plain_last
    for at in (1, 2, 3, "lins.1"):
        agree(model, data, expected, at)


def test_sequential_models(data: Data) -> None:
    joined = gnn.Sequential(
        "x, edge_index",
        [
            (gnn.GCNConv(5, 8), "x, edge_index -> x1"),
            nn.ReLU(),
            (gnn.GCNConv(8, 8), "x1, edge_index -> x2"),
            (lambda x1, x2: [x1, x2], "x1, x2 -> xs"),
            (gnn.JumpingKnowledge("cat"), "xs -> x"),
            nn.Linear(16, 3),
        ],
    )
    pooled = gnn.Sequential(
        "x, edge_index, batch",
        [
            (gnn.GCNConv(5, 8), "x, edge_index -> x"),
            (gnn.global_mean_pool, "x, batch -> x"),
            nn.Linear(8, 3),
        ],
    )
    assert agree(joined.eval(), data, joined(data.x, data.edge_index)).embed(data).shape == (N, 16)
    agree(joined, data, joined(data.x, data.edge_index), 1)
    assert agree(pooled.eval(), data, pooled(data.x, data.edge_index, data.batch)).embed(data).shape == (3, 8)


class Deep(nn.Module):
    def __init__(self, block: str) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(5, 8), nn.Linear(16 if block == "dense" else 8, 3)
        self.blocks = nn.ModuleList(
            gnn.DeepGCNLayer(gnn.GENConv(8, 8), nn.LayerNorm(8), nn.ReLU(), block, dropout=0.3)
            for _ in range(1 if block == "dense" else 3)
        )

    def forward(self, x, edge_index):
        x = self.first(x)
        for block in self.blocks:
            x = block(x, edge_index)
        return self.last(F.dropout(x, p=0.1, training=self.training))


@pytest.mark.parametrize("block", ["res+", "res", "dense", "plain"])
def test_deep_stacks(data: Data, block: str) -> None:
    model = Deep(block).eval()
    expected = model(data.x, data.edge_index)
    for at in (None, 1, 2, "first", "blocks.0"):
        agree(model, data, expected, at)
    assert rg.split(model).head is model.last


class Variational(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.mu, self.logstd = gnn.GCNConv(5, 8), gnn.GCNConv(8, 4), gnn.GCNConv(8, 4)

    def forward(self, x, edge_index):
        x = self.conv(x, edge_index).relu()
        return self.mu(x, edge_index), self.logstd(x, edge_index)


def test_encoders_of_autoencoders_and_infomax(data: Data) -> None:
    for model in (
        gnn.GAE(gnn.GCN(5, 8, 2)),
        gnn.VGAE(Variational()),
        gnn.DeepGraphInfomax(8, gnn.GCN(5, 8, 2, act="prelu"), summary=torch.mean, corruption=lambda *args: args),
    ):
        agree(model.eval(), data, model.encoder(data.x, data.edge_index))


class ByHand(nn.Module):
    """Other names of arguments, functions of PyG on edges, dropout by function, a weight that is no module."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = gnn.GCNConv(5, 8, add_self_loops=False), gnn.GATConv(8, 8)
        self.norm, self.weight = nn.BatchNorm1d(8), nn.Parameter(torch.rand(8, 3))

    def forward(self, h, adjacency, edge_weight=None):
        edges, _ = add_self_loops(adjacency)
        h = F.relu(self.norm(self.one(F.dropout(h, 0.5, training=self.training), edges)))
        h = self.two(F.dropout(h, 0.5, training=self.training), edges)
        if self.training:
            h = 2 * h
        return F.log_softmax(h @ self.weight, dim=-1)


def test_a_module_written_by_hand(data: Data) -> None:
    model = warmed(ByHand(), data.x, data.edge_index)
    for at in (None, 1, 2, 3, "norm", "one"):
        agree(model, data, model(data.x, data.edge_index), at)


def test_training_draws_the_same_and_modes_are_kept(data: Data) -> None:
    model = gnn.GCN(5, 8, 3, 4, dropout=0.5)
    by_hand = Deep("plain")
    for one in (model, by_hand):
        one.train()
        one.get_submodule("convs.0" if one is model else "blocks.0").eval()
        before = [part.training for part in one.modules()]
        parts = rg.split(one)
        assert parts.training and [part.training for part in one.modules()] == before
        torch.manual_seed(3)
        expected = one(data.x, data.edge_index)
        torch.manual_seed(3)
        assert torch.equal(parts(data), expected)
        assert not torch.equal(parts.eval()(data), expected)


class Whole(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = gnn.GCNConv(5, 8), gnn.GCNConv(8, 3)

    def forward(self, data):
        return self.two(F.elu(self.one(data.x, data.edge_index)), data.edge_index)


class Branching(Whole):
    def forward(self, x, edge_index):
        return self.two(self.one(x if x.sum() > 0 else -x, edge_index), edge_index)


class Inside(Whole):
    class Part(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(8, 8)

        def forward(self, x):
            return self.linear(x) if x.sum() > -1e9 else x

    def __init__(self) -> None:
        super().__init__()
        self.part = self.Part()

    def forward(self, x, edge_index):
        return self.two(self.part(self.one(x, edge_index)), edge_index)


class Weighted(Whole):
    def forward(self, x, edge_index, edge_weight=None):
        if edge_weight is not None:
            edge_weight = edge_weight / 2
        return self.two(self.one(x, edge_index, edge_weight), edge_index, edge_weight)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(5, 8), nn.Linear(8, 3)
        self.convs = nn.ModuleList(gnn.GCN2Conv(8, 0.1) for _ in range(3))

    def forward(self, x, edge_index):
        x = start = self.first(x).relu()
        for conv in self.convs:
            x = conv(x, start, edge_index)
        return self.last(x)


def test_a_module_on_a_whole_graph(data: Data) -> None:
    model = Whole().eval()
    assert list(head_arguments(agree(model, data, model(data)).head, data)) == ["data"]


def test_control_flow_inside_a_submodule_makes_it_one_layer(data: Data) -> None:
    model = Inside().eval()
    for at in (None, 1, 2, "part"):
        agree(model, data, model(data.x, data.edge_index), at)
    with pytest.raises(InputError, match="the layers 'one', 'part', 'two', or their names"):
        rg.split(model, 9)


def test_control_flow_on_values_is_refused() -> None:
    message = r"'model' must be traceable by torch.fx \(got a Branching: .* control flow\); pass its two parts, "
    with pytest.raises(InputError, match=message + r"relgraph.Model\(encoder, head\)"):
        rg.split(Branching())


def test_an_optional_argument_that_is_branched_on_is_refused_or_given(data: Data) -> None:
    model = Weighted().eval()
    agree(model, data, model(data.x, data.edge_index))
    data.edge_weight = torch.rand(4 * N)
    with pytest.raises(InputError, match=r"'edge_weight' must be left out.*split\(model, given=\['edge_weight'\]\)"):
        rg.split(model)(data)
    agree(model, data, model(data.x, data.edge_index, data.edge_weight), given=["edge_weight"])
    with pytest.raises(InputError, match="'given' must name arguments of Weighted, x, edge_index, edge_weight"):
        rg.split(model, given=["weight"])
    plain = gnn.GCN(5, 8, 2, 3).eval()
    agree(plain, data, plain(data.x, data.edge_index, data.edge_weight))  # passed on, never branched on


def test_changes_in_place_are_kept_or_refused(data: Data) -> None:
    class Kept(Whole):
        def forward(self, x, edge_index):
            return self.two(self.one(x, edge_index).relu_(), edge_index)

    class Lost(Whole):
        def forward(self, x, edge_index):
            h = self.one(x, edge_index)
            h.relu_()
            return self.two(h, edge_index)

    model = Kept().eval()
    agree(model, data, model(data.x, data.edge_index))
    with pytest.raises(InputError, match="must not change tensors in place .got a Lost that calls 'relu_' on one"):
        rg.split(Lost())


def test_weights_of_both_parts_are_no_crossing_tensors(data: Data) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.scale = nn.Linear(5, 8), nn.Parameter(torch.ones(1))
            self.square = nn.Parameter(torch.rand(8, 8))

        def forward(self, x):
            scale = self.scale.exp()
            return (self.one(x) @ self.square * scale).relu() @ self.square * scale

    model = Tied().eval()
    for at in (None, 1, 2):
        agree(model, data, model(data.x), at)


def test_an_inner_residual_is_named_and_the_last_layer_is_found(data: Data) -> None:
    model = Residual().eval()
    assert agree(model, data, model(data.x, data.edge_index)).head is model.last
    with pytest.raises(InputError, match="'convs.0' also those of 'relu' after 'first' are used later"):
        rg.split(model, 2)


def test_points_that_do_not_exist_list_the_nearest() -> None:
    model = gnn.GCN(5, 8, 3, 4)
    for at in (0, 4, True, 1.0):
        with pytest.raises(InputError, match="'at' must be from 1 to 3, the layers 'convs.0', 'convs.1', 'convs.2'"):
            rg.split(model, at)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"'at' must be a submodule that is called \(got 'conv.1'\); the nearest"):
        rg.split(model, "conv.1")
    with pytest.raises(InputError, match="nearest names are 'convs.1'"):
        rg.split(model, "convs.11")
    with pytest.raises(InputError, match="must have a point between two layers"):
        rg.split(gnn.GCN(5, 8, 1, 4))
    with pytest.raises(InputError, match=r"'model' must be a torch module \(got dict\)"):
        rg.split({})  # type: ignore[arg-type]


@given(depth=st.integers(2, 4), jk=st.sampled_from([None, "last", "cat"]), at=st.integers(1, 5))
@settings(max_examples=15, deadline=None)
def test_every_point_gives_the_same_outputs_or_an_error(depth: int, jk: str | None, at: int) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(depth)
        data = Data(x=torch.rand(9, 5), edge_index=torch.randint(0, 9, (2, 20)))
        model = gnn.GraphSAGE(5, 6, depth, 3, jk=jk).double().eval()
    data.x = data.x.double()
    try:
        parts = rg.split(model, at)
    except InputError:
        assert at > depth + (jk is not None) or jk == "cat"
        return
    assert torch.equal(parts(data), model(data.x, data.edge_index))


# ---- What models are used for.


@pytest.mark.parametrize("jk", [None, "cat"])
def test_two_split_models_are_stitched(data: Data, jk: str | None) -> None:
    a, b = (gnn.GCN(5, 6, 3, 4, jk=jk).eval() for _ in range(2))
    ahead, behind = rg.split(a), rg.split(b)
    with torch.no_grad():
        z, foreign = ahead.encode(data), behind.encode(data)
    spaces = [rg.AnchorSet.from_embeddings(rows, data) for rows in (z, foreign)]
    with pytest.warns(rg.maps.FewAnchorsWarning) if jk else _nothing():
        network = rg.stitch(ahead, behind, data)
    if jk is None:
        by_hand = behind.head(rg.translate(*spaces)(z), data.edge_index).detach()
        torch.testing.assert_close(network(data), by_hand)
    else:
        assert isinstance(network.head, nn.Linear)
    inner = rg.stitch(ahead, behind, data, at=1)
    earlier = rg.stitch(rg.split(a, 1), rg.split(b, 1), data)
    torch.testing.assert_close(inner(data), earlier(data))
    own = rg.stitch(behind, behind, data, at=1, shrinkage=1e-6)
    torch.testing.assert_close(own(data), b(data.x, data.edge_index).detach(), rtol=1e-3, atol=1e-3)
    assert not {id(one) for one in network.parameters()} & {id(one) for one in (*a.parameters(), *b.parameters())}


def test_parts_are_copied_and_cut_again(data: Data) -> None:
    model = gnn.GAT(5, 8, 3, 4).eval()
    parts = copy.deepcopy(rg.split(model))
    assert torch.equal(parts(data), model(data.x, data.edge_index))
    stored = io.BytesIO()
    torch.save(parts, stored)
    stored.seek(0)
    loaded = torch.load(stored, weights_only=False)
    assert torch.equal(loaded(data), parts(data))
    assert torch.equal(rg.split(loaded, 1)(data), parts(data))
    again = rg.split(parts, "convs.0")
    assert isinstance(again.head, TailHead) and torch.equal(again(data), parts(data))
    traced = rg.split(rg.Model(gnn.GCN(5, 8, 2).eval(), nn.Linear(8, 2)), 1)
    assert traced(data).shape == (N, 2)


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


class _nothing:
    def __enter__(self) -> None: ...
    def __exit__(self, *_: Any) -> None: ...
