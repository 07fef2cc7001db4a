"""Modules written by hand: modes, functions, control flow, changes in place, crossing tensors."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
import torch_geometric.nn as gnn
from torch import nn
from torch_geometric.data import Data
from torch_geometric.utils import add_self_loops

import relgraph as rg
from relgraph.errors import InputError
from relgraph.nn.model import head_arguments
from tests.nn.parts import Deep, N, agree, graph, warmed

pytestmark = pytest.mark.usefixtures("seeded_globally")


@pytest.fixture
def data() -> Data:
    return graph()


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


def _changed(body):
    class Changed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.skip, self.last = gnn.GCNConv(5, 8), nn.Linear(5, 8), nn.Linear(8, 3)

        def forward(self, x, edge_index):
            return body(self, x, edge_index)

    return Changed().eval()


def _alias(s, x, edges):
    h = r = s.one(x, edges)
    h += 1
    return s.last(r)


def _scaled(s, x, edges):
    h = r = s.one(x, edges)
    h *= 0.5
    return s.last(r)


def _columns(s, x, edges):
    h = s.one(x, edges)
    part = h[:, :4]
    part -= 1
    return s.last(h)


def _read_in_vain(s, x, edges):
    h = s.one(x, edges)
    part = h.view(-1)
    part /= 2
    part.sum()
    return s.last(h)


def _under_another_view(s, x, edges):
    h = s.one(x, edges)
    turned = h.mT
    h -= 3
    return s.last(turned.mT)


@pytest.mark.parametrize("body", [_alias, _scaled, _columns, _read_in_vain, _under_another_view])
def test_an_operator_in_place_whose_result_is_not_used_is_refused(body) -> None:
    for at in (None, 1):
        with pytest.raises(InputError, match="must not change tensors in place .got a Changed that calls"):
            rg.split(_changed(body), at)


def _residual(s, x, edges):
    skip = s.skip(x)
    x = s.one(x, edges)
    x += skip
    x *= 2
    return s.last(x.relu_())


def _both_values(s, x, edges):
    h = s.one(x, edges)
    before = h * 1
    h += s.skip(x)
    return s.last(h - before.relu())


def _of_the_input(s, x, edges):
    x = x * 2
    x += 1
    return s.last(s.one(x, edges) + x.sum())


def _alias_and_value(s, x, edges):
    h = r = s.one(x, edges)
    h += 1
    return s.last(r * 2) + s.last(h)


def _in_place_of_numbers(s, x, edges):
    rows = kept = x.size(0)
    rows += 1
    width = x.shape[1]
    width *= 2
    return s.last(s.one(x, edges) * rows / kept + width)


@pytest.mark.parametrize("body", [_residual, _both_values, _of_the_input, _alias_and_value, _in_place_of_numbers])
def test_an_operator_in_place_whose_result_is_used_is_a_step_like_others(data: Data, body) -> None:
    model, tried = _changed(body), 0
    for at in (None, 1, 2, 3, "one", "skip"):
        try:
            rg.split(model, at)
        except InputError as error:
            assert (
                "one tensor crosses" in str(error) or "must be from 1" in str(error) or "that is called" in str(error)
            )
            continue
        tried += 1
        expected = model(data.x, data.edge_index)
        parts = agree(model, data, expected, at)
        z = parts.embed(data)
        assert torch.equal(parts.predict(data), expected)
        assert torch.equal(parts.head(z, **head_arguments(parts.head, data)), expected)
        assert torch.equal(z, parts.embed(data))  # heads leave what they are given as it is
        assert torch.equal(pickle.loads(pickle.dumps(parts))(data), expected)
    assert tried >= 2


def test_an_input_that_is_changed_in_place_is_refused() -> None:
    def positions(s, x, edges):
        x += 1
        return s.last(s.one(x, edges) + x.sum())

    with pytest.raises(InputError, match="in place .got a Changed that calls 'iadd' on its argument 'x'.; pass its"):
        rg.split(_changed(positions))
    dropped = _changed(lambda s, x, edges: s.last(s.one(F.dropout(x, 0.5, s.training, True), edges)))
    assert rg.split(dropped).head is dropped.last


class ById(nn.Module):
    """An embedding of each node, under the name of its argument; the head of an early cut reads the ids again."""

    def __init__(self, again: bool = False) -> None:
        super().__init__()
        self.table, self.conv, self.last = nn.Embedding(N, 8), gnn.GCNConv(8, 8), nn.Linear(8, 3)
        self.again = again

    def forward(self, n_id, edges):
        h = self.conv(self.table(n_id), edges).relu()
        return self.last(h + n_id.view(-1, 1) / N if self.again else h)


@pytest.mark.parametrize("again", [False, True])
def test_an_argument_is_given_the_part_of_its_own_name_before_the_features(data: Data, again: bool) -> None:
    model = ById(again).eval()
    data.n_id = torch.randperm(N)
    expected = model(data.n_id, data.edge_index)
    assert torch.equal(rg.Model(model, nn.Identity())(data), expected)
    for at in (None, 1, 2, "conv"):
        parts = agree(model, data, expected, at)
        assert torch.equal(pickle.loads(pickle.dumps(parts))(data), expected)
        assert torch.equal(copy.deepcopy(parts)(data), expected)
        again_at = rg.split(rg.Model(model, nn.Identity()), 1)
        assert torch.equal(again_at(data), expected)
    del data.x  # the features are not needed
    data.num_nodes = N
    assert torch.equal(rg.split(model)(data), expected)


def test_edges_are_given_by_their_place_where_the_first_argument_is_not_needed(data: Data) -> None:
    class Table(ById):
        def forward(self, feats, adjacency):
            return self.last(self.conv(self.table.weight, adjacency) + feats.mean())

    model = Table().eval()
    for at in (None, 1, "conv"):
        agree(model, data, model(data.x, data.edge_index), at)
    head = rg.split(model, "conv").head
    assert list(head_arguments(head, data)) == ["x"]
    with pytest.raises(InputError, match="'head' must need nothing that .* needs 'feats'"):
        head(torch.zeros(N, 8))
